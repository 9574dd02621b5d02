package lan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"
)

func tlsServer(raw net.Conn, t trust) *tls.Conn { return tls.Server(raw, t.server()) }

// joined are the two ends of a TCP connection.
func joined(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// handshake lets two agents meet, and says how each of them took it.
func handshake(t *testing.T, client, server Options) (atClient, atServer error) {
	t.Helper()
	mine, err := newTrust(client)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := newTrust(server)
	if err != nil {
		t.Fatal(err)
	}
	near, far := joined(t)
	said := make(chan error, 1)
	go func() {
		c := tlsServer(far, theirs)
		err := c.HandshakeContext(deadline(t, 5*time.Second))
		if err == nil {
			_, err = c.Write([]byte("x"))
		}
		far.Close()
		said <- err
	}()
	c := tls.Client(near, mine.client())
	atClient = c.HandshakeContext(deadline(t, 5*time.Second))
	if atClient == nil { // a refusal comes after the client's handshake
		_, atClient = c.Read(make([]byte, 1))
	}
	near.Close()
	return atClient, <-said
}

func TestWhoIsANeighbour(t *testing.T) {
	const day = 24 * time.Hour
	ca, newer, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	long := time.Now().AddDate(-10, 0, 0)
	for _, c := range []struct {
		name   string
		theirs tls.Certificate
		change func(ours *Options)
		ok     bool
	}{
		{"same establishment", ca.agent("caixa002", shop, still), nil, true},
		{"another establishment", ca.agent("caixa002", "11222333000262", still), nil, false},
		{"another establishment, listed all the same", ca.agent("caixa002", "11222333000262", still), func(o *Options) { o.Allowed = []string{"caixa002"} }, false},
		{"no establishment", ca.agent("caixa002", "", still), nil, false},
		{"no establishment, another listed", ca.agent("caixa002", "", still), func(o *Options) { o.Allowed = []string{"caixa003"} }, false},
		{"no establishment, listed", ca.agent("caixa002", "", still), func(o *Options) { o.Allowed = []string{"caixa002"} }, true},
		{"neither names one, listed", ca.agent("caixa002", "", still), func(o *Options) {
			o.Allowed, o.Certificate = []string{"caixa002"}, ca.agent("caixa001", "", still)
		}, true},
		{"neither names one", ca.agent("caixa002", "", still), func(o *Options) { o.Certificate = ca.agent("caixa001", "", still) }, false},
		{"only theirs names one", ca.agent("caixa002", shop, still), func(o *Options) { o.Certificate = ca.agent("caixa001", "", still) }, false},
		{"unknown authority", stranger.agent("caixa002", shop, still), nil, false},
		{"newer authority, both known", newer.agent("caixa002", shop, still), func(o *Options) { o.Roots = pool(ca, newer) }, true},
		{"newer authority, not known yet", newer.agent("caixa002", shop, still), nil, false},
		{"ended 399 days ago", ca.agent("caixa002", shop, 399*day), nil, true},
		{"ended 401 days ago", ca.agent("caixa002", shop, 401*day), nil, false},
		{"of an unknown authority, ended", stranger.agent("caixa002", shop, 10*day), nil, false},
		{"our clock ten years late, the build known", ca.agent("caixa002", shop, still), func(o *Options) {
			o.Now, o.Times = func() time.Time { return long }, func() []time.Time { return []time.Time{{}, time.Now().Add(-day)} }
		}, true},
		{"our clock ten years late, nothing known", ca.agent("caixa002", shop, still), func(o *Options) { o.Now = func() time.Time { return long } }, false},
		{"our clock right, others late", ca.agent("caixa002", shop, 401*day), func(o *Options) { o.Times = func() []time.Time { return []time.Time{long} } }, false},
		{"ourselves", ca.agent("caixa001", shop, still), nil, false},
		{"not an agent", ca.agent("Zelo coletor", shop, still), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours := ca.options(t, "caixa001")
			if c.change != nil {
				c.change(&ours)
			}
			they := ca.options(t, "caixa009") // accepts whoever comes
			theirs, err := newTrust(they)
			if err != nil {
				t.Fatal(err)
			}
			theirs.certificate = c.theirs
			if err := meet(t, ours, theirs); (err == nil) != c.ok {
				t.Errorf("as a server: %v", err)
			}
			mine, err := newTrust(ours)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(c.theirs.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := mine.check(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); (err == nil) != c.ok {
				t.Errorf("as a client: %v", err)
			}
		})
	}
}

// meet connects to an agent that accepts everybody.
func meet(t *testing.T, ours Options, theirs trust) error {
	t.Helper()
	mine, err := newTrust(ours)
	if err != nil {
		t.Fatal(err)
	}
	near, far := joined(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		open := theirs.server()
		open.VerifyConnection = nil
		c := tls.Server(far, open)
		c.HandshakeContext(deadline(t, 5*time.Second))
		far.Close()
	}()
	err = tls.Client(near, mine.client()).HandshakeContext(deadline(t, 5*time.Second))
	near.Close()
	<-ended
	return err
}

// Both sides look: it is enough that one refuses.
func TestBothSidesLook(t *testing.T) {
	ca := newAuthority(t)
	one, two := ca.options(t, "caixa001"), ca.options(t, "caixa002")
	if atClient, atServer := handshake(t, one, two); atClient != nil || atServer != nil {
		t.Errorf("two of one shop: %v, %v", atClient, atServer)
	}
	two.Certificate = ca.agent("caixa002", "", still)
	two.Allowed = []string{"caixa001"}
	if atClient, _ := handshake(t, one, two); atClient == nil {
		t.Error("the client accepted one that is not of its shop")
	}
	if atClient, atServer := handshake(t, two, one); atClient == nil || atServer == nil {
		t.Errorf("the server accepted one that is not of its shop: %v, %v", atClient, atServer)
	}
	two = ca.options(t, "caixa002")
	two.Certificate.Certificate = nil
	if _, err := newTrust(two); err == nil {
		t.Error("an agent without a certificate")
	}
	bare := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
	theirs, err := newTrust(one)
	if err != nil {
		t.Fatal(err)
	}
	near, far := joined(t)
	said := make(chan error, 1)
	go func() { said <- tlsServer(far, theirs).HandshakeContext(deadline(t, 5*time.Second)); far.Close() }()
	tls.Client(near, bare).HandshakeContext(deadline(t, 5*time.Second))
	near.Close()
	if err := <-said; err == nil {
		t.Error("a client without a certificate was let in")
	}
}

// said passes on what is logged.
type said struct {
	slog.Handler
	messages chan slog.Record
}

func (s said) Handle(_ context.Context, r slog.Record) error {
	select {
	case s.messages <- r:
	default:
	}
	return nil
}

// A listed neighbour that is refused is told of, and gets nothing.
func TestStrangerGetsNothing(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	b, _ := run(t, ca.options(t, "caixa002"))
	o := other.options(t, "caixa001")
	o.Roots = pool(ca, other) // it would take anything
	o.Peers = []string{b.Addr().String()}
	told := said{slog.DiscardHandler, make(chan slog.Record, 9)}
	o.Log = slog.New(enabled{told})
	a, _ := run(t, o)
	select {
	case r := <-told.messages:
		if r.Level != slog.LevelWarn || r.Message != "no neighbour at a listed address" {
			t.Errorf("told %q", r.Message)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was told")
	}
	if len(a.Neighbours()) != 0 || len(b.Neighbours()) != 0 {
		t.Error("a stranger is a neighbour")
	}
}

type enabled struct{ said }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }

// An address of our own in the list harms nobody.
func TestSelfInTheList(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(t, "caixa001")
	mine, err := newTrust(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := meet(t, o, mine); !errors.Is(err, errSelf) {
		t.Errorf("meeting oneself: %v", err)
	}
}

func tlsClient(raw net.Conn, t trust) *tls.Conn { return tls.Client(raw, t.client()) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
