package store

import (
	"encoding/binary"
	"errors"
	"fmt"
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

// Arrival is a record that was received, with the document it carried, 0 when none.
type Arrival struct {
	Record
	Document int64
}

// AddArrival notes that one record was received, and which document it carried, 0
// when none.
func (w *Writer) AddArrival(rec Record, documentID int64) (fresh bool, err error) {
	out, err := w.AddArrivals(Arrival{rec, documentID})
	return err == nil && out[0], err
}

// AddArrivals notes that records were received and reports which of them are new.
// The same place in a stream with another hash is a collision, which is counted.
func (w *Writer) AddArrivals(list ...Arrival) (fresh []bool, err error) {
	rivals, err := w.tx.addArrivals(w, list)
	if err != nil {
		return nil, fmt.Errorf("cannot note what arrived: %w", err)
	}
	fresh = make([]bool, len(list))
	for i, a := range list {
		fresh[i] = rivals[i] >= 0
		if d, is := w.coupons[a.Document]; is && fresh[i] {
			if by := (bringer{a.Agent, d.Issuer}); w.brought[by].Issuer == "" {
				w.brought[by] = d
			}
		}
		if rivals[i] <= 0 || a.Agent == "" {
			continue
		}
		stream, err := w.stream(a.Record)
		if err == nil {
			err = w.collided(stream, a.At)
		}
		if err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// arrivalColumns are those of a new arrival but for rivals, and row their values.
const arrivalColumns = `stream_id, seq, sha256, document_id, till, file, agent_at, received_at`

func (a Arrival) row(stream int64) []any {
	return []any{stream, a.place(), a.SHA256[:], a.Document, a.Till, a.File, ms(a.AgentAt), ms(a.At)}
}

// collided notes that a stream brought the same sequence with another hash.
func (w *Writer) collided(stream int64, now time.Time) error {
	return w.exec(`UPDATE streams SET collisions = collisions + 1, last_collided = $1,
		first_collided = CASE WHEN collisions = 0 THEN $1 ELSE first_collided END WHERE id = $2`, ms(now), stream)
}

// name is that of the record's stream.
func (rec Record) name() string { return rec.Agent + "/" + rec.Epoch + "/" + rec.Stream }

// stream returns the id of a record's stream, making it at the first record.
func (w *Writer) stream(rec Record) (int64, error) {
	name := rec.name()
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

// Arrivals tells how a stored version came: every agent that the reader sees and
// that brought it, and every file, whose names only a reader of everything sees.
func (r *Reader) Arrivals(documentID int64) ([]Record, error) {
	args := arguments{documentID}
	return all(r, func(s scanner, rec *Record) error {
		var seq int64
		err := s.Scan(&rec.Agent, &rec.Epoch, &rec.Stream, &seq, hash(&rec.SHA256), &rec.Till, &rec.File,
			at(&rec.AgentAt), at(&rec.At))
		rec.Seq = uint64(seq)
		return err
	}, `SELECT s.agent, s.epoch, s.stream, a.seq, a.sha256, a.till, a.file, a.agent_at, a.received_at
		FROM arrivals a JOIN streams s ON s.id = a.stream_id
		WHERE a.document_id = $1 AND a.document_id <> 0 AND `+r.sharesAgents("s.agent", &args)+` ORDER BY a.id`, args...)
}
