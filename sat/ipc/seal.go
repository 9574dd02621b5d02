package ipc

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
)

// KeySize is the length of Options.Key.
const KeySize = 32

// direction of frames on a sealed connection, part of its keys' labels.
type direction string

const (
	toServer direction = "server"
	toClient direction = "client"
)

// seal is one direction of a sealed connection, see the package comment.
type seal struct {
	cipher, tag hash.Hash
	count       uint64 // of frames so far
}

func newSeal(d direction, key, server, client []byte) *seal {
	derive := func(use string) hash.Hash {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, "zelo-sat 1 to "+string(d)+" "+use)
		h.Write(server)
		h.Write(client)
		return hmac.New(sha256.New, h.Sum(nil))
	}
	return &seal{cipher: derive("cipher"), tag: derive("tag")}
}

// header is the frame's number and one more number.
func (s *seal) header(n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, s.count), n)
}

// crypt encrypts or decrypts b in place.
func (s *seal) crypt(b []byte) {
	var stream [sha256.Size]byte
	for block := uint32(0); len(b) > 0; block++ {
		s.cipher.Reset()
		s.cipher.Write(s.header(block))
		n := min(len(b), len(stream))
		for i, k := range s.cipher.Sum(stream[:0])[:n] {
			b[i] ^= k
		}
		b = b[n:]
	}
}

func (s *seal) sign(b []byte) []byte {
	s.tag.Reset()
	s.tag.Write(s.header(uint32(len(b))))
	s.tag.Write(b)
	return s.tag.Sum(nil)
}

// close encrypts b in place and returns its tag.
func (s *seal) close(b []byte) []byte {
	s.crypt(b)
	tag := s.sign(b)
	s.count++
	return tag
}

// open decrypts b in place if the tag is right.
func (s *seal) open(b, tag []byte) error {
	if !hmac.Equal(tag, s.sign(b)) {
		return fmt.Errorf("%w: not sealed with this connection's key", errFrame)
	}
	s.crypt(b)
	s.count++
	return nil
}

// sealed is a connection whose frames only the holders of the key can read and
// write. Read gives frames in the clear; Write takes whole ones.
type sealed struct {
	net.Conn
	from    io.Reader // of sealed frames
	in, out *seal
	opened  []byte // of the frame last received, not read yet
}

func (s *sealed) Read(p []byte) (int, error) {
	if len(s.opened) == 0 {
		n, err := readLength(s.from)
		if err != nil {
			return 0, err
		}
		b, err := readBytes(s.from, n+sha256.Size)
		if err != nil {
			return 0, err
		}
		if err := s.in.open(b[:n], b[n:]); err != nil {
			return 0, err
		}
		s.opened = append(binary.BigEndian.AppendUint32(nil, uint32(n)), b[:n]...)
	}
	n := copy(p, s.opened)
	s.opened = s.opened[n:]
	return n, nil
}

func (s *sealed) Write(frames []byte) (int, error) {
	out := make([]byte, 0, len(frames)+2*sha256.Size)
	for rest := frames; len(rest) > 0; {
		n := 4 + int(binary.BigEndian.Uint32(rest))
		at := len(out)
		out = append(out, rest[:n]...)
		out = append(out, s.out.close(out[at+4:])...)
		rest = rest[n:]
	}
	n, err := s.Conn.Write(out)
	return min(n, len(frames)), err
}

// greet opens the conversation as its server. It returns what to read from and
// write to from here on.
func greet(conn net.Conn, key []byte) (net.Conn, *bufio.Reader, error) {
	r := bufio.NewReader(conn)
	if key == nil {
		_, err := conn.Write(greetingFrame())
		return conn, r, err
	}
	server := make([]byte, nonceSize)
	rand.Read(server)
	if _, err := conn.Write(keyedFrame(server)); err != nil {
		return nil, nil, err
	}
	kind, body, err := readFrame(r)
	if err != nil {
		return nil, nil, err
	}
	client, err := parseNonce(kind, body)
	if err != nil {
		return nil, nil, err
	}
	s := &sealed{Conn: conn, from: r, in: newSeal(toServer, key, server, client), out: newSeal(toClient, key, server, client)}
	_, err = s.Write(greetingFrame())
	return s, bufio.NewReader(s), err
}

// hear is greet's other side.
func hear(conn net.Conn, key []byte) (net.Conn, *bufio.Reader, error) {
	r := bufio.NewReader(conn)
	kind, body, err := readFrame(r)
	if err != nil {
		return nil, nil, err
	}
	if key == nil {
		return conn, r, parseGreeting(kind, body)
	}
	server, err := parseKeyed(kind, body)
	if err != nil {
		return nil, nil, err
	}
	client := make([]byte, nonceSize)
	rand.Read(client)
	if _, err := conn.Write(nonceFrame(client)); err != nil {
		return nil, nil, err
	}
	s := &sealed{Conn: conn, from: r, in: newSeal(toClient, key, server, client), out: newSeal(toServer, key, server, client)}
	r = bufio.NewReader(s)
	if kind, body, err = readFrame(r); errors.Is(err, errFrame) {
		return nil, nil, fmt.Errorf("the server has another key: %w", err)
	} else if err != nil {
		return nil, nil, err
	}
	return s, r, parseGreeting(kind, body)
}

// checkKey refuses a listener that other computers reach without a key.
func checkKey(ln net.Listener, key []byte) error {
	if key != nil && len(key) != KeySize {
		return fmt.Errorf("cannot serve tills: the key has %d bytes, it needs %d", len(key), KeySize)
	}
	if addr, ok := ln.Addr().(*net.TCPAddr); ok && key == nil && !addr.IP.IsLoopback() {
		return fmt.Errorf("cannot serve tills at %s: other computers reach it, so it needs a key", addr)
	}
	return nil
}
