// Package remote carries out the commands of the collector (agent/wire/command.go):
// it checks who signed them and for whom, waits for the moment that suits the shop,
// calls the device behind the sales, and tells in numbered reports how it goes.
//
// A journal in the buffer holds each command and how far it came, written before each
// step. After a restart a step that was cut off is repeated, unless the table of
// commands says never: then the device is asked how it stands, and the command ends
// unknown (DESIGN.md, invariant 9). A command that was heard before is answered with
// its latest report.
//
// Files: remote.go runs, admit.go decides what is taken and what is cancelled,
// journal.go remembers and reports, begun.go remembers what must not be repeated, or
// not begin, even if the buffer is an older copy put back, when.go decides when to begin, device.go and evidence.go call devices,
// own.go does what concerns the agent alone, trial.go tries a new configuration,
// words.go says in pt-BR what devices answered, result.go brings files, mask.go keeps
// secrets out of them, keys.go has the keys.
package remote

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Options are what the carrying out of commands needs.
type Options struct {
	Buffer *buffer.Buffer
	Codec  *wire.Codec
	Agent  func() string // the agent's id, which renewing may change
	Keys   *Keys
	// Device finds a device of this computer by its serial number, behind the sales'
	// queue, with its activation code, "" when nobody knows it; false when there is none.
	Device func(serial string) (sat.Device, string, bool)
	// LastDocument is the latest document of a device that is known here; nil for none.
	LastDocument func(serial string) []byte
	// SinceSale is for how long nobody has sold or cancelled anything here.
	SinceSale func() time.Duration
	// Blocked reports whether a device refuses to sell, by its last known status: then
	// there are no sales to wait for.
	Blocked func(serial string) bool
	// Heard reports whether the collector has answered since the agent started.
	Heard func() bool
	// Now is the collector's time, as well as it is known; Clock is the till's, which
	// stamps what is told.
	Now, Clock func() time.Time

	Poll    func(context.Context) error                      // reads every device's status and tells it
	Beat    func()                                           // tells the collector at once how the agent is
	OwnLog  func() ([]byte, error)                           // the agent's own log, oldest first
	Bundle  func(context.Context) (map[string][]byte, error) // files of the support bundle, without secrets, by name
	Secrets func() []string                                  // what may appear in no file: codes and passwords
	Config  func() ([]byte, error)                           // the configuration in use, without secrets
	Check   func(text []byte) (whole []byte, err error)      // a new configuration, with the secrets that its mask stands for; the error is pt-BR
	Trial   Trial                                            // of a new configuration
	Restart func()                                           // has the agent end and start again
	Log     *slog.Logger
}

// Remote carries out commands, one at a time. Run must be called for it to work.
type Remote struct {
	o     Options
	inbox chan []byte
	began time.Time // with the monotonic clock, which nobody sets

	mu      sync.Mutex // guards the journal
	entries map[wire.CommandID]*entry
	floor   int64 // the latest expiry of those forgotten, Unix milliseconds
	begun   *begun
	lost    map[wire.CommandID]bool // their entries could not be read
	inHand  *entry                  // being carried out, and from then on changed by who does; nil when none is
}

// Doing is a command as people at the till see it.
type Doing struct {
	Title  string // pt-BR
	By     string // who asked
	Serial string // of the device; "" when none
	State  string // one of the wire's
	Text   string // pt-BR, how it stands
	At     time.Time
}

// inboxSize is how many commands may wait to be looked at. Beyond that they are
// dropped, and come again.
const inboxSize = 64

// New reads the journal of commands.
func New(o Options) (*Remote, error) {
	r := &Remote{o: o, inbox: make(chan []byte, inboxSize), began: time.Now(), entries: map[wire.CommandID]*entry{},
		lost: map[wire.CommandID]bool{}}
	var err error
	if r.begun, err = openBegun(o.Keys.folder); err != nil {
		return nil, err
	}
	return r, r.load()
}

// Receive takes a message of the down kind "command". It returns at once.
func (r *Remote) Receive(payload []byte) {
	select {
	case r.inbox <- payload:
	default:
		r.o.Log.Warn("too many commands at once, one was passed over")
	}
}

// lookEvery is how often commands that wait are looked at.
const lookEvery = 5 * time.Second

// Run takes commands in and carries them out until ctx ends. What is under way then
// goes on after the next start.
func (r *Remote) Run(ctx context.Context) {
	var worker sync.WaitGroup
	defer worker.Wait()
	finished := make(chan struct{}, 1)
	look := time.NewTimer(0)
	defer look.Stop()
	for busy := false; ; {
		select {
		case <-ctx.Done():
			return
		case payload := <-r.inbox:
			r.hear(payload)
		case <-finished:
			busy = false
		case <-look.C:
		}
		if !busy && ctx.Err() == nil {
			if e := r.next(); e != nil {
				busy = true
				worker.Go(func() {
					r.carryOut(ctx, e)
					finished <- struct{}{}
				})
			}
		}
		look.Stop()
		if !r.idle() {
			look.Reset(lookEvery)
		}
	}
}

// idle reports whether no command is left to do.
func (r *Remote) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if !wire.CommandEnded(e.State) {
			return false
		}
	}
	return true
}

// pending are the commands that have not ended, the one that was begun first and the
// others in their order.
func (r *Remote) pending() (all []*entry) {
	for _, e := range r.entries {
		if !wire.CommandEnded(e.State) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		switch {
		case a.State == wire.CommandRunning && b.State != wire.CommandRunning:
			return -1
		case b.State == wire.CommandRunning && a.State != wire.CommandRunning:
			return 1
		case a.command.Sequence < b.command.Sequence:
			return -1
		}
		return 1
	})
	return all
}

// next is the command to carry out now; nil for none. What the others wait for is
// told, and those whose time is over end.
func (r *Remote) next() *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inHand = r.choose()
	return r.inHand
}

func (r *Remote) choose() *entry {
	heard := r.o.Heard() // before that, the till's clock may be years off
	if heard {
		r.forget()
	}
	for _, e := range r.pending() {
		if e.State == wire.CommandRunning {
			return e
		}
		ok, text := false, "Espera ouvir o coletor, que sabe a hora certa."
		if heard {
			ok, text = when(e.command, e.spec, r.o.Now(), r.quiet(e.command))
		}
		switch {
		case e.command.Agent != r.o.Agent():
			r.tell(e, wire.Report{State: wire.CommandRefused, Reason: wire.RefusedAgent, Text: "Este caixa tem outra identidade desde que isto foi pedido."})
		case r.begun.cancelled(e.command.ID):
			r.tell(e, takenBack())
		case text == tooLate:
			r.tell(e, wire.Report{State: wire.CommandExpired, Text: tooLate})
		case ok:
			return e
		case e.Text != text || e.State != wire.CommandWaiting:
			r.tell(e, wire.Report{State: wire.CommandWaiting, Text: text})
		}
	}
	return nil
}

// quiet is for how long nobody has sold where a command would be in the way.
func (r *Remote) quiet(c wire.Command) time.Duration {
	if c.Serial != "" && r.o.Blocked(c.Serial) {
		return math.MaxInt64
	}
	return r.o.SinceSale()
}

// Under is what is under way or waits, in the order in which it will be done.
func (r *Remote) Under() (all []Doing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.pending() {
		all = append(all, e.doing())
	}
	return all
}

// Latest is the command that ended last; false when none is known.
func (r *Remote) Latest() (Doing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last *entry
	for _, e := range r.entries {
		if wire.CommandEnded(e.State) && e.State != wire.CommandRefused && (last == nil || e.At > last.At) {
			last = e
		}
	}
	if last == nil {
		return Doing{}, false
	}
	return last.doing(), true
}

// mostSteps bounds how often a command is begun that ends the agent each time.
const mostSteps = 2 * attempts

// carryOut does a command and tells how it ended. A command that has not ended is
// taken up again: at once, or when the agent has started again.
func (r *Remote) carryOut(ctx context.Context, e *entry) {
	args, err := r.arguments(e.command)
	switch {
	case err != nil && r.mayBeDone(e):
		r.end(ctx, e, ending{state: wire.CommandUnknown, text: interrupted + " Não se sabe se foi feito."})
		return
	case err != nil:
		r.end(ctx, e, refused(wire.RefusedArgs, sentence(err)))
		return
	case e.State == wire.CommandRunning && e.Steps >= mostSteps:
		r.end(ctx, e, failed("O agente foi interrompido vezes demais enquanto fazia isto."))
		return
	}
	w := &work{Remote: r, entry: e, args: args, resumed: e.State == wire.CommandRunning,
		stopping: func() bool { return ctx.Err() != nil }}
	r.o.Log.Info("command", "name", e.spec.Name, "id", e.command.ID, "by", e.command.By, "device", e.command.Serial, "resumed", w.resumed)
	end := w.do(ctx)
	if end.state == "" {
		pause(ctx, lookEvery) // whatever keeps it from going on is not asked without a pause
		return
	}
	r.o.Log.Info("command ended", "name", e.spec.Name, "id", e.command.ID, "state", end.state, "reply", end.reply)
	r.end(ctx, e, end)
}

// sentence makes a sentence of a pt-BR error.
func sentence(err error) string {
	text := []rune(err.Error())
	text[0] = unicode.ToUpper(text[0])
	return strings.TrimSuffix(string(text), ".") + "."
}

// work is a command being carried out.
type work struct {
	*Remote
	entry   *entry
	args    map[string]string // secret ones too
	resumed bool              // it was begun before the agent's last start
	// stopping reports that the agent stops: what was not done is done after its start.
	stopping func() bool
}

// ending is how a command ended; without a state it has not.
type ending struct {
	state, text string
	reason      string // of a refusal
	reply       string // the device's code
	file        *file  // the result
}

func refused(reason, text string) ending {
	return ending{state: wire.CommandRefused, reason: reason, text: text}
}

func failed(text string) ending { return ending{state: wire.CommandFailed, text: text} }

func done(text string) ending { return ending{state: wire.CommandDone, text: text} }

func (w *work) do(ctx context.Context) ending {
	if w.entry.spec.Device {
		return w.device(ctx)
	}
	return w.own(ctx)
}
