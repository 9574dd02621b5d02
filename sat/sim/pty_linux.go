package sim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// line is the device's end of a pseudo terminal. It keeps the till's end open
// too: without any opener, reading would fail at once for ever (dossier on the
// device link, section 4).
type line struct {
	*os.File
	far *os.File
}

func (l *line) Close() error { return errors.Join(l.far.Close(), l.File.Close()) }

// openPTY makes a pseudo terminal in raw mode and returns the device's end and
// the path of the till's.
func openPTY() (io.ReadWriteCloser, string, error) {
	fail := func(err error) (io.ReadWriteCloser, string, error) {
		return nil, "", fmt.Errorf("cannot open a pseudo terminal: %w", err)
	}
	// Non-blocking, so that Close ends a Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fail(err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		master.Close()
		return fail(err)
	}
	path := "/dev/pts/" + strconv.Itoa(n)
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		master.Close()
		return fail(err)
	}
	far := os.NewFile(uintptr(slave), path)
	if err := raw(slave); err != nil {
		master.Close()
		far.Close()
		return fail(err)
	}
	return &line{master, far}, path, nil
}

// raw lets every byte pass unchanged and unechoed.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
