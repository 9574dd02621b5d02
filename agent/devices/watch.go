package devices

import (
	"context"
	"log/slog"
	"time"
)

const (
	// lookEvery is how often the lists of devices are compared, for the system may
	// tell nothing: a container hears no events, a driver may be late.
	lookEvery = 2 * time.Second
	// quiet is how long nothing more must be told before owners are: one device
	// makes a dozen events.
	quiet = 200 * time.Millisecond
	// settled bounds the wait for quiet.
	settled = time.Second
)

// Watch calls changed after devices were plugged in or unplugged, until ctx ends.
// It knows neither which nor whether it was a fiscal device: whoever waits for one
// tries to open it. The kernel's events arrive within a quarter of a second; what
// they miss, and what udev does later (names, permissions), is seen by comparing
// cheap listings every two seconds. changed runs in Watch's goroutine and must not
// wait long.
func Watch(ctx context.Context, log *slog.Logger, changed func()) {
	told := make(chan struct{}, 1)
	stop, err := hear(told)
	if err != nil {
		log.Info("the system does not tell of devices that come and go; they are looked for", "every", lookEvery, "err", err)
		stop = func() {}
	}
	defer stop()
	watch(ctx, told, func() string { return listing("/") }, changed)
}

// tell leaves word in a channel of one place.
func tell(told chan<- struct{}) {
	select {
	case told <- struct{}{}:
	default:
	}
}

// watch is Watch with the two things it looks at given: what is told, and a text
// that differs when other devices are there.
func watch(ctx context.Context, told <-chan struct{}, list func() string, changed func()) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	before := list()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			settle(ctx, told)
			before = list()
		case <-look.C:
			now := list()
			if now == before {
				continue
			}
			before = now
		}
		if ctx.Err() == nil {
			changed()
		}
	}
}

// settle waits until nothing more is told.
func settle(ctx context.Context, told <-chan struct{}) {
	limit := time.After(settled)
	for {
		select {
		case <-told:
		case <-time.After(quiet):
			return
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}
