package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// into are the places of the columns of one row.
type into []any

// get reads the columns of a single row; none is ErrNotFound.
func (r *Reader) get(columns into, query string, args ...any) error {
	_, err := one(r, func(s scanner, _ *struct{}) error { return s.Scan(columns...) }, query, args...)
	return err
}

// one reads a single row as a T; none is ErrNotFound.
func one[T any](r *Reader, scan func(scanner, *T) error, query string, args ...any) (v T, err error) {
	rows, err := r.tx.query(r.ctx, query, args)
	if err != nil {
		return v, err
	}
	defer rows.Close()
	if !rows.Next() {
		return v, cmp.Or(rows.Err(), ErrNotFound)
	}
	if err := scan(rows, &v); err != nil {
		return v, err
	}
	return v, rows.Close()
}

// all reads every row of a query.
func all[T any](r *Reader, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	rows, err := r.tx.query(r.ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// value scans a row of one column.
func value[T any](s scanner, v *T) error { return s.Scan(v) }

// exec runs a statement, at the latest before the next query and the commit,
// which may fail for it.
func (w *Writer) exec(query string, args ...any) error { return w.tx.later(w.ctx, query, args) }

// count runs a statement and says how many rows changed.
func (w *Writer) count(query string, args ...any) (int64, error) {
	return w.tx.exec(w.ctx, query, args)
}

// ms is a time as stored; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at scans a stored time into t.
func at(t *time.Time) sql.Scanner { return timeScanner{t} }

type timeScanner struct{ t *time.Time }

func (s timeScanner) Scan(v any) error {
	n, ok := v.(int64)
	if !ok && v != nil {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*s.t = time.Time{}
	if n != 0 {
		*s.t = time.UnixMilli(n).UTC()
	}
	return nil
}

// asJSON is v as stored text.
func asJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// fromJSON scans stored JSON into v, a pointer.
func fromJSON(v any) sql.Scanner { return jsonScanner{v} }

type jsonScanner struct{ v any }

func (s jsonScanner) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T", v)
	}
	return json.Unmarshal([]byte(text), s.v)
}

// hash scans 32 stored bytes.
func hash(to *[32]byte) sql.Scanner { return hashScanner{to} }

type hashScanner struct{ to *[32]byte }

func (s hashScanner) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(s.to) {
		return fmt.Errorf("a hash is stored as %T of %d bytes", v, len(b))
	}
	copy(s.to[:], b)
	return nil
}
