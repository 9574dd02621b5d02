package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// openSQLite opens a pool of connections that keep what they compile. A transaction's
// statements end with it, and database/sql would have each compiled anew in the next
// one: a third of the collector's time under load.
func openSQLite(name string) (*sql.DB, error) {
	plain, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	defer plain.Close() // nothing is connected yet
	return sql.OpenDB(connector{plain.Driver(), name}), nil
}

type connector struct {
	driver driver.Driver
	name   string
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.driver.Open(c.name)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(connection)
	if !ok {
		opened.Close()
		return nil, fmt.Errorf("cannot use SQLite's driver: its connection is a %T", opened)
	}
	return &keeper{inner, map[string]*lasting{}}, nil
}

// connection is all that database/sql asks of one.
type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// statement is all that database/sql asks of one.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// mostKept is how many statements a connection keeps; there are some hundreds, and more
// for lists of many lengths.
const mostKept = 512

// keeper is a connection with the statements that it has compiled.
type keeper struct {
	connection
	statements map[string]*lasting
}

// lasting is a statement that outlives its closing. One that is taken is not given again.
type lasting struct {
	statement
	taken bool
}

func (s *lasting) Close() error {
	s.taken = false
	return nil
}

// PrepareContext gives what was compiled before, if it is not in use.
func (k *keeper) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s := k.statements[query]
	if s != nil && !s.taken {
		s.taken = true
		return s, nil
	}
	fresh, err := k.connection.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	inner, ok := fresh.(statement)
	if s != nil || !ok {
		return fresh, nil
	}
	if len(k.statements) >= mostKept {
		k.drop()
	}
	s = &lasting{inner, true}
	k.statements[query] = s
	return s, nil
}

// drop gives one statement up that is not in use, whichever comes first.
func (k *keeper) drop() {
	for query, s := range k.statements {
		if !s.taken {
			s.statement.Close()
			delete(k.statements, query)
			return
		}
	}
}

// Close ends the connection and its statements.
func (k *keeper) Close() error {
	for _, s := range k.statements {
		s.statement.Close()
	}
	clear(k.statements)
	return k.connection.Close()
}
