// Package store keeps what the collector knows: documents with their exact
// bytes, where they came from and what was checked; tills, devices, events,
// alarms, quarantine; enrolment, people and audit. All SQL is here, in files
// named by noun, behind two entrances: View reads, Update writes.
//
// The engine is a SQLite file or a PostgreSQL database: what Update returned from
// is on disk in either. SQL texts use $1 placeholders and nothing only one of them
// has; what differs is in sqlite.go, postgres.go, postgres_rows.go and the folders of
// migrations.
package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
)

// ErrNotFound reports that what was asked for is not in the store.
var ErrNotFound = errors.New("not found in the store")

// ErrReplaced reports that the database is not the one that was opened: meanwhile it
// was moved away from, or restored from a backup in the same place.
var ErrReplaced = errors.New("the database was moved or restored since this collector opened it: start the collector anew")

//go:embed migrations
var migrations embed.FS

// Store is one open database. It is safe for concurrent use, also while other
// processes have the same database open.
type Store struct {
	engine engine
	epoch  [16]byte
	zip    *zstd.Encoder
	unzip  *zstd.Decoder
}

// engine is one kind of database.
type engine interface {
	open(ctx context.Context, address string) error
	// view begins a transaction that reads one state.
	view(ctx context.Context) (transaction, error)
	// update begins a transaction that is the only one that writes, in all
	// processes, until it ends.
	update(ctx context.Context) (transaction, error)
	// again tells whether a transaction that failed may simply be repeated.
	again(err error) bool
	lead(ctx context.Context, name string) (release func(), ok bool, err error)
	close() error // also after open failed
}

// transaction carries out statements. Rows of one query are read to their end
// before the next statement.
type transaction interface {
	query(ctx context.Context, query string, args []any) (*sql.Rows, error)
	// exec carries a statement out and says how many rows it changed; later may
	// put it off until the next query, exec or commit, which then fails for it.
	exec(ctx context.Context, query string, args []any) (int64, error)
	later(ctx context.Context, query string, args []any) error
	addDocuments(w *Writer, list []NewDocument) ([]Added, error)
	// about is a condition that documents of a key fulfil and that may spare looking
	// where they cannot be.
	about(key string) string
	// parts are the tables that documents lie in, the one with the newest first; none
	// when they lie together.
	parts(ctx context.Context) ([]part, error)
	// addArrivals says of each how many others held its place; -1 of one that is
	// there already.
	addArrivals(w *Writer, list []Arrival) (rivals []int, err error)
	// tables are ours, with what is in them, from the schema itself.
	tables(ctx context.Context) ([]table, error)
	commit(ctx context.Context) error
	rollback() // of what was not committed
}

// maxBody bounds what one stored body may unpack to: the largest document and
// the largest wire message are far below.
const maxBody = 32 << 20

// Open opens a database and brings its tables up to date. The address is the path
// of a SQLite file, created when it is not there, or the URL of a PostgreSQL
// database: postgres://user:password@host/name. A PostgreSQL server that may lose
// what it committed, or that is too old, is refused with ErrRefused.
func Open(ctx context.Context, address string) (*Store, error) {
	s := &Store{}
	if err := s.open(ctx, address); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot open store %s: %w", withoutPassword(address), err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, address string) (err error) {
	// The fastest level makes coupons 4 % larger than the default one, in less
	// than half the time.
	if s.zip, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20)); err != nil {
		return err
	}
	if s.unzip, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBody)); err != nil {
		return err
	}
	s.engine = &sqlite{}
	if isPostgres(address) {
		s.engine = &postgres{partitions: map[slot]bool{otherSlot: true}}
	}
	if err := s.engine.open(ctx, address); err != nil {
		return err
	}
	return s.updateAny(ctx, func(w *Writer) error {
		s.epoch, err = w.loadEpoch()
		return err
	})
}

// migrate brings the tables up to date with a folder of migrations. One process at
// a time may.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string) error {
	p, err := migrator(db, dialect, folder)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("it has version %d of the tables, this program knows up to %d: update the program", current, target)
	}
	_, err = p.Up(ctx)
	return err
}

// migrator carries out a folder of migrations.
func migrator(db *sql.DB, dialect goose.Dialect, folder string) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, db, files)
}

// loadEpoch reads the store's epoch and makes it in a new store.
func (w *Writer) loadEpoch() (epoch [16]byte, err error) {
	epoch, err = w.readEpoch()
	if errors.Is(err, ErrNotFound) {
		rand.Read(epoch[:])
		return epoch, w.exec(`INSERT INTO meta (name, value) VALUES ('epoch', $1)`, hex.EncodeToString(epoch[:]))
	}
	return epoch, err
}

func (r *Reader) readEpoch() (epoch [16]byte, err error) {
	text, err := one(r, value[string], `SELECT value FROM meta WHERE name = 'epoch'`)
	if err != nil {
		return epoch, err
	}
	if n, err := hex.Decode(epoch[:], []byte(text)); err != nil || n != len(epoch) {
		return epoch, fmt.Errorf("its epoch %q is damaged", text)
	}
	return epoch, nil
}

// stillOurs fails with ErrReplaced when the database is not the one that was opened. What
// is put into another one must not be acknowledged in the name of the epoch known here.
func (w *Writer) stillOurs() error {
	epoch, err := w.readEpoch()
	if errors.Is(err, ErrNotFound) || err == nil && epoch != w.s.epoch {
		return ErrReplaced
	}
	return err
}

// Epoch is random per creation of a store: agents send again what they still
// hold when it changes.
func (s *Store) Epoch() [16]byte { return s.epoch }

// Close waits for what is under way and closes the database.
func (s *Store) Close() error {
	var err error
	if s.engine != nil {
		err = s.engine.close()
	}
	if s.unzip != nil {
		s.unzip.Close()
	}
	if s.zip != nil {
		s.zip.Close()
	}
	return err
}

// Lead makes the caller the only one that does the named work until it calls
// release, among all processes that share a PostgreSQL database. ok is false while
// another one does; there is nothing to release then. A SQLite file belongs to one
// collector, which always leads. A leader whose connection breaks is one no longer
// and is not told: take the lead for one round of work.
func (s *Store) Lead(ctx context.Context, name string) (release func(), ok bool, err error) {
	if release, ok, err = s.engine.lead(ctx, name); err != nil {
		err = fmt.Errorf("cannot take the lead of %s: %w", name, err)
	}
	return release, ok, err
}

// Reader reads one consistent state of the store. It is used by one goroutine
// and only inside the function it was given to; the context is that function's.
type Reader struct {
	scope Scope
	ctx   context.Context
	tx    transaction
	s     *Store
}

// Writer also changes the store. What it changed is on disk when Update returns
// nil, and not there at all when it returns an error.
type Writer struct {
	Reader
	streams map[string]int64     // ids by name
	tallies map[source]tally     // by device and issuer
	issuers map[string]origin    // by CNPJ, of documents that were added
	coupons map[int64]Document   // by id, of those that were added
	brought map[bringer]Document // the first coupon that each brought of each emitter
	months  map[monthOf]bool     // of lines of numbers that something came of
	sums    sums
}

// View calls fn with a Reader that sees what the scope does.
func (s *Store) View(ctx context.Context, scope Scope, fn func(*Reader) error) error {
	tx, err := s.engine.view(ctx)
	if err != nil {
		return fmt.Errorf("cannot begin reading the store: %w", err)
	}
	defer tx.rollback()
	return fn(&Reader{scope, ctx, tx, s})
}

// As is the writer's Reader, in the same transaction, that sees what a scope does:
// what a person names is looked up in it before it is changed.
func (w *Writer) As(scope Scope) *Reader {
	r := w.Reader
	r.scope = scope
	return &r
}

// attempts bounds how often a transaction is begun that the database gives up.
const attempts = 3

// Update calls fn with a Writer, which sees everything, and commits when fn returns nil. Updates run one
// at a time, also those of other processes. Fn is called again when the database
// gave its transaction up for another's sake, and not at all when the database is not
// the one that was opened (ErrReplaced).
func (s *Store) Update(ctx context.Context, fn func(*Writer) error) error {
	return s.updateAny(ctx, func(w *Writer) error {
		if err := w.stillOurs(); err != nil {
			return fmt.Errorf("cannot begin writing to the store: %w", err)
		}
		return fn(w)
	})
}

// updateAny is Update for whichever database is there.
func (s *Store) updateAny(ctx context.Context, fn func(*Writer) error) (err error) {
	for range attempts {
		if err = s.update(ctx, fn); err == nil || !s.engine.again(err) {
			break
		}
	}
	return err
}

func (s *Store) update(ctx context.Context, fn func(*Writer) error) error {
	tx, err := s.engine.update(ctx)
	if err != nil {
		return fmt.Errorf("cannot begin writing to the store: %w", err)
	}
	defer tx.rollback()
	// Statements are short. A context that ends rolls the transaction back; that
	// each of them watches it, too, costs a goroutine each.
	ctx = context.WithoutCancel(ctx)
	w := &Writer{Reader: Reader{All(), ctx, tx, s}, streams: map[string]int64{}, tallies: map[source]tally{},
		issuers: map[string]origin{}, coupons: map[int64]Document{}, brought: map[bringer]Document{}, months: map[monthOf]bool{}, sums: newSums()}
	if err := fn(w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("cannot write to the store: %w", err)
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("cannot commit to the store: %w", err)
	}
	return nil
}

// Packed is a body ready to be stored, made outside of any transaction.
type Packed struct {
	SHA256 [sha256.Size]byte
	Size   int
	zip    []byte
}

// Pack hashes and compresses raw.
func (s *Store) Pack(raw []byte) Packed {
	return Packed{sha256.Sum256(raw), len(raw), s.zip.EncodeAll(raw, nil)}
}

// unpack restores a stored body and proves that it is what was stored.
func (s *Store) unpack(zip, hash []byte) ([]byte, error) {
	raw, err := s.unzip.DecodeAll(zip, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot unpack a stored body: %w", err)
	}
	if sum := sha256.Sum256(raw); string(sum[:]) != string(hash) {
		return nil, fmt.Errorf("a stored body is damaged: its hash is not %x", hash)
	}
	return raw, nil
}
