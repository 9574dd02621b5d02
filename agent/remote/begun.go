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
)

// begunFile lies beside the keys and not in the buffer, of which support may put an
// older copy back.
const begunFile = "comandos.iniciados"

// begun knows the commands that are never repeated and that were begun here: a line
// each, of the id and the time of expiry in Unix milliseconds. Remote.mu guards it,
// save for reading by who carries a command out, who alone changes it.
type begun struct {
	path string
	ids  map[wire.CommandID]int64
}

func openBegun(folder string) (*begun, error) {
	b := &begun{path: filepath.Join(folder, begunFile), ids: map[wire.CommandID]int64{}}
	raw, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	for line := range bytes.Lines(raw) {
		var id []byte
		var expires int64
		if _, err2 := fmt.Sscanf(string(line), "%x %d", &id, &expires); err2 != nil || len(id) != len(wire.CommandID{}) {
			err = errors.Join(err, fmt.Errorf("line %q is not understood", line))
			break
		}
		b.ids[wire.CommandID(id)] = expires
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which commands were begun in %s; remove it when none waits for this till: %w", b.path, err)
	}
	return b, nil
}

func (b *begun) has(id wire.CommandID) bool {
	_, ok := b.ids[id]
	return ok
}

// add notes that a command begins, and forgets those that cannot begin any more. A
// command that could not be noted must not be begun.
func (b *begun) add(c wire.Command, now time.Time) error {
	for id, expires := range b.ids {
		if now.After(time.UnixMilli(expires).Add(remembers)) {
			delete(b.ids, id)
		}
	}
	b.ids[c.ID] = c.Expires
	err := b.save()
	if err != nil {
		delete(b.ids, c.ID)
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
	for id, expires := range b.ids {
		fmt.Fprintf(&text, "%s %d\n", hex.EncodeToString(id[:]), expires)
	}
	if err := writeFile(b.path, text.Bytes()); err != nil {
		return fmt.Errorf("cannot note which commands were begun: %w", err)
	}
	return nil
}
