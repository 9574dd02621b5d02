package ipc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"zelo/sat"
)

// Client is the sat.Device at the other end of a connection. It serialises its
// calls, connects again on the next call after a connection was lost, and is
// safe for concurrent use. It runs one goroutine, which reads the connection,
// until Close.
type Client struct {
	network, addr string
	opt           Options
	life          context.Context // ends with Close
	end           context.CancelFunc
	turn          chan struct{} // holds one token while somebody uses the fields below
	link          *link         // nil when there is no connection
	lastID        uint32
}

// Dial connects to a Serve at addr ("unix" or "tcp", as net.Dial) and waits for
// its greeting. The error says why there is no server to be had.
func Dial(ctx context.Context, network, addr string, opt Options) (*Client, error) {
	c := &Client{network: network, addr: addr, opt: opt.withDefaults(), turn: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	if _, err := c.connected(ctx); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// Close ends the connection. A call under way returns with its outcome unknown.
func (c *Client) Close() error {
	c.end()
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.drop()
	return nil
}

// Call carries out req at the server within ctx's deadline, or the function's
// own when there is none. The error wraps sat.ErrNotSent only when no byte of
// the call left this process or the server says that the device never saw it,
// and sat.ErrGone when the server says that of its device.
func (c *Client) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, req.Function.Deadline())
		defer cancel()
		ctx = limited
	}
	raw, err := c.call(ctx, req)
	var reply sat.Reply
	if err == nil {
		reply, err = sat.ParseReply(req.Function, raw)
	}
	if err != nil {
		return reply, &sat.Error{Op: "call", Device: c.addr, Request: req.Function, Session: req.Session, Err: err}
	}
	return reply, nil
}

func (c *Client) call(ctx context.Context, req sat.Request) ([]byte, error) {
	if err := req.Check(); err != nil {
		return nil, notSent(err)
	}
	if len(req.Till) > maxTill {
		return nil, notSent(fmt.Errorf("till name of %d bytes, at most %d are allowed", len(req.Till), maxTill))
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, notSent(ctx.Err())
	}
	if err := ctx.Err(); err != nil { // select takes either when both are ready
		return nil, notSent(err)
	}
	if c.life.Err() != nil {
		return nil, notSent(net.ErrClosed)
	}
	c.lastID++
	l, err := c.send(ctx, req)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	kind, body, err := l.next()
	if err != nil {
		c.drop()
		return nil, because(ctx, err)
	}
	raw, err := c.read(kind, body)
	if errors.Is(err, errFrame) {
		c.drop()
	} else if err == nil {
		l.conn.Write(takenFrame(c.lastID)) // a failure shows on the next call
	}
	return raw, err
}

// send gives the call to the connection it returns. A kept connection that
// proves dead without taking a byte is replaced once.
func (c *Client) send(ctx context.Context, req sat.Request) (*link, error) {
	for {
		kept := c.link
		l, err := c.connected(ctx)
		if err != nil {
			return nil, notSent(err)
		}
		deadline, _ := ctx.Deadline()
		left := time.Until(deadline)
		ms := (left - Margin(left)).Milliseconds()
		if ms <= 0 {
			return nil, notSent(context.DeadlineExceeded)
		}
		frame := call{id: c.lastID, left: uint32(min(ms, 1<<31)), req: req}.frame()
		if len(frame)-4 > MaxFrame {
			return nil, notSent(fmt.Errorf("call of %d bytes is larger than a frame", len(frame)))
		}
		stop := context.AfterFunc(ctx, func() { l.conn.Close() })
		n, err := l.conn.Write(frame)
		stop()
		if err == nil {
			return l, nil
		}
		c.drop()
		if n > 0 {
			return nil, because(ctx, err)
		}
		if l != kept || ctx.Err() != nil {
			return nil, notSent(because(ctx, err))
		}
	}
}

// read takes the answer to the last call.
func (c *Client) read(kind byte, body []byte) ([]byte, error) {
	var id uint32
	var raw []byte
	var f failure
	var err error
	switch kind {
	case kindReply:
		id, raw, err = parseReply(body)
	case kindError:
		f, err = parseError(body)
		id = f.id
	default:
		err = fmt.Errorf("%w: kind %#x where an answer belongs", errFrame, kind)
	}
	if err == nil && id != c.lastID {
		err = fmt.Errorf("%w: answer to another call", errFrame)
	}
	if err == nil && kind == kindError {
		err = f.err()
	}
	return raw, err
}

// err rebuilds the server's error.
func (f failure) err() error {
	err := errors.New(f.text)
	if f.gone {
		err = fmt.Errorf("%w: %w", sat.ErrGone, err)
	}
	if f.outcome == sat.NotIssued {
		err = notSent(err)
	}
	return err
}

func notSent(cause error) error { return fmt.Errorf("%w: %w", sat.ErrNotSent, cause) }

// because prefers the end of ctx, which closes the connection, to what the
// closed connection says.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// connected returns the kept connection, or a new one when it is no longer whole.
func (c *Client) connected(ctx context.Context) (*link, error) {
	if c.link != nil && c.link.idle() {
		return c.link, nil
	}
	c.drop()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Greeting)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, err := new(net.Dialer).DialContext(ctx, c.network, c.addr)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the SAT server at %s: %w", c.addr, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	greeted, r, err := hear(conn, c.opt.Key)
	if err == nil {
		me := hello{library: "zelo-go", process: filepath.Base(os.Args[0]), pid: uint32(os.Getpid())}
		_, err = greeted.Write(me.frame())
	}
	if err != nil || !stop() {
		conn.Close()
		return nil, fmt.Errorf("cannot greet the SAT server at %s: %w", c.addr, because(ctx, err))
	}
	c.link = newLink(c.life, greeted, r)
	return c.link, nil
}

func (c *Client) drop() {
	if c.link != nil {
		c.link.close()
		c.link = nil
	}
}

// link is one connection after its introduction. Its goroutine reads ahead, so
// that a server that went away is noticed before the next call is sent.
type link struct {
	conn   net.Conn
	frames chan answer   // what arrived, one at most
	broken chan struct{} // closed when the goroutine ended, after why was set
	why    error
	forget func() bool
}

type answer struct {
	kind byte
	body []byte
}

func newLink(life context.Context, conn net.Conn, r *bufio.Reader) *link {
	l := &link{conn: conn, frames: make(chan answer, 1), broken: make(chan struct{})}
	l.forget = context.AfterFunc(life, func() { conn.Close() })
	go l.read(r)
	return l
}

func (l *link) read(r *bufio.Reader) {
	defer close(l.broken)
	defer l.conn.Close()
	for {
		kind, body, err := readFrame(r)
		if err != nil {
			l.why = fmt.Errorf("connection lost: %w", err)
			return
		}
		select {
		case l.frames <- answer{kind, body}:
		default:
			l.why = fmt.Errorf("%w: answers nobody asked for", errFrame)
			return
		}
	}
}

// idle reports that the connection lives and nothing unasked for came over it.
func (l *link) idle() bool {
	select {
	case <-l.broken:
		return false
	default:
		return len(l.frames) == 0
	}
}

func (l *link) next() (byte, []byte, error) {
	select {
	case a := <-l.frames:
		return a.kind, a.body, nil
	case <-l.broken:
	}
	select {
	case a := <-l.frames: // arrived whole before the connection broke
		return a.kind, a.body, nil
	default:
		return 0, nil, l.why
	}
}

func (l *link) close() {
	l.forget()
	l.conn.Close()
	<-l.broken
}
