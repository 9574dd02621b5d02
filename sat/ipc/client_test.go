package ipc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
)

func dial(t testing.TB, path string) *Client {
	t.Helper()
	network, at := split(path)
	c, err := Dial(t.Context(), network, at, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEveryFunctionThroughTheWire(t *testing.T) {
	var got sat.Request
	var left time.Duration
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		got = req
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return sat.NewReply(req.Function, req.Session, req.Function.Failed()), nil
	}), Options{})
	c := dial(t, path)
	for _, f := range sat.Functions() {
		req := request(f, 100+int(f))
		reply, err := c.Call(t.Context(), req)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if !reflect.DeepEqual(got, req) {
			t.Errorf("%s arrived as %+v", f, got)
		}
		if want := sat.NewReply(f, req.Session, f.Failed()); !reflect.DeepEqual(reply.Raw, want.Raw) || reply.Code != want.Code {
			t.Errorf("%s: reply %q, want %q", f, reply.Raw, want.Raw)
		}
		if lost := f.Deadline() - left; lost < 0 || lost > time.Second {
			t.Errorf("%s: the device had %s of %s", f, left, f.Deadline())
		}
	}
}

func TestLargeSaleLargeLog(t *testing.T) {
	sale := strings.Repeat("<det/>", 250_000) // 1.5 MB
	log := append([]byte("000007|15000|Transferencia completa|||"), bytes.Repeat([]byte("QUJD"), 5<<18)...)
	path, _ := start(t, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		if req.Function == sat.EnviarDadosVenda && req.Arg("dadosVenda") != sale {
			return sat.Reply{}, errors.New("another sale arrived")
		}
		return sat.Reply{Function: req.Function, Raw: log}, nil
	}), Options{})
	c := dial(t, path)
	req := request(sat.ExtrairLogs, 7)
	reply, err := c.Call(t.Context(), req)
	if err != nil || !bytes.Equal(reply.Raw, log) {
		t.Errorf("%d bytes of log, %v", len(reply.Raw), err)
	}
	// The answer is no answer to a sale; that it came says that the sale arrived.
	reply, err = c.Call(t.Context(), request(sat.EnviarDadosVenda, 7).WithArg("dadosVenda", sale))
	if !errors.Is(err, sat.ErrMalformed) || !bytes.Equal(reply.Raw, log) {
		t.Errorf("%d bytes, %v", len(reply.Raw), err)
	}
}

func TestErrorsKeepTheirTruthAcrossTheWire(t *testing.T) {
	var fault error
	path, _ := start(t, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{}, fault }), Options{})
	c := dial(t, path)
	req := request(sat.EnviarDadosVenda, 7)
	for name, test := range map[string]struct {
		fault         error
		notSent, gone bool
	}{
		"unclassified":    {errors.New("cable on fire"), false, false},
		"not sent":        {fmt.Errorf("no room: %w", sat.ErrNotSent), true, false},
		"gone":            {&sat.Error{Op: "call", Err: sat.ErrGone}, false, true},
		"gone and unsent": {fmt.Errorf("%w: %w", sat.ErrGone, sat.ErrNotSent), true, true},
		"malformed reply": {sat.ErrMalformed, false, false},
		"out of time":     {context.DeadlineExceeded, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			fault = test.fault
			_, err := c.Call(t.Context(), req)
			var typed *sat.Error
			if !errors.As(err, &typed) || typed.Request != req.Function || typed.Session != 7 || typed.Device != c.addr {
				t.Errorf("error %v", err)
			}
			if errors.Is(err, sat.ErrNotSent) != test.notSent || errors.Is(err, sat.ErrGone) != test.gone {
				t.Errorf("not sent %v, gone %v: %v", errors.Is(err, sat.ErrNotSent), errors.Is(err, sat.ErrGone), err)
			}
			if got, want := sat.OutcomeOf(req, sat.Reply{}, err), sat.OutcomeOf(req, sat.Reply{}, fault); got != want {
				t.Errorf("outcome %s here, %s there", got, want)
			}
			if !strings.Contains(err.Error(), fault.Error()) {
				t.Errorf("%q does not hold the device's words %q", err, fault)
			}
		})
	}
}

// scripted is a server made by hand: each connection is given to the next act.
func scripted(t *testing.T, acts ...func(peer)) (path string) {
	t.Helper()
	path = place(t)
	ln, err := Listen(path, DefaultMode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for _, act := range acts {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			act(peer{t, conn})
			conn.Close()
		}
		ln.Close()
	}()
	return path
}

func greets(p peer) peer {
	p.Write(greetingFrame())
	readFrame(p) // hello
	return p
}

// The seam: a connection broken before the first byte, midway and after the last.
func TestBrokenConnections(t *testing.T) {
	sale := request(sat.EnviarDadosVenda, 7)
	ok := replyFrame(1, sat.NewReply(sale.Function, 7, sale.Function.Failed()).Raw)
	for _, test := range []struct {
		name string
		act  func(peer)
		want sat.Outcome
	}{
		{"half the call read", func(p peer) { greets(p).Read(make([]byte, 100)) }, sat.Unknown},
		{"whole call read, no answer", func(p peer) { readFrame(greets(p)) }, sat.Unknown},
		{"half an answer", func(p peer) { readFrame(greets(p)); p.Write(ok[:20]) }, sat.Unknown},
		{"answer to another call", func(p peer) { readFrame(greets(p)); p.Write(replyFrame(2, ok[9:])) }, sat.Unknown},
		{"error of another call", func(p peer) { readFrame(greets(p)); p.Write(failure{id: 2, outcome: sat.NotIssued}.frame()) }, sat.Unknown},
		{"a length out of bounds", func(p peer) { readFrame(greets(p)); p.Write([]byte{0xff, 0, 0, 0, 'R'}) }, sat.Unknown},
		{"a kind that is no answer", func(p peer) { readFrame(greets(p)); p.Write(greetingFrame()) }, sat.Unknown},
		{"an error without its fields", func(p peer) { readFrame(greets(p)); p.Write([]byte{0, 0, 0, 5, 'E', 0, 0, 0, 1}) }, sat.Unknown},
		{"an error that claims issued", func(p peer) { readFrame(greets(p)); p.Write(failure{id: 1, outcome: sat.Issued}.frame()) }, sat.Unknown},
		{"a reply that is none", func(p peer) { readFrame(greets(p)); p.Write(replyFrame(1, []byte("Error [2]"))) }, sat.Unknown},
		{"silence", func(p peer) { readFrame(greets(p)); readFrame(p) }, sat.Unknown},
		{"not issued", func(p peer) { readFrame(greets(p)); p.Write(failure{id: 1, outcome: sat.NotIssued}.frame()) }, sat.NotIssued},
	} {
		t.Run(test.name, func(t *testing.T) {
			large := sale.WithArg("dadosVenda", strings.Repeat("x", 2<<20)) // more than the system buffers
			c := dial(t, scripted(t, test.act))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			reply, err := c.Call(ctx, large)
			if err == nil {
				t.Fatalf("reply %q", reply.Raw)
			}
			if got := sat.OutcomeOf(large, reply, err); got != test.want {
				t.Errorf("outcome %s, want %s: %v", got, test.want, err)
			}
		})
	}
}

func TestNoServerMeansNotSent(t *testing.T) {
	whole := func(p peer) { readFrame(greets(p)); p.Write(replyFrame(1, []byte("000007|08000|SAT em operacao||"))) }
	for name, act := range map[string]func(peer){
		"no greeting":           func(peer) {},
		"half a greeting":       func(p peer) { p.Write(greetingFrame()[:9]) },
		"greeting of version 2": func(p peer) { p.Write([]byte("\x00\x00\x00\x0bGzelo-sat\x00\x02")) },
		"another service":       func(p peer) { p.Write([]byte("220 mail.example ESMTP ready\r\n")) },
		"silence":               func(p peer) { p.Read(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			network, at := split(scripted(t, act))
			if c, err := Dial(t.Context(), network, at, Options{Greeting: 50 * time.Millisecond}); err == nil {
				c.Close()
				t.Error("a connection was made")
			}
			// The same on a client whose first connection was lost.
			path := scripted(t, whole, act)
			network, at = split(path)
			c, err := Dial(t.Context(), network, at, Options{Greeting: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			req := request(sat.ConsultarSAT, 7)
			if _, err := c.Call(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			<-c.link.broken
			if _, err := c.Call(t.Context(), req); !errors.Is(err, sat.ErrNotSent) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		network, at := split(scripted(t, whole))
		c, err := Dial(t.Context(), network, at, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Call(t.Context(), request(sat.ConsultarSAT, 7))
		<-c.link.broken
		if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, 7)); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("error %v", err)
		}
	})
}

func TestClientSurvivesARestartOfTheServer(t *testing.T) {
	path := place(t)
	var c *Client
	for i := range 5 {
		ln, err := Listen(path, DefaultMode)
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(t, ln, instant, Options{})
		if c == nil {
			c = dial(t, path)
		}
		if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, i)); err != nil {
			t.Fatalf("after %d restarts: %v", i, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// deadConn is a connection whose server just died: it takes no byte, and its
// reader has not noticed yet.
type deadConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (d *deadConn) Read([]byte) (int, error)  { <-d.closed; return 0, net.ErrClosed }
func (d *deadConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }
func (d *deadConn) Close() error              { d.once.Do(func() { close(d.closed) }); return nil }

func TestKeptConnectionThatTakesNoByteIsReplaced(t *testing.T) {
	path, stop := start(t, instant, Options{})
	c := dial(t, path)
	kill := func() {
		c.drop()
		dead := &deadConn{closed: make(chan struct{})}
		c.link = newLink(c.life, dead, bufio.NewReader(dead))
	}
	kill()
	if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, 7)); err != nil {
		t.Error(err)
	}
	kill()
	stop()
	if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, 7)); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("with nobody to connect to: %v", err)
	}
}

func TestUnaskedFramesCostTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, theirs := net.Pipe()
		l := newLink(t.Context(), mine, bufio.NewReader(mine))
		synctest.Wait()
		if !l.idle() {
			t.Error("a quiet connection is not idle")
		}
		theirs.Write(replyFrame(1, nil))
		synctest.Wait()
		if l.idle() {
			t.Error("a connection with an unasked reply counts as idle")
		}
		theirs.Write(replyFrame(2, nil))
		<-l.broken
		if !errors.Is(l.why, errFrame) {
			t.Errorf("ended for %v", l.why)
		}
		l.close()
	})
}

func TestCallsTakeTurns(t *testing.T) {
	var mu sync.Mutex
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		if !mu.TryLock() {
			t.Error("two calls at once on one connection")
			return instant(ctx, req)
		}
		defer mu.Unlock()
		return instant(ctx, req)
	}), Options{})
	c := dial(t, path)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				session := g*1000 + i
				if r, err := c.Call(t.Context(), request(sat.ConsultarSAT, session)); err != nil || r.Session != session {
					t.Errorf("session %d: %d, %v", session, r.Session, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWaitingForItsTurnIsNotSent(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		close(entered)
		<-release
		return instant(ctx, req)
	}), Options{})
	c := dial(t, path)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, 1)); err != nil {
			t.Error(err)
		}
	})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Call(ctx, request(sat.EnviarDadosVenda, 2)); !errors.Is(err, sat.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(release)
	wg.Wait()
}

func TestGivingUpMidCallIsUnknownAndCallsGoOn(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		entered <- struct{}{}
		if req.Function == sat.EnviarDadosVenda {
			<-release
		}
		return instant(ctx, req)
	}), Options{})
	c := dial(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	sale := request(sat.EnviarDadosVenda, 1)
	_, err := c.Call(ctx, sale)
	if !errors.Is(err, context.Canceled) || sat.OutcomeOf(sale, sat.Reply{}, err) != sat.Unknown {
		t.Errorf("error %v", err)
	}
	if _, err := c.Call(t.Context(), request(sat.ConsultarSAT, 2)); err != nil {
		t.Errorf("the next call: %v", err)
	}
	close(release)
}

func TestClose(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		close(entered)
		<-release
		return instant(ctx, req)
	}), Options{})
	c := dial(t, path)
	sale := request(sat.EnviarDadosVenda, 1)
	result := make(chan error)
	go func() {
		_, err := c.Call(t.Context(), sale)
		result <- err
	}()
	<-entered
	c.Close()
	if err := <-result; err == nil || sat.OutcomeOf(sale, sat.Reply{}, err) != sat.Unknown {
		t.Errorf("closed in the middle of a sale: %v", err)
	}
	if _, err := c.Call(t.Context(), sale); !errors.Is(err, sat.ErrNotSent) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("called after Close: %v", err)
	}
	c.Close()
	close(release)
}

func TestImpossibleCallsAreNotSent(t *testing.T) {
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		t.Errorf("the device was called: %v", req.LogValue())
		return instant(ctx, req)
	}), Options{})
	c := dial(t, path)
	sale := request(sat.EnviarDadosVenda, 7)
	over := sale
	over.Till = strings.Repeat("9", 65)
	few := sale
	few.Args = few.Args[:1]
	for name, req := range map[string]sat.Request{
		"no function":         {},
		"argument missing":    few,
		"session too large":   request(sat.EnviarDadosVenda, 1_000_000),
		"till name too long":  over,
		"larger than a frame": sale.WithArg("dadosVenda", strings.Repeat("x", MaxFrame)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Call(t.Context(), req); !errors.Is(err, sat.ErrNotSent) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("no time", func(t *testing.T) {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		if _, err := c.Call(ctx, sale); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("error %v", err)
		}
	})
}

func BenchmarkCall(b *testing.B) {
	raw := append([]byte("000007|06000|0000|Emitido com sucesso|||"), bytes.Repeat([]byte("QUJD"), 1500)...)
	raw = append(raw, "|20261121102030|CFe35|1.00||QUJD"...)
	path, _ := start(b, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		return sat.Reply{Function: req.Function, Raw: raw}, nil
	}), Options{})
	c := dial(b, path)
	req := request(sat.EnviarDadosVenda, 7).WithArg("dadosVenda", strings.Repeat("x", 2000))
	for b.Loop() {
		if _, err := c.Call(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}
