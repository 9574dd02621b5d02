package ingest

import (
	"context"
	"errors"
	"fmt"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Again reads a quarantined record once more, after a fix of this program for one. What
// is understood now becomes the document, status or event that it is, in the place of
// its stream where it came, once, and is settled; what is not stays as it was.
func (g *Ingest) Again(ctx context.Context, id int64) (understood bool, err error) {
	m, rec, err := g.readAgain(ctx, id)
	if err != nil || m == nil {
		return false, err
	}
	err = g.o.Store.Update(ctx, func(w *store.Writer) error {
		if err := w.Understood(id, rec, g.o.Now()); err != nil {
			return err
		}
		t := &transaction{w, map[string]bool{}, map[alarm.Subject]bool{}, make([]Result, 1)}
		if err := t.put([]message{*m}); err != nil {
			return err
		}
		if t.results[0].Quarantined > 0 {
			return errStillNot
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, errStillNot) {
		return false, nil // somebody else was quicker, or it reads well and is about nothing known
	}
	if err != nil {
		return false, fmt.Errorf("cannot store quarantined record %d: %w", id, err)
	}
	g.signal()
	return true, nil
}

// errStillNot undoes the reading of a record that would go into quarantine again.
var errStillNot = errors.New("it still is not understood")

// readAgain makes of a quarantined record a message to be stored, nil when it still is
// not understood. rec is its place in its stream, nil of a whole message.
func (g *Ingest) readAgain(ctx context.Context, id int64) (m *message, rec *store.Record, err error) {
	var q store.Quarantined
	var body []byte
	err = g.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		if q, err = r.QuarantinedRecord(id); err != nil {
			return err
		}
		if body, err = r.QuarantinedBody(id); err != nil {
			return err
		}
		came, err := r.QuarantinedArrival(q)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		rec = &came
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read quarantined record %d: %w", id, err)
	}
	// No agent: it is not heard now.
	m = &message{Incoming: Incoming{Stream: q.Stream, At: q.ReceivedAt}}
	if rec != nil {
		m.records = []*record{{Record: *rec, data: body}}
	} else if m.records = g.openAgain(q, body); m.records == nil {
		return nil, nil, nil
	}
	for _, r := range m.records {
		g.prepare(r)
		if r.refused != "" {
			return nil, nil, nil
		}
	}
	return m, rec, nil
}

// openAgain takes a quarantined message apart; nil when that still cannot be done, or
// when it holds nothing that is kept, as a pulse long ago.
func (g *Ingest) openAgain(q store.Quarantined, payload []byte) []*record {
	in := Incoming{q.Agent, q.Stream, payload, q.ReceivedAt}
	switch in.Stream {
	case wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus, wire.StreamCommands:
	default:
		return nil
	}
	if g.codec.Part(payload) {
		return nil
	}
	var b wire.Batch
	if unfinished, err := g.assemble(in, &b); err != nil || unfinished {
		return nil
	}
	return in.records(b)
}
