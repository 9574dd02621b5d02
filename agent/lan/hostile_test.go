package lan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// A flood of beacons costs a bounded number of attempts and never keeps a true
// neighbour from being found, or a listed one from being kept.
func TestFloodOfBeacons(t *testing.T) {
	ca := newAuthority(t)
	listed, _ := run(t, ca.options(t, "caixa003"))
	o := ca.options(t, "caixa001")
	o.Discover, o.Peers = true, []string{listed.Addr().String()}
	a, _ := run(t, o)
	met(t, a)
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(a.port)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(b wire.Beacon) {
		raw, err := o.Codec.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(raw) // refused until it listens
	}
	found := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		n := 0
		for _, k := range a.links {
			if !k.fixed {
				n++
			}
		}
		return n
	}
	await(t, "beacons to be heard", func() bool { say(wire.Beacon{Version: 1, Agent: "estranho", Port: 1}); return found() > 0 })
	for port := range 2000 {
		c.Write([]byte("\xff\x00garbage"))
		c.Write(bytes.Repeat([]byte{0xa0}, 2*maxBeacon))
		say(wire.Beacon{Version: 1, Agent: "caixa001", Port: uint16(port + 1)}) // ourselves
		say(wire.Beacon{Version: 1, Agent: "estranho", Port: uint16(port + 1)})
	}
	await(t, "the table to fill", func() bool { say(wire.Beacon{Version: 1, Agent: "estranho", Port: 7}); return found() > maxFound/2 })
	if n := found(); n > maxFound {
		t.Errorf("%d addresses are kept, more than %d", n, maxFound)
	}
	b, _ := run(t, ca.options(t, "caixa002"))
	await(t, "the true neighbour", func() bool {
		say(wire.Beacon{Version: 1, Agent: "caixa002", Port: b.port})
		all := a.Neighbours()
		return len(all) == 2 && all[1].Name() == "caixa002" && all[1].Offers() != nil
	})
	if a.Neighbours()[0].Offers() == nil {
		t.Error("the listed neighbour was lost")
	}
}

// Attempts at addresses that proved nothing come at most so often, all together.
func TestStrayAttemptsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		began := time.Now()
		for range 51 {
			g.pass(t.Context())
		}
		if d := time.Since(began); d != 50*strayEvery {
			t.Errorf("51 attempts took %s", d)
		}
	})
}

// Connections that never say who they are do not keep neighbours out.
func TestGuestsWhoSayNothing(t *testing.T) {
	ca := newAuthority(t)
	b, _ := run(t, ca.options(t, "caixa002"))
	for range 3 * maxAlike {
		c, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, ok := b.admit(tcpAddr("127.0.0.1:1")); ok {
		await(t, "the guests", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.guests["127.0.0.1"] >= maxAlike })
	}
	leave, ok := b.admit(tcpAddr("10.0.0.1:1"))
	if !ok {
		t.Fatal("another computer was not let in")
	}
	leave()
	for i := range 2 * maxGuests {
		b.admit(tcpAddr(fmt.Sprintf("10.0.%d.2:1", i)))
	}
	b.mu.Lock()
	n := len(b.guests)
	b.mu.Unlock()
	if n != maxGuests {
		t.Errorf("%d addresses are waited for", n)
	}
}

func tcpAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func TestOneBorrowerHasFewConnections(t *testing.T) {
	ca := newAuthority(t)
	b, _ := run(t, ca.options(t, "caixa002"))
	for i := range maxEach + 1 {
		if ok := b.greet("caixa001"); ok != (i < maxEach) {
			t.Errorf("connection %d: %v", i+1, ok)
		}
	}
	b.less(b.borrowers, "caixa001")
	if !b.greet("caixa001") {
		t.Error("it cannot come again")
	}
}

// A borrower that asks for more than it may is told so, and others are served.
func TestGreedyBorrower(t *testing.T) {
	ca := newAuthority(t)
	block := make(chan struct{})
	o := ca.options(t, "caixa002")
	o.Lender = &lender{lend: func(_ context.Context, from, _ string, req sat.Request) (wire.Ending, sat.Reply, error) {
		if from == "caixa001" {
			<-block
		}
		return wire.EndingReplied, refusal(req), nil
	}}
	b, _ := run(t, o)
	t.Cleanup(func() { close(block) })
	greedy := ca.options(t, "caixa001")
	raw, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := newTrust(greedy)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn("", raw, tlsClient(raw, trust), greedy.Codec)
	defer c.close()
	for i := range wire.MaxLoans + 1 {
		put(t, c, wire.LanSale, wire.Loan{Version: 2, Number: uint64(i), Case: fmt.Sprint(i), Left: 60000,
			Function: uint8(sat.EnviarDadosVenda), Args: [][]byte{nil, []byte("<CFe/>")}})
	}
	for {
		kind, body, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var back wire.Return
		if kind != wire.LanAnswer {
			continue
		}
		if err := c.codec.Decode(body, &back); err != nil || back.Number != wire.MaxLoans || back.Failed == "" || back.Ending != 0 {
			t.Errorf("answered %+v, %v", back, err)
		}
		break
	}
	other := ca.options(t, "caixa003")
	other.Peers = []string{b.Addr().String()}
	l, _ := run(t, other)
	if _, _, err := met(t, l).Sell(deadline(t, 5*time.Second), "c1", sale(1, "<CFe/>")); err != nil {
		t.Error(err)
	}
}

// A neighbour that says nothing for a while is neither offered nor sold at, long
// before its connection is given up.
func TestSilentNeighbour(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(t, "caixa001")
	o.Peers = []string{ca.strange(t, "caixa002", func(c *conn) { offer(t, c); <-c.dead })}
	a, _ := run(t, o)
	n := met(t, a)
	s := n.session()
	s.heard.Store(s.heard.Load() - int64(fresh))
	if n.Offers() != nil || s.ended() {
		t.Errorf("after %s it offers %v, ended %v", s.quiet(), n.Offers(), s.ended())
	}
	if _, _, err := n.Sell(deadline(t, time.Second), "c1", sale(1, "<CFe/>")); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("it was sold at: %v", err)
	}
}

// What does not make sense is not carried out.
func TestSenselessLoans(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(t, "caixa002")
	o.Lender = &lender{lend: func(context.Context, string, string, sat.Request) (wire.Ending, sat.Reply, error) {
		t.Error("it was carried out")
		return 0, sat.Reply{}, nil
	}, ask: func(context.Context, string, string) (wire.Ending, sat.Reply, error) {
		t.Error("it was asked")
		return 0, sat.Reply{}, nil
	}}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.listener.Close()
	b := &lending{conn: &conn{peer: "caixa001"}, lan: l}
	good := wire.Loan{Case: "c1", Left: 1000, Function: uint8(sat.EnviarDadosVenda), Args: [][]byte{nil, nil}}
	for name, change := range map[string]func(*wire.Loan){
		"no time left":      func(l *wire.Loan) { l.Left = 0 },
		"time before":       func(l *wire.Loan) { l.Left = -1 << 63 },
		"case too long":     func(l *wire.Loan) { l.Case = string(make([]byte, wire.MaxCase+1)) },
		"unknown function":  func(l *wire.Loan) { l.Function = 99 },
		"no function":       func(l *wire.Loan) { l.Function = 0 },
		"missing arguments": func(l *wire.Loan) { l.Args = nil },
	} {
		loan := good
		change(&loan)
		if back := b.carryOut(t.Context(), wire.LanSale, loan); back.Failed == "" || back.Ending != 0 {
			t.Errorf("%s: %+v", name, back)
		}
	}
	if back := b.carryOut(t.Context(), wire.LanQuestion, wire.Loan{Left: 1000}); back.Failed == "" {
		t.Errorf("a question without a case: %+v", back)
	}
}

func TestBroadcast(t *testing.T) {
	for prefix, want := range map[string]string{
		"192.168.0.17/24": "192.168.0.255", "10.1.2.3/8": "10.255.255.255", "172.16.5.9/20": "172.16.15.255",
		"192.168.0.17/30": "192.168.0.19", "10.0.0.1/0": "255.255.255.255",
	} {
		if got := broadcast(netip.MustParsePrefix(prefix)); got.String() != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
	for ip, want := range map[string]bool{"192.168.1.2": true, "10.9.8.7": true, "169.254.3.4": true, "8.8.8.8": false, "200.1.2.3": false} {
		if local(netip.MustParseAddr(ip)) != want {
			t.Errorf("%s: local is %v", ip, !want)
		}
	}
}

func FuzzBeacon(f *testing.F) {
	codec, err := wire.NewCodec()
	if err != nil {
		f.Fatal(err)
	}
	defer codec.Close()
	good, err := codec.Encode(wire.Beacon{Version: 2, Agent: "caixa001", Port: 9021})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x9f}, 400))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := parseBeacon(codec, b)
		if err == nil && (!wire.ValidAgent(at.Agent) || at.Port == 0) {
			t.Errorf("%+v was accepted", at)
		}
	})
}

// FuzzFrames reads anything as a lender's and as a borrower's stream.
func FuzzFrames(f *testing.F) {
	codec, err := wire.NewCodec()
	if err != nil {
		f.Fatal(err)
	}
	defer codec.Close()
	for kind, message := range map[byte]any{
		wire.LanOffers:   wire.Lendables{Version: 2, Devices: (&lender{}).Offers()},
		wire.LanAnswer:   wire.Return{Version: 2, Number: 1, Case: "c1", Ending: wire.EndingReplied, Function: 3, Reply: []byte("1|06000|")},
		wire.LanSale:     wire.Loan{Version: 2, Number: 1, Case: "c1", Left: 1000, Function: 3, Args: [][]byte{nil, nil}},
		wire.LanQuestion: wire.Loan{Version: 2, Number: 2, Case: "c1", Left: 1000},
		wire.LanBeacon:   wire.Beacon{Version: 2, Agent: "caixa001", Port: 1},
	} {
		b, err := frame(codec, kind, message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), b...))
	}
	f.Add([]byte{0, 0, 0, 0, 'A'})
	f.Add([]byte{255, 255, 255, 255, 'A'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &session{conn: &conn{codec: codec}, pending: map[uint64]loan{1: {"c1", make(chan wire.Return, 1)}}}
		for r := bytes.NewReader(raw); ; {
			before := r.Len()
			kind, body, err := readFrame(r)
			if err != nil {
				if !errors.Is(err, errFrame) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("unexpected %v", err)
				}
				return
			}
			if len(body)+5 != before-r.Len() {
				t.Fatalf("a frame of %d bytes took %d", len(body), before-r.Len())
			}
			if err := s.take(kind, body); err != nil && !errors.Is(err, errFrame) {
				t.Fatalf("unexpected %v", err)
			}
			var l wire.Loan
			if kind == wire.LanSale && codec.Decode(body, &l) == nil {
				back := (&lending{conn: s.conn, lan: &LAN{opt: Options{Lender: &lender{}}, log: quiet()}}).carryOut(t.Context(), kind, l)
				if back.Failed == "" && !back.Ending.Known() {
					t.Fatalf("%+v of %+v", back, l)
				}
			}
		}
	})
}
