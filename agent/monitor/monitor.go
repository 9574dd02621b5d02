// Package monitor asks the device for its status when nobody else needs it and
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
	// Device reaches the device behind the tills' queue and its open cases.
	Device sat.Device
	// Code gives the device's serial number and activation code; an empty code
	// means that nobody knows it yet.
	Code   func() (serial, code string)
	Buffer *buffer.Buffer
	Codec  *wire.Codec
	Every  time.Duration // between two questions; the SEFAZ warns against hammering
	Log    *slog.Logger
	Now    func() time.Time
}

// Monitor reads the status of one device.
type Monitor struct {
	o Options

	mu   sync.Mutex
	last sat.Status
	at   time.Time
}

// New makes a monitor; Run does the work.
func New(o Options) *Monitor { return &Monitor{o: o} }

// Last is the latest status and when it was read; a zero time when none was yet.
func (m *Monitor) Last() (sat.Status, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, m.at
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

// Read asks once and queues the reply.
func (m *Monitor) Read(ctx context.Context) error {
	serial, code := m.o.Code()
	if code == "" {
		return errNoCode
	}
	ctx, cancel := context.WithTimeout(ctx, sat.ConsultarStatusOperacional.Deadline())
	defer cancel()
	reply, err := m.o.Device.Call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}})
	if err != nil {
		return fmt.Errorf("cannot read the status of device %s: %w", serial, err)
	}
	if !reply.Code.Success() {
		return &sat.Error{Op: "read the status", Device: serial, Code: reply.Code}
	}
	if s, err := reply.Status(); err == nil {
		m.mu.Lock()
		m.last, m.at = s, m.o.Now()
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
