package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/sequence"
)

// What is known of the numbers of a line is kept by month, so that a document of
// today does not make the documents of five years be read again. A month is read
// again when something of it came, but no sooner than numbersRest after the last time.
const numbersRest = 15 * time.Minute

// monthOf is one month of one line: of a device's taxpayer, whose series is "", or of
// a series of NFC-e, whose serial is "".
type monthOf struct{ serial, issuer, series, month string }

// numbered notes that something came that has to do with numbers.
func (w *Writer) numbered(d Document) {
	switch {
	case d.Serial != "" && d.Part == "":
		w.months[monthOf{d.Serial, d.Issuer, "", d.Month()}] = true
	case d.Model == 65 && d.Kind != kindEvent:
		w.months[monthOf{"", d.Issuer, d.Series, d.Month()}] = true
	case d.Model == 65 && len(d.Key) == 44: // the month of its note
		w.months[monthOf{"", d.Issuer, d.Series, "20" + d.Key[2:6]}] = true
	}
}

// markMonths marks the months of what a transaction brought.
func (w *Writer) markMonths() error {
	for m := range w.months {
		err := w.exec(`INSERT INTO number_months (serial, issuer, series, month, dirty) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (serial, issuer, series, month) DO UPDATE SET dirty = number_months.dirty + 1`,
			m.serial, m.issuer, m.series, m.month)
		if err != nil {
			return err
		}
	}
	return nil
}

// held is a range of numbers without a gap, both ends included.
type held struct {
	From  int   `json:"f"`
	To    int   `json:"t"`
	Since int64 `json:"s"`           // issue of the first, Unix milliseconds
	Anew  bool  `json:"n,omitempty"` // the numbering began anew with it
	Void  bool  `json:"v,omitempty"` // explained: by a void range, or a test
}

// monthNumbers is what one month holds of a line.
type monthNumbers struct {
	monthOf
	dirty   int64 // version of the mark that it was read under
	held    []held
	doubled int
	first   int // a doubled number
	cents   int64
	days    int
	notes   notes  // of NFC-e
	state   string // code of the state in the last key; "" when there is none
}

// Contents reads of the bytes of documents what the numbers of a line need.
type Contents struct {
	Voided func(raw []byte) (first, last int, ok bool) // of a void range; nil leaves them out
	Sold   func(raw []byte) string                     // what was sold, the same for equal sales; "" for nothing; nil compares none
}

// RefreshNumbers reads the numbers of at most limit months again that changed, sums
// up their lines and marks what is judged by them. It returns how many months it
// read.
func (s *Store) RefreshNumbers(ctx context.Context, now time.Time, limit int, read Contents) (n int, err error) {
	var fresh []monthNumbers
	err = s.View(ctx, All(), func(r *Reader) error {
		fresh, err = all(r, func(s scanner, m *monthNumbers) error {
			return s.Scan(&m.serial, &m.issuer, &m.series, &m.month, &m.dirty, fromJSON(&m.notes))
		}, `SELECT serial, issuer, series, month, dirty, notes FROM number_months WHERE dirty > 0 AND read_at <= $1 ORDER BY read_at LIMIT $2`,
			ms(now.Add(-numbersRest)), limit)
		for i := range fresh {
			if err == nil {
				err = r.readMonth(&fresh[i], read)
			}
		}
		return err
	})
	if err == nil && len(fresh) > 0 {
		err = s.Update(ctx, func(w *Writer) error { return w.setMonths(fresh, now) })
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the numbers of documents again: %w", err)
	}
	return len(fresh), nil
}

// readMonth reads one month of a line.
func (r *Reader) readMonth(m *monthNumbers, read Contents) error {
	from, to, err := (Period{From: m.month, To: m.month}).bounds()
	if err != nil {
		return nil // of a document whose date is none
	}
	where, highest := `serial = $1 AND serial <> '' AND issuer = $2 AND part = ''`, sequence.HighestCFe
	args := []any{m.serial, m.issuer, m.month, ms(from), ms(to)}
	if m.serial == "" {
		where, highest = `issuer = $2 AND series = $1 AND model = 65 AND kind <> '`+kindEvent+`'`, sequence.HighestNFCe
		args[0] = m.series
	}
	line, days, seen := sequence.New(highest), map[time.Time]bool{}, noteBook{}
	_, err = all(r, func(s scanner, _ *struct{}) error {
		var item sequence.Item
		var total string
		var n note
		var zip, sum []byte
		if err := s.Scan(&n.id, &item.Number, at(&item.At), &item.Kind, &total, &n.key, &n.pending, &sum, &zip); err != nil {
			return err
		}
		if len(n.key) == 44 {
			m.state = n.key[:2]
		}
		switch item.Kind {
		case sequence.Sale:
			m.cents += cents(total)
			days[dayOf(item.At)] = true
		case sequence.Test:
			if m.serial == "" {
				return nil // tests of NFC-e have numbers of their own
			}
			m.explain(item.Number, item.Number, item.At)
		case sequence.Void:
			if read.Voided == nil {
				return nil
			}
			raw, err := r.s.unpack(zip, sum)
			if err != nil {
				return err
			}
			if item.Number, item.To, _ = read.Voided(raw); item.To > 0 {
				m.explain(item.Number, item.To, item.At)
			}
		}
		line.Add(item)
		if m.serial == "" && item.Kind == sequence.Sale {
			n.number, n.at, n.cents = item.Number, ms(item.At), cents(total)
			seen.add(n)
		}
		return nil
	}, `SELECT id, number, issued, `+numberedAs+`, total, key, kind = '`+kindUnsettled+`', sha256, CASE WHEN kind = '`+kindVoid+`' THEN body END FROM documents WHERE `+where+`
		AND month = $3 AND best = 1 AND issued >= $4 AND issued < $5 ORDER BY issued, number, id`, args...)
	if err != nil {
		return err
	}
	sum := line.Summary(sequence.Last{})
	m.doubled, m.days = sum.Doubled, len(days)
	if len(sum.Doubles) > 0 {
		m.first = sum.Doubles[0].Number
	}
	for i, run := range sum.Runs {
		m.take(run, i > 0)
	}
	m.notes, err = seen.notes(r, m.notes.Again, read.Sold)
	return err
}

// explain notes numbers that nobody has to look for.
func (m *monthNumbers) explain(from, to int, issued time.Time) {
	if from > 0 {
		m.held = append(m.held, held{From: from, To: to, Since: ms(issued), Void: true})
	}
}

// take notes what a run holds: all but its gaps.
func (m *monthNumbers) take(run sequence.Run, anew bool) {
	next := held{From: run.First, Since: ms(run.Since), Anew: anew}
	put := func(to int) {
		if next.To = to; next.To < next.From { // past the highest number
			last := next
			last.To, next.From, next.Anew = math.MaxInt32, 1, true
			m.held = append(m.held, last)
		}
		m.held = append(m.held, next)
	}
	for _, g := range run.Gaps {
		put(g.From - 1)
		next = held{From: g.To + 1, Since: ms(g.Before)}
	}
	put(run.Last)
}

// cents are those of a decimal with a dot.
func cents(total string) int64 {
	f, err := strconv.ParseFloat(total, 64)
	if err != nil || math.Abs(f) > 1e12 {
		return 0
	}
	return int64(math.Round(100 * f))
}

// dayOf is the midnight in Brasília that a time's day began with.
func dayOf(t time.Time) time.Time {
	zone := time.FixedZone("-03", -3*60*60)
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// setMonths stores months that were read and sums their lines up.
func (w *Writer) setMonths(months []monthNumbers, now time.Time) error {
	lines := map[monthOf]bool{}
	for _, m := range months {
		text, err := asJSON(m.held)
		if err != nil {
			return err
		}
		notes, err := asJSON(m.notes)
		if err != nil {
			return err
		}
		err = w.exec(`UPDATE number_months SET dirty = CASE WHEN dirty = $11 THEN 0 ELSE dirty END, read_at = $5, held = $6, cents = $7,
			days = $8, doubled = $9, doubled_first = $10, notes = $12 WHERE serial = $1 AND issuer = $2 AND series = $3 AND month = $4`,
			m.serial, m.issuer, m.series, m.month, ms(now), text, m.cents, m.days, m.doubled, m.first, m.dirty, notes)
		if err == nil && m.state != "" {
			err = w.exec(`UPDATE establishments SET state = $2 WHERE cnpj = $1 AND state <> $2`, m.issuer, m.state)
		}
		if err != nil {
			return err
		}
		m.month = ""
		lines[m.monthOf] = true
	}
	for l := range lines {
		if err := w.sumUp(l, now); err != nil {
			return err
		}
	}
	return nil
}

// gap is a range of missing numbers.
type gap struct {
	From   int   `json:"f"`
	To     int   `json:"t"`
	Before int64 `json:"b"` // issue of the document above it, Unix milliseconds
	// Used is the first number of it that an event shows to be issued, and Offline tells
	// that that was in contingency.
	Used    int  `json:"u,omitempty"`
	Offline bool `json:"o,omitempty"`
}

// maxGaps is how many gaps of a line are named.
const maxGaps = 20

// recentMonths are those that daily sales are taken from.
const recentMonths = 3

// sumUp makes a line's sum of its months, and marks what is judged by it.
func (w *Writer) sumUp(l monthOf, now time.Time) error {
	months, err := all(&w.Reader, func(s scanner, m *monthNumbers) error {
		return s.Scan(fromJSON(&m.held), &m.doubled, &m.first, &m.cents, &m.days, fromJSON(&m.notes))
	}, `SELECT held, doubled, doubled_first, cents, days, notes FROM number_months WHERE serial = $1 AND issuer = $2 AND series = $3 ORDER BY month`,
		l.serial, l.issuer, l.series)
	if err != nil {
		return err
	}
	gaps, doubled, first := chain(months)
	missing, near := 0, int64(0)
	for _, g := range gaps {
		missing, near = missing+g.To-g.From+1, max(near, g.Before)
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(b.Before, a.Before) })
	gaps = gaps[:min(len(gaps), maxGaps)]
	if err := w.used(l, gaps); err != nil {
		return err
	}
	text, err := asJSON(gaps)
	if err != nil {
		return err
	}
	notes, err := asJSON(sumNotes(months))
	if err != nil {
		return err
	}
	var sold, days int64
	for _, m := range months[max(0, len(months)-recentMonths):] {
		sold, days = sold+m.cents, days+int64(m.days)
	}
	// Missing and doubled numbers count from when they were first found.
	err = w.exec(`INSERT INTO number_lines (serial, issuer, series, missing, missing_since, missing_near, doubled, doubled_since, doubled_first, gaps, daily, notes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $5, $8, $9, $10, $11)
		ON CONFLICT (serial, issuer, series) DO UPDATE SET missing = excluded.missing, missing_near = excluded.missing_near,
		missing_since = CASE WHEN number_lines.missing > 0 THEN number_lines.missing_since ELSE excluded.missing_since END,
		doubled = excluded.doubled, doubled_first = excluded.doubled_first,
		doubled_since = CASE WHEN number_lines.doubled > 0 THEN number_lines.doubled_since ELSE excluded.doubled_since END,
		gaps = excluded.gaps, daily = excluded.daily, notes = excluded.notes`,
		l.serial, l.issuer, l.series, missing, ms(now), near, doubled, first, text, sold/max(1, days), notes)
	if err != nil {
		return err
	}
	if l.serial == "" {
		return w.Mark(alarm.Subject{Kind: alarm.OfShop, ID: l.issuer})
	}
	return w.Mark(alarm.Subject{Kind: alarm.OfDevice, ID: l.serial})
}

// fewOverlaps is how many numbers of a month may be held by earlier ones already: more
// mean that the numbering began anew.
const fewOverlaps = 3

// chain follows the numbers of months in order and finds what is missing between
// them. Doubled are those of the months and of few overlaps between them.
func chain(months []monthNumbers) (gaps []gap, doubled, first int) {
	var run cover
	for _, m := range months {
		doubled += m.doubled
		if first == 0 {
			first = m.first
		}
		overlaps, high, at := 0, 0, 0
		for _, h := range m.held {
			if n, number := run.overlap(h); n > 0 && !h.Void && !h.Anew {
				overlaps, at = overlaps+n, number
			}
			if !h.Void {
				high = max(high, h.To)
			}
		}
		switch {
		case overlaps > fewOverlaps || len(run) > 0 && high > 0 && high < run[0].From:
			gaps, run = append(gaps, run.gaps()...), nil
		case overlaps > 0:
			doubled += overlaps
			if first == 0 {
				first = at
			}
		}
		for _, h := range m.held {
			if h.Anew {
				gaps, run = append(gaps, run.gaps()...), nil
			}
			run.add(h)
		}
	}
	return append(gaps, run.gaps()...), doubled, first
}

// cover are ranges in order that neither overlap nor touch.
type cover []held

// overlap is how many numbers of a range are held already, and the first of them.
func (c cover) overlap(h held) (n, first int) {
	for _, o := range c {
		if from, to := max(h.From, o.From), min(h.To, o.To); from <= to {
			if n == 0 {
				first = from
			}
			n += to - from + 1
		}
	}
	return n, first
}

// add puts a range in.
func (c *cover) add(h held) {
	i := 0
	for i < len(*c) && (*c)[i].To+1 < h.From {
		i++
	}
	end := i
	for end < len(*c) && (*c)[end].From <= h.To+1 {
		if o := (*c)[end]; o.From <= h.From {
			h.From, h.Since = o.From, o.Since
		}
		h.To = max(h.To, (*c)[end].To)
		end++
	}
	*c = slices.Replace(*c, i, end, h)
}

// gaps are the ranges between those held.
func (c cover) gaps() (out []gap) {
	for i := 1; i < len(c); i++ {
		out = append(out, gap{From: c[i-1].To + 1, To: c[i].From - 1, Before: c[i].Since})
	}
	return out
}

// lineFacts are those of the numbers of a device.
//
// Anybody may write any device's number into a document: only those of the device's
// own taxpayers count.
func (r *Reader) lineFacts(of Device, d *alarm.Device) error {
	type line struct {
		missing, doubled, first int
		since, near, doubledAt  time.Time
		gaps                    []gap
		daily                   int64
	}
	lines, err := all(r, func(s scanner, l *line) error {
		return s.Scan(&l.missing, at(&l.since), at(&l.near), &l.doubled, at(&l.doubledAt), &l.first, fromJSON(&l.gaps), &l.daily)
	}, `SELECT missing, missing_since, missing_near, doubled, doubled_since, doubled_first, gaps, daily FROM number_lines
		WHERE serial = $1 AND serial <> '' AND issuer IN ($2, $3) ORDER BY missing_near DESC`, of.Serial, of.Issuer, of.CNPJ)
	for _, l := range lines {
		d.Daily += l.daily
		if l.missing > 0 {
			d.Gaps = d.Gaps.And(alarm.Happening{Count: l.missing, First: l.since, Last: l.near, Example: named(l.gaps)})
		}
		if l.doubled > 0 {
			d.Doubled = d.Doubled.And(alarm.Happening{Count: l.doubled, First: l.doubledAt, Last: l.doubledAt, Example: fmt.Sprintf("%06d", l.first)})
		}
	}
	return err
}

// namedGaps is how many gaps an alarm names.
const namedGaps = 3

// named names the newest gaps.
func named(gaps []gap) string {
	var words []string
	for _, g := range gaps[:min(len(gaps), namedGaps)] {
		if g.From == g.To {
			words = append(words, fmt.Sprintf("%06d", g.From))
		} else {
			words = append(words, fmt.Sprintf("%06d a %06d", g.From, g.To))
		}
	}
	if len(gaps) > namedGaps {
		words = append(words, "e outros")
	}
	return strings.Join(words, ", ")
}
