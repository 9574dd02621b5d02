package ipc

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// soExclusiveAddrUse is SO_EXCLUSIVEADDRUSE: without it a program that asks for
// SO_REUSEADDR takes a port that is in use (Winsock documentation, "Using
// SO_REUSEADDR and SO_EXCLUSIVEADDRUSE").
const soExclusiveAddrUse = ^windows.SO_REUSEADDR

// exclusive keeps the port from being taken while it is in use.
func exclusive(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, soExclusiveAddrUse, 1)
	})
	return errors.Join(err, failed)
}

// inUse reports a port that another program holds; one that holds it exclusively,
// or the system itself, is said as an access that is denied.
func inUse(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
