package store

import (
	"errors"
	"strings"
	"time"
)

// What was sold is summed by day, and how much is archived by issuer, in the transaction
// that shows a document or shows it no longer: no page counts documents. Cancellations
// may come before what they cancel, so they are listed apart, by what they cancel.

// lineDay is one day of what a taxpayer sells with a device; serial is "" without one.
type lineDay struct {
	issuer, serial string
	day            int64 // its midnight in Brasília
}

// saleOf names a sale.
type saleOf struct{ issuer, key string }

// sale is a sale that a transaction shows, or with change -1 shows no longer.
type sale struct {
	saleOf
	lineDay
	cents, change int64
}

// daySum is what a day changes by.
type daySum struct{ sold, cents, cancelled, cancelledCents int64 }

// holding is how much of an issuer is archived.
type holding struct{ documents, versions int }

// sums are what one transaction changes.
type sums struct {
	sales   []sale
	cancels map[saleOf]int // how many more documents cancel a sale
	held    map[string]holding
}

func newSums() sums { return sums{cancels: map[saleOf]int{}, held: map[string]holding{}} }

// hold notes that so many more documents of an issuer are shown, and versions kept.
func (s *sums) hold(issuer string, documents, versions int) {
	h := s.held[issuer]
	s.held[issuer] = holding{h.documents + documents, h.versions + versions}
}

// show notes that a document is shown from now on, or, with -1, not any more.
func (s *sums) show(d Document, change int) {
	s.hold(d.Issuer, change, 0)
	if d.Cancels != "" {
		s.cancels[saleOf{d.Issuer, d.Cancels}] += change
	}
	if d.sale() {
		s.sales = append(s.sales, sale{saleOf{d.Issuer, d.Key}, lineDay{d.Issuer, d.Serial, salesDay(d.Issued)}, cents(d.Total), int64(change)})
	}
}

// sale tells whether the document is one, and not a test.
func (d Document) sale() bool {
	return d.Part == "" && !d.Test && d.Kind != kindCancellation && d.Kind != kindVoid
}

// Milliseconds of a day, and those by which days in Brasília begin later than in UTC.
const (
	dayLong        = 24 * 60 * 60 * 1000
	brasiliaBehind = 3 * 60 * 60 * 1000
)

// salesDay is the midnight in Brasília of a day of sales, reckoned as migrations do.
func salesDay(t time.Time) int64 { return (ms(t)-brasiliaBehind)/dayLong*dayLong + brasiliaBehind }

// writeSums adds to the sums what the transaction changed. Sales are told by what was
// cancelled before it, then cancellations by the sales that are there after it.
func (w *Writer) writeSums() error {
	cancelled, err := w.cancelledOf(w.sums.sales)
	if err != nil {
		return err
	}
	days := map[lineDay]daySum{}
	for _, s := range w.sums.sales {
		sum := days[s.lineDay]
		sum.sold, sum.cents = sum.sold+s.change, sum.cents+s.change*s.cents
		if cancelled[s.saleOf] {
			sum.cancelled, sum.cancelledCents = sum.cancelled+s.change, sum.cancelledCents+s.change*s.cents
		}
		days[s.lineDay] = sum
	}
	for of, change := range w.sums.cancels {
		if change != 0 {
			if err := w.cancel(of, change, days); err != nil {
				return err
			}
		}
	}
	for line, sum := range days {
		if err := w.addToDay(line, sum); err != nil {
			return err
		}
	}
	for issuer, h := range w.sums.held {
		err := w.exec(`INSERT INTO archived (issuer, documents, versions) VALUES ($1, $2, $3) ON CONFLICT (issuer) DO UPDATE SET
			documents = archived.documents + excluded.documents, versions = archived.versions + excluded.versions`, issuer, h.documents, h.versions)
		if err != nil {
			return err
		}
	}
	return nil
}

// askedAtOnce is how many sales one query asks for.
const askedAtOnce = 64

// cancelledOf are those of some sales of which a cancellation was there already.
func (w *Writer) cancelledOf(sales []sale) (map[saleOf]bool, error) {
	found := map[saleOf]bool{}
	for len(sales) > 0 {
		n := min(len(sales), askedAtOnce)
		args, places := arguments{}, make([]string, n)
		for i, s := range sales[:n] {
			places[i] = args.add(s.key)
		}
		list, err := all(&w.Reader, func(s scanner, of *saleOf) error { return s.Scan(&of.issuer, &of.key) },
			`SELECT issuer, key FROM cancelled WHERE key IN (`+strings.Join(places, ", ")+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, of := range list {
			found[of] = true
		}
		sales = sales[n:]
	}
	return found, nil
}

// cancel notes that so many more documents cancel a sale. When these are its first, or
// its last are gone, its day changes.
func (w *Writer) cancel(of saleOf, change int, days map[lineDay]daySum) error {
	var times int
	err := w.get(into{&times}, `INSERT INTO cancelled (key, issuer, times) VALUES ($1, $2, $3)
		ON CONFLICT (key, issuer) DO UPDATE SET times = cancelled.times + excluded.times RETURNING times`, of.key, of.issuer, change)
	if err == nil && times <= 0 {
		err = w.exec(`DELETE FROM cancelled WHERE key = $1 AND issuer = $2`, of.key, of.issuer)
	}
	before := times - change
	if err != nil || (times > 0) == (before > 0) {
		return err
	}
	d, err := one(&w.Reader, scanDocument, `SELECT `+documentColumns+` FROM documents
		WHERE key = $1 AND part = '' AND issuer = $2 AND best = 1 AND `+w.tx.about(of.key), of.key, of.issuer)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !d.sale() {
		return err
	}
	line, more := lineDay{d.Issuer, d.Serial, salesDay(d.Issued)}, int64(1)
	if times <= 0 {
		more = -1
	}
	sum := days[line]
	sum.cancelled, sum.cancelledCents = sum.cancelled+more, sum.cancelledCents+more*cents(d.Total)
	days[line] = sum
	return nil
}

// addToDay adds to what is told of a day, which goes when nothing is left of it.
func (w *Writer) addToDay(line lineDay, sum daySum) error {
	err := w.exec(`INSERT INTO sales_days (issuer, day, serial, sold, cents, cancelled, cancelled_cents) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (issuer, day, serial) DO UPDATE SET sold = sales_days.sold + excluded.sold, cents = sales_days.cents + excluded.cents,
		cancelled = sales_days.cancelled + excluded.cancelled, cancelled_cents = sales_days.cancelled_cents + excluded.cancelled_cents`,
		line.issuer, line.day, line.serial, sum.sold, sum.cents, sum.cancelled, sum.cancelledCents)
	if err == nil && sum.sold < 0 {
		err = w.exec(`DELETE FROM sales_days WHERE issuer = $1 AND day = $2 AND serial = $3 AND sold = 0`, line.issuer, line.day, line.serial)
	}
	return err
}
