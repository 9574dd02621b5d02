package monitor

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// tableSales of the buffer: till -> tillDay, of the day under way.
const tableSales = "sales"

// sampled is how many sales of a day tell how long they took.
const sampled = 512

// tillDay is how one till has sold on one day so far.
type tillDay struct {
	Sales  wire.Sales `cbor:"1,keyasint"`
	Sample []int64    `cbor:"2,keyasint"` // milliseconds, of so many sales drawn by lot
	saved  bool       // as the buffer has it
}

// counter counts sales as they pass.
type counter struct {
	mu    sync.Mutex // guards what follows
	days  map[string]*tillDay
	ended []wire.Inventory // of days that are over, not told yet
}

// metered counts the sales that tills make on a device, and how long they took.
type metered struct {
	sat.Device
	m *Monitor
}

// Metered is a device whose sales are counted: what tills call goes through it.
func (m *Monitor) Metered(d sat.Device) sat.Device { return metered{d, m} }

func (d metered) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if !req.Function.Fiscal() {
		return d.Device.Call(ctx, req)
	}
	began := d.m.o.Now()
	reply, err := d.Device.Call(ctx, req)
	if err == nil {
		now := d.m.o.Now()
		req.Session = reply.Session // a till's number may be any
		d.m.sales.add(req.Till, now, now.Sub(began), sat.OutcomeOf(req, reply, nil), reply)
	}
	return reply, err
}

// add counts one sale or cancellation that was answered. One whose outcome is not known
// is neither sold nor rejected.
func (c *counter) add(till string, now time.Time, took time.Duration, outcome sat.Outcome, reply sat.Reply) {
	if outcome == sat.Unknown {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.today(till, now)
	d.saved = false
	if outcome == sat.NotIssued {
		d.Sales.Rejected++
		code := reply.Code.String()
		if !reply.Alert.None() {
			code += "/" + string(reply.Alert)
		}
		if d.Sales.Codes == nil {
			d.Sales.Codes = map[string]int{}
		}
		d.Sales.Codes[code]++
		return
	}
	d.Sales.Sold++
	ms := took.Milliseconds()
	d.Sales.Longest = max(d.Sales.Longest, ms)
	if len(d.Sample) < sampled {
		d.Sample = append(d.Sample, ms)
	} else if i := rand.IntN(d.Sales.Sold); i < sampled {
		d.Sample[i] = ms
	}
}

// today is a till's day under way. The one before it is put aside, to be told.
func (c *counter) today(till string, now time.Time) *tillDay {
	day := now.In(sat.Brasilia()).Format(time.DateOnly)
	d := c.days[till]
	if d != nil && d.Sales.Day != day {
		c.ended = append(c.ended, d.told(till))
		d = nil
	}
	if d == nil {
		d = &tillDay{Sales: wire.Sales{Day: day}}
		c.days[till] = d
	}
	return d
}

// told is the day as the collector hears of it.
func (d *tillDay) told(till string) wire.Inventory {
	s := d.Sales
	s.Codes = map[string]int{}
	for code, n := range d.Sales.Codes {
		s.Codes[code] = n
	}
	if sorted := slices.Sorted(slices.Values(d.Sample)); len(sorted) > 0 {
		s.Median, s.P95 = sorted[len(sorted)/2], sorted[len(sorted)*95/100]
	}
	return wire.Inventory{What: wire.InventorySales, Key: till, Sales: &s}
}

// any tells whether a till ever sold.
func (c *counter) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.days) > 0
}

// take is what there is to tell now: days that are over once, and those under way.
func (c *counter) take() []wire.Inventory {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.ended
	c.ended = nil
	for till, d := range c.days {
		all = append(all, d.told(till))
	}
	return all
}

// openSales takes up the days under way where the last run left them.
func (m *Monitor) openSales() error {
	return m.o.Buffer.Scan(tableSales, nil, func(k, v []byte) error {
		d := &tillDay{saved: true}
		if err := m.o.Codec.Decode(v, d); err != nil {
			return err
		}
		m.sales.mu.Lock()
		defer m.sales.mu.Unlock()
		m.sales.days[string(k)] = d
		return nil
	})
}

// saveSales keeps the days under way for the next run.
func (m *Monitor) saveSales() error {
	b := &buffer.Batch{}
	m.sales.mu.Lock()
	n := 0
	for till, d := range m.sales.days {
		if d.saved {
			continue
		}
		v, err := m.o.Codec.Encode(d)
		if err != nil {
			m.sales.mu.Unlock()
			return err
		}
		b.Put(tableSales, []byte(till), v)
		d.saved = true
		n++
	}
	m.sales.mu.Unlock()
	if n == 0 {
		return nil
	}
	_, err := m.o.Buffer.Commit(b)
	return err
}
