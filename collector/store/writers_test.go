package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// fleet is what two writers store of the same devices at once: versions of the same
// documents, records of the same streams, uses of the same token.
const (
	fleetDevices  = 3
	fleetSales    = 12
	fleetVersions = 4 // of each document, each of another rank
)

// TestTwoWriters: two collectors that store the same fleet lose and double nothing.
func TestTwoWriters(t *testing.T) { eachAddress(t, testTwoWriters) }

func testTwoWriters(t *testing.T, address string) {
	stores := []*Store{openAt(t, address), openAt(t, address)}
	update(t, stores[0], func(w *Writer) error {
		return w.AddToken("secret", Token{Allowed: fleetSales, CreatedAt: t0, ExpiresAt: t0.AddDate(1, 0, 0)})
	})
	var mu sync.Mutex
	var fresh, added, spent int
	var working sync.WaitGroup
	for turn, s := range stores {
		working.Go(func() {
			for n := range fleetSales {
				for v := range fleetVersions {
					err := s.Update(t.Context(), func(w *Writer) error {
						f, a, err := storeFleet(w, n, (v+2*turn)%fleetVersions, turn)
						mu.Lock()
						defer mu.Unlock()
						fresh, added = fresh+f, added+a
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
				err := s.Update(t.Context(), func(w *Writer) error { return w.SpendToken("secret", t0) })
				mu.Lock()
				if err == nil {
					spent++
				} else if !errors.Is(err, ErrTokenSpent) {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	const documents = fleetDevices * fleetSales
	// The two turns bring other bytes of what each document arrived in.
	if want := documents * fleetVersions; added != want || fresh != 2*want || spent != fleetSales {
		t.Errorf("%d versions, want %d; %d arrivals, want %d; %d uses of a token", added, want, fresh, 2*want, spent)
	}
	view(t, stores[0], func(r *Reader) error {
		if c, err := r.Counts(); c.Documents != documents || c.Versions != documents*fleetVersions || err != nil {
			t.Errorf("%+v, %v", c, err)
		}
		for i := range fleetDevices {
			serial := fmt.Sprint(900000001 + i)
			if d, err := r.Device(serial); d.Documents != fleetSales || err != nil {
				t.Errorf("%s counts %d documents, %v", serial, d.Documents, err)
			}
			for n := range fleetSales {
				d, _ := sample(serial, n, t0)
				all, err := r.Versions(d.Key)
				if err != nil || len(all) != fleetVersions || all[0].Rank != fleetVersions-1 || !all[0].Best || all[1].Best {
					t.Errorf("%s: %+v, %v", d.Key, all, err)
				}
			}
		}
		h, err := r.collisions("agent001")
		if want := documents * fleetVersions; h.Count != want {
			t.Errorf("%d collisions counted, want %d", h.Count, want)
		}
		return err
	})
}

// storeFleet stores one version of the n-th document of each device, and the record
// it arrived in, whose bytes are those of the turn.
func storeFleet(w *Writer, n, version, turn int) (fresh, added int, err error) {
	var list []NewDocument
	for i := range fleetDevices {
		d, body := sample(fmt.Sprint(900000001+i), n, t0)
		d.Rank = version
		list = append(list, NewDocument{d, w.s.Pack(fmt.Appendf(body, "%d", version))})
	}
	out, err := w.AddDocuments(list...)
	if err != nil {
		return 0, 0, err
	}
	var arrivals []Arrival
	for i, a := range out {
		r := rec("e1", list[i].Serial, uint64(n*fleetVersions+version), t0)
		r.SHA256[31] = byte(turn)
		arrivals = append(arrivals, Arrival{r, a.ID})
		if a.New {
			added++
		}
	}
	news, err := w.AddArrivals(arrivals...)
	for _, isNew := range news {
		if isNew {
			fresh++
		}
	}
	return fresh, added, errors.Join(err, w.Mark(dev), w.Heard("agent001", t0))
}

// TestTwoJudges: a mark set while a subject is judged stays, also when another judge
// took the earlier one away.
func TestTwoJudges(t *testing.T) { eachEngine(t, testTwoJudges) }

func testTwoJudges(t *testing.T, s *Store) {
	marks := func() (m []Marked) {
		view(t, s, func(r *Reader) (err error) { m, err = r.Marks(alarm.Subject{}, 10); return err })
		return m
	}
	mark := func() { update(t, s, func(w *Writer) error { return w.Mark(dev) }) }
	mark()
	first := marks()[0] // both judges read it
	update(t, s, func(w *Writer) error { return w.Evaluated(first) })
	mark()                                                            // new facts
	update(t, s, func(w *Writer) error { return w.Evaluated(first) }) // of the slower judge
	if len(marks()) != 1 {
		t.Error("the mark of facts that nobody judged is gone")
	}
}

// TestBatches: what comes together is stored as if it had come one by one.
func TestBatches(t *testing.T) { eachEngine(t, testBatches) }

func testBatches(t *testing.T, s *Store) {
	version := func(number, rank int, months int) NewDocument {
		d, body := sample("900000001", number, t0.AddDate(0, months, 0))
		d.Rank = rank
		return NewDocument{d, s.Pack(fmt.Appendf(body, "rank %d", rank))}
	}
	void, _ := sample("", 0, t0)
	void.Key, void.Part, void.Kind = "", "aa", "inutilizacao"
	var there int64
	update(t, s, func(w *Writer) (err error) {
		there, _, err = w.AddDocument(version(1, 5, 0).Document, version(1, 5, 0).Body)
		return err
	})
	list := []NewDocument{
		version(1, 7, 0), version(1, 5, 0), version(2, 3, 0), version(2, 9, 0), version(2, 3, 0), version(2, 4, 0), version(3, 1, -1),
		{void, s.Pack([]byte("void"))},
	}
	news := []bool{true, false, true, true, false, true, true, true}
	best := []bool{true, false, false, true, false, false, true, true}
	update(t, s, func(w *Writer) error {
		if out, err := w.AddDocuments(); len(out) != 0 || err != nil {
			t.Errorf("nothing: %+v, %v", out, err)
		}
		if out, err := w.AddArrivals(); len(out) != 0 || err != nil {
			t.Errorf("nothing: %+v, %v", out, err)
		}
		out, err := w.AddDocuments(list...)
		if err != nil {
			return err
		}
		if out[1].ID != there || out[4].ID != out[2].ID {
			t.Errorf("ids of versions that are there: %+v, not %d", out, there)
		}
		for i, a := range out {
			d, err := w.Document(a.ID)
			if err != nil || a.New != news[i] || d.Best != best[i] || d.SHA256 != list[i].Body.SHA256 || d.Rank != list[i].Rank || d.Key != list[i].Key {
				t.Errorf("%d: %+v, best %v, %v", i, a, d.Best, err)
			}
		}
		return nil
	})
	if d := device(t, s, "900000001"); d.Documents != 3 {
		t.Errorf("%d documents counted", d.Documents)
	}
	update(t, s, func(w *Writer) error {
		one, clone, again := rec("e1", "documents", 1, t0), rec("e1", "documents", 1, t0), rec("e1", "documents", 1, t0)
		clone.SHA256[31] = 1
		next, elsewhere := rec("e1", "documents", 2, t0), rec("e2", "documents", 1, t0)
		file := Record{Stream: "import", File: "a.xml", At: t0}
		fresh, err := w.AddArrivals(Arrival{one, 1}, Arrival{clone, 2}, Arrival{again, 1}, Arrival{next, 0}, Arrival{elsewhere, 0}, Arrival{file, 0}, Arrival{file, 0})
		if got := fmt.Sprint(fresh); got != "[true true false true true true false]" {
			t.Error(got)
		}
		h, err2 := w.collisions("agent001")
		if h.Count != 1 {
			t.Errorf("%d collisions", h.Count)
		}
		return errors.Join(err, err2)
	})
}

// TestTextsThatAreNone: zero bytes and what is not UTF-8 stop no record.
func TestTextsThatAreNone(t *testing.T) { eachEngine(t, testTextsThatAreNone) }

func testTextsThatAreNone(t *testing.T, s *Store) {
	const odd = "a\x00b\xff\xc3"
	d, body := sample("900000001", 1, t0)
	d.Key, d.Till, d.IssuerName, d.Serial = odd, odd, odd, odd
	id, added := add(t, s, d, body)
	again, addedAgain := add(t, s, d, body)
	if !added || addedAgain || again != id {
		t.Errorf("%v %v, ids %d and %d", added, addedAgain, id, again)
	}
	r := rec("e1", odd, 1, t0)
	r.File = odd
	for i, want := range []bool{true, false} {
		update(t, s, func(w *Writer) error {
			fresh, err := w.AddArrival(r, id)
			if fresh != want {
				t.Errorf("%d: fresh is %v", i, fresh)
			}
			return errors.Join(err, w.Quarantine(Quarantined{Agent: odd, File: odd, Reason: odd, ReceivedAt: t0}, s.Pack([]byte(odd))))
		})
	}
	view(t, s, func(r *Reader) error {
		versions, err := r.Versions(odd)
		if len(versions) != 1 {
			t.Fatalf("%d versions, %v", len(versions), err)
		}
		raw, err := r.Body(versions[0].ID)
		if !bytes.Equal(raw, body) {
			t.Error("other bytes")
		}
		return err
	})
}

// TestLateFailure: a statement may be carried out with the commit; Update still
// fails for it, and nothing is stored.
func TestLateFailure(t *testing.T) { eachEngine(t, testLateFailure) }

func testLateFailure(t *testing.T, s *Store) {
	token := Token{Label: "twice", Allowed: 1, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}
	err := s.Update(context.Background(), func(w *Writer) error {
		return errors.Join(w.Heard("agent001", t0), w.AddToken("secret", token), w.AddToken("secret", token))
	})
	if err == nil {
		t.Error("one secret for two tokens")
	}
	view(t, s, func(r *Reader) error {
		tokens, err := r.Tokens()
		agents, err2 := r.Agents()
		if len(tokens)+len(agents) != 0 {
			t.Errorf("%+v, %+v", tokens, agents)
		}
		return errors.Join(err, err2)
	})
}

// TestContextEndsMidway: what is written after the transaction was rolled back is not
// stored by itself.
func TestContextEndsMidway(t *testing.T) { eachEngine(t, testContextEndsMidway) }

func testContextEndsMidway(t *testing.T, s *Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(w *Writer) error {
		if err := w.Heard("agent001", t0); err != nil {
			return err
		}
		cancel()
		for { // until it is rolled back
			if _, err := w.Agents(); err != nil {
				break
			}
		}
		w.Heard("agent002", t0)
		return nil
	})
	if err == nil {
		t.Error("an update without transaction succeeded")
	}
	view(t, s, func(r *Reader) error {
		agents, err := r.Agents()
		if len(agents) != 0 {
			t.Errorf("%+v", agents)
		}
		return err
	})
	update(t, s, func(w *Writer) error { return w.Heard("agent003", t0) })
}
