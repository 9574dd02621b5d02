// Package sequence follows the numbers of fiscal documents: which are held, which
// are missing, which two documents share. A line is what is numbered by itself:
// one device of one taxpayer (CF-e; sales and cancellations share the numbers), or
// one series of one taxpayer (NFC-e). It is pure, takes documents one at a time and
// keeps ranges, so that its memory depends on how many gaps there are and not on
// how many documents.
//
// Sources: the dossiers on CF-e documents, 2.1, and on NFC-e documents, 7.
package sequence

import (
	"iter"
	"slices"
	"time"
)

// The highest numbers: after it a line goes on with 1.
const (
	HighestCFe  = 999_999
	HighestNFCe = 999_999_999
)

// Kind says what an item does to its line.
type Kind int

// The kinds.
const (
	Sale         Kind = iota // or any other document that counts
	Cancellation             // a document of its own, with its own number
	Test                     // no fiscal value: it explains its number and is counted apart
	Void                     // numbers that the tax office knows to be unused (inutilização)
)

// Item is one document, or one void range.
type Item struct {
	Line   string // which line it belongs to; used by Of alone
	Number int    // from 1; anything else, such as the 0 of an end-to-end test, has no place in the line
	To     int    // last number of a void range; 0 for a document
	ID     int64  // the caller's; each document comes once
	Kind   Kind
	At     time.Time // of issue
}

// Last is the number of the document that a device says it issued last, and when it
// said so. The zero Last says nothing.
type Last struct {
	Number int
	At     time.Time
}

// Summary is what is known of a line.
type Summary struct {
	Line          string // as the items name it; "" from Line.Summary
	Sales         int
	Cancellations int
	Tests         int      // not among the sales and cancellations
	Voided        int      // numbers of void ranges that would be missing without them
	Missing       int      // numbers, over all runs
	Doubled       int      // documents whose number an earlier one has
	Doubles       []Double // at most 100
	Runs          []Run    // in the order of issue; more than one when the numbering began anew
	End           End
	Told          Last // what the device said; zero while the end is Open
}

// Documents are all but the tests.
func (s Summary) Documents() int { return s.Sales + s.Cancellations }

// Gaps are the missing numbers of all runs.
func (s Summary) Gaps() (all []Gap) {
	for _, r := range s.Runs {
		all = append(all, r.Gaps...)
	}
	return all
}

// Run is a stretch of numbers that rise, from the first held to the last known.
// Numbers that pass the highest go on at 1 within one run.
type Run struct {
	First, Last  int // numbers held
	Since, Until time.Time
	Wraps        int // how often the highest number was passed
	Length       int // numbers from the first held to the last known, gaps included
	Held         []Span
	Gaps         []Gap
}

// Span is a part of a run by its place in it: 0 is the first number of the run.
type Span struct{ At, Length int }

// Gap is a range of numbers without a document. From is above To when it passes
// the highest number.
type Gap struct {
	From, To int
	Span
	After, Before time.Time // issue of the documents around it; Before is zero at the end
}

// Double is one number of several documents: two at least in one run, and those of
// other runs.
type Double struct {
	Number int
	Items  []Item // in the order of issue, at most 20; from Line.Summary only the second
}

// End says how sure the end of a line is.
type End int

// The ends.
const (
	Open      End = iota // nothing says that the last document held is the last issued
	Confirmed            // the device names no later document than those held
	Short                // the device issued later documents, which are the last gap
)

// Bounds of what a summary lists: doubled numbers, and documents of each.
const (
	maxDoubles = 100
	maxHolders = 20
)

// Of reads items of any number of lines and summarises each, in the order in which
// they first came. Items come in the order of issue; it is enough that each line's
// do. highest is the number after which lines go on with 1, ends what devices say of
// their lines. When numbers are doubled, items are read a second time.
func Of(items iter.Seq2[Item, error], highest int, ends map[string]Last) ([]Summary, error) {
	lines := map[string]*Line{}
	var order []string
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		l := lines[item.Line]
		if l == nil {
			l = New(highest)
			lines[item.Line], order = l, append(order, item.Line)
		}
		l.Add(item)
	}
	var out []Summary
	doubled := map[string]map[int]*Double{}
	for _, name := range order {
		s := lines[name].Summary(ends[name])
		s.Line = name
		out = append(out, s)
		for i := range s.Doubles {
			if doubled[name] == nil {
				doubled[name] = map[int]*Double{}
			}
			d := &s.Doubles[i]
			d.Items = nil
			doubled[name][d.Number] = d
		}
	}
	if len(doubled) == 0 {
		return out, nil
	}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		if d := doubled[item.Line][item.Number]; d != nil && item.Kind.document() && len(d.Items) < maxHolders {
			d.Items = append(d.Items, item)
		}
	}
	return out, nil
}

func (k Kind) document() bool { return k == Sale || k == Cancellation }

// Line follows one line. Documents come in the order of issue, roughly: a device's
// clock that is set back does no harm. The order of numbers serves as well, but then
// a numbering that began anew cannot be told, and its numbers count as doubled.
type Line struct {
	highest int
	ahead   [lookahead]Item // a ring of items not placed yet
	first   int             // of the ring
	waiting int
	runs    []*run
	sum     Summary
}

// New begins a line whose numbers go on with 1 after the highest.
func New(highest int) *Line { return &Line{highest: highest} }

// lookahead is how many items are held back: what follows a number that fell shows
// whether the numbering began anew there.
const lookahead = 32

// Add takes the next document or void range.
func (l *Line) Add(item Item) {
	if l.waiting == lookahead {
		l.next()
	}
	l.ahead[(l.first+l.waiting)%lookahead] = item
	l.waiting++
}

// next places the first item that was held back.
func (l *Line) next() {
	item := &l.ahead[l.first]
	l.first, l.waiting = (l.first+1)%lookahead, l.waiting-1
	switch item.Kind {
	case Sale:
		l.sum.Sales++
	case Cancellation:
		l.sum.Cancellations++
	case Test:
		l.sum.Tests++
	}
	if item.Number < 1 || item.Number > l.highest || item.To > l.highest {
		return
	}
	if len(l.runs) == 0 {
		l.runs = append(l.runs, &run{highest: l.highest})
	}
	r := l.runs[len(l.runs)-1]
	if !item.Kind.document() {
		r.explain(*item)
		return
	}
	at := r.place(item.Number)
	if l.beganAnew(r, at) {
		r, at = &run{highest: l.highest}, item.Number
		l.runs = append(l.runs, r)
	}
	if !r.add(at, item.At) {
		l.doubled(*item)
	}
}

func (l *Line) doubled(item Item) {
	l.sum.Doubled++
	known := slices.ContainsFunc(l.sum.Doubles, func(d Double) bool { return d.Number == item.Number })
	if !known && len(l.sum.Doubles) < maxDoubles {
		l.sum.Doubles = append(l.sum.Doubles, Double{item.Number, []Item{item}})
	}
}

// fall is how far a number must lie below the highest to suggest, without being held
// already, that the numbering began anew. Clocks set back mix fewer.
const fall = 1000

// minAfter is how many documents with higher numbers must follow to tell a numbering
// that began anew from a number issued twice.
const minAfter = 3

// beganAnew tells whether the numbering began anew with a document at a place: all
// documents that come next go on from it and not from the top.
func (l *Line) beganAnew(r *run, at int) bool {
	if at > r.top-fall && !r.held.has(at) {
		return false
	}
	after := 0
	for i := range l.waiting {
		next := &l.ahead[(l.first+i)%lookahead]
		if !next.Kind.document() || next.Number < 1 {
			continue
		}
		n := r.place(next.Number)
		if distance(n, at) >= distance(n, r.top) {
			return false
		}
		if n > at {
			after++
		}
	}
	return after >= minAfter
}

func distance(a, b int) int { return max(a-b, b-a) }

// Summary ends the line and says what is known of it. Last is what its device says.
func (l *Line) Summary(last Last) Summary {
	for l.waiting > 0 {
		l.next()
	}
	l.runs = slices.DeleteFunc(l.runs, func(r *run) bool { return len(r.held) == 0 })
	l.join()
	s := l.sum
	s.Doubles = slices.Clone(s.Doubles)
	for i, r := range l.runs {
		end := r.held[len(r.held)-1].to
		if i == len(l.runs)-1 && last.Number > 0 {
			s.End, end = r.close(last.Number)
			if s.End != Open {
				s.Told = last
			}
		}
		shown, voided := r.summary(end)
		s.Voided += voided
		for _, g := range shown.Gaps {
			s.Missing += g.Length
		}
		s.Runs = append(s.Runs, shown)
	}
	return s
}

// join makes one of two runs that share no number and together miss no more than
// apart: a device's clock was wrong, and its documents came out of order.
func (l *Line) join() {
	for i := 1; i < len(l.runs); {
		a, b := l.runs[i-1], l.runs[i]
		both, apart := a.held.with(b.held)
		if !apart || both.missing() > a.held.missing()+b.held.missing() {
			i++
			continue
		}
		a.held, a.top = both, max(a.top, b.top)
		for _, s := range b.tests {
			a.tests.put(s)
		}
		for _, s := range b.void {
			a.void.put(s)
		}
		l.runs = slices.Delete(l.runs, i, i+1)
	}
}
