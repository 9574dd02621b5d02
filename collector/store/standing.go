package store

import (
	"context"
	"strconv"
	"time"
)

// Standing is what the store holds that somebody has to look after.
type Standing struct {
	Agents      int         // known
	Heard       int         // of them, since a time
	Quarantined int         // records that nobody settled
	Alarms      map[int]int // open ones that stand for themselves, by severity
}

// Standing counts it.
func (r *Reader) Standing(since time.Time) (s Standing, err error) {
	args := arguments{ms(since)}
	own := r.ofAgents("id", &args)
	if err = r.get(into{&s.Agents, &s.Heard}, `SELECT count(*), coalesce(sum(CASE WHEN heard_at >= $1 THEN 1 ELSE 0 END), 0) FROM agents WHERE `+own, args...); err != nil {
		return s, err
	}
	args = arguments{}
	if err = r.get(into{&s.Quarantined}, `SELECT count(*) FROM quarantine WHERE settled_at = 0 AND `+r.ofAgents("agent", &args), args...); err != nil {
		return s, err
	}
	open, err := r.OpenAlarms()
	s.Alarms = map[int]int{}
	for _, a := range open {
		if !a.explained() {
			s.Alarms[int(a.Severity)]++
		}
	}
	return s, err
}

// Probe writes to the store, which proves that it can be written to.
func (s *Store) Probe(ctx context.Context, now time.Time) error {
	return s.Update(ctx, func(w *Writer) error {
		return w.exec(`INSERT INTO meta (name, value) VALUES ('probed', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
			strconv.FormatInt(ms(now), 10))
	})
}
