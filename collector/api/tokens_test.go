package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"zelo/agent/wire"
	"zelo/collector/account"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// rightsOf are the rights that programs of a person may have, alone and together.
func (b *bench) rightsOf(c Caller) []string {
	all := []string{""}
	for _, r := range b.TokenRights(c) {
		all = append(all, string(r.Right))
	}
	return append(all, strings.Join(all, " "))
}

// lacksRight tells whether a caller is a program that may not do what its person may.
func lacksRight(c Caller, op Operation) bool {
	return c.Token() && c.Is(op.Roles...) && (op.Right() == "" || !c.Has(op.Right()))
}

// program is a person's program with rights.
func (b *bench) program(c Caller, rights string) Caller {
	b.t.Helper()
	p, err := b.CallerOfToken(b.t.Context(), b.token(c, "", rights))
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// TestTokenRights: nobody gives a program more than they may.
func TestTokenRights(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	for role, want := range map[store.Role]string{store.RoleReseller: " alarms queries commands", store.RoleTechnician: " alarms queries commands",
		store.RoleTaxpayer: "", store.RoleAccountant: ""} {
		got := ""
		for _, r := range b.TokenRights(mine.byRole[role]) {
			got += " " + string(r.Right)
		}
		if got != want {
			t.Errorf("%s may give%s, want%s", role, got, want)
		}
	}
	var mend *Problem
	for _, wish := range []string{"alarms", "read commands", "everything"} {
		if _, err := b.NewAPIToken(t.Context(), mine.byRole[store.RoleTaxpayer], NewToken{"x", "", wish, 9}); !errors.As(err, &mend) {
			t.Errorf("%q to a taxpayer's program: %v", wish, err)
		}
	}
	head := mine.byRole[store.RoleReseller]
	b.token(head.Only(mine.root), "", "read, queries,alarms queries")
	list, err := b.APITokens(t.Context(), head)
	if err != nil || len(list) != 1 || list[0].APIToken.Rights != "alarms queries" || list[0].Root != mine.root || !strings.Contains(list[0].Words(), "ler; assumir") {
		t.Errorf("%+v %v", list, err)
	}
	program := b.program(head, "alarms commands")
	if b.May(program, opNewAPIToken) || b.May(program, opAddPerson) || !b.May(program, opSilence) {
		t.Error("what a program may")
	}
	// Who goes takes their programs along.
	secret := b.token(head, "", "alarms commands")
	b.update(func(w *store.Writer) error {
		u, err := w.UserByEmail(head.Who())
		return errors.Join(err, w.EraseUser(u, now()))
	})
	if _, err := b.CallerOfToken(t.Context(), secret); !errors.Is(err, ErrSignedOut) {
		t.Errorf("%v", err)
	}
}

// TestProgramsGiveCommands: which command with which right, and what is noted.
func TestProgramsGiveCommands(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	b.blocked(mine, alarm.Unblocked)
	head, technician := mine.byRole[store.RoleReseller], mine.byRole[store.RoleTechnician]
	for _, c := range []struct {
		name string
		by   Caller
		NewCommand
		want string // "" when it is sent, "lacks" the right, or part of the problem
	}{
		{"reading only", b.program(head, "alarms"), NewCommand{Name: wire.CommandStatus, Device: mine.serial}, "lacks"},
		{"a query", b.program(head, "queries"), NewCommand{Name: wire.CommandStatus, Device: mine.serial, When: When{Anyway: true}}, ""},
		{"a query that waits for its moment", b.program(technician, "queries"), NewCommand{Name: wire.CommandLogs, Device: mine.serial}, ""},
		{"a query that does not", b.program(head, "queries"), NewCommand{Name: wire.CommandLogs, Device: mine.serial, When: When{Anyway: true}}, "lacks"},
		{"a test with queries", b.program(head, "queries"), NewCommand{Name: wire.CommandTest, Device: mine.serial}, "lacks"},
		{"a restart with queries", b.program(head, "queries"), NewCommand{Name: wire.CommandRestart}, "lacks"},
		{"a test", b.program(technician, "commands"), NewCommand{Name: wire.CommandTest, Device: mine.serial, When: When{Anyway: true}}, ""},
		{"a query with all", b.program(technician, "commands"), NewCommand{Name: wire.CommandStatus, Device: mine.serial}, ""},
		{"more than its person", b.program(technician, "commands"), NewCommand{Name: wire.CommandBlock, Device: mine.serial, Confirm: mine.serial}, "administrador"},
		{"not confirmed", b.program(head, "commands"), NewCommand{Name: wire.CommandBlock, Device: mine.serial}, "escreva " + mine.serial},
		{"confirmed", b.program(head, "commands"), NewCommand{Name: wire.CommandBlock, Device: mine.serial, Confirm: mine.serial}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.Till = mine.agent
			id, err := b.SendCommand(t.Context(), c.by, c.NewCommand)
			var mend *Problem
			var lacks *lacking
			switch {
			case c.want == "lacks" && !errors.As(err, &lacks), c.want == "" && err != nil,
				c.want != "" && c.want != "lacks" && (!errors.As(err, &mend) || !strings.Contains(mend.Text, c.want)):
				t.Errorf("%q %v", id, err)
			}
			if _, err := b.SendMany(t.Context(), c.by, Many{Name: c.Name, Only: mine.serial, Confirm: "1", When: c.When}); c.want == "lacks" && !errors.As(err, &lacks) {
				t.Errorf("to many: %v", err)
			}
		})
	}
	for name, offered := range map[string]bool{wire.CommandStatus: true, wire.CommandLogs: true, wire.CommandTest: false, wire.CommandRestart: false} {
		if why := b.offered(b.program(head, "queries"), mine, name); (why == "") != offered {
			t.Errorf("%s is offered to a program with queries: %q", name, why)
		}
	}
	if why := b.offered(b.program(head, ""), mine, wire.CommandStatus); !strings.Contains(why, "direito queries") {
		t.Errorf("%q", why)
	}
	b.update(func(w *store.Writer) error {
		lines, err := w.ListAudit(store.AuditSearch{Who: "programa", Act: "comando", Limit: 99})
		if len(lines) < 5 || slices.ContainsFunc(lines, func(l store.Audit) bool { return l.Token != "programa" || l.User == 0 }) {
			t.Errorf("%d lines: %+v", len(lines), lines)
		}
		return err
	})
}

// TestProgramsCareForAlarms: over HTTP, from the list to the end.
func TestProgramsCareForAlarms(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	p := b.programs()
	head := mine.byRole[store.RoleReseller]
	bearer := func(rights, root string) []string {
		return []string{"Authorization", "Bearer " + b.token(head, root, rights)}
	}
	cares, reads := bearer("alarms", ""), bearer("", "")
	path := func(t *tenant, act string) string { return fmt.Sprint(Base, "/alarms/", t.alarm, "/", act) }
	for _, one := range []struct {
		name, path, body string
		way              []string
		status           int
	}{
		{"takes", path(mine, "take"), "", cares, http.StatusNoContent},
		{"assigns", path(mine, "take"), `{"person":"` + mine.technician.Email + `"}`, cares, http.StatusNoContent},
		{"silences", path(mine, "silence"), `{"hours":2}`, cares, http.StatusNoContent},
		{"resolves", path(mine, "resolve"), "", cares, http.StatusNoContent},
		{"a stranger's", path(other, "resolve"), "", cares, http.StatusNotFound},
		{"another taxpayer's", path(mine, "resolve"), "", bearer("alarms", "22222222"), http.StatusNotFound},
		{"without the right", path(mine, "take"), "", reads, http.StatusForbidden},
		{"with another right", path(mine, "take"), "", bearer("commands", ""), http.StatusForbidden},
		{"a stage", Base + "/devices/" + mine.serial + "/stage", `{"stage":"esvaziando"}`, cares, http.StatusForbidden},
		{"a token of its own", Base + "/tokens", `{"label":"mais","rights":"commands"}`, bearer("alarms commands", ""), http.StatusForbidden},
	} {
		if a := p.ask("POST", one.path, one.body, one.way...); a.status != one.status {
			t.Errorf("%s: %d %s", one.name, a.status, a.body)
		}
	}
	if a := p.ask("GET", fmt.Sprint(Base, "/alarms/", mine.alarm), "", reads...); !strings.Contains(string(a.body), mine.technician.Email) {
		t.Errorf("%d %s", a.status, a.body)
	}
	lines := string(p.ask("GET", Base+"/audit?act=alarme", "", "X-Test-Session", p.session(head.Who())).body)
	if strings.Count(lines, `"token":"programa"`) != 4 {
		t.Errorf("%s", lines)
	}
}

// TestDescribedRights: the description says which right an operation needs.
func TestDescribedRights(t *testing.T) {
	doc := describe(Operations())
	for path, want := range map[string]string{"/alarms/{alarm}/take": `["alarms"]`, "/tills/{till}/commands": `["queries"]`, "/commands/{command}/cancel": `["queries"]`,
		"/people": ""} {
		op := doc.Paths[path].Post
		raw, _ := json.Marshal(op.Security)
		if has := strings.Contains(string(raw), `"token":`+want); has != (want != "") && want != "" || want == "" && strings.Contains(string(raw), "token") {
			t.Errorf("%s: %s", path, raw)
		}
		if !strings.Contains(op.Description, "código de API") {
			t.Errorf("%s: %s", path, op.Description)
		}
	}
	for _, op := range Operations() {
		if right := op.Right(); right != "" && !slices.Contains(account.Rights(), right) || right == account.RightRead != (op.Method == "GET") {
			t.Errorf("%s needs %q", op.Op, right)
		}
	}
}
