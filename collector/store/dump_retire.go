package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrInUse reports a store that a collector has open.
var ErrInUse = errors.New("um coletor ou outro comando está usando este banco: pare o serviço e tente de novo")

// Retire calls fn with all of a store that nobody has open (ErrInUse), nor can open
// until it ends. When fn returns nil the store has lost its epoch: to one that is put
// to use again after all, agents send again what they still hold.
func Retire(ctx context.Context, address string, fn func(*Dump) error) error {
	db, tx, err := claim(ctx, address)
	if db != nil {
		defer db.Close()
	}
	if err != nil {
		return fmt.Errorf("cannot have the store %s alone: %w", withoutPassword(address), err)
	}
	defer tx.rollback()
	d, err := newDump(ctx, tx)
	if err != nil {
		return err
	}
	if err := fn(d); err != nil {
		return err
	}
	if _, err = tx.exec(ctx, `DELETE FROM meta WHERE name = 'epoch'`, nil); err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot take its epoch from the store %s: %w", withoutPassword(address), err)
	}
	return nil
}

func claim(ctx context.Context, address string) (*sql.DB, transaction, error) {
	if isPostgres(address) {
		return claimPostgres(ctx, address)
	}
	if _, err := os.Stat(address); err != nil {
		return nil, nil, err
	}
	name, err := dataSource(address)
	if err != nil {
		return nil, nil, err
	}
	// Who has the file open in WAL mode keeps others from ending that mode.
	db, err := sql.Open("sqlite", name+"_busy_timeout=0&_journal_mode=DELETE&_synchronous=FULL&_txlock=exclusive")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	tx, err := beginSQLite(ctx, db)
	var busy *driver.Error
	if errors.As(err, &busy) && busy.Code()&0xFF == sqlite3.SQLITE_BUSY {
		err = ErrInUse
	}
	return db, tx, err
}

// claimPostgres waits for the writers' lock, which whoever opens the store needs, too.
func claimPostgres(ctx context.Context, address string) (*sql.DB, transaction, error) {
	db, err := openPool(address, nil)
	if err != nil {
		return nil, nil, err
	}
	tx, err := (&postgres{write: db}).update(ctx)
	if err != nil {
		return db, nil, err
	}
	others := 0
	err = eachRow(ctx, tx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND application_name = '`+sessionSettings["application_name"]+`'`, func(s scanner) error { return s.Scan(&others) })
	if err == nil && others > 0 {
		err = ErrInUse
	}
	if err != nil {
		tx.rollback()
		return db, nil, err
	}
	return db, tx, nil
}
