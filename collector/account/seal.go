package account

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"zelo/collector/store"
)

// KeyFile is the file in a collector's folder with the key that seals what the store
// keeps of people's one-time codes: who has the database alone cannot make codes. It
// belongs into the backup. Several collectors on one database need the same key: copy
// the file from the folder of the first to those of the others before they start.
const KeyFile = "contas.chave"

// ErrKey: a sealed secret was sealed with another key, or is damaged.
var ErrKey = errors.New("os códigos de acesso foram selados com outra chave")

// Key seals secrets of people at rest.
type Key [32]byte

// OpenKey reads the key in a folder, and makes it when there is none yet.
func OpenKey(folder string) (k Key, err error) {
	path := filepath.Join(folder, KeyFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return k, fmt.Errorf("cannot make the key %s: %w", path, err)
		}
		raw, err = os.ReadFile(path)
	}
	if err == nil && len(raw) != len(k) {
		err = fmt.Errorf("it has %d bytes, not %d: restore it from the backup", len(raw), len(k))
	}
	if err != nil {
		return k, fmt.Errorf("cannot read the key %s: %w", path, err)
	}
	return Key(raw), nil
}

// makeKey makes a key's file, which appears whole or not at all, and is on disk before
// anything is sealed with it. One that another process made meanwhile stays.
func makeKey(path string) error {
	var k Key
	rand.Read(k[:])
	f, err := os.CreateTemp(filepath.Dir(path), KeyFile+".") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(k[:])
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// sealed begins every sealed text; what follows is AES-256-GCM with its nonce in front
// and the person's number as additional data, in base 64.
const sealed = "v1:"

func (k Key) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal makes a person's secret unreadable without the key.
func (k Key) seal(user int64, secret string) (string, error) {
	c, err := k.cipher()
	if err != nil {
		return "", err
	}
	return sealed + base64.RawStdEncoding.EncodeToString(c.Seal(nil, nil, []byte(secret), owner(user))), nil
}

// open is the secret that seal was given for the same person; "" stays "". It fails
// with ErrKey.
func (k Key) open(user int64, text string) (string, error) {
	packed, is := strings.CutPrefix(text, sealed)
	if !is {
		return text, nil
	}
	c, err := k.cipher()
	if err != nil {
		return "", err
	}
	raw, err := base64.RawStdEncoding.DecodeString(packed)
	if err == nil {
		raw, err = c.Open(nil, nil, raw, owner(user))
	}
	if err != nil {
		return "", ErrKey
	}
	return string(raw), nil
}

// owner binds a sealed secret to its person: it is nobody else's in another row.
func owner(user int64) []byte { return []byte("totp " + strconv.FormatInt(user, 10)) }

// SealAll seals the secrets that are not yet, and fails with ErrKey when others were
// sealed with another key: their people cannot sign in with codes, only with links.
func (a *Accounts) SealAll(ctx context.Context) error {
	return a.store.Update(ctx, func(w *store.Writer) error {
		users, err := w.Users()
		if err != nil {
			return err
		}
		for _, u := range users {
			if _, err := a.key.open(u.ID, u.TOTP); err != nil {
				return fmt.Errorf("%w: copie %s da pasta do primeiro coletor, ou do backup, para a deste; até lá as pessoas entram só por link", err, KeyFile)
			}
			if u.TOTP == "" || strings.HasPrefix(u.TOTP, sealed) {
				continue
			}
			text, err := a.key.seal(u.ID, u.TOTP)
			if err != nil {
				return err
			}
			if err := w.SealCodes(u.ID, text); err != nil {
				return err
			}
		}
		return nil
	})
}
