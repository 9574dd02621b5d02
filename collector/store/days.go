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
	Day       time.Time // midnight in Brasília
	Count     int
	Cents     int64
	Cancelled int // sales of that day that were
}

// salesDays is over how many days sales are told, today among them.
const salesDays = 30

// SalesOfDevice are a device's days up to today, also those without sales, oldest first.
func (r *Reader) SalesOfDevice(serial string, now time.Time) ([]SalesDay, error) {
	args := arguments{serial}
	return r.salesDays(now, `serial = $1 AND serial <> '' AND `+r.ownsThis("sales_days.issuer", &args), args)
}

// Sales are the days up to today of all establishments in sight, also those without
// sales, oldest first. They are nil for who sees none, or more than a thousand: these
// are not added up while somebody waits for a page.
func (r *Reader) Sales(now time.Time) ([]SalesDay, error) {
	args := arguments{}
	places := r.places(&args)
	n, err := one(r, value[int], `SELECT count(*) FROM (SELECT 1`+places+` LIMIT `+strconv.Itoa(manyPlaces+1)+`) AS few`, args...)
	if err != nil || n == 0 || n > manyPlaces {
		return nil, err
	}
	return r.salesDays(now, `issuer IN (SELECT e.cnpj`+places+`)`, args)
}

// salesDays adds up the days of some lines.
func (r *Reader) salesDays(now time.Time, whose string, args arguments) ([]SalesDay, error) {
	today := dayOf(now)
	days := make([]SalesDay, salesDays)
	for i := range days {
		days[i].Day = today.AddDate(0, 0, i+1-salesDays)
	}
	from, to := args.add(ms(days[0].Day)), args.add(ms(today))
	_, err := all(r, func(s scanner, _ *struct{}) error {
		var d SalesDay
		if err := s.Scan(at(&d.Day), &d.Count, &d.Cents, &d.Cancelled); err != nil {
			return err
		}
		sum := &days[int(d.Day.Sub(days[0].Day)/(24*time.Hour))]
		sum.Count, sum.Cents, sum.Cancelled = d.Count, d.Cents, d.Cancelled
		return nil
	}, `SELECT day, sum(sold - cancelled), sum(cents - cancelled_cents), sum(cancelled) FROM sales_days
		WHERE `+whose+` AND day >= `+from+` AND day <= `+to+` GROUP BY day`, args...)
	return days, err
}
