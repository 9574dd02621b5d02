package buffer

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden file of the present format anew")

// writeGolden makes a file of testdata: the used pages of a closed buffer.
func writeGolden(t *testing.T, golden string, fill func(*Buffer)) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.Now = func() time.Time { return time.Unix(1800000000, 0) }
	o.Random = bytes.NewReader([]byte("epoch of golden."))
	b := mustOpen(t, path, o)
	fill(b)
	mustClose(t, b)
	f, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := layoutOf(t, path)
	last := slices.Max(slices.Concat(l.leaves, l.branches, l.freelist, l.free))
	if err := os.WriteFile(golden, f[:(last+1)*pageSize], 0o644); err != nil {
		t.Fatal(err)
	}
}

// fillGolden is what testdata/v1.db holds.
func fillGolden(t *testing.T, b *Buffer) {
	for i := range 6 {
		var batch Batch
		batch.Append("documents", noise(uint64(i), i*500))
		batch.Append("logs", []byte("log"))
		batch.Put("calls", []byte{byte(i), 0, 0xFF}, noise(uint64(100+i), i*300))
		if _, err := b.Commit(&batch); err != nil {
			t.Fatal(err)
		}
	}
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents")[:2])
}

// TestGolden reads what version 1 wrote. Later versions must read it for ever.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "v1.db")
	if *update {
		writeGolden(t, golden, func(b *Buffer) { fillGolden(t, b) })
	}
	path := filepath.Join(t.TempDir(), "b")
	f, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Check(path)
	if err != nil || len(report.Damage) > 0 || report.Tables["calls"] != 6 || len(report.Streams) != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	at := time.Unix(1800000000, 0)
	if s := report.Streams[0]; s.Name != "documents" || s.Waiting != 4 || s.Copies != 2 || !s.Oldest.Equal(at) || s.Bytes != 14*500 {
		t.Errorf("%+v", s)
	}
	b := mustOpen(t, path, small())
	if b.Epoch() != [16]byte([]byte("epoch of golden.")) {
		t.Errorf("epoch %x", b.Epoch())
	}
	for i, r := range mustPeek(t, b, "documents") {
		if r.Seq != uint64(5+2*i) || !bytes.Equal(r.Data, noise(uint64(i+2), (i+2)*500)) || !r.Time.Equal(at) {
			t.Errorf("record %d: sequence %d, %d bytes, %v", i, r.Seq, len(r.Data), r.Time)
		}
	}
	for i := range 6 {
		if v, err := b.Get("calls", []byte{byte(i), 0, 0xFF}); err != nil || !bytes.Equal(v, noise(uint64(100+i), i*300)) {
			t.Errorf("entry %d: %d bytes, %v", i, len(v), err)
		}
	}
	if seq := mustAppend(t, b, "events", nil)[0]; seq != 13 {
		t.Errorf("sequence %d after 12", seq)
	}
	if n, err := b.Requeue("documents"); n != 2 || err != nil {
		t.Errorf("queued %d again, %v", n, err)
	}
}

// TestGoldenQuarantine reads a file of version 1 with a record in quarantine.
func TestGoldenQuarantine(t *testing.T) {
	golden := filepath.Join("testdata", "v1-quarantine.db")
	if *update {
		writeGolden(t, golden, func(b *Buffer) {
			mustAppend(t, b, "documents", noise(1, 3000), noise(2, 100))
			quarantineOne(t, b, "documents", 1)
		})
	}
	f, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(path, f, 0o600); err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, path, small())
	if s := stats(t, b, "documents"); s.Waiting != 1 || s.Quarantined != 1 {
		t.Errorf("%+v", s)
	}
	mustClose(t, b)
	records, _ := readAll(t, path, "documents")
	if len(records) != 2 || records[1].Seq != 1 || !records[1].Time.Equal(time.Unix(1800000000, 0)) || !bytes.Equal(records[1].Data, noise(1, 3000)) {
		t.Errorf("%d records", len(records))
	}
}

// addFiles adds the golden file, sound and spoilt in many ways, to a corpus.
func addFiles(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "v1.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(golden[:len(golden)/2])
	f.Add(golden[:3*pageSize+100])
	f.Add([]byte{})
	for page := 0; page < len(golden); page += pageSize {
		bad := bytes.Clone(golden)
		for _, at := range []int{0, 8, 10, 12, 16, 24, 28, 60, 3000} {
			bad[page+at] ^= 0xFF
			f.Add(bytes.Clone(bad))
		}
	}
}

// FuzzInspect reads files of any content: it must end and find only what is there.
func FuzzInspect(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		elements := 0
		in := inspect(bytes.NewReader(data), int64(len(data)), func(k, v []byte) {
			if _, ok := unseal(k, v); !ok {
				t.Errorf("element %x without its checksum", k)
			}
			elements++
		})
		in.scan(func(_, _ []byte, _ bool) { elements++ })
		if most := len(data) / elementSize; elements > most {
			t.Errorf("%d elements in %d bytes", elements, len(data))
		}
		if in.sound() && in.format != format {
			t.Error("a file without head is called sound")
		}
	})
}

// FuzzFile opens files of any content: no crash, no error, nothing that cannot
// be read.
func FuzzFile(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "b")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, _, err := Open(path, small())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for _, s := range small().Streams {
			mustAcknowledge(t, b, s.Name, mustPeek(t, b, s.Name))
		}
		if err := b.Scan("calls", nil, func(_, _ []byte) error { return nil }); err != nil {
			t.Error(err)
		}
		mustAppend(t, b, "documents", noise(1, 5000))
		mustClose(t, b)
		if r, err := Check(path); err != nil || len(r.Damage) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// FuzzKey checks that table keys survive and keep their order, whatever is in them.
func FuzzKey(f *testing.F) {
	f.Add([]byte("a"), []byte("a\x00"))
	f.Add([]byte("a\x00\xff"), []byte("a\x00\x00"))
	f.Add([]byte{0}, []byte{0xFF, 0})
	f.Add([]byte("d0"), []byte("0"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		ka, kb := chunkKey(tableKey("t", a), 7), chunkKey(tableKey("t", b), 0)
		p, ok := parseKey(ka)
		if !ok || !bytes.Equal(p.key, a) || p.chunk != 7 || p.name != "t" {
			t.Errorf("%x became %x", a, p.key)
		}
		if bytes.Compare(a, b) != bytes.Compare(tableKey("t", a), tableKey("t", b)) {
			t.Errorf("%x and %x change places", a, b)
		}
		if bytes.Compare(a, b) < 0 && bytes.Compare(behind(ka), kb) > 0 {
			t.Errorf("%x is behind the end of %x", kb, ka)
		}
		parseKey(a)
		if _, err := parsePage(a); err != nil && !errors.Is(err, errPage) {
			t.Error(err)
		}
	})
}
