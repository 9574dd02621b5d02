package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"zelo/sat"
)

const (
	// usbAtOnce is the most bytes of one transfer, a multiple of every packet's size:
	// a device cannot send more than was asked for.
	usbAtOnce = 16 << 10
	// usbWriteTime is how long the device may take to accept one transfer.
	usbWriteTime = 5 * time.Second
)

// OpenUSB opens the device that speaks the protocol over a pair of bulk endpoints
// of a USB interface. where says which device:
//
//	1-2.3               what is plugged into this port, as the kernel numbers ports
//	2fe7:0001           the only one of this maker and product
//	2fe7:0001/SERIAL    the one with this serial number
//
// The interface is the one with a bulk endpoint each way, found by direction. Its
// owner is one: while a program has it, nobody else can open it. A device that the
// kernel shows as a serial port is not taken from the kernel: OpenSerial is the way
// to it. The device node /dev/bus/usb/BBB/DDD must be writable for the program.
//
// A third goroutine, besides the two of [Open], runs until Close. Errors wrap
// [sat.ErrGone]. Sources: USB 2.0, chapter 9; kernel documentation, driver-api/usb
// and linux/usbdevice_fs.h; dossier on the device link, 3.2 and 6.4.
func OpenUSB(ctx context.Context, where string) (*Conn, sat.Info, error) {
	place, err := findUSB("/sys", where)
	if err != nil {
		return nil, sat.Info{}, unopened(where, err)
	}
	stream, err := openUSBStream(place)
	if err != nil {
		return nil, sat.Info{}, unopened(where, err)
	}
	return Open(ctx, stream, Options{Driver: "usb", Where: where})
}

// usbStream is the pair of bulk endpoints of a USB interface as a stream of bytes.
// One goroutine may read, one may write and any may close at the same time.
//
// The kernel writes to the memory of a transfer only when it is reaped, so one that
// nobody waits for any more needs no care: the kernel ends it when the file closes.
type usbStream struct {
	file    *os.File        // the device node, which owns the interface
	raw     syscall.RawConn // of file
	in, out transfer
	rest    []byte // received, not yet read

	closing chan struct{} // closed by Close
	closed  sync.Once
	reaped  chan struct{} // closed when reap has ended: after Close, or when the device is gone
}

// transfer is one transfer at a time between an endpoint and memory.
type transfer struct {
	urb  urb
	data []byte
	done chan struct{} // one token when the kernel has ended it
}

func openUSBStream(place usbPlace) (*usbStream, error) {
	// Non-blocking, so that Close ends what waits for the kernel.
	fd, err := unix.Open(place.node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("cannot open %s: %w: a udev rule must let this program in", place.node, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", place.node, err)
	}
	s := &usbStream{
		file: os.NewFile(uintptr(fd), place.node), in: newTransfer(place.in), out: newTransfer(place.out),
		closing: make(chan struct{}), reaped: make(chan struct{}),
	}
	if s.raw, err = s.file.SyscallConn(); err == nil {
		err = s.take(place)
	}
	if err != nil {
		s.file.Close()
		return nil, fmt.Errorf("cannot take interface %d of %s: %w", place.number, place.node, err)
	}
	go s.reap()
	return s, nil
}

func newTransfer(endpoint byte) transfer {
	t := transfer{data: make([]byte, usbAtOnce), done: make(chan struct{}, 1)}
	t.urb = urb{kind: urbBulk, endpoint: endpoint, buffer: unsafe.Pointer(&t.data[0])}
	return t
}

// take makes the interface this file's own, from the driver that holds it if there
// is one.
func (s *usbStream) take(place usbPlace) error {
	var err error
	if place.driver == "" {
		number := uint32(place.number)
		err = s.ioctl(usbfsClaim, unsafe.Pointer(&number))
	} else {
		c := disconnectClaim{number: uint32(place.number), flags: onlyFromDriver}
		copy(c.driver[:len(c.driver)-1], place.driver)
		err = s.ioctl(usbfsDisconnectClaim, unsafe.Pointer(&c))
	}
	if errors.Is(err, unix.EBUSY) {
		return errBusy
	}
	return err
}

// reap is the goroutine that learns from the kernel which transfers have ended.
func (s *usbStream) reap() {
	defer close(s.reaped)
	for {
		var ended unsafe.Pointer
		var failed syscall.Errno
		err := s.raw.Write(func(fd uintptr) bool { // usbfs is "writable" when a transfer has ended
			_, _, failed = unix.Syscall(unix.SYS_IOCTL, fd, usbfsReap, uintptr(unsafe.Pointer(&ended)))
			return failed != unix.EAGAIN
		})
		switch {
		case err != nil || failed != 0: // closed here, or ENODEV
			return
		case ended == unsafe.Pointer(&s.in.urb):
			s.in.done <- struct{}{}
		case ended == unsafe.Pointer(&s.out.urb):
			s.out.done <- struct{}{}
		}
	}
}

// Read waits until the device has something to say.
func (s *usbStream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 { // an empty packet says nothing
		if err := s.submit(&s.in, usbAtOnce); err != nil {
			return 0, err
		}
		if err := s.wait(&s.in, nil); err != nil {
			return 0, err
		}
		if err := s.outcome(&s.in); err != nil {
			return 0, err
		}
		s.rest = s.in.data[:s.in.urb.actual]
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Write waits until the device has taken the bytes, five seconds at most for each
// transfer. The device sees the end of each: an empty packet follows one that fills
// its last packet. When it fails, the count includes what may have arrived.
func (s *usbStream) Write(b []byte) (sent int, err error) {
	for len(b) > 0 {
		n := copy(s.out.data, b)
		s.out.urb.flags = urbZeroPacket
		if err := s.submit(&s.out, n); err != nil {
			return sent, err
		}
		if err := s.finishWrite(); err != nil {
			return sent + n, err
		}
		sent, b = sent+n, b[n:]
	}
	return sent, nil
}

// finishWrite waits for the transfer to the device, and takes it back when the
// device is too slow.
func (s *usbStream) finishWrite() error {
	deadline := time.NewTimer(usbWriteTime)
	defer deadline.Stop()
	err := s.wait(&s.out, deadline.C)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.ioctl(usbfsDiscard, unsafe.Pointer(&s.out.urb)) // fails only when it has just ended
		if gone := s.wait(&s.out, nil); gone != nil {
			return gone
		}
		return fmt.Errorf("the device takes no bytes: %w", err)
	}
	if err != nil {
		return err
	}
	if err := s.outcome(&s.out); err != nil {
		return err
	}
	if s.out.urb.actual < s.out.urb.length {
		return io.ErrShortWrite
	}
	return nil
}

// submit begins a transfer of n bytes.
func (s *usbStream) submit(t *transfer, n int) error {
	select {
	case <-s.closing:
		return os.ErrClosed
	default:
	}
	t.urb.length, t.urb.actual, t.urb.status = int32(n), 0, 0
	if err := s.ioctl(usbfsSubmit, unsafe.Pointer(&t.urb)); err != nil {
		return named(err)
	}
	return nil
}

// wait waits for the end of a transfer.
func (s *usbStream) wait(t *transfer, deadline <-chan time.Time) error {
	select {
	case <-t.done:
		return nil
	case <-deadline:
		return os.ErrDeadlineExceeded
	case <-s.closing:
		return os.ErrClosed
	case <-s.reaped:
	}
	select {
	case <-t.done: // the last before the device went away
		return nil
	default:
		return errUnplugged
	}
}

// outcome says how an ended transfer ended. A halted endpoint is made usable again
// for who opens the device next.
func (s *usbStream) outcome(t *transfer) error {
	if t.urb.status == 0 {
		return nil
	}
	err := syscall.Errno(-t.urb.status)
	if err == unix.EPIPE {
		endpoint := uint32(t.urb.endpoint)
		return errors.Join(errors.New("the device refuses to go on"), s.ioctl(usbfsClearHalt, unsafe.Pointer(&endpoint)))
	}
	return named(err)
}

var errUnplugged = errors.New("the device was unplugged")

// named says in words what the kernel says of a device that is no more.
func named(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESHUTDOWN) {
		return errUnplugged
	}
	return fmt.Errorf("cannot reach the device over USB: %w", err)
}

func (s *usbStream) ioctl(request uintptr, arg unsafe.Pointer) error {
	var failed syscall.Errno
	if err := s.raw.Control(func(fd uintptr) {
		_, _, failed = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
	}); err != nil {
		return err
	}
	if failed != 0 {
		return failed
	}
	return nil
}

// Close gives the interface back; the kernel ends the transfers under way, and with
// them Read and Write.
func (s *usbStream) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		err = s.file.Close()
		<-s.reaped
	})
	return err
}
