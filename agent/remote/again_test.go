package remote

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/sim"
)

// Support puts an older copy of the buffer back, in which a command still waits that
// was done since, or is not known at all: it is not done again.
func TestOlderBufferPutBack(t *testing.T) {
	for name, known := range map[string]bool{"where it waits": true, "where it is not known": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, nil, func(w *world) {
				w.sell(1)
				if err := w.sim.Set(sim.Settings{Portal: state(sat.StateBlockedContribuinte)}); err != nil {
					t.Fatal(err)
				}
				c := w.command(wire.CommandBlock, nil)
				c.NotBefore = time.Now().Add(time.Minute).UnixMilli()
				if known {
					w.send(c)
					synctest.Wait()
				}
				old := filepath.Join(w.snapshot(), "cupons.db")
				w.send(c)
				w.ends(c.ID, wire.CommandDone)
				w.stop()
				raw, err := os.ReadFile(old)
				if err == nil {
					err = os.WriteFile(filepath.Join(w.dir, "cupons.db"), raw, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				w.start()
				w.send(c)
				wants(t, w.ends(c.ID, wire.CommandUnknown).Text, "bloqueado pelo contribuinte")
				if n := w.calls(sat.BloquearSAT); n != 1 {
					t.Errorf("called %d times", n)
				}
			})
		})
	}
}

// What cannot be noted as begun is not begun; it is when it can.
func TestBeginningNotNoted(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		if err := w.sim.Set(sim.Settings{Portal: state(sat.StateBlockedContribuinte)}); err != nil {
			t.Fatal(err)
		}
		w.begun.path = filepath.Join(w.dir, "absent", begunFile)
		id := w.send(w.command(wire.CommandBlock, nil))
		time.Sleep(time.Minute)
		if n := w.calls(sat.BloquearSAT); n != 0 {
			t.Fatalf("called %d times", n)
		}
		if err := os.Mkdir(filepath.Join(w.dir, "absent"), 0o700); err != nil {
			t.Fatal(err)
		}
		w.ends(id, wire.CommandDone)
	})
}

// A computer that became another agent, because its disk was copied or because it was
// enrolled anew, does not do what waited for the one before.
func TestAnotherIdentity(t *testing.T) {
	var renewed atomic.Bool
	identity := func(o *Options) {
		o.Agent = func() string {
			if renewed.Load() {
				return "agent002"
			}
			return agentID
		}
	}
	inWorld(t, nil, identity, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandPing, nil)
		c.NotBefore = time.Now().Add(time.Hour / 2).UnixMilli()
		id := w.send(c)
		synctest.Wait()
		told, before := len(w.reports(id)), w.calls(sat.ConsultarSAT)
		renewed.Store(true)
		time.Sleep(time.Hour)
		if n := w.calls(sat.ConsultarSAT); n != before {
			t.Errorf("called %d times", n-before)
		}
		if n := len(w.reports(id)); n != told {
			t.Errorf("the new agent tells of the old one's command: %d reports", n)
		}
		if d, _ := w.Latest(); len(w.Under()) != 0 {
			t.Errorf("it still waits: %+v, %+v", w.Under(), d)
		}
		c = w.command(wire.CommandPing, nil)
		c.Agent = "agent002"
		w.ends(w.send(c), wire.CommandDone)
	})
}

// An end that cannot be noted is noted later; the command is not done once more, and
// the device is not asked again and again.
func TestEndNotNoted(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		w.mu.Lock()
		w.after = func(req sat.Request) error {
			if req.Function == sat.ExtrairLogs {
				w.buffer.Close()
			}
			return nil
		}
		w.mu.Unlock()
		id := w.send(w.command(wire.CommandLogs, nil))
		time.Sleep(time.Hour)
		if n := w.calls(sat.ExtrairLogs); n != 1 {
			t.Errorf("%s: called %d times", id, n)
		}
	})
}

// A command that ends the agent each time does not do so for ever.
func TestCommandThatEndsTheAgent(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		disk := ""
		dies := func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.dead, w.before = false, w.cut(sat.ConsultarSAT, &disk)
		}
		dies()
		id := w.send(w.command(wire.CommandPing, nil))
		for range 2 * mostSteps {
			synctest.Wait()
			if wire.CommandEnded(w.latest(id).State) {
				break
			}
			w.stop()
			dies()
			w.dir = disk
			w.start()
		}
		wants(t, w.ends(id, wire.CommandFailed).Text, "vezes demais")
	})
}

// Before the collector was heard the till's clock may be years off: nothing begins,
// ends or is forgotten by it.
func TestClockBeforeTheCollectorIsHeard(t *testing.T) {
	var heard atomic.Bool
	var off atomic.Int64
	heard.Store(true)
	clock := func(o *Options) {
		o.Heard = heard.Load
		o.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
	}
	inWorld(t, nil, clock, func(w *world) {
		_, done := w.does(wire.CommandDone, wire.CommandPing, nil)
		waits := w.command(wire.CommandPing, nil)
		waits.NotBefore = time.Now().Add(10 * time.Minute).UnixMilli()
		w.send(waits)
		synctest.Wait()
		w.stop()
		heard.Store(false)
		off.Store(int64(10 * 365 * 24 * time.Hour))
		w.start()
		fresh := w.send(w.command(wire.CommandPing, nil))
		time.Sleep(time.Minute)
		for _, id := range []wire.CommandID{waits.ID, fresh} {
			if r := w.latest(id); wire.CommandEnded(r.State) {
				t.Errorf("%s ended by a wrong clock: %s", id, r.State)
			}
		}
		if w.entries[done] == nil || w.floor != 0 {
			t.Error("a command was forgotten by a wrong clock")
		}
		off.Store(0)
		heard.Store(true)
		w.ends(fresh, wire.CommandDone)
		w.ends(waits.ID, wire.CommandDone)
	})
}

// A start with a configuration on trial that cannot be noted ends the trial; the agent
// does not start again for ever.
func TestStartThatCannotBeNoted(t *testing.T) {
	starts := 0
	count := func(o *Options) {
		trying(func(string) bool { return false })(o)
		restart := o.Restart
		o.Restart = func() { starts++; restart() }
	}
	inWorld(t, nil, count, func(w *world) {
		path := filepath.Join(w.dir, "agent.toml")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.o.Heard = func() bool { return true }
		id := w.send(w.command(wire.CommandWriteConfig, map[string]string{"config": "new", "minutes": "5"}))
		synctest.Wait()
		for range 5 { // Trial.Start fails, or the like
			w.again("")
			synctest.Wait()
			if wire.CommandEnded(w.latest(id).State) {
				break
			}
		}
		wants(t, w.ends(id, wire.CommandFailed).Text, "voltou à antiga")
		if starts > 2 || w.config() != "old" {
			t.Errorf("%d restarts, %q", starts, w.config())
		}
	})
}

// The note of a file that is damaged keeps what it says from being ignored.
func TestBegunFile(t *testing.T) {
	folder := t.TempDir()
	b, err := openBegun(folder)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1e12)
	old := wire.Command{ID: wire.CommandID{1}, Expires: now.Add(-remembers - time.Hour).UnixMilli()}
	late := wire.Command{ID: wire.CommandID{2}, Expires: now.UnixMilli()}
	back := wire.Command{ID: wire.CommandID{3}, Expires: now.UnixMilli()}
	if err := errors.Join(b.add(old, now), b.add(late, now), b.cancel(back, now)); err != nil {
		t.Fatal(err)
	}
	if b, err = openBegun(folder); err != nil || b.has(old.ID) || !b.has(late.ID) || b.cancelled(late.ID) || b.has(back.ID) || !b.cancelled(back.ID) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, junk := range []string{"02zz 1\n", strings.Repeat("02", 16) + "\n", strings.Repeat("02", 16) + " 1 x\n", "\n"} {
		if err := os.WriteFile(b.path, []byte(junk), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openBegun(folder); err == nil || !strings.Contains(err.Error(), begunFile) {
			t.Errorf("%q: %v", junk, err)
		}
	}
}

// An entry that cannot be read is that command's end, and no other's.
func TestUnreadableEntry(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandLogs, nil)
		c.NotBefore = time.Now().Add(time.Minute).UnixMilli()
		w.send(c)
		synctest.Wait()
		b := &buffer.Batch{}
		b.Put(table, c.ID[:], []byte("what no agent writes"))
		if _, err := w.buffer.Commit(b); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.again("")
			told := 0
			for _, r := range w.reports(c.ID) {
				if r.Number == 0 && r.Reason == wire.RefusedJournal {
					told++
				}
			}
			if told != 1 {
				t.Errorf("told %d times that nobody knows how it stands", told)
			}
		}
		w.send(c)
		w.does(wire.CommandDone, wire.CommandPing, nil)
		time.Sleep(2 * time.Minute)
		all := w.reports(c.ID)
		if last := all[len(all)-1]; last.Number == 0 || last.Reason != wire.RefusedJournal || w.calls(sat.ExtrairLogs) != 0 {
			t.Errorf("%+v, %d calls", last, w.calls(sat.ExtrairLogs))
		}
	})
}

// Who can send messages but sign none does not fill the disk.
func TestManyWrongSignatures(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		good := w.key
		w.key = ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
		c := w.command(wire.CommandPing, nil)
		for n := range mostUnheard + 50 {
			c.ID = wire.CommandID{9, byte(n), byte(n >> 8)}
			w.send(c)
			synctest.Wait()
		}
		for _, s := range w.buffer.Stats().Streams {
			if s.Name == wire.StreamCommands && s.Waiting != mostUnheard {
				t.Errorf("%d records wait for the collector", s.Waiting)
			}
		}
		w.key = good
		w.does(wire.CommandDone, wire.CommandPing, nil)
	})
}
