package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
)

// ClusterOptions are what a NATS cluster elsewhere needs. Its servers have MQTT
// listeners, where agents connect, and the rights of KeepCluster.
type ClusterOptions struct {
	Servers []string       // host:port of some of them, for NATS and not MQTT
	TLS     *tls.Config    // with the collector's own client certificate
	CAs     *x509.CertPool // of agents' certificates
	Keys    Keys
	Codec   *wire.Codec                                              // knows parts
	Agent   func(context.Context, *x509.Certificate) (string, error) // as in Options; its chain was checked
	Receive func(agent, stream string, payload []byte)               // as in Options, but called by two goroutines
	Refused func()                                                   // as in Options
	Log     *slog.Logger
}

// Cluster is the collector's connection to a NATS cluster elsewhere, of which several
// collectors share the work. Any of them tells the cluster which agent may connect, and
// what for.
type Cluster struct {
	o      ClusterOptions
	inlet  *inlet
	seldom seldom // what is told once an hour
	conn   *nats.Conn
	inbox  string // where servers tell which connections an agent has
}

// What a server of the cluster is asked by its own protocol.
const (
	askAuthorization = "$SYS.REQ.USER.AUTH"
	askConnections   = "$SYS.REQ.ACCOUNT.PING.CONNZ"
	askToDisconnect  = "$SYS.REQ.SERVER.%s.KICK"
)

// StartCluster connects, now or when the cluster is there, and keeps connecting until
// Close. The client library has goroutines of its own, which end with the connection.
func StartCluster(o ClusterOptions) (*Cluster, error) {
	c := &Cluster{o: o, inbox: nats.NewInbox()}
	c.inlet = &inlet{receive: o.Receive, log: o.Log, dam: newDam(), part: o.Codec.Part, pass: c.pass}
	options := append(lasting(o.TLS),
		nats.Nkey(o.Keys.user.name, o.Keys.user.Sign), nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(c.inlet.tellDropped),
		nats.ConnectHandler(c.tellConnected), nats.ReconnectHandler(c.tellConnected),
		nats.DisconnectErrHandler(c.tellLost), nats.ReconnectErrHandler(c.tellFailed))
	var err error
	c.conn, err = nats.Connect("tls://"+strings.Join(o.Servers, ",tls://"), options...)
	if err == nil {
		err = c.subscribe()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot use the NATS cluster at %s: %w", strings.Join(o.Servers, ", "), err)
	}
	return c, nil
}

func (c *Cluster) subscribe() error {
	if err := c.inlet.subscribe(c.conn); err != nil {
		return err
	}
	parts, err := c.conn.Subscribe(subject(partsOf(wire.UpTopic("*", "*"))), c.inlet.fromNATS)
	if err != nil {
		return err
	}
	if err := parts.SetPendingLimits(maxMessages, maxWaiting); err != nil {
		return err
	}
	if _, err := c.conn.Subscribe(c.inbox, c.disconnect); err != nil {
		return err
	}
	_, err = c.conn.QueueSubscribe(askAuthorization, collectors, c.authorize)
	return err
}

// lasting are the options of a connection that is made again for as long as it is not
// closed. What is sent while there is none fails at once.
func lasting(config *tls.Config) []nats.Option {
	return []nats.Option{nats.Secure(config), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.ReconnectJitter(time.Second, time.Second), nats.ReconnectBufSize(-1), nats.Timeout(startTime),
		nats.PingInterval(startTime), nats.MaxPingsOutstanding(2)}
}

func (c *Cluster) tellConnected(conn *nats.Conn) {
	c.o.Log.Info("connected to the NATS cluster", "server", conn.ConnectedAddr())
}

func (c *Cluster) tellLost(_ *nats.Conn, err error) {
	if err != nil {
		c.o.Log.Error("the connection to the NATS cluster was lost, agents' messages wait with them", "err", err)
	}
}

// tellFailed is called for every attempt that fails.
func (c *Cluster) tellFailed(_ *nats.Conn, err error) {
	if c.seldom.tell("cluster", time.Now()) {
		c.o.Log.Error("no connection to the NATS cluster, trying again", "servers", c.o.Servers, "err", err)
	}
}

// Close ends the connection.
func (c *Cluster) Close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

// Up tells whether the cluster is connected.
func (c *Cluster) Up() bool { return c.conn.IsConnected() }

// Send publishes a payload to one agent, at whichever server it is. A nil error does
// not say that it arrived.
func (c *Cluster) Send(agent, kind string, payload []byte) error {
	if err := c.conn.Publish(subject(wire.DownTopic(agent, kind)), payload); err != nil {
		return fmt.Errorf("cannot send %s to agent %s: %w", kind, agent, err)
	}
	return nil
}

// pass gives a part to all collectors, this one among them. One that is lost the
// agent sends again.
func (c *Cluster) pass(topic string, part []byte) {
	if err := c.conn.Publish(subject(topic), part); err != nil {
		c.o.Log.Debug("a part of a message was not passed on", "err", err)
	}
}

// Disconnect asks all servers to close the connections of an agent, for one whose
// certificate was revoked.
func (c *Cluster) Disconnect(agent string) error {
	ask := fmt.Appendf(nil, `{"mqtt_client":%q}`, agent)
	if err := c.conn.PublishRequest(askConnections, c.inbox, ask); err != nil {
		return fmt.Errorf("cannot disconnect agent %s: %w", agent, err)
	}
	return nil
}

// disconnect closes the connections that a server tells of. Its answer to that has no
// connections.
func (c *Cluster) disconnect(m *nats.Msg) {
	var told struct {
		Server struct{ ID string }
		Data   struct{ Connections []struct{ CID uint64 } }
	}
	err := json.Unmarshal(m.Data, &told)
	for _, open := range told.Data.Connections {
		ask := fmt.Appendf(nil, `{"cid":%d}`, open.CID)
		err = errors.Join(err, c.conn.PublishRequest(fmt.Sprintf(askToDisconnect, told.Server.ID), c.inbox, ask))
	}
	if err != nil {
		c.o.Log.Warn("a revoked agent could not be disconnected, trying again", "err", err)
	}
}
