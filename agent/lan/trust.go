package lan

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"zelo/agent/wire"
)

// grace is how long after its end a certificate is still good among neighbours: a
// shop without Internet sells on.
const grace = 400 * 24 * time.Hour

// protocol keeps other protocols that use the same certificates apart.
const protocol = "zelo-lan/1"

// errSelf says that an address is this agent's own.
var errSelf = errors.New("this agent itself is at that address")

// trust decides who is a neighbour.
type trust struct {
	agent         string // own id
	establishment string // own; "" when the certificate names none
	certificate   tls.Certificate
	roots         *x509.CertPool
	allowed       []string
	now           func() time.Time
}

func newTrust(o Options) (trust, error) {
	if len(o.Certificate.Certificate) == 0 {
		return trust{}, errors.New("cannot meet neighbours without a certificate: enrol this agent first")
	}
	own, err := x509.ParseCertificate(o.Certificate.Certificate[0])
	if err != nil {
		return trust{}, fmt.Errorf("cannot read this agent's certificate: %w", err)
	}
	if !wire.ValidAgent(own.Subject.CommonName) {
		return trust{}, fmt.Errorf("cannot use a certificate of %q: it is not an agent's", own.Subject.CommonName)
	}
	t := trust{agent: own.Subject.CommonName, establishment: wire.Establishment(own.Subject),
		certificate: o.Certificate, roots: o.Roots, allowed: o.Allowed}
	t.now = func() time.Time {
		now := o.Now()
		if o.Times != nil {
			for _, past := range o.Times() {
				if past.After(now) {
					now = past
				}
			}
		}
		return now
	}
	return t, nil
}

// check accepts a connection with a neighbour's certificate.
func (t *trust) check(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no certificate was shown")
	}
	leaf, others := s.PeerCertificates[0], x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		others.AddCert(c)
	}
	now := t.now()
	if over := now.Sub(leaf.NotAfter); over > grace {
		return fmt.Errorf("the certificate ended %d days ago", over/(24*time.Hour))
	} else if over > 0 {
		now = leaf.NotAfter
	}
	// Agents' certificates are for clients; here both sides are agents.
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: others, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return err
	}
	return t.belongs(leaf)
}

// belongs reports why an agent is not of this establishment.
func (t *trust) belongs(leaf *x509.Certificate) error {
	agent, establishment := leaf.Subject.CommonName, wire.Establishment(leaf.Subject)
	switch {
	case !wire.ValidAgent(agent):
		return fmt.Errorf("the certificate of %q is not an agent's", agent)
	case agent == t.agent:
		return errSelf
	case t.establishment != "" && establishment != "":
		if t.establishment != establishment {
			return fmt.Errorf("agent %s is of another establishment", agent)
		}
	case !slices.Contains(t.allowed, agent):
		return fmt.Errorf("agent %s is not listed, and certificates do not tell the establishment", agent)
	}
	return nil
}

func (t *trust) client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		Certificates: []tls.Certificate{t.certificate},
		// Agents are known by their id and have no host names: check does it all.
		InsecureSkipVerify: true, VerifyConnection: t.check}
}

func (t *trust) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		Certificates: []tls.Certificate{t.certificate}, SessionTicketsDisabled: true,
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: t.check}
}
