package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// usbPlace is an interface of a plugged device, ready to be taken.
type usbPlace struct {
	usbInterface
	node   string // of the device, /dev/bus/usb/001/004
	driver string // of the kernel, from which it must be taken; empty when none has it
}

var (
	usbPort  = regexp.MustCompile(`^\d+-\d+(\.\d+)*$`)
	usbModel = regexp.MustCompile(`^([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(/.+)?$`)
)

// findUSB finds what where names, see [OpenUSB], in the tree that sysfs shows of the
// devices.
func findUSB(sysfs, where string) (usbPlace, error) {
	devices := filepath.Join(sysfs, "bus/usb/devices")
	dir := filepath.Join(devices, where)
	if m := usbModel.FindStringSubmatch(where); m != nil {
		port, err := findModel(devices, m[1], m[2], strings.TrimPrefix(m[3], "/"))
		if err != nil {
			return usbPlace{}, err
		}
		dir = filepath.Join(devices, port)
	} else if !usbPort.MatchString(where) {
		return usbPlace{}, errors.New("cannot tell which USB device is meant: write a port (1-2.3), " +
			"maker:product (2fe7:0001), or maker:product/serial number")
	}
	return placeOf(dir)
}

// findModel finds the port of the one device of this model and, if not empty, this
// serial number.
func findModel(devices, vendor, product, serial string) (port string, err error) {
	entries, err := os.ReadDir(devices)
	if err != nil {
		return "", fmt.Errorf("cannot list the USB devices: %w", err)
	}
	var ports, seen []string
	for _, e := range entries {
		dir := filepath.Join(devices, e.Name())
		if !strings.EqualFold(attribute(dir, "idVendor"), vendor) || !strings.EqualFold(attribute(dir, "idProduct"), product) {
			continue
		}
		its := attribute(dir, "serial")
		seen = append(seen, fmt.Sprintf("%s (port %s)", strconv.Quote(its), e.Name()))
		if serial == "" || serial == its {
			ports = append(ports, e.Name())
		}
	}
	switch {
	case len(seen) == 0:
		return "", fmt.Errorf("cannot find USB device %s:%s: none is plugged in", vendor, product)
	case len(ports) == 0:
		return "", fmt.Errorf("cannot find USB device %s:%s with serial number %q: plugged in: %s",
			vendor, product, serial, strings.Join(seen, ", "))
	case len(ports) > 1:
		return "", fmt.Errorf("cannot choose between %d USB devices %s:%s: name one by serial number or port: %s",
			len(ports), vendor, product, strings.Join(seen, ", "))
	}
	return ports[0], nil
}

// placeOf chooses the interface of the device that sysfs shows at dir.
func placeOf(dir string) (usbPlace, error) {
	name := filepath.Base(dir)
	all, err := os.ReadFile(filepath.Join(dir, "descriptors"))
	if errors.Is(err, os.ErrNotExist) {
		return usbPlace{}, fmt.Errorf("cannot find a USB device at port %s: nothing is plugged in there", name)
	}
	if err != nil {
		return usbPlace{}, fmt.Errorf("cannot read what the USB device at port %s is: %w", name, err)
	}
	bus, errBus := strconv.ParseUint(attribute(dir, "busnum"), 10, 16)
	address, errAddress := strconv.ParseUint(attribute(dir, "devnum"), 10, 16)
	configuration, errConfiguration := strconv.ParseUint(attribute(dir, "bConfigurationValue"), 10, 8)
	if err := errors.Join(errBus, errAddress, errConfiguration); err != nil {
		return usbPlace{}, fmt.Errorf("cannot use the USB device at port %s: the kernel has not set it up: %w", name, err)
	}
	at := func(i usbInterface) string { return fmt.Sprintf("%s/%s:%d.%d", dir, name, configuration, i.number) }
	found := bulkInterfaces(all, byte(configuration))
	if len(found) == 0 {
		return usbPlace{}, fmt.Errorf("cannot use the USB device at port %s: no interface of its own class has one bulk endpoint each way", name)
	}
	chosen := found[0]
	for _, i := range found {
		if driverOf(at(i)) == "" {
			chosen = i
			break
		}
	}
	p := usbPlace{usbInterface: chosen, node: fmt.Sprintf("/dev/bus/usb/%03d/%03d", bus, address), driver: driverOf(at(chosen))}
	if err := takeable(dir, at(chosen), p); err != nil {
		return usbPlace{}, fmt.Errorf("cannot take interface %d of the USB device at port %s: %w", chosen.number, name, err)
	}
	return p, nil
}

// takeable says why an interface must not be taken from the driver that holds it:
// one that gives the system a serial port or a network, or that is for a class of
// devices which is not the maker's own.
func takeable(dir, at string, p usbPlace) error {
	ports, _ := filepath.Glob(filepath.Join(dir, "*:*", "tty", "tty*")) // cdc_acm
	more, _ := filepath.Glob(filepath.Join(dir, "*:*", "ttyUSB*"))      // usb-serial
	networks, _ := filepath.Glob(filepath.Join(at, "net", "*"))
	switch ports = append(ports, more...); {
	case p.driver == "":
		return nil
	case p.driver == "usbfs":
		return errBusy
	case len(ports) > 0:
		return fmt.Errorf("the kernel makes it a serial port: use serial:/dev/%s", filepath.Base(ports[0]))
	case p.class != vendorClass || len(networks) > 0:
		return fmt.Errorf("the kernel uses it (%s)", p.driver)
	}
	return nil
}

// driverOf names the driver that holds the interface which sysfs shows at dir.
func driverOf(dir string) string {
	link, err := os.Readlink(filepath.Join(dir, "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// attribute reads what sysfs says of a device; empty when it says nothing.
func attribute(dir, name string) string {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(b))
}

// usbInterface is an interface with one bulk endpoint each way.
type usbInterface struct {
	number, class byte
	in, out       byte // addresses of the endpoints
}

// The classes of interfaces whose bulk endpoints may carry the protocol.
const (
	cdcDataClass = 0x0a
	vendorClass  = 0xff
)

// bulkInterfaces finds the interfaces that can carry the protocol among all the
// descriptors of a device, as sysfs and usbfs give them (USB 2.0, 9.5 and 9.6):
// those of this configuration, in their first setting, of the maker's own class or
// CDC data, with exactly one bulk endpoint each way. Endpoints count by direction:
// their numbers differ from device to device. Damage ends the search.
func bulkInterfaces(all []byte, configuration byte) []usbInterface {
	const isConfiguration, isInterface, isEndpoint = 2, 4, 5
	var found []usbInterface
	var i usbInterface
	var ins, outs int
	keep := func() {
		if ins == 1 && outs == 1 && (i.class == vendorClass || i.class == cdcDataClass) {
			found = append(found, i)
		}
		ins, outs = 0, 0
	}
	inside, first := false, false
	for len(all) >= 2 && all[0] >= 2 && int(all[0]) <= len(all) {
		d := all[:all[0]]
		all = all[len(d):]
		switch {
		case d[1] == isConfiguration && len(d) >= 9:
			keep()
			inside, first = d[5] == configuration, false
		case d[1] == isInterface && len(d) >= 9:
			keep()
			first = inside && d[3] == 0
			i = usbInterface{number: d[2], class: d[5]}
		case d[1] != isEndpoint || len(d) < 7 || !first || d[3]&3 != 2:
		case d[2]&0x80 != 0:
			i.in = d[2]
			ins++
		default:
			i.out = d[2]
			outs++
		}
	}
	keep()
	return found
}
