package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// stand is a running broker with the collector behind it. It can be stopped and
// started again at the same addresses.
type stand struct {
	t         *testing.T
	mqtt, web string // host:port; web is "" where there is no WebSocket
	ca        *enrol.CA
	registry  *enrol.Registry
	store     *store.Store
	start     func()
	stop      func()
	revoke    func(agent string) // as the manual says; nil where Registry.Revoke does it
	diary     *diary             // of a broker in a process of its own

	mu sync.Mutex
	to ingest.Sender
}

// Send makes the stand the collector's side of whatever broker runs now.
func (s *stand) Send(agent, kind string, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		return errNotRunning
	}
	return s.to.Send(agent, kind, payload)
}

func (s *stand) use(to ingest.Sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
}

func newStand(t *testing.T, open func(s *stand, receive func(agent, stream string, payload []byte))) *stand {
	t.Helper()
	s := &stand{t: t}
	s.ca, s.registry = authority(t)
	var err error
	if s.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	g, err := ingest.New(ingest.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	t.Cleanup(func() { cancel(); parts.Wait() })
	open(s, g.Receive)
	s.start()
	t.Cleanup(func() { s.stop() })
	parts.Go(func() { g.Run(ctx, s) })
	return s
}

// embedded is the broker within the collector.
func embedded(s *stand, receive func(string, string, []byte)) {
	s.mqtt, s.web = "127.0.0.1:0", "127.0.0.1:0"
	folder := filepath.Join(s.t.TempDir(), "broker")
	var b *Broker
	s.start = func() {
		var err error
		b, err = Start(Options{Listen: s.mqtt, Web: s.web, TLS: s.ca.ServerConfig([]string{"127.0.0.1"}, time.Now), CAs: s.ca.Pool(),
			Folder: folder, Agent: s.registry.Agent, Receive: receive, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			s.t.Fatal(err)
		}
		s.mqtt, s.web = b.Addr(), b.WebAddr()
		s.use(b)
	}
	s.stop = func() { b.Close() }
}

// shopTill is a till with the agent's real buffer and uplink.
type shopTill struct {
	t      *testing.T
	agent  string
	buffer *buffer.Buffer
	codec  *wire.Codec
	uplink *uplink.Uplink
	n      int
	sold   []string // its records of documents
}

// till runs a till; change may alter how it reaches its collector.
func (s *stand) till(t *testing.T, change func(*uplink.MQTT)) *shopTill {
	t.Helper()
	agent, cert := enrolled(t, s.registry)
	m := uplink.MQTT{Broker: "tls://" + s.mqtt, Agent: agent, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		TLS: &tls.Config{RootCAs: s.ca.Pool(), Certificates: []tls.Certificate{cert}}}
	if change != nil {
		change(&m)
	}
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 32 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := uplink.NewClock(b, time.Time{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	m.TLS.Time = clock.Now
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	u := uplink.New(uplink.Options{Buffer: b, Codec: codec, Transport: m, Log: log, Now: time.Now, Clock: clock,
		Streams: []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus},
		Beat:    func() wire.Beat { return wire.Beat{Software: "test", Clock: time.Now().UnixMilli()} }})
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { u.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		parts.Wait()
		b.Close()
		codec.Close()
	})
	return &shopTill{t: t, agent: agent, buffer: b, codec: codec, uplink: u}
}

// sell queues documents that differ in little, as coupons do.
func (c *shopTill) sell(n int) {
	c.t.Helper()
	common := x509Noise(4 << 10)
	for range n {
		c.n++
		item, err := c.codec.Encode(wire.Item{Version: 2, Kind: wire.KindDocument, Serial: "900000001", At: time.Now().UnixMilli(),
			Body: fmt.Appendf(nil, "<CFe><n>%06d</n>%s</CFe>", c.n, common)})
		if err != nil {
			c.t.Fatal(err)
		}
		c.queue(item)
	}
}

// queue gives a record its place in the outgoing stream.
func (c *shopTill) queue(record []byte) {
	c.t.Helper()
	b := &buffer.Batch{}
	b.Append(wire.StreamDocuments, record)
	if _, err := c.buffer.Commit(b); err != nil {
		c.t.Fatal(err)
	}
	c.sold = append(c.sold, string(record))
}

// large is a record that does not pack.
func large(n int) []byte {
	random := make([]byte, n)
	mrand.NewChaCha8([32]byte{1}).Read(random)
	return random
}

// x509Noise is what hardly packs, the same each time.
func x509Noise(n int) string {
	var out strings.Builder
	for x := uint32(1); out.Len() < n; {
		x = x*1664525 + 1013904223
		out.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x>>26])
	}
	return out.String()
}

// until waits for something that the test cannot be told of.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	within(t, 2*patience, what, done)
}

func within(t *testing.T, d time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(d); !done(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}

func (c *shopTill) drained() {
	c.t.Helper()
	until(c.t, "everything acknowledged", func() bool { return c.waiting() == 0 })
}

// waiting is how many records are not acknowledged.
func (c *shopTill) waiting() (n int) {
	for _, s := range c.buffer.Stats().Streams {
		n += s.Waiting
	}
	return n
}

// arrived is how many different records of an agent the collector stored. They
// are no CF-e and so in quarantine.
func (s *stand) arrived(agent string) (n int) {
	s.t.Helper()
	err := s.store.View(s.t.Context(), store.All(), func(r *store.Reader) error {
		list, err := r.Quarantined(10_000)
		for _, q := range list {
			if q.Agent == agent {
				n++
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestEveryBroker: agents and the collector behave the same whatever broker is
// between them.
func TestEveryBroker(t *testing.T) {
	for name, open := range map[string]func(*stand, func(string, string, []byte)){"embedded": embedded, "mosquitto": mosquitto, "nats": natsElsewhere} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, open)
			t.Run("coupons", s.testCoupons)
			t.Run("restart", s.testRestart)
			if s.web != "" {
				t.Run("port blocked", s.testBlocked)
			}
			t.Run("proxy", s.testProxy)
			t.Run("foreign topics", s.testForeign)
			t.Run("wrong clock", s.testWrongClock)
			t.Run("large", s.testLarge)
			if s.revoke != nil {
				t.Run("revoked", s.testRevoked)
			}
		})
	}
}

// testCoupons: everything arrives, the clock is learnt, and a coupon costs little
// once the collector has the device's dictionary.
func (s *stand) testCoupons(t *testing.T) {
	c := s.till(t, nil)
	until(t, "the clock", func() bool { return c.uplink.State().ClockKnown })
	if off := c.uplink.State().ClockOff.Abs(); off > time.Second {
		t.Errorf("the clock is %v off on one machine", off)
	}
	c.sell(40)
	c.drained()
	for range 3 { // the dictionary may come and be confirmed meanwhile
		c.sell(1)
		c.drained()
	}
	before := c.uplink.Stats().Total
	c.sell(1)
	c.drained()
	if spent := c.uplink.Stats().Total - before; spent > 1000 {
		t.Errorf("a coupon of 4 KB that differs in one number took %d bytes both ways", spent)
	}
	if n := s.arrived(c.agent); n != c.n {
		t.Errorf("%d arrived of %d", n, c.n)
	}
}

// testLarge: a document in many packets of the largest size passes.
func (s *stand) testLarge(t *testing.T) {
	c := s.till(t, nil)
	c.queue(large(1 << 20))
	c.drained()
	if n := s.arrived(c.agent); n != 1 {
		t.Errorf("%d arrived of 1", n)
	}
}

// testRevoked: a revoked till, though it is connected, is heard no more.
func (s *stand) testRevoked(t *testing.T) {
	revoked := s.till(t, nil)
	revoked.sell(1)
	revoked.drained()
	s.revoke(revoked.agent)
	revoked.sell(1)
	until(t, "the refusal", func() bool { return s.diary.says("Denied PUBLISH from " + revoked.agent) })
	honest := s.till(t, nil)
	honest.sell(1)
	honest.drained()
	if n := s.arrived(revoked.agent); n != 1 {
		t.Errorf("%d arrived, one was sent before the revocation", n)
	}
}

func (s *stand) testRestart(t *testing.T) {
	c := s.till(t, nil)
	c.sell(20)
	c.drained()
	s.stop()
	until(t, "the loss noticed", func() bool { return !c.uplink.State().Connected })
	c.sell(20)
	s.start()
	c.drained()
	if n := s.arrived(c.agent); n != 40 {
		t.Errorf("%d arrived of 40", n)
	}
}

// testBlocked: where the port of MQTT is blocked, WebSocket on another takes over.
func (s *stand) testBlocked(t *testing.T) {
	c := s.till(t, func(m *uplink.MQTT) {
		m.Broker, m.Fallback = "tls://"+freeAddress(t), "wss://"+s.web+"/mqtt"
	})
	c.sell(20)
	c.drained()
	if n := s.arrived(c.agent); n != 20 {
		t.Errorf("%d arrived of 20", n)
	}
}

// testProxy: through a real CONNECT proxy that wants a password, by either way.
func (s *stand) testProxy(t *testing.T) {
	p := startProxy(t, "loja:segredo")
	ways := map[string]func(*uplink.MQTT){s.mqtt: func(m *uplink.MQTT) { m.Proxy = p.as("loja:segredo") }}
	if s.web != "" {
		ways[s.web] = func(m *uplink.MQTT) {
			m.Broker, m.Fallback, m.Proxy = "tls://"+freeAddress(t), "wss://"+s.web+"/mqtt", p.as("loja:segredo")
		}
	}
	for target, way := range ways {
		c := s.till(t, way)
		c.sell(5)
		c.drained()
		if n := s.arrived(c.agent); n != 5 {
			t.Errorf("%s: %d arrived of 5", target, n)
		}
		if !p.carried(target) {
			t.Errorf("%s was not reached through the proxy", target)
		}
	}
	refused := s.till(t, func(m *uplink.MQTT) { m.Proxy = p.as("loja:errada") })
	until(t, "the refusal", func() bool { return refused.uplink.State().Err != nil })
	err := refused.uplink.State().Err
	if text := err.Error(); !strings.Contains(text, "407") || strings.Contains(text, "errada") {
		t.Errorf("refused as %q", text)
	}
}

// testForeign: what an agent publishes under another's name is not taken.
func (s *stand) testForeign(t *testing.T) {
	victim := s.till(t, nil)
	victim.sell(1)
	victim.drained()
	agent, cert := enrolled(t, s.registry)
	p := &place{t: t, ca: s.ca}
	c, err := p.dialAt(s.mqtt, agent, &cert)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := victim.codec.Pack(1, wire.Batch{Version: 2, Records: []wire.Record{{Seq: 1, Data: []byte("forged")}}})
	if err != nil {
		t.Fatal(err)
	}
	// Mosquitto grants the subscription and delivers nothing.
	_, stolen := c.subscribe(t, wire.DownTopic(victim.agent, "+"))
	c.publish(t, wire.UpTopic(victim.agent, wire.StreamDocuments), packets[0])
	other, otherCert := enrolled(t, s.registry)
	honest, err := p.dialAt(s.mqtt, other, &otherCert)
	if err != nil {
		t.Fatal(err)
	}
	_, acks := honest.subscribe(t, wire.DownTopic(other, wire.DownAck))
	honest.publish(t, wire.UpTopic(other, wire.StreamDocuments), packets[0])
	select {
	case <-acks:
	case <-time.After(patience):
		t.Fatal("no acknowledgement of what is one's own")
	}
	victim.sell(1)
	victim.drained() // its acknowledgement went by
	if n := s.arrived(victim.agent); n != 2 || len(stolen) != 0 {
		t.Errorf("the victim has %d records, sent 2; %d of its messages went elsewhere", n, len(stolen))
	}
}

// testWrongClock: a till that woke up years ago says so in plain words, unless it
// was made later or ever heard the collector's time.
func (s *stand) testWrongClock(t *testing.T) {
	agent, cert := enrolled(t, s.registry)
	past := func() time.Time { return time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC) }
	connect := func(now func() time.Time) error {
		m := uplink.MQTT{Broker: "tls://" + s.mqtt, Agent: agent, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
			TLS: &tls.Config{RootCAs: s.ca.Pool(), Certificates: []tls.Certificate{cert}, Time: now}}
		session, err := m.Connect(t.Context(), func(string, []byte) {})
		if err == nil {
			session.Close()
		}
		return err
	}
	clock := func(b *buffer.Buffer, built time.Time) func() time.Time {
		c, err := uplink.NewClock(b, built, past)
		if err != nil {
			t.Fatal(err)
		}
		return c.Now
	}
	fresh, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	heard := s.till(t, nil)
	until(t, "the clock", func() bool { return heard.uplink.State().ClockKnown })
	if err := connect(past); !errors.Is(err, uplink.ErrClock) {
		t.Errorf("in 2009: %v", err)
	}
	if err := connect(func() time.Time { return time.Now().AddDate(50, 0, 0) }); !errors.Is(err, uplink.ErrClock) {
		t.Errorf("in fifty years: %v", err)
	}
	if err := connect(clock(fresh, time.Time{})); !errors.Is(err, uplink.ErrClock) {
		t.Errorf("in 2009, nothing known: %v", err)
	}
	if err := connect(clock(fresh, time.Now())); err != nil {
		t.Errorf("in 2009, made today: %v", err)
	}
	if err := connect(clock(heard.buffer, time.Time{})); err != nil {
		t.Errorf("in 2009, heard the collector's time before: %v", err)
	}
}

// proxy is an HTTP proxy that tunnels for who knows its password.
type proxy struct {
	addr string
	mu   sync.Mutex
	seen map[string]bool
}

func startProxy(t *testing.T, password string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), seen: map[string]bool{}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		if r.Method != http.MethodConnect || user+":"+pass != password {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		p.tunnel(w, r.Host)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return p
}

func (p *proxy) tunnel(w http.ResponseWriter, target string) {
	out, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	p.mu.Lock()
	p.seen[target] = true
	p.mu.Unlock()
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	fmt.Fprint(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	var up sync.WaitGroup
	up.Go(func() {
		bufio.NewReader(in).WriteTo(out)
		out.Close()
	})
	bufio.NewReader(out).WriteTo(in)
	in.Close()
	up.Wait()
}

// as is the setting of a till that uses the proxy with a name and password.
func (p *proxy) as(password string) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: "http", Host: p.addr, User: url.UserPassword(splitColon(password))})
}

func splitColon(s string) (string, string) {
	before, after, _ := strings.Cut(s, ":")
	return before, after
}

func (p *proxy) carried(target string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[target]
}
