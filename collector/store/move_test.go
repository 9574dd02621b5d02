package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"zelo/collector/alarm"
)

// TestMovedRows: of every kind of row that a taxpayer has, the new reseller sees what
// the old one saw, and the old one nothing any more.
func TestMovedRows(t *testing.T) { eachEngine(t, testMovedRows) }

func testMovedRows(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "11111111000191")
	update(t, s, func(w *Writer) error {
		return w.SetBeat(Beat{Agent: Agent{ID: "agent001", BeatAt: t0}, Devices: []BeatDevice{{Serial: "911111191", Answering: true}}})
	})
	brings(t, s, "agent001", "11111111000191")
	rec := Record{Agent: "agent001", Epoch: "x", Stream: "events", SHA256: [32]byte{1}, At: t0}
	var owner, free User
	update(t, s, func(w *Writer) (err error) {
		seller, err := w.AddPerson(User{Email: "revenda@example.com", Role: RoleReseller, Reseller: 1})
		owner, _ = w.AddPerson(User{Email: "dono@example.com", Role: RoleTaxpayer, Reseller: 1})
		free, _ = w.AddPerson(User{Email: "livre@example.com", Role: RoleAccountant})
		loyal, err2 := w.AddPerson(User{Email: "fiel@example.com", Role: RoleAccountant})
		raised := []alarm.Raised{{Code: alarm.AgentSilent, Severity: alarm.Warning, Step: 1, Detail: "x", Since: t0}}
		return errors.Join(err, err2, w.Give(owner.ID, "11111111", seller.Email, t0), w.Give(free.ID, "11111111", seller.Email, t0),
			w.Give(loyal.ID, "11111111", owner.Email, t0),
			w.AddEvent(Event{Agent: "agent001", Serial: "911111191", Code: "device-gone", At: t0, ReceivedAt: t0}, rec),
			w.Quarantine(Quarantined{Agent: "agent001", Reason: "?", ReceivedAt: t0}, s.Pack([]byte("?"))),
			w.AddCertificate(Certificate{Serial: "c1", Agent: "agent001", IssuedAt: t0, ExpiresAt: t0}),
			w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, raised, t0),
			w.SetAlarms(alarm.Subject{Kind: alarm.OfDevice, ID: "911111191"}, raised, t0),
			w.AddAPIToken("program", APIToken{User: owner.ID, Label: "ERP", CreatedAt: t0, ExpiresAt: t0.AddDate(1, 0, 0)}),
			w.AddAudit(Audit{At: t0, Who: owner.Email, User: owner.ID, Reseller: 1, Act: "entrada", Object: owner.Email}))
	})
	before := rowsOf(t, s, 1, owner.ID)
	update(t, s, func(w *Writer) error { return w.MoveTaxpayer("11111111", 2, t0) })
	old, now := rowsOf(t, s, 1, owner.ID), rowsOf(t, s, 2, owner.ID)
	for kind, had := range before {
		switch {
		case had == "[]" || had == "null":
			t.Errorf("%s: the test has none", kind)
		case strings.Contains(old[kind], "1111111") || strings.Contains(old[kind], "agent001") || strings.Contains(old[kind], "dono@"):
			t.Errorf("%s: the old reseller sees %s", kind, old[kind])
		case kind != "tokens" && kind != "grants" && kind != "audit" && kind != "programs" && (now[kind] == "[]" || now[kind] == "null"):
			t.Errorf("%s: the new reseller does not see it", kind)
		}
	}
	if strings.Contains(now["grants"], "livre@") || !strings.Contains(now["grants"], "dono@") || !strings.Contains(now["grants"], "fiel@") {
		t.Errorf("grants that hold: %s", now["grants"])
	}
	err := s.Update(context.Background(), func(w *Writer) error { return w.SpendToken("of agent001", t0) })
	if !errors.Is(err, ErrTokenExpired) {
		t.Errorf("the old reseller's token still enrols: %v", err)
	}
	if _, err := apiToken(s, "program"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a program that the old reseller may know still reads: %v", err)
	}
}

func apiToken(s *Store, secret string) (found APIToken, err error) {
	err = s.View(context.Background(), All(), func(r *Reader) error {
		found, err = r.APITokenBySecret(secret, t0)
		return err
	})
	return found, err
}

// oldKey is that of the coupon that brings makes of 11111111000191.
const oldKey = "35251211111111000191599111111910000010000001"

// rowsOf is what a reseller sees, by kind.
func rowsOf(t *testing.T, s *Store, reseller, owner int64) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := s.View(context.Background(), OfReseller(reseller), func(r *Reader) error {
		put := func(kind string, list any, err error) {
			text, err2 := json.Marshal(list)
			if out[kind] = string(text); err != nil || err2 != nil {
				t.Errorf("%s: %v %v", kind, err, err2)
			}
		}
		found, _, err := r.Search(Search{})
		put("documents", found, err)
		versions, err := r.Versions(oldKey)
		put("versions", versions, err)
		devices, err := r.Devices()
		put("devices", devices, err)
		agents, err := r.Agents()
		put("agents", agents, err)
		tills, err := r.Tills()
		put("tills", tills, err)
		alarms, err := r.OpenAlarms()
		put("alarms", alarms, err)
		events, err := r.EventsOf("agent001", 9)
		put("events", events, err)
		records, err := r.Quarantined(9)
		put("quarantine", records, err)
		certificates, err := r.Certificates("agent001")
		put("certificates", certificates, err)
		clients, err := r.Taxpayers()
		put("taxpayers", clients, err)
		users, err := r.Users()
		put("people", users, err)
		grants, err := r.Grants()
		put("grants", grants, err)
		programs, err := r.APITokens(owner)
		put("programs", programs, err)
		lines, err := r.ListAudit(AuditSearch{Limit: 9})
		put("audit", lines, err)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLookForClients: by part of the CNPJ, name or town, page by page.
func TestLookForClients(t *testing.T) { eachEngine(t, testLookForClients) }

func testLookForClients(t *testing.T, s *Store) {
	twoResellers(t, s)
	update(t, s, func(w *Writer) error {
		for i, name := range []string{"Padaria São João", "PADARIA DA PRAÇA", "Açougue 100% Bom"} {
			cnpj := string(rune('4'+i)) + "0000000000191"
			if err := errors.Join(w.AddTaxpayer(Taxpayer{Root: cnpj[:8], Name: name, Reseller: 1, CreatedAt: t0}),
				w.AddEstablishment(Establishment{CNPJ: cnpj, Root: cnpj[:8], Name: name, City: []string{"Itápolis", "Fortaleza", "Ibitinga"}[i]})); err != nil {
				return err
			}
		}
		return nil
	})
	for text, want := range map[string]string{"sao joao": "4", "  SÃO  ": "4", "padaria": "54", "itapolis": "4", "Fortaleza": "5", "5000.0000": "5", "60000000000191": "6",
		"6000.0000/0001-91": "6", "100%": "6", "%": "6541", "nada": "", "": "6541", "DOIS": ""} {
		got := ""
		err := s.View(context.Background(), OfReseller(1), func(r *Reader) error {
			for after, more := "", true; more; {
				var list []Taxpayer
				var err error
				if list, more, err = r.SearchTaxpayers(Clients{Text: text, After: after, Limit: 2}); err != nil {
					return err
				}
				for _, c := range list {
					got, after = got+c.Root[:1], c.Root
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || strings.Trim(got, want) != "" {
			t.Errorf("%q finds %q, want %q", text, got, want)
		}
	}
}
