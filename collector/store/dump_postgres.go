package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// apartSchema is where a store is made. Nobody else looks there, and what a process
// that died left in it goes with the next one.
const apartSchema = "zelo_parcial"

// postgresStage is a schema of the database that the store is to be in.
type postgresStage struct {
	address string
	engine  *postgres
	mine    bool // the schema is ours
}

func (e *postgresStage) apart() string {
	u, err := url.Parse(e.address)
	if err != nil {
		return e.address // refused when it is opened
	}
	q := u.Query()
	q.Set("search_path", apartSchema)
	u.RawQuery = q.Encode()
	return u.String()
}

// ours are the relations of a schema that no extension brought.
const ours = `FROM pg_class c WHERE c.relnamespace = %s AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')`

func (e *postgresStage) prepare(ctx context.Context) (_ *sql.DB, _ *goose.Provider, err error) {
	if e.engine.read, err = openPool(e.address, nil); err != nil {
		return nil, nil, err
	}
	defer e.engine.read.Close()
	if err := e.engine.check(ctx); err != nil {
		return nil, nil, err
	}
	there := 0
	if err := e.engine.read.QueryRowContext(ctx, `SELECT count(*) `+fmt.Sprintf(ours, `current_schema()::regnamespace`)).Scan(&there); err != nil {
		return nil, nil, err
	}
	if there > 0 {
		return nil, nil, ErrNotEmpty
	}
	e.mine = true
	if err := e.discard(ctx); err != nil {
		return nil, nil, err
	}
	if _, err := e.engine.read.ExecContext(ctx, `CREATE SCHEMA `+apartSchema); err != nil {
		return nil, nil, err
	}
	if e.engine.write, err = openPool(e.apart(), nil); err != nil {
		return nil, nil, err
	}
	p, err := migrator(e.engine.write, goose.DialectPostgres, "postgres")
	return e.engine.write, p, err
}

func (e *postgresStage) begin(ctx context.Context, _ *sql.DB) (transaction, error) {
	return e.engine.update(ctx)
}

func (e *postgresStage) keeps(values []any) []any { return plain(values) }

func (e *postgresStage) insert(ctx context.Context, tx transaction, t table, rows [][]any) error {
	ptx := tx.(*postgresTx)
	if t.name == "documents" {
		for _, row := range rows {
			key, _ := row[t.at("key")].(string)
			if err := ptx.partition(ctx, slotOf(key)); err != nil {
				return err
			}
		}
	}
	return ptx.conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(rows))
		return err
	})
}

// goOn: identities follow their columns, and documents_id the ids of documents.
func (e *postgresStage) goOn(ctx context.Context, tx transaction) error {
	set := []string{fmt.Sprintf(`SELECT setval('documents_id', max(id & %d)) FROM documents HAVING count(*) > 0`, int64(1)<<slotShift-1)}
	err := eachRow(ctx, tx, `SELECT format('SELECT setval(%L, max(%I)) FROM %I HAVING count(*) > 0', pg_get_serial_sequence(quote_ident(c.relname), a.attname), a.attname, c.relname)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND a.attidentity <> '' AND c.relname <> 'goose_db_version'`, func(s scanner) error {
		set = append(set, "")
		return s.Scan(&set[len(set)-1])
	})
	for _, q := range set {
		if err == nil {
			_, err = tx.exec(ctx, q, nil)
		}
	}
	return err
}

// publish moves everything from the schema apart to that of the address, at once.
func (e *postgresStage) publish(ctx context.Context) error {
	db, err := openPool(e.address, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var moves []string
	rows, err := tx.QueryContext(ctx, `SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass `+
		fmt.Sprintf(ours, `'`+apartSchema+`'::regnamespace`)+` AND (relkind IN ('r', 'p')
			OR relkind = 'S' AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
		UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc WHERE pronamespace = '`+apartSchema+`'::regnamespace`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			return err
		}
		moves = append(moves, what)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var place string
	if err := tx.QueryRowContext(ctx, `SELECT quote_ident(current_schema())`).Scan(&place); err != nil {
		return err
	}
	for i, what := range moves {
		moves[i] = `ALTER ` + what + ` SET SCHEMA ` + place
	}
	for _, q := range append(moves, `DROP SCHEMA `+apartSchema) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	e.mine = false
	return nil
}

func (e *postgresStage) discard(ctx context.Context) error {
	if !e.mine {
		return nil
	}
	db, err := openPool(e.address, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `DROP SCHEMA IF EXISTS `+apartSchema+` CASCADE`)
	return err
}
