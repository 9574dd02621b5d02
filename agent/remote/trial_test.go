package remote

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// trying is an agent whose configuration is to change: heard says whether the
// collector answers with a configuration.
func trying(heard func(config string) bool) func(*Options) {
	return func(o *Options) {
		path := o.Trial.Path
		o.Heard = func() bool {
			text, _ := os.ReadFile(path)
			return heard(string(text))
		}
		o.Check = func(text []byte) ([]byte, error) {
			if strings.Contains(string(text), "bad") {
				return nil, errors.New("configuração: chave desconhecida: bad")
			}
			return text, nil
		}
	}
}

// config is what the agent would read at its start, after Start had its say.
func (w *world) config() string {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "agent.toml"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// restarts starts the agent again as the service manager does.
func (w *world) restarts() {
	w.t.Helper()
	w.stop()
	if _, err := (Trial{Path: filepath.Join(w.dir, "agent.toml")}).Start(); err != nil {
		w.t.Fatal(err)
	}
	w.again("")
}

// clean reports traces that a trial left beside the configuration.
func (w *world) clean() {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "agent.toml.*"))
	if err != nil || len(found) > 0 {
		w.t.Errorf("traces of the trial: %v, %v", found, err)
	}
}

func TestNewConfiguration(t *testing.T) {
	always := func(string) bool { return true }
	onlyOld := func(text string) bool { return text == "old" }
	for name, try := range map[string]struct {
		heard func(string) bool
		text  string
		state string
		then  string // the configuration in the end
		says  string
	}{
		"works":                 {always, "new", wire.CommandDone, "new", "está em uso"},
		"is wrong":              {always, "bad", wire.CommandFailed, "old", "chave desconhecida"},
		"loses the collector":   {onlyOld, "new", wire.CommandFailed, "old", "voltou à antiga"},
		"is the same as before": {always, "old", wire.CommandDone, "old", "está em uso"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, trying(try.heard), func(w *world) {
				if err := os.WriteFile(filepath.Join(w.dir, "agent.toml"), []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				id := w.send(w.command(wire.CommandWriteConfig, map[string]string{"config": try.text, "minutes": "5"}))
				for range 3 { // as often as the agent ends
					time.Sleep(10 * time.Minute)
					if r := w.latest(id); wire.CommandEnded(r.State) {
						break
					}
					w.restarts()
				}
				r := w.ends(id, try.state)
				wants(t, r.Text, try.says)
				if got := w.config(); got != try.then {
					t.Errorf("the configuration is %q", got)
				}
				w.clean()
			})
		})
	}
}

// An agent that does not even start with the new configuration starts with the old.
func TestConfigurationThatDoesNotStart(t *testing.T) {
	inWorld(t, nil, trying(func(string) bool { return true }), func(w *world) {
		path := filepath.Join(w.dir, "agent.toml")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		id := w.send(w.command(wire.CommandWriteConfig, map[string]string{"config": "new", "minutes": "5"}))
		synctest.Wait()
		w.stop()
		trial := Trial{Path: path}
		if reverted, err := trial.Start(); err != nil || reverted || w.config() != "new" {
			t.Fatalf("%v, %v, %q", reverted, err, w.config())
		}
		// Here the agent ends; the service manager starts it once more.
		if reverted, err := trial.Start(); err != nil || !reverted || w.config() != "old" {
			t.Fatalf("%v, %v, %q", reverted, err, w.config())
		}
		w.again("")
		wants(t, w.ends(id, wire.CommandFailed).Text, "voltou à antiga")
		w.clean()
	})
}

// Whatever cuts a change of configuration off, the files are whole and the command
// ends in one way or the other.
func TestConfigurationCutOff(t *testing.T) {
	id := wire.CommandID{1}
	for name, cut := range map[string]func(t *testing.T, trial Trial){
		"before anything": func(*testing.T, Trial) {},
		"old copied": func(t *testing.T, trial Trial) {
			if err := buffer.WriteFile(trial.oldPath(), []byte("old")); err != nil {
				t.Fatal(err)
			}
		},
		"noted, not in place": func(t *testing.T, trial Trial) {
			if err := trial.write(note{Command: id.String(), State: trialRuns, Hash: hashOf([]byte("new")), Had: true, Minutes: 5}); err != nil {
				t.Fatal(err)
			}
		},
		"in place, not started": func(t *testing.T, trial Trial) {
			if err := trial.begin(id, []byte("new"), 5); err != nil {
				t.Fatal(err)
			}
		},
		"kept, not told": func(t *testing.T, trial Trial) {
			if err := errors.Join(trial.begin(id, []byte("new"), 5), trial.keep()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, trying(func(string) bool { return true }), func(w *world) {
				path := filepath.Join(w.dir, "agent.toml")
				if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				c := w.command(wire.CommandWriteConfig, map[string]string{"config": "new", "minutes": "5"})
				c.ID = id
				c.NotBefore = time.Now().Add(time.Minute).UnixMilli() // journaled, not begun
				w.send(c)
				synctest.Wait()
				w.stop()
				cut(t, Trial{Path: path})
				if _, err := (Trial{Path: path}).Start(); err != nil {
					t.Fatal(err)
				}
				w.start()
				for range 3 {
					time.Sleep(5 * time.Minute)
					if r := w.latest(id); wire.CommandEnded(r.State) {
						break
					}
					w.restarts()
				}
				w.ends(id, wire.CommandDone)
				if got := w.config(); got != "new" {
					t.Errorf("the configuration is %q", got)
				}
				w.clean()
			})
		})
	}
}

func TestNoConfigurationBefore(t *testing.T) {
	trial := Trial{Path: filepath.Join(t.TempDir(), "agent.toml")}
	if reverted, err := trial.Start(); reverted || err != nil {
		t.Fatal(reverted, err)
	}
	if err := trial.begin(wire.CommandID{1}, []byte("new"), 5); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(trial.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := buffer.WriteFile(trial.Path, []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(trial.Path); err != nil || info.Mode().Perm() != 0o644 && runtime.GOOS != "windows" {
		t.Errorf("who may read it has changed: %v, %v", info.Mode(), err)
	}
	if err := trial.revert(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trial.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a configuration remains: %v", err)
	}
}

// What could be read is told even if not all could.
func TestPoll(t *testing.T) {
	var beats, reads int
	var trouble error
	polled := func(o *Options) {
		o.Poll = func(context.Context) error { reads++; return trouble }
		o.Beat = func() { beats++ }
	}
	inWorld(t, nil, polled, func(w *world) {
		w.does(wire.CommandDone, wire.CommandPoll, nil)
		trouble = errors.New("no code")
		r, _ := w.does(wire.CommandFailed, wire.CommandPoll, nil)
		wants(t, r.Text, "Nem todo equipamento")
		if beats != 2 || reads != 2 {
			t.Errorf("%d beats, %d readings", beats, reads)
		}
	})
}

func TestRestart(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		id := w.send(w.command(wire.CommandRestart, nil))
		synctest.Wait()
		if r := w.latest(id); r.State != wire.CommandRunning {
			t.Fatalf("%+v", r)
		}
		w.again("")
		w.ends(id, wire.CommandDone)
		time.Sleep(time.Hour)
		if n := len(w.reports(id)); n != 3 {
			t.Errorf("%d reports", n)
		}
	})
}

const agentLog = "time=2026-11-22T04:59:00.000-03:00 level=INFO msg=um\n" +
	"time=2026-11-22T05:00:10.000-03:00 level=INFO msg=dois cpf=12345678909\ngoroutine 1\n" +
	"time=2026-11-22T05:02:00.000-03:00 level=INFO msg=tres code=12345678\n"

func TestAgentLogs(t *testing.T) {
	logs := func(o *Options) { o.OwnLog = func() ([]byte, error) { return []byte(agentLog), nil } }
	inWorld(t, nil, logs, func(w *world) {
		for name, try := range map[string]struct {
			args map[string]string
			want string
		}{
			"last two":      {map[string]string{"lines": "2"}, "goroutine 1\ntime=2026-11-22T05:02:00.000-03:00 level=INFO msg=tres code=********\n"},
			"one minute":    {map[string]string{"lines": "10", "from": "2026-11-22T05:00", "to": "2026-11-22T05:00"}, "time=2026-11-22T05:00:10.000-03:00 level=INFO msg=dois cpf=***********\ngoroutine 1\n"},
			"up to":         {map[string]string{"lines": "10", "to": "2026-11-22T04:59"}, "time=2026-11-22T04:59:00.000-03:00 level=INFO msg=um\n"},
			"nothing there": {map[string]string{"lines": "10", "from": "2026-11-23T05:00"}, ""},
		} {
			_, id := w.does(wire.CommandDone, wire.CommandAgentLogs, try.args)
			if got := string(w.file(id)); got != try.want {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
}

func TestSupportBundle(t *testing.T) {
	files := func(o *Options) {
		o.Bundle = func(context.Context) (map[string][]byte, error) {
			return map[string][]byte{"versao.txt": []byte("1.0"), "agente.log": append(bytes.Repeat([]byte("x"), 5<<20), agentLog...),
				"vendas.xml": []byte("<dest><CPF>12345678909</CPF></dest> 123.456.789-09 35150708723218000186599000040190000215133408")}, nil
		}
	}
	inWorld(t, nil, files, func(w *world) {
		_, id := w.does(wire.CommandDone, wire.CommandBundle, nil)
		raw := w.file(id)
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil || len(b) > bundleFile {
				t.Errorf("%s: %d bytes, %v", f.Name, len(b), err)
			}
			all.Write(b)
		}
		wants(t, all.String(), "1.0", "msg=tres", "35150708723218000186599000040190000215133408")
		for _, secret := range []string{"12345678909", "123.456.789-09", "code=12345678"} {
			if strings.Contains(all.String(), secret) {
				t.Errorf("the bundle tells %s", secret)
			}
		}
	})
}

// A result larger than one message comes in parts, and one that finds no room is
// left out, not the word of how it went.
func TestLargeResults(t *testing.T) {
	size := 3*wire.ResultPart + 5
	logs := func(o *Options) {
		o.OwnLog = func() ([]byte, error) { return bytes.Repeat([]byte("x\n"), (size+1)/2), nil }
	}
	inWorld(t, nil, logs, func(w *world) {
		lines := map[string]string{"lines": "20000"}
		_, id := w.does(wire.CommandDone, wire.CommandAgentLogs, lines)
		if got := w.file(id); len(got) != 40000 {
			t.Errorf("%d bytes", len(got))
		}
		b := bytes.Repeat([]byte("y"), size)
		if result := w.bring(&entry{command: wire.Command{ID: id}}, file{name: "x", data: b}); result.Parts != 4 || result.Cut {
			t.Errorf("%+v", result)
		}
		if result := w.bring(&entry{command: wire.Command{ID: id}}, file{name: "x", data: make([]byte, wire.MaxResult+1)}); !result.Cut || result.Size != wire.MaxResult {
			t.Errorf("%+v", result)
		}
		for size := wire.MaxResult; size > 1000; {
			if w.bring(&entry{command: wire.Command{ID: id}}, file{name: "x", data: make([]byte, size)}) == nil {
				size /= 2
			}
		}
		r, _ := w.does(wire.CommandDone, wire.CommandAgentLogs, map[string]string{"lines": "1000"})
		if r.Result != nil {
			t.Errorf("%+v", r.Result)
		}
		wants(t, r.Text, "não coube")
	})
}
