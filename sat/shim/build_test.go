//go:build linux

// Package shim_test compiles the library and hosts for it, for Linux and for
// Windows, and drives them against a real ipc.Serve, against servers that break
// the protocol in every way that has a name, and over a maker's library. What is
// made for Windows runs in Wine (testdata/wine.sh).
package shim_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// flavour is how everything C is compiled: for Linux, plainly or watched by a
// sanitizer, or for one of the Windows builds.
type flavour string

const (
	plain   flavour = ""
	memory  flavour = "address,undefined"
	threads flavour = "thread"
	stdcall flavour = "stdcall-x86"
	cdecl   flavour = "cdecl-x86"
	x64     flavour = "x64"
	mfe     flavour = "mfe"
)

func (f flavour) String() string {
	if f == plain {
		return "plain"
	}
	return string(f)
}

func windows() []flavour    { return []flavour{stdcall, cdecl, x64, mfe} }
func everywhere() []flavour { return append([]flavour{plain, memory}, windows()...) }

func (f flavour) onWindows() bool { return f == stdcall || f == cdecl || f == x64 || f == mfe }

// each runs a test with each of the flavours; those for Windows when that is wanted.
func each(t *testing.T, flavours []flavour, test func(t *testing.T, f flavour)) {
	t.Helper()
	for _, f := range flavours {
		if f.onWindows() && !windowsWanted() {
			continue
		}
		t.Run(f.String(), func(t *testing.T) {
			compiled(t, f)
			test(t, f)
		})
	}
}

// built is what was compiled for one flavour. codec is there for Linux only.
type built struct{ library, host, codec, maker string }

// folder holds what was built and all that the hosts read and write; TestMain
// makes and removes it.
var folder string

func TestMain(m *testing.M) {
	if at := os.Getenv(serverVariable); at != "" {
		os.Exit(serverProcess(at))
	}
	dir, err := os.MkdirTemp("", "shim")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	folder = dir
	code := m.Run()
	if _, err := os.Stat(filepath.Join(folder, "prefix")); err == nil {
		exec.Command(wine, "stop", folder).Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

var builds = map[flavour]func() (built, error){
	plain:   sync.OnceValues(func() (built, error) { return build(plain) }),
	memory:  sync.OnceValues(func() (built, error) { return build(memory) }),
	threads: sync.OnceValues(func() (built, error) { return build(threads) }),
	stdcall: sync.OnceValues(func() (built, error) { return buildForWindows(stdcall) }),
	cdecl:   sync.OnceValues(func() (built, error) { return buildForWindows(cdecl) }),
	x64:     sync.OnceValues(func() (built, error) { return buildForWindows(x64) }),
	mfe:     sync.OnceValues(func() (built, error) { return buildForWindows(mfe) }),
}

// compiled returns what was built, or skips when this machine cannot build or run it.
func compiled(t testing.TB, f flavour) built {
	t.Helper()
	if f.onWindows() {
		if err := prefix(); err != nil {
			t.Fatal(err)
		}
	} else if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc on this machine")
	}
	b, err := builds[f]()
	if errors.Is(err, errNoSanitizer) {
		t.Skipf("SKIP: gcc has no -fsanitize=%s on this machine", f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var errNoSanitizer = errors.New("gcc has no such sanitizer")

func sanitizes(f flavour) bool {
	cmd := exec.Command("gcc", "-fsanitize="+string(f), "-x", "c", "-o", filepath.Join(folder, "probe"), "-")
	cmd.Stdin = strings.NewReader("int main(void) { return 0; }")
	return cmd.Run() == nil
}

// noteSources tells Go's test cache of the files that only compilers read.
func noteSources() error {
	for _, pattern := range []string{"*.[ch]", "*.sh", "*.rc", "testdata/*.c", "testdata/*.sh", "testdata/hosts/*"} {
		sources, err := filepath.Glob(pattern)
		if err != nil || len(sources) == 0 {
			return fmt.Errorf("no sources %s", pattern)
		}
		for _, source := range sources {
			os.Stat(source)
		}
	}
	return nil
}

// compile runs a compiler on sources and says what it said if it fails.
func compile(compiler, out string, args ...string) error {
	args = append([]string{"-o", out, "-std=gnu11", "-Wall", "-Wextra", "-Werror"}, args...)
	if said, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot compile %s: %w\n%s", filepath.Base(out), err, said)
	}
	return nil
}

func build(f flavour) (built, error) {
	dir := filepath.Join(folder, f.String())
	b := built{dir + "/libsat.so", dir + "/host", dir + "/codec", dir + "/libfabricante.so"}
	if err := noteSources(); err != nil {
		return b, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return b, err
	}
	flags := []string{"-g"}
	if f != plain {
		if !sanitizes(f) {
			return b, errNoSanitizer
		}
		flags = append(flags, "-O1", "-fno-omit-frame-pointer", "-fsanitize="+string(f), "-fno-sanitize-recover=all")
	}
	cmd := exec.Command("./build.sh", b.library)
	cmd.Env = append(os.Environ(), "CC=gcc", "CFLAGS="+strings.Join(flags, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("cannot build the library: %w\n%s", err, out)
	}
	for out, sources := range map[string][]string{
		b.host:  {"testdata/hosts/host.c", "testdata/hosts/host_posix.c", "-pthread", "-ldl"},
		b.codec: {"testdata/codec.c", "frame.c", "seal.c", "sha256.c", "text.c"},
		b.maker: {"testdata/maker.c", "-shared", "-fPIC"},
	} {
		if err := compile("gcc", out, append(flags, sources...)...); err != nil {
			return b, err
		}
	}
	return b, nil
}

// libraries builds all for Windows at once.
var libraries = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(folder, "windows")
	if err := noteSources(); err != nil {
		return dir, err
	}
	if out, err := exec.Command("./build-windows.sh", dir).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("cannot build the libraries for Windows: %w\n%s", err, out)
	}
	return dir, nil
})

// mingw names the compiler of a Windows flavour.
func mingw(f flavour) string {
	if f == x64 {
		return "x86_64-w64-mingw32-gcc"
	}
	return "i686-w64-mingw32-gcc"
}

func buildForWindows(f flavour) (built, error) {
	dir, err := libraries()
	if err != nil {
		return built{}, err
	}
	b := built{host: filepath.Join(dir, f.String()+".exe"), maker: filepath.Join(dir, f.String()+"-fabricante.dll")}
	convention, maker := []string{"-DHOST_STDCALL"}, []string{"-DMAKER_STDCALL", "-Wl,--kill-at"}
	switch f {
	case stdcall:
		b.library = dir + "/stdcall/SAT.dll"
	case mfe:
		b.library = dir + "/mfe/mfe.dll"
	case cdecl:
		b.library, convention, maker = dir+"/cdecl/SAT.dll", nil, nil
	case x64:
		b.library, convention, maker = dir+"/x64/SAT.dll", nil, nil
	}
	if err := compile(mingw(f), b.host, append(convention, "testdata/hosts/host.c", "testdata/hosts/host_windows.c", "-lpsapi")...); err != nil {
		return b, err
	}
	return b, compile(mingw(f), b.maker, append(maker, "testdata/maker.c", "-shared")...)
}

const wine = "testdata/wine.sh"

// windowsVariable, set to 1, has everything tested in Wine too; what is missing for
// that is then a failure.
const windowsVariable = "ZELO_E2E_WINDOWS"

func windowsWanted() bool { return os.Getenv(windowsVariable) == "1" }

// Says once what most tests then pass over in silence.
func TestOnWindows(t *testing.T) {
	if !windowsWanted() {
		t.Skip("SKIP: Windows hosts run with make e2e-windows")
	}
	if err := prefix(); err != nil {
		t.Fatal(err)
	}
}

// prefix makes a fresh Windows in folder; it returns why there is none.
var prefix = sync.OnceValue(func() error {
	for _, tool := range []string{"i686-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("no %s on this machine", tool)
		}
	}
	if out, err := exec.Command(wine, "have").CombinedOutput(); err != nil {
		return fmt.Errorf("%s", strings.TrimSpace(string(out)))
	}
	if out, err := exec.Command(wine, "prefix", folder).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a Windows: %w\n%s", err, out)
	}
	return nil
})
