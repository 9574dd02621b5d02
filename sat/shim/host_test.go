//go:build linux

package shim_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/sattest"
)

// host is a running C program that has loaded the library.
type host struct {
	t      testing.TB
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *bytes.Buffer
	pid    int
	finish func() // waits for its end, which must be a good one
	doomed bool   // unless it is expected to die
}

// path is where a host sees a file of this machine.
func (f flavour) path(file string) string {
	if !f.onWindows() {
		return file
	}
	rel, err := filepath.Rel(folder, file)
	if err != nil {
		panic(err)
	}
	return `Z:\zelo\` + strings.ReplaceAll(rel, "/", `\`)
}

// workplace is a fresh folder that hosts see too.
func workplace(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "w")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run prepares a program of flavour f.
func run(f flavour, program string, args ...string) *exec.Cmd {
	if !f.onWindows() {
		return exec.Command(program, args...)
	}
	return exec.Command(wine, append([]string{"run", folder, f.path(program)}, args...)...)
}

// newHost starts one. ini is the content of its sat.ini; env comes on top.
func newHost(t testing.TB, f flavour, ini string, env ...string) *host {
	t.Helper()
	return loads(t, f, compiled(t, f).library, ini, env...)
}

// loads starts a host with a library of its own.
func loads(t testing.TB, f flavour, library, ini string, env ...string) *host {
	t.Helper()
	file := filepath.Join(workplace(t), "sat.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := run(f, compiled(t, f).host, f.path(library))
	cmd.Env = append(append(os.Environ(), "ZELO_INI="+f.path(file)), env...)
	cmd.WaitDelay = 10 * time.Second // for a forked child that holds its output
	h := &host{t: t, errs: &bytes.Buffer{}}
	cmd.Stderr = h.errs
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
	h.pid = cmd.Process.Pid
	h.in, h.out = in, bufio.NewReaderSize(out, 1<<16)
	h.finish = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); !h.doomed && (err != nil || h.errs.Len() > 0) {
			t.Errorf("the host ended with %v\n%s", err, h.errs)
		}
	})
	t.Cleanup(h.finish)
	return h
}

// raw gives the host one command and returns its line of answer.
func (h *host) raw(format string, args ...any) string {
	h.t.Helper()
	if _, err := fmt.Fprintf(h.in, format+"\n", args...); err != nil {
		h.t.Fatalf("the host is gone: %v\n%s", err, h.errs)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.finish()
		h.t.Fatalf("the host died of %.200q: %v", fmt.Sprintf(format, args...), err)
	}
	return strings.TrimSuffix(line, "\n")
}

// does is raw, but a reply of the library must be one that every till can read.
func (h *host) does(format string, args ...any) string {
	h.t.Helper()
	line := h.raw(format, args...)
	words := strings.Fields(fmt.Sprintf(format, args...))
	if words[0] != "call" {
		return line
	}
	if f, ok := sat.FunctionByName(strings.Replace(words[1], "MFE", "", 1)); ok {
		session, err := strconv.Atoi(words[2])
		if err != nil {
			h.t.Fatal(err)
		}
		sattest.CheckStrict(h.t, f, six(session), []byte(line))
	}
	return line
}

// wants gives a command and compares the answer.
func (h *host) wants(want, format string, args ...any) {
	h.t.Helper()
	if got := h.does(format, args...); got != want {
		h.t.Errorf("%.200q gives\n%.300s, want\n%.300s", fmt.Sprintf(format, args...), got, want)
	}
}

// six is the session of six digits that stands for one a till passed.
func six(session int) int { return (session%1_000_000 + 1_000_000) % 1_000_000 }

// unknown and unsent are the replies of the library itself.
func unknown(f sat.Function, session int) string {
	return own(f, session, f.Busy(), "SAT em processamento. Tente novamente.")
}

func unsent(f sat.Function, session int) string {
	return own(f, session, f.Failed(), "O comando nao chegou ao SAT. Verifique o equipamento e o servico Zelo e tente novamente.")
}

func own(f sat.Function, session int, code sat.Code, message string) string {
	r := sat.NewReply(f, session, code)
	r.Message = message
	return string(r.Encode(session)) // the writer that strict clients are tested with
}

// lines is a log that many goroutines write and the test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

type device func(ctx context.Context, req sat.Request) (sat.Reply, error)

func (d device) Call(ctx context.Context, req sat.Request) (sat.Reply, error) { return d(ctx, req) }

// working answers ConsultarSAT as a device in operation.
var working = device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
	return sat.Reply{Raw: fmt.Appendf(nil, "%06d|08000|SAT em operacao||", req.Session)}, nil
})

// address is where an agent listens: a Unix socket, or a port of this machine.
type address struct{ network, at string }

// env tells a host of it.
func (a address) env() string {
	if a.network == "unix" {
		return "ZELO_SOCKET=" + a.at
	}
	return "ZELO_AGENTE=" + a.at
}

// socket is an address that is short enough for a Unix socket whatever the test
// is called.
func socket(t testing.TB) address { return address{"unix", filepath.Join(workplace(t), "s")} }

// port is an address at a port that nobody has now.
func port(t testing.TB) address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return address{"tcp", ln.Addr().String()}
}

// address is one that hosts of this flavour can reach.
func (f flavour) address(t testing.TB) address {
	if f.onWindows() {
		return port(t)
	}
	return socket(t)
}

func (a address) listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen(a.network, a.at)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve runs the agent's side at a until stop is called or the test ends.
func serve(t testing.TB, a address, dev sat.Device, opt ipc.Options) (stop func()) {
	t.Helper()
	ln := a.listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ipc.Serve(ctx, ln, dev, opt) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// scripted is a server made by hand: each connection is given to act.
func scripted(t *testing.T, a address, act func(net.Conn)) (stop func()) {
	t.Helper()
	ln := a.listen(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			act(conn)
			conn.Close()
		}
	}()
	stop = sync.OnceFunc(func() { ln.Close(); <-ended })
	t.Cleanup(stop)
	return stop
}
