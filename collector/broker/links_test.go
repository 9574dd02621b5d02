package broker

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// node is one of several collectors: a broker and an ingest.
type node struct {
	*Broker
	options Options
	mu      sync.Mutex
	ingest  *ingest.Ingest
	end     func()
}

// group is three collectors on one database with a balancer in front, and tills that
// know the balancer alone.
type group struct {
	*stand
	place *place
	nodes []*node
}

func newGroup(t *testing.T) *group {
	t.Helper()
	p := newPlace(t)
	g := &group{stand: &stand{t: t, ca: p.ca, registry: p.registry}, place: p}
	var err error
	if g.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.store.Close() })
	var links []string
	for range 3 {
		links = append(links, freeAddress(t))
	}
	for i := range links {
		name := enrol.CollectorName + "-" + string(rune('1'+i))
		n := &node{options: p.options}
		n.options.Folder = filepath.Join(t.TempDir(), name)
		n.options.Links = &Links{Listen: links[i], Peers: append(append([]string{}, links[:i]...), links[i+1:]...),
			TLS: p.ca.ClientConfig(t.TempDir(), name, time.Now)}
		n.options.Receive = func(agent, stream string, payload []byte) { n.taking().Receive(agent, stream, payload) }
		g.nodes = append(g.nodes, n)
		g.run(n)
		n.options.Listen = n.Addr()
	}
	var all []string
	for _, n := range g.nodes {
		all = append(all, n.options.Listen)
	}
	g.mqtt = balancer(t, all)
	return g
}

func (n *node) taking() *ingest.Ingest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ingest
}

// run starts a collector, again after its end.
func (g *group) run(n *node) {
	g.t.Helper()
	in, err := ingest.New(ingest.Options{Store: g.store, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		g.t.Fatal(err)
	}
	n.mu.Lock()
	n.ingest = in
	n.mu.Unlock()
	if n.Broker, err = Start(n.options); err != nil {
		g.t.Fatal(err)
	}
	b := n.Broker
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { in.Run(ctx, b); close(done) }()
	n.end = sync.OnceFunc(func() { b.Close(); cancel(); <-done })
	g.t.Cleanup(n.end)
}

// balancer is what stands before several servers: it gives each connection to the
// next of them that listens, and knows nothing of what goes through.
func balancer(t *testing.T, servers []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for next := 0; ; next++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			var out net.Conn
			for i := range servers {
				if out, err = net.Dial("tcp", servers[(next+i)%len(servers)]); err == nil {
					break
				}
			}
			if err != nil {
				in.Close()
				continue
			}
			open.Go(func() { io.Copy(out, in); out.Close(); in.Close() })
			open.Go(func() { io.Copy(in, out); out.Close(); in.Close() })
		}
	})
	return l.Addr().String()
}

// TestLinkedCollectors: tills are spread over three collectors with brokers of their
// own; one is killed, its tills go on with the others at once, and nothing is lost.
func TestLinkedCollectors(t *testing.T) {
	g := newGroup(t)
	const tills, sales = 9, 20
	var all []*shopTill
	for range tills {
		all = append(all, g.till(t, func(m *uplink.MQTT) { m.Broker = "tls://" + g.mqtt }))
	}
	for _, c := range all {
		c.sell(sales)
		c.drained()
	}
	g.nodes[0].end()
	killed := time.Now()
	for _, c := range all {
		c.sell(sales)
	}
	for _, c := range all {
		until(t, "its till to be connected again", func() bool { return c.uplink.State().Connected })
	}
	t.Logf("all %d tills back after %v", tills, time.Since(killed).Round(time.Millisecond))
	for i, c := range all {
		c.drained()
		if n := g.arrived(c.agent); n != 2*sales {
			t.Errorf("till %d: %d of %d arrived", i, n, 2*sales)
		}
	}
}

// TestConnectedAreAgents: the links of other collectors are no tills.
func TestConnectedAreAgents(t *testing.T) {
	g := newGroup(t)
	for _, n := range g.nodes {
		for _, peer := range n.peers {
			until(t, "a link", peer.IsConnected)
		}
	}
	agent, cert := enrolled(t, g.registry)
	c := g.place.connect(g.nodes[1].Broker, agent, cert)
	defer c.Disconnect(0)
	for i, n := range g.nodes {
		if got := n.Connected(); got != i%2 {
			t.Errorf("collector %d counts %d tills, want %d", i, got, i%2)
		}
	}
}

// TestHungPeer: a collector that takes nothing any more holds up neither commands nor the
// end of another.
func TestHungPeer(t *testing.T) {
	p := newPlace(t)
	peer := p.options
	peer.Folder, peer.Links = filepath.Join(t.TempDir(), "hung"), &Links{Listen: freeAddress(t)}
	far, err := Start(peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	hung, hang := context.WithCancel(t.Context())
	defer hang()
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		out, err := net.Dial("tcp", peer.Links.Listen)
		if err != nil {
			return
		}
		defer out.Close()
		open.Go(func() { io.Copy(in, out) })
		context.AfterFunc(hung, func() { out.SetDeadline(time.Now()) })
		io.Copy(out, in)
		<-t.Context().Done() // reads no more
	})
	near := p.options
	near.Folder = filepath.Join(t.TempDir(), "near")
	near.Links = &Links{Listen: freeAddress(t), Peers: []string{l.Addr().String()}, TLS: p.ca.ClientConfig(t.TempDir(), enrol.CollectorName, time.Now)}
	b, err := Start(near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	until(t, "the link", b.peers[0].IsConnected)
	agent, _ := enrolled(t, p.registry)
	hang()
	payload := make([]byte, 200<<10)
	began := time.Now()
	failed := 0
	for range 150 { // 30 MiB, more than sockets hold
		if b.Send(agent, wire.DownCommand, payload) != nil {
			failed++
		}
	}
	if took := time.Since(began); failed == 0 || took > 5*time.Second {
		t.Errorf("%d commands failed in %v", failed, took)
	}
	began = time.Now()
	if b.Close(); time.Since(began) > 5*time.Second {
		t.Errorf("its end took %v", time.Since(began))
	}
}

// TestCommandsCrossLinks: a command reaches its till at whichever collector it is, also
// at one that came back, and nobody but collectors gets through the door between them.
func TestCommandsCrossLinks(t *testing.T) {
	g := newGroup(t)
	agent, cert := enrolled(t, g.registry)
	at := g.nodes[2]
	reaches := func() {
		t.Helper()
		c := g.place.connect(at.Broker, agent, cert)
		defer c.Disconnect(0)
		if _, messages := c.subscribe(t, wire.DownTopic(agent, "+")); true {
			for i, n := range g.nodes {
				until(t, "a command", func() bool {
					if err := n.Send(agent, wire.DownCommand, []byte{byte(i)}); err != nil {
						return false // the link is being made again
					}
					select {
					case m := <-messages:
						return m.Payload()[0] == byte(i)
					case <-time.After(100 * time.Millisecond):
						return false
					}
				})
			}
		}
	}
	reaches()
	at.end()
	g.run(at)
	reaches()

	config := &tls.Config{RootCAs: g.ca.Pool(), Certificates: []tls.Certificate{cert}}
	if conn, err := nats.Connect("tls://"+at.options.Links.Listen, nats.Secure(config)); err == nil {
		conn.Close()
		t.Error("an agent got in where collectors are linked")
	}
	other := nats.Secure(at.options.Links.TLS)
	conn, err := nats.Connect("tls://"+g.nodes[0].options.Links.Listen, other, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync(subject(wire.UpTopic("*", "*")))
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := g.place.connect(g.nodes[0].Broker, agent, cert)
	c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("x"))
	if m, err := sub.NextMsg(300 * time.Millisecond); err == nil {
		t.Errorf("a link hears what agents say: %s", m.Subject)
	}
}
