package account

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"zelo/collector/store"
)

func TestKeyFile(t *testing.T) {
	folder := t.TempDir()
	first, err := OpenKey(folder)
	again, err2 := OpenKey(folder)
	if err := errors.Join(err, err2); err != nil || first != again || first == (Key{}) {
		t.Fatalf("%v, %x then %x", err, first, again)
	}
	info, err := os.Stat(filepath.Join(folder, KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(folder, KeyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(folder); err == nil {
		t.Error("a damaged key opens")
	}
}

// TestKeyFileAtOnce: of several that make the key at a time, all get the same.
func TestKeyFileAtOnce(t *testing.T) {
	for range 20 {
		folder := t.TempDir()
		var got [8]Key
		var errs [8]error
		var openers sync.WaitGroup
		for i := range got {
			openers.Go(func() { got[i], errs[i] = OpenKey(folder) })
		}
		openers.Wait()
		for i, k := range got {
			if errs[i] != nil || k != got[0] || k == (Key{}) {
				t.Fatalf("%x and %x, %v", got[0], k, errs[i])
			}
		}
	}
}

func TestSeal(t *testing.T) {
	k := Key{1}
	text, err := k.seal(7, "SECRET")
	if err != nil || strings.Contains(text, "SECRET") {
		t.Fatalf("%q, %v", text, err)
	}
	flipped := []byte(text)
	flipped[len(flipped)-3] ^= 1
	for name, c := range map[string]struct {
		key  Key
		user int64
		text string
		want string
		err  error
	}{"its own": {k, 7, text, "SECRET", nil}, "another person's row": {k, 8, text, "", ErrKey}, "another key": {Key{2}, 7, text, "", ErrKey},
		"damaged": {k, 7, string(flipped), "", ErrKey}, "no base 64": {k, 7, sealed + "?", "", ErrKey}, "none": {k, 7, "", "", nil}, "from before": {k, 7, "PLAIN", "PLAIN", nil}} {
		if got, err := c.key.open(c.user, c.text); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestSealAll: what was stored in plain is sealed at the next start and still good.
func TestSealAll(t *testing.T) {
	b := setup(t)
	b.link("ana@example.com")
	secret := NewTOTP()
	stored := func() (u store.User) {
		t.Helper()
		if err := b.store.View(t.Context(), store.All(), func(r *store.Reader) (err error) { u, err = r.UserByEmail("ana@example.com"); return err }); err != nil {
			t.Fatal(err)
		}
		return u
	}
	err := b.store.Update(t.Context(), func(w *store.Writer) error {
		return w.SetPassword(stored().ID, hashPassword("senha bem longa"), secret)
	})
	if err := errors.Join(err, b.SealAll(t.Context()), b.SealAll(t.Context())); err != nil {
		t.Fatal(err)
	}
	if text := stored().TOTP; strings.Contains(text, secret) || !strings.HasPrefix(text, sealed) {
		t.Errorf("stored as %q", text)
	}
	if _, err := b.SignInWith(t.Context(), "ana@example.com", "senha bem longa", CodeAt(secret, b.now), "192.0.2.1:1"); err != nil {
		t.Error(err)
	}
	other := New(b.store, Key{9}, b.Accounts.now)
	if err := other.SealAll(t.Context()); !errors.Is(err, ErrKey) {
		t.Errorf("with another key: %v", err)
	}
}
