package monitor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOnWindows runs the tests of what only Windows does, in Wine, for both
// processors.
func TestOnWindows(t *testing.T) {
	if os.Getenv("ZELO_E2E_WINDOWS") != "1" {
		t.Skip("SKIP: what Windows says of its computer is tested with make e2e-windows")
	}
	const wine = "../../sat/shim/testdata/wine.sh"
	dir := t.TempDir()
	if out, err := exec.Command(wine, "prefix", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot make a Windows: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command(wine, "stop", dir).Run() })
	for _, arch := range []string{"386", "amd64"} {
		t.Run(arch, func(t *testing.T) {
			program := "monitor-" + arch + ".exe"
			build := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, program), ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH="+arch)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, wine, "run", dir, program, "-test.v",
				"-test.run=ThisWindows|Company|StoreOfWindows").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestStoresOfThisWindows") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
