// Package alarm decides what a person must hear about. Facts are what is known
// about one device, one agent or the imports; rules are declared values; Eval is
// the one pure function that turns facts into alarms. It knows no fiscal model,
// no store and no clock, and imports nothing of ours.
//
// Thresholds follow the dossier on CF-e documents, sections 4.3 and 4.5.
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
	OfDevice  Kind = "device"
	OfAgent   Kind = "agent"
	OfImports Kind = "imports"
)

// Subject is what an alarm is about: a device by its serial number, an agent by
// its id.
type Subject struct {
	Kind Kind
	ID   string
}

// Facts are what is known about one subject at one moment. Zero times and nil
// parts mean "not known", and what is not known raises nothing: that a subject
// was not heard is a rule of its own.
type Facts struct {
	Subject Subject
	Agent   *Agent  // the subject itself, or the agent a device hangs from; nil without one
	Device  *Device // nil unless the subject is a device

	Quarantined Happening // records stored raw and not settled by a person yet
	Missing     Happening // documents issued that nobody has
	Unresolved  Happening // sales of which nobody can tell whether they were issued
	IssuedTwice Happening // sales that two devices issued, and of which none is cancelled
}

// Happening is a number of like incidents.
type Happening struct {
	Count       int
	First, Last time.Time
	Example     string // names one of them: a key, a reason, a range
}

// Agent are the facts of one agent.
type Agent struct {
	Heard    time.Time // collector's clock at the last message
	Evicted  Happening // records the agent dropped unsent for want of room
	Damaged  Happening // times its buffer was found damaged
	Collided Happening // records that came twice with different content
}

// Block is why a device refuses to sell.
type Block int

// The blocks. Unblocked also stands for a state nobody knows.
const (
	Unblocked Block = iota
	ByTaxOffice
	ByTaxpayer
	Autonomous
	ForDeactivation
)

// Device are the facts of one device.
type Device struct {
	FirstSeen   time.Time
	Silent      time.Time // since when it does not answer its agent; zero while it does
	StatusAt    time.Time // collector's clock when its last status came
	Block       Block
	BlockSince  time.Time
	Memory      float64 // used fraction, 0 to 1; negative when not known
	LastContact time.Time
	CertExpires time.Time // day, midnight in Brasília
	// ClockOff is the device's clock minus the collector's, at the last status.
	ClockOff   time.Duration
	ClockKnown bool
	// PendingSince is the date of the oldest document waiting for the tax
	// office, as far as known; zero when none waits.
	PendingSince time.Time
	Forbidden    Happening // production documents dated after emission was prohibited
	Invalid      Happening // documents whose signature is wrong or missing
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
	// Behind names a raised alarm without whose end this rule cannot be judged:
	// an open alarm stays as it is, none is opened. The other fields are zero.
	Behind Code
}

// Eval judges every rule about the facts' subject. What is not in the answer
// does not hold: an open alarm of that code is over.
func Eval(f Facts, now time.Time) []Raised {
	if f.Subject.Kind == OfDevice && f.Device == nil || f.Subject.Kind == OfAgent && f.Agent == nil {
		return nil
	}
	t := Defaults()
	var out []Raised
	for _, r := range rules {
		if !slices.Contains(r.Subjects, f.Subject.Kind) {
			continue
		}
		if parent := r.explained(f, now, t); parent != "" {
			out = append(out, Raised{Code: r.Code, Behind: parent})
			continue
		}
		if found := r.judge(f, now, t); found != nil {
			severity := found.severity
			if severity == 0 {
				severity = r.Severity
			}
			out = append(out, Raised{Code: r.Code, Severity: severity, Step: max(1, found.step),
				Since: found.since, Detail: found.detail})
		}
	}
	return out
}

// explained names the first alarm this rule depends on that holds, or "".
func (r Rule) explained(f Facts, now time.Time, t Thresholds) Code {
	for _, code := range r.DependsOn {
		if parent, ok := RuleOf(code); ok && parent.judge(f, now, t) != nil {
			return code
		}
	}
	return ""
}
