package buffer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bbolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// model is what a buffer must behave like.
type model struct {
	waiting     map[string][]Record
	quarantined map[string][]Record // oldest first
	copies      []modelCopy         // oldest first
	tables      map[string][]byte
	last        uint64
}

type modelCopy struct {
	stream string
	Record
}

const logsQuota = 300000

func (m *model) clone() model {
	c := model{map[string][]Record{}, map[string][]Record{}, slices.Clone(m.copies), maps.Clone(m.tables), m.last}
	for name, list := range m.waiting {
		c.waiting[name] = slices.Clone(list)
	}
	for name, list := range m.quarantined {
		c.quarantined[name] = slices.Clone(list)
	}
	return c
}

// evicted takes what the buffer drops from the model, if it may be dropped: the
// least important stream first, of each the quarantined records before the others,
// the oldest first. Only what exceeds its quota goes before its turn.
func (m *model) evicted(t *rapid.T, stream string, first, last uint64, n int) {
	if stream != "logs" && stream != "telemetry" {
		t.Fatalf("records of %q were evicted", stream)
	}
	if stream == "telemetry" && len(m.waiting["logs"])+len(m.quarantined["logs"]) > 0 {
		t.Fatalf("telemetry was evicted before logs")
	}
	from := m.waiting
	if held := m.quarantined[stream]; len(held) > 0 && held[0].Seq == first {
		from = m.quarantined
	} else if len(held) > 0 && (stream != "logs" || size(m.waiting[stream]) <= logsQuota) {
		t.Fatalf("%q evicted before the quarantined", stream)
	}
	list := from[stream]
	if len(list) < n || list[0].Seq != first || list[n-1].Seq != last {
		t.Fatalf("evicted %d to %d, %d records, of %q", first, last, n, stream)
	}
	from[stream] = list[n:]
}

func size(list []Record) (n int) {
	for _, r := range list {
		n += len(r.Data)
	}
	return n
}

func bySeq(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) }

// TestModel compares random use, with a disk that is full soon and a power that
// fails, with a model.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "b")
		os.Remove(path)
		m := &model{waiting: map[string][]Record{}, quarantined: map[string][]Record{}, tables: map[string][]byte{}}
		o := small()
		o.Streams[3].Quota = logsQuota
		r := &run{t: t, path: path, m: m}
		o.Evicted = func(stream string, first, last uint64, n int) (string, []byte) {
			r.dropped = append(r.dropped, dropped{stream, first, last, n})
			return "events", []byte("gap " + stream)
		}
		r.o = o
		r.open()
		defer func() { r.b.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": r.append, "put": r.put, "delete": r.delete, "acknowledge": r.acknowledge, "quarantine": r.quarantine,
			"requeue": r.requeue, "reopen": r.reopen, "compact": r.compact, "room": r.room, "power": r.powerCut, "": r.compare,
		})
	})
}

// dropped is what Evicted was told.
type dropped struct {
	stream      string
	first, last uint64
	n           int
}

// run is one sequence of steps.
type run struct {
	t       *rapid.T
	path    string
	o       Options
	b       *Buffer
	m       *model
	dropped []dropped // since the last settle
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

// settle brings the model to where a commit left the buffer, which may have made
// room before it and kept quotas after it: the records of the gaps have the
// sequences around those of the commit itself.
func (r *run) settle(t *rapid.T, committed ...uint64) {
	for _, d := range r.dropped {
		r.m.evicted(t, d.stream, d.first, d.last, d.n)
	}
	gaps := r.dropped
	r.dropped = nil
	records, err := r.b.Peek("events", r.m.last, 1<<20, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	r.m.last = max(r.m.last, slices.Max(append(committed, 0)))
	for _, record := range records {
		if slices.Contains(committed, record.Seq) {
			continue
		}
		if len(gaps) == 0 || string(record.Data) != "gap "+gaps[0].stream {
			t.Fatalf("%q is no record of a gap", record.Data)
		}
		gaps = gaps[1:]
		r.m.waiting["events"] = append(r.m.waiting["events"], record)
		r.m.last = max(r.m.last, record.Seq)
	}
	slices.SortFunc(r.m.waiting["events"], bySeq)
	if len(gaps) > 0 {
		t.Fatalf("no record of the gap %+v", gaps[0])
	}
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
	if err != nil && !isFull(t, err) {
		t.Fatal(err)
	}
	for i, seq := range seqs {
		if seq <= r.m.last || i > 0 && seq <= seqs[i-1] {
			t.Fatalf("sequence %d after %d", seq, r.m.last)
		}
		r.m.waiting[stream] = append(r.m.waiting[stream], Record{Seq: seq, Data: data[i]})
	}
	r.settle(t, seqs...)
}

func (r *run) quarantine(t *rapid.T) {
	stream := streamNames.Draw(t, "stream")
	list := r.m.waiting[stream]
	if len(list) == 0 {
		return
	}
	record := list[rapid.IntRange(0, len(list)-1).Draw(t, "record")]
	var batch Batch
	batch.Quarantine(stream, record.Seq)
	batch.Put("calls", []byte("quarantine"), nil)
	_, err := r.b.Commit(&batch)
	r.settle(t)
	if err != nil {
		if !isFull(t, err) {
			t.Fatal(err)
		}
		return
	}
	r.m.tables["quarantine"] = nil
	still := func(other Record) bool { return other.Seq == record.Seq }
	if slices.ContainsFunc(r.m.waiting[stream], still) { // not evicted to make room for itself
		r.m.waiting[stream] = slices.DeleteFunc(slices.Clone(r.m.waiting[stream]), still)
		r.m.quarantined[stream] = append(slices.Clone(r.m.quarantined[stream]), record)
		slices.SortFunc(r.m.quarantined[stream], bySeq)
	}
}

// powerCut loses a part of the sectors that a commit wrote. Several commits, as
// eviction makes them, are passed over.
func (r *run) powerCut(t *rapid.T) {
	before, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	old, tx := r.m.clone(), r.tx()
	act := rapid.SampledFrom([]func(*rapid.T){r.append, r.put, r.acknowledge, r.quarantine, r.delete}).Draw(t, "act")
	act(t)
	if r.tx() != tx+1 {
		return
	}
	after, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.b.Close(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "sectors"), 0))
	image := cut(random, before, after, rapid.Bool().Draw(t, "data synced"))
	if err := os.WriteFile(r.path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if r.open(); r.tx() == tx {
		*r.m = old
	} else if r.tx() != tx+1 {
		t.Fatalf("transaction %d after %d and %d", r.tx(), tx, tx+1)
	}
}

// tx is the number of the last transaction.
func (r *run) tx() (id int) {
	if err := r.b.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *run) put(t *rapid.T) {
	key := rapid.StringN(1, 2, 4).Draw(t, "key")
	value := noise(rapid.Uint64().Draw(t, "seed"), r.size(t))
	var batch Batch
	batch.Put("calls", []byte(key), value)
	_, err := r.b.Commit(&batch)
	r.settle(t)
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
			if stream == "documents" || stream == "events" {
				r.m.copies = append(r.m.copies, modelCopy{stream, record})
			}
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
	r.settle(t)
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
	r.settle(t)
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
		if s.Waiting != len(want) || s.Bytes != int64(size(want)) || s.Quarantined != len(r.m.quarantined[s.Name]) {
			t.Fatalf("figures %+v of %d records with %d bytes, %d in quarantine", s, len(want), size(want), len(r.m.quarantined[s.Name]))
		}
		if s.Name == "logs" && s.Bytes > logsQuota {
			t.Fatalf("%d bytes of logs wait", s.Bytes)
		}
	}
	held := map[string][]Record{}
	err := r.b.Scan(quarantine, nil, func(k, v []byte) error {
		stream, seq, _ := bytes.Cut(k, []byte{0})
		held[string(stream)] = append(held[string(stream)], Record{Seq: binary.BigEndian.Uint64(seq), Data: v})
		return nil
	})
	for name, want := range r.m.quarantined {
		if err != nil || !slices.EqualFunc(held[name], want, func(a, b Record) bool { return a.Seq == b.Seq && bytes.Equal(a.Data, b.Data) }) {
			t.Fatalf("quarantine of %q holds %d records, want %d: %v", name, len(held[name]), len(want), err)
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
