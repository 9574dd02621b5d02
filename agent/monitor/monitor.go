// Package monitor asks each device for its status when nobody else needs it and
// queues the answer, as the device gave it, for the collector. An absence of
// alarms is worth something only when somebody looked.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	Buffer  *buffer.Buffer
	Codec   *wire.Codec
	Every   time.Duration // between two questions; the SEFAZ warns against hammering
	Log     *slog.Logger
	Now     func() time.Time
}

// Device is one to ask. Calls wait behind the tills' queue and its open cases.
type Device struct {
	Serial string
	Code   string // activation code; "" when nobody knows it yet
	sat.Device
}

// Monitor reads the status of the devices.
type Monitor struct {
	o Options

	mu   sync.Mutex
	last map[string]reading // by serial number
}

type reading struct {
	status sat.Status
	at     time.Time
}

// New makes a monitor; Run does the work.
func New(o Options) *Monitor { return &Monitor{o: o, last: map[string]reading{}} }

// Last is the latest status of a device and when it was read; a zero time when none
// was yet.
func (m *Monitor) Last(serial string) (sat.Status, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.last[serial]
	return r.status, r.at
}

// Run reads the status now and then until ctx ends. A reading that fails is
// tried again sooner, but never in a hurry.
func (m *Monitor) Run(ctx context.Context) {
	const soon = 15 * time.Second
	next := min(time.Second, m.o.Every)
	for {
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		next = m.o.Every
		if err := m.Read(ctx); err != nil {
			next = min(soon, m.o.Every)
			m.o.Log.Debug("status not read", "err", err)
		}
	}
}

// errNoCode is normal on a new till: the code is learnt from its first sale.
var errNoCode = errors.New("no activation code known yet")

// Read asks every device once, one after the other, and queues the replies.
func (m *Monitor) Read(ctx context.Context) error {
	all := m.o.Devices()
	errs := make([]error, len(all))
	for i, d := range all {
		errs[i] = m.read(ctx, d)
	}
	return errors.Join(errs...)
}

func (m *Monitor) read(ctx context.Context, d Device) error {
	serial, code := d.Serial, d.Code
	if code == "" {
		return errNoCode
	}
	ctx, cancel := context.WithTimeout(ctx, sat.ConsultarStatusOperacional.Deadline())
	defer cancel()
	reply, err := d.Call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}})
	if err != nil {
		return fmt.Errorf("cannot read the status of device %s: %w", serial, err)
	}
	if !reply.Code.Success() {
		return &sat.Error{Op: "read the status", Device: serial, Code: reply.Code}
	}
	if s, err := reply.Status(); err == nil {
		m.mu.Lock()
		m.last[serial] = reading{s, m.o.Now()}
		m.mu.Unlock()
	}
	v, err := m.o.Codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindStatus, Serial: serial,
		At: m.o.Now().UnixMilli(), Body: reply.Raw})
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Append(wire.StreamStatus, v)
	if _, err := m.o.Buffer.Commit(b); err != nil {
		return fmt.Errorf("cannot queue the status of device %s: %w", serial, err)
	}
	return nil
}
