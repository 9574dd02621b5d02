// Package devices opens fiscal devices: the one switch from a configured address
// to a driver. It also knows the makers and their models, sees what is plugged in
// and hears of what comes and goes.
package devices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/link"
	"zelo/sat/maker"
)

// Conn is an open device. Gone is closed when it went away by itself.
type Conn interface {
	sat.Device
	Gone() <-chan struct{}
	Close() error
}

// Options are what drivers need beside an address.
type Options struct {
	Log   *slog.Logger // receives what a maker's library prints; nil for none
	Hosts string       // folder of satlib-host-386 and -amd64; "" is the running program's
}

// Open reaches the device at address and returns it with what it says of itself.
// The address names the driver first:
//
//	biblioteca:/usr/lib/libdllsat.so   a maker's library, in a process of its own
//	serial:/dev/ttyACM0                our framed protocol on a serial port or pseudo terminal
//	usb:2fe7:0001/900004019            the same over USB without a port; see link.OpenUSB
//	tcp:127.0.0.1:9100                 the same over TCP, as the simulator offers it
//
// A library is only loaded, no function of it is called: Info.Serial is empty, and
// a device may not be there at all. Some libraries take up to thirty seconds to
// load. An error wraps sat.ErrGone when the device is not there.
func Open(ctx context.Context, address string, o Options) (Conn, sat.Info, error) {
	if err := CheckAddress(address); err != nil {
		return nil, sat.Info{}, fmt.Errorf("cannot open device %q: %w", address, err)
	}
	driver, where, _ := strings.Cut(address, ":")
	switch driver {
	case "biblioteca":
		return opened(maker.Open(ctx, maker.Options{Library: where, Free: taker(where), Folder: o.Hosts, Log: o.Log}))
	case "serial":
		return opened(link.OpenSerial(ctx, where, 0))
	case "usb":
		return opened(link.OpenUSB(ctx, where))
	}
	return opened(link.OpenTCP(ctx, where))
}

// opened keeps the nil of a driver from becoming a Conn that is not nil.
func opened[C Conn](c C, info sat.Info, err error) (Conn, sat.Info, error) {
	if err != nil {
		return nil, sat.Info{}, err
	}
	return c, info, nil
}

// usbPlaces are the ways to say which USB device: by where it is plugged in, or by
// its identity, with its serial number where several show the same.
var usbPlaces = regexp.MustCompile(`^([0-9]+-[0-9]+(\.[0-9]+)*|[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(/.+)?)$`)

// CheckAddress says, in short pt-BR words for a person who writes settings, why
// Open cannot understand an address. It looks at nothing but the text.
func CheckAddress(address string) error {
	driver, where, _ := strings.Cut(address, ":")
	switch driver {
	case "biblioteca":
		if !filepath.IsAbs(where) {
			return errors.New("escreva o caminho completo da biblioteca depois de biblioteca: no endereço")
		}
	case "serial":
		if where == "" {
			return errors.New("escreva a porta depois de serial:, como em serial:" + somePort())
		}
	case "usb":
		if !usbPlaces.MatchString(where) {
			return errors.New("escreva depois de usb: a identidade (2fe7:0001), com /número de série se há vários, ou o lugar (1-2)")
		}
	case "tcp":
		if host, port, err := net.SplitHostPort(where); err != nil || host == "" || port == "" {
			return errors.New("escreva endereço e porta depois de tcp:, como em tcp:127.0.0.1:9100")
		}
	default:
		return errors.New("comece com biblioteca:, serial:, usb: ou tcp: e o lugar")
	}
	return nil
}

func somePort() string {
	if runtime.GOOS == "windows" {
		return "COM3"
	}
	return "/dev/ttyACM0"
}

// KeepAlive is how long the device at address may be left idle before it should be
// asked ConsultarSAT, lest it fall asleep; 0 for ever. Several models share names
// of libraries and identities: it is that of the one that needs it most.
func KeepAlive(address string) time.Duration {
	driver, where, _ := strings.Cut(address, ":")
	id, _, _ := strings.Cut(strings.ToLower(where), "/")
	var shortest time.Duration
	for _, m := range Models() {
		bears := driver == "biblioteca" && m.loads(runtime.GOOS, where) ||
			driver == "usb" && slices.ContainsFunc(m.USB, func(u USB) bool { return u.String() == id })
		if bears && m.KeepAlive > 0 && (shortest == 0 || m.KeepAlive < shortest) {
			shortest = m.KeepAlive
		}
	}
	return shortest
}

// taker is the function that takes back the texts of a library, by its name; ""
// where nobody does.
func taker(library string) string {
	for _, m := range Models() {
		if m.Free != "" && m.loads(runtime.GOOS, library) {
			return m.Free
		}
	}
	return ""
}
