package store

import (
	"fmt"
	"time"
)

// Event is something an agent reported.
type Event struct {
	ID         int64
	Agent      string
	Serial     string // device, "" when it is not about one
	Till       string
	Code       string // of the wire; what is not known yet is kept as it came
	Ref        string // what it is about: a document's key, a case; may be ""
	Detail     map[string]string
	At         time.Time // agent's clock
	ReceivedAt time.Time
}

// The codes facts are drawn from; they are those of the wire.
const (
	eventMissing    = "document-missing"
	eventUnresolved = "unresolved"
	eventResolved   = "resolved"
	eventDamaged    = "buffer-damaged"
	eventEvicted    = "evicted"
	eventTwice      = "issued-twice"
	eventSetAside   = "quarantined"
	eventBack       = "device-back"
	eventDisputed   = "device-disputed" // the collector's own: another reseller has the device
)

const fromNumber = " desde o nº "

// FromNumber is the Ref of a document reported missing without its key: it is one of
// a device's, of this number or a later one.
func FromNumber(serial string, number int) string {
	return fmt.Sprintf("%s%s%06d", serial, fromNumber, number)
}

// AddEvent stores the event a record carried. The device it is about is known from
// then on, so that it is judged even when no agent has reported it yet.
func (w *Writer) AddEvent(e Event, rec Record) error {
	stream, err := w.stream(rec)
	if err != nil {
		return err
	}
	detail, err := asJSON(e.Detail)
	if err != nil {
		return err
	}
	if e.Serial != "" {
		err = w.exec(`INSERT INTO devices (serial, first_seen) VALUES ($1, $2) ON CONFLICT (serial) DO NOTHING`, e.Serial, ms(e.ReceivedAt))
		if err != nil {
			return err
		}
	}
	return w.exec(`INSERT INTO events (stream_id, seq, agent, serial, till, code, ref, detail, at, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		stream, rec.place(), e.Agent, e.Serial, e.Till, e.Code, e.Ref, detail, ms(e.At), ms(e.ReceivedAt))
}

const eventColumns = `id, agent, serial, till, code, ref, detail, at, received_at`

func scanEvent(s scanner, e *Event) error {
	return s.Scan(&e.ID, &e.Agent, &e.Serial, &e.Till, &e.Code, &e.Ref, fromJSON(&e.Detail), at(&e.At), at(&e.ReceivedAt))
}

// EventsOf returns the newest events of an agent, newest first: those about a device
// to whoever sees it, the others to those whose agent it is.
func (r *Reader) EventsOf(agent string, limit int) ([]Event, error) {
	args := arguments{agent, limit}
	return all(r, scanEvent, `SELECT `+eventColumns+` FROM events WHERE agent = $1 AND (serial = '' AND `+r.ofAgents("agent", &args)+
		` OR serial <> '' AND `+r.ofDevices("serial", &args)+`) ORDER BY id DESC LIMIT $2`, args...)
}
