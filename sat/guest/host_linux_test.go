package guest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"zelo/sat/sattest"
)

const (
	// ended begins the line that the guest prints last, followed by the code of its
	// tests.
	ended = "guest: tests ended with "
	// measured marks what the guest's tests measured.
	measured = "measured: "
	// bound is how long the guest may live.
	bound = 200 * time.Second
)

// TestUSB is the conformance suite on USB devices behind a real kernel.
func TestUSB(t *testing.T) {
	if isGuest() {
		for _, w := range ways() {
			t.Run(w.name, func(t *testing.T) { sattest.Run(t, w.bench) })
		}
		t.Run("two alike", twoAlike)
		t.Run("driver", driver)
		t.Run("hot-plug", hotPlug)
		return
	}
	if os.Getenv("ZELO_E2E_USB") == "" {
		t.Skip("SKIP: USB devices behind a real kernel run with make e2e-usb")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal("qemu-system-x86_64 is missing (Debian: qemu-system-x86); .ci/e2e-usb.sh fetches it")
	}
	k, ok := findKernel("../../build/kernel", "/")
	if !ok {
		t.Fatal("no kernel with the module vhci-hcd below build/kernel or /boot; .ci/e2e-usb.sh fetches one")
	}
	passed := map[string]bool{}
	// The driver once more, as a 32-bit program: the kernel's structures differ.
	guests := []guest{{"", "amd64", "TestUSB"}, {"32-bit/", "386", "TestUSB/driver/bulk"}}
	consoles := make([][]string, len(guests))
	t.Run("guests", func(t *testing.T) {
		for i, g := range guests {
			t.Run(g.arch, func(t *testing.T) {
				t.Parallel()
				consoles[i] = boot(t, qemu, k, g)
			})
		}
	})
	var results []result
	for i, g := range guests {
		results = append(results, judged(t, g.prefix, consoles[i])...)
	}
	for _, r := range results {
		passed[r.name] = r.passed
		if strings.Contains(r.name, "/") {
			t.Run(r.name, func(t *testing.T) {
				t.Log("in the guest it took", r.took)
				if !r.passed {
					t.Error("it failed in the guest, see its console")
				}
			})
		}
	}
	parts := []string{"driver", "32-bit/driver/bulk"}
	for _, w := range ways() {
		parts = append(parts, w.name, "two_alike/"+w.name, "hot-plug/"+w.name)
	}
	for _, part := range parts {
		if !passed[part] {
			t.Errorf("%s did not pass in the guest", part)
		}
	}
}

// guest is a run of these tests in a machine of their own.
type guest struct {
	prefix string // of its results' names
	arch   string // of the program, as Go calls it
	tests  string // which
}

// boot runs the guest until it switches off and returns what it printed.
func boot(t *testing.T, qemu string, k kernel, g guest) (console []string) {
	t.Helper()
	dir := t.TempDir()
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "test", "-c", "-o", init, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+g.arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot compile the guest's init: %v\n%s", err, out)
	}
	keys, err := makeKeys("900000001", "900000002")
	if err != nil {
		t.Fatal(err)
	}
	files, err := initramfs(init, keys, k, "vhci_hcd", "cdc_acm", "ftdi_sio", "usblcd")
	if err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, files, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-M", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-m", "512", "-nodefaults",
		"-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", k.image, "-initrd", initrd,
		"-append", "console=ttyS0 loglevel=1 panic=-1 tsc=reliable no_timer_check "+inGuest+"=1 -- -test.v -test.run="+g.tests+" -test.timeout="+(bound-20*time.Second).String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the machine ends with the thread that started it
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start the guest: %v", err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		console = append(console, strings.TrimRight(lines.Text(), "\r"))
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the guest did not switch itself off: %v (at most %v)", err, bound)
	}
	return console
}

type result struct {
	name   string // below TestUSB
	passed bool
	took   string
}

// judged reads the results from the console, which is shown when something failed.
func judged(t *testing.T, prefix string, console []string) (results []result) {
	t.Helper()
	whole := strings.Join(console, "\n")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the guest's console:\n%s", whole)
		}
	})
	for _, m := range regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): TestUSB/(\S+) \((\S+)\)`).FindAllStringSubmatch(whole, -1) {
		results = append(results, result{prefix + m[2], m[1] == "PASS", m[3]})
	}
	for _, line := range console {
		if _, text, ok := strings.Cut(line, measured); ok {
			t.Log(prefix + text)
		}
	}
	if !slices.Contains(console, ended+"0") {
		t.Error("the guest's tests did not end well")
	}
	return results
}
