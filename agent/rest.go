package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How an agent that has worked gives its memory back.
const (
	restEvery = 15 * time.Second
	idle      = 1 << 20 // bytes allocated within restEvery, at most, by one that does nothing
	worked    = 4 << 20 // bytes allocated since the last rest, at least, by one that worked
)

// rest gives memory back whenever the agent has worked and does nothing now, until ctx
// ends. A till's computer is old, and sells once a minute.
func (a *agent) rest(ctx context.Context) {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	for last, before := uint64(0), allocated(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-before <= idle && now-last >= worked {
			if err := a.buffer.Rest(); err != nil {
				a.log.Debug("memory of the buffer not given back", "err", err)
			}
			debug.FreeOSMemory()
			last = now
		}
		before = now
	}
}

// allocated is how many bytes the agent took of its heap since it started.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
