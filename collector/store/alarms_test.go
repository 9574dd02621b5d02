package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

var dev = alarm.Subject{Kind: alarm.OfDevice, ID: "900000001"}

func raised(code alarm.Code, s alarm.Severity, step int, detail string) alarm.Raised {
	return alarm.Raised{Code: code, Severity: s, Step: step, Since: t0, Detail: detail}
}

// set makes the subject's alarms what was raised and returns whether anything
// had to be written; that must be what AlarmsDiffer says.
func set(t *testing.T, s *Store, subject alarm.Subject, now time.Time, r ...alarm.Raised) (differ bool) {
	t.Helper()
	view(t, s, func(rd *Reader) (err error) { differ, err = rd.AlarmsDiffer(subject, r, now); return err })
	update(t, s, func(w *Writer) error { return w.SetAlarms(subject, r, now) })
	view(t, s, func(rd *Reader) error {
		again, err := rd.AlarmsDiffer(subject, r, now)
		if again {
			t.Error("still different after it was set")
		}
		return err
	})
	return differ
}

func openAlarms(t *testing.T, s *Store) (list []Alarm) {
	t.Helper()
	view(t, s, func(r *Reader) (err error) { list, err = r.OpenAlarms(); return err })
	return list
}

func life(t *testing.T, s *Store, id int64) string {
	t.Helper()
	var words []string
	view(t, s, func(r *Reader) error {
		changes, err := r.AlarmLife(id)
		for _, c := range changes {
			words = append(words, fmt.Sprintf("%s %v %d", c.What, c.Severity, c.Step))
		}
		return err
	})
	return strings.Join(words, ", ")
}

func TestLifeOfAnAlarm(t *testing.T) { eachEngine(t, testLifeOfAnAlarm) }

func testLifeOfAnAlarm(t *testing.T, s *Store) {
	now := t0
	if !set(t, s, dev, now, raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %")) {
		t.Error("opening is a change")
	}
	first := openAlarms(t, s)[0]
	if first.Code != alarm.MemoryFilling || first.Subject != dev || !first.OpenedAt.Equal(t0) || !first.ClearedAt.IsZero() {
		t.Errorf("%+v", first)
	}
	if set(t, s, dev, now.Add(time.Minute), raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %")) {
		t.Error("nothing changed")
	}
	if !set(t, s, dev, now.Add(confirmEvery), raised(alarm.MemoryFilling, alarm.Warning, 1, "70 %")) {
		t.Error("it is confirmed now and then")
	}
	set(t, s, dev, now.Add(time.Hour), raised(alarm.MemoryFilling, alarm.Critical, 2, "85 %"))
	set(t, s, dev, now.Add(2*time.Hour), raised(alarm.MemoryFilling, alarm.Critical, 2, "86 %"))
	list := openAlarms(t, s)
	if len(list) != 1 || list[0].ID != first.ID || list[0].Severity != alarm.Critical || list[0].Detail != "86 %" ||
		!list[0].OpenedAt.Equal(t0) || !list[0].SeenAt.Equal(now.Add(2*time.Hour)) {
		t.Errorf("a graver step is the same alarm: %+v", list)
	}
	set(t, s, dev, now.Add(3*time.Hour))
	if list := openAlarms(t, s); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if got := life(t, s, first.ID); got != "opened atenção 1, worsened crítico 2, cleared crítico 2" {
		t.Error(got)
	}
	set(t, s, dev, now.Add(4*time.Hour), raised(alarm.MemoryFilling, alarm.Warning, 1, "71 %"))
	view(t, s, func(r *Reader) error {
		closed, err := r.ClosedAlarms(10)
		if len(closed) != 1 || !closed[0].ClearedAt.Equal(now.Add(3*time.Hour)) {
			t.Errorf("closed %+v", closed)
		}
		one, err2 := r.Alarm(first.ID)
		if one.ID != first.ID || err2 != nil {
			t.Errorf("%+v, %v", one, err2)
		}
		return err
	})
	if list := openAlarms(t, s); len(list) != 1 || list[0].ID == first.ID {
		t.Errorf("the same cause later is a new alarm: %+v", list)
	}
}

// TestBehind: an alarm that cannot be judged stays as it is, none is opened.
func TestBehind(t *testing.T) { eachEngine(t, testBehind) }

func testBehind(t *testing.T, s *Store) {
	behind := alarm.Raised{Code: alarm.NoContact, Behind: alarm.AgentSilent}
	if set(t, s, dev, t0, behind) || len(openAlarms(t, s)) != 0 {
		t.Error("an alarm that cannot be judged was opened")
	}
	set(t, s, dev, t0, raised(alarm.NoContact, alarm.Warning, 1, "24 h"))
	set(t, s, dev, t0.Add(time.Hour), behind)
	if list := openAlarms(t, s); len(list) != 1 || list[0].Behind != alarm.AgentSilent || list[0].Detail != "24 h" || list[0].Severity != alarm.Warning {
		t.Errorf("%+v", list)
	}
	if set(t, s, dev, t0.Add(2*time.Hour), behind) {
		t.Error("nothing changed")
	}
	set(t, s, dev, t0.Add(3*time.Hour), raised(alarm.NoContact, alarm.Warning, 1, "24 h"))
	list := openAlarms(t, s)
	if len(list) != 1 || list[0].Behind != "" {
		t.Errorf("%+v", list)
	}
	if got := life(t, s, list[0].ID); got != "opened atenção 1" {
		t.Error(got)
	}
}

func TestWorstFirst(t *testing.T) { eachEngine(t, testWorstFirst) }

func testWorstFirst(t *testing.T, s *Store) {
	for i, host := range []string{"b-well", "a-well", "critical", "warned"} {
		update(t, s, func(w *Writer) error {
			return w.SetBeat(Beat{Agent: Agent{ID: fmt.Sprintf("agent%03d", i), Host: host, BeatAt: t0},
				Devices: []BeatDevice{{Serial: fmt.Sprint(i), Answering: true}}})
		})
	}
	d, body := sample("900000009", 1, t0)
	add(t, s, d, body)
	set(t, s, alarm.Subject{Kind: alarm.OfDevice, ID: "2"}, t0, raised(alarm.BlockedAutonomous, alarm.Critical, 1, "x"))
	set(t, s, alarm.Subject{Kind: alarm.OfAgent, ID: "agent003"}, t0, raised(alarm.AgentSilent, alarm.Warning, 2, "x"))
	explained := raised(alarm.NoContact, alarm.Critical, 3, "x")
	set(t, s, alarm.Subject{Kind: alarm.OfDevice, ID: "3"}, t0, explained)
	set(t, s, alarm.Subject{Kind: alarm.OfDevice, ID: "3"}, t0, alarm.Raised{Code: alarm.NoContact, Behind: alarm.AgentSilent})
	set(t, s, alarm.Subject{Kind: alarm.OfImports}, t0, raised(alarm.RecordsQuarantined, alarm.Warning, 1, "x"))
	view(t, s, func(r *Reader) error {
		tills, err := r.Tills()
		if err != nil {
			return err
		}
		var got []string
		for _, till := range tills {
			got = append(got, fmt.Sprintf("%s:%v:%d:%d", till.Agent.Host, till.Severity(), len(till.Devices), len(till.Alarms)))
		}
		want := "critical:crítico:1:1 warned:atenção:1:2 :sem alarme:1:0 a-well:sem alarme:1:0 b-well:sem alarme:1:0"
		if strings.Join(got, " ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
		}
		till, err := r.Till("agent003")
		if len(till.Alarms) != 2 || till.Alarms[0].Code != alarm.AgentSilent || till.Alarms[1].Agent != "agent003" || len(till.Devices) != 1 {
			t.Errorf("%+v", till)
		}
		return err
	})
}

func TestMarks(t *testing.T) { eachEngine(t, testMarks) }

func testMarks(t *testing.T, s *Store) {
	agent := alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}
	update(t, s, func(w *Writer) error { return w.Mark(dev, agent, dev) })
	marks := func(after alarm.Subject, limit int) (m []Marked) {
		view(t, s, func(r *Reader) (err error) { m, err = r.Marks(after, limit); return err })
		return m
	}
	m := marks(alarm.Subject{}, 1)
	if len(m) != 1 || m[0].Subject != agent {
		t.Fatalf("%+v", m)
	}
	m = append(m, marks(m[0].Subject, 1)...)
	if len(m) != 2 || m[1].Subject != dev || len(marks(dev, 1)) != 0 {
		t.Fatalf("%+v", m)
	}
	update(t, s, func(w *Writer) error { return w.Mark(dev) }) // new facts while it is judged
	update(t, s, func(w *Writer) error {
		if err := w.Evaluated(m[0]); err != nil {
			return err
		}
		return w.Evaluated(m[1])
	})
	if left := marks(alarm.Subject{}, 10); len(left) != 1 || left[0].Subject != dev {
		t.Errorf("left %+v", left)
	}
	view(t, s, func(r *Reader) error {
		subjects, err := r.Subjects()
		if len(subjects) != 1 || subjects[0].Kind != alarm.OfImports {
			t.Errorf("subjects %+v", subjects)
		}
		return err
	})
}

// TestBlockAndContact: a device's block and its missing contact, in whatever order they
// come and go, are one row for people, and its life names each coming and going once.
func TestBlockAndContact(t *testing.T) { eachEngine(t, testBlockAndContact) }

func testBlockAndContact(t *testing.T, s *Store) {
	for i, order := range []string{"block contact +block +contact", "block contact +contact +block", "contact block +contact +block", "contact block +block +contact",
		"block +block contact +contact", "contact +contact block +block"} {
		device := alarm.Subject{Kind: alarm.OfDevice, ID: fmt.Sprintf("90000010%d", i)}
		f := alarm.Facts{Subject: device, Device: &alarm.Device{Memory: -1}}
		now := t0
		for _, event := range strings.Fields(order) {
			now = now.Add(time.Hour)
			switch event {
			case "block":
				f.Device.Block, f.Device.BlockSince = alarm.Autonomous, now
			case "+block":
				f.Device.Block = alarm.Unblocked
			case "contact":
				f.Device.LastContact = now.AddDate(0, 0, -11)
			case "+contact":
				f.Device.LastContact = time.Time{}
			}
			set(t, s, device, now, alarm.Eval(f, now)...)
			var stand []string
			for _, a := range openAlarms(t, s) {
				if a.Subject == device && a.Behind == "" {
					stand = append(stand, string(a.Code)+" "+a.Detail)
				}
			}
			block, lost := f.Device.Block == alarm.Autonomous, !f.Device.LastContact.IsZero()
			if len(stand) != 1 && (block || lost) || len(stand) != 0 && !block && !lost {
				t.Fatalf("%s: %q", order, stand)
			}
			if one := strings.Join(stand, ""); block != strings.Contains(one, "Bloqueio autônomo") || lost != strings.Contains(one, "Último contato") {
				t.Errorf("%s, at %s: %q", order, event, one)
			}
		}
	}
}
