package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"zelo/collector/store"
)

// Link is a sign-in link that was made.
type Link struct {
	Email  string // whose it is, as the store knows the address
	Secret string // told once
	Until  time.Time
}

// byMail begins the secrets of links that go by e-mail. The store knows the hash of the
// whole alone, so that nobody can take the mark off.
const byMail = "e."

// NewLink makes a sign-in link's secret for an e-mail address. An address that is
// new becomes a platform administrator: only the command line may ask for it.
func (a *Accounts) NewLink(ctx context.Context, email string, by Caller) (secret string, err error) {
	if err := CheckAddress(email); err != nil {
		return "", fmt.Errorf("cannot make a sign-in link for %w", err)
	}
	err = a.store.Update(ctx, func(w *store.Writer) error {
		user, err := w.UserByEmail(email)
		if errors.Is(err, store.ErrNotFound) {
			user = store.User{Email: email, Role: store.RolePlatform}
		} else if err != nil {
			return err
		}
		l, err := a.Invite(w, by, user, false)
		secret = l.Secret
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot make a sign-in link for %q: %w", email, err)
	}
	return secret, nil
}

// Invite makes a sign-in link for a person, who is added when u has no id; mailed tells
// that it goes by e-mail. Whether the caller may is for others to decide.
func (a *Accounts) Invite(w *store.Writer, by Caller, u store.User, mailed bool) (Link, error) {
	line, now := by.Audit(), a.now()
	line.At, line.Act = now, "novo link de acesso"
	if u.ID == 0 {
		var err error
		line.Act, line.Detail, u.CreatedAt = "nova pessoa", string(u.Role), now
		if u, err = w.AddPerson(u); err != nil {
			return Link{}, err
		}
	}
	l := Link{u.Email, newSecret(), now.Add(LinkLife)}
	if mailed {
		l.Secret = byMail + l.Secret
	}
	line.Object = u.Email
	return l, a.put(w, u, l, line)
}

// AskedLink makes the link that somebody at an address ("host:port") asked to be sent
// to an e-mail address. It fails with store.ErrNotFound when nobody has that.
func (a *Accounts) AskedLink(ctx context.Context, email, from string) (l Link, err error) {
	err = a.store.Update(ctx, func(w *store.Writer) error {
		u, err := w.UserByEmail(email)
		if err != nil {
			return err
		}
		now := a.now()
		l = Link{u.Email, byMail + newSecret(), now.Add(AskedLife)}
		line := callerOf(u).Audit()
		line.At, line.Act, line.Object, line.Detail = now, "link de acesso pedido", u.Email, hostOf(from)
		return a.put(w, u, l, line)
	})
	return l, err
}

func (a *Accounts) put(w *store.Writer, u store.User, l Link, line store.Audit) error {
	if err := w.PutLink(l.Secret, u.ID, line.At, l.Until); err != nil {
		return err
	}
	return w.AddAudit(line)
}

// SignIn uses a link up and opens a session. From is the address of the browser
// ("host:port"). A link that went by e-mail lies in a mailbox: it needs code, the
// one-time code of the moment, if the person has such codes. It fails with ErrLink,
// ErrTooMany, with ErrCodeNeeded or ErrCode, which leave the link, or as the store does.
func (a *Accounts) SignIn(ctx context.Context, secret, code, from string) (session string, err error) {
	host := hostOf(from)
	if !a.MayTry(from) {
		return "", ErrTooMany
	}
	var refused error
	err = a.store.Update(ctx, func(w *store.Writer) error {
		user, err := w.LinkOwner(secret, a.now())
		if err != nil {
			return err
		}
		if strings.HasPrefix(secret, byMail) && user.TOTP != "" {
			if refused, err = a.prove(w, user, code, host); refused != nil || err != nil {
				return err
			}
		}
		if _, err := w.TakeLink(secret, a.now()); err != nil {
			return err
		}
		if err := w.Failed(user.ID, 0, time.Time{}); err != nil {
			return err
		}
		session, err = a.open(w, user, host)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrLink
	case err != nil:
		return "", fmt.Errorf("cannot sign in: %w", err)
	}
	return session, refused
}

// prove takes a person's one-time code, or says why not: a wrong one counts as a
// sign-in that failed.
func (a *Accounts) prove(w *store.Writer, u store.User, given, host string) (refused, err error) {
	if given == "" {
		return ErrCodeNeeded, nil
	}
	if a.now().Before(u.Locked) {
		return ErrCode, nil
	}
	secret, err := a.key.open(u.ID, u.TOTP)
	if err != nil {
		return nil, err
	}
	if step, fresh := stepOf(secret, given, a.now()); fresh {
		if err := w.TookCode(u.ID, step); !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return ErrCode, a.refuse(w, u, host)
}
