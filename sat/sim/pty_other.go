//go:build !linux

package sim

import (
	"errors"
	"io"
)

func openPTY() (io.ReadWriteCloser, string, error) {
	return nil, "", errors.New("cannot open a pseudo terminal on this system: offer the simulator over TCP")
}
