package soak

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"zelo/agent/router"
	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/sim"
)

// agent is a till computer: its agent lives, dies and lives again.
type agent struct {
	w       *world
	number  int
	id      string // on the wire
	dir     string
	devices []*device
	random  *rand.ChaCha8 // of buffers' epochs
	out     int           // its device is away from this call on; of the second agent
	begun   int           // calls its tills began; guarded by w.mu
	wanted  bool          // a copy of its file is to be made; guarded by w.mu
	tokens  chan struct{} // each of its tills holds one while it calls

	mu     sync.Mutex
	life   *life
	lives  int
	swaps  int           // how often its file was replaced by another
	offset time.Duration // of its clock
	copied image         // an older copy of its file
	heard  []heard       // what tills have been told in this life
}

// heard is a document that a till's library has been given.
type heard struct{ key, sale string }

func newAgent(w *world, i int) *agent {
	var seed [32]byte
	r := w.stream(100 + uint64(i))
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	a := &agent{w: w, number: i, id: "agente000" + string(rune('1'+i)), dir: w.t.TempDir(), devices: w.devicesOf(i),
		random: rand.NewChaCha8(seed), tokens: make(chan struct{}, tillsPerAgent), out: 5 + r.IntN(25)}
	for range tillsPerAgent {
		a.tokens <- struct{}{}
	}
	return a
}

// now is the agent's clock.
func (a *agent) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.w.clock().Add(a.offset)
}

// jump sets the clock to another time: seconds, hours or years away.
func (a *agent) jump(f fault) {
	r := f.rng()
	by := []time.Duration{-3 * time.Second, time.Minute, -50 * time.Minute, 50 * time.Minute, -26 * time.Hour, 400 * 24 * time.Hour, -9 * 365 * 24 * time.Hour}[r.IntN(7)]
	a.mu.Lock()
	a.offset += by
	a.mu.Unlock()
	a.w.log("agent %d: its clock jumps by %s", a.number, by)
}

// Bounds of the buffer: small, so that it can be filled.
const (
	bufferBound   = 32 << 20
	bufferReserve = 2 << 20
	tableFill     = "enchimento" // what takes the room in a full buffer
)

// life is an agent from its start to its death. Once it is doomed nothing it does
// reaches device, tills or network.
type life struct {
	*agent
	path   string
	buffer *buffer.Buffer
	router *router.Router
	uplink *uplink.Uplink
	ending atomic.Bool
	dead   chan struct{}
	halt   func() // ends its goroutines
}

// start begins a new life with the file as it is on the disk; nil for none.
func (a *agent) start(disk image) {
	a.lives++
	dir := filepath.Join(a.dir, "vida", string(rune('a'+a.lives%26))+"-"+time.Now().Format("150405.000000"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		a.w.t.Fatal(err)
	}
	l := &life{agent: a, path: filepath.Join(dir, "cupons.db"), dead: make(chan struct{})}
	if disk != nil {
		if err := os.WriteFile(l.path, disk, 0o600); err != nil {
			a.w.t.Fatal(err)
		}
	}
	if old := a.life; old != nil {
		for _, name := range []string{"codigos", "codigos.key"} {
			if b, err := os.ReadFile(filepath.Join(filepath.Dir(old.path), name)); err == nil {
				os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
		}
	}
	if err := l.load(disk != nil); err != nil {
		a.w.fail("agent %d does not start: %v", a.number, err)
		a.w.t.FailNow()
	}
	a.mu.Lock()
	told := a.heard
	a.life, a.heard = l, nil
	a.mu.Unlock()
	if disk != nil {
		a.w.remembers(l, told)
	}
	l.run()
}

func (l *life) load(known bool) error {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv(envSeed) != "" {
		log = slog.New(slog.NewTextHandler(l.w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("agent", l.number)
	}
	b, recovery, err := buffer.Open(l.path, buffer.Options{MaxBytes: bufferBound, Reserve: bufferReserve, Now: l.now,
		Random: l.random, Log: log, Evicted: l.evicted, Streams: []buffer.Stream{{Name: wire.StreamEvents},
			{Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		return err
	}
	if recovery.SetAside != "" || known && recovery.New {
		l.w.fail("agent %d: the file does not survive: %q, lost %q", l.number, recovery.Damage, recovery.Lost)
	}
	l.buffer = b
	l.router, err = router.New(router.Options{Buffer: b, Codec: l.w.codec, Log: log, Now: l.now,
		Codes:   filepath.Join(filepath.Dir(l.path), "codigos"),
		Devices: l.addresses(), Neighbours: l.neighbours})
	l.uplink = uplink.New(uplink.Options{Buffer: b, Codec: l.w.codec, Log: log, Now: l.now, Transport: line{l.w.net, l},
		Streams: []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus},
		Beat: func() wire.Beat {
			return wire.Beat{Version: wire.Version, Clock: l.now().UnixMilli(), Epoch: b.Epoch()}
		}})
	return err
}

// addresses are the devices as the agent's configuration names them.
func (l *life) addresses() (all []router.DeviceOptions) {
	for _, d := range l.devices {
		all = append(all, router.DeviceOptions{Address: "sim:" + d.serial, Open: func(context.Context) (router.Conn, sat.Info, error) {
			if l.doomed() {
				return nil, sat.Info{}, sat.ErrGone
			}
			return d.open(l)
		}})
	}
	return all
}

func (l *life) evicted(stream string, first, last uint64, n int) (string, []byte) {
	if stream != wire.StreamStatus {
		l.w.fail("agent %d: %d waiting records of stream %s are dropped", l.number, n, stream)
	}
	v, err := l.w.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventEvicted, At: l.now().UnixMilli()})
	if err != nil {
		l.w.fail("%v", err)
	}
	return wire.StreamEvents, v
}

func (l *life) run() {
	ctx, cancel := context.WithCancel(background)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := l.router.Run(ctx); err != nil && !l.doomed() {
			l.w.fail("agent %d: router ends: %v", l.number, err)
		}
	})
	parts.Go(func() { l.uplink.Run(ctx) })
	parts.Go(func() { l.poll(ctx) })
	l.halt = func() { cancel(); parts.Wait() }
}

// poll reads the status at once and then now and again, as the monitor does.
func (l *life) poll(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		for _, d := range l.devices {
			l.status(ctx, d)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *life) status(ctx context.Context, d *device) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := l.router.Device(d.serial).Call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{sim.DefaultCode}})
	if err != nil {
		return
	}
	v, err := l.w.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindStatus, At: l.now().UnixMilli(), Body: r.Raw})
	if err == nil {
		b := &buffer.Batch{}
		b.Append(wire.StreamStatus, v)
		_, err = l.buffer.Commit(b)
	}
	if err != nil && !errors.Is(err, buffer.ErrFull) && !l.doomed() {
		l.w.fail("agent %d: status not kept: %v", l.number, err)
	}
}

// current is the present life, nil while the agent is down.
func (a *agent) current() *life {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.life == nil || a.life.doomed() {
		return nil
	}
	return a.life
}

func (l *life) doomed() bool { return l.ending.Load() }

// reach is world.reach for what happens at this computer.
func (l *life) reach(p phase) (fault, bool) {
	return l.reachBy(p, func(k kind) bool { return k != lanCut })
}

func (l *life) reachBy(p phase, fits func(kind) bool) (fault, bool) {
	if l.doomed() {
		return fault{}, false
	}
	return l.w.reach(l.agent, p, fits)
}

// end is what a call gives once the life is over.
func (l *life) end() (sat.Reply, error) {
	<-l.dead
	return sat.Reply{}, sat.ErrGone
}

// doom ends the life as the fault says. From now on nothing gets out; what the
// disk holds is somewhere between now and when all has come to rest.
func (l *life) doom(f fault) {
	if !l.ending.CompareAndSwap(false, true) {
		return
	}
	first, err := snapshot(l.path)
	if err != nil {
		l.w.fail("%v", err)
	}
	l.w.hold(1)
	l.w.tasks <- func() {
		synctest.Wait()
		then, err := snapshot(l.path)
		if err != nil {
			l.w.fail("%v", err)
		}
		disk := first
		r := f.rng()
		switch {
		case f.kind == powerLoss:
			disk = cutPower(r, first, then)
		case f.kind == restoredAgent, f.kind == clonedAgent:
			disk = l.copied
		case r.IntN(2) == 0:
			disk = then
		}
		l.bury()
		time.AfterFunc(f.span, func() {
			l.agent.start(disk)
			l.w.hold(-1)
		})
	}
}

// bury releases what the dead process held.
func (l *life) bury() {
	close(l.dead)
	l.halt()
	l.bounded()
	if err := l.buffer.Close(); err != nil {
		l.w.fail("agent %d: %v", l.number, err)
	}
}

// stop ends the life in good order.
func (l *life) stop() {
	l.halt()
	l.bounded()
	if err := l.buffer.Close(); err != nil {
		l.w.fail("agent %d: %v", l.number, err)
	}
}

// bounded checks that the buffer kept its bound.
func (l *life) bounded() {
	s := l.buffer.Stats()
	info, err := os.Stat(l.path)
	if err != nil || s.Used > bufferBound || info.Size() > bufferBound {
		l.w.fail("agent %d: the buffer uses %d bytes of a file of %d, its bound is %d", l.number, s.Used, info.Size(), bufferBound)
	}
}

// quiet reports whether nothing waits to be sent and no outcome is unknown.
func (a *agent) quiet() bool {
	l := a.current()
	if l == nil {
		return false
	}
	for _, s := range l.buffer.Stats().Streams {
		if s.Waiting > 0 && s.Name != wire.StreamStatus {
			return false
		}
	}
	return l.open() == 0
}

// open counts the fiscal calls whose outcome is not known.
func (l *life) open() (n int) {
	for _, d := range l.router.Devices() {
		n += d.OpenCases
	}
	return n
}

// fill takes the network away and then the room that a sale needs; both come back.
func (a *agent) fill(f fault) {
	l := a.current()
	if l == nil {
		return
	}
	a.w.net.cut(a.name(), f.span+time.Minute)
	rubbish := make([]byte, 4<<20)
	keys := 0
	for size := len(rubbish); size > 64<<10; {
		if err := l.buffer.Room(int64(len(rubbish)) + int64(size)); errors.Is(err, buffer.ErrFull) {
			size /= 2
			continue
		}
		b := &buffer.Batch{}
		b.Put(tableFill, []byte{byte(keys)}, rubbish[:size])
		if _, err := l.buffer.Commit(b); err != nil {
			a.w.fail("agent %d: %v", a.number, err)
			return
		}
		keys++
	}
	a.w.later(f.span+30*time.Second, func() { a.clear(keys) })
}

// clear gives the room back; when the agent is down just now, a little later.
func (a *agent) clear(keys int) {
	l := a.current()
	if l == nil {
		a.w.later(10*time.Second, func() { a.clear(keys) })
		return
	}
	b := &buffer.Batch{}
	for k := range keys {
		b.Delete(tableFill, []byte{byte(k)})
	}
	if _, err := l.buffer.Commit(b); err != nil && !l.doomed() {
		a.w.fail("agent %d: %v", a.number, err)
	} else if l.doomed() {
		a.w.later(10*time.Second, func() { a.clear(keys) })
	}
}

// told notes a document of this computer that a till is about to be given.
func (l *life) told(r sat.Reply) {
	d, err := r.Document()
	if err == nil && slices.ContainsFunc(l.devices, func(own *device) bool { return strings.Contains(d.Key, own.serial) }) {
		l.mu.Lock()
		l.agent.heard = append(l.agent.heard, heard{d.Key, string(d.XML)})
		l.mu.Unlock()
	}
}

// memory counts how often the agent was given another memory than its own.
func (a *agent) memory() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.swaps
}

// rest is a moment in which the agent's tills do nothing.
func (a *agent) rest() {
	a.w.mu.Lock()
	wanted := a.wanted
	a.wanted = false
	a.w.mu.Unlock()
	if wanted {
		a.w.alone(func() { a.copied = a.snapshot() })
	}
	f, ok := a.w.reach(a, idle, func(kind) bool { return true })
	switch {
	case !ok:
	case f.kind == brokerRestart:
		a.w.net.restart(f.span)
	case f.kind == restoredAgent:
		a.w.alone(func() { a.swap(f, a) })
	case f.kind == clonedAgent:
		other := a.w.agents[(a.number+1)%agents]
		a.w.alone(func() {
			other.copied = a.snapshot()
			other.swap(f, a)
		})
	}
}

// alone does something while no till calls, when no outcome is open and everything
// has been sent.
func (w *world) alone(do func()) {
	w.lone <- struct{}{}
	defer func() { <-w.lone }()
	for _, a := range w.agents {
		for range tillsPerAgent {
			<-a.tokens
		}
	}
	for _, a := range w.agents {
		for !a.quiet() {
			time.Sleep(time.Second)
		}
	}
	do()
	for _, a := range w.agents {
		for range tillsPerAgent {
			a.tokens <- struct{}{}
		}
	}
}

func (a *agent) snapshot() image {
	m, err := snapshot(a.current().path)
	if err != nil {
		a.w.fail("agent %d: %v", a.number, err)
	}
	return m
}

// swap starts the agent anew with the copy of another file, as the agent whose
// file it is.
func (a *agent) swap(f fault, as *agent) {
	a.mu.Lock()
	a.swaps++
	a.id, a.heard = as.id, nil
	a.mu.Unlock()
	a.current().doom(f)
	for a.current() == nil {
		time.Sleep(time.Second)
	}
}

// name is the agent's on the wire.
func (a *agent) name() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id
}
