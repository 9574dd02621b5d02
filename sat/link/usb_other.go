//go:build !linux

package link

import (
	"context"
	"errors"

	"zelo/sat"
)

// OpenUSB fails: only the Linux builds reach USB bulk endpoints. Its errors wrap
// [sat.ErrGone].
func OpenUSB(_ context.Context, where string) (*Conn, sat.Info, error) {
	return nil, sat.Info{}, unopened(where, errors.New("cannot use USB bulk endpoints: this build has no driver for them; "+
		"use the maker's library or a COM port"))
}
