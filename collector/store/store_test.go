package store

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2025, 12, 10, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if path := os.Getenv("STORE_TEST_WRITER"); path != "" {
		writeForEver(path)
		return
	}
	code := m.Run()
	if running != nil {
		running.stop()
	}
	os.Exit(code)
}

func open(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "zelo.db"))
}

func update(t testing.TB, s *Store, fn func(*Writer) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *Store, fn func(*Reader) error) {
	t.Helper()
	if err := s.View(context.Background(), All(), fn); err != nil {
		t.Fatal(err)
	}
}

// sample makes a document of device serial with a number; its body differs from
// every other.
func sample(serial string, number int, issued time.Time) (Document, []byte) {
	key := fmt.Sprintf("35%s11111111000191%s%06d%07d", issued.Format("0601"), "59"+serial, number, number)
	return Document{
		Key: key, Kind: "venda", Layout: "0.08", Model: 59, Environment: 1, Issued: issued.In(time.FixedZone("", -3*3600)),
		Issuer: "11111111000191", IssuerName: "LOJA", Serial: serial, Number: number, Till: "001", Total: "10.00",
		Verdict: "verified", Rank: 40, Checks: []Check{{"assinatura", "verified", ""}}, ReceivedAt: issued.Add(time.Minute),
	}, []byte("<CFe>" + key + strings.Repeat(" item", 300) + "</CFe>")
}

func add(t testing.TB, s *Store, d Document, body []byte) (id int64, added bool) {
	t.Helper()
	update(t, s, func(w *Writer) (err error) {
		id, added, err = w.AddDocument(d, s.Pack(body))
		return err
	})
	return id, added
}

func TestOpenAgain(t *testing.T) { eachAddress(t, testOpenAgain) }

func testOpenAgain(t *testing.T, address string) {
	s := openAt(t, address)
	epoch := s.Epoch()
	if epoch == [16]byte{} {
		t.Error("no epoch")
	}
	d, body := sample("900000001", 1, t0)
	id, _ := add(t, s, d, body)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, address)
	if s.Epoch() != epoch {
		t.Error("the epoch changed")
	}
	view(t, s, func(r *Reader) error {
		got, err := r.Body(id)
		if !bytes.Equal(got, body) {
			t.Errorf("the body came back as %d bytes", len(got))
		}
		return err
	})
	update(t, s, func(w *Writer) error {
		return w.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`)
	})
	s.Close()
	if s, err := Open(context.Background(), address); err == nil || !strings.Contains(err.Error(), "update the program") {
		s.Close()
		t.Errorf("a store of a newer program was opened: %v", err)
	}
}

func TestOtherStoreOtherEpoch(t *testing.T) {
	epochs := map[[16]byte]bool{}
	for range 2 {
		eachEngine(t, func(t *testing.T, s *Store) {
			if epochs[s.Epoch()] {
				t.Error("two stores have one epoch")
			}
			epochs[s.Epoch()] = true
		})
	}
}

func TestOpenFile(t *testing.T) {
	t.Run("a path with signs", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "com espaço e ?#%", "zelo.db")
		os.MkdirAll(filepath.Dir(path), 0o755)
		openAt(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("not a database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "zelo.db")
		os.WriteFile(path, bytes.Repeat([]byte("junk "), 1000), 0o600)
		if s, err := Open(context.Background(), path); err == nil {
			s.Close()
			t.Error("junk was opened")
		}
	})
	t.Run("no such folder", func(t *testing.T) {
		if s, err := Open(context.Background(), filepath.Join(t.TempDir(), "missing", "zelo.db")); err == nil {
			s.Close()
			t.Error("opened")
		}
	})
}

// TestPragmas: what the driver was told is what the connections do.
func TestPragmas(t *testing.T) {
	s := open(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "16000"} {
		var got string
		if err := s.engine.(*sqlite).write.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v", pragma, got, err)
		}
	}
}

func TestViewDoesNotWrite(t *testing.T) { eachEngine(t, testViewDoesNotWrite) }

func testViewDoesNotWrite(t *testing.T, s *Store) {
	err := s.View(context.Background(), All(), func(r *Reader) error {
		_, err := r.tx.exec(r.ctx, `DELETE FROM documents`, nil)
		return err
	})
	if err == nil {
		t.Error("a View could write")
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) { eachEngine(t, testUpdateIsAllOrNothing) }

func testUpdateIsAllOrNothing(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	failed := errors.New("rule broken")
	err := s.Update(context.Background(), func(w *Writer) error {
		if _, _, err := w.AddDocument(d, s.Pack(body)); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	view(t, s, func(r *Reader) error {
		if c, err := r.Counts(); c.Documents != 0 || err != nil {
			t.Errorf("%+v after a failed update, %v", c, err)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Update(ctx, func(*Writer) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled update: %v", err)
	}
}

// TestViewIsConsistent: a View does not see what commits while it runs.
func TestViewIsConsistent(t *testing.T) { eachEngine(t, testViewIsConsistent) }

func testViewIsConsistent(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	view(t, s, func(r *Reader) error {
		before, err := r.Counts()
		if err != nil {
			return err
		}
		add(t, s, d, body)
		after, err := r.Counts()
		if before != after {
			t.Errorf("%+v became %+v", before, after)
		}
		return err
	})
}

// TestTwoProcesses: an import may run beside the server.
func TestTwoProcesses(t *testing.T) { eachAddress(t, testTwoProcesses) }

func testTwoProcesses(t *testing.T, path string) {
	a, b := openAt(t, path), openAt(t, path)
	done := make(chan error, 2)
	for n, s := range []*Store{a, b} {
		go func() {
			for i := range 50 {
				d, body := sample("900000001", 1000*n+i, t0)
				err := s.Update(context.Background(), func(w *Writer) error {
					_, _, err := w.AddDocument(d, s.Pack(body))
					return err
				})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	view(t, b, func(r *Reader) error {
		c, err := r.Counts()
		if c.Documents != 100 {
			t.Errorf("%+v", c)
		}
		return err
	})
}

// writeForEver is the child of TestKilled: it tells every document it committed.
func writeForEver(path string) {
	s, err := Open(context.Background(), path)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for i := 1; ; i++ {
		d, body := sample("900000001", i, t0)
		err := s.Update(context.Background(), func(w *Writer) error {
			_, _, err := w.AddDocument(d, s.Pack(body))
			return err
		})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(d.Key)
	}
}

// TestKilled: whatever Update returned from is there after kill -9.
func TestKilled(t *testing.T) { eachAddress(t, testKilled) }

func testKilled(t *testing.T, path string) {
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_WRITER="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var keys []string
		lines := bufio.NewScanner(out)
		stop := 20 + rand.IntN(20)
		for lines.Scan() {
			if keys = append(keys, lines.Text()); len(keys) == stop {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		s := openAt(t, path)
		view(t, s, func(r *Reader) error {
			for _, key := range keys {
				versions, err := r.Versions(key)
				if err != nil || len(versions) != 1 {
					t.Fatalf("round %d: %q has %d versions, %v", round, key, len(versions), err)
				}
				if _, err := r.Body(versions[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		})
		s.Close()
	}
}

func TestDamagedBodyIsTold(t *testing.T) { eachEngine(t, testDamagedBodyIsTold) }

func testDamagedBodyIsTold(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	id, _ := add(t, s, d, body)
	for name, damage := range map[string]struct {
		column string
		value  []byte
	}{
		"not zstd":   {"body", []byte{0, 1, 2, 3}},
		"other hash": {"sha256", make([]byte, 32)},
	} {
		update(t, s, func(w *Writer) error { return w.exec(`UPDATE documents SET `+damage.column+` = $1`, damage.value) })
		err := s.View(context.Background(), All(), func(r *Reader) error { _, err := r.Body(id); return err })
		if err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
	err := s.View(context.Background(), All(), func(r *Reader) error { _, err := r.Body(id + 1); return err })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a body that is not there: %v", err)
	}
}

// searches are those of pages and facts; each must find its rows by an index.
var searches = []struct{ name, query, index string }{
	{"by key", `SELECT id FROM documents WHERE best = 1 AND key = $1 ORDER BY issued DESC, id DESC`, "sqlite_autoindex_documents_1"},
	{"by issuer", `SELECT id FROM documents WHERE best = 1 AND issuer = $1 ORDER BY issued DESC, id DESC`, "documents_issuer"},
	{"by device", `SELECT id FROM documents WHERE best = 1 AND serial = $1 AND serial <> '' ORDER BY issued DESC, id DESC`, "documents_serial"},
	{"by consumer", `SELECT id FROM documents WHERE best = 1 AND consumer = $1 AND consumer <> '' ORDER BY issued DESC, id DESC`, "documents_consumer"},
	{"by date", `SELECT id FROM documents WHERE best = 1 AND issued >= 1 ORDER BY issued DESC, id DESC`, "documents_issued"},
	{"forbidden", `SELECT count(*) FROM documents WHERE forbidden = 1 AND serial = $1 AND best = 1`, "documents_forbidden"},
	{"twice", `SELECT 1 FROM events e WHERE e.serial = $1 AND e.serial <> '' AND e.ref = 'x' AND e.code = 'issued-twice'`, "events_serial"},
	{"cancelled", `SELECT 1 FROM documents WHERE cancels IN ($1, $1) AND cancels <> '' AND best = 1`, "documents_cancels"},
	{"a month's numbers", `SELECT number FROM documents WHERE serial = $1 AND serial <> '' AND issuer = $1 AND part = '' AND month = $1 AND best = 1
		AND issued >= 1 AND issued < 2 ORDER BY issued, number, id`, "documents_serial"},
	{"a subject's alarms", "SELECT " + alarmColumns + alarmTables + `WHERE a.kind = $1 AND a.subject = $1 AND a.cleared_at = 0 AND a.code NOT IN (` + sharedCodes() + `)`, "alarms_open"},
	{"months to read", `SELECT serial FROM number_months WHERE dirty > 0 AND read_at <= 1 ORDER BY read_at LIMIT 1`, "number_months_dirty"},
	{"unsettled notes", `SELECT count(*) FROM documents WHERE issuer = $1 AND kind = 'nota-pendente' AND best = 1 AND model = 65`, "documents_unsettled"},
	{"numbers", `SELECT count(DISTINCT number) FROM documents WHERE serial = $1 AND serial <> '' AND best = 1 AND part = '' AND issued >= 1 AND number >= 1`, "documents_serial"},
	{"known", `SELECT sha256 FROM arrivals WHERE stream_id = 1 AND seq = 1`, "sqlite_autoindex_arrivals_1"},
}

func TestQueryPlans(t *testing.T) {
	s := open(t)
	for _, c := range searches {
		plan := explain(t, s.engine.(*sqlite).read, "EXPLAIN QUERY PLAN "+c.query)
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "SCAN") && !strings.Contains(plan, "SCAN documents USING") {
			t.Errorf("%s: %s", c.name, plan)
		}
	}
}

// explain returns the last column of the rows of a query, with 'x' for $1.
func explain(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query(strings.ReplaceAll(query, "$1", "'x'"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	places := make([]any, len(columns))
	for i := range places {
		places[i] = new(any)
	}
	var plan []string
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, fmt.Sprint(*places[len(places)-1].(*any)))
	}
	return strings.Join(plan, "; ")
}
