package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// The operations of what people do about alarms.
const (
	OpTakeAlarm   Op = "alarms.take"
	opSilence     Op = "alarms.silence"
	opResolve     Op = "alarms.resolve"
	opDevice      Op = "devices.one"
	OpSetStage    Op = "devices.stage"
	OpPolicy      Op = "policies"
	OpSetPolicy   Op = "policies.set"
	maxSilence       = 30 * 24 // hours
	maxStageWords    = 300
	maxPolicyBody    = 16 << 10
	nobody           = "-" // releases an alarm
)

// caring are the operations of what people do about alarms, devices' stages and
// thresholds.
func caring() []Operation {
	owner := par("reseller", "reseller", "root", "taxpayer", "cnpj", "establishment")
	ownerOf := func(in Input) store.PolicyOwner {
		return store.PolicyOwner{Reseller: in.number("reseller"), Root: in.Values["root"], CNPJ: in.Values["cnpj"]}
	}
	return []Operation{
		{OpTakeAlarm, "POST", "/alarms/{alarm}/take", staff(), "", par("alarm", "alarm", "person", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.TakeAlarm(ctx, c, in.number("alarm"), in.Values["person"])
			}},
		{opSilence, "POST", "/alarms/{alarm}/silence", staff(), "", par("alarm", "alarm", "hours", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Silence(ctx, c, in.number("alarm"), int(in.number("hours")))
			}},
		{opResolve, "POST", "/alarms/{alarm}/resolve", staff(), "", par("alarm", "alarm"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Resolve(ctx, c, in.number("alarm"))
			}},
		{opDevice, "GET", "/devices/{serial}", everyone(), "", par("serial", "device"), devicePageAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayDevicePage)(a.Device(ctx, c, in.Values["serial"]))
			}},
		{OpSetStage, "POST", "/devices/{serial}/stage", staff(), "", par("serial", "device", "stage", "text", "reason", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.SetStage(ctx, c, in.Values["serial"], alarm.Stage(in.Values["stage"]), in.Values["reason"])
			}},
		{OpPolicy, "GET", "/policies", heads(), "", owner, thresholdsAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayPolicy)(a.Policy(ctx, c, ownerOf(in)))
			}},
		{OpSetPolicy, "POST", "/policies", heads(), "", append(owner, par("policy", "text")...), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				var p alarm.Policy
				d := json.NewDecoder(strings.NewReader(in.Values["policy"]))
				d.DisallowUnknownFields()
				if err := d.Decode(&p); err != nil || len(in.Values["policy"]) > maxPolicyBody {
					return nil, problem("Os limites não puderam ser lidos: confira o formato.")
				}
				return nil, a.SetPolicy(ctx, c, ownerOf(in), p)
			}},
	}
}

// act does something to an open alarm that the caller sees. Change says what becomes
// of it, and what is noted of that.
func (a *API) act(ctx context.Context, c Caller, op Op, id int64, change func(*store.Alarm, *store.Reader) (store.Change, error)) error {
	return a.update(ctx, c, op, func(w *store.Writer, seen *store.Reader) error {
		found, err := seen.Alarm(id)
		if err != nil {
			return err
		}
		if !found.ClearedAt.IsZero() {
			return problem("Este alarme já terminou em %s: não há mais o que fazer com ele.", at(found.ClearedAt))
		}
		made, err := change(&found, seen)
		if err != nil {
			return err
		}
		made.At, made.Who = a.o.Now(), c.Who()
		if err := w.Act(found, made); err != nil {
			return err
		}
		return a.note(w, c, "alarme: "+made.What, fmt.Sprint(id), made.Detail)
	})
}

// TakeAlarm assigns an alarm: to the caller with "", to the person of an address, or
// with "-" to nobody any more.
func (a *API) TakeAlarm(ctx context.Context, c Caller, id int64, person string) error {
	return a.act(ctx, c, OpTakeAlarm, id, func(one *store.Alarm, seen *store.Reader) (store.Change, error) {
		if person == nobody {
			one.TakenBy, one.TakenAt = "", time.Time{}
			return store.Change{What: store.Released}, nil
		}
		if person == "" || person == c.Who() {
			person = c.Who()
		} else {
			users, err := seen.Users()
			if err != nil {
				return store.Change{}, err
			}
			if !slices.ContainsFunc(users, func(u store.User) bool { return u.Email == person }) {
				return store.Change{}, problem("Ninguém com este endereço pode assumir o alarme: escolha uma pessoa da lista.")
			}
		}
		one.TakenBy, one.TakenAt, one.Level = person, a.o.Now(), 0
		return store.Change{What: store.Taken, Detail: person}, nil
	})
}

// Silence keeps an alarm quiet for some hours, unless it gets graver; 0 makes it loud
// again.
func (a *API) Silence(ctx context.Context, c Caller, id int64, hours int) error {
	if _, err := a.allow(c, opSilence); err != nil {
		return err
	}
	if hours < 0 || hours > maxSilence {
		return problem("Escreva por quantas horas silenciar: de 1 a %d.", maxSilence)
	}
	return a.act(ctx, c, opSilence, id, func(one *store.Alarm, _ *store.Reader) (store.Change, error) {
		if hours == 0 {
			one.SilencedUntil = time.Time{}
			return store.Change{What: store.Loud}, nil
		}
		one.SilencedUntil = a.o.Now().Add(time.Duration(hours) * time.Hour)
		return store.Change{What: store.Silenced, Detail: "até " + at(one.SilencedUntil)}, nil
	})
}

// Resolve notes that a person settled an alarm. It ends when the rule finds it over,
// and comes back when that is not so within an hour.
func (a *API) Resolve(ctx context.Context, c Caller, id int64) error {
	return a.act(ctx, c, opResolve, id, func(one *store.Alarm, _ *store.Reader) (store.Change, error) {
		one.ResolvedAt = a.o.Now()
		return store.Change{What: store.Resolved}, nil
	})
}

// at writes a moment for people.
func at(t time.Time) string {
	return t.In(time.FixedZone("-03", -3*60*60)).Format("02/01/2006 15:04")
}

// DevicePage is one device with its place in life and what is ahead of it.
type DevicePage struct {
	Device
	Till     string // whose page shows it
	Stage    store.StageOf
	Stages   []store.StageOf // newest first
	Proposed alarm.Stage     // what the facts speak for; "" for none
	Why      string          // of the proposal, pt-BR
	Forecast alarm.Prediction
}

// Device returns one device.
func (a *API) Device(ctx context.Context, c Caller, serial string) (p DevicePage, err error) {
	err = a.view(ctx, c, opDevice, func(r *store.Reader) (err error) {
		if p.Device, err = r.Device(serial); err != nil {
			return err
		}
		if p.Till = p.Device.Agent; p.Till == "" {
			p.Till = serial
		}
		if p.Stage, err = r.Stage(serial); err != nil {
			return err
		}
		if p.Stages, err = r.Stages(serial); err != nil {
			return err
		}
		p.Forecast, err = r.Forecast(serial)
		return err
	})
	if err != nil {
		return p, err
	}
	err = a.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		facts, err := r.Facts(alarm.Subject{Kind: alarm.OfDevice, ID: serial}, a.o.Now())
		p.Proposed, p.Why, _ = alarm.ProposeStage(facts, a.o.Now())
		return err
	})
	return p, err
}

// SetStage says where a device stands in its life.
func (a *API) SetStage(ctx context.Context, c Caller, serial string, s alarm.Stage, reason string) error {
	if _, err := a.allow(c, OpSetStage); err != nil {
		return err
	}
	reason = strings.TrimSpace(reason)
	if !slices.Contains(alarm.Stages(), s) {
		return problem("Escolha a etapa do equipamento: em operação, esvaziando, encerrado ou extraviado.")
	}
	if len(reason) > maxStageWords {
		return problem("O motivo tem mais de %d letras: escreva um mais curto.", maxStageWords)
	}
	return a.update(ctx, c, OpSetStage, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Device(serial); err != nil {
			return err
		}
		if err := w.SetStage(serial, store.StageOf{Stage: s, At: a.o.Now(), Who: c.Who(), Reason: reason}); err != nil {
			return err
		}
		return a.note(w, c, "etapa do equipamento", serial, s.String())
	})
}

// sees fails for the owner of a policy that is out of a reader's sight.
func sees(r *store.Reader, o store.PolicyOwner) (err error) {
	switch {
	case o.CNPJ != "":
		_, err = r.Establishment(o.CNPJ)
	case o.Root != "":
		_, err = r.Taxpayer(o.Root)
	default:
		_, err = r.Reseller(o.Reseller)
	}
	return err
}

// Policy is what a reseller, a taxpayer or an establishment set by itself.
func (a *API) Policy(ctx context.Context, c Caller, o store.PolicyOwner) (p alarm.Policy, err error) {
	err = a.view(ctx, c, OpPolicy, func(r *store.Reader) error {
		if err := sees(r, o); err != nil {
			return err
		}
		p, err = r.Policy(o)
		return err
	})
	return p, err
}

// SetPolicy stores what an owner sets by itself. Alarms follow within a minute.
func (a *API) SetPolicy(ctx context.Context, c Caller, o store.PolicyOwner, p alarm.Policy) error {
	if _, err := a.allow(c, OpSetPolicy); err != nil {
		return err
	}
	if err := p.Check(); err != nil {
		return problem("%s.", capital(err.Error()))
	}
	return a.update(ctx, c, OpSetPolicy, func(w *store.Writer, seen *store.Reader) error {
		if err := sees(seen, o); err != nil {
			return err
		}
		if err := w.SetPolicy(o, p, c.Who(), a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "limites de alarmes", fmt.Sprintf("%s%s", o.CNPJ, o.Root), "")
	})
}

// capital begins a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// AlarmFilter says which open alarms to show; empty fields do not narrow.
type AlarmFilter struct {
	Severity string // "critico", "atencao", "aviso"
	Life     string // "livres", "meus", "assumidos", "silenciados", "resolvidos"
	Text     string // of the shop, the till or the device
}

// Filter picks the alarms to show to somebody. Silenced and resolved ones only show
// when asked for.
func (f AlarmFilter) Filter(list []Alarm, who string, now time.Time) (out []Alarm) {
	severity := map[string]alarm.Severity{"critico": alarm.Critical, "atencao": alarm.Warning, "aviso": alarm.Notice}[f.Severity]
	text := strings.ToLower(strings.TrimSpace(f.Text))
	for _, a := range list {
		quiet := a.Silenced(now) || !a.ResolvedAt.IsZero()
		fits := map[string]bool{"": !quiet, "livres": !quiet && a.TakenBy == "", "meus": a.TakenBy == who && who != "", "assumidos": a.TakenBy != "",
			"silenciados": a.Silenced(now), "resolvidos": !a.ResolvedAt.IsZero()}[f.Life]
		if fits && (severity == 0 || a.Severity == severity) &&
			(text == "" || strings.Contains(strings.ToLower(a.Rule.Title+" "+a.About()+" "+a.Shop()+" "+a.CNPJ+" "+a.Subject.ID), text)) {
			out = append(out, a)
		}
	}
	return out
}

// WhatsApp is a link that opens the messenger with an alarm in words. It names the
// shop and the device and nobody.
func WhatsApp(a Alarm) string {
	lines := []string{"*" + a.Rule.Title + "* (" + a.Severity.String() + ")"}
	if shop := a.Shop(); shop != "" {
		lines = append(lines, shop+", "+a.About())
	} else {
		lines = append(lines, a.About())
	}
	lines = append(lines, a.Detail)
	if f := a.ForecastWords(); f != "" {
		lines = append(lines, f)
	}
	lines = append(lines, "O que fazer: "+a.Rule.WhatToDo)
	return Conversation(strings.Join(lines, "\n"))
}

// Conversation is a link that opens the messenger with a text, to whom the person chooses.
func Conversation(text string) string { return notify.WhatsApp(text) }

type devicePageAnswer struct {
	Serial   string     `json:"serial"`
	Stage    string     `json:"stage" enum:"em-operacao,esvaziando,encerrado,extraviado"`
	Proposed string     `json:"proposed,omitempty" doc:"A etapa que os fatos sugerem."`
	Why      string     `json:"why,omitempty"`
	BlocksAt *time.Time `json:"blocksAt,omitempty" doc:"Quando o equipamento vai se bloquear sozinho; falta quando não há bloqueio à vista."`
	Cause    string     `json:"cause,omitempty" enum:"contato,pendentes,memoria,certificado"`
	Risk     int64      `json:"risk,omitempty" doc:"Valor em risco em 30 dias, em centavos."`
}

func sayDevicePage(p DevicePage) devicePageAnswer {
	out := devicePageAnswer{Serial: p.Serial, Stage: string(p.Stage.Stage), Proposed: string(p.Proposed), Why: p.Why,
		Cause: string(p.Forecast.Cause), Risk: p.Forecast.Risk}
	if !p.Forecast.At.IsZero() {
		at := p.Forecast.At.UTC()
		out.BlocksAt = &at
	}
	return out
}

// thresholdsAnswer is what an owner set by itself; what it lacks comes from above.
type thresholdsAnswer struct {
	Steps       map[string][]float64 `json:"steps" doc:"Limites por código de alarme, do menos ao mais grave."`
	Contact     int                  `json:"contact,omitempty" doc:"Dias sem contato até o bloqueio."`
	Pending     int                  `json:"pending,omitempty" doc:"Dias com pendente até o bloqueio."`
	Contingency int                  `json:"contingency,omitempty" doc:"Horas para transmitir uma NFC-e de contingência; falta quando vale o prazo do estado."`
	Escalate    []int                `json:"escalate" doc:"Minutos de expediente até cada nível."`
	Opens       int                  `json:"opens,omitempty" doc:"Minuto do dia em que o expediente começa."`
	Closes      int                  `json:"closes,omitempty" doc:"Minuto do dia em que o expediente termina."`
	Saturdays   bool                 `json:"saturdays"`
	Sundays     bool                 `json:"sundays"`
	Holidays    []string             `json:"holidays" doc:"Feriados do estado e da cidade, dd/mm ou dd/mm/aaaa."`
}

func sayPolicy(p alarm.Policy) thresholdsAnswer {
	out := thresholdsAnswer{map[string][]float64{}, p.ContactLimit, p.PendingLimit, p.Contingency, append([]int{}, p.Escalate...), p.Opens, p.Closes,
		p.Saturdays, p.Sundays, append([]string{}, p.Holidays...)}
	for code, steps := range p.Steps {
		out.Steps[string(code)] = steps
	}
	return out
}

// Names of what the operations above take, for callers that know this package alone.
type (
	// Code names a rule.
	Code = alarm.Code
	// Stage is where a device stands in its life.
	Stage = alarm.Stage
	// Policy is what a tenant set of rules, calendar and escalation.
	Policy = alarm.Policy
	// PolicyOwner is whose a policy is.
	PolicyOwner = store.PolicyOwner
)

// StageChoice is one stage to choose.
type StageChoice struct {
	Stage Stage
	Word  string
}

// StageChoices are all stages in the order of a device's life.
func StageChoices() (all []StageChoice) {
	for _, s := range alarm.Stages() {
		all = append(all, StageChoice{s, s.String()})
	}
	return all
}

// Limit is a rule whose thresholds tenants may set.
type Limit struct {
	Code     Code
	Title    string
	Unit     string
	Min, Max float64
	Default  []float64
}

// Limits are all rules whose thresholds tenants may set.
func Limits() (all []Limit) {
	for _, r := range alarm.Rules() {
		if len(r.Scale.Steps) > 0 {
			all = append(all, Limit{r.Code, r.Title, string(r.Scale.Unit), r.Scale.Min, r.Scale.Max, Policy{}.Values(r)})
		}
	}
	return all
}
