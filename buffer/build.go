package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	bbolt "go.etcd.io/bbolt"
)

// builder writes a new file, which is worth nothing before it has its head.
type builder struct {
	db       *bbolt.DB
	tx       *bbolt.Tx
	b        *bbolt.Bucket
	bytes    int // put
	saved    int // of them committed
	sequence uint64
	err      error // the first; nothing is put after it
}

// savedAtOnce is about how many bytes a builder commits at once.
const savedAtOnce = 4 << 20

// nothing fills an empty file.
func nothing(*builder) error { return nil }

// build makes a file with a new epoch and reads it back.
func build(path string, o *Options, fill func(*builder) error) (*inspection, error) {
	var epoch [16]byte
	if _, err := io.ReadFull(o.Random, epoch[:]); err != nil {
		return nil, fmt.Errorf("cannot make an epoch: %w", err)
	}
	if err := buildFile(path, o.MaxBytes, epoch, fill); err != nil {
		return nil, err
	}
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := inspect(f, size, nil)
	if !in.sound() {
		return nil, fmt.Errorf("%w: a file just written is not sound: %q", ErrDamaged, in.damage)
	}
	return in, nil
}

// buildFile writes a whole file durably. It leaves none after an error.
func buildFile(path string, bound int64, epoch [16]byte, fill func(*builder) error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, file, err := openBolt(path, bound)
	if err != nil {
		return err
	}
	w := &builder{db: db}
	err = guard(func() error {
		if w.begin(); w.err == nil {
			w.err = fill(w)
		}
		w.put([]byte(headKey), sealHead(epoch, format))
		if w.err == nil {
			w.err = w.b.SetSequence(w.sequence)
		}
		w.save()
		return w.err
	})
	closed := guard(func() error {
		if w.tx != nil {
			w.tx.Rollback()
		}
		return db.Close()
	})
	if err = errors.Join(err, closed); err != nil {
		file.Close()
		os.Remove(path)
	}
	return err
}

func (w *builder) begin() {
	if w.tx, w.err = w.db.Begin(true); w.err != nil {
		return
	}
	if w.b, w.err = w.tx.CreateBucketIfNotExists([]byte(bucketName)); w.err == nil {
		w.b.FillPercent = 1
	}
}

func (w *builder) save() {
	if w.err == nil {
		w.err, w.saved = w.tx.Commit(), w.bytes
	}
}

// put adds an element as it is.
func (w *builder) put(k, v []byte) {
	if w.err != nil {
		return
	}
	if p, ok := parseKey(k); ok && p.kind != kindTable {
		w.sequence = max(w.sequence, p.seq)
	}
	w.err = w.b.Put(k, v)
	if w.bytes += len(k) + len(v) + elementSize; w.bytes-w.saved > savedAtOnce {
		if w.save(); w.err == nil {
			w.begin()
		}
	}
}

// rescue adds an element found beside the tree. Records are taken from any page:
// one sent twice does no harm. Table entries are not taken from pages out of use,
// whence deleted ones would return; of several versions the newest wins.
func (w *builder) rescue(k, v []byte, stale bool, o *Options) {
	p, ok := parseKey(k)
	if !ok || w.err != nil || int64(w.bytes)*5/4 > o.MaxBytes-o.Reserve {
		return
	}
	had := w.b.Get(k)
	switch {
	case p.kind == kindData && had == nil,
		p.kind == kindTable && !stale && (had == nil || chunkTime(had) < chunkTime(v)):
		w.put(k, v)
	}
}

func chunkTime(sealed []byte) int64 {
	if len(sealed) < sealSize+8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(sealed[sealSize:]))
}

// settle makes records and their index entries match and removes what is not
// whole; it names what is missing. A record without an index entry waits.
func (w *builder) settle() (missing []string) {
	if w.err != nil {
		return nil
	}
	s := settlement{b: w.b}
	c := w.b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		s.element(k, v)
	}
	s.endValue()
	for _, k := range s.drop {
		if w.err == nil {
			w.err = w.b.Delete(k)
		}
	}
	for _, r := range s.unindexed {
		w.put(r.key(), sealIndex(r.key(), r.at, r.size))
	}
	return s.missing
}

// settlement is what is to be done to a salvaged bucket.
type settlement struct {
	b         *bbolt.Bucket
	now       value
	keys      [][]byte // of the chunks of now
	drop      [][]byte
	unindexed []record
	missing   []string
}

func (s *settlement) element(k, sealed []byte) {
	p, _ := parseKey(k)
	if p.kind == kindCopy || p.kind == kindWaiting {
		if v, err := load(s.b, dataKey(p.name, p.seq)); err != nil || v.data == nil {
			s.drop = append(s.drop, bytes.Clone(k))
			if p.kind == kindWaiting { // the collector has the copies
				s.missing = append(s.missing, p.String())
			}
		}
		return
	}
	if !bytes.Equal(p.owner, s.now.owner) {
		s.endValue()
	}
	s.keys = append(s.keys, bytes.Clone(k))
	body, _ := unseal(k, sealed)
	if err := s.now.add(p, body); err != nil && len(s.keys) > 1 && s.now.whole() {
		s.keys = s.keys[:len(s.keys)-1] // left over from a longer, older version
		s.drop = append(s.drop, bytes.Clone(k))
	} else if err != nil {
		s.now = value{owner: bytes.Clone(p.owner), size: -1}
	}
}

// endValue judges the value whose chunks have all been seen.
func (s *settlement) endValue() {
	if len(s.keys) == 0 {
		return
	}
	p, _ := parseKey(s.keys[0])
	switch r := (record{p.name, p.seq, s.now.at, s.now.size, kindWaiting}); {
	case !s.now.whole():
		s.drop = append(s.drop, s.keys...)
		s.missing = append(s.missing, p.String())
	case p.kind == kindData && s.b.Get(r.key()) == nil && s.b.Get(copyKey(p.seq, p.name)) == nil:
		s.unindexed = append(s.unindexed, r)
	}
	s.now, s.keys = value{}, nil
}
