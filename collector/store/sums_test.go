package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSums: whatever comes, in whatever order, and goes again: what is told of days and of
// the archive is what counting finds, and what a migration of these documents finds.
func TestSums(t *testing.T) { eachAddress(t, testSums) }

func testSums(t *testing.T, address string) {
	s := openAt(t, address)
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		issuers := []string{fmt.Sprintf("%08d000191", 2*histories), fmt.Sprintf("%08d000191", 2*histories+1)}
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			err := s.Update(t.Context(), func(w *Writer) error {
				if rapid.IntRange(0, 5).Draw(rt, "what") == 0 {
					return dropSome(rt, w, issuers)
				}
				return addSome(rt, w, s, issuers)
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
		view(t, s, func(r *Reader) error {
			kept, err := summed(r, issuers[0], issuers[1])
			want, err2 := counted(r, issuers[0], issuers[1])
			if !maps.Equal(kept, want) || err != nil || err2 != nil {
				rt.Errorf("sums: %v\ncount: %v\n%v %v", kept, want, err, err2)
			}
			return nil
		})
	})
	everything := func() (f figures) {
		view(t, s, func(r *Reader) (err error) { f, err = summed(r, "", "~"); return err })
		return f
	}
	before := everything()
	db := raw(t, address)
	for _, statement := range append([]string{"DELETE FROM archived", "DELETE FROM cancelled", "DELETE FROM sales_days"}, countedOnce(t, address)...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if after := everything(); !maps.Equal(before, after) || len(after) < histories {
		t.Errorf("the migration finds %d figures, %d were kept of %d histories", len(after), len(before), histories)
	}
}

// addSome adds versions of a few documents, which are sales, tests, cancellations, events
// that cancel, and void ranges, of one day or another.
func addSome(rt *rapid.T, w *Writer, s *Store, issuers []string) error {
	var list []NewDocument
	for range rapid.IntRange(1, 6).Draw(rt, "documents") {
		n := rapid.IntRange(1, 4).Draw(rt, "number")
		issuer := rapid.SampledFrom(issuers).Draw(rt, "issuer")
		key := fmt.Sprintf("3525%02d%s59900000001%06d0000001", 11+n%2, issuers[0], n) // a key may be written by another issuer
		d := Document{Key: key, Kind: "venda", Model: 59, Issuer: issuer, Serial: "900000001", Number: n, ReceivedAt: t0,
			Issued: t0.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "issued")) * 7 * time.Hour),
			Total:  rapid.SampledFrom([]string{"10.00", "0.10", "1234567.89", "7", "", "?"}).Draw(rt, "total"), Rank: rapid.IntRange(0, 2).Draw(rt, "rank")}
		switch rapid.IntRange(0, 6).Draw(rt, "kind") {
		case 0:
			d.Kind, d.Cancels, d.Key = kindCancellation, key, strings.Replace(key, "0000001", "0000009", 1)
		case 1:
			d.Kind, d.Cancels, d.Part = kindEvent, key, fmt.Sprint("event", n)
		case 2:
			d.Test = true
		case 3:
			d.Serial, d.Model = "", 65
		case 4:
			d.Kind, d.Part = kindVoid, fmt.Sprint("void", n)
		}
		body := fmt.Sprint(d.Key, d.Part, d.Issuer, rapid.IntRange(0, 2).Draw(rt, "version"))
		list = append(list, NewDocument{d, s.Pack([]byte(body))})
	}
	_, err := w.AddDocuments(list...)
	return err
}

// dropSome gives up a document with its versions.
func dropSome(rt *rapid.T, w *Writer, issuers []string) error {
	shown, err := all(&w.Reader, scanDocument, `SELECT `+documentColumns+` FROM documents WHERE best = 1 AND issuer IN ($1, $2) ORDER BY key, part, issuer`, issuers[0], issuers[1])
	if err == nil && len(shown) > 0 {
		_, err = w.dropDocument(rapid.SampledFrom(shown).Draw(rt, "gone"))
	}
	return err
}

// figures are sums by name; what is nothing is not among them.
type figures map[string]int64

func (f figures) add(name string, n int64) {
	if f[name] += n; f[name] == 0 {
		delete(f, name)
	}
}

func (f figures) addDay(issuer, serial string, day time.Time, sum daySum) {
	line := issuer + " " + serial + " " + day.In(brasilia()).Format(time.DateTime)
	f.add(line+" sold", sum.sold)
	f.add(line+" cents", sum.cents)
	f.add(line+" cancelled", sum.cancelled)
	f.add(line+" cancelled cents", sum.cancelledCents)
}

// summed are the sums of the issuers between two, both included.
func summed(r *Reader, first, last string) (figures, error) {
	f := figures{}
	_, err := all(r, func(s scanner, sum *daySum) error {
		var issuer, serial string
		var day time.Time
		err := s.Scan(&issuer, &serial, at(&day), &sum.sold, &sum.cents, &sum.cancelled, &sum.cancelledCents)
		f.addDay(issuer, serial, day, *sum)
		return err
	}, `SELECT issuer, serial, day, sold, cents, cancelled, cancelled_cents FROM sales_days WHERE issuer >= $1 AND issuer <= $2`, first, last)
	for _, query := range []string{`SELECT issuer || ' documents', documents FROM archived`, `SELECT issuer || ' versions', versions FROM archived`,
		`SELECT issuer || ' cancels ' || key, times FROM cancelled`} {
		_, more := all(r, func(s scanner, _ *struct{}) error {
			var name string
			var n int64
			err := s.Scan(&name, &n)
			f.add(name, n)
			return err
		}, query+` WHERE issuer >= $1 AND issuer <= $2`, first, last)
		err = errors.Join(err, more)
	}
	return f, err
}

// counted is the same, counted document by document.
func counted(r *Reader, first, last string) (figures, error) {
	f := figures{}
	docs, err := all(r, scanDocument, `SELECT `+documentColumns+` FROM documents WHERE issuer >= $1 AND issuer <= $2`, first, last)
	for _, d := range docs {
		f.add(d.Issuer+" versions", 1)
		if !d.Best {
			continue
		}
		f.add(d.Issuer+" documents", 1)
		if d.Cancels != "" {
			f.add(d.Issuer+" cancels "+d.Cancels, 1)
		}
		if d.Part != "" || d.Test || d.Kind != "venda" {
			continue
		}
		sum := daySum{sold: 1, cents: cents(d.Total)}
		if slices.ContainsFunc(docs, func(o Document) bool { return o.Best && o.Issuer == d.Issuer && o.Cancels == d.Key }) {
			sum.cancelled, sum.cancelledCents = 1, sum.cents
		}
		f.addDay(d.Issuer, d.Serial, dayOf(d.Issued), sum)
	}
	return f, err
}

// countedOnce are the statements of the migration that count what was there before.
func countedOnce(t *testing.T, address string) []string {
	t.Helper()
	engine := "sqlite"
	if isPostgres(address) {
		engine = "postgres"
	}
	text, err := migrations.ReadFile("migrations/" + engine + "/0014_sums.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, once, found := strings.Cut(string(text), "-- What was there is counted once.\n")
	if !found {
		t.Fatal("the migration counts nothing")
	}
	return strings.Split(strings.TrimSuffix(strings.TrimSpace(once), ";"), ";\n")
}
