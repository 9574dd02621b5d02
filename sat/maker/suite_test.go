//go:build linux

package maker_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/maker"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// owner holds a library as a driver's owner does: it opens it again when it is
// gone and the cable is in. So a library that was killed is a device that answers.
type owner struct {
	open func() *maker.Conn

	mu    sync.Mutex
	conn  *maker.Conn
	inUse bool // the cable is in
}

func (o *owner) current() *maker.Conn {
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

// simulated starts a simulator, which the fake libraries opened next reach.
func simulated(t *testing.T, o sim.Options) *sim.Sim {
	t.Helper()
	if err := device(); err != nil {
		t.Fatal(err)
	}
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ipc.Serve(ctx, ln, s, ipc.Options{}) }()
	t.Cleanup(func() { cancel(); <-served })
	t.Setenv("ZELO_MAKER_EXEC", filepath.Join(folder, "device"))
	t.Setenv("ZELO_TEST_DEVICE", socket)
	return s
}

// The simulator behind a maker's library: the library runs a program for each
// call, which asks the simulator.
func TestLibraryPassesTheSuite(t *testing.T) {
	library := compile(t, "libfabricante.so", makerSource)
	sattest.Run(t, func(t *testing.T, o sim.Options) *sattest.Bench {
		s := simulated(t, o)
		open := func() *maker.Conn {
			return opened(t, maker.Options{Library: library, Slack: 200 * time.Millisecond})
		}
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
	c = opened(t, maker.Options{Library: compile(t, "libfabricante.so", makerSource)})
	for code, serial := range map[string]string{"": "", sim.DefaultCode: "900000001"} {
		if info, err := c.Identify(context.Background(), len(code), code); err != nil || info.Serial != serial {
			t.Errorf("with code %q: %+v, %v", code, info, err)
		}
	}
}
