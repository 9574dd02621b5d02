package router

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"zelo/buffer"
)

// codes knows the activation code of each device: learnt from a till's own
// successful call or given by a person. A code that a device refused is dropped
// and never tried again: devices lock themselves (DESIGN.md, decision 7).
//
// On disk the codes are sealed under a random key in a file beside them, and on
// Windows by the system too (codes_windows.go); both files are readable by the
// service's user only.
type codes struct {
	path    string // sealed codes; the key is in path + ".key"
	mu      sync.Mutex
	known   map[string]string // serial -> code
	unsaved bool              // the file says something else
}

// openCodes reads the codes kept at path. Codes that cannot be read are
// forgotten with an error: a person gives them again.
func openCodes(path string) (*codes, error) {
	c := &codes{path: path, known: map[string]string{}}
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the activation codes: %w", err)
	}
	key, err := c.key()
	if err != nil {
		return c, err
	}
	plain, err := unseal(key, sealed)
	if err != nil {
		return c, fmt.Errorf("cannot unseal the activation codes in %s: %w; give them again", path, err)
	}
	return c, json.Unmarshal(plain, &c.known)
}

func (c *codes) get(serial string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[serial]
}

// has reports whether the code is that of any device.
func (c *codes) has(code string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.known {
		if code != "" && known == code {
			return true
		}
	}
	return false
}

// put remembers a code that the device accepted.
func (c *codes) put(serial, code string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if code == "" || c.known[serial] == code {
		return nil
	}
	c.known[serial] = code
	return c.save()
}

// refused forgets a code that the device called wrong.
func (c *codes) refused(serial, code string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if code == "" || c.known[serial] != code {
		return nil
	}
	delete(c.known, serial)
	return c.save()
}

// retry saves what could not be saved before; an error was told then.
func (c *codes) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved {
		c.save()
	}
}

// save writes what is known; what fails is done again by retry.
func (c *codes) save() error {
	err := c.write()
	c.unsaved = err != nil
	return err
}

func (c *codes) write() error {
	key, err := c.key()
	if err != nil {
		return err
	}
	plain, err := json.Marshal(c.known)
	if err != nil {
		return err
	}
	sealed, err := seal(key, plain)
	if err == nil {
		err = buffer.WriteFile(c.path, sealed)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the activation code: %w", err)
	}
	return nil
}

// key reads the key, or makes one the first time.
func (c *codes) key() ([]byte, error) {
	key, err := os.ReadFile(c.path + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		rand.Read(key)
		err = buffer.WriteFile(c.path+".key", key)
	}
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("%s.key has %d bytes instead of 32; remove it and give the codes again", c.path, len(key))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the key of the activation codes: %w", err)
	}
	return key, nil
}
