package store

import (
	"encoding/json"
	"time"
)

// Told is one thing as an agent told it last.
type Told[T any] struct {
	Key  string // that of its Thing
	At   time.Time
	Body T
}

// Inventory is what an agent told of its computer and of the sales of its tills.
type Inventory struct {
	Computer     Told[Computer] // these two: zero At before it told
	Health       Told[Health]
	Disks        []Told[Disk]
	Certificates []Told[CompanyCertificate]
	Remote       []Told[Remote]
	Libraries    []Told[Library] // of programs, by their names; "" stands for all that run
	Days         []TillDay       // of the last 14 days, newest first
}

// Inventory returns what an agent told of its computer. ErrNotFound: the agent is none
// of the reader's own, even if it serves them.
func (r *Reader) Inventory(agent string, now time.Time) (v Inventory, err error) {
	if _, err := r.Agent(agent); err != nil {
		return v, err
	}
	rows, err := all(r, func(s scanner, t *Told[row]) error { return s.Scan(&t.Body.what, &t.Key, at(&t.At), &t.Body.text) },
		`SELECT what, key, at, body FROM inventory WHERE agent = $1 AND gone = 0 ORDER BY what, key`, agent)
	if err != nil {
		return v, err
	}
	for _, t := range rows {
		switch t.Body.what {
		case WhatComputer:
			v.Computer, err = toldOf[Computer](t)
		case WhatHealth:
			v.Health, err = toldOf[Health](t)
		case WhatDisk:
			v.Disks, err = appendTold(v.Disks, t)
		case WhatCertificate:
			v.Certificates, err = appendTold(v.Certificates, t)
		case WhatRemote:
			v.Remote, err = appendTold(v.Remote, t)
		case WhatLibrary:
			v.Libraries, err = appendTold(v.Libraries, t)
		}
		if err != nil {
			return v, err
		}
	}
	v.Days, err = all(r, scanTillDay, `SELECT `+tillDayColumns+` FROM till_days WHERE agent = $1 AND day >= $2 ORDER BY day DESC, till`,
		agent, ms(dayOf(now).AddDate(0, 0, -normalDays)))
	return v, err
}

// row is one thing before it is known what it is.
type row struct{ what, text string }

func toldOf[T any](t Told[row]) (Told[T], error) {
	out := Told[T]{Key: t.Key, At: t.At}
	return out, json.Unmarshal([]byte(t.Body.text), &out.Body)
}

func appendTold[T any](list []Told[T], t Told[row]) ([]Told[T], error) {
	one, err := toldOf[T](t)
	return append(list, one), err
}

const tillDayColumns = `agent, till, day, sold, rejected, code, median, p95, longest`

func scanTillDay(s scanner, d *TillDay) error {
	var median, p95, longest int64
	err := s.Scan(&d.Agent, &d.Till, at(&d.Day), &d.Sold, &d.Rejected, &d.Code, &median, &p95, &longest)
	d.Median, d.P95, d.Longest = time.Duration(median)*time.Millisecond, time.Duration(p95)*time.Millisecond, time.Duration(longest)*time.Millisecond
	return err
}
