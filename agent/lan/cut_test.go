package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// cable is a TCP proxy that can be cut after so many bytes of a direction.
type cable struct {
	t  *testing.T
	to string
	l  net.Listener

	mu     sync.Mutex
	conns  []net.Conn
	there  int  // bytes that still pass to the lender
	back   int  // bytes that still pass to the borrower
	limits bool // there and back count
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{t: t, to: to, l: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			all.Go(func() { c.carry(far, near, &c.there) })
			all.Go(func() { c.carry(near, far, &c.back) })
		}
	})
	t.Cleanup(func() { l.Close(); c.cut(); all.Wait() })
	return c
}

// carry copies until the direction's bytes are used up; then both ends are cut.
func (c *cable) carry(to, from net.Conn, left *int) {
	defer c.cut()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		over := c.limits && n >= *left
		if over {
			n = *left
		}
		*left -= n
		c.mu.Unlock()
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil || over {
			return
		}
	}
}

// cut ends all connections; new ones are possible.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// limit lets so many bytes pass from now on.
func (c *cable) limit(there, back int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.there, c.back, c.limits = there, back, true
}

// What is known of a sale depends on where the cable was cut, and it is never said
// to be more.
func TestCut(t *testing.T) {
	const whole = 1 << 30
	big := strings.Repeat("x", 200<<10)
	for _, c := range []struct {
		name        string
		there, back int
		arrives     bool // the neighbour carries it out
	}{
		{"after the first byte", 1, whole, false},
		{"midway", 100 << 10, whole, false},
		{"just before the last bytes", 200 << 10, whole, false},
		{"after the last byte", whole, 1, true},
		{"midway in the answer", whole, 3 << 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			carried := make(chan struct{}, 1)
			ca := newAuthority(t)
			second := ca.options(t, "caixa002")
			second.Lender = &lender{lend: func(_ context.Context, _, _ string, req sat.Request) (wire.Ending, sat.Reply, error) {
				carried <- struct{}{}
				reply := refusal(req)
				reply.Raw = append(reply.Raw, strings.Repeat(" ", 9<<10)...)
				return wire.EndingReplied, reply, nil
			}}
			b, stopLender := run(t, second)
			cable := newCable(t, b.Addr().String())
			first := ca.options(t, "caixa001")
			first.Peers = []string{cable.l.Addr().String()}
			a, _ := run(t, first)
			n := met(t, a)
			cable.limit(c.there, c.back)
			ending, _, err := n.Sell(deadline(t, 10*time.Second), "c1", sale(1, big))
			if ending != 0 || err == nil || errors.Is(err, sat.ErrNotSent) {
				t.Errorf("the outcome is %v, %v; it cannot be known", ending, err)
			}
			stopLender() // after this nothing is carried out any more
			if len(carried) > 0 && !c.arrives {
				t.Error("half a sale was carried out")
			}
		})
	}
}

// Before the first byte it is certain: also when many sales wait for one that is
// being sent.
func TestCutBeforeTheFirstByte(t *testing.T) {
	ca := newAuthority(t)
	begun, cut := make(chan struct{}), make(chan struct{})
	at := ca.strange(t, "caixa002", func(c *conn) { // takes the first bytes of a sale
		c.raw.(*net.TCPConn).SetReadBuffer(16 << 10)
		offer(t, c)
		var head [5]byte
		for head[4] != wire.LanSale {
			if _, err := io.ReadFull(c.in, head[:]); err != nil {
				t.Error(err)
				break
			}
			if head[4] == wire.LanBeacon {
				c.in.Discard(int(binary.BigEndian.Uint32(head[:])) - 1)
			}
		}
		close(begun)
		<-cut
	})
	first := ca.options(t, "caixa001")
	first.Peers = []string{at}
	a, _ := run(t, first)
	n := met(t, a)
	n.session().raw.(*net.TCPConn).SetWriteBuffer(16 << 10)

	blocking := make(chan error, 1)
	go func() { // more than the buffers of the network take
		_, _, err := n.Sell(deadline(t, 20*time.Second), "c1", sale(1, strings.Repeat("x", wire.MaxLanFrame-1024)))
		blocking <- err
	}()
	s := n.session()
	<-begun
	_, _, err := n.Sell(deadline(t, 100*time.Millisecond), "c2", sale(2, "<CFe/>"))
	if !errors.Is(err, sat.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a sale whose time ended while it waited: %v", err)
	}
	waits := make(chan error, 1)
	go func() {
		_, _, err := n.Sell(deadline(t, 20*time.Second), "c3", sale(3, "<CFe/>"))
		waits <- err
	}()
	await(t, "the third sale to wait", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.last == 3 && len(s.out) == 2 })
	close(cut)
	if err := <-waits; !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("a sale that waited when the cable was cut: %v", err)
	}
	if err := <-blocking; err == nil || errors.Is(err, sat.ErrNotSent) {
		t.Errorf("the sale that was being sent: %v", err)
	}
}

// strange listens as an agent that does what serve says; it returns its address.
func (a *authority) strange(t *testing.T, id string, serve func(*conn)) string {
	t.Helper()
	o := a.options(t, id)
	trust, err := newTrust(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			c := newConn("", raw, tlsServer(raw, trust), o.Codec)
			all.Go(func() { defer c.close(); serve(c) })
			t.Cleanup(c.close)
		}
	})
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func offer(t *testing.T, c *conn) {
	t.Helper()
	put(t, c, wire.LanOffers, wire.Lendables{Version: wire.Version, Devices: (&lender{}).Offers()})
}

func put(t *testing.T, c *conn, kind byte, message any) {
	t.Helper()
	f, err := frame(c.codec, kind, message)
	if err == nil {
		err = c.put(f)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		t.Errorf("cannot write: %v", err)
	}
}

// Two computers under one name, of which one is a copy, lend nothing: a question
// about a case of one could be answered by the other.
func TestTwins(t *testing.T) {
	ca := newAuthority(t)
	b, _ := run(t, ca.options(t, "caixa002"))
	copied, _ := run(t, ca.options(t, "caixa002"))
	o := ca.options(t, "caixa001")
	o.Peers = []string{b.Addr().String()}
	a, _ := run(t, o)
	n := met(t, a)
	a.know(t.Context(), copied.Addr().String(), false)
	await(t, "the copy to be noticed", func() bool { return n.Offers() == nil })
	if _, _, err := n.Sell(deadline(t, time.Second), "c1", sale(1, "<CFe/>")); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("one of two sold: %v", err)
	}
	if _, _, err := n.Ask(deadline(t, time.Second), "c1"); err == nil {
		t.Error("one of two answered")
	}
	if len(a.Neighbours()) != 1 {
		t.Error("they are two neighbours")
	}
}

// A neighbour with two addresses is one, connected once.
func TestTwoAddresses(t *testing.T) {
	ca := newAuthority(t)
	b, _ := run(t, ca.options(t, "caixa002"))
	other := newCable(t, b.Addr().String())
	o := ca.options(t, "caixa001")
	o.Peers = []string{b.Addr().String(), other.l.Addr().String()}
	a, _ := run(t, o)
	n := met(t, a)
	await(t, "the second address to be tried", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.links[o.Peers[0]].failed+a.links[o.Peers[1]].failed > 0
	})
	if len(a.Neighbours()) != 1 || n.Offers() == nil {
		t.Errorf("%d neighbours, which offer %v", len(a.Neighbours()), n.Offers())
	}
}

// Only the answer to this very call counts, once.
func TestForeignAnswers(t *testing.T) {
	ca := newAuthority(t)
	at := ca.strange(t, "caixa002", func(c *conn) {
		offer(t, c)
		for {
			kind, body, err := c.next()
			if err != nil {
				return
			}
			if kind != wire.LanSale {
				continue
			}
			var l wire.Loan
			if err := c.codec.Decode(body, &l); err != nil {
				t.Error(err)
				return
			}
			answer := func(number uint64, id string, session int) {
				put(t, c, wire.LanAnswer, wire.Return{Version: wire.Version, Number: number, Case: id, Ending: wire.EndingReplied,
					Function: l.Function, Reply: refusal(sale(session, "")).Raw})
			}
			put(t, c, 'Z', "a kind of a later version")
			answer(l.Number-1, l.Case, 1)
			answer(l.Number+1, l.Case, 2)
			answer(l.Number, "another", 3)
			answer(l.Number, l.Case, l.Session)
			answer(l.Number, l.Case, 4)
		}
	})
	o := ca.options(t, "caixa001")
	o.Peers = []string{at}
	a, _ := run(t, o)
	n := met(t, a)
	for session := 100; session < 103; session++ {
		_, reply, err := n.Sell(deadline(t, 5*time.Second), "c1", sale(session, "<CFe/>"))
		if err != nil || reply.Session != session {
			t.Errorf("sale %d: answered as %d, %v", session, reply.Session, err)
		}
	}
}

// A neighbour that talks nonsense loses its connection, and the outcome is unknown.
func TestNonsense(t *testing.T) {
	for name, bytes := range map[string]string{
		"no length":        "\x00\x00\x00\x00A",
		"endless":          "\xff\xff\xff\xffA",
		"no message":       "\x00\x00\x00\x02A\xff",
		"offers of nobody": "\x00\x00\x00\x02O\xff",
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			at := ca.strange(t, "caixa002", func(c *conn) {
				offer(t, c)
				for {
					kind, _, err := c.next()
					if err != nil {
						return
					}
					if kind == wire.LanSale {
						c.put([]byte(bytes))
					}
				}
			})
			o := ca.options(t, "caixa001")
			o.Peers = []string{at}
			a, _ := run(t, o)
			_, _, err := met(t, a).Sell(deadline(t, 5*time.Second), "c1", sale(1, "<CFe/>"))
			if err == nil || errors.Is(err, sat.ErrNotSent) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the sale ended with %v", err)
			}
		})
	}
}
