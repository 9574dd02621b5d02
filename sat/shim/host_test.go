//go:build linux

package shim_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"zelo/sat"
	"zelo/sat/ipc"
)

// host is a running C program that has loaded the library.
type host struct {
	t      testing.TB
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *bytes.Buffer
	finish func()
}

// newHost starts one. ini is the content of its sat.ini; env comes on top.
func newHost(t testing.TB, f flavour, ini string, env ...string) *host {
	t.Helper()
	b := compiled(t, f)
	file := filepath.Join(t.TempDir(), "sat.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(b.host, b.library)
	cmd.Env = append(append(os.Environ(), "ZELO_INI="+file), env...)
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
	h.in, h.out = in, bufio.NewReaderSize(out, 1<<16)
	h.finish = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || h.errs.Len() > 0 {
			t.Errorf("the host ended with %v\n%s", err, h.errs)
		}
	})
	t.Cleanup(h.finish)
	return h
}

// does gives the host one command and returns its line of answer.
func (h *host) does(format string, args ...any) string {
	h.t.Helper()
	if _, err := fmt.Fprintf(h.in, format+"\n", args...); err != nil {
		h.t.Fatalf("the host is gone: %v\n%s", err, h.errs)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.finish()
		h.t.Fatalf("the host died of %q: %v", fmt.Sprintf(format, args...), err)
	}
	return strings.TrimSuffix(line, "\n")
}

// wants gives a command and compares the answer.
func (h *host) wants(want, format string, args ...any) {
	h.t.Helper()
	if got := h.does(format, args...); got != want {
		h.t.Errorf("%q gives\n%.200s, want\n%.200s", fmt.Sprintf(format, args...), got, want)
	}
}

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

type device func(ctx context.Context, req sat.Request) (sat.Reply, error)

func (d device) Call(ctx context.Context, req sat.Request) (sat.Reply, error) { return d(ctx, req) }

// working answers ConsultarSAT as a device in operation.
var working = device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
	return sat.Reply{Raw: fmt.Appendf(nil, "%06d|08000|SAT em operacao||", req.Session)}, nil
})

// socketPath is short enough for a Unix socket whatever the test is called.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serve runs the agent's side on path until stop is called or the test ends.
func serve(t testing.TB, path string, dev sat.Device, opt ipc.Options) (stop func()) {
	t.Helper()
	ln, err := ipc.Listen(path, ipc.DefaultMode)
	if err != nil {
		t.Fatal(err)
	}
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
func scripted(t *testing.T, act func(*net.UnixConn)) (path string) {
	t.Helper()
	path = socketPath(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			act(conn.(*net.UnixConn))
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return path
}
