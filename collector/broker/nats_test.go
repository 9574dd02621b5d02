package broker

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"zelo/agent/wire"
	"zelo/collector/enrol"
)

// serverVariable makes this program a NATS server: one that a test may kill.
const serverVariable = "ZELO_TEST_NATS"

func TestMain(m *testing.M) {
	if config := os.Getenv(serverVariable); config != "" {
		if err := serveNATS(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveNATS runs a server of NATS until its input ends.
func serveNATS(config string) error {
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	go s.Start()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// natsServer is one of a cluster, in a process of its own.
type natsServer struct {
	t            *testing.T
	config       string
	client, mqtt string // host:port
	diary        *diary
	process      *exec.Cmd
}

func (n *natsServer) start() {
	n.t.Helper()
	n.process = exec.Command(os.Args[0])
	n.process.Env = append(os.Environ(), serverVariable+"="+n.config)
	n.process.Stderr = n.diary
	input, err := n.process.StdinPipe() // it ends with this process
	if err == nil {
		n.diary.turn()
		err = n.process.Start()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	process := n.process
	n.t.Cleanup(func() { input.Close(); process.Process.Kill(); process.Wait() })
}

// kill ends it as a power cut does.
func (n *natsServer) kill() {
	n.process.Process.Kill()
	n.process.Wait()
}

// natsCluster is three servers, set up as docs/coletor-broker.md says.
type natsCluster struct {
	home    string // with the files that are carried to the servers
	keys    Keys
	servers []*natsServer
	routes  []string // host:port, where they reach each other
}

func newNATSCluster(t *testing.T, ca *enrol.CA) *natsCluster {
	t.Helper()
	home := t.TempDir()
	if _, err := ca.KeepServer(home, []string{"127.0.0.1", "localhost"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	keys, made, err := KeepCluster(home)
	if again, twice, err2 := KeepCluster(home); err != nil || err2 != nil || !made || twice || again.user.name != keys.user.name {
		t.Fatalf("the keys are not kept: %v %v", err, err2)
	}
	if err := os.WriteFile(filepath.Join(home, "ca.crt"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &natsCluster{keys: keys, home: home, routes: []string{freeAddress(t), freeAddress(t), freeAddress(t)}}
	byName := func(i int) string { return strings.Replace(c.routes[i], "127.0.0.1", "localhost", 1) }
	for i := range c.routes {
		n := &natsServer{t: t, client: freeAddress(t), mqtt: freeAddress(t), diary: &diary{t: t}}
		text := strings.NewReplacer("server_name: nats-1", fmt.Sprintf("server_name: nats-%d", i+1), "/etc/nats", home,
			"0.0.0.0:4222", n.client, "0.0.0.0:8883", n.mqtt, "0.0.0.0:6222", c.routes[i],
			"nats-1.exemplo.com.br:6222", byName(0), "nats-2.exemplo.com.br:6222", byName(1), "nats-3.exemplo.com.br:6222", byName(2),
			"/var/lib/nats", filepath.Join(home, fmt.Sprint("store-", i+1))).Replace(manual(t, "nats"))
		if strings.Contains(text, "0.0.0.0") || strings.Contains(text, "exemplo") {
			t.Fatalf("the manual has other addresses than this test knows:\n%s", text)
		}
		n.config = filepath.Join(home, fmt.Sprintf("nats-%d.conf", i+1))
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, n)
	}
	return c
}

// mqtt is where agents reach any of the servers.
func (c *natsCluster) mqtt() (all []string) {
	for _, n := range c.servers {
		all = append(all, n.mqtt)
	}
	return all
}

// collector connects to the cluster as a collector does.
func (c *natsCluster) collector(t *testing.T, ca *enrol.CA, registry *enrol.Registry, receive func(agent, stream string, payload []byte)) *Cluster {
	t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	o := ClusterOptions{TLS: ca.ClientConfig(t.TempDir(), enrol.CollectorName, time.Now), CAs: ca.Pool(), Keys: c.keys, Codec: codec,
		Agent: registry.Agent, Receive: receive, Log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	for _, n := range c.servers {
		o.Servers = append(o.Servers, n.client)
	}
	out, err := StartCluster(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

// start starts all servers, and waits until an agent can connect at each.
func (c *natsCluster) start(t *testing.T, p *place, collectors ...*Cluster) {
	t.Helper()
	for _, n := range c.servers {
		n.start()
	}
	for _, outside := range collectors {
		until(t, "a collector at the cluster", outside.Up)
	}
	for _, n := range c.servers {
		agent, cert := enrolled(t, p.registry)
		until(t, "agents to be let in at "+n.config, func() bool {
			till, err := p.dialAt(n.mqtt, agent, &cert)
			if err == nil {
				till.Disconnect(0)
			}
			return err == nil
		})
	}
}

// natsElsewhere is a cluster behind a balancer, with one collector.
func natsElsewhere(s *stand, receive func(string, string, []byte)) {
	c := newNATSCluster(s.t, s.ca)
	s.mqtt = balancer(s.t, c.mqtt())
	var outside *Cluster
	s.start = func() {
		if outside == nil {
			outside = c.collector(s.t, s.ca, s.registry, receive)
			s.use(outside)
		}
		c.start(s.t, &place{t: s.t, ca: s.ca, registry: s.registry}, outside)
	}
	s.stop = func() {
		for _, n := range c.servers {
			n.kill()
		}
	}
}
