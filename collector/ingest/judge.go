package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// judgeAtOnce bounds how many subjects are judged in one transaction.
const judgeAtOnce = 200

// judgeChanges judges what transactions marked, and everything now and then,
// until ctx ends.
func (g *Ingest) judgeChanges(ctx context.Context) {
	tick := time.NewTicker(g.o.Every)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-g.changed:
			err = g.Judge(ctx)
		case <-tick.C:
			err = g.Tick(ctx)
		}
		if err != nil && ctx.Err() == nil {
			g.o.Log.Error("alarms not judged, trying again later", "within", g.o.Every, "err", err)
		}
	}
}

// Judge judges the rules about every subject whose facts changed.
func (g *Ingest) Judge(ctx context.Context) error {
	after := alarm.Subject{}
	for {
		var marks []store.Marked
		err := g.o.Store.View(ctx, store.All(), func(r *store.Reader) (err error) {
			marks, err = r.Marks(after, judgeAtOnce)
			return err
		})
		if err != nil || len(marks) == 0 {
			return err
		}
		if err := g.judge(ctx, marks); err != nil {
			return err
		}
		after = marks[len(marks)-1].Subject
	}
}

// Tick judges all rules about everything: time passes without any message.
func (g *Ingest) Tick(ctx context.Context) error {
	var subjects []alarm.Subject
	err := g.o.Store.View(ctx, store.All(), func(r *store.Reader) (err error) {
		subjects, err = r.Subjects()
		return err
	})
	if err != nil {
		return err
	}
	for from := 0; from < len(subjects); from += judgeAtOnce {
		var some []store.Marked
		for _, s := range subjects[from:min(from+judgeAtOnce, len(subjects))] {
			some = append(some, store.Marked{Subject: s})
		}
		if err := g.judge(ctx, some); err != nil {
			return err
		}
	}
	return g.Judge(ctx)
}

// judged is what the rules said about one subject.
type judged struct {
	store.Marked
	raised []alarm.Raised
}

// judge looks at some subjects and writes what differs. A subject whose facts
// cannot be judged keeps its alarms and its mark.
func (g *Ingest) judge(ctx context.Context, subjects []store.Marked) error {
	g.judging.Lock()
	defer g.judging.Unlock()
	now := g.o.Now()
	var write []judged
	err := g.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		for _, m := range subjects {
			facts, err := r.Facts(m.Subject)
			if errors.Is(err, store.ErrNotFound) {
				write = append(write, judged{m, nil})
				continue
			}
			if err != nil {
				return err
			}
			raised, err := eval(facts, now)
			if err != nil {
				g.o.Log.Error("a rule failed, its subject keeps its alarms", "kind", m.Kind, "subject", m.ID, "err", err)
				continue
			}
			differ, err := r.AlarmsDiffer(m.Subject, raised, now)
			if err != nil {
				return err
			}
			if differ || m.Version > 0 {
				write = append(write, judged{m, raised})
			}
		}
		return nil
	})
	if err != nil || len(write) == 0 {
		return err
	}
	return g.o.Store.Update(ctx, func(w *store.Writer) error {
		for _, j := range write {
			if err := w.SetAlarms(j.Subject, j.raised, now); err != nil {
				return err
			}
			if err := w.Evaluated(j.Marked); err != nil {
				return err
			}
		}
		return nil
	})
}

// eval is alarm.Eval behind a fence: no rule ends the collector.
func eval(f alarm.Facts, now time.Time) (raised []alarm.Raised, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rule panicked: %v", p)
		}
	}()
	return alarm.Eval(f, now), nil
}
