package alarm

import (
	"cmp"
	"time"
)

// Step is one threshold: from At on, the alarm has this severity.
type Step[T cmp.Ordered] struct {
	At       T
	Severity Severity
}

// Thresholds are all the numbers the rules use, each list ascending.
type Thresholds struct {
	Certificate  []Step[int] // days after the last valid one; negative before
	Memory       []Step[float64]
	NoContact    []Step[time.Duration]
	NotAnswering []Step[time.Duration]
	StatusOld    []Step[time.Duration]
	AgentSilent  []Step[time.Duration]
	Pending      []Step[time.Duration]
	ClockOff     []Step[time.Duration]
	// Recent is how long something that happened once stays an alarm.
	Recent time.Duration
	// Twice is how long a sale issued twice stays one.
	Twice time.Duration
}

const day = 24 * time.Hour

// Defaults are the thresholds of the dossier on CF-e documents, section 4.5.
// Those for silence are ours: a till that is switched off at night is a notice,
// a day without it a warning.
func Defaults() Thresholds {
	return Thresholds{
		Certificate: []Step[int]{{-90, Notice}, {-60, Notice}, {-30, Warning},
			{-15, Critical}, {-7, Critical}, {-1, Critical}, {1, Critical}},
		Memory:       []Step[float64]{{0.70, Warning}, {0.85, Critical}, {0.95, Critical}},
		NoContact:    []Step[time.Duration]{{day, Warning}, {3 * day, Critical}, {7 * day, Critical}},
		NotAnswering: []Step[time.Duration]{{2 * time.Minute, Warning}, {30 * time.Minute, Critical}},
		StatusOld:    []Step[time.Duration]{{day, Warning}, {3 * day, Critical}},
		AgentSilent:  []Step[time.Duration]{{15 * time.Minute, Notice}, {day, Warning}, {3 * day, Critical}},
		Pending:      []Step[time.Duration]{{day, Warning}, {3 * day, Critical}, {8 * day, Critical}},
		ClockOff:     []Step[time.Duration]{{time.Minute, Warning}, {4 * time.Minute, Critical}},
		Recent:       7 * day,
		Twice:        30 * day,
	}
}

// reached is the last step at or below v: its number from 1 and its severity;
// zero when v is below the first.
func reached[T cmp.Ordered](steps []Step[T], v T) (n int, s Severity) {
	for i, step := range steps {
		if v >= step.At {
			n, s = i+1, step.Severity
		}
	}
	return n, s
}
