package monitor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// tableTold of the buffer: What, NUL, Key of each thing told -> toldMark.
const tableTold = "told"

// toldMark is what the collector heard of one thing last.
type toldMark struct {
	At  int64    `cbor:"1,keyasint"` // Unix milliseconds
	Sum [32]byte `cbor:"2,keyasint"` // of what was told, coarse
}

// toldEvery is how often a thing is told that does not change.
const toldEvery = 24 * time.Hour

// How often the computer is looked at.
const (
	lookEvery  = time.Hour
	salesEvery = 15 * time.Minute
	scanEvery  = 12 * time.Hour // for certificates (dossier on certificates, 2.7)
)

// lookout is what was last seen of the computer.
type lookout struct {
	looked, scanned, counted time.Time
	things                   []wire.Inventory // all that there are now
}

// listed are the kinds of things of which lookout.things names all there are: one that
// was told and is not among them is gone.
func listed() []string {
	return []string{wire.InventoryDisk, wire.InventoryCertificate, wire.InventoryRemote, wire.InventoryLibrary}
}

// lookAround sees to the computer and tells what is new.
func (m *Monitor) lookAround(context.Context) {
	now := m.o.Now()
	if l := &m.look; l.looked.IsZero() || now.Sub(l.looked) >= lookEvery {
		l.looked = now
		if l.scanned.IsZero() || now.Sub(l.scanned) >= scanEvery {
			l.scanned = now
			found := m.findCertificates(now)
			m.mu.Lock()
			m.certificates = found
			m.mu.Unlock()
		}
		l.things = append(m.seen(), m.libraryThings(now)...)
		if err := m.noteAlive(now, false); err != nil {
			m.o.Log.Warn("how the agent fares not noted", "err", err)
		}
	}
	things := slices.Concat(m.look.things, m.outsideThings())
	if m.look.counted.IsZero() || now.Sub(m.look.counted) >= salesEvery {
		if err := m.saveSales(); err != nil {
			m.o.Log.Warn("sales of the day not kept", "err", err)
		}
	}
	if !m.o.Ready() {
		return
	}
	if m.look.counted.IsZero() || now.Sub(m.look.counted) >= salesEvery {
		m.look.counted = now
		things = append(things, m.sales.take()...)
	}
	if err := m.tell(now, things); err != nil {
		m.o.Log.Warn("what is known of the computer not queued", "err", err)
	}
}

// seen is all that there is on the computer now.
func (m *Monitor) seen() (all []wire.Inventory) {
	all = append(all, wire.Inventory{What: wire.InventoryComputer, Computer: readComputer()},
		wire.Inventory{What: wire.InventoryHealth, Health: m.health()})
	for volume, d := range readDisks(m.o.Folder) {
		all = append(all, wire.Inventory{What: wire.InventoryDisk, Key: volume, Disk: &d})
	}
	for name, r := range readRemote() {
		all = append(all, wire.Inventory{What: wire.InventoryRemote, Key: name, Remote: &r})
	}
	for _, c := range m.Certificates() {
		all = append(all, wire.Inventory{What: wire.InventoryCertificate, Key: c.SHA256, Certificate: &c.Certificate})
	}
	return all
}

func (m *Monitor) outsideThings() (all []wire.Inventory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for serial, o := range m.outside {
		all = append(all, wire.Inventory{What: wire.InventoryOutside, Key: serial, Outside: &o})
	}
	return all
}

// tell queues what changed, what was not told for a day, and what is gone.
func (m *Monitor) tell(now time.Time, things []wire.Inventory) error {
	known := map[string]toldMark{}
	err := m.o.Buffer.Scan(tableTold, nil, func(k, v []byte) error {
		var mark toldMark
		if err := m.o.Codec.Decode(v, &mark); err != nil {
			return err
		}
		known[string(k)] = mark
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot read what the collector was told: %w", err)
	}
	b := &buffer.Batch{}
	var items []wire.Item
	there := map[string]bool{}
	for _, t := range things {
		key := t.What + "\x00" + t.Key
		there[key] = true
		mark, err := m.mark(t, now)
		if old, told := known[key]; told && old.Sum == mark.Sum && now.UnixMilli()-old.At < toldEvery.Milliseconds() || err != nil {
			continue
		}
		item, err2 := m.item(t)
		v, err3 := m.o.Codec.Encode(mark)
		if err := errors.Join(err2, err3); err != nil {
			return err
		}
		b.Put(tableTold, []byte(key), v)
		items, known[key] = append(items, item), mark
	}
	for key := range known {
		what, name, _ := strings.Cut(key, "\x00")
		if there[key] || !slices.Contains(listed(), what) {
			continue
		}
		item, err := m.item(wire.Inventory{What: what, Key: name, Gone: true})
		if err != nil {
			return err
		}
		b.Delete(tableTold, []byte(key))
		items = append(items, item)
	}
	if len(items) == 0 {
		return nil
	}
	return m.queue(b, items...)
}

func (m *Monitor) item(t wire.Inventory) (wire.Item, error) {
	t.Version = wire.Version
	body, err := m.o.Codec.Encode(t)
	return wire.Item{Kind: wire.KindInventory, Body: body}, err
}

func (m *Monitor) mark(t wire.Inventory, now time.Time) (toldMark, error) {
	raw, err := m.o.Codec.Encode(coarse(t))
	return toldMark{now.UnixMilli(), sha256.Sum256(raw)}, err
}

// coarse is a thing without what changes all the time and means nothing.
func coarse(t wire.Inventory) wire.Inventory {
	switch {
	case t.Computer != nil:
		c := *t.Computer
		c.MemoryFree = share(c.MemoryFree, c.MemoryTotal)
		c.Booted -= c.Booted % (10 * time.Minute).Milliseconds() // systems reckon it anew
		t.Computer = &c
	case t.Disk != nil:
		d := *t.Disk
		d.Free = share(d.Free, d.Total)
		t.Disk = &d
	case t.Health != nil:
		h := *t.Health
		h.Memory, h.Goroutines = h.Memory>>25, h.Goroutines/64
		t.Health = &h
	}
	return t
}

// share is what is free of something in percent: to one while that is little, to ten
// otherwise.
func share(free, total int64) int64 {
	if total <= 0 {
		return 0
	}
	p := 100 * free / total
	if p > 15 {
		p -= p % 10
	}
	return p
}
