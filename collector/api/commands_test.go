package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/account"
	"zelo/collector/alarm"
	"zelo/collector/fleet"
	"zelo/collector/store"
)

// commanded gives the tenant's till a key and two commands: one done, with a log, and
// one that waits.
func (b *bench) commanded(w *store.Writer, t *tenant) error {
	if b.o.Fleet == nil {
		f, err := fleet.New(fleet.Options{Store: b.store, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Log: slog.New(slog.DiscardHandler), Now: now})
		if err != nil {
			return err
		}
		b.o.Fleet = f
	}
	o := store.Order{Name: wire.CommandLogs, Who: t.technician.Email, User: t.technician.ID, Reseller: t.reseller, CreatedAt: now(), ExpiresAt: now().Add(time.Hour)}
	t.command = strings.Repeat(t.root[:1], 32)
	o, err := w.AddOrder(o, []store.Command{{ID: t.command, Agent: t.agent, Serial: t.serial, Wave: 1}})
	if err != nil {
		return err
	}
	t.order = o.ID
	log := b.store.Pack([]byte("log of " + t.name))
	_, err = w.TellCommand(t.agent, store.CommandReport{Command: t.command, Number: 2, State: store.CommandDone, Text: "feito em " + t.name,
		Lines: []store.CommandLine{{At: now(), Text: "lido de " + t.host}}, Result: store.Brought{Name: t.name + ".txt", Type: "text/plain", Parts: 1, Body: log.SHA256}}, now())
	_, err2 := w.AddLogs(t.serial, now(), store.LogLine{At: now(), Process: "SAT", Level: "info", Text: "ligado em " + t.name})
	return errors.Join(err, err2, w.AddPart(t.agent, t.command, log.SHA256, 0, log), w.SetSealKey(t.agent, sealKey(), strings.Repeat("0e", 16)))
}

// sealKey is some agent's public key.
func sealKey() []byte {
	return append([]byte{9}, make([]byte, 31)...) // the base point of X25519
}

// blocked makes a device's last status one of a block.
func (b *bench) blocked(t *tenant, block alarm.Block) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		return w.SetStatus(t.serial, store.Status{Block: block, State: "estado"}, store.Record{Agent: t.agent, Epoch: rand.Text(), Stream: "status", Seq: 1, At: now()})
	})
}

func (b *bench) offered(c Caller, t *tenant, name string) (why string) {
	b.t.Helper()
	p, err := b.Commands(b.t.Context(), c, t.agent)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, o := range append(p.Agent, p.Devices[t.serial]...) {
		if o.Name == name {
			return o.Why
		}
	}
	b.t.Fatalf("%s is not offered at all", name)
	return ""
}

// TestOffers: what is offered, to whom, in which state of the device.
func TestOffers(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	technician, head := mine.byRole[store.RoleTechnician], mine.byRole[store.RoleReseller]
	if why := b.offered(technician, mine, wire.CommandUnblock); !strings.Contains(why, "ainda não foi lido") {
		t.Errorf("before the first status: %q", why)
	}
	for _, c := range []struct {
		block   alarm.Block
		name    string
		offered bool
	}{
		{alarm.Unblocked, wire.CommandUnblock, false}, {alarm.ByTaxOffice, wire.CommandUnblock, true}, {alarm.ByTaxpayer, wire.CommandUnblock, true},
		{alarm.Autonomous, wire.CommandUnblock, false}, {alarm.ForDeactivation, wire.CommandUnblock, false},
		{alarm.Autonomous, wire.CommandLogs, true}, {alarm.Unblocked, wire.CommandRestart, true},
	} {
		b.blocked(mine, c.block)
		if why := b.offered(technician, mine, c.name); (why == "") != c.offered {
			t.Errorf("%s at block %d: %q", c.name, c.block, why)
		}
	}
	if why := b.offered(technician, mine, wire.CommandUpdateSoftware); !strings.Contains(why, "administrador") {
		t.Errorf("a technician updates the device: %q", why)
	}
	if why := b.offered(head, mine, wire.CommandUpdateSoftware); why != "" {
		t.Errorf("the reseller does not: %q", why)
	}
	if p, err := b.Commands(t.Context(), technician, mine.unidentified); !errors.Is(err, ErrNotFound) {
		t.Errorf("a till of no paid plan: %+v %v", p, err)
	}
	if err := b.SetPlan(t.Context(), CommandLine(), mine.cnpj, store.PlanLite); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commands(t.Context(), technician, mine.agent); !errors.Is(err, ErrNotFound) {
		t.Errorf("plan LITE: %v", err)
	}
	if account.Entitlements()[account.FeatureCommands] != store.PlanPro {
		t.Error("commands are of plan PRO")
	}
}

func TestSendCommand(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	technician, head := mine.byRole[store.RoleTechnician], mine.byRole[store.RoleReseller]
	b.blocked(mine, alarm.Unblocked)
	const code = "segredo-123"
	for _, c := range []struct {
		name string
		by   Caller
		NewCommand
		problem string // part of it; "" when it is sent
	}{
		{"a reading", technician, NewCommand{Name: wire.CommandStatus, Device: mine.serial}, ""},
		{"for the agent", technician, NewCommand{Name: wire.CommandRestart}, ""},
		{"no such command", technician, NewCommand{Name: "format"}, "Não existe o comando"},
		{"a device's command for the agent", technician, NewCommand{Name: wire.CommandStatus}, "para um equipamento"},
		{"an agent's command for a device", technician, NewCommand{Name: wire.CommandRestart, Device: mine.serial}, "para o agente"},
		{"an argument that is missing", technician, NewCommand{Name: wire.CommandSession, Device: mine.serial}, "falta informar"},
		{"not by a technician", technician, NewCommand{Name: wire.CommandBlock, Device: mine.serial, Confirm: mine.serial}, "administrador"},
		{"not confirmed", head, NewCommand{Name: wire.CommandBlock, Device: mine.serial}, "escreva " + mine.serial},
		{"confirmed with something else", head, NewCommand{Name: wire.CommandBlock, Device: mine.serial, Confirm: "sim"}, "escreva " + mine.serial},
		{"confirmed", head, NewCommand{Name: wire.CommandBlock, Device: mine.serial, Confirm: " " + mine.serial}, ""},
		{"a state in which it cannot work", technician, NewCommand{Name: wire.CommandUnblock, Device: mine.serial}, "estado atual"},
		{"too long a time", technician, NewCommand{Name: wire.CommandStatus, Device: mine.serial, When: When{Hours: 24 * 31}}, "30 dias"},
		{"with a secret", head, NewCommand{Name: wire.CommandChangeCode, Device: mine.serial, Confirm: mine.serial, Args: map[string]string{"new": code}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.Till = mine.agent
			id, err := b.SendCommand(t.Context(), c.by, c.NewCommand)
			var mend *Problem
			switch {
			case c.problem != "" && (!errors.As(err, &mend) || !strings.Contains(mend.Text, c.problem)):
				t.Errorf("%v, want %q", err, c.problem)
			case c.problem == "" && err != nil:
				t.Error(err)
			case c.problem == "":
				if p, err := b.Command(t.Context(), c.by, id); err != nil || p.Order.Who != c.by.Who() || p.Order.Name != c.Name {
					t.Errorf("%+v %v", p, err)
				}
			}
		})
	}
	b.update(func(w *store.Writer) error {
		lines, err := w.ListAudit(store.AuditSearch{Act: "comando", Limit: 100})
		orders, err2 := w.Orders(100)
		sent := 0
		for _, l := range lines {
			if l.Act == "comando" {
				sent++
			}
			if strings.Contains(l.Detail+l.Object, code) {
				t.Errorf("a code in the audit: %+v", l)
			}
		}
		if sent != 4 {
			t.Errorf("%d commands in the audit, want 4", sent)
		}
		for _, o := range orders {
			for _, v := range o.Args {
				if v == code {
					t.Error("a code is stored")
				}
			}
		}
		return errors.Join(err, err2)
	})
	if strings.Contains(b.log.String(), code) {
		t.Error("a code is in the log")
	}
}

func TestSendMany(t *testing.T) {
	b := setup(t)
	mine, sibling, other := b.tenants()
	head := mine.byRole[store.RoleReseller]
	for _, one := range []*tenant{mine, sibling, other} {
		b.blocked(one, alarm.Unblocked)
	}
	for _, c := range []struct {
		name string
		by   Caller
		Many
		want int
	}{
		{"all of a reseller", head, Many{}, 2},
		{"all", CommandLine(), Many{}, 3},
		{"of another reseller", CommandLine(), Many{Reseller: other.reseller}, 1},
		{"a taxpayer", head, Many{Root: sibling.root}, 1},
		{"a stranger's taxpayer", head, Many{Root: other.root}, 0},
		{"by number and name", head, Many{Only: mine.serial + ", " + sibling.host}, 2},
		{"by a stranger's number", head, Many{Only: other.serial}, 0},
		{"a model", head, Many{Model: "loja-1"}, 1},
		{"a version", head, Many{Software: "99"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.Name = wire.CommandStatus
			if p, err := b.Pick(t.Context(), c.by, c.Many); err != nil || len(p.Targets) != c.want {
				t.Errorf("%+v %v, want %d", p.Targets, err, c.want)
			}
		})
	}
	b.serves(other, mine) // a till of another reseller brings a document of mine
	p, err := b.Pick(t.Context(), head, Many{Name: wire.CommandRestart})
	if err != nil || len(p.Targets) == 0 || len(p.Left) != 1 || !strings.Contains(p.Left[0].Why, "outra loja") {
		t.Errorf("%+v %v", p, err)
	}
	send := func(m Many) (int64, error) { return b.SendMany(context.Background(), head, m) }
	for name, m := range map[string]Many{
		"not confirmed":  {Name: wire.CommandUpdateSoftware},
		"wrong number":   {Name: wire.CommandUpdateSoftware, Confirm: "3"},
		"a secret":       {Name: wire.CommandChangeCode, Confirm: "2", Args: map[string]string{"new": "12345678"}},
		"no command":     {},
		"nobody":         {Name: wire.CommandStatus, Only: "nada"},
		"no such share":  {Name: wire.CommandStatus, Need: 101},
		"missing values": {Name: wire.CommandSession},
	} {
		var mend *Problem
		if _, err := send(m); !errors.As(err, &mend) {
			t.Errorf("%s: %v", name, err)
		}
	}
	id, err := send(Many{Name: wire.CommandUpdateSoftware, Confirm: "2", First: 1})
	if err != nil {
		t.Fatal(err)
	}
	o, err := b.Order(t.Context(), head, id)
	if err != nil || len(o.Commands) != 2 || o.First != 1 || o.Need != 100 || o.Open != 2 || !o.Mine || o.Commands[1].Wave != 2 {
		t.Fatalf("%+v %v", o, err)
	}
	if _, err := b.CancelOrder(t.Context(), other.byRole[store.RoleReseller], id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a stranger cancels it: %v", err)
	}
	if n, err := b.CancelOrder(t.Context(), head, id); err != nil || n != 2 {
		t.Errorf("%d %v", n, err)
	}
	if _, err := b.CancelOrder(t.Context(), head, id); err == nil {
		t.Error("it is cancelled twice")
	}
}

// TestCancelCommand: in each state, by each who may or may not, once and again.
func TestCancelCommand(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	technician, head := mine.byRole[store.RoleTechnician], mine.byRole[store.RoleReseller]
	b.blocked(mine, alarm.Unblocked)
	for _, c := range []struct {
		name   string
		state  store.CommandState
		by     Caller
		want   string // "" when it is cancelled, "none" when it is out of sight, or part of the problem
		state2 store.CommandState
		says   string // of what became of it
	}{
		{"not sent", store.CommandQueued, technician, "", store.CommandCancelled, ""},
		{"sent", store.CommandSent, technician, "", store.CommandSent, "ainda não confirmou"},
		{"waiting", store.CommandWaiting, head, "", store.CommandWaiting, "ainda não confirmou"},
		{"begun", store.CommandRunning, technician, "já começou, não pode ser cancelado", store.CommandRunning, ""},
		{"done", store.CommandDone, technician, "já terminou", store.CommandDone, ""},
		{"by a stranger", store.CommandWaiting, other.byRole[store.RoleReseller], "none", store.CommandWaiting, ""},
		{"by an owner", store.CommandWaiting, mine.byRole[store.RoleTaxpayer], "none", store.CommandWaiting, ""},
		{"by a program that reads", store.CommandWaiting, b.program(head, "alarms"), "none", store.CommandWaiting, ""},
		{"by a program that asks", store.CommandWaiting, b.program(head, "queries"), "none", store.CommandWaiting, ""},
		{"by a program that gives it", store.CommandWaiting, b.program(technician, "commands"), "", store.CommandWaiting, "ainda não confirmou"},
		{"by the command line", store.CommandWaiting, CommandLine(), "", store.CommandWaiting, "ainda não confirmou"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := b.SendCommand(t.Context(), technician, NewCommand{Till: mine.agent, Name: wire.CommandRestart})
			if err != nil {
				t.Fatal(err)
			}
			b.update(func(w *store.Writer) error {
				if c.state == store.CommandQueued {
					return nil
				}
				err := w.SetMessage(id, []byte("signed"), now())
				if err == nil && c.state != store.CommandSent {
					_, err = w.TellCommand(mine.agent, store.CommandReport{Command: id, Number: 1, State: c.state}, now())
				}
				return err
			})
			for range 2 {
				one, err := b.CancelCommand(t.Context(), c.by, id)
				var mend *Problem
				switch {
				case c.want == "" && (err != nil || one.Command.State != c.state2 || !strings.Contains(one.Taken, c.says)),
					c.want == "none" && !errors.Is(err, ErrNotFound),
					c.want != "" && c.want != "none" && (!errors.As(err, &mend) || !strings.Contains(mend.Text, c.want)):
					t.Errorf("%+v %v", one, err)
				}
			}
			p, err := b.Command(t.Context(), technician, id)
			if err != nil || p.Command.Command.State != c.state2 || p.Mine != (c.want == "none") {
				t.Errorf("%+v %v", p, err)
			}
		})
	}
	b.update(func(w *store.Writer) error {
		lines, err := w.ListAudit(store.AuditSearch{Act: "comando cancelado", Limit: 99})
		if len(lines) != 5 {
			t.Errorf("%d lines in the audit, want 5", len(lines))
		}
		return err
	})
	page := Command{Command: store.Command{State: store.CommandRunning, CancelAt: now(), CancelBy: store.StoppedBy("ana")}}
	if text := taken(page.Command); text != "Cancelado por ana. O comando já começou, não pode ser cancelado." {
		t.Error(text)
	}
}

func TestDeviceLogs(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	c := mine.byRole[store.RoleTechnician]
	p, err := b.Logs(t.Context(), c, LogQuery{Serial: mine.serial, From: "21/12/2025", To: "2025-12-21", Text: "LIGADO"})
	if err != nil || len(p.Lines) != 1 || p.More {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := b.Logs(t.Context(), c, LogQuery{Serial: mine.serial, To: "20/12/2025"}); err != nil || len(p.Lines) != 0 {
		t.Errorf("%+v %v", p, err)
	}
	page, err := b.Command(t.Context(), c, mine.command)
	if err != nil || !page.Logs || page.Word != "Feito" || len(page.Lines) != 1 {
		t.Errorf("%+v %v", page, err)
	}
	if f, err := b.CommandResult(t.Context(), c, mine.command); err != nil || string(f.Raw) != "log of "+mine.name {
		t.Errorf("%+v %v", f, err)
	}
}
