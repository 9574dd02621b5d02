package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Neighbour is the agent of another computer of the same establishment. A sale that
// no device here can make is borrowed from it: the case is journaled on both sides,
// the document goes to the collector from where the device is.
type Neighbour interface {
	// Name is the same every time.
	Name() string
	// Offers are its devices as last heard; none when it is not reached now.
	Offers() []wire.Lendable
	// Sell has a call carried out by one of its own devices; id names the case, and is
	// "" for a reading. An error that wraps sat.ErrNotSent proves that nothing was
	// sent; after any other the outcome is unknown.
	Sell(ctx context.Context, id string, req sat.Request) (wire.Ending, sat.Reply, error)
	// Ask tells how a case stands there. One that was never seen there is forbidden
	// for ever before it answers EndingNothing.
	Ask(ctx context.Context, id string) (wire.Ending, sat.Reply, error)
}

// borrow has a fiscal call carried out by a neighbour.
func (r *Router) borrow(ctx context.Context, n Neighbour, req sat.Request, e *entry) result {
	if err := r.journal.buf.Room(longestAnswer); err != nil {
		return result{err: fmt.Errorf("%w: no room to keep the document: %w", sat.ErrNotSent, err)}
	}
	c := *e
	c.State, c.Peer, c.Case = open, n.Name(), newCase(n)
	v, admitted, err := r.admit(c)
	switch {
	case err != nil:
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	case v != isNew:
		return result{verdict: v, entry: admitted}
	}
	r.calling(admitted.Case, true)
	defer r.calling(admitted.Case, false)
	ending, reply, err := n.Sell(ctx, admitted.Case, r.without(req))
	if errors.Is(err, sat.ErrNotSent) {
		ending, err = wire.EndingNothing, nil
	}
	r.log.Info("sale borrowed", "till", e.Till, "session", e.Session, "neighbour", n.Name(), "ending", ending, "err", err)
	return r.ended(admitted, ending, reply, err)
}

// newCase names a case for a neighbour's journal.
func newCase(n Neighbour) string {
	id := rand.Text()
	if offers := n.Offers(); len(offers) > 0 && offers[0].Journal != "" {
		id = offers[0].Journal + "." + id
	}
	return id
}

// calling notes that a call is with a neighbour: nobody asks about it meanwhile.
func (r *Router) calling(id string, now bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now {
		r.away[id] = true
	} else {
		delete(r.away, id)
	}
}

// without takes the activation code out of a call for a neighbour, which puts that
// of its own device in. A till whose agent has no device is known by its code alone.
func (r *Router) without(req sat.Request) sat.Request {
	if len(r.owners) == 0 {
		return req
	}
	return req.WithArg(sat.CodeParam, "")
}

// ended closes a borrowed case with what the neighbour said of it.
func (r *Router) ended(e *entry, ending wire.Ending, reply sat.Reply, err error) result {
	c := *r.journal.again(e)
	if c.State != open {
		return result{verdict: known(&c), entry: &c}
	}
	switch {
	case err == nil && ending == wire.EndingNothing:
		c.State, c.Void = answered, true
	case err == nil && ending == wire.EndingMissing:
		c.State, c.Issued = missing, true
	case err == nil && ending == wire.EndingReplied && reply.Function == e.Function:
		c.State, c.Reply = answered, reply.Raw
		if k := keyOf(reply); k != "" {
			c.Issued, c.Key, c.Serial = true, string(k), k.Serial()
		} else if c.Second != 0 {
			c.Reply, c.Void = nil, true
		}
	default:
		if err == nil {
			err = errors.New("the neighbour cannot tell either")
		}
		r.unresolved(&c, err)
		return result{verdict: isOpen, entry: &c, err: err}
	}
	b := &buffer.Batch{}
	if err = r.addEnd(b, &c); err == nil {
		err = r.journal.update(&c, b)
	}
	if err != nil {
		r.log.Error("neighbour's answer not written, will try again", "till", e.Till, "session", e.Session, "err", err)
		r.keep(&c, b)
	}
	r.unmark()
	return result{verdict: known(&c), entry: &c, reply: reply}
}

// askNeighbours asks about borrowed cases that stay open, until ctx ends.
func (r *Router) askNeighbours(ctx context.Context) {
	for pause(ctx, resolveEvery) {
		for _, e := range r.journal.open() {
			if e.Peer != "" {
				r.askAbout(ctx, e)
			}
		}
	}
}

// askTime bounds a question to a neighbour.
const askTime = 10 * time.Second

// askAbout asks the neighbour that has a borrowed case how it ended.
func (r *Router) askAbout(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	release, ok := r.asking.take(ctx, e.Peer)
	if !ok {
		return
	}
	defer release()
	r.mu.Lock()
	away := r.away[e.Case]
	r.mu.Unlock()
	if away {
		return
	}
	i := slices.IndexFunc(r.lan(), func(n Neighbour) bool { return n.Name() == e.Peer })
	if i < 0 || !slices.ContainsFunc(r.journal.open(), e.is) {
		return
	}
	ending, reply, err := r.lan()[i].Ask(ctx, e.Case)
	r.ended(e, ending, reply, err)
}
