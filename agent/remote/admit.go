package remote

import (
	"bytes"
	"errors"
	"maps"
	"time"

	"zelo/agent/wire"
)

// hear takes one message: a command that is new is journaled and answered, one that
// is known is answered again, and one that is taken back does not begin.
func (r *Remote) hear(payload []byte) {
	if len(payload) > wire.MaxCommand {
		r.o.Log.Warn("command too large, passed over", "bytes", len(payload))
		return
	}
	var s wire.Signed
	if err := r.o.Codec.Decode(payload, &s); err != nil {
		r.o.Log.Warn("command not readable, passed over", "err", err)
		return
	}
	c, err := r.o.Codec.Verify(r.o.Keys.pinned(), s)
	switch {
	case s.Cancels() && (err != nil || c.Agent != r.o.Agent()):
		r.o.Log.Warn("cancelling not taken", "id", c.ID, "agent", c.Agent, "err", err)
	case s.Cancels():
		r.cancel(c, s.Bytes())
	case errors.Is(err, wire.ErrSignature):
		r.refuse(c.ID, wire.RefusedSignature, "A assinatura não é a do coletor deste caixa.")
	case err != nil:
		r.o.Log.Warn("command not readable, passed over", "err", err)
	case c.Agent != r.o.Agent():
		r.refuse(c.ID, wire.RefusedAgent, "O comando é para outro caixa.")
	default:
		r.admit(c, s.Bytes())
	}
}

// refuse answers a command that leaves no trace in the journal: nothing it says of
// itself can be trusted.
func (r *Remote) refuse(id wire.CommandID, reason, text string) {
	r.o.Log.Warn("command refused", "id", id, "reason", reason)
	r.again(&entry{command: wire.Command{ID: id}, State: wire.CommandRefused, At: r.o.Clock().UnixMilli(), Reason: reason, Text: text})
}

// admit journals a command that the collector signed for this agent.
func (r *Remote) admit(c wire.Command, signed []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[c.ID]; e != nil {
		if !bytes.Equal(e.Signed, signed) {
			r.refuse(c.ID, wire.RefusedArgs, "Outro comando já veio com este número.")
			return
		}
		r.again(e)
		return
	}
	e := newEntry(c, signed)
	if r.tell(e, r.judge(c)) == nil {
		r.entries[c.ID] = e
	}
}

func newEntry(c wire.Command, signed []byte) *entry {
	e := &entry{Signed: signed, command: c}
	e.spec, _ = wire.CommandByName(c.Name)
	return e
}

// takenBack is the end of a command that the collector cancelled.
func takenBack() wire.Report {
	return wire.Report{State: wire.CommandRefused, Reason: wire.RefusedCancelled, Text: "Cancelado antes de começar."}
}

// cancel notes that a command must not begin, and answers: that it does not, or how it
// stands when it has begun. Nobody can tell of one that this journal may have forgotten,
// or that another copy of it began.
func (r *Remote) cancel(c wire.Command, signed []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[c.ID]
	switch {
	case e == nil && (c.Epoch != wire.Epoch(r.o.Buffer.Epoch()) || r.lost[c.ID] || c.Expires <= r.floor):
		r.again(&entry{command: c, State: wire.CommandUnknown, At: r.o.Clock().UnixMilli(), Text: "Este caixa não sabe mais se já fez isto."})
		return
	case e == nil:
		e = newEntry(c, signed)
	case !bytes.Equal(e.Signed, signed):
		r.o.Log.Warn("cancelling of another command under a known number, passed over", "id", c.ID)
		return
	}
	begun := e.Steps > 0 || r.begun.has(c.ID)
	if wire.CommandEnded(e.State) || e.State == wire.CommandRunning || begun && e == r.inHand {
		r.again(e)
		return
	}
	answer := takenBack()
	if begun {
		answer = wire.Report{State: wire.CommandUnknown, Text: "Cancelado, mas este caixa já tinha começado isto antes: não se sabe se foi feito."}
	} else if err := r.begun.cancel(c, r.o.Now()); err != nil {
		r.o.Log.Error("cancelling not noted, it comes again", "id", c.ID, "err", err)
		return
	}
	if e == r.inHand {
		return // who has it in hand finds the note before the first step
	}
	if r.tell(e, answer) == nil {
		r.entries[c.ID] = e
	}
}

// judge says how a new command begins.
func (r *Remote) judge(c wire.Command) wire.Report {
	no := func(reason, text string) wire.Report {
		return wire.Report{State: wire.CommandRefused, Reason: reason, Text: text}
	}
	spec, known := wire.CommandByName(c.Name)
	switch {
	case r.begun.cancelled(c.ID):
		return takenBack()
	case c.Epoch != wire.Epoch(r.o.Buffer.Epoch()), r.lost[c.ID]:
		return no(wire.RefusedJournal, journalLost)
	case !known:
		return no(wire.RefusedCommand, "A versão do agente deste caixa não conhece este comando. Atualize-o.")
	case time.UnixMilli(c.Expires).Sub(time.UnixMilli(c.At)) > wire.MaxLife:
		return no(wire.RefusedArgs, "O prazo é longo demais.")
	case r.o.Heard() && r.o.Now().After(time.UnixMilli(c.Expires)), c.Expires <= r.floor:
		return wire.Report{State: wire.CommandExpired, Text: tooLate}
	case spec.Device == (c.Serial == ""):
		return no(wire.RefusedArgs, "O comando não diz para qual equipamento é, ou não é para um.")
	}
	if _, err := r.arguments(c); err != nil {
		return no(wire.RefusedArgs, sentence(err))
	}
	return wire.Report{State: wire.CommandAccepted, Text: "Recebido."}
}

// arguments are all arguments of a command, the sealed ones opened, and checked. The
// error is pt-BR and tells none of them.
func (r *Remote) arguments(c wire.Command) (map[string]string, error) {
	spec, _ := wire.CommandByName(c.Name)
	all := maps.Clone(c.Args)
	if all == nil {
		all = map[string]string{}
	}
	if _, secret := spec.Secrets(all); len(secret) > 0 {
		return nil, errors.New("um segredo veio sem lacre: o coletor precisa lacrá-lo para este caixa")
	}
	if len(c.Sealed) > 0 {
		secret, err := r.o.Codec.OpenArgs(r.o.Keys.seal, c.Agent, c.ID, c.Sealed)
		if err != nil {
			return nil, errors.New("o lacre dos segredos não abre neste caixa, que talvez tenha sido reinstalado: peça de novo")
		}
		maps.Copy(all, secret)
	}
	return all, spec.Check(all)
}
