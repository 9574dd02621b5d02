package store

import "time"

// Grant lets a person see a taxpayer.
type Grant struct {
	ID      int64
	User    int64
	Email   string // of the person
	Root    string
	Name    string // of the taxpayer
	GivenAt time.Time
	GivenBy string
}

const grantQuery = `SELECT g.id, g.user_id, u.email, g.root, t.name, g.given_at, g.given_by FROM grants g JOIN users u ON u.id = g.user_id
	JOIN taxpayers t ON t.root = g.root WHERE g.taken_at = 0 AND `

func scanGrant(s scanner, g *Grant) error {
	return s.Scan(&g.ID, &g.User, &g.Email, &g.Root, &g.Name, at(&g.GivenAt), &g.GivenBy)
}

// Grants lists the grants that hold for taxpayers the reader sees.
func (r *Reader) Grants() ([]Grant, error) {
	args := arguments{}
	return all(r, scanGrant, grantQuery+r.scope.taxpayers(&args)+` ORDER BY t.name, g.root, u.email`, args...)
}

// GrantsOf lists the grants that hold for one taxpayer.
func (r *Reader) GrantsOf(root string) ([]Grant, error) {
	args := arguments{root}
	return all(r, scanGrant, grantQuery+`g.root = $1 AND `+r.scope.taxpayers(&args)+` ORDER BY u.email`, args...)
}

// Grant returns one grant that holds.
func (r *Reader) Grant(id int64) (Grant, error) {
	args := arguments{id}
	return one(r, scanGrant, grantQuery+`g.id = $1 AND `+r.scope.taxpayers(&args), args...)
}

// Give lets a person see a taxpayer. One that holds stays as it is.
func (w *Writer) Give(user int64, root, by string, now time.Time) error {
	return w.exec(`INSERT INTO grants (user_id, root, given_at, given_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, root) WHERE taken_at = 0 DO NOTHING`, user, root, ms(now), by)
}

// Take ends a grant.
func (w *Writer) Take(id int64, by string, now time.Time) error {
	return w.exec(`UPDATE grants SET taken_at = $2, taken_by = $3 WHERE id = $1 AND taken_at = 0`, id, ms(now), by)
}

// APIToken lets a program act as a person. Only the hash of its secret is stored.
type APIToken struct {
	ID        int64
	User      int64
	Email     string // of the person
	Label     string
	Root      string // the one taxpayer it sees; "" for all that the person does
	Rights    string // what it may do beside reading, in words with blanks between them
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // last, to the day; zero when it was not
}

const apiTokenQuery = `SELECT k.id, k.user_id, u.email, k.label, k.root, k.rights, k.created_at, k.expires_at, k.used_at FROM api_tokens k
	JOIN users u ON u.id = k.user_id WHERE k.revoked_at = 0 AND `

func scanAPIToken(s scanner, t *APIToken) error {
	return s.Scan(&t.ID, &t.User, &t.Email, &t.Label, &t.Root, &t.Rights, at(&t.CreatedAt), at(&t.ExpiresAt), at(&t.UsedAt))
}

// AddAPIToken stores a new token.
func (w *Writer) AddAPIToken(secret string, t APIToken) error {
	return w.exec(`INSERT INTO api_tokens (hash, user_id, label, root, rights, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		secretHash(secret), t.User, t.Label, t.Root, t.Rights, ms(t.CreatedAt), ms(t.ExpiresAt))
}

// APITokens lists the tokens of one person that were not revoked, newest first: of a
// reader who is narrowed to a taxpayer those that are narrowed to the same.
func (r *Reader) APITokens(user int64) ([]APIToken, error) {
	args := arguments{user}
	where := r.people(&args)
	if r.scope.Root() != "" {
		args = arguments{user}
		where = "k.root IN (SELECT t.root FROM taxpayers t WHERE " + r.scope.taxpayers(&args) + ")"
	}
	return all(r, scanAPIToken, apiTokenQuery+`k.user_id = $1 AND `+where+` ORDER BY k.id DESC`, args...)
}

// APITokenBySecret returns the token a secret opens. ErrNotFound: none, it was
// revoked or has expired, or the reader does not see everything.
func (r *Reader) APITokenBySecret(secret string, now time.Time) (APIToken, error) {
	if err := r.system(); err != nil {
		return APIToken{}, err
	}
	return one(r, scanAPIToken, apiTokenQuery+`k.hash = $1 AND k.expires_at > $2`, secretHash(secret), ms(now))
}

// UsedAPIToken notes that a token is used, for the first time since before, and tells
// whether nobody else noted that.
func (w *Writer) UsedAPIToken(id int64, before, now time.Time) (bool, error) {
	n, err := w.count(`UPDATE api_tokens SET used_at = $2 WHERE id = $1 AND used_at < $3`, id, ms(now), ms(before))
	return n > 0, err
}

// RevokeAPIToken ends a token of a person. ErrNotFound: they have none of that id.
func (w *Writer) RevokeAPIToken(id, user int64, now time.Time) error {
	n, err := w.count(`UPDATE api_tokens SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at = 0`, id, user, ms(now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}
