package remote

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"zelo/buffer"
)

// Files of the keys, in the folder of the agent's identity.
const (
	sealFile = "comandos.key" // X25519, 32 bytes: opens what was sealed for this agent
	pinFile  = "comandos.pub" // Ed25519, 32 bytes: the collector's, which signs commands
)

// Keys are the agent's key, for which secret arguments are sealed, and the
// collector's, which signs commands. They are safe for concurrent use.
type Keys struct {
	folder string
	seal   *ecdh.PrivateKey

	mu  sync.Mutex
	pin ed25519.PublicKey // nil until it is known
}

// OpenKeys reads the keys in a private folder, and makes the agent's own the first
// time.
func OpenKeys(folder string) (*Keys, error) {
	k := &Keys{folder: folder}
	path := filepath.Join(folder, sealFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw = make([]byte, 32)
		rand.Read(raw)
		err = buffer.WriteFile(path, raw)
	}
	if err == nil {
		k.seal, err = ecdh.X25519().NewPrivateKey(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the key of remote commands %s; remove it and it is made anew: %w", path, err)
	}
	pin, err := os.ReadFile(filepath.Join(folder, pinFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("cannot read the collector's command key: %w", err)
	case len(pin) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("the collector's command key %s has %d bytes instead of %d; remove it and it is learnt anew",
			filepath.Join(folder, pinFile), len(pin), ed25519.PublicKeySize)
	default:
		k.pin = pin
	}
	return k, nil
}

// Public is the key for which secret arguments are sealed: Beat.SealKey.
func (k *Keys) Public() []byte { return k.seal.PublicKey().Bytes() }

// pinned is the collector's key; nil when none is known.
func (k *Keys) pinned() ed25519.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pin
}

// Pin takes the collector's key, for good. It fails when another one is pinned.
func (k *Keys) Pin(key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case len(key) != ed25519.PublicKeySize:
		return fmt.Errorf("a command key of %d bytes instead of %d", len(key), ed25519.PublicKeySize)
	case k.pin.Equal(ed25519.PublicKey(key)):
		return nil
	case k.pin != nil:
		return errors.New("the collector signs commands with another key than the one pinned; enrol this till again if that is meant")
	}
	if err := PinNew(k.folder, key); err != nil {
		return err
	}
	k.pin = append(ed25519.PublicKey{}, key...)
	return nil
}

// PinNew pins the key of a collector to which the agent is being enrolled, in place
// of any other. Without a key the first one heard will be pinned.
func PinNew(folder string, key []byte) error {
	path := filepath.Join(folder, pinFile)
	var err error
	if len(key) == 0 {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = buffer.WriteFile(path, key)
	}
	if err != nil {
		return fmt.Errorf("cannot pin the collector's command key: %w", err)
	}
	return nil
}
