package fleet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// Spec is one row of the table of commands.
type Spec = wire.CommandSpec

// Arg is one argument of a Spec, Choice one value that it may have.
type (
	Arg    = wire.ArgSpec
	Choice = wire.Choice
)

// RightReseller is the right of commands that a technician may not give.
const RightReseller = wire.RightReseller

// CommandLogs reads a device's log.
const CommandLogs = wire.CommandLogs

// Table are the commands, in the order in which pages show them.
func Table() []Spec { return wire.Commands() }

// Find finds a command of the table.
func Find(name string) (Spec, bool) { return wire.CommandByName(name) }

// Target is whom a command is for.
type Target struct {
	Agent  string
	Serial string // of the device; "" when the command is for the agent itself
}

// Request is what somebody asks for. Whether they may is decided before.
type Request struct {
	Name      string
	Args      map[string]string // secrets included
	Targets   []Target          // the first wave first
	NotBefore time.Time         // zero is at once
	Expires   time.Time         // nothing begins after it; at most MaxLife from now
	Anyway    bool              // do not wait until the till does not sell, nor for its hours
	First     int               // targets of the first wave; 0 for one wave
	Need      int               // percent of a wave that must succeed, 1 to 100
}

// MaxLife is how long a command may wait for its agent and its hour.
const MaxLife = wire.MaxLife

// ErrNoKey: the agent never told what secrets are sealed with.
var ErrNoKey = errors.New("the agent told no key for secrets")

// Order stores a request, which is carried out from then on, whatever happens to this
// process. O says who asks, when, and for the audit; the rest of it is filled in. Secret
// arguments are sealed for their agents here and kept nowhere else. An agent that
// secrets cannot be sealed for fails with ErrNoKey.
func (f *Fleet) Order(w *store.Writer, o store.Order, r Request) (store.Order, error) {
	spec, known := Find(r.Name)
	if !known {
		return o, store.ErrNotFound
	}
	open, secret := spec.Secrets(r.Args)
	o.Name, o.Args, o.NotBefore, o.ExpiresAt, o.First, o.Need = r.Name, open, r.NotBefore, r.Expires, r.First, r.Need
	if !r.Anyway {
		o.Hours = hours(spec.Window)
	}
	var commands []store.Command
	for i, t := range r.Targets {
		var id wire.CommandID
		rand.Read(id[:])
		c := store.Command{ID: id.String(), Agent: t.Agent, Serial: t.Serial, Wave: 1}
		if r.First > 0 && i >= r.First {
			c.Wave = 2
		}
		if len(secret) > 0 {
			var err error
			if c.Sealed, err = f.seal(w, t.Agent, id, secret); err != nil {
				return o, fmt.Errorf("cannot prepare command %s for agent %s: %w", r.Name, t.Agent, err)
			}
		}
		commands = append(commands, c)
	}
	return w.AddOrder(o, commands)
}

func (f *Fleet) seal(w *store.Writer, agent string, id wire.CommandID, secret map[string]string) ([]byte, error) {
	key, _, err := w.SealKey(agent)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, ErrNoKey
	}
	return f.codec.SealArgs(key, agent, id, secret)
}

func hours(w wire.Window) store.Hours {
	return store.Hours{Idle: w.Idle, From: w.From, To: w.To, Zone: w.Zone}
}

func window(h store.Hours) wire.Window {
	return wire.Window{Idle: h.Idle, From: h.From, To: h.To, Zone: h.Zone}
}

// verdict is what becomes of an order's second wave.
type verdict int

const (
	hold verdict = iota
	release
	stop
)

// judge decides about the second wave of an order: it begins when enough of the first
// succeeded, and what has not begun is stopped when so many failed that enough cannot
// succeed any more, in the first wave or in all. What nobody can tell of has not
// succeeded; what somebody cancelled does not count, and a first wave that was cancelled
// whole shows nothing.
func judge(o store.Order, commands []store.Command) verdict {
	all, first := tally{need: o.Need}, tally{need: o.Need}
	for _, c := range commands {
		all.count(c)
		if c.Wave == 1 {
			first.count(c)
		}
	}
	switch {
	case first.total == 0 || first.lost() || all.lost():
		return stop
	case first.total < all.total && first.won():
		return release
	}
	return hold
}

// tally counts how commands ended.
type tally struct{ need, total, done, failed int }

func (t *tally) count(c store.Command) {
	if c.State == store.CommandCancelled {
		return
	}
	t.total++
	switch {
	case c.State == store.CommandDone:
		t.done++
	case c.State.Ended():
		t.failed++
	}
}

func (t tally) won() bool  { return t.done*100 >= t.need*t.total }
func (t tally) lost() bool { return (t.total-t.failed)*100 < t.need*t.total }
