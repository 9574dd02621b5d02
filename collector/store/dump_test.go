package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// emptyAddress is where a store of an engine can be made: a file that is not there,
// or a database without tables.
func emptyAddress(t *testing.T, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return filepath.Join(t.TempDir(), "novo.db")
	}
	return theServer(t).make(t, "TEMPLATE template0")
}

// fillAll puts rows into every table, found from the schema, with every kind of value
// that a column can hold: also of tables that come after this test.
func fillAll(t *testing.T, s *Store, address string) {
	t.Helper()
	for n := range 3 {
		for _, issued := range []time.Time{t0, t0.AddDate(0, -1, 0), t0.AddDate(-30, 0, 0)} {
			d, body := sample(fmt.Sprint(900000001+n), issued.Year()+n, issued)
			update(t, s, func(w *Writer) error {
				id, _, err := w.AddDocument(d, s.Pack(body))
				r := rec("e1", d.Serial, uint64(issued.Year()*10+int(issued.Month())), t0)
				r.SHA256 = s.Pack(body).SHA256
				_, err2 := w.AddArrival(r, id)
				return errors.Join(err, err2)
			})
		}
	}
	db := raw(t, address)
	view(t, s, func(r *Reader) error {
		tables, err := r.tx.tables(r.ctx)
		for _, table := range tables {
			if table.name == "documents" || table.name == "arrivals" {
				continue
			}
			fillTable(t, db, table)
		}
		return err
	})
	for _, table := range tablesWith(t, s, 0) {
		t.Errorf("the table %s is empty here: what is written does not show that it is copied", table)
	}
}

// fillTable inserts rows made of the columns' types alone.
func fillTable(t *testing.T, db *sql.DB, table table) {
	t.Helper()
	types, err := db.Query(`SELECT * FROM "` + table.name + `" LIMIT 0`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := types.ColumnTypes()
	types.Close()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		var names, marks []string
		var values []any
		for i, c := range columns {
			var v any = fmt.Sprintf("çã %s %d", c.Name(), n)
			switch kind := strings.ToUpper(c.DatabaseTypeName()); {
			case strings.Contains(kind, "INT"):
				v = int64(1000 + 7*n + i)
				if n == 2 && !strings.HasSuffix(c.Name(), "id") {
					v = int64(math.MinInt64)
				}
			case strings.Contains(kind, "REAL"), strings.Contains(kind, "FLOAT"), strings.Contains(kind, "DOUBLE"):
				v = float64(n) + 0.1
			case strings.Contains(kind, "BLOB"), strings.Contains(kind, "BYTEA"):
				v = bytes.Repeat([]byte{0, 255, byte(i)}, n) // of no bytes, too
				if n == 0 && strings.HasPrefix(c.Name(), "status_") {
					v = nil
				}
			}
			names, marks, values = append(names, `"`+c.Name()+`"`), append(marks, fmt.Sprint("$", i+1)), append(values, v)
		}
		if _, err := db.Exec(`INSERT INTO "`+table.name+`" (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
			t.Fatalf("%s: %v", table.name, err)
		}
	}
}

// tablesWith are those with so many rows.
func tablesWith(t *testing.T, s *Store, rows int64) (out []string) {
	t.Helper()
	for _, one := range tallied(t, s) {
		if one.Rows == rows {
			out = append(out, one.Table)
		}
	}
	return out
}

func tallied(t testing.TB, s *Store) (all Tallies) {
	t.Helper()
	err := s.Dump(t.Context(), func(d *Dump) (err error) {
		all, err = d.Write(new(Tallies))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// kept is a dump in memory: what a Sink is given.
type kept struct {
	names   []string
	columns [][]string
	rows    [][][]byte
	tallies Tallies
	schema  int64
	epoch   [16]byte
}

func (k *kept) Table(name string, columns []string) error {
	k.names, k.columns, k.rows = append(k.names, name), append(k.columns, columns), append(k.rows, nil)
	return nil
}

func (k *kept) Row(row []byte) error {
	k.rows[len(k.rows)-1] = append(k.rows[len(k.rows)-1], row)
	return nil
}

func (k *kept) give(to Sink) (Tallies, error) {
	for i, name := range k.names {
		if err := to.Table(name, k.columns[i]); err != nil {
			return nil, err
		}
		for _, row := range k.rows[i] {
			if err := to.Row(row); err != nil {
				return nil, err
			}
		}
	}
	return k.tallies, nil
}

func dumped(t *testing.T, s *Store) *kept {
	t.Helper()
	k := &kept{epoch: s.Epoch()}
	err := s.Dump(t.Context(), func(d *Dump) (err error) {
		k.schema = d.Schema
		k.tallies, err = d.Write(k)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// made makes a store of a dump.
func made(t *testing.T, address string, k *kept, renew bool) *Store {
	t.Helper()
	stage, err := NewStage(t.Context(), address, k.schema)
	if err != nil {
		t.Fatal(err)
	}
	err = stage.Fill(t.Context(), k.give)
	if err == nil && renew {
		err = stage.Renew(t.Context(), []string{"block"}, t0)
	}
	if err == nil {
		err = stage.Publish(t.Context())
	}
	if err == nil && !renew {
		err = Inherit(t.Context(), address, k.epoch)
	}
	if err = errors.Join(err, stage.Discard(t.Context())); err != nil {
		t.Fatal(err)
	}
	return openAt(t, address)
}

// TestDumpFromEngineToEngine: what a store holds stands in another one, of whichever
// engine, and back in one like the first.
func TestDumpFromEngineToEngine(t *testing.T) {
	for _, way := range []string{"sqlite sqlite sqlite", "sqlite postgres sqlite", "postgres sqlite postgres", "postgres postgres postgres"} {
		t.Run(way, func(t *testing.T) {
			engines := strings.Fields(way)
			address := emptyAddress(t, engines[0])
			first := openAt(t, address)
			fillAll(t, first, address)
			want := tallied(t, first)
			second := made(t, emptyAddress(t, engines[1]), dumped(t, first), false)
			third := made(t, emptyAddress(t, engines[2]), dumped(t, second), false)
			for i, s := range []*Store{second, third} {
				if table := want.Differ(tallied(t, s)); table != "" {
					t.Errorf("store %d has another %s", i+2, table)
				}
				if s.Epoch() != first.Epoch() {
					t.Errorf("store %d has another epoch", i+2)
				}
				goesOn(t, s)
			}
		})
	}
}

// goesOn writes to a store that was made of a dump, as a collector does.
func goesOn(t *testing.T, s *Store) {
	t.Helper()
	d, body := sample("900000001", t0.Year(), t0)
	if _, added := add(t, s, d, body); added {
		t.Error("a document that was there was added again")
	}
	d, body = sample("900000009", 77, t0)
	id, added := add(t, s, d, body)
	if !added {
		t.Error("a new document was not added")
	}
	update(t, s, func(w *Writer) error {
		reseller, err := w.AddReseller("Depois", t0)
		if reseller <= 1014 {
			t.Errorf("the new reseller has number %d", reseller)
		}
		return err
	})
	view(t, s, func(r *Reader) error {
		got, err := r.Body(id)
		if !bytes.Equal(got, body) {
			t.Error("the new document's body differs")
		}
		old, _ := sample("900000002", t0.AddDate(0, -1, 0).Year()+1, t0.AddDate(0, -1, 0))
		versions, err2 := r.Versions(old.Key)
		if len(versions) != 1 {
			return errors.Join(err, err2, fmt.Errorf("%d versions of a document that was there", len(versions)))
		}
		from, err3 := r.Arrivals(versions[0].ID)
		if len(from) != 1 {
			t.Errorf("a document that was there has %d origins", len(from))
		}
		return errors.Join(err, err2, err3)
	})
}

// TestRenewedStore: a restored store asks agents for what they hold, and nobody is
// signed in.
func TestRenewedStore(t *testing.T) { eachAddress(t, testRenewedStore) }

func testRenewedStore(t *testing.T, address string) {
	engine := "sqlite"
	if isPostgres(address) {
		engine = "postgres"
	}
	s := openAt(t, address)
	fillAll(t, s, address)
	update(t, s, func(w *Writer) error {
		_, err := w.AddOrder(Order{Name: "block", CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}, []Command{{ID: "once queued", Agent: "a", Wave: 1},
			{ID: "once second", Agent: "a", Wave: 2}, {ID: "once sent", Agent: "a", Wave: 1}, {ID: "once told", Agent: "a", Wave: 1}})
		_, err2 := w.AddOrder(Order{Name: "logs", CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}, []Command{{ID: "harmless", Agent: "a", Wave: 1}})
		_, err3 := w.TellCommand("a", CommandReport{Command: "once told", Number: 1, State: CommandRunning}, t0)
		return errors.Join(err, err2, err3, w.SetMessage("once sent", []byte("signed"), t0))
	})
	again := made(t, emptyAddress(t, engine), dumped(t, s), true)
	view(t, again, func(r *Reader) error {
		for id, want := range map[string]CommandState{"once queued": CommandUnknown, "once second": CommandUnknown, "once sent": CommandUnknown,
			"once told": CommandRunning, "harmless": CommandQueued} {
			c, err := r.Command(id)
			lines, err2 := r.Transcript(id)
			if err = errors.Join(err, err2); err != nil || c.State != want || c.EndedAt.IsZero() == want.Ended() || (len(lines) == 1) != want.Ended() {
				t.Errorf("%s: %s, ended %v, %v, %v", id, c.State, c.EndedAt, lines, err)
			}
		}
		told, err := r.ListAudit(AuditSearch{Act: "resultado de comando", Limit: 10})
		if len(told) != 3 {
			t.Errorf("the audit tells of %d: %+v", len(told), told)
		}
		return err
	})
	if again.Epoch() == s.Epoch() {
		t.Error("the epoch is the same")
	}
	if empty := tablesWith(t, again, 0); !slices.Equal(empty, []string{"links", "sessions"}) {
		t.Errorf("empty are %v", empty)
	}
}

// TestDumpOfOlderTables: what a program with older tables wrote is brought up to date.
func TestDumpOfOlderTables(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s := openAt(t, emptyAddress(t, engine))
			d, body := sample("900000001", 1, t0)
			add(t, s, d, body)
			k := dumped(t, s)
			old := older(t, k)
			again := made(t, emptyAddress(t, engine), old, true)
			view(t, again, func(r *Reader) error {
				taxpayers, err := r.Taxpayers()
				if len(taxpayers) != 1 || taxpayers[0].Root != d.Issuer[:8] {
					t.Errorf("the migration did not see the documents: %+v", taxpayers)
				}
				return err
			})
			if again := tallied(t, again); k.documents(t) != again[slices.IndexFunc(again, func(one Tally) bool { return one.Table == "documents" })] {
				t.Error("the documents differ")
			}
		})
	}
}

func (k *kept) documents(t *testing.T) Tally {
	t.Helper()
	return k.tallies[slices.Index(k.names, "documents")]
}

// older makes of a dump what a program that knew no tenants would have written: the
// tables that were there, of which only documents and meta have rows.
func older(t *testing.T, k *kept) *kept {
	t.Helper()
	stage, err := NewStage(t.Context(), emptyAddress(t, "sqlite"), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Discard(t.Context())
	out := &kept{schema: 2}
	for _, table := range stage.known {
		out.Table(table.name, table.columns)
		out.tallies.Table(table.name, nil)
		if i := slices.Index(k.names, table.name); table.name == "documents" || table.name == "meta" {
			for _, row := range k.rows[i] {
				out.Row(row)
				out.tallies.Row(row)
			}
		}
	}
	return out
}

// TestStageRefuses: what is not what it says, or does not fit, leaves nothing behind.
func TestStageRefuses(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			address := emptyAddress(t, engine)
			s := openAt(t, address)
			fillAll(t, s, address)
			k := dumped(t, s)
			to := emptyAddress(t, engine)
			for _, c := range []struct {
				name   string
				change func(*kept)
				want   error
				words  string
			}{
				{"newer tables", func(k *kept) { k.schema = 9999 }, ErrNewer, "atualize"},
				{"no version", func(k *kept) { k.schema = 0 }, ErrNewer, ""},
				{"a row less", func(k *kept) { k.rows[0] = k.rows[0][1:] }, ErrDiffers, k.names[0]},
				{"a row twice", func(k *kept) { k.rows[1] = append(slices.Clone(k.rows[1]), k.rows[1][0]) }, nil, k.names[1]},
				{"a table less", func(k *kept) { k.names, k.columns, k.rows = k.names[1:], k.columns[1:], k.rows[1:] }, ErrDiffers, k.names[0]},
				{"a table unknown", func(k *kept) { k.names[0] = "zebras" }, nil, "zebras"},
				{"a column unknown", func(k *kept) { k.columns[0] = []string{"zebra"} }, nil, "columns"},
				{"no row at all", func(k *kept) { k.rows[0][0] = []byte{0xFF} }, nil, "cannot read a row"},
				{"too few values", func(k *kept) { k.rows[0][0] = []byte{0x80} }, nil, "cannot read a row"},
				{"a value of another kind", func(k *kept) { k.rows[slices.Index(k.names, "users")][0][1] ^= 1 }, nil, ""},
			} {
				t.Run(c.name, func(t *testing.T) {
					bad := &kept{slices.Clone(k.names), slices.Clone(k.columns), nil, k.tallies, k.schema, k.epoch}
					for _, rows := range k.rows {
						copied := make([][]byte, len(rows))
						for i, row := range rows {
							copied[i] = slices.Clone(row)
						}
						bad.rows = append(bad.rows, copied)
					}
					c.change(bad)
					stage, err := NewStage(t.Context(), to, bad.schema)
					if err == nil {
						err = errors.Join(stage.Fill(t.Context(), bad.give))
						if err := stage.Discard(t.Context()); err != nil {
							t.Error(err)
						}
					}
					if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
						t.Errorf("%v, want %v and %q", err, c.want, c.words)
					}
					untouched(t, to)
				})
			}
			t.Run("not empty", func(t *testing.T) {
				stage, err := NewStage(t.Context(), address, k.schema)
				if !errors.Is(err, ErrNotEmpty) {
					t.Fatalf("%v, %v", stage, err)
				}
				if table := k.tallies.Differ(tallied(t, s)); table != "" {
					t.Errorf("%s was changed", table)
				}
			})
			t.Run("what a process that died left goes", func(t *testing.T) {
				stage, err := NewStage(t.Context(), to, k.schema)
				if err != nil {
					t.Fatal(err)
				}
				if err := stage.tx.commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				stage.tx.rollback()
				stage.db.Close()
				if s := made(t, to, k, false); k.tallies.Differ(tallied(t, s)) != "" {
					t.Error("it differs")
				}
			})
		})
	}
}

// untouched wants nothing at an address.
func untouched(t *testing.T, address string) {
	t.Helper()
	if !isPostgres(address) {
		if left, err := os.ReadDir(filepath.Dir(address)); len(left) > 0 || err != nil {
			t.Errorf("left behind: %v, %v", left, err)
		}
		return
	}
	var n int
	if err := raw(t, address).QueryRow(`SELECT count(*) FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid
		WHERE n.nspname = 'zelo_parcial' OR n.nspname = 'public' AND c.oid IS NOT NULL`).Scan(&n); err != nil || n > 0 {
		t.Errorf("%d things left behind, %v", n, err)
	}
}

// TestDumpOfOddTexts: SQLite takes any bytes as a text; PostgreSQL keeps a sign for
// what is no UTF-8, which is no difference.
func TestDumpOfOddTexts(t *testing.T) {
	s := open(t)
	update(t, s, func(w *Writer) error {
		return w.exec(`INSERT INTO meta (name, value) VALUES ('odd', $1)`, "a\xffb\x00c")
	})
	k := dumped(t, s)
	if table := k.tallies.Differ(tallied(t, made(t, emptyAddress(t, "sqlite"), k, false))); table != "" {
		t.Errorf("%s differs", table)
	}
	view(t, made(t, emptyAddress(t, "postgres"), k, false), func(r *Reader) error {
		text, err := one(r, value[string], `SELECT value FROM meta WHERE name = 'odd'`)
		if text != "a\uFFFDb\uFFFDc" {
			t.Errorf("%q", text)
		}
		return err
	})
}

// TestDumpWhileWriting: a dump is one state, however long it takes.
func TestDumpWhileWriting(t *testing.T) { eachEngine(t, testDumpWhileWriting) }

func testDumpWhileWriting(t *testing.T, s *Store) {
	both := func(n int) {
		d, body := sample("900000001", n, t0)
		update(t, s, func(w *Writer) error {
			id, _, err := w.AddDocument(d, s.Pack(body))
			_, err2 := w.AddArrival(rec("e1", "d", uint64(n), t0), id)
			return errors.Join(err, err2)
		})
	}
	for n := range 5 {
		both(n)
	}
	k := &kept{}
	written := 5
	err := s.Dump(t.Context(), func(d *Dump) (err error) {
		k.tallies, err = d.Write(pausing{k, func() { both(written); written++ }})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range k.tallies {
		if (one.Table == "documents" || one.Table == "arrivals") && one.Rows != 5 || one.Table == "streams" && one.Rows != 1 {
			t.Errorf("%d %s, after %d were written", one.Rows, one.Table, written)
		}
	}
	if written < 10 {
		t.Errorf("only %d were written meanwhile", written-5)
	}
}

// pausing is a Sink during whose work others do theirs.
type pausing struct {
	Sink
	others func()
}

func (p pausing) Table(name string, columns []string) error {
	p.others()
	return p.Sink.Table(name, columns)
}

// TestReplacedStore: a collector that was cut off while its database moved away, or was
// restored, stores nothing any more that it would acknowledge in the old one's name.
func TestReplacedStore(t *testing.T) {
	address := theServer(t).database(t)
	s := openAt(t, address)
	db := raw(t, address)
	for what, change := range map[string]string{"moved away": `DELETE FROM meta WHERE name = 'epoch'`,
		"restored": `INSERT INTO meta (name, value) VALUES ('epoch', '` + strings.Repeat("00", len(s.Epoch())) + `')`} {
		if _, err := db.Exec(`DELETE FROM meta WHERE name = 'epoch'`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(change); err != nil {
			t.Fatal(err)
		}
		d, body := sample("900000001", 1, t0)
		err := s.Update(t.Context(), func(w *Writer) error {
			_, _, err := w.AddDocument(d, s.Pack(body))
			return err
		})
		if !errors.Is(err, ErrReplaced) || s.Probe(t.Context(), t0) == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestMoveCutOff: a move that is killed at its worst moment, with the new store in its
// place and the old one not given up, leaves no two stores of one epoch: whichever goes
// on, agents send it what the other acknowledged.
func TestMoveCutOff(t *testing.T) {
	folder := t.TempDir()
	from, to := filepath.Join(folder, "velho.db"), filepath.Join(folder, "novo.db")
	s := openAt(t, from)
	epoch := s.Epoch()
	s.Close()
	killed := errors.New("killed")
	_, err := Retire(t.Context(), from, func(d *Dump) error {
		stage, err := NewStage(t.Context(), to, d.Schema)
		if err != nil {
			return err
		}
		return errors.Join(stage.Fill(t.Context(), func(to Sink) (Tallies, error) { return d.Write(to) }), stage.Publish(t.Context()), killed)
	})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
	if openAt(t, from).Epoch() != epoch {
		t.Error("the old store lost its epoch, though the move failed")
	}
	if openAt(t, to).Epoch() == epoch {
		t.Error("both stores go on under one epoch")
	}
}

// TestRetire: a store that moves is nobody's meanwhile, and has no epoch afterwards.
func TestRetire(t *testing.T) { eachAddress(t, testRetire) }

func testRetire(t *testing.T, address string) {
	s := openAt(t, address)
	epoch := s.Epoch()
	nothing := func(*Dump) error { return nil }
	if _, err := Retire(t.Context(), address, nothing); !errors.Is(err, ErrInUse) {
		t.Errorf("a store in use: %v", err)
	}
	s.Close()
	failed := errors.New("failed")
	if _, err := Retire(t.Context(), address, func(*Dump) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	lost, err := Retire(t.Context(), address, func(d *Dump) error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if isPostgres(address) {
			if other, err := Open(ctx, address); err == nil {
				other.Close()
				t.Error("another one opened it")
			}
		} else if _, err := raw(t, address).ExecContext(ctx, `DELETE FROM meta`); err == nil { // does not wait
			t.Error("another one wrote to it")
		}
		all, err := d.Write(new(Tallies))
		if all.Total() == 0 {
			t.Error("nothing in it")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if lost != epoch || openAt(t, address).Epoch() == epoch {
		t.Errorf("the store that was left has its epoch still, %x", lost)
	}
	if _, err := Retire(t.Context(), filepath.Join(t.TempDir(), "none.db"), nothing); err == nil {
		t.Error("a store that is not there")
	}
}
