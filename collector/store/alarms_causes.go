package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"zelo/collector/alarm"
)

// groupedFor is how long alarms may share a cause: what has been so for longer is
// every till's own.
const groupedFor = 72 * time.Hour

// standing is an open alarm as grouping looks at it, with the cause it has.
type standing struct {
	alarm.Standing
	cause int64
}

// standings are the open alarms that may share a cause. A till without its own alarm
// is in nobody's way: only those that were heard within groupedFor count.
func (r *Reader) standings(now time.Time) ([]standing, error) {
	return all(r, func(s scanner, v *standing) error {
		var state string
		err := s.Scan(&v.ID, &v.Code, &v.Severity, at(&v.Since), &v.Shop, &v.Reseller, &v.Model, &state, &v.City, &v.Town, &v.cause)
		v.State, v.City = alarm.StateOf(state), spelled(v.City)
		if spelled(v.Town) != v.City {
			v.Town = ""
		}
		return err
	}, `SELECT a.id, a.code, a.severity, a.since, `+alarmCNPJ+`, coalesce(CAST(t.reseller_id AS TEXT), CASE WHEN coalesce(g.reseller_id, 0) = 0
			THEN '' ELSE CAST(g.reseller_id AS TEXT) END), coalesce(CASE WHEN m.software = '' THEN '' ELSE m.name || ' ' || m.software END, ''), coalesce(e.state, ''), coalesce(`+cityOf+`, ''), coalesce(e.city, ''), a.cause_id`+alarmTables+`
		LEFT JOIN devices m ON m.serial = CASE WHEN a.kind = 'device' THEN a.subject WHEN a.kind = 'agent'
			THEN (SELECT min(x.serial) FROM devices x WHERE x.agent = a.subject) END
		LEFT JOIN taxpayers t ON t.root = substr(`+alarmCNPJ+`, 1, 8) LEFT JOIN establishments e ON e.cnpj = `+alarmCNPJ+`
		WHERE a.cleared_at = 0 AND a.kind IN ('agent', 'device') AND (a.cause_id <> 0 OR a.behind = '' AND a.since > $1 AND a.code IN (`+codeList(alarm.MayShare())+`)) ORDER BY a.id`, ms(now.Add(-groupedFor)))
}

// population counts what alarms may be about.
func (r *Reader) population(now time.Time) (p alarm.Population, err error) {
	counted := func(query string, args ...any) map[string]int {
		out := map[string]int{}
		if err == nil {
			_, err = all(r, func(s scanner, _ *struct{}) error {
				var key string
				var n int
				err := s.Scan(&key, &n)
				out[key] = n
				return err
			}, query, args...)
		}
		return out
	}
	heard := ms(now.Add(-groupedFor))
	p.AgentsOfShop = counted(`SELECT cnpj, count(*) FROM agents WHERE cnpj <> '' AND heard_at > $1 GROUP BY cnpj`, heard)
	const place = `CAST(t.reseller_id AS TEXT) || '/' || coalesce(e.state, '') || '/' || coalesce(` + cityOf + `, '')`
	p.Shops = places(counted(`SELECT `+place+`, count(DISTINCT g.cnpj) FROM agents g JOIN taxpayers t ON t.root = substr(g.cnpj, 1, 8)
		LEFT JOIN establishments e ON e.cnpj = g.cnpj WHERE g.cnpj <> '' AND g.heard_at > $1 GROUP BY t.reseller_id, e.state, `+cityOf, heard))
	p.Devices = places(counted(`SELECT `+place+`, count(*) FROM devices d JOIN taxpayers t ON t.root = substr(d.cnpj, 1, 8)
		LEFT JOIN establishments e ON e.cnpj = d.cnpj WHERE d.agent <> '' AND d.status_at > $1 GROUP BY t.reseller_id, e.state, `+cityOf, heard))
	p.DevicesOfModel = withAll(counted(`SELECT CAST(t.reseller_id AS TEXT) || '/' || d.name || ' ' || d.software, count(*) FROM devices d
		JOIN taxpayers t ON t.root = substr(d.cnpj, 1, 8) WHERE d.agent <> '' AND d.software <> '' AND d.status_at > $1
		GROUP BY t.reseller_id, d.name, d.software`, heard))
	return p, err
}

// withAll adds what all resellers have of each model.
func withAll(counted map[string]int) map[string]int {
	out := maps.Clone(counted)
	for key, n := range counted {
		_, model, _ := strings.Cut(key, "/")
		out[alarm.Platform+"/"+model] += n
	}
	return out
}

// places adds up what was counted by reseller, code of the state, and city, to what a
// Population counts by.
func places(counted map[string]int) map[string]int {
	all := map[string]int{}
	for key, n := range counted {
		parts := strings.SplitN(key, "/", 3)
		for _, place := range []string{parts[0], alarm.Platform} {
			all[place] += n
			for _, part := range []string{alarm.StateOf(parts[1]), spelled(parts[2])} {
				if part == "" {
					break
				}
				place += "/" + part
				all[place] += n
			}
		}
	}
	return all
}

// GroupAlarms finds the causes that open alarms share, raises them, and hangs the
// alarms under them. It is one pass over all that is open.
func (w *Writer) GroupAlarms(now time.Time) error {
	list, err := w.standings(now)
	if err != nil {
		return err
	}
	open, err := all(&w.Reader, scanAlarm, `SELECT `+alarmColumns+alarmTables+`WHERE a.cleared_at = 0 AND a.code IN (`+sharedCodes()+`) ORDER BY a.id`)
	if err != nil || len(list)+len(open) == 0 {
		return err
	}
	of, err := w.population(now)
	if err != nil {
		return err
	}
	var free []alarm.Standing
	before := map[int64]int64{} // the cause each has
	for _, s := range list {
		before[s.ID] = s.cause
		if s.Since.After(now.Add(-groupedFor)) {
			free = append(free, s.Standing)
		}
	}
	var held []alarm.Held
	for _, a := range open {
		before[a.ID] = a.Cause
		held = append(held, alarm.Held{Code: a.Code, Subject: a.Subject, Since: a.Since})
	}
	causes := alarm.Group(free, of, held)
	ids := make([]int64, len(causes))
	for i, c := range causes {
		if ids[i], err = w.setCause(&open, c, now); err != nil {
			return err
		}
	}
	hang := map[int64][]int64{}
	for i, c := range causes {
		for _, under := range c.Causes {
			c.Children = append(c.Children, ids[under])
		}
		for _, child := range c.Children {
			if before[child] != ids[i] {
				hang[ids[i]] = append(hang[ids[i]], child)
			}
			delete(before, child)
		}
	}
	for child, cause := range before {
		if cause != 0 {
			hang[0] = append(hang[0], child)
		}
	}
	for _, over := range open {
		c := ended(over, now)
		if err := w.setAlarm(&c, now); err != nil {
			return err
		}
	}
	for cause, children := range hang {
		if err := w.hang(children, cause); err != nil {
			return err
		}
	}
	return nil
}

// setCause raises a cause, or goes on with it, and takes it off the list of open ones.
func (w *Writer) setCause(open *[]Alarm, c alarm.Shared, now time.Time) (int64, error) {
	i := slices.IndexFunc(*open, func(a Alarm) bool { return a.Code == c.Code && a.Subject == c.Subject })
	old := Alarm{}
	if i >= 0 {
		old = (*open)[i]
		*open = slices.Delete(*open, i, i+1)
	}
	change, changed := next(old, i >= 0, c.Raised, now)
	change.Subject = c.Subject
	if changed {
		if err := w.setAlarm(&change, now); err != nil {
			return 0, err
		}
	}
	if !changed || change.Detail == old.Detail {
		return change.ID, nil
	}
	return change.ID, w.addChange(change.ID, Change{At: now, What: Grouped, Severity: c.Severity, Step: len(c.Children), Detail: c.Detail})
}

// hangAtOnce bounds how many alarms one statement names.
const hangAtOnce = 500

// hang puts alarms under a cause, or with 0 under none.
func (w *Writer) hang(children []int64, cause int64) error {
	slices.Sort(children)
	for part := range slices.Chunk(children, hangAtOnce) {
		ids := make([]string, len(part))
		for i, id := range part {
			ids[i] = strconv.FormatInt(id, 10)
		}
		if err := w.exec(fmt.Sprintf(`UPDATE alarms SET cause_id = $1 WHERE id IN (%s)`, strings.Join(ids, ", ")), cause); err != nil {
			return err
		}
	}
	return nil
}

// Children are the open alarms that one explains, gravest first.
func (r *Reader) Children(cause int64) ([]Alarm, error) {
	return r.openAlarms("a.cause_id = $1 AND a.cause_id <> 0", arguments{cause})
}

// ofAllCause is the condition for a cause c of all resellers, which the platform alone
// sees: to others it explains nothing.
const ofAllCause = `c.kind = 'reseller' AND c.reseller_id = 0`

// Escalate raises the level of critical alarms that nobody took on.
func (w *Writer) Escalate(now time.Time) error {
	type waiting struct {
		Alarm
		reseller int64
		since    time.Time
	}
	list, err := all(&w.Reader, func(s scanner, v *waiting) error { return scanAlarmAnd(s, &v.Alarm, &v.reseller, at(&v.since)) },
		`SELECT `+alarmColumns+`, coalesce(t.reseller_id, g.reseller_id, a.reseller_id), coalesce((SELECT max(c.at) FROM alarm_changes c
			WHERE c.alarm_id = a.id AND c.what IN ('`+Opened+`', '`+Reopened+`', '`+Worsened+`', '`+Released+`')), a.opened_at)`+alarmTables+`
		LEFT JOIN taxpayers t ON t.root = substr(`+alarmCNPJ+`, 1, 8) WHERE a.cleared_at = 0 AND a.severity = $1 AND a.taken_at = 0
		AND a.resolved_at = 0 AND a.behind = '' AND NOT EXISTS (SELECT 1 FROM alarms c WHERE c.id = a.cause_id AND NOT (`+ofAllCause+`)) ORDER BY a.id`, alarm.Critical)
	if err != nil {
		return err
	}
	for _, a := range list {
		p, err := w.policyOf(a.CNPJ, a.reseller)
		if err != nil {
			return err
		}
		if a.SilencedUntil.After(a.since) {
			a.since = a.SilencedUntil
		}
		level := p.Level(a.Severity, a.since, false, a.Silenced(now), now)
		if level <= a.Level {
			continue
		}
		if err := w.exec(`UPDATE alarms SET level = $2 WHERE id = $1`, a.ID, level); err != nil {
			return err
		}
		if err := w.addChange(a.ID, Change{At: now, What: Escalated, Severity: a.Severity, Step: level, Detail: a.Detail}); err != nil {
			return err
		}
	}
	return nil
}
