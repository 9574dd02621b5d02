package devices

import (
	"fmt"
	"strconv"

	"go.bug.st/serial/enumerator"
)

// lookUSB sees the devices that have a serial port; others, and those without a
// driver, are not in this list.
func lookUSB(string) ([]Plugged, error) {
	ports, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, fmt.Errorf("cannot list the serial ports: %w", err)
	}
	var all []Plugged
	for _, port := range ports {
		vendor, err1 := strconv.ParseUint(port.VID, 16, 16)
		product, err2 := strconv.ParseUint(port.PID, 16, 16)
		if !port.IsUSB || err1 != nil || err2 != nil {
			continue // a port of the mainboard
		}
		all = append(all, Plugged{Vendor: uint16(vendor), Product: uint16(product), Name: port.Product,
			Serial: port.SerialNumber, Ports: []string{port.Name}})
	}
	return all, nil
}
