package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/collector/account"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/notify"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

const (
	cpf    = "52998224725"
	serial = "900000001"
	agent  = "aaaaaaaabbbbbbbb"
)

func now() time.Time { return time.Date(2025, 12, 21, 14, 2, 0, 0, sat.Brasilia()) }

// issued are two sales, the second to a consumer and cancelled, and the
// cancellation, of one simulated device.
var issued = sync.OnceValues(func() ([]sim.Record, error) {
	clock := now().Add(-time.Hour)
	s, err := sim.New(sim.Options{Clock: func() time.Time { clock = clock.Add(time.Minute); return clock }})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for n, consumer := range []string{"", cpf} {
		if _, err := s.Call(context.Background(), sattest.Request(sat.EnviarDadosVenda, n+1, sattest.SaleXML("10.50", consumer))); err != nil {
			return nil, err
		}
	}
	_, err = s.Call(context.Background(), sattest.Cancel(3, s.Issued()[1].Key))
	return s.Issued(), err
})

// bench is the operations over a real store.
type bench struct {
	*API
	t     *testing.T
	store *store.Store
	log   *bytes.Buffer

	accounts *account.Accounts
	ana      Caller
	begun    int // lines of the audit before the test's own
}

// person is a caller who signed in.
func (b *bench) person(email string) Caller {
	b.t.Helper()
	secret, err := b.NewLink(b.t.Context(), CommandLine(), email)
	if err == nil {
		secret, err = b.SignIn(b.t.Context(), secret, "", email)
	}
	c, err2 := b.CallerOf(b.t.Context(), secret)
	if err != nil || err2 != nil {
		b.t.Fatal(err, err2)
	}
	return c
}

func setup(t *testing.T) *bench {
	t.Helper()
	folder := t.TempDir()
	s, err := store.Open(t.Context(), filepath.Join(folder, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t: t, store: s, log: &bytes.Buffer{}}
	g, err := ingest.New(ingest.Options{Store: s, Now: now, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := enrol.CreateCA(folder, now())
	if err != nil {
		t.Fatal(err)
	}
	b.accounts = account.New(s, account.Key{}, now)
	n, err := notify.New(notify.Options{Store: s, Key: [32]byte{7}, Scope: account.ScopeOf, Pages: "https://zelo.example", Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	b.API = New(Options{Store: s, Accounts: b.accounts, Registry: enrol.New(ca, s, now), Ingest: g, Notify: n,
		Enrolment: "https://zelo.example:8443", Now: now})
	b.ana = b.person(anaEmail)
	b.begun = len(b.audited())
	return b
}

// filled has the documents of issued, a note with its event, and a till.
func filled(t *testing.T) *bench {
	t.Helper()
	b := setup(t)
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		b.imports(r.Key+".xml", r.XML)
	}
	b.imports("7.xml", []byte(note))
	b.imports("7-evento.xml", []byte(event))
	b.update(func(w *store.Writer) error {
		return w.SetBeat(store.Beat{Agent: store.Agent{ID: agent, Host: "caixa-1", BeatAt: now()},
			Devices: []store.BeatDevice{{Serial: serial, Name: "SAT", Answering: true}}})
	})
	return b
}

const noteKey = "35251208723218000186650010000000071123456780"

const note = `<?xml version="1.0" encoding="UTF-8"?><nfeProc xmlns="http://www.portalfiscal.inf.br/nfe" versao="4.00"><NFe><infNFe Id="NFe` + noteKey +
	`" versao="4.00"><ide><cUF>35</cUF><cNF>12345678</cNF><mod>65</mod><serie>1</serie><nNF>7</nNF><dhEmi>2025-12-21T12:30:00-03:00</dhEmi><tpAmb>1</tpAmb></ide>` +
	`<emit><CNPJ>08723218000186</CNPJ><xNome>LOJA</xNome></emit><total><ICMSTot><vNF>40.00</vNF></ICMSTot></total></infNFe></NFe><protNFe><infProt><cStat>100</cStat></infProt></protNFe></nfeProc>`

const event = `<procEventoNFe xmlns="http://www.portalfiscal.inf.br/nfe"><evento><infEvento><CNPJ>08723218000186</CNPJ><tpAmb>1</tpAmb><chNFe>` + noteKey +
	`</chNFe><dhEvento>2025-12-21T12:40:00-03:00</dhEvento><tpEvento>110111</tpEvento></infEvento></evento><retEvento><infEvento><cStat>135</cStat></infEvento></retEvento></procEventoNFe>`

func (b *bench) imports(name string, raw []byte) {
	b.t.Helper()
	if _, err := b.Import(b.t.Context(), b.ana, ingest.File{Name: name, Raw: raw}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) update(fn func(*store.Writer) error) {
	b.t.Helper()
	if err := b.store.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// ana is a person who has signed in, of the platform's own.
const anaEmail = "ana@example.com"

// audited returns what was recorded since the setup, newest last.
func (b *bench) audited() (lines []string) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		list, err := w.ListAudit(store.AuditSearch{Limit: 100})
		for _, a := range list {
			lines = append([]string{a.Who + ": " + a.Act + " " + a.Object}, lines...)
		}
		return err
	})
	return lines[min(b.begun, len(lines)):]
}

// wants fails unless the last line of the audit is this.
func (b *bench) wants(line string) {
	b.t.Helper()
	lines := b.audited()
	if len(lines) == 0 || lines[len(lines)-1] != line {
		b.t.Errorf("the audit ends with %q, want %q", lines, line)
	}
	for _, l := range lines {
		if strings.Contains(l, cpf) || strings.Contains(l, "529.982") {
			b.t.Errorf("a CPF is in the audit: %s", l)
		}
	}
}

// TestNobodyMayDoNothing calls every operation that takes a caller for nobody.
func TestNobodyMayDoNothing(t *testing.T) {
	b := filled(t)
	v, n := reflect.ValueOf(b.API), 0
	for i := range v.NumMethod() {
		method := v.Method(i)
		takes := false
		var args []reflect.Value
		for in := range method.Type().Ins() {
			arg := reflect.Zero(in)
			switch in {
			case reflect.TypeFor[context.Context]():
				arg = reflect.ValueOf(t.Context())
			case reflect.TypeFor[io.Writer]():
				arg = reflect.ValueOf(io.Discard)
			case reflect.TypeFor[Caller]():
				takes = true
			case reflect.TypeFor[[]ingest.File]():
				continue
			}
			args = append(args, arg)
		}
		if !takes || method.Type().NumOut() == 0 || method.Type().Out(method.Type().NumOut()-1) != reflect.TypeFor[error]() {
			continue
		}
		n++
		out := method.Call(args)
		err, _ := out[len(out)-1].Interface().(error)
		if !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s for nobody: %v", v.Type().Method(i).Name, err)
		}
	}
	if n < 15 {
		t.Errorf("only %d operations take a caller", n)
	}
	if lines := b.audited(); len(lines) != 0 {
		t.Errorf("nobody is in the audit: %q", lines)
	}
}

func TestSignIn(t *testing.T) {
	b := setup(t)
	secret, err := b.NewLink(t.Context(), CommandLine(), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	b.wants("coletor: novo link de acesso ana@example.com")
	session, err := b.SignIn(t.Context(), secret, "", "192.0.2.1:1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.CallerOf(t.Context(), session)
	if err != nil || c != b.ana || c.Who() != "ana@example.com" {
		t.Errorf("%+v, %v", c, err)
	}
	var mend *Problem
	if _, err := b.SignIn(t.Context(), secret, "", "192.0.2.1:1"); !errors.As(err, &mend) || !strings.Contains(err.Error(), "já foi usado") {
		t.Errorf("a link used twice: %v", err)
	}
	for range 10 {
		_, err = b.SignIn(t.Context(), "x", "", "192.0.2.1:1")
	}
	var busy *Busy
	if !errors.As(err, &busy) || busy.Retry != time.Minute || !strings.Contains(err.Error(), "Aguarde um minuto") {
		t.Errorf("too often: %v", err)
	}
	if _, err := b.NewLink(t.Context(), CommandLine(), "ana"); !errors.As(err, &mend) {
		t.Errorf("no address: %v", err)
	}
	if err := b.SignOut(t.Context(), session); err != nil {
		t.Error(err)
	}
	if c, err := b.CallerOf(t.Context(), session); !errors.Is(err, ErrSignedOut) || c != (Caller{}) {
		t.Errorf("signed out: %+v, %v", c, err)
	}
}

func TestEnrol(t *testing.T) {
	b := setup(t)
	e, err := b.Enrol(t.Context(), b.ana, "Padaria", "", 2, 7)
	if err != nil || e.URL != "https://zelo.example:8443" || !strings.Contains(e.Token, ".") || !e.ExpiresAt.Equal(now().AddDate(0, 0, 7)) {
		t.Errorf("%+v, %v", e, err)
	}
	b.wants("ana@example.com: código de ligação Padaria")
	list, err := b.Tokens(t.Context(), b.ana)
	if err != nil || len(list) != 1 || list[0].Label != "Padaria" || list[0].Allowed != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	for name, try := range map[string]struct {
		label       string
		tills, days int
	}{"no till": {"x", 0, 7}, "too many": {"x", 1001, 7}, "no day": {"x", 1, 0}, "too long": {"x", 1, 366}, "a long name": {strings.Repeat("x", 101), 1, 1}} {
		var mend *Problem
		if _, err := b.Enrol(t.Context(), b.ana, try.label, "", try.tills, try.days); !errors.As(err, &mend) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuarantine(t *testing.T) {
	b := setup(t)
	b.imports("foto.xml", []byte("no document"))
	list, total, err := b.Quarantine(t.Context(), b.ana)
	if err != nil || total != 1 || len(list) != 1 || list[0].File != "foto.xml" || list[0].Till != nil {
		t.Fatalf("%+v, %d, %v", list, total, err)
	}
	raw, err := b.QuarantinedBytes(t.Context(), b.ana, list[0].ID)
	if err != nil || string(raw) != "no document" {
		t.Errorf("%q, %v", raw, err)
	}
	b.wants("ana@example.com: download da quarentena registro 1")
	open, _, err := b.Alarms(t.Context(), b.ana)
	if err != nil || len(open) != 0 {
		t.Errorf("before anything was judged: %+v, %v", open, err)
	}
	if err := b.o.Ingest.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open, _, _ = b.Alarms(t.Context(), b.ana); len(open) != 1 || open[0].Rule.Title != "Registros em quarentena" || open[0].Till != nil {
		t.Errorf("%+v", open)
	}
	if err := b.Settle(t.Context(), b.ana, list[0].ID); err != nil {
		t.Fatal(err)
	}
	b.wants("ana@example.com: quarentena vista registro 1")
	if open, _, _ = b.Alarms(t.Context(), b.ana); len(open) != 0 {
		t.Errorf("settled, and still an alarm: %+v", open)
	}
	if err := b.Settle(t.Context(), b.ana, list[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("settled twice: %v", err)
	}
	if list, total, _ = b.Quarantine(t.Context(), b.ana); len(list) != 0 || total != 0 {
		t.Errorf("%+v, %d", list, total)
	}
}
