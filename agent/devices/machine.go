package devices

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// Machine is what a computer shows of fiscal devices and of what they need.
type Machine struct {
	System       string // as runtime.GOOS
	Plugged      []Plugged
	NoUSB        bool          // the system has no USB at all, as many virtual machines
	Libraries    []LibraryFile // ours left out
	No32         bool          // a Linux without what 32-bit programs need
	ModemManager bool          // it runs, and sends commands to every new serial port
}

// Plugged is one USB device. Hubs are left out.
type Plugged struct {
	Vendor, Product     uint16
	Maker, Name, Serial string      // as the device says them; often empty
	Place               string      // where it is plugged in: 1-1.4, Port_#0002.Hub_#0001
	Interfaces          []Interface // on Windows its devices, of which only those without a driver have a class
	Ports               []string    // serial ports: /dev/ttyACM0, COM3
	Lasting             []string    // the same ports, by names that they have again after being unplugged
	Networks            []string    // network cards
	Node                string      // the device itself, for libraries that speak USB: /dev/bus/usb/001/002
	Closed              []string    // those of Ports and Node that this user may not open
	Probed              bool        // nothing tells ModemManager to leave its ports alone
	Unconfigured        bool        // the system refused it, as a rule for want of current
	Problem             int         // Windows' code for what is wrong with it, as its device manager shows; 0 for nothing
	WeakHub             bool        // it wants more than 100 mA from a hub without a supply of its own
}

// Interface is one function of a USB device.
type Interface struct {
	Class  uint8
	Driver string // on Windows the service; empty when the system has none for it
}

// Look sees what is plugged in and installed. Root is the root of the file system;
// nothing is opened or sent, and no rights are needed.
func Look(root string) (Machine, error) {
	plugged, err := lookUSB(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Machine{}, err
	}
	return Machine{
		System:       runtime.GOOS,
		Plugged:      plugged,
		NoUSB:        err != nil,
		Libraries:    lookLibraries(root, runtime.GOOS),
		No32:         runtime.GOOS == "linux" && !exists(filepath.Join(root, "lib/ld-linux.so.2")),
		ModemManager: running(root, "ModemManager"),
	}, nil
}

// running reports whether a program of that name runs, where the system shows its
// programs as files.
func running(root, name string) bool {
	programs, _ := filepath.Glob(filepath.Join(root, "proc", "[0-9]*", "comm")) // well formed
	return slices.ContainsFunc(programs, func(path string) bool { return attribute(path) == name })
}

// attribute is the printable content of a small file without spaces around it;
// empty when the file cannot be read.
func attribute(path string) string {
	b, _ := os.ReadFile(path)
	return printable(string(b))
}

// printable is a text without spaces around it and without characters that would
// act on a terminal, for a device says what it likes.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s))
}
