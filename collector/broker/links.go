package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
	"zelo/collector/enrol"
)

// Links join the brokers of several collectors that share a database: what is sent to
// an agent reaches it at whichever of them it is connected. What an agent publishes
// stays with the collector it is connected to, which stores and acknowledges it, so
// no broker needs another one to work.
//
// A cluster of NATS's own is not used: it keeps MQTT sessions, which we have no use
// for, by majority, and lets no agent in at a server that is left alone.
type Links struct {
	Listen string      // host:port where the other collectors connect
	Peers  []string    // host:port of each of them; one that is this one does no harm
	TLS    *tls.Config // towards them, with this collector's client certificate
}

// linkTime is how long a command may wait for a link that takes nothing; those behind it
// do not, until there is a new link.
const linkTime = time.Second

// linked is the subject of what collectors send each other's agents.
var linked = subject(wire.DownTopic("*", wire.DownCommand))

// options makes the server listen for other collectors.
func (l *Links) options(o *server.Options, serving *tls.Config, cas *x509.CertPool) error {
	at, err := parseAddress(l.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen for other collectors on %s: %w", l.Listen, err)
	}
	o.DontListen, o.Host, o.Port = false, at.host, at.asked()
	o.TLSConfig = serving.Clone()
	o.TLSConfig.ClientAuth, o.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, cas
	o.TLSTimeout, o.AuthTimeout = 10, 10
	return nil
}

// admits reports whether a connection is another collector's, and lets it send
// commands and nothing else.
func (l *Links) admits(c server.ClientAuthentication, certificate *x509.Certificate) bool {
	name := certificate.Subject.CommonName
	if l == nil || speaksMQTT(c) || !strings.HasPrefix(name, enrol.CollectorName) || wire.ValidAgent(name) {
		return false
	}
	nothing := &server.SubjectPermission{Deny: []string{">"}}
	c.RegisterUser(&server.User{Username: name, Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{linked}}, Subscribe: nothing}})
	return true
}

// dial connects to the peers, now or when they are there, for as long as the broker
// runs. The client library keeps each connection by goroutines of its own, which end
// with it.
func (l *Links) dial(log *slog.Logger) (peers []*nats.Conn, err error) {
	for _, at := range l.Peers {
		conn, err := nats.Connect("tls://"+at, append(lasting(l.TLS), nats.FlusherTimeout(linkTime),
			nats.ConnectHandler(func(*nats.Conn) { log.Info("linked to another collector", "collector", at) }),
			nats.ReconnectHandler(func(*nats.Conn) { log.Info("linked to another collector again", "collector", at) }),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					log.Warn("no link to another collector, commands for its tills wait", "collector", at, "err", err)
				}
			}))...)
		if err != nil {
			return peers, fmt.Errorf("cannot link to the collector at %s: %w", at, err)
		}
		peers = append(peers, conn)
	}
	return peers, nil
}

// toPeers sends a command at the other collectors; an error says that the link to one of
// them is down.
func (b *Broker) toPeers(to string, payload []byte) (err error) {
	for _, peer := range b.peers {
		err = errors.Join(err, peer.Publish(to, payload))
	}
	return err
}
