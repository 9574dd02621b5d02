package link

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"zelo/sat"
)

const (
	// chunk is how much is written at once, so that progress can be watched: a
	// second's worth on the slowest port.
	chunk = 1 << 10
	// stall is how long the line may take no byte before it counts as broken. A
	// serial port has no write deadline of its own: on a line without a reader
	// Write blocks for ever.
	stall = 5 * time.Second
	// grace is what a write under way is given when its caller leaves.
	grace = 100 * time.Millisecond
	// silence is how long the till hears nothing before it asks again.
	silence = time.Second
	// openTime bounds Open when the context does not.
	openTime = 10 * time.Second
)

// Options say how a Conn is opened.
type Options struct {
	Driver string        // for sat.Info: "serial", "tcp"
	Where  string        // for sat.Info: port or address
	Retry  time.Duration // silence after which the till asks again; 0 is a second
}

// Conn is a device at the other end of a stream: the till's side of the protocol.
// It is safe for concurrent use; calls wait for their turn.
//
// Errors of Call that wrap [sat.ErrNotSent] say that not one byte of the request
// was written. [sat.ErrGone] says that the device went away: the owner closes the
// Conn and opens another. [os.ErrClosed] says that the Conn was closed here.
type Conn struct {
	stream io.ReadWriteCloser
	info   sat.Info
	retry  time.Duration
	client uint32
	most   int // largest payload the device takes

	turn chan struct{} // holds one token: whose turn it is
	seq  uint32        // under turn

	in    chan frame // from the reader
	out   chan []byte
	wrote chan written
	gone  chan struct{} // closed when the line is dead or the Conn closed
	ended sync.Once
	cause error // why; read after gone

	reading, writing chan struct{} // closed when the goroutine has ended
	closed           sync.Once
}

type written struct {
	n   int
	err error
}

// Open greets the device on the stream and returns it with what it said of
// itself. It owns the stream from then on, also when it fails, and runs two
// goroutines until Close. It waits for the device until ctx ends, ten seconds
// when ctx has no deadline. Its errors wrap [sat.ErrGone].
func Open(ctx context.Context, stream io.ReadWriteCloser, o Options) (*Conn, sat.Info, error) {
	c := &Conn{
		stream: stream, retry: o.Retry, most: MaxPayload, client: newClient(),
		turn: make(chan struct{}, 1), in: make(chan frame, 16), out: make(chan []byte),
		wrote: make(chan written, 1), gone: make(chan struct{}),
		reading: make(chan struct{}), writing: make(chan struct{}),
	}
	if c.retry == 0 {
		c.retry = silence
	}
	c.turn <- struct{}{}
	go c.read()
	go c.write()
	ctx, cancel := bounded(ctx, openTime)
	defer cancel()
	h, err := c.greet(ctx)
	if err != nil {
		c.Close()
		return nil, sat.Info{}, unopened(o.Where, err)
	}
	c.info = sat.Info{Serial: h.Serial, Name: strings.TrimSpace(h.Model + " " + h.Software), Driver: o.Driver, Where: o.Where}
	return c, c.info, nil
}

func newClient() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint32(b[:]))
}

// bounded gives ctx a deadline when it has none.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// greet sends HELLO until WELCOME comes.
func (c *Conn) greet(ctx context.Context) (Hello, error) {
	for {
		if _, err := c.send(ctx, frame{kind: hello, client: c.client}); err != nil {
			return Hello{}, err
		}
		f, err := c.receive(ctx, 0)
		switch {
		case err != nil:
			return Hello{}, err
		case f.kind == welcome:
			h, most, err := decodeWelcome(f.payload)
			if err != nil {
				return Hello{}, fmt.Errorf("cannot read the device's greeting: %w", err)
			}
			c.most = most
			return h, nil
		}
	}
}

// Call implements [sat.Device]. It waits until ctx ends, or the function's own
// deadline when ctx has none.
func (c *Conn) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	raw, err := c.call(ctx, req)
	if err != nil {
		return sat.Reply{}, c.failed("call", req, err)
	}
	r, err := sat.ParseReply(req.Function, raw)
	if err != nil {
		return r, c.failed("read the reply to", req, err)
	}
	return r, nil
}

func (c *Conn) failed(op string, req sat.Request, err error) error {
	device := c.info.Serial
	if device == "" {
		device = c.info.Where
	}
	return &sat.Error{Op: op, Device: device, Request: req.Function, Session: req.Session, Err: err}
}

func notSent(err error) error { return fmt.Errorf("%w: %w", sat.ErrNotSent, err) }

func (c *Conn) call(ctx context.Context, req sat.Request) ([]byte, error) {
	if err := req.Check(); err != nil {
		return nil, notSent(err)
	}
	payload := encodeRequest(req)
	if len(payload) > c.most {
		return nil, notSent(fmt.Errorf("request of %d bytes, the device takes %d", len(payload), c.most))
	}
	ctx, cancel := bounded(ctx, req.Function.Deadline())
	defer cancel()
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-c.gone:
		return nil, notSent(c.cause)
	case <-ctx.Done():
		return nil, notSent(ctx.Err())
	}
	c.seq++
	return c.exchange(ctx, frame{kind: request, client: c.client, seq: c.seq, payload: payload})
}

// exchange sends one request and waits for its response, asking again when the
// line falls silent.
func (c *Conn) exchange(ctx context.Context, req frame) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, notSent(err)
	}
	touched, err := c.send(ctx, req)
	if err != nil {
		if !touched {
			err = notSent(err)
		}
		return nil, err
	}
	for {
		f, err := c.receive(ctx, req.seq)
		if err != nil {
			return nil, err
		}
		var next frame
		switch {
		case f.kind == response:
			return f.payload, nil
		case f.kind == 0: // silence
			next = frame{kind: ping, client: req.client, seq: req.seq}
		case f.nakked(missing):
			next = req
		case f.nakked(stranger):
			err := fmt.Errorf("%w: it restarted", sat.ErrGone)
			c.fail(err)
			return nil, err
		case f.nakked(refused):
			return nil, errors.New("the device cannot read the request or write its reply")
		default: // it works on it
			continue
		}
		if _, err := c.send(ctx, next); err != nil {
			return nil, err
		}
	}
}

// receive waits for a frame about seq. The zero frame says that the line was
// silent for the time of Retry.
func (c *Conn) receive(ctx context.Context, seq uint32) (frame, error) {
	again := time.NewTimer(c.retry)
	defer again.Stop()
	for {
		select {
		case f := <-c.in:
			if f.client == c.client && f.seq == seq {
				return f, nil
			}
		case <-again.C:
			return frame{}, nil
		case <-c.gone:
			return frame{}, c.cause
		case <-ctx.Done():
			return frame{}, fmt.Errorf("no answer from the device: %w", ctx.Err())
		}
	}
}

// send writes a frame. touched is false only when certainly no byte of it left.
// When ctx ends amid the frame the rest stays unsent; the device takes no notice
// of half a frame.
func (c *Conn) send(ctx context.Context, f frame) (touched bool, err error) {
	for b := f.encode(); len(b) > 0; {
		if err := ctx.Err(); err != nil {
			return touched, fmt.Errorf("cannot write to the line: %w", err)
		}
		n, err := c.hand(ctx, b[:min(len(b), chunk)])
		touched = touched || n > 0
		if err != nil {
			return touched, err
		}
		b = b[n:]
	}
	return true, nil
}

// hand gives bytes to the writer and waits until the line has taken some. A line
// that takes none is broken for good, and counts as touched: what was handed to
// it may still leave, later.
func (c *Conn) hand(ctx context.Context, b []byte) (int, error) {
	select {
	case <-c.gone:
		return 0, c.cause
	default:
	}
	select {
	case <-c.gone:
		return 0, c.cause
	case c.out <- b:
	}
	progress := time.NewTimer(stall)
	defer progress.Stop()
	ended := ctx.Done()
	for {
		select {
		case w := <-c.wrote:
			if w.err != nil {
				c.fail(fmt.Errorf("%w: cannot write to the line: %w", sat.ErrGone, w.err))
				return w.n, c.cause
			}
			return w.n, nil
		case <-ended:
			ended = nil
			progress.Reset(grace)
		case <-progress.C:
			c.fail(fmt.Errorf("%w: the line takes no bytes", sat.ErrGone))
			return len(b), c.cause
		}
	}
}

// write is the goroutine that owns writing.
func (c *Conn) write() {
	defer close(c.writing)
	for {
		select {
		case b := <-c.out:
			n, err := c.stream.Write(b)
			if n <= 0 && err == nil {
				err = io.ErrShortWrite
			}
			c.wrote <- written{max(n, 0), err}
		case <-c.gone:
			return
		}
	}
}

// read is the goroutine that owns reading. Frames nobody waits for are dropped;
// the till asks again for the one it misses.
func (c *Conn) read() {
	defer close(c.reading)
	err := readFrames(c.stream, func(f frame) {
		select {
		case c.in <- f:
		default:
		}
	})
	c.fail(fmt.Errorf("%w: %w", sat.ErrGone, err))
}

// fail ends the line; the first cause stays.
func (c *Conn) fail(err error) {
	c.ended.Do(func() {
		c.cause = err
		close(c.gone)
	})
}

// Gone is closed when the device went away or the Conn was closed, so that an
// owner can reopen before the next call needs it.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Close ends the Conn and its goroutines. A call under way ends with an unknown
// outcome. Closing again does nothing.
func (c *Conn) Close() error {
	var err error
	c.closed.Do(func() {
		c.fail(fmt.Errorf("connection closed here: %w", os.ErrClosed))
		// A descriptor must not be closed while a write to it may be about to
		// begin; one that is stuck ends when the line hangs up.
		wait := time.NewTimer(grace)
		defer wait.Stop()
		select {
		case <-c.writing:
		case <-wait.C:
		}
		err = c.stream.Close()
		<-c.reading
	})
	return err
}
