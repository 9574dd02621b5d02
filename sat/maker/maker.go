// Package maker drives a fiscal device through its maker's library, the only way
// to reach most of them (dossier on the device link, 0.3). The library runs in a
// process of its own, satlib-host (sat/host, which describes the protocol), built
// for the library's system and processor: so a 64-bit agent drives a 32-bit
// library, and a library that crashes or hangs takes nothing with it.
//
// # When things go wrong
//
// A process that ended, a call that takes longer than its deadline and the slack,
// NULL and a text that is no reply all end the [Conn]: the process is killed, Gone
// is closed, and the owner opens another, as with a device that was unplugged.
// What was certainly not handed to the process wraps [sat.ErrNotSent], and so
// does a call of a function the library does not have. After that only a reply is
// certain; for all else the outcome is unknown.
//
// A call that its caller left goes on in the library, and the next one waits for
// it. Its reply is dropped.
package maker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"zelo/sat"
)

const (
	// openTime bounds Open when the context does not: some libraries look for
	// their device while they are loaded.
	openTime = 30 * time.Second
	// defaultSlack is how much longer than its caller a call may take.
	defaultSlack = 10 * time.Second
)

// Options say how a maker's library is opened. Both calling conventions of 32-bit
// Windows are served without being told which.
type Options struct {
	Library string        // path of the library, as its maker calls it
	Free    string        // function that takes returned texts back; "" for the many that have none
	Folder  string        // where satlib-host-386 and -amd64 are; "" is the running program's
	Slack   time.Duration // how long after its deadline a call is given up; 0 is 10 s
	Log     *slog.Logger  // receives what the library prints, without numbers and secrets; nil for none
}

// Conn is a loaded library. It is safe for concurrent use; calls wait for their
// turn. It runs a process and three goroutines until Close.
type Conn struct {
	info    sat.Info
	slack   time.Duration
	missing []string
	process *process
	said    *said
	calls   chan *pending // unbuffered: whoever gets one in has the turn
	served  chan struct{} // closed when the goroutine that serves has ended
}

// pending is a call with its turn.
type pending struct {
	ctx  context.Context
	req  sat.Request
	done chan result // takes one without waiting
}

type result struct {
	reply sat.Reply
	err   error
}

// Open starts satlib-host for the library and loads it. It calls no function: a
// device that remembers one session must be asked about its open case before
// anything else (see [Conn.Identify]). It waits until ctx ends, thirty seconds
// when ctx has no deadline. Info has no serial number. Its errors wrap
// [sat.ErrGone].
func Open(ctx context.Context, o Options) (*Conn, sat.Info, error) {
	c, err := start(ctx, o)
	if err != nil {
		if !errors.Is(err, sat.ErrGone) {
			err = fmt.Errorf("%w: %w", sat.ErrGone, err)
		}
		return nil, sat.Info{}, &sat.Error{Op: "open", Device: o.Library, Err: err}
	}
	return c, c.info, nil
}

func start(ctx context.Context, o Options) (*Conn, error) {
	library, err := filepath.Abs(o.Library)
	if err != nil {
		return nil, err
	}
	host, err := hostFor(library, o.Folder)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Slack == 0 {
		o.Slack = defaultSlack
	}
	said := newSaid(o.Log.With("library", library))
	p, err := startProcess(host, library, o.Free, said)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		info:  sat.Info{Name: filepath.Base(library), Driver: "maker", Where: library},
		slack: o.Slack, process: p, said: said,
		calls: make(chan *pending), served: make(chan struct{}),
	}
	if c.missing, err = greeted(ctx, p); err != nil {
		p.end(err)
		<-p.exited
		return nil, err
	}
	go c.serve()
	return c, nil
}

// greeted waits until the library is loaded and returns the functions that it
// lacks.
func greeted(ctx context.Context, p *process) ([]string, error) {
	ctx, cancel := bounded(ctx, openTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		p.end(fmt.Errorf("the library did not load in time: %w", ctx.Err()))
	})()
	var g greeting
	if err := p.receive(&g); err != nil {
		return nil, p.why(err)
	}
	if g.Error != "" {
		return nil, errors.New(g.Error)
	}
	return g.Missing, nil
}

// bounded gives ctx a deadline when it has none.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// Call implements [sat.Device]. It waits until ctx ends, or the function's own
// deadline when ctx has none.
func (c *Conn) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	reply, err := c.call(ctx, req)
	if err != nil {
		return reply, &sat.Error{Op: "call", Device: c.info.Where, Request: req.Function, Session: req.Session, Err: err}
	}
	return reply, nil
}

func notSent(err error) error { return fmt.Errorf("%w: %w", sat.ErrNotSent, err) }

func (c *Conn) call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if err := req.Check(); err != nil {
		return sat.Reply{}, notSent(err)
	}
	if slices.Contains(c.missing, req.Function.String()) {
		return sat.Reply{}, notSent(fmt.Errorf("the library does not have %s", req.Function))
	}
	ctx, cancel := bounded(ctx, req.Function.Deadline())
	defer cancel()
	if err := ctx.Err(); err != nil {
		return sat.Reply{}, notSent(err)
	}
	p := &pending{ctx: ctx, req: req, done: make(chan result, 1)}
	select {
	case c.calls <- p:
	case <-c.process.gone:
		return sat.Reply{}, notSent(c.process.cause)
	case <-ctx.Done():
		return sat.Reply{}, notSent(ctx.Err())
	}
	select {
	case r := <-p.done:
		return r.reply, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-p.done: // it came just in time
		return r.reply, r.err
	default:
		return sat.Reply{}, fmt.Errorf("no answer from the library: %w", ctx.Err())
	}
}

// serve is the goroutine that makes the calls, until the process is gone.
func (c *Conn) serve() {
	defer close(c.served)
	for {
		select {
		case p := <-c.calls:
			reply, err := c.carryOut(p)
			p.done <- result{reply, err}
		case <-c.process.gone:
			return
		}
	}
}

// carryOut makes one call. It takes as long as the library, but no longer than
// the caller's deadline and the slack.
func (c *Conn) carryOut(p *pending) (sat.Reply, error) {
	select {
	case <-c.process.gone:
		return sat.Reply{}, notSent(c.process.cause)
	case <-p.ctx.Done():
		return sat.Reply{}, notSent(p.ctx.Err())
	default:
	}
	deadline, _ := p.ctx.Deadline()
	patience := time.AfterFunc(time.Until(deadline)+c.slack, func() {
		c.process.end(fmt.Errorf("%w: the library did not come back from %s", sat.ErrGone, p.req.Function))
	})
	defer patience.Stop()
	c.said.hide(p.req)
	touched, err := c.process.send(newRequest(p.req))
	if err != nil {
		err = c.process.why(err)
		if !touched {
			err = notSent(err)
		}
		return sat.Reply{}, err
	}
	var a answer
	if err := c.process.receive(&a); err != nil {
		return sat.Reply{}, c.process.why(err)
	}
	return c.read(p.req, a)
}

// read takes the answer. A library that returned no reply at all is not used any
// more: a fresh one often finds the device again.
func (c *Conn) read(req sat.Request, a answer) (sat.Reply, error) {
	var err error
	switch {
	case a.Refused != "":
		return sat.Reply{}, notSent(errors.New(a.Refused))
	case a.Null:
		err = errors.New("the library returned NULL")
	case a.Error != "":
		err = errors.New(a.Error)
	default:
		var reply sat.Reply
		if reply, err = sat.ParseReply(req.Function, a.Raw); err == nil {
			return reply, nil
		}
	}
	err = fmt.Errorf("%w: %w", sat.ErrGone, err)
	c.process.end(err)
	return sat.Reply{}, err
}

// Identify confirms by ConsultarSAT that a device answers. With an activation
// code it also asks for the status, which says the serial number. The two calls
// have the sessions given and the next one. It must not be called while a case is
// open: a device may then forget the session it is about to be asked for.
func (c *Conn) Identify(ctx context.Context, session int, code string) (sat.Info, error) {
	info := c.info
	reply, err := c.Call(ctx, sat.Request{Session: session, Function: sat.ConsultarSAT})
	if err == nil && reply.Code != sat.ConsultarSAT.Success() {
		err = &sat.Error{Op: "find the device with", Device: info.Where, Request: sat.ConsultarSAT, Session: session, Code: reply.Code}
	}
	if err != nil || code == "" {
		return info, err
	}
	session = (session + 1) % (sat.MaxSession + 1)
	reply, err = c.Call(ctx, sat.Request{Session: session, Function: sat.ConsultarStatusOperacional, Args: []string{code}})
	if err != nil {
		return info, err
	}
	status, err := reply.Status()
	if err != nil {
		return info, &sat.Error{Op: "identify the device by", Device: info.Where, Request: sat.ConsultarStatusOperacional,
			Session: session, Code: reply.Code, Err: err}
	}
	info.Serial = status.Serial
	return info, nil
}

// Gone is closed when the library's process ended, was given up, or the Conn was
// closed.
func (c *Conn) Gone() <-chan struct{} { return c.process.gone }

// Close ends the process. A call under way ends with an unknown outcome. Closing
// again does nothing.
func (c *Conn) Close() error {
	c.process.end(fmt.Errorf("library closed here: %w", os.ErrClosed))
	<-c.served
	<-c.process.exited
	return nil
}
