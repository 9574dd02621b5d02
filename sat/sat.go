// Package sat is the vocabulary of the SAT and MFE fiscal devices: the sixteen
// functions of the maker's library, requests, replies and their grammar, return
// codes with their texts, the operational status, and the one classifier that
// says whether a fiscal call issued a document. It does no I/O.
//
// Sources: the dossier on the SAT software interface (function table 1.1, reply
// grammar 2.1, return codes 2.4 and 2.5, status layout 3), itself drawn from
// the "Especificação de Requisitos" as followed by public libraries.
package sat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Device is anything that carries out SAT functions: a device behind a driver,
// the router, a neighbour till, the simulator.
//
// Call returns the device's reply, or an error when there is none. An error that
// wraps ErrNotSent proves that the device never saw the request; any other error
// leaves the outcome of a fiscal call unknown. The context's deadline bounds the
// call. Implementations are safe for concurrent use.
type Device interface {
	Call(ctx context.Context, req Request) (Reply, error)
}

// Info describes an opened device. It does not change while the device is open.
type Info struct {
	Serial string // nserieSAT, nine digits; empty until the device has told it
	Name   string // how a person knows it: "simulador", "Elgin Linker II"
	Driver string // "serial", "tcp", "maker", ...
	Where  string // port, address or library path
}

// Request is one call of a library function.
type Request struct {
	Till     string   // who asks; empty for the agent's own questions
	Session  int      // numeroSessao, 0 to 999999
	Function Function // which of the sixteen
	Args     []string // the arguments after numeroSessao, in the library's order; integers in decimal
}

// ErrGone reports that the device is no longer there (unplugged, closed, process
// ended). Its owner reopens it.
var ErrGone = errors.New("equipment gone")

// ErrNotSent reports that not one byte of the request reached the device, so it
// cannot have acted on it.
var ErrNotSent = errors.New("request not sent")

// Error is a failed act on a device, with what is known about it.
type Error struct {
	Op      string   // what was tried: "call", "open", "read reply"
	Device  string   // serial number or address
	Request Function // zero when no function was involved
	Session int
	Code    Code // the five-digit code when the device gave one
	Err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot %s", e.Op)
	if e.Request != 0 {
		fmt.Fprintf(&b, " %s (session %06d)", e.Request, e.Session)
	}
	if e.Device != "" {
		fmt.Fprintf(&b, " on device %s", e.Device)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, ": code %s", e.Code)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Arg returns the argument called name, or "" when the request has none.
func (r Request) Arg(name string) string {
	for i, p := range r.Function.Params() {
		if p.Name == name && i < len(r.Args) {
			return r.Args[i]
		}
	}
	return ""
}

// WithArg returns a copy of r in which the argument called name is value. A name
// the function does not have leaves the copy unchanged.
func (r Request) WithArg(name, value string) Request {
	args := append([]string(nil), r.Args...)
	for i, p := range r.Function.Params() {
		if p.Name == name && i < len(args) {
			args[i] = value
		}
	}
	r.Args = args
	return r
}

// Check reports what makes the request impossible to send: an unknown function,
// the wrong number of arguments, a session outside 0 to 999999.
func (r Request) Check() error {
	if !r.Function.Valid() {
		return fmt.Errorf("unknown SAT function number %d", uint8(r.Function))
	}
	if n := len(r.Function.Params()); len(r.Args) != n {
		return fmt.Errorf("%s takes %d arguments after the session, got %d", r.Function, n, len(r.Args))
	}
	if r.Session < 0 || r.Session > MaxSession {
		return fmt.Errorf("session %d is outside 0 to %d", r.Session, MaxSession)
	}
	return nil
}

// LogValue keeps arguments out of logs: they hold activation codes, consumers'
// CPF and whole sales.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(slog.String("function", r.Function.String()),
		slog.Int("session", r.Session), slog.String("till", r.Till))
}

// MaxSession is the largest numeroSessao a device accepts (dossier 5.1).
const MaxSession = 999999

// Brasilia is the zone of every date a device or a CF-e carries: local time of
// the state without offset; São Paulo and Ceará are both UTC-3 (dossier on CF-e
// documents, trap 15).
func Brasilia() *time.Location { return time.FixedZone("-03", -3*60*60) }
