package buffer

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resident is how many KiB of a mapped file are in this process's memory.
func resident(t *testing.T, path string) (kib int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("SKIP: this system does not tell what a process has in memory: ", err)
	}
	defer f.Close()
	ours := false
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); strings.Contains(line, "-") && strings.Contains(line, " r") {
			ours = strings.HasSuffix(line, path)
		}
		var n int
		if _, err := fmt.Sscanf(s.Text(), "Rss: %d kB", &n); err == nil && ours {
			kib += n
		}
	}
	return kib
}

// TestRest: what was read is not in memory any more afterwards, and reads the same.
func TestRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	b := mustOpen(t, path, small())
	record := make([]byte, 100<<10)
	rand.Read(record)
	for range 20 {
		mustAppend(t, b, "documents", record)
	}
	read := func() {
		t.Helper()
		records, err := b.Peek("documents", 0, 100, 1<<30)
		if err != nil || len(records) != 20 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		for _, r := range records {
			if !bytes.Equal(r.Data, record) {
				t.Fatal("a record reads differently")
			}
		}
	}
	read()
	if kib := resident(t, path); kib < 2000 {
		t.Fatalf("%d KiB in memory after 2 MB were read", kib)
	}
	if err := b.Rest(); err != nil {
		t.Fatal(err)
	}
	if kib := resident(t, path); kib > 200 {
		t.Errorf("%d KiB are still in memory", kib)
	}
	read()
}
