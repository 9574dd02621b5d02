package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// TestLifeWithPeople walks an alarm through what people and time do to it.
func TestLifeWithPeople(t *testing.T) { eachEngine(t, testLifeWithPeople) }

func testLifeWithPeople(t *testing.T, s *Store) {
	warn, grave := raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %"), raised(alarm.MemoryFilling, alarm.Critical, 2, "85 %")
	act := func(at time.Time, what string, change func(*Alarm)) {
		t.Helper()
		update(t, s, func(w *Writer) error {
			list, err := w.OpenAlarms()
			if err != nil || len(list) != 1 {
				return fmt.Errorf("%d open, %w", len(list), err)
			}
			a := list[0]
			change(&a)
			return w.Act(a, Change{At: at, What: what, Who: "ana@example.com"})
		})
	}
	now := t0
	for _, step := range []struct {
		name  string
		after time.Duration
		do    func(at time.Time)
		want  string // of the open alarm: severity, taker, silenced, resolved; "" when none is open
	}{
		{"opens", 0, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção  false false"},
		{"is taken on", time.Minute, func(at time.Time) { act(at, Taken, func(a *Alarm) { a.TakenBy, a.TakenAt = "ana", at }) }, "atenção ana false false"},
		{"is silenced", time.Minute, func(at time.Time) { act(at, Silenced, func(a *Alarm) { a.SilencedUntil = at.Add(9 * time.Hour) }) }, "atenção ana true false"},
		{"stays silent", time.Minute, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção ana true false"},
		{"gets graver and is heard again", time.Minute, func(at time.Time) { set(t, s, dev, at, grave) }, "crítico ana false false"},
		{"eases", time.Minute, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção ana false false"},
		{"is said to be settled", time.Minute, func(at time.Time) { act(at, Resolved, func(a *Alarm) { a.ResolvedAt = at }) }, "atenção ana false true"},
		{"is believed for an hour", 59 * time.Minute, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção ana false true"},
		{"was not settled", time.Minute, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção  false false"},
		{"ends", time.Minute, func(at time.Time) { set(t, s, dev, at) }, ""},
		{"comes again soon", 29 * time.Minute, func(at time.Time) { set(t, s, dev, at, warn) }, "atenção  false false"},
	} {
		now = now.Add(step.after)
		step.do(now)
		got := ""
		if list := openAlarms(t, s); len(list) > 0 {
			a := list[0]
			got = fmt.Sprintf("%v %s %v %v", a.Severity, a.TakenBy, a.Silenced(now), !a.ResolvedAt.IsZero())
		}
		if got != step.want {
			t.Fatalf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	want := "opened taken silenced worsened eased resolved reopened cleared reopened"
	var words []string
	view(t, s, func(r *Reader) error {
		changes, err := r.AlarmLife(openAlarms(t, s)[0].ID)
		for _, c := range changes {
			words = append(words, c.What)
		}
		if changes[1].Who != "ana@example.com" || changes[0].Who != "" {
			t.Errorf("who: %+v", changes[:2])
		}
		return err
	})
	if got := strings.Join(words, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	set(t, s, dev, now.Add(time.Hour))
	set(t, s, dev, now.Add(time.Hour+reopenWithin), warn)
	if list := openAlarms(t, s); len(list) != 1 || !list[0].OpenedAt.Equal(now.Add(time.Hour+reopenWithin)) {
		t.Errorf("later it is a new alarm: %+v", list)
	}
}

// TestAlarmChanges: whoever tells people reads every change once, in order.
func TestAlarmChanges(t *testing.T) { eachEngine(t, testAlarmChanges) }

func testAlarmChanges(t *testing.T, s *Store) {
	set(t, s, dev, t0, raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %"))
	set(t, s, dev, t0.Add(time.Minute), raised(alarm.MemoryFilling, alarm.Critical, 2, "85 %"))
	set(t, s, alarm.Subject{Kind: alarm.OfImports}, t0, raised(alarm.RecordsQuarantined, alarm.Warning, 1, "x"))
	set(t, s, dev, t0.Add(2*time.Minute))
	var got []string
	for after := int64(0); ; {
		var part []AlarmChange
		view(t, s, func(r *Reader) (err error) { part, err = r.AlarmChanges(after, 3); return err })
		if len(part) == 0 {
			break
		}
		for _, c := range part {
			got = append(got, fmt.Sprintf("%s %s %v", c.What, c.Alarm.Code, c.Severity))
			after = c.ID
		}
	}
	want := "opened memory-filling atenção, worsened memory-filling crítico, opened records-quarantined atenção, cleared memory-filling crítico"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	failed := s.Update(context.Background(), func(w *Writer) error {
		if err := w.SetAlarms(dev, []alarm.Raised{raised(alarm.NoContact, alarm.Warning, 1, "x")}, t0); err != nil {
			return err
		}
		return context.Canceled
	})
	view(t, s, func(r *Reader) error {
		changes, err := r.AlarmChanges(0, 100)
		if failed == nil || len(changes) != 4 {
			t.Errorf("%v leaves %d changes", failed, len(changes))
		}
		return err
	})
}

// counting counts the statements of a transaction.
type counting struct {
	transaction
	n *int
}

func (c counting) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	*c.n++
	return c.transaction.query(ctx, query, args)
}

func (c counting) exec(ctx context.Context, query string, args []any) (int64, error) {
	*c.n++
	return c.transaction.exec(ctx, query, args)
}

func (c counting) later(ctx context.Context, query string, args []any) error {
	*c.n++
	return c.transaction.later(ctx, query, args)
}

// storm silences 40 % of the tills of a reseller.
func storm(t testing.TB, s *Store, shops, tills int, now time.Time) {
	t.Helper()
	err := s.Update(context.Background(), func(w *Writer) error {
		if _, err := w.AddReseller("outra", now); err != nil {
			return err
		}
		for i := range shops {
			root := fmt.Sprintf("%08d", i)
			if err := w.exec(`INSERT INTO taxpayers (root, name, reseller_id, created_at, look) VALUES ($1, $1, 1, 1, '')`, root); err != nil {
				return err
			}
			for k := range tills {
				id := fmt.Sprintf("agent%05dn%d", i, k)
				err := w.exec(`INSERT INTO agents (id, first_seen, heard_at, cnpj, reseller_id) VALUES ($1, 1, $2, $3, 1)`, id, ms(now.Add(-16*time.Minute)), root+"000191")
				if err == nil && i < shops*2/5 {
					err = w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: id}, []alarm.Raised{{Code: alarm.AgentSilent, Severity: alarm.Notice, Step: 1, Since: now.Add(-16 * time.Minute), Detail: "x"}}, now)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// group groups what is open and counts the statements.
func group(t testing.TB, s *Store, now time.Time) (statements int) {
	t.Helper()
	err := s.Update(context.Background(), func(w *Writer) error {
		w.tx = counting{w.tx, &statements}
		return w.GroupAlarms(now)
	})
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

// TestStorm: when 40 % of a reseller's tills fall silent, people see one alarm, and
// finding it costs one pass with a handful of statements.
func TestStorm(t *testing.T) { eachEngine(t, testStorm) }

func testStorm(t *testing.T, s *Store) {
	storm(t, s, 250, 2, t0)
	if n := group(t, s, t0); n > 12 {
		t.Errorf("%d statements for 200 alarms", n)
	}
	var cause Alarm
	free := 0
	for _, a := range openAlarms(t, s) {
		if a.Cause == 0 {
			free, cause = free+1, a
		}
	}
	if free != 1 || cause.Code != alarm.CarrierDown || !strings.Contains(cause.Detail, "100 lojas, com 200 caixas") {
		t.Fatalf("%d stand for themselves: %+v", free, cause)
	}
	view(t, s, func(r *Reader) error {
		children, err := r.Children(cause.ID)
		if len(children) != 200 {
			t.Errorf("%d hang under it", len(children))
		}
		return err
	})
	for scope, sees := range map[Scope]int{OfReseller(1): 1, OfReseller(2): 0} {
		if err := s.View(context.Background(), scope, func(r *Reader) error {
			list, err := r.AlarmChanges(0, 1000)
			n := 0
			for _, c := range list {
				if c.Alarm.ID == cause.ID && c.What == Opened {
					n++
				}
			}
			if n != sees {
				t.Errorf("%+v reads of it %d times", scope, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := group(t, s, t0.Add(time.Minute)); n > 8 {
		t.Errorf("%d statements when nothing changed", n)
	}
	// All come back but one shop, which shares a cause of its own.
	update(t, s, func(w *Writer) error {
		for i := 1; i < 100; i++ {
			for k := range 2 {
				if err := w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: fmt.Sprintf("agent%05dn%d", i, k)}, nil, t0.Add(2*time.Minute)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	group(t, s, t0.Add(2*time.Minute))
	list := openAlarms(t, s)
	if len(list) != 3 || list[0].Code != alarm.ShopOffline || list[1].Cause != list[0].ID || list[2].Cause != list[0].ID {
		t.Errorf("%+v", list)
	}
	update(t, s, func(w *Writer) error {
		return w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: "agent00000n0"}, nil, t0.Add(3*time.Minute))
	})
	group(t, s, t0.Add(3*time.Minute))
	if list := openAlarms(t, s); len(list) != 1 || list[0].Code != alarm.AgentSilent || list[0].Cause != 0 {
		t.Errorf("the last stands for itself again: %+v", list)
	}
}

// TestJudgingLeavesCauses: what grouping found is not ended by judging its subject.
func TestJudgingLeavesCauses(t *testing.T) { eachEngine(t, testJudgingLeavesCauses) }

func testJudgingLeavesCauses(t *testing.T, s *Store) {
	storm(t, s, 5, 2, t0) // two shops are silent
	group(t, s, t0)
	set(t, s, alarm.Subject{Kind: alarm.OfShop, ID: "00000000000191"}, t0, raised(alarm.ContingencyOpen, alarm.Notice, 1, "x"))
	set(t, s, alarm.Subject{Kind: alarm.OfShop, ID: "00000000000191"}, t0)
	offline := 0
	for _, a := range openAlarms(t, s) {
		if a.Code == alarm.ShopOffline {
			offline++
		}
	}
	if offline != 2 {
		t.Errorf("%d shops offline", offline)
	}
}

func TestEscalate(t *testing.T) { eachEngine(t, testEscalate) }

func testEscalate(t *testing.T, s *Store) {
	begin := time.Date(2025, 12, 10, 14, 0, 0, 0, time.UTC) // a Wednesday, 11:00 in Brasília
	set(t, s, dev, begin, raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %"))
	set(t, s, dev, begin.Add(time.Hour), raised(alarm.MemoryFilling, alarm.Critical, 2, "85 %"))
	level := func(at time.Time) int {
		update(t, s, func(w *Writer) error { return w.Escalate(at) })
		return openAlarms(t, s)[0].Level
	}
	for after, want := range map[time.Duration]int{time.Hour + 29*time.Minute: 0} {
		if got := level(begin.Add(after)); got != want {
			t.Errorf("level %d after %v", got, after)
		}
	}
	if got := level(begin.Add(time.Hour + 30*time.Minute)); got != 1 {
		t.Errorf("level %d half an hour after it got grave", got)
	}
	if got := level(begin.Add(3 * time.Hour)); got != 2 {
		t.Errorf("level %d after two hours", got)
	}
	level(begin.Add(3 * time.Hour))
	if got := life(t, s, openAlarms(t, s)[0].ID); got != "opened atenção 1, worsened crítico 2, escalated crítico 1, escalated crítico 2" {
		t.Error(got)
	}
	update(t, s, func(w *Writer) error {
		return w.SetPolicy(PolicyOwner{Reseller: 0}, alarm.Policy{Escalate: []int{1, 2, 3}}, "ana", t0)
	})
	if got := level(begin.Add(3 * time.Hour)); got != 3 {
		t.Errorf("level %d by the reseller's own times", got)
	}
}
