// Package router stands between the tills and the device. It journals every
// fiscal call before it is sent, asks the device about calls whose outcome is
// not known, answers repeated calls and session queries from the journal, and
// hands each document to the outgoing stream in the commit that closes its call.
//
// The rules are DESIGN.md, decisions 3 to 7; the pure part of them is in
// session.go.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Conn is an open device. Gone is closed when it went away by itself.
type Conn interface {
	sat.Device
	Gone() <-chan struct{}
	Close() error
}

// Options are what a router needs.
type Options struct {
	Buffer *buffer.Buffer
	Codec  *wire.Codec
	// Devices of this computer, in the order in which Fixed uses them. The first one
	// is home to every till that has none of its own.
	Devices []DeviceOptions
	Own     map[string]string // till -> serial number or address of its own device
	Policy  Policy
	Codes   string // file of the sealed activation codes
	// SecondDevice lets a sale whose outcome nobody can tell be made again by another
	// device; the collector is told of both (DESIGN.md, decision 4).
	SecondDevice bool
	// Neighbours are the agents of other computers that lend their devices now; nil
	// when there are none ever.
	Neighbours func() []Neighbour
	// Bridge is the folder where libraries leave the calls they made without the
	// agent; "" when they make none.
	Bridge string
	// Reserve keeps other programs of this machine off the devices until released;
	// nil when there are none. An error says that one of them has it.
	Reserve func(context.Context) (release func(), err error)
	// DeviceTable and TillTable are the refusal codes of CancelarUltimaVenda that
	// the devices use and that the POS programs understand.
	DeviceTable, TillTable sat.CancelTable
	Log                    *slog.Logger
	Now                    func() time.Time
}

// DeviceOptions say how a device is reached.
type DeviceOptions struct {
	Address string // as configured: names the device until its serial number is known
	// Open opens the device; it is called again whenever the device has gone. An
	// empty Info.Serial means that the driver cannot tell it.
	Open func(context.Context) (Conn, sat.Info, error)
	// Retry is the longest time between two attempts to open it; 0 is a second.
	Retry time.Duration
	// KeepAlive is after how much idleness the device is asked whether it is there;
	// 0 for never.
	KeepAlive time.Duration
}

// Router serves many tills with many devices. It is a sat.Device whose replies
// are ready for the till: its own session number, strict layout.
type Router struct {
	journal *journal
	codes   *codes
	codec   *wire.Codec
	owners  []*owner
	own     map[string]string
	policy  Policy
	second  bool
	bridge  *bridge
	lan     func() []Neighbour
	asking  turns                   // by neighbour: one question about a borrowed case at a time
	lending turns                   // by case of a neighbour: one question or call at a time
	convert func(sat.Code) sat.Code // to the tills' table
	log     *slog.Logger
	now     func() time.Time

	naming   sync.Mutex       // held while a device that was opened is told from the others
	mu       sync.Mutex       // guards what follows
	awaiting map[call]*flight // replies on their way to a till
	away     map[string]bool  // cases that a neighbour is being called with
	unsaved  []unsaved

	lastCall, lastCompact time.Time
	lastSale              time.Time // asked for by a till of this computer
}

// call names a reply on its way.
type call struct {
	till     string
	session  int
	function sat.Function
}

type unsaved struct {
	entry *entry
	batch *buffer.Batch
}

// New makes a router over an open buffer. Run must be called for it to serve.
func New(o Options) (*Router, error) {
	first := firstSession + rand.IntN(sat.MaxSession-firstSession)
	j, err := openJournal(o.Buffer, o.Codec, o.Now, first)
	if err != nil {
		return nil, err
	}
	c, err := openCodes(o.Codes)
	if err != nil {
		o.Log.Error("activation codes not available", "err", err)
	}
	r := &Router{journal: j, codes: c, codec: o.Codec, own: o.Own, policy: o.Policy, second: o.SecondDevice,
		log: o.Log, now: o.Now, awaiting: map[call]*flight{}, away: map[string]bool{}, bridge: &bridge{folder: o.Bridge},
		asking: turns{busy: map[string]chan struct{}{}}, lending: turns{busy: map[string]chan struct{}{}},
		convert: func(c sat.Code) sat.Code { return o.DeviceTable.Convert(c, o.TillTable) }}
	if o.Reserve == nil {
		o.Reserve = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if r.lan = o.Neighbours; r.lan == nil {
		r.lan = func() []Neighbour { return nil }
	}
	for _, d := range o.Devices {
		r.owners = append(r.owners, newOwner(r, d, o.Reserve))
	}
	return r, nil
}

// Run serves until ctx ends, or until the buffer breaks: then it returns
// buffer.ErrDamaged, and only opening the buffer anew helps. One goroutine owns
// each device, this one keeps house.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	r.unmark()
	for _, o := range r.owners {
		wg.Go(func() { o.run(ctx) })
	}
	wg.Go(func() { r.askNeighbours(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var err error
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			err = r.house()
		}
	}
	cancel()
	wg.Wait()
	return errors.Join(err, r.house())
}

// house writes what waits to be written. Its error is a broken buffer.
func (r *Router) house() error {
	r.mu.Lock()
	waiting := r.unsaved
	r.unsaved = nil
	r.mu.Unlock()
	for _, u := range waiting {
		if err := r.journal.update(u.entry, u.batch); err != nil {
			r.keep(u.entry, u.batch)
		}
	}
	if err := r.journal.flush(); err != nil {
		r.log.Error("deliveries not noted", "err", err)
	}
	r.codes.retry()
	for _, o := range r.owners {
		o.tellState()
	}
	r.tellStray()
	r.compact()
	return r.journal.broken()
}

// Compaction waits for a till that does nothing, and is not tried all the time.
const (
	idleBefore   = time.Minute
	compactEvery = 10 * time.Minute
)

// compact gives the buffer's free pages back after a long outage was drained.
func (r *Router) compact() {
	r.mu.Lock()
	now := r.now()
	due := now.Sub(r.lastCall) > idleBefore && now.Sub(r.lastCompact) > compactEvery
	if due {
		r.lastCompact = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	if done, err := r.journal.buf.Compact(); err != nil && !errors.Is(err, buffer.ErrBusy) {
		r.log.Error("buffer not compacted", "err", err)
	} else if done {
		r.log.Info("buffer compacted")
	}
}

// keep holds an answer whose commit failed.
func (r *Router) keep(e *entry, b *buffer.Batch) {
	r.mu.Lock()
	r.unsaved = append(r.unsaved, unsaved{e, b})
	r.mu.Unlock()
}

// Call answers a till. The reply is always one that the till can read: when
// nothing certain can be said in time it is "em processamento". An error means
// that the request itself makes no sense and reached no device.
func (r *Router) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	req.Session = tillSession(req.Session)
	if err := req.Check(); err != nil {
		return sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, err)
	}
	r.mu.Lock()
	r.lastCall = r.now()
	if req.Function.Fiscal() {
		r.lastSale = r.lastCall
	}
	r.mu.Unlock()
	r.Lost(req) // the next answer may be another one
	ctx, cancel := answerInTime(ctx, req.Function)
	defer cancel()
	reply := r.answer(ctx, req)
	if c := r.convert(reply.Code); c != reply.Code {
		reply.Code = c
		reply.Raw = reply.Encode(reply.Session)
	}
	return reply, nil
}

func (r *Router) answer(ctx context.Context, req sat.Request) sat.Reply {
	switch {
	case req.Function.Fiscal():
		return r.fiscal(ctx, req)
	case req.Function == sat.ConsultarNumeroSessao:
		return r.bySession(ctx, req)
	case req.Function == sat.ConsultarUltimaSessaoFiscal:
		return r.lastFiscal(ctx, req)
	}
	return r.plain(ctx, req)
}

// tillSession brings any C int into the range that devices use: as Gertec's
// library does, modulo one million (dossier 5.1).
func tillSession(s int) int {
	const n = sat.MaxSession + 1
	return (s%n + n) % n
}

// answerInTime leaves a tenth of the till's remaining time, at most half a
// second, for the way back.
func answerInTime(ctx context.Context, f sat.Function) (context.Context, context.CancelFunc) {
	left := f.Deadline()
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	return context.WithTimeout(ctx, left-min(left/10, 500*time.Millisecond))
}

// Delivered says that the reply to this call reached the till's library. The
// server calls it after each reply it could hand over.
func (r *Router) Delivered(req sat.Request) {
	if f := r.land(req); f != nil {
		r.journal.delivered(req.Till, f.numbers)
		close(f.landed)
	}
}

// Lost says that the reply to this call did not reach the till's library, or that
// nobody will know. Whoever calls Call says this or Delivered, once.
func (r *Router) Lost(req sat.Request) {
	if f := r.land(req); f != nil {
		close(f.landed)
	}
}

// flight is a reply on its way: that of the calls so numbered.
type flight struct {
	numbers []uint64
	landed  chan struct{} // closed when it is known whether it arrived
}

// land takes a reply out of those on their way; nil when there is none.
func (r *Router) land(req sat.Request) *flight {
	k := call{req.Till, tillSession(req.Session), req.Function}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.awaiting[k]
	delete(r.awaiting, k)
	return f
}

// landWait bounds the wait for word of a reply. A library that holds the reply says
// so at once, and one that died is noticed at once.
const landWait = time.Second

// settled waits for word whether the reply of an earlier call reached its till, when
// that is on its way. Its next call may come first, on a connection of its own, and
// would be taken for a repetition of a sale nobody heard of.
func (r *Router) settled(ctx context.Context, e *entry) (waited bool) {
	var landed chan struct{}
	r.mu.Lock()
	for k, f := range r.awaiting {
		if k.till == e.Till && slices.Contains(f.numbers, e.N) {
			landed = f.landed
		}
	}
	r.mu.Unlock()
	if landed == nil {
		return false
	}
	t := time.NewTimer(landWait)
	defer t.Stop()
	select {
	case <-landed:
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}

// Device gives the agent's own parts access to one device, by serial number or
// address and "" for the first, behind the tills' queue and behind open cases. Its
// calls fail with sat.ErrGone when there is no such device.
func (r *Router) Device(name string) sat.Device {
	if name == "" && len(r.owners) > 0 {
		return own{o: r.owners[0]}
	}
	o := r.named(name)
	if o == nil || o.address == name {
		return own{o: o}
	}
	return own{o: o, serial: name}
}

// named finds a device by serial number or address, rather one that answers; nil
// when there is none.
func (r *Router) named(name string) (found *owner) {
	for _, o := range r.owners {
		if s := o.state(); name != "" && (s.Address == name || s.Info.Serial == name) && (found == nil || s.Answering) {
			found = o
		}
	}
	return found
}

// own is a device behind its owner's queue. Calls of one that was asked for by its
// serial number go to no other that is there by now.
type own struct {
	o      *owner
	serial string // "" for whichever is there
}

func (d own) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if d.o == nil {
		return sat.Reply{}, fmt.Errorf("no such device: %w: %w", sat.ErrGone, sat.ErrNotSent)
	}
	res := d.o.submit(ctx, &job{req: req, serial: d.serial}, 0)
	return res.reply, res.err
}

// Replugged says that something was plugged in or out: the devices that are away
// are looked for at once.
func (r *Router) Replugged() {
	for _, o := range r.owners {
		select {
		case o.wake <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}

// admit journals a fiscal call as an open case and marks it for the libraries, which
// costs no time of its own: both wait for the same disk.
func (r *Router) admit(e entry) (verdict, *entry, error) {
	marked := make(chan error, 1)
	go func() { marked <- r.mark(e.Payload) }()
	v, admitted, err := r.journal.admit(e)
	if err := <-marked; err != nil {
		r.log.Warn("open sale not marked for the libraries", "err", err)
	}
	r.marked(e.Payload)
	if err != nil || v != isNew {
		r.unmark()
	}
	return v, admitted, err
}
