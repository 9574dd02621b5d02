package router

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// sell carries out a till's fiscal call: intent, device, answer.
func (o *owner) sell(ctx context.Context, j *job) result {
	if err := o.router.journal.buf.Room(longestAnswer); err != nil {
		return result{err: fmt.Errorf("%w: no room to keep the document: %w", sat.ErrNotSent, err)}
	}
	if err := o.meet(ctx, j.code); err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	if j.ctx.Err() != nil || !j.take() {
		return result{err: errGivenUp}
	}
	e := *j.entry
	var err error
	e.State, e.Serial = open, o.info.Serial
	e.LastKey, _ = o.router.journal.lastKey(e.Serial)
	if e.DeviceSession, err = o.router.journal.deviceSession(); err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	v, admitted, err := o.router.admit(e)
	if err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	if v == isFenced {
		return result{err: fmt.Errorf("a neighbour was told that this call is not made: %w", sat.ErrNotSent)}
	}
	if v != isNew {
		return result{verdict: v, entry: admitted}
	}
	o.selling(admitted)
	defer o.selling(nil)
	req := j.req
	req.Session = e.DeviceSession
	reply, err := o.send(ctx, req)
	o.learn(j.code, reply)
	refusal := err == nil && passesOn(reply)
	if refusal {
		o.refused(reply.Code)
	}
	switch outcome := sat.OutcomeOf(req, reply, err); {
	case outcome == sat.NotIssued && err == nil && (refusal && j.more || e.Second != 0):
		res := o.close(admitted, step{close: answered})
		res.reply = reply
		return res
	case outcome == sat.Issued && (e.LastKey == "" || after(e.LastKey, keyOf(reply))), outcome == sat.NotIssued && err == nil:
		return o.close(admitted, step{close: answered, reply: reply.Raw})
	case outcome == sat.NotIssued:
		o.log.Warn("sale not sent", "till", e.Till, "session", e.Session, "err", err)
		return o.close(admitted, step{close: answered})
	}
	o.selling(nil) // the others need not wait for the end of this
	o.log.Warn("outcome of a sale unknown, asking the device", "till", e.Till, "session", e.Session, "device session", e.DeviceSession, "err", err)
	if err := o.ensure(ctx); err != nil {
		return result{verdict: isOpen, entry: admitted}
	}
	return o.settle(ctx, admitted, j.code)
}

// settleAll resolves the device's open cases and fails on the first that stays
// open. The answers about one may have closed others meanwhile.
func (o *owner) settleAll(ctx context.Context, code string) error {
	for _, e := range o.router.journal.openCases(o.info.Serial) {
		if !slices.ContainsFunc(o.router.journal.open(), e.is) {
			continue
		}
		r := o.settle(ctx, e, code)
		if r.verdict == isOpen {
			if r.err == nil {
				r.err = errors.New("the device has nothing more to say")
			}
			return r.err
		}
	}
	return nil
}

// settle asks the device about an open case until it is closed, the time is up
// or the device has said all it can. Every answer is durable before the next
// question.
func (o *owner) settle(ctx context.Context, e *entry, code string) result {
	full, err := o.router.journal.load(e)
	if err != nil {
		return result{verdict: isOpen, entry: e, err: err}
	}
	c := *full
	stay := func(err error) result {
		o.router.unresolved(&c, err)
		return result{verdict: isOpen, entry: &c, err: err}
	}
	if known := o.router.codes.get(o.info.Serial); known != "" {
		code = known
	}
	if code == "" {
		return stay(errors.New("no activation code known: give it with `zelo-agent code`"))
	}
	if len(c.Evidence) > 0 && next(&c, o.others(&c)).close == 0 {
		if err := o.newRound(&c); err != nil { // what the device said before proved nothing
			return stay(err)
		}
	}
	for {
		s := next(&c, o.others(&c))
		switch {
		case s.close != 0:
			return o.close(&c, s)
		case s.again:
			c.Evidence = c.Evidence[:len(c.Evidence)-1]
			if !pause(ctx, busyPause) {
				return stay(errors.New("the device is busy"))
			}
		case s.ask == 0:
			return stay(nil)
		}
		ev, reply, err := o.ask(ctx, s.ask, &c, code)
		if err != nil {
			return stay(err)
		}
		if reply.Code.WrongActivationCode() {
			o.learn(code, reply)
			return stay(&sat.Error{Op: "ask about an open case", Device: o.info.Serial, Code: reply.Code})
		}
		c.Evidence = append(c.Evidence, ev)
		if err := o.router.journal.update(&c, nil); err != nil {
			return stay(err)
		}
		o.tell(&c, ev, reply)
	}
}

// others are the documents of a case's device that belong to other calls.
func (o *owner) others(c *entry) []cfe.Key {
	return append(o.router.journal.issued(c.Serial), c.Others...)
}

// newRound forgets what the device said about a case, but for the documents: it may
// not say them again.
func (o *owner) newRound(c *entry) error {
	b := &buffer.Batch{}
	if err := o.addForeign(b, c); err != nil {
		return err
	}
	for _, ev := range c.Evidence {
		r, err := sat.ParseReply(ev.Function, ev.Raw)
		if k := keyOf(r); err == nil && k != "" && !slices.Contains(c.Others, k) {
			c.Others = append(c.Others, k)
		}
	}
	c.Evidence = nil
	return o.router.journal.update(c, b)
}

// tell closes the open cases that a reply settles, beside the call that asked:
// devices say it once.
func (o *owner) tell(asker *entry, ev evidence, reply sat.Reply) {
	for _, e := range o.router.journal.openCases(asker.Serial) {
		if e.is(asker) {
			continue
		}
		c := *e
		if s, ok := settle(&c, reply, ev); ok {
			c.Evidence = append(c.Evidence, ev)
			o.close(&c, s)
		}
	}
}

// ask puts one question about a case.
func (o *owner) ask(ctx context.Context, f sat.Function, c *entry, code string) (evidence, sat.Reply, error) {
	session, err := o.router.journal.deviceSession()
	if err != nil {
		return evidence{}, sat.Reply{}, err
	}
	args := []string{code}
	if f == sat.ConsultarNumeroSessao {
		args = append(args, fmt.Sprint(c.DeviceSession))
	}
	if err := o.ensure(ctx); err != nil {
		return evidence{}, sat.Reply{}, err
	}
	reply, err := o.send(ctx, sat.Request{Session: session, Function: f, Args: args})
	if err != nil {
		return evidence{}, reply, err
	}
	return evidence{f, session, reply.Raw}, reply, nil
}

// close ends a case. An issued document goes into the outgoing stream and the
// device's last key changes, all in the commit that closes the case. When that
// commit fails the till still gets its answer, and the write is tried again
// until it succeeds.
func (o *owner) close(c *entry, s step) result {
	e, now := *c, o.router.journal.again(c)
	e.State, e.Reply, e.Key = s.close, s.reply, s.key
	e.Aside, e.Disputed = now.Aside, now.Disputed
	e.Void = s.close == answered && s.reply == nil
	last := s.last
	b := &buffer.Batch{}
	var err error
	switch {
	case s.close == missing:
		e.Issued = true
		err = o.router.addEvent(b, wire.EventDocumentMissing, &e, "device-key", last)
	case s.reply != nil:
		reply, perr := sat.ParseReply(e.Function, s.reply)
		if doc, derr := reply.Document(); perr == nil && derr == nil {
			e.Issued, e.Key = true, string(keyOf(reply))
			last = e.Key
			err = o.router.addDocument(b, &e, doc.XML)
		}
	}
	if last != "" {
		err = errors.Join(err, o.router.journal.putLastKey(b, e.Serial, last))
	}
	err = errors.Join(err, o.addForeign(b, &e))
	err = errors.Join(err, o.router.addEnd(b, &e))
	if err == nil {
		err = o.router.journal.update(&e, b)
	}
	if err != nil {
		o.log.Error("answer not written, will try again", "till", e.Till, "session", e.Session, "err", err)
		o.router.keep(&e, b)
	}
	o.router.unmark()
	o.log.Info("sale closed", "till", e.Till, "session", e.Session, "function", e.Function, "state", e.State, "issued", e.Issued)
	return result{verdict: known(&e), entry: &e}
}

// addForeign queues a document that came up while asking about a case and that
// was made outside the agent: it is not this call's, but it must not be lost.
func (o *owner) addForeign(b *buffer.Batch, e *entry) error {
	if len(e.Evidence) == 0 {
		return nil
	}
	known := o.others(e)
	for _, ev := range e.Evidence {
		r, err := sat.ParseReply(ev.Function, ev.Raw)
		if err != nil {
			continue
		}
		k := keyOf(r)
		if k == "" || string(k) == e.Key || string(k) == e.LastKey || slices.Contains(known, k) {
			continue
		}
		doc, err := r.Document()
		if err != nil {
			continue
		}
		if err := o.router.addDocument(b, &entry{Serial: k.Serial(), Session: r.Session, Function: r.Function}, doc.XML); err != nil {
			return err
		}
	}
	return nil
}
