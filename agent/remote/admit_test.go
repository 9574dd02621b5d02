package remote

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// What must not be carried out is not, and the collector hears why.
func TestRefusals(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		for name, try := range map[string]struct {
			change func(*wire.Command)
			state  string
			reason string
		}{
			"another agent":    {func(c *wire.Command) { c.Agent = "agent002" }, wire.CommandRefused, wire.RefusedAgent},
			"a lost journal":   {func(c *wire.Command) { c.Epoch = wire.Epoch{1} }, wire.CommandRefused, wire.RefusedJournal},
			"no such command":  {func(c *wire.Command) { c.Name = "format-disk" }, wire.CommandRefused, wire.RefusedCommand},
			"wrong arguments":  {func(c *wire.Command) { c.Args = map[string]string{"x": "1"} }, wire.CommandRefused, wire.RefusedArgs},
			"no device":        {func(c *wire.Command) { c.Serial = "" }, wire.CommandRefused, wire.RefusedArgs},
			"another device":   {func(c *wire.Command) { c.Serial = "900000009" }, wire.CommandRefused, wire.RefusedDevice},
			"after expiry":     {func(c *wire.Command) { c.Expires = time.Now().Add(-time.Second).UnixMilli() }, wire.CommandExpired, ""},
			"too long a life":  {func(c *wire.Command) { c.Expires += (wire.MaxLife).Milliseconds() }, wire.CommandRefused, wire.RefusedArgs},
			"secrets unsealed": {func(c *wire.Command) { c.Name, c.Args = wire.CommandChangeCode, map[string]string{"new": "87654321"} }, wire.CommandRefused, wire.RefusedArgs},
			"a foreign seal":   {func(c *wire.Command) { c.Name, c.Sealed = wire.CommandChangeCode, make([]byte, 80) }, wire.CommandRefused, wire.RefusedArgs},
		} {
			before := w.calls(sat.ConsultarSAT)
			c := w.command(wire.CommandPing, nil)
			try.change(&c)
			if r := w.ends(w.send(c), try.state); r.Reason != try.reason || w.calls(sat.ConsultarSAT) != before {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

func TestWrongSignature(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		good := w.key
		w.key = ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
		c := w.command(wire.CommandPing, nil)
		if r := w.ends(w.send(c), wire.CommandRefused); r.Reason != wire.RefusedSignature || r.Number != 0 {
			t.Errorf("%+v", r)
		}
		// It leaves nothing behind: the true one is carried out.
		w.key = good
		w.send(c)
		time.Sleep(time.Second)
		if r := w.ends(c.ID, wire.CommandDone); r.Number < 3 {
			t.Errorf("%+v", r)
		}
		for _, junk := range [][]byte{nil, []byte("junk"), make([]byte, wire.MaxCommand+1)} {
			w.Receive(junk)
		}
		synctest.Wait()
		w.does(wire.CommandDone, wire.CommandPing, nil)
	})
}

func TestOnceHoweverOftenItIsHeard(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandLogs, nil)
		id := w.send(c)
		first := w.ends(id, wire.CommandDone)
		for range 3 {
			w.send(c)
			synctest.Wait()
			w.again("")
			w.send(c)
			synctest.Wait()
		}
		if n := w.calls(sat.ExtrairLogs); n != 1 {
			t.Errorf("called %d times", n)
		}
		if last := w.latest(id); !reflect.DeepEqual(last.Result, first.Result) || last.Number != first.Number || last.Reply != first.Reply {
			t.Errorf("%+v, first %+v", last, first)
		}
		// The same number with other contents is another's.
		c.Name = wire.CommandStatus
		w.send(c)
		synctest.Wait()
		if last := w.latest(id); last.State != wire.CommandDone {
			t.Errorf("%+v", last)
		}
	})
}

// A journal does not grow for ever, and what it has forgotten is not done again.
func TestForgotten(t *testing.T) {
	var back atomic.Int64 // by which the clock was set back
	clock := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) } }
	inWorld(t, nil, clock, func(w *world) {
		old := w.command(wire.CommandPing, nil)
		w.ends(w.send(old), wire.CommandDone)
		time.Sleep(time.Hour + remembers)
		w.does(wire.CommandDone, wire.CommandPing, nil)
		time.Sleep(lookEvery)
		w.does(wire.CommandDone, wire.CommandPing, nil)
		w.mu.Lock()
		known := len(w.entries)
		w.mu.Unlock()
		if known != 2 {
			t.Errorf("%d commands are known", known)
		}
		before := w.calls(sat.ConsultarSAT)
		back.Store(int64(48 * time.Hour))
		w.send(old)
		synctest.Wait()
		if all := w.reports(old.ID); all[len(all)-1].State != wire.CommandExpired {
			t.Errorf("%+v", all[len(all)-1])
		}
		if w.calls(sat.ConsultarSAT) != before {
			t.Error("a forgotten command was carried out again")
		}
		back.Store(0)
		// One that was made before them and waited elsewhere is done.
		late := w.command(wire.CommandPing, nil)
		late.Sequence = old.Sequence - 1
		w.ends(w.send(late), wire.CommandDone)
		// And an agent whose journal begins anew knows no command of before.
		c := w.command(wire.CommandPing, nil)
		w.stop()
		if err := os.Remove(filepath.Join(w.dir, "cupons.db")); err != nil {
			t.Fatal(err)
		}
		w.start()
		if r := w.ends(w.send(c), wire.CommandRefused); r.Reason != wire.RefusedJournal {
			t.Errorf("%+v", r)
		}
	})
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	k, err := OpenKeys(dir)
	if err != nil || k.pinned() != nil {
		t.Fatal(k, err)
	}
	key, other := make([]byte, 32), []byte(strings.Repeat("x", 32))
	if err := k.Pin(key); err != nil {
		t.Fatal(err)
	}
	if k.Pin(other) == nil || k.Pin(key[:5]) == nil || k.Pin(key) != nil {
		t.Error("another key was pinned, or the same one not")
	}
	again, err := OpenKeys(dir)
	if err != nil || !again.pinned().Equal(ed25519.PublicKey(key)) || string(again.Public()) != string(k.Public()) {
		t.Errorf("%v", err)
	}
	if err := PinNew(dir, nil); err != nil {
		t.Fatal(err)
	}
	if again, err = OpenKeys(dir); err != nil || again.pinned() != nil {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, sealFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(dir); err == nil {
		t.Error("a spoilt key was opened")
	}
}
