package ingest

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// asUnknown ingests payloads with a collector that knows none of their kinds, as one
// older than their agents.
func (s *shop) asUnknown(in ...Incoming) {
	s.t.Helper()
	group := make([]message, len(in))
	for i := range in {
		group[i] = s.g.open(in[i])
		for _, r := range group[i].records {
			s.g.refuse(r, reasonKind)
		}
	}
	if _, err := s.g.store(context.Background(), group); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) quarantined() (ids []int64) {
	s.t.Helper()
	s.view(func(r *store.Reader) (err error) { ids, err = r.NotUnderstood(0, 1000); return err })
	return ids
}

// again reads everything once more, twice at the same time.
func (s *shop) again() (understood int) {
	s.t.Helper()
	var mu sync.Mutex
	var parts sync.WaitGroup
	ids := s.quarantined()
	for range 2 {
		parts.Go(func() {
			for _, id := range ids {
				ok, err := s.g.Again(context.Background(), id)
				if err != nil {
					s.t.Error(err)
				}
				mu.Lock()
				if ok {
					understood++
				}
				mu.Unlock()
			}
		})
	}
	parts.Wait()
	return understood
}

// TestAgain: what an older collector did not understand becomes, once, what it is, in
// its place among what came since.
func TestAgain(t *testing.T) {
	s := newShop(t)
	sold := sale(t, 0, 1, noon())
	detail := map[string]string{"case": "01020304/001/7", "function": "EnviarDadosVenda"}
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	s.asUnknown(s.records(wire.StreamDocuments, 1, document(sold))...)
	s.asUnknown(s.records(wire.StreamEvents, 2, event(wire.EventUnresolved, detail))...)
	s.asUnknown(s.records(wire.StreamStatus, 3, status(noon(), func(st *sat.Status) { st.State = sat.StateBlockedSEFAZ }))...)
	s.ingest(s.records(wire.StreamEvents, 4, event(wire.EventResolved, detail))...)
	s.ingest(s.records(wire.StreamStatus, 5, status(noon(), func(*sat.Status) {}))...)
	s.ingest(Incoming{agentID, wire.StreamDocuments, []byte("no message of ours"), noon()})
	if n := len(s.quarantined()); n != 4 {
		t.Fatalf("%d in quarantine", n)
	}
	if _, raised := s.alarms()[alarm.RecordsQuarantined]; !raised {
		t.Error("nobody is told of the quarantine")
	}
	if n := s.again(); n != 3 {
		t.Errorf("%d understood", n)
	}
	if n := len(s.quarantined()); n != 1 {
		t.Errorf("%d left, one makes no sense", n)
	}
	if n := s.again(); n != 0 {
		t.Errorf("%d understood twice", n)
	}
	if list := s.stored(sold); len(list) != 1 {
		t.Errorf("%d versions of the document", len(list))
	} else {
		s.view(func(r *store.Reader) error {
			came, err := r.Arrivals(list[0].ID)
			if err != nil || len(came) != 1 || came[0].Agent != agentID || came[0].Seq != 1 || !came[0].At.Equal(noon()) {
				t.Errorf("it came as %+v, %v", came, err)
			}
			return nil
		})
	}
	open := s.alarms()
	if _, raised := open[alarm.CaseUnresolved]; raised {
		t.Error("a case resolved since is open again")
	}
	if _, raised := open[alarm.BlockedByTaxOffice]; raised {
		t.Error("an old reading of the device replaced a newer one")
	}
	// The agent did not hear the acknowledgement and sends the record again.
	if got := s.ingest(s.records(wire.StreamDocuments, 1, document(sold))...); got.Duplicates != 1 || got.Stored != 0 {
		t.Errorf("sent again: %+v", got)
	}
}

// TestAgainImport: a file that was refused is taken once it can be read.
func TestAgainImport(t *testing.T) {
	s := newShop(t)
	sold := sale(t, 1, 9, noon())
	file := &record{data: sold, Record: store.Record{Stream: streamImport, File: "cupom.xml", SHA256: sha256.Sum256(sold), At: noon()}}
	s.g.refuse(file, reasonInternal)
	if _, err := s.g.store(context.Background(), []message{{Incoming: Incoming{Stream: streamImport, At: noon()}, records: []*record{file}}}); err != nil {
		t.Fatal(err)
	}
	if n := s.again(); n != 1 || len(s.stored(sold)) != 1 || len(s.quarantined()) != 0 {
		t.Errorf("%d understood, %d stored, %d left", n, len(s.stored(sold)), len(s.quarantined()))
	}
}

// TestAgainCommand: a report on a command that the collector did not give, as after a
// restore, stays where it is until the command is known.
func TestAgainCommand(t *testing.T) {
	s := newShop(t)
	s.ingest(s.records(wire.StreamCommands, 1, s.report(wire.Report{Number: 1, State: wire.CommandDone, Text: "feito"}))...)
	if n := len(s.quarantined()); n != 1 {
		t.Fatalf("%d in quarantine", n)
	}
	if n := s.again(); n != 0 || len(s.quarantined()) != 1 {
		t.Errorf("%d understood, %d left, of one that is about nothing known", n, len(s.quarantined()))
	}
	s.ordered(agentID, wire.CommandLogs)
	if n := s.again(); n != 1 || len(s.quarantined()) != 0 {
		t.Errorf("%d understood, %d left, of one that is known", n, len(s.quarantined()))
	}
}
