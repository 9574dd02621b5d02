package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"zelo/sat"
)

// Version is the number in the greeting; client and server must agree on it.
const Version = 1

// MaxFrame bounds a frame without its length field. The largest thing that
// travels is a log or a document of a few megabytes in base64 (dossier 1.7).
const MaxFrame = 16 << 20

const (
	magic     = "zelo-sat"
	maxName   = 255
	maxTill   = 64
	maxText   = 1024
	nullText  = 0xFFFFFFFF
	readChunk = 64 << 10
)

// The kinds of frames, see the package comment.
const (
	kindGreeting = 'G'
	kindHello    = 'H'
	kindCall     = 'C'
	kindReply    = 'R'
	kindError    = 'E'
	kindTaken    = 'T'
	kindKeyed    = 'K'
	kindNonce    = 'N'
)

// nonceSize is the length of the random number each side of a sealed connection
// gives.
const nonceSize = 16

// convertedNote ends the library's name in a hello when it converted texts.
const convertedNote = "; windows-1252"

// errFrame reports bytes that are no frame of this protocol. Texts that wrap it
// never quote the frame: it may hold activation codes and CPF.
var errFrame = errors.New("malformed frame")

// Margin is how much less time than it has a caller names in its call: a fifth,
// at most 200 ms.
func Margin(left time.Duration) time.Duration { return min(left/5, 200*time.Millisecond) }

type hello struct {
	library string
	process string
	pid     uint32
}

// converted reports that the library converted texts of this connection's calls.
func (h hello) converted() bool { return strings.HasSuffix(h.library, convertedNote) }

type call struct {
	id   uint32
	left uint32 // ms
	req  sat.Request
}

type failure struct {
	id      uint32
	outcome sat.Outcome
	gone    bool
	text    string
}

func greetingFrame() []byte { return finish(appendMagic(begin(kindGreeting))) }

func keyedFrame(nonce []byte) []byte { return finish(append(appendMagic(begin(kindKeyed)), nonce...)) }

func nonceFrame(nonce []byte) []byte { return finish(append(begin(kindNonce), nonce...)) }

func appendMagic(b []byte) []byte {
	return binary.BigEndian.AppendUint16(append(b, magic...), Version)
}

func (h hello) frame() []byte {
	b := begin(kindHello)
	b = appendText(b, h.library[:min(len(h.library), maxName)])
	b = appendText(b, h.process[:min(len(h.process), maxName)])
	return finish(binary.BigEndian.AppendUint32(b, h.pid))
}

func (c call) frame() []byte {
	b := begin(kindCall)
	b = binary.BigEndian.AppendUint32(b, c.id)
	b = binary.BigEndian.AppendUint32(b, c.left)
	b = append(b, byte(c.req.Function))
	b = binary.BigEndian.AppendUint32(b, uint32(int32(c.req.Session)))
	b = appendText(b, c.req.Till)
	b = append(b, byte(len(c.req.Args)))
	for _, a := range c.req.Args {
		b = appendText(b, a)
	}
	return finish(b)
}

func replyFrame(id uint32, raw []byte) []byte {
	b := slices.Grow(begin(kindReply), 4+len(raw))
	b = binary.BigEndian.AppendUint32(b, id)
	return finish(append(b, raw...))
}

func (f failure) frame() []byte {
	b := begin(kindError)
	b = binary.BigEndian.AppendUint32(b, f.id)
	b = append(b, byte(f.outcome), 0)
	if f.gone {
		b[len(b)-1] = 1
	}
	text := strings.ToValidUTF8(f.text[:min(len(f.text), maxText)], "")
	return finish(append(b, text...))
}

func takenFrame(id uint32) []byte {
	return finish(binary.BigEndian.AppendUint32(begin(kindTaken), id))
}

func begin(kind byte) []byte { return append(make([]byte, 4, 64), kind) }

func finish(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// readFrame reads one frame. It returns io.EOF only when the stream ended
// between frames.
func readFrame(r io.Reader) (kind byte, body []byte, err error) {
	n, err := readLength(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := readBytes(r, n)
	if err != nil {
		return 0, nil, err
	}
	return b[0], b[1:], nil
}

func readLength(r io.Reader) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n < 1 || n > MaxFrame {
		return 0, fmt.Errorf("%w: length %d is outside 1 to %d", errFrame, n, MaxFrame)
	}
	return int(n), nil
}

// readBytes reads n bytes. Memory grows with those that arrive, not with n.
func readBytes(r io.Reader, n int) ([]byte, error) {
	var b []byte
	for have := 0; have < n; have = len(b) {
		more := min(n-have, max(readChunk, have))
		b = slices.Grow(b, more)[:have+more]
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}

func parseGreeting(kind byte, body []byte) error {
	if kind == kindKeyed {
		return errors.New("the server has a key and this program has none: give it the same")
	}
	if kind != kindGreeting || len(body) != len(magic)+2 || string(body[:len(magic)]) != magic {
		return fmt.Errorf("%w: no greeting of a SAT server", errFrame)
	}
	if v := binary.BigEndian.Uint16(body[len(magic):]); v != Version {
		return fmt.Errorf("the server speaks version %d, this program version %d: update the older one", v, Version)
	}
	return nil
}

// parseKeyed returns the server's nonce.
func parseKeyed(kind byte, body []byte) ([]byte, error) {
	if kind == kindGreeting {
		return nil, errors.New("the server has no key: remove this program's, or give the server the same")
	}
	at := len(magic) + 2
	if kind != kindKeyed || len(body) != at+nonceSize {
		return nil, fmt.Errorf("%w: no greeting of a SAT server with a key", errFrame)
	}
	return body[at:], parseGreeting(kindGreeting, body[:at])
}

func parseNonce(kind byte, body []byte) ([]byte, error) {
	if kind != kindNonce || len(body) != nonceSize {
		return nil, fmt.Errorf("%w: kind %#x where a nonce belongs", errFrame, kind)
	}
	return body, nil
}

func parseHello(kind byte, body []byte) (hello, error) {
	p := parser{rest: body}
	h := hello{library: p.text(maxName), process: p.text(maxName), pid: p.u32()}
	if kind != kindHello {
		return h, fmt.Errorf("%w: kind %#x where a hello belongs", errFrame, kind)
	}
	return h, p.end()
}

// parseCall reads a call's body. A NULL argument becomes "".
func parseCall(body []byte) (call, error) {
	p := parser{rest: body}
	c := call{id: p.u32(), left: p.u32()}
	c.req.Function = sat.Function(p.u8())
	c.req.Session = int(int32(p.u32()))
	c.req.Till = p.text(maxTill)
	count := int(p.u8())
	if p.bad == "" && !c.req.Function.Valid() {
		p.bad = fmt.Sprintf("unknown function %d", uint8(c.req.Function))
	}
	if p.bad == "" && count != len(c.req.Function.Params()) {
		p.bad = fmt.Sprintf("%d arguments for %s", count, c.req.Function)
	}
	for p.bad == "" && len(c.req.Args) < count {
		c.req.Args = append(c.req.Args, p.text(MaxFrame))
	}
	return c, p.end()
}

func parseReply(body []byte) (id uint32, raw []byte, err error) {
	p := parser{rest: body}
	id = p.u32()
	raw, p.rest = p.rest, nil
	return id, raw, p.end()
}

func parseError(body []byte) (failure, error) {
	p := parser{rest: body}
	f := failure{id: p.u32(), outcome: sat.Outcome(p.u8())}
	gone := p.u8()
	f.gone = gone == 1
	if f.outcome > sat.NotIssued || gone > 1 || len(p.rest) > maxText {
		p.bad = "error with fields out of bounds"
	}
	f.text, p.rest = string(p.rest), nil
	return f, p.end()
}

func parseTaken(body []byte) (uint32, error) {
	p := parser{rest: body}
	id := p.u32()
	return id, p.end()
}

// parser takes fields off a body; after the first fault all fields are zero.
type parser struct {
	rest []byte
	bad  string
}

func (p *parser) take(n int) []byte {
	if p.bad == "" && n > len(p.rest) {
		p.bad = "cut short"
	}
	if p.bad != "" {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) u8() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *parser) text(most int) string {
	n := p.u32()
	if n == nullText {
		return ""
	}
	if p.bad == "" && int64(n) > int64(most) {
		p.bad = fmt.Sprintf("text of %d bytes", n)
	}
	return string(p.take(int(n)))
}

func (p *parser) end() error {
	if p.bad == "" && len(p.rest) > 0 {
		p.bad = fmt.Sprintf("%d bytes too many", len(p.rest))
	}
	if p.bad != "" {
		return fmt.Errorf("%w: %s", errFrame, p.bad)
	}
	return nil
}
