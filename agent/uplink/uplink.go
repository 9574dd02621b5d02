// Package uplink drains the buffer's streams to the collector and frees what
// the collector acknowledged. It is the only package of the agent that knows
// MQTT, and that behind a small seam.
//
// Nothing here decides that a record has arrived: only an acknowledgement that
// repeats the record's hash does (DESIGN.md, decisions 9 and 10).
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// Transport opens sessions with the collector's broker.
type Transport interface {
	// Connect returns when the session is up and subscribed. Messages from the
	// collector go to receive, which returns at once.
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

// Window: what may be under way unacknowledged, and what one batch may hold.
const (
	windowRecords = 512
	windowBytes   = 2 << 20
	batchRecords  = 64
	batchBytes    = 160 << 10
)

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
	Log       *slog.Logger
	Now       func() time.Time
}

// Uplink is the one drainer of a buffer.
type Uplink struct {
	o        Options
	messages chan message

	mu    sync.Mutex
	state State
}

type message struct {
	kind    string
	payload []byte
}

// State is what a person may want to know of the connection.
type State struct {
	Connected bool
	Since     time.Time // of Connected
	LastAck   time.Time // when the collector last confirmed a record
	Err       error     // why there is no connection
}

// New makes an uplink; Run does the work.
func New(o Options) *Uplink {
	if o.BeatEvery == 0 {
		o.BeatEvery = time.Minute
	}
	return &Uplink{o: o, messages: make(chan message, windowRecords), state: State{Since: o.Now()}}
}

// State tells how the connection is.
func (u *Uplink) State() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

// Run connects, drains and reconnects until ctx ends. Attempts are spread with
// full jitter, and only a session that lived for minutes makes them short again:
// a broker that lets everybody in and drops them must not be stormed.
func (u *Uplink) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		start := u.o.Now()
		err := u.session(ctx)
		u.connected(false, err)
		if ctx.Err() != nil {
			return
		}
		if u.o.Now().Sub(start) > steady {
			pause = firstPause
		}
		u.o.Log.Warn("no connection to the collector", "err", err, "next attempt within", pause)
		wait(ctx, rand.N(pause)+pause/10)
		pause = min(2*pause, longPause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
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
	d := &drain{u: u, s: s, sent: map[string]*sent{}}
	for _, name := range u.o.Streams {
		d.sent[name] = &sent{under: map[uint64]int64{}}
	}
	return d.run(ctx)
}

// receive queues a message. The queue holds an acknowledgement for every record
// of the window; beyond that one is dropped, and its records are sent again.
func (u *Uplink) receive(kind string, payload []byte) {
	select {
	case u.messages <- message{kind, payload}:
	default:
	}
}

// drain is the state of one session.
type drain struct {
	u       *Uplink
	s       Session
	sent    map[string]*sent
	records int // under way, all streams
	bytes   int64
	id      uint64
	resend  time.Duration
}

// sent is what is under way of one stream.
type sent struct {
	cursor uint64           // highest sequence sent
	under  map[uint64]int64 // sequence -> bytes, not yet acknowledged
}

func (d *drain) run(ctx context.Context) error {
	d.resend = firstResend
	silence := time.NewTimer(d.resend)
	defer silence.Stop()
	beat := time.NewTicker(d.u.o.BeatEvery)
	defer beat.Stop()
	if err := d.beat(); err != nil {
		return err
	}
	for {
		if err := d.pump(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.s.Done():
			return errors.New("the connection was lost")
		case <-d.u.o.Buffer.Appended():
		case m := <-d.u.messages:
			progress, err := d.message(m)
			if err != nil {
				d.u.o.Log.Warn("message from the collector not understood", "kind", m.kind, "err", err)
			}
			if progress {
				d.resend = firstResend
				silence.Reset(d.resend)
			}
		case <-silence.C:
			if d.records > 0 {
				d.u.o.Log.Warn("no acknowledgement, sending again", "records", d.records, "after", d.resend)
				d.rewind()
				d.resend = min(2*d.resend, longResend)
			}
			silence.Reset(d.resend)
		case <-beat.C:
			if err := d.beat(); err != nil {
				return err
			}
		}
	}
}

// pump sends as much as the window allows, most important stream first.
func (d *drain) pump() error {
	for _, stream := range d.u.o.Streams {
		st := d.sent[stream]
		for d.records < windowRecords && d.bytes < windowBytes {
			records, err := d.u.o.Buffer.Peek(stream, st.cursor, batchRecords, batchBytes)
			if err != nil {
				return fmt.Errorf("cannot read stream %q: %w", stream, err)
			}
			if len(records) == 0 {
				break
			}
			if err := d.publish(stream, records); err != nil {
				return err
			}
			for _, r := range records {
				if _, again := st.under[r.Seq]; !again {
					d.records++
					d.bytes += int64(len(r.Data))
				}
				st.under[r.Seq] = int64(len(r.Data))
				st.cursor = r.Seq
			}
		}
	}
	return nil
}

func (d *drain) publish(stream string, records []buffer.Record) error {
	b := wire.Batch{Version: wire.Version, Epoch: d.u.o.Buffer.Epoch()}
	for _, r := range records {
		b.Records = append(b.Records, wire.Record{Seq: r.Seq, Data: r.Data})
	}
	return d.send(stream, b)
}

func (d *drain) send(stream string, v any) error {
	d.id++
	packets, err := d.u.o.Codec.Pack(d.id, v)
	if err != nil {
		return fmt.Errorf("cannot pack for stream %q: %w", stream, err)
	}
	for _, p := range packets {
		if err := d.s.Publish(stream, p); err != nil {
			return fmt.Errorf("cannot publish to stream %q: %w", stream, err)
		}
	}
	return nil
}

func (d *drain) beat() error { return d.send(wire.StreamBeat, d.u.o.Beat()) }

// rewind makes everything unacknowledged be sent again.
func (d *drain) rewind() {
	for _, st := range d.sent {
		*st = sent{under: map[uint64]int64{}}
	}
	d.records, d.bytes = 0, 0
}

// message takes one message from the collector; true when records were freed.
func (d *drain) message(m message) (bool, error) {
	if m.kind != wire.DownAck {
		return false, fmt.Errorf("unknown kind")
	}
	var a wire.Ack
	if err := d.u.o.Codec.Decode(m.payload, &a); err != nil {
		return false, err
	}
	st := d.sent[a.Stream]
	if st == nil {
		return false, fmt.Errorf("acknowledgement of unknown stream %q", a.Stream)
	}
	acks := make([]buffer.Ack, len(a.Records))
	for i, r := range a.Records {
		acks[i] = buffer.Ack{Seq: r.Seq, SHA256: r.SHA256}
	}
	freed, err := d.u.o.Buffer.Acknowledge(a.Stream, a.Epoch, acks)
	if a.Epoch == wire.Epoch(d.u.o.Buffer.Epoch()) {
		for _, r := range a.Records {
			if n, ok := st.under[r.Seq]; ok {
				delete(st.under, r.Seq)
				d.records--
				d.bytes -= n
			}
		}
	}
	if freed > 0 {
		d.u.mu.Lock()
		d.u.state.LastAck = d.u.o.Now()
		d.u.mu.Unlock()
	}
	return freed > 0, errors.Join(err, d.storeEpoch(a.StoreEpoch))
}

// storeEpoch notices that the collector's store was restored from a backup: what
// it had acknowledged since may be gone, so everything still held is sent again.
func (d *drain) storeEpoch(e wire.Epoch) error {
	key := []byte("store-epoch")
	known, err := d.u.o.Buffer.Get(table, key)
	if err != nil || string(known) == string(e[:]) {
		return err
	}
	if known != nil {
		for _, stream := range d.u.o.Streams {
			n, err := d.u.o.Buffer.Requeue(stream)
			if err != nil {
				return err
			}
			d.u.o.Log.Warn("the collector's store was restored, sending again", "stream", stream, "records", n)
		}
		d.rewind()
	}
	b := &buffer.Batch{}
	b.Put(table, key, e[:])
	_, err = d.u.o.Buffer.Commit(b)
	return err
}
