package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// The archive that searches and inserts are measured on: so many documents of so
// many devices, one shop each, among the shops of a large and a small reseller.
const (
	archived   = 1_000_000
	sellers    = 2_000
	shops      = 50_000
	smallShops = 200 // of the small reseller; 8 of them sell
	small      = 2
)

func shopOf(n int) string { return fmt.Sprintf("%08d000191", 10_000_000+n) }

// shopOfDevice spreads the shops that sell over all.
func shopOfDevice(n int) string { return shopOf(n * (shops / sellers)) }

func deviceOf(n int) string { return fmt.Sprintf("%09d", 900_000_000+n) }

// registerShops makes the resellers and their clients, one taxpayer per shop.
func registerShops(b *testing.B, s *Store) {
	update(b, s, func(w *Writer) error {
		if _, err := w.AddReseller("Pequena", t0); err != nil {
			return err
		}
		for n := range shops {
			reseller := int64(DefaultReseller)
			if n < smallShops {
				reseller = small
			}
			err := w.exec(`INSERT INTO taxpayers (root, name, reseller_id, created_at) VALUES ($1, $2, $3, 0)`, RootOf(shopOf(n)), fmt.Sprint("LOJA ", n), reseller)
			if err == nil {
				err = w.exec(`INSERT INTO establishments (cnpj, root, name) VALUES ($1, $2, $3)`, shopOf(n), RootOf(shopOf(n)), fmt.Sprint("LOJA ", n))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// archivedDocument is number i of the archive: devices take turns, half a minute
// apart, twelve months pass, two in five name a consumer.
func archivedDocument(i int) Document {
	device, number := i%sellers, i/sellers+1
	d, _ := sample(deviceOf(device), number, t0.AddDate(-1, 0, 0).Add(time.Duration(number)*(365*24*time.Hour/(archived/sellers))+time.Duration(device)*30*time.Second))
	d.Issuer, d.IssuerName = shopOfDevice(device), "LOJA"
	if i%5 < 2 {
		d.Consumer = fmt.Sprintf("%011d", (i*7919)%300_000)
	}
	return d
}

// fillTo stores the documents from one number of the archive to another, in large
// transactions, with small bodies, which are read by no search.
func fillTo(b *testing.B, s *Store, from, to int) {
	body := s.Pack([]byte("<CFe/>"))
	for ; from < to; from += 10_000 {
		update(b, s, func(w *Writer) error {
			list := make([]NewDocument, 0, 10_000)
			for i := from; i < min(from+10_000, to); i++ {
				list = append(list, NewDocument{archivedDocument(i), body})
			}
			slices.SortFunc(list, func(a, b NewDocument) int { return cmp.Compare(a.Key, b.Key) })
			_, err := w.AddDocuments(list...)
			return err
		})
	}
}

// BenchmarkGrowth stores documents in batches of 10,000, and compares what one takes
// when 100,000 are there with when a million are.
func BenchmarkGrowth(b *testing.B) {
	for _, engine := range benchEngines() {
		b.Run(engine.name, func(b *testing.B) {
			const measured = 50_000
			for b.Loop() {
				s := engine.open(b)
				registerShops(b, s)
				at := func(from int) float64 {
					began := time.Now()
					fillTo(b, s, from, from+measured)
					return float64(time.Since(began).Microseconds()) / measured
				}
				fillTo(b, s, 0, archived/10-measured)
				few := at(archived/10 - measured)
				fillTo(b, s, archived/10, archived-measured)
				many := at(archived - measured)
				b.ReportMetric(few, "us-100k")
				b.ReportMetric(many, "us-1M")
				b.ReportMetric(many/few, "x-100k")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkSearch searches an archive of a million documents as a reseller with
// nearly all shops does, and as one with few, and reports the 95th percentile.
func BenchmarkSearch(b *testing.B) {
	for _, engine := range benchEngines() {
		b.Run(engine.name, func(b *testing.B) {
			s := engine.open(b)
			registerShops(b, s)
			fillTo(b, s, 0, archived)
			for _, who := range []struct {
				name    string
				scope   Scope
				devices int
			}{{"large", OfReseller(DefaultReseller), sellers}, {"small", OfReseller(small), smallShops / (shops / sellers)}} {
				for name, query := range lookups() {
					b.Run(who.name+"/"+name, func(b *testing.B) { percentile(b, s, who.scope, who.devices, query) })
				}
			}
		})
	}
}

// lookups are what people look for of document number i.
func lookups() map[string]func(i int) Search {
	return map[string]func(int) Search{
		"key": func(i int) Search { return Search{Key: archivedDocument(i).Key} },
		"device-day": func(i int) Search {
			day := archivedDocument(i).Issued.Truncate(24 * time.Hour)
			return Search{Serial: archivedDocument(i).Serial, From: day, To: day.AddDate(0, 0, 1)}
		},
		"CPF":    func(i int) Search { return Search{Consumer: archivedDocument(i - i%5).Consumer} },
		"newest": func(int) Search { return Search{} },
	}
}

func percentile(b *testing.B, s *Store, scope Scope, devices int, query func(int) Search) {
	const times, warm = 200, 40 // each connection plans a search once
	for b.Loop() {
		took := make([]time.Duration, warm+times)
		for n := range took {
			q := query(n*104_729%(archived/sellers)*sellers + (n*37)%devices)
			began := time.Now()
			err := s.View(context.Background(), scope, func(r *Reader) error {
				_, _, err := r.Search(q)
				return err
			})
			took[n] = time.Since(began)
			if err != nil {
				b.Fatal(err)
			}
		}
		took = took[warm:]
		slices.Sort(took)
		b.ReportMetric(float64(took[times*95/100].Microseconds())/1000, "p95-ms")
		b.ReportMetric(0, "ns/op")
	}
}
