package soak

import (
	"bytes"
	"crypto/sha256"
	"strings"

	"zelo/agent/wire"
	"zelo/collector/store"
	"zelo/sat/sim"
)

// check compares what the devices issued with what the store holds and what the
// tills were told.
func (w *world) check(sum *totals) {
	for _, a := range w.agents {
		if !a.quiet() {
			w.fail("agent %d does not come to rest: %+v, %d open", a.number, a.life.buffer.Stats(), a.life.open())
		}
	}
	issued := map[string]sim.Record{}
	byMark := map[string][]string{} // sale -> keys
	for _, d := range w.devices {
		for _, r := range d.sim.Issued() {
			issued[r.Key] = r
			mark := r.Cancels
			if mark == "" {
				mark = markOf(r.XML)
			}
			byMark[mark] = append(byMark[mark], r.Key)
		}
	}
	lost, missing, unknown := w.archived(issued)
	doubled, sales := w.answered(byMark, issued)
	sum.mu.Lock()
	defer sum.mu.Unlock()
	sum.seeds++
	sum.sales += sales
	sum.lost += lost
	sum.doubled += doubled
	sum.missing += missing
	sum.unknown += unknown
	for k := range kinds {
		for p := range phases {
			sum.struck[k][p] += w.struck[k][p]
			sum.faults += w.struck[k][p]
		}
	}
}

// markOf is the sale that a document is of.
func markOf(xml []byte) string {
	at := bytes.Index(xml, []byte("ITEM-"))
	if at < 0 {
		return ""
	}
	return string(xml[at : at+len("ITEM-000-00")])
}

// archived checks the store against the devices.
func (w *world) archived(issued map[string]sim.Record) (lost, missing, unknown int) {
	told := map[string]bool{}
	open := map[string]string{}
	documents := 0
	err := w.central.server.store.View(background, func(r *store.Reader) error {
		seen := map[string]bool{}
		for _, a := range w.agents {
			if seen[a.id] {
				continue
			}
			seen[a.id] = true
			events, err := r.EventsOf(a.id, 100000)
			if err != nil {
				return err
			}
			for _, e := range events { // newest first
				switch e.Code {
				case wire.EventDocumentMissing:
					told[e.Ref] = true
				case wire.EventResolved:
					open[e.Ref] = e.Code
				case wire.EventUnresolved:
					if open[e.Ref] == "" {
						open[e.Ref] = e.Code
						unknown++
						w.fail("case %s of till %s stays unknown", e.Ref, e.Till)
					}
				}
			}
		}
		for key, rec := range issued {
			versions, err := r.Versions(key)
			if err != nil {
				return err
			}
			switch {
			case len(versions) == 1 && versions[0].SHA256 == sha256.Sum256(rec.XML):
				body, err := r.Body(versions[0].ID)
				if err != nil || !bytes.Equal(body, rec.XML) {
					lost++
					w.fail("document %s is not archived as it was issued: %v", key, err)
				}
			case len(versions) == 0 && told[key]:
			default:
				lost++
				w.fail("document %s of %s is lost: %d versions are in the store", key, markOf(rec.XML), len(versions))
			}
		}
		c, err := r.Counts()
		documents = c.Versions
		if c.Quarantined > 0 {
			w.fail("%d records are in quarantine", c.Quarantined)
		}
		return err
	})
	if err != nil {
		w.fail("%v", err)
	}
	if missing = len(told); missing > 0 {
		w.fail("%d documents are told to be missing, though the devices have them: %v", missing, told)
	}
	if documents > len(issued) {
		w.fail("the store has %d documents, the devices issued %d", documents, len(issued))
	}
	return lost, missing, unknown
}

// answered checks what tills were told against what the devices issued.
func (w *world) answered(byMark map[string][]string, issued map[string]sim.Record) (doubled, sales int) {
	for _, t := range w.tills {
		for _, s := range t.sales {
			sales++
			keys := byMark[s.mark]
			switch {
			case len(keys) > 1:
				doubled++
				w.fail("%s of till %s was issued %d times: %s", s.mark, t.name, len(keys), strings.Join(keys, ", "))
			case s.key != "" && (len(keys) != 1 || keys[0] != s.key):
				w.fail("till %s was given %s for %s, the device issued %v", t.name, s.key, s.mark, keys)
			case s.key == "" && s.refused && len(keys) > 0:
				w.fail("till %s was told that %s was not issued: it is %v", t.name, s.mark, keys)
			}
		}
	}
	for mark := range byMark {
		if mark == "" {
			w.fail("a document of nobody")
		}
	}
	return doubled, sales
}

// remembers checks that a new life has what tills were told in the one before: an
// answer is on the disk before the till hears it.
func (w *world) remembers(l *life, told []heard) {
	if len(told) == 0 || w.central.restored {
		return
	}
	records, err := l.buffer.Peek(wire.StreamDocuments, 0, 10000, 1<<30)
	if err != nil {
		w.fail("agent %d: %v", l.number, err)
	}
	waiting := map[string]bool{}
	for _, r := range records {
		var item wire.Item
		if err := w.codec.Decode(r.Data, &item); err != nil {
			w.fail("agent %d: %v", l.number, err)
		}
		waiting[string(item.Body)] = true
	}
	if err := w.central.has(told, waiting); err != nil {
		w.fail("agent %d: %v", l.number, err)
	}
}

// has looks for documents in the store that do not wait in the agent.
func (c *collector) has(told []heard, waiting map[string]bool) error {
	for _, h := range told {
		if waiting[h.sale] {
			continue
		}
		c.mu.Lock()
		s := c.server
		c.mu.Unlock()
		if s.ending.Load() || s.store == nil {
			return nil // nobody can tell now
		}
		err := s.store.View(background, func(r *store.Reader) error {
			versions, err := r.Versions(h.key)
			if err == nil && len(versions) == 0 {
				c.w.fail("document %s of %s was in the till's hands and is not on its disk", h.key, markOf([]byte(h.sale)))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
