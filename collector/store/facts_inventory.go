package store

import (
	"errors"
	"slices"
	"time"

	"zelo/collector/alarm"
)

// The things that inventories tell of, as the wire names them.
const (
	WhatComputer    = "computer"
	WhatDisk        = "disk"
	WhatCertificate = "certificate"
	WhatLibrary     = "library"
	WhatOutside     = "outside"
	WhatHealth      = "health"
	WhatRemote      = "remote"
)

// Thing is the last that an agent told of one thing.
type Thing struct {
	What, Key string
	Gone      bool
	Body      any // written as JSON: one of the types of inventory below, or what else is kept for people
}

// What the bodies of things hold that rules look at.
type (
	// Computer is of WhatComputer.
	Computer struct {
		System      string `json:"system,omitempty"`
		Booted      int64  `json:"booted,omitempty"` // Unix milliseconds
		MemoryTotal int64  `json:"memory,omitempty"`
		MemoryFree  int64  `json:"free,omitempty"`
		Antivirus   string `json:"antivirus,omitempty"`
		AntivirusBy string `json:"antivirusBy,omitempty"`
		ClockSynced int    `json:"clockSynced,omitempty"`
		USBErrors   int    `json:"usbErrors,omitempty"`
		USBLast     string `json:"usbLast,omitempty"`
	}
	// Disk is of WhatDisk.
	Disk struct {
		Total int64 `json:"total"`
		Free  int64 `json:"free"`
		Own   bool  `json:"own,omitempty"`
	}
	// CompanyCertificate is of WhatCertificate.
	CompanyCertificate struct {
		Holder string   `json:"holder"`
		CNPJ   string   `json:"cnpj"`
		Type   string   `json:"type,omitempty"`
		From   int64    `json:"from,omitempty"` // Unix milliseconds
		Until  int64    `json:"until"`
		Places []string `json:"places,omitempty"`
		InUse  bool     `json:"inUse,omitempty"`
		Issuer string   `json:"issuer,omitempty"`
		HasKey bool     `json:"hasKey,omitempty"`
	}
	// Library is of WhatLibrary.
	Library struct {
		Makers bool   `json:"makers"`
		Path   string `json:"path,omitempty"`
		Since  int64  `json:"since,omitempty"` // Unix milliseconds
		Unseen string `json:"unseen,omitempty"`
	}
	// Outside is of WhatOutside.
	Outside struct {
		Direct  int    `json:"direct,omitempty"` // calls of the direct bridge: their documents are told one by one
		Foreign int    `json:"foreign,omitempty"`
		First   int64  `json:"first,omitempty"` // Unix milliseconds
		Last    int64  `json:"last,omitempty"`
		LastKey string `json:"lastKey,omitempty"`
	}
	// Remote is of WhatRemote.
	Remote struct {
		ID      string `json:"id"`
		Version string `json:"version,omitempty"`
	}
	// Health is of WhatHealth.
	Health struct {
		Memory     int64 `json:"memory,omitempty"`
		Goroutines int   `json:"goroutines,omitempty"`
		Restarts   int   `json:"restarts,omitempty"`
		Panics     int   `json:"panics,omitempty"`
	}
)

// SetThing stores what a record told of one thing, unless a later record told of it:
// they order by their place in the stream, never by a clock.
func (w *Writer) SetThing(t Thing, rec Record) error {
	stream, err := w.stream(rec)
	if err != nil {
		return err
	}
	body, err := asJSON(t.Body)
	if err != nil {
		return err
	}
	err = w.exec(`INSERT INTO inventory (agent, what, key, stream_id, seq, at, gone, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (agent, what, key) DO UPDATE SET stream_id = excluded.stream_id, seq = excluded.seq, at = excluded.at,
		gone = excluded.gone, body = excluded.body WHERE excluded.stream_id > inventory.stream_id
		OR excluded.stream_id = inventory.stream_id AND excluded.seq > inventory.seq`,
		rec.Agent, t.What, t.Key, stream, rec.place(), ms(rec.At), t.Gone, body)
	if err != nil || t.What != WhatCertificate {
		return err
	}
	// One that is new may be what the others there wait for.
	waiting, err := all(&w.Reader, func(s scanner, v *alarm.Subject) error { v.Kind = alarm.OfCertificate; return s.Scan(&v.ID) },
		`SELECT key FROM inventory WHERE agent = $1 AND what = $2`, rec.Agent, WhatCertificate)
	if err != nil {
		return err
	}
	return w.Mark(waiting...)
}

// TillDay is how one till sold on one day.
type TillDay struct {
	Agent, Till    string
	Day            time.Time // midnight in Brasília
	Sold, Rejected int
	Code           string        // of most refusals
	Median, P95    time.Duration // of a sale, call to answer; 0 is not known
	Longest        time.Duration
}

// SetTillDay stores how a till sold on a day: the more of it the truer.
func (w *Writer) SetTillDay(d TillDay) error {
	return w.exec(`INSERT INTO till_days (`+tillDayColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (agent, till, day) DO UPDATE SET sold = excluded.sold, rejected = excluded.rejected, code = excluded.code,
		median = excluded.median, p95 = excluded.p95, longest = excluded.longest
		WHERE excluded.sold + excluded.rejected >= till_days.sold + till_days.rejected`,
		d.Agent, d.Till, ms(dayOf(d.Day)), d.Sold, d.Rejected, d.Code, d.Median.Milliseconds(), d.P95.Milliseconds(), d.Longest.Milliseconds())
}

// normalDays is how many days of a till say what is normal.
const normalDays = 14

// computerFacts are those of an agent's computer and of the sales on it.
func (r *Reader) computerFacts(a *alarm.Agent, id string, now time.Time) error {
	type thing struct {
		what, key, body string
		at              time.Time
	}
	things, err := all(r, func(s scanner, t *thing) error { return s.Scan(&t.what, &t.key, at(&t.at), &t.body) },
		`SELECT what, key, at, body FROM inventory WHERE agent = $1 AND gone = 0 AND what IN ('`+WhatComputer+`', '`+WhatDisk+`', '`+WhatLibrary+`', '`+WhatHealth+`')
		ORDER BY what, key`, id)
	for _, t := range things {
		if a.Computer == nil && (t.what == WhatComputer || t.what == WhatHealth) {
			a.Computer = &alarm.Computer{At: t.at}
		}
		switch t.what {
		case WhatComputer:
			var c Computer
			err = read(t.body, &c, err)
			a.Computer.At, a.Computer.MemoryTotal, a.Computer.MemoryFree = t.at, c.MemoryTotal, c.MemoryFree
			a.Computer.Antivirus, a.Computer.AntivirusBy, a.Computer.USBErrors, a.Computer.USBLast = c.Antivirus, c.AntivirusBy, c.USBErrors, c.USBLast
		case WhatHealth:
			var h Health
			err = read(t.body, &h, err)
			a.Computer.Panics, a.Computer.Restarts = h.Panics, h.Restarts
		case WhatDisk:
			var d Disk
			err = read(t.body, &d, err)
			a.Disks = append(a.Disks, alarm.Disk{Name: t.key, Total: d.Total, Free: d.Free, Own: d.Own, At: t.at})
		case WhatLibrary:
			var l Library
			if err = read(t.body, &l, err); l.Makers {
				a.Makers = append(a.Makers, alarm.Library{Program: t.key, Path: l.Path, Since: since(l.Since, t.at)})
			} else if t.key == "" {
				a.Unseen = alarm.Unseen{Why: l.Unseen, At: t.at}
			}
		}
	}
	if err == nil && a.Computer != nil {
		a.Computer.Returned, err = r.returned(id, now)
	}
	if err != nil {
		return err
	}
	a.Sales, err = all(r, func(s scanner, v *alarm.Sales) error {
		var p95 int64
		err := s.Scan(&v.Till, at(&v.Day), &v.Sold, &v.Rejected, &v.Code, &p95)
		v.P95 = time.Duration(p95) * time.Millisecond
		return err
	}, `SELECT till, day, sold, rejected, code, p95 FROM till_days WHERE agent = $1 AND day >= $2 ORDER BY till, day DESC`,
		id, ms(dayOf(now).AddDate(0, 0, -normalDays)))
	if err == nil && slices.ContainsFunc(a.Sales, alarm.Sales.Blocked) {
		err = r.get(into{at(&a.Statuses)}, `SELECT coalesce(min(status_at), 0) FROM devices WHERE agent = $1`, id)
	}
	return err
}

// returned are devices that went and came back within a day, at a port of the computer:
// a network has troubles of its own.
func (r *Reader) returned(agent string, now time.Time) (alarm.Happening, error) {
	port := func(driver string) string { return `detail LIKE '%"driver":"` + driver + `"%'` }
	return r.happening("events", "at", "serial", "agent = $1 AND code = '"+eventBack+"' AND at > $2 AND ("+
		port("usb")+" OR "+port("serial")+" OR "+port("maker")+")", agent, ms(now.Add(-24*time.Hour)))
}

// outsideFacts are documents of a device whose call nobody at its agent made.
func (r *Reader) outsideFacts(serial, agent string, d *alarm.Device) error {
	var o Outside
	var told time.Time
	err := r.get(into{at(&told), fromJSON(&o)}, `SELECT at, body FROM inventory WHERE agent = $1 AND what = '`+WhatOutside+`' AND key = $2 AND gone = 0`, agent, serial)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && o.Foreign > 0 {
		d.Outside = alarm.Happening{Count: o.Foreign, First: since(o.First, told), Last: since(o.Last, told), Example: o.LastKey}
	}
	return err
}

// since is a time that a computer told, in Unix milliseconds: never later than it was
// told.
func since(ms int64, told time.Time) time.Time {
	if at := time.UnixMilli(ms); ms > 0 && at.Before(told) {
		return at
	}
	return told
}

// read reads the body of a thing, unless something failed before.
func read(body string, v any, before error) error {
	if before != nil {
		return before
	}
	return fromJSON(v).Scan(body)
}

// certificateFacts are those of a company's certificate on computers that were heard
// of within 30 days.
func (r *Reader) certificateFacts(f *alarm.Facts, now time.Time) error {
	type found struct {
		agent string
		CompanyCertificate
	}
	const live = `gone = 0 AND at >= `
	list, err := all(r, func(s scanner, v *found) error { return s.Scan(&v.agent, fromJSON(&v.CompanyCertificate)) },
		`SELECT agent, body FROM inventory WHERE what = '`+WhatCertificate+`' AND key = $1 AND `+live+`$2 ORDER BY agent`,
		f.Subject.ID, ms(now.AddDate(0, 0, -trendDays)))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return ErrNotFound
	}
	c := list[0]
	f.Certificate = &alarm.Certificate{Holder: c.Holder, Type: c.Type, Expires: time.UnixMilli(c.Until), Tills: len(list), Renewed: true}
	for _, one := range list {
		others, err := all(r, func(s scanner, v *CompanyCertificate) error { return s.Scan(fromJSON(v)) },
			`SELECT body FROM inventory WHERE agent = $1 AND what = '`+WhatCertificate+`' AND key <> $2 AND gone = 0`, one.agent, f.Subject.ID)
		if err != nil {
			return err
		}
		newer := false
		for _, o := range others {
			newer = newer || o.HasKey && RootOf(o.CNPJ) == RootOf(c.CNPJ) && o.Until > c.Until
		}
		f.Certificate.Renewed = f.Certificate.Renewed && newer
	}
	return nil
}
