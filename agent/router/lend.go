package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// Offers are this computer's devices, for its neighbours.
func (r *Router) Offers() (all []wire.Lendable) {
	for _, o := range r.owners {
		f := o.facts()
		if f.serial == "" {
			continue
		}
		l := wire.Lendable{Journal: r.journalName(), Serial: f.serial, CNPJ: f.cnpj, Layout: f.status.Layout, Waiting: f.waiting, Memory: -1,
			Unfit: unfit(f, false, need{}, r.now())}
		if used, ok := f.status.MemoryFraction(); ok {
			l.Memory = used
		}
		if !f.status.CertExpires.IsZero() {
			l.Expires = f.status.CertExpires.UnixMilli()
		}
		all = append(all, l)
	}
	return all
}

// journalName names the journal, with which a case that it alone can tell of begins.
func (r *Router) journalName() string {
	epoch := r.journal.buf.Epoch()
	return fmt.Sprintf("%x", epoch[:8])
}

// ours reports whether this journal is the one a case was made for. A journal that
// was lost may have carried it out: this one must not say that nothing was issued.
func (r *Router) ours(id string) bool {
	journal, _, named := strings.Cut(id, ".")
	return !named || journal == r.journalName()
}

// turns lets one at a time at each thing with a name.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits for the turn at one; false when ctx ends first.
func (l *turns) take(ctx context.Context, id string) (release func(), ok bool) {
	for {
		l.mu.Lock()
		busy := l.busy[id]
		if busy == nil {
			done := make(chan struct{})
			l.busy[id] = done
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.busy, id)
				l.mu.Unlock()
				close(done)
			}, true
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Lend carries out a call of the neighbour called from on a device of this computer,
// never on another neighbour's. A fiscal call has the id of its case, and is carried
// out once however often it comes; its reply is durable here before it is returned.
// An error says that the call makes no sense; it was not carried out.
func (r *Router) Lend(ctx context.Context, from, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
	req.Till, req.Session = from+"/"+req.Till, tillSession(req.Session)
	if err := req.Check(); err != nil {
		return 0, sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, err)
	}
	switch {
	case req.Function == sat.ConsultarSAT, req.Function == sat.ConsultarStatusOperacional:
		return r.lendReading(ctx, req)
	case !req.Function.Fiscal() || id == "":
		return 0, sat.Reply{}, fmt.Errorf("%w: %s is not lent", sat.ErrNotSent, req.Function)
	}
	ctx, cancel := answerInTime(ctx, req.Function)
	defer cancel()
	release, ok := r.lending.take(ctx, id)
	if !ok {
		return wire.EndingOpen, sat.Reply{}, nil
	}
	defer release()
	e := &entry{Till: req.Till, Session: req.Session, Function: req.Function, Payload: payloadOf(req), Case: id, Delivered: true}
	if r.journal.seen(id) {
		return r.standing(ctx, id)
	}
	devices := r.lendable(req)
	for i, o := range devices {
		patience := time.Duration(0)
		if i < len(devices)-1 {
			patience = turnWait
		}
		res := o.submit(ctx, &job{req: req, foreign: true, entry: e, more: true}, patience)
		if !res.nothing() {
			break
		}
	}
	return r.standing(ctx, id)
}

// lendable are the devices that may serve a neighbour's fiscal call, best first. A
// code in the call must be that of one of them.
func (r *Router) lendable(req sat.Request) (out []*owner) {
	if req.Arg(sat.CodeParam) != "" && !r.authorised(req) {
		return nil
	}
	if req.Function == sat.CancelarUltimaVenda {
		k, err := cfe.ParseKey(req.Arg("chave"))
		if o := r.named(k.Serial()); err == nil && o != nil {
			out = append(out, o)
		}
		return out
	}
	devices := make([]facts, len(r.owners))
	for i, o := range r.owners {
		devices[i] = o.facts()
	}
	for _, i := range order(devices, -1, needOf(req), r.policy, r.now()) {
		out = append(out, r.owners[i])
	}
	return out
}

// lendReading answers whether there is a device.
func (r *Router) lendReading(ctx context.Context, req sat.Request) (wire.Ending, sat.Reply, error) {
	for _, o := range r.owners {
		f := o.facts()
		if !f.answering || !f.code {
			continue
		}
		res := o.submit(ctx, &job{req: req, foreign: true}, 0)
		if res.err == nil {
			return wire.EndingReplied, res.reply, nil
		}
	}
	return wire.EndingNothing, sat.Reply{}, nil
}

// AskCase tells a neighbour how its case stands here, after asking the device about
// one that is open. A case that was never seen is forbidden before the answer.
func (r *Router) AskCase(ctx context.Context, from, id string) (wire.Ending, sat.Reply, error) {
	release, ok := r.lending.take(ctx, id)
	if !ok {
		return wire.EndingOpen, sat.Reply{}, nil
	}
	defer release()
	if ending, reply, err := r.standing(ctx, id); ending != wire.EndingNothing || r.ours(id) {
		return ending, reply, err
	}
	return wire.EndingOpen, sat.Reply{}, nil
}

// standing is how a case stands; its turn is taken.
func (r *Router) standing(ctx context.Context, id string) (wire.Ending, sat.Reply, error) {
	if r.journal.forgotten(id) {
		return wire.EndingMissing, sat.Reply{}, nil
	}
	e, err := r.journal.forbid(id)
	if err != nil {
		return wire.EndingOpen, sat.Reply{}, nil
	}
	if e == nil {
		return wire.EndingNothing, sat.Reply{}, nil
	}
	if e.State == open {
		if o := r.named(e.Serial); o != nil {
			o.submit(ctx, &job{}, 0)
		}
		e = r.journal.again(e)
	}
	switch {
	case e.State == open:
		return wire.EndingOpen, sat.Reply{}, nil
	case e.State == missing:
		return wire.EndingMissing, sat.Reply{}, nil
	case e.Void:
		return wire.EndingNothing, sat.Reply{}, nil
	}
	_, reply, err := r.journal.said(e)
	if err != nil {
		r.log.Error("stored reply not readable", "till", e.Till, "session", e.Session, "err", err)
		return wire.EndingOpen, sat.Reply{}, nil
	}
	return wire.EndingReplied, reply, nil
}

// seen reports whether a neighbour's case is known here, or forbidden.
func (j *journal) seen(id string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fenced[id] || j.lent[id] || j.ofCase(id) != nil
}

// caseKeeps is how long a neighbour may come back to a case that is no longer among
// the calls, or that was forbidden.
const caseKeeps = 90 * 24 * time.Hour

// scanCases reads a table of neighbours' cases and forgets those of long ago.
func (j *journal) scanCases(table string, into map[string]bool) error {
	long := &buffer.Batch{}
	err := j.buf.Scan(table, nil, func(k, v []byte) error {
		at, err := strconv.ParseInt(string(v), 10, 64)
		if err == nil && j.now().Sub(time.UnixMilli(at)) > caseKeeps {
			long.Delete(table, slices.Clone(k))
			return nil
		}
		into[string(k)] = true
		return nil
	})
	j.buf.Commit(long) // a full buffer keeps them until the next start
	return err
}

// forgotten reports whether a neighbour's case was issued here, so many calls ago that
// its document is no longer in the journal.
func (j *journal) forgotten(id string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lent[id]
}

// ofCase is the entry of a neighbour's case that counts; nil when none was sent to a
// device, or when those certainly issued nothing. Its id alone names it: a neighbour
// may have become another agent since. j.mu is held.
func (j *journal) ofCase(id string) *entry {
	for name, t := range j.tills {
		if strings.Contains(name, "/") {
			if _, e := fence(newestFirst(t.list), id, false); e != nil {
				return e
			}
		}
	}
	return nil
}

// forbid returns the entry of a neighbour's case. When there is none, the case is
// never carried out from now on, also not by a call that waits for a device.
func (j *journal) forbid(id string) (*entry, error) {
	j.mu.Lock()
	e := j.ofCase(id)
	if e != nil || j.fenced[id] {
		j.mu.Unlock()
		return e, nil
	}
	j.fenced[id] = true
	j.mu.Unlock()
	b := &buffer.Batch{}
	b.Put(tableFences, []byte(id), fmt.Append(nil, j.now().UnixMilli()))
	if err := j.commit(b); err != nil {
		j.mu.Lock()
		delete(j.fenced, id)
		j.mu.Unlock()
		return nil, errors.Join(errors.New("case not forbidden"), err)
	}
	return nil, nil
}

// again is the entry as it is now.
func (j *journal) again(e *entry) *entry {
	for _, now := range j.latest(e.Till) {
		if now.is(e) {
			return now
		}
	}
	return e
}
