package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
)

// breaking lets n bytes through after the greeting, then cuts the line: the other
// side sees the end, this side's writes fail.
type breaking struct {
	io.ReadWriteCloser
	left int
}

func (s *breaking) Write(b []byte) (int, error) {
	if kind(b[3]) == hello {
		return s.ReadWriteCloser.Write(b)
	}
	n, _ := s.ReadWriteCloser.Write(b[:min(len(b), s.left)])
	s.left -= n
	if s.left == 0 {
		s.ReadWriteCloser.Close()
	}
	if n < len(b) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// The line breaks after every possible number of bytes of a request. Only when
// not one left is the sale certainly not issued; the device never carried out
// more than what the outcome allows.
func TestLineBreaks(t *testing.T) {
	req := sale(77)
	whole := len(frame{kind: request, payload: encodeRequest(req)}.encode())
	for n := range whole + 1 {
		till, far := newLine(t, "tcp")
		dev := &device{answer: func(ctx context.Context, _ sat.Request) (sat.Reply, error) {
			<-ctx.Done()
			return sat.Reply{}, ctx.Err()
		}}
		stop := serving(t, far, dev)
		b := &breaking{till, n}
		c := opened(t, b)
		if n == 0 {
			till.Close()
		}
		r, err := c.Call(soon(t), req)
		want := sat.Unknown
		if n == 0 {
			want = sat.NotIssued
		}
		if got := sat.OutcomeOf(req, r, err); got != want || !errors.Is(err, sat.ErrGone) {
			t.Errorf("break after %d of %d bytes: %s, %v", n, whole, got, err)
		}
		c.Close()
		if stop(); len(dev.carriedOut()) > 0 && n < whole {
			t.Errorf("the device carried out a request of %d bytes cut after %d", whole, n)
		}
	}
}

// The device is unplugged at each stage of a call; on a pty as on TCP.
func TestUnplug(t *testing.T) {
	for _, over := range []string{"pty", "tcp"} {
		t.Run(over+"/before", func(t *testing.T) {
			till, far := newLine(t, over)
			stop := serving(t, far, &device{})
			c := opened(t, till)
			stop()
			<-c.Gone()
			r, err := c.Call(soon(t), sale(1))
			if sat.OutcomeOf(sale(1), r, err) != sat.NotIssued || !errors.Is(err, sat.ErrGone) || errors.Is(err, os.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
		t.Run(over+"/while the device works", func(t *testing.T) {
			till, far := newLine(t, over)
			serving(t, far, &device{answer: func(context.Context, sat.Request) (sat.Reply, error) {
				return sat.Reply{}, sat.ErrGone
			}})
			r, err := opened(t, till).Call(soon(t), sale(1))
			if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) || errors.Is(err, os.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
		t.Run(over+"/closed here", func(t *testing.T) {
			till, far := newLine(t, over)
			began := make(chan bool)
			serving(t, far, &device{answer: func(ctx context.Context, _ sat.Request) (sat.Reply, error) {
				close(began)
				<-ctx.Done()
				return sat.Reply{}, ctx.Err()
			}})
			c := opened(t, till)
			go func() { <-began; c.Close() }()
			r, err := c.Call(soon(t), sale(1))
			if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, os.ErrClosed) || errors.Is(err, sat.ErrGone) {
				t.Errorf("amid a call: %v", err)
			}
			r, err = c.Call(soon(t), sale(2))
			if sat.OutcomeOf(sale(2), r, err) != sat.NotIssued || !errors.Is(err, os.ErrClosed) {
				t.Errorf("after: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
}

// clogged is a line that takes no bytes after the greeting and cannot even be
// interrupted, like a serial port without a reader.
type clogged struct {
	io.ReadWriteCloser
	greeted bool
	hangUp  chan bool
}

func (s *clogged) Write(b []byte) (int, error) {
	if s.greeted {
		<-s.hangUp
		return 0, io.ErrClosedPipe
	}
	s.greeted = true
	return s.ReadWriteCloser.Write(b)
}

func TestLineThatTakesNoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		serving(t, far, &device{})
		line := &clogged{till, false, make(chan bool)}
		c := opened(t, line)
		start := time.Now()
		r, err := c.Call(context.Background(), sale(1))
		if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) {
			t.Errorf("what was handed to the line may still leave: %v", err)
		}
		if d := time.Since(start); d != stall {
			t.Errorf("waited %v", d)
		}
		if _, err := c.Call(context.Background(), sale(2)); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("the next call: %v", err)
		}
		start = time.Now()
		if c.Close(); time.Since(start) > time.Second {
			t.Errorf("closing took %v", time.Since(start))
		}
		close(line.hangUp)
	})
}

// A caller who leaves amid a large frame leaves the line whole, and his request
// is never carried out.
func TestContextEndsAmidAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		dev := &device{}
		stop := serving(t, far, dev)
		ctx, cancel := context.WithCancel(t.Context())
		c, _, err := Open(ctx, &watched{till, cancel}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		big := sat.Request{Function: sat.EnviarDadosVenda, Session: 1, Args: []string{"", strings.Repeat("x", 1<<20)}}
		if r, err := c.Call(ctx, big); sat.OutcomeOf(big, r, err) != sat.Unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		start := time.Now()
		if r, err := c.Call(t.Context(), sale(2)); err != nil || r.Session != 2 {
			t.Errorf("the next call: %+v, %v", r, err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("the next call took %v", d)
		}
		if calls := dev.carriedOut(); len(calls) != 1 {
			t.Errorf("the device carried out %d requests", len(calls))
		}
		c.Close()
		stop()
	})
}

// watched tells when the first chunk of a large frame has left.
type watched struct {
	io.ReadWriteCloser
	left func()
}

func (s *watched) Write(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(b)
	if len(b) == chunk {
		s.left()
	}
	return n, err
}
