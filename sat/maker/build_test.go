//go:build linux

package maker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/maker"
)

// parentVariable has the test's own program open the library it names and make a
// call that hangs.
const parentVariable = "ZELO_TEST_PARENT"

// folder holds what is built; TestMain makes and removes it.
var folder string

func TestMain(m *testing.M) {
	if library := os.Getenv(parentVariable); library != "" {
		os.Exit(parentProgram(library))
	}
	dir, err := os.MkdirTemp("", "maker")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	folder = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// parentProgram waits in a call until it is killed.
func parentProgram(library string) int {
	c, _, err := maker.Open(context.Background(), maker.Options{Library: library, Folder: filepath.Dir(filepath.Dir(library))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = c.Call(context.Background(), ask(6))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// host builds satlib-host for this computer, as it lies beside the agent.
var host = sync.OnceValue(func() error { return buildGo("satlib-host-amd64", "../host", "linux", "amd64") })

func buildGo(name, pkg, system, arch string) error {
	sources, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no sources in %s", pkg)
	}
	noted(sources)
	cmd := exec.Command("go", "build", "-o", filepath.Join(folder, name), pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", name, err, out)
	}
	return nil
}

// noted tells Go's test cache of files that only compilers read.
func noted(files []string) {
	for _, f := range files {
		os.Stat(f)
	}
}

// compile builds a C library into a folder of its own below folder and returns
// its path.
func compile(t testing.TB, name string, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "library")
	if err != nil {
		t.Fatal(err)
	}
	compileTo(t, "gcc", filepath.Join(dir, name), append(args, "-fPIC")...)
	return filepath.Join(dir, name)
}

func compileTo(t testing.TB, compiler, out string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("SKIP: no %s on this machine", compiler)
	}
	noted(args)
	args = append([]string{"-o", out, "-shared", "-std=gnu11", "-Wall", "-Wextra", "-Werror"}, args...)
	if said, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("cannot compile %s: %v\n%s", filepath.Base(out), err, said)
	}
}

const makerSource = "../shim/testdata/maker.c"

// odd builds the misbehaving library with its companion beside it.
func odd(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "library")
	if err != nil {
		t.Fatal(err)
	}
	return oddTo(t, dir, "gcc", ".so", "-fPIC")
}

// oddTo builds it by a compiler into a folder.
func oddTo(t testing.TB, dir, compiler, suffix string, args ...string) string {
	t.Helper()
	compileTo(t, compiler, filepath.Join(dir, "libcompanion"+suffix), append(args, "-DCOMPANION", "testdata/odd.c")...)
	library := filepath.Join(dir, "libodd"+suffix)
	compileTo(t, compiler, library, append(args, "testdata/odd.c", "-L"+dir, "-lcompanion")...)
	return library
}

// opened opens a library with the satlib-host just built, to be closed at the
// test's end.
func opened(t testing.TB, o maker.Options) *maker.Conn {
	t.Helper()
	if err := host(); err != nil {
		t.Fatal(err)
	}
	o.Folder = folder
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, info, err := maker.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if want := (sat.Info{Name: filepath.Base(o.Library), Driver: "maker", Where: o.Library}); info != want {
		t.Errorf("info %+v, want %+v", info, want)
	}
	return c
}

// ask makes a ConsultarSAT of a session.
func ask(session int) sat.Request { return sat.Request{Session: session, Function: sat.ConsultarSAT} }

func sale(session int) sat.Request {
	return sat.Request{Session: session, Function: sat.EnviarDadosVenda, Args: []string{"12345678", "<CFe/>"}}
}

// call makes a call, which may take 10 s.
func call(c sat.Device, req sat.Request) (sat.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Call(ctx, req)
}

func wantNotSent(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("%v does not say that nothing was sent", err)
	}
}

func wantUnknown(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, sat.ErrNotSent) {
		t.Errorf("%v is not an unknown outcome", err)
	}
}

func wantGone(t *testing.T, c *maker.Conn) {
	t.Helper()
	select {
	case <-c.Gone():
	case <-time.After(10 * time.Second):
		t.Error("the library is still held to be there")
	}
}

// lines is a log whose lines arrive on a channel.
type lines chan string

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

func (l lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
