package link

import (
	"context"
	"errors"
	"fmt"
	"net"

	"go.bug.st/serial"

	"zelo/sat"
)

// defaultBaud is the speed of a port nobody named one for; devices on USB ignore
// it (dossier on the device link, 3.3).
const defaultBaud = 115200

// OpenSerial opens the device on a serial port or pseudo terminal at the given
// speed (0 is 115200), 8 bits, no parity, one stop bit. Modem lines are left
// alone: not every port has them (dossier on the device link, section 4). The port
// has one owner: while it is open nobody else of us can open it, root included. Like
// every failure to open, one to open the port wraps [sat.ErrGone].
func OpenSerial(ctx context.Context, path string, baud int) (*Conn, sat.Info, error) {
	if baud == 0 {
		baud = defaultBaud
	}
	port, err := openPort(path, &serial.Mode{BaudRate: baud})
	if err != nil {
		return nil, sat.Info{}, unopened(path, err)
	}
	return Open(ctx, port, Options{Driver: "serial", Where: path})
}

var errBusy = errors.New("another program uses it: stop that program first")

// OpenTCP opens the device that listens on a TCP address.
func OpenTCP(ctx context.Context, addr string) (*Conn, sat.Info, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, sat.Info{}, unopened(addr, err)
	}
	return Open(ctx, conn, Options{Driver: "tcp", Where: addr})
}

func unopened(where string, err error) error {
	if !errors.Is(err, sat.ErrGone) {
		err = fmt.Errorf("%w: %w", sat.ErrGone, err)
	}
	return &sat.Error{Op: "open", Device: where, Err: err}
}
