package buffer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

func quarantineOne(t testing.TB, b *Buffer, stream string, seq uint64) {
	t.Helper()
	var batch Batch
	batch.Quarantine(stream, seq)
	if _, err := b.Commit(&batch); err != nil {
		t.Fatal(err)
	}
}

func TestQuarantine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	seqs := mustAppend(t, b, "documents", []byte("first"), noise(1, 40000), []byte("third"))
	bad := mustPeek(t, b, "documents")[1]

	var batch Batch
	batch.Quarantine("documents", seqs[1])
	batch.Append("events", []byte("the second cannot be used"))
	if _, err := b.Commit(&batch); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, []string{"first", "third"}) {
			t.Errorf("%s %d records wait", when, len(got))
		}
		if s := stats(t, b, "documents"); s.Waiting != 2 || s.Bytes != 10 || s.Quarantined != 1 {
			t.Errorf("%s: %+v", when, s)
		}
	}
	check("in quarantine")
	if got := texts(mustPeek(t, b, "events")); !slices.Equal(got, []string{"the second cannot be used"}) {
		t.Errorf("events %q", got)
	}
	t.Run("is not acknowledged", func(t *testing.T) {
		if n, err := b.Acknowledge("documents", b.Epoch(), acksOf([]Record{bad})); n != 0 || err != nil {
			t.Errorf("freed %d, %v", n, err)
		}
	})
	t.Run("twice, or of what does not wait", func(t *testing.T) {
		quarantineOne(t, b, "documents", seqs[1])
		quarantineOne(t, b, "documents", 999)
		quarantineOne(t, b, "logs", seqs[0])
		check("again")
	})
	t.Run("survives reopening, seen from outside", func(t *testing.T) {
		mustClose(t, b)
		r, err := Check(path)
		if err != nil || len(r.Damage) > 0 || len(r.Tables) > 0 || r.Streams[0].Quarantined != 1 || r.Streams[0].Waiting != 2 {
			t.Errorf("%+v, %v", r, err)
		}
		b = mustOpen(t, path, small())
		check("reopened")
	})
	t.Run("of an unknown stream", func(t *testing.T) {
		var batch Batch
		batch.Quarantine("nothing", 1)
		if _, err := b.Commit(&batch); err == nil {
			t.Error("taken")
		}
	})
	t.Run("is no table to write to", func(t *testing.T) {
		var batch Batch
		batch.Put("quarantine", []byte("k"), nil)
		if _, err := b.Commit(&batch); err == nil {
			t.Error("taken")
		}
	})
}

// TestQuarantineInAFullBuffer needs the room of the record again.
func TestQuarantineInAFullBuffer(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	big := mustAppend(t, b, "documents", noise(1, 600000))[0]
	n := fill(t, b, "documents", 3000) + 1
	var batch Batch
	batch.Quarantine("documents", big)
	if _, err := b.Commit(&batch); !isFull(t, err) {
		t.Fatalf("in a full buffer: %v", err)
	}
	if s := stats(t, b, "documents"); s.Waiting != n || s.Quarantined != 0 {
		t.Errorf("%+v", s)
	}
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents")[1:])
	quarantineOne(t, b, "documents", big)
	for range 3 { // full of what gives way: the quarantined document does not
		mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
		fill(t, b, "documents", 3000)
	}
	if s := stats(t, b, "documents"); s.Quarantined != 1 {
		t.Errorf("%+v", s)
	}
}

// TestQuarantinedLogsGiveWay makes room of them before those that wait.
func TestQuarantinedLogsGiveWay(t *testing.T) {
	o := small()
	var told []string
	o.Evicted = func(stream string, first, last uint64, n int) (string, []byte) {
		told = append(told, fmt.Sprintf("%s %d-%d %d", stream, first, last, n))
		return "", nil
	}
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
	seqs := mustAppend(t, b, "logs", noise(1, 30000), noise(2, 30000), noise(3, 30000))
	quarantineOne(t, b, "logs", seqs[1])
	quarantineOne(t, b, "logs", seqs[2])
	for err := error(nil); len(told) == 0 && err == nil; {
		var batch Batch
		batch.Append("documents", noise(4, 20000))
		_, err = b.Commit(&batch)
	}
	if len(told) == 0 || told[0] != "logs 2-3 2" && told[0] != "logs 2-2 1" {
		t.Errorf("evicted %q", told)
	}
	fill(t, b, "documents", 6000)
	fill(t, b, "documents", 200)
	if s := stats(t, b, "logs"); s.Waiting != 0 || s.Quarantined != 0 {
		t.Errorf("%+v", s)
	}
}

func TestQuota(t *testing.T) {
	o := small()
	o.Streams[3].Quota = 100000 // logs
	lost := 0
	o.Evicted = func(stream string, first, last uint64, n int) (string, []byte) {
		if stream != "logs" {
			t.Errorf("%d records of %q were dropped", n, stream)
		}
		lost += n
		return "events", fmt.Appendf(nil, "%s %d-%d", stream, first, last)
	}
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, o)
	for i := range 300 {
		mustAppend(t, b, "logs", noise(uint64(i), 1000))
		mustAppend(t, b, "telemetry", noise(uint64(i), 1000))
		mustAppend(t, b, "documents", noise(uint64(i), 1000))
		if s := stats(t, b, "logs"); s.Bytes > 100000 || s.Waiting != i+1-lost {
			t.Fatalf("round %d: %+v, %d lost", i, s, lost)
		}
	}
	if s := stats(t, b, "logs"); s.Bytes < 80000 {
		t.Errorf("only %d bytes of logs are left", s.Bytes)
	}
	if r := mustPeek(t, b, "logs"); r[len(r)-1].Seq < mustPeek(t, b, "documents")[298].Seq {
		t.Error("the newest log is gone")
	}
	if a, b := stats(t, b, "telemetry").Waiting, stats(t, b, "documents").Waiting; a != 300 || b != 300 {
		t.Errorf("%d of telemetry, %d documents wait, want 300 each", a, b)
	}
	if gaps := stats(t, b, "events").Waiting; gaps == 0 || gaps > 20 {
		t.Errorf("%d records of gaps for %d lost records", gaps, lost)
	}
	mustClose(t, b)
	o.Streams[3].Quota = 20000
	b = mustOpen(t, path, o)
	mustAppend(t, b, "documents", nil)
	if s := stats(t, b, "logs"); s.Bytes > 20000 {
		t.Errorf("with a smaller quota %d bytes wait", s.Bytes)
	}
	t.Run("of what may not be dropped", func(t *testing.T) {
		o := small()
		o.Streams[1].Quota = 1
		if _, _, err := Open(path+"2", o); err == nil || errors.Is(err, ErrInUse) {
			t.Errorf("open: %v", err)
		}
	})
}

// TestQuarantineTwiceAfterSalvage meets a record that salvage found both waiting
// and in quarantine.
func TestQuarantineTwiceAfterSalvage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	seq := mustAppend(t, b, "documents", []byte("a document"))[0]
	quarantineOne(t, b, "documents", seq)
	err := b.write(&pending{apply: func(t *txn) error {
		r := record{"documents", seq, t.now.UnixNano(), 10, kindWaiting}
		if err := store(t.b, dataKey(r.stream, seq), r.at, []byte("a document")); err != nil {
			return err
		}
		return t.index(r)
	}})
	if err != nil {
		t.Fatal(err)
	}
	quarantineOne(t, b, "documents", seq)
	want := stats(t, b, "documents")
	if want.Waiting != 0 || want.Quarantined != 1 {
		t.Errorf("%+v", want)
	}
	mustClose(t, b)
	b = mustOpen(t, path, small())
	if got := stats(t, b, "documents"); got != want {
		t.Errorf("%+v after reopening, %+v before", got, want)
	}
}
