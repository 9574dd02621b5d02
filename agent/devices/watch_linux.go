package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// hear has the kernel's word of USB devices and terminals left in told, until stop
// is called (netlink(7), NETLINK_KOBJECT_UEVENT). The kernel sends it before udev
// has made names and permissions.
func hear(told chan<- struct{}) (stop func(), err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("cannot open a socket for the kernel's events: %w", err)
	}
	const kernel = 1 // the group of those who hear the kernel itself, not udev
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernel}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot hear the kernel's events: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "uevents")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 16<<10) // the kernel's own bound is 2 KiB
		for {
			n, err := socket.Read(b)
			switch {
			case errors.Is(err, unix.ENOBUFS): // more came than the socket holds
				tell(told)
			case err != nil:
				return
			case concerns(b[:n]):
				tell(told)
			}
		}
	}()
	return func() {
		socket.Close()
		<-ended
	}, nil
}

// concerns reports whether an event is of a USB device or a terminal that came or
// went. An event is a line ACTION@DEVPATH and pairs KEY=VALUE, each ended by NUL
// (the kernel's kobject_uevent.c). Others must not count: to open a USB device binds
// it, and an owner who tries in vain would be told to try again for ever.
func concerns(event []byte) bool {
	action, pairs, _ := strings.Cut(string(event), "@")
	if action != "add" && action != "remove" {
		return false
	}
	for pair := range strings.SplitSeq(pairs, "\x00") {
		if pair == "SUBSYSTEM=usb" || pair == "SUBSYSTEM=tty" {
			return true
		}
	}
	return false
}

// listing names the USB devices and the serial ports below root in a text that
// differs when one came, went, came back or was opened to others. Times do not
// count: every write to a terminal changes them.
func listing(root string) string {
	var b strings.Builder
	bus := filepath.Join(root, "sys/bus/usb/devices")
	for _, e := range entries(bus) {
		if !strings.Contains(e.Name(), ":") { // an interface
			fmt.Fprintln(&b, e.Name(), attribute(filepath.Join(bus, e.Name(), "devnum")))
		}
	}
	dev := filepath.Join(root, "dev")
	for _, e := range entries(dev) {
		if strings.HasPrefix(e.Name(), "ttyACM") || strings.HasPrefix(e.Name(), "ttyUSB") {
			var s unix.Stat_t
			unix.Stat(filepath.Join(dev, e.Name()), &s) // zero when it went away just now
			fmt.Fprintln(&b, e.Name(), s.Ino, s.Mode, s.Uid, s.Gid)
		}
	}
	for _, names := range []string{"by-id", "by-path"} {
		for _, e := range entries(filepath.Join(dev, "serial", names)) {
			fmt.Fprintln(&b, e.Name())
		}
	}
	return b.String()
}

// entries are those of a folder, sorted; none when it is not there.
func entries(folder string) []fs.DirEntry {
	all, _ := os.ReadDir(folder)
	return all
}
