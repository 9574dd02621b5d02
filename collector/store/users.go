package store

import (
	"strings"
	"time"
)

// User is a person who may sign in.
type User struct {
	ID        int64
	Email     string // lower case
	Name      string
	CreatedAt time.Time
}

const userColumns = `u.id, u.email, u.name, u.created_at`

func scanUser(s scanner, u *User) error { return s.Scan(&u.ID, &u.Email, &u.Name, at(&u.CreatedAt)) }

// AddUser stores a new person; the address must not be there yet.
func (w *Writer) AddUser(email, name string, now time.Time) (User, error) {
	u := User{Email: strings.ToLower(strings.TrimSpace(email)), Name: name, CreatedAt: now}
	err := w.get(into{&u.ID}, `INSERT INTO users (email, name, created_at) VALUES ($1, $2, $3) RETURNING id`,
		u.Email, u.Name, ms(now))
	return u, err
}

// UserByEmail finds a person, whatever the case of the letters.
func (r *Reader) UserByEmail(email string) (User, error) {
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u WHERE email = $1`, strings.ToLower(strings.TrimSpace(email)))
}

// Users lists all people by address.
func (r *Reader) Users() ([]User, error) {
	return all(r, scanUser, `SELECT `+userColumns+` FROM users u ORDER BY email`)
}

// PutLink stores a one-time sign-in link; only the hash of its secret is kept.
// Links that expired are dropped.
func (w *Writer) PutLink(secret string, user int64, now, expires time.Time) error {
	if err := w.exec(`DELETE FROM links WHERE expires_at <= $1`, ms(now)); err != nil {
		return err
	}
	return w.exec(`INSERT INTO links (hash, user_id, expires_at) VALUES ($1, $2, $3)`, secretHash(secret), user, ms(expires))
}

// TakeLink uses a sign-in link up and returns whose it is. ErrNotFound: there is
// no such link, or it was used or has expired.
func (w *Writer) TakeLink(secret string, now time.Time) (User, error) {
	user, err := one(&w.Reader, value[int64], `UPDATE links SET used_at = $2
		WHERE hash = $1 AND used_at = 0 AND expires_at > $2 RETURNING user_id`, secretHash(secret), ms(now))
	if err != nil {
		return User{}, err
	}
	return one(&w.Reader, scanUser, `SELECT `+userColumns+` FROM users u WHERE id = $1`, user)
}

// PutSession stores a signed-in session; only the hash of its secret is kept.
// Sessions that expired are dropped.
func (w *Writer) PutSession(secret string, user int64, now, expires time.Time) error {
	if err := w.exec(`DELETE FROM sessions WHERE expires_at <= $1`, ms(now)); err != nil {
		return err
	}
	return w.exec(`INSERT INTO sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
		secretHash(secret), user, ms(now), ms(expires))
}

// Session returns whose session a secret opens. ErrNotFound: none, or it has
// expired.
func (r *Reader) Session(secret string, now time.Time) (User, error) {
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u JOIN sessions s ON s.user_id = u.id
		WHERE s.hash = $1 AND s.expires_at > $2`, secretHash(secret), ms(now))
}

// DropSession ends a session.
func (w *Writer) DropSession(secret string) error {
	return w.exec(`DELETE FROM sessions WHERE hash = $1`, secretHash(secret))
}

// Audit is one line of the record of who did what.
type Audit struct {
	ID     int64
	At     time.Time
	Who    string // an address, or "coletor" for the command line
	Act    string
	Object string
	Detail string // never holds secrets or personal data
}

// AddAudit writes a line.
func (w *Writer) AddAudit(a Audit) error {
	return w.exec(`INSERT INTO audit (at, who, act, object, detail) VALUES ($1, $2, $3, $4, $5)`,
		ms(a.At), a.Who, a.Act, a.Object, a.Detail)
}

// ListAudit returns the newest lines, newest first.
func (r *Reader) ListAudit(limit int) ([]Audit, error) {
	return all(r, func(s scanner, a *Audit) error {
		return s.Scan(&a.ID, at(&a.At), &a.Who, &a.Act, &a.Object, &a.Detail)
	}, `SELECT id, at, who, act, object, detail FROM audit ORDER BY id DESC LIMIT $1`, limit)
}
