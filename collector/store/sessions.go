package store

import "time"

// PutLink stores a one-time sign-in link; only the hash of its secret is kept.
// Links that expired are dropped.
func (w *Writer) PutLink(secret string, user int64, now, expires time.Time) error {
	if err := w.exec(`DELETE FROM links WHERE expires_at <= $1`, ms(now)); err != nil {
		return err
	}
	return w.exec(`INSERT INTO links (hash, user_id, expires_at) VALUES ($1, $2, $3)`, secretHash(secret), user, ms(expires))
}

// LinkOwner is whose a sign-in link is. ErrNotFound: there is no such link, or it was
// used or has expired, or the reader does not see everything.
func (r *Reader) LinkOwner(secret string, now time.Time) (User, error) {
	if err := r.system(); err != nil {
		return User{}, err
	}
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u JOIN links l ON l.user_id = u.id
		WHERE l.hash = $1 AND l.used_at = 0 AND l.expires_at > $2`, secretHash(secret), ms(now))
}

// TakeLink uses a sign-in link up and returns whose it is. ErrNotFound: there is
// no such link, or it was used or has expired.
func (w *Writer) TakeLink(secret string, now time.Time) (User, error) {
	user, err := one(&w.Reader, value[int64], `UPDATE links SET used_at = $2
		WHERE hash = $1 AND used_at = 0 AND expires_at > $2 RETURNING user_id`, secretHash(secret), ms(now))
	if err != nil {
		return User{}, err
	}
	return w.User(user)
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
// expired, or the reader does not see everything.
func (r *Reader) Session(secret string, now time.Time) (User, error) {
	if err := r.system(); err != nil {
		return User{}, err
	}
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u JOIN sessions s ON s.user_id = u.id
		WHERE s.hash = $1 AND s.expires_at > $2`, secretHash(secret), ms(now))
}

// DropSession ends a session.
func (w *Writer) DropSession(secret string) error {
	return w.exec(`DELETE FROM sessions WHERE hash = $1`, secretHash(secret))
}
