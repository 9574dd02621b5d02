package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// readLogs returns the older and the newer file.
func readLogs(t *testing.T, path string) (older, newer string) {
	t.Helper()
	o, err := os.ReadFile(path + ".1")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(o), string(n)
}

func TestLogKeepsTheNewestInTwoFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agente.log")
	const most, lines = 100, 50
	l, err := openLog(path, most)
	if err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		if i == 30 { // a restart goes on where it was
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, err = openLog(path, most); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fmt.Fprintf(l, "line %02d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	older, newer := readLogs(t, path)
	if len(older) > most || len(newer) > most {
		t.Errorf("%d and %d bytes, more than %d", len(older), len(newer), most)
	}
	got := strings.Fields(strings.ReplaceAll(older+newer, "line ", ""))
	for i, n := range got {
		if want := fmt.Sprintf("%02d", lines-len(got)+i); n != want {
			t.Fatalf("line %s where %s belongs, of %v", n, want, got)
		}
	}
	if len(got) < most/len("line 00\n") {
		t.Errorf("only %v are left", got)
	}
}

func TestLogTakesALongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agente.log")
	l, err := openLog(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, line := range []string{"a line longer than the bound\n", "b\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if older, newer := readLogs(t, path); older != "a line longer than the bound\n" || newer != "b\n" {
		t.Errorf("%q, %q", older, newer)
	}
}

// What is in the way of putting the old file aside costs its contents, never the
// bound.
func TestLogThatCannotBePutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agente.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, line := range []string{"old line\n", "new line\n"} {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := os.ReadFile(path); string(raw) != "new line\n" {
		t.Errorf("%q, %v", raw, err)
	}
}

// What Go says of a crash is in the log, whichever goroutine it happens in.
func TestLogHoldsACrash(t *testing.T) {
	const crashing = "ZELO_TEST_CRASHING_LOG"
	if path := os.Getenv(crashing); path != "" {
		l, err := openLog(path, 50)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // into another file
			fmt.Fprintln(l, "all is well, and has been for a while")
		}
		go func() { panic("the agent is broken") }()
		select {}
	}
	path := filepath.Join(t.TempDir(), "agente.log")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLogHoldsACrash$")
	cmd.Env = append(os.Environ(), crashing+"="+path)
	if err := cmd.Run(); err == nil {
		t.Fatal("the process ended well")
	}
	if _, newer := readLogs(t, path); !strings.HasPrefix(newer, "all is well") || !strings.Contains(newer, "the agent is broken") {
		t.Errorf("%q", newer)
	}
}
