package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// MaxPayload is the largest payload of a frame: a reply with a whole device log
// is a few MiB.
const MaxPayload = 8 << 20

const (
	version     = 1
	headerSize  = 18
	trailerSize = 4
	// interByte is how long a frame may pause before it counts as cut. It is
	// shorter than the till's silence between two questions, so that half a frame
	// swallows one of them at most.
	interByte = 500 * time.Millisecond
)

type kind uint8

const (
	hello kind = 1 + iota
	welcome
	request
	response
	ping
	working
	nak
)

// frame is one message on the stream, see the package comment.
type frame struct {
	kind    kind
	client  uint32
	seq     uint32
	payload []byte
}

// magic begins every frame.
func magic() []byte { return []byte{0xA5, 0x5A} }

// encode writes the frame as it travels.
func (f frame) encode() []byte {
	b := make([]byte, 0, headerSize+len(f.payload)+trailerSize)
	b = append(b, magic()...)
	b = append(b, version, byte(f.kind))
	b = binary.BigEndian.AppendUint32(b, f.client)
	b = binary.BigEndian.AppendUint32(b, f.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	b = binary.BigEndian.AppendUint16(b, crc16(b))
	b = append(b, f.payload...)
	return binary.BigEndian.AppendUint32(b, crc32c(b))
}

// decoder finds frames in a stream of bytes that may hold anything else.
type decoder struct {
	buf    []byte
	last   time.Time // when the newest byte came
	wasted int       // bytes checksummed in vain since the last frame
}

// feed takes the bytes that arrived at now and hands every complete frame to
// emit. A pause longer than interByte gives up a frame still incomplete.
func (d *decoder) feed(now time.Time, p []byte, emit func(frame)) {
	if now.Sub(d.last) > interByte {
		d.scan(true, emit)
	}
	d.last = now
	d.buf = append(d.buf, p...)
	d.scan(false, emit)
}

// scan takes the frames out of the buffer; with cut set it also gives up what is
// incomplete and looks behind it.
func (d *decoder) scan(cut bool, emit func(frame)) {
	rest := d.buf
	for {
		if d.wasted > 4*MaxPayload { // frames hidden in frames, built to cost time
			rest, d.wasted = nil, 0
		}
		at := bytes.Index(rest, magic())
		if at < 0 {
			rest = rest[max(0, len(rest)-1):] // the last byte may be half a magic
			break
		}
		rest = rest[at:]
		size, ok := frameSize(rest)
		if ok && size > len(rest) && !cut {
			break
		}
		if !ok || size > len(rest) || !d.intact(rest[:size]) {
			rest = rest[1:]
			continue
		}
		emit(frame{
			kind:    kind(rest[3]),
			client:  binary.BigEndian.Uint32(rest[4:]),
			seq:     binary.BigEndian.Uint32(rest[8:]),
			payload: bytes.Clone(rest[headerSize : size-trailerSize]),
		})
		rest, d.wasted = rest[size:], 0
	}
	switch {
	case len(rest) == 0:
		d.buf = nil
	case len(rest) < len(d.buf):
		d.buf = append(d.buf[:0], rest...)
	}
}

// frameSize is the length of the frame whose header begins b, as far as b shows
// it; false when b begins with no header.
func frameSize(b []byte) (int, bool) {
	if len(b) < headerSize {
		return headerSize, true
	}
	n := binary.BigEndian.Uint32(b[12:])
	if b[2] != version || n > MaxPayload || crc16(b[:16]) != binary.BigEndian.Uint16(b[16:]) {
		return 0, false
	}
	return headerSize + int(n) + trailerSize, true
}

// intact checks a whole frame's checksum.
func (d *decoder) intact(b []byte) bool {
	end := len(b) - trailerSize
	if crc32c(b[:end]) == binary.BigEndian.Uint32(b[end:]) {
		return true
	}
	d.wasted += end
	return false
}

// readFrames hands the stream's frames to emit until the stream ends, and
// returns why it ended.
func readFrames(stream io.Reader, emit func(frame)) error {
	var d decoder
	buf := make([]byte, 16<<10)
	for {
		n, err := stream.Read(buf)
		if n > 0 {
			d.feed(time.Now(), buf[:n], emit)
		}
		if err != nil {
			return fmt.Errorf("cannot read from the line: %w", err)
		}
	}
}

func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func crc32c(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
