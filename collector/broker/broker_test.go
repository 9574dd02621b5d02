package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/store"
)

// patience bounds every wait of these tests.
const patience = 15 * time.Second

// place is a collector's folder with its authority and store.
type place struct {
	t        *testing.T
	folder   string
	ca       *enrol.CA
	registry *enrol.Registry
	got      chan message
	options  Options
}

type message struct {
	agent, stream string
	payload       []byte
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, folder: t.TempDir(), got: make(chan message, 1000)}
	p.ca, p.registry = authority(t)
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	p.options = Options{
		Listen: "127.0.0.1:0", TLS: p.ca.ServerConfig([]string{"127.0.0.1"}, time.Now), CAs: p.ca.Pool(),
		Folder: filepath.Join(p.folder, "broker"), Agent: p.registry.Agent, Log: log,
		Receive: func(agent, stream string, payload []byte) { p.got <- message{agent, stream, payload} },
	}
	return p
}

func authority(t *testing.T) (*enrol.CA, *enrol.Registry) {
	t.Helper()
	folder := t.TempDir()
	ca, err := enrol.CreateCA(folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(context.Background(), filepath.Join(folder, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return ca, enrol.New(ca, s, time.Now)
}

func (p *place) start() *Broker {
	p.t.Helper()
	b, err := Start(p.options)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(b.Close)
	return b
}

// enrolled makes an agent with its certificate.
func enrolled(t *testing.T, r *enrol.Registry) (agent string, cert tls.Certificate) {
	t.Helper()
	token, err := r.NewToken(context.Background(), "test", 1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(token, ".")
	id, err := r.Issue(context.Background(), secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), "caixa")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(id.Certificate)
	return id.Agent, tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
}

// till is a connected agent.
type till struct {
	mqtt.Client
	agent string
	lost  chan struct{}
}

// dial connects with a certificate; none when cert is nil.
func (p *place) dial(b *Broker, clientID string, cert *tls.Certificate) (*till, error) {
	return p.dialAt(b.Addr(), clientID, cert)
}

func (p *place) dialAt(addr, clientID string, cert *tls.Certificate) (*till, error) {
	config := &tls.Config{RootCAs: p.ca.Pool()}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	c := &till{agent: clientID, lost: make(chan struct{})}
	lost := sync.OnceFunc(func() { close(c.lost) })
	o := mqtt.NewClientOptions().AddBroker("tls://" + addr).SetClientID(clientID).SetTLSConfig(config).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectTimeout(patience).SetWriteTimeout(patience).
		SetConnectionLostHandler(func(mqtt.Client, error) { lost() })
	c.Client = mqtt.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		return nil, fmt.Errorf("no answer within %v", patience)
	}
	if err := token.Error(); err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { c.Disconnect(0) })
	return c, nil
}

func (p *place) connect(b *Broker, agent string, cert tls.Certificate) *till {
	p.t.Helper()
	c, err := p.dial(b, agent, &cert)
	if err != nil {
		p.t.Fatalf("agent %s cannot connect: %v", agent, err)
	}
	return c
}

func (c *till) publish(t *testing.T, topic string, payload []byte) {
	t.Helper()
	token := c.Publish(topic, 0, false, payload)
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("cannot publish: %v", token.Error())
	}
}

// subscribe returns the granted QoS, 128 when refused.
func (c *till) subscribe(t *testing.T, topic string) (granted byte, messages chan mqtt.Message) {
	t.Helper()
	messages = make(chan mqtt.Message, 10)
	token := c.Subscribe(topic, 0, func(_ mqtt.Client, m mqtt.Message) { messages <- m }).(*mqtt.SubscribeToken)
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer to a subscription")
	}
	return token.Result()[topic], messages
}

func (p *place) next() message {
	p.t.Helper()
	select {
	case m := <-p.got:
		return m
	case <-time.After(patience):
		p.t.Fatal("nothing was received")
		return message{}
	}
}

func TestOwnTopics(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	c := p.connect(b, agent, cert)
	big := make([]byte, wire.MaxPacket)
	rand.Read(big)
	for stream, payload := range map[string][]byte{wire.StreamEvents: []byte("e"), wire.StreamDocuments: big, wire.StreamStatus: {}, wire.StreamBeat: {0, 255}} {
		c.publish(t, wire.UpTopic(agent, stream), payload)
		if m := p.next(); m.agent != agent || m.stream != stream || !bytes.Equal(m.payload, payload) {
			t.Errorf("got %s %s %d bytes", m.agent, m.stream, len(m.payload))
		}
	}
	granted, messages := c.subscribe(t, wire.DownTopic(agent, "+"))
	if granted != 0 {
		t.Fatalf("granted %d", granted)
	}
	if err := b.Send(agent, wire.DownAck, []byte("received")); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-messages:
		if m.Topic() != wire.DownTopic(agent, wire.DownAck) || string(m.Payload()) != "received" {
			t.Errorf("%s %q", m.Topic(), m.Payload())
		}
	case <-time.After(patience):
		t.Fatal("the message did not come")
	}
	if err := b.Send("nobody00", wire.DownAck, nil); err != nil {
		t.Errorf("to an agent that is not connected: %v", err)
	}
}

// TestForeignTopics: what an agent publishes elsewhere is not delivered, neither
// to the collector under another name nor to another agent.
func TestForeignTopics(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	victim, victimCert := enrolled(t, p.registry)
	v := p.connect(b, victim, victimCert)
	_, messages := v.subscribe(t, wire.DownTopic(victim, "+"))
	agent, cert := enrolled(t, p.registry)
	for name, topic := range map[string]string{
		"another agent's stream": wire.UpTopic(victim, wire.StreamDocuments),
		"another agent's acks":   wire.DownTopic(victim, wire.DownAck),
		"its own down topic":     wire.DownTopic(agent, wire.DownAck),
		"an unknown stream":      wire.UpTopic(agent, "unknown"),
		"a deeper topic":         wire.UpTopic(agent, wire.StreamDocuments) + "/x",
		"no topic of ours":       "something/else",
		"the server's own":       "$JS/API/STREAM/DELETE/probe",
		"the gateway's own":      "$MQTT/sess/x",
	} {
		t.Run(name, func(t *testing.T) {
			c := p.connect(b, agent, cert)
			c.publish(t, topic, []byte("forged"))
			c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("honest"))
			if m := p.next(); string(m.payload) != "honest" {
				t.Errorf("delivered as %s/%s", m.agent, m.stream)
			}
			if err := b.Send(victim, wire.DownAck, []byte("genuine")); err != nil {
				t.Fatal(err)
			}
			if m := <-messages; string(m.Payload()) != "genuine" {
				t.Errorf("the victim got %q on %s", m.Payload(), m.Topic())
			}
			c.Disconnect(0)
		})
	}
}

func TestForeignSubscriptions(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	victim, _ := enrolled(t, p.registry)
	agent, cert := enrolled(t, p.registry)
	c := p.connect(b, agent, cert)
	for _, topic := range []string{wire.DownTopic(victim, "+"), wire.DownTopic(victim, wire.DownAck), wire.UpTopic(victim, "+"),
		wire.UpTopic(agent, "+"), "zelo/v1/+/down/ack", "zelo/#", "#", "$SYS/#", "$MQTT/#", "$JS/#", "_INBOX/#"} {
		if granted, _ := c.subscribe(t, topic); granted != 128 {
			t.Errorf("%s was granted: %d", topic, granted)
		}
	}
}

// TestRefused: nobody connects without a standing certificate of an agent.
func TestRefused(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	_, others := authority(t)
	_, foreign := enrolled(t, others)
	revoked, revokedCert := enrolled(t, p.registry)
	live := p.connect(b, revoked, revokedCert)
	if err := p.registry.Revoke(context.Background(), revoked, "ana"); err != nil {
		t.Fatal(err)
	}
	server, err := p.options.TLS.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   string
		cert *tls.Certificate
	}{
		"no certificate":                {agent, nil},
		"certificate of another CA":     {agent, &foreign},
		"revoked certificate":           {revoked, &revokedCert},
		"the collector's certificate":   {agent, server},
		"another agent's client id":     {revoked, &cert},
		"a client id that only ends so": {"x - " + agent, &cert},
		"no client id":                  {"", &cert},
	} {
		if _, err := p.dial(b, c.id, c.cert); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
	if err := b.Disconnect(revoked); err != nil {
		t.Fatal(err)
	}
	select {
	case <-live.lost:
	case <-time.After(patience):
		t.Error("a revoked agent is still connected")
	}
	p.connect(b, agent, cert)
}

// TestWebSocketRefused: the other listener is no side door.
func TestWebSocketRefused(t *testing.T) {
	p := newPlace(t)
	p.options.Web = "127.0.0.1:0"
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	_, others := authority(t)
	_, foreign := enrolled(t, others)
	dial := func(id string, certs ...tls.Certificate) error {
		token := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("wss://" + b.WebAddr() + "/mqtt").SetClientID(id).SetProtocolVersion(4).
			SetTLSConfig(&tls.Config{RootCAs: p.ca.Pool(), Certificates: certs}).SetAutoReconnect(false).SetConnectTimeout(patience)).Connect()
		if !token.WaitTimeout(patience) {
			t.Fatal("no answer")
		}
		return token.Error()
	}
	if err := dial(agent, cert); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"no certificate": dial(agent), "certificate of another CA": dial(agent, foreign), "another client id": dial("x", cert)} {
		if err == nil {
			t.Errorf("%s: connected", name)
		}
	}
	// The server's own protocol, which is no business of agents.
	conn, err := nats.Connect("wss://"+b.WebAddr(), nats.Name(agent), nats.NoReconnect(), nats.Timeout(patience),
		nats.Secure(&tls.Config{RootCAs: p.ca.Pool(), Certificates: []tls.Certificate{cert}}))
	if err == nil {
		conn.Close()
		t.Error("connected by another protocol")
	}
}

// TestBadPackets: what is too large or no MQTT costs the sender its connection
// and nobody else.
func TestBadPackets(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	other, otherCert := enrolled(t, p.registry)
	healthy := p.connect(b, other, otherCert)

	c := p.connect(b, agent, cert)
	c.Publish(wire.UpTopic(agent, wire.StreamDocuments), 0, false, make([]byte, maxPacket))
	select {
	case <-c.lost:
	case <-time.After(patience):
		t.Error("an oversized packet was taken")
	}
	for name, raw := range map[string][]byte{
		"not MQTT":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"a packet of 256 MB":  {0x10, 0xFF, 0xFF, 0xFF, 0x7F},
		"an endless length":   {0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		"publish before all":  {0x30, 0x03, 0x00, 0x01, 'x'},
		"empty subscription":  {0x82, 0x02, 0x00, 0x01},
		"connect, then short": {0x10, 0x02, 0x00, 0x04},
	} {
		conn, err := tls.Dial("tcp", b.Addr(), &tls.Config{RootCAs: p.ca.Pool(), Certificates: []tls.Certificate{cert}})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(raw)
		if _, err := io.Copy(io.Discard, conn); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%s: the connection stays", name)
			}
		}
		conn.Close()
	}
	select {
	case m := <-p.got:
		t.Errorf("delivered %s/%s %d bytes", m.agent, m.stream, len(m.payload))
	default:
	}
	healthy.publish(t, wire.UpTopic(other, wire.StreamBeat), []byte("still here"))
	if m := p.next(); m.agent != other {
		t.Errorf("%+v", m)
	}
}

// TestRestart: whatever the folder of an earlier life looks like, the broker
// starts.
func TestRestart(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, folder string){
		"as it was left": func(*testing.T, string) {},
		"deleted":        func(t *testing.T, folder string) { os.RemoveAll(folder) },
		"every file damaged": func(t *testing.T, folder string) {
			filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().IsRegular() {
					return os.WriteFile(path, []byte("damaged"), 0o600)
				}
				return err
			})
		},
		"every file cut off": func(t *testing.T, folder string) {
			filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().IsRegular() {
					return os.Truncate(path, info.Size()/2)
				}
				return err
			})
		},
		"a file in its place": func(t *testing.T, folder string) {
			os.RemoveAll(folder)
			if err := os.WriteFile(folder, []byte("not a folder"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			agent, cert := enrolled(t, p.registry)
			b := p.start()
			p.connect(b, agent, cert)
			p.options.Listen = b.Addr()
			b.Close()
			damage(t, p.options.Folder)
			b, err := Start(p.options)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if b.Addr() != p.options.Listen {
				t.Errorf("listens on %s, not %s", b.Addr(), p.options.Listen)
			}
			c := p.connect(b, agent, cert)
			c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("back"))
			p.next()
		})
	}
	t.Run("port taken", func(t *testing.T) {
		p := newPlace(t)
		p.options.Listen = p.start().Addr()
		if b, err := Start(p.options); err == nil {
			b.Close()
			t.Error("two brokers on one port")
		}
	})
	t.Run("no port", func(t *testing.T) {
		p := newPlace(t)
		p.options.Listen = "localhost"
		if b, err := Start(p.options); err == nil {
			b.Close()
			t.Error("started")
		}
	})
}

// TestFolderFailsWhileRunning: new agents can connect again after the next look
// at the folder.
func TestFolderFailsWhileRunning(t *testing.T) {
	for name, damage := range map[string]func(b *Broker) error{
		"deleted": func(b *Broker) error { return os.RemoveAll(b.o.Folder) },
		"full": func(b *Broker) error {
			_, err := b.life.stream.Publish("zelo.fill", make([]byte, wire.MaxPacket-1000))
			for err == nil {
				_, err = b.life.stream.Publish("zelo.fill", make([]byte, wire.MaxPacket-1000))
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			b := p.start()
			b.check()
			first := b.life
			if first == nil {
				t.Fatal("a healthy broker was started anew")
			}
			if name == "full" {
				if err := fillable(b); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(b); err != nil {
				t.Fatal(err)
			}
			b.check()
			if b.life == first || b.life == nil {
				t.Fatal("the broker was not started anew")
			}
			agent, cert := enrolled(t, p.registry)
			c := p.connect(b, agent, cert)
			c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("back"))
			if m := p.next(); m.agent != agent {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestSlowReceiver: what does not fit is dropped, agents stay connected, and
// Close does not wait for the receiver.
func TestSlowReceiver(t *testing.T) {
	p := newPlace(t)
	release, received := make(chan bool), make(chan int, 10_000)
	p.options.Receive = func(_, _ string, payload []byte) {
		<-release
		received <- len(payload)
	}
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	c := p.connect(b, agent, cert)
	const sent = 5 * maxWaiting / wire.MaxPacket / 4
	payload := make([]byte, wire.MaxPacket)
	for range sent {
		c.publish(t, wire.UpTopic(agent, wire.StreamDocuments), payload)
	}
	_, messages := c.subscribe(t, wire.DownTopic(agent, "+")) // answered after all was read
	close(release)
	if err := b.Send(agent, wire.DownAck, []byte("x")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-messages:
	case <-c.lost:
		t.Fatal("the agent lost its connection")
	case <-time.After(patience):
		t.Fatal("no answer")
	}
	c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("last"))
	n := 0
	for size := range received {
		if size == len("last") {
			break
		}
		n++
	}
	if n == 0 || n >= sent {
		t.Errorf("%d of %d were received, some must be dropped", n, sent)
	}
}

func TestCloseIsQuick(t *testing.T) {
	p := newPlace(t)
	stuck, entered := make(chan bool), make(chan bool, 1)
	defer close(stuck)
	p.options.Receive = func(_, _ string, _ []byte) { entered <- true; <-stuck }
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	c := p.connect(b, agent, cert)
	c.publish(t, wire.UpTopic(agent, wire.StreamBeat), nil)
	<-entered
	begin := time.Now()
	b.Close()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	select {
	case <-c.lost:
	case <-time.After(patience):
		t.Error("a client is still connected")
	}
	if err := b.Send(agent, wire.DownAck, nil); err == nil {
		t.Error("sent by a closed broker")
	}
}

// fillable adds a stream that takes everything, so that a test can use the room
// up.
func fillable(b *Broker) error {
	_, err := b.life.stream.AddStream(&nats.StreamConfig{Name: "fill", Subjects: []string{"zelo.fill"}})
	return err
}
