package alarm

import (
	"math"
	"time"
)

// Cause is why a device will block itself (dossier on CF-e documents, 4.3).
type Cause string

// The causes.
const (
	CauseContact     Cause = "contato"
	CausePending     Cause = "pendentes"
	CauseMemory      Cause = "memoria"
	CauseCertificate Cause = "certificado"
)

// String is the cause in pt-BR, to follow "vai se bloquear".
func (c Cause) String() string {
	switch c {
	case CauseContact:
		return "por falta de contato com a SEFAZ"
	case CausePending:
		return "por cupom pendente há tempo demais"
	case CauseMemory:
		return "por memória cheia"
	case CauseCertificate:
		return "por certificado vencido"
	}
	return ""
}

// Prediction says when a device will stop selling by itself, and why.
type Prediction struct {
	At    time.Time
	Cause Cause
	// Risk is what it would not sell within 30 days of now, in cents.
	Risk int64
}

// MemoryLimit is the fraction of used memory at which devices block themselves.
const MemoryLimit = 0.95

const (
	farthest  = 90 * day // what lies beyond is not told
	horizon   = 30 * day // within which money is at risk
	minPoints = 3        // a trend has at least so many days
)

// Forecast is the first block to come of a device that sells; ok is false when none
// is in sight. Nothing is foretold of a device that is blocked or put away.
func Forecast(f Facts, now time.Time) (p Prediction, ok bool) {
	d := f.Device
	if d == nil || d.Stage.Away() || d.Block != Unblocked {
		return p, false
	}
	policy := f.Policy.Filled()
	consider := func(at time.Time, cause Cause) {
		if at.Before(now) {
			at = now // overdue: it may happen at any moment
		}
		if at.Sub(now) <= farthest && (p.At.IsZero() || at.Before(p.At)) {
			p.At, p.Cause = at, cause
		}
	}
	if !d.LastContact.IsZero() && now.Sub(d.LastContact) >= day {
		consider(d.LastContact.Add(time.Duration(policy.ContactLimit)*day), CauseContact)
	}
	if !d.PendingSince.IsZero() && now.Sub(d.PendingSince) >= day {
		consider(d.PendingSince.Add(time.Duration(policy.PendingLimit)*day), CausePending)
	}
	if !d.CertExpires.IsZero() {
		consider(midnight(d.CertExpires).AddDate(0, 0, 1), CauseCertificate)
	}
	if at, rises := MemoryFull(d.Memories, now); rises {
		consider(at, CauseMemory)
	}
	if p.At.IsZero() {
		return p, false
	}
	if d.Stage != Draining {
		p.Risk = int64(float64(d.Daily) * max(0, (horizon-p.At.Sub(now)).Hours()/24))
	}
	return p, true
}

// MemoryFull is when memory reaches MemoryLimit, by the straight line that fits the
// points best; rises is false when that is not within 90 days.
func MemoryFull(points []Point, now time.Time) (at time.Time, rises bool) {
	if len(points) < minPoints {
		return at, false
	}
	n := float64(len(points))
	var sx, sy, sxx, sxy float64
	for _, p := range points {
		x := p.At.Sub(now).Hours() / 24
		sx, sy, sxx, sxy = sx+x, sy+p.Value, sxx+x*x, sxy+x*p.Value
	}
	slope := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	if !(slope > 0) || math.IsInf(slope, 0) {
		return at, false
	}
	days := (MemoryLimit - (sy-slope*sx)/n) / slope
	if days > farthest.Hours()/24 {
		return at, false
	}
	return now.Add(time.Duration(days * float64(day))), true
}
