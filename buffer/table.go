package buffer

import (
	"bytes"
	"fmt"
)

// Get returns the value of a key in a table, nil when it is not there.
func (b *Buffer) Get(table string, key []byte) ([]byte, error) {
	var v value
	err := b.view(func(t *txn) (err error) {
		v, err = load(t.b, tableKey(table, key))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read table %q of buffer %q: %w", table, b.path, err)
	}
	return v.data, nil
}

// Scan calls fn for every entry of a table whose key begins with prefix, in the
// order of the keys, until fn returns an error, which it passes on. It is no
// snapshot: fn may use the buffer. The slices are fn's to keep.
func (b *Buffer) Scan(table string, prefix []byte, fn func(k, v []byte) error) error {
	within := tablePrefix(table, prefix)
	for from := within; from != nil; {
		var found []entry
		err := b.view(func(t *txn) (err error) {
			found, from, err = t.entries(from, within)
			return err
		})
		if err != nil {
			return fmt.Errorf("cannot read table %q of buffer %q: %w", table, b.path, err)
		}
		for _, e := range found {
			if err := fn(e.key, e.value); err != nil {
				return err
			}
		}
	}
	return nil
}

type entry struct{ key, value []byte }

// scanAtOnce is how many entries Scan reads before it lets others have a turn.
const scanAtOnce = 64

// entries reads some entries within a prefix and where to go on, nil at the end.
func (t *txn) entries(from, within []byte) (found []entry, next []byte, err error) {
	c := t.b.Cursor()
	for k, _ := c.Seek(from); bytes.HasPrefix(k, within); k, _ = c.Seek(behind(k)) {
		if len(found) == scanAtOnce {
			return found, bytes.Clone(k), nil
		}
		p, ok := parseKey(k)
		if !ok {
			return nil, nil, fmt.Errorf("%w: key %x", ErrDamaged, k)
		}
		v, err := load(t.b, p.owner)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, entry{bytes.Clone(p.key), v.data})
	}
	return found, nil, nil
}

// behind is a key after all chunks of the entry that k is a chunk of.
func behind(k []byte) []byte { return append(bytes.Clone(k[:len(k)-2]), 0xFF, 0xFF, 0xFF) }

func (t *txn) put(key, data []byte) error {
	if err := remove(t.b, key); err != nil {
		return err
	}
	return store(t.b, key, t.now.UnixNano(), data)
}
