package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Sink takes a dump: each table with its columns, then the rows of that table.
type Sink interface {
	Table(name string, columns []string) error
	// Row takes one row, a CBOR array (RFC 8949) of integers, floats, texts, bytes
	// and nulls in the order of the columns. It may keep it.
	Row(row []byte) error
}

// A dump is the same whatever the engine: columns are in the order of their names,
// and ids of documents have their month in them, as PostgreSQL keeps them. SQLite
// keeps the number below it alone. In any table the column document_id is such an id.
const documentRef = "document_id"

// Tally says what a table of a dump held.
type Tally struct {
	Table string
	Rows  int64
	Sum   [sha256.Size]byte // of the rows' SHA-256, modulo 2^256: engines keep rows in different orders
}

func (t *Tally) add(row []byte) {
	h := sha256.Sum256(row)
	carry := uint64(0)
	for i := len(h) - 8; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(t.Sum[i:]), binary.BigEndian.Uint64(h[i:]), carry)
		binary.BigEndian.PutUint64(t.Sum[i:], sum)
	}
	t.Rows++
}

// Tallies is a Sink that counts what it is given. Its zero value is ready.
type Tallies []Tally

// Table begins a table.
func (t *Tallies) Table(name string, _ []string) error {
	*t = append(*t, Tally{Table: name})
	return nil
}

// Row counts a row of the table begun last.
func (t *Tallies) Row(row []byte) error {
	if len(*t) == 0 {
		return fmt.Errorf("a row before any table")
	}
	(*t)[len(*t)-1].add(row)
	return nil
}

// Total is the number of rows of all tables.
func (t Tallies) Total() (rows int64) {
	for _, one := range t {
		rows += one.Rows
	}
	return rows
}

// Differ names a table of which two dumps disagree, "" when they hold the same.
func (t Tallies) Differ(other Tallies) string {
	of := map[string]Tally{}
	for _, one := range other {
		of[one.Table] = one
	}
	for _, one := range t {
		if of[one.Table] != one {
			return one.Table
		}
		delete(of, one.Table)
	}
	for name := range of {
		return name
	}
	return ""
}

// table is one of the schema.
type table struct {
	name    string
	columns []string // in the order of their names
	about   int64    // rows, estimated
}

func (t table) at(column string) int { return slices.Index(t.columns, column) }

// Dump is one state of a store, all of it.
type Dump struct {
	Schema int64 // number of the last migration
	About  int64 // rows, estimated
	tx     transaction
	ctx    context.Context
	tables []table
}

// Dump calls fn with the store's state at this moment. Others read and write on.
func (s *Store) Dump(ctx context.Context, fn func(*Dump) error) error {
	return s.View(ctx, All(), func(r *Reader) error {
		d, err := newDump(ctx, r.tx)
		if err != nil {
			return err
		}
		return fn(d)
	})
}

func newDump(ctx context.Context, tx transaction) (d *Dump, err error) {
	d = &Dump{tx: tx, ctx: ctx}
	if d.tables, err = tx.tables(ctx); err != nil {
		return nil, fmt.Errorf("cannot read which tables the store has: %w", err)
	}
	for _, t := range d.tables {
		d.About += max(0, t.about)
	}
	err = eachRow(ctx, tx, `SELECT max(version_id) FROM goose_db_version`, func(s scanner) error { return s.Scan(&d.Schema) })
	if err != nil {
		return nil, fmt.Errorf("cannot read the version of the store's tables: %w", err)
	}
	return d, nil
}

func eachRow(ctx context.Context, tx transaction, query string, do func(scanner) error) error {
	rows, err := tx.query(ctx, query, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Write gives everything to a sink and says what that was.
func (d *Dump) Write(to Sink) (Tallies, error) {
	var all Tallies
	for _, t := range d.tables {
		all.Table(t.name, t.columns)
		if err := to.Table(t.name, t.columns); err != nil {
			return nil, err
		}
		err := d.rows(t, func(row []byte) error {
			all.Row(row)
			return to.Row(row)
		})
		if err != nil {
			return nil, fmt.Errorf("cannot copy the table %s: %w", t.name, err)
		}
	}
	return all, nil
}

// rows gives each row of a table as it stands in a dump.
func (d *Dump) rows(t table, give func(row []byte) error) error {
	what := `t."` + strings.Join(t.columns, `", t."`) + `"`
	_, bare := d.tx.(*sqliteTx)
	id := -1 // place of a document's id that lacks its month
	switch {
	case bare && t.name == "documents":
		id, what = t.at("id"), what+", t.key"
	case bare && t.at(documentRef) >= 0:
		id, what = t.at(documentRef), what+", (SELECT d.key FROM documents d WHERE d.id = t."+documentRef+")"
	}
	n := len(t.columns)
	values, places := make([]any, n+1), make([]any, n, n+1)
	for i := range places {
		places[i] = &values[i]
	}
	if id >= 0 {
		places = append(places, &values[n])
	}
	return eachRow(d.ctx, d.tx, `SELECT `+what+` FROM "`+t.name+`" t`, func(s scanner) error {
		if err := s.Scan(places...); err != nil {
			return err
		}
		if id >= 0 {
			key, _ := values[n].(string)
			number, _ := values[id].(int64)
			values[id] = int64(slotOf(key))<<slotShift | number
		}
		row, err := encodeRow(values[:n])
		if err != nil {
			return err
		}
		return give(row)
	})
}

// encodeRow makes a row of values. Empty bytes are not null.
func encodeRow(values []any) ([]byte, error) {
	for i, v := range values {
		if b, ok := v.([]byte); ok && b == nil {
			values[i] = []byte{}
		}
	}
	return cbor.Marshal(values)
}

// rowReader takes texts as they are: a file's name may be no UTF-8.
func rowReader() (cbor.DecMode, error) {
	return cbor.DecOptions{IntDec: cbor.IntDecConvertSignedOrFail, UTF8: cbor.UTF8DecodeInvalid, MaxNestedLevels: 4}.DecMode()
}

func (t *sqliteTx) tables(ctx context.Context) ([]table, error) {
	out, err := tablesOf(ctx, t, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND m.name <> 'goose_db_version' ORDER BY 1, 2`)
	for i := range out { // one without row ids is not estimated
		eachRow(ctx, t, `SELECT coalesce(max(rowid), 0) FROM "`+out[i].name+`"`, func(s scanner) error { return s.Scan(&out[i].about) })
	}
	return out, err
}

// Partitions are not listed: their rows are those of their table.
func (t *postgresTx) tables(ctx context.Context) ([]table, error) {
	out, err := tablesOf(ctx, t, `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND c.relname <> 'goose_db_version' AND a.attnum > 0 AND NOT a.attisdropped
		AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
		ORDER BY c.relname COLLATE "C", a.attname COLLATE "C"`)
	for i := range out {
		if err == nil {
			err = eachRow(ctx, t, fmt.Sprintf(`SELECT coalesce(sum(reltuples), 0)::bigint FROM pg_class WHERE relkind = 'r' AND reltuples > 0
				AND (oid = '"%[1]s"'::regclass OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = '"%[1]s"'::regclass))`, out[i].name), func(s scanner) error { return s.Scan(&out[i].about) })
		}
	}
	return out, err
}

// tablesOf makes tables of a list of their names and columns, in order.
func tablesOf(ctx context.Context, tx transaction, query string) (out []table, err error) {
	err = eachRow(ctx, tx, query, func(s scanner) error {
		var name, column string
		if err := s.Scan(&name, &column); err != nil {
			return err
		}
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, table{name: name})
		}
		out[len(out)-1].columns = append(out[len(out)-1].columns, column)
		return nil
	})
	return out, err
}
