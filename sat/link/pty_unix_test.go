//go:build unix

package link

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"go.bug.st/serial"
	"golang.org/x/term"
)

func newPTY(t *testing.T) (till, dev io.ReadWriteCloser) {
	t.Helper()
	slave, dev := newPort(t)
	port, err := serial.Open(slave.Name(), &serial.Mode{BaudRate: 115200})
	slave.Close() // so that the device sees when the till closes
	if err != nil {
		t.Fatal(err)
	}
	return port, dev
}

// newPort makes a pseudo terminal, which the till opens by the slave's name. It is
// set up as a serial port from the beginning.
func newPort(t *testing.T) (slave, dev *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	return slave, pollable(t, master)
}

// pollable returns the file in non-blocking mode, so that Close ends a Read.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}
