package buffer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// small are options with which a buffer is full soon.
func small() Options {
	return Options{MaxBytes: 8 << 20, Reserve: 1 << 20,
		Streams: []Stream{{Name: "events"}, {Name: "documents"}, {Name: "telemetry", Evictable: true}, {Name: "logs", Evictable: true}}}
}

func mustOpen(t testing.TB, path string, o Options) *Buffer {
	t.Helper()
	b, r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Damage) > 0 {
		t.Fatalf("damage reported: %q", r.Damage)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func mustClose(t testing.TB, b *Buffer) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, b *Buffer, stream string, data ...[]byte) []uint64 {
	t.Helper()
	var batch Batch
	for _, d := range data {
		batch.Append(stream, d)
	}
	seqs, err := b.Commit(&batch)
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func mustPut(t testing.TB, b *Buffer, table, key string, value []byte) {
	t.Helper()
	var batch Batch
	batch.Put(table, []byte(key), value)
	if _, err := b.Commit(&batch); err != nil {
		t.Fatal(err)
	}
}

func mustPeek(t testing.TB, b *Buffer, stream string) []Record {
	t.Helper()
	records, err := b.Peek(stream, 0, 1<<20, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func mustAcknowledge(t testing.TB, b *Buffer, stream string, records []Record) {
	t.Helper()
	freed, err := b.Acknowledge(stream, b.Epoch(), acksOf(records))
	if err != nil || freed != len(records) {
		t.Fatalf("freed %d of %d: %v", freed, len(records), err)
	}
}

func acksOf(records []Record) (acks []Ack) {
	for _, r := range records {
		acks = append(acks, Ack{r.Seq, r.SHA256})
	}
	return acks
}

func stats(t testing.TB, b *Buffer, stream string) StreamStats {
	t.Helper()
	for _, s := range b.Stats().Streams {
		if s.Name == stream {
			return s
		}
	}
	t.Fatalf("no figures for stream %q", stream)
	return StreamStats{}
}

// noise is n bytes that no compression shortens, the same for the same seed.
func noise(seed uint64, n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(out)
	return out
}

func texts(records []Record) (out []string) {
	for _, r := range records {
		out = append(out, string(r.Data))
	}
	return out
}

func TestStreamKeepsRecordsUntilAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	clock := time.Unix(1800000000, 5)
	o := small()
	o.Now = func() time.Time { return clock }
	b := mustOpen(t, path, o)
	first := mustAppend(t, b, "documents", []byte("a"), []byte("b"))
	clock = clock.Add(time.Minute)
	second := mustAppend(t, b, "documents", []byte("c"), []byte{}, noise(1, 5000))
	if !slices.IsSorted(append(first, second...)) {
		t.Fatalf("sequences %v, %v do not rise", first, second)
	}
	records := mustPeek(t, b, "documents")
	if want := []string{"a", "b", "c", "", string(noise(1, 5000))}; !slices.Equal(texts(records), want) {
		t.Fatalf("peeked %q", texts(records))
	}
	if r := records[2]; !r.Time.Equal(clock) || r.SHA256 != sha256.Sum256([]byte("c")) {
		t.Errorf("record %+v", r)
	}
	s := stats(t, b, "documents")
	if s.Waiting != 5 || s.Bytes != 5003 || !s.Oldest.Equal(clock.Add(-time.Minute)) || s.Copies != 0 {
		t.Errorf("figures %+v", s)
	}
	mustAcknowledge(t, b, "documents", records[1:3])
	if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, []string{"a", "", string(noise(1, 5000))}) {
		t.Errorf("after the acknowledgement %q wait", got)
	}
	mustClose(t, b)
	b = mustOpen(t, path, o)
	if s := stats(t, b, "documents"); s.Waiting != 3 || s.Bytes != 5001 || s.Copies != 2 {
		t.Errorf("after reopening: %+v", s)
	}
}

func TestPeekLimits(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	seqs := mustAppend(t, b, "documents", noise(1, 100), noise(2, 100), noise(3, 3000), noise(4, 100))
	for _, c := range []struct {
		name    string
		after   uint64
		records int
		bytes   int64
		want    []uint64
	}{
		{"all", 0, 100, 1 << 20, seqs},
		{"records", 0, 2, 1 << 20, seqs[:2]},
		{"bytes", 0, 100, 200, seqs[:2]},
		{"at least one", seqs[1], 100, 10, seqs[2:3]},
		{"one although none was asked for", 0, 0, 0, seqs[:1]},
		{"after", seqs[2], 100, 1 << 20, seqs[3:]},
		{"after the last", seqs[3], 100, 1 << 20, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			records, err := b.Peek("documents", c.after, c.records, c.bytes)
			var got []uint64
			for _, r := range records {
				got = append(got, r.Seq)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestAcknowledgeFreesOnlyWhatItNames(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	mustAppend(t, b, "documents", []byte("a"), []byte("b"))
	mustAppend(t, b, "events", []byte("e"))
	docs, events := mustPeek(t, b, "documents"), mustPeek(t, b, "events")
	other := b.Epoch()
	other[0]++
	wrong := sha256.Sum256([]byte("x"))
	for _, c := range []struct {
		name   string
		stream string
		epoch  [16]byte
		ack    Ack
		freed  int
	}{
		{"wrong hash", "documents", b.Epoch(), Ack{docs[0].Seq, wrong}, 0},
		{"other epoch", "documents", other, Ack{docs[0].Seq, docs[0].SHA256}, 0},
		{"other stream", "events", b.Epoch(), Ack{docs[0].Seq, docs[0].SHA256}, 0},
		{"unknown stream", "nothing", b.Epoch(), Ack{docs[0].Seq, docs[0].SHA256}, 0},
		{"never appended", "documents", b.Epoch(), Ack{99, wrong}, 0},
		{"right", "documents", b.Epoch(), Ack{docs[0].Seq, docs[0].SHA256}, 1},
		{"again", "documents", b.Epoch(), Ack{docs[0].Seq, docs[0].SHA256}, 0},
		{"another stream's", "events", b.Epoch(), Ack{events[0].Seq, events[0].SHA256}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			freed, err := b.Acknowledge(c.stream, c.epoch, []Ack{c.ack})
			if freed != c.freed || err != nil {
				t.Errorf("freed %d, %v, want %d", freed, err, c.freed)
			}
		})
	}
	if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q wait", got)
	}
}

func TestSequencesAreNeverUsedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	epoch := b.Epoch()
	last := uint64(0)
	for round := range 5 {
		for _, stream := range []string{"documents", "events", "logs"} {
			seq := mustAppend(t, b, stream, []byte{byte(round)})[0]
			if seq <= last {
				t.Fatalf("sequence %d after %d", seq, last)
			}
			last = seq
			mustAcknowledge(t, b, stream, mustPeek(t, b, stream))
		}
		mustClose(t, b)
		b = mustOpen(t, path, small())
	}
	if b.Epoch() != epoch {
		t.Error("the epoch changed without need")
	}
}

func TestRequeue(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	var data [][]byte
	for i := range 300 { // more than one transaction moves
		data = append(data, noise(uint64(i), 50))
	}
	mustAppend(t, b, "documents", data...)
	mustAppend(t, b, "events", []byte("e"))
	before := mustPeek(t, b, "documents")
	mustAcknowledge(t, b, "documents", before)
	mustAcknowledge(t, b, "events", mustPeek(t, b, "events"))
	mustAppend(t, b, "documents", []byte("later"))
	drainSignal(b)
	if n, err := b.Requeue("documents"); n != 300 || err != nil {
		t.Fatalf("queued %d again, %v", n, err)
	}
	after := mustPeek(t, b, "documents")
	if len(after) != 301 || !slices.EqualFunc(before, after[:300], func(a, b Record) bool {
		return a.Seq == b.Seq && a.SHA256 == b.SHA256 && a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data)
	}) {
		t.Error("the records that wait again are not those of before")
	}
	if len(mustPeek(t, b, "events")) != 0 {
		t.Error("another stream was queued again")
	}
	if !drainSignal(b) {
		t.Error("no signal")
	}
}

func drainSignal(b *Buffer) bool {
	select {
	case <-b.Appended():
		return true
	default:
		return false
	}
}

func TestAppendedSignals(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	if !drainSignal(b) {
		t.Error("no signal after Open")
	}
	mustPut(t, b, "calls", "k", nil)
	if drainSignal(b) {
		t.Error("a signal for a table")
	}
	mustAppend(t, b, "events", []byte("1"))
	mustAppend(t, b, "events", []byte("2"))
	if !drainSignal(b) || drainSignal(b) {
		t.Error("not exactly one signal for two records")
	}
}

func TestTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	for _, size := range []int{0, 1, 900, 1000, 5000, 70000, 3, 2000} { // the same key grows and shrinks
		want := noise(uint64(size), size)
		mustPut(t, b, "calls", "key", want)
		got, err := b.Get("calls", []byte("key"))
		if err != nil || got == nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes came back as %d, nil %t, %v", size, len(got), got == nil, err)
		}
	}
	if got, err := b.Get("answers", []byte("key")); got != nil || err != nil {
		t.Errorf("another table has the key: %q, %v", got, err)
	}
	var batch Batch
	batch.Delete("calls", []byte("key"))
	batch.Delete("calls", []byte("was never there"))
	batch.Put("calls", []byte("other"), []byte("v"))
	if _, err := b.Commit(&batch); err != nil {
		t.Fatal(err)
	}
	mustClose(t, b)
	b = mustOpen(t, path, small())
	if got, _ := b.Get("calls", []byte("key")); got != nil {
		t.Errorf("deleted value %q", got)
	}
	if got, _ := b.Get("calls", []byte("other")); string(got) != "v" {
		t.Errorf("kept value %q", got)
	}
}

func TestScan(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	keys := []string{"a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00\xff", "a\x01", "a\xff", "ab", "b", strings.Repeat("\x00", 128)}
	for i := range 150 {
		keys = append(keys, fmt.Sprintf("many%04d", i))
	}
	for i, k := range keys {
		mustPut(t, b, "t", k, noise(uint64(i), i*30))
		mustPut(t, b, "t-2", k, nil)
	}
	for _, prefix := range []string{"", "a", "a\x00", "a\x00\x00", "many", "many01", "z", "\x00\x00"} {
		t.Run(fmt.Sprintf("%q", prefix), func(t *testing.T) {
			var want, got []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) {
					want = append(want, k)
				}
			}
			slices.Sort(want)
			err := b.Scan("t", []byte(prefix), func(k, v []byte) error {
				got = append(got, string(k))
				if i := slices.Index(keys, string(k)); !bytes.Equal(v, noise(uint64(i), i*30)) {
					t.Errorf("value of %q", k)
				}
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	stop := errors.New("enough")
	if err := b.Scan("t", nil, func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the function's error became %v", err)
	}
	left := 0
	err := b.Scan("t", []byte("many"), func(k, _ []byte) error { // a scan may change what it scans
		var batch Batch
		batch.Delete("t", k)
		_, err := b.Commit(&batch)
		return err
	})
	b.Scan("t", []byte("many"), func(_, _ []byte) error { left++; return nil })
	if err != nil || left != 0 {
		t.Errorf("%d entries left, %v", left, err)
	}
}

func TestBatchIsAllOrNothing(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	for name, add := range map[string]func(*Batch){
		"unknown stream": func(b *Batch) { b.Append("nothing", nil) },
		"table name":     func(b *Batch) { b.Put("a table", []byte("k"), nil) },
		"empty key":      func(b *Batch) { b.Put("t", nil, nil) },
		"long key":       func(b *Batch) { b.Put("t", make([]byte, 129), nil) },
		"large value":    func(b *Batch) { b.Put("t", []byte("k"), make([]byte, 8<<20+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			var batch Batch
			batch.Append("documents", []byte("d"))
			add(&batch)
			if _, err := b.Commit(&batch); err == nil {
				t.Fatal("no error")
			}
			if len(mustPeek(t, b, "documents")) != 0 {
				t.Error("a part of the batch was kept")
			}
		})
	}
	if seqs, err := b.Commit(&Batch{}); seqs != nil || err != nil {
		t.Errorf("an empty batch gave %v, %v", seqs, err)
	}
}

// TestConcurrentCommits runs where the time stands still while anyone works, as
// the simulation of a till and its collector does.
func TestConcurrentCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	synctest.Test(t, func(t *testing.T) {
		b := mustOpen(t, path, small())
		var mu sync.Mutex
		got := map[uint64]string{}
		var writers sync.WaitGroup
		for w := range 16 {
			writers.Go(func() {
				for i := range 25 {
					data := fmt.Sprintf("%d/%d", w, i)
					seq := mustAppend(t, b, "documents", []byte(data))[0]
					mu.Lock()
					got[seq] = data
					mu.Unlock()
					if i%5 == 0 {
						mustPut(t, b, "calls", data, []byte(data))
						b.Stats()
					}
				}
			})
		}
		writers.Wait()
		records := mustPeek(t, b, "documents")
		if len(records) != 16*25 || len(got) != 16*25 {
			t.Fatalf("%d records, %d sequences", len(records), len(got))
		}
		for _, r := range records {
			if got[r.Seq] != string(r.Data) {
				t.Errorf("record %d is %q, its writer was told %q", r.Seq, r.Data, got[r.Seq])
			}
		}
		b.read(func(tx *txn) error {
			if n := tx.b.Tx().ID(); n >= 16*30 {
				t.Errorf("%d transactions for %d commits: none shared", n, 16*30)
			}
			return nil
		})
	})
}

// TestSmallerBound opens a file that has outgrown a bound set lower since.
func TestSmallerBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.MaxBytes = 32 << 20
	b := mustOpen(t, path, o)
	for i := range 20 {
		mustAppend(t, b, "documents", noise(uint64(i), 800000))
	}
	mustClose(t, b)
	b = mustOpen(t, path, small())
	records := mustPeek(t, b, "documents")
	if s := b.Stats(); len(records) != 20 || s.Bound != 32<<20 || s.Used > s.Bound {
		t.Fatalf("%d records, %+v", len(records), s)
	}
	mustAcknowledge(t, b, "documents", records)
	if err := b.Room(100000); err != nil {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	mustClose(t, b)
	var batch Batch
	batch.Append("events", nil)
	_, commit := b.Commit(&batch)
	_, get := b.Get("t", []byte("k"))
	_, peek := b.Peek("events", 0, 1, 1)
	_, compact := b.Compact()
	for i, err := range []error{commit, get, peek, compact, b.Room(1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
	if s := b.Stats(); s.Bound != 0 || s.Streams != nil {
		t.Errorf("figures after Close: %+v", s)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"bound too small":                   {MaxBytes: 4 << 20, Reserve: 1 << 20},
		"bound too small when rounded down": {MaxBytes: 7 << 20, Reserve: 1 << 20},
		"stream name":                       {Streams: []Stream{{Name: "Documents"}}},
		"no stream name":                    {Streams: []Stream{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Open(filepath.Join(t.TempDir(), "b"), o); err == nil {
				t.Error("no error")
			}
		})
	}
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), Options{MaxBytes: 40 << 20})
	if got := b.Stats().Bound; got != 32<<20 {
		t.Errorf("a bound of 40 MiB became %d", got)
	}
}
