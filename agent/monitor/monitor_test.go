package monitor

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// device answers the status, or fails when told to.
type device struct {
	mu    sync.Mutex // guards what follows
	code  string
	calls []sat.Request
	reply sat.Reply
	err   error
}

func (d *device) Call(_ context.Context, req sat.Request) (sat.Reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, req)
	return d.reply, d.err
}

func (d *device) known() []Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []Device{{"900000001", d.code, d}}
}

// pass lets time go by. The test has the device to itself before and after.
func (d *device) pass(t time.Duration) {
	d.mu.Unlock()
	time.Sleep(t)
	synctest.Wait()
	d.mu.Lock()
}

func TestReadsWhenACodeIsKnownAndNeverHammers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codec, err := wire.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close()
		b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 64 << 20,
			Streams: []buffer.Stream{{Name: wire.StreamStatus, Evictable: true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		d := &device{reply: sat.NewStatusReply(7, sat.Status{Serial: "900000001", State: sat.StateBlockedAutonomous})}
		m := New(Options{Devices: d.known, Buffer: b, Codec: codec,
			Every: 15 * time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		d.mu.Lock()

		d.pass(time.Hour)
		if len(d.calls) != 0 {
			t.Errorf("%d calls without an activation code", len(d.calls))
		}
		d.code = "12345678"
		d.pass(time.Hour)
		if n := len(d.calls); n < 4 || n > 5 {
			t.Errorf("%d readings in an hour, want one per 15 minutes", n)
		}
		if d.calls[0].Arg(sat.CodeParam) != d.code {
			t.Errorf("asked with %q", d.calls[0].Arg(sat.CodeParam))
		}
		records, err := b.Peek(wire.StreamStatus, 0, 10, 1<<20)
		if err != nil || len(records) != len(d.calls) {
			t.Fatalf("%d records of %d readings, %v", len(records), len(d.calls), err)
		}
		var item wire.Item
		if err := codec.Decode(records[0].Data, &item); err != nil || item.Kind != wire.KindStatus || string(item.Body) != string(d.reply.Raw) {
			t.Errorf("item %+v, %v", item, err)
		}
		d.err = errors.New("the device is busy")
		before := len(d.calls)
		d.pass(time.Hour)
		if n := len(d.calls) - before; n > 4*60 || n < 4 {
			t.Errorf("%d attempts in an hour of failures", n)
		}
		d.err, d.reply = nil, sat.NewReply(sat.ConsultarStatusOperacional, 1, 10001)
		d.mu.Unlock()
		if err := m.Read(ctx); err == nil {
			t.Error("a refusal counts as a reading")
		}
		cancel()
		<-done
	})
}
