package store

import (
	"slices"
	"strconv"
	"time"
)

// MemoryDay is what a device last said on one day of its memory.
type MemoryDay struct {
	Day  time.Time // midnight in Brasília
	Used float64   // fraction, 0 to 1
}

// MemoryDays are the newest days of which a device's memory is known, oldest first, at
// most thirty.
func (r *Reader) MemoryDays(serial string) ([]MemoryDay, error) {
	args := arguments{serial}
	days, err := all(r, func(s scanner, d *MemoryDay) error { return s.Scan(at(&d.Day), &d.Used) },
		`SELECT day, memory FROM device_days WHERE serial = $1 AND memory >= 0 AND `+r.ofDevices("serial", &args)+
			` ORDER BY day DESC LIMIT `+strconv.Itoa(trendDays), args...)
	slices.Reverse(days)
	return days, err
}

// SalesDay is what was sold on one day. What was cancelled, and tests, do not count.
type SalesDay struct {
	Day   time.Time // midnight in Brasília
	Count int
	Cents int64
}

// salesDays is over how many days sales are told, today among them.
const salesDays = 30

// SalesOfDevice are a device's days up to today, also those without sales, oldest first.
func (r *Reader) SalesOfDevice(serial string, now time.Time) ([]SalesDay, error) {
	args := arguments{serial, ms(salesFrom(now)), ms(now)}
	return r.salesDays(now, `serial = $1 AND serial <> ''`, args)
}

// Sales are the days up to today of all establishments in sight, also those without
// sales, oldest first. They are nil for who sees none, or more than sixteen: these are
// not counted while somebody waits for a page.
func (r *Reader) Sales(now time.Time) ([]SalesDay, error) {
	of := arguments{}
	places, err := all(r, value[string], `SELECT e.cnpj`+r.places(&of)+` ORDER BY e.cnpj LIMIT `+strconv.Itoa(fewPlaces+1), of...)
	if err != nil || len(places) > fewPlaces {
		return nil, err
	}
	var sum []SalesDay
	for _, cnpj := range places {
		days, err := r.salesDays(now, `issuer = $1`, arguments{cnpj, ms(salesFrom(now)), ms(now)})
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = days
			continue
		}
		for i, d := range days {
			sum[i].Count, sum[i].Cents = sum[i].Count+d.Count, sum[i].Cents+d.Cents
		}
	}
	return sum, nil
}

func salesFrom(now time.Time) time.Time { return dayOf(now).AddDate(0, 0, 1-salesDays) }

// salesDays counts what was issued from $2 to $3 by whose says $1. Equal totals of a day
// come as one row: a decimal is not a number to every engine.
func (r *Reader) salesDays(now time.Time, whose string, args arguments) ([]SalesDay, error) {
	from := salesFrom(now)
	days := make([]SalesDay, salesDays)
	for i := range days {
		days[i].Day = from.AddDate(0, 0, i)
	}
	where := whose + ` AND best = 1 AND issued >= $2 AND issued <= $3`
	_, err := all(r, func(s scanner, _ *struct{}) error {
		var day, count int64
		var total string
		if err := s.Scan(&day, &total, &count); err != nil {
			return err
		}
		d := &days[day-(ms(from)-brasiliaBehind)/dayLong]
		d.Count, d.Cents = d.Count+int(count), d.Cents+count*cents(total)
		return nil
	}, `SELECT (issued - `+strconv.Itoa(brasiliaBehind)+`) / `+strconv.Itoa(dayLong)+`, total, count(*) FROM documents
		WHERE `+where+` AND part = '' AND `+numberedAs+` = 0 AND `+r.ownsThis("documents.issuer", &args)+`
		AND key NOT IN (SELECT cancels FROM documents WHERE `+where+` AND cancels <> '') GROUP BY 1, 2`, args...)
	return days, err
}

// Milliseconds of a day, and those by which days in Brasília begin later than in UTC.
const (
	dayLong        = 24 * 60 * 60 * 1000
	brasiliaBehind = 3 * 60 * 60 * 1000
)
