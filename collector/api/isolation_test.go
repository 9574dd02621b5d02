package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// tenant is a taxpayer with one of everything that belongs to somebody.
type tenant struct {
	reseller                       int64
	root, cnpj, name               string
	agent, host, serial, key       string
	version, record, alarm, order  int64
	command                        string
	channel                        int64      // a webhook of its reseller
	resellerAdmin, owner, book     store.User // its reseller's, its own, its accountant
	grant, token, enrolment        int64
	technician                     store.User
	byRole                         map[store.Role]Caller
	unidentified, unidentifiedHost string // a till without an establishment
}

// tenants makes the second of two resellers, with a taxpayer, and two of the first.
func (b *bench) tenants() (mine, sibling, other *tenant) {
	b.t.Helper()
	second, err := b.AddReseller(b.t.Context(), CommandLine(), "Segunda Revenda")
	if err != nil {
		b.t.Fatal(err)
	}
	return b.tenant(1, store.DefaultReseller), b.tenant(2, store.DefaultReseller), b.tenant(3, second)
}

func (b *bench) tenant(n int, reseller int64) *tenant {
	b.t.Helper()
	d := fmt.Sprint(n)
	t := &tenant{reseller: reseller, root: strings.Repeat(d, 8), cnpj: strings.Repeat(d, 8) + "000191", name: "LOJA-" + d,
		agent: strings.Repeat(string(rune('a'+n)), 16), host: "pdv-da-loja-" + d, serial: "80000000" + d,
		unidentified: strings.Repeat(string(rune('k'+n)), 16), unidentifiedHost: "novo-da-loja-" + d, byRole: map[store.Role]Caller{}}
	t.key = "352512" + t.cnpj + "59" + t.serial + "000001000000" + d
	if err := b.AddTaxpayer(b.t.Context(), CommandLine(), t.cnpj, t.name, reseller); err != nil {
		b.t.Fatal(err)
	}
	if err := b.SetPlan(b.t.Context(), CommandLine(), t.cnpj, store.PlanPro); err != nil {
		b.t.Fatal(err)
	}
	b.update(func(w *store.Writer) (err error) {
		t.channel, err = w.AddChannel(store.Channel{Kind: store.ChannelWebhook, Reseller: reseller, Name: "webhook de " + t.name, Target: "https://127.0.0.1:1/" + t.name,
			Wish: store.Wish{Least: alarm.Notice, Digest: -1}, CreatedAt: now()})
		return errors.Join(err, b.fill(w, t), b.commanded(w, t))
	})
	b.tells(t)
	for role, u := range map[store.Role]store.User{store.RoleReseller: t.resellerAdmin, store.RoleTechnician: t.technician,
		store.RoleTaxpayer: t.owner, store.RoleAccountant: t.book} {
		t.byRole[role] = b.person(u.Email)
	}
	if _, err := b.NewAPIToken(b.t.Context(), t.byRole[store.RoleTaxpayer], NewToken{Label: "ficha-" + t.name, Days: 9}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Enrol(b.t.Context(), t.byRole[store.RoleReseller], "ficha-"+t.name, t.cnpj, 1, 1); err != nil {
		b.t.Fatal(err)
	}
	b.update(func(w *store.Writer) error {
		list, err := w.APITokens(t.owner.ID)
		t.token = list[0].ID
		return err
	})
	return t
}

// fill gives a tenant a till with device, documents, an alarm, a record in
// quarantine, an event and people, and another till that waits to be identified.
func (b *bench) fill(w *store.Writer, t *tenant) (err error) {
	for token, cnpj := range map[string]string{"s" + t.agent: t.cnpj, "s" + t.unidentified: ""} {
		if err := w.AddToken(token, store.Token{Reseller: t.reseller, CNPJ: cnpj, Label: t.name, Allowed: 1, ExpiresAt: now().AddDate(0, 0, 1), CreatedAt: now()}); err != nil {
			return err
		}
	}
	if err := errors.Join(w.EnrolAgent("s"+t.agent, t.agent, t.host, now()), w.EnrolAgent("s"+t.unidentified, t.unidentified, t.unidentifiedHost, now()),
		w.AddCertificate(store.Certificate{Serial: "ce" + t.agent, Agent: t.agent, IssuedAt: now(), ExpiresAt: now().AddDate(1, 0, 0)}),
		w.SetBeat(store.Beat{Agent: store.Agent{ID: t.agent, Host: t.host, BeatAt: now()}, Devices: []store.BeatDevice{{Serial: t.serial, Name: "SAT " + t.name}}}),
	); err != nil {
		return err
	}
	rec := store.Record{Agent: t.agent, Epoch: "e", Stream: "documents", Seq: 1, SHA256: [32]byte{1}, At: now()}
	t.version, _, err = w.AddDocument(store.Document{Key: t.key, Kind: "venda", Model: 59, Issuer: t.cnpj, IssuerName: t.name, Serial: t.serial, Number: 1,
		Consumer: cpf, Total: "1.00", Verdict: "verified", Issued: now().Add(-time.Hour), ReceivedAt: now()}, b.store.Pack([]byte("<CFe>"+t.name+"<CPF>"+cpf+"</CPF></CFe>")))
	if err != nil {
		return err
	}
	if _, err = w.AddArrival(rec, t.version); err != nil {
		return err
	}
	rec.Seq = 2
	if err := errors.Join(w.AddEvent(store.Event{Agent: t.agent, Serial: t.serial, Code: "device-gone", Ref: t.key, At: now(), ReceivedAt: now()}, rec),
		w.Quarantine(store.Quarantined{Agent: t.agent, Reason: "ilegível " + t.name, ReceivedAt: now()}, b.store.Pack([]byte("?"+t.name+cpf))),
		w.SetAlarms(alarm.Subject{Kind: alarm.OfDevice, ID: t.serial}, []alarm.Raised{{Code: alarm.MemoryFilling, Severity: alarm.Warning, Step: 1, Detail: t.name, Since: now()}}, now()),
	); err != nil {
		return err
	}
	for _, one := range []struct {
		to    *store.User
		email string
		role  store.Role
	}{{&t.resellerAdmin, "revenda", store.RoleReseller}, {&t.technician, "tecnico", store.RoleTechnician},
		{&t.owner, "dono", store.RoleTaxpayer}, {&t.book, "conta", store.RoleAccountant}} {
		email := one.email + t.root[:1] + "@example.com"
		if *one.to, err = w.AddPerson(store.User{Email: email, Name: t.name, Role: one.role, Reseller: t.reseller, CreatedAt: now()}); err != nil {
			return err
		}
		if one.role == store.RoleTaxpayer || one.role == store.RoleAccountant {
			if err := w.Give(one.to.ID, t.root, "coletor", now()); err != nil {
				return err
			}
		}
	}
	return t.number(w)
}

// number learns the numbers that the store gave.
func (t *tenant) number(w *store.Writer) error {
	grants, err := w.Grants()
	for _, g := range grants {
		if g.Root == t.root {
			t.grant = g.ID
		}
	}
	enrolments, err4 := w.Tokens()
	for _, e := range enrolments {
		if e.CNPJ == t.cnpj {
			t.enrolment = e.ID
		}
	}
	records, err2 := w.Quarantined(100)
	for _, q := range records {
		if q.Agent == t.agent {
			t.record = q.ID
		}
	}
	alarms, err3 := w.OpenAlarms()
	for _, a := range alarms {
		if a.Subject.ID == t.serial {
			t.alarm = a.ID
		}
	}
	return errors.Join(err, err2, err3, err4)
}

// value is the tenant's own of a kind.
func (t *tenant) value(k Kind) (string, bool) {
	values := map[Kind]any{Text: "", TillID: t.agent, DocumentRef: t.key, VersionID: t.version, AlarmID: t.alarm, RecordID: t.record,
		DeviceSerial: t.serial, CNPJ: t.cnpj, Root: t.root, ResellerID: t.reseller, PersonID: t.owner.ID, GrantID: t.grant, TokenID: t.token, EnrolmentID: t.enrolment, CommandID: t.command, OrderID: t.order, ChannelID: t.channel, FileBody: ""}
	v, known := values[k]
	return fmt.Sprint(v), known
}

// marks are texts that only those who see the tenant read.
func (t *tenant) marks() []string {
	return []string{t.cnpj, t.root + "0001", t.name, t.agent, t.host, t.serial, t.key, t.owner.Email, t.book.Email, t.unidentified, t.unidentifiedHost}
}

// texts are what the parameters that name nobody's get.
func texts(name string) string {
	return map[string]string{"email": "novo@example.com", "role": "contador", "plan": "PRO", "month": "202512", "series": "1",
		"password": "x", "consumer": cpf, "function": "status", "hours": "2", "least": "critical", "address": "https://127.0.0.1:1", "endpoint": "https://push.example/x", "stage": "esvaziando", "policy": "{}", "from": "2025-12-01", "to": "2025-12-31"}[name]
}

// TestIsolation walks the table of operations as every role of one tenant with
// everything that another tenant has: a new operation is attacked unasked.
func TestIsolation(t *testing.T) {
	b := setup(t)
	mine, sibling, other := b.tenants()
	for role, c := range mine.byRole { // later the audit repeats what the attackers themselves typed
		b.call(role, c, b.operations[OpAudit], mine, other, 0)
	}
	before := b.picture(other)
	for role, c := range mine.byRole {
		b.attack(role, c, mine, other)
		if role == store.RoleTaxpayer || role == store.RoleAccountant {
			b.attack(role, c, mine, sibling)
		}
		b.attack(role, c.Only(mine.root), mine, other)
		b.attack(role, c.Only(other.root), mine, other)
		for _, rights := range b.rightsOf(c) {
			program, err := b.CallerOfToken(t.Context(), b.token(c, "", rights))
			if err != nil {
				t.Fatal(err)
			}
			b.attack(role, program, mine, other)
		}
	}
	if after := b.picture(other); after != before {
		t.Errorf("somebody changed what is not theirs:\n%s\nnow:\n%s", before, after)
	}
}

func (b *bench) attack(role store.Role, c Caller, mine, theirs *tenant) {
	b.t.Helper()
	for _, op := range Operations() {
		if op.Op == OpAudit {
			continue
		}
		if op.Op == opDropPerson || op.Op == OpErase || op.Op == opTake || op.Op == opRevokeAPIToken || op.Op == opDropChannel {
			// With ids of the caller's own these would end the test's people.
			b.call(role, c, op, mine, theirs, len(op.Params))
			continue
		}
		for foreign := range len(op.Params) + 1 {
			b.call(role, c, op, mine, theirs, foreign)
		}
	}
}

// call calls an operation with one parameter of theirs, or, when foreign is their
// number, with all.
func (b *bench) call(role store.Role, c Caller, op Operation, mine, theirs *tenant, foreign int) {
	b.t.Helper()
	in := Input{Values: map[string]string{}, Out: &bytes.Buffer{}}
	inPath := false
	for i, p := range op.Params {
		of := mine
		if i == foreign || foreign == len(op.Params) {
			of = theirs
			inPath = inPath || p.Kind != Text && strings.Contains(op.Path, "{"+p.Name+"}")
		}
		v, known := of.value(p.Kind)
		if !known {
			b.t.Fatalf("%s: the test knows nothing of kind %q", op.Op, p.Kind)
		}
		if p.Kind == Text {
			v = texts(p.Name)
		}
		in.Values[p.Name] = v
	}
	result, err := op.Call(b.t.Context(), b.API, c, in)
	var mend *Problem
	var lacks *lacking
	switch {
	case lacksRight(c, op) && !errors.As(err, &lacks):
		b.t.Errorf("%s as a program of %s says %v", op.Op, role, err)
	case err != nil && !errors.Is(err, ErrNotFound) && !errors.As(err, &mend):
		b.t.Errorf("%s as %s with %v fails: %v", op.Op, role, in.Values, err)
	case !c.Is(op.Roles...) && !errors.Is(err, ErrNotFound):
		b.t.Errorf("%s is not for %s, and says %v", op.Op, role, err)
	case inPath && err == nil && op.Op != opNumbersOfDevice:
		b.t.Errorf("%s as %s with %v works", op.Op, role, in.Values)
	}
	said := fmt.Sprint(err) + in.Out.(*bytes.Buffer).String()
	if file, is := result.(File); is {
		said += file.Name + string(file.Raw)
	}
	shown, err := json.Marshal(result)
	if err != nil {
		b.t.Fatalf("%s: %v", op.Op, err)
	}
	for _, mark := range theirs.marks() {
		if strings.Contains(said+string(shown), mark) {
			b.t.Errorf("%s as %s with %v shows %q: %s %s", op.Op, role, in.Values, mark, said, shown)
			return
		}
	}
}

// picture is all that a tenant's reseller sees.
func (b *bench) picture(t *tenant) string {
	b.t.Helper()
	var out []any
	err := b.store.View(b.t.Context(), store.OfReseller(t.reseller), func(r *store.Reader) error {
		tills, err := r.Tills()
		taxpayers, err2 := r.Taxpayers()
		users, err3 := r.Users()
		grants, err4 := r.Grants()
		tokens, err5 := r.APITokens(t.owner.ID)
		found, _, err6 := r.Search(store.Search{})
		records, err7 := r.Quarantined(100)
		enrolments, err8 := r.Tokens()
		orders, err9 := r.Orders(100)
		hooks, err10 := r.Channels(0, true)
		out = []any{hooks, orders, tills, taxpayers, users, grants, tokens, found, records, enrolments}
		return errors.Join(err, err2, err3, err4, err5, err6, err7, err8, err9, err10)
	})
	text, err2 := json.MarshalIndent(out, "", " ")
	if err != nil || err2 != nil {
		b.t.Fatal(err, err2)
	}
	for _, mark := range t.marks() {
		if !strings.Contains(string(text), mark) {
			b.t.Fatalf("the picture of %s lacks %q", t.name, mark)
		}
	}
	return string(text)
}

// TestOwnIsSeen: what isolation hides from others is there for its own people.
func TestOwnIsSeen(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	for role, c := range mine.byRole {
		for _, op := range Operations() {
			if op.Method != "GET" || !c.Is(op.Roles...) || op.Op == opNumbersOfSeries {
				continue
			}
			in := Input{Values: map[string]string{}, Out: &bytes.Buffer{}}
			for _, p := range op.Params {
				in.Values[p.Name], _ = mine.value(p.Kind)
			}
			if _, err := op.Call(t.Context(), b.API, c, in); err != nil {
				t.Errorf("%s as %s: %v", op.Op, role, err)
			}
		}
		f, err := b.Search(t.Context(), c, Query{Text: mine.cnpj})
		if err != nil || len(f.Documents) != 1 {
			t.Errorf("%s finds %d documents, %v", role, len(f.Documents), err)
		}
	}
}
