package api

import (
	"context"
	"sync"
	"time"

	"zelo/collector/store"
)

// How often what somebody watches is looked at, how old an answer to that may be that
// others asked for, and how often a page is to be shown anew in any case: what it says
// of ages grows old.
const (
	lookEvery  = 200 * time.Millisecond
	sharedFor  = 100 * time.Millisecond
	tellAlways = time.Minute
)

// watchesAtOnce is how many pages one person may watch at the same time.
const watchesAtOnce = 8

// newest is the number of the newest change of any alarm, which all who watch ask for
// together.
type newest struct {
	mu     sync.Mutex
	number int64
	readAt time.Time
}

func (n *newest) read(ctx context.Context, s *store.Store) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.readAt) < sharedFor {
		return n.number, nil
	}
	err := s.View(ctx, store.All(), func(r *store.Reader) (err error) {
		n.number, err = r.LastAlarmChange()
		return err
	})
	if err == nil {
		n.readAt = time.Now()
	}
	return n.number, err
}

// Watch calls tell at once, whenever an alarm that the caller sees has changed, and
// every minute, until ctx ends or tell fails. A person who watches too much is told so
// by Busy.
func (a *API) Watch(ctx context.Context, c Caller, tell func() error) error {
	if _, err := a.allow(c, opAlarms); err != nil {
		return err
	}
	if !a.watches.take(c.Who(), watchesAtOnce) {
		return &Busy{"Há páginas demais abertas ao mesmo tempo: feche as que não usa.", tellAlways}
	}
	defer a.watches.give(c.Who())
	look, always := time.NewTicker(lookEvery), time.NewTicker(tellAlways)
	defer look.Stop()
	defer always.Stop()
	seen, err := a.newest.read(ctx, a.o.Store)
	for changed := true; err == nil; {
		if changed {
			if err := tell(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-always.C:
			changed = true
		case <-look.C:
			changed, seen, err = a.changed(ctx, c, seen)
		}
	}
	return err
}

// changed tells whether an alarm that the caller sees has changed since a number, and
// up to which it looked.
func (a *API) changed(ctx context.Context, c Caller, since int64) (bool, int64, error) {
	last, err := a.newest.read(ctx, a.o.Store)
	if err != nil || last <= since {
		return false, since, err
	}
	var found []store.AlarmChange
	err = a.view(ctx, c, opAlarms, func(r *store.Reader) (err error) {
		found, err = r.AlarmChanges(since, 1)
		return err
	})
	return len(found) > 0, last, err
}
