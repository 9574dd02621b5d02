package store

import (
	"strings"
	"time"
)

// Audit is one line of the record of who did what. Lines are only added: the
// database refuses to change or take away one.
type Audit struct {
	ID       int64
	At       time.Time
	Who      string // an address, or "coletor" for the command line
	User     int64  // 0 when it was no person
	Reseller int64  // of the person, 0 being the platform
	Token    string // name of the person's program that did it; "" when it was the person
	Act      string
	Object   string
	Detail   string // never holds secrets or personal data
}

// AddAudit writes a line.
func (w *Writer) AddAudit(a Audit) error {
	return w.exec(`INSERT INTO audit (at, who, user_id, reseller_id, token, act, object, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		ms(a.At), a.Who, a.User, a.Reseller, a.Token, a.Act, a.Object, a.Detail)
}

// AuditSearch says which lines to list; empty fields do not narrow.
type AuditSearch struct {
	Who, Act string    // parts of them, in lower case; of who also the name of their program
	From, To time.Time // From <= at < To
	Before   int64     // only lines older than the one with this id
	Limit    int
}

// ListAudit returns the lines that the reader sees and that match, newest first: a
// reseller those of its people, but for whom another looks after now, a person their
// own. Whose taxpayer a line is about it does not say, so that who is narrowed to one sees
// none.
func (r *Reader) ListAudit(q AuditSearch) ([]Audit, error) {
	args := arguments{q.Limit}
	where := r.ofReseller("reseller_id", &args)
	if r.scope.kind == scopeReseller {
		where += " AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = audit.user_id AND u.reseller_id <> " + args.add(r.scope.id) + ")"
	}
	if r.scope.kind == scopePerson {
		where = "user_id = " + args.add(r.scope.id)
	}
	if r.scope.Root() != "" {
		where = "1 = 0"
	}
	for column, part := range map[string]string{"lower(who || ' ' || token)": q.Who, "act": q.Act} {
		if part != "" {
			where += " AND " + column + " LIKE " + args.add("%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(part)+"%") + ` ESCAPE '\'`
		}
	}
	if !q.From.IsZero() {
		where += " AND at >= " + args.add(ms(q.From))
	}
	if !q.To.IsZero() {
		where += " AND at < " + args.add(ms(q.To))
	}
	if q.Before > 0 {
		where += " AND id < " + args.add(q.Before)
	}
	return all(r, func(s scanner, a *Audit) error {
		return s.Scan(&a.ID, at(&a.At), &a.Who, &a.User, &a.Reseller, &a.Token, &a.Act, &a.Object, &a.Detail)
	}, `SELECT id, at, who, user_id, reseller_id, token, act, object, detail FROM audit WHERE `+where+` ORDER BY id DESC LIMIT $1`, args...)
}
