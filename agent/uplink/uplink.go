// Package uplink drains the buffer's streams to the collector and frees what
// the collector acknowledged. It is the only package of the agent that knows
// MQTT, and that behind a small seam.
//
// Nothing here decides that a record has arrived: only an acknowledgement that
// repeats the record's hash does (DESIGN.md, decisions 9 and 10).
//
// Files: uplink.go connects, drain.go sends, message.go takes what the collector
// says, pace.go holds back what is not urgent, pack.go has the dictionaries,
// clock.go the collector's time, mqtt.go and dial.go the network.
package uplink

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// Transport opens sessions with the collector's broker.
type Transport interface {
	// Connect returns when the session is up and subscribed. It ends with ctx, also in
	// the middle of a Publish. Messages from the collector go to receive, which returns
	// at once.
	Connect(ctx context.Context, receive func(kind string, payload []byte)) (Session, error)
}

// Session is one connection.
type Session interface {
	// Publish hands a payload to the network; nil says nothing of its arrival.
	Publish(stream string, payload []byte) error
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
	Close()
}

// Timing.
const (
	firstPause  = time.Second      // before the second attempt to connect; doubles
	longPause   = 2 * time.Minute  // at most between attempts
	steady      = 5 * time.Minute  // a session that lived so long resets the pause
	firstResend = 10 * time.Second // without an acknowledgement; doubles
	longResend  = 2 * time.Minute
)

// Window: what may be under way unacknowledged of each stream, and what one batch
// may hold.
const (
	windowRecords = 512
	windowBytes   = 2 << 20
	batchRecords  = 64
	batchBytes    = 160 << 10
)

// gathering is how long a stream's records wait for company in their batch.
func gathering(stream string) time.Duration {
	if wire.Urgent(stream) || stream == wire.StreamCommands { // somebody watches
		return 0
	}
	return 250 * time.Millisecond
}

// table keeps what the uplink must remember across restarts.
const table = "uplink"

// Options are what an uplink needs.
type Options struct {
	Buffer    *buffer.Buffer
	Codec     *wire.Codec
	Transport Transport
	Streams   []string // drained in this order
	Beat      func() wire.Beat
	BeatEvery time.Duration // default one minute
	HourBytes int64         // on a metered link: after so many bytes within an hour only alarms go; 0 is no limit
	Clock     *Clock        // learns the collector's time; nil makes one that forgets
	Command   func([]byte)  // takes a command as it came, and returns at once; nil takes none
	// CommandKey takes the key that signs commands, as each Hello brings it; nil takes none.
	CommandKey func([]byte)
	// Renew takes where the agent shall renew its identity, when a Hello says so, and
	// returns at once; nil takes none.
	Renew func(address string)
	Log   *slog.Logger
	Now   func() time.Time
}

// Uplink is the one drainer of a buffer.
type Uplink struct {
	o        Options
	messages chan message
	soon     chan struct{} // a beat is wanted now
	retry    chan struct{} // the next attempt is not to wait
	pace     pace
	packer   packer
	beats    uint64    // sent; numbers them
	beatAt   time.Time // when the last was sent

	mu    sync.Mutex
	state State
}

type message struct {
	kind    string
	payload []byte
	at      time.Time
}

// State is what a person may want to know of the connection.
type State struct {
	Connected bool
	Since     time.Time // of Connected
	LastAck   time.Time // when the collector last confirmed a record
	Err       error     // why there is no connection
	// ClockOff is how far the till's clock is ahead of the collector's.
	ClockOff   time.Duration
	ClockKnown bool
	// Version is that of the collector's last Hello; 0 before the first.
	Version int
}

// New makes an uplink; Run does the work.
func New(o Options) *Uplink {
	if o.BeatEvery == 0 {
		o.BeatEvery = time.Minute
	}
	if o.Clock == nil {
		o.Clock = &Clock{now: o.Now}
	}
	return &Uplink{o: o, messages: make(chan message, windowRecords), soon: make(chan struct{}, 1), retry: make(chan struct{}, 1), state: State{Since: o.Now()},
		pace:   pace{limit: o.HourBytes, born: time.Now()},
		packer: packer{buffer: o.Buffer, codec: o.Codec, log: o.Log, devices: map[string]*device{}}}
}

// State tells how the connection is.
func (u *Uplink) State() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.state
	s.ClockOff, s.ClockKnown = u.o.Clock.Off()
	return s
}

// Beat has the next beat sent at once, when there is a connection.
func (u *Uplink) Beat() {
	select {
	case u.soon <- struct{}{}:
	default:
	}
}

// Stats tells what was used of the network.
func (u *Uplink) Stats() Stats { return u.pace.stats() }

// Run connects, drains and reconnects until ctx ends. Attempts are spread with
// full jitter, and only a session that lived for minutes makes them short again:
// a broker that lets everybody in and drops them must not be stormed. Nothing here
// looks at the till's clock, which may be wrong or jump.
func (u *Uplink) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		start := time.Now()
		err := u.session(ctx)
		u.connected(false, err)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > steady {
			pause = firstPause
		}
		u.o.Log.Warn("no connection to the collector", "err", err, "next attempt within", pause)
		if u.wait(ctx, rand.N(pause)+pause/10) {
			pause = min(2*pause, longPause)
		} else {
			pause = firstPause
		}
	}
}

// wait waits so long; false when it ended before its time.
func (u *Uplink) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-u.retry:
	case <-t.C:
		return true
	}
	return false
}

// Retry makes Run connect again without waiting long: this agent has a new identity.
func (u *Uplink) Retry() {
	select {
	case u.retry <- struct{}{}:
	default:
	}
}

func (u *Uplink) connected(up bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up != u.state.Connected {
		u.state.Connected, u.state.Since = up, u.o.Now()
	}
	u.state.Err = err
}

// session is one connection from beginning to end.
func (u *Uplink) session(ctx context.Context) error {
	s, err := u.o.Transport.Connect(ctx, u.receive)
	if err != nil {
		return err
	}
	defer s.Close()
	u.connected(true, nil)
	u.o.Log.Info("connected to the collector")
	u.packer.begin()
	return newDrain(u, s).run(ctx)
}

// receive queues a message. The queue holds an acknowledgement for every record
// of the window; beyond that one is dropped, and its records are sent again.
func (u *Uplink) receive(kind string, payload []byte) {
	u.pace.count(len(wire.DownTopic("", kind)) + len(payload))
	select {
	case u.messages <- message{kind, payload, time.Now()}:
	default:
	}
}
