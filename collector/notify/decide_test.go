package notify

import (
	"fmt"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// noon is 12:00 in Brasília of a Saturday.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, sat.Brasilia())

func TestDecide(t *testing.T) {
	open := func(s alarm.Severity) store.Telling {
		return store.Telling{Alarm: store.Alarm{Severity: s, Step: 1}, At: noon}
	}
	told := func(s alarm.Severity, ago time.Duration) store.Telling {
		v := open(s)
		v.Open, v.Severity, v.Step, v.ToldAt = true, s, 1, noon.Add(-ago)
		return v
	}
	with := func(v store.Telling, change func(*store.Telling)) store.Telling { change(&v); return v }
	tech := store.Channel{User: store.User{Role: store.RoleTechnician}, Wish: store.Wish{Least: alarm.Warning, Digest: -1, CriticalPasses: true}}
	owner := store.Channel{User: store.User{Role: store.RoleTaxpayer}, Wish: store.Wish{Least: alarm.Critical, Digest: -1, CriticalPasses: true}}
	wishes := func(change func(*store.Wish)) store.Channel { c := tech; change(&c.Wish); return c }
	quiet := wishes(func(w *store.Wish) { w.QuietFrom, w.QuietTo = 11*60, 13*60 })
	night := wishes(func(w *store.Wish) { w.QuietFrom, w.QuietTo = 22*60, 7*60 })
	daily := wishes(func(w *store.Wish) { w.Digest, w.Least = 18, alarm.Critical })
	for _, c := range []struct {
		name  string
		ch    store.Channel
		t     store.Telling
		at    time.Duration // after noon
		want  act
		until time.Duration // after noon
	}{
		{"a new one", tech, open(alarm.Warning), 0, tell, 0},
		{"too little", owner, open(alarm.Warning), 0, nothing, 0},
		{"told already", tech, told(alarm.Warning, time.Hour), 0, nothing, 0},
		{"graver", tech, with(told(alarm.Warning, time.Minute), func(v *store.Telling) { v.Alarm.Severity = alarm.Critical }), 0, tell, 0},
		{"the next threshold", tech, with(told(alarm.Warning, time.Hour), func(v *store.Telling) { v.Alarm.Step = 2 }), 0, tell, 0},
		{"eased", tech, with(told(alarm.Critical, time.Hour), func(v *store.Telling) { v.Alarm.Severity = alarm.Warning }), 0, nothing, 0},
		{"over", tech, with(told(alarm.Warning, time.Hour), func(v *store.Telling) { v.Alarm.ClearedAt = noon }), 0, tell, 0},
		{"over unheard", tech, with(open(alarm.Critical), func(v *store.Telling) { v.Alarm.ClearedAt = noon }), 0, nothing, 0},
		{"over and back at once", tech, with(told(alarm.Warning, 10*time.Minute), func(v *store.Telling) { v.Open = false }), 0, later, 20 * time.Minute},
		{"still back when the hold ends", tech, with(told(alarm.Warning, 10*time.Minute), func(v *store.Telling) { v.Open = false }), 20 * time.Minute, tell, 0},
		{"back and graver", tech, with(told(alarm.Warning, time.Minute), func(v *store.Telling) { v.Open = false; v.Alarm.Severity = alarm.Critical }), 0, tell, 0},
		{"silenced", tech, with(open(alarm.Critical), func(v *store.Telling) { v.Alarm.SilencedUntil = noon.Add(9 * time.Hour) }), 0, later, 9 * time.Hour},
		{"settled, says a person", tech, with(open(alarm.Critical), func(v *store.Telling) { v.Alarm.ResolvedAt = noon }), 0, nothing, 0},
		{"not settled as a person said", tech, with(told(alarm.Critical, time.Hour), func(v *store.Telling) { v.Again = true }), 0, tell, 0},
		{"nobody took it on", tech, with(told(alarm.Critical, time.Hour), func(v *store.Telling) { v.Alarm.Level = 1 }), 0, tell, 0},
		{"that is not the owner's to hear", owner, with(told(alarm.Critical, time.Hour), func(v *store.Telling) { v.Alarm.Level = 1 }), 0, nothing, 0},
		{"quiet hours", quiet, open(alarm.Warning), 0, later, time.Hour},
		{"quiet hours are over", quiet, open(alarm.Warning), time.Hour, tell, 0},
		{"critical passes", quiet, open(alarm.Critical), 0, tell, 0},
		{"critical passes not", wishes(func(w *store.Wish) { *w = quiet.Wish; w.CriticalPasses = false }), open(alarm.Critical), 0, later, time.Hour},
		{"an end wakes nobody", quiet, with(told(alarm.Critical, time.Hour), func(v *store.Telling) { v.Alarm.ClearedAt = noon; v.Alarm.Severity = alarm.Critical }), 0, later, time.Hour},
		{"before midnight", night, open(alarm.Warning), 11 * time.Hour, later, 19 * time.Hour},
		{"after midnight", night, open(alarm.Warning), 13 * time.Hour, later, 19 * time.Hour},
		{"in the morning", night, open(alarm.Warning), 19 * time.Hour, tell, 0},
		{"by day", night, open(alarm.Warning), 0, tell, 0},
		{"for the digest", daily, open(alarm.Warning), 0, later, 6 * time.Hour},
		{"in the digest", daily, open(alarm.Warning), 6 * time.Hour, collect, 0},
		{"critical needs no digest", daily, open(alarm.Critical), 0, tell, 0},
		{"its end in the digest", daily, with(told(alarm.Warning, time.Hour), func(v *store.Telling) { v.Alarm.ClearedAt = noon }), 0, later, 6 * time.Hour},
	} {
		got, until := decide(c.ch, c.t, noon.Add(c.at))
		if got != c.want || got == later && !until.Equal(noon.Add(c.until)) {
			t.Errorf("%s: %d until %v, want %d until %v", c.name, got, until, c.want, noon.Add(c.until))
		}
	}
}

func TestHold(t *testing.T) {
	made := func(kind string, n int, ago time.Duration, waits bool) (list []store.Message) {
		for range n {
			m := store.Message{Kind: kind, CreatedAt: noon.Add(-ago)}
			if waits {
				m.DueAt = noon
			}
			list = append(list, m)
		}
		return list
	}
	for _, c := range []struct {
		name   string
		recent []store.Message
		n      int
		urgent bool
		want   string
	}{
		{"the first", nil, 1, false, "alone"},
		{"five", nil, 5, false, "alone"},
		{"six at once", nil, 6, false, "together"},
		{"the sixth", made(kindAlarm, 5, time.Minute, false), 1, false, "together"},
		{"after a while", made(kindAlarm, 5, 10*time.Minute, false), 1, false, "alone"},
		{"after a summary", made(kindSummary, 1, time.Minute, false), 1, false, "in 9m0s"},
		{"critical after a summary", made(kindSummary, 1, 20*time.Second, false), 1, true, "in 40s"},
		{"critical a minute after it", made(kindSummary, 1, time.Minute, true), 1, true, "alone"},
		{"nothing is taken", made(kindAlarm, 20, time.Hour, true), 1, true, "in 5m0s"},
	} {
		alone, until := hold(c.recent, c.n, c.urgent, noon)
		got := map[bool]string{true: "alone", false: "together"}[alone]
		if noon.Before(until) {
			got = fmt.Sprint("in ", until.Sub(noon))
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestBackOff(t *testing.T) {
	if first, last := backOff(1, 0), backOff(99, 1); first != 10*time.Second || last != time.Hour {
		t.Errorf("from %v to %v", first, last)
	}
	if a, b := backOff(3, 0), backOff(3, 1); b != 2*a {
		t.Errorf("chance moves %v to %v", a, b)
	}
}

func TestTemplates(t *testing.T) {
	for _, p := range Presets() {
		if err := CheckTemplate(p.Template); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	for name, text := range map[string]string{"no JSON": `{{.Texto}}`, "a loop": `{{range 1000000000}}{{end}}{}`, "a call": `{"a": {{printf "%q" .Texto}}}`,
		"another template": `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "itself": `{{template "chat"}}`, "a variable": `{{$a := 1}}{}`, "nothing like that": `{"a": {{json .Senha}}}`, "broken": `{{`,
		"a nested call": `{"a": {{json (printf "%100000000d" 1)}}}`} {
		if CheckTemplate(text) == nil {
			t.Errorf("%s: %s is taken", name, text)
		}
	}
	got, err := fillTemplate(`{"a": {{json .Assunto}}{{if .Link}}, "b": {{json .Link}}{{end}}}`, said{Assunto: `x"</`, Link: "y"})
	if err != nil || string(got) != `{"a": "x\"\u003c/", "b": "y"}` {
		t.Errorf("%s %v", got, err)
	}
}
