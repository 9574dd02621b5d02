package api

import (
	"context"
	"slices"
	"time"

	"zelo/collector/export"
	"zelo/collector/sequence"
	"zelo/collector/store"
)

// Numbering is what is known of the numbers of one device, or of one series.
type Numbering struct {
	Device Device // its serial number is "" for a series
	Series string // of NFC-e; "" for a device
	Lines  []Line // one per taxpayer, the one that issued last first; none without documents
}

// Line is the numbering of one taxpayer.
type Line struct {
	sequence.Summary
	CNPJ    string
	Doubles []Doubled
}

// Doubled is one number with the documents that have it.
type Doubled struct {
	Number    int
	Documents []Listed
}

// Names of what numberings hold, for callers that know this package alone.
type (
	// Gap is a range of missing numbers.
	Gap = sequence.Gap
	// Run is a stretch of rising numbers.
	Run = sequence.Run
)

// How sure the end of a numbering is.
const (
	EndOpen      = sequence.Open
	EndConfirmed = sequence.Confirmed
	EndShort     = sequence.Short
)

// until is when the last document held was issued.
func (l Line) until() (t time.Time) {
	for _, r := range l.Runs {
		t = r.Until
	}
	return t
}

// State is fine when all numbers are here and the device says that there are no more.
func (l Line) State() State {
	switch {
	case l.Doubled > 0:
		return Critical
	case l.Missing > 0:
		return Warning
	case l.End == EndConfirmed:
		return Fine
	}
	return Notice
}

// NumberingOf follows all numbers of one device, from its documents and the last key
// of its status.
func (a *API) NumberingOf(ctx context.Context, c Caller, serial string) (n Numbering, err error) {
	err = a.view(ctx, c, opNumbersOfDevice, func(r *store.Reader) error {
		if n.Device, err = r.Device(serial); err != nil {
			return err
		}
		issuer, last := n.Device.LastNumber()
		lines, err := sequence.Of(r.NumbersOfDevice(serial), sequence.HighestCFe, map[string]sequence.Last{issuer: last})
		if err != nil {
			return err
		}
		n.Lines, err = linesOf(r, lines)
		return err
	})
	return n, err
}

// NumberingOfSeries follows all numbers of one NFC-e series of one taxpayer. Nothing
// says which note was the last.
func (a *API) NumberingOfSeries(ctx context.Context, c Caller, cnpj, series string) (n Numbering, err error) {
	n.Series = series
	err = a.view(ctx, c, opNumbersOfSeries, func(r *store.Reader) error {
		lines, err := sequence.Of(r.NumbersOfSeries(store.Series{Issuer: cnpj, Series: series}, export.Voided), sequence.HighestNFCe, nil)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			return ErrNotFound
		}
		lines[0].Line = cnpj
		n.Lines, err = linesOf(r, lines)
		return err
	})
	return n, err
}

func linesOf(r *store.Reader, lines []sequence.Summary) (out []Line, err error) {
	for _, s := range lines {
		l := Line{Summary: s, CNPJ: s.Line}
		for _, d := range s.Doubles {
			var documents []store.Document
			for _, item := range d.Items {
				one, err := r.Document(item.ID)
				if err != nil {
					return nil, err
				}
				documents = append(documents, one)
			}
			doubled := Doubled{Number: d.Number}
			if doubled.Documents, err = listAll(r, documents); err != nil {
				return nil, err
			}
			l.Doubles = append(l.Doubles, doubled)
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Line) int { return b.until().Compare(a.until()) })
	return out, nil
}
