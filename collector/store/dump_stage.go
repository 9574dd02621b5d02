package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/pressly/goose/v3"
)

// Why a store is not made of a dump. Their texts are for people, in pt-BR.
var (
	ErrNotEmpty = errors.New("já há dados neste banco, e nada é gravado por cima: use um banco novo")
	ErrNewer    = errors.New("os dados são de uma versão mais nova do programa: atualize o zelo-collector deste computador")
	ErrDiffers  = errors.New("o que ficou no banco não é o que foi lido")
)

// Stage is a store being made of a dump, apart from its place: a file beside it, or
// a schema of the same database. Nothing is in the place until Publish.
type Stage struct {
	address string
	engine  stageEngine
	db      *sql.DB
	tx      transaction
	decode  cbor.DecMode
	known   []table

	table table
	given Tallies // as they came
	kept  Tallies // as the engine keeps them
	batch [][]any
	bytes int

	renewed time.Time // zero: it goes on where its source ended
	once    []string  // commands that must not be repeated
}

// stageEngine is what differs between engines.
type stageEngine interface {
	// prepare makes the apart place, empty, and opens it.
	prepare(ctx context.Context) (*sql.DB, *goose.Provider, error)
	begin(ctx context.Context, db *sql.DB) (transaction, error)
	// keeps is what the engine makes of values.
	keeps(values []any) []any
	insert(ctx context.Context, tx transaction, t table, rows [][]any) error
	// goOn lets new ids continue above those that are there.
	goOn(ctx context.Context, tx transaction) error
	apart() string // the place's address
	publish(ctx context.Context) error
	discard(ctx context.Context) error
}

// NewStage begins to make a store at an address, where nothing may be yet, with the
// tables of a version. It fails with ErrNotEmpty, ErrNewer or ErrRefused.
func NewStage(ctx context.Context, address string, schema int64) (_ *Stage, err error) {
	s := &Stage{address: address}
	if isPostgres(address) {
		s.engine = &postgresStage{address: address, engine: &postgres{partitions: map[slot]bool{otherSlot: true}}}
	} else {
		s.engine = &sqliteStage{path: address}
	}
	if s.decode, err = rowReader(); err == nil {
		err = s.open(ctx, schema)
	}
	if errors.Is(err, ErrNotEmpty) {
		return nil, fmt.Errorf("%s: %w", withoutPassword(address), err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a store at %s: %w", withoutPassword(address), err), s.Discard(ctx))
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context, schema int64) error {
	db, p, err := s.engine.prepare(ctx)
	s.db = db
	if err != nil {
		return err
	}
	list := p.ListSources()
	if newest := list[len(list)-1].Version; schema > newest || schema < 1 {
		return fmt.Errorf("%w (tabelas %d, este programa conhece até %d)", ErrNewer, schema, newest)
	}
	if _, err := p.UpTo(ctx, schema); err != nil {
		return err
	}
	if s.tx, err = s.engine.begin(ctx, db); err != nil {
		return err
	}
	if s.known, err = s.tx.tables(ctx); err != nil {
		return err
	}
	for _, t := range s.known { // rows that come with the tables
		filled := false
		err := eachRow(ctx, s.tx, `SELECT EXISTS (SELECT 1 FROM "`+t.name+`")`, func(s scanner) error { return s.Scan(&filled) })
		if err == nil && filled {
			_, err = s.tx.exec(ctx, `DELETE FROM "`+t.name+`"`, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Fill puts in what give writes to the sink, compares it with what give says it was,
// reads it all back and compares again (ErrDiffers).
func (s *Stage) Fill(ctx context.Context, give func(Sink) (Tallies, error)) error {
	want, err := give(filler{ctx, s})
	if err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if t := want.Differ(s.given); t != "" {
		return fmt.Errorf("%w: a tabela %s chegou diferente de como saiu", ErrDiffers, t)
	}
	d, err := newDump(ctx, s.tx)
	if err != nil {
		return err
	}
	found, err := d.Write(new(Tallies))
	if err != nil {
		return err
	}
	if t := s.kept.Differ(found); t != "" {
		return fmt.Errorf("%w: a tabela %s", ErrDiffers, t)
	}
	return s.engine.goOn(ctx, s.tx)
}

// filler is the stage as a sink.
type filler struct {
	ctx context.Context
	s   *Stage
}

// Bounds of what is inserted at once.
const (
	batchRows  = 2000
	batchBytes = 4 << 20
)

// Table begins a table, which this version must have with the same columns.
func (f filler) Table(name string, columns []string) error {
	s := f.s
	if err := s.flush(f.ctx); err != nil {
		return err
	}
	i := slices.IndexFunc(s.known, func(t table) bool { return t.name == name && slices.Equal(t.columns, columns) })
	if i < 0 {
		return fmt.Errorf("cannot take the table %q: this version has no such table, or it has other columns", name)
	}
	s.table = s.known[i]
	return errors.Join(s.given.Table(name, columns), s.kept.Table(name, columns))
}

// Row takes a row of that table.
func (f filler) Row(row []byte) error {
	s := f.s
	if err := s.given.Row(row); err != nil {
		return err
	}
	var values []any
	err := s.decode.Unmarshal(row, &values)
	if err == nil && len(values) != len(s.table.columns) {
		err = fmt.Errorf("it has %d values", len(values))
	}
	if err != nil {
		return fmt.Errorf("cannot read a row of the table %s: %w", s.table.name, err)
	}
	if kept := s.engine.keeps(values); !slices.EqualFunc(kept, values, sameText) {
		if row, err = encodeRow(kept); err != nil {
			return err
		}
		values = kept
	}
	if err := s.kept.Row(row); err != nil {
		return err
	}
	s.batch, s.bytes = append(s.batch, values), s.bytes+len(row)
	if len(s.batch) >= batchRows || s.bytes >= batchBytes {
		return s.flush(f.ctx)
	}
	return nil
}

func sameText(a, b any) bool {
	one, is := a.(string)
	other, _ := b.(string)
	return !is || one == other
}

func (s *Stage) flush(ctx context.Context) error {
	if len(s.batch) == 0 {
		return nil
	}
	if err := s.engine.insert(ctx, s.tx, s.table, s.batch); err != nil {
		return fmt.Errorf("cannot fill the table %s: %w", s.table.name, err)
	}
	clear(s.batch)
	s.batch, s.bytes = s.batch[:0], 0
	return nil
}

// Renew makes it a store that lives on from an earlier day: without anybody signed in or
// on the way to be, and with no command left to be sent again of those that must be done
// once. What was done since that day nobody knows here.
func (s *Stage) Renew(ctx context.Context, once []string, now time.Time) error {
	for _, q := range []string{`DELETE FROM sessions`, `DELETE FROM links`} {
		if _, err := s.tx.exec(ctx, q, nil); err != nil {
			return fmt.Errorf("cannot make it a store of its own: %w", err)
		}
	}
	s.renewed, s.once = now, once
	return nil
}

// Publish brings the tables up to date and puts the store in its place, on disk. It has
// an epoch of its own, which lets agents send again what they still hold (see Inherit).
func (s *Stage) Publish(ctx context.Context) error {
	_, err := s.tx.exec(ctx, `DELETE FROM meta WHERE name = 'epoch'`, nil)
	if err == nil {
		err = s.tx.commit(ctx)
	}
	s.tx.rollback() // gives its connection back
	if err = errors.Join(err, s.db.Close(), ctx.Err()); err != nil {
		return fmt.Errorf("cannot write the new store: %w", err)
	}
	made, err := Open(ctx, s.engine.apart())
	if err == nil && !s.renewed.IsZero() {
		err = made.Update(ctx, func(w *Writer) error { return w.endUncertain(s.once, s.renewed) })
	}
	if made != nil {
		err = errors.Join(err, made.Close())
	}
	if err == nil {
		err = s.engine.publish(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot put the new store in its place: %w", err)
	}
	return nil
}

// Discard takes away what Publish has not put in its place.
func (s *Stage) Discard(ctx context.Context) error {
	if s.tx != nil {
		s.tx.rollback()
	}
	if s.db != nil {
		s.db.Close()
	}
	return s.engine.discard(context.WithoutCancel(ctx))
}

// sqliteStage is a file beside its place.
type sqliteStage struct {
	path string
	mine bool // the file beside it is ours
}

func (e *sqliteStage) apart() string { return e.path + ".parcial" }

func (e *sqliteStage) prepare(ctx context.Context) (*sql.DB, *goose.Provider, error) {
	for _, end := range []string{"", "-wal", "-journal"} {
		switch _, err := os.Lstat(e.path + end); {
		case err == nil:
			return nil, nil, ErrNotEmpty
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, err
		}
	}
	e.mine = true
	if err := e.discard(ctx); err != nil {
		return nil, nil, err
	}
	name, err := dataSource(e.apart())
	if err != nil {
		return nil, nil, err
	}
	// A file that is thrown away when anything fails needs no journal.
	db, err := sql.Open("sqlite", name+"_journal_mode=OFF&_synchronous=OFF&_txlock=immediate&_pragma=cache_size(-65536)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	p, err := migrator(db, goose.DialectSQLite3, "sqlite")
	return db, p, err
}

func (e *sqliteStage) begin(ctx context.Context, db *sql.DB) (transaction, error) {
	return beginSQLite(ctx, db)
}

func (e *sqliteStage) keeps(values []any) []any { return values }

func (e *sqliteStage) insert(ctx context.Context, tx transaction, t table, rows [][]any) error {
	marks := make([]string, len(t.columns))
	for i := range marks {
		marks[i] = fmt.Sprint("$", i+1)
	}
	id := t.at(documentRef)
	if t.name == "documents" {
		id = t.at("id")
	}
	query := `INSERT INTO "` + t.name + `" ("` + strings.Join(t.columns, `", "`) + `") VALUES (` + strings.Join(marks, ", ") + `)`
	for _, row := range rows {
		if id >= 0 {
			number, _ := row[id].(int64)
			row[id] = number & (1<<slotShift - 1)
		}
		if _, err := tx.exec(ctx, query, row); err != nil {
			return err
		}
	}
	return nil
}

// goOn: SQLite gives the number after the largest.
func (e *sqliteStage) goOn(context.Context, transaction) error { return nil }

func (e *sqliteStage) publish(context.Context) error {
	if err := syncPath(e.apart()); err != nil {
		return err
	}
	if err := os.Rename(e.apart(), e.path); err != nil {
		return err
	}
	e.mine = false
	return syncPath(filepath.Dir(e.path))
}

// syncPath waits until a file or a folder is on disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (e *sqliteStage) discard(context.Context) error {
	var errs []error
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if !e.mine {
			break
		}
		if err := os.Remove(e.apart() + end); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
