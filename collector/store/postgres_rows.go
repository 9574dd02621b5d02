package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// slot is the month, counted from 2000, that an access key names in its characters 3
// to 6 (dossier on documents, access key). It chooses the partition of documents and
// is the upper part of their ids.
type slot int64

// Ids have slotShift bits below the slot. otherSlot is for what has no key of a month
// between firstYear and lastYear: a made-up key makes no partition beyond these.
const (
	slotShift = 44
	otherSlot = slot(0)
	firstYear = 10
	lastYear  = 49
)

func slotOf(key string) slot {
	if len(key) != 44 {
		return otherSlot
	}
	n, err := strconv.ParseUint(key[2:6], 10, 16)
	year, month := slot(n/100), slot(n%100)
	if err != nil || year < firstYear || year > lastYear || month < 1 || month > 12 {
		return otherSlot
	}
	return year*12 + month - 1
}

// table is the partition's name.
func (s slot) table() string {
	if s == otherSlot {
		return "documents_other"
	}
	return fmt.Sprintf("documents_%02d%02d", s/12, s%12+1)
}

// about names the one partition that a key is in: without it all are asked.
func (t *postgresTx) about(key string) string {
	s := slotOf(key)
	return fmt.Sprintf("id >= %d AND id < %d", s<<slotShift, (s+1)<<slotShift)
}

// part is one of the tables that documents lie in.
type part struct {
	table  string
	newest int64 // issue of the newest document shown
}

// parts are the partitions that show a document.
func (t *postgresTx) parts(ctx context.Context) ([]part, error) {
	var each string // a SELECT of every partition
	err := t.tx.QueryRowContext(ctx, `SELECT string_agg(format('SELECT %L AS name, max(issued) AS newest FROM %I WHERE best = 1', p.relname, p.relname), ' UNION ALL '
		ORDER BY p.relname) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = 'documents'::regclass`).Scan(&each)
	if err != nil {
		return nil, err
	}
	rows, err := t.query(ctx, `SELECT name, newest FROM (`+each+`) AS p WHERE newest IS NOT NULL ORDER BY newest DESC`, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []part
	for rows.Next() {
		var p part
		if err := rows.Scan(&p.table, &p.newest); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// monthsAhead are prepared at the start; others are made when a document needs them.
const monthsAhead = 3

func (e *postgres) prepareMonths(ctx context.Context, now time.Time) error {
	tx, err := e.update(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	this := slot(now.Year()-2000)*12 + slot(now.Month()) - 1
	for s := this; s < this+monthsAhead; s++ {
		if err := tx.(*postgresTx).partition(ctx, s); err != nil {
			return err
		}
	}
	return tx.commit(ctx)
}

// partition makes sure that a partition is there. It is made apart and then
// attached, which neither waits for readers nor stops them.
func (t *postgresTx) partition(ctx context.Context, s slot) error {
	t.e.mu.Lock()
	known := t.e.partitions[s]
	t.e.mu.Unlock()
	if known || slices.Contains(t.made, s) {
		return nil
	}
	var there bool
	if err := t.tx.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.table()).Scan(&there); err != nil {
		return err
	}
	if !there {
		_, err := t.tx.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE %[1]s (LIKE documents INCLUDING DEFAULTS INCLUDING STORAGE);
			CREATE UNIQUE INDEX %[1]s_once ON %[1]s (key, part, sha256);
			ALTER TABLE documents ATTACH PARTITION %[1]s FOR VALUES FROM (%[2]d) TO (%[3]d)`,
			s.table(), s<<slotShift, (s+1)<<slotShift))
		if err != nil {
			return fmt.Errorf("cannot make the partition %s: %w", s.table(), err)
		}
	}
	t.made = append(t.made, s)
	return nil
}

// addDocuments inserts with one statement per partition. Versions of one document
// go one after the other: a statement does not see its own rows.
func (t *postgresTx) addDocuments(w *Writer, list []NewDocument) ([]Added, error) {
	out := make([]Added, len(list))
	for _, round := range rounds(len(list), func(i int) string { return list[i].Key + "/" + list[i].Part }) {
		bySlot := map[slot][]int{}
		for _, i := range round {
			s := slotOf(list[i].Key)
			bySlot[s] = append(bySlot[s], i)
		}
		for s, places := range bySlot {
			if err := t.partition(w.ctx, s); err != nil {
				return nil, err
			}
			if err := addToSlot(w, s, list, places, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// addToSlot inserts the versions of list at places, which are all of one partition,
// and finds those that are there already.
func addToSlot(w *Writer, s slot, list []NewDocument, places []int, out []Added) error {
	rows := make([][]any, len(places))
	left := map[[2]string]int{} // key and part to place
	for n, i := range places {
		row, err := list[i].row()
		if err != nil {
			return err
		}
		rows[n] = plain(row)
		left[[2]string{rows[n][0].(string), rows[n][1].(string)}] = i
	}
	columns, types := turn(rows)
	type found struct {
		key, part string
		Added
	}
	scan := func(s scanner, f *found) error { return s.Scan(&f.key, &f.part, &f.ID, &f.only) }
	added, err := all(&w.Reader, scan, s.insert(types), columns...)
	if err != nil {
		return err
	}
	for _, f := range added {
		of := [2]string{f.key, f.part}
		out[left[of]] = Added{f.ID, true, f.only}
		delete(left, of)
	}
	if len(left) == 0 {
		return nil
	}
	columns, types = turn(rows, 0, 1, 2)
	there, err := all(&w.Reader, scan, fmt.Sprintf(`SELECT key, part, d.id, 0 FROM unnest(%s) AS g (key, part, sha256)
		JOIN %s d USING (key, part, sha256)`, types, s.table()), columns...)
	for _, f := range there {
		if i, ok := left[[2]string{f.key, f.part}]; ok {
			out[i] = Added{ID: f.ID}
		}
	}
	return err
}

// insert is the statement that takes arrays of newColumns. With EXISTS in place of
// the inner SELECT it would read the whole partition each time, into a hash table.
func (s slot) insert(types string) string {
	return fmt.Sprintf(`INSERT INTO %[1]s (id, best, %[2]s)
		SELECT %[3]d + nextval('documents_id'), CASE WHEN
			(SELECT 1 FROM %[1]s o WHERE o.key = g.key AND o.part = g.part AND o.issuer = g.issuer LIMIT 1) IS NULL THEN 1 ELSE 0 END, g.*
		FROM unnest(%[4]s) AS g (%[2]s)
		ON CONFLICT (key, part, sha256) DO NOTHING RETURNING key, part, id, best`,
		s.table(), newColumns, s<<slotShift, types)
}

// addArrivals inserts with one statement. Records of one place go one after the
// other.
func (t *postgresTx) addArrivals(w *Writer, list []Arrival) ([]int, error) {
	if err := w.findStreams(list); err != nil {
		return nil, err
	}
	out := make([]int, len(list))
	for _, round := range rounds(len(list), func(i int) string { return list[i].name() + "/" + strconv.FormatInt(list[i].place(), 10) }) {
		rows := make([][]any, len(round))
		places := map[[2]int64]int{}
		for n, i := range round {
			stream, err := w.stream(list[i].Record)
			if err != nil {
				return nil, err
			}
			rows[n], out[i] = plain(list[i].row(stream)), -1
			places[[2]int64{stream, list[i].place()}] = i
		}
		columns, types := turn(rows)
		type noted struct {
			of     [2]int64
			rivals int
		}
		fresh, err := all(&w.Reader, func(s scanner, n *noted) error { return s.Scan(&n.of[0], &n.of[1], &n.rivals) },
			`INSERT INTO arrivals (`+arrivalColumns+`, rivals) SELECT g.*,
				(SELECT count(*) FROM arrivals a WHERE a.stream_id = g.stream_id AND a.seq = g.seq)
			FROM unnest(`+types+`) AS g (`+arrivalColumns+`)
			ON CONFLICT (stream_id, seq, sha256) DO NOTHING RETURNING stream_id, seq, rivals`, columns...)
		if err != nil {
			return nil, err
		}
		for _, n := range fresh {
			out[places[n.of]] = n.rivals
		}
	}
	return out, nil
}

// findStreams learns the ids of the records' streams that are there.
func (w *Writer) findStreams(list []Arrival) error {
	var rows [][]any
	asked := map[string]bool{}
	for _, a := range list {
		if name := a.name(); w.streams[name] == 0 && !asked[name] {
			asked[name] = true
			rows = append(rows, plain([]any{a.Agent, a.Epoch, a.Stream}))
		}
	}
	if len(rows) < 2 {
		return nil
	}
	columns, types := turn(rows)
	type found struct {
		Record
		id int64
	}
	there, err := all(&w.Reader, func(s scanner, f *found) error { return s.Scan(&f.Agent, &f.Epoch, &f.Stream, &f.id) },
		`SELECT agent, epoch, stream, id FROM unnest(`+types+`) AS g (agent, epoch, stream)
		JOIN streams USING (agent, epoch, stream)`, columns...)
	for _, f := range there {
		w.streams[f.name()] = f.id
	}
	return err
}

// rounds deals the numbers below n into rounds in which each key is at most once.
func rounds(n int, key func(int) string) (out [][]int) {
	seen := map[string]int{}
	for i := range n {
		k := key(i)
		if seen[k] == len(out) {
			out = append(out, nil)
		}
		out[seen[k]] = append(out[seen[k]], i)
		seen[k]++
	}
	return out
}

// turn makes arrays of the columns of plain rows, all or those picked, and the
// arguments of unnest that take them.
func turn(rows [][]any, pick ...int) (arrays []any, types string) {
	if pick == nil {
		for c := range rows[0] {
			pick = append(pick, c)
		}
	}
	var words []string
	for n, c := range pick {
		var array any
		word := ""
		switch rows[0][c].(type) {
		case string:
			array, word = column[string](rows, c), "text"
		case []byte:
			array, word = column[[]byte](rows, c), "bytea"
		default:
			array, word = column[int64](rows, c), "bigint"
		}
		arrays = append(arrays, array)
		words = append(words, "$"+strconv.Itoa(n+1)+"::"+word+"[]")
	}
	return arrays, strings.Join(words, ", ")
}

func column[T any](rows [][]any, c int) []T {
	out := make([]T, len(rows))
	for i, row := range rows {
		out[i] = row[c].(T)
	}
	return out
}

// plain is args as the server takes them: booleans are the numbers 0 and 1, texts
// are UTF-8 without zero bytes, in which U+FFFD stands for what is not.
func plain(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			v = arg // an array
		}
		switch p := v.(type) {
		case bool:
			v = int64(0)
			if p {
				v = int64(1)
			}
		case string:
			v = strings.ReplaceAll(strings.ToValidUTF8(p, "\uFFFD"), "\x00", "\uFFFD")
		}
		out[i] = v
	}
	return out
}
