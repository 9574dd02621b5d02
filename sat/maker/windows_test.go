//go:build linux

package maker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const wine = "../shim/testdata/wine.sh"

// Libraries of all conventions, driven by an agent of 64 bits, in Wine.
func TestOnWindows(t *testing.T) {
	if os.Getenv("ZELO_E2E_WINDOWS") != "1" {
		t.Skip("SKIP: Windows libraries run with make e2e-windows")
	}
	if out, err := exec.Command(wine, "have").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	if out, err := exec.Command(wine, "prefix", folder).CombinedOutput(); err != nil {
		t.Fatalf("cannot make a Windows: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command(wine, "stop", folder).Run() })
	for name, what := range map[string][2]string{
		"satlib-host-386.exe": {"../host", "386"}, "satlib-host-amd64.exe": {"../host", "amd64"}, "caller.exe": {"./testdata/caller", "amd64"},
	} {
		if err := buildGo(name, what[0], "windows", what[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ name, compiler, definitions string }{
		{"64 bits", "x86_64-w64-mingw32-gcc", ""},
		{"cdecl", "i686-w64-mingw32-gcc", ""},
		{"stdcall, plain names", "i686-w64-mingw32-gcc", "-DMAKER_STDCALL -Wl,--kill-at"},
		{"stdcall, Name@N", "i686-w64-mingw32-gcc", "-DMAKER_STDCALL"},
		{"stdcall, _Name@N", "i686-w64-mingw32-gcc", "-DMAKER_STDCALL -Wl,--leading-underscore"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp(folder, "windows")
			if err != nil {
				t.Fatal(err)
			}
			library := filepath.Join(dir, "SAT.dll")
			compileTo(t, test.compiler, library, append(strings.Fields(test.definitions), makerSource)...)
			inWine(t, library, "", "200")
			inWine(t, library, "hang", "0", "hang")
		})
	}
}

// inWine runs the caller, with the library in a mode.
func inWine(t *testing.T, library, mode string, args ...string) {
	t.Helper()
	dir := filepath.Dir(library)
	if err := os.WriteFile(filepath.Join(dir, "mode"), []byte(mode), 0o600); err != nil {
		t.Fatal(err)
	}
	there := `Z:\zelo\` + filepath.Base(dir)
	cmd := exec.Command(wine, append([]string{"run", folder, `Z:\zelo\caller.exe`, there + `\SAT.dll`}, args...)...)
	cmd.Env = append(os.Environ(), "FAKE_SAT="+there)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}
