package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// TestRetain: what is past its time goes, with all that belongs to it, and nothing
// else.
func TestRetain(t *testing.T) { eachEngine(t, testRetain) }

// aged brings documents and all else of different years, named by whether it is to stay.
func aged(t *testing.T, s *Store) {
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at.Add(12 * time.Hour)
	}
	for i, c := range []struct {
		issued string
		model  int
	}{{"2019-12-31", 59}, {"2020-12-31", 59}, {"2021-01-01", 59}, {"2014-06-01", 65}, {"2016-06-01", 65}} {
		for version := range 2 {
			d, body := sample("900000001", i+1, day(c.issued))
			d.Model, d.Rank = c.model, d.Rank+version
			if c.model == 65 {
				d.Serial = ""
			}
			id, _ := add(t, s, d, append(body, byte(version)))
			update(t, s, func(w *Writer) error {
				_, err := w.AddArrival(Record{Agent: "agent001", Epoch: "e", Stream: "d", Seq: uint64(i*2 + version), SHA256: [32]byte{byte(i), byte(version)}, At: t0}, id)
				return err
			})
		}
	}
	rec := Record{Agent: "agent001", Epoch: "e", Stream: "events", SHA256: [32]byte{1}, At: t0}
	update(t, s, func(w *Writer) error {
		raised := []alarm.Raised{{Code: alarm.AgentSilent, Severity: alarm.Warning, Step: 1, Detail: "x", Since: t0}}
		silent := alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}
		return errors.Join(w.AddEvent(Event{Agent: "agent001", Code: "old", ReceivedAt: day("2020-01-01")}, rec), w.AddEvent(Event{Agent: "agent001", Code: "new", ReceivedAt: day("2021-01-01")}, rec),
			w.SetAlarms(silent, raised, day("2020-01-01")), w.SetAlarms(silent, nil, day("2020-01-02")), w.SetAlarms(silent, raised, day("2020-01-03")),
			w.PutSession("old", 1, day("2026-01-01"), day("2026-01-02")), w.AddToken("old", Token{Label: "velho", ExpiresAt: day("2026-01-02")}),
			w.AddToken("new", Token{Label: "novo", ExpiresAt: day("2026-10-02")}),
			w.Quarantine(Quarantined{Agent: "agent001", ReceivedAt: day("2015-01-01")}, s.Pack([]byte("unsettled"))),
			w.commandOf("old", day("2020-01-01")), w.commandOf("new", day("2021-01-01")),
			w.AddAudit(Audit{At: day("2015-01-01"), Act: "velho"}), w.AddAudit(Audit{At: day("2025-01-01"), Act: "novo"}))
	})
}

func testRetain(t *testing.T, s *Store) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	aged(t, s)
	want := map[string]int{"CF-e": 4, "NFC-e, NF-e e outros": 2, "eventos dos agentes": 1, "logs dos equipamentos": 1, "comandos terminados": 1, "ordens sem comandos": 1, "alarmes encerrados": 1, "sessões encerradas": 1, "códigos de ligação vencidos": 1, "auditoria": 3}
	for _, try := range []bool{true, false, true} {
		out, err := s.Retain(context.Background(), Least(), now, try)
		if err != nil || len(out) != 13 {
			t.Fatalf("%+v, %v", out, err)
		}
		for _, e := range out {
			if e.Kind == "ordens sem comandos" && try && want != nil {
				continue // its commands are still there
			}
			if e.Rows != want[e.Kind] {
				t.Errorf("%s, counting only %v: %d, want %d", e.Kind, try, e.Rows, want[e.Kind])
			}
		}
		if !try {
			want = nil
		}
	}
	view(t, s, func(r *Reader) error {
		found, _, err := r.Search(Search{})
		counts, err2 := r.Counts()
		d, err3 := r.Device("900000001")
		events, err4 := r.EventsOf("agent001", 9)
		arrivals, err5 := one(r, value[int], `SELECT count(*) FROM arrivals WHERE document_id <> 0`)
		open, err6 := r.OpenAlarms()
		changes, err7 := one(r, value[int], `SELECT count(*) FROM alarm_changes`)
		if len(found) != 2 || counts.Versions != 4 || counts.Quarantined != 1 || d.Documents != 1 || len(events) != 1 || arrivals != 4 || len(open) != 1 || changes != 1 {
			t.Errorf("left: %d documents, %+v, device %d, %d events, %d arrivals, %d alarms, %d changes", len(found), counts, d.Documents, len(events), arrivals, len(open), changes)
		}
		for _, table := range []string{"device_logs", "commands", "command_lines", "command_parts", "orders"} {
			if n, err := one(r, value[int], `SELECT count(*) FROM `+table); n != 1 || err != nil {
				t.Errorf("%s: %d rows are left, %v", table, n, err)
			}
		}
		lines, err8 := r.ListAudit(AuditSearch{Limit: 20})
		told := ""
		for _, a := range lines {
			told += fmt.Sprintf("%s %s %s\n", a.Act, a.Object, a.Detail)
		}
		if !strings.Contains(told, "prazo de guarda vencido CF-e 4 registros anteriores a 2021-01-01") || strings.Contains(told, "velho") || !strings.Contains(told, "novo") {
			t.Errorf("audit:\n%s", told)
		}
		return errors.Join(err, err2, err3, err4, err5, err6, err7, err8)
	})
}

// TestRetainWhatCameLate: what somebody brought here to keep, and what a device with a
// wrong clock issued, does not go the night after it came.
func TestRetainWhatCameLate(t *testing.T) { eachEngine(t, testRetainWhatCameLate) }

func testRetainWhatCameLate(t *testing.T, s *Store) {
	came := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for i, issued := range []time.Time{time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2019, 6, 1, 0, 0, 0, 0, time.UTC)} {
		d, body := sample("900000001", i+1, issued)
		d.ReceivedAt = came
		add(t, s, d, body)
	}
	prompt, body := sample("900000001", 9, time.Date(2020, 12, 31, 23, 0, 0, 0, time.UTC))
	prompt.ReceivedAt = prompt.Issued.Add(48 * time.Hour) // in the year after
	add(t, s, prompt, body)
	for _, c := range []struct {
		now  time.Time
		left int
	}{{came.AddDate(0, 0, 1), 3}, {time.Date(2031, 12, 31, 12, 0, 0, 0, time.UTC), 3}, {time.Date(2032, 1, 2, 0, 0, 0, 0, time.UTC), 0}} {
		for _, due := range Least().documents(c.now) {
			counted := 0
			view(t, s, func(r *Reader) (err error) { counted, err = r.dueDocuments(due); return err })
			if rows, err := s.dropDocuments(t.Context(), due, c.now); err != nil || rows != counted {
				t.Errorf("at %s %d went of %d, %v", c.now, rows, counted, err)
			}
		}
		view(t, s, func(r *Reader) error {
			counts, err := r.Counts()
			if counts.Documents != c.left {
				t.Errorf("at %s %d are left, want %d", c.now, counts.Documents, c.left)
			}
			return err
		})
	}
}

func TestRetentionTimes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Retention)
		ok     bool
	}{
		"the least":               {func(*Retention) {}, true},
		"longer":                  {func(p *Retention) { p.Coupons = 11 }, true},
		"CF-e shorter":            {func(p *Retention) { p.Coupons = 4 }, false},
		"NFC-e shorter":           {func(p *Retention) { p.Notes = 131 }, false},
		"shorter, decided":        {func(p *Retention) { p.Coupons, p.Notes, p.Shorter = 4, 12, true }, true},
		"audit shorter, decided":  {func(p *Retention) { p.Audit, p.Shorter = 59, true }, false},
		"no time at all, decided": {func(p *Retention) { p.Coupons, p.Shorter = 0, true }, false},
	} {
		p := Least()
		c.change(&p)
		if err := p.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// commandOf stores a command that ended at a time, with what its agent told and brought,
// and a line of its device's log.
func (w *Writer) commandOf(id string, ended time.Time) error {
	_, err := w.AddOrder(Order{Name: "logs", CreatedAt: ended}, []Command{{ID: id, Agent: "agent001", Serial: "900000001", Wave: 1}})
	if err != nil {
		return err
	}
	_, err = w.TellCommand("agent001", CommandReport{Command: id, Number: 1, State: CommandDone, Lines: []CommandLine{{At: ended, Text: "feito"}}}, ended)
	_, err2 := w.AddLogs("900000001", ended, LogLine{At: ended, Text: id})
	return errors.Join(err, err2, w.AddPart("agent001", id, [32]byte{1}, 0, w.s.Pack([]byte(id))))
}

// TestRetainAlone: a clock that jumps ahead takes nothing away, and one that went on from
// there long enough is believed.
func TestRetainAlone(t *testing.T) { eachEngine(t, testRetainAlone) }

func testRetainAlone(t *testing.T, s *Store) {
	p := Least()
	p.Audit = 600 // the database itself refuses to let go of it early
	sale := func(issued time.Time, n int) { d, body := sample("900000001", n, issued); add(t, s, d, body) }
	sale(t0, 1)
	sale(t0.AddDate(-7, 0, 0), 2)
	run := func(what string, now time.Time, left, doubted int) {
		t.Helper()
		_, n, err := s.RetainAlone(t.Context(), p, now)
		view(t, s, func(r *Reader) error {
			found, _, err2 := r.Search(Search{})
			if len(found) != left || n != doubted {
				t.Errorf("%s: %d documents are left, want %d; doubted %d times, want %d", what, len(found), left, n, doubted)
			}
			return errors.Join(err, err2)
		})
	}
	run("the first run, at any time", t0.AddDate(20, 0, 0), 2, 0)
	run("set right", t0, 1, 0)
	jumped := t0.AddDate(10, 0, 0)
	for day := range doubtedRuns - 1 {
		run("ahead", jumped.AddDate(0, 0, day), 1, day+1)
	}
	run("put back", t0.AddDate(0, 0, 2), 1, 0)
	run("ahead again", jumped, 1, 1)
	run("further ahead", jumped.AddDate(1, 0, 0), 1, 1)
	for day := 1; day < doubtedRuns-1; day++ {
		run("going on", jumped.AddDate(1, 0, day), 1, day+1)
	}
	run("long enough", jumped.AddDate(1, 0, doubtedRuns-1), 0, 0)
}

// TestMonthsBefore: no month is shorter for the one it is counted from.
func TestMonthsBefore(t *testing.T) {
	for _, c := range []struct {
		now    string
		months int
		want   string
	}{{"2026-08-31T12:00:00-03:00", 6, "2026-02-28T00:00:00-03:00"}, {"2028-02-29T23:59:00-03:00", 132, "2017-02-28T00:00:00-03:00"},
		{"2026-03-15T01:00:00Z", 2, "2026-01-14T00:00:00-03:00"}, {"2026-01-01T12:00:00-03:00", 12, "2025-01-01T00:00:00-03:00"}, {"2026-01-31T12:00:00-03:00", 60, "2021-01-31T00:00:00-03:00"}} {
		now, err := time.Parse(time.RFC3339, c.now)
		if got := monthsBefore(now, c.months).Format(time.RFC3339); got != c.want || err != nil {
			t.Errorf("%d months before %s: %s, want %s, %v", c.months, c.now, got, c.want, err)
		}
	}
}
