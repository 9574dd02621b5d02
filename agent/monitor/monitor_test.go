package monitor

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

const serial = "900000001"

// device answers the status and the log, or fails when told to.
type device struct {
	mu    sync.Mutex // guards what follows
	code  string
	calls []sat.Request
	reply sat.Reply
	log   string
	err   error
}

func (d *device) Call(_ context.Context, req sat.Request) (sat.Reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, req)
	if req.Function == sat.ExtrairLogs && d.err == nil {
		reply := sat.NewReply(sat.ExtrairLogs, 1, sat.ExtrairLogs.Success())
		reply.Data = []string{base64.StdEncoding.EncodeToString([]byte(d.log))}
		return reply, nil
	}
	return d.reply, d.err
}

func (d *device) known() []Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []Device{{serial, d.code, true, d}}
}

// pass lets time go by. The test has the device to itself before and after.
func (d *device) pass(t time.Duration) {
	d.mu.Unlock()
	time.Sleep(t)
	synctest.Wait()
	d.mu.Lock()
}

// count is how often it was asked one thing.
func (d *device) count(f sat.Function) (n int) {
	for _, c := range d.calls {
		if c.Function == f {
			n++
		}
	}
	return n
}

// bench is a monitor over a real buffer, with one device.
type bench struct {
	*Monitor
	t      *testing.T
	device *device
	idle   time.Duration // since the last sale; 0 is for ever
	taken  uint64        // the last record that the collector took
}

func newBench(t *testing.T) *bench {
	t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 64 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	x := &bench{t: t, device: &device{code: "12345678", reply: status(sat.StateUnblocked, "")}}
	x.Monitor = New(Options{Devices: x.device.known, Buffer: b, Codec: codec, Every: 15 * time.Minute, Folder: t.TempDir(),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Ready: func() bool { return true },
		Known: func(string, int, int) (int, int) { return 0, 0 },
		SinceSale: func() time.Duration {
			if x.idle == 0 {
				return 1000 * time.Hour
			}
			return x.idle
		}})
	return x
}

func status(state sat.State, lastKey string) sat.Reply {
	return sat.NewStatusReply(7, sat.Status{Serial: serial, State: state, LastKey: lastKey})
}

// queued are the items of a kind that the collector has not seen yet; it takes them.
func (x *bench) queued(kind string) (items []wire.Item) {
	x.t.Helper()
	records, err := x.o.Buffer.Peek(wire.StreamStatus, x.taken, 10000, 64<<20)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, r := range records {
		var item wire.Item
		if err := x.o.Codec.Decode(r.Data, &item); err != nil {
			x.t.Fatal(err)
		}
		if item.Kind == kind {
			items = append(items, item)
		}
		x.taken = r.Seq
	}
	return items
}

// things are the inventories among them, by What.
func (x *bench) things() map[string][]wire.Inventory {
	x.t.Helper()
	all := map[string][]wire.Inventory{}
	for _, item := range x.queued(wire.KindInventory) {
		var in wire.Inventory
		if err := x.o.Codec.Decode(item.Body, &in); err != nil {
			x.t.Fatal(err)
		}
		all[in.What] = append(all[in.What], in)
	}
	return all
}

// run lets the monitor work in simulated time, and do have the device between its calls.
func run(t *testing.T, do func(t *testing.T, x *bench)) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		x.device.mu.Lock()
		go func() { defer close(done); x.Run(ctx) }()
		defer func() {
			x.device.mu.Unlock()
			cancel()
			<-done
		}()
		do(t, x)
	})
}

func TestReadsWhenACodeIsKnownAndNeverHammers(t *testing.T) {
	run(t, func(t *testing.T, x *bench) {
		d := x.device
		d.code = ""
		d.pass(time.Hour)
		if len(d.calls) != 0 {
			t.Errorf("%d calls without an activation code", len(d.calls))
		}
		d.code = "12345678"
		d.pass(time.Hour)
		if n := d.count(sat.ConsultarStatusOperacional); n < 4 || n > 5 {
			t.Errorf("%d readings in an hour, want one per 15 minutes", n)
		}
		if d.calls[0].Arg(sat.CodeParam) != d.code {
			t.Errorf("asked with %q", d.calls[0].Arg(sat.CodeParam))
		}
		items := x.queued(wire.KindStatus)
		if len(items) != d.count(sat.ConsultarStatusOperacional) || !bytes.Equal(items[0].Body, d.reply.Raw) {
			t.Fatalf("%d items of %d readings", len(items), d.count(sat.ConsultarStatusOperacional))
		}
		d.err = errors.New("the device is busy")
		before := len(d.calls)
		d.pass(time.Hour)
		if n := len(d.calls) - before; n > 12 || n < 4 {
			t.Errorf("%d attempts in an hour of failures", n)
		}
		d.err, d.reply = nil, sat.NewReply(sat.ConsultarStatusOperacional, 1, 10001)
		d.mu.Unlock()
		if err := x.Read(t.Context()); err == nil {
			t.Error("a refusal counts as a reading")
		}
		d.mu.Lock()
	})
}

// TestCustomersComeFirst: a till that sells all the time is asked seldom, and its
// device's log not at all.
func TestCustomersComeFirst(t *testing.T) {
	run(t, func(t *testing.T, x *bench) {
		d := x.device
		x.idle = time.Second
		d.pass(10 * time.Hour)
		if n := d.count(sat.ConsultarStatusOperacional); n < 9 || n > 12 {
			t.Errorf("%d readings in ten hours of sales", n)
		}
		if n := d.count(sat.ExtrairLogs); n != 0 {
			t.Errorf("the log was read %d times", n)
		}
	})
}

// TestChangesAreLookedAtSooner: a device that blocks itself is read more often for a
// while, and its log at once.
func TestChangesAreLookedAtSooner(t *testing.T) {
	run(t, func(t *testing.T, x *bench) {
		d := x.device
		d.log = "20251210115800|SAT|info|ligado\n"
		d.pass(20 * time.Hour)
		if n := d.count(sat.ExtrairLogs); n != 1 {
			t.Fatalf("the log of a quiet day was read %d times", n)
		}
		x.queued(wire.KindLog)
		before := d.count(sat.ConsultarStatusOperacional)
		d.reply, x.idle = status(sat.StateBlockedAutonomous, ""), 3*time.Minute // a customer now and then
		d.log += "20251210120000|SAT|erro|bloqueado\n"
		d.pass(35 * time.Minute)
		if n := d.count(sat.ConsultarStatusOperacional) - before; n < 4 || n > 6 {
			t.Errorf("%d readings around the block", n)
		}
		if n := d.count(sat.ExtrairLogs); n != 2 {
			t.Errorf("after the block the log was read %d times more", n-1)
		}
		items := x.queued(wire.KindLog)
		if len(items) != 1 || items[0].Serial != serial || !strings.Contains(string(items[0].Body), "bloqueado") {
			t.Errorf("%+v", items)
		}
		d.pass(24 * time.Hour)
		if n := d.count(sat.ConsultarStatusOperacional) - before; n > 24*4+extraOfDay {
			t.Errorf("%d readings in about a day", n)
		}
	})
}
