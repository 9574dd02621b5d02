package web

import (
	"fmt"
	"math"
	"slices"
	"time"

	"zelo/collector/api"
)

// shownHistory is how far back the charts of a device's history go, and heardFor how long
// what a device said last is taken for how it stands.
const (
	shownHistory = 14 * 24 * time.Hour
	heardFor     = 3 * time.Hour
)

// chartBand is how something stood for a while, drawn below a line. It stands out by its
// height, too.
type chartBand struct {
	State    api.State
	Word     string
	From, To time.Time
}

// high is how tall bands of a state are, out of bandHigh.
func (b chartBand) high() float64 {
	switch b.State {
	case api.Critical:
		return bandHigh
	case api.Fine:
		return 4
	}
	return 1
}

// recent are the readings that charts show.
func recent(list []api.Reading, now time.Time) []api.Reading {
	for len(list) > 0 && list[0].At.Before(now.Add(-shownHistory)) {
		list = list[1:]
	}
	return list
}

// bandsOf says how a device stood from its first reading on; where it was not heard for
// longer than heardFor, nobody knows.
func bandsOf(list []api.Reading, now time.Time) (out []chartBand) {
	put := func(b chartBand) {
		if n := len(out); n > 0 && out[n-1].Word == b.Word {
			out[n-1].To = b.To
		} else if b.To.After(b.From) {
			out = append(out, b)
		}
	}
	for i, n := range list {
		end, state := now, api.Fine
		if i+1 < len(list) {
			end = list[i+1].At
		}
		if n.Block != 0 {
			state = api.Critical
		}
		said := n.At.Add(heardFor)
		if end.Before(said) {
			said = end
		}
		put(chartBand{state, api.BlockWord(n.Block), n.At, said})
		put(chartBand{api.Silent, "sem notícia", said, end})
	}
	return out
}

// pendingChart shows what waits for the tax office and how the device stands meanwhile;
// nil while fewer than two readings are known.
func pendingChart(h api.DeviceHistory, now time.Time) *chart {
	list := recent(h.Readings, now)
	if len(list) < 2 {
		return nil
	}
	c := &chart{Question: "Quanto espera envio à SEFAZ?", What: "À espera", Hours: true, Top: 1, Bands: bandsOf(list, now)}
	most := list[0]
	var before chartPoint
	for i, n := range list {
		p := chartPoint{Day: n.At, Value: float64(n.Pending), Word: api.Thousands(n.Pending), Note: api.BlockWord(n.Block)}
		if i == 0 || p.Note != before.Note || p.Value != before.Value {
			c.Rows = append(c.Rows, p)
		}
		if i > 0 && p.Value != before.Value {
			c.Points = append(c.Points, chartPoint{Day: n.At, Value: before.Value, Word: before.Word})
		}
		if i == 0 || p.Value != before.Value {
			c.Points = append(c.Points, p)
		}
		if n.Pending > most.Pending {
			most = n
		}
		before = p
	}
	if now.Sub(before.Day) < heardFor {
		before.Day = now
	}
	c.Points = append(c.Points, before)
	c.Top = math.Max(1, float64(most.Pending))
	switch {
	case h.PendingSince.IsZero() && most.Pending == 0:
		c.Answer = "Nada, e nada esperou desde " + moment(list[0].At) + "."
	case h.PendingSince.IsZero():
		c.Answer = fmt.Sprintf("Nada agora. O mais que esperou foi %s, em %s.", coupons(most.Pending), moment(most.At))
	default:
		c.Answer = fmt.Sprintf("Cerca de %s, pela lista do equipamento; o mais antigo é de %s.", coupons(list[len(list)-1].Pending), date(h.PendingSince))
	}
	c.blockAt(h.PendingBlock, now, "Se não saírem", h.PendingDays)
	return c
}

func coupons(n int) string { return count(n, "cupom", "cupons") }

// blockAt draws when the device blocks itself, and says so.
func (c *chart) blockAt(t, now time.Time, unless string, days int) {
	switch {
	case t.IsZero():
	case t.Before(now):
		c.Answer += fmt.Sprintf(" Passou dos %d dias: o equipamento pode se bloquear a qualquer momento.", days)
	default:
		c.Until, c.UntilName = t, "bloqueio: "+date(t)
		c.Answer += fmt.Sprintf(" %s, o equipamento se bloqueia em %s.", unless, date(t))
	}
}

// contactChart shows for how long a device was without contact with the tax office; nil
// while that is known of fewer than two readings.
func contactChart(h api.DeviceHistory, now time.Time) *chart {
	limit := float64(h.ContactDays)
	c := &chart{Question: "Há quanto tempo o equipamento não fala com a SEFAZ?", What: "Sem contato", Hours: true,
		Limit: limit, LimitName: "bloqueio em " + count(h.ContactDays, "dia", "dias"), Top: limit * 1.15}
	add := func(at, contact time.Time) {
		d := max(0, at.Sub(contact))
		p := chartPoint{Day: at, Value: d.Hours() / 24, Word: span(d)}
		c.Points, c.Top = append(c.Points, p), math.Max(c.Top, p.Value)
	}
	list := slices.DeleteFunc(slices.Clone(recent(h.Readings, now)), func(n api.Reading) bool { return n.LastContact.IsZero() })
	if len(list) < 2 || !h.LastContact.Before(now) {
		return nil
	}
	for i, n := range list { // between two contacts the line is straight
		if i == 0 || i == len(list)-1 || !n.LastContact.Equal(list[i-1].LastContact) || !n.LastContact.Equal(list[i+1].LastContact) {
			add(n.At, n.LastContact)
		}
	}
	add(now, h.LastContact)
	c.Answer = "O último contato foi " + ago(now, h.LastContact) + "."
	c.Rows = c.Points
	c.blockAt(h.ContactBlock, now, "Sem outro", h.ContactDays)
	c.Ahead, c.Until = c.Until, time.Time{}
	return c
}

// shownRows bounds the table below a chart.
const shownRows = 60

// Table are the rows below the chart, those of hours with the newest first.
func (c chart) Table() []chartPoint {
	if !c.Hours {
		return c.Points
	}
	var out []chartPoint
	for i := len(c.Rows) - 1; i >= 0 && len(out) < shownRows; i-- {
		out = append(out, c.Rows[i])
	}
	return out
}

// When says of what time a point is.
func (c chart) When(p chartPoint) string {
	if c.Hours {
		return moment(p.Day)
	}
	return date(p.Day)
}

// standsUntil is the end of the last band.
func (c chart) standsUntil() (t time.Time) {
	if n := len(c.Bands); n > 0 {
		t = c.Bands[n-1].To
	}
	return t
}

// Foot is where dates stand, and Height is that of the plane.
func (c chart) Foot() string { return spot(c.Height() - 6) }
func (c chart) Height() float64 {
	if len(c.Bands) > 0 {
		return 172
	}
	return 160
}

// UntilX is where Until is drawn.
func (c chart) UntilX() string { return spot(c.x(c.Until)) }

// Strip are the bands as a path for each state: its class and its outline.
func (c chart) Strip() map[api.State]string {
	out := map[api.State]string{}
	for _, b := range c.Bands {
		out[b.State] += fmt.Sprintf("M%s %dv-%sH%sv%sz", spot(c.x(b.From)), chartBottom+4+bandHigh, spot(b.high()), spot(c.x(b.To)), spot(b.high()))
	}
	return out
}

// Legend are the bands that there are, each word once.
func (c chart) Legend() (out []chartBand) {
	for _, b := range c.Bands {
		if !slices.ContainsFunc(out, func(o chartBand) bool { return o.Word == b.Word }) {
			out = append(out, b)
		}
	}
	return out
}
