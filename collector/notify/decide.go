package notify

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// What becomes of a telling.
type act int

const (
	nothing act = iota // the channel knows, or is not to
	later              // look again at a time
	tell               // now
	collect            // now, in the daily digest
)

// flapHold is for how long after an alarm was told of its coming back is not.
const flapHold = 30 * time.Minute

// decide is the one place where it stands what a channel is told, and when.
func decide(ch store.Channel, t store.Telling, now time.Time) (act, time.Time) {
	a, wish, severity := t.Alarm, ch.Wish, t.Alarm.Severity
	switch {
	case !a.ClearedAt.IsZero() && !t.Open:
		return nothing, time.Time{} // it came and went unheard
	case !a.ClearedAt.IsZero():
		severity = t.Severity
	case !a.ResolvedAt.IsZero(), !news(ch, t):
		return nothing, time.Time{}
	case a.Silenced(now):
		return later, a.SilencedUntil
	case !t.Open && a.Severity <= t.Severity && now.Before(t.ToldAt.Add(flapHold)):
		return later, t.ToldAt.Add(flapHold)
	}
	if severity < wish.Least {
		at := nextMinute(t.At, max(0, wish.Digest)*60)
		switch {
		case wish.Digest < 0:
			return nothing, time.Time{}
		case now.Before(at):
			return later, at
		}
		return collect, time.Time{}
	}
	if quietAt(wish, now) && !(a.Severity == alarm.Critical && a.ClearedAt.IsZero() && wish.CriticalPasses) {
		return later, nextMinute(now, wish.QuietTo)
	}
	return tell, time.Time{}
}

// news tells whether an open alarm is more than its channel was told: also when it was
// not settled as a person said. That nobody took it on is news for those who should.
func news(ch store.Channel, t store.Telling) bool {
	a := t.Alarm
	owner := ch.User.Role == store.RoleTaxpayer || ch.User.Role == store.RoleAccountant
	return !t.Open || t.Again || a.Severity > t.Severity || a.Step > t.Step && a.Severity == t.Severity || a.Level > t.Level && !owner
}

// quietAt tells whether a moment is in the quiet hours, which may go over midnight.
func quietAt(w store.Wish, now time.Time) bool {
	local := now.In(sat.Brasilia())
	minute := 60*local.Hour() + local.Minute()
	if w.QuietFrom <= w.QuietTo {
		return minute >= w.QuietFrom && minute < w.QuietTo
	}
	return minute >= w.QuietFrom || minute < w.QuietTo
}

// nextMinute is when a minute of the day in Brasília comes next after a time.
func nextMinute(after time.Time, minute int) time.Time {
	local := after.In(sat.Brasilia())
	at := time.Date(local.Year(), local.Month(), local.Day(), minute/60, minute%60, 0, 0, local.Location())
	if !at.After(after) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// How much a channel is told at once.
const (
	mostAlone    = 5                // messages of single alarms within window
	window       = 10 * time.Minute // after a summary the next comes no sooner
	windowUrgent = time.Minute      // the same when something critical waits
	mostWaiting  = 20               // messages that a channel has not taken yet
	waitFor      = 5 * time.Minute  // what comes while so many wait
)

// hold tells, from a channel's recent messages, how n more alarms are told of: each
// alone, or all in one, or no sooner than until.
func hold(recent []store.Message, n int, urgent bool, now time.Time) (alone bool, until time.Time) {
	waiting, told := 0, 0
	for _, m := range recent {
		if !m.DueAt.IsZero() {
			waiting++
		}
		if !m.CreatedAt.After(now.Add(-window)) {
			continue
		}
		switch m.Kind {
		case kindAlarm:
			told++
		case kindSummary:
			until = m.CreatedAt.Add(window)
			if urgent {
				until = m.CreatedAt.Add(windowUrgent)
			}
		}
	}
	switch {
	case waiting >= mostWaiting:
		return false, now.Add(waitFor)
	case now.Before(until):
		return false, until
	}
	return told+n <= mostAlone, time.Time{}
}

// backOff is how long to wait after so many failures, of which a part from 0 to 1 is
// left to chance.
func backOff(attempts int, chance float64) time.Duration {
	full := min(time.Hour, 10*time.Second<<min(attempts, 10))
	return full/2 + time.Duration(chance*float64(full/2))
}

// newID names a message, for ever.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
