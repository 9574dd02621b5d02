package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrInUse reports a store that a collector has open.
var ErrInUse = errors.New("um coletor ou outro comando está usando este banco: pare o serviço e tente de novo")

// Retire calls fn with all of a store that nobody has open (ErrInUse), nor can open
// until it ends. When fn returns nil the store has lost its epoch, which is returned: to
// one that is put to use again after all, agents send again what they still hold.
func Retire(ctx context.Context, address string, fn func(*Dump) error) (epoch [16]byte, err error) {
	db, tx, err := claim(ctx, address)
	if db != nil {
		defer db.Close()
	}
	if err != nil {
		return epoch, fmt.Errorf("cannot have the store %s alone: %w", withoutPassword(address), err)
	}
	defer tx.rollback()
	d, err := newDump(ctx, tx)
	if err != nil {
		return epoch, err
	}
	if epoch, err = (&Reader{ctx: ctx, tx: tx}).readEpoch(); err != nil && !errors.Is(err, ErrNotFound) {
		return epoch, err
	}
	if err := fn(d); err != nil {
		return epoch, err
	}
	if _, err = tx.exec(ctx, `DELETE FROM meta WHERE name = 'epoch'`, nil); err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		return epoch, fmt.Errorf("cannot take its epoch from the store %s: %w", withoutPassword(address), err)
	}
	return epoch, nil
}

// Inherit gives a store that nobody has used yet the epoch that another one lost to it
// (Retire), so that agents have nothing to send again. Not before: of two stores that
// go on under one epoch, neither gets what the other acknowledged. Of a store that had
// lost its epoch before there is none to give.
func Inherit(ctx context.Context, address string, epoch [16]byte) error {
	if epoch == [16]byte{} {
		return nil
	}
	s, err := Open(ctx, address)
	if err != nil {
		return err
	}
	err = s.Update(ctx, func(w *Writer) error {
		return w.exec(`UPDATE meta SET value = $1 WHERE name = 'epoch'`, hex.EncodeToString(epoch[:]))
	})
	return errors.Join(err, s.Close())
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
	if err := alone(ctx, tx); err != nil {
		tx.rollback()
		return db, nil, err
	}
	return db, tx, nil
}

// partingTime is for how long a server may count a connection that was closed.
const partingTime = 2 * time.Second

// alone waits until the database has no other connection of ours; ErrInUse when it goes on
// having one.
func alone(ctx context.Context, tx transaction) error {
	for begun := time.Now(); ; {
		others := 0
		err := eachRow(ctx, tx, `SELECT count(*) FROM pg_stat_activity, pg_stat_clear_snapshot() WHERE datname = current_database()
			AND pid <> pg_backend_pid() AND application_name = '`+sessionSettings["application_name"]+`'`, func(s scanner) error { return s.Scan(&others) })
		switch {
		case err != nil || others == 0:
			return err
		case time.Since(begun) >= partingTime:
			return ErrInUse
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(partingTime / 40):
		}
	}
}
