// Package notify tells people and programs of alarms: by e-mail, by push to a browser,
// by signed webhooks and by messages to chats.
//
// Alarm changes are marked, in the transaction that moves on behind them, for each
// channel that they concern. What a channel is told is decided from the alarm as it is
// and what the channel was told last (decide.go), read through the scope of whom the
// channel belongs to, and kept as a message until it arrived. All of that is in the
// store, whose updates run one at a time over all collectors, so that any of them may
// do the next step and one that is killed is followed by another: a message may come
// twice, with the same id, and none is lost.
package notify

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"zelo/collector/store"
)

// Options are what a Notifier needs.
type Options struct {
	Store *store.Store
	// Key is what the secrets of webhooks and the key of pushes are derived from. All
	// collectors of a database have the same.
	Key   [32]byte
	Scope func(store.User) store.Scope // what a person sees
	Mail  *Mail                        // nil: no e-mail is sent
	Pages string                       // https://host, where people reach the pages
	// Private allows hooks to addresses that are not of the public internet, and in
	// the clear.
	Private bool
	Log     *slog.Logger
	Now     func() time.Time
}

// Notifier sends messages. It is safe for concurrent use.
type Notifier struct {
	o      Options
	client *http.Client
	vapid  *ecdh.PrivateKey
	trying chan struct{} // bounds trial messages
}

// Times and bounds.
const (
	every      = 200 * time.Millisecond // between two looks at what is due
	lease      = 2 * time.Minute        // after which a message that was taken and not settled is taken again
	patience   = 20 * time.Second       // of one attempt
	atOnce     = 16                     // messages of one kind of channels under way
	keepFor    = 30 * 24 * time.Hour    // messages that are over
	maxTrials  = 4
	giveUpAt   = 3 * 24 * time.Hour // of failures of a message, unless they are ours
	deadAfter  = 7 * 24 * time.Hour // of failures without one success
	deadChance = 5                  // failures at least
)

// New makes the notifier of a store.
func New(o Options) (*Notifier, error) {
	vapid, err := pushKey(o.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot derive the key of pushes: %w", err)
	}
	return &Notifier{o: o, client: newClient(o.Private), vapid: vapid, trying: make(chan struct{}, maxTrials)}, nil
}

// pushKey derives the key that browsers know the collector by (VAPID, RFC 8292).
func pushKey(key [32]byte) (*ecdh.PrivateKey, error) {
	for n := 0; ; n++ { // one of 2^32 is no private key
		raw, err := hkdf.Key(sha256.New, key[:], nil, fmt.Sprintf("zelo push %d", n), 32)
		if err != nil {
			return nil, err
		}
		if k, err := ecdh.P256().NewPrivateKey(raw); err == nil || n > 3 {
			return k, err
		}
	}
}

// PushKey is the public key that a browser subscribes with, in base64url.
func (n *Notifier) PushKey() string {
	return base64.RawURLEncoding.EncodeToString(n.vapid.PublicKey().Bytes())
}

// Mails tells whether e-mails are sent.
func (n *Notifier) Mails() bool { return n.o.Mail != nil }

// kinds are all kinds of channels, e-mails last.
func kinds() []store.ChannelKind {
	return []store.ChannelKind{store.ChannelPush, store.ChannelWebhook, store.ChannelChat, store.ChannelEmail}
}

// served are the kinds of channels that messages are made for.
func (n *Notifier) served() []store.ChannelKind {
	if !n.Mails() {
		return kinds()[:3]
	}
	return kinds()
}

// fared is how an attempt ended.
type fared struct {
	store.Message
	err error
}

// failingSince is since when the channel takes this message not.
func (f fared) failingSince(now time.Time) time.Time {
	switch since := f.Channel.FailingSince; {
	case since.IsZero():
		return now
	case since.Before(f.CreatedAt):
		return f.CreatedAt
	default:
		return since
	}
}

// Run tells of what happens until ctx ends. What is under way then is cut off, and sent
// after the next start.
func (n *Notifier) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended := make(chan fared)
	busy := map[store.ChannelKind]int{}
	var sending sync.WaitGroup
	failing := false
	for {
		select {
		case <-ctx.Done():
			go func() { sending.Wait(); close(ended) }()
			for f := range ended {
				n.settle(ctx, f)
			}
			return
		case f := <-ended:
			busy[f.Channel.Kind]--
			n.settle(ctx, f)
		case <-tick.C:
		}
		list, err := n.round(ctx, busy)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			n.o.Log.Error("people cannot be told, trying again", "every", every, "err", err)
		case err == nil && failing:
			n.o.Log.Info("people can be told again")
		}
		failing = err != nil
		for _, m := range list {
			busy[m.Channel.Kind]++
			sending.Go(func() { ended <- fared{m, n.deliver(ctx, m)} })
		}
	}
}

// Tidy gives up what is long over. It is due every hour.
func (n *Notifier) Tidy(ctx context.Context) error {
	return n.o.Store.Update(ctx, func(w *store.Writer) error { return w.ForgetNotices(n.o.Now().Add(-keepFor)) })
}

// deliver makes one attempt.
func (n *Notifier) deliver(ctx context.Context, m store.Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := readContent(m.Body)
	if err != nil {
		return &failure{"a mensagem guardada está danificada", gone}
	}
	return n.send(ctx, m.Channel, m.UID, c)
}

// send sends a message to a channel. Its error is a failure.
func (n *Notifier) send(ctx context.Context, ch store.Channel, uid string, c content) error {
	switch ch.Kind {
	case store.ChannelEmail:
		return n.mail(ctx, ch.User.Email, uid, c)
	case store.ChannelPush:
		return n.push(ctx, ch, uid, c)
	case store.ChannelWebhook:
		return n.webhook(ctx, ch, uid, c)
	case store.ChannelChat:
		return n.chat(ctx, ch, c)
	}
	return &failure{"este tipo de aviso é de outra versão do coletor", gone}
}

// settle notes how an attempt ended. One that the end of the program cut off is as if
// it had not been made: its message is due again after its lease.
func (n *Notifier) settle(ctx context.Context, f fared) {
	if f.err != nil && ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	now := n.o.Now()
	err := n.o.Store.Update(ctx, func(w *store.Writer) error {
		if f.err == nil {
			return errors.Join(w.MessageSent(f.ID, now), note(w, f.Channel, nil, now))
		}
		problem := failureOf(f.err)
		next := now.Add(backOff(f.Attempts, rand.Float64()))
		if problem.fate >= gone || problem.fate == again && next.Sub(f.failingSince(now)) > giveUpAt {
			next = time.Time{}
		}
		return errors.Join(w.MessageFailed(f.ID, problem.text, next), note(w, f.Channel, problem, now))
	})
	if err != nil {
		n.o.Log.Error("a message's end was not noted, it may come twice", "message", f.UID, "err", err)
	}
	if f.err != nil {
		n.o.Log.Warn("message not delivered", "message", f.UID, "channel", f.Channel.ID, "kind", f.Channel.Kind, "attempt", f.Attempts, "problem", failureOf(f.err).text)
	}
}

// note keeps with a channel how an attempt ended: at a problem, or well.
func note(w *store.Writer, ch store.Channel, problem *failure, now time.Time) error {
	switch {
	case problem == nil:
		return w.ChannelFared(ch.ID, "", false, now)
	case problem.fate == ours:
		return w.ChannelWaits(ch.ID, problem.text)
	}
	over := problem.fate == dead || !ch.FailingSince.IsZero() && now.Sub(ch.FailingSince) > deadAfter && ch.Failures+1 >= deadChance
	return w.ChannelFared(ch.ID, problem.text, over, now)
}

// Test sends a trial message to a channel, waits for how it ends and notes it. Problem
// says, in pt-BR, why it did not arrive; "" when it did.
func (n *Notifier) Test(ctx context.Context, ch store.Channel) (problem string, err error) {
	select {
	case n.trying <- struct{}{}:
		defer func() { <-n.trying }()
	default:
		return "há outros testes em andamento; tente de novo em um minuto", nil
	}
	sending, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var failed *failure
	if err := n.send(sending, ch, newID(), trial(n.o.Pages, n.o.Now())); err != nil {
		failed = failureOf(err)
		problem = failed.text
	}
	return problem, n.o.Store.Update(ctx, func(w *store.Writer) error { return note(w, ch, failed, n.o.Now()) })
}
