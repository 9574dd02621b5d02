package buffer

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Batch collects changes that become durable together. Its zero value is ready;
// it keeps the slices it is given until Commit returns. A batch that only appends
// leaves the reserve alone, one with a Put may fill it: what belongs to the
// journal comes before what can still wait outside.
type Batch struct {
	changes []change
}

type change struct {
	act  act
	name string
	key  []byte
	data []byte
	seq  uint64 // to be quarantined
}

type act uint8

const (
	actPut act = iota
	actDelete
	actAppend
	actQuarantine
)

// Put sets the value of a key in a table. Keys have 1 to 128 bytes, values at
// most 8 MiB; table names are like stream names.
func (b *Batch) Put(table string, key, value []byte) {
	b.changes = append(b.changes, change{act: actPut, name: table, key: key, data: value})
}

// Delete removes a key from a table; a key that is not there is no error.
func (b *Batch) Delete(table string, key []byte) {
	b.changes = append(b.changes, change{act: actDelete, name: table, key: key})
}

// Append adds a record of at most 8 MiB to a stream.
func (b *Batch) Append(stream string, data []byte) {
	b.changes = append(b.changes, change{act: actAppend, name: stream, data: data})
}

func (c change) check(o *Options) error {
	if len(c.data) > maxValue {
		return fmt.Errorf("%d bytes for %q, at most %d are taken", len(c.data), c.name, maxValue)
	}
	if c.act == actAppend || c.act == actQuarantine {
		_, err := o.stream(c.name)
		return err
	}
	if !validName(c.name) || c.name == quarantine {
		return fmt.Errorf("table name %q is not 1 to 32 of a-z, 0-9 and -, or is taken", c.name)
	}
	if len(c.key) < 1 || len(c.key) > maxKey {
		return fmt.Errorf("a key of %d bytes in table %q, 1 to %d are taken", len(c.key), c.name, maxKey)
	}
	return nil
}

// pathPages is the most pages that paths changes dirty beside those of their
// data: from the root to a leaf and what splits, but no more than three of each
// and all branches of a file of so many bytes.
func pathPages(paths int, bound int64) int { return min(8*paths, 3*paths+int(bound/pageSize/20)) }

// pages is the most pages that committing the batch can take, without the free
// list. Appends to one stream share their paths.
func (b *Batch) pages(bound int64) int {
	bytes, paths := 0, 1
	streams := map[string]bool{}
	for _, c := range b.changes {
		bytes += fileBytes(len(c.name)+2*len(c.key), len(c.data))
		if c.act != actAppend {
			paths++
		} else if !streams[c.name] {
			streams[c.name] = true
			paths += 2
		}
	}
	return pagesFor(bytes) + pathPages(paths, bound)
}

// fileBytes is the most that n bytes under a name and key take in the file, cut
// into chunks and with an index entry.
func fileBytes(key, n int) int { return (chunks(key+12, n) + 1) * (elementMax + 16) }

// pagesFor counts half-filled pages, as a split leaves them.
func pagesFor(bytes int) int { return 2*bytes/pageSize + 1 }

func (b *Batch) has(a act) bool {
	return slices.ContainsFunc(b.changes, func(c change) bool { return c.act == a })
}

// Commit makes a batch durable and returns the sequences of its appended
// records, in order. Sequences rise over all streams together and are never used
// twice in an epoch. Concurrent calls share one write to the disk. After ErrFull
// nothing of the batch is kept, and a later Commit may succeed.
func (b *Buffer) Commit(batch *Batch) ([]uint64, error) {
	seqs, err := b.commit(batch)
	if err != nil {
		return nil, fmt.Errorf("cannot commit to buffer %q: %w", b.path, err)
	}
	return seqs, nil
}

func (b *Buffer) commit(batch *Batch) (seqs []uint64, err error) {
	if len(batch.changes) == 0 {
		return nil, nil
	}
	for _, c := range batch.changes {
		if err := c.check(&b.o); err != nil {
			return nil, err
		}
	}
	moved, err := b.moved(batch)
	if err != nil {
		return nil, err
	}
	w := &pending{pages: batch.pages(b.o.MaxBytes) + moved, apply: func(t *txn) (err error) {
		seqs, err = t.batch(batch)
		return err
	}}
	if !batch.has(actPut) {
		w.floor = int(b.o.Reserve / pageSize)
		w.frees = !batch.has(actAppend) && !batch.has(actQuarantine)
	}
	return seqs, b.write(w)
}

// Room makes sure that n more bytes can be committed, by batches with a Put,
// while the reserve is still whole. It evicts like Commit does and fails with
// ErrFull. It is asked before something that must be recorded is set going.
func (b *Buffer) Room(n int64) error {
	w := &pending{pages: pagesFor(fileBytes(2*maxKey+32, int(n))) + pathPages(8, b.o.MaxBytes), floor: int(b.o.Reserve / pageSize)}
	if err := b.write(w); err != nil {
		return fmt.Errorf("no room for %d bytes in buffer %q: %w", n, b.path, err)
	}
	return nil
}

// pending is one caller's part of a transaction.
type pending struct {
	pages int              // at most taken
	floor int              // to be left free, besides the spare pages
	frees bool             // may take spare pages: it deletes or acknowledges
	apply func(*txn) error // nil only asks for room
	done  chan struct{}
	err   error
}

// write queues w and waits until someone has written it. Whoever gets the lead
// writes for all that wait, so that they share the two flushes.
func (b *Buffer) write(w *pending) error {
	w.done = make(chan struct{})
	b.queueMu.Lock()
	b.queue = append(b.queue, w)
	b.queueMu.Unlock()
	select {
	case <-w.done:
	case b.lead <- struct{}{}:
		b.gather()
		b.mu.Lock()
		b.writeQueue()
		b.mu.Unlock()
		<-b.lead
		<-w.done
	}
	return w.err
}

// gather lets those come who are about to queue: as long as each turn brings more,
// waiting a turn costs less than a flush of their own.
func (b *Buffer) gather() {
	for before := -1; ; {
		runtime.Gosched()
		b.queueMu.Lock()
		n := len(b.queue)
		b.queueMu.Unlock()
		if n <= before {
			return
		}
		before = n
	}
}

// writeQueue commits all queued writes that there is room for.
func (b *Buffer) writeQueue() {
	b.queueMu.Lock()
	group := b.queue
	b.queue = nil
	b.queueMu.Unlock()
	for len(group) > 0 {
		n, err := b.together(group)
		if err == nil {
			err = b.apply(group[:n])
		}
		for _, w := range group[:n] {
			w.err = err
			close(w.done)
		}
		group = group[n:]
	}
	if err := b.failure(); err == nil {
		if err = b.trim(); err != nil {
			b.o.Log.Error("a stream exceeds its quota", "err", err)
		}
	}
}

// together makes room for the first of some writes and says how many of them fit
// beside each other; an error is the first one's.
func (b *Buffer) together(group []*pending) (n int, err error) {
	if err := b.failure(); err != nil {
		return 1, err
	}
	if err := b.admit(group[0]); err != nil {
		return 1, err
	}
	free, _, err := b.room()
	for _, w := range group {
		if free -= w.pages; n > 0 && !w.frees && free < w.floor+sparePages {
			break
		}
		n++
	}
	return n, err
}

// apply commits some writes in one transaction.
func (b *Buffer) apply(group []*pending) error {
	if !slices.ContainsFunc(group, func(w *pending) bool { return w.apply != nil }) {
		return nil
	}
	pages := 0
	for _, w := range group {
		pages += w.pages
	}
	if err := b.writeAhead(pages); err != nil {
		return err
	}
	return b.update(func(t *txn) error {
		for _, w := range group {
			if w.apply == nil {
				continue
			}
			if err := w.apply(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeAhead sees to it that pages never used before have been written before the
// next transaction takes them. Their blocks are the file's already, but the file
// system notes the first writing of each, and every flush would have to write
// that note too. Commits that are only slower are no error.
func (b *Buffer) writeAhead(pages int) error {
	used, err := b.high()
	if err != nil || used+int64(pages)*pageSize <= b.written {
		return err
	}
	from := max(b.written, used)
	b.written = min(used+int64(pages+aheadPages)*pageSize, b.bound)
	if from < b.written {
		b.file.WriteAt(make([]byte, b.written-from), from)
	}
	return nil
}

// high is where the pages end that are or were in use.
func (b *Buffer) high() (size int64, err error) {
	err = b.read(func(t *txn) error {
		size = t.b.Tx().Size()
		return nil
	})
	return size, err
}

// admit makes room for w, or says that there can be none.
func (b *Buffer) admit(w *pending) error {
	if w.frees {
		return nil
	}
	want := w.pages + w.floor + sparePages
	for {
		free, gain, err := b.room()
		if err != nil {
			return err
		}
		if free >= want {
			return nil
		}
		if free+gain < want {
			return fmt.Errorf("%w: %d of %d pages are free, %d are needed", ErrFull, free, b.bound/pageSize, want)
		}
		if err := b.evict(want - free); err != nil {
			return err
		}
	}
}

// txn is one transaction with what it changes in the counts.
type txn struct {
	b     *bbolt.Bucket
	now   time.Time
	delta map[string]count
	wake  bool
}

// update runs fn in a transaction and commits it. A failure other than a full
// disk leaves the file in a state nobody knows, so that only reopening helps.
func (b *Buffer) update(fn func(*txn) error) error {
	t := &txn{now: b.o.Now(), delta: map[string]count{}}
	err := guard(func() error {
		return b.db.Update(func(tx *bbolt.Tx) error {
			t.b = tx.Bucket([]byte(bucketName))
			t.b.FillPercent = 1
			return fn(t)
		})
	})
	if diskFull(err) || errors.Is(err, bbolterrors.ErrMaxSizeReached) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		return b.damaged(err)
	}
	for name, d := range t.delta {
		b.streams[name] = b.streams[name].plus(d)
	}
	if t.wake {
		b.wake()
	}
	return nil
}

func (c count) plus(d count) count {
	return count{c.waiting + d.waiting, c.copies + d.copies, c.quarantined + d.quarantined,
		c.waitingBytes + d.waitingBytes, c.copiesBytes + d.copiesBytes, c.quarantinedBytes + d.quarantinedBytes}
}

// view runs fn on the committed state.
func (b *Buffer) view(fn func(*txn) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.failure(); err != nil {
		return err
	}
	return b.read(fn)
}

// read is view for who holds b.mu.
func (b *Buffer) read(fn func(*txn) error) error {
	err := guard(func() error {
		return b.db.View(func(tx *bbolt.Tx) error { return fn(&txn{b: tx.Bucket([]byte(bucketName))}) })
	})
	if err != nil {
		return b.damaged(err)
	}
	return nil
}

// damaged stops the buffer: what it would write on is not what it believes.
func (b *Buffer) damaged(err error) error {
	if !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b.fail(err)
	b.o.Log.Error("buffer broken, it must be opened anew", "path", b.path, "err", err)
	return err
}

// guard turns a panic of bbolt, or a fault in the mapped file, into ErrDamaged.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

func (t *txn) batch(b *Batch) (seqs []uint64, err error) {
	for _, c := range b.changes {
		switch c.act {
		case actAppend:
			var seq uint64
			seq, err = t.append(c.name, c.data)
			seqs = append(seqs, seq)
		case actPut:
			err = t.put(tableKey(c.name, c.key), c.data)
		case actDelete:
			err = remove(t.b, tableKey(c.name, c.key))
		case actQuarantine:
			err = t.quarantine(c.name, c.seq)
		}
		if err != nil {
			return nil, err
		}
	}
	return seqs, nil
}
