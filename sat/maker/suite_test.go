//go:build linux

package maker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/maker"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// library is an open one, here or in Wine.
type library interface {
	sat.Device
	Gone() <-chan struct{}
	Close() error
}

// owner holds a library as a driver's owner does: it opens it again when it is
// gone and the cable is in. So a library that was killed is a device that answers.
type owner struct {
	open func() library

	mu    sync.Mutex
	conn  library
	inUse bool // the cable is in
}

func (o *owner) current() library {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.conn.Gone():
		if o.inUse {
			o.conn.Close()
			o.conn = o.open()
		}
	default:
	}
	return o.conn
}

func (o *owner) plug(in bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inUse = in
}

// Call repeats what certainly was not sent because the library was given up
// meanwhile.
func (o *owner) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	for {
		conn := o.current()
		r, err := conn.Call(ctx, req)
		if o.current() == conn || !errors.Is(err, sat.ErrNotSent) || !errors.Is(err, sat.ErrGone) {
			return r, err
		}
	}
}

// simulated starts a simulator, which the remote libraries opened next reach.
func simulated(t *testing.T, o sim.Options) *sim.Sim {
	t.Helper()
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() { carryOut(ctx, conn, s) })
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); served.Wait() })
	t.Setenv("ZELO_TEST_DEVICE", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	return s
}

// carryOut is a connection from testdata/remote.c: one call. The device gives up
// when the library does.
func carryOut(ctx context.Context, conn net.Conn, s *sim.Sim) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	said, err := io.ReadAll(conn)
	call := strings.Split(string(said), "\x00")
	if err != nil || len(call) < 3 {
		return
	}
	session, err := strconv.Atoi(call[1])
	if f, ok := sat.FunctionByName(call[0]); ok && err == nil {
		reply, _ := s.Call(ctx, sat.Request{Session: session, Function: f, Args: call[2 : len(call)-1]})
		conn.Write(reply.Raw) // also when it is no reply
	}
}

// bench puts a library, which open opens, before a simulator.
func bench(t *testing.T, s *sim.Sim, open func() library) *sattest.Bench {
	d := &owner{open: open, conn: open(), inUse: true}
	t.Cleanup(func() { d.conn.Close() })
	return &sattest.Bench{Device: d, Sim: s,
		Unplug: func() { // a library without its device fails, and is given up
			s.Unplug()
			d.plug(false)
			call(d, ask(999))
		},
		Reopen: func() sat.Device {
			s.Plug()
			d.plug(true)
			return d
		},
	}
}

const remoteSource = "testdata/remote.c"

func TestLibraryPassesTheSuite(t *testing.T) {
	at := compile(t, "libremote.so", remoteSource)
	sattest.Run(t, func(t *testing.T, o sim.Options) *sattest.Bench {
		return bench(t, simulated(t, o), func() library {
			return opened(t, maker.Options{Library: at, Slack: 200 * time.Millisecond})
		})
	})
}

func TestIdentify(t *testing.T) {
	t.Setenv("FAKE_SAT", t.TempDir())
	c := opened(t, maker.Options{Library: compile(t, "libfabricante.so", makerSource)})
	var failed *sat.Error
	if _, err := c.Identify(context.Background(), 1, ""); !errors.As(err, &failed) || failed.Code != 8001 {
		t.Errorf("a library that finds no device: %v", err)
	}
	simulated(t, sim.Options{})
	c = opened(t, maker.Options{Library: compile(t, "libremote.so", remoteSource)})
	for code, serial := range map[string]string{"": "", sim.DefaultCode: "900000001"} {
		if info, err := c.Identify(context.Background(), len(code), code); err != nil || info.Serial != serial {
			t.Errorf("with code %q: %+v, %v", code, info, err)
		}
	}
}
