package lan

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

const shop = "11222333000181"

// authority issues certificates as the collector does.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "Zelo CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().AddDate(15, 0, 0)}, &a.key.PublicKey)
	return a
}

func (a *authority) sign(c *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed
}

// agent issues a certificate that ended so long ago, for an establishment or "".
func (a *authority) agent(id, establishment string, ended time.Duration) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	name := pkix.Name{CommonName: id}
	if establishment != "" {
		name.Organization = []string{establishment}
	}
	end := time.Now().Add(-ended)
	leaf := a.sign(&x509.Certificate{Subject: name, NotBefore: end.AddDate(-1, 0, 0), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func pool(all ...*authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range all {
		p.AddCert(a.cert)
	}
	return p
}

// still is of a certificate that has a month left.
const still = -30 * 24 * time.Hour

func (a *authority) options(t testing.TB, id string) Options {
	t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	return Options{Lender: &lender{}, Codec: codec, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
		Certificate: a.agent(id, shop, still), Roots: pool(a), Listen: "127.0.0.1:0"}
}

// lender has one device and does as its functions say.
type lender struct {
	lend func(ctx context.Context, from, id string, req sat.Request) (wire.Ending, sat.Reply, error)
	ask  func(ctx context.Context, from, id string) (wire.Ending, sat.Reply, error)

	unfit atomic.Bool
}

func (l *lender) Offers() []wire.Lendable {
	o := wire.Lendable{Serial: "900000001", CNPJ: "11111111111111", Memory: 0.25}
	if l.unfit.Load() {
		o.Unfit = "não responde"
	}
	return []wire.Lendable{o}
}

func (l *lender) Lend(ctx context.Context, from, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
	if l.lend == nil {
		return wire.EndingReplied, refusal(req), nil
	}
	return l.lend(ctx, from, id, req)
}

func (l *lender) AskCase(ctx context.Context, from, id string) (wire.Ending, sat.Reply, error) {
	if l.ask == nil {
		return wire.EndingNothing, sat.Reply{}, nil
	}
	return l.ask(ctx, from, id)
}

// refusal is a device's reply with the request's session.
func refusal(req sat.Request) sat.Reply {
	return sat.NewReply(req.Function, req.Session, 6010)
}

func sale(session int, xml string) sat.Request {
	return sat.Request{Till: "001", Session: session, Function: sat.EnviarDadosVenda, Args: []string{"", xml}}
}

// run starts a LAN; stop ends it and waits.
func run(t *testing.T, o Options) (l *LAN, stop func()) {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

// await looks again until it is so.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// met waits until a neighbour offers its device.
func met(t *testing.T, l *LAN) *Neighbour {
	t.Helper()
	var n *Neighbour
	await(t, "a neighbour", func() bool {
		if all := l.Neighbours(); len(all) > 0 {
			n = all[0]
		}
		return n != nil && n.Offers() != nil
	})
	return n
}

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// pair are two agents of one shop, of which the first has the second listed.
func pair(t *testing.T, lends *lender) (a, b *LAN) {
	t.Helper()
	ca := newAuthority(t)
	second := ca.options(t, "caixa002")
	second.Lender = lends
	b, _ = run(t, second)
	first := ca.options(t, "caixa001")
	first.Peers = []string{b.Addr().String()}
	a, _ = run(t, first)
	return a, b
}

func TestSaleAndQuestion(t *testing.T) {
	var got sat.Request
	var left time.Duration
	lends := &lender{
		lend: func(ctx context.Context, from, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
			if from != "caixa001" || id != "c1" {
				t.Errorf("case %q of %q", id, from)
			}
			d, _ := ctx.Deadline()
			got, left = req, time.Until(d)
			return wire.EndingReplied, refusal(req), nil
		},
		ask: func(ctx context.Context, from, id string) (wire.Ending, sat.Reply, error) {
			if id == "c1" {
				return wire.EndingReplied, refusal(got), nil
			}
			return wire.EndingNothing, sat.Reply{}, nil
		},
	}
	a, b := pair(t, lends)
	n := met(t, a)
	if o := n.Offers(); n.Name() != "caixa002" || len(o) != 1 || o[0].Serial != "900000001" || o[0].Memory != 0.25 {
		t.Errorf("%s offers %+v", n.Name(), o)
	}
	req := sale(123456, "<CFe>\xe3\x00"+strings.Repeat("x", 1500<<10)+"</CFe>") // no UTF-8, and as large as may be
	ending, reply, err := n.Sell(deadline(t, 10*time.Second), "c1", req)
	if err != nil || ending != wire.EndingReplied || reply.Session != 123456 || reply.Code != 6010 {
		t.Errorf("sale: %v, %+v, %v", ending, reply, err)
	}
	if !slices.Equal(got.Args, req.Args) || got.Till != "001" || got.Session != req.Session || got.Function != req.Function {
		t.Error("the sale arrived as another")
	}
	if left <= 5*time.Second || left >= 10*time.Second {
		t.Errorf("of 10 s the neighbour was given %s", left)
	}
	if ending, reply, err := n.Ask(deadline(t, 5*time.Second), "c1"); err != nil || ending != wire.EndingReplied || reply.Session != 123456 {
		t.Errorf("question: %v, %+v, %v", ending, reply, err)
	}
	if ending, _, err := n.Ask(deadline(t, 5*time.Second), "c2"); err != nil || ending != wire.EndingNothing {
		t.Errorf("question about another case: %v, %v", ending, err)
	}
	// Being borrowed from, the second learnt where the first is.
	if back := met(t, b); back.Name() != "caixa001" {
		t.Errorf("the second knows %s", back.Name())
	} else if ending, _, err := back.Sell(deadline(t, 5*time.Second), "c3", sale(1, "<CFe/>")); err != nil || ending != wire.EndingReplied {
		t.Errorf("sale the other way: %v, %v", ending, err)
	}
}

// What a neighbour says is taken for what it proves, and no more.
func TestWhatANeighbourSays(t *testing.T) {
	var ending wire.Ending
	var reply sat.Reply
	var failed error
	a, _ := pair(t, &lender{lend: func(context.Context, string, string, sat.Request) (wire.Ending, sat.Reply, error) {
		return ending, reply, failed
	}})
	n := met(t, a)
	req := sale(7, "<CFe/>")
	other := sat.Request{Function: sat.ConsultarSAT, Session: 7}
	for _, c := range []struct {
		name    string
		ending  wire.Ending
		reply   sat.Reply
		failed  error
		want    wire.Ending
		certain bool
	}{
		{"a reply", wire.EndingReplied, refusal(req), nil, wire.EndingReplied, true},
		{"nothing was issued", wire.EndingNothing, sat.Reply{}, nil, wire.EndingNothing, true},
		{"still open", wire.EndingOpen, sat.Reply{}, nil, wire.EndingOpen, true},
		{"issued and gone", wire.EndingMissing, sat.Reply{}, nil, wire.EndingMissing, true},
		{"an error, even one that proves something there", wire.EndingNothing, sat.Reply{}, sat.ErrNotSent, 0, false},
		{"an error in no encoding", wire.EndingReplied, refusal(req), errors.New("\xff" + strings.Repeat("ã", 400)), 0, false},
		{"nothing at all", 0, sat.Reply{}, nil, 0, false},
		{"an ending of another version", 99, sat.Reply{}, nil, 0, false},
		{"a reply that is none", wire.EndingReplied, sat.Reply{Function: req.Function, Raw: []byte("ok")}, nil, 0, false},
		{"no reply", wire.EndingReplied, sat.Reply{}, nil, 0, false},
		{"a reply to another function", wire.EndingReplied, sat.NewReply(other.Function, 7, 8000), nil, 0, false},
	} {
		ending, reply, failed = c.ending, c.reply, c.failed
		got, r, err := n.Sell(deadline(t, 5*time.Second), "c1", req)
		if got != c.want || (err == nil) != c.certain || errors.Is(err, sat.ErrNotSent) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		if c.want != wire.EndingReplied && r.Raw != nil {
			t.Errorf("%s came with a reply", c.name)
		}
	}
}

// What cannot be sent proves that nothing was.
func TestNotSent(t *testing.T) {
	a, _ := pair(t, &lender{lend: func(context.Context, string, string, sat.Request) (wire.Ending, sat.Reply, error) {
		t.Error("it was sent")
		return 0, sat.Reply{}, nil
	}})
	n := met(t, a)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		id  string
		req sat.Request
	}{
		"no time":            {over, "c1", sale(1, "<CFe/>")},
		"impossible request": {context.Background(), "c1", sale(-1, "<CFe/>")},
		"too large":          {context.Background(), "c1", sale(1, strings.Repeat("x", wire.MaxLanFrame))},
		"case too long":      {context.Background(), strings.Repeat("c", wire.MaxCase+1), sale(1, "<CFe/>")},
		"case in no text":    {context.Background(), "\xff", sale(1, "<CFe/>")},
	} {
		if _, _, err := n.Sell(c.ctx, c.id, c.req); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := n.Ask(context.Background(), ""); err == nil {
		t.Error("a question without a case was answered")
	}
}

// What a neighbour offers is known at once when it changes.
func TestChangedOffers(t *testing.T) {
	ca := newAuthority(t)
	lends := &lender{}
	o := ca.options(t, "caixa002")
	o.Lender = lends
	b, _ := run(t, o)
	first := ca.options(t, "caixa001")
	first.Peers = []string{b.Addr().String()}
	a, _ := run(t, first)
	n := met(t, a)
	lends.unfit.Store(true)
	began := time.Now()
	await(t, "the change", func() bool { all := n.Offers(); return len(all) == 1 && all[0].Unfit != "" })
	if d := time.Since(began); d > every-100*time.Millisecond {
		t.Errorf("it took %s", d)
	}
}

func BenchmarkSale(b *testing.B) {
	ca := newAuthority(b)
	run := func(o Options) *LAN {
		l, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		b.Cleanup(func() { cancel(); <-ended })
		return l
	}
	first := ca.options(b, "caixa001")
	first.Peers = []string{run(ca.options(b, "caixa002")).Addr().String()}
	a := run(first)
	for len(a.Neighbours()) == 0 {
		<-time.After(time.Millisecond)
	}
	n, req := a.Neighbours()[0], sale(1, strings.Repeat("x", 4<<10))
	for b.Loop() {
		if _, _, err := n.Sell(context.Background(), "c1", req); err != nil {
			b.Fatal(err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	all := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(wire.MaxLoans)
	a, _ := pair(t, &lender{lend: func(_ context.Context, _, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
		arrived.Done()
		<-all
		return wire.EndingReplied, refusal(req), nil
	}})
	n := met(t, a)
	var sold sync.WaitGroup
	for i := range wire.MaxLoans {
		sold.Go(func() {
			_, reply, err := n.Sell(deadline(t, 10*time.Second), fmt.Sprint("c", i), sale(1000+i, "<CFe/>"))
			if err != nil || reply.Session != 1000+i {
				t.Errorf("sale %d was answered as %d, %v", 1000+i, reply.Session, err)
			}
		})
	}
	arrived.Wait()
	if _, _, err := n.Sell(deadline(t, 10*time.Second), "more", sale(1, "<CFe/>")); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("one more: %v", err)
	}
	close(all)
	sold.Wait()
}

// A neighbour that takes too long costs the till no more than its time, and its late
// answer is nobody's.
func TestLateAnswer(t *testing.T) {
	late := make(chan struct{})
	a, _ := pair(t, &lender{lend: func(_ context.Context, _, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
		if id == "slow" {
			<-late
		}
		return wire.EndingReplied, refusal(req), nil
	}})
	n := met(t, a)
	began := time.Now()
	_, _, err := n.Sell(deadline(t, 200*time.Millisecond), "slow", sale(1, "<CFe/>"))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sat.ErrNotSent) || time.Since(began) > 2*time.Second {
		t.Errorf("slow neighbour: %v after %s", err, time.Since(began))
	}
	close(late)
	if _, reply, err := n.Sell(deadline(t, 5*time.Second), "c2", sale(2, "<CFe/>")); err != nil || reply.Session != 2 {
		t.Errorf("the next sale: %+v, %v", reply, err)
	}
}

// The same neighbour comes back by itself, and while it is away nothing is sent.
func TestAwayAndBack(t *testing.T) {
	ca := newAuthority(t)
	second := ca.options(t, "caixa002")
	b, stop := run(t, second)
	second.Listen = b.Addr().String()
	first := ca.options(t, "caixa001")
	first.Peers = []string{second.Listen}
	a, _ := run(t, first)
	n := met(t, a)
	stop()
	await(t, "the neighbour to be gone", func() bool { return n.Offers() == nil })
	if _, _, err := n.Sell(deadline(t, time.Second), "c1", sale(1, "<CFe/>")); !errors.Is(err, sat.ErrNotSent) {
		t.Errorf("sale to one who is away: %v", err)
	}
	if _, _, err := n.Ask(deadline(t, time.Second), "c1"); err == nil {
		t.Error("one who is away answered")
	}
	run(t, second)
	if again := met(t, a); again != n {
		t.Error("it came back as another")
	}
	if _, _, err := n.Sell(deadline(t, 5*time.Second), "c1", sale(1, "<CFe/>")); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	t.Run("a lender that heeds its context", func(t *testing.T) {
		called := make(chan struct{})
		ca := newAuthority(t)
		second := ca.options(t, "caixa002")
		second.Lender = &lender{lend: func(ctx context.Context, _, _ string, _ sat.Request) (wire.Ending, sat.Reply, error) {
			close(called)
			<-ctx.Done()
			return wire.EndingOpen, sat.Reply{}, nil
		}}
		b, stop := run(t, second)
		first := ca.options(t, "caixa001")
		first.Peers = []string{b.Addr().String()}
		a, _ := run(t, first)
		n := met(t, a)
		ended := make(chan error, 1)
		go func() {
			ending, _, err := n.Sell(deadline(t, 30*time.Second), "c1", sale(1, "<CFe/>"))
			if err == nil && ending == wire.EndingOpen {
				err = errors.New("it is open there")
			}
			ended <- err
		}()
		<-called
		began := time.Now()
		stop()
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("stopping took %s", d)
		}
		if err := <-ended; err == nil || errors.Is(err, sat.ErrNotSent) {
			t.Errorf("the sale under way ended with %v", err)
		}
	})
	t.Run("a lender that does not", func(t *testing.T) {
		ca := newAuthority(t)
		called, free := make(chan struct{}), make(chan struct{})
		second := ca.options(t, "caixa002")
		second.Lender = &lender{lend: func(context.Context, string, string, sat.Request) (wire.Ending, sat.Reply, error) {
			close(called)
			<-free
			return wire.EndingOpen, sat.Reply{}, nil
		}}
		b, err := New(second)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		first := ca.options(t, "caixa001")
		first.Peers = []string{b.Addr().String()}
		a, _ := run(t, first)
		go met(t, a).Sell(deadline(t, 30*time.Second), "c1", sale(1, "<CFe/>"))
		<-called
		cancel()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("nothing was said of the call under way")
			}
		case <-time.After(3 * time.Second):
			t.Error("it did not stop")
		}
		close(free)
	})
}

func TestOptions(t *testing.T) {
	ca := newAuthority(t)
	for name, change := range map[string]func(*Options){
		"no certificate":      func(o *Options) { o.Certificate = tls.Certificate{} },
		"not an agent's":      func(o *Options) { o.Certificate = ca.agent("Zelo coletor", shop, still) },
		"listen without port": func(o *Options) { o.Listen = "127.0.0.1" },
		"peer without port":   func(o *Options) { o.Peers = []string{"10.0.0.5"} },
		"port of a word":      func(o *Options) { o.Peers = []string{"10.0.0.5:caixa"} },
	} {
		o := ca.options(t, "caixa001")
		change(&o)
		if l, err := New(o); err == nil {
			l.listener.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := ca.options(t, "caixa001")
	o.Listen = taken.Addr().String()
	if _, err := New(o); err == nil {
		t.Error("a taken port was listened at")
	}
}
