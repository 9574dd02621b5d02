package remote

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// own carries out a command that concerns the agent alone.
func (w *work) own(ctx context.Context) ending {
	switch w.entry.spec.Name {
	case wire.CommandRestart:
		return w.restart(ctx)
	case wire.CommandWriteConfig:
		return w.writeConfig(ctx)
	}
	if err := w.step(w.entry.spec.Title + "."); err != nil {
		return ending{}
	}
	ctx, cancel := context.WithTimeout(ctx, w.entry.spec.Deadline)
	defer cancel()
	var f *file
	var err error
	switch w.entry.spec.Name {
	case wire.CommandPoll:
		err = w.o.Poll(ctx)
		w.o.Beat()
	case wire.CommandReadConfig:
		var text []byte
		text, err = w.o.Config()
		f = &file{name: "agente.toml", kind: textFile, data: text}
	case wire.CommandAgentLogs:
		f, err = w.agentLogs()
	case wire.CommandBundle:
		f, err = w.bundle(ctx)
	default:
		return refused(wire.RefusedCommand, "Este agente não sabe fazer isto.")
	}
	switch {
	case w.stopping():
		return ending{}
	case err != nil && w.entry.spec.Name == wire.CommandPoll:
		return failed("Nem todo equipamento pôde ser lido; o que foi lido foi enviado. O motivo está no status de cada um.")
	case err != nil:
		w.o.Log.Warn("command failed", "name", w.entry.spec.Name, "err", err)
		return failed("Não deu certo; o motivo está no log do agente.")
	}
	return ending{state: wire.CommandDone, text: "Pronto.", file: f}
}

// restart ends the agent. The start that follows says that it is back.
func (w *work) restart(ctx context.Context) ending {
	if w.resumed {
		return done("O agente reiniciou.")
	}
	if err := w.step("O agente reinicia."); err != nil {
		return ending{}
	}
	return w.leave(ctx)
}

// leaveWithin is how long the agent may take to stop.
const leaveWithin = time.Minute

// leave ends the agent and waits for it to stop.
func (w *work) leave(ctx context.Context) ending {
	w.o.Restart()
	if pause(ctx, leaveWithin) {
		return failed("O agente não conseguiu reiniciar.")
	}
	return ending{}
}

// heardEvery is how often a configuration on trial is looked at.
const heardEvery = time.Second

// writeConfig tries a new configuration, and takes it back when the agent does not
// reach the collector with it.
func (w *work) writeConfig(ctx context.Context) ending {
	t := w.o.Trial
	n, err := t.read()
	if err != nil {
		return w.broken(err)
	}
	if n == nil || n.Command != w.entry.command.ID.String() {
		return w.tryConfig(ctx)
	}
	switch {
	case n.State == trialReverted:
		return w.tried(ctx, failed("Com a configuração nova o agente não falou com o coletor, e voltou à antiga."))
	case n.State == trialKept:
		return w.tried(ctx, done("A configuração nova está em uso: com ela o agente falou com o coletor."))
	case !t.inPlace(n) && n.Starts > 0: // taken back, and cut off before that was noted
		return w.tried(ctx, failed("A configuração nova não está mais em uso: o agente voltou à antiga, ou alguém trocou o arquivo."))
	case !t.inPlace(n):
		return w.tryConfig(ctx) // it was cut off before the file was in place
	case n.Starts == 0: // its start could not be noted, and the next would not be either
		if err := t.revert(); err != nil {
			return w.broken(err)
		}
		return w.leave(ctx)
	}
	for !w.o.Heard() {
		if time.Since(w.began) > time.Duration(n.Minutes)*time.Minute {
			w.say("O prazo passou sem resposta do coletor: volta à configuração antiga.")
			if err := t.revert(); err != nil {
				return w.broken(err)
			}
			return w.leave(ctx)
		}
		if !pause(ctx, heardEvery) {
			return ending{}
		}
	}
	if err := t.keep(); err != nil {
		return w.broken(err)
	}
	return w.tried(ctx, done("A configuração nova está em uso: com ela o agente falou com o coletor."))
}

// tryConfig checks the new configuration and starts the agent with it.
func (w *work) tryConfig(ctx context.Context) ending {
	text, err := w.o.Check([]byte(w.args["config"]))
	if err != nil {
		return failed("A configuração não serve: " + string(mask([]byte(err.Error()), w.o.Secrets())) + ". Nada foi mudado.")
	}
	if err := w.step("O agente reinicia com a configuração nova."); err != nil {
		return ending{}
	}
	minutes, _ := strconv.Atoi(w.args["minutes"])
	if err := w.o.Trial.begin(w.entry.command.ID, text, minutes); err != nil {
		return w.broken(err)
	}
	end := w.leave(ctx)
	if end.state != "" {
		if err := w.o.Trial.revert(); err != nil {
			return w.broken(err)
		}
		return w.tried(ctx, end)
	}
	return end
}

// tried notes how a trial ended, and then takes its traces away.
func (w *work) tried(ctx context.Context, end ending) ending {
	if !w.end(ctx, w.entry, end) {
		return ending{}
	}
	if err := w.o.Trial.forget(); err != nil {
		w.o.Log.Warn("traces of a configuration's trial remain", "err", err)
	}
	return ending{}
}

func (w *work) broken(err error) ending {
	w.o.Log.Error("configuration not changed", "err", err)
	return failed("O arquivo de configuração não pôde ser trocado; o motivo está no log do agente.")
}

// agentLogs are the last lines of the agent's log, or those of a time.
func (w *work) agentLogs() (*file, error) {
	log, err := w.o.OwnLog()
	if err != nil {
		return nil, err
	}
	most, _ := strconv.Atoi(w.args["lines"])
	from, to := instant(w.args["from"]), instant(w.args["to"])
	return &file{name: "agente.log", kind: textFile, data: mask(window(log, from, to, most), w.o.Secrets())}, nil
}

// instant reads an argument of that kind; zero when there is none.
func instant(text string) time.Time {
	t, _ := time.ParseInLocation(wire.InstantLayout, text, sat.Brasilia())
	return t
}

// window is the last lines of a log, at most so many, between two times; zero times
// bound nothing. A line without a time belongs to the one before it.
func window(log []byte, from, to time.Time, most int) []byte {
	var kept [][]byte
	within := from.IsZero()
	for line := range bytes.Lines(log) {
		if text, ok := bytes.CutPrefix(line, []byte("time=")); ok {
			stamp, _, _ := bytes.Cut(text, []byte(" "))
			if at, err := time.Parse(time.RFC3339, string(stamp)); err == nil {
				within = !at.Before(from) && (to.IsZero() || at.Before(to.Add(time.Minute)))
			}
		}
		if within {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept[max(0, len(kept)-most):], nil)
}

// Bounds of a support bundle, in bytes before packing.
const (
	bundleFile = 2 << 20
	bundleAll  = 6 << 20 // packed, even what does not shrink stays below wire.MaxResult
)

// bundle packs what support asks for. Of a file that is too large the end is taken.
func (w *work) bundle(ctx context.Context) (*file, error) {
	files, err := w.o.Bundle(ctx)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	left := bundleAll
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := mask(files[name], w.o.Secrets())
		data = data[max(0, len(data)-min(bundleFile, left)):]
		left -= len(data)
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot pack %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("cannot pack the support bundle: %w", err)
	}
	return &file{name: "suporte-" + w.o.Clock().Format("20060102-1504") + ".zip", kind: zipFile, data: packed.Bytes()}, nil
}
