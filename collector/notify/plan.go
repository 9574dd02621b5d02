package notify

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Bounds of one round, and how long alarms wait that may share a cause: causes are
// looked for within seconds.
const (
	causeHold      = 15 * time.Second
	explainedAgain = time.Minute
	channelsAtOnce = 100
	eventsAtOnce   = 100 // of a webhook's message
)

// round looks at what changed, makes messages of it, and takes those that are due, all
// in one transaction. Busy is how many of each kind are under way.
func (n *Notifier) round(ctx context.Context, busy map[store.ChannelKind]int) (list []store.Message, err error) {
	now, due := n.o.Now(), false
	err = n.o.Store.View(ctx, store.All(), func(r *store.Reader) error {
		due, err = r.NotifyDue(now)
		return err
	})
	if err != nil || !due {
		return nil, err
	}
	err = n.o.Store.Update(ctx, func(w *store.Writer) error {
		list = nil
		for more := true; more; {
			if more, err = w.MarkTellings(n.served(), causeHold, now); err != nil {
				return err
			}
		}
		if err := w.DelayExplained(now, explainedAgain); err != nil {
			return err
		}
		channels, err := w.DueChannels(now, channelsAtOnce)
		if err != nil {
			return err
		}
		for _, ch := range channels {
			if err := n.compose(w, ch, now); err != nil {
				return err
			}
		}
		for _, kind := range kinds() {
			taken, err := w.ClaimMessages(kind, atOnce-busy[kind], now, lease)
			if err != nil {
				return err
			}
			list = append(list, taken...)
		}
		return nil
	})
	return list, err
}

// scopeOf is what the owner of a channel sees.
func (n *Notifier) scopeOf(ch store.Channel) store.Scope {
	switch ch.Kind {
	case store.ChannelWebhook, store.ChannelChat:
		return store.OfReseller(ch.Reseller)
	}
	if ch.User.ID == 0 {
		return store.Scope{} // the person is gone
	}
	return n.o.Scope(ch.User)
}

// compose makes messages of what is due of a channel.
func (n *Notifier) compose(w *store.Writer, ch store.Channel, now time.Time) error {
	list, err := w.As(n.scopeOf(ch)).DueTellings(ch.ID, now)
	if err != nil {
		return err
	}
	var alone, daily []store.Telling
	urgent := false
	for _, t := range list {
		switch what, until := decide(ch, t, now); what {
		case later:
			if err := w.TellLater(ch.ID, t.Alarm.ID, until); err != nil {
				return err
			}
		case tell:
			alone = append(alone, t)
			urgent = urgent || t.Alarm.Severity == alarm.Critical && t.Alarm.ClearedAt.IsZero()
		case collect:
			daily = append(daily, t)
		}
	}
	if err := n.tellAll(w, ch, alone, urgent, now); err != nil {
		return err
	}
	if len(daily) > 0 {
		if err := n.add(w, ch, digest(n.o.Pages, daily, now), daily, now); err != nil {
			return err
		}
	}
	return w.TellNothing(ch.ID, now)
}

// tellAll makes messages of alarms that are told of now: few enough not to be a flood.
func (n *Notifier) tellAll(w *store.Writer, ch store.Channel, list []store.Telling, urgent bool, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	recent, err := w.RecentMessages(ch.ID, now.Add(-window))
	if err != nil {
		return err
	}
	each, until := hold(recent, len(list), urgent, now)
	switch {
	case now.Before(until):
		for _, t := range list {
			if err := w.TellLater(ch.ID, t.Alarm.ID, until); err != nil {
				return err
			}
		}
	case ch.Kind == store.ChannelWebhook:
		for part := range slices.Chunk(list, eventsAtOnce) {
			if err := n.add(w, ch, events(n.o.Pages, part, now), part, now); err != nil {
				return err
			}
		}
	case each:
		for _, t := range list {
			if err := n.add(w, ch, single(n.o.Pages, t, now), []store.Telling{t}, now); err != nil {
				return err
			}
		}
	default:
		return n.add(w, ch, summary(n.o.Pages, list, now), list, now)
	}
	return nil
}

// add puts a message on its way, and notes what it tells.
func (n *Notifier) add(w *store.Writer, ch store.Channel, c content, of []store.Telling, now time.Time) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := w.AddMessage(store.Message{UID: newID(), Channel: ch, Kind: c.Kind, Body: string(body), CreatedAt: now}); err != nil {
		return err
	}
	for _, t := range of {
		if err := w.Told(ch.ID, t.Alarm, now); err != nil {
			return err
		}
	}
	return nil
}
