package sim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// outcome makes a sale and returns what is known of it.
func (b *bench) outcome(ctx context.Context, session int) (sat.Outcome, sat.Reply, error) {
	b.Helper()
	req := sattest.Sale(session)
	r, err := b.Call(ctx, req)
	return sat.OutcomeOf(req, r, err), r, err
}

func (b *bench) script(f sim.Fault) <-chan struct{} {
	b.Helper()
	struck, err := b.Script(f)
	if err != nil {
		b.Fatal(err)
	}
	return struck
}

// What each act does to a sale, and what the device issued meanwhile.
func TestActs(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  sim.Fault
		issued int
		check  func(r sat.Reply, err error) bool
	}{
		{"half", sim.Fault{Do: sim.Half}, 1, func(r sat.Reply, err error) bool {
			return strings.HasPrefix(string(r.Raw), "000002|06000|0000|") && len(r.Raw) > 1000 && len(r.Data) < 2
		}},
		{"half, not carried out", sim.Fault{Do: sim.Half, Before: true}, 0, func(r sat.Reply, err error) bool {
			return strings.HasPrefix("000002|06098|0000|", string(r.Raw[:16]))
		}},
		{"garbage", sim.Fault{Do: sim.Garbage}, 1, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrMalformed) }},
		{"garbage, not carried out", sim.Fault{Do: sim.Garbage, Before: true}, 0, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrMalformed) }},
		{"reply of the sale before", sim.Fault{Do: sim.Other}, 1, func(r sat.Reply, err error) bool { return r.Session == 1 && r.Code == 6000 }},
		{"busy", sim.Fault{Do: sim.Busy}, 0, func(r sat.Reply, err error) bool { return r.Session == 2 && r.Code == 6098 }},
		{"crash before", sim.Fault{Do: sim.Crash, Before: true}, 0, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrGone) }},
		{"crash after", sim.Fault{Do: sim.Crash}, 1, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrGone) }},
		{"unplug before", sim.Fault{Do: sim.Unplug, Before: true}, 0, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrGone) }},
		{"unplug after", sim.Fault{Do: sim.Unplug}, 1, func(r sat.Reply, err error) bool { return errors.Is(err, sat.ErrGone) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := device(t, sim.Options{})
			b.send(sattest.Sale(1))
			c.fault.Function = sat.EnviarDadosVenda
			struck := b.script(c.fault)
			_, r, err := b.outcome(context.Background(), 2)
			<-struck
			if !c.check(r, err) || errors.Is(err, sat.ErrNotSent) {
				t.Errorf("got %.99q, %v", r.Raw, err)
			}
			if n := len(b.Issued()) - 1; n != c.issued {
				t.Errorf("issued %d, want %d", n, c.issued)
			}
			b.Plug()
			if b.send(sattest.Sale(3)).Code != 6000 {
				t.Error("the fault strikes twice")
			}
			if b.Struck() != 1 {
				t.Errorf("%d faults struck", b.Struck())
			}
		})
	}
}

func TestRenumberedReply(t *testing.T) {
	b := device(t, sim.Options{})
	b.script(sim.Fault{Do: sim.Other})
	if _, r, err := b.outcome(context.Background(), 999999); r.Session != 999990 || r.Code != 6000 {
		t.Errorf("got %.99q, %v", r.Raw, err)
	}
}

func TestFaultsAreMatched(t *testing.T) {
	b := device(t, sim.Options{})
	b.script(sim.Fault{Function: sat.ConsultarSAT, Nth: 3, Do: sim.Busy})
	b.script(sim.Fault{Nth: 4, Do: sim.Busy})                                // of any function
	b.script(sim.Fault{Function: sat.ConsultarSAT, Nth: 3, Do: sim.Garbage}) // on the same call: waits for the next
	for i, want := range []sat.Code{8000, 8000, 8098, 8098} {
		if r := b.ask(sat.ConsultarSAT); r.Code != want {
			t.Errorf("call %d: %s, want %s", i+1, r.Code, want)
		}
	}
	if _, err := b.Call(context.Background(), sattest.Request(sat.ConsultarSAT, 900)); !errors.Is(err, sat.ErrMalformed) {
		t.Errorf("the fault that waited: %v", err)
	}
	b.want(8000, sat.ConsultarSAT)
	for _, f := range []sim.Fault{{Do: "explode"}, {}, {Do: sim.Busy, Function: 99}} {
		if _, err := b.Script(f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

// A late command is carried out though nobody waits for it any more; meanwhile
// the device is busy.
func TestLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool
	}{{"reply waits", false}, {"command waits", true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := device(t, sim.Options{})
				b.script(sim.Fault{Do: sim.Late, Before: c.before, For: 5 * time.Second})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				if got, _, err := b.outcome(ctx, 1); got != sat.Unknown || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
					t.Errorf("%q after %v, %v", got, time.Since(start), err)
				}
				want := 1
				if c.before {
					want = 0
				}
				if n := len(b.Issued()); n != want {
					t.Errorf("issued %d amid the wait, want %d", n, want)
				}
				if r := b.send(sattest.Request(sat.ConsultarNumeroSessao, 2, "1")); r.Code != 11098 {
					t.Errorf("amid the wait: %s", r.Code)
				}
				time.Sleep(3 * time.Second) // the bubble's clock
				if r := b.send(sattest.Request(sat.ConsultarNumeroSessao, 2, "1")); r.Code != 6000 || r.Session != 1 {
					t.Errorf("after the wait: %s of %d", r.Code, r.Session)
				}
				b.script(sim.Fault{Do: sim.Late, Before: c.before, For: 5 * time.Second})
				start = time.Now()
				if got, _, err := b.outcome(t.Context(), 3); got != sat.Issued || time.Since(start) != 5*time.Second {
					t.Errorf("a patient caller: %q after %v, %v", got, time.Since(start), err)
				}
			})
		})
	}
}

func TestLateUntilReleased(t *testing.T) {
	b := device(t, sim.Options{})
	struck := b.script(sim.Fault{Do: sim.Late})
	go func() { <-struck; b.Release() }()
	if got, _, err := b.outcome(context.Background(), 1); got != sat.Issued {
		t.Errorf("%q, %v", got, err)
	}
	b.Release() // of nothing
	struck = b.script(sim.Fault{Do: sim.Late, Before: true})
	go func() { <-struck; b.Unplug() }()
	if got, _, err := b.outcome(context.Background(), 2); got != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("unplugged amid the wait: %q, %v", got, err)
	}
	b.Release()
	b.Plug()
	if n := len(b.Issued()); n != 2 {
		t.Errorf("the unplugged device went on: issued %d, want 2", n)
	}
}

// The device goes on with what it was doing while it is unplugged.
func TestUnpluggedDeviceGoesOn(t *testing.T) {
	b := device(t, sim.Options{})
	struck := b.script(sim.Fault{Do: sim.Late, Before: true})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-struck; cancel() }()
	b.outcome(ctx, 1)
	b.Unplug()
	b.Plug()
	if r := b.send(sattest.Request(sat.ConsultarSAT, 2)); r.Code != 8098 {
		t.Errorf("plugged in again: %s, the device should still work", r.Code)
	}
	b.Unplug()
	b.Release()
	if n := len(b.Issued()); n != 1 {
		t.Errorf("issued %d", n)
	}
}

func TestNeverAnsweredLeavesTheDeviceFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := device(t, sim.Options{})
		b.session = 100
		b.script(sim.Fault{Do: sim.Never})
		start := time.Now()
		if got, _, err := b.outcome(context.Background(), 1); got != sat.Unknown || time.Since(start) != sat.EnviarDadosVenda.Deadline() {
			t.Errorf("without a deadline of its own: %q after %v, %v", got, time.Since(start), err)
		}
		struck := b.script(sim.Fault{Do: sim.Never, Before: true})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { _, _, err := b.outcome(ctx, 2); ended <- err }()
		<-struck
		b.want(8000, sat.ConsultarSAT)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := len(b.Issued()); n != 1 {
			t.Errorf("issued %d", n)
		}
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := device(t, sim.Options{Latency: map[sat.Function]time.Duration{sat.EnviarDadosVenda: 1500 * time.Millisecond}})
		start := time.Now()
		ended := make(chan time.Duration, 1)
		go func() { b.outcome(t.Context(), 900); ended <- time.Since(start) }()
		synctest.Wait()
		b.want(8098, sat.ConsultarSAT)
		if d := <-ended; d != 1500*time.Millisecond {
			t.Errorf("the sale took %v", d)
		}
		b.want(8000, sat.ConsultarSAT)
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("other functions took %v", d)
		}
	})
}

func TestUnplugged(t *testing.T) {
	b := device(t, sim.Options{})
	b.Unplug()
	b.Unplug()
	if got, _, err := b.outcome(context.Background(), 1); got != sat.NotIssued || !errors.Is(err, sat.ErrGone) {
		t.Errorf("%q, %v", got, err)
	}
	b.Plug()
	b.Plug()
	b.sell()
	if _, err := b.Call(context.Background(), sat.Request{Function: sat.EnviarDadosVenda}); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("wrong arguments: %v", err)
	}
}
