package buffer

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// rawLog is the floor: append and fdatasync, shared by the writers who wait.
type rawLog struct {
	f    *os.File
	mu   sync.Mutex
	wait []chan error
	buf  []byte
	lead chan struct{}
}

func (l *rawLog) append(b []byte) error {
	done := make(chan error, 1)
	l.mu.Lock()
	l.buf, l.wait = append(l.buf, b...), append(l.wait, done)
	l.mu.Unlock()
	select {
	case err := <-done:
		return err
	case l.lead <- struct{}{}:
	}
	runtime.Gosched()
	l.mu.Lock()
	buf, wait := l.buf, l.wait
	l.buf, l.wait = nil, nil
	l.mu.Unlock()
	var err error
	if len(wait) > 0 {
		if _, err = l.f.Write(buf); err == nil {
			err = syscall.Fdatasync(int(l.f.Fd()))
		}
	}
	for _, w := range wait {
		w <- err
	}
	<-l.lead
	return <-done
}

// rate is how many records of 1,536 bytes a second so many writers append.
func rate(b *testing.B, writers, n int, appendOne func([]byte) error) float64 {
	var g sync.WaitGroup
	start := time.Now()
	for range writers {
		g.Go(func() {
			data := make([]byte, 1536)
			for range n / writers {
				if err := appendOne(data); err != nil {
					b.Error(err)
				}
			}
		})
	}
	g.Wait()
	return float64(n) / time.Since(start).Seconds()
}

func (b *Buffer) appendOne(d []byte) error {
	var batch Batch
	batch.Append("documents", d)
	_, err := b.Commit(&batch)
	return err
}

func median(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}

// BenchmarkAppend compares durable appends with a raw log and, for one writer,
// with bbolt alone, in turns on the same disk.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name       string
		writers, n int
	}{{"1-writer", 1, 1500}, {"32-writers", 32, 16000}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			f, err := os.Create(filepath.Join(dir, "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			raw := &rawLog{f: f, lead: make(chan struct{}, 1)}
			plain, err := bbolt.Open(filepath.Join(dir, "plain"), 0o600, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer plain.Close()
			buf := mustOpen(b, filepath.Join(dir, "b"), Options{Streams: []Stream{{Name: "documents"}}})
			var toRaw, toPlain, floors, rates []float64
			start, first := buf.db.Stats().TxStats, lastTx(b, buf)
			for range max(5, b.N) {
				floor := rate(b, c.writers, c.n, raw.append)
				ours := rate(b, c.writers, c.n, buf.appendOne)
				b.Logf("raw log %.0f/s, buffer %.0f/s", floor, ours)
				toRaw, floors, rates = append(toRaw, ours/floor), append(floors, floor), append(rates, ours)
				if c.writers == 1 {
					toPlain = append(toPlain, ours/rate(b, 1, c.n, func(d []byte) error { return putPlain(plain, d) }))
				}
			}
			b.ReportMetric(median(toRaw), "of-raw")
			b.ReportMetric(median(floors), "raw/s")
			b.ReportMetric(median(rates), "ours/s")
			end, commits := buf.db.Stats().TxStats, float64(lastTx(b, buf)-first)
			written := end.Sub(&start)
			b.ReportMetric(float64(written.GetWrite())/commits, "pages/commit") // the meta page too; and two flushes
			b.ReportMetric(float64(c.n*max(5, b.N))/commits, "records/commit")
			if len(toPlain) > 0 {
				b.ReportMetric(median(toPlain), "of-bbolt")
			}
		})
	}
}

// lastTx is the number of the last transaction.
func lastTx(t testing.TB, b *Buffer) (id int) {
	if err := b.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func putPlain(db *bbolt.DB, d []byte) error {
	return db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, n), d)
	})
}

// BenchmarkDrained compares a commit after a backlog of 200,000 records was
// acknowledged with a commit to a new file, and times opening such a file.
func BenchmarkDrained(b *testing.B) {
	dir := b.TempDir()
	o := Options{Streams: []Stream{{Name: "documents", Evictable: true}}} // what is acknowledged goes: nothing but free pages is left
	path := filepath.Join(dir, "drained")
	drained := mustOpen(b, path, o)
	for range 200000 / 200 {
		var batch Batch
		for range 200 {
			batch.Append("documents", make([]byte, 1536))
		}
		if _, err := drained.Commit(&batch); err != nil {
			b.Fatal(err)
		}
	}
	for {
		records, err := drained.Peek("documents", 0, 1000, 4<<20)
		if err != nil {
			b.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		if _, err := drained.Acknowledge("documents", drained.Epoch(), acksOf(records)); err != nil {
			b.Fatal(err)
		}
	}
	fresh := mustOpen(b, filepath.Join(dir, "fresh"), o)
	compare := func() (ratio, young, old float64) {
		var ratios, news, olds []float64
		for range max(5, b.N) {
			n, o := rate(b, 1, 1000, fresh.appendOne), rate(b, 1, 1000, drained.appendOne)
			ratios, news, olds = append(ratios, n/o), append(news, 1e6/n), append(olds, 1e6/o)
		}
		return median(ratios), median(news), median(olds)
	}
	// Until the till is idle, each commit writes the list of the free pages.
	before, _, _ := compare()
	b.ReportMetric(before, "x-new-until-idle")
	if done, err := drained.Compact(); !done || err != nil {
		b.Fatalf("not compacted: %v", err)
	}
	ratio, young, old := compare()
	b.ReportMetric(ratio, "x-new")
	b.ReportMetric(young, "new-us")
	b.ReportMetric(old, "drained-us")
	b.Logf("drained: %d free pages, %d bytes used", drained.db.Stats().FreePageN, drained.Stats().Used)
	mustClose(b, drained)
	start := time.Now()
	mustOpen(b, path, o)
	b.ReportMetric(time.Since(start).Seconds(), "s-open")
}
