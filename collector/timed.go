package main

import (
	"context"
	"sync"
	"time"
)

// timed is work that is due every so often, done by one of all collectors that share
// a database at a time (store.Turn): it must bear to be begun again after its
// collector died in the middle of it, and end soon when its context does.
type timed struct {
	name  string // unique, for ever: the database remembers by it when it was last done
	every time.Duration
	work  func(context.Context) error
}

// timedWork is all of it, but for alarms, which ingest judges beside their marks.
func (c *collector) timedWork() []timed {
	return []timed{{"retention", 24 * time.Hour, c.retain}, {"notices", time.Hour, c.notifier.Tidy}}
}

// keepTime does timed work until ctx ends, at most a minute after it is due. Work that
// takes long holds up no other.
func (c *collector) keepTime(ctx context.Context, all ...timed) {
	var parts sync.WaitGroup
	for _, t := range all {
		parts.Go(func() {
			tick := time.NewTicker(min(t.every, time.Minute))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if _, err := c.store.Turn(ctx, t.name, t.every, time.Now(), t.work); err != nil && ctx.Err() == nil {
					c.log.Error("timed work failed, trying again later", "work", t.name, "within", min(t.every, time.Minute), "err", err)
				}
			}
		})
	}
	parts.Wait()
}
