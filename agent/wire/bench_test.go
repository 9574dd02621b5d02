package wire

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"zelo/collector/store"
	"zelo/sat/cfe"
)

// BenchmarkBytes measures what a coupon of some items takes on the wire, sent
// alone and all its message, and in the collector's archive, beside gzip -6 of its
// document. It is measured once, over 30 coupons.
func BenchmarkBytes(b *testing.B) {
	s, c := newShop(b), codec(b)
	d := s.dictionary(c)
	file := filepath.Join(b.TempDir(), "zelo.db")
	archive, err := store.Open(b.Context(), file)
	if err != nil {
		b.Fatal(err)
	}
	defer archive.Close()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, items := range []int{1, 3, 10} {
		b.Run(fmt.Sprintf("%d-item", items), func(b *testing.B) {
			zip, wire, archived := 0.0, 0.0, 0.0
			const rounds = 30
			for range rounds {
				r, doc := s.record(c, items)
				packets, err := c.PackWith(d, uint64(s.n), batch(r))
				if err != nil || len(packets) != 1 {
					b.Fatal(len(packets), err)
				}
				zip, wire = zip+float64(gzipped(b, doc)), wire+float64(len(packets[0]))
				archived += archivedBytes(b, archive, db, doc)
			}
			b.ReportMetric(zip/rounds, "gzip-B")
			b.ReportMetric(wire/rounds, "wire-B")
			b.ReportMetric(archived/rounds, "archive-B")
			b.ReportMetric(wire/zip, "wire-of-gzip")
			b.ReportMetric(archived/zip, "archive-of-gzip")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// archivedBytes stores a document and asks the database how long its body is.
func archivedBytes(b *testing.B, archive *store.Store, db *sql.DB, doc []byte) (n float64) {
	b.Helper()
	parsed, err := cfe.Parse(doc)
	if err == nil {
		err = archive.Update(b.Context(), func(w *store.Writer) error {
			_, _, err := w.AddDocument(store.Document{Key: string(parsed.Key), Kind: string(parsed.Kind), Issued: parsed.Issued, Serial: parsed.Serial}, archive.Pack(doc))
			return err
		})
	}
	if err == nil {
		err = db.QueryRow(`SELECT length(body) FROM documents WHERE key = $1`, string(parsed.Key)).Scan(&n)
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}
