//go:build linux

package devices_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"zelo/agent/devices"
	"zelo/sat"
	"zelo/sat/link"
	"zelo/sat/sim"
)

// lines is a log whose lines arrive on a channel.
type lines chan string

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

func TestOpenFramedProtocol(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T, s *sim.Sim) string{"tcp": overTCP, "serial": overPTY} {
		t.Run(name, func(t *testing.T) {
			s, err := sim.New(sim.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			conn, info, err := devices.Open(t.Context(), name+":"+listen(t, s), devices.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if info.Serial == "" {
				t.Errorf("the device said %+v of itself", info)
			}
			reply, err := conn.Call(t.Context(), sat.Request{Session: 7, Function: sat.ConsultarSAT})
			if err != nil || reply.Code != sat.ConsultarSAT.Success() {
				t.Errorf("reply %q, %v", reply.Raw, err)
			}
		})
	}
}

func overTCP(t *testing.T, s *sim.Sim) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := l.Accept(); err == nil {
			link.Serve(t.Context(), conn, s, s.Hello())
		}
	}()
	t.Cleanup(func() { l.Close(); <-served })
	return l.Addr().String()
}

func overPTY(t *testing.T, s *sim.Sim) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		link.Serve(t.Context(), master, s, s.Hello())
	}()
	t.Cleanup(func() { slave.Close(); <-served })
	return slave.Name()
}

// TestOpenMakersLibrary builds a library whose name the table knows as one that
// wants its texts back, and satlib-host.
func TestOpenMakersLibrary(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIP: the library of the test is built for amd64")
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("SKIP: no C compiler to build a library")
	}
	dir := t.TempDir()
	library := filepath.Join(dir, "libsatid.so.1.3.5")
	host := exec.Command("go", "build", "-o", filepath.Join(dir, "satlib-host-amd64"), "../../sat/host")
	host.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{exec.Command("cc", "-shared", "-fPIC", "-o", library, "testdata/fake.c"), host} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	log := make(lines, 16)
	conn, info, err := devices.Open(t.Context(), "biblioteca:"+library, devices.Options{Hosts: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if info.Serial != "" || info.Where != library {
		t.Errorf("the library said %+v of its device", info)
	}
	for session := range 2 {
		reply, err := conn.Call(t.Context(), sat.Request{Session: session, Function: sat.ConsultarSAT})
		if err != nil || reply.Session != session {
			t.Fatalf("reply %q, %v", reply.Raw, err)
		}
		select {
		case line := <-log:
			if !strings.Contains(line, "nada emprestado") {
				t.Errorf("the library printed %q", line)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("what the library printed is not in the log")
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.Gone():
	default:
		t.Error("a closed library is not gone")
	}
}

func TestOpenFails(t *testing.T) {
	empty := t.TempDir()
	text := filepath.Join(empty, "SAT.so")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address string
		gone    bool // the device may come back
		want    string
	}{
		"no library":     {"biblioteca:" + empty + "/libsat.so", true, "no such file"},
		"not a library":  {"biblioteca:" + text, true, "neither a library"},
		"no port":        {"serial:/dev/ttyZELO", true, ""},
		"no USB device":  {"usb:ffff:fffe", true, ""},
		"nobody listens": {"tcp:127.0.0.1:1", true, "refused"},
		"no driver":      {"nada:x", false, "comece com"},
		"no address":     {"", false, "comece com"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, _, err := devices.Open(ctx, c.address, devices.Options{})
			if conn != nil || err == nil || errors.Is(err, sat.ErrGone) != c.gone || !strings.Contains(err.Error(), c.want) {
				t.Errorf("conn %v, error %v", conn, err)
			}
		})
	}
}
