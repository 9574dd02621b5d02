package ingest

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// report is an item about the command of the tests.
func (s *shop) report(r wire.Report) wire.Item {
	r.Version, r.Command = wire.Version, wire.CommandID{7}
	return wire.Item{Version: wire.Version, Kind: wire.KindCommand, Serial: serial, At: s.clock().UnixMilli(), Code: r.State, Body: s.encode(r)}
}

// ordered gives the agent one command.
func (s *shop) ordered(agent, name string) {
	s.t.Helper()
	err := s.store.Update(s.t.Context(), func(w *store.Writer) error {
		_, err := w.AddOrder(store.Order{Name: name, CreatedAt: s.clock(), ExpiresAt: s.clock().Add(time.Hour)},
			[]store.Command{{ID: wire.CommandID{7}.String(), Agent: agent, Serial: serial, Wave: 1}})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestCommandLog: a log comes in pieces and reports, out of order and twice, and is
// among the device's lines once.
func TestCommandLog(t *testing.T) {
	s := newShop(t)
	s.ordered(agentID, wire.CommandLogs)
	whole := []byte("20251210110000|SAT|info|ligado\n20251210110001|SAT-SEFAZ|erro|sem rede\n")
	body := sha256.Sum256(whole)
	records := s.records(wire.StreamCommands, 1, s.report(wire.Report{Number: 1, State: wire.CommandAccepted}),
		s.report(wire.Report{Number: 2, Part: &wire.Part{Body: body, Index: 0, Data: whole[:20]}}),
		s.report(wire.Report{Number: 4, State: wire.CommandDone, Text: "feito", Lines: []wire.Line{{At: 1, Text: "lido"}},
			Result: &wire.Result{Name: "log.txt", Type: "text/plain", Size: int64(len(whole)), Parts: 2, Body: body}}))
	if sum := s.ingest(records...); sum.Stored != 3 || len(sum.Acks) == 0 {
		t.Fatalf("%+v", sum)
	}
	logs := func() (lines []store.LogLine) {
		s.view(func(r *store.Reader) (err error) {
			lines, err = r.Logs(store.LogSearch{Serial: serial, Limit: 10})
			return err
		})
		return lines
	}
	if got := logs(); len(got) > 0 {
		t.Errorf("a log that is not whole: %v", got)
	}
	last := s.records(wire.StreamCommands, 9, s.report(wire.Report{Number: 3, Part: &wire.Part{Body: body, Index: 1, Data: whole[20:]}}))
	s.ingest(last...)
	if sum := s.ingest(last...); sum.Duplicates != 1 {
		t.Errorf("%+v", sum)
	}
	if got := logs(); len(got) != 2 || got[0].Text != "sem rede" || got[0].Level != "erro" {
		t.Errorf("%v", got)
	}
	s.view(func(r *store.Reader) error {
		c, err := r.Command(wire.CommandID{7}.String())
		lines, _ := r.Transcript(c.ID)
		if c.State != store.CommandDone || c.Number != 4 || len(lines) != 1 || lines[0].Text != "lido" {
			t.Errorf("%+v %v", c, lines)
		}
		return err
	})
}

// TestOthersCommand: what an agent says of a command that it was never given is kept,
// and changes nothing.
func TestOthersCommand(t *testing.T) {
	s := newShop(t)
	s.ordered("somebodyelse0001", wire.CommandStatus)
	sum := s.ingest(s.records(wire.StreamCommands, 1, s.report(wire.Report{Number: 1, State: wire.CommandDone}),
		s.report(wire.Report{Part: &wire.Part{Data: []byte("x")}}), wire.Item{Version: wire.Version, Kind: wire.KindCommand, Body: []byte("??")})...)
	if sum.Quarantined != 3 || len(sum.Acks) == 0 {
		t.Errorf("%+v", sum)
	}
	s.view(func(r *store.Reader) error {
		c, err := r.Command(wire.CommandID{7}.String())
		if c.State != store.CommandQueued {
			t.Errorf("%+v", c)
		}
		list, err2 := r.Quarantined(10)
		for _, q := range list {
			if !strings.Contains(q.Reason, "comando") && q.Reason != reasonRecord {
				t.Errorf("%+v", q)
			}
		}
		if err == nil {
			err = err2
		}
		return err
	})
}

// TestPartsBeyondAResult: no agent fills the store with pieces that no result has.
func TestPartsBeyondAResult(t *testing.T) {
	s := newShop(t)
	s.ordered(agentID, wire.CommandBundle)
	sum := s.ingest(s.records(wire.StreamCommands, 1, s.report(wire.Report{Part: &wire.Part{Index: maxParts - 1, Data: []byte("x")}}),
		s.report(wire.Report{Part: &wire.Part{Index: maxParts, Data: []byte("x")}}), s.report(wire.Report{Part: &wire.Part{Index: -1, Data: []byte("x")}}))...)
	if sum.Stored != 1 || sum.Quarantined != 2 || len(sum.Acks) == 0 {
		t.Errorf("%+v", sum)
	}
}

// TestBeatBringsTheSealKey: secrets are sealed with what the newest beat said.
func TestBeatBringsTheSealKey(t *testing.T) {
	s := newShop(t)
	b := s.beat()
	b.SealKey = []byte(strings.Repeat("k", 32))
	s.ingest(s.pack(wire.StreamBeat, b)...)
	s.view(func(r *store.Reader) error {
		key, buffer, err := r.SealKey(agentID)
		if string(key) != string(b.SealKey) || buffer != b.Epoch.String() {
			t.Errorf("%x %s", key, buffer)
		}
		return err
	})
}
