// Package devices opens fiscal devices: the one switch from a configured address
// to a driver.
package devices

import (
	"context"
	"fmt"
	"strings"

	"zelo/sat"
	"zelo/sat/link"
)

// Conn is an open device. Gone is closed when it went away by itself.
type Conn interface {
	sat.Device
	Gone() <-chan struct{}
	Close() error
}

// Open reaches the device at address and returns it with what it says of itself.
// The address names the driver first:
//
//	serial:/dev/ttyACM0   our framed protocol on a serial port or pseudo terminal
//	tcp:127.0.0.1:9100    the same over TCP, as the simulator offers it
//
// An error wraps sat.ErrGone when the device is not there.
func Open(ctx context.Context, address string) (Conn, sat.Info, error) {
	driver, where, ok := strings.Cut(address, ":")
	if !ok || where == "" {
		return nil, sat.Info{}, fmt.Errorf("cannot open device %q: write serial:<port> or tcp:<host:port>", address)
	}
	switch driver {
	case "serial":
		return opened(link.OpenSerial(ctx, where, 0))
	case "tcp":
		return opened(link.OpenTCP(ctx, where))
	}
	return nil, sat.Info{}, fmt.Errorf("cannot open device %q: no driver is called %q; there are serial and tcp", address, driver)
}

// opened keeps a nil *link.Conn from becoming a Conn that is not nil.
func opened(c *link.Conn, info sat.Info, err error) (Conn, sat.Info, error) {
	if err != nil {
		return nil, sat.Info{}, err
	}
	return c, info, nil
}
