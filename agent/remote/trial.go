package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"zelo/agent/wire"
	"zelo/buffer"
)

// Trial tries a new configuration. The old one lies beside it until the new one has
// proved itself, and so does a note on how far the trial came: whatever ends the
// agent in between, its next start finds either the old configuration, or the new one
// with the note. An agent that started once with a new configuration and ended before
// it could speak to the collector starts with the old one again.
type Trial struct {
	Path string // of the configuration file
}

// How a trial stands.
const (
	trialRuns     = "em ensaio"
	trialKept     = "mantida"
	trialReverted = "desfeita"
)

// note is the file beside the configuration.
type note struct {
	Command string `json:"comando"`
	State   string `json:"estado"`
	Hash    string `json:"sha256"`  // of the new configuration
	Minutes int    `json:"minutos"` // after a start, until it is given up
	Starts  int    `json:"inicios"` // of the agent with it
	Had     bool   `json:"havia"`   // there was a file before
}

func (t Trial) notePath() string { return t.Path + ".ensaio" }
func (t Trial) oldPath() string  { return t.Path + ".anterior" }

// read reads the note; nil when there is no trial.
func (t Trial) read() (*note, error) {
	raw, err := os.ReadFile(t.notePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var n note
	if err == nil {
		err = json.Unmarshal(raw, &n)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the note of a configuration's trial %s: %w", t.notePath(), err)
	}
	return &n, nil
}

func (t Trial) write(n note) error {
	raw, err := json.Marshal(n)
	if err == nil {
		err = buffer.WriteFile(t.notePath(), raw)
	}
	if err != nil {
		return fmt.Errorf("cannot note the trial of a configuration: %w", err)
	}
	return nil
}

// begin puts a new configuration in place of the old one. The agent must be started
// again for it to count.
func (t Trial) begin(id wire.CommandID, text []byte, minutes int) error {
	old, err := os.ReadFile(t.Path)
	had := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read the old configuration: %w", err)
	}
	if err := buffer.WriteFile(t.oldPath(), old); err != nil {
		return fmt.Errorf("cannot keep the old configuration: %w", err)
	}
	if err := t.write(note{Command: id.String(), State: trialRuns, Hash: hashOf(text), Minutes: minutes, Had: had}); err != nil {
		return err
	}
	if err := buffer.WriteFile(t.Path, text); err != nil {
		return fmt.Errorf("cannot write the new configuration: %w", err)
	}
	return nil
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// inPlace reports whether the configuration being tried is the one in the file.
func (t Trial) inPlace(n *note) bool {
	text, err := os.ReadFile(t.Path)
	return err == nil && hashOf(text) == n.Hash
}

// Start is called before the configuration is read, at each start of the agent: it
// counts the start, and takes back a configuration with which the agent has started
// before in vain. It reports whether it did.
func (t Trial) Start() (reverted bool, err error) {
	n, err := t.read()
	if err != nil || n == nil || n.State != trialRuns || !t.inPlace(n) {
		return false, err
	}
	if n.Starts > 0 {
		return true, t.revert()
	}
	n.Starts++
	return false, t.write(*n)
}

// revert puts the old configuration back.
func (t Trial) revert() error {
	n, err := t.read()
	if err != nil || n == nil {
		return err
	}
	if n.Had {
		old, err := os.ReadFile(t.oldPath())
		if err != nil {
			return fmt.Errorf("cannot read the old configuration: %w", err)
		}
		if err := buffer.WriteFile(t.Path, old); err != nil {
			return fmt.Errorf("cannot put the old configuration back: %w", err)
		}
	} else if err := os.Remove(t.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot take the new configuration away: %w", err)
	}
	n.State = trialReverted
	return t.write(*n)
}

// keep ends a trial that succeeded.
func (t Trial) keep() error {
	n, err := t.read()
	if err != nil || n == nil {
		return err
	}
	n.State = trialKept
	return t.write(*n)
}

// forget takes away what lies beside the configuration, when the collector has been
// told how the trial ended.
func (t Trial) forget() error {
	err := errors.Join(os.Remove(t.oldPath()), os.Remove(t.notePath()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
