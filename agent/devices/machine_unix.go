//go:build unix

package devices

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const classHub = 9

// lookUSB reads the kernel's list of USB devices (sysfs).
func lookUSB(root string) ([]Plugged, error) {
	bus := filepath.Join(root, "sys/bus/usb/devices")
	entries, err := os.ReadDir(bus)
	if err != nil {
		return nil, fmt.Errorf("cannot list USB devices: %w", err)
	}
	var all []Plugged
	for _, e := range entries {
		dir := filepath.Join(bus, e.Name())
		if strings.Contains(e.Name(), ":") || hex(dir, "bDeviceClass") == classHub {
			continue
		}
		all = append(all, readDevice(root, bus, e.Name()))
	}
	byID, byPath := portNames(root, "by-id"), portNames(root, "by-path")
	for i, p := range all {
		for _, port := range p.Ports {
			name := byPath[port]
			// Devices that show the same take this name from each other.
			if id := byID[port]; id != "" && alone(all, p) {
				name = id
			}
			all[i].Lasting = append(all[i].Lasting, cmp.Or(name, port))
		}
	}
	return all, nil
}

// portNames are udev's names of serial ports, by what the kernel calls the port.
func portNames(root, kind string) map[string]string {
	names := map[string]string{}
	for _, link := range matches(filepath.Join(root, "dev/serial", kind, "*")) {
		if to, err := os.Readlink(link); err == nil {
			port := "/dev/" + filepath.Base(to)
			names[port] = cmp.Or(names[port], "/dev/serial/"+kind+"/"+filepath.Base(link)) // the first of several
		}
	}
	return names
}

func readDevice(root, bus, name string) Plugged {
	dir := filepath.Join(bus, name)
	p := Plugged{
		Vendor: hex(dir, "idVendor"), Product: hex(dir, "idProduct"),
		Maker: attribute(dir + "/manufacturer"), Name: attribute(dir + "/product"), Serial: attribute(dir + "/serial"),
		Place:        name,
		Node:         fmt.Sprintf("/dev/bus/usb/%03d/%03d", number(dir+"/busnum"), number(dir+"/devnum")),
		Unconfigured: attribute(dir+"/bConfigurationValue") == "",
		WeakHub:      weakHub(bus, name),
	}
	interfaces, _ := filepath.Glob(dir + ":*") // a place has no pattern in it
	for _, i := range interfaces {
		p.Interfaces = append(p.Interfaces, Interface{Class: uint8(hex(i, "bInterfaceClass")), Driver: driver(i)})
		// cdc_acm hangs the port under the interface, the serial converters one deeper.
		for _, tty := range append(matches(i+"/tty/tty*"), matches(i+"/tty*/tty/tty*")...) {
			p.Ports = append(p.Ports, "/dev/"+filepath.Base(tty))
			p.Probed = p.Probed || !ignored(root, attribute(tty+"/dev"))
		}
		for _, net := range matches(i + "/net/*") {
			p.Networks = append(p.Networks, filepath.Base(net))
		}
	}
	for _, node := range append([]string{p.Node}, p.Ports...) {
		if unix.Access(filepath.Join(root, node), unix.R_OK|unix.W_OK) != nil {
			p.Closed = append(p.Closed, node)
		}
	}
	return p
}

// driver is the kernel's driver of an interface, to which a link leads.
func driver(dir string) string {
	to, err := os.Readlink(dir + "/driver")
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// ignored reports whether udev told ModemManager to leave a port alone, from
// udev's record of the character device major:minor.
func ignored(root, device string) bool {
	record := attribute(filepath.Join(root, "run/udev/data", "c"+device))
	return strings.Contains(record, "E:ID_MM_DEVICE_IGNORE=1")
}

// weakHub looks at the hub that a device is plugged into. Root hubs, which are the
// computer itself, say that they have a supply.
func weakHub(bus, name string) bool {
	end := strings.LastIndex(name, ".")
	if end < 0 {
		return false
	}
	const ownSupply = 0x40 // bmAttributes, USB 2.0 table 9-10
	return number(filepath.Join(bus, name, "bMaxPower")) > 100 && hex(filepath.Join(bus, name[:end]), "bmAttributes")&ownSupply == 0
}

func matches(pattern string) []string {
	found, _ := filepath.Glob(pattern) // the patterns here are well formed
	return found
}

// hex reads a hexadecimal attribute.
func hex(dir, name string) uint16 {
	v, _ := strconv.ParseUint(attribute(dir+"/"+name), 16, 16) // 0 when the kernel says nothing
	return uint16(v)
}

// number reads a decimal attribute; currents end in mA.
func number(path string) int {
	v, _ := strconv.Atoi(strings.TrimSuffix(attribute(path), "mA")) // 0 when the kernel says nothing
	return v
}
