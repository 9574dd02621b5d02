package alarm

import (
	"fmt"
	"maps"
	"time"
)

// Unit is what the values of a scale count. Durations are told in one of the first
// three.
type Unit string

// The units, as people read them.
const (
	Seconds  Unit = "segundos"
	Minutes  Unit = "minutos"
	Hours    Unit = "horas"
	DaysLeft Unit = "dias restantes"
	Days     Unit = "dias"
	Percent  Unit = "%"
	Times    Unit = "vezes"
)

// in is a duration in a unit.
func (u Unit) in(d time.Duration) float64 {
	switch u {
	case Seconds:
		return d.Seconds()
	case Minutes:
		return d.Minutes()
	case Hours:
		return d.Hours()
	}
	return d.Hours() / 24
}

// Step is one threshold: from At on, the alarm has this severity.
type Step struct {
	At       float64
	Severity Severity
}

// Scale says how grave a measured value is. Its steps ascend, or descend where less
// is worse.
type Scale struct {
	Unit  Unit
	Steps []Step
	Clear float64 // an open alarm keeps its step until the value is this much better
	// Min and Max bound what a tenant may set a step to.
	Min, Max float64
}

// falls tells whether less is worse.
func (s Scale) falls() bool { return len(s.Steps) > 1 && s.Steps[0].At > s.Steps[1].At }

// reached is the last step that v has reached: its number from 1 and its severity;
// zero when it reached none. The steps up to open were reached before.
func (s Scale) reached(v float64, open int) (n int, severity Severity) {
	sign := 1.0
	if s.falls() {
		sign = -1
	}
	for i, step := range s.Steps {
		at := sign * step.At
		if i < open {
			at -= s.Clear
		}
		if sign*v >= at {
			n, severity = i+1, step.Severity
		}
	}
	return n, severity
}

// Policy is what a tenant set. Its zero value is the defaults.
type Policy struct {
	// Steps are the thresholds of rules, as many as the rule's scale has and in the
	// same order.
	Steps map[Code][]float64 `json:"steps,omitempty"`
	// ContactLimit and PendingLimit are after how many days without contact, or with
	// a document not sent, a device blocks itself; 0 is the default. The tax office
	// sets them per device (dossier on CF-e documents, 4.3).
	ContactLimit int `json:"contact,omitempty"`
	PendingLimit int `json:"pending,omitempty"`
	// Contingency is within how many hours the shop must transmit a note issued
	// off-line; 0 is what is known of its state.
	Contingency int `json:"contingency,omitempty"`
	// Escalate is after how many minutes of business a critical alarm that nobody took
	// on goes one level up; nil is the default.
	Escalate []int `json:"escalate,omitempty"`
	// Opens and Closes bound business, in minutes of the day; both 0 is the default.
	Opens  int `json:"opens,omitempty"`
	Closes int `json:"closes,omitempty"`
	// Saturdays and Sundays tell whether there is business.
	Saturdays bool `json:"saturdays,omitempty"`
	Sundays   bool `json:"sundays,omitempty"`
	// Holidays are those of the state and the town, beside the national ones:
	// "25/01" each year, "12/06/2027" once.
	Holidays []string `json:"holidays,omitempty"`
}

// The defaults of a Policy.
const (
	contactLimit = 10
	pendingLimit = 10
	opens        = 8 * 60
	closes       = 18 * 60
)

func escalate() []int { return []int{30, 120, 480} }

// Over is the policy with what it does not set taken from a wider tenant's.
func (p Policy) Over(wider Policy) Policy {
	out := p
	out.Steps = maps.Clone(wider.Steps)
	for code, steps := range p.Steps {
		if out.Steps == nil {
			out.Steps = map[Code][]float64{}
		}
		out.Steps[code] = steps
	}
	if out.ContactLimit == 0 {
		out.ContactLimit = wider.ContactLimit
	}
	if out.PendingLimit == 0 {
		out.PendingLimit = wider.PendingLimit
	}
	if out.Contingency == 0 {
		out.Contingency = wider.Contingency
	}
	if out.Escalate == nil {
		out.Escalate = wider.Escalate
	}
	if out.Opens == 0 && out.Closes == 0 {
		out.Opens, out.Closes, out.Saturdays, out.Sundays = wider.Opens, wider.Closes, wider.Saturdays, wider.Sundays
	}
	out.Holidays = append(append([]string(nil), wider.Holidays...), p.Holidays...)
	return out
}

// Filled is the policy with the defaults for what nobody set.
func (p Policy) Filled() Policy {
	return p.Over(Policy{ContactLimit: contactLimit, PendingLimit: pendingLimit, Escalate: escalate(), Opens: opens, Closes: closes})
}

// Scale is a rule's scale as the tenant set it.
func (p Policy) scale(r Rule) Scale {
	set := p.Steps[r.Code]
	if len(set) != len(r.Scale.Steps) || len(set) == 0 {
		return r.Scale
	}
	s := r.Scale
	s.Steps = make([]Step, len(set))
	for i, at := range set {
		s.Steps[i] = Step{at, r.Scale.Steps[i].Severity}
	}
	return s
}

// Values are the thresholds of a rule as the tenant set them.
func (p Policy) Values(r Rule) (values []float64) {
	for _, s := range p.scale(r).Steps {
		values = append(values, s.At)
	}
	return values
}

// Check says in pt-BR what is wrong with a policy; nil when nothing is.
func (p Policy) Check() error {
	for code, values := range p.Steps {
		if err := checkSteps(code, values); err != nil {
			return err
		}
	}
	for _, limit := range []int{p.ContactLimit, p.PendingLimit} {
		if limit < 0 || limit > 60 {
			return fmt.Errorf("o limite de dias do equipamento vai de 1 a 60; para o padrão, deixe vazio")
		}
	}
	if p.Contingency < 0 || p.Contingency > 168 {
		return fmt.Errorf("o prazo da contingência vai de 1 a 168 horas; para o do estado, deixe vazio")
	}
	if len(p.Escalate) > 5 {
		return fmt.Errorf("o escalonamento tem no máximo 5 níveis")
	}
	for i, m := range p.Escalate {
		if m < 1 || m > 10000 || i > 0 && m <= p.Escalate[i-1] {
			return fmt.Errorf("os minutos de escalonamento vão de 1 a 10000, cada um maior que o anterior")
		}
	}
	if (p.Opens != 0 || p.Closes != 0) && (p.Opens < 0 || p.Closes > 24*60 || p.Opens >= p.Closes) {
		return fmt.Errorf("o expediente precisa começar antes de terminar, entre 00:00 e 24:00")
	}
	if len(p.Holidays) > 100 {
		return fmt.Errorf("são no máximo 100 feriados")
	}
	for _, h := range p.Holidays {
		if _, err := parseHoliday(h); err != nil {
			return err
		}
	}
	return nil
}

func checkSteps(code Code, values []float64) error {
	r, known := RuleOf(code)
	if !known || len(r.Scale.Steps) == 0 {
		return fmt.Errorf("o alarme %q não tem limites que se possam mudar", code)
	}
	if len(values) != len(r.Scale.Steps) {
		return fmt.Errorf("%s: escreva %d limites, em %s", r.Title, len(r.Scale.Steps), r.Scale.Unit)
	}
	for i, v := range values {
		if !(v >= r.Scale.Min && v <= r.Scale.Max) { // also NaN
			return fmt.Errorf("%s: cada limite vai de %g a %g %s", r.Title, r.Scale.Min, r.Scale.Max, r.Scale.Unit)
		}
		if i > 0 && (v <= values[i-1]) != r.Scale.falls() || i > 0 && v == values[i-1] {
			return fmt.Errorf("%s: os limites precisam ir do menos ao mais grave", r.Title)
		}
	}
	return nil
}
