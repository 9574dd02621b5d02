package store

import (
	"crypto/sha256"
	"errors"
	"time"
)

// Certificate is one issued to an agent.
type Certificate struct {
	Serial    string // hexadecimal
	Agent     string
	IssuedAt  time.Time
	ExpiresAt time.Time
	RevokedAt time.Time // zero while it stands
}

// keptCertificates is how many of an agent's certificates are remembered. Others are
// still good: what ends them stands in the revocations, by agent.
const keptCertificates = 8

// AddCertificate notes an issued certificate.
func (w *Writer) AddCertificate(c Certificate) error {
	return errors.Join(
		w.exec(`INSERT INTO certificates (serial, agent, issued_at, expires_at) VALUES ($1, $2, $3, $4)`,
			c.Serial, c.Agent, ms(c.IssuedAt), ms(c.ExpiresAt)),
		w.exec(`DELETE FROM certificates WHERE agent = $1 AND serial NOT IN
			(SELECT serial FROM certificates WHERE agent = $1 ORDER BY issued_at DESC, serial LIMIT $2)`, c.Agent, keptCertificates))
}

// Certificates lists the certificates of an agent, newest first.
func (r *Reader) Certificates(agent string) ([]Certificate, error) {
	args := arguments{agent}
	return all(r, scanCertificate, `SELECT `+certificateColumns+` FROM certificates WHERE agent = $1 AND `+r.ofAgents("agent", &args)+`
		ORDER BY issued_at DESC, serial`, args...)
}

// Certificate returns one certificate by its serial number in hexadecimal.
func (r *Reader) Certificate(serial string) (Certificate, error) {
	args := arguments{serial}
	return one(r, scanCertificate, `SELECT `+certificateColumns+` FROM certificates WHERE serial = $1 AND `+r.ofAgents("agent", &args), args...)
}

const certificateColumns = `serial, agent, issued_at, expires_at, revoked_at`

func scanCertificate(s scanner, c *Certificate) error {
	return s.Scan(&c.Serial, &c.Agent, at(&c.IssuedAt), at(&c.ExpiresAt), at(&c.RevokedAt))
}

// Reason is why an agent's identity was ended.
type Reason string

// The reasons.
const (
	ByPerson Reason = ""        // final
	Cloned   Reason = "clonado" // two computers used it; each may become an agent of its own
)

// Revocation ends the identity of an agent, whatever certificates it holds. ID rises
// with each agent.
type Revocation struct {
	ID     int64
	Agent  string
	Reason Reason
	At     time.Time
}

// RevokeAgent ends the identity of an agent. It fails with ErrNotFound for one that
// is not known or that a person has revoked before.
func (w *Writer) RevokeAgent(agent string, reason Reason, now time.Time) error {
	if _, err := w.Agent(agent); err != nil {
		return err
	}
	before, err := w.Revocation(agent)
	switch {
	case err == nil && (before.Reason == ByPerson || reason == before.Reason):
		return ErrNotFound
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	return errors.Join(
		w.exec(`INSERT INTO revocations (agent, reason, at) VALUES ($1, $2, $3)
			ON CONFLICT (agent) DO UPDATE SET reason = excluded.reason, at = excluded.at`, agent, reason, ms(now)),
		w.exec(`UPDATE certificates SET revoked_at = $2 WHERE agent = $1 AND revoked_at = 0`, agent, ms(now)))
}

const revocationColumns = `id, agent, reason, at`

func scanRevocation(s scanner, v *Revocation) error {
	return s.Scan(&v.ID, &v.Agent, &v.Reason, at(&v.At))
}

// Revocation returns that of an agent; ErrNotFound: its identity stands.
func (r *Reader) Revocation(agent string) (Revocation, error) {
	args := arguments{agent}
	return one(r, scanRevocation, `SELECT `+revocationColumns+` FROM revocations WHERE agent = $1 AND `+r.ofAgents("agent", &args), args...)
}

// Revocations lists those after one of that ID, in their order.
func (r *Reader) Revocations(after int64) ([]Revocation, error) {
	args := arguments{after}
	return all(r, scanRevocation, `SELECT `+revocationColumns+` FROM revocations WHERE id > $1 AND `+r.ofAgents("agent", &args)+` ORDER BY id`, args...)
}

// Heir is the agent that a cloned one became for a public key, "" when there is none,
// and how many agents it became in all.
func (r *Reader) Heir(agent string, key []byte) (heir string, n int, err error) {
	if err := r.system(); err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(key)
	err = r.get(into{&heir, &n}, `SELECT coalesce((SELECT heir FROM heirs WHERE agent = $1 AND key_hash = $2), ''),
		(SELECT count(*) FROM heirs WHERE agent = $1)`, agent, sum[:])
	return heir, n, err
}

// AddHeir notes a new agent that takes a cloned one's place for a public key: of the
// same reseller and establishment.
func (w *Writer) AddHeir(agent, heir string, key []byte, host string, now time.Time) error {
	sum := sha256.Sum256(key)
	return errors.Join(w.AddAgent(heir, host, now),
		w.exec(`UPDATE agents SET reseller_id = o.reseller_id, cnpj = o.cnpj FROM agents o WHERE o.id = $2 AND agents.id = $1`, heir, agent),
		w.exec(`INSERT INTO heirs (agent, key_hash, heir) VALUES ($1, $2, $3)`, agent, sum[:], heir))
}

// Holding are the agents whose identity stands, with the terms each holds.
type Holding struct {
	Agent, Host, Terms string
	HeardAt            time.Time
}

// Holdings lists what every agent holds whose identity stands, the last heard first.
func (r *Reader) Holdings() ([]Holding, error) {
	args := arguments{}
	return all(r, func(s scanner, h *Holding) error { return s.Scan(&h.Agent, &h.Host, &h.Terms, at(&h.HeardAt)) },
		`SELECT id, host, terms, heard_at FROM agents WHERE NOT EXISTS (SELECT 1 FROM revocations v WHERE v.agent = agents.id)
		AND `+r.ofAgents("id", &args)+` ORDER BY heard_at DESC, id`, args...)
}

// Authorities names the certificate authorities this store's agents were issued by,
// "" in a new store.
func (r *Reader) Authorities() (string, error) {
	name, err := one(r, value[string], `SELECT value FROM meta WHERE name = 'authorities'`)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return name, err
}

// SetAuthorities changes what Authorities returns.
func (w *Writer) SetAuthorities(name string) error {
	return w.exec(`INSERT INTO meta (name, value) VALUES ('authorities', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name)
}
