package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	bbolterrors "go.etcd.io/bbolt/errors"
)

// isFull reports whether a commit was refused for want of room, and as early as
// it should: bbolt itself must never run out of pages.
func isFull(t interface{ Fatalf(string, ...any) }, err error) bool {
	if errors.Is(err, bbolterrors.ErrMaxSizeReached) {
		t.Fatalf("more pages were taken than foreseen: %v", err)
	}
	return errors.Is(err, ErrFull)
}

// fill appends records of a stream until the buffer is full and returns how many.
func fill(t testing.TB, b *Buffer, stream string, size int) (n int) {
	t.Helper()
	for {
		var batch Batch
		for range 20 {
			batch.Append(stream, noise(uint64(n), size))
		}
		_, err := b.Commit(&batch)
		if isFull(t, err) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if n += 20; n > 1<<20 {
			t.Fatal("never full")
		}
	}
}

func TestFullRefusesAndHarmsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	n := fill(t, b, "documents", 6000)
	if held := int64(n) * 6000; held < 3<<20 {
		t.Errorf("full with %d bytes of data", held)
	}
	if err := b.Room(100000); !errors.Is(err, ErrFull) {
		t.Errorf("room in a full buffer: %v", err)
	}
	mustPut(t, b, "calls", "answer", noise(1, 100000)) // the reserve is for this
	var last error
	for i := 0; last == nil; i++ {
		var batch Batch
		batch.Put("calls", fmt.Appendf(nil, "answer%d", i), noise(1, 50000))
		batch.Append("documents", noise(2, 6000))
		if _, last = b.Commit(&batch); last == nil {
			n++
		}
	}
	if !isFull(t, last) {
		t.Errorf("with the reserve filled: %v", last)
	}
	mustClose(t, b)
	b = mustOpen(t, path, small())
	records := mustPeek(t, b, "documents")
	if len(records) != n {
		t.Fatalf("%d of %d records wait", len(records), n)
	}
	mustAcknowledge(t, b, "documents", records) // needs pages to free pages
	if err := b.Room(100000); err != nil {
		t.Errorf("no room although all is acknowledged: %v", err)
	}
	if again := fill(t, b, "documents", 6000); again < n/2 {
		t.Errorf("%d records fitted at first, %d the second time", n, again)
	}
}

func TestEvictionOrder(t *testing.T) {
	o := small()
	var told []string
	o.Evicted = func(stream string, first, last uint64, n int) (string, []byte) {
		told = append(told, stream)
		return "events", fmt.Appendf(nil, "%s %d-%d %d", stream, first, last, n)
	}
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
	mustAppend(t, b, "documents", []byte("a document"))
	for i := range 200 {
		mustAppend(t, b, "telemetry", noise(uint64(i), 5000))
	}
	for i := range 200 {
		mustAppend(t, b, "logs", noise(uint64(i), 5000))
	}
	mustAppend(t, b, "events", noise(1, 900000))
	acknowledged := mustPeek(t, b, "events")
	mustAcknowledge(t, b, "events", acknowledged)

	n := 0
	for ; stats(t, b, "events").Copies == 1; n++ {
		mustAppend(t, b, "documents", noise(uint64(n), 6000))
	}
	if len(told) > 0 {
		t.Fatalf("%q were evicted before a copy", told)
	}
	n += fill(t, b, "documents", 6000)
	if order := slices.Compact(slices.Clone(told)); !slices.Equal(order, []string{"logs", "telemetry"}) {
		t.Errorf("evicted in the order %q", order)
	}
	if got := stats(t, b, "documents").Waiting; got != n+1 {
		t.Errorf("%d of %d documents wait", got, n+1)
	}
	left := stats(t, b, "telemetry").Waiting
	if stats(t, b, "logs").Waiting != 0 || left*5000 > 20*6000 {
		t.Errorf("20 documents were refused while %d records of telemetry could go", left)
	}
	gaps := texts(mustPeek(t, b, "events"))
	if len(gaps) != len(told) {
		t.Fatalf("%d evictions left %d records of the gap", len(told), len(gaps))
	}
	lost, stream, first, last, count := map[string]int{}, "", 0, 0, 0
	for _, g := range gaps {
		fmt.Sscanf(strings.Replace(g, "-", " ", 1), "%s %d %d %d", &stream, &first, &last, &count)
		lost[stream] += count
	}
	if lost["logs"] != 200 || lost["telemetry"] != 200-left {
		t.Errorf("gap records tell of %v", lost)
	}
}

func TestEvictionWithoutWitness(t *testing.T) {
	for name, evicted := range map[string]func(string, uint64, uint64, int) (string, []byte){
		"no function":   nil,
		"no gap record": func(string, uint64, uint64, int) (string, []byte) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := small()
			o.Evicted = evicted
			b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
			for i := range 600 {
				mustAppend(t, b, "logs", noise(uint64(i), 20000))
			}
			s := stats(t, b, "logs")
			if s.Waiting >= 600 || s.Waiting < 150 {
				t.Errorf("%d of 600 wait in 8 MiB", s.Waiting)
			}
			if r := mustPeek(t, b, "logs"); r[len(r)-1].Seq != 600 || r[0].Seq != uint64(601-s.Waiting) {
				t.Errorf("records %d to %d wait: not the newest", r[0].Seq, r[len(r)-1].Seq)
			}
		})
	}
	t.Run("gap for an unknown stream", func(t *testing.T) {
		o := small()
		o.Evicted = func(string, uint64, uint64, int) (string, []byte) { return "gaps", nil }
		b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
		var err error
		n := 0
		for ; err == nil; n++ {
			var batch Batch
			batch.Append("logs", noise(1, 50000))
			_, err = b.Commit(&batch)
		}
		if errors.Is(err, ErrFull) || errors.Is(err, ErrDamaged) || stats(t, b, "logs").Waiting != n-1 {
			t.Errorf("after %d records, of which %d wait: %v", n, stats(t, b, "logs").Waiting, err)
		}
	})
}

func TestRoomMakesRoom(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	fill(t, b, "documents", 3000)
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
	copies := stats(t, b, "documents").Copies
	if err := b.Room(600000); err != nil {
		t.Fatal(err)
	}
	if stats(t, b, "documents").Copies >= copies {
		t.Fatal("no copy made room")
	}
	if err := b.Room(64 << 20); !errors.Is(err, ErrFull) {
		t.Errorf("room for more than the bound: %v", err)
	}
	if stats(t, b, "documents").Copies == 0 {
		t.Error("copies were evicted for what can never fit")
	}
}

// TestManyWritersOfMuch commits at once what does not fit one transaction beside
// each other.
func TestManyWritersOfMuch(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	var queued []*pending
	for i := range 8 { // as write does before it gets the lead
		w := &pending{pages: 300, done: make(chan struct{})}
		w.apply = func(tx *txn) error { _, err := tx.append("documents", noise(uint64(i), 300000)); return err }
		queued = append(queued, w)
	}
	b.queue = queued
	mustAppend(t, b, "events", nil)
	for i, w := range queued {
		if <-w.done; w.err != nil {
			t.Errorf("write %d: %v", i, w.err)
		}
	}
	if got := len(mustPeek(t, b, "documents")); got != 8 {
		t.Errorf("%d records", got)
	}
}

// TestRing runs many times the bound through the buffer: a full file must go on
// for ever, whatever the order of its free pages.
func TestRing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	sizes := []int{300, 6000, 1500, 40000, 900, 12000}
	for i := range 400 {
		var batch Batch
		for j := range 8 {
			batch.Append("documents", noise(uint64(i), sizes[(i+j)%len(sizes)]))
		}
		batch.Put("calls", fmt.Appendf(nil, "%d", i%50), noise(uint64(i), sizes[i%len(sizes)]))
		if _, err := b.Commit(&batch); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != 8<<20 {
		t.Errorf("file of %d bytes, %v", info.Size(), err)
	}
	if held := stats(t, b, "documents").Copies; held < 300 {
		t.Errorf("%d copies held", held)
	}
	mustClose(t, b)
	if r, err := Check(path); err != nil || len(r.Damage) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A small system opens the usual buffer all the same.
func TestBoundThatCanBeMapped(t *testing.T) {
	if strconv.IntSize != 32 {
		t.Skip("SKIP: this system has room for every bound")
	}
	o := small()
	o.MaxBytes = 0
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
	defer mustClose(t, b)
	if got := b.Stats().Bound; got != most32 {
		t.Errorf("bound of %d bytes", got)
	}
}
