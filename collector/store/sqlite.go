package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// sqlite is a file in WAL mode with synchronous=FULL. Writers queue for its one
// writing connection, those of other processes for the file's lock.
type sqlite struct {
	write *sql.DB
	read  *sql.DB
}

// Sizes from the performance baseline, section 2: large write-ahead log before a
// checkpoint, and a cache that holds the index pages in use.
const (
	writerPragmas = "&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-65536)&_txlock=immediate"
	readerPragmas = "&_pragma=cache_size(-8192)&_query_only=1"
	commonPragmas = "_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL"
)

func (e *sqlite) open(ctx context.Context, path string) error {
	name, err := dataSource(path)
	if err != nil {
		return err
	}
	if e.write, err = openSQLite(name + commonPragmas + writerPragmas); err != nil {
		return err
	}
	e.write.SetMaxOpenConns(1)
	if err := migrate(ctx, e.write, goose.DialectSQLite3, "sqlite"); err != nil {
		return err
	}
	if e.read, err = openSQLite(name + commonPragmas + readerPragmas); err != nil {
		return err
	}
	e.read.SetMaxOpenConns(2 + 2*runtime.GOMAXPROCS(0))
	e.read.SetMaxIdleConns(2 + runtime.GOMAXPROCS(0))
	e.read.SetConnMaxIdleTime(10 * time.Minute)
	return nil
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

func (e *sqlite) view(ctx context.Context) (transaction, error)   { return beginSQLite(ctx, e.read) }
func (e *sqlite) update(ctx context.Context) (transaction, error) { return beginSQLite(ctx, e.write) }

func (e *sqlite) again(error) bool { return false }

func (e *sqlite) lead(context.Context, string) (release func(), ok bool, err error) {
	return func() {}, true, nil
}

func (e *sqlite) close() error { return closePools(e.read, e.write) }

func closePools(pools ...*sql.DB) error {
	var errs []error
	for _, db := range pools {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// sqliteTx compiles each statement once.
type sqliteTx struct {
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
}

func beginSQLite(ctx context.Context, db *sql.DB) (transaction, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &sqliteTx{tx, map[string]*sql.Stmt{}}, nil
}

func (t *sqliteTx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := t.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	t.prepared[query] = stmt
	return stmt, nil
}

func (t *sqliteTx) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	stmt, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (t *sqliteTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	stmt, err := t.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *sqliteTx) later(ctx context.Context, query string, args []any) error {
	_, err := t.exec(ctx, query, args)
	return err
}

func (t *sqliteTx) addDocuments(w *Writer, list []NewDocument) ([]Added, error) {
	out := make([]Added, len(list))
	for i, d := range list {
		row, err := d.row()
		if err != nil {
			return nil, err
		}
		a := Added{New: true}
		err = w.get(into{&a.ID, &a.only}, `INSERT INTO documents (best, `+newColumns+`)
			VALUES (CASE WHEN EXISTS (SELECT 1 FROM documents WHERE key = $1 AND part = $2 AND issuer = $14) THEN 0 ELSE 1 END,
				$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
				$25, $26, $27, $28, $29)
			ON CONFLICT (key, part, sha256) DO NOTHING RETURNING id, best`, row...)
		if errors.Is(err, ErrNotFound) {
			a.New = false
			err = w.get(into{&a.ID}, `SELECT id FROM documents WHERE key = $1 AND part = $2 AND sha256 = $3`, row[:3]...)
		}
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

func (t *sqliteTx) about(string) string { return "1 = 1" }

func (t *sqliteTx) parts(context.Context) ([]part, error) { return nil, nil }

func (t *sqliteTx) addArrivals(w *Writer, list []Arrival) ([]int, error) {
	out := make([]int, len(list))
	for i, a := range list {
		stream, err := w.stream(a.Record)
		if err != nil {
			return nil, err
		}
		err = w.get(into{&out[i]}, `INSERT INTO arrivals (`+arrivalColumns+`, rivals)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT count(*) FROM arrivals WHERE stream_id = $1 AND seq = $2))
			ON CONFLICT (stream_id, seq, sha256) DO NOTHING RETURNING rivals`, a.row(stream)...)
		if errors.Is(err, ErrNotFound) {
			out[i], err = -1, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *sqliteTx) commit(context.Context) error { return t.tx.Commit() }

func (t *sqliteTx) rollback() { t.tx.Rollback() }
