package buffer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// readAll reads a stream of a closed file and checks that nothing stays behind.
func readAll(t *testing.T, path, stream string) (out []Record, lost []string) {
	t.Helper()
	scratch := t.TempDir()
	before, _ := os.ReadFile(path)
	lost, err := Read(path, stream, scratch, func(r Record) error {
		if r.SHA256 != sha256.Sum256(r.Data) {
			t.Errorf("hash of record %d", r.Seq)
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	return out, lost
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	at := time.Now()
	mustAppend(t, b, "documents", []byte("acknowledged"))
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
	seqs := mustAppend(t, b, "documents", []byte("useless"), noise(1, 5000), []byte{})
	mustAppend(t, b, "events", []byte("an event"))
	mustPut(t, b, "documents", "key", []byte("a table of the same name"))
	quarantineOne(t, b, "documents", seqs[0])
	if _, err := Read(path, "documents", t.TempDir(), nil); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	mustClose(t, b)

	records, lost := readAll(t, path, "documents")
	if want := []string{"acknowledged", string(noise(1, 5000)), "", "useless"}; !slices.Equal(texts(records), want) || len(lost) > 0 {
		t.Errorf("%d records, lost %q", len(records), lost)
	}
	if r := records[1]; r.Seq != seqs[1] || r.Time.Before(at.Add(-time.Second)) || r.Time.After(time.Now()) {
		t.Errorf("record %d of %v", r.Seq, r.Time)
	}
	stop := errors.New("enough")
	n := 0
	if _, err := Read(path, "documents", t.TempDir(), func(Record) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("stopped after %d: %v", n, err)
	}
	if _, err := Read(path+"2", "documents", t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// TestReadDamaged gives at least what opening the file would salvage.
func TestReadDamaged(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "b")
	h := makeDamageable(t, sound)
	f, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	l := layoutOf(t, sound)
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			if err := os.WriteFile(path, d.do(bytes.Clone(f), l), 0o600); err != nil {
				t.Fatal(err)
			}
			missing := 0
			var lost []string
			for stream, want := range h.waiting {
				found := map[string]bool{}
				records, l := readAll(t, path, stream)
				for _, r := range records {
					found[string(r.Data)] = true
				}
				for data := range want {
					if !found[data] {
						missing++
					}
				}
				lost = l
			}
			if missing > d.records {
				t.Errorf("%d records are missing, at most %d should", missing, d.records)
			}
			if missing > 0 && len(lost) == 0 {
				t.Errorf("%d records are missing and nobody says so", missing)
			}
		})
	}
}

// TestSetAsideFilesGo keeps what may hold something that nobody else has.
func TestSetAsideFilesGo(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(f []byte, l layout) []byte
		goes   bool
	}{
		"nothing lost":    {func(f []byte, l layout) []byte { return flip(f, l.freelist[0]*pageSize+pageHeader+2) }, true},
		"a page lost":     {func(f []byte, l layout) []byte { return zero(f, l.leaves[3]) }, false},
		"not ours at all": {func([]byte, layout) []byte { return []byte("somebody's letters") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			makeDamageable(t, path)
			f, _ := os.ReadFile(path)
			os.WriteFile(path, c.damage(f, layoutOf(t, path)), 0o600)
			o := small()
			start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
			var aside string
			for _, days := range []int{0, 29, 31, 400} {
				o.Now = func() time.Time { return start.AddDate(0, 0, days) }
				b, r, err := Open(path, o)
				if err != nil {
					t.Fatal(err)
				}
				mustClose(t, b)
				if days == 0 {
					aside = r.SetAside
				}
				_, err = os.Stat(aside)
				if there, want := err == nil, days < 30 || !c.goes; there != want {
					t.Errorf("after %d days: %q is there: %t, want %t", days, filepath.Base(aside), there, want)
				}
			}
		})
	}
}

// TestSalvageIntoASmallerBound loses nothing because the bound was made smaller.
func TestSalvageIntoASmallerBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.MaxBytes = 32 << 20
	b := mustOpen(t, path, o)
	for i := range 20 {
		mustAppend(t, b, "documents", noise(uint64(i), 700000))
	}
	mustClose(t, b)
	f, _ := os.ReadFile(path)
	l := layoutOf(t, path)
	os.WriteFile(path, flip(f, l.freelist[0]*pageSize+pageHeader+2), 0o600)
	b, r, err := Open(path, small())
	if err != nil || r.SetAside == "" || len(r.Lost) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	defer b.Close()
	if n := len(mustPeek(t, b, "documents")); n != 20 {
		t.Errorf("%d of 20 documents are left", n)
	}
}

// TestFileTooLargeFor32Bits tells whoever moves a file to a 32-bit agent what to do.
func TestFileTooLargeFor32Bits(t *testing.T) {
	for _, c := range []struct {
		size int64
		bits int
		ok   bool
	}{{512 << 20, 64, true}, {128 << 20, 32, true}, {128<<20 + 4096, 32, false}, {512 << 20, 32, false}} {
		err := mappable(c.size, c.bits)
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes with %d bits: %v", c.size, c.bits, err)
		}
	}
	if err := mappable(512<<20, 32); !strings.Contains(err.Error(), "512 MiB") || !strings.Contains(err.Error(), "buffer export") {
		t.Errorf("%v", err)
	}
	if strconv.IntSize != 32 {
		return
	}
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", []byte("d"))
	mustClose(t, b)
	if err := os.Truncate(path, 512<<20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(path, small()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("open: %v", err)
	}
	if records, lost := readAll(t, path, "documents"); len(records) != 1 || len(lost) > 0 {
		t.Errorf("the way out: %d records, lost %q", len(records), lost)
	}
}
