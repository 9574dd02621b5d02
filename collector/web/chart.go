package web

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"zelo/collector/api"
)

// chart is a line over days that answers one question: drawn on the server, each value
// that matters written beside it, and all of them in a table below.
type chart struct {
	Question  string
	Answer    string // in words; "" adds nothing to the question
	What      string // the values' heading in the table
	Points    []chartPoint
	Top       float64 // of the scale
	Limit     float64 // drawn as a line; 0 for none
	LimitName string
	Ahead     time.Time // when the line reaches Limit; zero when that is not in sight
	Until     time.Time // drawn upright; zero for none
	UntilName string
	Bands     []chartBand // in order
	Hours     bool        // points have hours, and the table is Rows
	Rows      []chartPoint
}

// chartPoint is one day of a chart, or one moment.
type chartPoint struct {
	Day   time.Time
	Value float64
	Word  string // the value for people
	Note  string // what the table says beside it
}

// The plane that charts are drawn on, and the part of it that the line takes: above are
// labels, below are dates.
const (
	chartWidth  = 330
	chartTop    = 22
	chartBottom = 136
	bandHigh    = 8  // of bands, below the line
	labelWide   = 64 // what two labels side by side need
	labelHigh   = 32 // and one above the other
)

// chartLabel is a text at a place of a chart.
type chartLabel struct {
	X, Y   string
	Anchor string // SVG's text-anchor
	Text   string
}

// x is how far to the right a day stands.
func (c chart) x(t time.Time) float64 {
	first, last := c.Points[0].Day, c.Points[len(c.Points)-1].Day
	for _, end := range []time.Time{c.Ahead, c.Until, c.standsUntil()} {
		if end.After(last) {
			last = end
		}
	}
	return chartWidth * float64(t.Sub(first)) / float64(last.Sub(first))
}

// y is how far down a value stands.
func (c chart) y(v float64) float64 {
	return chartBottom - (chartBottom-chartTop)*math.Min(1, math.Max(0, v/c.Top))
}

// spot writes a length of the plane.
func spot(v float64) string { return fmt.Sprintf("%.1f", v) }

// Line are the points of the line.
func (c chart) Line() string {
	var b strings.Builder
	for _, p := range c.Points {
		fmt.Fprintf(&b, "%s,%s ", spot(c.x(p.Day)), spot(c.y(p.Value)))
	}
	return strings.TrimSpace(b.String())
}

// LimitY is where the threshold is drawn.
func (c chart) LimitY() string { return spot(c.y(c.Limit)) }

// Dashed are the points of the forecast; "" without one.
func (c chart) Dashed() string {
	last := c.Points[len(c.Points)-1]
	if !c.Ahead.After(last.Day) {
		return ""
	}
	return spot(c.x(last.Day)) + "," + spot(c.y(last.Value)) + " " + spot(c.x(c.Ahead)) + "," + c.LimitY()
}

// label places a text above a point, or below it when that stands at the very top,
// within the plane.
func (c chart) label(p chartPoint) chartLabel {
	x, y := c.x(p.Day), c.y(p.Value)-6
	if c.Limit > 0 && y < c.y(c.Limit)+12 {
		y = c.y(p.Value) + 16
	}
	anchor := "middle"
	switch {
	case x < labelWide/2:
		x, anchor = 0, "start"
	case x > chartWidth-labelWide/2:
		x, anchor = chartWidth, "end"
	}
	return chartLabel{spot(x), spot(y), anchor, p.Word}
}

// Labels are the last value, the highest one when it stands apart from that, and the
// days at both ends.
func (c chart) Labels() []chartLabel {
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	highest := first
	for _, p := range c.Points {
		if p.Value > highest.Value {
			highest = p
		}
	}
	end := date(last.Day)
	if c.Dashed() != "" {
		end = fmt.Sprintf("previsão: %s", date(c.Ahead))
	}
	labels := []chartLabel{c.label(last), {"0", c.Foot(), "start", date(first.Day)}}
	if c.Until.IsZero() {
		labels = append(labels, chartLabel{spot(chartWidth), c.Foot(), "end", end})
	}
	if apart := c.y(last.Value) - c.y(highest.Value); apart > labelHigh || apart > 0 && math.Abs(c.x(last.Day)-c.x(highest.Day)) > 1.5*labelWide {
		labels = append(labels, c.label(highest))
	}
	return labels
}

// charts are those of a page that there is something to draw of.
func charts(all ...*chart) []*chart {
	return slices.DeleteFunc(all, func(c *chart) bool { return c == nil })
}

// memoryChart shows where a device's memory goes; nil while fewer than two days of it
// are known.
func memoryChart(d api.DeviceDays) *chart {
	if len(d.Memory) < 2 {
		return nil
	}
	c := &chart{Question: "Quando a memória do equipamento enche?", What: "Memória usada", Top: 1, Limit: api.MemoryLimit,
		LimitName: "bloqueio em " + percent(api.MemoryLimit), Ahead: d.FullAt, Answer: "Não enche em 90 dias, no ritmo destes dias."}
	for _, m := range d.Memory {
		c.Points = append(c.Points, chartPoint{Day: m.Day, Value: m.Used, Word: percent(m.Used)})
	}
	switch last := d.Memory[len(d.Memory)-1]; {
	case last.Used >= api.MemoryLimit:
		c.Answer = "Já passou de " + percent(api.MemoryLimit) + ", o nível em que o equipamento se bloqueia."
	case !d.FullAt.IsZero():
		c.Answer = "No ritmo destes dias chega a " + percent(api.MemoryLimit) + ", e o equipamento se bloqueia, em " + date(d.FullAt) + "."
	case len(d.Memory) < 3:
		c.Answer = "Ainda não se sabe: o ritmo aparece com três dias."
	}
	return c
}

// salesChart shows what was sold day by day; nil when that was nothing.
func salesChart(days []api.SalesDay) *chart {
	if !api.Sold(days) {
		return nil
	}
	c := &chart{Question: "Quanto se vendeu por dia?", What: "Vendas"}
	sold, cents := 0, int64(0)
	for _, d := range days {
		note := sales(d.Count)
		if d.Cancelled > 0 {
			note += ", " + count(d.Cancelled, "cancelada", "canceladas")
		}
		c.Points = append(c.Points, chartPoint{d.Day, float64(d.Cents), "R$ " + api.Money(d.Cents), note})
		c.Top = math.Max(c.Top, float64(d.Cents))
		sold, cents = sold+d.Count, cents+d.Cents
	}
	today := days[len(days)-1]
	c.Answer = fmt.Sprintf("Hoje, até agora: %s, R$ %s. Em %d dias: %s, R$ %s. As canceladas não contam.",
		sales(today.Count), api.Money(today.Cents), len(days), sales(sold), api.Money(cents))
	c.Top = math.Max(c.Top, 1) // sales of nothing have no scale
	return c
}

func sales(n int) string { return count(n, "venda", "vendas") }
