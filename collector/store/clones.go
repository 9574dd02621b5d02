package store

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"zelo/collector/alarm"
)

// A cloned disk makes two computers one agent. Its beats prove it: each run of an
// agent has a random name, and one that returns after another was heard has not
// ended. So does a computer that returns after another. Either may be a late message,
// after which the right one returns, once; not twice.
const (
	proof         = 4 // returns in a row
	keptSightings = 8
	// longQueued is for how long a message may have waited here before it was read; one
	// that seems to be older than that says that our clock was set back.
	longQueued = time.Hour
)

// sighting is where a beat came from.
type sighting struct {
	Machine string `json:"machine"` // "" when not known
	Run     string `json:"run"`
}

// sightings are the last of one agent, the newest first.
type sightings struct {
	Last    []sighting `json:"last"`
	Returns int        `json:"returns"` // in a row, of what was there before
	At      int64      `json:"at"`      // when the first beat of the newest came, our clock, Unix milliseconds
}

// with adds a sighting by a beat that came at a time; changed tells whether that says
// anything new. One that came before the newest waited here for longer, and says
// nothing: collectors share their work.
func (v sightings) with(s sighting, came time.Time) (next sightings, changed bool) {
	late := time.UnixMilli(v.At).Sub(came)
	if s.Run == "" || len(v.Last) > 0 && (v.Last[0] == s || late > 0 && late < longQueued) {
		return v, false
	}
	next.At = came.UnixMilli()
	known := slices.Index(v.Last, s) >= 0 ||
		s.Machine != "" && len(v.Last) > 0 && v.Last[0].Machine != s.Machine &&
			slices.ContainsFunc(v.Last, func(o sighting) bool { return o.Machine == s.Machine })
	if known {
		next.Returns = v.Returns + 1
	}
	next.Last = append([]sighting{s}, slices.DeleteFunc(slices.Clone(v.Last), func(o sighting) bool { return o == s })...)
	next.Last = next.Last[:min(len(next.Last), keptSightings)]
	return next, true
}

// sight notes where a beat came from and what terms its agent holds. An agent that is
// proved to be two is revoked as cloned.
func (w *Writer) sight(b Beat) error {
	var terms string
	var seen sightings
	err := w.get(into{&terms, fromJSON(&seen)}, `SELECT terms, sightings FROM agents WHERE id = $1`, b.ID)
	if err != nil {
		return err
	}
	next, changed := seen.with(sighting{b.Machine, b.Run}, b.BeatAt)
	if !changed && terms == b.Terms {
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := w.exec(`UPDATE agents SET terms = $2, sightings = $3 WHERE id = $1`, b.ID, b.Terms, string(text)); err != nil || next.Returns < proof {
		return err
	}
	return w.cloned(b)
}

// cloned revokes the agent of a beat, unless it is revoked already.
func (w *Writer) cloned(b Beat) error {
	if err := w.RevokeAgent(b.ID, Cloned, b.BeatAt); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := w.AddAudit(Audit{At: b.BeatAt, Who: "coletor", Act: "identidade clonada", Object: "agente " + b.ID, Detail: b.Host}); err != nil {
		return err
	}
	return w.Mark(alarm.Subject{Kind: alarm.OfAgent, ID: b.ID})
}

// endFacts are those of an agent whose identity was ended: it is not expected to be
// heard any more.
func (r *Reader) endFacts(f *alarm.Facts) error {
	v, err := r.Revocation(f.Subject.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	f.Agent.Heard = time.Time{}
	if v.Reason == Cloned {
		c := &f.Agent.Collided
		if c.Count++; c.Count == 1 {
			c.First = v.At
		}
		c.Last, c.Example = v.At, "conexão"
	}
	return err
}
