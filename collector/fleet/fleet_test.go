package fleet

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

const agentID = "abcdefgh234567ab"

// noon is a noon in Brasília.
func noon() time.Time { return time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC) }

// world is a fleet over a real store, with a clock of its own and one agent.
type world struct {
	*Fleet
	t     *testing.T
	store *store.Store
	key   *ecdh.PrivateKey // the agent's, that opens secrets
	now   time.Time
	sent  [][]byte
	down  error // what sending fails with
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s, now: noon()}
	key, err := OpenKey(t.TempDir())
	if err == nil {
		w.key, err = ecdh.X25519().GenerateKey(rand.Reader)
	}
	if err == nil {
		w.Fleet, err = New(Options{Store: s, Key: key, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	return w
}

// Send is the broker.
func (w *world) Send(_, kind string, payload []byte) error {
	if kind == wire.DownCommand && w.down == nil {
		w.sent = append(w.sent, payload)
	}
	return w.down
}

func (w *world) beat(u *store.Writer, agent string) error {
	return errors.Join(u.SetBeat(store.Beat{Agent: store.Agent{ID: agent, BeatAt: w.now}}),
		u.SetSealKey(agent, w.key.PublicKey().Bytes(), wire.Epoch{1, 2}.String()))
}

func (w *world) update(fn func(*store.Writer) error) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) order(r Request) (o store.Order) {
	w.t.Helper()
	if r.Targets == nil {
		r.Targets = []Target{{Agent: agentID, Serial: "900000001"}}
	}
	if r.Expires.IsZero() {
		r.Expires = w.now.Add(24 * time.Hour)
	}
	w.update(func(u *store.Writer) (err error) {
		o, err = w.Order(u, store.Order{Who: "ana@example.com", CreatedAt: w.now}, r)
		return err
	})
	return o
}

// round makes one round and returns what it sent.
func (w *world) round() (commands []wire.Command) {
	w.t.Helper()
	w.sent = nil
	if err := w.Round(w.t.Context(), w); err != nil {
		w.t.Fatal(err)
	}
	for _, b := range w.sent {
		if c, cancels := w.read(b); !cancels {
			commands = append(commands, c)
		}
	}
	return commands
}

// read reads what was sent, as an agent does.
func (w *world) read(b []byte) (c wire.Command, cancels bool) {
	w.t.Helper()
	var s wire.Signed
	if err := w.codec.Decode(b, &s); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.codec.Verify(w.CommandKey(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, s.Cancels()
}

// cancels makes one round and returns the commands that it took back.
func (w *world) cancels() (ids []string) {
	w.t.Helper()
	w.round()
	for _, b := range w.sent {
		if c, cancels := w.read(b); cancels {
			ids = append(ids, c.ID.String())
		}
	}
	return ids
}

func (w *world) commands(order int64) (list []store.Command) {
	w.t.Helper()
	w.update(func(u *store.Writer) (err error) { list, err = u.CommandsOfOrder(order); return err })
	return list
}

func (w *world) tell(id string, number int64, state store.CommandState) {
	w.t.Helper()
	w.update(func(u *store.Writer) error {
		c, err := u.Command(id)
		if err == nil {
			_, err = u.TellCommand(c.Agent, store.CommandReport{Command: id, Number: number, State: state}, w.now)
		}
		return err
	})
}

// TestSending: from the order to the agent's first word, whatever is lost between.
func TestSending(t *testing.T) {
	w := newWorld(t)
	o := w.order(Request{Name: wire.CommandSession, Args: map[string]string{"session": "123"}})
	w.down = errors.New("the broker is away")
	if got := w.round(); len(got) > 0 {
		t.Fatalf("%v", got)
	}
	w.down = nil
	if got := w.round(); len(got) > 0 {
		t.Errorf("sent again at once: %v", got)
	}
	w.now = w.now.Add(time.Minute)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	first := w.round()
	if len(first) != 1 {
		t.Fatalf("the agent is back, and nothing is sent")
	}
	message := w.sent[0]
	c := first[0]
	stored := w.commands(o.ID)[0]
	if c.Agent != agentID || c.Name != wire.CommandSession || c.Serial != "900000001" || c.Args["session"] != "123" || c.ID.String() != stored.ID ||
		c.Epoch != (wire.Epoch{1, 2}) || c.Sequence != uint64(stored.Sequence) || c.By != "ana@example.com" || c.Window == nil || c.Window.Idle == 0 ||
		c.Expires != o.ExpiresAt.UnixMilli() {
		t.Errorf("%+v", c)
	}
	w.now = w.now.Add(time.Minute)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	if w.round(); len(w.sent) != 1 || !bytes.Equal(w.sent[0], message) {
		t.Errorf("sent again with other bytes")
	}
	w.tell(stored.ID, 1, store.CommandAccepted)
	w.now = w.now.Add(time.Hour)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	if got := w.round(); len(got) > 0 {
		t.Errorf("sent again after the agent's word: %v", got)
	}
}

// sender is a broker that is a func.
type sender func() error

func (s sender) Send(string, string, []byte) error { return s() }

// TestStoppedBetween: a round that is stopped while it sends sends no more, and what is
// left goes out when its agent is heard.
func TestStoppedBetween(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.order(Request{Name: wire.CommandPing})
	}
	ctx, stop := context.WithCancel(t.Context())
	tried := 0
	if err := w.Round(ctx, sender(func() error { tried++; stop(); return nil })); !errors.Is(err, context.Canceled) || tried != 1 {
		t.Errorf("%d sent, %v", tried, err)
	}
	w.now = w.now.Add(time.Minute)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	if got := w.round(); len(got) != 3 {
		t.Errorf("%d sent after it", len(got))
	}
}

// TestKilledBetween: a collector that dies after noting a command as sent, and before
// sending it, sends it when the agent is heard.
func TestKilledBetween(t *testing.T) {
	w := newWorld(t)
	w.order(Request{Name: wire.CommandPing})
	var due []store.Command
	w.update(func(u *store.Writer) (err error) { due, err = dueNow(&u.Reader, w.now); return err })
	ready, err := w.prepare(t.Context(), due, nil, w.now)
	if err != nil || len(ready) != 1 {
		t.Fatal(ready, err)
	}
	again, err := New(w.o)
	if err != nil {
		t.Fatal(err)
	}
	w.Fleet = again
	w.now = w.now.Add(time.Minute)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	if w.round(); len(w.sent) != 1 || !bytes.Equal(w.sent[0], ready[0].Message) {
		t.Error("the command is lost, or another one was sent")
	}
}

// TestCancelling: what was sent is taken back until its agent said a word, whatever is
// lost between, and whenever the collector dies.
func TestCancelling(t *testing.T) {
	w := newWorld(t)
	o := w.order(Request{Name: wire.CommandChangeCode, Args: map[string]string{"new": "12345678"}})
	w.round()
	sent, _ := w.read(w.sent[0])
	id := sent.ID.String()
	w.update(func(u *store.Writer) error { _, err := u.Cancel(id, store.StoppedBy("ana"), w.now); return err })
	w.down = errors.New("the broker is away")
	w.cancels()
	w.down = nil
	for range 2 {
		if got := w.cancels(); len(got) > 0 {
			t.Errorf("told again at once: %v", got)
		}
		again, err := New(w.o) // the collector died after it had noted, and before it told
		if err != nil {
			t.Fatal(err)
		}
		w.Fleet = again
		w.now = w.now.Add(time.Minute)
		w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
		if got := w.cancels(); !slices.Equal(got, []string{id}) || len(w.sent) != 1 {
			t.Fatalf("the agent is back, told %v in %d messages", got, len(w.sent))
		}
		if c, _ := w.read(w.sent[0]); !bytes.Equal(c.Sealed, sent.Sealed) || c.Sequence != sent.Sequence {
			t.Errorf("%+v", c)
		}
	}
	w.update(func(u *store.Writer) error {
		_, err := u.TellCommand(agentID, store.CommandReport{Command: id, Number: 1, State: store.CommandRefused, Reason: wire.RefusedCancelled}, w.now)
		return err
	})
	w.now = w.now.Add(time.Minute)
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	if got := w.cancels(); len(w.sent) > 0 {
		t.Errorf("told again after the agent's word: %v", got)
	}
	if c := w.commands(o.ID)[0]; c.State != store.CommandCancelled || c.CancelBy != "Cancelado por ana." {
		t.Errorf("%+v", c)
	}
}

// TestCancelledWaves: what failed too often is taken back where it was sent and has not
// begun, and nothing more of it goes out.
func TestCancelledWaves(t *testing.T) {
	w := newWorld(t)
	var targets []Target
	for _, agent := range []string{"agent00001", "agent00002", "agent00003", "agent00004"} {
		w.update(func(u *store.Writer) error { return w.beat(u, agent) })
		targets = append(targets, Target{Agent: agent})
	}
	o := w.order(Request{Name: wire.CommandRestart, Targets: targets, First: 3, Need: 100})
	w.round()
	list := w.commands(o.ID)
	w.tell(list[0].ID, 1, store.CommandFailed)
	w.tell(list[1].ID, 1, store.CommandWaiting)
	w.tell(list[2].ID, 1, store.CommandRunning)
	w.round() // decides
	if got := w.cancels(); !slices.Equal(got, []string{list[1].ID}) {
		t.Errorf("taken back: %v", got)
	}
	list = w.commands(o.ID)
	if list[3].State != store.CommandCancelled || !list[2].CancelAt.IsZero() || list[0].Order.StoppedAt.IsZero() {
		t.Errorf("%+v", list)
	}
}

// TestSecretsAreSealed: neither the store nor the message holds them, and the agent
// reads them.
func TestSecretsAreSealed(t *testing.T) {
	w := newWorld(t)
	const code = "segredo-novo-77"
	o := w.order(Request{Name: wire.CommandChangeCode, Args: map[string]string{"new": code}})
	c := w.round()[0]
	args, err := w.codec.OpenArgs(w.key, agentID, c.ID, c.Sealed)
	if err != nil || args["new"] != code || len(c.Args) != 0 {
		t.Errorf("%v %v %v", args, c.Args, err)
	}
	if bytes.Contains(w.sent[0], []byte(code)) || bytes.Contains(w.commands(o.ID)[0].Sealed, []byte(code)) {
		t.Error("the secret is in the clear")
	}
	w.update(func(u *store.Writer) error { return u.Heard("other00001", w.now) })
	err = w.store.Update(t.Context(), func(u *store.Writer) error {
		_, err := w.Order(u, store.Order{CreatedAt: w.now}, Request{Name: wire.CommandChangeCode, Args: map[string]string{"new": code}, Targets: []Target{{Agent: "other00001"}}})
		return err
	})
	if !errors.Is(err, ErrNoKey) {
		t.Errorf("sealed for an agent without a key: %v", err)
	}
}

// TestHours: a command for the night waits for it, and can be cancelled until then.
func TestHours(t *testing.T) {
	w := newWorld(t)
	o := w.order(Request{Name: wire.CommandUpdateSoftware})
	if got := w.round(); len(got) > 0 || w.commands(o.ID)[0].State != store.CommandQueued {
		t.Fatalf("sent at noon: %v", got)
	}
	w.order(Request{Name: wire.CommandUpdateSoftware, Anyway: true})
	if got := w.round(); len(got) != 1 || *got[0].Window != (wire.Window{}) {
		t.Errorf("asked for at once: %+v", got)
	}
	w.now = time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC) // 23:30 in Brasília
	w.update(func(u *store.Writer) error { return w.beat(u, agentID) })
	got := w.round()
	if i := slices.IndexFunc(got, func(c wire.Command) bool { return c.ID.String() == w.commands(o.ID)[0].ID }); i < 0 {
		t.Errorf("not sent at night: %v", got)
	}
}

func TestOverdue(t *testing.T) {
	w := newWorld(t)
	sent := w.order(Request{Name: wire.CommandPing, Expires: w.now.Add(time.Hour)})
	w.round()
	queued := w.order(Request{Name: wire.CommandPing, NotBefore: w.now.Add(30 * time.Minute), Expires: w.now.Add(time.Hour)})
	w.now = w.now.Add(61 * time.Minute)
	w.round()
	if c := w.commands(queued.ID)[0]; c.State != store.CommandExpired || c.Text == "" {
		t.Errorf("%+v", c)
	}
	if c := w.commands(sent.ID)[0]; c.State != store.CommandSent {
		t.Errorf("given up too early: %+v", c)
	}
	w.now = w.now.Add(24 * time.Hour)
	w.round()
	c := w.commands(sent.ID)[0]
	if c.State != store.CommandUnknown {
		t.Errorf("%+v", c)
	}
	w.tell(c.ID, 3, store.CommandDone)
	if c := w.commands(sent.ID)[0]; c.State != store.CommandDone {
		t.Errorf("the agent's word counts more: %+v", c)
	}
}

// TestWaves: three tills, the first alone, then the others or nobody.
func TestWaves(t *testing.T) {
	for name, c := range map[string]struct {
		end  store.CommandState
		next int
		want store.CommandState // of the others
	}{"the first succeeds": {store.CommandDone, 2, store.CommandSent}, "the first fails": {store.CommandFailed, 0, store.CommandCancelled},
		"nobody can tell of the first": {store.CommandUnknown, 0, store.CommandCancelled}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var targets []Target
			for _, agent := range []string{"agent00001", "agent00002", "agent00003"} {
				w.update(func(u *store.Writer) error { return w.beat(u, agent) })
				targets = append(targets, Target{Agent: agent})
			}
			o := w.order(Request{Name: wire.CommandPoll, Targets: targets, First: 1, Need: 100})
			if got := w.round(); len(got) != 1 || got[0].Agent != "agent00001" {
				t.Fatalf("first wave: %v", got)
			}
			if got := w.round(); len(got) > 0 {
				t.Fatalf("before the first ended: %v", got)
			}
			w.tell(w.commands(o.ID)[0].ID, 2, c.end)
			w.round() // decides
			if n := len(w.sent) + len(w.round()); n != c.next {
				t.Errorf("%d sent afterwards, want %d", n, c.next)
			}
			if got := w.commands(o.ID)[2]; got.State != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	list := func(states ...string) (out []store.Command) {
		for _, s := range states {
			wave, state, _ := strings.Cut(s, " ")
			out = append(out, store.Command{Wave: int(wave[0] - '0'), State: store.CommandState(state)})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		need     int
		commands []store.Command
		want     verdict
	}{
		{"nothing yet", 100, list("1 sent", "1 running", "2 queued"), hold},
		{"one of two", 100, list("1 done", "1 running", "2 queued"), hold},
		{"one of two is enough", 50, list("1 done", "1 running", "2 queued"), release},
		{"one of two failed, and one must succeed", 50, list("1 failed", "1 running", "2 queued"), hold},
		{"both failed", 50, list("1 failed", "1 refused", "2 queued"), stop},
		{"one failed, and all must succeed", 100, list("1 failed", "1 running", "2 queued"), stop},
		{"one was cancelled, and all others must succeed", 100, list("1 done", "1 cancelled", "2 queued", "2 cancelled"), release},
		{"one was cancelled, and the other failed", 50, list("1 failed", "1 cancelled", "2 queued"), stop},
		{"the whole first wave was cancelled", 50, list("1 cancelled", "2 queued"), stop},
		{"one is not known of", 100, list("1 unknown", "1 done", "2 queued"), stop},
		{"released, and under way", 50, list("1 done", "1 done", "1 queued", "1 sent"), hold},
		{"released, and too many fail", 50, list("1 done", "1 failed", "1 failed", "1 failed", "1 queued"), stop},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judge(store.Order{Need: c.need}, c.commands); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	folder := t.TempDir()
	first, err := OpenKey(folder)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenKey(folder)
	if err != nil || !ed25519.PrivateKey.Equal(first, second) {
		t.Errorf("another key at the next start: %v", err)
	}
	path := filepath.Join(folder, KeyFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	for name, raw := range map[string]string{"empty": "", "no PEM": "x", "another kind of file": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(folder); err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
