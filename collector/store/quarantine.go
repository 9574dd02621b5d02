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
// bytes from the same agent are kept once. Nothing is refused or pushed out here: what
// is not understood may be a coupon. What bounds it is the rate of one agent (package
// broker) and the time it is kept (Retain).
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

// readAgain is who settled what was understood after all (Understood).
const readAgain = "lido de novo"

// NotUnderstood lists what was never understood, whether a person has dealt with it
// or not, oldest first, at most limit numbers after one.
func (r *Reader) NotUnderstood(after int64, limit int) ([]int64, error) {
	args := arguments{after, limit, readAgain}
	return all(r, value[int64], `SELECT id FROM quarantine WHERE id > $1 AND settled_by <> $3 AND `+r.ofAgents("agent", &args)+`
		ORDER BY id LIMIT $2`, args...)
}

// QuarantinedArrival is the record that a quarantined one was in its stream, as it
// arrived first; ErrNotFound when it was no record, but a whole message. It reads all
// arrivals of the stream.
func (r *Reader) QuarantinedArrival(q Quarantined) (Record, error) {
	if err := r.system(); err != nil {
		return Record{}, err
	}
	return one(r, func(s scanner, rec *Record) error {
		var seq int64
		err := s.Scan(&rec.Agent, &rec.Epoch, &rec.Stream, &seq, hash(&rec.SHA256), &rec.Till, &rec.File, at(&rec.AgentAt), at(&rec.At))
		rec.Seq = uint64(seq)
		return err
	}, `SELECT s.agent, s.epoch, s.stream, a.seq, a.sha256, a.till, a.file, a.agent_at, a.received_at
		FROM arrivals a JOIN streams s ON s.id = a.stream_id
		WHERE s.agent = $1 AND s.stream = $2 AND a.sha256 = $3 AND a.document_id = 0 ORDER BY a.id LIMIT 1`, q.Agent, q.Stream, q.SHA256[:])
}

// Understood settles a quarantined record that is understood by now, once: ErrNotFound
// when it was before. Its arrival is forgotten, so that the record can arrive again, in
// the same transaction, as what it is. rec is nil for a whole message.
func (w *Writer) Understood(id int64, rec *Record, now time.Time) error {
	agent, err := one(&w.Reader, value[string], `UPDATE quarantine SET settled_at = $2, settled_by = $3
		WHERE id = $1 AND settled_by <> $3 RETURNING agent`, id, ms(now), readAgain)
	if err == nil && rec != nil {
		err = w.exec(`DELETE FROM arrivals WHERE stream_id = (SELECT id FROM streams WHERE agent = $1 AND epoch = $2 AND stream = $3)
			AND seq = $4 AND sha256 = $5 AND document_id = 0`, rec.Agent, rec.Epoch, rec.Stream, rec.place(), rec.SHA256[:])
	}
	if err != nil {
		return err
	}
	return w.Mark(QuarantineOf(agent))
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
