package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zelo/collector/fleet"
	"zelo/collector/store"
)

// Many is a command for all tills, or devices, that a selection picks. Empty fields
// do not narrow it.
type Many struct {
	Name     string
	Args     map[string]string
	Reseller int64
	Root     string // of the taxpayer
	Model    string // part of the device's name
	Software string // of the device, or of the agent when the command is for agents
	Only     string // ids of tills or serial numbers, with blanks or commas between them
	First    int    // how many go first; 0 sends all at once
	Need     int    // percent of each wave that must succeed; 0 is 100
	Confirm  string // of a destructive command: how many it goes to
	When
}

// CommandsForMany are the commands that can go to several tills at once: those that
// ask for no secret.
func CommandsForMany() (out []CommandSpec) {
	for _, spec := range fleet.Table() {
		secret := false
		for _, a := range spec.Args {
			secret = secret || a.Secret && !a.Optional
		}
		if !secret {
			out = append(out, spec)
		}
	}
	return out
}

// Picked is what a selection picks.
type Picked struct {
	Spec    CommandSpec
	Targets []PickedTarget
	Left    []PickedTarget // selected, and cannot be given the command
}

// PickedTarget is one till or device of a selection.
type PickedTarget struct {
	fleet.Target
	Where string
	Shop  string
	Why   string // it is left out; pt-BR
}

// Pick says to whom a command would go: to nobody while there is none. It sends
// nothing.
func (a *API) Pick(ctx context.Context, c Caller, m Many) (p Picked, err error) {
	err = a.view(ctx, c, opPick, func(r *store.Reader) error {
		p, err = a.pick(r, c, m)
		return err
	})
	return p, err
}

func (a *API) pick(r *store.Reader, c Caller, m Many) (p Picked, err error) {
	spec, known := fleet.Find(m.Name)
	if !known {
		return p, nil
	}
	p.Spec = spec
	roots, err := ownedBy(r, m.Reseller)
	if err != nil {
		return p, err
	}
	tills, err := r.Tills()
	if err != nil {
		return p, err
	}
	for _, t := range tills {
		if t.Agent.ID == "" || m.Reseller > 0 && !roots[store.RootOf(t.Agent.CNPJ)] || m.Root != "" && store.RootOf(t.Agent.CNPJ) != m.Root {
			continue
		}
		key, epoch, err := r.SealKey(t.Agent.ID)
		theirs := errors.Is(err, store.ErrNotFound) // it only serves somebody in sight
		if err != nil && !theirs {
			return p, err
		}
		for _, d := range targets(t, spec) {
			if !m.picks(t, d) {
				continue
			}
			one := PickedTarget{Target: fleet.Target{Agent: t.Agent.ID}, Where: tillOf(t).Name(), Shop: tillOf(t).Shop(),
				Why: whyNot(c, spec, epoch != "", len(key) > 0, d)}
			if d != nil {
				one.Serial, one.Where = d.Serial, one.Where+", SAT "+d.Serial
			}
			if theirs {
				one.Why = "O computador deste caixa está com outra loja ou revenda: só quem cuida dele lhe dá comandos."
			}
			if one.Why == "" {
				p.Targets = append(p.Targets, one)
			} else {
				p.Left = append(p.Left, one)
			}
		}
	}
	return p, nil
}

// ownedBy are the roots of a reseller's taxpayers; of all when it is 0.
func ownedBy(r *store.Reader, reseller int64) (map[string]bool, error) {
	list, err := r.Taxpayers()
	roots := map[string]bool{}
	for _, t := range list {
		if reseller == 0 || t.Reseller == reseller {
			roots[t.Root] = true
		}
	}
	return roots, err
}

// targets are the devices of a till, or, for a command to agents, one that is none.
func targets(t store.Till, spec fleet.Spec) (out []*store.Device) {
	if !spec.Device {
		return []*store.Device{nil}
	}
	for i := range t.Devices {
		out = append(out, &t.Devices[i])
	}
	return out
}

// picks tells whether the selection holds a till, or a device of it.
func (m Many) picks(t store.Till, d *store.Device) bool {
	names, software := []string{t.Agent.ID, t.Agent.Host}, t.Agent.Software
	if d != nil {
		names, software = append(names, d.Serial), d.Status.Software
	}
	if m.Software != "" && software != m.Software || m.Model != "" && (d == nil || !strings.Contains(strings.ToLower(d.Name), strings.ToLower(m.Model))) {
		return false
	}
	only := strings.FieldsFunc(m.Only, func(r rune) bool { return strings.ContainsRune(", ;\r\n\t", r) })
	for _, id := range only {
		for _, name := range names {
			if strings.EqualFold(id, name) {
				return true
			}
		}
	}
	return len(only) == 0
}

// SendMany gives a command to all that a selection picks and returns its order.
func (a *API) SendMany(ctx context.Context, c Caller, m Many) (order int64, err error) {
	if _, err := a.allow(c, opSendMany); err != nil {
		return 0, err
	}
	expires, err := m.expires(a.o.Now())
	if err != nil {
		return 0, err
	}
	if m.Need == 0 {
		m.Need = 100
	}
	if m.First < 0 || m.Need < 1 || m.Need > 100 {
		return 0, problem("Escreva quantos vão primeiro, e de 1 a 100 a porcentagem que precisa dar certo.")
	}
	if spec, known := fleet.Find(m.Name); known {
		if err := programMay(c, spec, m.Anyway); err != nil {
			return 0, err
		}
	}
	err = a.update(ctx, c, opSendMany, func(w *store.Writer, seen *store.Reader) error {
		p, err := a.pick(seen, c, m)
		if err != nil {
			return err
		}
		if err := m.check(p); err != nil {
			return err
		}
		if m.First >= len(p.Targets) {
			m.First = 0
		}
		r := fleet.Request{Name: m.Name, Args: m.Args, NotBefore: m.NotBefore, Expires: expires, Anyway: m.Anyway, First: m.First, Need: m.Need}
		for _, t := range p.Targets {
			r.Targets = append(r.Targets, t.Target)
		}
		o, err := a.order(w, c, r)
		if err != nil {
			return err
		}
		order = o.ID
		return a.note(w, c, "comando a vários", fmt.Sprintf("ordem %d", o.ID), fmt.Sprintf("%s, %d alvos, primeiro %d", p.Spec.Name, len(p.Targets), m.First))
	})
	if err == nil {
		a.o.Fleet.Wake()
	}
	return order, err
}

// check says, as a Problem, why a command does not go to what was picked.
func (m Many) check(p Picked) error {
	if p.Spec.Name == "" {
		return problem("Escolha o comando.")
	}
	if err := p.Spec.Check(m.Args); err != nil {
		return problem("%s. Corrija e envie de novo.", err)
	}
	if _, secret := p.Spec.Secrets(m.Args); len(secret) > 0 {
		return problem("%s leva uma senha ou um código: envie a um caixa de cada vez, pela página dele.", p.Spec.Title)
	}
	if len(p.Targets) == 0 {
		return problem("Nenhum caixa da seleção pode receber este comando. Mude a seleção.")
	}
	if n := fmt.Sprint(len(p.Targets)); p.Spec.Destructive && strings.TrimSpace(m.Confirm) != n {
		return problem("Para confirmar %s em %s, escreva %s no campo de confirmação.", strings.ToLower(p.Spec.Title), n, n)
	}
	return nil
}

// Ordered is an order with its commands.
type Ordered struct {
	store.Order
	Spec     CommandSpec
	Commands []Command
	Open     int  // that can be cancelled
	Mine     bool // by the caller
}

// Running tells whether something is still expected of a command of the order.
func (o Ordered) Running() bool {
	for _, c := range o.Commands {
		if !c.Ended {
			return true
		}
	}
	return false
}

// Orders lists the newest orders, without their commands.
func (a *API) Orders(ctx context.Context, c Caller) (out []Ordered, err error) {
	err = a.view(ctx, c, OpOrders, func(r *store.Reader) error {
		list, err := r.Orders(50)
		for _, o := range list {
			out = append(out, orderedOf(o))
		}
		return err
	})
	return out, err
}

func orderedOf(o store.Order) Ordered {
	spec, known := fleet.Find(o.Name)
	if !known {
		spec.Title = o.Name
	}
	return Ordered{Order: o, Spec: spec}
}

// Order returns one order with its commands.
func (a *API) Order(ctx context.Context, c Caller, id int64) (out Ordered, err error) {
	err = a.view(ctx, c, opOrder, func(r *store.Reader) error {
		o, err := r.Order(id)
		if err != nil {
			return err
		}
		out = orderedOf(o)
		out.Mine = mayStop(c, o) == nil
		commands, err := r.CommandsOfOrder(id)
		if err != nil {
			return err
		}
		for _, one := range commands {
			t, err := r.Till(one.Agent)
			if err != nil {
				return err
			}
			out.Commands = append(out.Commands, a.command(one, tillOf(t)))
			if !one.Begun() && one.CancelAt.IsZero() {
				out.Open++
			}
		}
		return nil
	})
	return out, err
}

// mayStop fails when a caller may not cancel what an order gave: other people than those
// of its own reseller, and programs that may not give it.
func mayStop(c Caller, o store.Order) error {
	if !c.Is(platform()...) && c.Audit().Reseller != o.Reseller {
		return ErrNotFound
	}
	spec, _ := fleet.Find(o.Name)
	return programMay(c, spec, false)
}

// CancelOrder takes back the commands of an order that have not begun and returns how
// many those were. The agents of those that were sent have to say first whether they
// have begun.
func (a *API) CancelOrder(ctx context.Context, c Caller, id int64) (n int, err error) {
	err = a.update(ctx, c, opCancelOrder, func(w *store.Writer, seen *store.Reader) error {
		o, err := seen.Order(id)
		if err == nil {
			err = mayStop(c, o)
		}
		if err != nil {
			return err
		}
		mine, err := seen.CommandsOfOrder(id)
		whole, err2 := w.CommandsOfOrder(id)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if c.Narrowed() != "" && len(mine) < len(whole) {
			return problem("Esta ordem vai também a outros contribuintes. Cancele os comandos deste um a um.")
		}
		if n, err = w.StopOrder(id, store.StoppedBy(c.Who()), a.o.Now()); err != nil {
			return err
		}
		if n == 0 {
			return problem("Todos os comandos já começaram ou foram cancelados: não há o que cancelar.")
		}
		return a.note(w, c, "comando cancelado", fmt.Sprintf("ordem %d", id), fmt.Sprintf("%s, %d não começados", o.Name, n))
	})
	if err == nil {
		a.o.Fleet.Wake()
	}
	return n, err
}
