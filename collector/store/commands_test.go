package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ordered stores an order of one command, or of as many as there are agents.
func ordered(t *testing.T, s *Store, o Order, agents ...string) Order {
	t.Helper()
	if o.ExpiresAt.IsZero() {
		o.ExpiresAt = t0.Add(24 * time.Hour)
	}
	o.Name, o.Who, o.CreatedAt = "status", "ana@example.com", t0
	var list []Command
	for i, agent := range agents {
		wave := 1
		if o.First > 0 && i >= o.First {
			wave = 2
		}
		list = append(list, Command{ID: fmt.Sprintf("%s-%d-%d", agent, len(o.Args), i), Agent: agent, Serial: "900000001", Wave: wave, Sealed: []byte{1}})
	}
	update(t, s, func(w *Writer) (err error) {
		for _, agent := range agents {
			if err := errors.Join(w.Heard(agent, t0), w.SetSealKey(agent, []byte("k"), "e1")); err != nil {
				return err
			}
		}
		o, err = w.AddOrder(o, list)
		return err
	})
	return o
}

func due(t *testing.T, s *Store, now time.Time) (ids []string) {
	t.Helper()
	view(t, s, func(r *Reader) error {
		orders, err := r.DueOrders(now)
		if err != nil {
			return err
		}
		var open []int64
		for _, o := range orders {
			open = append(open, o.ID)
		}
		list, err := r.DueCommands(now, open, 100)
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		return err
	})
	return ids
}

func commandOf(t *testing.T, s *Store, id string) (c Command) {
	t.Helper()
	view(t, s, func(r *Reader) (err error) {
		c, err = r.Command(id)
		return err
	})
	return c
}

// TestNextCommand: reports come late, twice and in any order.
func TestNextCommand(t *testing.T) {
	told := func(number int64, state CommandState) CommandReport {
		return CommandReport{Number: number, State: state}
	}
	for _, c := range []struct {
		name    string
		state   CommandState
		number  int64
		report  CommandReport
		want    CommandState
		changed bool
	}{
		{"first word", CommandSent, 0, told(1, CommandAccepted), CommandAccepted, true},
		{"steps are passed over", CommandSent, 0, told(4, CommandDone), CommandDone, true},
		{"the next step", CommandAccepted, 1, told(2, CommandRunning), CommandRunning, true},
		{"the same step with another text", CommandWaiting, 2, told(3, CommandWaiting), CommandWaiting, true},
		{"a doubled report", CommandRunning, 2, told(2, CommandRunning), CommandRunning, false},
		{"a late report", CommandRunning, 3, told(2, CommandWaiting), CommandRunning, false},
		{"a late report after the end", CommandDone, 4, told(2, CommandRunning), CommandDone, false},
		{"an end is one", CommandDone, 4, told(5, CommandFailed), CommandDone, false},
		{"unknown is an end, too", CommandUnknown, 3, told(4, CommandDone), CommandUnknown, false},
		{"a piece of a result", CommandRunning, 2, told(3, ""), CommandRunning, false},
		{"refused at once", CommandSent, 0, told(0, CommandRefused), CommandRefused, true},
		{"refused again", CommandRefused, 0, told(0, CommandRefused), CommandRefused, false},
		{"refused by an agent that had accepted it: its journal is lost", CommandRunning, 2, told(0, CommandRefused), CommandUnknown, true},
		{"refused by an agent that had done it", CommandDone, 4, told(0, CommandRefused), CommandDone, false},
		{"the agent speaks after we gave up", CommandUnknown, 0, told(1, CommandAccepted), CommandAccepted, true},
		{"the agent did it before its time was over", CommandExpired, 0, told(3, CommandDone), CommandDone, true},
		{"sent just before it was cancelled", CommandCancelled, 0, told(1, CommandAccepted), CommandAccepted, true},
		{"refused after we gave up", CommandUnknown, 0, told(0, CommandRefused), CommandRefused, true},
		{"taken back before it came", CommandSent, 0, CommandReport{Number: 1, State: CommandRefused, Reason: takenBack}, CommandCancelled, true},
		{"taken back while it waited", CommandWaiting, 3, CommandReport{Number: 4, State: CommandRefused, Reason: takenBack}, CommandCancelled, true},
		{"taken back by who may have begun it", CommandWaiting, 3, told(0, CommandUnknown), CommandUnknown, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, changed := nextCommand(Command{State: c.state, Number: c.number}, c.report)
			if got != c.want || changed != c.changed {
				t.Errorf("%s, changed %v; want %s, %v", got, changed, c.want, c.changed)
			}
		})
	}
}

func TestCommandLife(t *testing.T) { eachEngine(t, testCommandLife) }

func testCommandLife(t *testing.T, s *Store) {
	ordered(t, s, Order{}, "agent001")
	ordered(t, s, Order{Args: map[string]string{"lines": "10"}, NotBefore: t0.Add(time.Hour)}, "agent001")
	const first, second = "agent001-0-0", "agent001-1-0"
	if got := due(t, s, t0); !slices.Equal(got, []string{first}) {
		t.Fatalf("due at once: %v", got)
	}
	if got := due(t, s, t0.Add(time.Hour)); len(got) > 0 {
		t.Fatalf("due while the agent is away: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0.Add(time.Hour)) })
	if got := due(t, s, t0.Add(time.Hour)); !slices.Equal(got, []string{first, second}) {
		t.Fatalf("due an hour later: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0) })
	a, b := commandOf(t, s, first), commandOf(t, s, second)
	if a.Sequence != t0.UnixMilli() || b.Sequence != a.Sequence+1 || b.Order.Args["lines"] != "10" || a.State != CommandQueued || string(a.Sealed) != "\x01" {
		t.Fatalf("%+v\n%+v", a, b)
	}
	update(t, s, func(w *Writer) error { return w.SetMessage(first, []byte("signed"), t0) })
	if got := due(t, s, t0.Add(time.Minute)); len(got) > 0 {
		t.Errorf("sent again though the agent was not heard: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0.Add(30*time.Second)) })
	if got := due(t, s, t0.Add(10*time.Second)); len(got) > 0 {
		t.Errorf("sent again too early: %v", got)
	}
	if got := due(t, s, t0.Add(time.Minute)); !slices.Equal(got, []string{first}) {
		t.Errorf("the agent is back: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.SetMessage(first, []byte("signed"), t0.Add(time.Minute)) })
	if c := commandOf(t, s, first); c.Sent != 2 || string(c.Message) != "signed" {
		t.Errorf("%+v", c)
	}

	report := CommandReport{Command: first, Number: 2, State: CommandRunning, Text: "lendo", Lines: []CommandLine{{t0.Add(3 * time.Second), "status"}, {t0.Add(4 * time.Second), "lido"}}}
	for range 2 {
		update(t, s, func(w *Writer) error { _, err := w.TellCommand("agent001", report, t0.Add(2*time.Minute)); return err })
	}
	update(t, s, func(w *Writer) error {
		_, err := w.TellCommand("agent001", CommandReport{Command: first, Number: 1, State: CommandAccepted, Lines: []CommandLine{{t0, "recebido"}}}, t0.Add(3*time.Minute))
		return err
	})
	err := s.Update(t.Context(), func(w *Writer) error {
		_, err := w.TellCommand("agent002", CommandReport{Command: first, Number: 9, State: CommandDone}, t0)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("another agent speaks of it: %v", err)
	}
	c := commandOf(t, s, first)
	if c.State != CommandRunning || c.Text != "lendo" || !c.HeardAt.Equal(t0.Add(3*time.Minute)) {
		t.Errorf("%+v", c)
	}
	view(t, s, func(r *Reader) error {
		lines, err := r.Transcript(first)
		if len(lines) != 3 || lines[0].Text != "recebido" || lines[2].Text != "lido" {
			t.Errorf("transcript %v", lines)
		}
		return err
	})
	update(t, s, func(w *Writer) error {
		_, err := w.TellCommand("agent001", CommandReport{Command: first, Number: 3, State: CommandDone, Reply: "10000"}, t0.Add(4*time.Minute))
		return err
	})
	view(t, s, func(r *Reader) error {
		lines, err := r.ListAudit(AuditSearch{Limit: 10})
		if len(lines) != 1 || lines[0].Object != "SAT 900000001" || lines[0].Detail != "status "+first+": done" {
			t.Errorf("audit %+v", lines)
		}
		return err
	})
	if c := commandOf(t, s, first); c.EndedAt.IsZero() || c.Reply != "10000" {
		t.Errorf("%+v", c)
	}
}

// TestCommandResult: pieces come in any order, and what is not whole is no result.
func TestCommandResult(t *testing.T) { eachEngine(t, testCommandResult) }

func testCommandResult(t *testing.T, s *Store) {
	ordered(t, s, Order{}, "agent001")
	const id = "agent001-0-0"
	whole := []byte("20251210120000|SAT|info|ligado\n20251210120001|SAT|info|pronto\n")
	body := sha256.Sum256(whole)
	update(t, s, func(w *Writer) error {
		return errors.Join(w.AddPart("agent001", id, body, 1, s.Pack(whole[20:])),
			w.AddPart("agent001", id, body, 1, s.Pack(whole[20:])), w.AddPart("agent001", id, [32]byte{9}, 0, s.Pack([]byte("cut off"))))
	})
	if err := s.Update(t.Context(), func(w *Writer) error { return w.AddPart("agent002", id, body, 0, s.Pack(whole)) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("another agent's piece: %v", err)
	}
	update(t, s, func(w *Writer) error {
		_, err := w.TellCommand("agent001", CommandReport{Command: id, Number: 5, State: CommandDone, Result: Brought{Name: "log.txt", Type: "text/plain", Size: int64(len(whole)), Parts: 2, Body: body}}, t0)
		return err
	})
	read := func() (raw []byte, err error) {
		err2 := s.View(t.Context(), All(), func(r *Reader) error {
			c, err2 := r.Command(id)
			if err2 != nil {
				return err2
			}
			raw, err = r.ResultOf(c)
			return nil
		})
		return raw, errors.Join(err, err2)
	}
	if _, err := read(); !errors.Is(err, ErrNotFound) {
		t.Errorf("a result that is not whole: %v", err)
	}
	update(t, s, func(w *Writer) error { return w.AddPart("agent001", id, body, 0, s.Pack(whole[:20])) })
	if raw, err := read(); err != nil || string(raw) != string(whole) {
		t.Errorf("%q %v", raw, err)
	}
}

func TestOrderWaves(t *testing.T) { eachEngine(t, testOrderWaves) }

func testOrderWaves(t *testing.T, s *Store) {
	o := ordered(t, s, Order{First: 1, Need: 100}, "agent001", "agent002", "agent003")
	waves := func() (n int) {
		view(t, s, func(r *Reader) error { list, err := r.Waves(); n = len(list); return err })
		return n
	}
	if got := due(t, s, t0); !slices.Equal(got, []string{"agent001-0-0"}) || waves() != 1 {
		t.Fatalf("first wave: %v, %d", got, waves())
	}
	update(t, s, func(w *Writer) error { return w.ReleaseWave(o.ID) })
	if got := due(t, s, t0); len(got) != 3 {
		t.Errorf("second wave: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.SetMessage("agent001-0-0", []byte("x"), t0) })
	update(t, s, func(w *Writer) error {
		n, err := w.StopOrder(o.ID, "ana@example.com", t0)
		if n != 3 {
			t.Errorf("%d commands were cancelled, want 3", n)
		}
		return err
	})
	if c := commandOf(t, s, "agent002-0-1"); c.State != CommandCancelled || c.EndedAt.IsZero() || c.Order.StoppedBy != "ana@example.com" {
		t.Errorf("%+v", c)
	}
	if c := commandOf(t, s, "agent001-0-0"); c.State != CommandSent || c.CancelAt != t0 || c.CancelBy != "ana@example.com" || waves() != 0 {
		t.Errorf("what was sent is taken back: %+v, %d waves", c, waves())
	}
	err := s.Update(t.Context(), func(w *Writer) error { return w.SetMessage("agent002-0-1", []byte("x"), t0) })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a cancelled command is sent: %v", err)
	}
}

// TestCancelCommand: from the wish to the agent's word.
func TestCancelCommand(t *testing.T) { eachEngine(t, testCancelCommand) }

func testCancelCommand(t *testing.T, s *Store) {
	ordered(t, s, Order{}, "agent001", "agent002", "agent003")
	const waits, done, queued = "agent001-0-0", "agent002-0-1", "agent003-0-2"
	now := t0
	tell := func(id string, number int64, state CommandState, reason string) {
		update(t, s, func(w *Writer) error {
			_, err := w.TellCommand(id[:8], CommandReport{Command: id, Number: number, State: state, Reason: reason}, now)
			return err
		})
	}
	cancel := func(id string) (any bool) {
		update(t, s, func(w *Writer) (err error) { any, err = w.Cancel(id, "Cancelado por ana.", now); return err })
		return any
	}
	cancels := func() (ids []string) {
		view(t, s, func(r *Reader) error {
			list, err := r.DueCancels(now, 9)
			for _, c := range list {
				ids = append(ids, c.ID)
			}
			return err
		})
		return ids
	}
	for _, id := range []string{waits, done} {
		update(t, s, func(w *Writer) error { return w.SetMessage(id, []byte("signed"), t0) })
	}
	tell(waits, 1, CommandWaiting, "")
	tell(done, 2, CommandDone, "")
	if !cancel(queued) || !cancel(waits) || cancel(waits) || cancel(done) || cancel(queued) {
		t.Error("cancelled twice, or what had ended")
	}
	if c := commandOf(t, s, queued); c.State != CommandCancelled || !c.CancelAt.IsZero() {
		t.Errorf("what was not sent is over: %+v", c)
	}
	if got := cancels(); !slices.Equal(got, []string{waits}) {
		t.Fatalf("to be told: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.SetCancelSent(waits, now) })
	now = now.Add(time.Minute)
	if got := cancels(); len(got) > 0 {
		t.Errorf("told again though the agent was not heard: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", now) })
	if got := cancels(); len(got) != 1 || len(due(t, s, now)) > 0 {
		t.Errorf("the agent is back: %v, sent %v", got, due(t, s, now))
	}
	tell(waits, 2, CommandRunning, "")
	if got := cancels(); len(got) > 0 {
		t.Errorf("it has begun: %v", got)
	}
	tell(waits, 3, CommandWaiting, "")
	if got := cancels(); len(got) != 1 {
		t.Errorf("it has not begun after all: %v", got)
	}
	tell(waits, 4, CommandRefused, takenBack)
	if c := commandOf(t, s, waits); c.State != CommandCancelled || c.EndedAt.IsZero() || len(cancels()) > 0 {
		t.Errorf("%+v, %v", c, cancels())
	}
}

// TestCancelledBeforeItIsSentAgain: a command that was sent, and perhaps not heard, is
// not sent again once it is taken back.
func TestCancelledBeforeItIsSentAgain(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "zelo.db"))
	ordered(t, s, Order{}, "agent001")
	const id = "agent001-0-0"
	update(t, s, func(w *Writer) error {
		_, err := w.Cancel(id, "x", t0)
		return errors.Join(err, w.Heard("agent001", t0.Add(time.Minute)))
	})
	err := s.Update(t.Context(), func(w *Writer) error { return w.SetMessage(id, []byte("x"), t0) })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("what was cancelled is sent: %v", err)
	}
	ordered(t, s, Order{Args: map[string]string{"a": "b"}}, "agent001")
	const sent = "agent001-1-0"
	update(t, s, func(w *Writer) error { return w.SetMessage(sent, []byte("x"), t0) })
	update(t, s, func(w *Writer) error {
		_, err := w.Cancel(sent, "x", t0)
		return errors.Join(err, w.Heard("agent001", t0.Add(time.Minute)))
	})
	if got := due(t, s, t0.Add(time.Minute)); len(got) > 0 {
		t.Errorf("what was taken back is due: %v", got)
	}
	if err := s.Update(t.Context(), func(w *Writer) error { return w.SetMessage(sent, []byte("x"), t0) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was taken back is sent again: %v", err)
	}
}

func TestOverdueCommands(t *testing.T) { eachEngine(t, testOverdueCommands) }

func testOverdueCommands(t *testing.T, s *Store) {
	ordered(t, s, Order{ExpiresAt: t0.Add(time.Hour)}, "agent001", "agent002")
	update(t, s, func(w *Writer) error { return w.SetMessage("agent002-0-1", []byte("x"), t0) })
	overdue := func(now time.Time) (out []Command) {
		view(t, s, func(r *Reader) (err error) { out, err = r.Overdue(now); return err })
		return out
	}
	if got := overdue(t0.Add(time.Hour)); len(got) > 0 {
		t.Errorf("before the end: %v", got)
	}
	now := t0.Add(time.Hour + time.Second)
	got := overdue(now)
	if len(got) != 1 || got[0].ID != "agent001-0-0" {
		t.Fatalf("never sent: %v", got)
	}
	update(t, s, func(w *Writer) error { return w.GiveUp(got[0], CommandExpired, "o prazo passou", now) })
	if got := overdue(now.Add(answerGrace)); len(got) != 1 || got[0].ID != "agent002-0-1" {
		t.Errorf("without an answer: %v", got)
	}
	if c := commandOf(t, s, "agent001-0-0"); c.State != CommandExpired || c.Text != "o prazo passou" {
		t.Errorf("%+v", c)
	}

	// An agent that began and never said how it ended may have been lost, or speak after all.
	tell := func(number int64, state CommandState, reason string) CommandState {
		update(t, s, func(w *Writer) error {
			_, err := w.TellCommand("agent002", CommandReport{Command: "agent002-0-1", Number: number, State: state, Reason: reason}, now)
			return err
		})
		return commandOf(t, s, "agent002-0-1").State
	}
	tell(2, CommandRunning, "")
	if got = overdue(now.Add(answerGrace)); len(got) != 1 || got[0].State != CommandRunning {
		t.Fatalf("without an end: %v", got)
	}
	tell(3, CommandRunning, "")
	update(t, s, func(w *Writer) error { return w.GiveUp(got[0], CommandUnknown, "não disse", now) })
	if c := commandOf(t, s, "agent002-0-1"); c.State != CommandRunning {
		t.Errorf("given up although it was heard of: %+v", c)
	}
	got = overdue(now.Add(answerGrace))
	update(t, s, func(w *Writer) error { return w.GiveUp(got[0], CommandUnknown, "não disse", now) })
	if got := overdue(now.Add(answerGrace)); len(got) != 0 {
		t.Errorf("given up twice: %v", got)
	}
	if got := tell(4, CommandDone, ""); got != CommandDone {
		t.Errorf("the agent spoke after all, and it is %s", got)
	}
}

// An agent that lost its journal refuses what it hears. Had that been sent before, it
// may have done it.
func TestJournalLost(t *testing.T) { eachEngine(t, testJournalLost) }

func testJournalLost(t *testing.T, s *Store) {
	ordered(t, s, Order{}, "agent001", "agent002")
	for id, want := range map[string]CommandState{"agent001-0-0": CommandRefused, "agent002-0-1": CommandUnknown} {
		update(t, s, func(w *Writer) error {
			err := w.SetMessage(id, []byte("x"), t0)
			if want == CommandUnknown {
				err = errors.Join(err, w.SetMessage(id, []byte("x"), t0))
			}
			_, err2 := w.TellCommand(id[:8], CommandReport{Command: id, Number: 1, State: CommandRefused, Reason: "journal"}, t0)
			return errors.Join(err, err2)
		})
		if c := commandOf(t, s, id); c.State != want {
			t.Errorf("sent %d times: %s, want %s", c.Sent, c.State, want)
		}
	}
}

// TestCommandScope: commands are seen by those who see their till and device.
func TestCommandScope(t *testing.T) { eachEngine(t, testCommandScope) }

func testCommandScope(t *testing.T, s *Store) {
	ordered(t, s, Order{}, "agent001")
	const id = "agent001-0-0"
	update(t, s, func(w *Writer) error {
		return errors.Join(w.AddTaxpayer(Taxpayer{Root: "11111111", Name: "LOJA", Reseller: DefaultReseller, CreatedAt: t0}),
			w.AddToken("s", Token{Reseller: DefaultReseller, Allowed: 1, ExpiresAt: t0.AddDate(1, 0, 0)}), w.EnrolAgent("s", "agent001", "pdv", t0),
			w.SetBeat(Beat{Agent: Agent{ID: "agent001", BeatAt: t0}, Devices: []BeatDevice{{Serial: "900000001"}}}))
	})
	for scope, want := range map[string]struct {
		Scope
		seen bool
	}{"everything": {All(), true}, "its reseller": {OfReseller(DefaultReseller), true}, "another reseller": {OfReseller(7), false},
		"nobody": {Scope{}, false}, "a paid plan": {OfReseller(DefaultReseller).Paid(), false}} {
		err := s.View(t.Context(), want.Scope, func(r *Reader) error {
			_, err := r.Command(id)
			orders, err2 := r.Orders(10)
			if len(orders) == 1 != want.seen {
				t.Errorf("%s sees %d orders", scope, len(orders))
			}
			if _, err := r.Transcript(id); (err == nil) != want.seen {
				t.Errorf("%s reads the transcript: %v", scope, err)
			}
			return errors.Join(err, err2)
		})
		if (err == nil) != want.seen || err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

func TestSealKey(t *testing.T) { eachEngine(t, testSealKey) }

func testSealKey(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		return errors.Join(w.Heard("agent001", t0), w.SetSealKey("agent001", []byte("k"), "e1"))
	})
	view(t, s, func(r *Reader) error {
		key, epoch, err := r.SealKey("agent001")
		if string(key) != "k" || epoch != "e1" {
			t.Errorf("%q %q", key, epoch)
		}
		return err
	})
}

func TestLogs(t *testing.T) { eachEngine(t, testLogs) }

func testLogs(t *testing.T, s *Store) {
	line := func(second int, text string) LogLine {
		return LogLine{t0.Add(time.Duration(second) * time.Second), "SAT-SEFAZ", "erro", text}
	}
	first := []LogLine{line(0, "ligado"), line(1, "100%_pronto"), line(1, "tenta"), line(1, "tenta")}
	second := append(slices.Clone(first[1:]), line(2, "Rede SEFAZ caiu"))
	for i, c := range []struct {
		lines []LogLine
		added int
	}{{first, 4}, {first, 0}, {second, 1}} {
		update(t, s, func(w *Writer) error {
			n, err := w.AddLogs("900000001", t0, c.lines...)
			if n != c.added {
				t.Errorf("reading %d adds %d lines, want %d", i, n, c.added)
			}
			return err
		})
	}
	for _, c := range []struct {
		name   string
		search LogSearch
		want   string
	}{
		{"all, the newest first", LogSearch{}, "Rede SEFAZ caiu,tenta,tenta,100%_pronto,ligado"},
		{"a few", LogSearch{Limit: 2}, "Rede SEFAZ caiu,tenta"},
		{"a text in another case", LogSearch{Text: "sefaz CAIU"}, "Rede SEFAZ caiu"},
		{"what would be a wildcard", LogSearch{Text: "0%_p"}, "100%_pronto"},
		{"a wildcard that is none", LogSearch{Text: "t%a"}, ""},
		{"a level", LogSearch{Text: "|erro|"}, "Rede SEFAZ caiu,tenta,tenta,100%_pronto,ligado"},
		{"from and to", LogSearch{From: t0.Add(time.Second), To: t0.Add(2 * time.Second)}, "tenta,tenta,100%_pronto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.search.Serial = "900000001"; c.search.Limit == 0 {
				c.search.Limit = 100
			}
			view(t, s, func(r *Reader) error {
				lines, err := r.Logs(c.search)
				var texts []string
				for _, l := range lines {
					texts = append(texts, l.Text)
				}
				if got := strings.Join(texts, ","); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				return err
			})
		})
	}
	if err := s.View(t.Context(), OfReseller(7), func(r *Reader) error {
		lines, err := r.Logs(LogSearch{Serial: "900000001", Limit: 9})
		if len(lines) > 0 {
			t.Errorf("a stranger reads %v", lines)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
