//go:build linux

// Package shim_test compiles the library and hosts for it with the system's C
// compiler and drives them against a real ipc.Serve, and against servers that
// break the protocol in every way that has a name.
package shim_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// flavour is how everything C is compiled: plainly, or watched by a sanitizer.
type flavour string

const (
	plain   flavour = ""
	memory  flavour = "address,undefined"
	threads flavour = "thread"
)

func (f flavour) String() string {
	if f == plain {
		return "plain"
	}
	return string(f)
}

// built is the library, the C host and the codec check of one flavour.
type built struct{ library, host, codec string }

// folder holds what was built; TestMain makes and removes it.
var folder string

func TestMain(m *testing.M) {
	if socket := os.Getenv(serverVariable); socket != "" {
		os.Exit(serverProcess(socket))
	}
	dir, err := os.MkdirTemp("", "shim")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	folder = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var builds = map[flavour]func() (built, error){
	plain:   sync.OnceValues(func() (built, error) { return build(plain) }),
	memory:  sync.OnceValues(func() (built, error) { return build(memory) }),
	threads: sync.OnceValues(func() (built, error) { return build(threads) }),
}

// compiled returns what was built, or skips when there is no compiler or the
// compiler has not this sanitizer.
func compiled(t testing.TB, f flavour) built {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc on this machine")
	}
	if f != plain && !sanitizes(f) {
		t.Skipf("SKIP: gcc has no -fsanitize=%s on this machine", f)
	}
	b, err := builds[f]()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sanitizes(f flavour) bool {
	cmd := exec.Command("gcc", "-fsanitize="+string(f), "-x", "c", "-o", filepath.Join(folder, "probe"), "-")
	cmd.Stdin = strings.NewReader("int main(void) { return 0; }")
	return cmd.Run() == nil
}

func build(f flavour) (built, error) {
	// Go's test cache watches the files a test looks at, not what gcc reads.
	for _, pattern := range []string{"*.[ch]", "*.sh", "testdata/*.c", "testdata/hosts/*"} {
		sources, err := filepath.Glob(pattern)
		if err != nil || len(sources) == 0 {
			return built{}, fmt.Errorf("no sources %s", pattern)
		}
		for _, source := range sources {
			os.Stat(source)
		}
	}
	dir := filepath.Join(folder, f.String())
	b := built{filepath.Join(dir, "libsat.so"), filepath.Join(dir, "host"), filepath.Join(dir, "codec")}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return b, err
	}
	flags := []string{"-g"}
	if f != plain {
		flags = append(flags, "-O1", "-fno-omit-frame-pointer", "-fsanitize="+string(f), "-fno-sanitize-recover=all")
	}
	cmd := exec.Command("./build.sh", b.library)
	cmd.Env = append(os.Environ(), "CC=gcc", "CFLAGS="+strings.Join(flags, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("cannot build the library: %w\n%s", err, out)
	}
	flags = append(flags, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread")
	for out, sources := range map[string][]string{
		b.host:  {"testdata/hosts/host.c", "-ldl"},
		b.codec: {"testdata/codec.c", "frame.c"},
	} {
		args := append(append([]string{"-o", out}, flags...), sources...)
		if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
			return b, fmt.Errorf("cannot compile %s: %w\n%s", sources[0], err, out)
		}
	}
	return b, nil
}
