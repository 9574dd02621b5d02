package remote

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/sim"
)

// takeBack sends the cancelling of a command.
func (w *world) takeBack(c wire.Command) {
	w.t.Helper()
	signed, err := w.codec.Sign(w.key, c)
	if err == nil {
		signed, err = w.codec.SignCancel(w.key, signed)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := w.codec.Encode(signed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Receive(raw)
	synctest.Wait()
}

// cancelled waits for the word that a command does not begin.
func (w *world) cancelled(c wire.Command) {
	w.t.Helper()
	if r := w.ends(c.ID, wire.CommandRefused); r.Reason != wire.RefusedCancelled || r.Number == 0 {
		w.t.Errorf("%+v", r)
	}
}

// later is a command that waits for its hour.
func (w *world) later(name string, args map[string]string) wire.Command {
	w.t.Helper()
	c := w.command(name, args)
	c.NotBefore = time.Now().Add(10 * time.Minute).UnixMilli()
	return c
}

// A command that was cancelled does not begin, in whatever order the two are heard, how
// often, and wherever the agent stops in between.
func TestCancelled(t *testing.T) {
	send := func(w *world, c wire.Command) { w.send(c); synctest.Wait() }
	back := func(w *world, c wire.Command) { w.takeBack(c) }
	stop := func(w *world, _ wire.Command) { w.again("") }
	cut := func(w *world, _ wire.Command) { w.again(w.snapshot()) }
	noted := func(w *world, c wire.Command) { // and stopped before it is answered
		if err := w.begun.cancel(c, time.Now()); err != nil {
			w.t.Fatal(err)
		}
		w.again("")
	}
	for name, steps := range map[string][]func(*world, wire.Command){
		"while it waits":             {send, back},
		"twice":                      {send, back, back},
		"and heard again":            {send, back, send},
		"before it came":             {back, send},
		"before it came, stopped":    {back, stop, send},
		"before it came, power cut":  {back, cut, send},
		"it never comes":             {back},
		"stopped before":             {send, stop, back},
		"power cut before and after": {send, cut, back, cut},
		"noted, not answered":        {send, noted},
		"noted, it had not come":     {noted, send},
		"noted, and heard again":     {noted, back, send},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, nil, func(w *world) {
				w.sell(1)
				c := w.later(wire.CommandChangeCode, map[string]string{"new": "87654321"})
				for _, step := range steps {
					step(w, c)
				}
				w.cancelled(c)
				time.Sleep(time.Hour / 2)
				w.again("")
				time.Sleep(time.Minute)
				w.cancelled(c)
				if n := w.calls(sat.TrocarCodigoDeAtivacao); n != 0 {
					t.Errorf("called %d times", n)
				}
			})
		})
	}
}

// Support puts an older copy of the buffer back, in which the command still waits.
func TestCancelledAndOlderBufferPutBack(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.later(wire.CommandLogs, nil)
		w.send(c)
		synctest.Wait()
		old, err := os.ReadFile(filepath.Join(w.snapshot(), "cupons.db"))
		if err != nil {
			t.Fatal(err)
		}
		w.takeBack(c)
		w.cancelled(c)
		w.stop()
		if err := os.WriteFile(filepath.Join(w.dir, "cupons.db"), old, 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
		time.Sleep(time.Hour / 2)
		w.cancelled(c)
		if n := w.calls(sat.ExtrairLogs); n != 0 {
			t.Errorf("called %d times", n)
		}
	})
}

// What has begun goes on, and its agent says so.
func TestCancelledTooLate(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		reached, release := make(chan struct{}), make(chan struct{})
		w.mu.Lock()
		w.before = func(req sat.Request) error {
			if req.Function == sat.ExtrairLogs {
				close(reached)
				<-release
			}
			return nil
		}
		w.mu.Unlock()
		c, waits := w.command(wire.CommandLogs, nil), w.command(wire.CommandPing, nil)
		w.send(c)
		<-reached
		told := len(w.reports(c.ID))
		w.takeBack(c)
		if all := w.reports(c.ID); len(all) != told+1 || all[told].State != wire.CommandRunning {
			t.Errorf("%+v", all)
		}
		w.send(waits) // one that waits for the device can be cancelled meanwhile
		w.takeBack(waits)
		w.cancelled(waits)
		close(release)
		w.ends(c.ID, wire.CommandDone)
		w.takeBack(c)
		w.ends(c.ID, wire.CommandDone)
		if n := w.calls(sat.ExtrairLogs); n != 1 {
			t.Errorf("called %d times", n)
		}
	})
}

// A command that is in hand and was not begun is not.
func TestCancelledJustBeforeItsFirstStep(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		for _, portal := range []sat.State{sat.StateBlockedContribuinte, sat.StateUnblocked} {
			if err := w.sim.Set(sim.Settings{Portal: &portal}); err != nil {
				t.Fatal(err)
			}
			if portal == sat.StateBlockedContribuinte {
				w.does(wire.CommandDone, wire.CommandBlock, nil)
			}
		}
		reached, release := make(chan struct{}), make(chan struct{})
		w.mu.Lock()
		w.before = func(req sat.Request) error {
			if req.Function == sat.ConsultarStatusOperacional && reached != nil {
				close(reached)
				reached = nil
				<-release
			}
			return nil
		}
		w.mu.Unlock()
		c := w.command(wire.CommandUnblock, nil)
		at := reached
		w.send(c)
		<-at
		w.takeBack(c)
		close(release)
		w.cancelled(c)
		if n := w.calls(sat.DesbloquearSAT); n != 0 {
			t.Errorf("called %d times", n)
		}
	})
}

// Nobody says that a command was not begun who cannot know.
func TestCancelledByWhoCannotKnow(t *testing.T) {
	for name, try := range map[string]func(w *world) wire.Command{
		"a journal that began anew": func(w *world) wire.Command {
			c := w.command(wire.CommandPing, nil)
			c.Epoch = wire.Epoch{1}
			return c
		},
		"begun before an older buffer was put back": func(w *world) wire.Command {
			c := w.later(wire.CommandBlock, nil)
			if err := w.begun.add(c, time.Now()); err != nil {
				w.t.Fatal(err)
			}
			return c
		},
		"and the command waits in it": func(w *world) wire.Command {
			c := w.later(wire.CommandBlock, nil)
			w.send(c)
			synctest.Wait()
			if err := w.begun.add(c, time.Now()); err != nil {
				w.t.Fatal(err)
			}
			return c
		},
		"a command that was forgotten": func(w *world) wire.Command {
			c := w.command(wire.CommandPing, nil)
			w.ends(w.send(c), wire.CommandDone)
			time.Sleep(time.Hour + remembers)
			w.does(wire.CommandDone, wire.CommandPing, nil)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, nil, func(w *world) {
				w.sell(1)
				c := try(w)
				w.takeBack(c)
				all := w.reports(c.ID)
				if last := all[len(all)-1]; last.State != wire.CommandUnknown || last.Text == "" {
					t.Errorf("%+v", last)
				}
				w.send(c)
				time.Sleep(time.Hour / 2)
				if n := w.calls(sat.BloquearSAT); n != 0 {
					t.Errorf("called %d times", n)
				}
			})
		})
	}
}

// What the collector did not sign for this agent cancels nothing.
func TestForgedCancelling(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.later(wire.CommandPing, nil)
		w.send(c)
		synctest.Wait()
		told := len(w.reports(c.ID))
		good := w.key
		w.key = ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
		w.takeBack(c)
		w.key = good
		other := c
		other.Agent = "agent002"
		w.takeBack(other)
		other = c
		other.Name = wire.CommandStatus
		w.takeBack(other)
		if all := w.reports(c.ID); len(all) != told {
			t.Errorf("%+v", all[told:])
		}
		w.ends(c.ID, wire.CommandDone)
	})
}

// What cannot be noted is not answered, and comes again.
func TestCancellingNotNoted(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.later(wire.CommandPing, nil)
		w.send(c)
		synctest.Wait()
		w.begun.path = filepath.Join(w.dir, "absent", begunFile)
		w.takeBack(c)
		if r := w.latest(c.ID); r.State != wire.CommandWaiting {
			t.Errorf("%+v", r)
		}
		w.begun.path = filepath.Join(w.dir, begunFile)
		w.takeBack(c)
		w.cancelled(c)
	})
}
