package ipc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"zelo/sat"
)

// Options of Serve and Dial. The zero value is good.
type Options struct {
	// Log receives one line per connection lost to a fault, per reply that could
	// not be delivered, and per till whose texts the library had to convert to
	// UTF-8; nil for none. Arguments are never logged.
	Log *slog.Logger
	// Greeting bounds the introduction on both sides: greeting and hello. 0 is 5 s.
	Greeting time.Duration
	// Key of KeySize bytes seals the conversation: for tills on other computers. A
	// TCP listener that other computers reach is served only with one.
	Key []byte
	// MaxConns bounds the connections Serve holds at once; more wait unaccepted,
	// and their clients know that nothing was received. 0 is 64.
	MaxConns int
	// Delivered, when set, is called by Serve for each reply that the client
	// confirmed to hold whole. It is called from that connection's goroutine,
	// before the connection's next call.
	Delivered func(sat.Request)
	// Lost, when set, is called once for each reply of the device that the client did
	// not confirm, as soon as it cannot any more.
	Lost func(sat.Request)
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Greeting == 0 {
		o.Greeting = 5 * time.Second
	}
	if o.MaxConns == 0 {
		o.MaxConns = 64
	}
	return o
}

const (
	stopLimit  = 3 * time.Second        // for calls in flight when Serve is told to stop
	writeLimit = 10 * time.Second       // for a client to take an answer
	overrun    = 50 * time.Millisecond  // for a device to mind its deadline
	acceptWait = 100 * time.Millisecond // after a failed accept (no descriptors left)
	maxNoted   = 1000                   // tills whose conversion of texts is noted
)

type server struct {
	dev   sat.Device
	opt   Options
	calls context.Context // of device calls; outlives Serve's own by stopLimit
	done  sync.WaitGroup  // connections

	mu    sync.Mutex
	noted map[string]bool // tills whose texts are converted
}

// Serve carries out on dev what clients of ln ask, each connection in a goroutine
// of its own. A call's context has the caller's deadline and is not cancelled
// when the caller goes away. Serve closes ln and returns when ctx ends: at once
// for idle connections, when all calls are answered, or after 3 s, when it
// cancels the calls still open and says so. It also returns when ln fails for good,
// and at once when other computers reach ln and opt has no key.
func Serve(ctx context.Context, ln net.Listener, dev sat.Device, opt Options) error {
	if err := checkKey(ln, opt.Key); err != nil {
		ln.Close()
		return err
	}
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s := &server{dev: dev, opt: opt.withDefaults(), calls: calls, noted: map[string]bool{}}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(stopping, func() { ln.Close() })()
	failed := s.accept(stopping, ln)
	stop()
	ln.Close()

	answered := make(chan struct{})
	go func() {
		s.done.Wait()
		close(answered)
	}()
	late := time.NewTimer(stopLimit)
	defer late.Stop()
	select {
	case <-answered:
	case <-late.C:
		return errors.Join(failed, fmt.Errorf("cannot stop serving cleanly: calls still open after %s", stopLimit))
	}
	return failed
}

// accept starts a goroutine per connection until ctx ends (nil) or ln is broken.
func (s *server) accept(ctx context.Context, ln net.Listener) error {
	slots := make(chan struct{}, s.opt.MaxConns)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := ln.Accept()
		if err == nil {
			s.done.Go(func() {
				s.serve(ctx, conn)
				<-slots
			})
			continue
		}
		<-slots
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("cannot accept calls: %w", err)
		}
		s.opt.Log.Warn("cannot accept a till's connection, trying again", "err", err)
		select {
		case <-time.After(acceptWait):
		case <-ctx.Done():
		}
	}
}

// serve speaks with one client until it goes, errs, or ctx ends between calls.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(s.calls, func() { conn.Close() })()
	log := s.opt.Log
	conn.SetDeadline(time.Now().Add(s.opt.Greeting))
	talk, r, who, err := s.introduce(conn)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			log.Warn("a connection ended before its hello", "err", err)
		}
		return
	}
	log = log.With("process", who.process, "pid", who.pid, "library", who.library)
	log.Debug("till connected")
	conn.SetDeadline(time.Time{})
	// Between calls the end of ctx wakes the read; a call under way is answered.
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	if err := s.converse(ctx, talk, r, who, log); !errors.Is(err, io.EOF) && ctx.Err() == nil {
		log.Warn("a till's connection was closed", "err", err)
	}
}

// introduce greets the client and hears who it is. It returns the connection to
// go on with.
func (s *server) introduce(conn net.Conn) (net.Conn, *bufio.Reader, hello, error) {
	from := conn.RemoteAddr()
	conn, r, err := greet(conn, s.opt.Key)
	if err != nil {
		return nil, nil, hello{}, err
	}
	kind, body, err := readFrame(r)
	if err != nil {
		if s.opt.Key != nil {
			err = fmt.Errorf("%v left after the keys were agreed on, it may have another: %v", from, err)
		}
		return nil, nil, hello{}, err
	}
	who, err := parseHello(kind, body)
	return conn, r, who, err
}

// converse answers calls one after the other. io.EOF says the client left.
func (s *server) converse(ctx context.Context, conn net.Conn, r io.Reader, who hello, log *slog.Logger) error {
	var answered *call // whose reply the client has not confirmed yet
	defer func() { s.lost(answered) }()
	for {
		kind, body, err := readFrame(r)
		if err != nil {
			return err
		}
		switch kind {
		case kindTaken:
			id, err := parseTaken(body)
			if err == nil && (answered == nil || id != answered.id) {
				err = fmt.Errorf("%w: confirmation of a reply that was not sent", errFrame)
			}
			if err != nil {
				return err
			}
			if s.opt.Delivered != nil {
				s.opt.Delivered(answered.req)
			}
			answered = nil
		case kindCall:
			c, err := parseCall(body)
			if err != nil {
				return err
			}
			if who.converted() {
				s.noteConverted(c.req.Till, log)
			}
			s.lost(answered)
			if answered, err = s.answer(ctx, conn, c, log); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: kind %#x where a call belongs", errFrame, kind)
		}
	}
}

// lost says that a reply was not confirmed; nil for none.
func (s *server) lost(c *call) {
	if c != nil && s.opt.Lost != nil {
		s.opt.Lost(c.req)
	}
}

// noteConverted says once for each till what its program should do better.
func (s *server) noteConverted(till string, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noted[till] || len(s.noted) >= maxNoted {
		return
	}
	s.noted[till] = true
	log.Warn("a till sends XML that is not UTF-8; the library converts it from Windows-1252", "till", till)
}

// answer carries out one call and writes its reply or error. It returns the call
// when a reply was written.
func (s *server) answer(ctx context.Context, conn net.Conn, c call, log *slog.Logger) (*call, error) {
	if c.left == 0 {
		return nil, write(conn, failure{id: c.id, outcome: sat.NotIssued, text: "no time left when the call arrived"}.frame())
	}
	if ctx.Err() != nil {
		return nil, write(conn, failure{id: c.id, outcome: sat.NotIssued, text: "the agent is stopping"}.frame())
	}
	left := time.Duration(c.left) * time.Millisecond
	call, cancel := context.WithTimeout(s.calls, left)
	defer cancel()
	gaveUp := make(chan struct{})
	patience := time.AfterFunc(left+overrun, func() {
		defer close(gaveUp)
		write(conn, failure{id: c.id, outcome: sat.Unknown, text: "the device did not answer in time"}.frame())
		conn.Close()
	})
	reply, err := s.dev.Call(call, c.req)
	if !patience.Stop() {
		<-gaveUp
		s.lost(&c)
		return nil, fmt.Errorf("%v came back only after its deadline", c.req.LogValue())
	}
	if err == nil && len(reply.Raw)+5 > MaxFrame {
		err = fmt.Errorf("reply of %d bytes is larger than a frame", len(reply.Raw))
	}
	if err != nil {
		log.Warn("a call failed", "call", c.req, "err", err)
		s.lost(&c)
		return nil, write(conn, failure{id: c.id, outcome: sat.OutcomeOf(c.req, sat.Reply{}, err),
			gone: errors.Is(err, sat.ErrGone), text: err.Error()}.frame())
	}
	if err := write(conn, replyFrame(c.id, reply.Raw)); err != nil {
		s.lost(&c)
		return nil, fmt.Errorf("cannot deliver the reply to %v: %w", c.req.LogValue(), err)
	}
	return &c, nil
}

func write(conn net.Conn, frame []byte) error {
	conn.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := conn.Write(frame)
	return err
}
