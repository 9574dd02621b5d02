package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// batch makes n documents of n different devices with bodies that compress as
// real ones do, sorted by key as ingest does.
func batch(s *Store, round, n int) ([]Document, []Packed) {
	r := rand.New(rand.NewPCG(uint64(round), 1))
	docs, bodies := make([]Document, n), make([]Packed, n)
	for i := range n {
		docs[i], _ = sample(fmt.Sprintf("%09d", 900000000+i), round, t0.Add(time.Duration(round)*time.Minute))
		if i%5 < 2 {
			docs[i].Consumer = fmt.Sprintf("%011d", r.IntN(1e6))
		}
	}
	slices.SortFunc(docs, func(a, b Document) int { return cmp.Compare(a.Key, b.Key) })
	for i := range n {
		raw := make([]byte, 3600)
		for j := range raw {
			raw[j] = byte(r.Uint32())
		}
		bodies[i] = s.Pack(raw)
	}
	return docs, bodies
}

// BenchmarkInsert stores batches of documents with their arrivals in one
// transaction each, in a SQLite file and in PostgreSQL, and the same rows bare in a
// file: one prepared statement per table, nothing asked.
func BenchmarkInsert(b *testing.B) {
	for _, engine := range benchEngines() {
		for _, n := range []int{1, 100, 500} {
			b.Run(fmt.Sprintf("%s/%d", engine.name, n), func(b *testing.B) {
				insertBatches(b, engine.open(b), n, addBatch)
			})
		}
	}
	for _, n := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("bare/%d", n), func(b *testing.B) { insertBatches(b, open(b), n, bareInsert) })
	}
}

// benchEngine opens a new store of one engine.
type benchEngine struct {
	name string
	open func(testing.TB) *Store
}

func benchEngines() []benchEngine {
	return []benchEngine{{"sqlite", open}, {"postgres", func(t testing.TB) *Store { return openAt(t, theServer(t).database(t)) }}}
}

func insertBatches(b *testing.B, s *Store, n int, insert func(*testing.B, *Store, int, []Document, []Packed)) {
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		docs, bodies := batch(s, round, n)
		b.StartTimer()
		insert(b, s, round, docs, bodies)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/doc")
}

func addBatch(b *testing.B, s *Store, round int, docs []Document, bodies []Packed) {
	update(b, s, func(w *Writer) error {
		list, arrivals := make([]NewDocument, len(docs)), make([]Arrival, len(docs))
		for i, d := range docs {
			list[i] = NewDocument{d, bodies[i]}
		}
		added, err := w.AddDocuments(list...)
		if err != nil {
			return err
		}
		for i, a := range added {
			rec := Record{Agent: fmt.Sprint("agent", i), Epoch: "e", Stream: "documents", Seq: uint64(round), SHA256: bodies[i].SHA256, At: t0}
			arrivals[i] = Arrival{rec, a.ID}
		}
		_, err = w.AddArrivals(arrivals...)
		return err
	})
}

func bareInsert(b *testing.B, s *Store, _ int, docs []Document, bodies []Packed) {
	tx, err := s.engine.(*sqlite).write.BeginTx(context.Background(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback()
	stmt, err := tx.Prepare(`INSERT INTO documents (key, part, sha256, best, rank, kind, cancels, layout, model, environment, test,
		issued, zone, month, issuer, issuer_name, serial, series, number, till, consumer, total,
		verdict, reason, checks, forbidden, invalid, received_at, size, body)
		VALUES ($1, '', $2, 1, 40, 'venda', '', '0.08', 59, 1, 0, $3, -180, $4, $5, 'LOJA', $6, '', $7, '001', $8, '10.00',
			'verified', '', '[]', 0, 0, $3, $9, $10)`)
	if err != nil {
		b.Fatal(err)
	}
	for i, d := range docs {
		_, err := stmt.Exec(d.Key, bodies[i].SHA256[:], ms(d.Issued), d.Month(), d.Issuer, d.Serial, d.Number, d.Consumer,
			bodies[i].Size, bodies[i].zip)
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
