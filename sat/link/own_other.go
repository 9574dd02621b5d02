//go:build !linux

package link

import (
	"errors"

	"go.bug.st/serial"
)

// openPort opens a port as its only owner, as Windows always does.
func openPort(path string, mode *serial.Mode) (serial.Port, error) {
	port, err := serial.Open(path, mode)
	if e := (*serial.PortError)(nil); errors.As(err, &e) && e.Code() == serial.PortBusy {
		return nil, errBusy
	}
	return port, err
}
