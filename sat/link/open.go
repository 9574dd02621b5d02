package link

import (
	"context"
	"net"

	"go.bug.st/serial"

	"zelo/sat"
)

// OpenSerial opens the device on a serial port or pseudo terminal at the given
// speed, 8 bits, no parity, one stop bit. Modem lines are left alone: not every
// port has them (dossier on the device link, section 4).
func OpenSerial(ctx context.Context, path string, baud int) (*Conn, sat.Info, error) {
	port, err := serial.Open(path, &serial.Mode{BaudRate: baud})
	if err != nil {
		return nil, sat.Info{}, &sat.Error{Op: "open", Device: path, Err: err}
	}
	return Open(ctx, port, Options{Driver: "serial", Where: path})
}

// OpenTCP opens the device that listens on a TCP address.
func OpenTCP(ctx context.Context, addr string) (*Conn, sat.Info, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, sat.Info{}, &sat.Error{Op: "open", Device: addr, Err: err}
	}
	return Open(ctx, conn, Options{Driver: "tcp", Where: addr})
}
