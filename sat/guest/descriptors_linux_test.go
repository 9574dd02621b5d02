package guest

import (
	"encoding/binary"
	"slices"
)

// descriptors are what a USB device says of itself (USB 2.0, chapter 9).
type descriptors struct {
	device, configuration []byte
	strings               []string // maker, product, serial number
	speed                 int
	// status begins each packet that an FTDI chip sends; empty for other devices.
	status []byte
}

// The speeds of USB as vhci_hcd numbers them.
const (
	fullSpeed = 2
	highSpeed = 3
)

// The identities are those of makers' devices (dossier on the device link, 1.1):
// the generic one of CDC-ACM gadgets, FTDI's FT232R, and the Elgin Smart.

// acm is a device that the kernel shows as a serial port: CDC-ACM, with an
// interface for notices and one for data.
func acm(serial string) descriptors {
	return describe(2, 0x0525, 0xa4a7, serial,
		[]byte{9, 4, 0, 0, 1, 2, 2, 1, 0},
		[]byte{5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, 1, 4, 0x24, 2, 2, 5, 0x24, 6, 0, 1},
		[]byte{7, 5, 0x82, 3, 16, 0, 9},
		[]byte{9, 4, 1, 0, 2, 10, 0, 0, 0}, stream())
}

// bulk is a device of its maker's own class: an interface with a pair of bulk
// endpoints.
func bulk(serial string) descriptors {
	return describe(0, 0x2fe7, 0x0001, serial, []byte{9, 4, 0, 0, 2, 0xff, 0, 0, 0}, stream())
}

// ftdi is a serial port behind an FT232R, whose driver the kernel has. Each packet
// to the kernel begins with the state of the line: nothing to complain of.
func ftdi(serial string) descriptors {
	d := describe(0, 0x0403, 0x6001, serial, []byte{9, 4, 0, 0, 2, 0xff, 0xff, 0xff, 0},
		[]byte{7, 5, 0x81, 2, ftdiPacket, 0, 0, 7, 5, 0x02, 2, ftdiPacket, 0, 0})
	d.device[13] = 6 // release 6.00, by which the driver knows an FT232R
	d.speed, d.status = fullSpeed, []byte{0x01, 0x60}
	return d
}

// ftdiPacket is the most an FT232R sends at once.
const ftdiPacket = 64

// stream is a pair of bulk endpoints, each number 1, of 512 bytes at a time.
func stream() []byte { return []byte{7, 5, 0x01, 2, 0, 2, 0, 7, 5, 0x81, 2, 0, 2, 0} }

// describe puts the descriptors of a device together. The first parts of its
// configuration are interfaces.
func describe(class byte, vendor, product uint16, serial string, parts ...[]byte) descriptors {
	d := []byte{18, 1, 0, 2, class, 0, 0, 64}
	d = binary.LittleEndian.AppendUint16(d, vendor)
	d = binary.LittleEndian.AppendUint16(d, product)
	d = append(d, 0, 1, 1, 2, 3, 1)
	interfaces := byte(0)
	for _, p := range parts {
		if p[1] == 4 {
			interfaces++
		}
	}
	body := slices.Concat(parts...)
	c := append([]byte{9, 2, byte(9 + len(body)), 0, interfaces, 1, 0, 0x80, 250}, body...)
	return descriptors{device: d, configuration: c, strings: []string{"Zelo", "simulador", serial}, speed: highSpeed}
}

// control answers a request to endpoint 0; false refuses it. Those with nothing to
// answer are taken: set address, configuration, interface, the speed and lines of
// a serial port.
func (d descriptors) control(setup []byte) ([]byte, bool) {
	const getDescriptor, getStatus, getConfiguration = 0x8006, 0x8000, 0x8008
	const reading, vendor = 0x80, 0x40
	switch {
	case setup[0]&reading == 0:
		return nil, true
	case setup[0]&vendor != 0 && len(d.status) > 0: // state of the line, or a setting of the chip
		return d.status, true
	}
	switch binary.BigEndian.Uint16(setup) {
	case getDescriptor:
		return d.descriptor(setup[3], int(setup[2]))
	case getStatus:
		return []byte{1, 0}, true
	case getConfiguration:
		return []byte{1}, true
	}
	return nil, false
}

func (d descriptors) descriptor(kind byte, index int) ([]byte, bool) {
	const device, configuration, text = 1, 2, 3
	switch {
	case kind == device:
		return d.device, true
	case kind == configuration:
		return d.configuration, true
	case kind == text && index == 0:
		return []byte{4, text, 9, 4}, true // the languages: American English
	case kind == text && index <= len(d.strings):
		s := d.strings[index-1] // ASCII
		b := []byte{byte(2 + 2*len(s)), text}
		for i := range len(s) {
			b = append(b, s[i], 0)
		}
		return b, true
	}
	return nil, false
}
