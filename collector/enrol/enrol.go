package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Errors a till or a person can do something about. Tokens also fail with the
// store's ErrTokenSpent and ErrTokenExpired.
var (
	ErrTokenUnknown = errors.New("no such token")
	ErrBadRequest   = errors.New("certificate request not understood")
	ErrRevoked      = errors.New("certificate revoked")
	ErrNotAgent     = errors.New("certificate is not an agent's")
	ErrManyClones   = errors.New("the agent was cloned too often")
)

// Registry enrols agents with an authority and a store.
type Registry struct {
	ca    *CA
	store *store.Store
	now   func() time.Time
}

// New makes a registry.
func New(ca *CA, s *store.Store, now func() time.Time) *Registry { return &Registry{ca, s, now} }

// NewToken makes a token that so many computers may use until it expires. It is
// told once; the store keeps a hash of its secret.
func (r *Registry) NewToken(ctx context.Context, label string, allowed int, expires time.Time) (string, error) {
	return r.IssueToken(ctx, store.Token{Reseller: store.DefaultReseller, Label: label, Allowed: allowed, ExpiresAt: expires})
}

// NewShopToken is NewToken for the computers of one establishment, named by its
// CNPJ of 14 characters without punctuation. Their certificates name it, and so
// they lend each other their devices. "" is none.
func (r *Registry) NewShopToken(ctx context.Context, cnpj, label string, allowed int, expires time.Time) (string, error) {
	return r.IssueToken(ctx, store.Token{Reseller: store.DefaultReseller, CNPJ: cnpj, Label: label, Allowed: allowed, ExpiresAt: expires})
}

// IssueToken makes a token as t says, of now. Computers that use it belong to its
// reseller.
func (r *Registry) IssueToken(ctx context.Context, t store.Token) (string, error) {
	cnpj := t.CNPJ
	t.CreatedAt = r.now()
	var b [16]byte
	rand.Read(b[:])
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	if cnpj != "" {
		if !wire.ValidEstablishment(cnpj) {
			return "", fmt.Errorf("cannot make an enrolment token: %q is not a CNPJ of 14 characters without punctuation", cnpj)
		}
		secret += shopMark + cnpj
	}
	err := r.store.Update(ctx, func(w *store.Writer) error {
		return w.AddToken(secret, t)
	})
	if err != nil {
		return "", fmt.Errorf("cannot make an enrolment token: %w", err)
	}
	pin := r.ca.Pin()
	return secret + "." + base64.RawURLEncoding.EncodeToString(pin[:]), nil
}

// shopMark parts a secret's random characters from the establishment it is for.
// The store knows a token by the hash of both: neither can be exchanged.
const shopMark = "~"

// Identity is what an enrolled agent gets.
type Identity struct {
	Agent       string
	Certificate []byte // PEM, for client authentication, one year
	CA          []byte // PEM of all authorities that are trusted
}

// Issue spends a token's secret and issues a certificate for the key of a PEM
// certificate request (ECDSA P-256); nothing else of the request is taken over. Host
// is the computer's name, for people.
func (r *Registry) Issue(ctx context.Context, secret string, csr []byte, host string) (Identity, error) {
	public, err := requestedKey(csr)
	if err != nil {
		return Identity{}, err
	}
	now := r.now()
	agent := newAgentID()
	_, cnpj, _ := strings.Cut(secret, shopMark)
	id, leaf, err := r.identity(agent, cnpj, public, now)
	if err != nil {
		return Identity{}, err
	}
	err = r.store.Update(ctx, func(w *store.Writer) error {
		if err := w.EnrolAgent(secret, agent, host, now); err != nil {
			return err
		}
		return errors.Join(
			w.AddCertificate(store.Certificate{Serial: serialText(leaf), Agent: agent, IssuedAt: now, ExpiresAt: leaf.NotAfter}),
			w.AddAudit(store.Audit{At: now, Who: "agente " + agent, Act: "cadastro", Object: "agente " + agent, Detail: host}),
			w.Mark(alarm.Subject{Kind: alarm.OfAgent, ID: agent}))
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrTokenUnknown
	}
	if err != nil {
		return Identity{}, fmt.Errorf("cannot enrol an agent: %w", err)
	}
	return id, nil
}

// identity issues a certificate of an agent, and of an establishment unless cnpj is
// none.
func (r *Registry) identity(agent, cnpj string, public *ecdsa.PublicKey, now time.Time) (Identity, *x509.Certificate, error) {
	subject := pkix.Name{CommonName: agent}
	if wire.ValidEstablishment(cnpj) {
		subject.Organization = []string{cnpj}
	}
	leaf, err := r.ca.sign(&x509.Certificate{
		SerialNumber: newSerial(), Subject: subject,
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(agentLife, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, public)
	if err != nil {
		return Identity{}, nil, fmt.Errorf("cannot issue a certificate: %w", err)
	}
	return Identity{agent, certificatePEM(leaf.Raw), r.ca.PEM()}, leaf, nil
}

// requestedKey checks a certificate request and returns its key.
func requestedKey(csr []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("%w: it is not a PEM certificate request", ErrBadRequest)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: it is not signed by its key: %w", ErrBadRequest, err)
	}
	public, ok := req.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not ECDSA P-256", ErrBadRequest)
	}
	return public, nil
}

// newAgentID is 16 random characters of base 32 in lower case.
func newAgentID() string {
	var b [10]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

func serialText(c *x509.Certificate) string { return c.SerialNumber.Text(16) }
