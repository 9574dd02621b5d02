package remote

import (
	"context"
	"errors"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// evidenceWithin is how long a device that may have done what it must not be told
// twice is asked how it stands.
const evidenceWithin = 2 * time.Minute

// evidence ends a command that is never repeated and that was cut off: it may have
// been done or not, and the device is asked how it stands now. Each activation code
// was given by a person and is tried once.
// d is nil when the device is not here any more.
func (w *work) evidence(ctx context.Context, d sat.Device, known, why string) ending {
	if d == nil {
		return ending{state: wire.CommandUnknown, text: why + " Não se sabe se foi feito. O equipamento não está mais neste computador."}
	}
	ctx, cancel := context.WithTimeout(ctx, evidenceWithin)
	defer cancel()
	w.say(why + " Isto não se repete sem que alguém peça de novo.")
	found := "O equipamento não respondeu depois."
	for _, c := range w.codes(known) {
		s, err := w.ask(ctx, d, c.code)
		if w.stopping() {
			return ending{}
		}
		if err == nil {
			found = c.accepted + "O equipamento está " + s.State.String() + "."
			w.say(describeStatus(s)...)
			break
		}
		w.say(c.name + ": " + plain(err) + ".")
		found = "O equipamento não disse como está."
	}
	return ending{state: wire.CommandUnknown, text: why + " Não se sabe se foi feito. " + found}
}

// candidate is an activation code that the device may have now.
type candidate struct{ code, name, accepted string }

// codes are those with which the device may be asked how it stands.
func (w *work) codes(known string) (all []candidate) {
	before := candidate{known, "Com o código que este caixa conhece", ""}
	switch w.entry.spec.Name {
	case wire.CommandActivate:
		return []candidate{{w.args["code"], "Com o código da ativação", "Ele aceita o código da ativação. "}}
	case wire.CommandChangeCode:
		fresh := candidate{w.args["new"], "Com o código novo", "Ele aceita o código novo: a troca foi feita. "}
		if known == "" || known == fresh.code {
			return []candidate{fresh}
		}
		before.accepted = "Ele aceita o código antigo. "
		return []candidate{before, fresh}
	}
	if known == "" {
		return nil
	}
	return []candidate{before}
}

// ask reads the status, again and again while the device does not answer. A code
// that it calls wrong is not tried again.
func (w *work) ask(ctx context.Context, d sat.Device, code string) (sat.Status, error) {
	for {
		s, err := w.status(ctx, d, code)
		if err == nil || !unanswered(err) || !pause(ctx, retryAfter) {
			return s, err
		}
	}
}

// unanswered reports that the device said nothing, or that it is busy.
func unanswered(err error) bool {
	var e *sat.Error
	return !errors.As(err, &e) || e.Code == 0 || e.Code.Busy()
}
