package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// crowd puts 40 MiB into a table and deletes them, so that most pages are free.
func crowd(t testing.TB, b *Buffer) {
	t.Helper()
	var clean Batch
	for i := range 20 {
		key := fmt.Sprint(i)
		mustPut(t, b, "heap", key, noise(1, 2<<20))
		clean.Delete("heap", []byte(key))
	}
	for _, c := range clean.changes {
		if _, err := b.Commit(&Batch{changes: []change{c}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.MaxBytes = 64 << 20
	b := mustOpen(t, path, o)
	mustAppend(t, b, "documents", noise(1, 3000), noise(2, 30000))
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents")[:1])
	mustPut(t, b, "calls", "k", noise(3, 5000))
	if done, err := b.Compact(); done || err != nil {
		t.Errorf("compacted without need: %t, %v", done, err)
	}
	crowd(t, b)
	before, epoch := mustPeek(t, b, "documents"), b.Epoch()
	if done, err := b.Compact(); !done || err != nil {
		t.Fatalf("not compacted: %t, %v", done, err)
	}
	if free := b.db.Stats().FreePageN; free > 100 {
		t.Errorf("%d free pages are left in the list", free)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 64<<20 {
		t.Errorf("file of %d bytes, %v", info.Size(), err)
	}
	for range 2 {
		if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, texts(before)) || b.Epoch() != epoch {
			t.Error("other records, or another epoch")
		}
		if s := stats(t, b, "documents"); s.Waiting != 1 || s.Copies != 1 {
			t.Errorf("figures %+v", s)
		}
		if v, err := b.Get("calls", []byte("k")); string(v) != string(noise(3, 5000)) || err != nil {
			t.Errorf("table entry of %d bytes, %v", len(v), err)
		}
		mustClose(t, b)
		b = mustOpen(t, path, o)
	}
	if seq := mustAppend(t, b, "documents", nil)[0]; seq != 3 {
		t.Errorf("sequence %d after 2", seq)
	}
}

// TestCompactWithoutRecords has only the file's own counter to go by.
func TestCompactWithoutRecords(t *testing.T) {
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), small())
	mustAppend(t, b, "documents", []byte("1"), []byte("2"))
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
	var clean Batch
	for i := 0; stats(t, b, "documents").Copies > 0; i++ {
		size := 200000
		if s := b.Stats(); s.Bound-s.Used < 3<<20 {
			size = 3000
		}
		var batch Batch
		batch.Put("calls", fmt.Append(nil, i), noise(1, size))
		if _, err := b.Commit(&batch); err != nil && !isFull(t, err) {
			t.Fatal(err)
		}
		clean.Delete("calls", fmt.Append(nil, i))
	}
	if _, err := b.Commit(&clean); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	err := b.rebuild() // far fewer pages are free than Compact asks for
	b.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if seq := mustAppend(t, b, "documents", nil)[0]; seq != 3 {
		t.Errorf("sequence %d after 2", seq)
	}
}

func TestCompactGivesWay(t *testing.T) {
	o := small()
	o.MaxBytes = 64 << 20
	b := mustOpen(t, filepath.Join(t.TempDir(), "b"), o)
	crowd(t, b)
	waiting := &pending{done: make(chan struct{})}
	b.queue = append(b.queue, waiting) // as write does before it gets the lead
	if done, err := b.Compact(); done || !errors.Is(err, ErrBusy) {
		t.Errorf("compacted while a commit waits: %t, %v", done, err)
	}
	mustAppend(t, b, "documents", []byte("d"))
	<-waiting.done
	if done, err := b.Compact(); !done || err != nil {
		t.Errorf("not compacted afterwards: %t, %v", done, err)
	}
	if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, []string{"d"}) {
		t.Errorf("%q", got)
	}
}

// TestCompactWithoutRoom lets the rename fail: the old file goes on.
func TestCompactWithoutRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.MaxBytes = 64 << 20
	b := mustOpen(t, path, o)
	crowd(t, b)
	os.MkdirAll(filepath.Join(path+".new", "in the way"), 0o700)
	if done, err := b.Compact(); done || err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("%t, %v", done, err)
	}
	mustAppend(t, b, "documents", []byte("d"))
}
