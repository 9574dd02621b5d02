package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// eachEngine runs a test on a new store of each engine.
func eachEngine(t *testing.T, test func(*testing.T, *Store)) {
	eachAddress(t, func(t *testing.T, address string) { test(t, openAt(t, address)) })
}

// eachAddress runs a test with the address of a new database of each engine.
func eachAddress(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "zelo.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, theServer(t).database(t)) })
}

func openAt(t testing.TB, address string) *Store {
	t.Helper()
	s, err := Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// server is a PostgreSQL server of the tests: a folder, a Unix socket, nothing else.
type server struct {
	folder string
	cmd    *exec.Cmd
	admin  *sql.DB
	names  atomic.Int64
}

// started starts the one server of this run, for the first test that needs it;
// TestMain stops it.
var (
	started = sync.OnceValues(startServer)
	running *server
)

func theServer(t testing.TB) *server {
	t.Helper()
	s, err := started()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skip("SKIP: PostgreSQL is not installed; for this test: apt-get install postgresql")
	}
	return s
}

// postgresTools is the folder of the newest server's programs, "" without one.
func postgresTools() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// asServer runs a program of PostgreSQL, which refuses to run as root, as nobody
// then. It ends with this process.
func asServer(name string, args ...string) (*exec.Cmd, error) {
	command := append([]string{"setpriv", "--pdeathsig", "KILL", "--"}, append([]string{filepath.Join(postgresTools(), name)}, args...)...)
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		command = slices.Insert(command, 1, "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd, nil
}

func startServer() (*server, error) {
	if postgresTools() == "" {
		return nil, nil
	}
	folder, err := os.MkdirTemp("", "zelo-pg-")
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder}
	running = s
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("cannot start PostgreSQL: %w", err)
	}
	return s, nil
}

func (s *server) start() error {
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(s.folder, uid, gid); err != nil {
			return err
		}
	}
	data := filepath.Join(s.folder, "data")
	initdb, err := asServer("initdb", "-D", data, "-U", "zelo", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	if err != nil {
		return err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if s.cmd, err = asServer("postgres", "-D", data, "-c", "unix_socket_directories="+s.folder, "-c", "listen_addresses=",
		"-c", "shared_buffers=64MB", "-c", "max_wal_size=1GB"); err != nil {
		return err
	}
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(log)
	for ready := false; !ready; ready = strings.Contains(lines.Text(), "ready to accept connections") {
		if !lines.Scan() {
			return fmt.Errorf("it ended: %s", lines.Text())
		}
	}
	go func() { // ends with the server
		for lines.Scan() {
		}
	}()
	return s.makeTemplate()
}

// makeTemplate makes the database that those of tests are copied from. Its language
// sorts texts otherwise than byte by byte.
func (s *server) makeTemplate() (err error) {
	if s.admin, err = sql.Open("pgx", s.address("postgres")); err != nil {
		return err
	}
	if _, err := s.admin.Exec(`CREATE DATABASE template_zelo TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'pt-BR'`); err != nil {
		return err
	}
	store, err := Open(context.Background(), s.address("template_zelo"))
	if err != nil {
		return err
	}
	err = store.Update(context.Background(), func(w *Writer) error { return w.exec(`DELETE FROM meta`) })
	if err != nil {
		return err
	}
	return store.Close()
}

func (s *server) address(name string) string {
	return "postgres://zelo:geheim@/" + name + "?" + url.Values{"host": {s.folder}}.Encode()
}

// database makes a new database with our tables and returns its address.
func (s *server) database(t testing.TB) string {
	t.Helper()
	return s.make(t, "TEMPLATE template_zelo")
}

// make makes a database, which goes with the server: dropping it takes longer than
// most tests.
func (s *server) make(t testing.TB, how string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", s.names.Add(1))
	if _, err := s.admin.Exec(`CREATE DATABASE ` + name + ` ` + how); err != nil {
		t.Fatal(err)
	}
	return s.address(name)
}

func (s *server) stop() {
	if s.admin != nil {
		s.admin.Close()
	}
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Signal(os.Interrupt) // disconnects everybody and ends
		s.cmd.Wait()
	}
	os.RemoveAll(s.folder)
}

// raw is a connection to a store's database past the store.
func raw(t *testing.T, address string) *sql.DB {
	t.Helper()
	driver := "sqlite"
	if isPostgres(address) {
		driver = "pgx"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
