package enrol

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Agent says which agent a certificate belongs to whose chain and time TLS has
// checked already. It fails with ErrRevoked, with ErrNotAgent, or when the store
// cannot be asked. The certificate itself need not be known: the store may have been
// restored from before it was issued.
func (r *Registry) Agent(ctx context.Context, c *x509.Certificate) (string, error) {
	agent := c.Subject.CommonName
	if !wire.ValidAgent(agent) {
		return "", ErrNotAgent
	}
	err := r.store.View(ctx, store.All(), func(v *store.Reader) error {
		_, err := v.Revocation(agent)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return agent, nil
	case err != nil:
		return "", fmt.Errorf("cannot check the certificate of agent %s: %w", agent, err)
	}
	return "", fmt.Errorf("agent %s: %w", agent, ErrRevoked)
}

// Revoke ends the identity of an agent for good. Watch closes the connections that
// it has, also those to other collectors of the same store.
func (r *Registry) Revoke(ctx context.Context, agent, by string) error {
	return r.store.Update(ctx, func(w *store.Writer) error {
		if err := RevokeIn(w, agent, r.now()); err != nil {
			return err
		}
		return w.AddAudit(store.Audit{At: r.now(), Who: by, Act: "revogação", Object: "agente " + agent})
	})
}

// RevokeIn is Revoke within a transaction that writes its own line of the audit.
func RevokeIn(w *store.Writer, agent string, now time.Time) error {
	if err := w.RevokeAgent(agent, store.ByPerson, now); err != nil {
		return fmt.Errorf("cannot revoke the identity of agent %s: %w", agent, err)
	}
	return w.Mark(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
}

// Watching for revocations.
const (
	watchEvery = time.Second
	// insist is for how many rounds an agent is disconnected: one that was let in
	// just before may not be in the broker's list at once.
	insist = 5
)

// Watch calls disconnect for every agent that is revoked, here or by another process
// on the same store, within about a second. It returns when ctx ends.
func (r *Registry) Watch(ctx context.Context, disconnect func(agent string) error, log *slog.Logger) {
	w := watch{r: r, disconnect: disconnect, log: log, left: map[string]int{}}
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.round(ctx)
		}
	}
}

// watch is what Watch remembers: whether it knows those of before it began, whether the
// store is away, the last revocation it knows, and for how many more rounds whose agent
// is disconnected.
type watch struct {
	r          *Registry
	disconnect func(agent string) error
	log        *slog.Logger
	going      bool
	failing    bool
	last       int64
	left       map[string]int
}

func (w *watch) round(ctx context.Context) {
	var list []store.Revocation
	err := w.r.store.View(ctx, store.All(), func(v *store.Reader) (err error) {
		list, err = v.Revocations(w.last)
		return err
	})
	if err != nil && !w.failing && ctx.Err() == nil {
		w.log.Error("cannot see which agents were revoked, trying again", "every", watchEvery, "err", err)
	}
	w.failing = err != nil
	for _, v := range list {
		w.last = v.ID
		// At the start nobody is connected yet who was revoked long ago. Later, one may
		// be heard of long after it was, when the store could not be read for so long.
		if w.going || w.r.now().Sub(v.At) < time.Hour {
			w.left[v.Agent] = insist
			w.log.Info("agent revoked", "agent", v.Agent, "reason", v.Reason)
		}
	}
	w.going = w.going || err == nil
	for agent, n := range w.left {
		if err := w.disconnect(agent); err != nil {
			w.log.Warn("revoked agent not disconnected, trying again", "agent", agent, "err", err)
			continue
		}
		if w.left[agent] = n - 1; n == 1 {
			delete(w.left, agent)
		}
	}
}
