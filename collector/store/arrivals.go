package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// Record is one record of an agent's stream as it arrived, or one imported file:
// Stream "import", no agent, no epoch, no sequence.
type Record struct {
	Agent, Epoch, Stream string
	Seq                  uint64
	SHA256               [32]byte // of the record's bytes; what is acknowledged
	Till                 string
	File                 string    // name of an imported file
	AgentAt              time.Time // agent's clock when it was written
	At                   time.Time // our clock
}

// place is the record's place in its stream. An import has none: its hash stands
// in, so that the same file imported twice is known.
func (rec Record) place() int64 {
	if rec.Agent == "" {
		return int64(binary.BigEndian.Uint64(rec.SHA256[:]))
	}
	return int64(rec.Seq)
}

// AddArrival notes that a record was received, and which document it carried, 0
// when none. It reports whether the record is new. The same place in the stream
// with another hash is a collision, which is counted.
func (w *Writer) AddArrival(rec Record, documentID int64) (fresh bool, err error) {
	stream, err := w.stream(rec)
	if err != nil {
		return false, err
	}
	var rivals int
	err = w.get(into{&rivals}, `INSERT INTO arrivals (stream_id, seq, sha256, document_id, till, file, agent_at, received_at, rivals)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT count(*) FROM arrivals WHERE stream_id = $1 AND seq = $2))
		ON CONFLICT (stream_id, seq, sha256) DO NOTHING RETURNING rivals`,
		stream, rec.place(), rec.SHA256[:], documentID, rec.Till, rec.File, ms(rec.AgentAt), ms(rec.At))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || rivals == 0 || rec.Agent == "" {
		return true, err
	}
	return true, w.collided(stream, rec.At)
}

// collided notes that a stream brought the same sequence with another hash.
func (w *Writer) collided(stream int64, now time.Time) error {
	return w.exec(`UPDATE streams SET collisions = collisions + 1, last_collided = $1,
		first_collided = CASE WHEN collisions = 0 THEN $1 ELSE first_collided END WHERE id = $2`, ms(now), stream)
}

// stream returns the id of a record's stream, making it at the first record.
func (w *Writer) stream(rec Record) (int64, error) {
	name := rec.Agent + "/" + rec.Epoch + "/" + rec.Stream
	if id := w.streams[name]; id != 0 {
		return id, nil
	}
	id, err := one(&w.Reader, value[int64], `SELECT id FROM streams WHERE agent = $1 AND epoch = $2 AND stream = $3`,
		rec.Agent, rec.Epoch, rec.Stream)
	if errors.Is(err, ErrNotFound) {
		id, err = one(&w.Reader, value[int64], `INSERT INTO streams (agent, epoch, stream, first_seen) VALUES ($1, $2, $3, $4)
			RETURNING id`, rec.Agent, rec.Epoch, rec.Stream, ms(rec.At))
	}
	if err != nil {
		return 0, err
	}
	w.streams[name] = id
	return id, nil
}

// Arrivals tells how a stored version came: every agent and file that brought it.
func (r *Reader) Arrivals(documentID int64) ([]Record, error) {
	return all(r, func(s scanner, rec *Record) error {
		var seq int64
		err := s.Scan(&rec.Agent, &rec.Epoch, &rec.Stream, &seq, hash(&rec.SHA256), &rec.Till, &rec.File,
			at(&rec.AgentAt), at(&rec.At))
		rec.Seq = uint64(seq)
		return err
	}, `SELECT s.agent, s.epoch, s.stream, a.seq, a.sha256, a.till, a.file, a.agent_at, a.received_at
		FROM arrivals a JOIN streams s ON s.id = a.stream_id
		WHERE a.document_id = $1 AND a.document_id <> 0 ORDER BY a.id`, documentID)
}
