package ingest

import (
	"context"
	"testing"

	"zelo/agent/wire"
	"zelo/collector/store"
	"zelo/sat"
)

// seeds are payloads of every kind, whole and damaged.
func seeds(f *testing.F, s *shop) {
	whole := s.records(wire.StreamDocuments, 1, document(sale(f, 0, 1, noon())), document([]byte("junk")))[0].Payload
	f.Add(wire.StreamDocuments, whole)
	f.Add(wire.StreamDocuments, whole[:len(whole)/2])
	f.Add(wire.StreamEvents, s.records(wire.StreamEvents, 1, event(wire.EventUnresolved, map[string]string{"case": "1"}))[0].Payload)
	f.Add(wire.StreamStatus, s.records(wire.StreamStatus, 1, status(noon(), func(*sat.Status) {}))[0].Payload)
	f.Add(wire.StreamBeat, s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: "1"}))[0].Payload)
	f.Add(wire.StreamBeat, []byte{})
	f.Add("unknown", []byte("x"))
}

// accounted checks that nothing of a payload is lost: it is unfinished, a beat,
// in quarantine as a whole, or each of its records is stored, known or
// quarantined, and acknowledged.
func accounted(t *testing.T, s *shop, in Incoming, records int) {
	t.Helper()
	s.t = t
	results, err := s.g.Ingest(context.Background(), []Incoming{in})
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	n := 0
	for _, a := range r.Acks {
		n += len(a.Records)
	}
	sum := r.Stored + r.Duplicates + r.Quarantined
	switch {
	case r.Unfinished:
		if sum != 0 || n != 0 {
			t.Errorf("unfinished: %+v", r)
		}
	case n == 0 && records == 0: // a beat, an empty batch, or a payload in quarantine
		if sum > 1 {
			t.Errorf("%+v", r)
		}
	case sum != n || records > 0 && n != records:
		t.Errorf("%d records, %d accounted for, %d acknowledged", records, sum, n)
	}
	if r.Quarantined > 0 && s.counts().Quarantined == 0 {
		t.Error("what was quarantined is not in quarantine")
	}
}

func FuzzPayload(f *testing.F) {
	s := newShop(f)
	seeds(f, s)
	f.Fuzz(func(t *testing.T, stream string, payload []byte) {
		accounted(t, s, Incoming{agentID, stream, payload, noon()}, 0)
	})
}

// FuzzRecord puts arbitrary bytes where a record or its body belongs.
func FuzzRecord(f *testing.F) {
	s := newShop(f)
	raw := sale(f, 0, 1, noon())
	for _, body := range [][]byte{nil, raw, edited(raw), raw[:200], []byte("<CFe/>"), []byte("1|10000|"), status(noon(), func(*sat.Status) {}).Body} {
		f.Add(uint64(1), "document", body)
		f.Add(uint64(1)<<63, "status", body)
		f.Add(uint64(2), "event", body)
		f.Add(uint64(3), "", body)
	}
	f.Fuzz(func(t *testing.T, seq uint64, kind string, body []byte) {
		batch := wire.Batch{Version: 1, Epoch: epoch}
		for i, item := range []wire.Item{{Kind: kind, Body: body}, {Kind: wire.KindDocument, Body: body, At: int64(seq), Serial: kind}} {
			data, err := s.codec.Encode(item)
			if err != nil {
				t.Skip("not text")
			}
			batch.Records = append(batch.Records, wire.Record{Seq: seq + uint64(i), Data: data})
		}
		batch.Records = append(batch.Records, wire.Record{Seq: seq, Data: body})
		packets, err := s.codec.Pack(1, batch)
		if err != nil || len(packets) != 1 {
			t.Skip("too large for one payload")
		}
		accounted(t, s, Incoming{agentID, wire.StreamDocuments, packets[0], noon()}, len(batch.Records))
		if err := s.g.Judge(context.Background()); err != nil {
			t.Error(err)
		}
		s.view(func(r *store.Reader) error { _, err := r.Tills(); return err })
	})
}
