package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Timing of an owner.
const (
	reopenEvery   = time.Second      // while the device is away
	resolveEvery  = 5 * time.Second  // while a case stays open
	collectEvery  = 30 * time.Second // looks for calls made without the agent
	busyPause     = time.Second      // between two questions to a busy device
	slack         = 5 * time.Second  // a driver may take so much longer than the function's deadline
	longestAnswer = 4 << 20          // bytes to have free before a document is made
)

// errUnresolved keeps everything away from a device whose last fiscal call is
// not settled.
var errUnresolved = fmt.Errorf("an earlier sale on this device is not settled yet: %w", sat.ErrNotSent)

// owner is the one goroutine that speaks to a device. All calls go through its
// queue; open cases come before anything else.
type owner struct {
	router *Router
	open   func(context.Context) (Conn, sat.Info, error)
	// reserve keeps other programs off the device; see Options.
	reserve func(context.Context) (func(), error)
	bridge  string // folder of calls made without the agent; "" for none
	queue   chan *job
	log     *slog.Logger

	conn Conn
	info sat.Info
}

// job is one call that waits for the device.
type job struct {
	ctx   context.Context // the caller's; a job that starts is finished even when it ends
	req   sat.Request     // without a function: only resolve open cases
	code  string          // activation code the caller gave
	entry *entry          // of a till's fiscal call; nil otherwise
	done  chan result
}

// result is what became of a job. A fiscal call that came as far as the journal
// has its verdict and entry, and then err says nothing about the sale: it may be
// that of a question asked later. Otherwise there is a reply or an error.
type result struct {
	verdict verdict
	entry   *entry
	reply   sat.Reply
	err     error
}

// run serves the queue until ctx ends.
func (o *owner) run(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	defer o.drop("agent stops")
	o.unmark()
	for {
		var gone <-chan struct{} // never ready while the device is not open
		if o.conn != nil {
			gone = o.conn.Gone()
		}
		select {
		case <-ctx.Done():
			return
		case <-gone:
			o.lost(sat.ErrGone)
		case j := <-o.queue:
			j.done <- o.do(ctx, j)
			if o.conn != nil && len(o.router.journal.openCases(o.info.Serial)) == 0 {
				retry.Reset(collectEvery)
				continue
			}
		case <-retry.C:
		}
		retry.Reset(o.tend(ctx))
	}
}

// lost closes a device that has gone.
func (o *owner) lost(err error) {
	o.drop("gone")
	o.router.seen(o.info, err)
}

// tend opens the device when it is away and resolves open cases. It returns
// when to look again.
func (o *owner) tend(ctx context.Context) time.Duration {
	soon, cancel := context.WithTimeout(ctx, reopenEvery)
	defer cancel()
	release, err := o.reserve(soon)
	if err != nil {
		return reopenEvery
	}
	defer release()
	err = o.ensure(ctx)
	o.collect()
	if err != nil {
		return reopenEvery
	}
	if err := o.settleAll(ctx, o.router.codes.get(o.info.Serial)); err != nil {
		return resolveEvery
	}
	return collectEvery
}

// ensure opens the device when it is not open.
func (o *owner) ensure(ctx context.Context) error {
	if o.conn != nil {
		return nil
	}
	conn, info, err := o.open(ctx)
	if err != nil {
		o.router.seen(sat.Info{}, err)
		return err
	}
	o.conn, o.info = conn, info
	o.log = o.router.log.With("device", info.Serial)
	o.log.Info("device opened", "name", info.Name, "where", info.Where)
	o.router.seen(info, nil)
	return nil
}

func (o *owner) drop(why string) {
	if o.conn == nil {
		return
	}
	o.conn.Close()
	o.conn = nil
	o.log.Info("device closed", "why", why)
}

// do carries out one job.
func (o *owner) do(ctx context.Context, j *job) result {
	if err := j.ctx.Err(); err != nil {
		return result{err: fmt.Errorf("waited too long for the device: %w", sat.ErrNotSent)}
	}
	notSent := func(err error) result {
		return result{err: &sat.Error{Op: "reach the device for", Request: j.req.Function, Session: j.req.Session,
			Err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}}
	}
	inTime := within(ctx, j.ctx)
	release, err := o.reserve(inTime)
	if err != nil {
		return notSent(err)
	}
	defer release()
	err = o.ensure(ctx)
	o.collect()
	if err != nil {
		return notSent(err)
	}
	if err := o.settleAll(inTime, j.code); err != nil {
		return result{err: errors.Join(errUnresolved, err)}
	}
	switch {
	case j.entry != nil:
		return o.sell(ctx, j)
	case j.req.Function == 0:
		return result{} // only the open cases mattered
	}
	reply, err := o.call(ctx, j.req)
	o.learn(j.code, reply)
	return result{reply: reply, err: err}
}

// call sends one request under a device session of its own and returns the
// device's reply. The reply of another session is an error: it says nothing
// about this call.
func (o *owner) call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	session, err := o.router.journal.deviceSession()
	if err != nil {
		return sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, err)
	}
	req.Session = session
	return o.send(ctx, req)
}

func (o *owner) send(ctx context.Context, req sat.Request) (sat.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, req.Function.Deadline()+slack)
	defer cancel()
	start := o.router.now()
	reply, err := o.conn.Call(ctx, req)
	o.log.Debug("device called", "function", req.Function, "session", req.Session, "code", reply.Code,
		"took", o.router.now().Sub(start), "err", err)
	if err != nil {
		if errors.Is(err, sat.ErrGone) {
			o.lost(err)
		}
		return reply, err
	}
	if !req.Function.AsksSession() && reply.Session != req.Session {
		return reply, &sat.Error{Op: "use the reply to", Device: o.info.Serial, Request: req.Function, Session: req.Session,
			Err: fmt.Errorf("the device answered session %06d", reply.Session)}
	}
	o.router.seen(o.info, nil)
	return reply, nil
}

// learn keeps the activation code that the device accepted and forgets the one
// it refused.
func (o *owner) learn(code string, reply sat.Reply) {
	var err error
	switch {
	case reply.Code.WrongActivationCode():
		err = o.router.codes.refused(o.info.Serial, code)
	case reply.Function == sat.ConsultarStatusOperacional && reply.Code.Success(),
		reply.Function.Fiscal() && reply.Code.Success():
		err = o.router.codes.put(o.info.Serial, code)
	}
	if err != nil {
		o.log.Error("activation code not kept", "err", err)
	}
}

// sell carries out a till's fiscal call: intent, device, answer.
func (o *owner) sell(ctx context.Context, j *job) result {
	if err := o.router.journal.buf.Room(longestAnswer); err != nil {
		return result{err: fmt.Errorf("%w: no room to keep the document: %w", sat.ErrNotSent, err)}
	}
	e := *j.entry
	var err error
	if e.LastKey, err = o.lastKey(ctx, j.code); err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	e.State, e.Serial = open, o.info.Serial
	if e.DeviceSession, err = o.router.journal.deviceSession(); err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	v, admitted, err := o.admit(e)
	if err != nil {
		return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
	}
	if v != isNew {
		return result{verdict: v, entry: admitted}
	}
	req := j.req
	req.Session = e.DeviceSession
	reply, err := o.send(ctx, req)
	o.learn(j.code, reply)
	switch outcome := sat.OutcomeOf(req, reply, err); {
	case outcome == sat.Issued && string(keyOf(reply)) != e.LastKey, outcome == sat.NotIssued && err == nil:
		return o.close(admitted, step{close: answered, reply: reply.Raw})
	case outcome == sat.NotIssued:
		o.log.Warn("sale not sent", "till", e.Till, "session", e.Session, "err", err)
		return o.close(admitted, step{close: answered})
	}
	o.log.Warn("outcome of a sale unknown, asking the device", "till", e.Till, "session", e.Session, "device session", e.DeviceSession, "err", err)
	if err := o.ensure(ctx); err != nil {
		return result{verdict: isOpen, entry: admitted}
	}
	return o.settle(within(ctx, j.ctx), admitted, j.code)
}

// admit journals the call as an open case and marks it for the libraries, which
// costs no time of its own: both wait for the same disk.
func (o *owner) admit(e entry) (verdict, *entry, error) {
	marked := make(chan error, 1)
	go func() { marked <- o.mark(e.Payload) }()
	v, admitted, err := o.router.journal.admit(e)
	if err := <-marked; err != nil {
		o.log.Warn("open sale not marked for the libraries", "err", err)
	}
	if err != nil || v != isNew {
		o.unmark()
	}
	return v, admitted, err
}

// lastKey is the device's latest access key; a device that the journal does not
// know is asked once.
func (o *owner) lastKey(ctx context.Context, code string) (string, error) {
	if k, ok := o.router.journal.lastKey(o.info.Serial); ok {
		return k, nil
	}
	reply, err := o.call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}})
	if err != nil {
		return "", err
	}
	o.learn(code, reply)
	if reply.Code.WrongActivationCode() {
		return "", &sat.Error{Op: "read the status", Device: o.info.Serial, Code: reply.Code}
	}
	s, err := reply.Status()
	if err != nil {
		return "", fmt.Errorf("cannot learn the device's last document: %w", err)
	}
	b := &buffer.Batch{}
	if err := o.router.journal.putLastKey(b, o.info.Serial, s.LastKey); err != nil {
		return "", err
	}
	return s.LastKey, o.router.journal.commit(b)
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
	if code == "" {
		code = o.router.codes.get(o.info.Serial)
	}
	if code == "" {
		return stay(errors.New("no activation code known: give it with `zelo-agent code`"))
	}
	if next(&c, o.router.journal.issued(c.Serial)).close == 0 {
		c.Evidence = nil // a new round: what the device said before proved nothing
	}
	for {
		s := next(&c, o.router.journal.issued(c.Serial))
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
	e := *c
	e.State, e.Reply, e.Key = s.close, s.reply, s.key
	e.Void = s.close == answered && s.reply == nil
	last := s.last
	b := &buffer.Batch{}
	var err error
	switch {
	case s.close == missing:
		e.Issued = true
		err = o.router.addEvent(b, wire.EventDocumentMissing, &e)
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
	if e.Disputed {
		err = errors.Join(err, o.router.addEvent(b, wire.EventResolved, &e))
	}
	if err == nil {
		err = o.router.journal.update(&e, b)
	}
	if err != nil {
		o.log.Error("answer not written, will try again", "till", e.Till, "session", e.Session, "err", err)
		o.router.keep(&e, b)
	}
	o.unmark()
	o.log.Info("sale closed", "till", e.Till, "session", e.Session, "function", e.Function, "state", e.State, "issued", e.Issued)
	return result{verdict: known(&e), entry: &e}
}

// addForeign queues a document that came up while asking about a case and that
// was made outside the agent: it is not this call's, but it must not be lost.
func (o *owner) addForeign(b *buffer.Batch, e *entry) error {
	if len(e.Evidence) == 0 {
		return nil
	}
	known := o.router.journal.issued(e.Serial)
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
		if err := o.router.addDocument(b, &entry{Serial: e.Serial, Session: r.Session, Function: r.Function}, doc.XML); err != nil {
			return err
		}
	}
	return nil
}

// within is the job's time, cut when the agent stops.
func within(agent, job context.Context) context.Context {
	if d, ok := job.Deadline(); ok {
		ctx, cancel := context.WithDeadline(agent, d)
		context.AfterFunc(ctx, cancel)
		return ctx
	}
	return agent
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
