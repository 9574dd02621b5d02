// Package fleet sends commands to agents and awaits their answers. A command is a row
// of the store from the moment somebody asks for it. It is sent, the same signed bytes
// each time, until its agent said a word of it; the agent carries out each command
// once. What agents answer comes in through ingest. A command that was taken back is
// sent as cancelled in the same way, until its agent said how it stands.
//
// The collector may be killed at any moment: what was not sent is sent at the next
// round, and what was sent is sent again when its agent is heard and says nothing.
package fleet

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// Sender carries a message to one agent, if it is connected.
type Sender interface {
	Send(agent, kind string, payload []byte) error
}

// Options are what a fleet needs.
type Options struct {
	Store *store.Store
	Key   ed25519.PrivateKey // of OpenKey
	Log   *slog.Logger
	Now   func() time.Time
	Every time.Duration // between two rounds without Wake; default two seconds
}

// Fleet sends commands. It is safe for concurrent use.
type Fleet struct {
	o     Options
	codec *wire.Codec
	wake  chan struct{}
}

// New makes a fleet; Run makes it send.
func New(o Options) (*Fleet, error) {
	codec, err := wire.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("cannot start the fleet: %w", err)
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	return &Fleet{o, codec, make(chan struct{}, 1)}, nil
}

// CommandKey is the public key that agents know commands by.
func (f *Fleet) CommandKey() ed25519.PublicKey { return f.o.Key.Public().(ed25519.PublicKey) }

// Wake makes Run look at once for what is to be sent.
func (f *Fleet) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run sends what is to be sent until ctx ends. Orders of other processes are found
// within Options.Every.
func (f *Fleet) Run(ctx context.Context, sender Sender) {
	tick := time.NewTicker(f.o.Every)
	defer tick.Stop()
	for {
		if err := f.Round(ctx, sender); err != nil && ctx.Err() == nil {
			f.o.Log.Error("commands not sent, trying again", "within", f.o.Every, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C:
		}
	}
}

// atOnce bounds how many commands are sent in one transaction.
const atOnce = 200

// Round ends what is overdue, moves waves on, and sends what is due until ctx ends.
func (f *Fleet) Round(ctx context.Context, sender Sender) error {
	now := f.o.Now()
	var overdue, due, cancels []store.Command
	var waves []store.Order
	err := f.o.Store.View(ctx, store.All(), func(r *store.Reader) (err error) {
		var err2, err3, err4 error
		overdue, err = r.Overdue(now)
		waves, err2 = r.Waves()
		due, err3 = dueNow(r, now)
		cancels, err4 = r.DueCancels(now, atOnce)
		return errors.Join(err, err2, err3, err4)
	})
	if err != nil {
		return err
	}
	if len(overdue)+len(waves) > 0 {
		if err := f.settle(ctx, overdue, waves, now); err != nil {
			return err
		}
	}
	if len(due)+len(cancels) == 0 {
		return nil
	}
	ready, err := f.prepare(ctx, due, cancels, now)
	if err != nil {
		return err
	}
	for _, c := range ready {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := sender.Send(c.Agent, wire.DownCommand, c.Message); err != nil {
			f.o.Log.Warn("command not sent, trying again when its agent is heard", "agent", c.Agent, "command", c.ID, "err", err)
		}
	}
	return nil
}

// dueNow lists what is to be sent: of orders whose hours it is, and again.
func dueNow(r *store.Reader, now time.Time) ([]store.Command, error) {
	orders, err := r.DueOrders(now)
	if err != nil {
		return nil, err
	}
	var open []int64
	for _, o := range orders {
		if window(o.Hours).Open(now) {
			open = append(open, o.ID)
		}
	}
	return r.DueCommands(now, open, atOnce)
}

// settle ends what can begin no more, and decides about second waves.
func (f *Fleet) settle(ctx context.Context, overdue []store.Command, waves []store.Order, now time.Time) error {
	verdicts := map[int64]verdict{}
	err := f.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		for _, o := range waves {
			commands, err := r.CommandsOfOrder(o.ID)
			if err != nil {
				return err
			}
			if v := judge(o, commands); v != hold {
				verdicts[o.ID] = v
			}
		}
		return nil
	})
	if err != nil || len(overdue)+len(verdicts) == 0 {
		return err
	}
	return f.o.Store.Update(ctx, func(w *store.Writer) error {
		for _, c := range overdue {
			state, text := store.CommandExpired, "O prazo passou antes que o comando pudesse ser enviado ao caixa."
			switch c.State {
			case store.CommandQueued:
			case store.CommandSent:
				state, text = store.CommandUnknown, "O comando foi enviado e o caixa não respondeu: não sabemos se ele o recebeu."
			default:
				state, text = store.CommandUnknown, "O caixa recebeu o comando e não disse como terminou: não sabemos se foi feito."
			}
			if err := w.GiveUp(c, state, text, now); err != nil {
				return err
			}
		}
		for id, v := range verdicts {
			if v == release {
				if err := w.ReleaseWave(id); err != nil {
					return err
				}
				f.Wake()
				continue
			}
			n, err := w.StopOrder(id, "Nos primeiros caixas houve falhas demais, ou todos foram cancelados.", now)
			if err != nil {
				return err
			}
			f.o.Log.Warn("an order was stopped: too many of its commands failed", "order", id, "taken back", n)
		}
		return nil
	})
}

// prepare signs what was not sent before and notes that all are sent now: before they
// are, so that what an agent may have is never taken for what it cannot have. Message of
// what it returns is what goes to the agent.
func (f *Fleet) prepare(ctx context.Context, due, cancels []store.Command, now time.Time) (ready []store.Command, err error) {
	err = f.o.Store.Update(ctx, func(w *store.Writer) error {
		ready = nil
		for _, c := range cancels {
			var err error
			if c.Message, err = f.signCancel(c.Message); err == nil {
				ready = append(ready, c)
			} else {
				f.o.Log.Error("the cancelling of a command cannot be signed", "agent", c.Agent, "command", c.ID, "err", err)
			}
			if err := w.SetCancelSent(c.ID, now); err != nil {
				return err
			}
		}
		for _, c := range due {
			if c.Message == nil {
				message, err := f.sign(w, c)
				if err != nil {
					f.o.Log.Error("a command cannot be signed", "agent", c.Agent, "command", c.ID, "err", err)
					if err := w.GiveUp(c, store.CommandFailed, "O coletor não conseguiu assinar o comando; o motivo está no registro dele.", now); err != nil {
						return err
					}
					continue
				}
				c.Message = message
			}
			switch err := w.SetMessage(c.ID, c.Message, now); {
			case errors.Is(err, store.ErrNotFound): // cancelled, or answered, meanwhile
			case err != nil:
				return err
			default:
				ready = append(ready, c)
			}
		}
		return nil
	})
	return ready, err
}

// sign makes the bytes that go to the agent.
func (f *Fleet) sign(w *store.Writer, c store.Command) ([]byte, error) {
	_, epoch, err := w.SealKey(c.Agent)
	if err != nil {
		return nil, err
	}
	hours := window(c.Order.Hours)
	command := wire.Command{Version: wire.Version, Agent: c.Agent, Sequence: uint64(c.Sequence), Name: c.Order.Name, Serial: c.Serial,
		Args: c.Order.Args, Sealed: c.Sealed, By: c.Order.Who, At: c.Order.CreatedAt.UnixMilli(), Expires: c.Order.ExpiresAt.UnixMilli(), Window: &hours}
	if !c.Order.NotBefore.IsZero() {
		command.NotBefore = c.Order.NotBefore.UnixMilli()
	}
	if err := decodeHex(command.ID[:], c.ID); err != nil {
		return nil, err
	}
	if err := decodeHex(command.Epoch[:], epoch); err != nil {
		return nil, err
	}
	signed, err := f.codec.Sign(f.o.Key, command)
	if err != nil {
		return nil, err
	}
	message, err := f.codec.Encode(signed)
	if err == nil && len(message) > wire.MaxCommand {
		err = fmt.Errorf("it has %d bytes, more than %d", len(message), wire.MaxCommand)
	}
	return message, err
}

// signCancel makes, of the bytes that went to an agent, those that take them back.
func (f *Fleet) signCancel(message []byte) ([]byte, error) {
	var s wire.Signed
	if err := f.codec.Decode(message, &s); err != nil {
		return nil, err
	}
	s, err := f.codec.SignCancel(f.o.Key, s)
	if err != nil {
		return nil, err
	}
	return f.codec.Encode(s)
}

// decodeHex fills to with the bytes that text names.
func decodeHex(to []byte, text string) error {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(to) {
		return fmt.Errorf("%q is not %d bytes in hexadecimal", text, len(to))
	}
	copy(to, b)
	return nil
}
