package sim_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// certificates are made once for all tests of the package: RSA keys take time.
var certificates = sync.OnceValues(func() (*cfe.CA, *cfe.Signer) {
	ca, err := cfe.NewTestCA(noon())
	if err != nil {
		panic(err)
	}
	signer, err := ca.Issue(cfe.DeviceCert{Serial: "900000001", CNPJ: "08723218000186", Name: "LOJA DE TESTE",
		NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(4, 0, 0)})
	if err != nil {
		panic(err)
	}
	return ca, signer
})

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, sat.Brasilia()) }

// bench is a device whose clock the test holds.
type bench struct {
	*testing.T
	*sim.Sim
	now     time.Time
	session int
}

// device makes a simulator at noon.
func device(t *testing.T, o sim.Options) *bench {
	t.Helper()
	b := &bench{T: t, now: noon()}
	o.Clock = func() time.Time { return b.now }
	if o.CA == nil {
		o.CA, o.Signer = certificates()
	}
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b.Sim = s
	return b
}

// ask makes a call under the next session and checks the form of the reply.
func (b *bench) ask(f sat.Function, args ...string) sat.Reply {
	b.Helper()
	b.session++
	return b.send(sattest.Request(f, b.session, args...))
}

func (b *bench) send(req sat.Request) sat.Reply {
	b.Helper()
	r, err := b.Call(context.Background(), req)
	if err != nil {
		b.Fatalf("%s: %v", req.Function, err)
	}
	sattest.CheckStrict(b.T, r.Function, r.Session, r.Raw)
	return r
}

// want is ask with the code that must come.
func (b *bench) want(code sat.Code, f sat.Function, args ...string) sat.Reply {
	b.Helper()
	r := b.ask(f, args...)
	if r.Code != code {
		b.Errorf("%s answers %s %q %q, want %s", f, r.Code, r.Alert, r.Message, code)
	}
	return r
}

// refuses wants a refusal with this code and CCCC.
func (b *bench) refuses(code sat.Code, alert string, f sat.Function, args ...string) {
	b.Helper()
	if r := b.want(code, f, args...); string(r.Alert) != alert {
		b.Errorf("%s %s has CCCC %q (%s), want %q", f, r.Code, r.Alert, r.Message, alert)
	}
}

// sell issues a sale and returns its document.
func (b *bench) sell() sat.Document {
	b.Helper()
	d, err := b.want(6000, sat.EnviarDadosVenda, sattest.SaleXML("10.00", "")).Document()
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) cancel(key string) sat.Reply {
	b.Helper()
	return b.ask(sat.CancelarUltimaVenda, "CFe"+key, sattest.CancelXML(key))
}

func (b *bench) set(c sim.Settings) {
	b.Helper()
	if err := b.Set(c); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) status() sat.Status {
	b.Helper()
	s, err := b.want(10000, sat.ConsultarStatusOperacional).Status()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func TestDocumentsOfEveryKindAndLayoutVerify(t *testing.T) {
	for _, kind := range []sim.Kind{sim.SAT, sim.MFE} {
		for _, layout := range []string{"0.06", "0.07", "0.08"} {
			for _, env := range []sim.Environment{sim.Production, sim.Test} {
				t.Run(fmt.Sprintf("%s %s tpAmb %d", kind, layout, env), func(t *testing.T) {
					b := device(t, sim.Options{Kind: kind, Layout: layout, Environment: env})
					e := sim.TestEmitter(kind)
					ie := e.IE
					if layout != "0.08" {
						ie += strings.Repeat(" ", 12-len(ie))
					}
					was := sim.TestEmitter(sim.SAT)
					input := strings.NewReplacer(`versaoDadosEnt="0.08"`, `versaoDadosEnt="`+layout+`"`, was.CNPJ, e.CNPJ, was.IE, ie).
						Replace(sattest.SaleXML("12.34", "11144477735"))
					sale, err := b.want(6000, sat.EnviarDadosVenda, input).Document()
					if err != nil {
						t.Fatal(err)
					}
					cancel, err := b.cancel(sale.Key).Document()
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range []sat.Document{sale, cancel} {
						checkDocument(t, b, d, layout)
					}
				})
			}
		}
	}
}

// checkDocument compares a reply with the document in it.
func checkDocument(t *testing.T, b *bench, d sat.Document, layout string) {
	t.Helper()
	if v := cfe.Verify(d.XML, b.Roots()); v.Signature != cfe.Verified || v.QR != cfe.Verified || !v.Trusted {
		t.Errorf("not verified: %+v", v)
	}
	p, err := cfe.Parse(d.XML)
	if err != nil {
		t.Fatal(err)
	}
	if string(p.Key) != d.Key || p.Total != d.Total || p.Consumer != d.Consumer || p.QRSignature != d.QRSignature ||
		!p.Issued.Equal(d.Time) || p.Layout != layout || p.Serial != "900000001" {
		t.Errorf("the reply says %+v, the document %+v", d, p)
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	var runs [2]string
	for i := range runs {
		b := device(t, sim.Options{Seed: 7})
		first := b.sell()
		b.cancel(first.Key)
		b.sell()
		for _, r := range b.Issued() {
			runs[i] += string(r.Reply)
		}
	}
	if runs[0] != runs[1] {
		t.Error("two devices with the same clock and seed issued different bytes")
	}
	other := device(t, sim.Options{Seed: 8})
	if other.sell(); strings.Contains(runs[0], other.Issued()[0].Key) {
		t.Error("another seed gave the same key")
	}
}

func TestSaleRefusals(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(sattest.SaleXML("10.00", ""), old, new, 1) }
	for _, c := range []struct {
		name  string
		code  sat.Code
		alert string
		input string
	}{
		{"no XML", 6010, "1999", "venda"},
		{"empty", 6010, "1999", ""},
		{"other taxpayer", 6010, "1203", edit("08723218000186", "14200166000166")},
		{"unknown layout", 6010, "1004", edit("0.08", "0.11")},
		{"product without code", 6010, "1459", edit("<cProd>116</cProd>", "<cProd> </cProd>")},
		{"paid too little", 6010, "1408", edit("<vMP>10.00", "<vMP>9.99")},
		{"above the limit", 6010, "1409", sattest.SaleXML("500.01", "")},
		{"other application", 6004, "0000", edit("SGR-SAT", "XXX-SAT")},
		{"too large", 6005, "0000", strings.Repeat(" ", cfe.MaxIssued+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := device(t, sim.Options{MaxTotal: 50000})
			b.refuses(c.code, c.alert, sat.EnviarDadosVenda, c.input)
			if len(b.Issued()) != 0 {
				t.Error("a refused sale was issued")
			}
			b.sell()
		})
	}
}

func TestAlertsAccompanyASuccess(t *testing.T) {
	b := device(t, sim.Options{})
	old := strings.Replace(sattest.SaleXML("10.00", ""), "0.08", "0.07", 1)
	if r := b.want(6000, sat.EnviarDadosVenda, old); r.Alert != "1005" {
		t.Errorf("CCCC %q for an older layout, want 1005", r.Alert)
	}
}

func TestClockGoingBackwards(t *testing.T) {
	b := device(t, sim.Options{})
	b.sell()
	b.set(sim.Settings{ClockOffset: new("-1h")})
	b.refuses(6010, "1258", sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	b.set(sim.Settings{ClockOffset: new("0s")})
	b.sell()
}

func TestNumberWraps(t *testing.T) {
	b := device(t, sim.Options{})
	b.set(sim.Settings{Number: new(999998)})
	for _, want := range []int{999999, 1, 2} {
		if n := cfe.Key(b.sell().Key).Number(); n != want {
			t.Errorf("nCFe %d, want %d", n, want)
		}
	}
}

func TestEndToEndTestLeavesNoTrace(t *testing.T) {
	b := device(t, sim.Options{})
	b.sell()
	last := b.status().LastKey
	d, err := b.want(9000, sat.TesteFimAFim, sattest.SaleXML("1.00", "")).Document()
	if err != nil || cfe.Key(d.Key).Number() != 0 {
		t.Errorf("key %s, %v", d.Key, err)
	}
	if v := cfe.Verify(d.XML, b.Roots()); v.Signature != cfe.Verified || v.QR != cfe.Verified {
		t.Errorf("%+v", v)
	}
	if b.status().LastKey != last || len(b.Issued()) != 1 {
		t.Error("the test document counts as issued")
	}
	b.want(9099, sat.TesteFimAFim, "<CFe/>")
	b.set(sim.Settings{Online: new(false)})
	b.want(9099, sat.TesteFimAFim, sattest.SaleXML("1.00", ""))
	b.set(sim.Settings{State: new(sat.StateBlockedContribuinte)})
	b.want(9006, sat.TesteFimAFim, sattest.SaleXML("1.00", ""))
	b.set(sim.Settings{State: new(sat.StateBlockedSEFAZ)})
	b.want(9007, sat.TesteFimAFim, sattest.SaleXML("1.00", ""))
}

func TestCancellation(t *testing.T) {
	b := device(t, sim.Options{})
	first, second := b.sell(), b.sell()
	b.now = b.now.Add(29 * time.Minute)
	r := b.cancel(first.Key) // not the last sale
	d, err := r.Document()
	if err != nil || r.Code != 7000 || d.Total != first.Total || cfe.Key(d.Key).Number() != 3 {
		t.Fatalf("%s: %+v, %v", r.Code, d, err)
	}
	records := b.Issued()
	if last := records[len(records)-1]; last.Cancels != first.Key || last.Key != d.Key || last.Session != b.session {
		t.Errorf("recorded %+v", last)
	}
	if r := b.cancel(first.Key); r.Code != 7007 || r.Alert != "1218" {
		t.Errorf("cancelled twice: %s %s", r.Code, r.Alert)
	}
	if r := b.cancel(d.Key); r.Code != 7007 || r.Alert != "1412" {
		t.Errorf("a cancellation cancelled: %s %s", r.Code, r.Alert)
	}
	if r := b.cancel(strings.Repeat("3", 44)); r.Code != 7007 || r.Alert != "1270" {
		t.Errorf("no key: %s %s", r.Code, r.Alert)
	}
	if r := b.cancel("35150708723218000186599000040190000215133408"); r.Code != 7007 || r.Alert != "1412" {
		t.Errorf("another device's sale: %s %s", r.Code, r.Alert)
	}
	b.refuses(7007, "1270", sat.CancelarUltimaVenda, "CFe"+first.Key, sattest.CancelXML(second.Key))
	b.refuses(7007, "1999", sat.CancelarUltimaVenda, "CFe"+second.Key, "<x")
	b.now = b.now.Add(2 * time.Minute)
	if r := b.cancel(second.Key); r.Code != 7007 || r.Alert != "1412" {
		t.Errorf("after 31 minutes: %s %s", r.Code, r.Alert)
	}
}

// The codes of a cancellation follow one of two tables (dossier 2.4).
func TestCancellationCodes(t *testing.T) {
	for _, c := range []struct {
		name      string
		new       bool
		codes     [5]sat.Code // contribuinte, SEFAZ, autonomous, content, other application
		notLinked sat.Code
	}{
		{"old table", false, [5]sat.Code{7003, 7004, 7005, 7007, 7007}, 7099},
		{"new table", true, [5]sat.Code{7006, 7007, 7008, 7010, 7004}, 7003},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := device(t, sim.Options{NewCodes: c.new})
			key := b.sell().Key
			wants := func(code sat.Code) {
				t.Helper()
				if r := b.cancel(key); r.Code != code {
					t.Errorf("got %s, want %s", r.Code, code)
				}
			}
			for i, state := range []sat.State{sat.StateBlockedContribuinte, sat.StateBlockedSEFAZ, sat.StateBlockedAutonomous} {
				b.set(sim.Settings{State: &state})
				wants(c.codes[i])
				b.set(sim.Settings{State: new(sat.StateUnblocked)})
			}
			b.want(c.codes[3], sat.CancelarUltimaVenda, "CFe"+key, "")
			b.want(c.codes[4], sat.CancelarUltimaVenda, "CFe"+key, strings.Replace(sattest.CancelXML(key), "SGR", "XXX", 1))
			wants(7000)
			fresh := device(t, sim.Options{NewCodes: c.new, Factory: true})
			fresh.want(4000, sat.AtivarSAT, "1", "08723218000186", "35")
			if r := fresh.cancel(key); r.Code != c.notLinked {
				t.Errorf("not linked: %s", r.Code)
			}
		})
	}
}

func BenchmarkSale(b *testing.B) {
	ca, signer := certificates()
	s, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: noon})
	if err != nil {
		b.Fatal(err)
	}
	for session := 0; b.Loop(); session++ {
		if r, err := s.Call(b.Context(), sattest.Sale(session%1000000)); err != nil || r.Code != 6000 {
			b.Fatal(r.Code, err)
		}
	}
}
