// Package alarm decides what a person must hear about. Facts are what is known
// about one subject; rules are declared values; Eval is the one pure function that
// turns facts into alarms, Group finds the one cause of many, Forecast says when a
// device will stop. It knows no fiscal model, no store and no clock, and imports
// nothing of ours.
//
// Thresholds follow the dossiers on CF-e documents, 4.3 and 4.5, on certificates, 6,
// and on NFC-e documents, 6.1 and 7.
package alarm

import (
	"slices"
	"time"
)

// Severity orders alarms; a page shows the gravest first.
type Severity int

// The severities, with the state a page paints: a notice is grey (sem notícia)
// or plain, a warning amber (atenção), a critical one red (parado ou vai parar).
const (
	Notice Severity = 1 + iota
	Warning
	Critical
)

// String is the severity in pt-BR.
func (s Severity) String() string {
	switch s {
	case Notice:
		return "aviso"
	case Warning:
		return "atenção"
	case Critical:
		return "crítico"
	}
	return "sem alarme"
}

// Kind says what an alarm is about.
type Kind string

// The kinds of subject. Imports has one subject, whose ID is empty.
const (
	OfDevice      Kind = "device"
	OfAgent       Kind = "agent"
	OfImports     Kind = "imports"
	OfShop        Kind = "shop"        // an establishment
	OfReseller    Kind = "reseller"    // what many of its tills have in common
	OfCertificate Kind = "certificate" // a company's, on any number of computers
)

// Subject is what an alarm is about: a device by its serial number, an agent by
// its id, an establishment by its CNPJ, a reseller by its number, a certificate by
// its SHA-256.
type Subject struct {
	Kind Kind
	ID   string
}

// Code names a rule; it never changes once released.
type Code string

// Raised is an alarm that holds now.
type Raised struct {
	Code     Code
	Severity Severity
	Step     int       // which threshold was crossed, from 1; it only tells changes apart
	Since    time.Time // since when the condition holds, as far as known
	Detail   string    // what is, since when; pt-BR
	// Behind names a raised alarm without whose end this rule cannot be judged, or that
	// it is part of: an open alarm stays as it is, none is opened. The other fields are
	// zero.
	Behind Code
}

// Eval judges every rule about the facts' subject. What is not in the answer
// does not hold: an open alarm of that code is over. What is part of an alarm that
// holds is told there.
func Eval(f Facts, now time.Time) []Raised {
	if f.Subject.Kind == OfDevice && f.Device == nil || f.Subject.Kind == OfAgent && f.Agent == nil {
		return nil
	}
	var out []Raised
	for i := range rules {
		r := &rules[i]
		if !slices.Contains(r.Subjects, f.Subject.Kind) || !r.matters(f.Device) {
			continue
		}
		if parent := r.explained(&f, now); parent != "" {
			out = append(out, Raised{Code: r.Code, Behind: parent})
			continue
		}
		found := r.holds(&f, now)
		if found == nil {
			continue
		}
		a := Raised{Code: r.Code, Severity: r.severity(f.Device, found), Step: max(1, found.step), Since: found.since, Detail: found.detail}
		if whole := r.whole(out, a.Step); whole != nil {
			whole.Severity, whole.Detail = max(whole.Severity, a.Severity), whole.Detail+" "+a.Detail
			a = Raised{Code: r.Code, Behind: whole.Code}
		}
		out = append(out, a)
	}
	return out
}

// whole is the alarm among those raised that the rule's alarm, of a step, is part of;
// nil when it stands for itself.
func (r *Rule) whole(raised []Raised, step int) *Raised {
	for _, part := range r.PartOf {
		i := slices.IndexFunc(raised, func(a Raised) bool { return a.Code == part.Of && a.Behind == "" })
		if i >= 0 && step >= part.From {
			return &raised[i]
		}
	}
	return nil
}

// holds is what the rule finds; nil when it finds nothing, or not for long enough.
func (r *Rule) holds(f *Facts, now time.Time) *finding {
	found := r.judge(&look{f, now, f.Policy.scale(*r), f.Open[r.Code]})
	if found == nil || r.Hold > 0 && f.Open[r.Code] == 0 && now.Sub(found.since) < r.Hold {
		return nil
	}
	return found
}

// severity is that of a finding; what was put away is never red.
func (r *Rule) severity(d *Device, found *finding) Severity {
	s := found.severity
	if s == 0 {
		s = r.Severity
	}
	if d != nil && d.Stage.Away() {
		s = min(s, Warning)
	}
	return s
}

// explained names the first alarm this rule depends on that holds, or "".
func (r *Rule) explained(f *Facts, now time.Time) Code {
	for _, code := range r.DependsOn {
		for i := range rules {
			if rules[i].Code == code && rules[i].matters(f.Device) && rules[i].holds(f, now) != nil {
				return code
			}
		}
	}
	return ""
}
