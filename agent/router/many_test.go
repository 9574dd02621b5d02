package router

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sim"
)

// second is the identity of a second device, made once.
var second = sync.OnceValues(func() (*cfe.Signer, error) {
	ca, _ := identity()
	now := deviceClock(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	e := sim.TestEmitter(sim.SAT)
	return ca.Issue(cfe.DeviceCert{Serial: "900000002", CNPJ: e.CNPJ, Name: e.Name,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0)})
})

const secondCode = "87654321"

// withTwo runs a test with two devices, A and B, that have different activation
// codes. Change sees B and the options with A and may alter them.
func withTwo(t *testing.T, change func(*world, *sim.Sim, *Options), test func(w *world, b *sim.Sim)) {
	t.Helper()
	ca, signer := identity()
	signerB, err := second()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		clock := func() time.Time { return deviceClock(time.Now()) }
		a, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		b, err := sim.New(sim.Options{CA: ca, Signer: signerB, Serial: "900000002", Code: secondCode, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		codec, err := wire.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close()
		w := &world{t: t, dir: t.TempDir(), sim: a, codec: codec, next: 1}
		w.change = func(o *Options) { change(w, b, o) }
		w.start()
		defer func() { w.stop() }()
		test(w, b)
	})
}

// inShop is withTwo where till 001 has A of its own and till 002 B; both codes are
// known and both have sold before.
func inShop(t *testing.T, change func(*Options), test func(w *world, b *sim.Sim)) {
	t.Helper()
	both := func(_ *world, b *sim.Sim, o *Options) {
		o.Devices = append(o.Devices, DeviceOptions{Address: "B", Open: func(context.Context) (Conn, sat.Info, error) {
			return plugged{b}, sat.Info{Serial: "900000002", Name: "simulador"}, nil
		}})
		o.Own = map[string]string{"001": "900000001", "002": "900000002"}
		if change != nil {
			change(o)
		}
	}
	withTwo(t, both, func(w *world, b *sim.Sim) {
		code(t, "first sale of A", w.sellAt("001", 900, sim.DefaultCode, "AGUA"), 6000)
		code(t, "first sale of B", w.sellAt("002", 900, secondCode, "AGUA"), 6000)
		w.Delivered(sat.Request{Till: "001", Session: 900, Function: sat.EnviarDadosVenda})
		w.Delivered(sat.Request{Till: "002", Session: 900, Function: sat.EnviarDadosVenda})
		test(w, b)
	})
}

func (w *world) sellAt(till string, session int, activation, item string) sat.Reply {
	w.t.Helper()
	return w.call(till, session, sat.EnviarDadosVenda, activation, saleXML(item))
}

// issued counts both devices' documents and compares them with what goes out.
func (w *world) issued(b *sim.Sim, ofA, ofB int) {
	w.t.Helper()
	w.compare(slices.Concat(w.counted("A", w.sim, ofA), w.counted("B", b, ofB)))
}

func (w *world) events() (codes []string) {
	for _, i := range w.items(wire.StreamEvents) {
		codes = append(codes, i.Code)
	}
	return codes
}

func TestSaleGoesToTheTillsOwnDevice(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		code(t, "till 001", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		code(t, "till 002", w.sellAt("002", 1, secondCode, "PAO"), 6000)
		code(t, "a till that has none", w.sellAt("003", 1, sim.DefaultCode, "PAO"), 6000)
		w.issued(b, 3, 2)
	})
}

// While a till's own device is away its sales are another's, answered under the
// till's session, and the till may ask for them as ever.
func TestSaleGoesToAnotherDeviceWhileItsOwnIsAway(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.sim.Unplug()
		w.away.Store(true)
		time.Sleep(time.Minute) // found out by the look after it
		code(t, "is there a SAT", w.call("001", 5, sat.ConsultarSAT), 8000)
		first := w.sellAt("001", 1, sim.DefaultCode, "PAO")
		code(t, "sale", first, 6000)
		code(t, "the same once more", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		again := w.ask(1)
		code(t, "asked by session", again, 6000)
		if d, _ := again.Document(); d.Key == "" || !strings.Contains(string(first.Raw), d.Key) {
			t.Errorf("another document: %s", d.Key)
		}
		w.issued(b, 1, 2)
		w.sim.Plug()
		w.away.Store(false)
		w.Replugged()
		time.Sleep(3 * time.Second)
		code(t, "sale on its own again", w.sellAt("001", 2, sim.DefaultCode, "CAFE"), 6000)
		w.issued(b, 2, 2)
	})
}

// The cable comes out in the very sale: nobody knows whether A issued it, so B must
// not, until A has said that it did not.
func TestUnknownSaleStaysWithItsDevice(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			inShop(t, nil, func(w *world, b *sim.Sim) {
				w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: before})
				code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
				code(t, "again, as another session", w.sellAt("001", 2, sim.DefaultCode, "PAO"), 6098)
				code(t, "the next customer", w.sellAt("001", 3, sim.DefaultCode, "CHA"), 6000)
				w.sim.Plug()
				time.Sleep(10 * time.Second)
				issued := 1
				if !before {
					issued++
				}
				code(t, "again, once A is back", w.sellAt("001", 4, sim.DefaultCode, "PAO"), 6000)
				if before {
					issued++ // it certainly was not, so it is now
				}
				w.issued(b, issued, 2)
			})
		})
	}
}

// The store chose that a sale nobody can tell of is made by a second device: both
// are marked, and the collector hears the end of it.
func TestSecondDevice(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			inShop(t, func(o *Options) { o.SecondDevice = true }, func(w *world, b *sim.Sim) {
				w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: before})
				code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
				code(t, "the till tries again", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
				code(t, "and once more", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
				w.sim.Plug()
				time.Sleep(10 * time.Second)
				want, end := 1, wire.EventResolved
				if !before {
					want, end = 2, wire.EventIssuedTwice
				}
				w.issued(b, want, 2)
				if e := w.events(); !slices.Contains(e, wire.EventSecondDevice) || !slices.Contains(e, end) {
					t.Errorf("events: %v", e)
				}
				code(t, "the stored reply is that of the second", w.ask(1), 6000)
			})
		})
	}
}

func block(t *testing.T, s *sim.Sim, state sat.State) {
	t.Helper()
	if err := s.Set(sim.Settings{State: &state}); err != nil {
		t.Fatal(err)
	}
}

func TestRefusalOfTheDeviceGoesOn(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		block(t, w.sim, sat.StateBlockedSEFAZ)
		first := w.sellAt("001", 1, sim.DefaultCode, "PAO")
		code(t, "A is blocked", first, 6000)
		code(t, "repeated", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		if why := w.Devices()[0].Unfit; !strings.Contains(why, "SEFAZ") {
			t.Errorf("why A does not sell: %q", why)
		}
		code(t, "at once to B", w.sellAt("001", 2, sim.DefaultCode, "CHA"), 6000)
		w.issued(b, 1, 3)
		block(t, b, sat.StateBlockedContribuinte)
		code(t, "both blocked", w.sellAt("001", 3, sim.DefaultCode, "LEITE"), 6006)
		w.issued(b, 1, 3)
	})
}

// Whoever does not know a device's code sells on none.
func TestStrangersCodeOpensNoOtherDevice(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		code(t, "wrong code", w.sellAt("001", 1, "00000000", "PAO"), 6001)
		w.sim.Unplug()
		w.away.Store(true)
		time.Sleep(time.Minute)
		if r := w.sellAt("001", 2, "00000000", "PAO"); r.Code != 6099 {
			t.Errorf("wrong code, own device away: %s", r.Code)
		}
		w.issued(b, 1, 1)
	})
}

func TestCancellationGoesToTheDeviceThatIssued(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.sim.Unplug()
		w.away.Store(true)
		time.Sleep(time.Minute)
		d, err := w.sellAt("001", 1, sim.DefaultCode, "PAO").Document()
		if err != nil {
			t.Fatal(err)
		}
		w.sim.Plug()
		w.away.Store(false)
		time.Sleep(3 * time.Second)
		cancel := `<CFeCanc><infCFe chCanc="` + cfe.Key(d.Key).ID() + `"><ide><CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>` +
			`<numeroCaixa>001</numeroCaixa></ide><emit/><dest/><total/></infCFe></CFeCanc>`
		code(t, "cancellation", w.call("001", 2, sat.CancelarUltimaVenda, sim.DefaultCode, cfe.Key(d.Key).ID(), cancel), 7000)
		w.issued(b, 1, 3)
	})
}

// Two devices work at the same time, and a sale does not wait long for its own
// while another is free.
func TestDevicesWorkSideBySide(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		start := time.Now()
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Late, For: 20 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { code(t, "slow sale on A", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000) })
		time.Sleep(time.Second)
		wg.Go(func() {
			code(t, "another till of A", w.sellAt("003", 1, sim.DefaultCode, "PAO"), 6000)
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("it waited %s", took)
			}
		})
		wg.Wait()
		w.issued(b, 2, 2)
	})
}

// careful counts the wrong codes that a device is called with.
type careful struct {
	Conn
	wrong *atomic.Int32
}

func (c careful) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if code := req.Arg(sat.CodeParam); code != "" && code != sim.DefaultCode {
		c.wrong.Add(1)
	}
	return c.Conn.Call(ctx, req)
}

// A till's own device is that also while it is away and the agent has just started:
// the till's code is not tried on another.
func TestOwnDeviceAwayAtTheStart(t *testing.T) {
	var away atomic.Bool
	var wrong atomic.Int32 // codes that are not A's, tried on A
	own := func(o *Options) {
		openA := o.Devices[0].Open
		o.Devices[0].Open = func(ctx context.Context) (Conn, sat.Info, error) {
			c, info, err := openA(ctx)
			return careful{c, &wrong}, info, err
		}
		open := o.Devices[1].Open
		o.Devices[1].Open = func(ctx context.Context) (Conn, sat.Info, error) {
			if away.Load() {
				return nil, sat.Info{}, sat.ErrGone
			}
			return open(ctx)
		}
		o.Own["003"] = "a typing error"
	}
	inShop(t, own, func(w *world, b *sim.Sim) {
		away.Store(true)
		w.away.Store(true)
		w.restart()
		code(t, "both are away", w.sellAt("002", 1, secondCode, "PAO"), 6099)
		w.away.Store(false)
		time.Sleep(3 * time.Second)
		if e := w.events(); !slices.Contains(e, wire.EventDeviceGone) {
			t.Errorf("events: %v", e)
		}
		code(t, "its own is away", w.sellAt("002", 1, secondCode, "PAO"), 6000)
		code(t, "a till whose own device nobody knows", w.sellAt("003", 1, secondCode, "CHA"), 6000)
		if r := w.sellAt("003", 2, "00000000", "LEITE"); r.Code != 6099 && r.Code != 6098 {
			t.Errorf("and whose code nobody knows: %s", r.Code)
		}
		if n := wrong.Load(); n != 0 {
			t.Errorf("A was called with %d wrong codes", n)
		}
		away.Store(false)
		time.Sleep(3 * time.Second)
		code(t, "its own again", w.sellAt("002", 3, secondCode, "BOLO"), 6000)
		w.issued(b, 3, 2)
	})
}

// A device that comes from another computer is asked for its last session before
// it sells here: what it made there is archived, and is not taken for ours.
func TestDeviceThatServedAnotherComputer(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.sim.Unplug()
		w.away.Store(true)
		code(t, "asked while it is away", w.call("001", 1, sat.ConsultarSAT), 8000)
		w.sim.Plug()
		w.outside("VENDA EM OUTRO COMPUTADOR")
		w.away.Store(false)
		time.Sleep(5 * time.Second)
		w.issued(b, 2, 1) // before anybody sells
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never, Before: true})
		code(t, "a sale that is lost", w.sellAt("001", 2, sim.DefaultCode, "PAO"), 6098)
		time.Sleep(time.Minute)
		code(t, "it was not made", w.ask(2), 11003)
		w.issued(b, 2, 1)
	})
}

// A till that has no device of its own made a sale through a library on B, and nobody
// heard the answer: that A did not make it says nothing.
func TestSpooledCallOfATillWithoutADevice(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.stop()
		if _, err := b.Call(context.Background(), sat.Request{Session: 222222, Function: sat.EnviarDadosVenda, Args: []string{secondCode, saleXML("CAFE")}}); err != nil {
			t.Fatal(err)
		}
		w.leave(spooledCall("003", 222222, sat.EnviarDadosVenda, "", saleXML("CAFE")))
		w.start()
		time.Sleep(time.Minute)
		w.issued(b, 1, 2)
		code(t, "again", w.sellAt("003", 222222, secondCode, "CAFE"), 6000)
		w.issued(b, 1, 2)
	})
}

// The same device under two addresses is used by one of them.
func TestOneDeviceAtTwoAddresses(t *testing.T) {
	twice := func(o *Options) {
		o.Devices = append(o.Devices, DeviceOptions{Address: "A outra vez", Open: o.Devices[0].Open})
	}
	inShop(t, twice, func(w *world, b *sim.Sim) {
		all := w.Devices()
		if all[0].Answering == all[2].Answering || !strings.Contains(fmt.Sprint(all[0].Err, all[2].Err), "in use at") {
			t.Errorf("%+v", all)
		}
	})
}

// A library cannot tell its device. The agent learns it with the first code, takes
// it for granted after a start, and notices when another device answers instead:
// the case of the first waits for the first.
func TestLibraryWhoseDeviceIsSwapped(t *testing.T) {
	var swapped atomic.Bool
	mute := func(w *world, b *sim.Sim, o *Options) {
		o.Devices = []DeviceOptions{{Address: "biblioteca:x", Open: func(context.Context) (Conn, sat.Info, error) {
			if w.away.Load() {
				return nil, sat.Info{}, sat.ErrGone
			}
			if swapped.Load() {
				return plugged{b}, sat.Info{Where: "x"}, nil
			}
			return plugged{w.sim}, sat.Info{Where: "x"}, nil
		}}}
	}
	withTwo(t, mute, func(w *world, b *sim.Sim) {
		code(t, "is it there", w.call("001", 1, sat.ConsultarSAT), 8000)
		if s := w.Devices()[0]; s.Info.Serial != "" || !s.Answering {
			t.Errorf("before the first sale: %+v", s)
		}
		code(t, "sale", w.sellAt("001", 2, sim.DefaultCode, "PAO"), 6000)
		w.restart()
		if s := w.Devices()[0]; s.Info.Serial != "900000001" {
			t.Errorf("after a start: %+v", s)
		}
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale of unknown outcome", w.sellAt("001", 3, sim.DefaultCode, "CAFE"), 6098)
		w.away.Store(true)
		time.Sleep(time.Minute)
		swapped.Store(true)
		w.away.Store(false)
		time.Sleep(2 * time.Minute)
		if e := w.events(); !slices.Contains(e, wire.EventUnresolved) {
			t.Errorf("events: %v", e)
		}
		code(t, "first sale on the other", w.sellAt("001", 4, secondCode, "CHA"), 6098)
		all := w.Devices()
		if len(all) != 2 || all[0].Info.Serial != "900000002" || all[1].Info.Serial != "900000001" || all[1].OpenCases != 1 {
			t.Fatalf("with the other device: %+v", all)
		}
		code(t, "sale on the other", w.sellAt("001", 4, secondCode, "CHA"), 6000)
		w.away.Store(true)
		b.Unplug()
		code(t, "is it there", w.call("001", 6, sat.ConsultarSAT), 8099)
		w.sim.Plug()
		swapped.Store(false)
		w.away.Store(false)
		time.Sleep(time.Minute)
		code(t, "asked once the first is back", w.call("001", 5, sat.ConsultarNumeroSessao, sim.DefaultCode, "3"), 6000)
		w.issued(b, 2, 1)
	})
}

// vacant is a library whose device is not there: it stays open and says so.
type vacant struct {
	plugged
	w *world
}

func (v vacant) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if v.w.away.Load() {
		return sat.NewReply(req.Function, req.Session, req.Function.Failed()), nil
	}
	return v.plugged.Call(ctx, req)
}

// The cable of a library's device is pulled and put back; the library stays open.
func TestLibraryWhoseDeviceIsAway(t *testing.T) {
	library := func(w *world, b *sim.Sim, o *Options) {
		o.Devices[0].Open = func(context.Context) (Conn, sat.Info, error) {
			return vacant{plugged{w.sim}, w}, sat.Info{Serial: "900000001", Name: "simulador"}, nil
		}
	}
	withTwo(t, library, func(w *world, b *sim.Sim) {
		code(t, "sale", w.sell(1, "PAO"), 6000)
		w.away.Store(true)
		w.Replugged()
		time.Sleep(time.Second)
		if w.Devices()[0].Answering {
			t.Error("not noticed that the cable was pulled")
		}
		w.away.Store(false)
		w.Replugged()
		time.Sleep(time.Second)
		if !w.Devices()[0].Answering {
			t.Error("not noticed that it was put back")
		}
		code(t, "sale", w.sell(2, "CHA"), 6000)
		w.check(2)
	})
}
