package remote

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/router"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

const (
	serial  = "900000001"
	agentID = "agent001"
)

// world is an agent's router and commands around a simulated device, in one bubble
// whose clock the test owns, and the collector that signs.
type world struct {
	t      *testing.T
	dir    string
	sim    *sim.Sim
	codec  *wire.Codec
	key    ed25519.PrivateKey
	buffer *buffer.Buffer
	router *router.Router
	*Remote
	stop    func()
	ids     byte
	seq     uint64
	change  func(*Options)
	blocked atomic.Bool // what the last known status says of the device

	mu     sync.Mutex
	dead   bool                    // the power is off: nothing reaches the device any more
	called []sat.Function          // of the device, in order
	before func(sat.Request) error // before the device hears a call; nil for nothing
	after  func(sat.Request) error // when it has answered
	log    strings.Builder
}

var identity = sync.OnceValues(func() (*cfe.CA, *cfe.Signer) {
	now := deviceClock(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // where a bubble's clock begins
	ca, err := cfe.NewTestCA(now.AddDate(-1, 0, 0))
	if err != nil {
		panic(err)
	}
	e := sim.TestEmitter(sim.SAT)
	s, err := ca.Issue(cfe.DeviceCert{Serial: serial, CNPJ: e.CNPJ, Name: e.Name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0)})
	if err != nil {
		panic(err)
	}
	return ca, s
})

// deviceClock puts the device in a year in which there are CF-e.
func deviceClock(t time.Time) time.Time { return t.AddDate(25, 0, 0) }

// inWorld runs a test with an agent that is up; change may set options of the device
// and of the commands.
func inWorld(t *testing.T, device func(*sim.Options), change func(*Options), test func(w *world)) {
	t.Helper()
	ca, signer := identity()
	synctest.Test(t, func(t *testing.T) {
		o := sim.Options{CA: ca, Signer: signer, Clock: func() time.Time { return deviceClock(time.Now()) }}
		if device != nil {
			device(&o)
		}
		s, err := sim.New(o)
		if err != nil {
			t.Fatal(err)
		}
		codec, err := wire.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close()
		w := &world{t: t, dir: t.TempDir(), sim: s, codec: codec, key: ed25519.NewKeyFromSeed(make([]byte, 32)), change: change}
		if err := PinNew(w.dir, w.key.Public().(ed25519.PublicKey)); err != nil {
			t.Fatal(err)
		}
		w.start()
		defer func() { w.stop() }()
		test(w)
	})
}

var errPower = errors.New("the power is off")

// cut makes a power cut of the first call of a function: the agent's folder is copied
// as it is then, and the device hears nothing more.
func (w *world) cut(f sat.Function, disk *string) func(sat.Request) error {
	return func(req sat.Request) error {
		if req.Function != f {
			return nil
		}
		*disk = w.snapshot()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dead = true
		return errPower
	}
}

// plugged is the simulator behind the world's eyes.
type plugged struct{ w *world }

func (p plugged) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	w := p.w
	w.mu.Lock()
	before, after, dead := w.before, w.after, w.dead
	if !dead {
		w.called = append(w.called, req.Function)
	}
	w.mu.Unlock()
	if dead {
		return sat.Reply{}, errPower
	}
	if before != nil {
		if err := before(req); err != nil {
			return sat.Reply{}, err
		}
	}
	reply, err := w.sim.Call(ctx, req)
	if after != nil {
		if err := after(req); err != nil {
			return sat.Reply{}, err
		}
	}
	return reply, err
}

func (plugged) Close() error          { return nil }
func (plugged) Gone() <-chan struct{} { return nil }

func (w *world) start() {
	w.t.Helper()
	b, _, err := buffer.Open(filepath.Join(w.dir, "cupons.db"), buffer.Options{MaxBytes: 64 << 20, Streams: []buffer.Stream{
		{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamCommands}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.buffer = b
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.router, err = router.New(router.Options{Buffer: b, Codec: w.codec, Codes: filepath.Join(w.dir, "codigos"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Bridge: w.dir, Devices: []router.DeviceOptions{{Address: "simulador", Open: func(context.Context) (router.Conn, sat.Info, error) {
			return plugged{w}, sat.Info{Serial: serial, Name: "simulador"}, nil
		}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := OpenKeys(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Buffer: b, Codec: w.codec, Agent: func() string { return agentID }, Keys: keys, SinceSale: w.router.SinceSale, LastDocument: w.router.LastDocument, Now: time.Now, Clock: time.Now,
		Device: func(serial string) (sat.Device, string, bool) {
			for _, d := range w.router.Devices() {
				if d.Info.Serial == serial && d.Address != "" {
					_, code := w.router.Code(serial)
					return w.router.Device(serial), code, true
				}
			}
			return nil, "", false
		},
		Blocked: func(string) bool { return w.blocked.Load() },
		Heard:   func() bool { return true }, Beat: func() {}, Poll: func(context.Context) error { return nil },
		Secrets: func() []string { return []string{sim.DefaultCode} },
		Trial:   Trial{Path: filepath.Join(w.dir, "agent.toml")}, Restart: cancel, Log: log}
	if w.change != nil {
		w.change(&o)
	}
	if w.Remote, err = New(o); err != nil {
		w.t.Fatal(err)
	}
	var parts sync.WaitGroup
	inner, stopInner := context.WithCancel(context.Background())
	parts.Go(func() {
		if err := w.router.Run(inner); err != nil {
			w.t.Errorf("router: %v", err)
		}
	})
	parts.Go(func() { w.Run(ctx) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		stopInner()
		parts.Wait()
		if err := b.Close(); err != nil {
			w.t.Errorf("buffer: %v", err)
		}
	})
	time.Sleep(time.Second) // the device is opened
}

// again stops the agent and starts it anew, or from a copy of its folder.
func (w *world) again(dir string) {
	w.stop()
	w.mu.Lock()
	w.before, w.after, w.dead = nil, nil, false
	w.mu.Unlock()
	if dir != "" {
		w.dir = dir
	}
	w.start()
}

// snapshot copies the agent's folder as a power cut would leave it.
func (w *world) snapshot() string {
	to := w.t.TempDir()
	files, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		if raw, err := os.ReadFile(filepath.Join(w.dir, f.Name())); err == nil && !strings.HasSuffix(f.Name(), ".lock") {
			if err := os.WriteFile(filepath.Join(to, f.Name()), raw, 0o600); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return to
}

// sell makes a sale at the till, which teaches the agent the device's code.
func (w *world) sell(session int) sat.Reply {
	w.t.Helper()
	req := sattest.Request(sat.EnviarDadosVenda, session, sattest.SaleXML(fmt.Sprintf("10.%02d", session), ""))
	reply, err := w.router.Call(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply
}

// command makes a command as the collector would, secrets sealed.
func (w *world) command(name string, args map[string]string) wire.Command {
	w.t.Helper()
	spec, ok := wire.CommandByName(name)
	if !ok {
		w.t.Fatalf("no command %q", name)
	}
	w.ids++
	w.seq++
	c := wire.Command{Version: wire.Version, ID: wire.CommandID{w.ids}, Agent: agentID, Epoch: wire.Epoch(w.buffer.Epoch()), Sequence: w.seq,
		Name: name, By: "Ana Souza, Revenda X", At: time.Now().UnixMilli(), Expires: time.Now().Add(time.Hour).UnixMilli(), Window: &wire.Window{}}
	if spec.Device {
		c.Serial = serial
	}
	open, secret := spec.Secrets(args)
	c.Args = open
	if len(secret) > 0 {
		sealed, err := w.codec.SealArgs(w.o.Keys.Public(), agentID, c.ID, secret)
		if err != nil {
			w.t.Fatal(err)
		}
		c.Sealed = sealed
	}
	return c
}

// send gives the agent a command.
func (w *world) send(c wire.Command) wire.CommandID {
	w.t.Helper()
	signed, err := w.codec.Sign(w.key, c)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := w.codec.Encode(signed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Receive(raw)
	return c.ID
}

// reports are all that the agent has told of a command, in the order of the stream.
func (w *world) reports(id wire.CommandID) (all []wire.Report) {
	w.t.Helper()
	records, err := w.buffer.Peek(wire.StreamCommands, 0, 10000, 64<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, rec := range records {
		var item wire.Item
		var r wire.Report
		if err := errors.Join(w.codec.Decode(rec.Data, &item), w.codec.Decode(item.Body, &r)); err != nil || item.Kind != wire.KindCommand {
			w.t.Fatal(item.Kind, err)
		}
		if r.Command == id {
			all = append(all, r)
		}
	}
	return all
}

// latest is how a command stands.
func (w *world) latest(id wire.CommandID) (last wire.Report) {
	w.t.Helper()
	for _, r := range w.reports(id) {
		if r.State != "" && r.Number >= last.Number {
			last = r
		}
	}
	return last
}

// ends waits until a command has ended.
func (w *world) ends(id wire.CommandID, state string) wire.Report {
	w.t.Helper()
	for range 2000 {
		synctest.Wait()
		if r := w.latest(id); wire.CommandEnded(r.State) {
			if r.State != state {
				w.t.Fatalf("%s ended %s, want %s: %s\n%s", id, r.State, state, r.Text, w.transcript(id))
			}
			return r
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("%s does not end: %+v", id, w.latest(id))
	return wire.Report{}
}

// does sends a command and waits for its end.
func (w *world) does(state, name string, args map[string]string) (wire.Report, wire.CommandID) {
	w.t.Helper()
	id := w.send(w.command(name, args))
	return w.ends(id, state), id
}

// transcript is all lines of a command.
func (w *world) transcript(id wire.CommandID) string {
	var b strings.Builder
	for _, r := range w.reports(id) {
		for _, l := range r.Lines {
			b.WriteString(l.Text + "\n")
		}
	}
	return b.String()
}

// file puts the result of a command together.
func (w *world) file(id wire.CommandID) []byte {
	w.t.Helper()
	result := w.latest(id).Result
	if result == nil {
		w.t.Fatalf("%s has no result: %+v", id, w.latest(id))
	}
	parts := make([][]byte, result.Parts)
	for _, r := range w.reports(id) {
		if r.Part != nil && r.Part.Body == result.Body {
			parts[r.Part.Index] = r.Part.Data
		}
	}
	return slices.Concat(parts...)
}

// calls counts the device's calls of a function.
func (w *world) calls(f sat.Function) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.called {
		if c == f {
			n++
		}
	}
	return n
}
