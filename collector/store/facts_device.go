package store

import (
	"errors"
	"strconv"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/sequence"
)

// setParts stores what a status says of a device's parts, with since when, and the
// day's memory.
func (w *Writer) setParts(serial string, st Status, told time.Time) error {
	none := int64(0)
	if st.NoNetwork {
		none = ms(told)
	}
	ahead, err := w.aheadSince(serial, st.LastKey, told)
	if err != nil {
		return err
	}
	err = w.exec(`INSERT INTO device_parts (serial, battery, battery_since, no_network, ahead_since) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (serial) DO UPDATE SET ahead_since = excluded.ahead_since,
		battery_since = CASE WHEN excluded.battery = device_parts.battery THEN device_parts.battery_since ELSE excluded.battery_since END,
		battery = excluded.battery,
		no_network = CASE WHEN excluded.no_network > 0 AND device_parts.no_network > 0 THEN device_parts.no_network ELSE excluded.no_network END`,
		serial, st.Battery, ms(told), none, ms(ahead))
	if err == nil && st.Memory >= 0 {
		err = w.exec(`INSERT INTO device_days (serial, day, memory) VALUES ($1, $2, $3)
			ON CONFLICT (serial, day) DO UPDATE SET memory = excluded.memory`, serial, ms(dayOf(told)), st.Memory)
	}
	if err == nil && st.Software != "" {
		err = w.exec(`INSERT INTO versions (model, version, first_at) SELECT name, $2, $3 FROM devices WHERE serial = $1 AND name <> ''
			ON CONFLICT (model, version) DO NOTHING`, serial, st.Software, ms(told))
	}
	return err
}

// heldKey tells of an access key, in SQL, whether its document is held.
func heldKey(key string) string {
	return `EXISTS (SELECT 1 FROM documents h WHERE h.key = ` + key + ` AND h.key <> '' AND h.part = '' AND h.best = 1 AND h.issuer = substr(h.key, 7, 14))`
}

// aheadSince is since when a device, which now names a key as its last, goes on past the
// documents held; zero when it does not. Its status is not stored yet.
func (w *Writer) aheadSince(serial, lastKey string, told time.Time) (since time.Time, err error) {
	var held, before bool
	err = w.get(into{&held, &before, at(&since)}, `SELECT `+heldKey("$2")+`, `+heldKey("d.last_key")+`, coalesce(p.ahead_since, 0)
		FROM devices d LEFT JOIN device_parts p ON p.serial = d.serial WHERE d.serial = $1`, serial, lastKey)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return since, err
	case held || numberOf(lastKey) == 0:
		return time.Time{}, nil
	case before || since.IsZero():
		return told, nil
	}
	return since, nil
}

// IssuedOutside notes a document of the direct bridge.
func (w *Writer) IssuedOutside(serial, key string, issued time.Time) error {
	return w.exec(`INSERT INTO device_days (serial, day, outside, outside_last, outside_key) VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (serial, day) DO UPDATE SET outside = device_days.outside + 1,
		outside_key = CASE WHEN excluded.outside_last >= device_days.outside_last THEN excluded.outside_key ELSE device_days.outside_key END,
		outside_last = CASE WHEN excluded.outside_last >= device_days.outside_last THEN excluded.outside_last ELSE device_days.outside_last END`,
		serial, ms(dayOf(issued)), ms(issued), key)
}

// trendDays is how far back a trend is looked for.
const trendDays = 30

// dayFacts are those of a device's last days.
func (r *Reader) dayFacts(serial string, d *alarm.Device) error {
	type day struct {
		day, last time.Time
		memory    float64
		outside   int
		key       string
	}
	days, err := all(r, func(s scanner, v *day) error {
		return s.Scan(at(&v.day), &v.memory, &v.outside, at(&v.last), &v.key)
	}, `SELECT day, memory, outside, outside_last, outside_key FROM device_days WHERE serial = $1 ORDER BY day DESC LIMIT `+strconv.Itoa(trendDays), serial)
	for i := len(days) - 1; i >= 0; i-- {
		v := days[i]
		if v.memory >= 0 {
			d.Memories = append(d.Memories, alarm.Point{At: v.day, Value: v.memory})
		}
		if v.outside > 0 {
			d.Direct = alarm.Happening{Count: v.outside, First: v.last, Last: v.last, Example: v.key}.And(d.Direct)
		}
	}
	return err
}

// partFacts are those of a device's parts, its stage, and of those beside it.
func (r *Reader) partFacts(of Device, d *alarm.Device) error {
	err := r.get(into{&d.Battery, at(&d.BatterySince), at(&d.NoNetwork), at(&d.Ahead.First)},
		`SELECT battery, battery_since, no_network, ahead_since FROM device_parts WHERE serial = $1`, of.Serial)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	stage, err := r.Stage(of.Serial)
	if err != nil {
		return err
	}
	d.Stage, d.StageSince = stage.Stage, stage.At
	if of.Name != "" && of.Status.Software != "" {
		if d.Newest, d.NewestSince, err = r.newest(of.Name, `devices v WHERE v.name = n.model AND v.software = n.version`); err != nil {
			return err
		}
	}
	if d.Silent.IsZero() || of.CNPJ == "" {
		return nil
	}
	err = r.get(into{&d.OtherSells}, `SELECT EXISTS (SELECT 1 FROM devices o WHERE o.cnpj = $1 AND o.serial <> $2 AND o.agent <> ''
		AND o.silent_since = 0 AND o.block = 0 AND o.status_at > 0)`, of.CNPJ, of.Serial)
	return err
}

// newest is the newest version of a model that at least two have, and since when it is
// in use. One alone may be a trial, or a lie.
func (r *Reader) newest(model, holders string) (version string, since time.Time, err error) {
	type used struct {
		version string
		since   time.Time
	}
	list, err := all(r, func(s scanner, u *used) error { return s.Scan(&u.version, at(&u.since)) },
		`SELECT n.version, n.first_at FROM versions n WHERE n.model = $1 AND
		(SELECT count(*) FROM (SELECT 1 FROM `+holders+` LIMIT 2) few) = 2`, model)
	var names []string
	for _, u := range list {
		names = append(names, u.version)
	}
	version = alarm.Newest(names)
	for _, u := range list {
		if u.version == version {
			since = u.since
		}
	}
	return version, since, err
}

// aheadFacts are the numbers past the last held that a device names, whose line began to
// lie behind at Ahead.First.
func (r *Reader) aheadFacts(of Device, d *alarm.Device) error {
	issuer, last := of.LastNumber()
	since := d.Ahead.First
	d.Ahead = alarm.Happening{}
	if since.IsZero() || last.Number == 0 || issuer != of.Issuer && issuer != of.CNPJ {
		return nil
	}
	var held bool
	if err := r.get(into{&held}, `SELECT `+heldKey("$1"), of.Status.LastKey); err != nil || held {
		return err
	}
	newest, err := all(r, value[int], `SELECT number FROM documents WHERE serial = $1 AND serial <> '' AND issuer = $2 AND best = 1 AND part = ''
		ORDER BY issued DESC, number DESC LIMIT `+strconv.Itoa(newestLooked), of.Serial, issuer)
	missing := sequence.HighestCFe
	for _, number := range newest {
		n := (last.Number - number + sequence.HighestCFe) % sequence.HighestCFe
		if n > sequence.HighestCFe/2 {
			return err // it speaks of a number before one held
		}
		missing = min(missing, n)
	}
	if len(newest) == 0 || missing == 0 {
		return err
	}
	from := last.Number - missing + 1
	if from < 1 {
		from += sequence.HighestCFe
	}
	d.Ahead = alarm.Happening{Count: missing, First: since, Last: last.At, Example: named([]gap{{From: from, To: last.Number}})}
	return err
}

// newestLooked is how many of the newest documents are looked at for the last number
// held: a device's clock that was set mixes a few.
const newestLooked = 8
