package buffer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Record is one waiting record of a stream.
type Record struct {
	Seq    uint64
	Time   time.Time // of its commit, by the till's clock
	SHA256 [32]byte  // of Data
	Data   []byte
}

// Ack names a record that the collector holds on its disk.
type Ack struct {
	Seq    uint64
	SHA256 [32]byte
}

// record is what an index entry tells.
type record struct {
	stream string
	seq    uint64
	at     int64 // Unix nanoseconds
	size   int
	kind   byte // kindWaiting, kindCopy, or kindTable in quarantine
}

// Peek returns waiting records of a stream with sequences above after, oldest
// first: at most maxRecords with at most maxBytes of data together, but always
// one when one waits. It removes nothing.
func (b *Buffer) Peek(stream string, after uint64, maxRecords int, maxBytes int64) ([]Record, error) {
	var out []Record
	err := b.view(func(t *txn) error {
		return t.waiting(stream, after, func(r record) (bool, error) {
			maxBytes -= int64(r.size)
			if len(out) > 0 && (len(out) >= maxRecords || maxBytes < 0) {
				return false, nil
			}
			v, err := t.data(r)
			out = append(out, Record{r.seq, time.Unix(0, v.at), sha256.Sum256(v.data), v.data})
			return true, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read stream %q of buffer %q: %w", stream, b.path, err)
	}
	return out, nil
}

// Acknowledge frees the waiting records that acks name by sequence and hash;
// freed says how many. Those of streams that are not evictable stay as copies.
// Acknowledgements of another epoch, of records that do not wait, or with another
// hash are passed over.
func (b *Buffer) Acknowledge(stream string, epoch [16]byte, acks []Ack) (freed int, err error) {
	if epoch != b.epoch {
		return 0, nil
	}
	for len(acks) > 0 {
		some := acks[:min(evictAtOnce, len(acks))]
		acks = acks[len(some):]
		n := 0
		err := b.write(&pending{frees: true, apply: func(t *txn) (err error) {
			n, err = b.acknowledge(t, stream, some)
			return err
		}})
		if err != nil {
			return freed, fmt.Errorf("cannot acknowledge records of stream %q in buffer %q: %w", stream, b.path, err)
		}
		freed += n
	}
	return freed, nil
}

func (b *Buffer) acknowledge(t *txn, stream string, acks []Ack) (freed int, err error) {
	for _, a := range acks {
		r, ok, err := t.find(stream, a.Seq)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		v, err := t.data(r)
		if err != nil {
			return 0, err
		}
		if sha256.Sum256(v.data) != a.SHA256 {
			b.o.Log.Warn("acknowledgement with another hash", "stream", stream, "record", a.Seq)
			continue
		}
		if b.evictable(stream) {
			err = t.drop(r)
		} else {
			err = t.move(r)
		}
		if err != nil {
			return 0, err
		}
		freed++
	}
	return freed, nil
}

// Requeue makes the acknowledged copies of a stream wait again, because the
// collector lost what it had acknowledged, and says how many. Their sequences
// stay. It may be called again after an error.
func (b *Buffer) Requeue(stream string) (n int, err error) {
	for {
		var copies []record
		err := b.write(&pending{frees: true, apply: func(t *txn) (err error) {
			copies, err = t.copies(stream, evictAtOnce)
			for _, r := range copies {
				if err := t.move(r); err != nil {
					return err
				}
			}
			t.wake = true
			return err
		}})
		if err != nil {
			return n, fmt.Errorf("cannot queue stream %q of buffer %q again: %w", stream, b.path, err)
		}
		if n += len(copies); len(copies) < evictAtOnce {
			return n, nil
		}
	}
}

// append adds a record that waits.
func (t *txn) append(stream string, data []byte) (uint64, error) {
	seq, err := t.b.NextSequence()
	if err != nil {
		return 0, err
	}
	r := record{stream, seq, t.now.UnixNano(), len(data), kindWaiting}
	if err := store(t.b, dataKey(stream, seq), r.at, data); err != nil {
		return 0, err
	}
	t.wake = true
	return seq, t.index(r)
}

// key is the record's index entry; there is none in quarantine.
func (r record) key() []byte {
	if r.kind == kindWaiting {
		return waitingKey(r.stream, r.seq)
	}
	return copyKey(r.seq, r.stream)
}

func (t *txn) index(r record) error {
	t.count(r, 1)
	return t.b.Put(r.key(), sealIndex(r.key(), r.at, r.size))
}

func (t *txn) unindex(r record) error {
	t.count(r, -1)
	return t.b.Delete(r.key())
}

// move makes a waiting record a copy, or a copy wait.
func (t *txn) move(r record) error {
	if err := t.unindex(r); err != nil {
		return err
	}
	if r.kind == kindWaiting {
		r.kind = kindCopy
	} else {
		r.kind = kindWaiting
	}
	return t.index(r)
}

// drop removes a record.
func (t *txn) drop(r record) error {
	if r.kind == kindTable {
		t.count(r, -1)
		return remove(t.b, quarantineKey(r.stream, r.seq))
	}
	if err := t.unindex(r); err != nil {
		return err
	}
	return remove(t.b, dataKey(r.stream, r.seq))
}

func (t *txn) count(r record, n int) {
	t.delta[r.stream] = t.delta[r.stream].plus(r.count(n))
}

// count is what n records like r add to their stream.
func (r record) count(n int) count {
	size := int64(n * r.size)
	switch r.kind {
	case kindWaiting:
		return count{waiting: n, waitingBytes: size}
	case kindCopy:
		return count{copies: n, copiesBytes: size}
	default:
		return count{quarantined: n, quarantinedBytes: size}
	}
}

func (t *txn) data(r record) (value, error) {
	v, err := load(t.b, dataKey(r.stream, r.seq))
	if err == nil && v.data == nil {
		err = fmt.Errorf("%w: record %d of stream %q has no data", ErrDamaged, r.seq, r.stream)
	}
	return v, err
}

// waiting calls fn for the waiting records of a stream with sequences above
// after, oldest first, until it returns false.
func (t *txn) waiting(stream string, after uint64, fn func(record) (bool, error)) error {
	prefix := waitingKey(stream, after)[:len(stream)+2]
	c := t.b.Cursor()
	k, v := c.Seek(waitingKey(stream, after))
	for ; bytes.HasPrefix(k, prefix); k, v = c.Next() {
		r, err := parseIndex(k, v)
		if err != nil {
			return err
		}
		if r.seq <= after {
			continue
		}
		if more, err := fn(r); err != nil || !more {
			return err
		}
	}
	return nil
}

// copies are the oldest copies of a stream, or of all when it is empty.
func (t *txn) copies(stream string, most int) (out []record, err error) {
	c := t.b.Cursor()
	for k, v := c.Seek([]byte{kindCopy}); len(k) > 0 && k[0] == kindCopy && len(out) < most; k, v = c.Next() {
		r, err := parseIndex(k, v)
		if err != nil {
			return nil, err
		}
		if stream == "" || r.stream == stream {
			out = append(out, r)
		}
	}
	return out, nil
}

// oldest is the time of a stream's first waiting record, zero when none waits.
func (t *txn) oldest(stream string) (at time.Time, err error) {
	err = t.waiting(stream, 0, func(r record) (bool, error) {
		at = time.Unix(0, r.at)
		return false, nil
	})
	return at, err
}

// parseIndex reads an index entry.
func parseIndex(k, sealed []byte) (record, error) {
	p, known := parseKey(k)
	body, ok := unseal(k, sealed)
	if !known || !ok || len(body) != 12 {
		return record{}, fmt.Errorf("%w: index entry %x", ErrDamaged, k)
	}
	return record{p.name, p.seq, int64(binary.BigEndian.Uint64(body)),
		int(binary.BigEndian.Uint32(body[8:])), p.kind}, nil
}
