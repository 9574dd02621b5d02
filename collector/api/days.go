package api

import (
	"context"
	"slices"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// The operations of what was day by day.
const (
	opDeviceDays Op = "devices.days"
	opSales      Op = "sales"
)

// daily are the operations of what was day by day.
func daily() []Operation {
	return []Operation{
		{opDeviceDays, "GET", "/devices/{serial}/days", everyone(), "", par("serial", "device"), deviceDaysAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayDeviceDays)(a.DeviceDays(ctx, c, in.Values["serial"]))
			}},
		{opSales, "GET", "/sales", everyone(), "", nil, salesAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(func(list []SalesDay) salesAnswer { return salesAnswer{each(list, saySalesDay)} })(a.Sales(ctx, c))
			}},
	}
}

// Names of what the operations above return, for callers that know this package alone.
type (
	// MemoryDay is what a device last said on one day of its memory.
	MemoryDay = store.MemoryDay
	// SalesDay is what was sold on one day.
	SalesDay = store.SalesDay
)

// MemoryLimit is the fraction of used memory at which devices block themselves.
const MemoryLimit = alarm.MemoryLimit

// DeviceDays are a device's last days, oldest first.
type DeviceDays struct {
	Memory []MemoryDay // of which it is known, at most thirty
	FullAt time.Time   // when its memory reaches MemoryLimit at this rate; zero when that is not in sight
	Sales  []SalesDay  // thirty, today among them
}

// DeviceDays returns a device's last days.
func (a *API) DeviceDays(ctx context.Context, c Caller, serial string) (d DeviceDays, err error) {
	err = a.view(ctx, c, opDeviceDays, func(r *store.Reader) error {
		device, err := r.Device(serial)
		if err != nil {
			return err
		}
		stage, err := r.Stage(serial)
		if err != nil {
			return err
		}
		if d.Memory, err = r.MemoryDays(serial); err != nil {
			return err
		}
		if device.Status.Block == alarm.Unblocked && !stage.Stage.Away() {
			var points []alarm.Point
			for _, m := range d.Memory {
				points = append(points, alarm.Point{At: m.Day, Value: m.Used})
			}
			at, rises := alarm.MemoryFull(points, a.o.Now())
			if rises && at.Before(a.o.Now()) {
				at = a.o.Now() // overdue: it may happen at any moment
			}
			d.FullAt = at
		}
		d.Sales, err = r.SalesOfDevice(serial, a.o.Now())
		return err
	})
	return d, err
}

// Sales are the last thirty days of all that the caller sees, today among them, oldest
// first; nil when that are no establishments, or more than a thousand.
func (a *API) Sales(ctx context.Context, c Caller) (days []SalesDay, err error) {
	err = a.view(ctx, c, opSales, func(r *store.Reader) error {
		days, err = r.Sales(a.o.Now())
		return err
	})
	return days, err
}

// Sold tells whether anything was sold on any of the days.
func Sold(days []SalesDay) bool {
	return slices.ContainsFunc(days, func(d SalesDay) bool { return d.Count > 0 })
}

type deviceDaysAnswer struct {
	Memory []memoryDayAnswer `json:"memory" doc:"Os dias de que a memória é conhecida, no máximo trinta, o mais antigo primeiro."`
	FullAt *time.Time        `json:"fullAt,omitempty" doc:"Quando a memória chega a 95 %, o nível em que o equipamento se bloqueia, no ritmo destes dias; falta quando não está à vista."`
	Sales  []salesDayAnswer  `json:"sales" doc:"Os últimos trinta dias, o mais antigo primeiro e hoje por último."`
}

type memoryDayAnswer struct {
	Day  string  `json:"day" doc:"AAAA-MM-DD, no horário de Brasília."`
	Used float64 `json:"used" doc:"Fração usada da memória, de 0 a 1, como o equipamento disse por último no dia."`
}

type salesAnswer struct {
	Days []salesDayAnswer `json:"days" doc:"Os últimos trinta dias, o mais antigo primeiro e hoje por último; vazio para quem vê mais de mil estabelecimentos."`
}

type salesDayAnswer struct {
	Day       string `json:"day" doc:"AAAA-MM-DD, no horário de Brasília."`
	Count     int    `json:"count" doc:"Vendas; as canceladas e as de teste não contam."`
	Cents     int64  `json:"cents" doc:"O valor delas, em centavos."`
	Cancelled int    `json:"cancelled" doc:"Vendas deste dia que foram canceladas, no mesmo dia ou depois."`
}

func sayDeviceDays(d DeviceDays) deviceDaysAnswer {
	out := deviceDaysAnswer{Memory: each(d.Memory, func(m MemoryDay) memoryDayAnswer {
		return memoryDayAnswer{m.Day.Format(time.DateOnly), m.Used}
	}), Sales: each(d.Sales, saySalesDay)}
	if !d.FullAt.IsZero() {
		at := d.FullAt.UTC()
		out.FullAt = &at
	}
	return out
}

func saySalesDay(d SalesDay) salesDayAnswer {
	return salesDayAnswer{d.Day.Format(time.DateOnly), d.Count, d.Cents, d.Cancelled}
}
