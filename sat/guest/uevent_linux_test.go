package guest

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// uevent is what the kernel tells of a device that came or went: ACTION, DEVPATH,
// SUBSYSTEM, and what else it says of it.
type uevent map[string]string

// uevents hears what the kernel tells, from the moment it was opened.
type uevents int

func openUevents() (uevents, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return 0, fmt.Errorf("cannot hear of devices: %w", err)
	}
	const kernel = 1 // the group of those who hear the kernel itself
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernel}); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("cannot hear of devices: %w", err)
	}
	return uevents(fd), nil
}

func (u uevents) close() { unix.Close(int(u)) }

// next waits until a device of a subsystem, whose member name begins so, comes
// ("add") or goes ("remove").
func (u uevents) next(action, subsystem, name, begins string, within time.Duration) (uevent, error) {
	limit := unix.NsecToTimeval(int64(within))
	if err := unix.SetsockoptTimeval(int(u), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, err
	}
	b := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(int(u), b, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("no %s of a %s with %s=%s: %w", action, subsystem, name, begins, err)
		}
		e := uevent{}
		for field := range strings.SplitSeq(string(b[:n]), "\x00") {
			if key, value, ok := strings.Cut(field, "="); ok {
				e[key] = value
			}
		}
		if e["ACTION"] == action && e["SUBSYSTEM"] == subsystem && strings.HasPrefix(e[name], begins) {
			return e, nil
		}
	}
}
