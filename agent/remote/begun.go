package remote

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// begunFile lies beside the keys and not in the buffer, of which support may put an
// older copy back.
const begunFile = "comandos.iniciados"

// begun knows the commands that are never repeated and that were begun here, and those
// that were cancelled and must not begin: a line each, of the id, the time of expiry in
// Unix milliseconds, and the word that tells a cancelled one. Remote.mu guards it.
type begun struct {
	path string
	ids  map[wire.CommandID]mark
}

// mark is what is noted of a command.
type mark struct {
	expires   int64
	cancelled bool
}

const cancelledWord = "cancelado"

func openBegun(folder string) (*begun, error) {
	b := &begun{path: filepath.Join(folder, begunFile), ids: map[wire.CommandID]mark{}}
	raw, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	for line := range bytes.Lines(raw) {
		var id []byte
		var m mark
		var word string
		n, _ := fmt.Sscanf(string(line), "%x %d %s", &id, &m.expires, &word)
		if m.cancelled = word == cancelledWord; n < 2 || len(id) != len(wire.CommandID{}) || n > 2 && !m.cancelled {
			err = errors.Join(err, fmt.Errorf("line %q is not understood", line))
			break
		}
		b.ids[wire.CommandID(id)] = m
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which commands were begun in %s; remove it when none waits for this till: %w", b.path, err)
	}
	return b, nil
}

// has tells whether a command was begun.
func (b *begun) has(id wire.CommandID) bool {
	m, ok := b.ids[id]
	return ok && !m.cancelled
}

// cancelled tells whether a command must not begin.
func (b *begun) cancelled(id wire.CommandID) bool { return b.ids[id].cancelled }

// add notes that a command begins. One that could not be noted must not be begun.
func (b *begun) add(c wire.Command, now time.Time) error {
	return b.note(c.ID, mark{expires: c.Expires}, now)
}

// cancel notes that a command must not begin.
func (b *begun) cancel(c wire.Command, now time.Time) error {
	return b.note(c.ID, mark{c.Expires, true}, now)
}

// note notes a command, and forgets those that cannot begin any more.
func (b *begun) note(id wire.CommandID, m mark, now time.Time) error {
	for old, m := range b.ids {
		if now.After(time.UnixMilli(m.expires).Add(remembers)) {
			delete(b.ids, old)
		}
	}
	b.ids[id] = m
	err := b.save()
	if err != nil {
		delete(b.ids, id)
	}
	return err
}

// remove notes that a command was not begun after all.
func (b *begun) remove(id wire.CommandID) error {
	if !b.has(id) {
		return nil
	}
	delete(b.ids, id)
	return b.save()
}

func (b *begun) save() error {
	var text bytes.Buffer
	for id, m := range b.ids {
		word := ""
		if m.cancelled {
			word = " " + cancelledWord
		}
		fmt.Fprintf(&text, "%s %d%s\n", hex.EncodeToString(id[:]), m.expires, word)
	}
	if err := buffer.WriteFile(b.path, text.Bytes()); err != nil {
		return fmt.Errorf("cannot note which commands were begun: %w", err)
	}
	return nil
}
