package link

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/sat"
)

// stale are the things that a former till or device may have left in the line.
func stale() map[string][]byte {
	huge := sat.Request{Function: sat.EnviarDadosVenda, Session: 9, Args: []string{"12345678", strings.Repeat("x", 1<<20)}}
	half := frame{kind: request, client: 3, seq: 1, payload: encodeRequest(huge)}.encode()[:5000]
	reply := frame{kind: response, client: 3, seq: 1, payload: []byte("000009|06000|emitido||")}.encode()
	greeting := frame{kind: welcome, client: 3, payload: Hello{Serial: "1"}.encode()}.encode()
	garbage := []byte("\x00\xff\xa5\x5a\x01login: \r\n\xa5")
	return map[string][]byte{
		"garbage": garbage, "half a frame": half, "a late reply": reply, "a late greeting": greeting,
		"everything": slices.Concat(garbage, greeting, reply, reply[:30], half),
	}
}

// Whatever was in the line before, from either side, a device is open within two
// seconds, the first call gets its own reply, and nothing else is carried out.
func TestOpenOnAUsedLine(t *testing.T) {
	for name, left := range stale() {
		for _, side := range []string{"to the till", "to the device"} {
			t.Run(name+" "+side, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					till, far := net.Pipe()
					dev := &device{}
					var stop func() error
					if side == "to the till" {
						served := make(chan bool)
						go func() { far.Write(left); stop = serving(t, far, dev); close(served) }()
						defer func() { <-served; stop() }()
					} else {
						stop = serving(t, far, dev)
						till.Write(left)
						defer func() { stop() }()
					}
					start := time.Now()
					c, info, err := Open(t.Context(), till, Options{})
					if err != nil || info.Serial != "900000001" || time.Since(start) > 2*time.Second {
						t.Fatalf("%+v, %v after %v", info, err, time.Since(start))
					}
					defer c.Close()
					if r, err := c.Call(t.Context(), sale(1)); err != nil || r.Session != 1 {
						t.Errorf("%+v, %v", r, err)
					}
					if calls := dev.carriedOut(); len(calls) != 1 || calls[0].Session != 1 {
						t.Errorf("the device carried out %v", calls)
					}
				})
			})
		}
	}
}

// A reply that stalls midway is given up and asked for anew; one that only pauses
// is taken.
func TestReplyStalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration // in the reply; 0: its rest never comes
		took  time.Duration
		asked int
	}{
		{"pauses", interByte - time.Millisecond, interByte - time.Millisecond, 0},
		{"stalls", 0, silence, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				till, far := net.Pipe()
				// Longer than all frames that follow: these do not fill it up.
				reply := frame{kind: response, payload: []byte("000001|08000|" + strings.Repeat("x", 4000) + "||")}
				asked := 0
				go readFrames(far, func(f frame) {
					reply.client, reply.seq = f.client, f.seq
					b := reply.encode()
					switch f.kind {
					case hello:
						far.Write(frame{kind: welcome, client: f.client, payload: Hello{}.encode()}.encode())
					case request:
						far.Write(b[:1000])
						if c.pause > 0 {
							time.Sleep(c.pause) // the device's, in the test's own time
							far.Write(b[1000:])
						}
					case ping:
						asked++
						far.Write(b)
					}
				})
				conn, _, err := Open(t.Context(), till, Options{})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if r, err := conn.Call(t.Context(), sat.Request{Function: sat.ConsultarSAT, Session: 1}); err != nil || r.Session != 1 {
					t.Errorf("%+v, %v", r.Code, err)
				}
				if d := time.Since(start); d != c.took || asked != c.asked {
					t.Errorf("asked %d times again, after %v; want %d, %v", asked, d, c.asked, c.took)
				}
				conn.Close()
				far.Close()
			})
		})
	}
}

// A request that stalls midway is never carried out, and the device takes the next
// one at once.
func TestRequestStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		dev := &device{}
		stop := serving(t, far, dev)
		frames := make(chan frame, 16)
		go readFrames(till, func(f frame) { frames <- f })
		want := func(k kind) {
			t.Helper()
			select {
			case f := <-frames:
				if f.kind != k {
					t.Fatalf("got %+v, want kind %d", f, k)
				}
			case <-time.After(time.Minute):
				t.Fatalf("no frame of kind %d came", k)
			}
		}
		whole := frame{kind: request, client: 5, seq: 1, payload: encodeRequest(sale(1))}.encode()
		till.Write(frame{kind: hello, client: 5}.encode())
		want(welcome)
		till.Write(whole[:len(whole)-1])
		time.Sleep(interByte + time.Millisecond) // in the test's own time
		till.Write(frame{kind: ping, client: 5, seq: 1}.encode())
		want(nak)
		if n := len(dev.carriedOut()); n != 0 {
			t.Errorf("carried out %d requests", n)
		}
		till.Write(whole)
		want(response)
		if n := len(dev.carriedOut()); n != 1 {
			t.Errorf("carried out %d requests", n)
		}
		till.Close()
		stop()
	})
}

// The line takes no bytes while the device keeps talking: what is heard does not
// prolong the wait of what is written.
func TestWriteDeadlineIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		till, far := net.Pipe()
		serving(t, far, &device{})
		line := &talking{clogged{till, false, make(chan bool)}}
		c := opened(t, line)
		start := time.Now()
		r, err := c.Call(context.Background(), sale(1))
		if sat.OutcomeOf(sale(1), r, err) != sat.Unknown || time.Since(start) != stall {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.Close()
		close(line.hangUp)
	})
}

// talking is a clogged line on which a byte of noise comes every 100 ms once the
// device has greeted.
type talking struct{ clogged }

func (s *talking) Read(b []byte) (int, error) {
	s.ReadWriteCloser.(net.Conn).SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := s.ReadWriteCloser.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b[0] = 0xA5
		return 1, nil
	}
	return n, err
}
