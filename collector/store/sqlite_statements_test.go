package store

import (
	"database/sql"
	"fmt"
	"testing"
)

// countTo reads the numbers up to n by one statement and, when it is asked to, within that
// by the same statement again.
func countTo(t *testing.T, tx *sql.Tx, n int, again bool) (rows int) {
	t.Helper()
	stmt, err := tx.Prepare(`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $1) SELECT i FROM c`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := stmt.Query(n)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for list.Next() {
		if rows++; rows == 2 && again && countTo(t, tx, 3, false) != 3 {
			t.Error("the statement within the statement reads something else")
		}
	}
	if list.Err() != nil {
		t.Error(list.Err())
	}
	return rows
}

// TestStatementsLast: a connection compiles a statement once for all transactions, gives
// none out twice at a time, and keeps a bounded number of them.
func TestStatementsLast(t *testing.T) {
	ctx := t.Context()
	db, err := openSQLite(fmt.Sprintf("file:%s/s.db?", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	look := func(fn func(map[string]*lasting)) {
		t.Helper()
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Raw(func(c any) error { fn(c.(*keeper).statements); return nil })
	}
	var first *lasting
	for round := range 3 {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := countTo(t, tx, 5, true); n != 5 {
			t.Errorf("%d rows, want 5", n)
		}
		tx.Rollback()
		look(func(all map[string]*lasting) {
			for _, s := range all {
				if len(all) != 1 || s.taken || round > 0 && s != first {
					t.Errorf("round %d: %d statements, taken: %v, the same: %v", round, len(all), s.taken, s == first)
				}
				first = s
			}
		})
	}
	for i := range 2 * mostKept {
		stmt, err := db.Prepare(fmt.Sprintf("SELECT %d", i))
		if err != nil {
			t.Fatal(err)
		}
		stmt.Close()
	}
	look(func(all map[string]*lasting) {
		if len(all) != mostKept {
			t.Errorf("%d statements are kept, want %d", len(all), mostKept)
		}
	})
}
