package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zelo/sat"
)

// stage is how far a device has come since the factory.
type stage int

const (
	inactive  stage = iota // from the factory
	requested              // certificate request handed out, certificate awaited
	active                 // has a certificate and an activation code
	linked                 // has the signature of the sales application: may sell
)

// state is all that a device keeps while it is off, beside its key and the
// documents it issued.
type state struct {
	Stage       stage     `json:"stage"`
	Code        string    `json:"code"`
	WrongCodes  int       `json:"wrong_codes"`
	LockedUntil time.Time `json:"locked_until"`
	SignAC      string    `json:"sign_ac"`
	RequestKey  []byte    `json:"request_key"` // of a certificate asked for, PEM

	Count     int       `json:"count"`  // documents issued
	Number    int       `json:"number"` // nCFe of the newest
	LastKey   string    `json:"last_key"`
	LastIssue time.Time `json:"last_issue"`
	Sessions  []int     `json:"sessions"`
	Replies   []stored  `json:"replies"`
	Fiscal    *stored   `json:"fiscal"`

	Online      bool      `json:"online"`
	LastContact time.Time `json:"last_contact"`
	LastSent    time.Time `json:"last_sent"`
	Pending     []pending `json:"pending"`
	Blocked     sat.State `json:"blocked"` // by order; the autonomous block is worked out
	Portal      sat.State `json:"portal"`  // what the SEFAZ's portal holds for this device

	MemoryUsed  int64         `json:"memory_used"` // bytes beside the pending documents
	Software    string        `json:"software"`
	Update      string        `json:"update"` // version the SEFAZ offers; "" for none
	ClockOffset time.Duration `json:"clock_offset"`
	Network     network       `json:"network"`
	Log         []string      `json:"log"`
}

// pending is a document not yet sent to the SEFAZ.
type pending struct {
	Key  string    `json:"key"`
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
}

const stateFile = "device.json"

// load reads the state a former process left; false when there is none.
func (st *state) load(dir string) (bool, error) {
	path := filepath.Join(dir, stateFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, st)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the simulated device's state %q (delete the folder for a new device): %w", path, err)
	}
	return true, nil
}

// save replaces the state's file. It outlives the process, which is all a
// simulator needs: only issued documents are synced to the disk.
func (st *state) save(dir string) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("cannot write the simulated device's state: %w", err)
	}
	return replaceFile(filepath.Join(dir, stateFile), raw)
}

func replaceFile(path string, raw []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("cannot write %q: %w", tmp, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("cannot replace %q: %w", path, err)
	}
	return nil
}
