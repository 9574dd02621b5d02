package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// tellable makes two resellers with a till each, people of every role and a hook, and
// begins to tell.
func tellable(t *testing.T, s *Store) {
	t.Helper()
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "11111111000191")
	enrolled(t, s, "agent002", 2, "22222222000191")
	enrolled(t, s, "agent003", 1, "") // waits to be identified
	update(t, s, func(w *Writer) error {
		for _, d := range []string{"1", "2"} {
			if err := w.AddEstablishment(Establishment{CNPJ: strings.Repeat(d, 8) + "000191", Root: strings.Repeat(d, 8), Name: "LOJA " + d}); err != nil {
				return err
			}
		}
		for _, u := range []User{{Email: "platform@x", Role: RolePlatform}, {Email: "head1@x", Role: RoleReseller, Reseller: 1}, {Email: "tech1@x", Role: RoleTechnician, Reseller: 1},
			{Email: "owner1@x", Role: RoleTaxpayer, Reseller: 1}, {Email: "book1@x", Role: RoleAccountant, Reseller: 1}, {Email: "owner2@x", Role: RoleTaxpayer, Reseller: 2}} {
			made, err := w.AddPerson(u)
			if err != nil {
				return err
			}
			if u.Role == RoleTaxpayer || u.Role == RoleAccountant {
				if err := w.Give(made.ID, strings.Repeat(fmt.Sprint(u.Reseller), 8), "x", t0); err != nil {
					return err
				}
			}
		}
		_, err := w.AddChannel(Channel{Kind: ChannelWebhook, Reseller: 1, Name: "hook1", Wish: Wish{Least: alarm.Notice, Digest: -1}, CreatedAt: t0})
		_, err2 := w.MarkTellings(nil, 0, t0)
		return errors.Join(err, err2)
	})
}

var served = []ChannelKind{ChannelEmail, ChannelWebhook}

// marked are the names of the channels with something to tell at a time.
func marked(t *testing.T, s *Store, now time.Time) string {
	t.Helper()
	var names []string
	update(t, s, func(w *Writer) error {
		more, err := w.MarkTellings(served, time.Minute, now)
		if more {
			t.Error("few changes are taken at once")
		}
		list, err2 := w.DueChannels(now, 100)
		for _, c := range list {
			names = append(names, c.User.Email+c.Name)
			if err := w.TellNothing(c.ID, now); err != nil {
				return err
			}
		}
		return errors.Join(err, err2)
	})
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestRouting: who hears of what, before their scopes narrow what they read.
func TestRouting(t *testing.T) { eachEngine(t, testRouting) }

func testRouting(t *testing.T, s *Store) {
	tellable(t, s)
	agent := func(id string) alarm.Subject { return alarm.Subject{Kind: alarm.OfAgent, ID: id} }
	now := t0
	for _, c := range []struct {
		name  string
		about alarm.Subject
		raise alarm.Raised
		want  string
	}{
		{"critical, reseller 1", agent("agent001"), raised(alarm.BufferDamaged, alarm.Critical, 1, "x"), "book1@x head1@x hook1 owner1@x tech1@x"},
		{"warning, reseller 1", agent("agent001"), raised(alarm.BufferFilling, alarm.Warning, 1, "x"), "hook1 tech1@x"},
		{"notice, reseller 1", agent("agent001"), raised(alarm.AgentBehind, alarm.Notice, 1, "x"), "hook1"},
		{"a reseller without staff", agent("agent002"), raised(alarm.BufferDamaged, alarm.Critical, 1, "x"), "owner2@x platform@x"},
		{"a till that waits", agent("agent003"), raised(alarm.BufferDamaged, alarm.Critical, 1, "x"), "head1@x hook1 tech1@x"},
		{"an establishment", alarm.Subject{Kind: alarm.OfShop, ID: "11111111000191"}, raised(alarm.SeriesGapOpen, alarm.Critical, 1, "x"), "book1@x head1@x hook1 owner1@x tech1@x"},
		{"the collector's own", alarm.Subject{Kind: alarm.OfImports}, raised(alarm.RecordsQuarantined, alarm.Critical, 1, "x"), "platform@x"},
		{"one that may share a cause waits", agent("agent001"), raised(alarm.AgentSilent, alarm.Critical, 1, "x"), ""},
	} {
		now = now.Add(time.Hour)
		set(t, s, c.about, now, c.raise)
		if got := marked(t, s, now); got != c.want {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
		if got := marked(t, s, now); got != "" {
			t.Errorf("%s: told again %q", c.name, got)
		}
	}
	if got := marked(t, s, now.Add(time.Minute)); got != "book1@x head1@x hook1 owner1@x tech1@x" {
		t.Errorf("after it waited: %q", got)
	}
	set(t, s, agent("agent001"), now.Add(2*time.Minute)) // ends what nobody was told of
	if got := marked(t, s, now.Add(3*time.Minute)); got != "" {
		t.Errorf("the end of what was not told is told to %q", got)
	}
}

// TestExplainedIsNotTold: a cause keeps its alarms from those alone who see it.
func TestExplainedIsNotTold(t *testing.T) { eachEngine(t, testExplainedIsNotTold) }

func testExplainedIsNotTold(t *testing.T, s *Store) {
	tellable(t, s)
	for i, c := range []struct {
		cause alarm.Subject
		want  string // of all who were to hear of a till of a reseller without staff
	}{
		{alarm.Subject{}, "owner2@x platform@x"},
		{alarm.Subject{Kind: alarm.OfShop, ID: "22222222000191"}, ""},
		{alarm.Subject{Kind: alarm.OfReseller, ID: "2"}, "owner2@x"},
		{alarm.Subject{Kind: alarm.OfReseller, ID: "0/SP"}, "owner2@x"},
	} {
		checkExplained(t, s, c.cause, alarm.Subject{Kind: alarm.OfAgent, ID: "agent002"}, t0.Add(time.Duration(i)*time.Hour), c.want)
	}
	checkExplained(t, s, alarm.Subject{Kind: alarm.OfReseller, ID: "1"}, alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, t0.Add(10*time.Hour), "book1@x owner1@x")
	checkExplained(t, s, alarm.Subject{Kind: alarm.OfReseller, ID: "0"}, alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, t0.Add(20*time.Hour), "book1@x head1@x hook1 owner1@x tech1@x")
}

// checkExplained raises an alarm under a cause, marks who is to hear of it and leaves out
// whom the cause is told.
func checkExplained(t *testing.T, s *Store, cause, about alarm.Subject, now time.Time, want string) {
	t.Helper()
	set(t, s, about, now, raised(alarm.BufferDamaged, alarm.Critical, 1, "x"))
	update(t, s, func(w *Writer) error {
		if cause.ID != "" {
			reseller, _ := strconv.Atoi(strings.Split(cause.ID, "/")[0])
			var id int64
			err := w.get(into{&id}, `INSERT INTO alarms (code, kind, subject, severity, step, detail, behind, since, opened_at, seen_at, reseller_id)
				VALUES ($1, $2, $3, 1, 1, '', '', 1, 1, 1, $4) RETURNING id`, alarm.CarrierDown, cause.Kind, cause.ID, reseller)
			if err := errors.Join(err, w.hang([]int64{openID(t, w, about)}, id)); err != nil {
				return err
			}
		}
		if _, err := w.MarkTellings(served, 0, now); err != nil {
			return err
		}
		return w.DelayExplained(now, time.Minute)
	})
	if got := marked(t, s, now); got != want {
		t.Errorf("under %s told %q, want %q", cause.ID, got, want)
	}
	update(t, s, func(w *Writer) error {
		return errors.Join(w.exec(`DELETE FROM tellings`), w.exec(`UPDATE alarms SET cleared_at = 1 WHERE cleared_at = 0`))
	})
}

// openID is the one open alarm about a subject.
func openID(t *testing.T, w *Writer, about alarm.Subject) int64 {
	t.Helper()
	id, err := one(&w.Reader, value[int64], `SELECT id FROM alarms WHERE kind = $1 AND subject = $2 AND cleared_at = 0`, about.Kind, about.ID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestScopeOfTellings: what a scope does not see is not read for a message, even where it
// was marked.
func TestScopeOfTellings(t *testing.T) { eachEngine(t, testScopeOfTellings) }

func testScopeOfTellings(t *testing.T, s *Store) {
	tellable(t, s)
	set(t, s, alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, t0, raised(alarm.BufferDamaged, alarm.Critical, 1, "x"))
	update(t, s, func(w *Writer) error {
		if _, err := w.MarkTellings(served, time.Minute, t0); err != nil {
			return err
		}
		hook, err := w.DueChannels(t0, 100)
		for _, c := range hook {
			for scope, want := range map[Scope]int{All(): 1, OfReseller(1): 1, OfReseller(2): 0, OfPerson(c.User.ID): map[bool]int{true: 1}[c.User.Role == RoleTaxpayer || c.User.Role == RoleAccountant], {}: 0} {
				list, err := w.As(scope).DueTellings(c.ID, t0)
				if err != nil || len(list) != want {
					t.Errorf("%s with %+v reads %d alarms, want %d: %v", c.User.Email, scope, len(list), want, err)
				}
			}
		}
		return err
	})
}

// TestOutbox: a message is taken by one, its channel's others wait for it, and what is
// not settled comes back.
func TestOutbox(t *testing.T) { eachEngine(t, testOutbox) }

func testOutbox(t *testing.T, s *Store) {
	tellable(t, s)
	var a, b Channel
	update(t, s, func(w *Writer) error {
		var err, err2 error
		a.ID, err = w.AddChannel(Channel{Kind: ChannelChat, Reseller: 1, Name: "a", CreatedAt: t0})
		b.ID, err2 = w.AddChannel(Channel{Kind: ChannelChat, Reseller: 1, Name: "b", CreatedAt: t0})
		return errors.Join(err, err2, w.AddMessage(Message{UID: "1", Channel: a, Body: "x", CreatedAt: t0}), w.AddMessage(Message{UID: "2", Channel: a, Body: "y", CreatedAt: t0}),
			w.AddMessage(Message{UID: "3", Channel: b, Body: "z", CreatedAt: t0}))
	})
	take := func(at time.Time) string {
		var got []string
		update(t, s, func(w *Writer) error {
			list, err := w.ClaimMessages(ChannelChat, 10, at, time.Minute)
			for _, m := range list {
				got = append(got, fmt.Sprintf("%s%d%s%s", m.UID, m.Attempts, m.Body, m.Channel.Name))
			}
			return err
		})
		return strings.Join(got, " ")
	}
	now := t0
	for _, step := range []struct {
		after time.Duration
		do    func(*Writer, time.Time) error
		want  string
	}{
		{0, nil, "11xa 31zb"},
		{time.Second, nil, ""},
		{time.Minute, nil, "12xa 32zb"}, // nobody settled them
		{time.Second, func(w *Writer, at time.Time) error { return w.MessageSent(1, at) }, "21ya"},
		{time.Second, func(w *Writer, at time.Time) error {
			return errors.Join(w.MessageFailed(2, "não respondeu", at.Add(time.Hour)), w.ChannelFared(a.ID, "não respondeu", false, at))
		}, ""},
		{time.Hour, func(w *Writer, at time.Time) error { return w.MessageFailed(3, "recusada", time.Time{}) }, "22ya"},
		{time.Second, func(w *Writer, at time.Time) error { return w.ChannelFared(a.ID, "não existe", true, at) }, ""},
		{time.Hour, nil, ""}, // the channel is dead
	} {
		now = now.Add(step.after)
		if step.do != nil {
			update(t, s, func(w *Writer) error { return step.do(w, now) })
		}
		if got := take(now); got != step.want {
			t.Fatalf("took %q, want %q", got, step.want)
		}
	}
	view(t, s, func(r *Reader) error {
		c, err := r.Channel(a.ID, 0, true)
		failed, err2 := r.FailedMessages(a.ID, 10)
		if c.LastError != "não existe" || c.Failures != 2 || c.DeadAt.IsZero() || len(failed) != 1 || failed[0].Error != "não respondeu" {
			t.Errorf("%+v %+v", c, failed)
		}
		return errors.Join(err, err2)
	})
	update(t, s, func(w *Writer) error { return w.ForgetNotices(now.Add(time.Hour)) })
	view(t, s, func(r *Reader) error {
		left, err := r.RecentMessages(a.ID, time.Time{})
		mine, err2 := r.Channels(1, false)
		if len(left) != 0 || len(mine) != 0 {
			t.Errorf("left %+v, %+v", left, mine)
		}
		return errors.Join(err, err2)
	})
}

// TestGonePerson: nothing waits for a person who was taken away, and nothing is due
// because of them ever after.
func TestGonePerson(t *testing.T) { eachEngine(t, testGonePerson) }

func testGonePerson(t *testing.T, s *Store) {
	tellable(t, s)
	set(t, s, alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, t0, raised(alarm.BufferDamaged, alarm.Critical, 1, "x"))
	marked(t, s, t0)
	update(t, s, func(w *Writer) error {
		head, err := w.UserByEmail("head1@x")
		list, err2 := w.Channels(head.ID, false)
		open, err3 := w.OpenAlarms()
		if len(list) != 1 || len(open) != 1 {
			t.Fatalf("%+v, %+v", list, open)
		}
		return errors.Join(err, err2, err3, w.TellLater(list[0].ID, open[0].ID, t0.Add(time.Hour)),
			w.AddMessage(Message{UID: "1", Channel: list[0], Body: "x", CreatedAt: t0.Add(time.Hour)}), w.DropUser(head.ID, "ana", t0), w.ForgetNotices(t0.Add(time.Minute)))
	})
	view(t, s, func(r *Reader) error {
		due, err := r.NotifyDue(t0.Add(2 * time.Hour))
		if due {
			t.Error("somebody who is gone is still to be told something")
		}
		return err
	})
}
