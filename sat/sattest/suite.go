// Package sattest is the conformance suite that every [sat.Device] must pass: a
// simulator stands behind the driver under test and tells what really happened.
// Only tests import it.
package sattest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sim"
)

// Bench is a device under test.
type Bench struct {
	Device sat.Device
	Sim    *sim.Sim // the simulator it reaches
	// Unplug takes the device away and returns when the driver has noticed.
	Unplug func()
	// Reopen plugs the device in again, if need be, and opens it anew.
	Reopen func() sat.Device
}

// Opener makes a simulator with the options and opens the device under test in
// front of it. What it starts it stops by t.Cleanup.
type Opener func(t *testing.T, o sim.Options) *Bench

// Run runs the suite. Each part has a simulator of its own.
func Run(t *testing.T, open Opener) {
	ca, err := cfe.NewTestCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ca.Issue(cfe.DeviceCert{Serial: "900000001", CNPJ: "08723218000186", Name: "TESTE",
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(4, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name    string
		options sim.Options
		test    func(*testing.T, *Bench)
	}{
		{"all sixteen functions", sim.Options{Factory: true}, everyFunction},
		{"documents", sim.Options{}, documents},
		{"failures keep their code", sim.Options{}, failures},
		{"concurrent callers", sim.Options{}, concurrentCallers},
		{"deadline", sim.Options{}, deadline},
		{"context ended before", sim.Options{}, endedBefore},
		{"context cancelled amid a call", sim.Options{}, cancelledAmid},
		{"busy", sim.Options{}, busy},
		{"another session's reply", sim.Options{}, otherSession},
		{"half a reply", sim.Options{}, func(t *testing.T, b *Bench) { unreadable(t, b, sim.Half) }},
		{"garbage", sim.Options{}, func(t *testing.T, b *Bench) { unreadable(t, b, sim.Garbage) }},
		{"unplugged before the first byte", sim.Options{}, unpluggedBefore},
		{"unplugged midway", sim.Options{}, func(t *testing.T, b *Bench) { unplugged(t, b, true) }},
		{"unplugged after the last byte", sim.Options{}, func(t *testing.T, b *Bench) { unplugged(t, b, false) }},
		{"unplugged after the reply", sim.Options{}, unpluggedAfterReply},
		{"unknown sale, asked after reopening", sim.Options{}, lostAndAsked},
		{"one session remembered once", sim.Options{}, rememberedOnce},
		{"generous memory", sim.Options{Memory: sim.Generous}, rememberedOften},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.options.CA, part.options.Signer = ca, signer
			part.test(t, open(t, part.options))
		})
	}
}

// patience bounds every call that is expected to succeed.
const patience = 20 * time.Second

// call makes a call that must be answered, and checks the reply's form.
func call(t *testing.T, d sat.Device, req sat.Request) sat.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := d.Call(ctx, req)
	if err != nil {
		t.Fatalf("%s: %v", req.Function, err)
	}
	CheckStrict(t, r.Function, r.Session, r.Raw)
	return r
}

// want makes a call that must be answered with this code under its own session.
func want(t *testing.T, d sat.Device, req sat.Request, code sat.Code) sat.Reply {
	t.Helper()
	r := call(t, d, req)
	if r.Code != code || r.Session != req.Session {
		t.Fatalf("%s session %06d: answered %s under %06d (%s), want %s", req.Function, req.Session, r.Code, r.Session, r.Message, code)
	}
	return r
}

func everyFunction(t *testing.T, b *Bench) {
	session := 0
	ok := func(f sat.Function, code sat.Code, args ...string) sat.Reply {
		t.Helper()
		session++
		return want(t, b.Device, Request(f, session, args...), code)
	}
	e := sim.TestEmitter(sim.SAT)
	ok(sat.AtivarSAT, 4000, "1", e.CNPJ, "35")
	ok(sat.AssociarAssinatura, 13000, "16716114000172"+e.CNPJ, signAC)
	ok(sat.ConsultarSAT, 8000)
	ok(sat.ConfigurarInterfaceDeRede, 12000, "<config><tipoInter>ETHE</tipoInter><tipoLan>DHCP</tipoLan><proxy>0</proxy></config>")
	ok(sat.TesteFimAFim, 9000, SaleXML("1.00", ""))
	sale := ok(sat.EnviarDadosVenda, 6000, SaleXML("25.50", "11144477735"))
	d, err := sale.Document()
	if err != nil {
		t.Fatal(err)
	}
	cancelSession := session + 1
	ok(sat.CancelarUltimaVenda, 7000, "CFe"+d.Key, CancelXML(d.Key))
	r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 500, fmt.Sprint(cancelSession)))
	if r.Code != 7000 || r.Session != cancelSession {
		t.Errorf("the stored reply is %s of session %d", r.Code, r.Session)
	}
	if r := call(t, b.Device, Request(sat.ConsultarUltimaSessaoFiscal, 501)); r.Code != 7000 || r.Session != cancelSession {
		t.Errorf("the last fiscal reply is %s of session %d", r.Code, r.Session)
	}
	status, err := ok(sat.ConsultarStatusOperacional, 10000).Status()
	if err != nil || status.Serial != "900000001" || len(status.LastKey) != 44 || status.State != sat.StateUnblocked {
		t.Errorf("status %+v, %v", status, err)
	}
	if log, err := ok(sat.ExtrairLogs, 15000).Log(); err != nil || !strings.Contains(string(log), "EnviarDadosVenda") {
		t.Errorf("log %q, %v", log, err)
	}
	ok(sat.AtualizarSoftwareSAT, 14000)
	ok(sat.TrocarCodigoDeAtivacao, 18000, "1", sim.DefaultCode, sim.DefaultCode)
	if err := b.Sim.Set(sim.Settings{Portal: new(sat.StateBlockedContribuinte)}); err != nil {
		t.Fatal(err)
	}
	ok(sat.BloquearSAT, 16000)
	if err := b.Sim.Set(sim.Settings{Portal: new(sat.StateUnblocked)}); err != nil {
		t.Fatal(err)
	}
	ok(sat.DesbloquearSAT, 17000)
	ok(sat.ComunicarCertificadoICPBRASIL, 5003, "MIIB")
}

// documents checks that what arrives is what was issued, byte for byte, and that
// it verifies.
func documents(t *testing.T, b *Bench) {
	sale := want(t, b.Device, Sale(1), 6000)
	d, err := sale.Document()
	if err != nil {
		t.Fatal(err)
	}
	cancel := want(t, b.Device, Cancel(2, d.Key), 7000)
	issued := b.Sim.Issued()
	if len(issued) != 2 {
		t.Fatalf("issued %d documents", len(issued))
	}
	for i, r := range []sat.Reply{sale, cancel} {
		d, err := r.Document()
		if err != nil || string(d.XML) != string(issued[i].XML) || d.Key != issued[i].Key {
			t.Errorf("document %d is not the one issued: %s, %v", i, d.Key, err)
		}
		if v := cfe.Verify(d.XML, b.Sim.Roots()); v.Signature != cfe.Verified || v.QR != cfe.Verified || !v.Trusted {
			t.Errorf("document %d: %+v", i, v)
		}
	}
}

func failures(t *testing.T, b *Bench) {
	bad := Sale(1)
	bad.Args[1] = strings.Replace(bad.Args[1], "<qCom>1.0000", "<qCom>x", 1)
	if r := want(t, b.Device, bad, 6010); r.Alert != "1464" || sat.OutcomeOf(bad, r, nil) != sat.NotIssued {
		t.Errorf("refusal with %q: %+v", r.Alert, r)
	}
	wrong := Sale(2).WithArg(sat.CodeParam, "87654321")
	want(t, b.Device, wrong, 6001)
	want(t, b.Device, Sale(2), 6097)
	unreadable := Sale(3)
	unreadable.Args[1] = "\xff\x00<CFe"
	want(t, b.Device, unreadable, 6010)
	want(t, b.Device, Cancel(4, strings.Repeat("1", 44)), 7007)
	if n := len(b.Sim.Issued()); n != 0 {
		t.Errorf("issued %d documents", n)
	}
}

func concurrentCallers(t *testing.T, b *Bench) {
	var callers sync.WaitGroup
	for i := range 6 {
		callers.Go(func() {
			for j := range 8 {
				req := Sale(i*10 + j + 1)
				if j%2 == 1 {
					req = Request(sat.ConsultarSAT, req.Session)
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				r, err := b.Device.Call(ctx, req)
				cancel()
				if err != nil || r.Session != req.Session || r.Code != req.Function.Success() {
					t.Errorf("caller %d: session %d of %s answered %s under %d, %v", i, req.Session, req.Function, r.Code, r.Session, err)
				}
			}
		})
	}
	callers.Wait()
	if n := len(b.Sim.Issued()); n != 24 {
		t.Errorf("issued %d documents, want 24", n)
	}
}

func script(t *testing.T, b *Bench, f sim.Fault) <-chan struct{} {
	t.Helper()
	struck, err := b.Sim.Script(f)
	if err != nil {
		t.Fatal(err)
	}
	return struck
}

// outcome makes a call and returns its outcome, which must be true to what the
// simulator did.
func outcome(t *testing.T, ctx context.Context, b *Bench, req sat.Request) (sat.Outcome, error) {
	t.Helper()
	before := len(b.Sim.Issued())
	r, err := b.Device.Call(ctx, req)
	got, more := sat.OutcomeOf(req, r, err), len(b.Sim.Issued())-before
	if got == sat.Issued && more != 1 || got == sat.NotIssued && more != 0 {
		t.Errorf("outcome %q, but the device issued %d documents", got, more)
	}
	return got, err
}

func deadline(t *testing.T, b *Bench) {
	script(t, b, sim.Fault{Do: sim.Never})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	got, err := outcome(t, ctx, b, Sale(1))
	if got != sat.Unknown || err == nil {
		t.Errorf("outcome %q, %v", got, err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("the call took %v", d)
	}
	r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 2, "1"))
	if r.Code != 6000 || r.Session != 1 {
		t.Errorf("the unanswered sale is recovered as %s of session %d", r.Code, r.Session)
	}
}

func endedBefore(t *testing.T, b *Bench) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := outcome(t, ctx, b, Sale(1)); got != sat.NotIssued || !errors.Is(err, context.Canceled) {
		t.Errorf("outcome %q, %v", got, err)
	}
	want(t, b.Device, Sale(1), 6000)
}

// cancelledAmid: the caller leaves while the device works; the device goes on, is
// busy until it has finished, and its late reply is not taken for another call's.
func cancelledAmid(t *testing.T, b *Bench) {
	struck := script(t, b, sim.Fault{Do: sim.Late, Before: true})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-struck; cancel() }()
	if got, err := outcome(t, ctx, b, Sale(1)); got != sat.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("outcome %q, %v", got, err)
	}
	want(t, b.Device, Request(sat.ConsultarNumeroSessao, 2, "1"), 11098)
	if n := len(b.Sim.Issued()); n != 0 {
		t.Errorf("issued %d documents too early", n)
	}
	b.Sim.Release()
	if r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 3, "1")); r.Code != 6000 || r.Session != 1 {
		t.Errorf("the finished sale is recovered as %s of session %d", r.Code, r.Session)
	}
}

func busy(t *testing.T, b *Bench) {
	for _, f := range []sat.Function{sat.ConsultarSAT, sat.EnviarDadosVenda} {
		script(t, b, sim.Fault{Function: f, Do: sim.Busy})
	}
	want(t, b.Device, Request(sat.ConsultarSAT, 1), 8098)
	if got, err := outcome(t, context.Background(), b, Sale(2)); got != sat.Unknown || err != nil {
		t.Errorf("outcome %q, %v", got, err)
	}
	want(t, b.Device, Sale(2), 6000)
}

func otherSession(t *testing.T, b *Bench) {
	script(t, b, sim.Fault{Do: sim.Other})
	if got, err := outcome(t, context.Background(), b, Sale(1)); got != sat.Unknown || err != nil {
		t.Errorf("outcome of a renumbered reply %q, %v", got, err)
	}
	script(t, b, sim.Fault{Do: sim.Other})
	if got, err := outcome(t, context.Background(), b, Sale(2)); got != sat.Unknown || err != nil {
		t.Errorf("outcome of the reply before %q, %v", got, err)
	}
	if n := len(b.Sim.Issued()); n != 2 {
		t.Errorf("issued %d documents, want 2", n)
	}
}

func unreadable(t *testing.T, b *Bench, act sim.Act) {
	script(t, b, sim.Fault{Do: act})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := outcome(t, ctx, b, Sale(1))
	if got != sat.Unknown {
		t.Errorf("outcome %q, %v", got, err)
	}
	if r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 2, "1")); r.Code != 6000 || r.Session != 1 {
		t.Errorf("recovered as %s of session %d", r.Code, r.Session)
	}
}

func unpluggedBefore(t *testing.T, b *Bench) {
	b.Unplug()
	got, err := outcome(t, context.Background(), b, Sale(1))
	if got != sat.NotIssued || !errors.Is(err, sat.ErrGone) {
		t.Errorf("outcome %q, %v", got, err)
	}
	b.Device = b.Reopen()
	want(t, b.Device, Sale(1), 6000)
}

// unplugged cuts the connection while the device has the request: before or after
// it issued, which the caller cannot tell.
func unplugged(t *testing.T, b *Bench, before bool) {
	script(t, b, sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug, Before: before})
	got, err := outcome(t, context.Background(), b, Sale(1))
	if got != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("outcome %q, %v", got, err)
	}
	code, n := sat.Code(6000), 1
	if before {
		code, n = 11003, 0
	}
	if issued := b.Sim.Issued(); len(issued) != n {
		t.Fatalf("issued %d documents, want %d", len(issued), n)
	}
	b.Device = b.Reopen()
	if r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 2, "1")); r.Code != code {
		t.Errorf("asked for the session, the device answers %s, want %s", r.Code, code)
	}
	want(t, b.Device, Sale(3), 6000)
}

// unpluggedAfterReply: what was answered stays answered, and the device knows it
// when it comes back.
func unpluggedAfterReply(t *testing.T, b *Bench) {
	sale := want(t, b.Device, Sale(1), 6000)
	b.Unplug()
	if got, err := outcome(t, context.Background(), b, Sale(2)); got != sat.NotIssued || !errors.Is(err, sat.ErrGone) {
		t.Errorf("outcome %q, %v", got, err)
	}
	b.Device = b.Reopen()
	if r := call(t, b.Device, Request(sat.ConsultarUltimaSessaoFiscal, 3)); string(r.Raw) != string(sale.Raw) {
		t.Errorf("the last fiscal reply is %s of session %d, not the sale's", r.Code, r.Session)
	}
}

// lostAndAsked recovers a sale as an owner must: the session is asked about first
// and once, because the device forgets it then. The reply that was asked for gets
// lost too; the last fiscal session and the last key still know the document.
func lostAndAsked(t *testing.T, b *Bench) {
	before, err := want(t, b.Device, Request(sat.ConsultarStatusOperacional, 1), 10000).Status()
	if err != nil {
		t.Fatal(err)
	}
	script(t, b, sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Unplug})
	if got, err := outcome(t, context.Background(), b, Sale(2)); got != sat.Unknown {
		t.Errorf("outcome %q, %v", got, err)
	}
	b.Device = b.Reopen()
	script(t, b, sim.Fault{Function: sat.ConsultarNumeroSessao, Do: sim.Garbage})
	if got, err := b.Device.Call(context.Background(), Request(sat.ConsultarNumeroSessao, 3, "2")); err == nil {
		t.Errorf("garbage is taken for reply %s of session %d", got.Code, got.Session)
	}
	want(t, b.Device, Request(sat.ConsultarNumeroSessao, 4, "2"), 11003)
	r := call(t, b.Device, Request(sat.ConsultarUltimaSessaoFiscal, 5))
	d, err := r.Document()
	if err != nil || r.Session != 2 {
		t.Fatalf("last fiscal session: %s of session %d, %v", r.Code, r.Session, err)
	}
	after, err := want(t, b.Device, Request(sat.ConsultarStatusOperacional, 6), 10000).Status()
	if err != nil || after.LastKey != d.Key || after.LastKey == before.LastKey {
		t.Errorf("the last key was %q and is %q, the document's is %q, %v", before.LastKey, after.LastKey, d.Key, err)
	}
}

func rememberedOnce(t *testing.T, b *Bench) {
	want(t, b.Device, Sale(1), 6000)
	if r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, 2, "1")); r.Code != 6000 || r.Session != 1 {
		t.Errorf("asked once: %s of session %d", r.Code, r.Session)
	}
	want(t, b.Device, Request(sat.ConsultarNumeroSessao, 3, "1"), 11003)
	if r := call(t, b.Device, Request(sat.ConsultarUltimaSessaoFiscal, 4)); r.Code != 6000 || r.Session != 1 {
		t.Errorf("last fiscal session: %s of session %d", r.Code, r.Session)
	}
	want(t, b.Device, Sale(5), 6000)
	want(t, b.Device, Request(sat.ConsultarStatusOperacional, 6), 10000)
	want(t, b.Device, Request(sat.ConsultarNumeroSessao, 7, "5"), 11003)
}

func rememberedOften(t *testing.T, b *Bench) {
	first := want(t, b.Device, Sale(1), 6000)
	want(t, b.Device, Sale(2), 6000)
	for session := 3; session < 6; session++ {
		r := call(t, b.Device, Request(sat.ConsultarNumeroSessao, session, "1"))
		if string(r.Raw) != string(first.Raw) {
			t.Errorf("asked as %d: another reply than the first", session)
		}
	}
}
