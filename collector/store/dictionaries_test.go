package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"
)

func TestDictionaries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zelo.db")
	s := openAt(t, path)
	data := bytes.Repeat([]byte("dictionary "), 100)
	name := sha256.Sum256(data)
	for range 2 { // twice does no harm
		update(t, s, func(w *Writer) error { return w.AddDictionary("agent001", s.Pack(data), t0) })
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	for what, c := range map[string]struct {
		agent string
		name  [32]byte
		held  bool
	}{
		"its own":         {"agent001", name, true},
		"another agent's": {"agent002", name, false},
		"another name":    {"agent001", sha256.Sum256(nil), false},
	} {
		view(t, s, func(r *Reader) error {
			got, err := r.Dictionary(c.agent, c.name)
			if c.held && (err != nil || !bytes.Equal(got, data)) || !c.held && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
			return nil
		})
	}
}
