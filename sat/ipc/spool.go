package ipc

import (
	"errors"
	"fmt"
	"io"

	"zelo/sat"
)

// SpoolSuffix ends the name of every file of calls that the library made without
// the agent; see the package comment.
const SpoolSuffix = ".ponte"

// Spooled is a call that the library made itself, through the maker's.
type Spooled struct {
	Request  sat.Request // whoever asked; secret arguments are empty
	Reply    []byte      // as the maker's library gave it
	Answered bool        // Reply is there and whole; if not, the outcome is unknown
}

// ReadSpool reads one such file. The error wraps sat.ErrNotSent when the file ends
// within the call: it was never made. Any other error says nothing about the call.
// A reply that is cut or damaged counts as none.
func ReadSpool(r io.Reader) (Spooled, error) {
	kind, body, err := readFrame(r)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return Spooled{}, fmt.Errorf("cannot read a call made directly: %w: the file ends before the call does", sat.ErrNotSent)
	}
	if err == nil && kind != kindCall {
		err = fmt.Errorf("%w: kind %#x where a call belongs", errFrame, kind)
	}
	var c call
	if err == nil {
		c, err = parseCall(body)
	}
	if err != nil {
		return Spooled{}, fmt.Errorf("cannot read a call made directly: %w", err)
	}
	s := Spooled{Request: c.req}
	s.Reply, err = readSpooledReply(r, c.id)
	s.Answered = err == nil
	if s.Answered || err == io.EOF || err == io.ErrUnexpectedEOF || errors.Is(err, errFrame) {
		return s, nil
	}
	return Spooled{}, fmt.Errorf("cannot read the reply to a call made directly: %w", err)
}

func readSpooledReply(r io.Reader, id uint32) ([]byte, error) {
	kind, body, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	got, raw, err := parseReply(body)
	if err != nil || kind != kindReply || got != id {
		return nil, fmt.Errorf("%w: no reply to this call", errFrame)
	}
	return raw, nil
}
