package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zelo/buffer"
	"zelo/sat"
)

// Timing of an owner.
const (
	reopenEvery   = time.Second      // while the device is away, at first
	resolveEvery  = 5 * time.Second  // while a case stays open
	collectEvery  = 30 * time.Second // looks for calls made without the agent
	busyPause     = time.Second      // between two questions to a busy device
	shortLife     = 10 * time.Second // a device that goes so soon after it was opened was opened in vain
	slack         = 5 * time.Second  // a driver may take so much longer than the function's deadline
	longestAnswer = 4 << 20          // bytes to have free before a document is made
)

// errUnresolved keeps everything away from a device whose last fiscal call is
// not settled.
var errUnresolved = fmt.Errorf("an earlier sale on this device is not settled yet: %w", sat.ErrNotSent)

// owner is the one goroutine that speaks to a device. All calls go through its
// queue; open cases come before anything else.
type owner struct {
	router  *Router
	address string
	open    func(context.Context) (Conn, sat.Info, error)
	retry   time.Duration
	keep    time.Duration // keep-alive; 0 for none
	reserve func(context.Context) (func(), error)
	queue   chan *job
	wake    chan struct{} // something was plugged in
	waiting atomic.Int32  // calls in the queue and under way

	// Of the goroutine alone.
	log    *slog.Logger
	conn   Conn
	info   sat.Info
	sure   bool      // the serial number was told since it was opened, not remembered
	tells  bool      // its driver tells the serial number
	met    bool      // it was asked what it did before it was opened
	look   bool      // something was plugged in or out since it last answered
	used   time.Time // when it last answered
	failed int       // attempts in a row that came to nothing
	opened time.Time // when it was last tried

	mu   sync.Mutex // guards what others may read
	view view
}

func newOwner(r *Router, d DeviceOptions, reserve func(context.Context) (func(), error)) *owner {
	o := &owner{router: r, address: d.Address, open: d.Open, retry: max(d.Retry, reopenEvery), keep: d.KeepAlive,
		reserve: reserve, queue: make(chan *job), wake: make(chan struct{}, 1), log: r.log}
	o.view.Since, o.view.soldAt, o.view.Address = r.now(), r.now(), d.Address
	o.view.Info.Serial = r.journal.lastAt(d.Address) // a till's own device is that also while it is away
	return o
}

// job is one call that waits for the device.
type job struct {
	ctx  context.Context // the caller's; a job that starts is finished even when it ends
	req  sat.Request     // without a function: only resolve open cases
	code string          // activation code the caller gave
	// The code is meant for another device: this one is called with its own.
	foreign bool
	serial  string // of the device that is meant; "" for whichever is there
	entry   *entry // of a till's fiscal call; nil otherwise
	more    bool   // another device may serve it when this one does not
	taken   atomic.Bool
	done    chan result
}

// take decides, once, who has the job: the owner, who sends it now, or the caller,
// who gives it up. Nothing was sent for one that was given up.
func (j *job) take() bool { return j.taken.CompareAndSwap(false, true) }

var errGivenUp = fmt.Errorf("its caller waited no longer for the device: %w", sat.ErrNotSent)

// result is what became of a job. A fiscal call that came as far as the journal
// has its verdict and entry, and then err says nothing about the sale: it may be
// that of a question asked later. Otherwise there is a reply or an error.
type result struct {
	verdict verdict
	entry   *entry
	reply   sat.Reply
	err     error
}

// nothing reports whether the call certainly issued nothing for a reason that is
// the device's, so that another one may have it.
func (r result) nothing() bool {
	if r.entry != nil {
		return r.verdict == isVoid
	}
	return errors.Is(r.err, sat.ErrNotSent) && !errors.Is(r.err, buffer.ErrFull)
}

// submit queues a job for the owner and waits for its result or for ctx. With
// patience it gives the job up when it was not sent until then: also when its turn
// came, but the device does not answer what it must be asked before.
func (o *owner) submit(ctx context.Context, j *job, patience time.Duration) result {
	j.ctx, j.done = ctx, make(chan result, 1)
	if j.code == "" {
		j.code = codeInEffect(j.req)
	}
	o.waiting.Add(1)
	defer o.waiting.Add(-1)
	turn := ctx
	if patience > 0 {
		var cancel context.CancelFunc
		turn, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case o.queue <- j:
	case <-turn.Done():
		return result{err: errGivenUp}
	}
	select {
	case res := <-j.done:
		return res
	case <-turn.Done():
		if j.take() {
			return result{err: errGivenUp}
		}
	}
	select {
	case res := <-j.done:
		return res
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
}

// run serves the queue until ctx ends.
func (o *owner) run(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	defer o.drop("agent stops")
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
		case <-o.wake:
			o.failed, o.look = 0, true
			o.sure = o.sure && o.tells // another device may hang on a library that is open
		case j := <-o.queue:
			j.done <- o.do(ctx, j)
			if o.conn != nil && len(o.router.journal.openCases(o.info.Serial)) == 0 {
				retry.Reset(o.rest())
				continue
			}
		case <-retry.C:
		}
		retry.Reset(o.tend(ctx))
	}
}

// rest is how long a device that is well may be left alone.
func (o *owner) rest() time.Duration {
	if o.keep > 0 {
		return min(collectEvery, o.keep)
	}
	return collectEvery
}

// lost closes a device that has gone.
func (o *owner) lost(err error) {
	if o.drop("gone"); o.router.now().Sub(o.opened) < shortLife {
		o.failed++
	}
	o.seen(sat.Info{}, err)
}

// wait is how long a device that is away is left alone.
func (o *owner) wait() time.Duration {
	return min(o.retry, reopenEvery<<min(max(o.failed-1, 0), 10))
}

// tend opens the device when it is away, resolves open cases, and keeps it from
// falling asleep. It returns when to look again.
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
		return o.wait()
	}
	code := o.router.codes.get(o.info.Serial)
	if err := o.settleAll(ctx, code); err != nil {
		return resolveEvery
	}
	if code != "" {
		err = o.meet(ctx, code)
	}
	// A library stays open when its device's cable is pulled.
	idle := o.keep > 0 && o.router.now().Sub(o.used) >= o.keep
	if err == nil && (idle || o.look || !o.state().Answering) {
		o.look = false
		_, err = o.call(ctx, sat.Request{Function: sat.ConsultarSAT})
	}
	if err != nil {
		o.log.Warn("device not looked after", "err", err)
	}
	switch {
	case o.conn == nil:
		return o.wait()
	case !o.state().Answering:
		return resolveEvery
	}
	return o.rest()
}

// ensure opens the device when it is not open.
func (o *owner) ensure(ctx context.Context) error {
	if o.conn != nil {
		return nil
	}
	if since := o.router.now().Sub(o.opened); o.failed > 0 && o.retry > reopenEvery && since >= 0 && since < reopenEvery {
		return fmt.Errorf("%w: opened in vain a moment ago", sat.ErrGone)
	}
	o.opened = o.router.now()
	conn, info, err := o.open(ctx)
	if err != nil {
		o.failed++
		o.seen(sat.Info{}, err)
		return err
	}
	o.router.naming.Lock()
	defer o.router.naming.Unlock()
	o.tells = info.Serial != ""
	o.sure = o.tells
	if err := o.place(&info); err != nil {
		conn.Close()
		o.seen(sat.Info{}, err)
		return err
	}
	o.conn, o.info, o.met, o.used = conn, info, false, o.router.now()
	o.log = o.router.log.With("device", info.Serial)
	o.log.Info("device opened", "name", info.Name, "where", info.Where)
	o.seen(info, nil)
	return nil
}

// place settles which device is at the address: when the driver cannot tell, the
// one that was there last until it says so itself.
func (o *owner) place(info *sat.Info) error {
	last := o.router.journal.lastAt(o.address)
	if info.Serial == "" {
		info.Serial = last
	}
	if info.Serial == last {
		return o.alone(last)
	}
	return errors.Join(o.alone(info.Serial), o.router.journal.putAt(o.address, info.Serial))
}

// alone fails when another owner has this device open: it would be used by two.
func (o *owner) alone(serial string) error {
	for _, other := range o.router.owners {
		if s := other.state(); other != o && serial != "" && s.Info.Serial == serial && s.Answering {
			return fmt.Errorf("%w: %s is the device %s that is in use at %s already; take one of the two out of the configuration",
				sat.ErrGone, o.address, serial, other.address)
		}
	}
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

// do carries out one job. What the device must be asked before is asked to the end,
// also when the caller's time is up: devices say some things once.
func (o *owner) do(ctx context.Context, j *job) result {
	if j.ctx.Err() != nil {
		return result{err: errGivenUp}
	}
	notSent := func(err error) result {
		return result{err: &sat.Error{Op: "reach the device for", Request: j.req.Function, Session: j.req.Session,
			Err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}}
	}
	reserving, cancel := within(ctx, j.ctx)
	release, err := o.reserve(reserving)
	cancel()
	if err != nil {
		return notSent(err)
	}
	defer release()
	err = o.ensure(ctx)
	o.collect()
	if err != nil {
		return notSent(err)
	}
	if err := errors.Join(o.meant(j), o.unlock(j)); err != nil {
		return notSent(err)
	}
	if err := o.settleAll(ctx, j.code); err != nil {
		return result{err: errors.Join(errUnresolved, err)}
	}
	if j.code != "" && !o.sure {
		if err := o.identify(ctx, j.code); err != nil {
			return result{err: fmt.Errorf("%w: %w", sat.ErrNotSent, err)}
		}
		if err := o.meant(j); err != nil {
			return notSent(err)
		}
		if err := o.settleAll(ctx, j.code); err != nil {
			return result{err: errors.Join(errUnresolved, err)}
		}
	}
	switch {
	case j.entry != nil:
		return o.sell(ctx, j)
	case j.req.Function == 0:
		return result{} // only the open cases mattered
	case !j.take():
		return result{err: errGivenUp}
	}
	reply, err := o.call(ctx, j.req)
	o.learn(j.code, reply)
	o.renewed(j.req, reply)
	return result{reply: reply, err: err}
}

// meant fails when another device is here than the one that a job is for.
func (o *owner) meant(j *job) error {
	if j.serial == "" || j.serial == o.info.Serial {
		return nil
	}
	return fmt.Errorf("device %s is at %s, and not %s", o.info.Serial, o.address, j.serial)
}

// unlock puts the device's own code into a job that comes with another's. Only now
// is it known which device is here, and a wrong code counts towards its lock.
func (o *owner) unlock(j *job) error {
	if !j.foreign {
		return nil
	}
	j.code = o.router.codes.get(o.info.Serial)
	takes := slices.ContainsFunc(j.req.Function.Params(), func(p sat.Param) bool { return p.Name == sat.CodeParam })
	if takes && j.code == "" {
		return fmt.Errorf("the activation code of device %s is not known", o.info.Serial)
	}
	j.req = j.req.WithArg(sat.CodeParam, j.code)
	return nil
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
	o.used, o.failed = o.router.now(), 0
	return reply, o.heard(reply)
}

// within is the job's time, cut when the agent stops.
func within(agent, job context.Context) (context.Context, context.CancelFunc) {
	if d, ok := job.Deadline(); ok {
		return context.WithDeadline(agent, d)
	}
	return context.WithCancel(agent)
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
