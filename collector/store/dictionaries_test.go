package store

import (
	"bytes"
	"errors"
	"testing"
)

func TestDictionaries(t *testing.T) { eachAddress(t, testDictionaries) }

func testDictionaries(t *testing.T, path string) {
	s := openAt(t, path)
	data, other := bytes.Repeat([]byte("dictionary "), 100), bytes.Repeat([]byte("another "), 100)
	add := func(data []byte) (held bool) {
		update(t, s, func(w *Writer) (err error) {
			held, err = w.AddDictionary("agent001", 7, s.Pack(data), t0)
			return err
		})
		return held
	}
	first, again := add(data), add(data)
	if !first || !again || add(other) {
		t.Error("the first with a number is held, also when it comes again, and no other")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	for what, c := range map[string]struct {
		agent  string
		number uint32
		held   bool
	}{
		"its own":         {"agent001", 7, true},
		"another agent's": {"agent002", 7, false},
		"another number":  {"agent001", 8, false},
	} {
		view(t, s, func(r *Reader) error {
			got, err := r.Dictionary(c.agent, c.number)
			if c.held && (err != nil || !bytes.Equal(got, data)) || !c.held && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
			return nil
		})
	}
}
