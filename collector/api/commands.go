package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/fleet"
	"zelo/collector/store"
)

// CommandSpec is one row of the table of commands.
type CommandSpec = fleet.Spec

// Offer is a command as it is offered for one till or device.
type Offer struct {
	CommandSpec
	Why string // why it cannot be given now, pt-BR; "" when it can
}

// Command is a command with how it stands, for people.
type Command struct {
	store.Command
	Spec  CommandSpec
	Where string // the till, and its device
	State State
	Word  string // of the state, pt-BR
	Says  string // how it stands, a sentence in pt-BR
	Taken string // what became of the wish to cancel it, a sentence in pt-BR; "" when there was none
	Ended bool
}

// TillCommands are the commands of one till: what is offered, and what was given.
type TillCommands struct {
	Till
	Agent   []Offer            // for the agent itself
	Devices map[string][]Offer // by serial number
	Given   []Command          // newest first
}

const shownCommands = 30

// Commands lists what is offered for a till, and why not, and what it was given.
func (a *API) Commands(ctx context.Context, c Caller, till string) (p TillCommands, err error) {
	err = a.view(ctx, c, opCommands, func(r *store.Reader) error {
		t, err := r.Till(till)
		if err != nil {
			return err
		}
		list, err := r.CommandsOf(till, shownCommands)
		if err != nil {
			return err
		}
		p = TillCommands{Till: tillOf(t), Devices: map[string][]Offer{}}
		if p.Agent, err = a.offers(r, c, t, nil); err != nil {
			return err
		}
		for i, d := range t.Devices {
			if p.Devices[d.Serial], err = a.offers(r, c, t, &t.Devices[i]); err != nil {
				return err
			}
		}
		for _, one := range list {
			p.Given = append(p.Given, a.command(one, p.Till))
		}
		return nil
	})
	return p, err
}

// offers are the commands for a device, or for the agent when there is none.
func (a *API) offers(r *store.Reader, c Caller, t store.Till, d *store.Device) (out []Offer, err error) {
	key, epoch, err := r.SealKey(t.Agent.ID)
	for _, spec := range fleet.Table() {
		if spec.Device == (d != nil) {
			out = append(out, Offer{spec, whyNot(c, spec, epoch != "", len(key) > 0, d)})
		}
	}
	return out, err
}

// whyNot says why a command cannot be given, "" when it can: by whom, to an agent that
// takes commands, and secrets, or not, and to its device, if it is for one.
func whyNot(c Caller, spec fleet.Spec, takes, seals bool, d *store.Device) string {
	secret := false
	for _, arg := range spec.Args {
		secret = secret || arg.Secret && !arg.Optional
	}
	var lacks *lacking
	switch {
	case errors.As(programMay(c, spec, false), &lacks):
		return lacks.Text()
	case spec.Right == fleet.RightReseller && !c.Is(heads()...):
		return "Pede o acesso de administrador da revenda."
	case !takes, secret && !seals:
		return "O agente deste caixa ainda não aceita comandos: atualize-o, ou aguarde a primeira notícia dele."
	case d == nil || len(spec.States) == 0:
		return ""
	case d.StatusAt.IsZero():
		return "O estado do equipamento ainda não foi lido."
	}
	for _, s := range spec.States {
		if s == stateNumber(d.Status.Block) {
			return ""
		}
	}
	if d.Status.Block == alarm.Autonomous {
		return "O bloqueio é autônomo: o equipamento se desbloqueia sozinho depois de falar com a SEFAZ. Confira a rede dele."
	}
	return "Não se aplica ao estado atual: " + d.Status.State + "."
}

// stateNumber is ESTADO_OPERACAO (dossier on the SAT interface, 3) of a block.
func stateNumber(b alarm.Block) int {
	switch b {
	case alarm.ByTaxOffice:
		return 1
	case alarm.ByTaxpayer:
		return 2
	case alarm.Autonomous:
		return 3
	case alarm.ForDeactivation:
		return 4
	}
	return 0
}

// When says when a command may begin.
type When struct {
	NotBefore time.Time // zero is at once
	Hours     int       // from then on that it may begin; 0 is 24
	Anyway    bool      // also while the till sells, and outside the command's hours
}

// expires is when the time for a command is over, or the problem with When.
func (w When) expires(now time.Time) (time.Time, error) {
	from := now
	if w.NotBefore.After(now) {
		from = w.NotBefore
	}
	hours := w.Hours
	if hours == 0 {
		hours = 24
	}
	end := from.Add(time.Duration(hours) * time.Hour)
	if hours < 1 || end.After(now.Add(fleet.MaxLife)) {
		return end, problem("O prazo para começar é de 1 hora a %d dias a partir de agora. Escolha outro.", int(fleet.MaxLife.Hours()/24))
	}
	return end, nil
}

// NewCommand is a command for one till or one of its devices.
type NewCommand struct {
	Till    string
	Device  string // serial number; "" for the agent itself
	Name    string
	Args    map[string]string // secrets included: they are sealed at once
	Confirm string            // of a destructive one: the device's number, or the till's name
	When
}

// SendCommand gives a command and returns its id.
func (a *API) SendCommand(ctx context.Context, c Caller, n NewCommand) (id string, err error) {
	if _, err := a.allow(c, OpSendCommand); err != nil {
		return "", err
	}
	spec, known := fleet.Find(n.Name)
	if !known {
		return "", problem("Não existe o comando %q. Escolha um da página do caixa.", n.Name)
	}
	if err := programMay(c, spec, n.Anyway); err != nil {
		return "", err
	}
	if err := spec.Check(n.Args); err != nil {
		return "", problem("%s. Corrija e envie de novo.", err)
	}
	expires, err := n.expires(a.o.Now())
	if err != nil {
		return "", err
	}
	err = a.update(ctx, c, OpSendCommand, func(w *store.Writer, seen *store.Reader) error {
		t, err := seen.Till(n.Till)
		if err != nil {
			return err
		}
		if err := a.mayGive(seen, c, t, spec, n); err != nil {
			return err
		}
		o, err := a.order(w, c, fleet.Request{Name: n.Name, Args: n.Args, Targets: []fleet.Target{{Agent: t.Agent.ID, Serial: n.Device}},
			NotBefore: n.NotBefore, Expires: expires, Anyway: n.Anyway, Need: 100})
		if err != nil {
			return err
		}
		list, err := w.CommandsOfOrder(o.ID)
		if err != nil {
			return err
		}
		id = list[0].ID
		return a.note(w, c, "comando", list[0].Subject(), spec.Name+" "+id)
	})
	if err == nil {
		a.o.Fleet.Wake()
	}
	return id, err
}

// mayGive says, as a Problem, why a command is not given.
func (a *API) mayGive(seen *store.Reader, c Caller, t store.Till, spec fleet.Spec, n NewCommand) error {
	var device *store.Device
	for i, d := range t.Devices {
		if d.Serial == n.Device {
			device = &t.Devices[i]
		}
	}
	if n.Device != "" && device == nil {
		return ErrNotFound
	}
	if spec.Device != (device != nil) {
		return problem("%s é para %s. Escolha pela página do caixa.", spec.Title, map[bool]string{true: "um equipamento", false: "o agente"}[spec.Device])
	}
	key, epoch, err := seen.SealKey(t.Agent.ID)
	if err != nil {
		return err
	}
	if why := whyNot(c, spec, epoch != "", len(key) > 0, device); why != "" {
		return problem("%s não pode ser enviado. %s", spec.Title, why)
	}
	name := tillOf(t).Name()
	if spec.Device {
		name = n.Device
	}
	if spec.Destructive && !strings.EqualFold(strings.TrimSpace(n.Confirm), name) {
		return problem("Para confirmar %s, escreva %s no campo de confirmação.", strings.ToLower(spec.Title), name)
	}
	return nil
}

// order stores a request of the caller.
func (a *API) order(w *store.Writer, c Caller, r fleet.Request) (store.Order, error) {
	audit := c.Audit()
	o, err := a.o.Fleet.Order(w, store.Order{Who: audit.Who, User: audit.User, Reseller: audit.Reseller, CreatedAt: a.o.Now()}, r)
	if errors.Is(err, fleet.ErrNoKey) {
		err = problem("O agente deste caixa ainda não disse com que chave as senhas são lacradas. Aguarde a próxima notícia dele e tente de novo.")
	}
	return o, err
}

// CommandPage is one command with its transcript and result.
type CommandPage struct {
	Command
	Lines  []store.CommandLine
	Text   string // the result, when it is text and not large
	Long   bool   // the text is only its beginning
	Logs   bool   // the result is among the device's log lines
	Coming bool   // the result has not all come yet
	Mine   bool   // the caller may cancel it
}

// shownResult bounds how much of a result stands on a page.
const shownResult = 64 << 10

// Command returns one command.
func (a *API) Command(ctx context.Context, c Caller, id string) (p CommandPage, err error) {
	err = a.view(ctx, c, opCommand, func(r *store.Reader) error {
		one, err := r.Command(id)
		if err != nil {
			return err
		}
		t, err := r.Till(one.Agent)
		if err != nil {
			return err
		}
		p.Command = a.command(one, tillOf(t))
		p.Mine = !one.Begun() && one.CancelAt.IsZero() && mayStop(c, one.Order) == nil
		if p.Lines, err = r.Transcript(id); err != nil || one.Result.Parts == 0 {
			return err
		}
		raw, err := r.ResultOf(one)
		if errors.Is(err, store.ErrNotFound) {
			p.Coming = true
			return nil
		}
		if p.Logs = one.Order.Name == fleet.CommandLogs; !p.Logs && strings.HasPrefix(one.Result.Type, "text/") {
			p.Long = len(raw) > shownResult
			p.Text = strings.ToValidUTF8(string(raw[:min(len(raw), shownResult)]), "")
		}
		return err
	})
	return p, err
}

// CancelCommand takes a command back that has not begun, and returns how it stands then:
// its agent may have to say first whether it has begun. To do so twice is to do so once.
func (a *API) CancelCommand(ctx context.Context, c Caller, id string) (out Command, err error) {
	err = a.update(ctx, c, opCancelCommand, func(w *store.Writer, seen *store.Reader) error {
		one, err := seen.Command(id)
		if err == nil {
			err = mayStop(c, one.Order)
		}
		switch {
		case err != nil:
			return err
		case one.State == store.CommandRunning:
			return problem("Este comando já começou, não pode ser cancelado.")
		case one.State.Ended() && one.State != store.CommandCancelled:
			return problem("Este comando já terminou: não há o que cancelar.")
		}
		did, err := w.Cancel(id, store.StoppedBy(c.Who()), a.o.Now())
		if err == nil && did {
			err = a.note(w, c, "comando cancelado", one.Subject(), one.Order.Name+" "+id)
		}
		if err != nil {
			return err
		}
		if one, err = seen.Command(id); err != nil {
			return err
		}
		t, err := seen.Till(one.Agent)
		out = a.command(one, tillOf(t))
		return err
	})
	if err == nil {
		a.o.Fleet.Wake()
	}
	return out, err
}

// CommandResult returns the file that a command brought.
func (a *API) CommandResult(ctx context.Context, c Caller, id string) (f File, err error) {
	err = a.view(ctx, c, opCommandResult, func(r *store.Reader) error {
		one, err := r.Command(id)
		if err != nil {
			return err
		}
		f.Name = one.Result.Name
		f.Raw, err = r.ResultOf(one)
		return err
	})
	return f, err
}

// LogQuery is a search in a device's log as a person typed it.
type LogQuery struct {
	Serial   string
	From, To string // days; both included
	Text     string
}

// LogPage are lines of a device's log.
type LogPage struct {
	Device store.Device
	Lines  []store.LogLine // newest first
	More   bool            // there are older ones
}

const shownLines = 500

// Logs searches a device's log.
func (a *API) Logs(ctx context.Context, c Caller, q LogQuery) (p LogPage, err error) {
	s := store.LogSearch{Serial: q.Serial, Text: strings.TrimSpace(q.Text), Limit: shownLines + 1}
	s.From, err = day(q.From, "inicial")
	if err == nil {
		s.To, err = day(q.To, "final")
	}
	if err != nil {
		return p, err
	}
	if !s.To.IsZero() {
		s.To = s.To.AddDate(0, 0, 1)
	}
	err = a.view(ctx, c, OpLogs, func(r *store.Reader) error {
		if p.Device, err = r.Device(q.Serial); err != nil {
			return err
		}
		p.Lines, err = r.Logs(s)
		p.More = len(p.Lines) > shownLines
		p.Lines = p.Lines[:min(len(p.Lines), shownLines)]
		return err
	})
	return p, err
}

// command is a command for people.
func (a *API) command(one store.Command, t Till) Command {
	spec, known := fleet.Find(one.Order.Name)
	if !known {
		spec.Title = one.Order.Name
	}
	c := Command{Command: one, Spec: spec, Where: t.Name(), Ended: one.State.Ended()}
	if one.Serial != "" {
		c.Where += ", SAT " + one.Serial
	}
	c.State, c.Word = commandState(one.State)
	c.Says, c.Taken = one.Text, taken(one)
	switch {
	case one.State == store.CommandQueued && one.Wave == 2:
		c.Says = "Espera o resultado dos primeiros caixas."
	case one.State == store.CommandQueued && one.Order.NotBefore.After(a.o.Now()):
		c.Says = "Será enviado a partir de " + one.Order.NotBefore.In(brasilia()).Format("02/01/2006 15:04") + "."
	case one.State == store.CommandQueued && one.Order.Hours.From != one.Order.Hours.To:
		c.Says = fmt.Sprintf("Será enviado entre %s e %s, quando o caixa estiver ligado.", minutes(one.Order.Hours.From), minutes(one.Order.Hours.To))
	case one.State == store.CommandQueued:
		c.Says = "Será enviado assim que o caixa der notícia."
	case one.State == store.CommandSent:
		c.Says = "Enviado; o caixa ainda não respondeu."
	}
	return c
}

// taken says what became of the wish to cancel a command that was sent.
func taken(one store.Command) string {
	if one.CancelAt.IsZero() {
		return ""
	}
	switch one.State {
	case store.CommandSent, store.CommandAccepted, store.CommandWaiting:
		return one.CancelBy + " O caixa ainda não confirmou."
	case store.CommandRunning:
		return one.CancelBy + " O comando já começou, não pode ser cancelado."
	case store.CommandDone, store.CommandFailed:
		return one.CancelBy + " O comando já tinha começado, não podia ser cancelado."
	}
	return one.CancelBy
}

// minutes writes a time of the day.
func minutes(afterMidnight int) string {
	return fmt.Sprintf("%02d:%02d", afterMidnight/60, afterMidnight%60)
}

// commandState is how a state of commands is shown.
func commandState(s store.CommandState) (State, string) {
	switch s {
	case store.CommandQueued:
		return Waiting, "Na fila"
	case store.CommandSent:
		return Waiting, "Enviado"
	case store.CommandAccepted:
		return Waiting, "Recebido"
	case store.CommandWaiting:
		return Waiting, "Aguardando"
	case store.CommandRunning:
		return Notice, "Em andamento"
	case store.CommandDone:
		return Fine, "Feito"
	case store.CommandFailed:
		return Critical, "Falhou"
	case store.CommandRefused:
		return Warning, "Recusado"
	case store.CommandUnknown:
		return Warning, "Incerto"
	case store.CommandExpired:
		return Silent, "Venceu"
	case store.CommandCancelled:
		return Silent, "Cancelado"
	}
	return Notice, string(s)
}
