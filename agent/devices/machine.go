package devices

import (
	"bytes"
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
	PortsOnly    bool     // only devices with a serial port can be seen (Windows)
	Libraries    []string // paths of files named like a maker's library, ours left out
	ModemManager bool     // it runs, and sends commands to every new serial port
}

// Plugged is one USB device. Hubs are left out.
type Plugged struct {
	Vendor, Product     uint16
	Maker, Name, Serial string      // as the device says them; often empty
	Place               string      // where it is plugged in: 1-1.4; empty on Windows
	Interfaces          []Interface // empty on Windows
	Ports               []string    // serial ports: /dev/ttyACM0, COM3
	Networks            []string    // network cards
	Node                string      // the device itself, for libraries that speak USB: /dev/bus/usb/001/002
	Closed              []string    // those of Ports and Node that this user may not open
	Probed              bool        // nothing tells ModemManager to leave its ports alone
	Unconfigured        bool        // the system refused it, as a rule for want of current
	WeakHub             bool        // it wants more than 100 mA from a hub without a supply of its own
}

// Interface is one function of a USB device.
type Interface struct {
	Class  uint8
	Driver string // empty when the system has none for it
}

// Look sees what is plugged in and installed. Root is the root of the file system;
// nothing is opened or sent, and no rights are needed.
func Look(root string) (Machine, error) {
	plugged, err := lookUSB(root)
	if err != nil {
		return Machine{}, err
	}
	return Machine{
		System:       runtime.GOOS,
		Plugged:      plugged,
		PortsOnly:    runtime.GOOS == "windows",
		Libraries:    lookLibraries(root, runtime.GOOS),
		ModemManager: running(root, "ModemManager"),
	}, nil
}

// libraryFolders are where makers' installers and technicians put libraries.
func libraryFolders(system string) []string {
	if system == "windows" {
		return []string{"SAT", "SAT/*", "Windows/System32", "Windows/SysWOW64",
			"Program Files/*", "Program Files/*/*", "Program Files (x86)/*", "Program Files (x86)/*/*"}
	}
	return []string{"usr/lib", "usr/lib/*-linux-gnu*", "usr/lib32", "usr/lib64", "usr/local/lib", "opt/*", "opt/*/*"}
}

// lookLibraries finds makers' libraries; a file with several names is told once.
func lookLibraries(root, system string) []string {
	var found []string
	files, models := map[string]bool{}, Models()
	for _, pattern := range libraryFolders(system) {
		folders, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern))) // the patterns are well formed
		for _, folder := range folders {
			entries, _ := os.ReadDir(folder) // one that cannot be read shows nothing
			for _, e := range entries {
				path := filepath.Join(folder, e.Name())
				if !slices.ContainsFunc(models, func(m Model) bool { return m.loads(system, path) }) {
					continue
				}
				real, err := filepath.EvalSymlinks(path)
				if err != nil || files[real] || !isMakers(real) {
					continue
				}
				files[real] = true
				found = append(found, path)
			}
		}
	}
	return found
}

// loads reports whether path is named like a library of the model.
func (m Model) loads(system, path string) bool {
	base := path[strings.LastIndexAny(path, `/\`)+1:]
	return slices.ContainsFunc(m.Libraries, func(l Library) bool {
		switch {
		case l.System != system:
			return false
		case system == "windows":
			return strings.EqualFold(base, l.Name)
		}
		return base == l.Name || strings.HasPrefix(base, l.Name+".")
	})
}

// isMakers tells a maker's library from ours, which bears the same name, by the
// function that only ours exports.
func isMakers(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	content, err := os.ReadFile(path)
	return err != nil || !bytes.Contains(content, []byte("ZeloBiblioteca"))
}

// running reports whether a program of that name runs, where the system shows its
// programs as files.
func running(root, name string) bool {
	programs, _ := filepath.Glob(filepath.Join(root, "proc", "[0-9]*", "comm")) // well formed
	return slices.ContainsFunc(programs, func(path string) bool { return attribute(path) == name })
}

// attribute is the content of a small file without spaces around it and without
// characters that would act on a terminal, for a device says what it likes; empty
// when the file cannot be read.
func attribute(path string) string {
	b, _ := os.ReadFile(path)
	printable := func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}
	return strings.TrimSpace(strings.Map(printable, string(b)))
}
