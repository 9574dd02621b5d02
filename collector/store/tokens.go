package store

import (
	"crypto/sha256"
	"errors"
	"time"
)

// Token lets computers enrol as agents. Only the hash of its secret is stored.
type Token struct {
	ID        int64
	Label     string
	Reseller  int64  // whose tills they become
	CNPJ      string // the establishment of those tills; "" when it is not known yet
	Allowed   int    // how many computers may use it
	Used      int
	ExpiresAt time.Time
	CreatedAt time.Time
	EndedAt   time.Time // by a person; zero while it was not
}

// Standing tells whether computers may still enrol with the token.
func (t Token) Standing(now time.Time) bool {
	return t.EndedAt.IsZero() && t.Used < t.Allowed && now.Before(t.ExpiresAt)
}

// Reasons why a token does not enrol.
var (
	ErrTokenSpent   = errors.New("the token was used as often as it allows")
	ErrTokenExpired = errors.New("the token has expired or was ended")
)

// secretHash is what is stored of a secret.
func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// AddToken stores a new token.
func (w *Writer) AddToken(secret string, t Token) error {
	return w.exec(`INSERT INTO tokens (hash, reseller_id, cnpj, label, allowed, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, secretHash(secret), t.Reseller, t.CNPJ, t.Label, t.Allowed, ms(t.ExpiresAt), ms(t.CreatedAt))
}

// SpendToken uses a token once. It fails with ErrNotFound, ErrTokenExpired or
// ErrTokenSpent.
func (w *Writer) SpendToken(secret string, now time.Time) error {
	t, err := one(&w.Reader, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE hash = $1`, secretHash(secret))
	switch {
	case err != nil:
		return err
	case !now.Before(t.ExpiresAt), !t.EndedAt.IsZero():
		return ErrTokenExpired
	case t.Used >= t.Allowed:
		return ErrTokenSpent
	}
	return w.exec(`UPDATE tokens SET used = used + 1 WHERE hash = $1`, secretHash(secret))
}

// EnrolAgent spends a token's secret and notes the agent that used it, which is
// from then on the token's reseller's. It fails as SpendToken does.
func (w *Writer) EnrolAgent(secret, id, host string, now time.Time) error {
	if err := w.SpendToken(secret, now); err != nil {
		return err
	}
	if err := w.AddAgent(id, host, now); err != nil {
		return err
	}
	return w.exec(`UPDATE agents SET reseller_id = t.reseller_id, cnpj = t.cnpj, token_id = t.id FROM tokens t WHERE t.hash = $2 AND agents.id = $1`,
		id, secretHash(secret))
}

const tokenColumns = `id, reseller_id, cnpj, label, allowed, used, expires_at, created_at, ended_at`

func scanToken(s scanner, t *Token) error {
	return s.Scan(&t.ID, &t.Reseller, &t.CNPJ, &t.Label, &t.Allowed, &t.Used, at(&t.ExpiresAt), at(&t.CreatedAt), at(&t.EndedAt))
}

// listedTokens bounds how many tokens are listed.
const listedTokens = 200

// Tokens lists the newest tokens of the resellers that the reader sees, newest first.
func (r *Reader) Tokens() ([]Token, error) {
	args := arguments{listedTokens}
	return all(r, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE `+r.tokens(&args)+`
		ORDER BY created_at DESC, id DESC LIMIT $1`, args...)
}

// Enrolled lists the agents in the reader's sight that enrolled with a token, the
// first one first.
func (r *Reader) Enrolled(token int64) ([]Agent, error) {
	args := arguments{token}
	return all(r, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE token_id = $1 AND token_id <> 0 AND `+r.ofAgents("id", &args)+`
		ORDER BY first_seen, id`, args...)
}

// Token returns one token.
func (r *Reader) Token(id int64) (Token, error) {
	args := arguments{id}
	return one(r, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1 AND `+r.tokens(&args), args...)
}

// tokens is the condition for tokens that the reader sees: those of its reseller, or of
// the taxpayer that it is narrowed to.
func (r *Reader) tokens(args *arguments) string {
	where := r.ofReseller("reseller_id", args)
	if root := r.scope.Root(); root != "" {
		where += " AND cnpj >= " + args.add(root+firstBranch) + " AND cnpj <= " + args.add(root+lastBranch)
	}
	return where
}

// EndToken lets no more computers enrol with a token. Those that did stay.
func (w *Writer) EndToken(id int64, now time.Time) error {
	return w.exec(`UPDATE tokens SET ended_at = $2 WHERE id = $1 AND ended_at = 0`, id, ms(now))
}
