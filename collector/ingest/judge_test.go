package ingest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// TestOldFactsRaiseNothing: a collector that looked at a device and was slow to write
// what it thought of it does not undo what another wrote meanwhile of newer facts.
func TestOldFactsRaiseNothing(t *testing.T) {
	s := newShop(t)
	reading := func(seq uint64, state sat.State) {
		s.ingest(s.records(wire.StreamStatus, seq, status(s.clock(), func(st *sat.Status) { st.State = state }))...)
	}
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	reading(1, sat.StateBlockedSEFAZ)
	looks := 0
	slow, err := New(Options{Store: s.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time {
		if looks++; looks == 2 { // it has begun to read: the agent comes before the device
			reading(2, sat.StateUnblocked)
			if got := s.alarms(); len(got) != 0 {
				t.Errorf("the quick one raised %v", got)
			}
		}
		return s.clock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Judge(context.Background()); err != nil || looks < 3 {
		t.Fatalf("it did not judge the device: %d looks, %v", looks, err)
	}
	if got := s.alarms(); len(got) != 0 {
		t.Errorf("raised of facts that were over: %v", got)
	}
}

// TestOthersMarks: what another collector marked and did not live to judge is judged
// by whoever is left, also when it has just judged everything.
func TestOthersMarks(t *testing.T) {
	s := newShop(t)
	s.g.o.Every = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.g.judgeChanges(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	// The marks come without a word to the one that judges.
	other, err := New(Options{Store: s.store, Log: slog.New(slog.DiscardHandler), Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Ingest(context.Background(), s.records(wire.StreamDocuments, 1, document(edited(sale(t, 0, 1, noon()))))); err != nil {
		t.Fatal(err)
	}
	raised := func() (found bool) {
		s.view(func(r *store.Reader) error {
			open, err := r.OpenAlarms()
			for _, a := range open {
				found = found || a.Code == alarm.SignatureInvalid
			}
			return err
		})
		return found
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for limit := time.After(20 * time.Second); !raised(); {
		select {
		case <-look.C:
		case <-limit:
			t.Fatal("nobody judged")
		}
	}
}

// TestUnreadableFacts: a subject whose facts cannot be read keeps its mark and holds up
// nobody who is judged after it.
func TestUnreadableFacts(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	err := s.store.Update(context.Background(), func(w *store.Writer) error {
		bad := alarm.Subject{Kind: alarm.OfAgent, ID: "aaa"} // before the others
		return errors.Join(w.AddAgent(bad.ID, "caixa-2", noon()), w.SetThing(store.Thing{What: store.WhatComputer, Key: "", Body: store.Computer{}},
			store.Record{Agent: bad.ID, Stream: wire.StreamStatus, Seq: 1, At: noon()}), w.Mark(bad))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.database().Exec(`UPDATE inventory SET body = '{' WHERE agent = 'aaa'`); err != nil {
		t.Fatal(err)
	}
	s.ingest(s.records(wire.StreamDocuments, 1, document(edited(sale(t, 0, 1, noon()))))...)
	if _, raised := s.alarms()[alarm.SignatureInvalid]; !raised {
		t.Error("the device was not judged")
	}
	s.view(func(r *store.Reader) error {
		left, err := r.Marks(alarm.Subject{}, 9)
		if len(left) != 1 || left[0].ID != "aaa" || !strings.Contains(s.log.String(), "subject=aaa") {
			t.Errorf("left to be judged: %v; log %s", left, s.log)
		}
		return err
	})
}
