package buffer

import (
	"fmt"

	bbolt "go.etcd.io/bbolt"
)

// compactFrom is how many free pages make Compact worth while: bbolt writes the
// list of them, 8 bytes each, at every commit.
const compactFrom = 8192

// Compact writes the file anew without its free pages and reports whether it
// did: it does nothing while they are few. It gives way to a commit with ErrBusy,
// so its owner calls it when the till is idle. A crash leaves the old file or the
// new one. Epoch, records and sequences stay.
func (b *Buffer) Compact() (bool, error) {
	b.lead <- struct{}{}
	defer func() { <-b.lead }()
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.failure()
	if err == nil {
		if s := b.db.Stats(); s.FreePageN+s.PendingPageN < compactFrom {
			return false, nil
		}
		err = b.rebuild()
	}
	if err != nil {
		return false, fmt.Errorf("cannot compact buffer %q: %w", b.path, err)
	}
	return true, nil
}

// Rest gives back the memory that reading the file has taken, which is the part of it
// that is mapped. Its owner calls it when the till is idle.
func (b *Buffer) Rest() error {
	return b.view(func(t *txn) error { return giveBack(b.db.Info().Data, t.b.Tx().Size()) })
}

// rebuild puts a copy in the file's place.
func (b *Buffer) rebuild() error {
	fresh := b.path + ".new"
	if err := buildFile(fresh, b.bound, b.epoch, b.copyTo); err != nil {
		return err
	}
	if err := b.detach(); err != nil {
		return b.damaged(err)
	}
	err := replace(fresh, b.path)
	if again := b.attach(); again != nil {
		return b.damaged(again)
	}
	return err
}

// copyTo puts all elements into a new file, unless somebody wants to commit.
func (b *Buffer) copyTo(w *builder) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		from := tx.Bucket([]byte(bucketName))
		w.sequence = from.Sequence()
		c := from.Cursor()
		for k, v := c.First(); k != nil && w.err == nil; k, v = c.Next() {
			if b.waited() {
				return ErrBusy
			}
			if string(k) != headKey {
				w.put(k, v)
			}
		}
		return w.err
	})
}

// waited reports whether somebody waits to write.
func (b *Buffer) waited() bool {
	b.queueMu.Lock()
	defer b.queueMu.Unlock()
	return len(b.queue) > 0
}
