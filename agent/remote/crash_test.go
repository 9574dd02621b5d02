package remote

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/sim"
)

// The agent dies while a code is being changed, and a copy of its disk starts again.
func TestCodeChangeCutOff(t *testing.T) {
	change := map[string]string{"new": "87654321"}
	for name, try := range map[string]struct {
		cut   func(w *world, at func(sat.Request) error) // sets where the power goes
		state string
		calls int      // of TrocarCodigoDeAtivacao over both lives
		says  []string // of the end
		code  string   // that the agent knows afterwards
	}{
		"before the device hears of it": {func(w *world, at func(sat.Request) error) { w.before = at }, wire.CommandUnknown, 1,
			[]string{"não se repete", "aceita o código antigo"}, sim.DefaultCode},
		"after the device did it": {func(w *world, at func(sat.Request) error) { w.after = at }, wire.CommandUnknown, 1,
			[]string{"não se repete", "aceita o código novo: a troca foi feita"}, "87654321"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, nil, func(w *world) {
				w.sell(1)
				disk := ""
				w.mu.Lock()
				try.cut(w, w.cut(sat.TrocarCodigoDeAtivacao, &disk))
				w.mu.Unlock()
				id := w.send(w.command(wire.CommandChangeCode, change))
				synctest.Wait()
				w.again(disk)
				r := w.ends(id, try.state)
				wants(t, r.Text+w.transcript(id), try.says...)
				if n := w.calls(sat.TrocarCodigoDeAtivacao); n != try.calls {
					t.Errorf("called %d times", n)
				}
				if _, code := w.router.Code(serial); code != try.code {
					t.Errorf("the agent knows %q", code)
				}
				if text := w.transcript(id); strings.Contains(text, "87654321") || strings.Contains(text, sim.DefaultCode) {
					t.Errorf("the transcript tells a code: %s", text)
				}
			})
		})
	}
}

// Accepted, and nothing of it begun: it is done after the start.
func TestCutOffBeforeItBegan(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandChangeCode, map[string]string{"new": "87654321"})
		c.Window = &wire.Window{Idle: 60000}
		id := w.send(c)
		synctest.Wait()
		w.again(w.snapshot())
		w.ends(id, wire.CommandDone)
		if n := w.calls(sat.TrocarCodigoDeAtivacao); n != 1 {
			t.Errorf("called %d times", n)
		}
	})
}

// What may be repeated is, and what the device has then done already is done.
func TestRepeatedAfterACrash(t *testing.T) {
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
		disk := ""
		w.mu.Lock()
		w.after = w.cut(sat.DesbloquearSAT, &disk)
		w.mu.Unlock()
		id := w.send(w.command(wire.CommandUnblock, nil))
		synctest.Wait()
		w.again(disk)
		r := w.ends(id, wire.CommandDone)
		if n := w.calls(sat.DesbloquearSAT); n != 2 || r.Reply != "17005" {
			t.Errorf("called %d times, %s", n, r.Reply)
		}
	})
}

// An orderly stop in the middle leaves nothing behind that the next start would not
// find.
func TestStoppedInTheMiddle(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		if err := w.sim.Set(sim.Settings{Portal: state(sat.StateBlockedContribuinte)}); err != nil {
			t.Fatal(err)
		}
		reached, release := make(chan struct{}), make(chan struct{})
		w.mu.Lock()
		w.after = func(req sat.Request) error {
			if req.Function != sat.BloquearSAT {
				return nil
			}
			close(reached)
			<-release
			return errors.New("the answer is lost")
		}
		w.mu.Unlock()
		id := w.send(w.command(wire.CommandBlock, nil))
		<-reached
		go func() { close(release) }()
		w.again("")
		r := w.ends(id, wire.CommandUnknown)
		wants(t, r.Text, "bloqueado pelo contribuinte")
		if n := w.calls(sat.BloquearSAT); n != 1 {
			t.Errorf("called %d times", n)
		}
	})
}
