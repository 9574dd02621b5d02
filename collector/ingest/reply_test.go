package ingest

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/sat/cfe"
)

// answers ingests payloads and returns what the agent is told beside acks.
func (s *shop) answers(in ...Incoming) (out []any) {
	s.t.Helper()
	results, err := s.g.Ingest(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range results {
		if r.Quarantined > 0 {
			s.t.Errorf("%d quarantined", r.Quarantined)
		}
		for _, reply := range r.Replies {
			out = append(out, reply.Message)
		}
	}
	return out
}

func TestBeatsAreAnswered(t *testing.T) {
	s := newShop(t)
	b := s.beat()
	if got := s.answers(s.pack(wire.StreamBeat, b)...); got != nil {
		t.Errorf("an agent of version 1 is told %+v", got)
	}
	b.Version, b.Number = 2, 7
	in := s.pack(wire.StreamBeat, b)
	s.pass(40 * time.Millisecond) // in the queue
	got := s.answers(in...)
	want := []any{wire.Hello{Version: wire.Version, Beat: 7, StoreEpoch: s.store.Epoch(), Time: s.clock().UnixMilli(), Took: 40}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.pass(-time.Hour) // the collector's clock jumps back meanwhile
	if got := s.answers(in...)[0].(wire.Hello); got.Took != 0 {
		t.Errorf("took %d ms", got.Took)
	}
}

// TestDictionary: archived before its use, kept over a restart, and whoever packs
// with one that is not held is told so and loses nothing.
func TestDictionary(t *testing.T) {
	s := newShop(t)
	earlier := wire.Batch{Version: 2, Epoch: epoch}
	for i := range 5 {
		earlier.Records = append(earlier.Records, wire.Record{Seq: uint64(i), Data: s.encode(document(sale(t, 0, i, noon())))})
	}
	d, err := wire.NewDictionary(s.encode(earlier))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(held bool) []any {
		return []any{wire.Answer{Version: wire.Version, Number: d.Name.Number(), Held: held}}
	}
	offer := func(o wire.Offer) []any { return s.answers(s.pack(wire.StreamDictionary, o)...) }
	doc := sale(t, 0, 9, noon())
	packets, err := s.codec.PackWith(d, 99, wire.Batch{Version: 2, Epoch: epoch, Records: []wire.Record{{Seq: 9, Data: s.encode(document(doc))}}})
	if err != nil || len(packets) != 1 {
		t.Fatal(len(packets), err)
	}
	in := Incoming{agentID, wire.StreamDocuments, packets[0], s.clock()}

	if got := s.answers(in); !reflect.DeepEqual(got, answer(false)) {
		t.Errorf("packed with what is not held: %+v", got)
	}
	if got := offer(wire.Offer{Version: 2, Name: d.Name}); !reflect.DeepEqual(got, answer(false)) {
		t.Errorf("asked before it was brought: %+v", got)
	}
	if got := offer(wire.Offer{Version: 2, Name: d.Name, Data: d.Data[1:]}); !reflect.DeepEqual(got, answer(false)) {
		t.Errorf("brought with another name: %+v", got)
	}
	for _, o := range []wire.Offer{{Version: 2, Name: d.Name, Data: d.Data}, {Version: 2, Name: d.Name}} {
		if got := offer(o); !reflect.DeepEqual(got, answer(true)) {
			t.Errorf("brought, then asked: %+v", got)
		}
	}
	s.g.dictionaries = shelf{} // as after a restart
	if r := s.ingest(in); r.Stored != 1 || !acked(r.Acks, wire.StreamDocuments, 9, s.encode(document(doc))) {
		t.Errorf("packed with what is held: %+v", r)
	}
	if list := s.stored(doc); len(list) != 1 || list[0].Verdict != string(cfe.Verified) {
		t.Errorf("%+v", list)
	}
	foreign := in
	foreign.Agent = "bcdefgh234567abc"
	if got := s.answers(foreign); !reflect.DeepEqual(got, answer(false)) {
		t.Errorf("packed with another agent's: %+v", got)
	}
	// The archive lost it, or damaged it: still nothing is quarantined.
	for _, damage := range []string{`UPDATE dictionaries SET body = x'00'`, `DELETE FROM dictionaries`} {
		if _, err := s.database().Exec(damage); err != nil {
			t.Fatal(err)
		}
		s.g.dictionaries = shelf{}
		if got := s.answers(in); !reflect.DeepEqual(got, answer(false)) {
			t.Errorf("%s: %+v", damage, got)
		}
	}
	if c := s.counts(); c.Quarantined != 0 || c.Documents != 1 {
		t.Errorf("%+v", c)
	}
}

// told collects what is sent to agents.
type told struct {
	t    *testing.T
	g    *Ingest
	slow []*wire.Slow
}

func (d *told) Send(_, kind string, payload []byte) error {
	var a wire.Ack
	var h wire.Hello
	if kind == wire.DownAck {
		d.g.codec.Decode(payload, &a)
		d.slow = append(d.slow, a.Slow)
	} else {
		d.g.codec.Decode(payload, &h)
		d.slow = append(d.slow, h.Slow)
	}
	return nil
}

func TestLongQueueSlowsAgentsDown(t *testing.T) {
	s := newShop(t)
	for waiting, want := range map[int]wire.Slow{0: {}, slowFrom - 1: {}, slowFrom: {Rate: slowRate, For: 30_000},
		pauseFrom: {Rate: slowRate, For: 30_000, Pause: 15_000}, queueLength: {Rate: slowRate, For: 30_000, Pause: 15_000}} {
		for len(s.g.queue) > waiting {
			<-s.g.queue
		}
		for len(s.g.queue) < waiting {
			s.g.queue <- Incoming{}
		}
		to := &told{t: t, g: s.g}
		s.g.acknowledge(to, agentID, Result{Acks: []wire.Ack{{}}, Replies: []Reply{{wire.DownHello, wire.Hello{}}}})
		for _, got := range to.slow {
			if got == nil {
				got = &wire.Slow{}
			}
			if *got != want {
				t.Errorf("with %d waiting: %+v, want %+v", waiting, *got, want)
			}
		}
		if len(to.slow) != 2 {
			t.Errorf("%d messages", len(to.slow))
		}
	}
}

func TestShelfIsBounded(t *testing.T) {
	s := &shelf{}
	data := bytes.Repeat([]byte("x"), wire.MaxDictionary)
	for i := range 3 * maxShelf / wire.MaxDictionary {
		number := wire.Number(i)
		s.put("agent001", number, data)
		s.put("agent001", number, data)
		if s.bytes > maxShelf || s.bytes != len(s.held)*len(data) || s.get("agent001", number) == nil {
			t.Fatalf("%d bytes in %d dictionaries", s.bytes, len(s.held))
		}
	}
}
