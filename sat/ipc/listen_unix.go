//go:build !windows

package ipc

import (
	"errors"
	"syscall"
)

// exclusive has nothing to do: a port in use is nobody else's.
func exclusive(_, _ string, _ syscall.RawConn) error { return nil }

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
