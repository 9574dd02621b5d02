package monitor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"zelo/agent/wire"
)

// readComputer reads what Linux says of the computer.
func readComputer() *wire.Computer {
	c := &wire.Computer{System: systemName("/"), Booted: bootedAt().UnixMilli()}
	c.MemoryTotal, c.MemoryFree = memory("/")
	c.ClockSynced = clockSynced()
	c.USBErrors, c.USBLast = usbErrors(kernelLog())
	return c
}

// systemName is how the distribution calls itself.
func systemName(root string) string {
	for line := range strings.Lines(string(readSome(filepath.Join(root, "etc/os-release"), 64<<10))) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(name), `"'`)
		}
	}
	return "Linux"
}

// memory is the computer's, in bytes: all, and what programs can still have.
func memory(root string) (total, free int64) {
	raw, _ := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			free = kib << 10
		}
	}
	return total, free
}

// bootedAt is when the computer was started; zero when it does not say.
func bootedAt() time.Time {
	raw, _ := os.ReadFile("/proc/stat")
	_, after, ok := bytes.Cut(raw, []byte("\nbtime "))
	text, _, _ := strings.Cut(string(after), "\n")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// clockSynced tells whether the kernel is told the time by the network: 1, -1, or 0 when
// it does not say.
func clockSynced() int {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return 0
	}
	if t.Status&unix.STA_UNSYNC != 0 {
		return -1
	}
	return 1
}

// readDisks are the volumes of the agent's folder and of the system.
func readDisks(folder string) map[string]wire.Disk {
	all := map[string]wire.Disk{}
	var own, system unix.Stat_t
	if unix.Stat(folder, &own) == nil && unix.Stat("/", &system) == nil && own.Dev != system.Dev {
		all[mountOf(folder)] = disk(folder, true)
	}
	all["/"] = disk("/", len(all) == 0)
	return all
}

// mountOf is where the volume of a folder begins.
func mountOf(folder string) string {
	var here, above unix.Stat_t
	for dir := filepath.Clean(folder); ; dir = filepath.Dir(dir) {
		if unix.Stat(dir, &here) != nil || unix.Stat(filepath.Dir(dir), &above) != nil || here.Dev != above.Dev || dir == "/" {
			return dir
		}
	}
}

func disk(path string, own bool) wire.Disk {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return wire.Disk{Own: own}
	}
	return wire.Disk{Total: int64(s.Blocks) * int64(s.Bsize), Free: int64(s.Bavail) * int64(s.Bsize), Own: own}
}

// kernelLog is what the kernel has said since it started, as far as it remembers, in
// the form of /dev/kmsg; nil when only others may read it.
func kernelLog() []byte {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var all []byte
	record := make([]byte, 8<<10)
	for len(all) < 8<<20 {
		n, err := unix.Read(fd, record)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR) {
			continue // overwritten meanwhile: the next one
		}
		if err != nil || n <= 0 {
			break
		}
		all = append(all, record[:n]...)
	}
	return all
}

// usbTrouble is what the kernel says of a cable, a hub or a device that fails.
var usbTrouble = regexp.MustCompile(`^(usb|hub) .*(error|not accepting address|unable to enumerate|disabled by hub|over-current|reset (low|full|high|super)-speed)`)

// usbErrors counts the kernel's complaints about USB within the last day, and names the
// last one.
func usbErrors(log []byte) (n int, last string) {
	var since unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &since) != nil {
		return 0, ""
	}
	return countUSB(log, time.Duration(since.Nano()))
}

// countUSB does so for a log read so long after the start of the kernel.
func countUSB(log []byte, uptime time.Duration) (n int, last string) {
	for line := range strings.Lines(string(log)) {
		head, text, ok := strings.Cut(strings.TrimSpace(line), ";")
		fields := strings.Split(head, ",")
		if !ok || len(fields) < 3 || !usbTrouble.MatchString(text) {
			continue
		}
		us, err := strconv.ParseInt(fields[2], 10, 64)
		if err == nil && uptime-time.Duration(us)*time.Microsecond < 24*time.Hour {
			n, last = n+1, text
		}
	}
	return n, last
}

func readRemote() map[string]wire.Remote { return readRemoteFiles(remoteFiles("/")) }

func remoteFiles(root string) []remoteFile {
	return []remoteFile{
		{anyDesk, filepath.Join(root, "etc/anydesk/system.conf")},
		{teamViewer, filepath.Join(root, "opt/teamviewer/config/global.conf")},
		{rustDesk, filepath.Join(root, "root/.config/rustdesk/RustDesk.toml")},
	}
}

// residentBytes is the memory that the agent takes.
func residentBytes() int64 {
	raw, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Linux has no store of certificates with keys that programs share.
func inStores() []found { return nil }

func usualFolders() []string {
	return []string{"/etc/certificados", "/opt/certificados", "/opt/acbr", "/opt/ACBrMonitor", "/var/lib/certificados"}
}
