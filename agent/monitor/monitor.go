// Package monitor looks after what the agent can see without being asked: each
// device's status and log when nobody else needs it, the computer, the companies'
// certificates on it, how the tills sell, and how the agent itself fares. What it
// finds is queued for the collector. An absence of alarms is worth something only
// when somebody looked.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Options are what a monitor needs.
type Options struct {
	// Devices are those to ask now.
	Devices func() []Device
	// SinceSale is for how long no till has sold.
	SinceSale func() time.Duration
	// Known counts the documents of a device, by number after one and up to another,
	// whose call is known here, and those of them that the direct bridge made.
	Known func(serial string, after, upto int) (known, direct int)
	// Ready reports whether the collector understands inventories and logs. Until it is
	// known, none are queued.
	Ready  func() bool
	Buffer *buffer.Buffer
	Codec  *wire.Codec
	Every  time.Duration // between two readings of a status; the SEFAZ warns against hammering
	Folder string        // the agent's own
	// Certificates are folders with files of certificates, besides the usual ones.
	Certificates []string
	Log          *slog.Logger
	Now          func() time.Time
}

// Device is one to ask. Calls wait behind the tills' queue and its open cases.
type Device struct {
	Serial    string
	Code      string // activation code; "" when nobody knows it yet
	Answering bool
	sat.Device
}

// Monitor looks after devices and computer.
type Monitor struct {
	o      Options
	offset float64 // of this agent among all, -1 to 1: they must not all ask at once
	sales  counter
	look   lookout // of the computer's goroutine alone

	mu           sync.Mutex // guards what follows
	last         map[string]reading
	paces        map[string]*pace        // by serial number
	outside      map[string]wire.Outside // by serial number
	certificates []Certificate
}

type reading struct {
	status sat.Status
	at     time.Time
}

// New makes a monitor; Run does the work.
func New(o Options) *Monitor {
	return &Monitor{o: o, offset: 2*rand.Float64() - 1, sales: counter{days: map[string]*tillDay{}},
		last: map[string]reading{}, paces: map[string]*pace{}, outside: map[string]wire.Outside{}}
}

// Last is the latest status of a device and when it was read; a zero time when none
// was yet.
func (m *Monitor) Last(serial string) (sat.Status, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.last[serial]
	return r.status, r.at
}

// Run looks after everything until ctx ends. Reading the log of a device takes
// minutes, and nothing else waits for it.
func (m *Monitor) Run(ctx context.Context) {
	m.begin()
	var wg sync.WaitGroup
	wg.Go(func() { m.repeat(ctx, min(5*time.Second, m.o.Every), m.askDevices) })
	wg.Go(func() { m.repeat(ctx, min(time.Minute, m.o.Every), m.lookAround) })
	wg.Wait()
	m.end()
}

// repeat does something again and again until ctx ends.
func (m *Monitor) repeat(ctx context.Context, every time.Duration, do func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// askDevices asks those whose time has come.
func (m *Monitor) askDevices(ctx context.Context) {
	for _, d := range m.o.Devices() {
		if ctx.Err() != nil {
			return
		}
		p := m.paceOf(d.Serial)
		switch now := m.o.Now(); {
		case d.Code == "":
		case !d.Answering:
			p.away()
		case p.due(now, m.o.Every, m.o.SinceSale()):
			if err := m.read(ctx, d); err != nil {
				m.o.Log.Debug("status not read", "err", err)
			}
		case p.logDue(now, m.o.SinceSale()) && m.o.Ready():
			if err := m.readLog(ctx, d); err != nil {
				m.o.Log.Info("log of the device not read", "err", err)
			}
		}
	}
}

// paceOf is that of one device.
func (m *Monitor) paceOf(serial string) *pace {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.paces[serial]
	if p == nil {
		p = &pace{offset: m.offset, logged: m.loggedAt(serial)}
		m.paces[serial] = p
	}
	return p
}

// errNoCode is normal on a new till: the code is learnt from its first sale.
var errNoCode = errors.New("no activation code known yet")

// Read asks every device for its status at once, one after the other, and queues the
// replies.
func (m *Monitor) Read(ctx context.Context) error {
	all := m.o.Devices()
	errs := make([]error, len(all))
	for i, d := range all {
		errs[i] = m.read(ctx, d)
	}
	return errors.Join(errs...)
}

func (m *Monitor) read(ctx context.Context, d Device) error {
	if d.Code == "" {
		return errNoCode
	}
	reply, err := ask(ctx, d, sat.ConsultarStatusOperacional)
	p := m.paceOf(d.Serial)
	if err != nil {
		p.tell(m.o.Now(), reading{}, reading{}, err)
		return err
	}
	now := m.o.Now()
	if s, err := reply.Status(); err == nil {
		m.mu.Lock()
		before := m.last[d.Serial]
		m.last[d.Serial] = reading{s, now}
		m.mu.Unlock()
		p.tell(now, before, reading{s, now}, nil)
		m.compare(d.Serial, s)
	} else {
		p.tell(now, reading{}, reading{}, nil)
	}
	b := &buffer.Batch{}
	return m.queue(b, wire.Item{Kind: wire.KindStatus, Serial: d.Serial, Body: reply.Raw})
}

// ask puts a question that needs the activation code alone.
func ask(ctx context.Context, d Device, f sat.Function) (sat.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Deadline())
	defer cancel()
	reply, err := d.Call(ctx, sat.Request{Function: f, Args: []string{d.Code}})
	if err != nil {
		return reply, fmt.Errorf("cannot ask device %s for %s: %w", d.Serial, f, err)
	}
	if !reply.Code.Success() {
		return reply, &sat.Error{Op: "ask", Request: f, Device: d.Serial, Code: reply.Code}
	}
	return reply, nil
}

// queue commits items for the collector together with what else is in a batch.
func (m *Monitor) queue(b *buffer.Batch, items ...wire.Item) error {
	for _, item := range items {
		item.Version, item.At = wire.Version, m.o.Now().UnixMilli()
		v, err := m.o.Codec.Encode(item)
		if err != nil {
			return err
		}
		b.Append(wire.StreamStatus, v)
	}
	if _, err := m.o.Buffer.Commit(b); err != nil {
		return fmt.Errorf("cannot queue what was read for the collector: %w", err)
	}
	return nil
}
