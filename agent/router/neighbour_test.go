package router

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sim"
)

// lane is the network between a till's agent and its neighbour's: it can be cut
// before a call leaves, and on the way back.
type lane struct {
	to   *world
	how  atomic.Value // of string: "" whole, "before": nothing leaves, "there": the call is lost, "back": the answer is lost
	late chan func()
}

func (l *lane) cut() string {
	how, _ := l.how.Load().(string)
	return how
}

func (l *lane) Name() string { return "vizinho" }

func (l *lane) Offers() []wire.Lendable {
	if l.cut() == "before" {
		return nil
	}
	return l.to.Offers()
}

func (l *lane) Sell(ctx context.Context, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
	switch l.cut() {
	case "before":
		return 0, sat.Reply{}, sat.ErrNotSent
	case "there":
		if l.late != nil {
			l.late <- func() { l.to.Lend(context.Background(), "eu", id, req) }
		}
		return 0, sat.Reply{}, errors.New("the cable was pulled")
	}
	ending, reply, err := l.to.Lend(ctx, "eu", id, req)
	if l.cut() == "back" {
		return 0, sat.Reply{}, errors.New("the cable was pulled")
	}
	return ending, reply, err
}

func (l *lane) Ask(ctx context.Context, id string) (wire.Ending, sat.Reply, error) {
	if l.cut() != "" {
		return 0, sat.Reply{}, errors.New("no connection")
	}
	return l.to.AskCase(ctx, "eu", id)
}

// besides runs a test with a till of its own SAT, A, and a neighbour that has B.
// Both have sold before.
func besides(t *testing.T, test func(w, neighbour *world, l *lane)) {
	t.Helper()
	var l lane
	alone := func(w *world, b *sim.Sim, o *Options) {
		o.Neighbours = func() []Neighbour { return []Neighbour{&l} }
	}
	withTwo(t, alone, func(w *world, b *sim.Sim) {
		n := &world{t: t, dir: t.TempDir(), sim: b, codec: w.codec, next: 1}
		n.change = func(o *Options) {
			o.Devices[0].Open = func(context.Context) (Conn, sat.Info, error) {
				return plugged{b}, sat.Info{Serial: "900000002", Name: "simulador"}, nil
			}
		}
		n.start()
		defer func() { n.stop() }()
		l.to = n
		code(t, "first sale here", w.sellAt("001", 900, sim.DefaultCode, "AGUA"), 6000)
		code(t, "first sale there", n.sellAt("001", 900, secondCode, "AGUA"), 6000)
		w.delivered(900, sat.EnviarDadosVenda)
		n.delivered(900, sat.EnviarDadosVenda)
		w.sim.Unplug()
		w.away.Store(true)
		code(t, "is there a SAT", w.call("001", 901, sat.ConsultarSAT), 8000)
		test(w, n, &l)
	})
}

// both counts the documents of the two devices; each goes out from where its device
// is, once.
func both(w, n *world, here, there int) {
	w.t.Helper()
	w.check(here)
	n.check(there)
}

func TestSaleIsBorrowed(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		first := w.sell(1, "PAO")
		code(t, "sale", first, 6000)
		code(t, "the same once more", w.sell(1, "PAO"), 6000)
		code(t, "asked by session", w.ask(1), 6000)
		d, err := first.Document()
		if err != nil {
			t.Fatal(err)
		}
		cancel := `<CFeCanc><infCFe chCanc="` + cfe.Key(d.Key).ID() + `"><ide><CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>` +
			`<numeroCaixa>001</numeroCaixa></ide><emit/><dest/><total/></infCFe></CFeCanc>`
		code(t, "cancellation", w.call("001", 2, sat.CancelarUltimaVenda, sim.DefaultCode, cfe.Key(d.Key).ID(), cancel), 7000)
		both(w, n, 1, 3)
		w.sim.Plug()
		w.away.Store(false)
		time.Sleep(3 * time.Second)
		code(t, "its own again", w.sell(3, "CHA"), 6000)
		both(w, n, 2, 3)
	})
}

// The network fails at each point of a borrowed sale. Only when nothing left is it
// made elsewhere; otherwise the till hears that it is being looked after, and in
// the end the sale exists once.
func TestBorrowedSaleAndACutNetwork(t *testing.T) {
	for _, cut := range []string{"before", "there", "back"} {
		for _, restart := range []bool{false, true} {
			t.Run(cut, func(t *testing.T) {
				besides(t, func(w, n *world, l *lane) {
					offers := n.Offers()
					l.how.Store(cut)
					want := sat.Code(6098)
					if cut == "before" {
						want = 6099
					}
					code(t, "sale", w.sell(1, "PAO"), want)
					code(t, "again, as another session", w.sell(2, "PAO"), want)
					if restart {
						w.restart()
						n.restart()
					}
					l.how.Store("")
					time.Sleep(20 * time.Second)
					code(t, "again", w.sell(3, "PAO"), 6000)
					code(t, "and again", w.sell(3, "PAO"), 6000)
					both(w, n, 1, 2)
					if len(offers) != 1 || offers[0].Serial != "900000002" || offers[0].CNPJ != sim.TestEmitter(sim.SAT).CNPJ || offers[0].Unfit != "" {
						t.Errorf("offers: %+v", offers)
					}
				})
			})
		}
	}
}

// A call that was asked about before it arrived is not carried out when it does.
func TestFence(t *testing.T) {
	for _, restart := range []bool{false, true} {
		besides(t, func(w, n *world, l *lane) {
			l.late = make(chan func(), 1)
			l.how.Store("there")
			code(t, "sale", w.sell(1, "PAO"), 6098)
			l.how.Store("")
			time.Sleep(20 * time.Second)
			if restart {
				n.restart()
			}
			(<-l.late)()
			code(t, "again", w.sell(2, "PAO"), 6000)
			both(w, n, 1, 2)
		})
	}
}

// The neighbour's device fails in the sale that it lends.
func TestLentSaleOfUnknownOutcome(t *testing.T) {
	for _, before := range []bool{true, false} {
		besides(t, func(w, n *world, l *lane) {
			n.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: before})
			code(t, "sale", w.sell(1, "PAO"), 6098)
			n.sim.Plug()
			time.Sleep(30 * time.Second)
			code(t, "again", w.sell(2, "PAO"), 6000)
			both(w, n, 1, 2)
			if s := append(w.Devices(), n.Devices()...); slices.ContainsFunc(s, func(d DeviceState) bool { return d.OpenCases > 0 }) {
				t.Errorf("open cases: %+v", s)
			}
		})
	}
}

// A lender whose journal was lost cannot say that it did not issue.
func TestLenderLosesItsJournal(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		l.how.Store("back")
		code(t, "sale", w.sell(1, "PAO"), 6098)
		n.stop()
		if err := os.Remove(filepath.Join(n.dir, "cupons.db")); err != nil {
			t.Fatal(err)
		}
		n.start()
		l.how.Store("")
		time.Sleep(time.Minute)
		code(t, "again", w.sell(2, "PAO"), 6098)
		if n := len(n.sim.Issued()); n != 2 {
			t.Errorf("%d documents there", n)
		}
	})
}

// The same case twice at once, as a network doubles it, is one sale.
func TestLentSaleArrivesTwice(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		req := sat.Request{Till: "001", Session: 1, Function: sat.EnviarDadosVenda, Args: []string{"", saleXML("PAO")}}
		keys := make(chan string, 3)
		for range 3 {
			go func() {
				ending, reply, err := n.Lend(context.Background(), "eu", "caso", req)
				if ending != wire.EndingReplied || err != nil {
					t.Errorf("ending %d, %v", ending, err)
				}
				keys <- string(keyOf(reply))
			}()
		}
		if a, b, c := <-keys, <-keys, <-keys; a != b || b != c || a == "" {
			t.Errorf("documents %s, %s, %s", a, b, c)
		}
		both(w, n, 1, 2)
	})
}

// The neighbour's device is slow: nobody asks about the sale while it is being made,
// and nothing is told of it.
func TestSlowLoan(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		n.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Late, For: 30 * time.Second})
		code(t, "sale", w.sell(1, "PAO"), 6000)
		both(w, n, 1, 2)
		if e := w.events(); slices.Contains(e, wire.EventUnresolved) {
			t.Errorf("events: %v", e)
		}
	})
}

// What must not be lent.
func TestNotLent(t *testing.T) {
	besides(t, func(w, n *world, l *lane) {
		sale := sat.Request{Till: "001", Session: 1, Function: sat.EnviarDadosVenda, Args: []string{"", saleXML("PAO")}}
		for name, c := range map[string]struct {
			id   string
			req  sat.Request
			fail bool
		}{
			"no case":             {"", sale, true},
			"another function":    {"a", sat.Request{Session: 1, Function: sat.BloquearSAT, Args: []string{""}}, true},
			"too few arguments":   {"b", sat.Request{Session: 1, Function: sat.EnviarDadosVenda}, true},
			"a code of no device": {"c", sale.WithArg(sat.CodeParam, "00000000"), false},
			"another CNPJ":        {"d", sale.WithArg("dadosVenda", `<CFe><infCFe versaoDadosEnt="0.08"><emit><CNPJ>16716114000172</CNPJ></emit></infCFe></CFe>`), false},
		} {
			ending, _, err := n.Lend(context.Background(), "eu", c.id, c.req)
			if (err != nil) != c.fail || !c.fail && ending != wire.EndingNothing {
				t.Errorf("%s: ending %d, %v", name, ending, err)
			}
		}
		both(w, n, 1, 1)
	})
}
