package store

import "time"

// Audit is one line of the record of who did what. Lines are only added: the
// database refuses to change or take away one.
type Audit struct {
	ID       int64
	At       time.Time
	Who      string // an address, or "coletor" for the command line
	User     int64  // 0 when it was no person
	Reseller int64  // of the person, 0 being the platform
	Act      string
	Object   string
	Detail   string // never holds secrets or personal data
}

// AddAudit writes a line.
func (w *Writer) AddAudit(a Audit) error {
	return w.exec(`INSERT INTO audit (at, who, user_id, reseller_id, act, object, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		ms(a.At), a.Who, a.User, a.Reseller, a.Act, a.Object, a.Detail)
}

// ListAudit returns the newest lines that the reader sees, newest first: a
// reseller those of its people, a person their own.
func (r *Reader) ListAudit(limit int) ([]Audit, error) {
	args := arguments{limit}
	where := r.ofReseller("reseller_id", &args)
	if r.scope.kind == scopePerson {
		where = "user_id = " + args.add(r.scope.id)
	}
	return all(r, func(s scanner, a *Audit) error {
		return s.Scan(&a.ID, at(&a.At), &a.Who, &a.User, &a.Reseller, &a.Act, &a.Object, &a.Detail)
	}, `SELECT id, at, who, user_id, reseller_id, act, object, detail FROM audit WHERE `+where+` ORDER BY id DESC LIMIT $1`, args...)
}
