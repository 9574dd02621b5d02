// Package broker is where agents connect: an embedded NATS server with its MQTT
// listener, also over WebSocket, mutual TLS, and permissions that let an agent
// touch its own topics only; or, as External, any MQTT broker elsewhere. What
// agents publish goes to one callback; messages to one agent go out by Send.
// Nothing is stored here: an acknowledgement comes from ingest alone.
//
// The embedded server's folder holds session records that nobody needs after a restart.
// Every start uses an empty one, and a folder that stops working while the
// server runs makes it start anew.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
)

// Options are what a broker needs.
type Options struct {
	Listen string      // host:port of the MQTT listener; port 0 picks one
	Web    string      // host:port of the listener for MQTT over WebSocket at /mqtt; "" is none
	TLS    *tls.Config // the server's certificate
	CAs    *x509.CertPool
	Folder string // disposable; made when missing
	Links  *Links // with the brokers of other collectors; nil is none
	// Agent says whose certificate it is, or refuses it. TLS has checked its
	// chain against CAs.
	Agent func(context.Context, *x509.Certificate) (string, error)
	// Receive takes one payload that an agent published. It is called by one
	// goroutine and may wait: what then does not fit into memory is dropped, and
	// its agent sends it again.
	Receive func(agent, stream string, payload []byte)
	Refused func() // called for each connection that is refused; nil is not
	Log     *slog.Logger
}

// Broker is a running broker.
type Broker struct {
	o    Options
	once sync.Once
	stop chan struct{}
	done chan struct{}

	turnstile *turnstile
	refused   seldom
	inlet     *inlet
	peers     []*nats.Conn // to other collectors

	mu   sync.Mutex
	life *life // nil while it is being started anew
	mqtt address
	web  address // of port 0 and no host when there is none
}

// address is where a listener listens.
type address struct {
	host string
	port int // 0 picks one
}

func parseAddress(addr string) (p address, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return p, err
	}
	p.host = host
	p.port, err = strconv.Atoi(port)
	return p, err
}

func (p address) String() string { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

// asked is the port as the server wants to be told.
func (p address) asked() int {
	if p.port == 0 {
		return server.RANDOM_PORT
	}
	return p.port
}

// errNotRunning is a moment's state: agents send again.
var errNotRunning = errors.New("the broker is being started anew")

// Start opens the listener. It starts one goroutine that watches the server's
// folder; Close ends everything.
func Start(o Options) (*Broker, error) {
	b := &Broker{o: o, stop: make(chan struct{}), done: make(chan struct{}), turnstile: newTurnstile()}
	b.inlet = &inlet{receive: o.Receive, log: o.Log, dam: newDam(), arrived: b.turnstile.arrived}
	var err error
	b.mqtt, err = parseAddress(o.Listen)
	if err == nil && o.Web != "" {
		b.web, err = parseAddress(o.Web)
	}
	folder := ""
	if err == nil {
		folder, err = b.newFolder()
	}
	if err == nil {
		b.life, err = b.begin(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start the broker on %s: %w", o.Listen, err)
	}
	b.mqtt.port, b.web.port = b.life.port, b.life.webPort
	go b.watch()
	if o.Links != nil {
		if b.peers, err = o.Links.dial(o.Log); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// Addr is host:port of the MQTT listener.
func (b *Broker) Addr() string { return b.mqtt.String() }

// WebAddr is host:port of the WebSocket listener, "" when there is none.
func (b *Broker) WebAddr() string {
	if b.o.Web == "" {
		return ""
	}
	return b.web.String()
}

// Send publishes a payload to one agent, if it is connected; a command also to one
// that is connected to a linked collector. A nil error does not say that it arrived.
func (b *Broker) Send(agent, kind string, payload []byte) error {
	b.mu.Lock()
	l := b.life
	b.mu.Unlock()
	err := errNotRunning
	to := subject(wire.DownTopic(agent, kind))
	if l != nil {
		err = l.conn.Publish(to, payload)
	}
	if kind == wire.DownCommand { // the others answer an agent that is connected here
		err = errors.Join(err, b.toPeers(to, payload))
	}
	if err != nil {
		return fmt.Errorf("cannot send %s to agent %s: %w", kind, agent, err)
	}
	return nil
}

// Up tells whether agents can connect.
func (b *Broker) Up() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.life != nil
}

// Connected is how many agents are connected.
func (b *Broker) Connected() (n int) {
	b.mu.Lock()
	l := b.life
	b.mu.Unlock()
	if l == nil {
		return 0
	}
	open, err := l.server.Connz(&server.ConnzOptions{Limit: 1 << 20})
	if err != nil {
		b.o.Log.Error("cannot count the agents that are connected", "err", err)
		return 0
	}
	for _, c := range open.Conns {
		if c.MQTTClient != "" { // the others are collectors
			n++
		}
	}
	return n
}

// Disconnect closes the connections of an agent, for one whose certificate was
// revoked.
func (b *Broker) Disconnect(agent string) error {
	b.mu.Lock()
	l := b.life
	b.mu.Unlock()
	if l == nil {
		return nil
	}
	open, err := l.server.Connz(&server.ConnzOptions{MQTTClient: agent, Limit: 1 << 20})
	if err != nil {
		return fmt.Errorf("cannot disconnect agent %s: %w", agent, err)
	}
	for _, c := range open.Conns {
		if err := l.server.DisconnectClientByID(c.Cid); err != nil {
			b.o.Log.Debug("connection ended by itself", "agent", agent, "err", err)
		}
	}
	return nil
}

// Close ends all connections and returns within 5 seconds.
func (b *Broker) Close() {
	b.once.Do(func() { close(b.stop) })
	<-b.done
	for _, peer := range b.peers {
		peer.Close()
	}
	b.mu.Lock()
	l := b.life
	b.life = nil
	b.mu.Unlock()
	if l != nil {
		l.end()
	}
}

// watch looks after the server's folder and starts the server anew when it is
// gone, damaged or full.
func (b *Broker) watch() {
	defer close(b.done)
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-t.C:
			b.check()
		}
	}
}

// check proves that new sessions can be stored, and otherwise starts the server anew
// in another folder. It keeps a server whose folder failed as long as no other can be
// had: agents already connected are still served.
func (b *Broker) check() {
	b.mu.Lock()
	old := b.life
	b.mu.Unlock()
	if old != nil {
		err := old.probe()
		if err == nil {
			return
		}
		b.o.Log.Error("the broker's folder does not work, agents cannot connect", "folder", old.folder, "err", err)
	}
	folder, err := b.newFolder()
	if err != nil {
		b.o.Log.Error("no new folder for the broker: free some space or mend the disk", "folder", b.o.Folder, "err", err)
		return
	}
	if old != nil {
		b.mu.Lock()
		b.life = nil
		b.mu.Unlock()
		old.end()
	}
	next, err := b.begin(folder)
	if err != nil {
		b.o.Log.Error("the broker could not be started anew, trying again", "after", watchEvery, "err", err)
		return
	}
	b.mu.Lock()
	b.life = next
	b.mu.Unlock()
	b.o.Log.Warn("the broker was started anew, agents reconnect", "folder", next.folder)
}
