package store

import (
	"cmp"
	"slices"
	"time"
)

// againWithin is how long after a note another is looked at as its repetition: the longest
// that a tenant may set (alarm.NoteAgain).
const againWithin = time.Hour

// maxCompared bounds how many notes of a month are read whole to compare what they sell.
const maxCompared = 200

// repeated finds sales on two notes. A pair once found stays: that the first was authorised
// after all makes it graver. It is over when one of the two is cancelled.
func (b noteBook) repeated(r *Reader, known []again, sold func([]byte) string) (out []again, err error) {
	compare := sales{r: r, sold: sold, of: map[int64]string{}}
	for _, a := range append(known, b.suspects(compare.equal)...) {
		pair := slices.Concat(b[a.First], b[a.Number])
		if len(b[a.First]) == 0 || len(b[a.Number]) == 0 || slices.ContainsFunc(out, func(o again) bool { return o.First == a.First && o.Number == a.Number }) {
			continue
		}
		cancelled, err := r.cancelled(pair)
		if err != nil {
			return nil, err
		}
		if !cancelled {
			out = append(out, a)
		}
	}
	return out, compare.err
}

// suspects are pairs of notes of the same total that equal finds to sell the same, of which
// the first, issued on-line, has no answer; or has one, and is the last that had before the
// till went off-line with the second (dossier on NFC-e documents, 6.3).
func (b noteBook) suspects(equal func(a, b note) bool) (out []again) {
	var list []note
	for _, notes := range b {
		list = append(list, notes...)
	}
	slices.SortFunc(list, func(a, b note) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number)) })
	for i, first := range slices.Backward(list) { // the newest are compared first
		unanswered := first.pending && !b.settled(first.number)
		if !first.onLine() || first.pending && !unanswered {
			continue
		}
		for _, second := range list[i+1:] {
			answered := second.onLine() && !second.pending
			if second.at-first.at > againWithin.Milliseconds() || answered && !unanswered {
				break
			}
			if (answered || second.offLine()) && second.number != first.number && second.cents == first.cents && equal(first, second) {
				out = append(out, again{numberAt{second.number, second.at}, first.number, first.at, second.offLine()})
				break
			}
		}
	}
	return out
}

// sales reads what notes sell, each once.
type sales struct {
	r    *Reader
	sold func([]byte) string
	of   map[int64]string
	err  error
}

func (s *sales) equal(a, b note) bool {
	one := s.read(a)
	return one != "" && one == s.read(b)
}

func (s *sales) read(n note) string {
	if known, ok := s.of[n.id]; ok || s.sold == nil || s.err != nil || len(s.of) >= maxCompared {
		return known
	}
	raw, err := s.r.Body(n.id)
	if err != nil {
		s.err = err
		return ""
	}
	s.of[n.id] = s.sold(raw)
	return s.of[n.id]
}
