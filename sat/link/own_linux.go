package link

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// ownedPort is a serial port that nobody else of us can open until it is closed.
// It is written through a descriptor of its own, which does not block: a write to a
// port that takes no bytes ends when the port is closed, which the library's cannot.
type ownedPort struct {
	serial.Port
	file *os.File // also holds the lock
}

// openPort opens a port as its only owner. The lock that the kernel offers for
// terminals (TIOCEXCL, which the library sets) does not hold against root, as which
// the agent runs; flock does, and other programs for serial ports heed it too.
func openPort(path string, mode *serial.Mode) (*ownedPort, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, errBusy
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the port: %w", err)
	}
	file := os.NewFile(uintptr(fd), path)
	var port serial.Port
	if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		err = errBusy
	}
	if err == nil {
		port, err = serial.Open(path, mode)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	keepFromChildren(fd)
	dropOnClose(fd)
	return &ownedPort{port, file}, nil
}

// keepFromChildren closes the library's descriptor of the port in programs that this
// one starts, which the library forgets: a child that lives on would keep a port that
// was unplugged, and the device would come back under another name.
func keepFromChildren(fd int) {
	var own, other unix.Stat_t
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil || unix.Fstat(fd, &own) != nil {
		return
	}
	for _, d := range open {
		if n, err := strconv.Atoi(d.Name()); err == nil && unix.Fstat(n, &other) == nil &&
			other.Mode&unix.S_IFMT == unix.S_IFCHR && other.Rdev == own.Rdev {
			unix.CloseOnExec(n)
		}
	}
}

// dropOnClose has the kernel drop what the device has not taken when the port is
// closed; it would wait for half a minute. It is for root only, and not every port
// can (linux/serial.h, TIOCSSERIAL): then the kernel waits.
func dropOnClose(fd int) {
	var s struct { // serial_struct
		kind, line, port, irq, flags, fifo, divisor, baud int32
		closeDelay                                        uint16
		io, _                                             int8
		hub                                               int32
		closingWait, _                                    uint16
		memory                                            uintptr
		shift                                             uint16
		portHigh                                          uint32
		mapped                                            uintptr
	}
	const none = 65535
	if _, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGSERIAL, uintptr(unsafe.Pointer(&s))); failed == 0 {
		s.closingWait = none
		unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSSERIAL, uintptr(unsafe.Pointer(&s)))
	}
}

func (p *ownedPort) Write(b []byte) (int, error) { return p.file.Write(b) }

func (p *ownedPort) Close() error { return errors.Join(p.Port.Close(), p.file.Close()) }
