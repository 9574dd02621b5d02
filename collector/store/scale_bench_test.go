package store

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
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

// BenchmarkArchive fills an archive with a million documents in batches of 10,000. It
// compares what one more takes, and what the archive takes of memory and disk, when
// 100,000 are there with when all are, and then searches as a reseller with nearly all
// shops does, and as one with few: the 95th percentile of each, in milliseconds.
func BenchmarkArchive(b *testing.B) {
	for _, engine := range benchEngines() {
		b.Run(engine.name, func(b *testing.B) {
			const measured, few = 50_000, archived / 10
			for b.Loop() {
				s := engine.open(b)
				registerShops(b, s)
				empty := diskOf(b, s)
				at := func(until int) (us, memory, disk float64) {
					began := time.Now()
					fillTo(b, s, until-measured, until)
					us = float64(time.Since(began).Microseconds()) / measured
					return us, memoryOf(b), (diskOf(b, s) - empty) / float64(until)
				}
				compare := func(what string, before, after float64) {
					b.ReportMetric(before, what+"-100k")
					b.ReportMetric(after, what+"-1M")
					b.ReportMetric(after/before, what+"-ratio")
				}
				fillTo(b, s, 0, few-measured)
				us, memory, disk := at(few)
				fillTo(b, s, few, archived-measured)
				manyUs, manyMemory, manyDisk := at(archived)
				compare("insert-us", us, manyUs)
				compare("memory-MiB", memory, manyMemory)
				compare("disk-B", disk, manyDisk)
				for name, query := range lookups() {
					b.ReportMetric(percentile(b, s, OfReseller(DefaultReseller), sellers, query), name+"-ms")
					b.ReportMetric(percentile(b, s, OfReseller(small), smallShops/(shops/sellers), query), "small-"+name+"-ms")
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// memoryOf is what this process holds for itself (proc(5), status), in MiB.
func memoryOf(b *testing.B) (mib float64) {
	b.Helper()
	debug.FreeOSMemory()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("SKIP: memory is measured on Linux alone")
	}
	_, rest, _ := strings.Cut(string(raw), "RssAnon:")
	if _, err := fmt.Sscan(rest, &mib); err != nil {
		b.Fatal(err)
	}
	return mib / 1024
}

// diskOf is how many bytes a store takes.
func diskOf(b *testing.B, s *Store) (size float64) {
	b.Helper()
	query := `SELECT pg_database_size(current_database())`
	if _, is := s.engine.(*sqlite); is {
		query = `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	}
	view(b, s, func(r *Reader) error {
		bytes, err := one(r, value[int64], query)
		size = float64(bytes)
		return err
	})
	return size
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

func percentile(b *testing.B, s *Store, scope Scope, devices int, query func(int) Search) (ms float64) {
	b.Helper()
	const times, warm = 200, 40 // each connection plans a search once
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
	return float64(took[times*95/100].Microseconds()) / 1000
}
