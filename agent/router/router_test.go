package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// world is a till's whole agent side around a simulated device, in one bubble
// whose clock the test owns.
type world struct {
	t      *testing.T
	dir    string
	sim    *sim.Sim
	codec  *wire.Codec
	buffer *buffer.Buffer
	*Router
	stop func()
	next int // session of the next sale

	table  sat.CancelTable // of the tills
	change func(*Options)  // before the router is made; nil for none

	inUse, away atomic.Bool // another program has the device; it cannot be opened
}

// identity is made once: an RSA key is slow to make.
var identity = sync.OnceValues(func() (*cfe.CA, *cfe.Signer) {
	now := deviceClock(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // where a bubble's clock begins
	ca, err := cfe.NewTestCA(now.AddDate(-1, 0, 0))
	if err != nil {
		panic(err)
	}
	e := sim.TestEmitter(sim.SAT)
	s, err := ca.Issue(cfe.DeviceCert{Serial: "900000001", CNPJ: e.CNPJ, Name: e.Name,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0)})
	if err != nil {
		panic(err)
	}
	return ca, s
})

// deviceClock puts the device in a year in which there are CF-e.
func deviceClock(t time.Time) time.Time { return t.AddDate(25, 0, 0) }

// inWorld runs a test with an agent that is up and knows its device.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	ca, signer := identity()
	synctest.Test(t, func(t *testing.T) {
		s, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: func() time.Time { return deviceClock(time.Now()) }})
		if err != nil {
			t.Fatal(err)
		}
		codec, err := wire.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close()
		w := &world{t: t, dir: t.TempDir(), sim: s, codec: codec, next: 1}
		w.start()
		defer func() { w.stop() }()
		test(w)
	})
}

// plugged is the simulator as an opened device; it tells of an unplugged cable
// only when it is called.
type plugged struct{ *sim.Sim }

func (plugged) Close() error          { return nil }
func (plugged) Gone() <-chan struct{} { return nil }

func (w *world) start() {
	w.t.Helper()
	b, _, err := buffer.Open(filepath.Join(w.dir, "cupons.db"), buffer.Options{MaxBytes: 64 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.buffer = b
	o := Options{Buffer: b, Codec: w.codec, Codes: filepath.Join(w.dir, "codigos"), Now: time.Now,
		Bridge: w.dir, Reserve: w.reserve, TillTable: w.table,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Devices: []DeviceOptions{{Address: "simulador", Open: func(ctx context.Context) (Conn, sat.Info, error) {
			if w.away.Load() {
				return nil, sat.Info{}, sat.ErrGone
			}
			return plugged{w.sim}, sat.Info{Serial: "900000001", Name: "simulador", Driver: "usb"}, nil
		}}}}
	if w.change != nil {
		w.change(&o)
	}
	w.Router, err = New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Router.Run(ctx) }()
	w.stop = func() {
		cancel()
		<-done
		if err := b.Close(); err != nil {
			w.t.Error(err)
		}
	}
	time.Sleep(100 * time.Millisecond) // the bubble's clock: the device is opened
}

func (w *world) reserve(ctx context.Context) (func(), error) {
	for w.inUse.Load() {
		if !pause(ctx, 5*time.Millisecond) {
			return nil, errors.New("another program has it")
		}
	}
	return func() {}, nil
}

// restart stops the agent in the middle of whatever it does and starts it anew.
func (w *world) restart() {
	w.stop()
	w.start()
}

// dieSelling stops the agent a second into a sale.
func (w *world) dieSelling(session int, item string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		w.Router.Call(ctx, sat.Request{Till: "001", Session: session, Function: sat.EnviarDadosVenda, Args: []string{sim.DefaultCode, saleXML(item)}})
	}()
	time.Sleep(time.Second)
	w.stop()
	<-done
}

func (w *world) script(f sim.Fault) {
	w.t.Helper()
	if _, err := w.sim.Script(f); err != nil {
		w.t.Fatal(err)
	}
}

// call is what a till's library does: a call with the function's deadline, and
// word that the reply arrived.
func (w *world) call(till string, session int, f sat.Function, args ...string) sat.Reply {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), f.Deadline())
	defer cancel()
	req := sat.Request{Till: till, Session: session, Function: f, Args: args}
	start := time.Now()
	r, err := w.Router.Call(ctx, req)
	if err != nil {
		w.t.Fatalf("%s: %v", f, err)
	}
	if took := time.Since(start); took > f.Deadline() {
		w.t.Errorf("%s answered after %s", f, took)
	}
	sattest.CheckStrict(w.t, f, tillSession(session), r.Raw)
	again, err := sat.ParseReply(f, r.Raw)
	if err != nil {
		w.t.Fatalf("%s: the till cannot read %q: %v", f, r.Raw, err)
	}
	return again
}

func saleXML(item string) string {
	return `<CFe><infCFe versaoDadosEnt="0.08"><ide><CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>` +
		`<numeroCaixa>001</numeroCaixa></ide><emit><CNPJ>08723218000186</CNPJ><IE>562377111111</IE><indRatISSQN>N</indRatISSQN></emit><dest/>` +
		`<det nItem="1"><prod><cProd>1</cProd><xProd>` + item + `</xProd><CFOP>5102</CFOP><uCom>UN</uCom><qCom>1.0000</qCom><vUnCom>2.00</vUnCom><indRegra>A</indRegra></prod>` +
		`<imposto><ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>7.00</pICMS></ICMS00></ICMS><PIS><PISNT><CST>07</CST></PISNT></PIS>` +
		`<COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det><total/><pgto><MP><cMP>01</cMP><vMP>2.00</vMP></MP></pgto></infCFe></CFe>`
}

func (w *world) sell(session int, item string) sat.Reply {
	return w.call("001", session, sat.EnviarDadosVenda, sim.DefaultCode, saleXML(item))
}

func (w *world) delivered(session int, f sat.Function) {
	w.Delivered(sat.Request{Till: "001", Session: session, Function: f})
}

func (w *world) ask(session int) sat.Reply {
	return w.call("001", 800000+session, sat.ConsultarNumeroSessao, sim.DefaultCode, fmt.Sprint(session))
}

// items decodes what waits in a stream.
func (w *world) items(stream string) (out []wire.Item) {
	w.t.Helper()
	records, err := w.buffer.Peek(stream, 0, 1000, 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range records {
		var i wire.Item
		if err := w.codec.Decode(r.Data, &i); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, i)
	}
	return out
}

// check compares the outgoing documents with what the device says it issued:
// none lost, none doubled, byte for byte.
func (w *world) check(issued int) {
	w.t.Helper()
	w.compare(w.counted("the device", w.sim, issued))
}

// counted are the documents of a device, which should have issued so many.
func (w *world) counted(name string, s *sim.Sim, want int) []sim.Record {
	w.t.Helper()
	if n := len(s.Issued()); n != want {
		w.t.Errorf("%s issued %d documents, want %d", name, n, want)
	}
	return s.Issued()
}

func (w *world) compare(issued []sim.Record) {
	w.t.Helper()
	have := map[string]int{}
	for _, i := range w.items(wire.StreamDocuments) {
		have[string(i.Body)]++
	}
	for _, r := range issued {
		if have[string(r.XML)] != 1 {
			w.t.Errorf("document %s goes out %d times", r.Key, have[string(r.XML)])
		}
	}
	if len(have) != len(issued) {
		w.t.Errorf("%d different documents go out, %d were issued", len(have), len(issued))
	}
}

func code(t *testing.T, what string, r sat.Reply, want sat.Code) {
	t.Helper()
	if r.Code != want {
		t.Errorf("%s: %s %q, want %s", what, r.Code, r.Message, want)
	}
}

func TestSaleAndItsRepetitions(t *testing.T) {
	inWorld(t, func(w *world) {
		first := w.sell(1, "CAFE")
		code(t, "sale", first, 6000)
		if first.Session != 1 {
			t.Errorf("answered session %d", first.Session)
		}
		w.delivered(1, sat.EnviarDadosVenda)
		again := w.sell(1, "CAFE")
		if string(again.Raw) != string(first.Raw) {
			t.Errorf("the same session answered differently:\n%s\n%s", first.Raw, again.Raw)
		}
		for range 3 {
			if asked := w.ask(1); string(asked.Raw) != string(first.Raw) {
				t.Errorf("the session query answers %s", asked.Raw)
			}
		}
		code(t, "same session, other sale", w.sell(1, "CHA"), 6097)
		code(t, "session never used", w.ask(77), 11003)
		code(t, "an equal sale of the next customer", w.sell(2, "CAFE"), 6000)
		w.check(2)
	})
}

// Whatever the device does with the reply, one document is made, goes out once,
// and the till gets it in the end.
func TestReplyGoesAstray(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sim.Fault
		want  sat.Code // of the call itself
	}{
		{"half", sim.Fault{Do: sim.Half}, 6000},
		{"garbage", sim.Fault{Do: sim.Garbage}, 6000},
		{"of another session", sim.Fault{Do: sim.Other}, 6000},
		{"never", sim.Fault{Do: sim.Never}, 6098},
		{"two minutes late", sim.Fault{Do: sim.Late, For: 2 * time.Minute}, 6098},
		{"carried out late", sim.Fault{Do: sim.Late, Before: true, For: 2 * time.Minute}, 6098},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				code(t, "sale before", w.sell(1, "PAO"), 6000)
				c.fault.Function = sat.EnviarDadosVenda
				w.script(c.fault)
				code(t, "sale", w.sell(2, "CAFE"), c.want)
				time.Sleep(3 * time.Minute)
				code(t, "the session, asked later", w.ask(2), 6000)
				code(t, "sale after", w.sell(3, "CHA"), 6000)
				w.check(3)
			})
		})
	}
}

func TestNotIssuedIsFoundOutAndSaid(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sim.Fault
	}{
		{"busy", sim.Fault{Do: sim.Busy}},
		{"garbage instead of a sale", sim.Fault{Do: sim.Garbage, Before: true}},
		{"silence instead of a sale", sim.Fault{Do: sim.Never, Before: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				code(t, "sale before", w.sell(1, "PAO"), 6000)
				c.fault.Function = sat.EnviarDadosVenda
				w.script(c.fault)
				if r := w.sell(2, "CAFE"); r.Code != 6099 && r.Code != 6098 {
					t.Errorf("sale: %s", r.Code)
				}
				time.Sleep(3 * time.Minute)
				code(t, "the session, asked later", w.ask(2), 11003)
				code(t, "the same sale again, same session", w.sell(2, "CAFE"), 6000)
				w.check(2)
			})
		})
	}
}

func TestCableOut(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			inWorld(t, func(w *world) {
				code(t, "sale before", w.sell(1, "PAO"), 6000)
				w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: before})
				code(t, "sale", w.sell(2, "CAFE"), 6098)
				code(t, "asked while the cable is out", w.ask(2), 11098)
				code(t, "another sale while the cable is out", w.sell(3, "CHA"), 6098)
				time.Sleep(3 * time.Second)
				w.sim.Plug()
				time.Sleep(10 * time.Second) // nobody asks: the agent resolves it by itself
				if n := w.Devices()[0].OpenCases; n != 0 {
					t.Errorf("%d cases still open", n)
				}
				if before {
					code(t, "asked later", w.ask(2), 11003)
					w.check(1)
					return
				}
				code(t, "asked later", w.ask(2), 6000)
				w.check(2)
				var codes []string
				for _, i := range w.items(wire.StreamEvents) {
					codes = append(codes, i.Code)
					if i.Code == wire.EventDeviceBack && i.Detail["driver"] != "usb" {
						t.Errorf("%s: %v", i.Code, i.Detail)
					}
				}
				slices.Sort(codes)
				if !slices.Equal(slices.Compact(codes), []string{wire.EventDeviceBack, wire.EventDeviceGone, wire.EventResolved, wire.EventUnresolved}) {
					t.Errorf("events: %v", codes)
				}
			})
		})
	}
}

// The agent dies while the device works; the next one finds out before it lets
// anything else near the device.
func TestAgentDiesDuringASale(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			inWorld(t, func(w *world) {
				code(t, "sale before", w.sell(1, "PAO"), 6000)
				w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never, Before: before})
				w.dieSelling(2, "CAFE")
				w.start()
				if before {
					code(t, "asked after the restart", w.ask(2), 11003)
					w.check(1)
					return
				}
				code(t, "asked after the restart", w.ask(2), 6000)
				w.check(2)
			})
		})
	}
}

// The answer was written but the till never had it: the same sale under another
// session is that sale, once; after that it is another one.
func TestUndeliveredSaleIsNotSoldTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "CAFE"), 6000)
		key1 := w.sim.Issued()[0].Key
		w.restart()
		again := w.sell(2, "CAFE")
		code(t, "the same sale under a new session", again, 6000)
		if d, err := again.Document(); err != nil || d.Key != key1 || again.Session != 2 {
			t.Errorf("got document %s under session %d, want %s: %v", d.Key, again.Session, key1, err)
		}
		w.check(1)
		w.delivered(2, sat.EnviarDadosVenda)
		code(t, "the new session can be asked", w.ask(2), 6000)
		w.restart()
		code(t, "the next customer buys the same", w.sell(3, "CAFE"), 6000)
		w.check(2)
	})
}

func TestDeliveryByQueryCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "CAFE"), 6000)
		code(t, "asked", w.ask(1), 6000)
		w.delivered(800001, sat.ConsultarNumeroSessao)
		code(t, "the next customer buys the same", w.sell(2, "CAFE"), 6000)
		w.check(2)
	})
}

// The device issued and can no longer give the document: the collector is told,
// and the till is never allowed to sell the same again unasked.
func TestDocumentMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale before", w.sell(1, "PAO"), 6000)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale", w.sell(2, "CAFE"), 6098)
		synctest.Wait() // the device was asked in vain
		w.sim.Plug()
		w.outside("BOLO") // the maker's tool sells before the agent is back
		time.Sleep(10 * time.Second)
		r := w.ask(2)
		code(t, "asked", r, 11098)
		if !strings.Contains(r.Message, "Nao repita") {
			t.Errorf("the till is told %q", r.Message)
		}
		code(t, "the same sale, new session", w.sell(3, "CAFE"), 6098)
		code(t, "another sale goes on", w.sell(4, "CHA"), 6000)
		issued := w.sim.Issued()
		if len(issued) != 4 {
			t.Errorf("the device issued %d documents", len(issued))
		}
		var events []string
		for _, e := range w.items(wire.StreamEvents) {
			events = append(events, e.Code)
		}
		if !strings.Contains(strings.Join(events, " "), wire.EventDocumentMissing) {
			t.Errorf("events: %v", events)
		}
		documents := w.items(wire.StreamDocuments)
		if len(documents) != 3 || string(documents[1].Body) != string(issued[2].XML) {
			t.Errorf("%d documents go out; the one made outside must be among them", len(documents))
		}
	})
}

// outside makes a sale on the device behind the agent's back.
func (w *world) outside(item string) {
	w.t.Helper()
	r, err := w.sim.Call(context.Background(), sat.Request{Session: 1234, Function: sat.EnviarDadosVenda, Args: []string{sim.DefaultCode, saleXML(item)}})
	if err != nil || r.Code != 6000 {
		w.t.Fatalf("sale outside the agent: %s, %v", r.Code, err)
	}
}

// A sale that was never made is told from the one document that somebody else
// made since.
func TestDocumentOfAnotherIsNotTakenForOurs(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale before", w.sell(1, "PAO"), 6000)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: true})
		code(t, "sale", w.sell(2, "CAFE"), 6098)
		synctest.Wait() // the device was asked in vain
		w.sim.Plug()
		w.outside("BOLO")
		time.Sleep(10 * time.Second)
		code(t, "asked", w.ask(2), 11003)
		code(t, "the same sale again", w.sell(3, "CAFE"), 6000)
		w.check(3)
	})
}

func TestTillsDoNotMeet(t *testing.T) {
	inWorld(t, func(w *world) {
		var wg sync.WaitGroup
		for _, till := range []string{"001", "002", "003", "004"} {
			wg.Go(func() {
				for i := range 10 {
					r := w.call(till, 100+i, sat.EnviarDadosVenda, sim.DefaultCode, saleXML("ITEM "+till+" "+fmt.Sprint(i)))
					d, err := r.Document()
					if r.Code != 6000 || err != nil || !strings.Contains(string(d.XML), "ITEM "+till) {
						t.Errorf("till %s sale %d: %s", till, i, r.Code)
					}
				}
			})
		}
		wg.Wait()
		w.check(40)
		for _, till := range []string{"001", "004"} {
			r := w.call(till, 900, sat.ConsultarUltimaSessaoFiscal, sim.DefaultCode)
			d, err := r.Document()
			if err != nil || !strings.Contains(string(d.XML), "ITEM "+till+" 9") || r.Session != 109 {
				t.Errorf("till %s: last fiscal session %d, %v", till, r.Session, err)
			}
		}
		code(t, "a till that never sold", w.call("009", 1, sat.ConsultarUltimaSessaoFiscal, sim.DefaultCode), 19003)
	})
}

func TestCancellation(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "CAFE"), 6000)
		key := w.sim.Issued()[0].Key
		xml := `<CFeCanc><infCFe chCanc="CFe` + key + `"><ide><CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>` +
			`<numeroCaixa>001</numeroCaixa></ide><emit/><dest/><total/></infCFe></CFeCanc>`
		w.script(sim.Fault{Function: sat.CancelarUltimaVenda, Do: sim.Half})
		code(t, "cancellation", w.call("001", 2, sat.CancelarUltimaVenda, sim.DefaultCode, "CFe"+key, xml), 7000)
		code(t, "cancelled twice", w.call("001", 3, sat.CancelarUltimaVenda, sim.DefaultCode, "CFe"+key, xml), 7000)
		w.delivered(3, sat.CancelarUltimaVenda)
		code(t, "made again after it was delivered", w.call("001", 4, sat.CancelarUltimaVenda, sim.DefaultCode, "CFe"+key, xml), 7007)
		w.table = sat.NewTable
		w.restart()
		r := w.call("001", 5, sat.CancelarUltimaVenda, sim.DefaultCode, "CFe"+key, xml)
		code(t, "for programs of the new table", r, 7010)
		code(t, "asked by programs of the new table", w.ask(5), 7010)
		if r.Alert != "1218" {
			t.Errorf("the reason is now %s", r.Alert)
		}
		w.check(2)
	})
}

func TestActivationCode(t *testing.T) {
	inWorld(t, func(w *world) {
		if w.Devices()[0].CodeKnown {
			t.Fatal("a code is known before anybody gave it")
		}
		code(t, "wrong code", w.call("001", 1, sat.EnviarDadosVenda, "87654321", saleXML("CAFE")), 6001)
		if w.Devices()[0].CodeKnown {
			t.Error("a wrong code was learnt")
		}
		code(t, "right code", w.sell(2, "CAFE"), 6000)
		if _, c := w.Code(""); c != sim.DefaultCode {
			t.Errorf("learnt %q", c)
		}
		code(t, "a stranger asks for a stored reply", w.call("001", 900, sat.ConsultarNumeroSessao, "87654321", "2"), 11001)
		w.restart()
		if _, c := w.Code(""); c != sim.DefaultCode {
			t.Errorf("after a restart the code is %q", c)
		}
		changed := w.call("001", 3, sat.TrocarCodigoDeAtivacao, sim.DefaultCode, "1", "abcdefgh", "abcdefgh")
		code(t, "code changed", changed, 18000)
		code(t, "sale with the old code", w.sell(4, "CHA"), 6001)
		if _, c := w.Code(""); c != "abcdefgh" {
			t.Errorf("the new code is not known: %q", c)
		}
		elsewhere := sat.Request{Function: sat.TrocarCodigoDeAtivacao, Session: 1, Args: []string{"abcdefgh", "1", "outro-novo", "outro-novo"}}
		if reply, err := w.sim.Call(context.Background(), elsewhere); err != nil || reply.Code != 18000 {
			t.Fatalf("%s, %v", reply.Code, err)
		}
		code(t, "sale with the code of before", w.call("001", 5, sat.EnviarDadosVenda, "abcdefgh", saleXML("CHA")), 6001)
		if w.Devices()[0].CodeKnown {
			t.Error("a code that the device refused is kept")
		}
	})
}

func TestMonitorWaitsForOpenCases(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale before", w.sell(1, "PAO"), 6000)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
		code(t, "sale", w.sell(2, "CAFE"), 6098)
		w.sim.Plug()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		r, err := w.Device("").Call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{sim.DefaultCode}})
		if err != nil || !r.Code.Success() {
			t.Fatalf("status: %s, %v", r.Code, err)
		}
		// The device remembers one session once: had the poll come first, the
		// document would be gone.
		code(t, "asked", w.ask(2), 6000)
		w.check(2)
	})
}

func TestOtherFunctionsPassThrough(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "ConsultarSAT", w.call("001", 1, sat.ConsultarSAT), 8000)
		status := w.call("001", 2, sat.ConsultarStatusOperacional, sim.DefaultCode)
		if s, err := status.Status(); err != nil || s.Serial != "900000001" {
			t.Errorf("status %+v, %v", s, err)
		}
		logs := w.call("001", 3, sat.ExtrairLogs, sim.DefaultCode)
		if b, err := logs.Log(); err != nil || len(b) == 0 {
			t.Errorf("log of %d bytes, %v", len(b), err)
		}
		test := w.call("001", 4, sat.TesteFimAFim, sim.DefaultCode, saleXML("TESTE"))
		code(t, "TesteFimAFim", test, 9000)
		if n := len(w.items(wire.StreamDocuments)); n != 1 {
			t.Errorf("%d documents go out after a test", n)
		}
		code(t, "its session", w.ask(4), 9000)
		if _, err := w.Router.Call(t.Context(), sat.Request{Function: sat.ConsultarSAT, Args: []string{"x"}}); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("a call with too many arguments: %v", err)
		}
	})
}

func TestSessionsOutsideTheRange(t *testing.T) {
	for in, want := range map[int]int{0: 0, 999999: 999999, 1000000: 0, 1234567: 234567, -1: 999999} {
		if got := tillSession(in); got != want {
			t.Errorf("session %d is taken for %d, want %d", in, got, want)
		}
	}
}

func TestDeviceSessionsNeverRepeatAcrossRestarts(t *testing.T) {
	inWorld(t, func(w *world) {
		seen := map[int]bool{}
		for range 3 {
			for range 1500 {
				s, err := w.journal.deviceSession()
				if err != nil || s < 100000 || s > 999999 || seen[s] {
					t.Fatalf("session %d, seen %v, %v", s, seen[s], err)
				}
				seen[s] = true
			}
			w.restart()
		}
		if got := wrapSession(1000000); got != 100000 {
			t.Errorf("after the last session comes %d", got)
		}
	})
}
