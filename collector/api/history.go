package api

import (
	"context"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

const opDeviceHistory Op = "devices.history"

// histories are the operations of what devices said over time.
func histories() []Operation {
	return []Operation{
		{opDeviceHistory, "GET", "/devices/{serial}/history", everyone(), "", par("serial", "device"), deviceHistoryAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayDeviceHistory)(a.DeviceHistory(ctx, c, in.Values["serial"]))
			}},
	}
}

// Reading is what a device said of itself at one time.
type Reading = store.Reading

// historyDays is how far back a device's history goes.
const historyDays = 30

// DeviceHistory is what a device said of itself, and when it blocks itself if nothing
// changes.
type DeviceHistory struct {
	Readings     []Reading // oldest first
	PendingSince time.Time // date of the oldest document that waits; zero when none does
	LastContact  time.Time // zero while unknown
	PendingDays  int       // after how many days with a waiting document it blocks itself
	ContactDays  int       // and without contact
	// PendingBlock and ContactBlock are when these are over, also when that is past; zero
	// within the first day, and of a device that is blocked or put away.
	PendingBlock time.Time
	ContactBlock time.Time
}

// DeviceHistory returns a device's last thirty days.
func (a *API) DeviceHistory(ctx context.Context, c Caller, serial string) (h DeviceHistory, err error) {
	err = a.view(ctx, c, opDeviceHistory, func(r *store.Reader) error {
		if _, err := r.Device(serial); err != nil {
			return err
		}
		h.Readings, err = r.Readings(serial, a.o.Now().AddDate(0, 0, -historyDays))
		return err
	})
	if err != nil {
		return h, err
	}
	err = a.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		facts, err := r.Facts(alarm.Subject{Kind: alarm.OfDevice, ID: serial}, a.o.Now())
		if err == nil && facts.Device != nil {
			h.limits(*facts.Device, facts.Policy.Filled(), a.o.Now())
		}
		return err
	})
	return h, err
}

// limits tells when a device blocks itself.
func (h *DeviceHistory) limits(d alarm.Device, p alarm.Policy, now time.Time) {
	h.PendingSince, h.LastContact, h.PendingDays, h.ContactDays = d.PendingSince, d.LastContact, p.PendingLimit, p.ContactLimit
	if d.Block != alarm.Unblocked || d.Stage.Away() {
		return
	}
	block := func(since time.Time, days int) (at time.Time) {
		if !since.IsZero() && !now.Before(since.AddDate(0, 0, 1)) {
			at = since.AddDate(0, 0, days)
		}
		return at
	}
	h.PendingBlock, h.ContactBlock = block(d.PendingSince, p.PendingLimit), block(d.LastContact, p.ContactLimit)
}

// BlockWord says in pt-BR, from within a sentence, how a device stands.
func BlockWord(b alarm.Block) string {
	switch b {
	case alarm.ByTaxOffice:
		return "bloqueado pela SEFAZ"
	case alarm.ByTaxpayer:
		return "bloqueado pelo contribuinte"
	case alarm.Autonomous:
		return "bloqueio autônomo"
	case alarm.ForDeactivation:
		return "bloqueado para desativação"
	}
	return "desbloqueado"
}

type deviceHistoryAnswer struct {
	Readings     []readingAnswer `json:"readings" doc:"O que o equipamento disse de si em trinta dias, o mais antigo primeiro: cada mudança e, sem mudança, uma leitura por hora; depois de três dias, a última de cada hora."`
	PendingSince time.Time       `json:"pendingSince,omitzero" doc:"De quando é o mais antigo dos documentos que esperam envio à SEFAZ; falta quando nenhum espera."`
	PendingDays  int             `json:"pendingDays" doc:"Depois de quantos dias com um documento à espera o equipamento se bloqueia."`
	PendingBlock time.Time       `json:"pendingBlock,omitzero" doc:"Quando ele se bloqueia se os pendentes não saírem; pode já ter passado. Falta no primeiro dia de espera, e quando o equipamento já está bloqueado ou guardado."`
	ContactDays  int             `json:"contactDays" doc:"Depois de quantos dias sem contato com a SEFAZ o equipamento se bloqueia."`
	ContactBlock time.Time       `json:"contactBlock,omitzero" doc:"Quando ele se bloqueia sem um novo contato; pode já ter passado. Falta como em pendingBlock."`
}

type readingAnswer struct {
	At           time.Time `json:"at" doc:"Quando o equipamento disse isto."`
	State        string    `json:"state" doc:"desbloqueado, bloqueio autônomo, bloqueado pela SEFAZ, bloqueado pelo contribuinte ou bloqueado para desativação."`
	Blocked      bool      `json:"blocked"`
	Pending      int       `json:"pending" doc:"Documentos que esperam envio à SEFAZ, pela lista do equipamento."`
	PendingSince time.Time `json:"pendingSince,omitzero" doc:"Desde quando o equipamento diz que há pendentes."`
	LastSent     time.Time `json:"lastSent,omitzero" doc:"O último envio à SEFAZ."`
	LastContact  time.Time `json:"lastContact,omitzero" doc:"O último contato com a SEFAZ."`
	ClockOff     *int64    `json:"clockOff,omitempty" doc:"O relógio do equipamento menos o nosso, em milissegundos; falta quando não se sabe."`
}

func sayDeviceHistory(h DeviceHistory) deviceHistoryAnswer {
	return deviceHistoryAnswer{each(h.Readings, func(n Reading) readingAnswer {
		out := readingAnswer{At: n.At, State: BlockWord(n.Block), Blocked: n.Block != alarm.Unblocked, Pending: n.Pending,
			PendingSince: n.PendingSince.UTC(), LastSent: n.LastSent.UTC(), LastContact: n.LastContact.UTC()}
		if off := n.ClockOff.Milliseconds(); n.ClockKnown {
			out.ClockOff = &off
		}
		return out
	}), h.PendingSince.UTC(), h.PendingDays, h.PendingBlock.UTC(), h.ContactDays, h.ContactBlock.UTC()}
}
