package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// federation is a NATS cluster behind a balancer, and two collectors on one database.
type federation struct {
	*stand
	cluster *natsCluster
	nodes   []*member
}

// member is one of the collectors.
type member struct {
	*Cluster
	had atomic.Int64 // messages it was given
	end func()
}

func newFederation(t *testing.T) *federation {
	t.Helper()
	f := &federation{stand: &stand{t: t}}
	f.ca, f.registry = authority(t)
	var err error
	if f.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.cluster = newNATSCluster(t, f.ca)
	f.mqtt = balancer(t, f.cluster.mqtt())
	for range 2 {
		m := &member{}
		in, err := ingest.New(ingest.Options{Store: f.store, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		m.Cluster = f.cluster.collector(t, f.ca, f.registry, func(agent, stream string, payload []byte) {
			m.had.Add(1)
			in.Receive(agent, stream, payload)
		})
		ctx, cancel := context.WithCancel(context.Background())
		var parts sync.WaitGroup
		parts.Go(func() { in.Run(ctx, m) })
		parts.Go(func() { f.registry.Watch(ctx, m.Disconnect, slog.New(slog.DiscardHandler)) })
		m.end = func() { m.Close(); cancel(); parts.Wait() }
		t.Cleanup(m.end)
		f.nodes = append(f.nodes, m)
	}
	f.cluster.start(t, f.place(), f.nodes[0].Cluster, f.nodes[1].Cluster)
	return f
}

func (f *federation) place() *place { return &place{t: f.t, ca: f.ca, registry: f.registry} }

// same compares what a till sold with what the database holds of it.
func (f *federation) same(c *shopTill) {
	f.t.Helper()
	want := map[string]bool{}
	for _, record := range c.sold {
		want[record] = true
	}
	err := f.store.View(f.t.Context(), store.All(), func(r *store.Reader) error {
		list, err := r.Quarantined(100_000)
		if err != nil {
			return err
		}
		for _, q := range list {
			if q.Agent != c.agent {
				continue
			}
			body, err := r.QuarantinedBody(q.ID)
			if err != nil {
				return err
			}
			if !want[string(body)] {
				f.t.Errorf("till %s: a document twice, or that it never sold", c.agent)
			}
			delete(want, string(body))
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if len(want) > 0 {
		f.t.Errorf("till %s: %d of %d documents are missing", c.agent, len(want), c.n)
	}
}

// electionTime is enough for the servers to elect new leaders of what a dead one led,
// and for tills to try again after that.
const electionTime = time.Minute

// TestCluster: tills, servers and collectors of a NATS cluster while one after the
// other dies. Nothing is lost, nothing comes twice.
func TestCluster(t *testing.T) {
	f := newFederation(t)
	servers := f.cluster.servers
	var tills, loyal []*shopTill
	for range 6 {
		tills = append(tills, f.till(t, nil))
	}
	for range 2 { // know one server only
		loyal = append(loyal, f.till(t, func(m *uplink.MQTT) { m.Broker = "tls://" + servers[2].mqtt }))
	}
	tills = append(tills, loyal...)
	sell := func(tills []*shopTill, n int) {
		for range n {
			for _, c := range tills {
				c.sell(1)
			}
		}
	}
	drained := func(what string, tills []*shopTill) {
		t.Helper()
		began := time.Now()
		for _, c := range tills {
			within(t, electionTime, what, func() bool { return c.waiting() == 0 })
		}
		t.Logf("%s: everything acknowledged after %v", what, time.Since(began).Round(time.Millisecond))
	}
	for range 4 {
		sell(tills, 5)
		drained("all there", tills)
	}
	for i, m := range f.nodes {
		if m.had.Load() < 4 {
			t.Errorf("collector %d had %d messages: the work is not shared", i, m.had.Load())
		}
	}

	tills[0].queue(large(900 << 10)) // in parts, for either collector

	servers[0].kill()
	sell(tills, 20)
	drained("one server killed", tills)

	f.nodes[0].end()
	sell(tills, 20)
	drained("one collector killed too", tills)

	servers[1].kill()
	sell(tills, 5)
	drained("one server left, tills that were there", loyal)
	late := f.till(t, nil)
	late.sell(5)
	until(t, "a till that comes now to be kept waiting", func() bool { return late.uplink.State().Err != nil })
	if late.waiting() != 5 {
		t.Errorf("%d documents wait at a till that nobody lets in, sold 5", late.waiting())
	}
	servers[1].start()
	tills = append(tills, late)
	drained("two are there again", tills)
	for _, c := range tills {
		f.same(c)
	}
}

// TestClusterRights: what an agent may do at a NATS cluster goes by its certificate, and
// ends with it.
func TestClusterRights(t *testing.T) {
	f := newFederation(t)
	servers, p := f.cluster.servers, f.place()
	victim, victimCert := enrolled(t, f.registry)
	agent, cert := enrolled(t, f.registry)
	_, otherRegistry := authority(t)
	foreign, foreignCert := enrolled(t, otherRegistry)
	collector, err := f.ca.ClientConfig(t.TempDir(), enrol.CollectorName, time.Now).GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   string
		cert *tls.Certificate
	}{
		"another's name":           {victim, &cert},
		"no certificate":           {agent, nil},
		"another authority's":      {foreign, &foreignCert},
		"a collector as a till":    {enrol.CollectorName, collector},
		"a collector named a till": {agent, collector},
	} {
		if _, err := p.dialAt(servers[0].mqtt, c.id, c.cert); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	f.outsiders(cert, collector)

	heard, err := p.dialAt(servers[0].mqtt, victim, &victimCert)
	if err != nil {
		t.Fatal(err)
	}
	_, messages := heard.subscribe(t, wire.DownTopic(victim, "+"))
	spy, err := p.dialAt(servers[1].mqtt, agent, &cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{wire.DownTopic(victim, "+"), wire.DownTopic("+", "+"), wire.UpTopic("+", "+"), partsOf(wire.UpTopic("+", "+")), "#", "$SYS/#", "$MQTT/#"} {
		if granted, _ := spy.subscribe(t, topic); granted != 128 {
			t.Errorf("an agent may hear %s", topic)
		}
	}
	spy.publish(t, wire.DownTopic(victim, wire.DownCommand), []byte("forged"))
	spy.publish(t, partsOf(wire.UpTopic(victim, wire.StreamDocuments)), []byte("forged"))
	_, itsOwn := spy.subscribe(t, wire.DownTopic(agent, "+"))
	for to, messages := range map[string]chan mqtt.Message{victim: messages, agent: itsOwn} {
		if err := f.nodes[0].Send(to, wire.DownCommand, []byte(to)); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-messages:
			if string(m.Payload()) != to {
				t.Errorf("%s heard %q", to, m.Payload())
			}
		case <-time.After(patience):
			t.Error("nothing heard of what is one's own")
		}
	}

	f.revoke(p, agent, &cert, spy.lost)
	if !heard.IsConnected() {
		t.Error("another agent was disconnected")
	}
}

// outsiders tries to get in with a till's certificate where collectors do, and with
// what is none of a server's among the servers.
func (f *federation) outsiders(cert tls.Certificate, collector *tls.Certificate) {
	t := f.t
	t.Helper()
	for name, option := range map[string]nats.Option{"an agent": nats.Name("x"), "an agent with a name": nats.UserInfo(enrol.CollectorName, "x")} {
		conn, err := nats.Connect("tls://"+f.cluster.servers[0].client, option, nats.Secure(&tls.Config{RootCAs: f.ca.Pool(), Certificates: []tls.Certificate{cert}}))
		if err == nil {
			conn.Close()
			t.Errorf("%s got in where collectors do", name)
		}
	}

	server := filepath.Join(f.cluster.home, enrol.ServerFile)
	own, err := tls.LoadX509KeyPair(server, server)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cert tls.Certificate
		in   bool
	}{{"an agent", cert, false}, {"a collector", *collector, false}, {"a server", own, true}} {
		if in := f.joins(c.cert); in != c.in {
			t.Errorf("%s is let in among the servers: %v", c.name, in)
		}
	}
}

// revoke takes an agent's identity away: its connection ends, and no server lets it in.
func (f *federation) revoke(p *place, agent string, cert *tls.Certificate, lost <-chan struct{}) {
	t := f.t
	t.Helper()
	if err := f.registry.Revoke(t.Context(), agent, "ana"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	select {
	case <-lost:
		t.Logf("disconnected %v after it was revoked", time.Since(began).Round(time.Millisecond))
	case <-time.After(patience):
		t.Error("a revoked agent stays connected")
	}
	for _, n := range f.cluster.servers {
		if _, err := p.dialAt(n.mqtt, agent, cert); err == nil {
			t.Errorf("a revoked agent was let in at %s", n.mqtt)
		}
	}
}

// joins tries to be a server of the cluster.
func (f *federation) joins(cert tls.Certificate) bool {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.cluster.routes[0], &tls.Config{RootCAs: f.ca.Pool(), Certificates: []tls.Certificate{cert}})
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "CONNECT {\"name\":\"nats-4\",\"cluster\":\"zelo\",\"tls_required\":true}\r\n"+
		"INFO {\"server_id\":\"NX\",\"server_name\":\"nats-4\",\"cluster\":\"zelo\",\"proto\":1,\"headers\":true,\"max_payload\":270000}\r\nPING\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "PONG"):
			return true
		case strings.HasPrefix(line, "-ERR"):
			return false
		}
	}
	return false
}
