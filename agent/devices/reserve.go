package devices

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrInUse says that another program on this machine uses the device.
var ErrInUse = errors.New("another program is using the device")

const reservePoll = 5 * time.Millisecond

// Reserve takes the lock that everybody on this machine who uses the device holds
// while they do: the agent around each of its calls, the library around each call
// it makes without the agent (sat/ipc, "calls made without the agent"). It is a
// file on Linux, made when missing, and the name of a mutex on Windows, where the
// calling goroutine stays on its thread until the release. The error wraps ErrInUse
// when ctx ended first.
func Reserve(ctx context.Context, lock string) (release func(), err error) {
	for {
		release, err = tryReserve(lock)
		if !errors.Is(err, ErrInUse) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot reserve the device: %w", ErrInUse)
		case <-time.After(reservePoll):
		}
	}
}

// Lock is that lock as the owners of several devices share it: a library does not say
// which device it drives, so it waits for all of them, and they not for each other.
type Lock struct {
	name string
	turn chan struct{} // guards what follows

	holders  int
	end      chan struct{} // closed when the last holder is done
	released chan struct{} // closed when the lock is free
}

// NewLock makes the shared lock of that name; nobody holds it.
func NewLock(name string) *Lock { return &Lock{name: name, turn: make(chan struct{}, 1)} }

// Reserve is [Reserve] among the holders of one process. release is called once.
func (l *Lock) Reserve(ctx context.Context) (release func(), err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot reserve the device: %w", ErrInUse)
	}
	if l.holders == 0 {
		if err := l.take(ctx); err != nil {
			return nil, err
		}
	}
	l.holders++
	return l.leave, nil
}

// take has a goroutine hold the lock until the last holder is done: on Windows it
// belongs to a thread.
func (l *Lock) take(ctx context.Context) error {
	end, released, taken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		release, err := Reserve(ctx, l.name)
		taken <- err
		if err == nil {
			<-end
			release()
		}
		close(released)
	}()
	l.end, l.released = end, released
	return <-taken
}

func (l *Lock) leave() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.holders--; l.holders == 0 {
		close(l.end)
		<-l.released
	}
}
