package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"zelo/collector/alarm"
)

// Alarm is one alarm with its life.
type Alarm struct {
	ID        int64
	Code      alarm.Code
	Subject   alarm.Subject
	Agent     string // the agent a device hangs from, or the subject itself; may be ""
	CNPJ      string // of the establishment it is in; "" when not known
	Severity  alarm.Severity
	Step      int
	Detail    string     // pt-BR: what is, since when
	Behind    alarm.Code // set: explained by another alarm, and as it was before that one
	Cause     int64      // id of the alarm that explains many, this one among them; 0 is none
	Since     time.Time  // since when the condition holds
	OpenedAt  time.Time  // when we first raised it
	SeenAt    time.Time  // when it was last confirmed, to within 10 minutes
	ClearedAt time.Time  // zero while open

	Level         int       // of escalation, from 0
	TakenBy       string    // whom it is assigned to; "" while nobody took it on
	TakenAt       time.Time // zero while nobody did
	SilencedUntil time.Time // nobody is told of it until then, unless it gets graver
	ResolvedAt    time.Time // a person says it is settled; zero while nobody does

	Forecast alarm.Prediction // of its device; zero when no block is in sight
}

// Silenced tells whether nobody is to be told of it now.
func (a Alarm) Silenced(now time.Time) bool { return a.SilencedUntil.After(now) }

// Change is one step of an alarm's life.
type Change struct {
	ID       int64
	At       time.Time
	What     string // one of the constants below
	Severity alarm.Severity
	Step     int
	Detail   string
	Who      string // the person who did it; "" when it happened by itself
}

// What happens to an alarm.
const (
	Opened    = "opened"
	Reopened  = "reopened"  // it came again soon after its end, or was not settled as a person said
	Worsened  = "worsened"  // a graver step or severity
	Eased     = "eased"     // a lesser one
	Grouped   = "grouped"   // it explains other alarms, as many as Step says
	Escalated = "escalated" // to the level that Step says
	Taken     = "taken"     // by the person that Detail names
	Released  = "released"  // nobody has it any more
	Silenced  = "silenced"
	Loud      = "loud" // silenced no more
	Resolved  = "resolved"
	Cleared   = "cleared"
)

const (
	confirmEvery = 10 * time.Minute // bounds how often an unchanged open alarm is written again
	reopenWithin = 30 * time.Minute // an alarm that comes again so soon is the same one
	settleWithin = time.Hour        // in which what a person resolved must be over
)

const alarmColumns = `a.id, a.code, a.kind, a.subject, coalesce(g.id, ''), ` + alarmCNPJ + `,
	a.severity, a.step, a.detail, a.behind, a.cause_id, a.since, a.opened_at, a.seen_at, a.cleared_at,
	a.level, a.taken_by, a.taken_at, a.silenced_until, a.resolved_at, coalesce(f.at, 0), coalesce(f.cause, ''), coalesce(f.risk, 0)`

// alarmCNPJ is the establishment of a row of alarmTables.
const alarmCNPJ = `CASE WHEN a.kind = 'shop' THEN a.subject WHEN coalesce(d.cnpj, '') <> '' THEN d.cnpj ELSE coalesce(g.cnpj, '') END`

const alarmTables = ` FROM alarms a LEFT JOIN devices d ON a.kind = 'device' AND d.serial = a.subject
	LEFT JOIN agents g ON g.id = CASE WHEN a.kind = 'agent' THEN a.subject ELSE d.agent END
	LEFT JOIN forecasts f ON a.kind = 'device' AND f.serial = a.subject `

// alarms is the condition for rows of alarmTables. That a till is silent is also told
// to the others it serves.
func (r *Reader) alarms(args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return "(a.kind = 'agent' AND " + r.ofAgents("a.subject", args) + " OR a.kind = 'agent' AND a.code = '" + string(alarm.AgentSilent) +
		"' AND " + r.sharesAgents("a.subject", args) + " OR a.kind = 'device' AND " + r.ofDevices("a.subject", args) +
		" OR a.kind = 'shop' AND " + r.owns("a.subject", args) + " OR a.kind = 'reseller' AND " + r.ofReseller("a.reseller_id", args) +
		" OR a.kind = 'certificate' AND a.subject IN (SELECT i.key FROM inventory i WHERE i.what = '" + WhatCertificate + "' AND " +
		r.ofAgents("i.agent", args) + "))"
}

func scanAlarm(s scanner, a *Alarm) error { return scanAlarmAnd(s, a) }

func scanAlarmAnd(s scanner, a *Alarm, more ...any) error {
	return s.Scan(append([]any{&a.ID, &a.Code, &a.Subject.Kind, &a.Subject.ID, &a.Agent, &a.CNPJ, &a.Severity, &a.Step, &a.Detail, &a.Behind,
		&a.Cause, at(&a.Since), at(&a.OpenedAt), at(&a.SeenAt), at(&a.ClearedAt), &a.Level, &a.TakenBy, at(&a.TakenAt), at(&a.SilencedUntil),
		at(&a.ResolvedAt), at(&a.Forecast.At), &a.Forecast.Cause, &a.Forecast.Risk}, more...)...)
}

// OpenAlarms returns all open alarms: those that stand for themselves before
// those explained by another, then the gravest, then the oldest first.
func (r *Reader) OpenAlarms() ([]Alarm, error) { return r.openAlarms("1 = 1", nil) }

// openAlarms are the open alarms under a condition, in the order of OpenAlarms.
func (r *Reader) openAlarms(where string, args arguments) ([]Alarm, error) {
	list, err := all(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.cleared_at = 0 AND (`+where+`) AND `+r.alarms(&args), args...)
	if err == nil {
		err = r.knowCauses(list)
	}
	slices.SortFunc(list, func(a, b Alarm) int {
		if a.explained() != b.explained() {
			return cmp.Compare(truth(a.explained()), truth(b.explained()))
		}
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

func (a Alarm) explained() bool { return a.Behind != "" || a.Cause != 0 }

// knowCauses takes the causes away that the reader does not see: to whom they are nothing,
// they explain nothing.
func (r *Reader) knowCauses(list []Alarm) error {
	var args arguments
	places := map[int64]string{}
	for _, a := range list {
		if a.Cause != 0 && places[a.Cause] == "" {
			places[a.Cause] = args.add(a.Cause)
		}
	}
	if len(places) == 0 || r.scope.Everything() {
		return nil
	}
	seen, err := all(r, value[int64], `SELECT a.id FROM alarms a WHERE a.id IN (`+strings.Join(slices.Collect(maps.Values(places)), ", ")+`) AND `+r.alarms(&args), args...)
	for i, a := range list {
		if !slices.Contains(seen, a.Cause) {
			list[i].Cause = 0
		}
	}
	return err
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
	a, err := one(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.id = $1 AND `+r.alarms(&args), args...)
	if err != nil {
		return a, err
	}
	list := []Alarm{a}
	err = r.knowCauses(list)
	return list[0], err
}

const changeColumns = `c.id, c.at, c.what, c.severity, c.step, c.detail, c.who`

func (c *Change) places() []any {
	return []any{&c.ID, at(&c.At), &c.What, &c.Severity, &c.Step, &c.Detail, &c.Who}
}

// AlarmLife returns the life of one alarm, oldest first.
func (r *Reader) AlarmLife(id int64) ([]Change, error) {
	if _, err := r.Alarm(id); err != nil {
		return nil, err
	}
	return all(r, func(s scanner, c *Change) error { return s.Scan(c.places()...) },
		`SELECT `+changeColumns+` FROM alarm_changes c WHERE c.alarm_id = $1 ORDER BY c.id`, id)
}

// AlarmChange is a change with its alarm as it is now.
type AlarmChange struct {
	Change
	Alarm Alarm
}

// AlarmChanges returns at most limit changes after one, in the order in which they
// were committed. The id of the last is where the next call continues: nothing comes
// in before it.
func (r *Reader) AlarmChanges(after int64, limit int) ([]AlarmChange, error) {
	args := arguments{after, limit}
	return all(r, func(s scanner, c *AlarmChange) error { return scanAlarmAnd(s, &c.Alarm, c.places()...) },
		`SELECT `+alarmColumns+`, `+changeColumns+alarmTables+`JOIN alarm_changes c ON c.alarm_id = a.id
		WHERE c.id > $1 AND `+r.alarms(&args)+` ORDER BY c.id LIMIT $2`, args...)
}

// LastAlarmChange is the id of the newest change of any alarm; 0 when there is none.
func (r *Reader) LastAlarmChange() (int64, error) {
	if err := r.system(); err != nil {
		return 0, err
	}
	return one(r, value[int64], `SELECT coalesce(max(id), 0) FROM alarm_changes`)
}

// AlarmsDiffer reports whether SetAlarms with the same arguments would write.
func (r *Reader) AlarmsDiffer(s alarm.Subject, raised []alarm.Raised, now time.Time) (bool, error) {
	changes, err := r.alarmChanges(s, raised, now)
	return len(changes) > 0, err
}

// SetAlarms makes a subject's open alarms those that were raised now: it opens,
// updates and clears. What has a cause found by grouping is not touched.
func (w *Writer) SetAlarms(s alarm.Subject, raised []alarm.Raised, now time.Time) error {
	changes, err := w.alarmChanges(s, raised, now)
	if err != nil {
		return err
	}
	for i := range changes {
		if err := w.setAlarm(&changes[i], now); err != nil {
			return err
		}
	}
	return nil
}

// openSteps are the steps of a subject's open alarms.
func (r *Reader) openSteps(s alarm.Subject) (map[alarm.Code]int, error) {
	open := map[alarm.Code]int{}
	_, err := all(r, func(s scanner, _ *struct{}) error {
		var code alarm.Code
		var step int
		err := s.Scan(&code, &step)
		open[code] = step
		return err
	}, `SELECT code, step FROM alarms WHERE kind = $1 AND subject = $2 AND cleared_at = 0`, s.Kind, s.ID)
	return open, err
}

// alarmChange is an alarm as it must become, and the word for its history, ""
// when only the row is refreshed.
type alarmChange struct {
	Alarm
	what string
}

func (r *Reader) alarmChanges(s alarm.Subject, raised []alarm.Raised, now time.Time) ([]alarmChange, error) {
	open, err := all(r, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.kind = $1 AND a.subject = $2
		AND a.cleared_at = 0`, s.Kind, s.ID)
	if err != nil {
		return nil, err
	}
	open = slices.DeleteFunc(open, func(a Alarm) bool {
		r, known := alarm.RuleOf(a.Code)
		return known && r.Shared()
	})
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
			out = append(out, ended(old, now))
		}
	}
	return out, nil
}

// sharedCodes lists, in SQL, the codes of causes that grouping finds.
func sharedCodes() string {
	var codes []alarm.Code
	for _, r := range alarm.Rules() {
		if r.Shared() {
			codes = append(codes, r.Code)
		}
	}
	return codeList(codes)
}

// codeList lists codes in SQL.
func codeList(codes []alarm.Code) string {
	var quoted []string
	for _, c := range codes {
		quoted = append(quoted, "'"+string(c)+"'")
	}
	return strings.Join(quoted, ", ")
}

// ended is an alarm that holds no more.
func ended(a Alarm, now time.Time) alarmChange {
	a.ClearedAt, a.Behind, a.Cause = now, "", 0
	return alarmChange{a, Cleared}
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
	graver := cmp.Or(cmp.Compare(r.Severity, old.Severity), cmp.Compare(r.Step, old.Step))
	switch {
	case !isOpen:
		c.OpenedAt, c.what = now, Opened
	case graver != 0 && old.ResolvedAt.IsZero():
		if c.what = Eased; graver > 0 {
			c.what = Worsened
		}
	case !old.ResolvedAt.IsZero() && (graver > 0 || now.Sub(old.ResolvedAt) >= settleWithin):
		c.what, c.ResolvedAt, c.TakenBy, c.TakenAt = Reopened, time.Time{}, "", time.Time{}
	default:
		return c, graver != 0 || old.Detail != r.Detail || old.Behind != "" || now.Sub(old.SeenAt) >= confirmEvery
	}
	if r.Severity > old.Severity {
		c.SilencedUntil = time.Time{}
	}
	return c, true
}

// setAlarm writes an alarm as it must become, and its change. It sets the id of one
// that is opened.
func (w *Writer) setAlarm(c *alarmChange, now time.Time) (err error) {
	if c.what == Opened {
		if err := w.reopen(c, now); err != nil {
			return err
		}
	}
	if c.what == Opened {
		reseller := int64(0)
		if c.Subject.Kind == alarm.OfReseller {
			fmt.Sscan(c.Subject.ID, &reseller) // before a slash, or all of it
		}
		err = w.get(into{&c.ID}, `INSERT INTO alarms (code, kind, subject, severity, step, detail, behind, since, opened_at, seen_at, reseller_id)
			VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $8, $9) RETURNING id`, c.Code, c.Subject.Kind, c.Subject.ID,
			c.Severity, c.Step, c.Detail, ms(c.Since), ms(now), reseller)
	} else {
		err = w.exec(`UPDATE alarms SET severity = $2, step = $3, detail = $4, behind = $5, since = $6, seen_at = $7,
			cleared_at = $8, cause_id = $9, level = $10, taken_by = $11, taken_at = $12, silenced_until = $13, resolved_at = $14 WHERE id = $1`,
			c.ID, c.Severity, c.Step, c.Detail, c.Behind, ms(c.Since), ms(c.SeenAt), ms(c.ClearedAt), c.Cause, c.Level,
			c.TakenBy, ms(c.TakenAt), ms(c.SilencedUntil), ms(c.ResolvedAt))
	}
	if err != nil || c.what == "" {
		return err
	}
	return w.addChange(c.ID, Change{At: now, What: c.what, Severity: c.Severity, Step: c.Step, Detail: c.Detail})
}

// reopen makes of an alarm to be opened one that ended a moment ago, if there is one.
func (w *Writer) reopen(c *alarmChange, now time.Time) error {
	last, err := one(&w.Reader, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.kind = $1 AND a.subject = $2 AND a.code = $3
		AND a.cleared_at > $4 AND a.cleared_at > 0 ORDER BY a.id DESC LIMIT 1`, c.Subject.Kind, c.Subject.ID, c.Code, ms(now.Add(-reopenWithin)))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	last.ClearedAt, last.ResolvedAt = time.Time{}, time.Time{}
	last.Severity, last.Step, last.Detail, last.Since, last.SeenAt = c.Severity, c.Step, c.Detail, c.Since, now
	*c = alarmChange{last, Reopened}
	return nil
}

func (w *Writer) addChange(id int64, c Change) error {
	return w.exec(`INSERT INTO alarm_changes (alarm_id, at, what, severity, step, detail, who) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, ms(c.At), c.What, c.Severity, c.Step, c.Detail, c.Who)
}

// Act notes what a person did with an open alarm: a becomes its row, and c its change.
func (w *Writer) Act(a Alarm, c Change) error {
	c.Severity, c.Step = a.Severity, a.Step
	err := w.exec(`UPDATE alarms SET level = $2, taken_by = $3, taken_at = $4, silenced_until = $5, resolved_at = $6 WHERE id = $1`,
		a.ID, a.Level, a.TakenBy, ms(a.TakenAt), ms(a.SilencedUntil), ms(a.ResolvedAt))
	if err != nil {
		return err
	}
	return w.addChange(a.ID, c)
}
