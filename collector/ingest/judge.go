package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// judgeAtOnce bounds how many subjects are judged in one transaction; tickAtOnce the
// same, and how many months of numbers are read, while everything is looked at and what
// changes must not wait; monthsAtOnce how many months are read again by one Tick.
const (
	judgeAtOnce  = 200
	tickAtOnce   = 20
	monthsAtOnce = 500
)

// Of several collectors on one database one judges at a time, whoever's marks they
// are. The others look again soon: it may not have seen their last ones.
const (
	leadership = "alarms"
	lookAgain  = 250 * time.Millisecond
)

// judgeChanges judges what transactions marked, of whichever collector, and
// everything now and then, until ctx ends.
func (g *Ingest) judgeChanges(ctx context.Context) {
	tick := time.NewTicker(g.o.Every)
	defer tick.Stop()
	again := time.NewTimer(0) // marks of an earlier run
	defer again.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-g.changed:
		case <-again.C:
		case <-tick.C:
			_, err = g.o.Store.Turn(ctx, leadership, g.o.Every, g.o.Now(), g.Tick)
		}
		release, ok, lerr := g.o.Store.Lead(ctx, leadership)
		switch {
		case lerr != nil:
			err = errors.Join(err, lerr)
		case !ok:
			again.Reset(lookAgain)
		default:
			wait, jerr := g.judgeAndGroup(ctx)
			err = errors.Join(err, jerr)
			release()
			if wait > 0 {
				again.Reset(wait)
			}
		}
		if err != nil && ctx.Err() == nil {
			g.o.Log.Error("alarms not judged, trying again later", "within", g.o.Every, "err", err)
		}
	}
}

// groupEvery bounds how often causes are looked for while alarms open.
const groupEvery = 2 * time.Second

// judgeAndGroup judges what changed, and looks for causes when alarms were opened that
// may share one: now, or after wait.
func (g *Ingest) judgeAndGroup(ctx context.Context) (wait time.Duration, err error) {
	if err := g.Judge(ctx); err != nil {
		return 0, err
	}
	g.judging.Lock()
	defer g.judging.Unlock()
	if !g.ungrouped {
		return 0, nil
	}
	if wait = groupEvery - g.o.Now().Sub(g.grouped); wait > 0 {
		return wait, nil
	}
	return 0, g.group(ctx, nil)
}

// group looks for causes, and does what else is to be done in the same transaction.
// The caller holds judging.
func (g *Ingest) group(ctx context.Context, also func(*store.Writer) error) error {
	err := g.o.Store.Update(ctx, func(w *store.Writer) error {
		if err := w.GroupAlarms(g.o.Now()); err != nil || also == nil {
			return err
		}
		return also(w)
	})
	if err == nil {
		g.ungrouped, g.grouped = false, g.o.Now()
	}
	return err
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
		if _, err := g.judge(ctx, marks); err != nil {
			return err
		}
		after = marks[len(marks)-1].Subject
	}
}

// Tick reads numbers again that changed, and judges all rules about everything: time
// passes without any message. What changes meanwhile is judged in between. Then it looks
// for what open alarms have in common, and for those that wait too long for somebody.
func (g *Ingest) Tick(ctx context.Context) error {
	for read, n := 0, tickAtOnce; n == tickAtOnce && read < monthsAtOnce; read += n {
		var err error
		if n, err = g.o.Store.RefreshNumbers(ctx, g.o.Now(), tickAtOnce, g.o.Read); err != nil {
			return err
		}
		if err := g.Judge(ctx); err != nil {
			return err
		}
	}
	var subjects []alarm.Subject
	err := g.o.Store.View(ctx, store.All(), func(r *store.Reader) (err error) {
		subjects, err = r.Subjects()
		return err
	})
	if err != nil {
		return err
	}
	began, changed := time.Now(), 0
	for part := range slices.Chunk(subjects, tickAtOnce) {
		var some []store.Marked
		for _, s := range part {
			some = append(some, store.Marked{Subject: s})
		}
		n, err := g.judge(ctx, some)
		if err == nil {
			err = g.Judge(ctx)
		}
		if err != nil {
			return err
		}
		changed += n
	}
	g.o.Log.Info("everything judged", "subjects", len(subjects), "changed", changed, "took", time.Since(began).Round(time.Millisecond))
	g.judging.Lock()
	defer g.judging.Unlock()
	return g.group(ctx, func(w *store.Writer) error { return w.Escalate(g.o.Now()) })
}

// judge judges some subjects, and says of how many something changed. One that cannot be
// judged, for what is stored of it or for a rule that fails, keeps its alarms and its mark
// and is in nobody's way; an error means that the store takes nothing.
func (g *Ingest) judge(ctx context.Context, subjects []store.Marked) (changed int, err error) {
	g.judging.Lock()
	defer g.judging.Unlock()
	if changed, err = g.judgeTogether(ctx, subjects); err == nil || ctx.Err() != nil {
		return changed, err
	}
	if down := g.o.Store.Probe(ctx, g.o.Now()); down != nil {
		return 0, down
	}
	for i, m := range subjects {
		n, err := g.judgeTogether(ctx, subjects[i:i+1])
		if err != nil {
			g.o.Log.Error("a subject cannot be judged, it keeps its alarms", "kind", m.Kind, "subject", m.ID, "err", err)
		}
		changed += n
	}
	return changed, ctx.Err()
}

// judgeTogether judges subjects in one transaction. Its first look, beside all writers,
// finds what there is to do; what an alarm becomes is judged by facts of the transaction
// that writes it, so that no judgement replaces one by newer facts.
func (g *Ingest) judgeTogether(ctx context.Context, subjects []store.Marked) (changed int, err error) {
	var differ, settled []store.Marked
	err = g.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		for _, m := range subjects {
			v, now, err := g.verdict(r, m.Subject)
			if err != nil {
				return err
			}
			differs, err := v.differs(r, m.Subject, now)
			switch {
			case err != nil:
				return err
			case differs:
				differ = append(differ, m)
			case m.Version > 0:
				settled = append(settled, m)
			}
		}
		return nil
	})
	if err != nil || len(differ)+len(settled) == 0 {
		return 0, err
	}
	return len(differ), g.o.Store.Update(ctx, func(w *store.Writer) error {
		for _, m := range differ {
			v, now, err := g.verdict(&w.Reader, m.Subject)
			if err != nil {
				return err
			}
			g.ungrouped = g.ungrouped || v.mayShare()
			if err := v.write(w, m.Subject, now); err != nil {
				return err
			}
		}
		for _, m := range slices.Concat(differ, settled) {
			if err := w.Evaluated(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// verdict is what the facts of a subject come to.
type verdict struct {
	raised   []alarm.Raised
	forecast alarm.Prediction // of a device; zero when no block is in sight
}

// mayShare tells whether an alarm was raised that may have a cause with others.
func (v verdict) mayShare() bool {
	return slices.ContainsFunc(v.raised, func(r alarm.Raised) bool {
		return r.Behind == "" && slices.Contains(alarm.MayShare(), r.Code)
	})
}

// verdict judges a subject now; nothing is raised about one that is gone.
func (g *Ingest) verdict(r *store.Reader, s alarm.Subject) (v verdict, now time.Time, err error) {
	now = g.o.Now()
	facts, err := r.Facts(s, now)
	if errors.Is(err, store.ErrNotFound) {
		return v, now, nil
	}
	if err != nil {
		return v, now, err
	}
	v, err = eval(facts, now)
	return v, now, err
}

func (v verdict) differs(r *store.Reader, s alarm.Subject, now time.Time) (bool, error) {
	differs, err := r.AlarmsDiffer(s, v.raised, now)
	if err != nil || differs || s.Kind != alarm.OfDevice {
		return differs, err
	}
	return r.ForecastDiffers(s.ID, v.forecast)
}

func (v verdict) write(w *store.Writer, s alarm.Subject, now time.Time) error {
	if err := w.SetAlarms(s, v.raised, now); err != nil || s.Kind != alarm.OfDevice {
		return err
	}
	return w.SetForecast(s.ID, v.forecast)
}

// eval is alarm.Eval and alarm.Forecast behind a fence: no rule ends the collector.
func eval(f alarm.Facts, now time.Time) (v verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a rule failed: %v", p)
		}
	}()
	v.raised = alarm.Eval(f, now)
	v.forecast, _ = alarm.Forecast(f, now)
	return v, nil
}
