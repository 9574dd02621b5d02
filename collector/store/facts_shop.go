package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"zelo/collector/alarm"
)

// numberAt is a number with when a note of it was issued, in Unix milliseconds.
type numberAt struct {
	Number int   `json:"n"`
	At     int64 `json:"a"`
}

// notes are numbers of NFC-e that need a look.
type notes struct {
	Unknown []numberAt `json:"u,omitempty"` // issued on-line, and no answer of the tax office is here
	Twins   []numberAt `json:"t,omitempty"` // issued on-line and off-line, and neither is cancelled
	Again   []again    `json:"a,omitempty"` // see alarm.Again
}

// again is a note that repeats another, with times in Unix milliseconds.
type again struct {
	numberAt       // the second
	First    int   `json:"f"`
	FirstAt  int64 `json:"b"`
	Offline  bool  `json:"o,omitempty"`
}

// maxNotes is how many of each are kept of a month, and of a line: the newest.
const maxNotes = 100

// note is one note as its number is looked at.
type note struct {
	id      int64
	number  int
	key     string
	at      int64
	cents   int64
	pending bool // without protocol
}

// onLine tells how it was issued: tpEmis, the 35th character of its key (dossier on
// NFC-e, 2). Others than 1 and 9 do not occur in ordinary NFC-e.
func (n note) onLine() bool  { return len(n.key) == 44 && n.key[34] == '1' }
func (n note) offLine() bool { return len(n.key) == 44 && n.key[34] == '9' }

// noteBook are the notes of each number.
type noteBook map[int][]note

func (b noteBook) add(n note) { b[n.number] = append(b[n.number], n) }

// settled tells whether an on-line note of a number was authorised.
func (b noteBook) settled(number int) bool {
	return slices.ContainsFunc(b[number], func(n note) bool { return n.onLine() && !n.pending })
}

// notes finds the numbers that need a look. A note without an answer was refused when
// another of its number and kind of issue was authorised. Known are pairs found before.
func (b noteBook) notes(r *Reader, known []again, sold func([]byte) string) (out notes, err error) {
	if out.Again, err = b.repeated(r, known, sold); err != nil {
		return out, err
	}
	for _, number := range slices.Sorted(maps.Keys(b)) {
		list := b[number]
		on, settled := slices.IndexFunc(list, note.onLine), b.settled(number)
		off := slices.IndexFunc(list, note.offLine)
		switch {
		case on >= 0 && off >= 0:
			cancelled, err := r.cancelled(list)
			if err != nil {
				return out, err
			}
			if !cancelled {
				out.Twins = append(out.Twins, numberAt{number, list[max(on, off)].at})
			}
		case on >= 0 && !settled:
			out.Unknown = append(out.Unknown, numberAt{number, list[on].at})
		}
	}
	return out.newest(), nil
}

// cancelled tells whether one of some notes is cancelled.
func (r *Reader) cancelled(list []note) (yes bool, err error) {
	for _, n := range list {
		if err == nil && !yes {
			err = r.get(into{&yes}, `SELECT EXISTS (SELECT 1 FROM documents WHERE cancels = $1 AND cancels <> '' AND best = 1)`, n.key)
		}
	}
	return yes, err
}

// newest keeps the newest of each, in the order of when they were issued.
func (n notes) newest() notes {
	for _, list := range []*[]numberAt{&n.Unknown, &n.Twins} {
		slices.SortFunc(*list, func(a, b numberAt) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Number, b.Number)) })
		*list = (*list)[max(0, len(*list)-maxNotes):]
	}
	slices.SortFunc(n.Again, func(a, b again) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Number, b.Number)) })
	n.Again = n.Again[max(0, len(n.Again)-maxNotes):]
	return n
}

// sumNotes puts the notes of months together. What was declared unused has its answer.
func sumNotes(months []monthNumbers) (out notes) {
	void := func(n numberAt) bool {
		return slices.ContainsFunc(months, func(m monthNumbers) bool {
			return slices.ContainsFunc(m.held, func(h held) bool { return h.Void && h.From <= n.Number && n.Number <= h.To })
		})
	}
	for _, m := range months {
		out.Unknown = append(out.Unknown, slices.DeleteFunc(m.notes.Unknown, void)...)
		out.Twins = append(out.Twins, m.notes.Twins...)
		out.Again = append(out.Again, slices.DeleteFunc(m.notes.Again, func(a again) bool { return void(a.numberAt) || void(numberAt{Number: a.First}) })...)
	}
	return out.newest()
}

// used notes of gaps of NFC-e which number an event shows to be issued.
func (w *Writer) used(l monthOf, gaps []gap) error {
	for i := range gaps {
		g := &gaps[i]
		if l.serial != "" {
			return nil
		}
		var how string
		err := w.get(into{&g.Used, &how}, `SELECT number, substr(key, 35, 1) FROM documents WHERE issuer = $1 AND series = $2 AND number >= $3 AND number <= $4
			AND best = 1 AND model = 65 AND kind = '`+kindEvent+`' AND test = 0 ORDER BY number LIMIT 1`, l.issuer, l.series, g.From, g.To)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		g.Offline = how == "9"
	}
	return nil
}

// happeningOf are the numbers of a series as a happening, which names the newest.
func happeningOf(list []numberAt, series string) (h alarm.Happening) {
	for _, n := range list {
		at := time.UnixMilli(n.At)
		h = alarm.Happening{Count: 1, First: at, Last: at, Example: fmt.Sprintf("série %s, nº %d", series, n.Number)}.And(h)
	}
	return h
}

// shopFacts are those of an establishment's NFC-e.
func (r *Reader) shopFacts(f *alarm.Facts) error {
	f.Shop = &alarm.Shop{}
	type series struct {
		name  string
		gaps  []gap
		notes notes
	}
	lines, err := all(r, func(s scanner, l *series) error { return s.Scan(&l.name, fromJSON(&l.gaps), fromJSON(&l.notes)) },
		`SELECT series, gaps, notes FROM number_lines WHERE issuer = $1 AND serial = '' ORDER BY series`, f.Subject.ID)
	if err != nil {
		return err
	}
	for _, l := range lines {
		for _, g := range l.gaps {
			f.Shop.Gaps = append(f.Shop.Gaps, alarm.SeriesGap{Series: l.name, From: g.From, To: g.To, Before: time.UnixMilli(g.Before),
				Used: g.Used, Offline: g.Offline})
		}
		f.Shop.Unknown = f.Shop.Unknown.And(happeningOf(l.notes.Unknown, l.name))
		f.Shop.Twins = f.Shop.Twins.And(happeningOf(l.notes.Twins, l.name))
		for _, a := range l.notes.Again {
			f.Shop.Again = append(f.Shop.Again, alarm.Again{Series: l.name, First: a.First, Second: a.Number, At: time.UnixMilli(a.At),
				After: time.Duration(a.At-a.FirstAt) * time.Millisecond, Offline: a.Offline})
		}
	}
	var state string
	err = r.get(into{&state}, `SELECT state FROM establishments WHERE cnpj = $1`, f.Subject.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	f.Shop.State = alarm.StateOf(state)
	// An off-line note has tpEmis 9, the 35th character of its key (dossier on NFC-e, 2).
	f.Shop.Unsettled, err = r.happening("documents", "issued", "key",
		"issuer = $1 AND kind = '"+kindUnsettled+"' AND best = 1 AND model = 65 AND environment <> 2 AND substr(key, 35, 1) = '9'", f.Subject.ID)
	return err
}

// kindUnsettled is the kind of a note without its protocol, as sat/cfe names it.
const kindUnsettled = "nota-pendente"
