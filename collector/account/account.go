// Package account knows the people who use the collector: who they are, what they
// see, and how they sign in: with a link that works once, or with a password and a
// one-time code. A session remembers them for a working day; programs act for them
// with tokens. Secrets are 256 random bits and only their hashes are stored.
package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"sync"
	"time"

	"zelo/collector/store"
	"zelo/sat"
)

// Lifetimes, and how often one address may try to sign in in a minute.
const (
	LinkLife    = 24 * time.Hour
	AskedLife   = 30 * time.Minute // of a link that a person asked for by themselves
	SessionLife = 12 * time.Hour
	perMinute   = 10
)

// Bounds of a password, in bytes.
const (
	MinPassword = 10
	maxPassword = 200
)

// After so many failures in a row an account waits, twice as long each time.
const (
	freeFailures = 5
	firstWait    = time.Minute
	longestWait  = time.Hour
)

// Errors a person can do something about.
var (
	ErrLink        = errors.New("the sign-in link is unknown, was used or has expired")
	ErrTooMany     = errors.New("too many sign-in attempts from this address")
	ErrSignedOut   = errors.New("nobody is signed in")
	ErrAddress     = errors.New("not an e-mail address")
	ErrCredentials = errors.New("address, password or code are wrong, or the account waits")
	ErrPassword    = errors.New("the password is too short or too long")
	ErrCode        = errors.New("the one-time code is wrong, or the account waits")
	ErrCodeNeeded  = errors.New("a one-time code is needed, too")
)

// Accounts are the people in a store. It is safe for concurrent use.
type Accounts struct {
	store   *store.Store
	key     Key
	now     func() time.Time
	hashing chan struct{} // bounds the memory that passwords take

	mu     sync.Mutex
	minute time.Time
	tries  map[string]int // by address, in this minute
}

// New makes the accounts of a store, whose secrets are sealed with key.
func New(s *store.Store, key Key, now func() time.Time) *Accounts {
	return &Accounts{store: s, key: key, now: now, hashing: make(chan struct{}, 2)}
}

// CheckAddress fails with ErrAddress when email is no plain e-mail address, or longer
// than mail servers take (RFC 5321, section 4.5.3.1.3).
func CheckAddress(email string) error {
	if len(email) > 254 {
		return ErrAddress
	}
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email {
		return fmt.Errorf("%q: %w", email, ErrAddress)
	}
	return nil
}

// SignInWith opens a session for an address, its password and the one-time code of
// the moment. It fails with ErrCredentials, whatever of them is wrong and also while
// the account waits, with ErrTooMany, or as the store does.
func (a *Accounts) SignInWith(ctx context.Context, email, password, code, from string) (session string, err error) {
	host := hostOf(from)
	if !a.MayTry(from) {
		return "", ErrTooMany
	}
	var u store.User
	err = a.store.View(ctx, store.All(), func(r *store.Reader) error {
		u, err = r.UserByEmail(email)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("cannot sign in: %w", err)
	}
	checked := u.Password
	same, err := a.same(ctx, password, checked)
	if err != nil {
		return "", fmt.Errorf("cannot sign in: %w", err)
	}
	secret, err := a.key.open(u.ID, u.TOTP)
	if err != nil {
		return "", fmt.Errorf("cannot sign in: %w", err)
	}
	step, fresh := stepOf(secret, code, a.now())
	if u.ID == 0 {
		return "", ErrCredentials
	}
	err = a.store.Update(ctx, func(w *store.Writer) error {
		now := a.now()
		u, err := w.User(u.ID)
		if err != nil || now.Before(u.Locked) {
			return err // session stays ""
		}
		if same && fresh && u.Password == checked {
			err := w.TookCode(u.ID, step)
			if err == nil {
				session, err = a.open(w, u, host)
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return a.refuse(w, u, host)
	})
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("cannot sign in: %w", err)
	case session == "":
		return "", ErrCredentials
	}
	return session, nil
}

// refuse notes a sign-in that failed.
func (a *Accounts) refuse(w *store.Writer, u store.User, host string) error {
	now := a.now()
	if err := w.Failed(u.ID, u.Failed+1, now.Add(waitAfter(u.Failed+1))); err != nil {
		return err
	}
	line := callerOf(u).Audit()
	line.At, line.Act, line.Object, line.Detail = now, "entrada recusada", u.Email, host
	return w.AddAudit(line)
}

// waitAfter is how long an account waits after so many failures in a row.
func waitAfter(failures int) time.Duration {
	if failures < freeFailures {
		return 0
	}
	return min(longestWait, firstWait<<min(failures-freeFailures, 10))
}

// hash does what takes a password's memory, for few at a time. It fails when ctx ends
// before its turn comes.
func (a *Accounts) hash(ctx context.Context, do func()) error {
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
		do()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// same is samePassword, when its turn comes.
func (a *Accounts) same(ctx context.Context, password, stored string) (same bool, err error) {
	err = a.hash(ctx, func() { same = len(password) <= maxPassword && samePassword(password, stored) })
	return same, err
}

// SetPassword gives a person a password and the secret of their one-time codes,
// proved by one of these. A person who has a password proves the old one. It fails
// with ErrPassword, ErrCode or ErrCredentials.
func (a *Accounts) SetPassword(ctx context.Context, c Caller, old, password, secret, given string) error {
	if len(password) < MinPassword || len(password) > maxPassword {
		return ErrPassword
	}
	if _, ok := stepOf(secret, given, a.now()); !ok {
		return ErrCode
	}
	var u store.User
	err := a.store.View(ctx, store.All(), func(r *store.Reader) (err error) {
		u, err = r.User(c.user)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot set the password of %s: %w", c.who, err)
	}
	proved := u.Password == ""
	if !proved {
		proved, err = a.same(ctx, old, u.Password)
	}
	if err == nil && !proved {
		return ErrCredentials
	}
	var hash, codes string
	if err == nil {
		err = a.hash(ctx, func() { hash = hashPassword(password) })
	}
	if err == nil {
		codes, err = a.key.seal(c.user, secret)
	}
	if err != nil {
		return fmt.Errorf("cannot set the password of %s: %w", c.who, err)
	}
	return a.store.Update(ctx, func(w *store.Writer) error {
		if now, err := w.User(c.user); err != nil || now.Password != u.Password {
			return cmp.Or(err, ErrCredentials) // it was reset meanwhile
		}
		if err := w.SetPassword(c.user, hash, codes); err != nil {
			return err
		}
		line := c.Audit()
		line.At, line.Act, line.Object = a.now(), "senha definida", c.who
		return w.AddAudit(line)
	})
}

// open opens a session.
func (a *Accounts) open(w *store.Writer, u store.User, host string) (session string, err error) {
	session, now := newSecret(), a.now()
	if err := w.PutSession(session, u.ID, now, now.Add(SessionLife)); err != nil {
		return "", err
	}
	line := callerOf(u).Audit()
	line.At, line.Act, line.Object, line.Detail = now, "entrada", u.Email, host
	return session, w.AddAudit(line)
}

func hostOf(from string) string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		return host
	}
	return from
}

// MayTry counts the attempts to sign in from each address ("host:port") in the current
// minute, and tells whether this one may go on; of IPv6 it counts those of each network,
// which one subscriber has whole. Whoever has very many addresses makes it forget, and
// does not keep others out.
func (a *Accounts) MayTry(from string) bool {
	const maxRemembered = 10_000
	host := hostOf(from)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && !ip.Is4In6() {
		host = netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.now().Truncate(time.Minute); !m.Equal(a.minute) {
		a.minute, a.tries = m, map[string]int{}
	}
	if len(a.tries) >= maxRemembered && a.tries[host] == 0 {
		a.tries = map[string]int{}
	}
	a.tries[host]++
	return a.tries[host] <= perMinute
}

// Caller is the caller of a session. It fails with ErrSignedOut when it is nobody's
// or has expired.
func (a *Accounts) Caller(ctx context.Context, session string) (c Caller, err error) {
	err = a.store.View(ctx, store.All(), func(r *store.Reader) error {
		u, err := r.Session(session, a.now())
		if err == nil {
			c = callerOf(u)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrSignedOut
	}
	return c, err
}

// CallerOfToken is the caller of a program with an API token: the person it acts
// for, where their plan includes it, with the token's rights. The first use of a day is
// noted in the audit. It fails with ErrSignedOut when the token is nobody's, was revoked
// or has expired.
func (a *Accounts) CallerOfToken(ctx context.Context, secret string) (c Caller, err error) {
	var t store.APIToken
	err = a.store.View(ctx, store.All(), func(r *store.Reader) error {
		if t, err = r.APITokenBySecret(secret, a.now()); err != nil {
			return err
		}
		u, err := r.User(t.User)
		if err == nil {
			c = callerOf(u).Only(t.Root).With(FeatureAPI)
			c.token, c.program, c.rights = true, t.Label, t.Rights
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return c, ErrSignedOut
	}
	year, month, day := a.now().In(sat.Brasilia()).Date()
	if today := time.Date(year, month, day, 0, 0, 0, 0, sat.Brasilia()); err == nil && t.UsedAt.Before(today) {
		err = a.used(ctx, c, t.ID, today)
	}
	return c, err
}

// used notes that a token is used on a day.
func (a *Accounts) used(ctx context.Context, c Caller, token int64, today time.Time) error {
	return a.store.Update(ctx, func(w *store.Writer) error {
		first, err := w.UsedAPIToken(token, today, a.now())
		if err != nil || !first {
			return err
		}
		line := c.Audit()
		line.At, line.Act, line.Object = a.now(), "código de API usado", c.program
		return w.AddAudit(line)
	})
}

// SignOut ends a session.
func (a *Accounts) SignOut(ctx context.Context, session string) error {
	return a.store.Update(ctx, func(w *store.Writer) error {
		u, err := w.Session(session, a.now())
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.DropSession(session); err != nil {
			return err
		}
		line := callerOf(u).Audit()
		line.At, line.Act, line.Object = a.now(), "saída", u.Email
		return w.AddAudit(line)
	})
}

// NewToken makes the secret of an API token. It is told once.
func NewToken() string { return "zelo_" + newSecret() }

func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
