package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// table of the buffer that is the journal of commands: entries under their ids, and
// under floorKey the highest sequence that was forgotten.
const (
	table    = "remote"
	floorKey = "floor"
	aside    = "remote-aside" // table of entries that could not be read, under their ids
)

// remembers is for how long a command is known after it can no longer begin.
const remembers = 24 * time.Hour

// entry is a command in the journal.
type entry struct {
	// Signed is the command's bytes as they came: secrets in it stay sealed.
	Signed []byte       `cbor:"1,keyasint"`
	State  string       `cbor:"2,keyasint"`
	Number uint32       `cbor:"3,keyasint"`           // of the latest report
	Steps  int          `cbor:"4,keyasint,omitempty"` // begun
	At     int64        `cbor:"5,keyasint"`           // of the latest report about a state
	Text   string       `cbor:"6,keyasint,omitempty"`
	Reason string       `cbor:"7,keyasint,omitempty"`
	Reply  string       `cbor:"8,keyasint,omitempty"`
	Result *wire.Result `cbor:"9,keyasint,omitempty"`

	command wire.Command
	spec    wire.CommandSpec
}

func (e *entry) doing() Doing {
	return Doing{Title: e.spec.Title, By: e.command.By, Serial: e.command.Serial, State: e.State, Text: e.Text, At: time.UnixMilli(e.At)}
}

// load reads the journal. What cannot be read is set aside and told: nobody knows any
// more whether that command was done, so it is never begun.
func (r *Remote) load() error {
	broken := map[wire.CommandID][]byte{}
	err := r.o.Buffer.Scan(table, nil, func(k, v []byte) error {
		if string(k) == floorKey && len(v) == 8 {
			r.floor = int64(binary.BigEndian.Uint64(v))
			return nil
		}
		e := &entry{}
		err := r.o.Codec.Decode(v, e)
		if err == nil {
			err = r.o.Codec.Decode(e.Signed, &e.command)
		}
		if err != nil && len(k) == len(wire.CommandID{}) {
			broken[wire.CommandID(k)] = bytes.Clone(v)
			return nil
		}
		if err != nil {
			return err
		}
		e.spec, _ = wire.CommandByName(e.command.Name)
		r.entries[e.command.ID] = e
		return nil
	})
	if err == nil {
		err = r.o.Buffer.Scan(aside, nil, func(k, _ []byte) error {
			r.lost[wire.CommandID(k)] = true
			return nil
		})
	}
	for id, v := range broken {
		err = errors.Join(err, r.setAside(id, v))
	}
	if err != nil {
		return fmt.Errorf("cannot read the journal of commands: %w", err)
	}
	return nil
}

func (r *Remote) setAside(id wire.CommandID, v []byte) error {
	r.o.Log.Error("a command's entry in the journal cannot be read and is set aside", "id", id, "table", aside)
	b := &buffer.Batch{}
	b.Delete(table, id[:])
	b.Put(aside, id[:], v)
	err := r.add(b, wire.Command{ID: id}, wire.Report{State: wire.CommandRefused, At: r.o.Clock().UnixMilli(), Reason: wire.RefusedJournal, Text: journalLost})
	if err == nil {
		_, err = r.o.Buffer.Commit(b)
	}
	r.lost[id] = true
	return err
}

// journalLost is why nobody knows whether a command was done here.
const journalLost = "Este caixa não sabe mais se já fez isto, porque o seu diário recomeçou. Peça de novo."

// errCancelled keeps a command from beginning.
var errCancelled = errors.New("the command was cancelled")

// tell writes a report about a command's state, and the state, in one commit. The
// entry changes only if it is durable.
func (r *Remote) tell(e *entry, report wire.Report) error {
	next := *e
	next.Number++
	next.State, next.Text, next.At = report.State, report.Text, r.o.Clock().UnixMilli()
	next.Reason, next.Reply, next.Result = report.Reason, report.Reply, report.Result
	report.Number, report.At = next.Number, next.At
	b := &buffer.Batch{}
	err := r.put(b, &next)
	if err == nil {
		err = r.add(b, next.command, report)
	}
	if err == nil {
		_, err = r.o.Buffer.Commit(b)
	}
	if err != nil {
		r.o.Log.Error("command not noted", "id", e.command.ID, "state", report.State, "err", err)
		return fmt.Errorf("cannot note command %s: %w", e.command.ID, err)
	}
	*e = next
	return nil
}

// mostUnheard is how many records may wait for the collector before it is told nothing
// again: whoever may send here makes one with each message, and they are never evicted.
const mostUnheard = 256

// again sends the latest report once more.
func (r *Remote) again(e *entry) {
	for _, s := range r.o.Buffer.Stats().Streams {
		if s.Name == wire.StreamCommands && s.Waiting >= mostUnheard {
			r.o.Log.Warn("command's state not told again, too much waits for the collector", "id", e.command.ID)
			return
		}
	}
	b := &buffer.Batch{}
	err := r.add(b, e.command, wire.Report{Number: e.Number, State: e.State, At: e.At, Text: e.Text, Reason: e.Reason, Reply: e.Reply, Result: e.Result})
	if err == nil {
		_, err = r.o.Buffer.Commit(b)
	}
	if err != nil {
		r.o.Log.Error("command's state not told again", "id", e.command.ID, "err", err)
	}
}

func (r *Remote) put(b *buffer.Batch, e *entry) error {
	v, err := r.o.Codec.Encode(e)
	if err != nil {
		return err
	}
	b.Put(table, e.command.ID[:], v)
	return nil
}

// add appends a report to the outgoing stream, if the command is for who this agent
// is now.
func (r *Remote) add(b *buffer.Batch, c wire.Command, report wire.Report) error {
	if c.Agent != "" && c.Agent != r.o.Agent() {
		return nil // nobody who hears this agent gave that command
	}
	report.Version, report.Command = wire.Version, c.ID
	body, err := r.o.Codec.Encode(report)
	if err != nil {
		return err
	}
	v, err := r.o.Codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindCommand, Serial: c.Serial,
		At: report.At, Code: report.State, Body: body})
	if err != nil {
		return err
	}
	b.Append(wire.StreamCommands, v)
	return nil
}

// forget drops commands that ended and can never begin again: nothing that expired
// before them begins, even if the clock is set back.
func (r *Remote) forget() {
	for id, e := range r.entries {
		if !wire.CommandEnded(e.State) || r.o.Now().Before(time.UnixMilli(e.command.Expires).Add(remembers)) {
			continue
		}
		floor := max(r.floor, e.command.Expires)
		b := &buffer.Batch{}
		b.Delete(table, id[:])
		b.Put(table, []byte(floorKey), binary.BigEndian.AppendUint64(nil, uint64(floor)))
		if _, err := r.o.Buffer.Commit(b); err != nil {
			r.o.Log.Error("old command not forgotten", "id", id, "err", err)
			return
		}
		r.floor = floor
		delete(r.entries, id)
	}
}

// step notes that a step begins, before it does. After it failed the step must not
// be done: it could not be noted, or the command was cancelled meanwhile.
func (w *work) step(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun.cancelled(w.entry.command.ID) {
		return errCancelled
	}
	if w.entry.spec.Once {
		if err := w.begun.add(w.entry.command, w.o.Now()); err != nil {
			w.o.Log.Error("command not begun", "id", w.entry.command.ID, "err", err)
			return err
		}
	}
	w.entry.Steps++
	err := w.tell(w.entry, wire.Report{State: wire.CommandRunning, Text: text, Lines: w.lines(text)})
	if err != nil {
		w.entry.Steps--
	}
	return err
}

// say adds lines to the transcript, at once.
func (w *work) say(texts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell(w.entry, wire.Report{State: wire.CommandRunning, Text: w.entry.Text, Lines: w.lines(texts...)})
}

func (r *Remote) lines(texts ...string) (lines []wire.Line) {
	at := r.o.Clock().UnixMilli()
	for _, text := range texts {
		lines = append(lines, wire.Line{At: at, Text: text})
	}
	return lines
}

// unbegin takes a step back that certainly did nothing, so that it is done later.
func (w *work) unbegin(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entry.Steps--
	if err := w.begun.remove(w.entry.command.ID); err != nil {
		w.o.Log.Error("command that was not begun counts as begun", "id", w.entry.command.ID, "err", err)
	}
	w.tell(w.entry, wire.Report{State: wire.CommandWaiting, Text: text})
}

// mayBeDone reports a command that is never repeated and that was begun before.
func (r *Remote) mayBeDone(e *entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.spec.Once && (e.Steps > 0 || r.begun.has(e.command.ID))
}

// end notes how a command ended, with its result; while that fails, again and again,
// because a command without an end would be done once more. False when ctx ended first.
func (r *Remote) end(ctx context.Context, e *entry, end ending) bool {
	report := wire.Report{State: end.state, Text: end.text, Reason: end.reason, Reply: end.reply}
	if end.file != nil {
		report.Result = r.bring(e, *end.file)
		if report.Result == nil {
			report.Text += " O resultado não coube no disco deste caixa."
		}
	}
	noted := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.tell(e, report) == nil
	}
	for !noted() {
		if !pause(ctx, lookEvery) {
			return false
		}
	}
	return true
}
