//go:build linux

package maker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

const wine = "../shim/testdata/wine.sh"

// Libraries of all conventions, driven by an agent of 64 bits, in Wine.
func TestOnWindows(t *testing.T) {
	if os.Getenv("ZELO_E2E_WINDOWS") != "1" {
		t.Skip("SKIP: Windows libraries run with make e2e-windows")
	}
	startWindows(t)
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
			flags := append(strings.Fields(test.definitions), "-static-libgcc")
			compileTo(t, test.compiler, filepath.Join(dir, "SAT.dll"), append(flags, makerSource)...)
			compileTo(t, test.compiler, filepath.Join(dir, "remote.dll"), append(flags, remoteSource, "-lws2_32")...)
			t.Run("calls", func(t *testing.T) {
				out, err := exec.Command(wine, inWine(dir, "calls", "SAT.dll", "200")...).CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != "ok" {
					t.Errorf("%v\n%s", err, out)
				}
			})
			if strings.Contains(test.definitions, "-Wl,") {
				return // the names are all that is different
			}
			t.Run("suite", func(t *testing.T) { passesTheSuite(t, dir) })
			odd := oddTo(t, dir, test.compiler, ".dll", flags...)
			t.Run("sales", func(t *testing.T) {
				cases := append([]sold{popUp()}, soldBy()...)
				checkSales(t, cases, append([]string{wine}, inWine(dir, "sales", filepath.Base(odd))...)...)
			})
			t.Run("end with the parent", func(t *testing.T) { endsWithParent(t, dir, filepath.Base(odd)) })
		})
	}
}

// startWindows makes a Windows with the programs in it. Boxes wait for an answer
// there as if they had a screen.
func startWindows(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"have"}, {"prefix", folder},
		{"run", folder, "reg", "add", `HKCU\Software\Wine\Drivers`, "/v", "Graphics", "/d", "null", "/f"}} {
		cmd := exec.Command(wine, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cannot %s a Windows: %v\n%s", args[0], err, out)
		}
	}
	t.Cleanup(func() { exec.Command(wine, "stop", folder).Run() })
	for name, what := range map[string][2]string{
		"satlib-host-386.exe": {"../host", "386"}, "satlib-host-amd64.exe": {"../host", "amd64"}, "caller.exe": {"./testdata/caller", "amd64"},
	} {
		if err := buildGo(name, what[0], "windows", what[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// inWine are the arguments by which wine runs the caller for a library in dir.
func inWine(dir, act, library string, args ...string) []string {
	return append([]string{"run", folder, `Z:\zelo\caller.exe`, act, `Z:\zelo\` + filepath.Base(dir) + `\` + library}, args...)
}

// inWindows is a library that the caller serves from Wine.
type inWindows struct {
	*ipc.Client
	gone  chan struct{}
	input io.Closer
	ended func() error // waits; may be asked again
}

func (w *inWindows) Gone() <-chan struct{} { return w.gone }

// Call waits, when the library is gone, until that is known here too.
func (w *inWindows) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	r, err := w.Client.Call(ctx, req)
	if errors.Is(err, sat.ErrGone) {
		<-w.gone
	}
	return r, err
}

func (w *inWindows) Close() error {
	w.Client.Close()
	w.input.Close()
	return w.ended()
}

// openInWindows starts the caller. Wine now and then does not start a program while
// another one ends: it is asked again.
func openInWindows(t *testing.T, dir string) *inWindows {
	t.Helper()
	for range 3 {
		if w := tryInWindows(t, dir); w != nil {
			return w
		}
	}
	t.Fatal("Wine does not start the caller")
	return nil
}

// tryInWindows is nil when the caller was not started.
func tryInWindows(t *testing.T, dir string) *inWindows {
	t.Helper()
	cmd := exec.Command(wine, inWine(dir, "serve", "remote.dll")...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, said := io.Pipe()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &inWindows{gone: make(chan struct{}), input: input, ended: sync.OnceValue(func() error {
		defer said.Close()
		return cmd.Wait()
	})}
	go w.ended()
	lines := bufio.NewScanner(output)
	if !lines.Scan() {
		t.Fatal("the caller says nothing")
	}
	port := strings.TrimSpace(lines.Text())
	if _, err := strconv.Atoi(port); err != nil {
		t.Logf("not started: %s", port)
		go io.Copy(io.Discard, output)
		input.Close()
		w.ended()
		return nil
	}
	go func() {
		lines.Scan() // "gone", or the end
		close(w.gone)
		io.Copy(io.Discard, output)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if w.Client, err = ipc.Dial(ctx, "tcp", "127.0.0.1:"+port, ipc.Options{}); err != nil {
		input.Close()
		t.Fatalf("cannot reach the caller at %q: %v", port, err)
	}
	return w
}

func passesTheSuite(t *testing.T, dir string) {
	sattest.Run(t, func(t *testing.T, o sim.Options) *sattest.Bench {
		return bench(t, simulated(t, o), func() library { return openInWindows(t, dir) })
	})
}

// endsWithParent kills the caller as the system does when memory runs out: what it
// started must end, also a program that the library has left behind.
func endsWithParent(t *testing.T, dir, library string) {
	mark := filepath.Base(dir)
	cmd := exec.Command(wine, inWine(dir, "hang", library)...)
	cmd.Env = append(os.Environ(), `ZELO_TEST_LEFT=Z:\zelo\caller.exe wait `+mark)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.Contains(line, "parada") {
		t.Fatalf("the library says %q, %v", line, err)
	}
	processes := map[string]int{"hang": 0, "satlib-host": 0, "wait": 0}
	for what := range processes {
		fd := running(t, what, mark)
		defer unix.Close(fd)
		processes[what] = fd
	}
	if err := unix.PidfdSendSignal(processes["hang"], unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for what, fd := range processes {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
			t.Errorf("%q has not ended, %v", what, err)
		}
	}
}

// running finds a process by two things that its command line holds.
func running(t *testing.T, what, mark string) (fd int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range all {
		line, err := os.ReadFile(at)
		if err != nil || !bytes.Contains(line, []byte(what)) || !bytes.Contains(line, []byte(mark)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(at)))
		if err != nil {
			t.Fatal(err)
		}
		if fd, err = unix.PidfdOpen(pid, 0); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	t.Fatalf("%q does not run", what)
	return 0
}
