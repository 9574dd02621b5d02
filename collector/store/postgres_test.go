package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRefuse: a server that may lose what it committed takes no document.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name                    string
		version                 int
		fsync, commit, encoding string
		want                    string // "" is taken
	}{
		{"as it comes", 15, "on", "on", "UTF8", ""},
		{"the oldest", 14, "on", "on", "UTF8", ""},
		{"with a standby", 17, "on", "remote_apply", "UTF8", ""},
		{"its own disk alone", 17, "on", "local", "UTF8", ""},
		{"too old", 13, "on", "on", "UTF8", "instale a 14"},
		{"no fsync", 15, "off", "on", "UTF8", "fsync = on"},
		{"no waiting for the disk", 15, "on", "off", "UTF8", "synchronous_commit = on"},
		{"another encoding", 15, "on", "on", "LATIN1", "ENCODING 'UTF8'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := refuse(c.version, c.fsync, c.commit, c.encoding)
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// refused opens an address that must be refused.
func refused(t *testing.T, address, want string) {
	t.Helper()
	s, err := Open(t.Context(), address)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestRefusedServers(t *testing.T) {
	server := theServer(t)
	t.Run("LATIN1", func(t *testing.T) {
		refused(t, server.make(t, "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"), "LATIN1")
	})
	t.Run("synchronous_commit", func(t *testing.T) {
		address := server.database(t)
		s := openAt(t, address)
		if _, err := raw(t, address).Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`); err != nil {
			t.Fatal(err)
		}
		refused(t, address, "synchronous_commit")
		update(t, s, func(*Writer) error { return nil }) // its sessions are as they were
	})
	t.Run("fsync, also of a server in use", func(t *testing.T) {
		address := server.database(t)
		s := openAt(t, address)
		server.set(t, "fsync", "off")
		refused(t, address, "fsync = on")
		err := s.Update(t.Context(), func(w *Writer) error { return w.Heard("agent001", t0) })
		if !errors.Is(err, ErrRefused) {
			t.Errorf("an update without fsync: %v", err)
		}
		server.set(t, "fsync", "on")
		update(t, s, func(w *Writer) error { return w.Heard("agent001", t0) })
	})
	t.Run("nobody there", func(t *testing.T) {
		s, err := Open(t.Context(), "postgres://zelo:geheim@/zelo?host="+t.TempDir())
		if err == nil || strings.Contains(err.Error(), "geheim") {
			s.Close()
			t.Errorf("%v", err)
		}
	})
	t.Run("no address", func(t *testing.T) {
		s, err := Open(t.Context(), "postgres://zelo:geheim@host:port/zelo")
		if err == nil || strings.Contains(err.Error(), "geheim") {
			s.Close()
			t.Errorf("%v", err)
		}
	})
}

// set changes a setting of the server and waits until new sessions have it.
func (s *server) set(t *testing.T, name, value string) {
	t.Helper()
	for _, q := range []string{"ALTER SYSTEM SET " + name + " = " + value, "SELECT pg_reload_conf()"} {
		if _, err := s.admin.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for now, limit := "", time.Now().Add(10*time.Second); now != value; {
		db := raw(t, s.address("postgres"))
		if err := db.QueryRow("SHOW " + name).Scan(&now); err != nil || time.Now().After(limit) {
			t.Fatalf("%s is %s, %v", name, now, err)
		}
		db.Close()
	}
}

func TestSlots(t *testing.T) {
	key := func(month string) string { return "35" + month + strings.Repeat("1", 38) }
	for _, c := range []struct{ name, key, table string }{
		{"a key", key("2512"), "documents_2512"},
		{"January", key("2601"), "documents_2601"},
		{"the first", key("1001"), "documents_1001"},
		{"the last", key("4912"), "documents_4912"},
		{"before them", key("0912"), "documents_other"},
		{"after them", key("5001"), "documents_other"},
		{"month 13", key("2513"), "documents_other"},
		{"month 0", key("2500"), "documents_other"},
		{"no number", key("2A12"), "documents_other"},
		{"a sign", key("+512"), "documents_other"},
		{"too short", key("2512")[:43], "documents_other"},
		{"none", "", "documents_other"},
	} {
		if got := slotOf(c.key).table(); got != c.table {
			t.Errorf("%s: %s, want %s", c.name, got, c.table)
		}
	}
}

// inPartition says which tables hold a key, and whether the id finds it.
func inPartition(t *testing.T, db *sql.DB, key string, id int64) string {
	t.Helper()
	var table string
	if err := db.QueryRow(`SELECT tableoid::regclass::text FROM documents WHERE key = $1 AND id = $2`, key, id).Scan(&table); err != nil {
		t.Fatalf("%s, id %d: %v", key, id, err)
	}
	return table
}

func TestPartitions(t *testing.T) {
	address := theServer(t).database(t)
	db := raw(t, address)
	one, other := openAt(t, address), openAt(t, address)
	ahead := slot(time.Now().Year()-2000)*12 + slot(time.Now().Month()) // next month
	var there bool
	if err := db.QueryRow(`SELECT to_regclass($1) IS NOT NULL`, ahead.table()).Scan(&there); err != nil || !there {
		t.Errorf("%s is not there ahead, %v", ahead.table(), err)
	}
	seen := map[int64]bool{}
	for i, issued := range []time.Time{t0, t0.AddDate(0, -1, 0), t0.AddDate(-9, 0, 0), t0, t0.AddDate(-30, 0, 0)} {
		s := one
		if i%2 == 1 {
			s = other
		}
		d, body := sample("900000001", i, issued)
		want := "documents_" + d.Key[2:6]
		if issued.Year() < 2010 {
			want = "documents_other"
		}
		id, added := add(t, s, d, body)
		if got := inPartition(t, db, d.Key, id); !added || seen[id] || got != want {
			t.Errorf("%s is in %s, want %s; id %d", d.Key, got, want, id)
		}
		seen[id] = true
		if again, added := add(t, one, d, body); added || again != id {
			t.Errorf("%s was added again with id %d", d.Key, again)
		}
	}
	t.Run("an update that fails makes none", func(t *testing.T) {
		d, body := sample("900000001", 1, t0.AddDate(2, 0, 0))
		failed := errors.New("failed")
		err := one.Update(t.Context(), func(w *Writer) error {
			_, _, err := w.AddDocument(d, one.Pack(body))
			return errors.Join(err, failed)
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		if _, added := add(t, one, d, body); !added {
			t.Error("not added afterwards")
		}
	})
	t.Run("readers do not stop it", func(t *testing.T) {
		d, body := sample("900000001", 1, t0.AddDate(3, 0, 0))
		view(t, other, func(r *Reader) error {
			if _, err := r.Counts(); err != nil {
				return err
			}
			add(t, one, d, body)
			_, err := r.Counts()
			return err
		})
	})
}

// TestQueryPlansOfPostgres: there is an index for each search, in each partition.
func TestQueryPlansOfPostgres(t *testing.T) {
	address := theServer(t).database(t)
	s := openAt(t, address)
	d, body := sample("900000001", 1, t0)
	add(t, s, d, body)
	db := raw(t, address+"&enable_seqscan=off")
	for _, c := range searches {
		if plan := explain(t, db, "EXPLAIN "+c.query); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index") {
			t.Errorf("%s: %s", c.name, plan)
		}
	}
	if plan := explain(t, db, fmt.Sprintf("EXPLAIN SELECT body FROM documents WHERE id = %d", int64(slotOf(d.Key))<<slotShift+1)); strings.Count(plan, "Scan") != 1 {
		t.Errorf("an id does not find its partition: %s", plan)
	}
}

// TestInsertDoesNotReadTheMonth: what a batch costs does not grow with its partition.
func TestInsertDoesNotReadTheMonth(t *testing.T) {
	s := openAt(t, theServer(t).database(t))
	d, body := sample("900000001", 1, t0)
	add(t, s, d, body)
	row, err := NewDocument{d, s.Pack(body)}.row()
	if err != nil {
		t.Fatal(err)
	}
	columns, types := turn([][]any{plain(row)})
	db := s.engine.(*postgres).write // one connection, with the settings of writers
	if _, err := db.Exec("PREPARE batch AS " + slotOf(d.Key).insert(types)); err != nil {
		t.Fatal(err)
	}
	plan := explain(t, db, "EXPLAIN EXECUTE batch (NULL"+strings.Repeat(", NULL", len(columns)-1)+")")
	if !strings.Contains(plan, "SubPlan") || strings.Contains(plan, "hashed") || !strings.Contains(plan, "(key = g.key) AND (part = g.part)") {
		t.Error(plan)
	}
}

// TestTablesAreTheSame: migrations are written once per engine.
func TestTablesAreTheSame(t *testing.T) {
	file, server := t.TempDir()+"/zelo.db", theServer(t).database(t)
	openAt(t, file)
	openAt(t, server)
	list := func(db *sql.DB, query string) (out []string) {
		text := explain(t, db, query)
		for line := range strings.SplitSeq(text, "; ") {
			out = append(out, line)
		}
		slices.Sort(out)
		return out
	}
	one := list(raw(t, file), `SELECT m.name || '.' || c.name || ' ' || CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'BLOB' THEN 'bytea'
			WHEN 'REAL' THEN 'double precision' ELSE lower(c.type) END || CASE WHEN c."notnull" OR c.pk THEN ' not null' ELSE '' END
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`)
	other := list(raw(t, server), `SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, -1) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
		AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND c.relname NOT LIKE 'goose%'`)
	if !slices.Equal(one, other) || len(one) < 50 {
		t.Errorf("sqlite   %v\npostgres %v", one, other)
	}
}

// TestGivenUp: a transaction that the server gives up is begun again, not for ever.
func TestGivenUp(t *testing.T) {
	s := openAt(t, theServer(t).database(t))
	calls := 0
	giveUp := func(times int) error {
		calls = 0
		return s.Update(t.Context(), func(w *Writer) error {
			if err := w.Heard("agent001", t0); err != nil {
				return err
			}
			if calls++; calls <= times {
				_, err := w.count(`DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$`)
				return err
			}
			return nil
		})
	}
	if err := giveUp(attempts - 1); err != nil || calls != attempts {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := giveUp(attempts); err == nil || calls != attempts {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestWriterVanishes: a lock dies with its session, whatever became of the process.
func TestWriterVanishes(t *testing.T) {
	address := theServer(t).database(t)
	one, other := openAt(t, address), openAt(t, address)
	err := one.Update(t.Context(), func(w *Writer) error {
		if err := w.Heard("agent001", t0); err != nil {
			return err
		}
		pid := 0
		if err := w.get(into{&pid}, `SELECT pg_backend_pid()`); err != nil {
			return err
		}
		if _, err := raw(t, address).Exec(`SELECT pg_terminate_backend($1)`, pid); err != nil {
			return err
		}
		update(t, other, func(w *Writer) error { return w.Heard("agent002", t0) })
		return nil
	})
	if err == nil {
		t.Error("an update without its session succeeded")
	}
	update(t, one, func(w *Writer) error { return w.Heard("agent003", t0) })
	view(t, one, func(r *Reader) error {
		agents, err := r.Agents()
		if len(agents) != 2 || agents[0].ID != "agent002" {
			t.Errorf("%+v", agents)
		}
		return err
	})
}

// TestWaitingWriterGivesWay: one that waits for another collector ends with its
// context.
func TestWaitingWriterGivesWay(t *testing.T) {
	address := theServer(t).database(t)
	one, other := openAt(t, address), openAt(t, address)
	update(t, one, func(*Writer) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := other.Update(ctx, func(*Writer) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		return nil
	})
	update(t, other, func(*Writer) error { return nil })
}

func TestLead(t *testing.T) {
	address := theServer(t).database(t)
	one, other := openAt(t, address), openAt(t, address)
	lead := func(s *Store, name string, want bool) func() {
		t.Helper()
		release, ok, err := s.Lead(t.Context(), name)
		if ok != want || err != nil {
			t.Fatalf("%s: %v, %v", name, ok, err)
		}
		return release
	}
	release := lead(one, "alarms", true)
	lead(other, "alarms", false)
	lead(one, "alarms", false) // a second goroutine of the same process
	lead(other, "retention", true)()
	lead(other, "writer", true)() // no lock of the store's own
	release()
	release = lead(other, "alarms", true)
	if _, err := raw(t, address).Exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
		t.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ok := false; !ok; { // the lock goes with its connection
		var mine func()
		var err error
		if mine, ok, err = one.Lead(deadline, "alarms"); err != nil {
			t.Fatal(err)
		}
		if ok {
			defer mine()
		}
	}
	release()                    // of what is not held any more
	lead(other, "alarms", false) // frees nobody else's
	file := open(t)
	lead(file, "alarms", true)()
}
