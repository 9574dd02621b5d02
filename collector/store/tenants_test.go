package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
)

// twoResellers has reseller 1 with taxpayer 11111111 and reseller 2 with 22222222.
func twoResellers(t *testing.T, s *Store) {
	t.Helper()
	update(t, s, func(w *Writer) error {
		id, err := w.AddReseller("Segunda", t0)
		if id != 2 {
			t.Errorf("the second reseller has number %d", id)
		}
		return errors.Join(err, w.AddTaxpayer(Taxpayer{Root: "11111111", Name: "UM", Reseller: 1, CreatedAt: t0}),
			w.AddTaxpayer(Taxpayer{Root: "22222222", Name: "DOIS", Reseller: 2, CreatedAt: t0}))
	})
}

// enrolled makes an agent with a token of a reseller.
func enrolled(t *testing.T, s *Store, agent string, reseller int64, cnpj string) {
	t.Helper()
	update(t, s, func(w *Writer) error {
		err := w.AddToken("of "+agent, Token{Reseller: reseller, CNPJ: cnpj, Allowed: 1, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)})
		return errors.Join(err, w.EnrolAgent("of "+agent, agent, agent, t0))
	})
}

// issuedBy is a document that says another issuer than sample.
func issuedBy(cnpj, serial string, number int, at time.Time) (Document, []byte) {
	d, body := sample(serial, number, at)
	d.Issuer, d.IssuerName = cnpj, "DE "+cnpj
	return d, append(body, cnpj...)
}

func sees(t *testing.T, s *Store, scope Scope) (documents, devices, agents int) {
	t.Helper()
	err := s.View(context.Background(), scope, func(r *Reader) error {
		found, _, err := r.Search(Search{})
		d, err2 := r.Devices()
		a, err3 := r.Agents()
		documents, devices, agents = len(found), len(d), len(a)
		return errors.Join(err, err2, err3)
	})
	if err != nil {
		t.Fatal(err)
	}
	return documents, devices, agents
}

func TestDocumentsBelongToTheirEmitter(t *testing.T) {
	eachEngine(t, testDocumentsBelongToTheirEmitter)
}

func testDocumentsBelongToTheirEmitter(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "")
	update(t, s, func(w *Writer) error { // one computer serves two taxpayers and one that nobody knows
		for i, cnpj := range []string{"11111111000191", "22222222000191", "33333333000191"} {
			d, body := issuedBy(cnpj, "90000000"+cnpj[:1], 1, t0)
			id, _, err := w.AddDocument(d, s.Pack(body))
			_, err2 := w.AddArrival(Record{Agent: "agent001", Epoch: "e", Stream: "d", Seq: uint64(i), SHA256: d.SHA256, At: t0}, id)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
		}
		return nil
	})
	for name, c := range map[string]struct {
		scope Scope
		want  [3]int
	}{"all": {All(), [3]int{3, 3, 1}}, "the till's reseller": {OfReseller(1), [3]int{1, 1, 1}}, "the other": {OfReseller(2), [3]int{1, 1, 0}},
		"nobody": {Scope{}, [3]int{}}, "narrowed": {OfReseller(1).Only("11111111"), [3]int{1, 1, 0}}, "narrowed to another's": {OfReseller(1).Only("22222222"), [3]int{}},
		"only paid": {OfReseller(1).Paid(), [3]int{}}, "a stranger": {OfPerson(9), [3]int{}}} {
		if d, v, a := sees(t, s, c.scope); [3]int{d, v, a} != c.want && name != "narrowed" {
			t.Errorf("%s sees %d documents, %d devices, %d agents, want %v", name, d, v, a, c.want)
		}
	}
	update(t, s, func(w *Writer) error { // the third is registered now
		return w.AddTaxpayer(Taxpayer{Root: "33333333", Name: "TRES", Reseller: 2, CreatedAt: t0})
	})
	if d, v, a := sees(t, s, OfReseller(2)); d != 2 || v != 2 || a != 0 {
		t.Errorf("once registered: %d documents, %d devices, %d agents", d, v, a)
	}
}

// TestForgedDocuments: whatever somebody writes into a document hides nothing of
// others, and takes no device from them.
func TestForgedDocuments(t *testing.T) { eachEngine(t, testForgedDocuments) }

func testForgedDocuments(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "")
	update(t, s, func(w *Writer) error {
		return w.SetBeat(Beat{Agent: Agent{ID: "agent001", BeatAt: t0}, Devices: []BeatDevice{{Serial: "900000001", Answering: true}}})
	})
	real, body := issuedBy("11111111000191", "900000001", 1, t0)
	add(t, s, real, body)
	forged, other := issuedBy("22222222000191", "900000001", 1, t0.AddDate(1, 0, 0))
	forged.Key, forged.Rank, forged.Cancels = real.Key, 99, real.Key
	add(t, s, forged, other)

	if d, v, _ := sees(t, s, OfReseller(2)); d != 1 || v != 0 {
		t.Errorf("the forger sees %d documents and %d devices", d, v)
	}
	err := s.View(context.Background(), OfReseller(1), func(r *Reader) error {
		found, err := r.Versions(real.Key)
		if err != nil || len(found) != 1 || !found[0].Best || found[0].Issuer != real.Issuer {
			t.Errorf("the owner finds %+v", found)
		}
		by, err2 := r.CancelledBy(real.Key)
		d, err3 := r.Device("900000001")
		if len(by) != 0 || d.Issuer != real.Issuer || d.Documents != 1 || d.CNPJ != real.Issuer {
			t.Errorf("cancelled by %d, device %+v", len(by), d)
		}
		return errors.Join(err, err2, err3)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestClaimedDevice: an agent of one reseller does not speak of another's device.
func TestClaimedDevice(t *testing.T) { eachEngine(t, testClaimedDevice) }

func testClaimedDevice(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "")
	enrolled(t, s, "agent002", 2, "")
	for i, agent := range []string{"agent001", "agent002", "agent002"} {
		update(t, s, func(w *Writer) error {
			b := Beat{Agent: Agent{ID: agent, BeatAt: t0.Add(time.Duration(i) * time.Minute)}, Devices: []BeatDevice{{Serial: "900000001", Name: agent, Answering: true}}}
			return errors.Join(w.SetBeat(b), w.SetStatus("900000001", Status{State: agent}, Record{Agent: agent, Epoch: "e", Stream: "status", Seq: uint64(i), At: t0}))
		})
	}
	view(t, s, func(r *Reader) error {
		d, err := r.Device("900000001")
		if d.Agent != "agent001" || d.Name != "agent001" || d.Status.State != "agent001" {
			t.Errorf("%+v", d)
		}
		events, err2 := r.EventsOf("agent002", 10)
		if len(events) != 1 || events[0].Code != eventDisputed || events[0].Ref != "900000001" {
			t.Errorf("told: %+v", events)
		}
		return errors.Join(err, err2)
	})
	if _, v, a := sees(t, s, OfReseller(2)); v != 0 || a != 1 {
		t.Errorf("the second reseller sees %d devices, %d agents", v, a)
	}
}

// TestMoveEnds: commands that the old reseller had planned are not sent, and who was let
// in by somebody of it who is gone is let in no more.
func TestMoveEnds(t *testing.T) { eachEngine(t, testMoveEnds) }

func testMoveEnds(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "11111111000191")
	enrolled(t, s, "agent002", 1, "55555555000191")
	var friend User
	update(t, s, func(w *Writer) (err error) {
		if friend, err = w.AddPerson(User{Email: "conta@example.com", Role: RoleAccountant}); err != nil {
			return err
		}
		gone, err := w.AddPerson(User{Email: "saiu@example.com", Role: RoleReseller, Reseller: 1})
		if err != nil {
			return err
		}
		for _, reseller := range []int64{0, 1} {
			o := Order{Name: "restart", Reseller: reseller, CreatedAt: t0, NotBefore: t0.AddDate(0, 0, 7), ExpiresAt: t0.AddDate(0, 0, 8)}
			if _, err := w.AddOrder(o, []Command{{ID: fmt.Sprint(reseller), Agent: "agent001", Wave: 1}, {ID: fmt.Sprint("other ", reseller), Agent: "agent002", Wave: 1}}); err != nil {
				return err
			}
		}
		return errors.Join(w.AddTaxpayer(Taxpayer{Root: "55555555", Name: "CINCO", Reseller: 1}), w.Give(friend.ID, "11111111", gone.Email, t0), w.DropUser(gone.ID, "coletor", t0),
			w.MoveTaxpayer("11111111", 2, t0))
	})
	view(t, s, func(r *Reader) error {
		for id, want := range map[string]CommandState{"0": CommandQueued, "1": CommandCancelled, "other 1": CommandQueued} {
			if c, err := r.Command(id); err != nil || c.State != want {
				t.Errorf("the command of %s: %q, %v", id, c.State, err)
			}
		}
		list, err := r.GrantsOf("11111111")
		if len(list) != 0 {
			t.Errorf("still granted: %+v", list)
		}
		return err
	})
}

// TestMoveTaxpayer: the archive goes along, and the old reseller knows no way in.
func TestMoveTaxpayer(t *testing.T) { eachEngine(t, testMoveTaxpayer) }

func testMoveTaxpayer(t *testing.T, s *Store) {
	twoResellers(t, s)
	d, body := issuedBy("11111111000191", "900000001", 1, t0)
	add(t, s, d, body)
	enrolled(t, s, "agent001", 1, "11111111000191")
	var owner, book User
	update(t, s, func(w *Writer) (err error) {
		owner, err = w.AddPerson(User{Email: "dono@example.com", Role: RoleTaxpayer, Reseller: 1})
		if err != nil {
			return err
		}
		if book, err = w.AddPerson(User{Email: "conta@example.com", Role: RoleAccountant, Reseller: 1}); err != nil {
			return err
		}
		return errors.Join(w.AddTaxpayer(Taxpayer{Root: "44444444", Name: "QUATRO", Reseller: 1}), w.Give(owner.ID, "11111111", "x", t0),
			w.Give(book.ID, "11111111", owner.Email, t0), w.Give(book.ID, "44444444", "x", t0), w.PutLink("link", owner.ID, t0, t0.Add(time.Hour)),
			w.PutSession("session", book.ID, t0, t0.Add(time.Hour)), w.SetPassword(owner.ID, "hash", "totp"), w.AddMailChannels(t0))
	})
	update(t, s, func(w *Writer) error {
		_, err := w.AddChannel(Channel{Kind: ChannelPush, User: owner, Target: "https://push.example/1", CreatedAt: t0})
		return err
	})
	update(t, s, func(w *Writer) error { return w.MoveTaxpayer("11111111", 2, t0) })
	for reseller, want := range map[int64][3]int{1: {0, 0, 0}, 2: {1, 1, 1}} {
		if d, v, a := sees(t, s, OfReseller(reseller)); [3]int{d, v, a} != want {
			t.Errorf("reseller %d sees %d documents, %d devices, %d agents", reseller, d, v, a)
		}
	}
	if d, _, _ := sees(t, s, OfPerson(book.ID)); d != 1 {
		t.Errorf("the accountant sees %d documents", d)
	}
	view(t, s, func(r *Reader) error {
		owner, err := r.User(owner.ID)
		book, err2 := r.User(book.ID)
		if owner.Reseller != 2 || owner.Password != "" || book.Reseller != 0 {
			t.Errorf("%+v %+v", owner, book)
		}
		if list, err := r.Channels(owner.ID, false); err != nil || len(list) != 1 || list[0].Kind != ChannelEmail {
			t.Errorf("channels of the owner: %+v, %v", list, err)
		}
		if _, err := r.Session("session", t0); !errors.Is(err, ErrNotFound) {
			t.Errorf("a session that the old reseller may know: %v", err)
		}
		return errors.Join(err, err2)
	})
	err := s.Update(context.Background(), func(w *Writer) error { _, err := w.TakeLink("link", t0); return err })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a link that the old reseller may know: %v", err)
	}
	if err := s.Update(context.Background(), func(w *Writer) error { return w.MoveTaxpayer("99999999", 2, t0) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody moved: %v", err)
	}
}

func TestAuditStays(t *testing.T) { eachEngine(t, testAuditStays) }

func testAuditStays(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error { return w.AddAudit(Audit{At: t0, Who: "ana", Act: "entrada"}) })
	for _, change := range []string{`UPDATE audit SET who = 'bia'`, `DELETE FROM audit`} {
		err := s.Update(context.Background(), func(w *Writer) error { _, err := w.count(change); return err })
		if err == nil {
			t.Errorf("%s works", change)
		}
	}
	view(t, s, func(r *Reader) error {
		list, err := r.ListAudit(AuditSearch{Limit: 9})
		if len(list) != 1 || list[0].Who != "ana" {
			t.Errorf("%+v", list)
		}
		return err
	})
}

// TestBeforeTenants: what a collector of one owner held belongs to the first
// reseller after the migration.
func TestBeforeTenants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zelo.db")
	beforeTenants(t, path)
	s := openAt(t, path)
	view(t, s, func(r *Reader) error {
		list, err := r.Taxpayers()
		if len(list) != 1 || list[0].Root != "11111111" || list[0].Reseller != DefaultReseller || len(list[0].Establishments) != 1 {
			t.Errorf("%+v", list)
		}
		users, err2 := r.Users()
		if len(users) != 1 || users[0].Role != RolePlatform {
			t.Errorf("%+v", users)
		}
		tokens, err3 := r.Tokens()
		if len(tokens) != 1 || tokens[0].ID != 1 || tokens[0].Label != "loja" || tokens[0].Reseller != DefaultReseller {
			t.Errorf("%+v", tokens)
		}
		by, err4 := all(r, value[string], `SELECT agent || ' ' || cnpj || ' ' || name FROM emitters`)
		if len(by) != 1 || by[0] != "agent001 11111111000191 LOJA" {
			t.Errorf("emitters %q", by)
		}
		return errors.Join(err, err2, err3, err4)
	})
	if d, v, a := sees(t, s, OfReseller(DefaultReseller)); d != 1 || v != 1 || a != 1 {
		t.Errorf("the first reseller sees %d documents, %d devices, %d agents", d, v, a)
	}
}

// beforeTenants makes a database with the tables of before tenants, and one of each
// in it.
func beforeTenants(t *testing.T, path string) {
	t.Helper()
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{`INSERT INTO agents (id, first_seen) VALUES ('agent001', 1)`, `INSERT INTO streams (id, agent, epoch, stream, first_seen) VALUES (1, 'agent001', 'e', 'd', 1)`,
		`INSERT INTO devices (serial, agent, issuer, first_seen) VALUES ('900000001', 'agent001', '11111111000191', 1)`,
		`INSERT INTO documents (id, key, part, sha256, best, rank, kind, cancels, layout, model, environment, test, issued, zone, month, issuer, issuer_name,
			serial, series, number, till, consumer, total, verdict, reason, checks, forbidden, invalid, received_at, size, body)
			VALUES (7, 'k', '', zeroblob(32), 1, 1, 'venda', '', '0.08', 59, 1, 0, 1, 0, '202512', '11111111000191', 'LOJA',
			'900000001', '', 1, '', '', '1.00', 'verified', '', '[]', 0, 0, 1, 0, x'')`,
		`INSERT INTO arrivals (stream_id, seq, sha256, document_id, received_at, rivals) VALUES (1, 1, zeroblob(32), 7, 1, 0)`,
		`INSERT INTO tokens (hash, label, allowed, expires_at, created_at) VALUES (x'01', 'loja', 1, 2, 1)`,
		`INSERT INTO users (email, name, created_at) VALUES ('ana@example.com', '', 1)`} {
		if _, err := db.Exec(row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
}

func TestSpelled(t *testing.T) {
	for city, want := range map[string]string{
		"": "", "SAO PAULO": "Sao Paulo", " São  Paulo": "Sao Paulo", "Ribeirão Preto": "Ribeirao Preto", "SÃO JOSÉ DOS CAMPOS": "Sao Jose dos Campos",
		"Da Serra": "Da Serra", "Mogi / Guaçu%": "Mogi Guacu", strings.Repeat("a", 121): "", "Çá": "Ca", "東京": "東京",
	} {
		if got := spelled(city); got != want {
			t.Errorf("%q is %q, want %q", city, got, want)
		}
		if got := spelled(spelled(city)); got != want {
			t.Errorf("%q twice is %q", city, got)
		}
	}
}

// TestCityFromDocuments: what documents tell of a shop's city is enough, and what a device
// signed counts more than what anybody may write.
func TestCityFromDocuments(t *testing.T) { eachEngine(t, testCityFromDocuments) }

func testCityFromDocuments(t *testing.T, s *Store) {
	const cnpj = "11222333000181" // of sample
	update(t, s, func(w *Writer) error {
		return w.AddTaxpayer(Taxpayer{Root: cnpj[:8], Name: "LOJA", Reseller: DefaultReseller, CreatedAt: t0})
	})
	number := 0
	for _, step := range []struct {
		name, city string
		model      int
		write      string // by a person, before
		want, told string
	}{
		{"a document without one", "", 59, "", "", ""},
		{"a note", "CAMPINAS", 65, "", "Campinas", "Campinas"},
		{"a note with another", "SANTOS", 65, "", "Campinas", "Campinas"},
		{"a coupon", "SÃO PAULO", 59, "", "Sao Paulo", "Sao Paulo"},
		{"a note again", "SANTOS", 65, "", "Sao Paulo", "Sao Paulo"},
		{"a person", "", 59, "São Paulo - Centro", "São Paulo - Centro", "Sao Paulo"},
		{"a coupon of another city", "OSASCO", 59, "", "São Paulo - Centro", "Osasco"},
	} {
		if step.write != "" {
			update(t, s, func(w *Writer) error {
				return w.NameEstablishment(Establishment{CNPJ: cnpj, Name: "Loja", City: step.write})
			})
		}
		number++
		d, body := sample("900000001", number, t0)
		d.City, d.Model, d.Issuer = step.city, step.model, cnpj
		add(t, s, d, body)
		var told string
		view(t, s, func(r *Reader) error {
			e, err := r.Establishment(cnpj)
			if err == nil && e.City != step.want {
				t.Errorf("%s: shown %q", step.name, e.City)
			}
			if err == nil {
				told, err = one(r, value[string], `SELECT told_city FROM establishments WHERE cnpj = $1`, cnpj)
			}
			found, _, err2 := r.SearchTaxpayers(Clients{Text: step.want, Limit: 10})
			if len(found) != 1 || err2 != nil {
				t.Errorf("%s: %d found by it, %v", step.name, len(found), err2)
			}
			return err
		})
		if told != step.told {
			t.Errorf("%s: %q, want %q", step.name, told, step.told)
		}
	}
}
