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
