package sattest_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/link"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

func newSim(t *testing.T, o sim.Options) *sim.Sim {
	t.Helper()
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSimInProcess(t *testing.T) {
	sattest.Run(t, func(t *testing.T, o sim.Options) *sattest.Bench {
		s := newSim(t, o)
		return &sattest.Bench{Device: s, Sim: s, Unplug: s.Unplug, Reopen: func() sat.Device { s.Plug(); return s }}
	})
}

func TestLinkOverPTY(t *testing.T) {
	sattest.Run(t, overLink(sim.Ports{PTY: true}, func(ctx context.Context, where string) (*link.Conn, sat.Info, error) {
		return link.OpenSerial(ctx, where, 0)
	}))
}

func TestLinkOverTCP(t *testing.T) {
	sattest.Run(t, overLink(sim.Ports{TCP: "127.0.0.1:0"}, link.OpenTCP))
}

// The client of sat/ipc is a Device too: behind it are the agent, and neighbours.
func TestIPCOverUnixSocket(t *testing.T) { sattest.Run(t, overIPC("unix")) }

func TestIPCOverTCP(t *testing.T) { sattest.Run(t, overIPC("tcp")) }

// overIPC serves the simulator at a socket. Its device goes, the server stays.
func overIPC(network string) sattest.Opener {
	return func(t *testing.T, o sim.Options) *sattest.Bench {
		s := newSim(t, o)
		where := "127.0.0.1:0"
		if network == "unix" {
			where = filepath.Join(t.TempDir(), "s")
		}
		ln, err := net.Listen(network, where)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- ipc.Serve(ctx, ln, s, ipc.Options{}) }()
		t.Cleanup(func() { cancel(); <-ended })
		soon, gaveUp := context.WithTimeout(ctx, 10*time.Second)
		defer gaveUp()
		c, err := ipc.Dial(soon, network, ln.Addr().String(), ipc.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &sattest.Bench{Device: c, Sim: s, Unplug: s.Unplug, Reopen: func() sat.Device { s.Plug(); return c }}
	}
}

// overLink opens the simulator through a port on which it runs.
func overLink(p sim.Ports, open func(context.Context, string) (*link.Conn, sat.Info, error)) sattest.Opener {
	return func(t *testing.T, o sim.Options) *sattest.Bench {
		s := newSim(t, o)
		ready := make(chan string, 1)
		p := p
		p.Ready = func(port, where string) { ready <- where }
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, p) }()
		t.Cleanup(func() { cancel(); <-ended })
		where := <-ready
		var conn *link.Conn
		dial := func() sat.Device {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			var info sat.Info
			var err error
			if conn, info, err = open(ctx, where); err != nil {
				t.Fatal(err)
			}
			if info.Serial != "900000001" || info.Name != "simulador SAT 01.00.00" {
				t.Errorf("info %+v", info)
			}
			return conn
		}
		b := &sattest.Bench{Device: dial(), Sim: s}
		t.Cleanup(func() { conn.Close() })
		b.Unplug = func() { s.Unplug(); <-conn.Gone() }
		b.Reopen = func() sat.Device {
			conn.Close()
			s.Plug()
			if p.PTY {
				where = <-ready // plugged in again, it is another one
			}
			return dial()
		}
		return b
	}
}
