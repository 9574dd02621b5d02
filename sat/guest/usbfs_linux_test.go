package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// usbStream is the pair of bulk endpoints of a USB interface as a stream of bytes,
// through usbfs: without a driver, without libusb (kernel documentation,
// driver-api/usb; linux/usbdevice_fs.h). Close may be called amid Read and Write.
type usbStream struct {
	file    *os.File
	raw     syscall.RawConn // of file
	in, out uint8           // addresses of the endpoints
	wish    urb             // what the kernel fills for Read
}

// The ioctls of usbfs, as 64-bit systems number them.
const (
	usbfsBulk   = 0xC0185502
	usbfsClaim  = 0x8004550F
	usbfsSubmit = 0x8038550A
	usbfsReap   = 0x4008550D
)

const (
	// atOnce is the most bytes of one transfer, a multiple of every packet's size.
	atOnce = 16 << 10
	// stall is how long the device may take no byte.
	stall = 5 * time.Second
)

// urb is struct usbdevfs_urb of 64-bit systems.
type urb struct {
	kind, endpoint         uint8
	status                 int32
	flags                  uint32
	buffer                 unsafe.Pointer
	length, actual         int32
	start, packets, errors int32
	signal                 uint32
	context                unsafe.Pointer
}

// openUSB takes the interface at this place of sysfs for its own.
func openUSB(place string) (*usbStream, error) {
	number, err := attribute(place, "bInterfaceNumber", 16)
	if err != nil {
		return nil, err
	}
	parent := filepath.Dir(place)
	bus, errBus := attribute(parent, "busnum", 10)
	address, errAddress := attribute(parent, "devnum", 10)
	all, errAll := os.ReadFile(filepath.Join(parent, "descriptors"))
	if err := errors.Join(errBus, errAddress, errAll); err != nil {
		return nil, err
	}
	s := &usbStream{}
	if s.in, s.out = bulkEndpoints(all, byte(number)); s.in == 0 || s.out == 0 {
		return nil, fmt.Errorf("cannot use USB interface %s: it has no pair of bulk endpoints", place)
	}
	node := fmt.Sprintf("/dev/bus/usb/%03d/%03d", bus, address)
	// Non-blocking, so that Close ends a Read.
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", node, err)
	}
	s.file = os.NewFile(uintptr(fd), node)
	if s.raw, err = s.file.SyscallConn(); err == nil {
		n := uint32(number)
		_, err = s.ioctl(usbfsClaim, unsafe.Pointer(&n))
	}
	if err != nil {
		s.file.Close()
		return nil, fmt.Errorf("cannot take interface %d of %s: %w", number, node, err)
	}
	return s, nil
}

// attribute reads a number that sysfs tells of a device.
func attribute(place, name string, base int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(place, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), base, 16)
}

// bulkEndpoints finds the bulk endpoints of an interface among all the descriptors
// of a device, by direction: their numbers differ from device to device.
func bulkEndpoints(all []byte, number byte) (in, out uint8) {
	const isInterface, isEndpoint, isBulk, isIn = 4, 5, 2, 0x80
	mine := false
	for len(all) >= 2 && all[0] >= 2 && int(all[0]) <= len(all) {
		d := all[:all[0]]
		all = all[len(d):]
		switch {
		case d[1] == isInterface && len(d) >= 9:
			mine = d[2] == number
		case d[1] != isEndpoint || len(d) < 7 || !mine || d[3]&3 != isBulk:
		case d[2]&isIn != 0:
			in = d[2]
		default:
			out = d[2]
		}
	}
	return in, out
}

// Read waits until the device has something to say. It takes whole packets only:
// b has room for some.
func (s *usbStream) Read(b []byte) (int, error) {
	const isBulk = 3
	buf := make([]byte, atOnce)
	if len(b) < len(buf) {
		return 0, io.ErrShortBuffer
	}
	s.wish = urb{kind: isBulk, endpoint: s.in, buffer: unsafe.Pointer(&buf[0]), length: atOnce}
	if _, err := s.ioctl(usbfsSubmit, unsafe.Pointer(&s.wish)); err != nil {
		return 0, err
	}
	var failed syscall.Errno
	err := s.raw.Write(func(fd uintptr) bool { // usbfs is "writable" when a transfer has ended
		var done unsafe.Pointer
		_, _, failed = unix.Syscall(unix.SYS_IOCTL, fd, usbfsReap, uintptr(unsafe.Pointer(&done)))
		return failed != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failed != 0:
		return 0, failed
	case s.wish.status != 0:
		return 0, syscall.Errno(-s.wish.status)
	}
	return copy(b, buf[:s.wish.actual]), nil
}

// Write waits until the device has taken the bytes, at most five seconds.
func (s *usbStream) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := struct {
		endpoint, length, timeout uint32
		data                      unsafe.Pointer
	}{uint32(s.out), uint32(min(len(b), atOnce)), uint32(stall.Milliseconds()), unsafe.Pointer(&b[0])}
	return s.ioctl(usbfsBulk, unsafe.Pointer(&t))
}

func (s *usbStream) ioctl(request uintptr, arg unsafe.Pointer) (n int, err error) {
	closed := s.raw.Control(func(fd uintptr) {
		r, _, failed := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		if n = int(r); failed != 0 {
			n, err = 0, failed
		}
	})
	return n, errors.Join(closed, err)
}

// Close gives the device back; the kernel ends the transfers under way.
func (s *usbStream) Close() error { return s.file.Close() }
