package ipc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zelo/sat"
)

// sealedVector is one line of testdata/sealed.txt.
type sealedVector struct {
	name                string
	key, server, client []byte
	to                  direction
	count               uint64
	plain, sealed       []byte
}

func sealedVectors(t testing.TB) []sealedVector {
	t.Helper()
	raw, err := os.ReadFile("testdata/sealed.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []sealedVector
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Fields(line)
		var b [8][]byte
		for _, i := range []int{1, 2, 3, 6, 7} {
			if b[i], err = hex.DecodeString(c[i]); err != nil {
				t.Fatal(err)
			}
		}
		count, err := strconv.ParseUint(c[5], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sealedVector{c[0], b[1], b[2], b[3], direction(c[4]), count, b[6], b[7]})
	}
	if len(all) < 7 {
		t.Fatalf("only %d vectors read", len(all))
	}
	return all
}

func (v sealedVector) seal() *seal {
	s := newSeal(v.to, v.key, v.server, v.client)
	s.count = v.count
	return s
}

// written is a connection that keeps what is written.
type written struct {
	net.Conn
	to bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) { return w.to.Write(b) }

func TestSealedVectors(t *testing.T) {
	for _, v := range sealedVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			out := &written{}
			if _, err := (&sealed{Conn: out, out: v.seal()}).Write(v.plain); err != nil || !bytes.Equal(out.to.Bytes(), v.sealed) {
				t.Errorf("sealed as %x, %v", out.to.Bytes(), err)
			}
			plain, err := io.ReadAll(&sealed{from: bytes.NewReader(v.sealed), in: v.seal()})
			if err != nil || !bytes.Equal(plain, v.plain) {
				t.Errorf("opened as %x, %v", plain, err)
			}
		})
	}
}

// Whatever is done to a sealed frame, it is not taken for one.
func TestTamperedFrames(t *testing.T) {
	v := sealedVectors(t)[2]
	second := v
	second.count++
	other := v
	other.to = toClient
	for name, test := range map[string]struct {
		bytes []byte
		seal  *seal
	}{
		"length shorter":        {append([]byte{0, 0, 0, v.sealed[3] - 1}, v.sealed[4:]...), v.seal()},
		"cut":                   {v.sealed[:len(v.sealed)-1], v.seal()},
		"said twice":            {v.sealed, second.seal()},
		"sent back to sender":   {v.sealed, other.seal()},
		"in the clear":          {v.plain, v.seal()},
		"length over 16 MiB":    {[]byte{1, 0, 0, 1, 'R'}, v.seal()},
		"of another connection": {v.sealed, newSeal(v.to, v.key, v.client, v.server)},
		"under another key":     {v.sealed, newSeal(v.to, bytes.Repeat([]byte{1}, KeySize), v.server, v.client)},
	} {
		t.Run(name, func(t *testing.T) {
			kind, body, err := readFrame(&sealed{from: bytes.NewReader(test.bytes), in: test.seal})
			if err == nil {
				t.Errorf("read as %q %q", kind, body)
			}
		})
	}
	for bit := range len(v.sealed) * 8 {
		b := slices.Clone(v.sealed)
		b[bit/8] ^= 1 << (bit % 8)
		if kind, body, err := readFrame(&sealed{from: bytes.NewReader(b), in: v.seal()}); err == nil {
			t.Fatalf("with bit %d turned, read as %q %q", bit, kind, body)
		}
	}
}

// listenTCP serves dev on a free port of this computer.
func listenTCP(t *testing.T, dev sat.Device, opt Options) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, dev, opt)
	return ln.Addr().String()
}

func TestCallsWithAKey(t *testing.T) {
	log := &lines{}
	sale := strings.Repeat("<det>pão</det>", 100_000)
	var got sat.Request
	delivered := make(chan sat.Request, 2)
	key := bytes.Repeat([]byte{7}, KeySize)
	addr := listenTCP(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		got = req
		return instant(ctx, req)
	}), Options{Key: key, Log: log.logger(), Delivered: func(r sat.Request) { delivered <- r }})
	c, err := Dial(t.Context(), "tcp", addr, Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for session := range 2 {
		req := request(sat.EnviarDadosVenda, session).WithArg("dadosVenda", sale)
		reply, err := c.Call(t.Context(), req)
		if err != nil || reply.Session != session || got.Arg("dadosVenda") != sale {
			t.Fatalf("session %d: %+v, %v", session, reply, err)
		}
		if r := <-delivered; r.Session != session {
			t.Errorf("session %d delivered", r.Session)
		}
	}
	if text := log.String(); text != "" {
		t.Errorf("log:\n%s", text)
	}
}

func TestKeysThatDoNotMatch(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, KeySize)
	for name, test := range map[string]struct {
		server, client []byte
		says, log      string
	}{
		"another key":         {one, two, "another key", "it may have another"},
		"only the server has": {one, nil, "this program has none", ""},
		"only the client has": {nil, one, "the server has no key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lines{}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			stop := serve(t, ln, device(func(context.Context, sat.Request) (sat.Reply, error) {
				t.Error("the device was called")
				return sat.Reply{}, errors.New("called")
			}), Options{Key: test.server, Log: log.logger()})
			_, err = Dial(t.Context(), "tcp", ln.Addr().String(), Options{Key: test.client})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			stop()
			if !strings.Contains(log.String(), test.log) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// A server with a key carries out nothing that is not sealed with it.
func TestUnsealedCallsAreRefused(t *testing.T) {
	key := bytes.Repeat([]byte{7}, KeySize)
	addr := listenTCP(t, device(func(context.Context, sat.Request) (sat.Reply, error) {
		t.Error("the device was called")
		return sat.Reply{}, errors.New("called")
	}), Options{Key: key, Greeting: 200 * time.Millisecond})
	hello := hello{"teste 1", "pdv", 42}.frame()
	for name, say := range map[string][]byte{
		"hello instead of a nonce": hello,
		"nothing sealed":           slices.Concat(nonceFrame(make([]byte, nonceSize)), hello, ask(1, time.Second, sat.ConsultarSAT)),
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			p := peer{t, raw}
			p.receive(kindKeyed)
			p.send(say)
			io.Copy(io.Discard, raw) // ends
		})
	}
}

func TestListenersThatNeedAKey(t *testing.T) {
	for name, test := range map[string]struct {
		addr string
		key  []byte
		says string
	}{
		"every network, no key": {"0.0.0.0:0", nil, "needs a key"},
		"IPv6, no key":          {"[::]:0", nil, "needs a key"},
		"a short key":           {"127.0.0.1:0", make([]byte, 31), "31 bytes, it needs 32"},
		"an empty key":          {"127.0.0.1:0", []byte{}, "0 bytes, it needs 32"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", test.addr)
			if err != nil {
				t.Skipf("SKIP: cannot listen at %s: %v", test.addr, err)
			}
			err = Serve(t.Context(), ln, instant, Options{Key: test.key})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the listener is still open: %v", err)
			}
		})
	}
}

// Once for each till, whatever it sends.
func TestConvertedTextsAreNoted(t *testing.T) {
	log := &lines{}
	path, stop := start(t, instant, Options{Log: log.logger()})
	for range 3 {
		c := till(t, path)
		c.receive(kindGreeting)
		c.send(hello{"Zelo libsat 1" + convertedNote, "pdv", 42}.frame())
		for _, till := range []string{"001", "002"} {
			req := request(sat.ConsultarSAT, 5)
			req.Till = till
			c.send(call{id: 5, left: 1000, req: req}.frame())
			c.receive(kindReply)
		}
	}
	c := till(t, path).greeted()
	c.send(ask(1, time.Second, sat.ConsultarSAT))
	c.receive(kindReply)
	stop()
	text := log.String()
	if strings.Count(text, "not UTF-8") != 2 || strings.Count(text, "till=001") != 1 || strings.Count(text, "till=002") != 1 {
		t.Errorf("log:\n%s", text)
	}
}

func FuzzSealed(f *testing.F) {
	for _, v := range sealedVectors(f) {
		f.Add(v.sealed)
	}
	key, nonce := bytes.Repeat([]byte{9}, KeySize), make([]byte, nonceSize)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &sealed{from: bytes.NewReader(b), in: newSeal(toServer, key, nonce, nonce)}
		if kind, body, err := readFrame(r); err == nil {
			t.Fatalf("without the key: %q %x", kind, body)
		}
	})
}
