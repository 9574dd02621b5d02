package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"zelo/sat/link"
)

// ErrCrashed is what Run returns when the script made the device crash: the
// process should end as if it had died.
var ErrCrashed = errors.New("the simulated device crashed")

// Ports say where Run offers the device. Each may be left out.
type Ports struct {
	PTY     bool   // a pseudo terminal
	Link    string // a symbolic link to it, kept right when it is plugged in again
	TCP     string // address to listen on
	Control string // address of the control protocol: host:port, or a path for a Unix socket
	// Ready hears of each port as it opens: "pty", "tcp" or "control", and where.
	// A device plugged in again has a new pty.
	Ready func(port, where string)
}

// Run offers the device on its ports until ctx ends (then it returns nil), it
// crashes (ErrCrashed) or a port fails. A TCP port serves one client, as a cable
// would: a new one takes the place of the former.
func (s *Sim) Run(ctx context.Context, p Ports) error {
	ctx, cancel := context.WithCancel(ctx)
	if p.Ready == nil {
		p.Ready = func(string, string) {}
	}
	listen := func(network, addr, name string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, fmt.Errorf("cannot open the simulator's %s port: %w", name, err)
		}
		context.AfterFunc(ctx, func() { l.Close() })
		p.Ready(name, l.Addr().String())
		return l, nil
	}
	var parts sync.WaitGroup
	defer func() { cancel(); parts.Wait() }()
	failed := make(chan error, 1)
	if p.TCP != "" {
		l, err := listen("tcp", p.TCP, "tcp")
		if err != nil {
			return err
		}
		parts.Go(func() { s.serveTCP(ctx, l) })
	}
	if p.Control != "" {
		network := "tcp"
		if strings.ContainsRune(p.Control, os.PathSeparator) {
			network = "unix"
			removeOnly(p.Control, os.ModeSocket)
		}
		l, err := listen(network, p.Control, "control")
		if err != nil {
			return err
		}
		parts.Go(func() { s.serveControl(ctx, l) })
	}
	if p.PTY {
		parts.Go(func() { failed <- s.servePTY(ctx, p) })
	}
	select {
	case <-s.crashed:
		return ErrCrashed
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// removeOnly removes what a former process left at path, if it is of that kind.
func removeOnly(path string, kind os.FileMode) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == kind {
		os.Remove(path)
	}
}

// serve answers on one stream until it ends or the device is unplugged.
func (s *Sim) serve(ctx context.Context, stream io.ReadWriteCloser, gone <-chan struct{}) {
	select {
	case <-gone:
		stream.Close()
		return
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-gone:
		case <-ctx.Done():
		}
		cancel()
	})
	err := link.Serve(ctx, stream, s, s.Hello())
	cancel()
	watch.Wait()
	s.o.Log.Info("simulated device's line ended", "reason", err)
}

func (s *Sim) serveTCP(ctx context.Context, l net.Listener) {
	var client sync.WaitGroup
	end := func() {}
	for {
		conn, err := l.Accept()
		end()
		client.Wait()
		if err != nil {
			return
		}
		gone := s.goneNow()
		var mine context.Context
		mine, end = context.WithCancel(ctx)
		client.Go(func() { s.serve(mine, conn, gone) })
	}
}

// servePTY offers a pseudo terminal for as long as the device is plugged in, and
// another one each time it is plugged in again. It returns nil when ctx ends.
func (s *Sim) servePTY(ctx context.Context, p Ports) error {
	for {
		gone := s.waitPlugged(ctx)
		if ctx.Err() != nil {
			return nil
		}
		master, path, err := openPTY()
		if err != nil {
			return err
		}
		if p.Link != "" {
			removeOnly(p.Link, os.ModeSymlink)
			if err := os.Symlink(path, p.Link); err != nil {
				master.Close()
				return fmt.Errorf("cannot link the simulator's pseudo terminal: %w", err)
			}
		}
		p.Ready("pty", path)
		s.serve(ctx, master, gone)
		if p.Link != "" { // a port that is gone has no name; another program may get its number
			removeOnly(p.Link, os.ModeSymlink)
		}
	}
}
