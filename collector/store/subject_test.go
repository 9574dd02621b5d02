package store

import (
	"errors"
	"strings"
	"testing"
)

// TestErase: no table of the store names an erased person, and what they did stays.
func TestErase(t *testing.T) { eachEngine(t, testErase) }

func testErase(t *testing.T, s *Store) {
	const email = "ana@example.com"
	var ana, bia User
	update(t, s, func(w *Writer) (err error) {
		ana, err = w.AddPerson(User{Email: email, Name: "Ana Única", Role: RoleReseller, Reseller: 1, CreatedAt: t0})
		if err != nil {
			return err
		}
		bia, err = w.AddPerson(User{Email: "mari" + email, Name: "Mariana", Role: RoleReseller, Reseller: 1, CreatedAt: t0})
		o, err2 := w.AddOrder(Order{Name: "restart", Who: email, CreatedAt: t0}, []Command{{ID: "c", Agent: "agent001", Wave: 1}, {ID: "sent", Agent: "agent001", Wave: 1}})
		err2 = errors.Join(err2, w.SetMessage("sent", nil, t0))
		_, err3 := w.StopOrder(o.ID, "Cancelado por "+email+".", t0)
		return errors.Join(err, err2, err3, w.AddTaxpayer(Taxpayer{Root: "11111111", Name: "UM", Reseller: 1}), w.Give(bia.ID, "11111111", email, t0),
			w.PutLink("link", ana.ID, t0, t0.AddDate(0, 0, 1)), w.PutSession("session", ana.ID, t0, t0.AddDate(0, 0, 1)),
			w.AddAPIToken("program", APIToken{User: ana.ID, Label: "ERP", CreatedAt: t0, ExpiresAt: t0.AddDate(1, 0, 0)}),
			w.AddAudit(Audit{At: t0, Who: email, User: ana.ID, Reseller: 1, Act: "entrada", Object: email, Detail: "192.0.2.1"}),
			w.AddAudit(Audit{At: t0, Who: bia.Email, User: bia.ID, Reseller: 1, Act: "acesso dado", Object: "11111111", Detail: email}))
	})
	update(t, s, func(w *Writer) error { return w.EraseUser(ana, t0) })
	view(t, s, func(r *Reader) error {
		tables, err := r.tx.tables(r.ctx)
		for _, table := range tables {
			for _, column := range table.columns {
				for _, mark := range []string{email, ana.Name} {
					n, err := one(r, value[int], `SELECT count(*) FROM `+table.name+` WHERE CAST(`+column+` AS TEXT) LIKE $1 AND CAST(`+column+` AS TEXT) NOT LIKE $2`, "%"+mark+"%", "%mari"+mark+"%")
					if n != 0 || err != nil {
						t.Errorf("%s.%s still names %s %d times, %v", table.name, column, mark, n, err)
					}
				}
			}
		}
		lines, err2 := r.ListAudit(AuditSearch{Limit: 9})
		told := ""
		for _, l := range lines {
			told += l.Who + " " + l.Act + " " + l.Object + " " + l.Detail + "\n"
		}
		me := Pseudonym(ana.ID)
		if want := bia.Email + " acesso dado 11111111 " + me + "\n" + me + " entrada " + me + " 192.0.2.1\n"; told != want {
			t.Errorf("audit:\n%swant:\n%s", told, want)
		}
		grants, err3 := r.Grants()
		if len(grants) != 1 || grants[0].GivenBy != me {
			t.Errorf("%+v", grants)
		}
		return errors.Join(err, err2, err3)
	})
	err := s.Update(t.Context(), func(w *Writer) error {
		return w.exec(`UPDATE audit SET who = 'outra' WHERE who = $1`, Pseudonym(ana.ID))
	})
	if err == nil || !strings.Contains(err.Error(), "only added to") {
		t.Errorf("after the erasure the audit may be changed: %v", err)
	}
}
