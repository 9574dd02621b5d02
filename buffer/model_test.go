package buffer

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is what a buffer must behave like.
type model struct {
	waiting map[string][]Record
	copies  []modelCopy // oldest first
	tables  map[string][]byte
	last    uint64
}

type modelCopy struct {
	stream string
	Record
}

func (m *model) evicted(t *rapid.T, stream string, first, last uint64, n int) {
	list := m.waiting[stream]
	if stream != "logs" && stream != "telemetry" {
		t.Fatalf("records of %q were evicted", stream)
	}
	if stream == "telemetry" && len(m.waiting["logs"]) > 0 {
		t.Fatalf("telemetry was evicted before logs")
	}
	if len(list) < n || list[0].Seq != first || list[n-1].Seq != last {
		t.Fatalf("evicted %d to %d, %d records, of %q", first, last, n, stream)
	}
	m.waiting[stream] = list[n:]
}

// TestModel compares random use, with a disk that is full soon, with a model.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "b")
		os.Remove(path)
		m := &model{waiting: map[string][]Record{}, tables: map[string][]byte{}}
		o := small()
		var gaps []Record
		o.Evicted = func(stream string, first, last uint64, n int) (string, []byte) {
			m.evicted(t, stream, first, last, n)
			gaps = append(gaps, Record{Data: []byte("gap " + stream)})
			return "events", []byte("gap " + stream)
		}
		r := &run{t: t, path: path, o: o, m: m, gaps: &gaps}
		r.open()
		defer func() { r.b.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": r.append, "put": r.put, "delete": r.delete, "acknowledge": r.acknowledge,
			"requeue": r.requeue, "reopen": r.reopen, "compact": r.compact, "room": r.room, "": r.compare,
		})
	})
}

// run is one sequence of steps.
type run struct {
	t    *rapid.T
	path string
	o    Options
	b    *Buffer
	m    *model
	gaps *[]Record
}

func (r *run) open() {
	b, rec, err := Open(r.path, r.o)
	if err != nil || rec.SetAside != "" {
		r.t.Fatalf("open: %v, %+v", err, rec)
	}
	r.b = b
}

func (r *run) size(t *rapid.T) int {
	return rapid.OneOf(rapid.IntRange(0, 3000), rapid.IntRange(0, 3000), rapid.IntRange(0, 700000)).Draw(t, "size")
}

var streamNames = rapid.SampledFrom([]string{"events", "documents", "telemetry", "logs"})

// settle moves the gap records of evictions, committed just before, to the model.
// They have sequences between the last known one and the next.
func (r *run) settle() {
	for _, g := range *r.gaps {
		found := false
		records, err := r.b.Peek("events", r.m.last, 1, 1<<30)
		if err == nil && len(records) == 1 && bytes.Equal(records[0].Data, g.Data) {
			r.m.waiting["events"] = append(r.m.waiting["events"], records[0])
			r.m.last, found = records[0].Seq, true
		}
		if !found {
			r.t.Fatalf("gap record %q is not there: %v", g.Data, err)
		}
	}
	*r.gaps = nil
}

func (r *run) append(t *rapid.T) {
	stream := streamNames.Draw(t, "stream")
	var batch Batch
	var data [][]byte
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		d := noise(rapid.Uint64().Draw(t, "seed"), r.size(t))
		data = append(data, d)
		batch.Append(stream, d)
	}
	seqs, err := r.b.Commit(&batch)
	r.settle()
	if isFull(t, err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, seq := range seqs {
		if seq <= r.m.last {
			t.Fatalf("sequence %d after %d", seq, r.m.last)
		}
		r.m.last = seq
		r.m.waiting[stream] = append(r.m.waiting[stream], Record{Seq: seq, Data: data[i]})
	}
}

func (r *run) put(t *rapid.T) {
	key := rapid.StringN(1, 2, 4).Draw(t, "key")
	value := noise(rapid.Uint64().Draw(t, "seed"), r.size(t))
	var batch Batch
	batch.Put("calls", []byte(key), value)
	_, err := r.b.Commit(&batch)
	r.settle()
	if err == nil {
		r.m.tables[key] = value
	} else if !isFull(t, err) {
		t.Fatal(err)
	}
}

func (r *run) delete(t *rapid.T) {
	var batch Batch
	for key := range r.m.tables {
		batch.Delete("calls", []byte(key))
	}
	if _, err := r.b.Commit(&batch); err != nil {
		t.Fatalf("deleting needs no room, but: %v", err)
	}
	clear(r.m.tables)
}

func (r *run) acknowledge(t *rapid.T) {
	stream := streamNames.Draw(t, "stream")
	var acks []Ack
	keep := r.m.waiting[stream][:0:0]
	want := 0
	for _, record := range mustPeekRapid(t, r.b, stream) {
		switch rapid.IntRange(0, 2).Draw(t, "what") {
		case 0:
			acks = append(acks, Ack{record.Seq, record.SHA256})
			r.m.copies = append(r.m.copies, modelCopy{stream, record})
			want++
			continue
		case 1:
			acks = append(acks, Ack{record.Seq, [32]byte{1}})
		}
		keep = append(keep, record)
	}
	r.m.waiting[stream] = keep
	slices.SortFunc(r.m.copies, func(a, b modelCopy) int { return int(a.Seq) - int(b.Seq) })
	if freed, err := r.b.Acknowledge(stream, r.b.Epoch(), acks); err != nil || freed != want {
		t.Fatalf("freed %d, %v, want %d", freed, err, want)
	}
}

func (r *run) requeue(t *rapid.T) {
	stream := streamNames.Draw(t, "stream")
	r.forgetEvictedCopies(t)
	n, err := r.b.Requeue(stream)
	keep := r.m.copies[:0:0]
	moved := 0
	for _, c := range r.m.copies {
		if c.stream != stream {
			keep = append(keep, c)
			continue
		}
		moved++
		r.m.waiting[stream] = append(r.m.waiting[stream], c.Record)
	}
	slices.SortFunc(r.m.waiting[stream], func(a, b Record) int { return int(a.Seq) - int(b.Seq) })
	r.m.copies = keep
	if err != nil || n != moved {
		t.Fatalf("queued %d again, %v, want %d", n, err, moved)
	}
}

func (r *run) reopen(t *rapid.T) {
	epoch := r.b.Epoch()
	if err := r.b.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(r.path); err != nil || len(report.Damage) > 0 || report.Epoch != epoch {
		t.Fatalf("check: %+v, %v", report, err)
	}
	r.open()
	if r.b.Epoch() != epoch {
		t.Fatal("another epoch")
	}
}

func (r *run) compact(t *rapid.T) {
	r.b.mu.Lock() // the threshold is for real tills: what is tested is the copy
	err := r.b.rebuild()
	r.b.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *run) room(t *rapid.T) {
	n := rapid.Int64Range(0, 1<<20).Draw(t, "bytes")
	err := r.b.Room(n)
	r.settle()
	if err != nil {
		if !isFull(t, err) {
			t.Fatal(err)
		}
		return
	}
	var batch Batch
	batch.Put("calls", []byte("answer"), noise(1, int(n)))
	if _, err := r.b.Commit(&batch); err != nil {
		t.Fatalf("there was room for %d bytes, but: %v", n, err)
	}
	r.settle()
	r.m.tables["answer"] = noise(1, int(n))
}

// forgetEvictedCopies drops from the model the oldest copies that are gone.
func (r *run) forgetEvictedCopies(t *rapid.T) {
	held := 0
	for _, s := range r.b.Stats().Streams {
		held += s.Copies
	}
	if held > len(r.m.copies) {
		t.Fatalf("%d copies, at most %d are possible", held, len(r.m.copies))
	}
	r.m.copies = r.m.copies[len(r.m.copies)-held:]
}

func (r *run) compare(t *rapid.T) {
	for _, s := range r.b.Stats().Streams {
		got, want := mustPeekRapid(t, r.b, s.Name), r.m.waiting[s.Name]
		if !slices.EqualFunc(got, want, func(a, b Record) bool { return a.Seq == b.Seq && bytes.Equal(a.Data, b.Data) }) {
			t.Fatalf("stream %q has %d records, want %d", s.Name, len(got), len(want))
		}
		bytes := int64(0)
		for _, w := range want {
			bytes += int64(len(w.Data))
		}
		if s.Waiting != len(want) || s.Bytes != bytes {
			t.Fatalf("figures %+v of %d records with %d bytes", s, len(want), bytes)
		}
	}
	r.forgetEvictedCopies(t)
	r.b.mu.Lock()
	free, _, err := r.b.room()
	r.b.mu.Unlock()
	if err != nil || free < sparePages*3/4 {
		t.Fatalf("%d of %d spare pages are left, %v", free, sparePages, err)
	}
	n := 0
	err = r.b.Scan("calls", nil, func(k, v []byte) error {
		n++
		if !bytes.Equal(v, r.m.tables[string(k)]) {
			t.Fatalf("value of %q", k)
		}
		return nil
	})
	if err != nil || n != len(r.m.tables) {
		t.Fatalf("%d table entries, want %d: %v", n, len(r.m.tables), err)
	}
	if info, err := os.Stat(r.path); err != nil || info.Size() != r.o.MaxBytes {
		t.Fatalf("file of %d bytes, bound %d: %v", info.Size(), r.o.MaxBytes, err)
	}
}

func mustPeekRapid(t *rapid.T, b *Buffer, stream string) []Record {
	records, err := b.Peek(stream, 0, 1<<20, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return records
}
