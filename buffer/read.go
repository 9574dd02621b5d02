package buffer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"
)

// Read gives fn every record of a stream that a buffer file holds, in the order of
// their sequences, the quarantined after the others: those that wait as well as
// acknowledged copies. No process may have the file open, and nothing is changed
// in it. Of a damaged file it gives what can be salvaged, by way of a file that it
// makes in the folder scratch and removes; lost names the rest, in Portuguese.
// It stops at the first error of fn and passes that on.
func Read(path, stream, scratch string, fn func(Record) error) (lost []string, err error) {
	lost, err = read(path, stream, scratch, fn)
	if err != nil {
		return lost, fmt.Errorf("cannot read stream %q of buffer %q: %w", stream, path, err)
	}
	return lost, nil
}

func read(path, stream, scratch string, fn func(Record) error) (lost []string, err error) {
	given, size, err := openToRead(path)
	if err != nil {
		return nil, err
	}
	defer given.Close()
	f := given.File
	if !inspect(f, size, nil).sound() {
		whole, err := os.CreateTemp(scratch, "salvado-*")
		if err != nil {
			return nil, err
		}
		whole.Close()
		defer os.Remove(whole.Name())
		o := Options{MaxBytes: max(defaultBound, size)}
		if err := o.fill(); err != nil {
			return nil, err
		}
		if _, lost, _, err = salvage(whole.Name(), f, size, &o); err != nil {
			return lost, err
		}
		if f, size, err = openRegular(whole.Name()); err != nil {
			return lost, err
		}
		defer f.Close()
	}
	r := reader{stream: stream, fn: fn}
	in := inspect(f, size, r.take)
	if r.end(); r.err == nil && !in.sound() {
		r.err = errors.Join(ErrDamaged, errors.New(in.damage[0]))
	}
	return lost, r.err
}

// reader puts the records of a stream together from a file's elements.
type reader struct {
	stream string
	fn     func(Record) error
	now    value
	seq    uint64 // of now
	err    error
}

func (r *reader) take(k, sealed []byte) {
	p, ok := parseKey(k)
	stream, seq := p.name, p.seq
	if ok && p.kind == kindTable {
		stream, seq, ok = parseQuarantine(p)
	}
	if !ok || stream != r.stream || p.kind != kindData && p.kind != kindTable {
		return
	}
	if !bytes.Equal(r.now.owner, p.owner) {
		r.end()
		r.seq = seq
	}
	if body, ok := unseal(k, sealed); ok && r.err == nil {
		r.err = r.now.add(p, body)
	}
}

// end gives out the record whose chunks have all been taken.
func (r *reader) end() {
	if r.now.owner != nil && r.err == nil {
		data := bytes.Clone(r.now.data)
		r.err = r.fn(Record{r.seq, time.Unix(0, r.now.at), sha256.Sum256(data), data})
	}
	r.now = value{}
}
