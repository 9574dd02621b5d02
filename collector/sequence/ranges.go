package sequence

import (
	"slices"
	"sort"
	"time"
)

// stretch is a range of places, both ends included, with when its ends were issued.
type stretch struct {
	from, to     int
	since, until time.Time
}

// ranges are stretches in order that neither overlap nor touch.
type ranges []stretch

// add puts one place in; it is false when it is there already.
func (s *ranges) add(at int, issued time.Time) bool {
	if n := len(*s); n > 0 && at == (*s)[n-1].to+1 { // the common case
		(*s)[n-1].to, (*s)[n-1].until = at, issued
		return true
	}
	if s.has(at) {
		return false
	}
	s.put(stretch{at, at, issued, issued})
	return true
}

// after is the index of the first stretch that ends at or behind a place.
func (s ranges) after(at int) int {
	return sort.Search(len(s), func(i int) bool { return s[i].to >= at })
}

func (s ranges) has(at int) bool {
	i := s.after(at)
	return i < len(s) && s[i].from <= at
}

// put joins a stretch with those that it overlaps or touches.
func (s *ranges) put(n stretch) {
	i := s.after(n.from - 1)
	end := i
	for end < len(*s) && (*s)[end].from <= n.to+1 {
		o := (*s)[end]
		if o.from < n.from {
			n.from, n.since = o.from, o.since
		}
		if o.to > n.to {
			n.to, n.until = o.to, o.until
		}
		end++
	}
	if end == i+1 {
		(*s)[i] = n
		return
	}
	*s = slices.Replace(*s, i, end, n)
}

// missing is how many places lie between the stretches.
func (s ranges) missing() (n int) {
	for i := 1; i < len(s); i++ {
		n += s[i].from - s[i-1].to - 1
	}
	return n
}

// with is the union of two; apart is false when they share a place.
func (s ranges) with(o ranges) (both ranges, apart bool) {
	i, j := 0, 0
	for i < len(s) || j < len(o) {
		var n stretch
		if j == len(o) || i < len(s) && s[i].from < o[j].from {
			n, i = s[i], i+1
		} else {
			n, j = o[j], j+1
		}
		last := len(both) - 1
		switch {
		case last >= 0 && n.from <= both[last].to:
			return nil, false
		case last >= 0 && n.from == both[last].to+1:
			both[last].to, both[last].until = n.to, n.until
		default:
			both = append(both, n)
		}
	}
	return both, true
}

// without returns what of a stretch is in none of the ranges, and how much is.
func (s ranges) without(n stretch) (left ranges, taken int) {
	for i := s.after(n.from); i < len(s) && s[i].from <= n.to; i++ {
		if s[i].from > n.from {
			left = append(left, stretch{n.from, s[i].from - 1, n.since, n.until})
		}
		to := min(s[i].to, n.to)
		taken += to - max(n.from, s[i].from) + 1
		n.from = to + 1
	}
	if n.from <= n.to {
		left = append(left, n)
	}
	return left, taken
}

// run is a run as it grows. A place is a number that goes on rising where numbers
// begin with 1 again; places before the first lap are below 1.
type run struct {
	highest     int
	top         int // the highest place held
	held        ranges
	tests, void ranges // what explains numbers that are not held
}

// place is where a number lies in the run. Numbers pass the highest only from its
// last tenth to the first: more than a tenth of all numbers is never missing there.
func (r *run) place(number int) int {
	if len(r.held) == 0 {
		return number
	}
	lap := floor(r.top-1, r.highest)
	off := number - (r.top - lap*r.highest)
	switch near := r.highest / 10; {
	case off < near-r.highest:
		lap++
	case off > r.highest-near:
		lap--
	}
	return lap*r.highest + number
}

func floor(a, b int) int {
	if a < 0 {
		return (a+1)/b - 1
	}
	return a / b
}

// number is the number at a place.
func (r *run) number(place int) int { return place - floor(place-1, r.highest)*r.highest }

// add puts a document in; it is false when its place is taken.
func (r *run) add(at int, issued time.Time) bool {
	if len(r.held) == 0 || at > r.top {
		r.top = at
	}
	return r.held.add(at, issued)
}

// explain notes numbers that no document needs to have.
func (r *run) explain(item Item) {
	from := r.place(item.Number)
	if item.Kind == Test {
		r.tests.put(stretch{from: from, to: from})
		return
	}
	r.void.put(stretch{from: from, to: from + max(0, item.To-item.Number)})
}

// close compares the device's last number with the last one held, and returns the
// last place known.
func (r *run) close(number int) (End, int) {
	held := r.held[len(r.held)-1].to
	switch at := r.place(number); {
	case at > held:
		return Short, at
	case at > held-fall:
		return Confirmed, held
	}
	// The device speaks of a numbering of which nothing is held.
	return Open, held
}

// summary describes the run up to its last known place. Voided are the numbers that
// void ranges keep from being missing.
func (r *run) summary(end int) (out Run, voided int) {
	first, last := r.held[0], r.held[len(r.held)-1]
	out = Run{First: r.number(first.from), Last: r.number(last.to), Since: first.since, Until: last.until,
		Wraps: floor(last.to-1, r.highest) - floor(first.from-1, r.highest), Length: end - first.from + 1}
	for i, s := range r.held {
		out.Held = append(out.Held, Span{s.from - first.from, s.to - s.from + 1})
		hole := stretch{from: s.to + 1, to: end, since: s.until}
		if i+1 < len(r.held) {
			hole.to, hole.until = r.held[i+1].from-1, r.held[i+1].since
		}
		if hole.from > hole.to {
			continue
		}
		untested, _ := r.tests.without(hole)
		for _, u := range untested {
			left, taken := r.void.without(u)
			voided += taken
			for _, g := range left {
				out.Gaps = append(out.Gaps, Gap{r.number(g.from), r.number(g.to), Span{g.from - first.from, g.to - g.from + 1}, g.since, g.until})
			}
		}
	}
	return out, voided
}
