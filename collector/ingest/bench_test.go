//go:build unix

package ingest

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"log/slog"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

const benchBatch = 500

// benchDocuments are new documents of three devices.
func benchDocuments(b *testing.B, round int) (raw [][]byte) {
	for i := range benchBatch {
		raw = append(raw, sale(b, i%3, round*benchBatch+i, noon().Add(time.Duration(round)*time.Second)))
	}
	return raw
}

// together packs documents as one batch, apart as messages of one record each.
func together(s *shop, first uint64, raw [][]byte) []Incoming {
	var items []wire.Item
	for _, doc := range raw {
		items = append(items, document(doc))
	}
	return s.records(wire.StreamDocuments, first, items...)
}

func apart(s *shop, first uint64, raw [][]byte) (in []Incoming) {
	for i := range raw {
		in = append(in, together(s, first+uint64(i), raw[i:i+1])...)
	}
	return in
}

// counter is a sender that counts the records acknowledged.
type counter struct {
	s *shop
	n chan int
}

func (c counter) Send(_, _ string, payload []byte) error {
	var a wire.Ack
	err := c.s.codec.Decode(payload, &a)
	c.n <- len(a.Records)
	return err
}

// BenchmarkIngest measures documents from payload to acknowledgement, as one
// batch and as many messages through Run, and in the same rounds the floor: two RSA verifications
// each, one after another, and the bare insert of the same rows into the same
// tables.
func BenchmarkIngest(b *testing.B) {
	b.Run("batch", func(b *testing.B) {
		benchIngest(b, together, func(s *shop, in []Incoming) {
			if _, err := s.g.Ingest(context.Background(), in); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("run", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		to := counter{n: make(chan int, benchBatch)}
		benchIngest(b, apart, func(s *shop, in []Incoming) {
			if to.s == nil {
				to.s = s
				go s.g.Run(ctx, to)
			}
			for _, p := range in {
				s.g.Receive(p.Agent, p.Stream, p.Payload)
			}
			for left := len(in); left > 0; left -= <-to.n {
			}
		})
	})
}

func benchIngest(b *testing.B, pack func(*shop, uint64, [][]byte) []Incoming, ingest func(*shop, []Incoming)) {
	s := newShop(b)
	s.g.o.Log = slog.New(slog.DiscardHandler)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	bare := bareStore(b)
	var ours, floor, oursCPU, floorCPU time.Duration
	rounds := 0
	for b.Loop() {
		raw := benchDocuments(b, rounds)
		in := pack(s, uint64(rounds*benchBatch), raw)
		rounds++
		begin, cpu := time.Now(), cpuTime(b)
		ingest(s, in)
		ours, oursCPU = ours+time.Since(begin), oursCPU+cpuTime(b)-cpu
		rows := bareRows(b, s, raw)
		begin, cpu = time.Now(), cpuTime(b)
		for range 2 * benchBatch {
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
				b.Fatal(err)
			}
		}
		bareInsert(b, bare, rows)
		floor, floorCPU = floor+time.Since(begin), floorCPU+cpuTime(b)-cpu
	}
	if c := s.counts(); c.Documents != rounds*benchBatch {
		b.Fatalf("%+v after %d rounds", c, rounds)
	}
	per := func(d time.Duration) float64 { return float64(rounds*benchBatch) / d.Seconds() }
	b.ReportMetric(per(ours), "docs/s")
	b.ReportMetric(per(floor), "floor/s")
	b.ReportMetric(per(ours)/per(floor), "ratio")
	b.ReportMetric(per(oursCPU)/per(floorCPU), "cpu-ratio")
	b.ReportMetric(1e6/per(oursCPU), "cpu-us/doc")
}

// cpuTime is what this process has used of all cores: on a busy machine only
// this compares.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareStore is a database with the store's tables and settings, without the
// store.
func bareStore(b *testing.B) *sql.DB {
	file := filepath.Join(b.TempDir(), "bare.db")
	st, err := store.Open(context.Background(), file)
	if err != nil {
		b.Fatal(err)
	}
	st.Close()
	db, err := sql.Open("sqlite", "file:"+file+"?_journal_mode=WAL&_synchronous=FULL&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-65536)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { db.Close() })
	return db
}

type bareRow struct {
	doc  cfe.Document
	hash [32]byte
	zip  []byte
}

func bareRows(b *testing.B, s *shop, raw [][]byte) (rows []bareRow) {
	for _, r := range raw {
		doc, err := cfe.Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		var zip []byte
		s.view(func(rd *store.Reader) error {
			list, err := rd.Versions(string(doc.Key))
			if err == nil {
				zip, err = rd.Body(list[0].ID)
			}
			return err
		})
		rows = append(rows, bareRow{doc, sha256.Sum256(r), zip[:2600]})
	}
	slices.SortFunc(rows, func(a, b bareRow) int { return cmp.Compare(a.doc.Key, b.doc.Key) })
	return rows
}

func bareInsert(b *testing.B, db *sql.DB, rows []bareRow) {
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback()
	stmt, err := tx.Prepare(`INSERT INTO documents (key, part, sha256, best, rank, kind, cancels, layout, model, environment, test,
		issued, zone, month, issuer, issuer_name, serial, series, number, till, consumer, total,
		verdict, reason, checks, forbidden, invalid, received_at, size, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
			$25, $26, $27, $28, $29, $30)`)
	if err != nil {
		b.Fatal(err)
	}
	const checks = `[{"name":"Assinatura do documento","verdict":"verified"},{"name":"Assinatura do QR Code","verdict":"verified"}]`
	for _, r := range rows {
		d := r.doc
		_, err := stmt.Exec(string(d.Key), "", r.hash[:], 1, 55, string(d.Kind), "", d.Layout, d.Model, d.Environment, d.Test, d.Issued.UnixMilli(),
			-180, "202512", d.Issuer, d.IssuerName, d.Serial, "", d.Number, d.Till, d.Consumer, d.Total, "verified", "", checks, false, false,
			d.Issued.UnixMilli(), 4000, r.zip)
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
