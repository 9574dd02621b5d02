package lan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/ipc"
)

const (
	// fresh is how old a sign of life may be for a neighbour to be offered, and
	// sold at: it is far less than what ends a connection.
	fresh = 5 * time.Second
	// askWithin bounds a question whose context has no deadline.
	askWithin = 30 * time.Second
	// twinned is how long after two computers were seen under one name neither is
	// asked for anything: a question could reach the one that never saw the case, and
	// so allow a second sale.
	twinned = 10 * time.Minute
	// maxOffers is how many devices a neighbour can have.
	maxOffers = 64
)

var (
	errCase  = fmt.Errorf("a case id is a text of 1 to %d bytes", wire.MaxCase)
	errAway  = errors.New("neighbour not connected")
	errMany  = errors.New("too many calls under way at the neighbour")
	errTwice = errors.New("the neighbour is connected by another address")
)

// Neighbour is another agent of the establishment.
type Neighbour struct {
	name  string
	codec *wire.Codec
	log   *slog.Logger

	mu   sync.Mutex
	live *session  // nil while it is away
	twin time.Time // when two were seen
}

// session is a connection that lends to us.
type session struct {
	*conn

	mu      sync.Mutex
	offers  []wire.Lendable
	run     []byte // of the neighbour
	last    uint64 // number given to a loan
	pending map[uint64]loan
}

// loan is a call under way.
type loan struct {
	id     string
	answer chan wire.Return // takes one
}

// Name is the agent id in its certificate.
func (n *Neighbour) Name() string { return n.name }

// Offers are its devices, as last heard; nil when it is away or was not heard of
// for five seconds.
func (n *Neighbour) Offers() []wire.Lendable {
	s := n.session()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers
}

// Sell has the neighbour carry out a call under a case id, "" for a reading. An
// error wraps sat.ErrNotSent when not one byte of it left; after any other the
// outcome is unknown. The reply is the lender's, byte for byte.
func (n *Neighbour) Sell(ctx context.Context, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
	if err := req.Check(); err != nil {
		return 0, sat.Reply{}, n.failed("lend a device for case", id, notSent(err))
	}
	ctx, cancel := within(ctx, req.Function.Deadline())
	defer cancel()
	l := wire.Loan{Case: id, Till: strings.ToValidUTF8(req.Till, "?"), Session: req.Session, Function: uint8(req.Function)}
	for _, a := range req.Args {
		l.Args = append(l.Args, []byte(a))
	}
	back, err := n.exchange(ctx, wire.LanSale, l)
	if err == nil && back.Ending == wire.EndingReplied && back.Function != uint8(req.Function) {
		err = fmt.Errorf("it answered %s", sat.Function(back.Function))
	}
	return n.ending("lend a device for case", id, back, err)
}

// Ask asks how a case stands. After any error nothing is known.
func (n *Neighbour) Ask(ctx context.Context, id string) (wire.Ending, sat.Reply, error) {
	ctx, cancel := within(ctx, askWithin)
	defer cancel()
	back, err := n.exchange(ctx, wire.LanQuestion, wire.Loan{Case: id})
	return n.ending("say how it stands with case", id, back, err)
}

// ending reads an answer.
func (n *Neighbour) ending(act, id string, back wire.Return, err error) (wire.Ending, sat.Reply, error) {
	var reply sat.Reply
	switch {
	case err != nil:
	case back.Failed != "":
		err = fmt.Errorf("it says: %s", back.Failed)
	case !back.Ending.Known():
		err = fmt.Errorf("it answered ending %d, which has no meaning here", back.Ending)
	case back.Ending == wire.EndingReplied:
		reply, err = sat.ParseReply(sat.Function(back.Function), back.Reply)
	}
	if err != nil {
		return 0, sat.Reply{}, n.failed(act, id, err)
	}
	return back.Ending, reply, nil
}

func (n *Neighbour) failed(act, id string, err error) error {
	return fmt.Errorf("cannot have neighbour %s %s %s: %w", n.name, act, id, err)
}

// exchange sends a loan and waits for its answer.
func (n *Neighbour) exchange(ctx context.Context, kind byte, l wire.Loan) (wire.Return, error) {
	s := n.session()
	if s == nil {
		return wire.Return{}, notSent(errAway)
	}
	if !wire.ValidCase(l.Case) && (l.Case != "" || kind != wire.LanSale) {
		return wire.Return{}, notSent(errCase)
	}
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if l.Left = (left - ipc.Margin(left)).Milliseconds(); l.Left <= 0 || ctx.Err() != nil {
		return wire.Return{}, notSent(context.DeadlineExceeded)
	}
	number, answer, err := s.expect(l.Case)
	if err != nil {
		return wire.Return{}, notSent(err)
	}
	defer s.forget(number)
	l.Version, l.Number = wire.Version, number
	p := &parcel{}
	if p.frame, err = frame(n.codec, kind, l); err != nil {
		return wire.Return{}, notSent(err)
	}
	if err := s.send(ctx, p); err != nil {
		return wire.Return{}, notSent(err)
	}
	select {
	case back := <-answer:
		return back, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.dead:
		err = errEnded
	}
	select {
	case back := <-answer: // it came at the same moment
		return back, nil
	default:
	}
	if p.withdraw() {
		return wire.Return{}, notSent(err)
	}
	return wire.Return{}, err
}

func notSent(cause error) error { return fmt.Errorf("%w: %w", sat.ErrNotSent, cause) }

// within gives ctx a deadline if it has none.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// session is the connection that is alive as far as is known.
func (n *Neighbour) session() *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.alive() || time.Since(n.twin) < twinned {
		return nil
	}
	return n.live
}

// alive reports whether the connection is, as far as is known. n.mu is held.
func (n *Neighbour) alive() bool {
	return n.live != nil && !n.live.ended() && n.live.quiet() <= fresh
}

// come makes s the neighbour's connection; false when it has one that lives.
func (n *Neighbour) come(s *session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alive() {
		if !bytes.Equal(s.of(), n.live.of()) {
			n.twin = time.Now()
			n.log.Error("two computers have the same identity and lend nothing: enrol one of them anew",
				"neighbour", n.name, "at", s.raw.RemoteAddr(), "and", n.live.raw.RemoteAddr())
		}
		return false
	}
	if n.live != nil {
		n.live.close()
	}
	n.live = s
	return true
}

func (n *Neighbour) leave(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live == s {
		n.live = nil
	}
}

// of is the run of the agent it is a connection of.
func (s *session) of() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// expect makes room for one answer.
func (s *session) expect(id string) (number uint64, answer chan wire.Return, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= wire.MaxLoans {
		return 0, nil, errMany
	}
	s.last++
	answer = make(chan wire.Return, 1)
	s.pending[s.last] = loan{id, answer}
	return s.last, answer, nil
}

func (s *session) forget(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, number)
}

// read takes what the lender sends until the connection ends.
func (s *session) read() error {
	for {
		kind, body, err := s.next()
		if err == nil {
			err = s.take(kind, body)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) take(kind byte, body []byte) error {
	switch kind {
	case wire.LanOffers:
		var o wire.Lendables
		if err := s.codec.Decode(body, &o); err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		if len(o.Devices) > maxOffers {
			return fmt.Errorf("%w: %d devices", errFrame, len(o.Devices))
		}
		s.mu.Lock()
		s.offers, s.run = o.Devices, o.Run
		s.mu.Unlock()
	case wire.LanAnswer:
		var back wire.Return
		if err := s.codec.Decode(body, &back); err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		s.deliver(back)
	}
	return nil
}

// deliver hands an answer to who waits for it. One that is late, comes twice or is
// for another case is dropped.
func (s *session) deliver(back wire.Return) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.pending[back.Number]; ok && l.id == back.Case {
		l.answer <- back
		delete(s.pending, back.Number)
	}
}
