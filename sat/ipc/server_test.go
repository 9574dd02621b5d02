package ipc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
)

type device func(ctx context.Context, req sat.Request) (sat.Reply, error)

func (d device) Call(ctx context.Context, req sat.Request) (sat.Reply, error) { return d(ctx, req) }

// instant answers every call at once, with "busy".
var instant = device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
	return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
})

// request is a valid one of any function, with arguments that tell each other apart.
func request(f sat.Function, session int) sat.Request {
	req := sat.Request{Till: "001", Session: session, Function: f}
	for _, p := range f.Params() {
		switch {
		case p.Int:
			req.Args = append(req.Args, "35")
		case p.Name == sat.CodeParam:
			req.Args = append(req.Args, "segredo-"+f.String())
		default:
			req.Args = append(req.Args, "valor de "+p.Name)
		}
	}
	return req
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

// socketPath is short enough for a Unix socket whatever the test is called.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serve runs Serve on ln until stop is called or the test ends.
func serve(t testing.TB, ln net.Listener, dev sat.Device, opt Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- Serve(ctx, ln, dev, opt) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() { stop() })
	return stop
}

// place is a fresh address for tills of this system: a Unix socket, or a port.
func place(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "windows" {
		return socketPath(t)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "tcp:" + ln.Addr().String()
}

// split takes such an address apart, for Dial.
func split(address string) (network, at string) {
	if at, ok := strings.CutPrefix(address, "tcp:"); ok {
		return "tcp", at
	}
	return "unix", address
}

// start serves dev at a fresh address.
func start(t testing.TB, dev sat.Device, opt Options) (path string, stop func() error) {
	t.Helper()
	path = place(t)
	ln, err := Listen(path, DefaultMode)
	if err != nil {
		t.Fatal(err)
	}
	return path, serve(t, ln, dev, opt)
}

// peer is a client or server made by hand.
type peer struct {
	t *testing.T
	net.Conn
}

func (p peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("peer cannot send: %v", err)
	}
}

func (p peer) receive(kind byte) []byte {
	p.t.Helper()
	k, body, err := readFrame(p)
	if err != nil || k != kind {
		p.t.Fatalf("peer received kind %q, %v; want %q", k, err, kind)
	}
	return body
}

// refuses expects the other end to close the connection.
func (p peer) refuses() {
	p.t.Helper()
	if kind, _, err := readFrame(p); err == nil {
		p.t.Fatalf("received a frame of kind %q instead of the end", kind)
	}
}

func (p peer) greeted() peer {
	p.t.Helper()
	if err := parseGreeting(kindGreeting, p.receive(kindGreeting)); err != nil {
		p.t.Fatal(err)
	}
	p.send(hello{"teste 1", "pdv", 42}.frame())
	return p
}

// till connects to a server as the C library does.
func till(t *testing.T, path string) peer {
	t.Helper()
	network, at := split(path)
	conn, err := net.Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return peer{t, conn}
}

func ask(id uint32, left time.Duration, f sat.Function) []byte {
	return call{id: id, left: uint32(left.Milliseconds()), req: request(f, int(id))}.frame()
}

// pipes is a listener whose connections the test makes, all inside a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipes) till(t *testing.T) peer {
	mine, theirs := net.Pipe()
	l.conns <- theirs
	return peer{t, mine}
}

func TestMalformedFramesEndTheirConnectionOnly(t *testing.T) {
	log := &lines{}
	path, stop := start(t, instant, Options{Log: log.logger()})
	n := 0
	for _, v := range vectors(t) {
		if !v.bad || v.from != "client" {
			continue
		}
		n++
		t.Run(v.name, func(t *testing.T) {
			c := till(t, path)
			if strings.HasPrefix(v.name, "hello") {
				c.receive(kindGreeting)
			} else {
				c.greeted()
			}
			c.send(v.bytes)
			c.refuses()
		})
	}
	if n < 15 {
		t.Errorf("only %d malformed frames tried", n)
	}
	c := till(t, path).greeted()
	c.send(ask(9, time.Minute, sat.ConsultarSAT))
	c.receive(kindReply)
	c.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	text := log.String()
	if got := strings.Count(text, "malformed frame"); got != n {
		t.Errorf("%d log lines for %d malformed frames:\n%s", got, n, text)
	}
	if strings.Contains(text, "12345678") || strings.Contains(text, "segredo") {
		t.Errorf("an activation code is in the log:\n%s", text)
	}
	if !strings.Contains(text, "process=pdv pid=42") {
		t.Errorf("the log does not say who it was:\n%s", text)
	}
}

func TestCallBeforeHelloIsRefused(t *testing.T) {
	called := make(chan struct{}, 1)
	path, _ := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		called <- struct{}{}
		return instant(ctx, req)
	}), Options{})
	c := till(t, path)
	c.receive(kindGreeting)
	c.send(ask(1, time.Minute, sat.ConsultarSAT))
	c.refuses()
	if len(called) > 0 {
		t.Error("the device was called")
	}
}

func TestNoHelloNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		stop := serve(t, ln, instant, Options{Greeting: time.Second})
		c := ln.till(t)
		c.receive(kindGreeting)
		began := time.Now()
		c.refuses()
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("closed after %s", waited)
		}
		stop()
	})
}

func TestDeviceIsGivenTheCallersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		var left time.Duration
		stop := serve(t, ln, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			<-ctx.Done()
			return sat.Reply{}, ctx.Err()
		}), Options{})
		c := ln.till(t).greeted()
		began := time.Now()
		c.send(ask(5, 7*time.Second, sat.EnviarDadosVenda))
		f, err := parseError(c.receive(kindError))
		if err != nil || f.id != 5 || f.outcome != sat.Unknown || f.gone {
			t.Errorf("%+v, %v", f, err)
		}
		if left != 7*time.Second || time.Since(began) != left {
			t.Errorf("the device had %s, the answer took %s", left, time.Since(began))
		}
		// The device kept its deadline, so the connection is good for more.
		c.send(ask(6, time.Second, sat.ConsultarSAT))
		c.receive(kindError)
		c.Close()
		stop()
	})
}

func TestNoTimeLeftIsNotIssued(t *testing.T) {
	path, _ := start(t, device(func(context.Context, sat.Request) (sat.Reply, error) {
		t.Error("the device was called")
		return sat.Reply{}, errors.New("called")
	}), Options{})
	c := till(t, path).greeted()
	c.send(ask(5, 0, sat.EnviarDadosVenda))
	if f, err := parseError(c.receive(kindError)); err != nil || f.outcome != sat.NotIssued || f.id != 5 {
		t.Errorf("%+v, %v", f, err)
	}
}

// A device that overruns its deadline costs its caller the connection and holds
// that connection's place until it comes back.
func TestDeviceOverrunsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, log := newPipes(), &lines{}
		release := make(chan struct{})
		stop := serve(t, ln, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			<-release
			return instant(ctx, req)
		}), Options{Log: log.logger(), MaxConns: 1})
		c := ln.till(t).greeted()
		began := time.Now()
		c.send(ask(5, time.Second, sat.EnviarDadosVenda))
		f, err := parseError(c.receive(kindError))
		if err != nil || f.outcome != sat.Unknown {
			t.Errorf("%+v, %v", f, err)
		}
		if took := time.Since(began); took != time.Second+overrun {
			t.Errorf("answered after %s", took)
		}
		c.refuses()
		next := make(chan peer)
		go func() { next <- ln.till(t) }()
		synctest.Wait()
		select {
		case <-next:
			t.Error("a second connection was accepted while the device still works for the first")
		default:
		}
		close(release)
		again := (<-next).greeted()
		again.send(ask(6, time.Second, sat.ConsultarSAT))
		again.receive(kindReply)
		again.Close()
		stop()
		if !strings.Contains(log.String(), "only after its deadline") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// A fiscal call must finish and be journaled whoever listens.
func TestClientLeavesMidCall(t *testing.T) {
	entered, finished := make(chan context.Context), make(chan error)
	release := make(chan struct{})
	log := &lines{}
	path, stop := start(t, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		entered <- ctx
		<-release
		finished <- ctx.Err()
		return instant(ctx, req)
	}), Options{Log: log.logger(), Delivered: func(sat.Request) { t.Error("delivered to nobody") }})
	c := till(t, path).greeted()
	c.send(ask(5, time.Minute, sat.EnviarDadosVenda))
	<-entered
	c.Close()
	close(release)
	if err := <-finished; err != nil {
		t.Errorf("the call was cancelled: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "segredo") {
		t.Errorf("arguments in the log:\n%s", log)
	}
}

func TestMoreConnectionsThanAllowedWait(t *testing.T) {
	path, _ := start(t, instant, Options{MaxConns: 2})
	one, two := till(t, path).greeted(), till(t, path).greeted()
	three := till(t, path) // the system accepts it, the server does not
	three.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, _, err := readFrame(three); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("third connection: %v", err)
	}
	one.Close()
	three.SetReadDeadline(time.Time{})
	three.greeted()
	three.send(ask(1, time.Minute, sat.ConsultarSAT))
	three.receive(kindReply)
	two.send(ask(1, time.Minute, sat.ConsultarSAT))
	two.receive(kindReply)
}

func TestDeliveredIsReportedOnceAndOnlyWhenConfirmed(t *testing.T) {
	delivered, lost := make(chan sat.Request, 9), make(chan sat.Request, 9)
	path, stop := start(t, instant, Options{Delivered: func(r sat.Request) { delivered <- r }, Lost: func(r sat.Request) { lost <- r }})
	c := till(t, path).greeted()
	c.send(ask(5, time.Minute, sat.EnviarDadosVenda))
	c.receive(kindReply)
	c.send(takenFrame(5))
	if r := <-delivered; r.Session != 5 || r.Function != sat.EnviarDadosVenda {
		t.Errorf("delivered %v", r.LogValue())
	}
	c.send(ask(6, time.Minute, sat.EnviarDadosVenda)) // not confirmed
	c.receive(kindReply)
	c.send(ask(7, time.Minute, sat.EnviarDadosVenda))
	c.receive(kindReply)
	if r := <-lost; r.Session != 6 {
		t.Errorf("lost %v", r.LogValue())
	}
	c.send(takenFrame(6)) // too late, it is 7's turn
	c.refuses()
	if r := <-lost; r.Session != 7 {
		t.Errorf("lost %v", r.LogValue())
	}

	c = till(t, path).greeted()
	c.send(takenFrame(0)) // of nothing
	c.refuses()
	stop()
	if len(delivered)+len(lost) > 0 {
		t.Errorf("%d more replies reported as delivered, %d as lost", len(delivered), len(lost))
	}
}

func TestReplyLargerThanAFrame(t *testing.T) {
	path, _ := start(t, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		return sat.Reply{Raw: make([]byte, MaxFrame)}, nil
	}), Options{})
	c := till(t, path).greeted()
	c.send(ask(5, time.Minute, sat.ExtrairLogs))
	if f, err := parseError(c.receive(kindError)); err != nil || f.outcome != sat.Unknown {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestStopAnswersCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		stop := serve(t, ln, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			<-time.After(2 * time.Second) // the device's own time, in the bubble
			return instant(ctx, req)
		}), Options{})
		idle, busy := ln.till(t).greeted(), ln.till(t).greeted()
		busy.send(ask(5, time.Minute, sat.EnviarDadosVenda))
		synctest.Wait()
		began := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		idle.refuses()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("an idle connection lived %s longer", waited)
		}
		busy.receive(kindReply)
		busy.refuses()
		if err := <-stopped; err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("stopped after %s: %v", time.Since(began), err)
		}
	})
}

func TestStopCancelsCallsAfterItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		cancelled := make(chan time.Time, 1)
		stop := serve(t, ln, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			<-ctx.Done()
			cancelled <- time.Now()
			return sat.Reply{}, ctx.Err()
		}), Options{})
		c := ln.till(t).greeted()
		c.send(ask(5, time.Minute, sat.EnviarDadosVenda))
		synctest.Wait()
		began := time.Now()
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "calls still open") || time.Since(began) != stopLimit {
			t.Errorf("stopped after %s: %v", time.Since(began), err)
		}
		if at := <-cancelled; at.Sub(began) != stopLimit {
			t.Errorf("cancelled after %s", at.Sub(began))
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
	})
}

// broken fails to accept, some times for a passing cause.
type broken struct {
	*pipes
	causes chan error
}

func (b broken) Accept() (net.Conn, error) {
	select {
	case err := <-b.causes:
		return nil, err
	default:
		return b.pipes.Accept()
	}
}

func TestAcceptFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := broken{newPipes(), make(chan error, 3)}
		ln.causes <- errors.New("too many open files")
		ln.causes <- errors.New("too many open files")
		ended := make(chan error)
		go func() { ended <- Serve(context.Background(), ln, instant, Options{}) }()
		c := ln.till(t).greeted()
		c.Close()
		ln.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener closed by somebody else: %v", err)
		}
	})
}
