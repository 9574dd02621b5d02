//go:build linux

package maker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/maker"
)

// refused opens a file that is no library to be used, with the satlib-hosts of a
// folder, and checks why it fails.
func refused(t *testing.T, library, folder, why string) {
	t.Helper()
	c, _, err := maker.Open(context.Background(), maker.Options{Library: library, Folder: folder})
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v does not say gone and %q", filepath.Base(library), err, why)
	}
}

func TestFilesThatAreNoLibrary(t *testing.T) {
	if err := host(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	library := compile(t, "libfabricante.so", makerSource)
	whole, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	arm := bytes.Clone(whole)
	arm[18] = 183 // e_machine: AArch64
	for _, test := range []struct {
		name, why string
		content   []byte
	}{
		{"empty", "neither", nil},
		{"a text", "neither", []byte("/* GNU ld script */ GROUP ( libsat.so.1 )")},
		{"half a header", "neither", whole[:18]},
		{"cut after its header", "ended", whole[:len(whole)/2]},
		{"another processor", "processor 0xb7", arm},
	} {
		at := filepath.Join(dir, test.name)
		if err := os.WriteFile(at, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, at, folder, test.why)
	}
	refused(t, filepath.Join(dir, "nothing"), folder, "no such file")
	refused(t, library, dir, "satlib-host-amd64")
	companion := compile(t, "libcompanion.so", "-DCOMPANION", "testdata/odd.c")
	refused(t, companion, folder, "no function of a SAT")
	lonely := odd(t)
	if err := os.Remove(filepath.Join(filepath.Dir(lonely), "libcompanion.so")); err != nil {
		t.Fatal(err)
	}
	refused(t, lonely, folder, "libcompanion.so")
}

func TestFunctionThatTakesTextsBackIsMissing(t *testing.T) {
	if err := host(); err != nil {
		t.Fatal(err)
	}
	log := make(lines, 10)
	c := opened(t, maker.Options{Library: odd(t), Free: "Devolver", Log: log.logger()})
	if line := <-log; !strings.Contains(line, "Devolver is not exported") {
		t.Errorf("logged %s", line)
	}
	if _, err := call(c, ask(16)); err != nil {
		t.Error(err)
	}
}

// Each library finds the satlib-host of its processor, which this folder lacks.
func TestLibrariesOfWindowsAreKnown(t *testing.T) {
	dir := t.TempDir()
	for _, tool := range []string{"i686-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIP: no %s on this machine", tool)
		}
	}
	if out, err := exec.Command("../shim/build-windows.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot build libraries for Windows: %v\n%s", err, out)
	}
	for _, name := range []string{"stdcall/SAT.dll", "cdecl/SAT.dll", "x64/SAT.dll", "mfe/mfe.dll"} {
		refused(t, filepath.Join(dir, name), folder, "made for windows")
	}
}
