package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/sim"
)

// hooked is a device whose calls a test may answer itself: before is asked first,
// and answers when it returns true.
type hooked struct {
	plugged
	before func(context.Context, sat.Request) (sat.Reply, error, bool)
}

func (h hooked) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if h.before != nil {
		if reply, err, done := h.before(ctx, req); done {
			return reply, err
		}
	}
	return h.plugged.Call(ctx, req)
}

// mute waits as a device does that hangs.
func mute(ctx context.Context) (sat.Reply, error, bool) {
	<-ctx.Done()
	return sat.Reply{}, ctx.Err(), true
}

// hook puts a hook before a device of the world's options.
func hook(d *DeviceOptions, before func(context.Context, sat.Request) (sat.Reply, error, bool)) {
	open := d.Open
	d.Open = func(ctx context.Context) (Conn, sat.Info, error) {
		conn, info, err := open(ctx)
		if err != nil {
			return nil, info, err
		}
		return hooked{conn.(plugged), before}, info, nil
	}
}

// gate lets a device of the options be opened only while it is not shut.
func gate(d *DeviceOptions, shut *atomic.Bool) {
	open := d.Open
	d.Open = func(ctx context.Context) (Conn, sat.Info, error) {
		if shut.Load() {
			return nil, sat.Info{}, sat.ErrGone
		}
		return open(ctx)
	}
}

// A sale that a till's library made on B without the agent is B's also when B
// cannot be opened as soon as A after a start.
func TestSpooledCallWaitsForItsDevice(t *testing.T) {
	var shut atomic.Bool
	inShop(t, func(o *Options) { gate(&o.Devices[1], &shut) }, func(w *world, b *sim.Sim) {
		w.stop()
		_, err := b.Call(context.Background(), sat.Request{Session: 222222, Function: sat.EnviarDadosVenda, Args: []string{secondCode, saleXML("CAFE")}})
		if err != nil {
			t.Fatal(err)
		}
		w.leave(spooledCall("002", 222222, sat.EnviarDadosVenda, "", saleXML("CAFE")))
		shut.Store(true)
		w.start()
		time.Sleep(time.Minute)
		shut.Store(false)
		w.Replugged()
		time.Sleep(time.Minute)
		w.issued(b, 1, 2)
		code(t, "the till tries again", w.sellAt("002", 222222, secondCode, "CAFE"), 6000)
		w.issued(b, 1, 2)
	})
}

// After a start the till's own device is away: its code is not tried on another.
func TestCodeIsNotTriedOnAnotherDevice(t *testing.T) {
	var shut atomic.Bool
	var tried atomic.Int32
	inShop(t, func(o *Options) {
		gate(&o.Devices[1], &shut)
		hook(&o.Devices[0], func(_ context.Context, req sat.Request) (sat.Reply, error, bool) {
			if req.Arg(sat.CodeParam) == secondCode {
				tried.Add(1)
			}
			return sat.Reply{}, nil, false
		})
	}, func(w *world, b *sim.Sim) {
		shut.Store(true)
		w.restart()
		code(t, "sale of B's till", w.sellAt("002", 1, secondCode, "CAFE"), 6000)
		code(t, "sale of a till that has none", w.sellAt("003", 1, secondCode, "PAO"), 6000)
		code(t, "status", w.call("003", 2, sat.ConsultarStatusOperacional, secondCode), 10000)
		w.issued(b, 3, 1)
		if tried.Load() > 0 {
			t.Errorf("B's code was tried on A %d times", tried.Load())
		}
	})
}

// A case stands aside while its device is still being asked: what it says then does
// not undo that, and the collector hears of both.
func TestAsideIsKeptWhileTheDeviceIsAsked(t *testing.T) {
	var busy atomic.Bool
	inShop(t, func(o *Options) {
		o.SecondDevice = true
		hook(&o.Devices[0], func(_ context.Context, req sat.Request) (sat.Reply, error, bool) {
			if !busy.Load() || !req.Function.AsksSession() {
				return sat.Reply{}, nil, false
			}
			return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil, true
		})
	}, func(w *world, b *sim.Sim) {
		busy.Store(true)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never})
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		time.Sleep(30 * time.Second)
		code(t, "the till tries again", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		busy.Store(false)
		time.Sleep(30 * time.Second)
		w.issued(b, 2, 2)
		if e := w.events(); !slices.Contains(e, wire.EventIssuedTwice) {
			t.Errorf("events: %v", e)
		}
	})
}

// A case stood aside, but the second device did not sell either: the till hears that
// it is being looked after, and when the first says that it did issue, that is the
// sale, and nothing was issued twice.
func TestAsideCaseIsTheSaleAfterAll(t *testing.T) {
	inShop(t, func(o *Options) { o.SecondDevice = true }, func(w *world, b *sim.Sim) {
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		block(t, b, sat.StateBlockedSEFAZ)
		code(t, "B refuses", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		w.sim.Plug()
		time.Sleep(30 * time.Second)
		code(t, "again, once A is back", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		w.issued(b, 2, 1)
		if e := w.events(); slices.Contains(e, wire.EventIssuedTwice) {
			t.Errorf("told that it was issued twice: %v", e)
		}
	})
}

// Neither device tells at first, and then both say that they issued.
func TestBothDevicesTellLate(t *testing.T) {
	for _, first := range []string{"A", "B"} {
		t.Run(first+" first", func(t *testing.T) {
			inShop(t, func(o *Options) { o.SecondDevice = true }, func(w *world, b *sim.Sim) {
				w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
				code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
				if _, err := b.Script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug}); err != nil {
					t.Fatal(err)
				}
				code(t, "made again", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
				back := []*sim.Sim{w.sim, b}
				if first == "B" {
					slices.Reverse(back)
				}
				for _, s := range back {
					s.Plug()
					time.Sleep(30 * time.Second)
				}
				code(t, "once more", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
				w.issued(b, 2, 2)
				n := 0
				for _, i := range w.items(wire.StreamEvents) {
					if i.Code == wire.EventIssuedTwice {
						n++
						if i.Detail["key"] == "" || i.Detail["twin"] == "" || i.Detail["key"] == i.Detail["twin"] {
							t.Errorf("told of %v", i.Detail)
						}
					}
				}
				if n != 1 {
					t.Errorf("told %d times that it was issued twice: %v", n, w.events())
				}
			})
		})
	}
}

// A case that was settled in the moment in which it was to stand aside, or to be told
// of, stays settled.
func TestEndedCaseStaysEnded(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		before := w.journal.open()[0]
		w.sim.Plug()
		time.Sleep(30 * time.Second)
		stale := *before
		stale.Disputed = false
		w.unresolved(&stale, errElsewhere)
		if err := w.setAside(before); err != nil {
			t.Error(err)
		}
		if left := w.journal.open(); len(left) > 0 {
			t.Errorf("open again: %+v", left[0])
		}
		code(t, "the sale, asked", w.ask(1), 6000)
		w.restart()
		code(t, "and after a restart", w.ask(1), 6000)
		w.issued(b, 2, 1)
	})
}

// fill takes all room of the buffer, and free gives it back.
func (w *world) fill() (free func()) {
	w.t.Helper()
	room := make([]byte, 1<<20)
	n := byte(0)
	for ; ; n++ {
		b := &buffer.Batch{}
		b.Put("fill", []byte{n + 1}, room)
		if _, err := w.buffer.Commit(b); errors.Is(err, buffer.ErrFull) {
			if room = room[:len(room)/2]; len(room) < 512 {
				break
			}
		} else if err != nil {
			w.t.Fatal(err)
		}
	}
	return func() {
		b := &buffer.Batch{}
		for i := range n {
			b.Delete("fill", []byte{i + 1})
		}
		if _, err := w.buffer.Commit(b); err != nil {
			w.t.Fatal(err)
		}
	}
}

// The disk is full when the device answers. The till has its answer, and what waits
// to be written does not grow, nor does it undo that the till has it.
func TestAnswerThatCannotBeWritten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Late, For: 10 * time.Second})
		done := make(chan sat.Reply, 1)
		go func() { done <- w.sell(1, "PAO") }()
		time.Sleep(5 * time.Second)
		free := w.fill()
		code(t, "sale", <-done, 6000)
		w.delivered(1, sat.EnviarDadosVenda)
		time.Sleep(time.Hour)
		free()
		time.Sleep(10 * time.Second)
		w.check(1)
		code(t, "an equal sale of the next customer", w.sell(2, "PAO"), 6000)
		w.check(2)
	})
}

// A case that stays open keeps no other call in the journal.
func TestJournalIsBoundedBehindAnOpenCase(t *testing.T) {
	inShop(t, nil, func(w *world, b *sim.Sim) {
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		for i := range queryCalls + 50 {
			e := entry{Till: "001", Session: 1000 + i, Function: sat.BloquearSAT, State: answered, Reply: []byte("x")}
			if _, err := w.journal.record(e, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.journal.latest("001")); n != queryCalls {
			t.Errorf("the journal holds %d calls", n)
		}
		w.restart()
		if n := len(w.journal.latest("001")); n != queryCalls {
			t.Errorf("after a restart the journal holds %d calls", n)
		}
		w.sim.Plug()
		time.Sleep(30 * time.Second)
		code(t, "the open one", w.ask(1), 6000)
	})
}

// A device that was opened says once what it did last, and then nothing more.
func TestWhatADeviceSaysOnceIsKept(t *testing.T) {
	var shut atomic.Bool
	var said atomic.Bool
	var failing atomic.Bool
	inShop(t, func(o *Options) {
		gate(&o.Devices[0], &shut)
		hook(&o.Devices[0], func(_ context.Context, req sat.Request) (sat.Reply, error, bool) {
			switch {
			case failing.Load() && req.Function == sat.ConsultarStatusOperacional:
				return sat.Reply{}, errors.New("no answer"), true
			case failing.Load() && req.Function == sat.ConsultarUltimaSessaoFiscal && said.Load():
				return sat.NewReply(req.Function, req.Session, 19003), nil, true
			case failing.Load() && req.Function == sat.ConsultarUltimaSessaoFiscal:
				said.Store(true)
			}
			return sat.Reply{}, nil, false
		})
	}, func(w *world, b *sim.Sim) {
		shut.Store(true)
		w.sim.Unplug()
		w.call("001", 1, sat.ConsultarSAT)
		w.sim.Plug()
		w.outside("VENDA EM OUTRO COMPUTADOR")
		failing.Store(true)
		shut.Store(false)
		time.Sleep(time.Minute)
		if !said.Load() {
			t.Fatal("not asked")
		}
		w.issued(b, 2, 1)
	})
}

// A device says a document once, and then does not answer the last question about an
// open case. In the next round the document is still known, and not lost.
func TestDocumentSaidInAnEarlierRound(t *testing.T) {
	var said atomic.Bool
	var failing atomic.Bool
	inShop(t, func(o *Options) {
		hook(&o.Devices[0], func(_ context.Context, req sat.Request) (sat.Reply, error, bool) {
			switch {
			case failing.Load() && req.Function == sat.ConsultarStatusOperacional:
				return sat.Reply{}, errors.New("no answer"), true
			case req.Function == sat.ConsultarUltimaSessaoFiscal && said.Load():
				return sat.NewReply(req.Function, req.Session, 19003), nil, true
			case failing.Load() && req.Function == sat.ConsultarUltimaSessaoFiscal:
				said.Store(true)
			}
			return sat.Reply{}, nil, false
		})
	}, func(w *world, b *sim.Sim) {
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: true})
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
		synctest.Wait() // the device was asked in vain
		w.sim.Plug()
		w.outside("VENDA EM OUTRO COMPUTADOR")
		failing.Store(true)
		time.Sleep(time.Minute)
		failing.Store(false)
		time.Sleep(time.Minute)
		w.issued(b, 2, 1)
		code(t, "it was not made", w.ask(1), 11003)
	})
}

// Some devices leave the field of the last key empty: that takes nothing from what
// is known of them, and a sale they forgot is not taken for one they did not make.
func TestEmptyLastKeyForgetsNothing(t *testing.T) {
	var shut atomic.Bool
	var dev atomic.Pointer[sim.Sim]
	inShop(t, func(o *Options) {
		gate(&o.Devices[0], &shut)
		hook(&o.Devices[0], func(ctx context.Context, req sat.Request) (sat.Reply, error, bool) {
			switch {
			case dev.Load() == nil:
				return sat.Reply{}, nil, false
			case req.Function.AsksSession():
				return sat.NewReply(req.Function, req.Session, req.Function.Success()+3), nil, true
			case req.Function != sat.ConsultarStatusOperacional:
				return sat.Reply{}, nil, false
			}
			reply, err := dev.Load().Call(ctx, req)
			if s, serr := reply.Status(); serr == nil {
				reply, err = sat.ParseReply(req.Function, bytes.Replace(reply.Raw, []byte(s.LastKey), nil, 1))
			}
			return reply, err, true
		})
	}, func(w *world, b *sim.Sim) {
		dev.Store(w.sim)
		shut.Store(true)
		w.sim.Unplug()
		w.call("001", 1, sat.ConsultarSAT)
		w.sim.Plug()
		shut.Store(false)
		time.Sleep(time.Minute)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never})
		code(t, "sale, forgotten by the device", w.sellAt("001", 2, sim.DefaultCode, "PAO"), 6098)
		time.Sleep(time.Minute)
		code(t, "is not settled", w.ask(2), 11098)
	})
}

// A device that hangs, but does not go away, does not take the shop's time: the sale
// is another's.
func TestDeviceThatHangsIsLeft(t *testing.T) {
	for _, when := range []string{"when it was opened", "with an open case, and somebody else waits for it"} {
		t.Run(when, func(t *testing.T) {
			var hangs atomic.Bool
			inShop(t, func(o *Options) {
				hook(&o.Devices[0], func(ctx context.Context, req sat.Request) (sat.Reply, error, bool) {
					if hangs.Load() {
						return mute(ctx)
					}
					return sat.Reply{}, nil, false
				})
			}, func(w *world, b *sim.Sim) {
				hangs.Store(true)
				if when == "when it was opened" {
					w.restart()
				} else {
					code(t, "sale that hangs", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6098)
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					go w.Device("A").Call(ctx, sat.Request{Function: sat.ConsultarSAT})
					go w.Device("").Call(ctx, sat.Request{Function: sat.ConsultarSAT})
				}
				for i := range 40 {
					time.Sleep(7 * time.Second)
					start := time.Now()
					code(t, "sale", w.sellAt("001", 10+i, sim.DefaultCode, fmt.Sprint("CAFE ", i)), 6000)
					// One with an open case is not even tried.
					if took := time.Since(start); took > 10*time.Second || took > time.Second && len(w.journal.open()) > 0 {
						t.Errorf("sale %d took %s", i, took)
					}
				}
			})
		})
	}
}

// That a till has another answer under a session does not say that it has the
// document.
func TestAnotherAnswerIsNoDelivery(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale, its answer is lost", w.sell(1, "PAO"), 6000)
		code(t, "other content under the session", w.sell(1, "CHA"), 6097)
		w.delivered(1, sat.EnviarDadosVenda)
		code(t, "the sale again", w.sell(2, "PAO"), 6000)
		w.check(1)
	})
}

// A till's time runs out while its call waits for the computer's lock: it is not
// made any more.
func TestNothingIsSoldAfterTheTillsTime(t *testing.T) {
	var slow atomic.Int64
	inShop(t, func(o *Options) {
		o.Reserve = func(context.Context) (func(), error) {
			time.Sleep(time.Duration(slow.Load()))
			return func() {}, nil
		}
	}, func(w *world, b *sim.Sim) {
		slow.Store(int64(2 * time.Minute))
		if r := w.sellAt("001", 1, sim.DefaultCode, "PAO"); r.Code.Success() {
			t.Errorf("sold: %s", r.Code)
		}
		slow.Store(0)
		time.Sleep(5 * time.Minute)
		w.issued(b, 1, 1)
	})
}

// A neighbour comes back to a case after a thousand others: it hears that the sale was
// made, and it is not made again. What nobody comes back to is forgotten in the end.
func TestLentCaseOfLongAgo(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		req := sat.Request{Till: "001", Session: 1, Function: sat.EnviarDadosVenda, Args: []string{"", saleXML("PAO")}}
		lend := func(id string) wire.Ending {
			ending, _, err := n.Lend(context.Background(), "eu", id, req)
			if err != nil {
				t.Fatal(err)
			}
			return ending
		}
		if e := lend("caso"); e != wire.EndingReplied {
			t.Fatalf("lent: %d", e)
		}
		n.AskCase(context.Background(), "eu", "proibido")
		for i := range queryCalls {
			e := entry{Till: "eu/001", Session: 1000 + i, Function: sat.BloquearSAT, State: answered, Reply: []byte("x")}
			if _, err := n.journal.record(e, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, restart := range []bool{false, true} {
			if restart {
				n.restart()
			}
			if e, _, _ := n.AskCase(context.Background(), "eu", "caso"); e != wire.EndingMissing {
				t.Errorf("restart=%v: asked: %d", restart, e)
			}
			if e := lend("caso"); e != wire.EndingMissing {
				t.Errorf("restart=%v: lent again: %d", restart, e)
			}
			if e := lend("proibido"); e != wire.EndingNothing {
				t.Errorf("restart=%v: the forbidden one: %d", restart, e)
			}
		}
		both(w, n, 1, 2)
		long := &buffer.Batch{}
		for table, id := range map[string]string{tableFences: "proibido", tableLent: "caso"} {
			long.Put(table, []byte(id), fmt.Append(nil, time.Now().Add(-caseKeeps-time.Hour).UnixMilli()))
		}
		if _, err := n.buffer.Commit(long); err != nil {
			t.Fatal(err)
		}
		n.restart()
		if len(n.journal.fenced)+len(n.journal.lent) > 0 {
			t.Errorf("kept for ever: %v, %v", n.journal.fenced, n.journal.lent)
		}
	})
}

// The cable of a library's device is put into another one while the library stays open;
// both have the same activation code. The sale on the other is not taken for one not made.
func TestLibrarysDeviceIsSwappedWhileOpen(t *testing.T) {
	var swapped atomic.Bool
	var dev atomic.Pointer[sim.Sim]
	withTwo(t, func(w *world, b *sim.Sim, o *Options) {
		dev.Store(b)
		o.Devices = []DeviceOptions{{Address: "biblioteca:x", Open: func(context.Context) (Conn, sat.Info, error) {
			return hooked{plugged{w.sim}, func(ctx context.Context, req sat.Request) (sat.Reply, error, bool) {
				if !swapped.Load() {
					return sat.Reply{}, nil, false
				}
				if req.Arg(sat.CodeParam) == sim.DefaultCode {
					req = req.WithArg(sat.CodeParam, secondCode) // the same code on both
				}
				r, err := dev.Load().Call(ctx, req)
				return r, err, true
			}}, sat.Info{Where: "x"}, nil
		}}}
	}, func(w *world, b *sim.Sim) {
		code(t, "sale on A", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		w.delivered(1, sat.EnviarDadosVenda)
		swapped.Store(true)
		w.Replugged()
		time.Sleep(10 * time.Second)
		w.sellAt("001", 2, sim.DefaultCode, "CAFE")
		time.Sleep(time.Minute)
		swapped.Store(false)
		w.Replugged()
		time.Sleep(time.Minute)
		w.sellAt("001", 2, sim.DefaultCode, "CAFE")
		w.issued(b, 1, 1)
	})
}
