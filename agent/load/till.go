package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat/cfe"
)

// Of each till's buffer file: the smallest there may be, because the disk is taken
// for good. It holds a thousand documents.
const (
	bufferBytes   = 8 << 20
	bufferReserve = 1 << 20
)

// till is one simulated till: a real buffer and a real uplink.
type till struct {
	name, serial string
	codec        *wire.Codec
	buffer       *buffer.Buffer
	uplink       *uplink.Uplink
	line         *line
	started      time.Time

	mu      sync.Mutex
	number  int
	waiting map[uint64]time.Time // when it was sold, by sequence
	sold    []sold
	trips   []time.Duration      // from sale to acknowledgement, since they were last taken
	facts   map[uint64]time.Time // as waiting, of events
	told    []time.Duration      // as trips, of events
}

// serialOf is that of a till's device.
func serialOf(number int) string { return fmt.Sprintf("%09d", 500_000_000+number) }

func newTill(folder string, number int, codec *wire.Codec, broker string, id identity) (*till, error) {
	t := &till{name: fmt.Sprintf("caixa-%06d", number), serial: serialOf(number), codec: codec,
		started: time.Now(), waiting: map[uint64]time.Time{}, facts: map[uint64]time.Time{}}
	log := slog.New(slog.DiscardHandler)
	var err error
	t.buffer, _, err = buffer.Open(filepath.Join(folder, t.name), buffer.Options{
		Streams:  []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}},
		MaxBytes: bufferBytes, Reserve: bufferReserve, Log: log,
	})
	if err != nil {
		return nil, err
	}
	t.line = &line{inner: uplink.MQTT{Broker: "tls://" + broker, Agent: id.agent, TLS: id.tls}, heard: t.heard}
	t.uplink = uplink.New(uplink.Options{Buffer: t.buffer, Codec: codec, Transport: t.line, Beat: t.beat, Log: log, Now: time.Now,
		Streams: []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus}})
	return t, nil
}

func (t *till) beat() wire.Beat {
	t.mu.Lock()
	defer t.mu.Unlock()
	return wire.Beat{Software: "load", Host: t.name, System: "linux/amd64", Started: t.started.UnixMilli(), Clock: time.Now().UnixMilli(),
		Epoch: t.buffer.Epoch(), Waiting: len(t.waiting), Bound: bufferBytes,
		Devices: []wire.BeatDevice{{Serial: t.serial, Name: "simulado", Answering: true}}}
}

// issue makes the next document of the till's device.
func (t *till) issue(p *press) (cfe.Issued, error) {
	t.mu.Lock()
	t.number++
	number := t.number
	t.mu.Unlock()
	return p.issue(t.serial, number)
}

// sell puts a document in its place in the outgoing stream.
func (t *till) sell(doc cfe.Issued) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	began := time.Now()
	item, err := t.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindDocument, Serial: t.serial, Till: "001",
		At: began.UnixMilli(), Body: doc.XML})
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Append(wire.StreamDocuments, item)
	seqs, err := t.buffer.Commit(b)
	if err != nil {
		return fmt.Errorf("cannot keep document %s of %s: %w", doc.Key, t.name, err)
	}
	t.waiting[seqs[0]] = began
	t.sold = append(t.sold, sold{doc.Key, sha256.Sum256(doc.XML)})
	return nil
}

// happen writes down that nobody can tell whether a sale was issued, or that it is
// known, as the router does.
func (t *till) happen(f fact) (happened, error) {
	code := wire.EventUnresolved
	if f.Over {
		code = wire.EventResolved
	}
	at := time.Now()
	item, err := t.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Serial: t.serial, Till: "001", At: at.UnixMilli(),
		Code: code, Detail: map[string]string{"case": "carga"}})
	if err != nil {
		return happened{}, err
	}
	b := &buffer.Batch{}
	b.Append(wire.StreamEvents, item)
	t.mu.Lock()
	defer t.mu.Unlock()
	seqs, err := t.buffer.Commit(b)
	if err != nil {
		return happened{}, fmt.Errorf("cannot keep an event of %s: %w", t.name, err)
	}
	t.facts[seqs[0]] = at
	return happened{f, t.serial, at}, nil
}

// heard notes what the collector acknowledges, beside the uplink, which
// does what is to be done.
func (t *till) heard(kind string, payload []byte) {
	var a wire.Ack
	if kind != wire.DownAck || t.codec.Decode(payload, &a) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var waiting map[uint64]time.Time
	var trips *[]time.Duration
	switch a.Stream {
	case wire.StreamDocuments:
		waiting, trips = t.waiting, &t.trips
	case wire.StreamEvents:
		waiting, trips = t.facts, &t.told
	}
	for _, r := range a.Records {
		if began, ok := waiting[r.Seq]; ok {
			*trips = append(*trips, time.Since(began))
			delete(waiting, r.Seq)
		}
	}
}

// empty reports whether the buffer itself holds nothing that waits.
func (t *till) empty() bool {
	for _, st := range t.buffer.Stats().Streams {
		if st.Waiting > 0 {
			return false
		}
	}
	return true
}

// documents are those sold, in order.
func (t *till) documents() []sold {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sold
}

// line is a till's network, which can be cut.
type line struct {
	inner uplink.MQTT
	heard func(kind string, payload []byte)

	mu   sync.Mutex
	down bool
	open *session
}

var errDown = errors.New("the network is down")

// Connect connects unless the line is cut.
func (l *line) Connect(ctx context.Context, receive func(kind string, payload []byte)) (uplink.Session, error) {
	if l.isDown() {
		return nil, errDown
	}
	inner, err := l.inner.Connect(ctx, func(kind string, payload []byte) {
		l.heard(kind, payload)
		receive(kind, payload)
	})
	if err != nil {
		return nil, err
	}
	s := &session{Session: inner, done: make(chan struct{})}
	go func() { // ends with the session
		select {
		case <-inner.Done():
			s.end()
		case <-s.done:
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = s
	if l.down {
		s.end()
	}
	return s, nil
}

func (l *line) isDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// set cuts the line or mends it.
func (l *line) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down && l.open != nil {
		l.open.end()
	}
}

// session is a session over a line.
type session struct {
	uplink.Session
	once sync.Once
	done chan struct{}
}

func (s *session) end()                  { s.once.Do(func() { close(s.done) }) }
func (s *session) Done() <-chan struct{} { return s.done }

// Close ends the session and its connection.
func (s *session) Close() {
	s.end()
	s.Session.Close()
}
