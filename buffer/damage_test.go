package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// held is what was committed to a buffer before it was damaged.
type held struct {
	waiting map[string]map[string]bool // data by stream
	table   map[string]string
}

// makeDamageable fills and closes a buffer so that its file has several levels,
// waiting records, copies and a table.
func makeDamageable(t testing.TB, path string) held {
	b := mustOpen(t, path, small())
	h := held{waiting: map[string]map[string]bool{}, table: map[string]string{}}
	for i := range 120 {
		d := noise(uint64(i), 200+i*40)
		stream := []string{"documents", "events", "documents"}[i%3]
		var batch Batch
		batch.Append(stream, d)
		key := fmt.Sprintf("call%03d", i)
		h.table[key] = string(noise(uint64(i+1000), 300+i*10))
		batch.Put("calls", []byte(key), []byte(h.table[key]))
		if _, err := b.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		if i < 40 {
			mustAcknowledge(t, b, stream, mustPeek(t, b, stream))
		} else {
			if h.waiting[stream] == nil {
				h.waiting[stream] = map[string]bool{}
			}
			h.waiting[stream][string(d)] = true
		}
	}
	mustClose(t, b)
	return h
}

// layout finds the pages of a sound file.
type layout struct {
	leaves, branches, freelist, free []int
	newest                           int // page of the newest meta
}

func layoutOf(t testing.TB, path string) (l layout) {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.View(func(tx *bbolt.Tx) error {
		l.newest = tx.ID() % 2
		for id := 2; ; id++ {
			p, err := tx.Page(id)
			if err != nil || p == nil {
				return err
			}
			switch p.Type {
			case "leaf":
				l.leaves = append(l.leaves, id)
			case "branch":
				l.branches = append(l.branches, id)
			case "freelist":
				l.freelist = append(l.freelist, id)
			case "free":
				l.free = append(l.free, id)
			}
		}
	})
	return l
}

// compareSalvaged opens a damaged file and checks that nothing is invented and
// that all but a part is there; it returns what is missing.
func compareSalvaged(t *testing.T, path string, h held) (r Recovery, lostRecords, lostEntries int) {
	t.Helper()
	before, _ := os.ReadFile(path)
	b, r, err := Open(path, small())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if r.SetAside == "" || !r.New || len(r.Damage) == 0 {
		t.Fatalf("no damage noticed: %+v", r)
	}
	if kept, err := os.ReadFile(r.SetAside); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("the damaged file was not kept as it was: %v", err)
	}
	for stream, want := range h.waiting {
		found := map[string]bool{}
		for _, rec := range mustPeek(t, b, stream) {
			found[string(rec.Data)] = true
		}
		for d := range want {
			if !found[d] {
				lostRecords++
			}
		}
	}
	n := 0
	err = b.Scan("calls", nil, func(k, v []byte) error {
		n++
		if h.table[string(k)] != string(v) {
			t.Errorf("entry %q has a value that was never put", k)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	mustAppend(t, b, "documents", []byte("goes on"))
	mustClose(t, b)
	if again, err := Check(path); err != nil || len(again.Damage) > 0 {
		t.Errorf("the new file: %+v, %v", again, err)
	}
	return r, lostRecords, len(h.table) - n
}

// damage is one way to spoil a file, and what may be lost by it.
type damage struct {
	name    string
	do      func(f []byte, l layout) []byte
	records int    // waiting records lost at most, of 80
	entries int    // table entries lost at most, of 120
	named   string // must be in Lost; "" when nothing may be there
}

func zero(f []byte, pages ...int) []byte {
	for _, p := range pages {
		clear(f[p*pageSize : (p+1)*pageSize])
	}
	return f
}

func flip(f []byte, offset int) []byte { f[offset] ^= 0x10; return f }

func damages() []damage {
	middle := func(list []int) int { return list[len(list)/2] }
	all := 1 << 20
	return []damage{
		{"flipped bit in a leaf page", func(f []byte, l layout) []byte { return flip(f, middle(l.leaves)*pageSize+3000) }, 2, 2, ":"},
		{"flipped bit in every leaf page", func(f []byte, l layout) []byte {
			for _, p := range l.leaves {
				flip(f, p*pageSize+3500)
			}
			return f
		}, all, all, ":"},
		{"flipped bit in a branch page's key", func(f []byte, l layout) []byte {
			p := middle(l.branches) * pageSize
			key := p + pageHeader + elementSize + int(binary.LittleEndian.Uint32(f[p+pageHeader+elementSize:]))
			return flip(f, key)
		}, 0, 0, "página"},
		{"flipped bit in the free list", func(f []byte, l layout) []byte { return flip(f, l.freelist[0]*pageSize+pageHeader+2) }, 0, 0, ""},
		{"zeroed leaf page", func(f []byte, l layout) []byte { return zero(f, middle(l.leaves)) }, 4, 15, "página"},
		{"zeroed branch pages", func(f []byte, l layout) []byte { return zero(f, l.branches...) }, 0, 0, "página"},
		{"zeroed free list", func(f []byte, l layout) []byte { return zero(f, l.freelist...) }, 0, 0, ""},
		{"a run of zeroed pages", func(f []byte, l layout) []byte { return zero(f, l.leaves[10:20]...) }, 40, 120, "página"},
		{"a page written to the wrong place", func(f []byte, l layout) []byte {
			copy(f[l.leaves[4]*pageSize:], f[l.leaves[9]*pageSize:(l.leaves[9]+1)*pageSize])
			return f
		}, 4, 15, "página"},
		{"newest meta page bad", func(f []byte, l layout) []byte { return flip(f, l.newest*pageSize+40) }, 0, 1, "página inicial"},
		{"older meta page bad", func(f []byte, l layout) []byte { return flip(f, (1-l.newest)*pageSize+40) }, 0, 0, "página inicial"},
		{"both meta pages bad", func(f []byte, l layout) []byte { return zero(f, 0, 1) }, 0, 0, "página inicial"},
		{"torn tail", func(f []byte, l layout) []byte {
			last := slices.Max(slices.Concat(l.leaves, l.branches, l.freelist))
			return f[:last*pageSize+700]
		}, 4, 15, ""},
		{"truncated file", func(f []byte, l layout) []byte { return f[:slices.Max(l.leaves)/2*pageSize] }, all, all, ""},
		{"truncated within the first page", func(f []byte, l layout) []byte { return f[:100] }, all, all, "página inicial"},
		{"zero-length file", func([]byte, layout) []byte { return nil }, all, all, "página inicial"},
		{"random junk", func(f []byte, _ layout) []byte {
			rand.NewChaCha8([32]byte{}).Read(f)
			return f
		}, all, all, "página inicial"},
		{"all zeros", func(f []byte, _ layout) []byte { clear(f); return f }, all, all, "página inicial"},
		{"wrong magic", func(f []byte, _ layout) []byte { f[16]++; f[pageSize+16]++; return f }, 0, 0, "página inicial"},
		{"wrong bbolt version", func(f []byte, _ layout) []byte { f[20]++; f[pageSize+20]++; return f }, 0, 0, "página inicial"},
	}
}

func TestDamage(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "b")
	h := makeDamageable(t, origin)
	l := layoutOf(t, origin)
	if len(l.branches) < 2 || len(l.leaves) < 40 {
		t.Fatalf("the file is too simple: %+v", l)
	}
	sound, err := os.ReadFile(origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			if err := os.WriteFile(path, d.do(bytes.Clone(sound), l), 0o600); err != nil {
				t.Fatal(err)
			}
			if report, err := Check(path); err != nil || len(report.Damage) == 0 {
				t.Errorf("check: %+v, %v", report, err)
			}
			r, records, entries := compareSalvaged(t, path, h)
			t.Logf("lost %d records, %d entries; damage %q, lost %q", records, entries, r.Damage, r.Lost)
			if records > d.records || entries > d.entries {
				t.Errorf("%d records and %d entries lost", records, entries)
			}
			if named := strings.Join(r.Lost, "\n"); !strings.Contains(named, d.named) || d.named == "" && records+entries == 0 && named != "" {
				t.Errorf("named as lost: %q", r.Lost)
			}
			if records+entries > 0 && len(r.Lost) == 0 {
				t.Error("a loss without a name")
			}
		})
	}
}

// TestAnyDamage spoils random places; Open must neither fail, crash, nor invent.
func TestAnyDamage(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "b")
	h := makeDamageable(t, origin)
	l := layoutOf(t, origin)
	sound, err := os.ReadFile(origin)
	if err != nil {
		t.Fatal(err)
	}
	used := slices.Concat(l.leaves, l.branches, l.freelist, []int{0, 1})
	r, spoiled := rand.New(rand.NewPCG(1, 2)), 0
	for i := range 60 {
		f := bytes.Clone(sound)
		for range 1 + r.IntN(8) {
			at := used[r.IntN(len(used))]*pageSize + r.IntN(pageSize)
			switch r.IntN(3) {
			case 0:
				f[at] ^= 1 << r.IntN(8)
			case 1:
				clear(f[at : at+min(512, pageSize-at%pageSize)])
			case 2:
				f[at] = byte(r.Uint32())
			}
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(path, f, 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err := Check(path); err != nil || len(report.Damage) == 0 {
			continue // the bytes hit were of no use
		}
		spoiled++
		compareSalvaged(t, path, h)
	}
	if spoiled < 40 {
		t.Errorf("only %d of 60 files are found to be damaged", spoiled)
	}
}

func TestNotOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.Update(func(tx *bbolt.Tx) error {
		b, _ := tx.CreateBucket([]byte("other"))
		return b.Put([]byte("k"), []byte("v"))
	})
	db.Close()
	r, _, _ := compareSalvaged(t, path, held{})
	if len(r.Salvaged) != 0 || !strings.Contains(strings.Join(r.Damage, "\n"), "outro programa") || strings.HasSuffix(r.SetAside, wholeMark) {
		t.Errorf("%+v", r)
	}
}

func TestNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", []byte("from the future"))
	mustClose(t, b)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketName)).Put([]byte(headKey), sealHead([16]byte{1}, format+1))
	})
	db.Close()
	r, _, _ := compareSalvaged(t, path, held{})
	if len(r.Salvaged) != 0 || !strings.Contains(strings.Join(r.Lost, "\n"), "versão mais nova") || strings.HasSuffix(r.SetAside, wholeMark) {
		t.Errorf("%+v", r)
	}
}

func TestSalvageStartsANewEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", noise(1, 3000), noise(2, 3000))
	old := mustPeek(t, b, "documents")
	epoch := b.Epoch()
	mustClose(t, b)
	l := layoutOf(t, path)
	f, _ := os.ReadFile(path)
	os.WriteFile(path, zero(f, l.freelist...), 0o600)

	b, r, err := Open(path, small())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if r.Salvaged["documents"] != 2 || b.Epoch() == epoch {
		t.Errorf("%+v, same epoch %t", r, b.Epoch() == epoch)
	}
	if freed, err := b.Acknowledge("documents", epoch, acksOf(old)); freed != 0 || err != nil {
		t.Errorf("an acknowledgement of the old epoch freed %d, %v", freed, err)
	}
	mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
}

// TestSalvageRaisesNoDead: what was deleted from a table stays deleted, although
// pages out of use still hold it.
func TestSalvageRaisesNoDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	for i := range 100 {
		mustPut(t, b, "calls", fmt.Sprint(i), noise(uint64(i), 300))
		mustAppend(t, b, "documents", noise(uint64(i), 3000))
	}
	for i := range 100 {
		var batch Batch
		batch.Delete("calls", fmt.Append(nil, i))
		if _, err := b.Commit(&batch); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, b)
	l := layoutOf(t, path)
	f, _ := os.ReadFile(path)
	if !bytes.Contains(f, noise(99, 300)) {
		t.Fatal("nothing dead is left in the file")
	}
	os.WriteFile(path, zero(f, l.leaves[len(l.leaves)/2]), 0o600)
	b, r, err := Open(path, small())
	if err != nil || r.SetAside == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	defer b.Close()
	if n := r.Salvaged["calls"]; n != 0 {
		t.Errorf("%d deleted entries are back", n)
	}
}

// TestSalvageOfMuch brings over more than one transaction holds.
func TestSalvageOfMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.MaxBytes = 32 << 20
	b := mustOpen(t, path, o)
	for i := range 20 {
		mustAppend(t, b, "documents", noise(uint64(i), 700000))
	}
	mustClose(t, b)
	l := layoutOf(t, path)
	f, _ := os.ReadFile(path)
	os.WriteFile(path, zero(f, l.leaves[len(l.leaves)/2]), 0o600)
	b, r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := r.Salvaged["documents"]; got != 19 || !slices.ContainsFunc(r.Lost, func(s string) bool { return strings.HasPrefix(s, "documents: registro ") }) {
		t.Errorf("%d records salvaged, lost %q", got, r.Lost)
	}
}

// TestLongFreeList reads a free list of more pages than its counter can say.
func TestLongFreeList(t *testing.T) {
	const free = 70000
	list := make([]byte, 140*pageSize)
	binary.LittleEndian.PutUint64(list[2*pageSize:], 2)
	binary.LittleEndian.PutUint16(list[2*pageSize+8:], pageFree)
	binary.LittleEndian.PutUint16(list[2*pageSize+10:], 0xFFFF)
	binary.LittleEndian.PutUint32(list[2*pageSize+12:], 137)
	ids := list[2*pageSize+pageHeader:]
	binary.LittleEndian.PutUint64(ids, free)
	for i := range free {
		binary.LittleEndian.PutUint64(ids[8+8*i:], uint64(200+i))
	}
	in := &inspection{r: bytes.NewReader(list), pages: 80000, high: 80000, seen: make([]bool, 80000), free: make([]bool, 80000)}
	in.freelist(2)
	if !in.sound() || in.free[199] || !in.free[200] || !in.free[200+free-1] || in.free[200+free] || !in.seen[139] {
		t.Errorf("damage %q", in.damage)
	}
	binary.LittleEndian.PutUint64(ids, 1<<62)
	in = &inspection{r: bytes.NewReader(list), pages: 80000, high: 80000, seen: make([]bool, 80000), free: make([]bool, 80000)}
	if in.freelist(2); in.sound() {
		t.Error("a count beyond the page was believed")
	}
}

func TestDamageTwiceInOneSecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	o := small()
	o.Now = func() time.Time { return time.Unix(1800000000, 0) }
	names := map[string]bool{}
	for i := range 3 {
		os.WriteFile(path, []byte("junk"), 0o600)
		b, r, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		names[r.SetAside] = true
		if len(names) != i+1 {
			t.Errorf("set aside as %q again", r.SetAside)
		}
		mustClose(t, b)
	}
}

func TestLeftoverOfACrashIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	os.WriteFile(path+".new", []byte("half a file"), 0o600)
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", []byte("d"))
	mustClose(t, b)
	os.WriteFile(path+".new", []byte("half a file"), 0o600)
	b = mustOpen(t, path, small())
	if got := texts(mustPeek(t, b, "documents")); !slices.Equal(got, []string{"d"}) {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("leftover: %v", err)
	}
}

// TestDamageInUse spoils the file under an open buffer, as a failing disk does.
func TestDamageInUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: Windows frees a broken file only with its process; the agent ends then")
	}
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	for i := range 50 {
		mustAppend(t, b, "documents", noise(uint64(i), 4000))
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(2); page < 100; page++ {
		f.WriteAt(bytes.Repeat([]byte{0xA5}, 40), page*pageSize+8)
	}
	f.Close()
	if _, err := b.Peek("documents", 0, 100, 1<<30); !errors.Is(err, ErrDamaged) {
		t.Errorf("peek: %v", err)
	}
	var batch Batch
	batch.Append("documents", nil)
	if _, err := b.Commit(&batch); !errors.Is(err, ErrDamaged) {
		t.Errorf("commit: %v", err)
	}
	b.Close()
	b, r, err := Open(path, small())
	if err != nil || r.SetAside == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	mustClose(t, b)
}

// TestTruncatedInUse makes every access to the mapping a fault.
func TestTruncatedInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", noise(1, 50000))
	if err := os.Truncate(path, 2*pageSize); err != nil {
		t.Skip("SKIP: this system truncates no open file: ", err)
	}
	if _, err := b.Peek("documents", 0, 100, 1<<30); !errors.Is(err, ErrDamaged) {
		t.Errorf("peek: %v", err)
	}
	b.Close()
}
