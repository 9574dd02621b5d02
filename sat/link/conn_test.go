package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
)

// device answers with its function's success and remembers what it carried out.
type device struct {
	answer func(context.Context, sat.Request) (sat.Reply, error) // nil: success
	mu     sync.Mutex
	calls  []sat.Request
}

func (d *device) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	d.mu.Lock()
	d.calls = append(d.calls, req)
	d.mu.Unlock()
	if d.answer != nil {
		return d.answer(ctx, req)
	}
	return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
}

func (d *device) carriedOut() []sat.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]sat.Request(nil), d.calls...)
}

// newLine joins a till and a device by a real pseudo terminal or TCP connection.
func newLine(t *testing.T, over string) (till, dev io.ReadWriteCloser) {
	t.Helper()
	if over == "pty" {
		return newPTY(t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// serving runs Serve until the test ends or stop is called, which returns what
// Serve returned.
func serving(t *testing.T, stream io.ReadWriteCloser, dev sat.Device) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, stream, dev, Hello{"simulador SAT", "900000001", "01.00.00"}) }()
	var once sync.Once
	var err error
	stop = func() error { once.Do(func() { cancel(); err = <-ended }); return err }
	t.Cleanup(func() { stop() })
	return stop
}

func opened(t *testing.T, stream io.ReadWriteCloser) *Conn {
	t.Helper()
	c, info, err := Open(soon(t), stream, Options{Driver: "test", Where: "here", Retry: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if want := (sat.Info{Serial: "900000001", Name: "simulador SAT 01.00.00", Driver: "test", Where: "here"}); info != want {
		t.Fatalf("info %+v", info)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func sale(session int) sat.Request {
	return sat.Request{Function: sat.EnviarDadosVenda, Session: session, Args: []string{"12345678", "<CFe>\x00ação</CFe>"}}
}

func TestEveryFunctionTravels(t *testing.T) {
	for _, over := range []string{"pty", "tcp"} {
		t.Run(over, func(t *testing.T) {
			till, far := newLine(t, over)
			dev := &device{}
			serving(t, far, dev)
			c := opened(t, till)
			for i, f := range sat.Functions() {
				req := sat.Request{Function: f, Session: i}
				for j := range f.Params() {
					req.Args = append(req.Args, strings.Repeat("\xff\x00a|\r\n\x03\x11", j*100))
				}
				r, err := c.Call(soon(t), req)
				if err != nil || r.Code != f.Busy() || r.Session != i {
					t.Fatalf("%s: %+v, %v", f, r, err)
				}
				if got := dev.carriedOut()[i]; fmt.Sprint(got) != fmt.Sprint(req) {
					t.Fatalf("%s arrived as %v", f, got)
				}
			}
		})
	}
}

func TestLargeRequestAndReply(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	for _, over := range []string{"pty", "tcp"} {
		t.Run(over, func(t *testing.T) {
			till, far := newLine(t, over)
			serving(t, far, &device{answer: func(_ context.Context, req sat.Request) (sat.Reply, error) {
				if req.Args[1] != big {
					return sat.Reply{}, errors.New("damaged")
				}
				return sat.ParseReply(req.Function, []byte("000001|09000|ok|||"+big+"|20261121120000|000000|k"))
			}})
			r, err := opened(t, till).Call(soon(t), sat.Request{Function: sat.TesteFimAFim, Session: 1, Args: []string{"12345678", big}})
			if err != nil || len(r.Data) == 0 || r.Data[0] != big {
				t.Fatalf("reply of %d bytes, %v", len(r.Raw), err)
			}
		})
	}
}

// faulty is a stream whose writes, one per frame, an edit may change or drop.
type faulty struct {
	io.ReadWriteCloser
	n    int
	edit func(n int, frame []byte) []byte
}

func (s *faulty) Write(b []byte) (int, error) {
	_, err := s.ReadWriteCloser.Write(s.edit(s.n, b))
	s.n++
	return len(b), err
}

// slow takes and gives one byte at a time.
type slow struct{ io.ReadWriteCloser }

func (s slow) Read(b []byte) (int, error)  { return s.ReadWriteCloser.Read(b[:1]) }
func (s slow) Write(b []byte) (int, error) { return s.ReadWriteCloser.Write(b[:1]) }

func unhurt(_ int, b []byte) []byte { return b }

// only applies an edit to one frame.
func only(which int, edit func([]byte) []byte) func(int, []byte) []byte {
	return func(n int, b []byte) []byte {
		if n == which {
			return edit(bytes.Clone(b))
		}
		return b
	}
}

// Whatever happens to one frame, the call succeeds and the device carries the
// request out once. The till's frame 0 is HELLO and 1 the REQUEST, the device's
// frame 0 is WELCOME and 1 the RESPONSE.
func TestDamageOnTheLine(t *testing.T) {
	lost := func([]byte) []byte { return nil }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	head := func(b []byte) []byte { b[13] ^= 0x40; return b } // a length of 4 MiB more
	cut := func(b []byte) []byte { return b[:len(b)-5] }
	twice := func(b []byte) []byte { return append(b, b...) }
	noise := func(b []byte) []byte {
		return append(append([]byte("\xa5\x5a\x01AT+GCAP\r\xa5"), b...), "\xa5\x5a\x01\x03"...)
	}
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
	}{{"lost", lost}, {"flipped bit", flip}, {"flipped length", head}, {"cut", cut}, {"twice", twice}, {"amid garbage", noise}} {
		for frameNumber, what := range []string{"greeting", "exchange"} {
			for _, side := range []string{"till", "device"} {
				t.Run(c.name+"/"+what+"/"+side, func(t *testing.T) {
					t.Parallel()
					till, far := newLine(t, "pty")
					dev := &device{}
					edits := map[string]func(int, []byte) []byte{"till": unhurt, "device": unhurt}
					edits[side] = only(frameNumber, c.edit)
					serving(t, &faulty{ReadWriteCloser: far, edit: edits["device"]}, dev)
					conn := opened(t, &faulty{ReadWriteCloser: till, edit: edits["till"]})
					for session := 1; session <= 2; session++ {
						r, err := conn.Call(soon(t), sale(session))
						if err != nil || r.Session != session {
							t.Fatalf("session %d: %+v, %v", session, r, err)
						}
					}
					if calls := dev.carriedOut(); len(calls) != 2 {
						t.Fatalf("the device carried out %d requests: %v", len(calls), calls)
					}
				})
			}
		}
	}
}

func TestOneByteAtATime(t *testing.T) {
	till, far := newLine(t, "pty")
	dev := &device{}
	serving(t, slow{far}, dev)
	c := opened(t, slow{till})
	for session := range 3 {
		if r, err := c.Call(soon(t), sale(session)); err != nil || r.Session != session {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if n := len(dev.carriedOut()); n != 3 {
		t.Errorf("carried out %d requests", n)
	}
}

// A second copy of a request, even one that comes while the first is carried out
// or after it was answered, is never carried out again.
func TestRepeatedRequestIsCarriedOutOnce(t *testing.T) {
	till, far := net.Pipe()
	began, release := make(chan bool), make(chan bool)
	dev := &device{answer: func(_ context.Context, req sat.Request) (sat.Reply, error) {
		began <- true
		<-release
		return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
	}}
	serving(t, far, dev)
	frames := make(chan frame, 16)
	go readFrames(till, func(f frame) { frames <- f })
	send := func(f frame) { till.Write(f.encode()) }
	want := func(k kind, seq uint32) {
		t.Helper()
		if f := <-frames; f.kind != k || f.seq != seq {
			t.Fatalf("got %+v, want kind %d for %d", f, k, seq)
		}
	}
	req := frame{kind: request, client: 5, seq: 1, payload: encodeRequest(sale(1))}
	send(frame{kind: hello, client: 5})
	want(welcome, 0)
	send(frame{kind: ping, client: 5, seq: 1})
	want(nak, 1)
	send(req)
	<-began
	send(req)
	want(working, 1)
	release <- true
	want(response, 1)
	send(req)
	want(response, 1)
	send(frame{kind: hello, client: 5}) // a late copy of the greeting forgets nothing
	want(welcome, 0)
	send(req)
	want(response, 1)
	next := frame{kind: request, client: 5, seq: 2, payload: encodeRequest(sale(2))}
	send(next)
	<-began
	send(req) // older than the newest: ignored
	release <- true
	want(response, 2)
	send(frame{kind: request, client: 6, seq: 1, payload: encodeRequest(sale(3))})
	want(nak, 1)
	send(frame{kind: request, client: 5, seq: 3, payload: []byte{99}})
	want(nak, 3)
	if n := len(dev.carriedOut()); n != 2 {
		t.Errorf("carried out %d requests, want 2", n)
	}
	till.Close()
}

// A device that restarts amid a call does not know the till any more and must
// not carry out the request a second time.
func TestDeviceRestarts(t *testing.T) {
	till, far := newLine(t, "pty")
	keep := &unclosed{far.(*os.File)}
	began := make(chan bool, 1)
	stop := serving(t, keep, &device{answer: func(ctx context.Context, _ sat.Request) (sat.Reply, error) {
		began <- true
		<-ctx.Done()
		return sat.Reply{}, ctx.Err()
	}})
	c := opened(t, till)
	second := &device{}
	go func() { <-began; stop(); serving(t, far, second) }()
	r, err := c.Call(soon(t), sale(1))
	if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("got %v", err)
	}
	if n := len(second.carriedOut()); n != 0 {
		t.Errorf("the restarted device carried out %d requests", n)
	}
	if _, err := c.Call(soon(t), sale(2)); !errors.Is(err, sat.ErrNotSent) || !errors.Is(err, sat.ErrGone) {
		t.Errorf("the next call: %v", err)
	}
}

// unclosed is a line that outlives the device's process: its Close only ends the
// reading.
type unclosed struct{ *os.File }

func (u *unclosed) Close() error { return u.SetReadDeadline(time.Unix(1, 0)) }

// The till gives up; the reply that comes later is not taken for the next one's.
func TestAbandonedCall(t *testing.T) {
	till, far := newLine(t, "tcp")
	gaveUp := make(chan bool)
	serving(t, far, &device{answer: func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		if req.Session == 1 {
			<-ctx.Done()
			close(gaveUp)
		}
		return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
	}})
	c := opened(t, till)
	ctx, cancel := context.WithTimeout(soon(t), 50*time.Millisecond)
	defer cancel()
	r, err := c.Call(ctx, sale(1))
	if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if r, err := c.Call(soon(t), sale(2)); err != nil || r.Session != 2 {
		t.Fatalf("the next call: %+v, %v", r, err)
	}
	<-gaveUp
}

func TestBadReplyBytesReachTheTill(t *testing.T) {
	till, far := newLine(t, "tcp")
	serving(t, far, &device{answer: func(_ context.Context, req sat.Request) (sat.Reply, error) {
		return sat.ParseReply(req.Function, []byte("Error [2] openning serial COM3"))
	}})
	r, err := opened(t, till).Call(soon(t), sale(1))
	if !errors.Is(err, sat.ErrMalformed) || !strings.HasPrefix(string(r.Raw), "Error [2]") {
		t.Errorf("got %q, %v", r.Raw, err)
	}
	if sat.OutcomeOf(sale(1), r, err) != sat.Unknown {
		t.Error("the outcome must be unknown")
	}
}

func TestReplyTooLarge(t *testing.T) {
	till, far := newLine(t, "tcp")
	serving(t, far, &device{answer: func(_ context.Context, req sat.Request) (sat.Reply, error) {
		return sat.Reply{Raw: make([]byte, MaxPayload+1)}, nil
	}})
	c := opened(t, till)
	for session := range 2 {
		if r, err := c.Call(soon(t), sale(session)); sat.OutcomeOf(sale(session), r, err) != sat.Unknown || errors.Is(err, sat.ErrGone) {
			t.Errorf("got %v", err)
		}
	}
}

func TestNothingIsSent(t *testing.T) {
	till, far := newLine(t, "tcp")
	dev := &device{}
	serving(t, far, dev)
	c := opened(t, till)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, k := range []struct {
		name string
		ctx  context.Context
		req  sat.Request
	}{
		{"context ended", ended, sale(1)},
		{"wrong arguments", soon(t), sat.Request{Function: sat.EnviarDadosVenda}},
		{"too large", soon(t), sat.Request{Function: sat.EnviarDadosVenda, Args: []string{"", strings.Repeat("x", MaxPayload)}}},
	} {
		if r, err := c.Call(k.ctx, k.req); sat.OutcomeOf(k.req, r, err) != sat.NotIssued {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	if n := len(dev.carriedOut()); n != 0 {
		t.Errorf("the device carried out %d requests", n)
	}
}

// Waits are bounded when the caller gives no bound.
func TestSilentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		go io.Copy(io.Discard, far)
		start := time.Now()
		_, _, err := Open(context.Background(), till, Options{Where: "COM3"})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sat.ErrGone) || time.Since(start) != openTime {
			t.Errorf("open: %v after %v", err, time.Since(start))
		}
		far.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		stop := serving(t, far, &device{answer: func(ctx context.Context, _ sat.Request) (sat.Reply, error) {
			return sat.Reply{}, errors.New("no reply")
		}})
		c := opened(t, till)
		start := time.Now()
		r, err := c.Call(context.Background(), sale(1))
		if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call: %v", err)
		}
		if d := time.Since(start); d != sat.EnviarDadosVenda.Deadline() {
			t.Errorf("waited %v", d)
		}
		c.Close()
		stop()
	})
}

func TestNothingThere(t *testing.T) {
	if _, _, err := OpenSerial(soon(t), "/dev/nenhuma-porta", 0); !errors.Is(err, sat.ErrGone) {
		t.Errorf("serial: %v", err)
	}
	if _, _, err := OpenUSB(soon(t), "2fe7:0001/nenhum"); !errors.Is(err, sat.ErrGone) {
		t.Errorf("USB: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, _, err := OpenTCP(soon(t), l.Addr().String()); !errors.Is(err, sat.ErrGone) {
		t.Errorf("TCP: %v", err)
	}
}

func TestCallsWaitForTheirTurn(t *testing.T) {
	till, far := newLine(t, "tcp")
	var at, most int
	var mu sync.Mutex
	serving(t, far, &device{answer: func(_ context.Context, req sat.Request) (sat.Reply, error) {
		mu.Lock()
		at++
		most = max(most, at)
		mu.Unlock()
		defer func() { mu.Lock(); at--; mu.Unlock() }()
		return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
	}})
	c := opened(t, till)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for j := range 20 {
				if r, err := c.Call(soon(t), sale(i*100+j)); err != nil || r.Session != i*100+j {
					t.Errorf("caller %d: %+v, %v", i, r, err)
				}
			}
		})
	}
	callers.Wait()
	if most != 1 {
		t.Errorf("%d calls at once on the device", most)
	}
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		dev := &device{answer: func(ctx context.Context, _ sat.Request) (sat.Reply, error) {
			<-ctx.Done()
			return sat.Reply{}, ctx.Err()
		}}
		stop := serving(t, far, dev)
		c := opened(t, till)
		first := make(chan error)
		go func() { _, err := c.Call(context.Background(), sale(1)); first <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if r, err := c.Call(ctx, sale(2)); sat.OutcomeOf(sale(2), r, err) != sat.NotIssued {
			t.Errorf("got %v", err)
		}
		c.Close()
		<-first
		stop()
		if calls := dev.carriedOut(); len(calls) != 1 {
			t.Errorf("the device saw %d requests", len(calls))
		}
	})
}

func BenchmarkCall(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	go func() {
		defer close(ended)
		if s, err := l.Accept(); err == nil {
			Serve(ctx, s, &device{}, Hello{})
		}
	}()
	c, _, err := OpenTCP(ctx, l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Call(ctx, sale(1)); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	cancel()
	<-ended
	l.Close()
}
