//go:build unix

package link

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"go.bug.st/serial"
)

func newPTY(t *testing.T) (till, dev io.ReadWriteCloser) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	port, err := serial.Open(slave.Name(), &serial.Mode{BaudRate: 115200})
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	return port, pollable(t, master)
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
