package buffer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	childRole = "ZELO_BUFFER_CHILD" // what the test binary does instead of testing
	childPath = "ZELO_BUFFER_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "":
		flag.Set("rapid.checks", "40") // before the command line is read, so that it can ask for more
		os.Exit(m.Run())
	case "write":
		writeForEver(os.Getenv(childPath))
	case "hold":
		hold(os.Getenv(childPath))
	}
}

// child starts the test binary in a role; it ends with the test.
func child(t *testing.T, role, path string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, in, bufio.NewScanner(out)
}

// crashData is what record n holds, so that the parent knows it too.
func crashData(n int) []byte { return append(fmt.Appendf(nil, "%d ", n), noise(uint64(n), n%9000)...) }

// writeForEver commits from several goroutines, acknowledges, and says what each
// finished commit made durable.
func writeForEver(path string) {
	b, r, err := Open(path, crashOptions())
	if err != nil || r.SetAside != "" {
		fmt.Fprintln(os.Stderr, "child:", err, r.SetAside, r.Damage)
		os.Exit(1)
	}
	var mu sync.Mutex
	next := rand.IntN(1 << 30)
	for range 4 {
		go func() {
			for {
				mu.Lock()
				next++
				n := next
				mu.Unlock()
				var batch Batch
				batch.Append("documents", crashData(n))
				batch.Put("calls", fmt.Append(nil, n%500), crashData(n))
				if _, err := b.Commit(&batch); err == nil {
					fmt.Printf("%d\n", n)
				}
			}
		}()
	}
	for {
		<-b.Appended()
		records, err := b.Peek("documents", 0, 20, 1<<20)
		if err != nil {
			os.Exit(2)
		}
		b.Acknowledge("documents", b.Epoch(), acksOf(records))
	}
}

func crashOptions() Options {
	o := small()
	o.MaxBytes = 32 << 20
	return o
}

func TestKilledInTheMiddleOfCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 8 {
		cmd, _, lines := child(t, "write", path)
		var done []int
		for stop := 20 + r.IntN(150); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				done = append(done, n)
			}
			if len(done) == stop {
				cmd.Process.Kill()
			}
		}
		if cmd.Wait(); len(done) < 20 {
			t.Fatalf("round %d: the child ended after %d records", round, len(done))
		}
		b, rec, err := Open(path, crashOptions())
		if err != nil || rec.SetAside != "" {
			t.Fatalf("round %d: %+v, %v", round, rec, err)
		}
		if _, err := b.Requeue("documents"); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, record := range mustPeek(t, b, "documents") {
			found[string(record.Data)] = true
		}
		for _, n := range done {
			if !found[string(crashData(n))] {
				t.Errorf("round %d: record %d was committed and is not there", round, n)
			}
		}
		b.Scan("calls", nil, func(k, v []byte) error {
			n, _ := strconv.Atoi(strings.SplitN(string(v), " ", 2)[0])
			if !bytes.Equal(v, crashData(n)) || string(k) != fmt.Sprint(n%500) {
				t.Errorf("round %d: entry %s holds something else", round, k)
			}
			return nil
		})
		mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents"))
		mustClose(t, b)
	}
}

func hold(path string) {
	b, _, err := Open(path, small())
	fmt.Println("open", err)
	io.Copy(io.Discard, os.Stdin)
	b.Close()
}

func TestOpenedByTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	cmd, in, lines := child(t, "hold", path)
	if !lines.Scan() || lines.Text() != "open <nil>" {
		t.Fatalf("child says %q", lines.Text())
	}
	start := time.Now()
	if _, _, err := Open(path, small()); !errors.Is(err, ErrInUse) {
		t.Errorf("second process: %v", err)
	}
	if _, err := Check(path); !errors.Is(err, ErrInUse) {
		t.Errorf("check: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
	in.Close()
	cmd.Wait()
	b := mustOpen(t, path, small())
	if _, _, err := Open(path, small()); !errors.Is(err, ErrInUse) {
		t.Errorf("same process: %v", err)
	}
	mustClose(t, b)
}

func TestDirectoryInsteadOfFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	os.Mkdir(path, 0o700)
	os.WriteFile(filepath.Join(path, "important"), nil, 0o600)
	_, _, err := Open(path, small())
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("open: %v", err)
	}
	if _, err := os.Stat(filepath.Join(path, "important")); err != nil {
		t.Error("the folder was touched")
	}
	if _, err := Check(path); err == nil {
		t.Error("check found no fault")
	}
	if _, _, err := Open(filepath.Join(dir, "no", "such", "folder"), small()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	if _, err := Check(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check of nothing: %v", err)
	}
}

// TestPowerLoss cuts the power during one commit after the other. The disk is
// the image last synced with a random part of the 512-byte sectors written since;
// the meta page is written when all data has been synced.
func TestPowerLoss(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	b := mustOpen(t, path, small())
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 40 { // enough for several levels
		mustAppend(t, b, "documents", noise(uint64(i), 3000))
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		old := texts(mustPeek(t, b, "documents"))
		var batch Batch
		batch.Append("documents", noise(uint64(1000+i), r.IntN(20000)))
		batch.Put("calls", fmt.Appendf(nil, "%d", i%3), noise(uint64(i), r.IntN(9000)))
		if _, err := b.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		now := texts(mustPeek(t, b, "documents"))
		afterPowerLoss(t, dir, cut(r, before, after, false), old)
		afterPowerLoss(t, dir, cut(r, before, after, true), old, now)
		if i%5 == 4 {
			mustAcknowledge(t, b, "documents", mustPeek(t, b, "documents")[:3])
			if after, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		before = after
	}
}

// cut mixes two images by sector: of the data when it was not yet synced, then
// of the meta pages.
func cut(r *rand.Rand, before, after []byte, synced bool) []byte {
	mixed := bytes.Clone(before)
	for at := 0; at < len(after); at += 512 {
		meta := at < 2*pageSize
		if meta == synced && r.IntN(2) == 0 || !meta && synced {
			copy(mixed[at:at+512], after[at:at+512])
		}
	}
	return mixed
}

func afterPowerLoss(t *testing.T, dir string, image []byte, states ...[]string) {
	t.Helper()
	path := filepath.Join(dir, "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, path, small()) // nothing of this is damage
	defer b.Close()
	got := texts(mustPeek(t, b, "documents"))
	if !slices.ContainsFunc(states, func(s []string) bool { return slices.Equal(s, got) }) {
		t.Errorf("%d records after the power came back, not the state before or after the commit", len(got))
	}
	mustAppend(t, b, "documents", []byte("goes on"))
}

// TestLyingDisk loses data that the disk said it had: then anything may be gone,
// but nothing may be invented and nothing may crash.
func TestLyingDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	b := mustOpen(t, path, small())
	r := rand.New(rand.NewPCG(7, 8))
	written := map[string]bool{}
	before, _ := os.ReadFile(path)
	for i := range 60 {
		d := noise(uint64(i), r.IntN(15000))
		written[string(d)] = true
		mustAppend(t, b, "documents", d)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		mixed := cut(r, before, after, false)
		copy(mixed[:2*pageSize], after)
		image := filepath.Join(dir, "image")
		os.WriteFile(image, mixed, 0o600)
		lied, rec, err := Open(image, small())
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range mustPeek(t, lied, "documents") {
			if !written[string(record.Data)] {
				t.Error("a record that was never written")
			}
		}
		lied.Close()
		os.Remove(rec.SetAside)
		if i%10 == 9 {
			before = after
		}
	}
}
