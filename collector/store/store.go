// Package store keeps what the collector knows: documents with their exact
// bytes, where they came from and what was checked; tills, devices, events,
// alarms, quarantine; enrolment, people and audit. All SQL is here, in files
// named by noun, behind two entrances: View reads, Update writes.
//
// The engine is SQLite in WAL mode with synchronous=FULL: what Update returned
// from is on disk. SQL texts use $1 placeholders and nothing only SQLite has, so
// that they serve PostgreSQL too.
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
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// ErrNotFound reports that what was asked for is not in the store.
var ErrNotFound = errors.New("not found in the store")

//go:embed migrations/*.sql
var migrations embed.FS

// Store is one open database. It is safe for concurrent use, also while another
// process has the same file open.
type Store struct {
	write *sql.DB // one connection: writers queue here
	read  *sql.DB
	epoch [16]byte
	zip   *zstd.Encoder
	unzip *zstd.Decoder
}

// Sizes from the performance baseline, section 2: large write-ahead log before a
// checkpoint, and a cache that holds the index pages in use.
const (
	writerPragmas = "&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-65536)&_txlock=immediate"
	readerPragmas = "&_pragma=cache_size(-8192)&_query_only=1"
	commonPragmas = "_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL"
)

// maxBody bounds what one stored body may unpack to: the largest document and
// the largest wire message are far below.
const maxBody = 32 << 20

// Open opens the database file at path, creating it when it is not there, and
// brings its tables up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	s := &Store{}
	if err := s.open(ctx, path); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	// The fastest level makes coupons 4 % larger than the default one, in less
	// than half the time.
	if s.zip, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20)); err != nil {
		return err
	}
	if s.unzip, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBody)); err != nil {
		return err
	}
	name, err := dataSource(path)
	if err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", name+commonPragmas+writerPragmas); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", name+commonPragmas+readerPragmas); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(2 + 2*runtime.GOMAXPROCS(0))
	return s.Update(ctx, func(w *Writer) error {
		s.epoch, err = w.loadEpoch()
		return err
	})
}

// dataSource is path as the URI the driver takes, ready for parameters.
func dataSource(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	full = filepath.ToSlash(full)
	if !strings.HasPrefix(full, "/") {
		full = "/" + full
	}
	return (&url.URL{Scheme: "file", Path: full}).String() + "?", nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
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

// loadEpoch reads the store's epoch and makes it in a new store.
func (w *Writer) loadEpoch() (epoch [16]byte, err error) {
	text, err := one(&w.Reader, value[string], `SELECT value FROM meta WHERE name = 'epoch'`)
	if errors.Is(err, ErrNotFound) {
		rand.Read(epoch[:])
		return epoch, w.exec(`INSERT INTO meta (name, value) VALUES ('epoch', $1)`, hex.EncodeToString(epoch[:]))
	}
	if err != nil {
		return epoch, err
	}
	if n, err := hex.Decode(epoch[:], []byte(text)); err != nil || n != len(epoch) {
		return epoch, fmt.Errorf("its epoch %q is damaged", text)
	}
	return epoch, nil
}

// Epoch is random per creation of a store: agents send again what they still
// hold when it changes.
func (s *Store) Epoch() [16]byte { return s.epoch }

// Close waits for what is under way and closes the file.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.unzip != nil {
		s.unzip.Close()
	}
	if s.zip != nil {
		s.zip.Close()
	}
	return errors.Join(errs...)
}

// Reader reads one consistent state of the store. It is used by one goroutine
// and only inside the function it was given to; the context is that function's.
type Reader struct {
	ctx      context.Context
	tx       *sql.Tx
	s        *Store
	prepared map[string]*sql.Stmt
}

// Writer also changes the store. What it changed is on disk when Update returns
// nil, and not there at all when it returns an error.
type Writer struct {
	Reader
	streams map[string]int64 // ids by name
	tallies map[string]tally // by device
}

// View calls fn with a Reader.
func (s *Store) View(ctx context.Context, fn func(*Reader) error) error {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin reading the store: %w", err)
	}
	defer tx.Rollback()
	return fn(&Reader{ctx, tx, s, map[string]*sql.Stmt{}})
}

// Update calls fn with a Writer and commits when fn returns nil. Updates run one
// at a time.
func (s *Store) Update(ctx context.Context, fn func(*Writer) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin writing to the store: %w", err)
	}
	defer tx.Rollback()
	// Statements are short. A context that ends rolls the transaction back; that
	// each of them watches it, too, costs a goroutine each.
	w := &Writer{Reader{context.WithoutCancel(ctx), tx, s, map[string]*sql.Stmt{}}, map[string]int64{}, map[string]tally{}}
	if err := fn(w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("cannot write to the store: %w", err)
	}
	if err := tx.Commit(); err != nil {
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
