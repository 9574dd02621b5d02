package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// maxHeirs is how many agents a cloned one may become. Each of them has shown the key
// that all of them held; the bound is for one whose disk is copied again and again.
const maxHeirs = 8

// Terms name what agents are told beside their certificate: the authorities
// (CA.Generation) and where to connect. An agent that holds other ones shall renew.
func (r *Registry) Terms(o HandlerOptions) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{o.Broker, o.Fallback, o.Name, o.Enrolment}, "\n")))
	return r.ca.Generation() + "." + hex.EncodeToString(sum[:4])
}

// RenewAt is where an agent that holds such terms shall renew; "" is nowhere.
func (r *Registry) RenewAt(o HandlerOptions, terms string) string {
	if terms == r.Terms(o) {
		return ""
	}
	return o.Enrolment
}

// Renew issues an agent that shows its certificate a new one, for the key of a PEM
// certificate request. The certificate may have expired; TLS has checked that who
// shows it holds its key, and nothing else. The new one names the establishment that
// the store knows of, or else that of the old one.
//
// An agent that was revoked as cloned becomes a new one, of the same reseller and
// establishment: one for each key, so that each of the computers that held the old
// identity gets its own, also when it has to ask twice. Renew fails with ErrRevoked,
// ErrManyClones, ErrNotAgent or ErrBadRequest.
func (r *Registry) Renew(ctx context.Context, shown *x509.Certificate, csr []byte, host string) (id Identity, err error) {
	if err := r.check(shown); err != nil {
		return id, err
	}
	public, err := requestedKey(csr)
	if err != nil {
		return id, err
	}
	err = r.store.Update(ctx, func(w *store.Writer) error {
		agent, act := shown.Subject.CommonName, "identidade renovada"
		switch ended, err := w.Revocation(agent); {
		case errors.Is(err, store.ErrNotFound):
			if err := w.AddAgent(agent, host, r.now()); err != nil {
				return err
			}
		case err != nil:
			return err
		case ended.Reason != store.Cloned:
			return ErrRevoked
		default:
			if agent, err = r.heir(w, agent, public, host); err != nil {
				return err
			}
			act = "identidade nova no lugar da clonada " + shown.Subject.CommonName
		}
		known, err := w.Agent(agent)
		if err != nil {
			return err
		}
		cnpj := known.CNPJ
		if cnpj == "" {
			cnpj = wire.Establishment(shown.Subject)
		}
		var leaf *x509.Certificate
		if id, leaf, err = r.identity(agent, cnpj, public, r.now()); err != nil {
			return err
		}
		return errors.Join(
			w.AddCertificate(store.Certificate{Serial: serialText(leaf), Agent: agent, IssuedAt: r.now(), ExpiresAt: leaf.NotAfter}),
			w.AddAudit(store.Audit{At: r.now(), Who: "agente " + agent, Act: act, Object: "agente " + agent, Detail: host}),
			w.Mark(alarm.Subject{Kind: alarm.OfAgent, ID: agent}))
	})
	if err != nil {
		return Identity{}, fmt.Errorf("cannot renew the identity of agent %s: %w", shown.Subject.CommonName, err)
	}
	return id, nil
}

// check accepts the certificate of an agent that was issued here, also one that has
// expired.
func (r *Registry) check(c *x509.Certificate) error {
	now := r.now()
	if now.After(c.NotAfter) {
		now = c.NotAfter
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: r.ca.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil && !wire.ValidAgent(c.Subject.CommonName) {
		err = errors.New("it names no agent")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAgent, err)
	}
	return nil
}

// heir is the agent that a cloned one becomes for a key.
func (r *Registry) heir(w *store.Writer, agent string, public *ecdsa.PublicKey, host string) (string, error) {
	key, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	heir, n, err := w.Heir(agent, key)
	if err != nil || heir != "" {
		return heir, err
	}
	if n >= maxHeirs {
		return "", ErrManyClones
	}
	heir = newAgentID()
	return heir, w.AddHeir(agent, heir, key, host, r.now())
}
