// Package account knows the people who use the collector: they sign in with a
// link that works once, and a session remembers them for a working day. Secrets
// are 256 random bits and only their hashes are stored. Everyone is a platform
// administrator.
package account

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"sync"
	"time"

	"zelo/collector/store"
)

// Lifetimes, and how often one address may try links in a minute.
const (
	LinkLife    = 24 * time.Hour
	SessionLife = 12 * time.Hour
	perMinute   = 10
)

// Errors a person can do something about.
var (
	ErrLink      = errors.New("the sign-in link is unknown, was used or has expired")
	ErrTooMany   = errors.New("too many sign-in attempts from this address")
	ErrSignedOut = errors.New("nobody is signed in")
	ErrAddress   = errors.New("not an e-mail address")
)

// Accounts are the people in a store. It is safe for concurrent use.
type Accounts struct {
	store *store.Store
	now   func() time.Time

	mu     sync.Mutex
	minute time.Time
	tries  map[string]int // by address, in this minute
}

// New makes the accounts of a store.
func New(s *store.Store, now func() time.Time) *Accounts { return &Accounts{store: s, now: now} }

// NewLink makes a sign-in link's secret for an e-mail address, whose person is
// added when new. By says who asked for it. It is told once.
func (a *Accounts) NewLink(ctx context.Context, email, by string) (secret string, err error) {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email {
		return "", fmt.Errorf("cannot make a sign-in link for %q: %w", email, ErrAddress)
	}
	secret, now := newSecret(), a.now()
	err = a.store.Update(ctx, func(w *store.Writer) error {
		act := "novo link de acesso"
		user, err := w.UserByEmail(email)
		if errors.Is(err, store.ErrNotFound) {
			act = "nova pessoa"
			user, err = w.AddUser(email, "", now)
		}
		if err != nil {
			return err
		}
		if err := w.PutLink(secret, user.ID, now, now.Add(LinkLife)); err != nil {
			return err
		}
		return w.AddAudit(store.Audit{At: now, Who: by, Act: act, Object: user.Email})
	})
	if err != nil {
		return "", fmt.Errorf("cannot make a sign-in link for %q: %w", email, err)
	}
	return secret, nil
}

// SignIn uses a link up and opens a session. From is the address of the browser
// ("host:port"). It fails with ErrLink, ErrTooMany, or as the store does.
func (a *Accounts) SignIn(ctx context.Context, secret, from string) (session string, err error) {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	if !a.mayTry(host) {
		return "", ErrTooMany
	}
	session, now := newSecret(), a.now()
	err = a.store.Update(ctx, func(w *store.Writer) error {
		user, err := w.TakeLink(secret, now)
		if err != nil {
			return err
		}
		if err := w.PutSession(session, user.ID, now, now.Add(SessionLife)); err != nil {
			return err
		}
		return w.AddAudit(store.Audit{At: now, Who: user.Email, Act: "entrada", Object: user.Email, Detail: host})
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrLink
	case err != nil:
		return "", fmt.Errorf("cannot sign in: %w", err)
	}
	return session, nil
}

// mayTry counts the attempts of each address in the current minute.
func (a *Accounts) mayTry(host string) bool {
	const maxRemembered = 10_000
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.now().Truncate(time.Minute); !m.Equal(a.minute) {
		a.minute, a.tries = m, map[string]int{}
	}
	if len(a.tries) >= maxRemembered && a.tries[host] == 0 {
		return false
	}
	a.tries[host]++
	return a.tries[host] <= perMinute
}

// Person tells whose session it is. It fails with ErrSignedOut when it is
// nobody's or has expired.
func (a *Accounts) Person(ctx context.Context, session string) (u store.User, err error) {
	err = a.store.View(ctx, func(r *store.Reader) error {
		u, err = r.Session(session, a.now())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return u, ErrSignedOut
	}
	return u, err
}

// SignOut ends a session.
func (a *Accounts) SignOut(ctx context.Context, session string) error {
	now := a.now()
	return a.store.Update(ctx, func(w *store.Writer) error {
		user, err := w.Session(session, now)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.DropSession(session); err != nil {
			return err
		}
		return w.AddAudit(store.Audit{At: now, Who: user.Email, Act: "saída", Object: user.Email})
	})
}

func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
