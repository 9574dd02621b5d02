// Package buffer keeps a till's journal and its outgoing records in one bbolt
// file: bytes in, bytes out, nothing fiscal.
//
// Tables hold keys and values that their owner replaces and deletes. Streams
// hold records that wait until the collector acknowledged exactly them, by
// epoch, sequence and SHA-256; then they stay as copies that give way when room
// is needed. A record that cannot be used goes to quarantine. One Batch changes
// any number of tables and streams together, and Commit returns when that is on
// the disk.
//
// The file never outgrows its bound, and its blocks are taken from the disk when
// it is opened. When it is full, copies go first, oldest first; then the records
// of evictable streams, from the least important stream upwards, the quarantined
// and then the waiting, leaving a record of the gap; then Commit refuses with
// ErrFull. What exceeds an evictable stream's quota goes too. Nothing else is
// dropped.
//
// Open reads every page before it trusts the file. What is damaged is set aside,
// what is readable is brought over to a new file, and Recovery names the rest.
//
// The package starts no goroutine.
package buffer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"os"
	"strconv"
	"sync"
	"time"

	bbolt "go.etcd.io/bbolt"
)

var (
	// ErrFull reports that there is no room and nothing may be dropped to make it.
	ErrFull = errors.New("buffer full")
	// ErrInUse reports that another process, or this one, has the file open.
	ErrInUse = errors.New("buffer in use by another process")
	// ErrClosed reports a call after Close.
	ErrClosed = errors.New("buffer closed")
	// ErrDamaged reports that the file, or the disk under it, broke while in use.
	// Every later call fails with it; Close and Open salvage what is readable.
	ErrDamaged = errors.New("buffer damaged")
	// ErrTooLarge reports a file that this system cannot map into memory.
	ErrTooLarge = errors.New("buffer file too large for this system")
	// ErrBusy reports that Compact gave way to a commit.
	ErrBusy = errors.New("buffer busy")
)

// Stream declares an outgoing stream.
type Stream struct {
	Name      string // 1 to 32 of a-z, 0-9 and "-"
	Evictable bool   // waiting records may be dropped when the buffer is full, and no copies are kept
	// Quota is how many bytes of an evictable stream's records wait at most; the
	// oldest above it are dropped. Zero means that only the buffer's bound counts.
	Quota int64
}

// Options are what a buffer needs.
type Options struct {
	Streams []Stream // most important first; the last evictable one is evicted first
	// MaxBytes bounds the file, 512 MiB when zero, and never more than 128 MiB on a
	// 32-bit system. It is rounded down to a power of two, because bbolt maps the
	// file in such sizes, and halved for as long as the disk has no room for it. A
	// file that is larger already stays so until Compact makes it anew. Stats says
	// what the bound came to.
	MaxBytes int64
	// Reserve is the part of MaxBytes that only batches with a Put may fill,
	// 8 MiB when zero.
	Reserve int64
	// Evicted is told which records, not acknowledged, are about to be dropped and
	// returns the record of the gap, which is committed together with the loss; an
	// empty stream name appends none. It must not call the buffer.
	Evicted func(stream string, first, last uint64, n int) (toStream string, data []byte)
	Log     *slog.Logger     // discards when nil
	Now     func() time.Time // time.Now when nil
	Random  io.Reader        // crypto/rand when nil
}

const (
	defaultBound   = 512 << 20
	defaultReserve = 8 << 20
	most32         = 128 << 20 // what a 32-bit Windows surely maps twice, as Compact needs it: a program has 2 GiB, in pieces
	aheadPages     = 64        // written at once before their first use
	sparePages     = 512       // kept free for acknowledging and evicting, which need pages to free pages
)

// Buffer is an open buffer file. It is safe for concurrent use.
type Buffer struct {
	path   string
	o      Options
	bound  int64
	lock   *os.File
	signal chan struct{}
	lead   chan struct{} // held by the one who writes

	queueMu sync.Mutex
	queue   []*pending
	failed  error // sticky

	mu      sync.RWMutex // held for writing by the holder of lead
	db      *bbolt.DB
	file    *os.File // of db
	written int64    // of it, from its start; the rest may be allocated only
	epoch   [16]byte
	streams map[string]count
}

// count is what a stream holds.
type count struct {
	waiting, copies, quarantined                int
	waitingBytes, copiesBytes, quarantinedBytes int64
}

// Stats is a snapshot of what a buffer holds.
type Stats struct {
	Streams []StreamStats // in the order of Options.Streams
	Used    int64         // bytes of the file that hold something
	Bound   int64         // bytes the file may take
}

// StreamStats describes one stream.
type StreamStats struct {
	Name    string
	Waiting int       // records not acknowledged
	Bytes   int64     // of their data
	Oldest  time.Time // when the oldest of them was committed; zero when none waits
	Copies  int       // acknowledged records still held
	// Quarantined records wait no more, see Batch.Quarantine.
	Quarantined int
}

func (o *Options) fill() error {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBound
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if strconv.IntSize == 32 {
		o.MaxBytes = min(o.MaxBytes, most32)
	}
	o.MaxBytes = 1 << (bits.Len64(uint64(o.MaxBytes)) - 1)
	if least := leastBound(o.Reserve); o.MaxBytes < least {
		return fmt.Errorf("a bound of %d bytes is too small, a reserve of %d takes at least %d", o.MaxBytes, o.Reserve, least)
	}
	for _, s := range o.Streams {
		if !validName(s.Name) {
			return fmt.Errorf("stream name %q is not 1 to 32 of a-z, 0-9 and -", s.Name)
		}
		if s.Quota < 0 || s.Quota > 0 && !s.Evictable {
			return fmt.Errorf("stream %q has a quota of %d bytes, but nothing of it may be dropped", s.Name, s.Quota)
		}
	}
	return nil
}

// leastBound is the smallest sensible bound: the reserve, the spare pages and as
// much again to work with.
func leastBound(reserve int64) int64 { return reserve + 2*sparePages*pageSize }

func (o *Options) stream(name string) (Stream, error) {
	for _, s := range o.Streams {
		if s.Name == name {
			return s, nil
		}
	}
	return Stream{}, fmt.Errorf("unknown stream %q", name)
}

func (b *Buffer) evictable(stream string) bool {
	s, err := b.o.stream(stream)
	return err == nil && s.Evictable
}

// Open opens the buffer file at path, or makes it. A damaged file never stops
// it: see Recovery. It fails when the file is in use, may not be written, is no
// regular file, is too large for a 32-bit system, or when the disk has no room for
// a new one.
func Open(path string, o Options) (*Buffer, Recovery, error) {
	b, r, err := open(path, o)
	if err != nil {
		return nil, r, fmt.Errorf("cannot open buffer %q: %w", path, err)
	}
	return b, r, nil
}

func open(path string, o Options) (b *Buffer, r Recovery, err error) {
	if err := o.fill(); err != nil {
		return nil, r, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, r, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	found, r, err := prepare(path, &o)
	if err != nil {
		return nil, r, err
	}
	b = &Buffer{path: path, o: o, lock: lock, epoch: found.epoch, streams: found.streams,
		signal: make(chan struct{}, 1), lead: make(chan struct{}, 1)}
	if err := b.attach(); err != nil {
		return nil, r, err
	}
	b.wake()
	return b, r, nil
}

// attach opens the bbolt file within the largest bound the disk allows.
func (b *Buffer) attach() error {
	info, err := os.Stat(b.path)
	if err != nil {
		return err
	}
	b.bound = max(b.o.MaxBytes, info.Size())
	err = allocate(b.path, b.bound)
	for diskFull(err) && b.bound/2 >= leastBound(b.o.Reserve) {
		b.bound /= 2
		err = allocate(b.path, b.bound)
	}
	if err != nil {
		return fmt.Errorf("cannot take %d bytes from the disk, free some or lower the bound: %w", b.bound, err)
	}
	if b.bound < b.o.MaxBytes {
		b.o.Log.Warn("disk too full for the whole buffer", "wanted", b.o.MaxBytes, "taken", b.bound)
	}
	b.db, b.file, err = openBolt(b.path, b.bound)
	b.written = 0
	return err
}

// openBolt opens a file that inspect found sound, or makes one. The free list is
// kept on disk: without it, bbolt meets damage in a goroutine of its own, where
// nobody can recover.
func openBolt(path string, bound int64) (db *bbolt.DB, file *os.File, err error) {
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: time.Second, PageSize: pageSize, MaxSize: int(bound),
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag, mode)
				return file, err
			},
		})
		if err != nil {
			return err
		}
		db.AllocSize = pageSize // bbolt counts this much on top when it compares with MaxSize
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		return tx.Rollback() // fills in the figures that free needs
	})
	if err != nil && file != nil {
		file.Close()
	}
	return db, file, err
}

// Close waits for the commit under way and closes the file. Commits that still
// wait fail with ErrClosed.
func (b *Buffer) Close() error {
	b.lead <- struct{}{}
	defer func() { <-b.lead }()
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(b.failure(), ErrClosed) {
		return nil
	}
	err := b.detach()
	b.fail(ErrClosed)
	b.writeQueue()
	if err = errors.Join(err, b.lock.Close()); err != nil {
		return fmt.Errorf("cannot close buffer %q: %w", b.path, err)
	}
	return nil
}

// detach closes the bbolt file. After damage bbolt's own locks may be held for
// ever, so only the descriptor is closed then.
func (b *Buffer) detach() error {
	if b.failure() != nil {
		return b.file.Close()
	}
	return b.db.Close()
}

// Epoch names this creation of the file. Sequences of one epoch are never used
// for a second record.
func (b *Buffer) Epoch() [16]byte { return b.epoch }

// Appended signals that records were appended, or wait again. Signals coalesce;
// there is one after Open. It is for one reader.
func (b *Buffer) Appended() <-chan struct{} { return b.signal }

func (b *Buffer) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// Stats says what the buffer holds; zero after Close.
func (b *Buffer) Stats() Stats {
	var s Stats
	err := b.view(func(t *txn) error {
		s.Bound = b.bound
		s.Used = b.bound - int64(b.free(t.b.Tx()))*pageSize
		for _, st := range b.o.Streams {
			at, err := t.oldest(st.Name)
			if err != nil {
				return err
			}
			c := b.streams[st.Name]
			s.Streams = append(s.Streams, StreamStats{Name: st.Name, Waiting: c.waiting,
				Bytes: c.waitingBytes, Oldest: at, Copies: c.copies, Quarantined: c.quarantined})
		}
		return nil
	})
	if err != nil {
		return Stats{}
	}
	return s
}

// free is the number of pages that the next transaction can use. No reader holds
// any back, because readers and the writer exclude each other.
func (b *Buffer) free(tx *bbolt.Tx) int {
	s := b.db.Stats()
	return s.FreePageN + s.PendingPageN + int((b.bound-tx.Size())/pageSize)
}

// fail makes err the answer to every later call.
func (b *Buffer) fail(err error) {
	b.queueMu.Lock()
	defer b.queueMu.Unlock()
	if b.failed == nil || errors.Is(err, ErrClosed) {
		b.failed = err
	}
}

func (b *Buffer) failure() error {
	b.queueMu.Lock()
	defer b.queueMu.Unlock()
	return b.failed
}
