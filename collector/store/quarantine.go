package store

import (
	"time"

	"zelo/collector/alarm"
)

// Quarantined is something received that could not be decoded, checked or
// attributed, kept as it came.
type Quarantined struct {
	ID         int64
	Agent      string // "" for an import
	Stream     string
	File       string // name of an imported file
	Reason     string // pt-BR
	SHA256     [32]byte
	Size       int
	Times      int       // how often the very same bytes came
	ReceivedAt time.Time // first
	LastAt     time.Time
	SettledAt  time.Time // zero until a person has dealt with it
	SettledBy  string
}

// Quarantine keeps bytes with the reason why they are not understood. The same
// bytes from the same agent are kept once.
func (w *Writer) Quarantine(q Quarantined, body Packed) error {
	return w.exec(`INSERT INTO quarantine (agent, stream, file, reason, sha256, size, body, times, received_at, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
		ON CONFLICT (agent, sha256) DO UPDATE SET times = quarantine.times + 1, last_at = excluded.last_at`,
		q.Agent, q.Stream, q.File, q.Reason, body.SHA256[:], body.Size, body.zip, ms(q.ReceivedAt))
}

// Quarantined lists what nobody settled yet, newest first, at most limit rows.
func (r *Reader) Quarantined(limit int) ([]Quarantined, error) {
	args := arguments{limit}
	return all(r, scanQuarantined, `SELECT `+quarantineColumns+` FROM quarantine WHERE settled_at = 0 AND `+r.ofAgents("agent", &args)+`
		ORDER BY last_at DESC, id DESC LIMIT $1`, args...)
}

// QuarantinedRecord returns one record.
func (r *Reader) QuarantinedRecord(id int64) (Quarantined, error) {
	args := arguments{id}
	return one(r, scanQuarantined, `SELECT `+quarantineColumns+` FROM quarantine WHERE id = $1 AND `+r.ofAgents("agent", &args), args...)
}

const quarantineColumns = `id, agent, stream, file, reason, sha256, size, times, received_at, last_at, settled_at, settled_by`

func scanQuarantined(s scanner, q *Quarantined) error {
	return s.Scan(&q.ID, &q.Agent, &q.Stream, &q.File, &q.Reason, hash(&q.SHA256), &q.Size, &q.Times,
		at(&q.ReceivedAt), at(&q.LastAt), at(&q.SettledAt), &q.SettledBy)
}

// QuarantinedBody returns the exact bytes of a quarantined record.
func (r *Reader) QuarantinedBody(id int64) ([]byte, error) {
	var zip, sum []byte
	args := arguments{id}
	if err := r.get(into{&zip, &sum}, `SELECT body, sha256 FROM quarantine WHERE id = $1 AND `+r.ofAgents("agent", &args), args...); err != nil {
		return nil, err
	}
	return r.s.unpack(zip, sum)
}

// Settle notes that a person has dealt with a quarantined record, which stays in
// the store, and marks whose it was for evaluation.
func (w *Writer) Settle(id int64, by string, now time.Time) error {
	agent, err := one(&w.Reader, value[string], `UPDATE quarantine SET settled_at = $2, settled_by = $3
		WHERE id = $1 AND settled_at = 0 RETURNING agent`, id, ms(now), by)
	if err != nil {
		return err
	}
	return w.Mark(QuarantineOf(agent))
}

// QuarantineOf is the subject of the alarm about what an agent, or an import
// when agent is "", brought into quarantine.
func QuarantineOf(agent string) alarm.Subject {
	if agent == "" {
		return alarm.Subject{Kind: alarm.OfImports}
	}
	return alarm.Subject{Kind: alarm.OfAgent, ID: agent}
}
