package soak

import (
	"bytes"
	"strings"
	"time"

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
	err := w.central.server.store.View(background, store.All(), func(r *store.Reader) (err error) {
		if unknown, err = w.unresolved(r); err != nil {
			return err
		}
		for _, a := range w.agents {
			events, err := r.EventsOf(a.name(), 100000)
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Code == wire.EventDocumentMissing {
					told[e.Ref] = true
				}
			}
		}
		for key, rec := range issued {
			ok, err := w.holds(r, rec)
			if err != nil {
				return err
			}
			if !ok && !told[key] {
				lost++
			}
		}
		c, err := r.Counts()
		if c.Quarantined > 0 {
			w.fail("%d records are in quarantine", c.Quarantined)
		}
		if c.Versions > len(issued) {
			w.fail("the store has %d documents, the devices issued %d", c.Versions, len(issued))
		}
		return err
	})
	if err != nil {
		w.fail("%v", err)
	}
	if missing = len(told); missing > 0 {
		w.fail("%d documents are told to be missing, though the devices have them: %v", missing, told)
	}
	return lost, missing, unknown
}

// unresolved counts what the collector would raise an alarm about.
func (w *world) unresolved(r *store.Reader) (n int, err error) {
	subjects, err := r.Subjects()
	for _, s := range subjects {
		facts, err := r.Facts(s, time.Now())
		if err != nil {
			return n, err
		}
		if h := facts.Unresolved; h.Count > 0 {
			n += h.Count
			w.fail("%d cases of %s %s stay unknown, as %s", h.Count, s.Kind, s.ID, h.Example)
		}
	}
	return n, err
}

// holds reports whether a document is in the store once, byte for byte.
func (w *world) holds(r *store.Reader, rec sim.Record) (bool, error) {
	versions, err := r.Versions(rec.Key)
	if err != nil || len(versions) != 1 {
		w.fail("document %s of %s is in the store %d times", rec.Key, markOf(rec.XML), len(versions))
		return false, err
	}
	body, err := r.Body(versions[0].ID)
	if !bytes.Equal(body, rec.XML) {
		w.fail("document %s is not archived as it was issued", rec.Key)
		return false, err
	}
	return true, err
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
		err := s.store.View(background, store.All(), func(r *store.Reader) error {
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
