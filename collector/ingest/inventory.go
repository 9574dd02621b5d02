package ingest

import (
	"errors"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// inventory is what an agent says of its computer, its tills or itself. Of each thing only
// the last counts: like a status it has no arrival of its own.
type inventory struct {
	thing *store.Thing
	day   *store.TillDay
}

// latest tells whether of records like this only the last counts.
func (r *record) latest() bool { return r.status != nil || r.told != nil }

const reasonInventory = "o que o caixa contou do computador não pôde ser lido"

func (g *Ingest) prepareInventory(r *record, item wire.Item) {
	var in wire.Inventory
	if err := g.codec.Decode(item.Body, &in); err != nil {
		g.refuse(r, reasonInventory)
		return
	}
	if s := in.Sales; s != nil {
		day, err := time.ParseInLocation("2006-01-02", s.Day, sat.Brasilia())
		if err != nil {
			g.refuse(r, reasonInventory)
			return
		}
		r.told = &inventory{day: &store.TillDay{Agent: r.Agent, Till: short(in.Key), Day: day, Sold: s.Sold, Rejected: s.Rejected,
			Code: short(commonest(s.Codes)), Median: time.Duration(s.Median) * time.Millisecond, P95: time.Duration(s.P95) * time.Millisecond,
			Longest: time.Duration(s.Longest) * time.Millisecond}}
		return
	}
	body := bodyOf(in)
	if body == nil && !in.Gone {
		g.refuse(r, reasonInventory)
		return
	}
	r.told = &inventory{thing: &store.Thing{What: short(in.What), Key: short(in.Key), Gone: in.Gone, Body: body}}
}

// bodyOf is the part of an inventory as the store keeps it.
func bodyOf(in wire.Inventory) any {
	switch {
	case in.Computer != nil:
		c := in.Computer
		return store.Computer{System: short(c.System), Booted: c.Booted, MemoryTotal: c.MemoryTotal, MemoryFree: c.MemoryFree, Antivirus: c.Antivirus,
			AntivirusBy: short(c.AntivirusBy), ClockSynced: c.ClockSynced, USBErrors: c.USBErrors, USBLast: short(c.USBLast)}
	case in.Disk != nil:
		return store.Disk(*in.Disk)
	case in.Certificate != nil:
		return store.CompanyCertificate(*in.Certificate)
	case in.Library != nil:
		return store.Library(*in.Library)
	case in.Health != nil:
		return store.Health(*in.Health)
	case in.Outside != nil:
		return store.Outside(*in.Outside)
	case in.Remote != nil:
		return store.Remote(*in.Remote)
	}
	return nil
}

// commonest is the code of most refusals, the first among equals.
func commonest(codes map[string]int) (code string) {
	for c, n := range codes {
		if code == "" || n > codes[code] || n == codes[code] && c < code {
			code = c
		}
	}
	return code
}

// deviceLog is what a device's log has gained.
type deviceLog struct {
	serial string
	lines  []store.LogLine
}

const reasonLog = "o log é de um equipamento que não é deste caixa"

func (g *Ingest) prepareLog(r *record, item wire.Item) {
	r.log = &deviceLog{short(item.Serial), logLines(item.Body)}
	r.body = g.o.Store.Pack(r.data) // should the device not be this agent's
}

// putLog stores what a log has gained.
func (t *transaction) putLog(r *record, result *Result) error {
	d, err := t.w.Device(r.log.serial)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.Agent != r.Agent {
		return t.quarantine(r, reasonLog, result)
	}
	if err == nil {
		result.Stored++
		_, err = t.w.AddLogs(r.log.serial, r.At, r.log.lines...)
	}
	return err
}

// putTold stores what an agent told of its computer.
func (t *transaction) putTold(r *record) error {
	t.mark(alarm.OfAgent, r.Agent)
	if d := r.told.thing; d != nil && d.What == store.WhatOutside {
		t.mark(alarm.OfDevice, d.Key)
	}
	if d := r.told.day; d != nil {
		return t.w.SetTillDay(*d)
	}
	return t.w.SetThing(*r.told.thing, r.Record)
}

// batteryOf is the level of a device's battery, as its status writes it.
func batteryOf(level string) alarm.Battery {
	return map[string]alarm.Battery{"ALTO": alarm.BatteryHigh, "MEDIO": alarm.BatteryMedium, "MÉDIO": alarm.BatteryMedium, "BAIXO": alarm.BatteryLow}[level]
}
