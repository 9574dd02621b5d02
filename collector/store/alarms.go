package store

import (
	"time"

	"zelo/collector/alarm"
)

// Alarm is one alarm with its life.
type Alarm struct {
	ID        int64
	Code      alarm.Code
	Subject   alarm.Subject
	Agent     string // the agent a device hangs from, or the subject itself; may be ""
	Severity  alarm.Severity
	Step      int
	Detail    string     // pt-BR: what is, since when
	Behind    alarm.Code // set: explained by another alarm, and as it was before that one
	Since     time.Time  // since when the condition holds
	OpenedAt  time.Time  // when we first raised it
	SeenAt    time.Time  // when it was last confirmed, to within 10 minutes
	ClearedAt time.Time  // zero while open
}

// Change is one step of an alarm's life.
type Change struct {
	At       time.Time
	What     string // "opened", "changed", "cleared"
	Severity alarm.Severity
	Step     int
	Detail   string
}

// confirmEvery bounds how often an unchanged open alarm is written again.
const confirmEvery = 10 * time.Minute

const alarmColumns = `a.id, a.code, a.kind, a.subject, coalesce(CASE WHEN a.kind = 'agent' THEN a.subject ELSE d.agent END, ''),
	a.severity, a.step, a.detail, a.behind, a.since, a.opened_at, a.seen_at, a.cleared_at`

const alarmTables = ` FROM alarms a LEFT JOIN devices d ON a.kind = 'device' AND d.serial = a.subject `

// alarms is the condition for rows of alarmTables. Of an agent that is another's they
// see that it is silent: other alarms tell of records that are not theirs.
func (r *Reader) alarms(args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return "(a.kind = 'agent' AND " + r.ofAgents("a.subject", args) + " OR a.kind = 'agent' AND a.code = '" + string(alarm.AgentSilent) + "' AND " +
		r.sharesAgents("a.subject", args) + " OR a.kind = 'device' AND " + r.ofDevices("a.subject", args) + ")"
}

func scanAlarm(s scanner, a *Alarm) error {
	return s.Scan(&a.ID, &a.Code, &a.Subject.Kind, &a.Subject.ID, &a.Agent, &a.Severity, &a.Step, &a.Detail, &a.Behind,
		at(&a.Since), at(&a.OpenedAt), at(&a.SeenAt), at(&a.ClearedAt))
}

// OpenAlarms returns all open alarms: those that stand for themselves before
// those explained by another, then the gravest, then the oldest first.
func (r *Reader) OpenAlarms() ([]Alarm, error) {
	args := arguments{}
	return all(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.cleared_at = 0 AND `+r.alarms(&args)+`
		ORDER BY a.behind <> '', a.severity DESC, a.since, a.id`, args...)
}

// ClosedAlarms returns the alarms that ended last, newest first.
func (r *Reader) ClosedAlarms(limit int) ([]Alarm, error) {
	args := arguments{limit}
	return all(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.cleared_at > 0 AND `+r.alarms(&args)+`
		ORDER BY a.cleared_at DESC, a.id DESC LIMIT $1`, args...)
}

// Alarm returns one alarm.
func (r *Reader) Alarm(id int64) (Alarm, error) {
	args := arguments{id}
	return one(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.id = $1 AND `+r.alarms(&args), args...)
}

// AlarmChanges returns the life of one alarm, oldest first.
func (r *Reader) AlarmChanges(id int64) ([]Change, error) {
	if _, err := r.Alarm(id); err != nil {
		return nil, err
	}
	return all(r, func(s scanner, c *Change) error {
		return s.Scan(at(&c.At), &c.What, &c.Severity, &c.Step, &c.Detail)
	}, `SELECT at, what, severity, step, detail FROM alarm_changes WHERE alarm_id = $1 ORDER BY id`, id)
}

// AlarmsDiffer reports whether SetAlarms with the same arguments would write.
func (r *Reader) AlarmsDiffer(s alarm.Subject, raised []alarm.Raised, now time.Time) (bool, error) {
	changes, err := r.alarmChanges(s, raised, now)
	return len(changes) > 0, err
}

// SetAlarms makes a subject's open alarms those that were raised now: it opens,
// updates and clears.
func (w *Writer) SetAlarms(s alarm.Subject, raised []alarm.Raised, now time.Time) error {
	changes, err := w.alarmChanges(s, raised, now)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := w.setAlarm(c, now); err != nil {
			return err
		}
	}
	return nil
}

// alarmChange is an alarm as it must become, and the word for its history, ""
// when only the row is refreshed.
type alarmChange struct {
	Alarm
	what string
}

func (r *Reader) alarmChanges(s alarm.Subject, raised []alarm.Raised, now time.Time) ([]alarmChange, error) {
	args := arguments{s.Kind, s.ID}
	open, err := all(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.kind = $1 AND a.subject = $2
		AND a.cleared_at = 0 AND `+r.alarms(&args), args...)
	if err != nil {
		return nil, err
	}
	before := map[alarm.Code]Alarm{}
	for _, a := range open {
		before[a.Code] = a
	}
	var out []alarmChange
	for _, r := range raised {
		old, isOpen := before[r.Code]
		delete(before, r.Code)
		if c, changed := next(old, isOpen, r, now); changed {
			c.Subject = s
			out = append(out, c)
		}
	}
	for _, a := range open {
		if old, over := before[a.Code]; over {
			old.ClearedAt, old.Behind = now, ""
			out = append(out, alarmChange{old, "cleared"})
		}
	}
	return out, nil
}

// next is what an alarm becomes when r was raised; changed is false when nothing
// needs to be written.
func next(old Alarm, isOpen bool, r alarm.Raised, now time.Time) (c alarmChange, changed bool) {
	c = alarmChange{Alarm: old}
	if r.Behind != "" {
		c.Behind = r.Behind
		return c, isOpen && old.Behind != r.Behind
	}
	c.Code, c.Severity, c.Step, c.Detail, c.Since, c.Behind, c.SeenAt = r.Code, r.Severity, r.Step, r.Detail, r.Since, "", now
	switch {
	case !isOpen:
		c.OpenedAt, c.what = now, "opened"
	case old.Severity != r.Severity || old.Step != r.Step:
		c.what = "changed"
	default:
		return c, old.Detail != r.Detail || old.Behind != "" || now.Sub(old.SeenAt) >= confirmEvery
	}
	return c, true
}

func (w *Writer) setAlarm(c alarmChange, now time.Time) (err error) {
	if c.what == "opened" {
		err = w.get(into{&c.ID}, `INSERT INTO alarms (code, kind, subject, severity, step, detail, behind, since, opened_at, seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $8) RETURNING id`, c.Code, c.Subject.Kind, c.Subject.ID,
			c.Severity, c.Step, c.Detail, ms(c.Since), ms(now))
	} else {
		err = w.exec(`UPDATE alarms SET severity = $2, step = $3, detail = $4, behind = $5, since = $6, seen_at = $7,
			cleared_at = $8 WHERE id = $1`, c.ID, c.Severity, c.Step, c.Detail, c.Behind, ms(c.Since), ms(c.SeenAt), ms(c.ClearedAt))
	}
	if err != nil || c.what == "" {
		return err
	}
	return w.exec(`INSERT INTO alarm_changes (alarm_id, at, what, severity, step, detail) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.ID, ms(now), c.what, c.Severity, c.Step, c.Detail)
}
