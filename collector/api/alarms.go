package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Alarm is an alarm with its rule's texts and the till it is about.
type Alarm struct {
	store.Alarm
	State State
	Rule  alarm.Rule
	Till  *Till  // nil when it is about no single till
	place string // name of the establishment, where documents tell it
}

// About names what the alarm is about.
func (a Alarm) About() string {
	switch {
	case a.Till != nil && a.Subject.Kind == alarm.OfDevice && a.Till.Agent.ID != "":
		return a.Till.Name() + ", SAT " + a.Subject.ID
	case a.Till != nil:
		return a.Till.Name()
	case a.Subject.Kind == alarm.OfDevice:
		return "SAT " + a.Subject.ID
	case a.Subject.Kind == alarm.OfAgent:
		return "Caixa " + a.Subject.ID
	case a.Subject.Kind == alarm.OfShop:
		return "CNPJ " + Register(a.Subject.ID)
	case a.Subject.OfAll():
		return "Várias revendas"
	case a.Subject.Kind == alarm.OfReseller:
		return "Várias lojas"
	case a.Subject.Kind == alarm.OfCertificate:
		return "Certificado da empresa"
	}
	return "Arquivos importados"
}

// Shop names the shop that the alarm is about; "" when it is not known.
func (a Alarm) Shop() string {
	if a.place != "" || a.Till == nil {
		return a.place
	}
	return a.Till.Shop()
}

// ForecastWords says when the alarm's device will block itself; "" when no block is in
// sight.
func (a Alarm) ForecastWords() string { return ForecastWords(a.Forecast) }

// ForecastWords says a forecast in pt-BR; "" when no block is in sight.
func ForecastWords(p alarm.Prediction) string {
	if p.At.IsZero() {
		return ""
	}
	words := "Previsão: o equipamento se bloqueia em " + at(p.At) + ", " + p.Cause.String() + "."
	if p.Risk > 0 {
		words += " Valor em risco em 30 dias: R$ " + Money(p.Risk) + "."
	}
	return words
}

// explained tells whether another alarm stands for this one.
func explained(a store.Alarm) bool { return a.Behind != "" || a.Cause != 0 }

// Explained tells whether another alarm stands for this one.
func (a Alarm) Explained() bool { return explained(a.Alarm) }

// Open tells whether the alarm still holds.
func (a Alarm) Open() bool { return a.ClearedAt.IsZero() }

// BehindWords say which alarm explains this one, and how; "" when it stands for itself.
func (a Alarm) BehindWords() string {
	r, known := alarm.RuleOf(a.Behind)
	if !known {
		return ""
	}
	words := "Não pode ser conferido enquanto durar: "
	if slices.ContainsFunc(a.Rule.PartOf, func(p alarm.Part) bool { return p.Of == a.Behind }) {
		words = "Faz parte de: "
	}
	return words + strings.ToLower(r.Title[:1]) + r.Title[1:] + "."
}

func alarmOf(a store.Alarm) Alarm {
	rule, known := alarm.RuleOf(a.Code)
	if !known { // a rule of another version of this program
		rule = alarm.Rule{Code: a.Code, Title: "Alarme de outra versão do coletor"}
	}
	return Alarm{Alarm: a, State: stateOf(a.Code, a.Severity), Rule: rule}
}

// Cause is one rule with every open alarm it raised that stands for itself.
type Cause struct {
	Rule   alarm.Rule
	State  State
	Since  time.Time
	Alarms []Alarm // gravest first
}

// Tills is how many tills it concerns.
func (c Cause) Tills() int {
	seen := map[string]bool{}
	for _, a := range c.Alarms {
		if a.Till != nil {
			seen[a.Till.ID] = true
		}
	}
	return len(seen)
}

// Risk is the money at risk in 30 days, in cents.
func (c Cause) Risk() (cents int64) {
	for _, a := range c.Alarms {
		cents += a.Forecast.Risk
	}
	return cents
}

// Overview is what needs a hand, and the totals of the archive.
type Overview struct {
	Causes    []Cause // gravest first
	Tills     int
	Silent    int // tills that are not heard
	LastHeard time.Time
	store.Counts
}

// Now tells what needs a hand.
func (a *API) Now(ctx context.Context, c Caller) (o Overview, err error) {
	err = a.view(ctx, c, opNow, func(r *store.Reader) error {
		found, err := openAlarms(r)
		if err != nil {
			return err
		}
		tills, err := readTills(r)
		if err != nil {
			return err
		}
		o.Causes = causes(explain(found, tills))
		for _, t := range tills {
			if t.State != Archive {
				o.Tills++
			}
			if t.Unheard() {
				o.Silent++
			}
			if t.Agent.HeardAt.After(o.LastHeard) {
				o.LastHeard = t.Agent.HeardAt
			}
		}
		o.Counts, err = r.Counts()
		return err
	})
	return o, err
}

// causes groups the alarms that stand for themselves by their rule.
func causes(alarms []Alarm) (out []Cause) {
	for _, a := range alarms {
		if a.Explained() {
			continue
		}
		i := slices.IndexFunc(out, func(c Cause) bool { return c.Rule.Code == a.Code })
		if i < 0 {
			i = len(out)
			out = append(out, Cause{Rule: a.Rule, State: a.State, Since: a.Since})
		}
		if a.Since.Before(out[i].Since) {
			out[i].Since = a.Since
		}
		out[i].Alarms = append(out[i].Alarms, a)
	}
	order := ruleOrder()
	slices.SortStableFunc(out, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Alarms[0].Severity, a.Alarms[0].Severity), cmp.Compare(order[a.Rule.Code], order[b.Rule.Code]))
	})
	return out
}

// ruleOrder puts the rules that explain others before them.
func ruleOrder() map[alarm.Code]int {
	order := map[alarm.Code]int{}
	for i, r := range alarm.Rules() {
		order[r.Code] = i
	}
	return order
}

// last puts what another alarm explains behind what stands for itself.
func last(a, b store.Alarm) int {
	switch {
	case explained(a) == explained(b):
		return 0
	case explained(a):
		return 1
	}
	return -1
}

// causesFirst orders alarms: those explained by another last, the gravest first,
// among equals the most money at risk, then what explains others before its
// consequences.
func causesFirst(alarms []store.Alarm) {
	if len(alarms) < 2 {
		return
	}
	order := ruleOrder()
	slices.SortStableFunc(alarms, func(a, b store.Alarm) int {
		return cmp.Or(last(a, b), cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Forecast.Risk, a.Forecast.Risk),
			cmp.Compare(order[a.Code], order[b.Code]))
	})
}

func openAlarms(r *store.Reader) ([]store.Alarm, error) {
	list, err := r.OpenAlarms()
	causesFirst(list)
	return list, err
}

// fewAlarms are read with their tills one by one, more with the list of all tills.
const fewAlarms = 150

// readAlarms reads alarms with the tills they are about.
func readAlarms(r *store.Reader, list func(*store.Reader) ([]store.Alarm, error)) ([]Alarm, error) {
	found, err := list(r)
	if err != nil {
		return nil, err
	}
	ofShop := func(a store.Alarm) bool { return a.Subject.Kind == alarm.OfShop } // named by any of its tills
	if len(found) > fewAlarms || slices.ContainsFunc(found, ofShop) {
		tills, err := readTills(r)
		return explain(found, tills), err
	}
	var tills []Till
	seen := map[string]bool{}
	for _, a := range found {
		id := a.Agent
		if id == "" && a.Subject.Kind == alarm.OfDevice {
			id = a.Subject.ID
		}
		if id == "" || seen[id] {
			continue
		}
		seen[id] = true
		var p TillPage
		err := readTill(r, id, &p)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tills = append(tills, p.Till)
	}
	return explain(found, tills), nil
}

// explain puts alarms and the tills they are about together.
func explain(found []store.Alarm, tills []Till) []Alarm {
	about := map[alarm.Subject]*Till{}
	shops := map[string]string{}
	for i, t := range tills {
		shops[t.Agent.CNPJ] = cmp.Or(shops[t.Agent.CNPJ], t.Shop())
		if t.Agent.ID != "" {
			about[alarm.Subject{Kind: alarm.OfAgent, ID: t.Agent.ID}] = &tills[i]
		}
		for _, d := range t.Devices {
			about[alarm.Subject{Kind: alarm.OfDevice, ID: d.Serial}] = &tills[i]
		}
	}
	var out []Alarm
	for _, a := range found {
		one := alarmOf(a)
		one.Till = about[a.Subject]
		if a.Subject.Kind == alarm.OfShop {
			one.place = shops[a.Subject.ID]
		}
		out = append(out, one)
	}
	return out
}

// closedShown is how many ended alarms are listed.
const closedShown = 50

// Alarms lists the open alarms, gravest first and those explained by another
// last, and the ones that ended last.
func (a *API) Alarms(ctx context.Context, c Caller) (open, closed []Alarm, err error) {
	err = a.view(ctx, c, opAlarms, func(r *store.Reader) error {
		if open, err = readAlarms(r, openAlarms); err != nil {
			return err
		}
		closed, err = readAlarms(r, func(r *store.Reader) ([]store.Alarm, error) { return r.ClosedAlarms(closedShown) })
		return err
	})
	return open, closed, err
}

// AlarmPage is one alarm with its life, oldest change first.
type AlarmPage struct {
	Alarm
	Life     []store.Change
	Children []Alarm  // that it explains, gravest first
	People   []string // addresses of those it may be assigned to
}

// Alarm returns one alarm.
func (a *API) Alarm(ctx context.Context, c Caller, id int64) (p AlarmPage, err error) {
	err = a.view(ctx, c, opAlarm, func(r *store.Reader) error {
		found, err := readAlarms(r, func(r *store.Reader) ([]store.Alarm, error) {
			one, err := r.Alarm(id)
			return []store.Alarm{one}, err
		})
		if err != nil {
			return err
		}
		p.Alarm = found[0]
		if p.Children, err = readAlarms(r, func(r *store.Reader) ([]store.Alarm, error) { return r.Children(id) }); err != nil {
			return err
		}
		if a.May(c, OpTakeAlarm) {
			users, err := r.Users()
			if err != nil {
				return err
			}
			for _, u := range users {
				p.People = append(p.People, u.Email)
			}
		}
		p.Life, err = r.AlarmLife(id)
		return err
	})
	return p, err
}
