package store

import (
	"context"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/sequence"
)

// Reading is what a device said of itself at one time.
type Reading struct {
	At           time.Time // to the minute
	Block        alarm.Block
	Pending      int       // documents that wait for the tax office
	PendingSince time.Time // first status that told of them; zero when none waits
	LastSent     time.Time
	LastContact  time.Time
	ClockOff     time.Duration // device's clock minus ours
	ClockKnown   bool
}

// How long readings are kept, and how long each of them: of older ones the last of an
// hour stays. One that says nothing new is kept after readingRest.
const (
	readingsKept = 30 * 24 * time.Hour
	readingsFine = 3 * 24 * time.Hour
	readingRest  = time.Hour
)

// pending is how many documents wait, by the numbers of the first and the last of them;
// one when the device does not name both.
func (st Status) pending() int {
	first, last := numberOf(st.PendingFirst), numberOf(st.PendingLast)
	switch {
	case st.PendingFirst == "" && st.PendingLast == "":
		return 0
	case first == 0 || last == 0 || st.PendingFirst[22:31] != st.PendingLast[22:31]:
		return 1
	}
	return (last-first+sequence.HighestCFe)%sequence.HighestCFe + 1
}

const readingColumns = `at, block, pending, pending_since, last_sent, last_contact, clock_off, clock_known`

// addReading keeps a reading when the one before says something else of block or pending
// documents, or is old.
func (w *Writer) addReading(serial string, n Reading) error {
	return w.exec(`INSERT INTO device_readings (serial, `+readingColumns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
		WHERE NOT EXISTS (SELECT 1 FROM device_readings l WHERE l.serial = $1 AND l.block = $3 AND l.pending = $4 AND l.at > $10
			AND l.at = (SELECT max(at) FROM device_readings WHERE serial = $1 AND at <= $2))
		ON CONFLICT (serial, at) DO UPDATE SET block = excluded.block, pending = excluded.pending, pending_since = excluded.pending_since,
			last_sent = excluded.last_sent, last_contact = excluded.last_contact, clock_off = excluded.clock_off, clock_known = excluded.clock_known`,
		serial, ms(n.At.Truncate(time.Minute)), n.Block, n.Pending, ms(n.PendingSince), ms(n.LastSent), ms(n.LastContact),
		n.ClockOff.Milliseconds(), n.ClockKnown, ms(n.At.Add(-readingRest)))
}

// Readings are what a device said since a time, oldest first.
func (r *Reader) Readings(serial string, since time.Time) ([]Reading, error) {
	args := arguments{serial, ms(since)}
	return all(r, func(s scanner, n *Reading) error {
		var off int64
		err := s.Scan(at(&n.At), &n.Block, &n.Pending, at(&n.PendingSince), at(&n.LastSent), at(&n.LastContact), &off, &n.ClockKnown)
		n.ClockOff = time.Duration(off) * time.Millisecond
		return err
	}, `SELECT `+readingColumns+` FROM device_readings WHERE serial = $1 AND at >= $2 AND `+r.ofDevices("serial", &args)+` ORDER BY at`, args...)
}

// devicesAtOnce bounds one transaction that thins readings.
const devicesAtOnce = 200

// thinReadings gives up readings that are past their time, and of older ones all but the
// last of each hour.
func (s *Store) thinReadings(ctx context.Context, now time.Time) error {
	for last := ""; ; {
		var serials []string
		err := s.Update(ctx, func(w *Writer) (err error) {
			serials, err = all(&w.Reader, value[string], `SELECT serial FROM devices WHERE serial > $1 ORDER BY serial LIMIT $2`, last, devicesAtOnce)
			if err != nil || len(serials) == 0 {
				return err
			}
			return w.exec(`DELETE FROM device_readings WHERE serial > $1 AND serial <= $2 AND (at < $3 OR at < $4 AND EXISTS
				(SELECT 1 FROM device_readings l WHERE l.serial = device_readings.serial AND l.at > device_readings.at
				AND l.at < (device_readings.at / 3600000 + 1) * 3600000))`,
				last, serials[len(serials)-1], ms(now.Add(-readingsKept)), ms(now.Add(-readingsFine)))
		})
		if err != nil || len(serials) == 0 {
			return err
		}
		last = serials[len(serials)-1]
	}
}
