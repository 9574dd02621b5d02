package buffer

import "fmt"

// room counts the pages that are free after the free list is written, and those
// that evicting everything could free at most.
func (b *Buffer) room() (free, gain int, err error) {
	err = b.read(func(t *txn) error {
		free = b.free(t.b.Tx())
		free -= (free+sparePages)*8/pageSize + 2
		return nil
	})
	for name, c := range b.streams {
		if n := c.waiting + c.quarantined; n > 0 && b.evictable(name) {
			gain += pagesFor(int(c.waitingBytes+c.quarantinedBytes) + n*200)
		}
		if c.copies > 0 {
			gain += pagesFor(int(c.copiesBytes) + c.copies*200)
		}
	}
	return free, gain, err
}

const (
	// evictAtOnce bounds what one transaction evicts: at worst each record lies
	// in pages of its own, and all of them must fit the spare pages.
	evictAtOnce = 128
	// evictShare is the part of the file freed at least, so that a full buffer
	// does not evict at every commit.
	evictShare = 256
)

// evict drops the oldest copies, or when there are none the oldest records of the
// last evictable stream, until about so many pages are free.
func (b *Buffer) evict(pages int) error {
	var victims []record
	err := b.read(func(t *txn) (err error) {
		victims, err = t.victims(&b.o, max(pages*pageSize, int(b.bound/evictShare)))
		return err
	})
	if err != nil {
		return err
	}
	if len(victims) == 0 {
		return ErrFull
	}
	return b.discard(victims)
}

// trim drops the oldest waiting records of the streams that exceed their quota,
// and an eighth more, so that it is not done at every commit.
func (b *Buffer) trim() error {
	for _, s := range b.o.Streams {
		for s.Quota > 0 && b.streams[s.Name].waitingBytes > s.Quota {
			var victims []record
			most := b.streams[s.Name].waitingBytes - s.Quota*7/8
			err := b.read(func(t *txn) error {
				return t.waiting(s.Name, 0, func(r record) (bool, error) {
					victims = append(victims, r)
					most -= int64(r.size)
					return most > 0 && len(victims) < evictAtOnce, nil
				})
			})
			if err == nil {
				err = b.discard(victims)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// discard drops records of one stream, or copies of any, together with word of
// the gap.
func (b *Buffer) discard(victims []record) error {
	first, last := victims[0], victims[len(victims)-1]
	gap := change{act: actAppend}
	if first.kind != kindCopy && b.o.Evicted != nil {
		gap.name, gap.data = b.o.Evicted(first.stream, first.seq, last.seq, len(victims))
	}
	if gap.name != "" {
		if err := gap.check(&b.o); err != nil {
			return fmt.Errorf("cannot record what is evicted: %w", err)
		}
	}
	err := b.update(func(t *txn) error {
		for _, v := range victims {
			if err := t.drop(v); err != nil {
				return err
			}
		}
		if gap.name == "" {
			return nil
		}
		_, err := t.append(gap.name, gap.data)
		return err
	})
	if err == nil && first.kind != kindCopy {
		b.o.Log.Warn("no room left, records dropped", "stream", first.stream,
			"first", first.seq, "last", last.seq, "records", len(victims))
	}
	return err
}

// victims are the next records to evict, about enough to free so many bytes.
func (t *txn) victims(o *Options, bytes int) (out []record, err error) {
	out, err = t.copies("", evictAtOnce)
	for i := len(o.Streams) - 1; i >= 0 && len(out) == 0 && err == nil; i-- {
		s := o.Streams[i]
		if !s.Evictable {
			continue
		}
		if out, err = t.quarantined(s.Name, evictAtOnce); len(out) == 0 && err == nil {
			err = t.waiting(s.Name, 0, func(r record) (bool, error) {
				out = append(out, r)
				return len(out) < evictAtOnce, nil
			})
		}
	}
	for i, r := range out {
		if bytes -= r.size; bytes <= 0 {
			return out[:i+1], err
		}
	}
	return out, err
}
