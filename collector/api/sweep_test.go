package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"zelo/collector/store"
)

// TestNarrowed: who narrowed themselves to one taxpayer, as an API token may be, learns
// of no other one by any operation that reads.
func TestNarrowed(t *testing.T) {
	b := setup(t)
	mine, sibling, other := b.tenants()
	if list, err := b.Resellers(t.Context(), b.ana.Only(mine.root)); err != nil || len(list) != 1 || list[0].ID != mine.reseller {
		t.Errorf("the platform narrowed sees the resellers %v, %v", list, err)
	}
	for _, c := range []Caller{mine.byRole[store.RoleReseller], mine.byRole[store.RoleTechnician], b.ana} {
		for _, op := range Operations() {
			if op.Method == "GET" {
				b.call(c.Role(), c.Only(mine.root), op, mine, sibling, -1)
				b.call(c.Role(), c.Only(mine.root), op, mine, other, -1)
			}
		}
	}
}

// TestStaffHasNoGrants: a person of a reseller's staff is not added with a taxpayer, so
// that nobody learns which taxpayers others have, nor appears among their people.
func TestStaffHasNoGrants(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	for _, root := range []string{other.root, "99999999", mine.root} {
		for _, role := range []Role{store.RoleReseller, store.RoleTechnician} {
			_, err := b.AddPerson(t.Context(), mine.byRole[store.RoleReseller], NewPerson{Email: "novo" + root + "@example.com", Role: role, Root: root})
			if mend := new(*Problem); !errors.As(err, mend) {
				t.Errorf("%s with taxpayer %s: %v", role, root, err)
			}
		}
	}
	_, err := b.AddPerson(t.Context(), b.ana, NewPerson{Email: "nova@example.com", Role: store.RolePlatform, Root: other.root})
	if mend := new(*Problem); !errors.As(err, mend) {
		t.Errorf("the platform: %v", err)
	}
}

// TestPagesOfClients: the mark of a page says nothing about a taxpayer out of sight.
func TestPagesOfClients(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	for _, after := range []string{mine.root, "99999999"} {
		page, err := b.Taxpayers(t.Context(), other.byRole[store.RoleReseller], "", after)
		if err != nil || len(page.Taxpayers) != 0 {
			t.Errorf("after %s: %+v, %v", after, page, err)
		}
	}
}

// withCPF are the operations that give files in which consumers' CPF stand.
func withCPF() map[Op]bool {
	return map[Op]bool{OpDocumentBytes: true, opExportZIP: true, opExportCSV: true, OpQuarantineBytes: true}
}

// TestNoCPF: no operation that reads gives a consumer's CPF, but for the files in which
// it stands, and these not to a technician.
func TestNoCPF(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	mine.byRole[store.RolePlatform] = b.ana
	for role, c := range mine.byRole {
		if _, err := b.Search(t.Context(), c, Query{Consumer: cpf}); (err == nil) != (role != store.RoleTechnician) {
			t.Errorf("%s searches for a consumer: %v", role, err)
		}
		for _, op := range Operations() {
			if op.Method != "GET" || withCPF()[op.Op] && role != store.RoleTechnician {
				continue
			}
			if said := b.said(c, op, mine); strings.Contains(said, cpf) || strings.Contains(said, "529.982.247-25") {
				t.Errorf("%s shows %s the CPF: %s", op.Op, role, said)
			}
		}
	}
	if log := b.log.String(); strings.Contains(log, cpf) || strings.Contains(log, "529.982") {
		t.Error("the log names the CPF")
	}
}

// said is all that an operation says of what a tenant has.
func (b *bench) said(c Caller, op Operation, t *tenant) string {
	b.t.Helper()
	in := Input{Values: map[string]string{}, Out: &bytes.Buffer{}}
	for _, p := range op.Params {
		in.Values[p.Name], _ = t.value(p.Kind)
		if p.Kind == Text {
			in.Values[p.Name] = texts(p.Name)
		}
	}
	result, err := op.Call(b.t.Context(), b.API, c, in)
	if mend := new(*Problem); err != nil && !errors.Is(err, ErrNotFound) && !errors.As(err, mend) {
		b.t.Errorf("%s as %s: %v", op.Op, c.Role(), err)
	}
	shown, err2 := json.Marshal(result)
	if err2 != nil {
		b.t.Fatal(err2)
	}
	said := fmt.Sprint(err, in.Out) + string(shown)
	if file, is := result.(File); is {
		said += file.Name + string(file.Raw)
	}
	return said
}
