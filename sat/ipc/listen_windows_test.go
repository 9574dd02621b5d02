package ipc

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// A program that asks for a port in use, as Windows lets it, does not get ours.
// (Wine never lets it: there the test shows that the option is accepted.)
func TestPortIsNotTaken(t *testing.T) {
	ln, err := Listen("tcp:127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	thief := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
		})
	}}
	if stolen, err := thief.Listen(t.Context(), "tcp", ln.Addr().String()); err == nil {
		stolen.Close()
		t.Error("another program listens at our port")
	}
}
