package buffer

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// rawLog is the floor: append and fdatasync, with group commit for many writers.
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
	l.mu.Lock()
	buf, wait := l.buf, l.wait
	l.buf, l.wait = nil, nil
	l.mu.Unlock()
	var err error
	if len(wait) > 0 {
		if _, err = l.f.Write(buf); err == nil {
			err = fdatasync(l.f)
		}
	}
	for _, w := range wait {
		w <- err
	}
	<-l.lead
	return <-done
}

// rate appends n records of 1,536 bytes from so many writers.
func rate(t testing.TB, writers, n int, appendOne func([]byte) error) float64 {
	var g sync.WaitGroup
	start := time.Now()
	for range writers {
		g.Go(func() {
			data := make([]byte, 1536)
			for range n / writers {
				if err := appendOne(data); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	return float64(n) / time.Since(start).Seconds()
}

func BenchmarkAppend(b *testing.B) {
	for name, c := range map[string]struct{ writers, n int }{"1-writer": {1, 1500}, "32-writers": {32, 16000}} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				dir := b.TempDir()
				f, err := os.Create(filepath.Join(dir, "raw"))
				if err != nil {
					b.Fatal(err)
				}
				raw := &rawLog{f: f, lead: make(chan struct{}, 1)}
				buf, _, err := Open(filepath.Join(dir, "b"), Options{Streams: []Stream{{Name: "documents"}}})
				if err != nil {
					b.Fatal(err)
				}
				var ratios []float64
				for range 5 {
					floor := rate(b, c.writers, c.n, raw.append)
					ours := rate(b, c.writers, c.n, func(d []byte) error {
						batch := Batch{}
						batch.Append("documents", d)
						_, err := buf.Commit(&batch)
						return err
					})
					b.Logf("raw %.0f/s, buffer %.0f/s", floor, ours)
					ratios = append(ratios, ours/floor)
				}
				b.ReportMetric(median(ratios), "x-raw")
				buf.Close()
				f.Close()
			}
		})
	}
}

var _ = sha256.New
