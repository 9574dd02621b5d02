package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// The operations of what people and programs are told by themselves.
const (
	opNotices     Op = "notices"
	opWish        Op = "notices.wish"
	opSubscribe   Op = "notices.push"
	OpHook        Op = "notices.hook"
	opTryChannel  Op = "notices.try"
	opDropChannel Op = "notices.drop"
)

// ChannelID names a way to reach somebody by its number.
const ChannelID Kind = "channel"

// Bounds of what one person or reseller may have.
const (
	maxChannels = 20
	maxName     = 60
)

// Channel is a way to reach somebody, with what did not arrive lately.
type Channel struct {
	store.Channel
	Server string // of its address
	Failed []store.Message
}

// Preset is the template of a common chat, Subscription where a browser gets pushes.
type (
	Preset       = notify.Preset
	Subscription = notify.Subscription
)

// Presets are the templates of common chats.
func Presets() []Preset { return notify.Presets() }

// Notices are the channels of a caller, and for who may have them the hooks of their
// reseller.
type Notices struct {
	Channels []Channel
	Hooks    []Channel
	PushKey  string // that a browser subscribes with, in base64url; "" when nothing is sent
	Mails    bool   // this collector sends e-mails
	MayHook  bool
}

// failedShown is how many failures of a channel are told.
const failedShown = 5

// Notices tells how a caller is reached.
func (a *API) Notices(ctx context.Context, c Caller) (n Notices, err error) {
	if _, err := a.allow(c, opNotices); err != nil {
		return n, err
	}
	n.MayHook = a.May(c, OpHook)
	if a.o.Notify != nil {
		n.PushKey, n.Mails = a.o.Notify.PushKey(), a.o.Notify.Mails()
	}
	for range 2 {
		err = a.view(ctx, c, opNotices, func(r *store.Reader) error {
			n.Channels, n.Hooks = nil, nil
			list, err := r.Channels(c.User(), n.MayHook)
			for _, ch := range list {
				failed, err := r.FailedMessages(ch.ID, failedShown)
				if err != nil {
					return err
				}
				one := Channel{ch, notify.HostOf(ch.Target), failed}
				if ch.User.ID == 0 {
					n.Hooks = append(n.Hooks, one)
				} else {
					n.Channels = append(n.Channels, one)
				}
			}
			return err
		})
		if err != nil || c.User() == 0 || len(n.Channels) > 0 {
			break
		}
		// Who never was told of anything has no channel yet.
		if err = a.o.Store.Update(ctx, func(w *store.Writer) error { return w.AddMailChannels(a.o.Now()) }); err != nil {
			break
		}
	}
	return n, err
}

// channel changes a channel of the caller's own, or a hook of their reseller.
func (a *API) channel(ctx context.Context, c Caller, op Op, id int64, fn func(*store.Writer, store.Channel) error) error {
	return a.update(ctx, c, op, func(w *store.Writer, seen *store.Reader) error {
		ch, err := seen.Channel(id, c.User(), a.May(c, OpHook))
		if err != nil {
			return err
		}
		return fn(w, ch)
	})
}

// Wish is what the owner of a channel wants to hear, and when.
type Wish = store.Wish

// SetWish says what a channel is told and when. One that was given up lives again.
func (a *API) SetWish(ctx context.Context, c Caller, id int64, wish Wish) error {
	if _, err := a.allow(c, opWish); err != nil {
		return err
	}
	if err := checkWish(wish); err != nil {
		return err
	}
	return a.channel(ctx, c, opWish, id, func(w *store.Writer, ch store.Channel) error {
		if err := w.SetWish(ch.ID, wish); err != nil {
			return err
		}
		return a.note(w, c, "avisos: preferências", fmt.Sprint(ch.ID), string(ch.Kind))
	})
}

func checkWish(w Wish) error {
	const day = 24 * 60
	switch {
	case w.Least < alarm.Notice || w.Least > alarm.Critical:
		return problem("Escolha a partir de que gravidade avisar.")
	case w.QuietFrom < 0 || w.QuietFrom >= day || w.QuietTo < 0 || w.QuietTo >= day:
		return problem("Escreva o silêncio como em 22:00 e 07:00.")
	case w.Digest < -1 || w.Digest > 23:
		return problem("Escolha a hora do resumo, ou nenhuma.")
	}
	return nil
}

// errNoNotify tells that this collector tells nobody.
func errNoNotify() error { return problem("Este coletor não envia avisos.") }

// Subscribe adds the caller's browser to what they are told by. The same browser again
// takes the place of itself, also when another person used it before.
func (a *API) Subscribe(ctx context.Context, c Caller, name string, s Subscription) error {
	if _, err := a.allow(c, opSubscribe); err != nil {
		return err
	}
	if a.o.Notify == nil || c.User() == 0 {
		return errNoNotify()
	}
	keys, err := a.o.Notify.Keys(s)
	if err != nil {
		return problem("Não foi possível ativar os avisos neste navegador: %s.", err)
	}
	if len(name) > maxName {
		name = name[:maxName]
	}
	return a.update(ctx, c, opSubscribe, func(w *store.Writer, seen *store.Reader) error {
		if err := w.DropBrowser(s.Endpoint); err != nil {
			return err
		}
		list, err := seen.Channels(c.User(), false)
		if err != nil {
			return err
		}
		if len(list) >= maxChannels {
			return problem("Já são %d navegadores. Remova um que não usa mais.", maxChannels)
		}
		_, err = w.AddChannel(store.Channel{Kind: store.ChannelPush, User: store.User{ID: c.User()}, Name: strings.ToValidUTF8(name, ""), Target: s.Endpoint, Form: keys,
			Wish: Wish{Least: store.LeastOf(c.Role()), CriticalPasses: true, Digest: -1}, CreatedAt: a.o.Now()})
		if err != nil {
			return err
		}
		return a.note(w, c, "avisos: navegador", c.Who(), "")
	})
}

// Hook is a webhook or the message to a chat to be added.
type Hook struct {
	Name     string
	Address  string // URL
	Template string // of a chat's message, or the name of a preset; "" for a webhook
	Least    alarm.Severity
}

// AddHook adds a hook of the caller's reseller. The secret of a webhook's signatures is
// told once.
func (a *API) AddHook(ctx context.Context, c Caller, h Hook) (secret string, err error) {
	if _, err := a.allow(c, OpHook); err != nil {
		return "", err
	}
	if a.o.Notify == nil {
		return "", errNoNotify()
	}
	ch := store.Channel{Kind: store.ChannelWebhook, Reseller: c.Reseller(), Name: strings.TrimSpace(h.Name), Target: strings.TrimSpace(h.Address),
		Wish: Wish{Least: h.Least, CriticalPasses: true, Digest: -1}, CreatedAt: a.o.Now()}
	if ch.Name == "" || len(ch.Name) > maxName {
		return "", problem("Escreva um nome de até %d letras.", maxName)
	}
	if err := checkWish(ch.Wish); err != nil {
		return "", err
	}
	if err := a.o.Notify.CheckURL(ch.Target); err != nil {
		return "", problem("O endereço não pode ser usado: %s.", err)
	}
	if h.Template == "" {
		ch.Form = notify.NewSalt()
		secret = a.o.Notify.Secret(ch.Form)
	} else {
		ch.Kind, ch.Form = store.ChannelChat, h.Template
		for _, p := range Presets() {
			if h.Template == p.Name {
				ch.Form = p.Template
			}
		}
		if err := notify.CheckTemplate(ch.Form); err != nil {
			return "", problem("O modelo não pode ser usado: %s.", err)
		}
	}
	return secret, a.update(ctx, c, OpHook, func(w *store.Writer, seen *store.Reader) error {
		list, err := seen.Channels(0, true)
		if err != nil {
			return err
		}
		mine := 0
		for _, old := range list {
			if old.Reseller == ch.Reseller {
				mine++
			}
		}
		if mine >= maxChannels {
			return problem("Já são %d endereços. Remova um que não usa mais.", maxChannels)
		}
		if _, err := w.AddChannel(ch); err != nil {
			return err
		}
		return a.note(w, c, "avisos: endereço novo", ch.Name, string(ch.Kind)+" "+notify.HostOf(ch.Target))
	})
}

// TryChannel sends a trial message and waits for how it ends: nil when it arrived, a
// Problem that says why it did not.
func (a *API) TryChannel(ctx context.Context, c Caller, id int64) error {
	var ch store.Channel
	err := a.channel(ctx, c, opTryChannel, id, func(w *store.Writer, found store.Channel) error {
		ch = found
		return a.note(w, c, "avisos: teste", fmt.Sprint(found.ID), string(found.Kind))
	})
	if err != nil {
		return err
	}
	if a.o.Notify == nil {
		return errNoNotify()
	}
	failed, err := a.o.Notify.Test(ctx, ch)
	if err == nil && failed != "" {
		err = problem("O aviso de teste não chegou: %s.", failed)
	}
	return err
}

// DropChannel takes a browser of the caller's or a hook away.
func (a *API) DropChannel(ctx context.Context, c Caller, id int64) error {
	return a.channel(ctx, c, opDropChannel, id, func(w *store.Writer, ch store.Channel) error {
		if ch.Kind == store.ChannelEmail {
			return problem("Um e-mail não é removido: desligue os avisos por e-mail.")
		}
		if err := w.DropChannel(ch.ID); err != nil {
			return err
		}
		return a.note(w, c, "avisos: endereço removido", ch.Name, string(ch.Kind))
	})
}

// SeverityOf is a severity by its name in answers; 0 for what is none.
func SeverityOf(name string) alarm.Severity {
	return map[string]alarm.Severity{"notice": alarm.Notice, "warning": alarm.Warning, "critical": alarm.Critical}[name]
}

// ReadWish makes a wish of what a form or program gives: a severity's name, times of day
// as 22:00, and the hour of the digest, "" for none.
func ReadWish(muted bool, least, quietFrom, quietTo string, criticalPasses bool, digest string) (w Wish, err error) {
	w = Wish{Muted: muted, Least: SeverityOf(least), CriticalPasses: criticalPasses, Digest: -1}
	for _, t := range []struct {
		text string
		to   *int
	}{{quietFrom, &w.QuietFrom}, {quietTo, &w.QuietTo}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse("15:04", t.text)
		if err != nil {
			return w, problem("Escreva o silêncio como em 22:00 e 07:00.")
		}
		*t.to = 60*at.Hour() + at.Minute()
	}
	if digest != "" {
		if w.Digest, err = strconv.Atoi(digest); err != nil {
			return w, problem("Escolha a hora do resumo, ou nenhuma.")
		}
	}
	return w, nil
}
