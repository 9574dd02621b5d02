package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// ErrRefused reports a PostgreSQL server that must not hold fiscal documents as it
// is set up. The error's text says why and what to do, in pt-BR.
var ErrRefused = errors.New("o banco PostgreSQL não pode ser usado assim")

// postgres is a PostgreSQL database, which several collectors may share. Updates
// hold one advisory lock from their beginning to their end: what an Update reads
// stays true until it commits, as with a file's single writer, and Updates neither
// fail for each other nor deadlock.
type postgres struct {
	write *sql.DB // one connection: this process's writers queue here
	read  *sql.DB

	mu         sync.Mutex
	partitions map[slot]bool // certainly there
}

// The advisory locks of a database are named by two numbers: ours is the first.
const (
	ourLocks   = 0x7a656c6f
	writerLock = "writer"
	tablesLock = "tables"
)

func lockNumber(name string) int32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int32(h.Sum32())
}

// Settings of all sessions, and of writers' alone. Plans serve any values: planning
// anew over all partitions costs more than it gains. Writers look up by keys, also
// with a plan made while a table was empty. A collector that vanished gives its locks
// back within a minute, its writer's as well as its leads.
var (
	sessionSettings = map[string]string{"application_name": "zelo-collector", "jit": "off", "plan_cache_mode": "force_generic_plan",
		"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
	readerSettings = map[string]string{"default_transaction_read_only": "on"}
	writerSettings = map[string]string{"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
		"idle_in_transaction_session_timeout": "60000"}
)

func isPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// withoutPassword is an address as it may be shown.
func withoutPassword(address string) string {
	if !isPostgres(address) {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "postgres://?"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (e *postgres) open(ctx context.Context, address string) (err error) {
	if e.read, err = openPool(address, readerSettings); err != nil {
		return err
	}
	// A connection that knows the partitions and has its plans is worth keeping.
	e.read.SetMaxOpenConns(4 + 2*runtime.GOMAXPROCS(0))
	e.read.SetMaxIdleConns(4 + 2*runtime.GOMAXPROCS(0))
	e.read.SetConnMaxIdleTime(10 * time.Minute)
	if e.write, err = openPool(address, writerSettings); err != nil {
		return err
	}
	e.write.SetMaxOpenConns(1)
	if err := e.check(ctx); err != nil {
		return err
	}
	// Collectors that start together make the tables one after the other.
	conn, err := e.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1, $2)`, ourLocks, lockNumber(tablesLock)); err != nil {
		return err
	}
	defer unlock(ctx, conn, tablesLock)
	if err := migrate(ctx, e.write, goose.DialectPostgres, "postgres"); err != nil {
		return err
	}
	return e.prepareMonths(ctx, time.Now())
}

func openPool(address string, settings map[string]string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err // names no password
	}
	for _, list := range []map[string]string{sessionSettings, settings} {
		for name, value := range list {
			config.RuntimeParams[name] = value
		}
	}
	return stdlib.OpenDB(*config), nil
}

// oldest is the oldest server that is taken.
const oldest = 14

// check refuses a server that may lose what it committed, and one that is not known
// to work.
func (e *postgres) check(ctx context.Context) error {
	var version int
	var fsync, commit, encoding string
	err := e.read.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int / 10000, current_setting('fsync'),
		current_setting('synchronous_commit'), (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database())`).
		Scan(&version, &fsync, &commit, &encoding)
	if err != nil {
		return err
	}
	return refuse(version, fsync, commit, encoding)
}

func refuse(version int, fsync, commit, encoding string) error {
	switch {
	case version < oldest:
		return fmt.Errorf("%w: ele é da versão %d; instale a %d ou mais nova", ErrRefused, version, oldest)
	case fsync != "on":
		return fmt.Errorf("%w: com fsync desligado uma queda de energia perde cupons já confirmados; escreva fsync = on no postgresql.conf e reinicie o servidor", ErrRefused)
	case commit == "off":
		return fmt.Errorf("%w: com synchronous_commit desligado uma queda perde cupons já confirmados; escreva synchronous_commit = on no postgresql.conf e recarregue-o (veja também ALTER DATABASE e ALTER ROLE)", ErrRefused)
	case encoding != "UTF8":
		return fmt.Errorf("%w: ele está em %s; crie outro com CREATE DATABASE zelo ENCODING 'UTF8' TEMPLATE template0", ErrRefused, encoding)
	}
	return nil
}

func (e *postgres) view(ctx context.Context) (transaction, error) {
	return e.begin(ctx, e.read, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// update waits for the writers' lock. Each statement sees what was committed before
// it, so all of them what the lock's last holder did.
func (e *postgres) update(ctx context.Context) (transaction, error) {
	t, err := e.begin(ctx, e.write, nil)
	if err != nil {
		return nil, err
	}
	// A server set up anew while we run must not take documents either.
	var fsync, commit string
	err = t.tx.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit') FROM pg_advisory_xact_lock($1, $2)`,
		ourLocks, lockNumber(writerLock)).Scan(&fsync, &commit)
	if err == nil {
		err = refuse(oldest, fsync, commit, "UTF8")
	}
	if err != nil {
		t.rollback()
		return nil, err
	}
	return t, nil
}

func (e *postgres) begin(ctx context.Context, pool *sql.DB, options *sql.TxOptions) (*postgresTx, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, options)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &postgresTx{e: e, conn: conn, tx: tx}, nil
}

// again: the server ends a transaction that cannot be serialized, or one of those
// that wait for each other.
func (e *postgres) again(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{"40001", "40P01"}, pg.Code)
}

// lead takes a session's lock, which the server frees when its connection ends.
func (e *postgres) lead(ctx context.Context, name string) (release func(), ok bool, err error) {
	name = "lead " + name
	conn, err := e.read.Conn(ctx)
	if err != nil {
		return nil, false, err
	}
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, $2)`, ourLocks, lockNumber(name)).Scan(&ok)
	if err != nil || !ok {
		return nil, false, errors.Join(err, conn.Close())
	}
	return func() {
		unlock(ctx, conn, name)
		conn.Close()
	}, true, nil
}

// unlock frees a session's lock. A connection that cannot is not used again.
func unlock(ctx context.Context, conn *sql.Conn, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, $2)`, ourLocks, lockNumber(name)); err != nil {
		conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().Close(ctx) })
	}
}

func (e *postgres) close() error { return closePools(e.read, e.write) }

// postgresTx sends statements without a result together with what follows them: one
// way to the server and back for all.
type postgresTx struct {
	e      *postgres
	conn   *sql.Conn
	tx     *sql.Tx
	queued pgx.Batch
	made   []slot // partitions that this transaction made or saw
}

func (t *postgresTx) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if err := t.send(ctx); err != nil {
		return nil, err
	}
	return t.tx.QueryContext(ctx, query, plain(args)...)
}

func (t *postgresTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := t.send(ctx); err != nil {
		return 0, err
	}
	res, err := t.tx.ExecContext(ctx, query, plain(args)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *postgresTx) later(_ context.Context, query string, args []any) error {
	t.queued.Queue(query, plain(args)...)
	return nil
}

// send carries out what was put off.
func (t *postgresTx) send(ctx context.Context) error {
	if t.queued.Len() == 0 {
		return nil
	}
	batch := t.queued
	t.queued = pgx.Batch{}
	return t.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		// A context that ended has rolled the transaction back meanwhile: what is sent
		// now would be committed by itself.
		if conn.PgConn().TxStatus() != inTransaction {
			return sql.ErrTxDone
		}
		return conn.SendBatch(ctx, &batch).Close()
	})
}

// inTransaction is the status of a connection within a transaction that has not
// failed (PostgreSQL documentation, message ReadyForQuery).
const inTransaction = 'T'

func (t *postgresTx) commit(ctx context.Context) error {
	err := t.send(ctx)
	if err == nil {
		err = t.tx.Commit()
	}
	if err == nil {
		t.e.mu.Lock()
		defer t.e.mu.Unlock()
		for _, s := range t.made {
			t.e.partitions[s] = true
		}
	}
	return err
}

func (t *postgresTx) rollback() {
	t.tx.Rollback()
	t.conn.Close()
}
