package api

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"zelo/collector/account"
	"zelo/collector/store"
)

// How often a link is sent to one address that asks, and how many wishes may wait.
const (
	linkEvery = 5 * time.Minute
	linkBurst = 3
	maxAsked  = 200
)

func newLinkLimiter() limiter {
	return limiter{rate: rate.Every(linkEvery), burst: linkBurst, most: 10_000}
}

// asked is somebody's wish for a sign-in link.
type asked struct {
	email string
	from  string // address of the browser
}

// Invitation is how a person gets a sign-in link that was made for them. That nobody
// needed one is the zero value.
type Invitation struct {
	Sent    string // the address that it went to by e-mail
	Secret  string // of the link that has to be handed over, told once; "" when it was sent
	Problem string // why it could not be sent, pt-BR; "" when no e-mails are sent here
}

// Link is the path of the link that has to be handed over; "" when there is none.
func (i Invitation) Link() string {
	if i.Secret == "" {
		return ""
	}
	return "/entrar/" + i.Secret
}

// MailsLinks tells whether a person may have a sign-in link sent by AskLink.
func (a *API) MailsLinks() bool { return a.o.Notify.Mails() }

// AskLink asks for a sign-in link for whoever has an e-mail address; from is the address
// of the browser. It only takes the wish down, for SendLinks: so its end and the time it
// takes are the same whether somebody has that address or not.
func (a *API) AskLink(email, from string) error {
	if !a.MailsLinks() {
		return problem("Este coletor não envia e-mails. Peça um link a quem cuida dele.")
	}
	if !a.o.Accounts.MayTry(from) {
		return signInProblem(account.ErrTooMany)
	}
	if err := checkEmail(email); err != nil {
		return err
	}
	if a.links.wait(strings.ToLower(email), a.o.Now()) > 0 {
		return nil // the latest links still work
	}
	select {
	case a.asked <- asked{email, from}:
		return nil
	default:
		return &Busy{"Há muitos pedidos de link agora. Aguarde um minuto e peça de novo.", time.Minute}
	}
}

// SendLinks sends the links that were asked for, one after the other, until ctx ends.
func (a *API) SendLinks(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case wish := <-a.asked:
			l, err := a.o.Accounts.AskedLink(ctx, wish.email, wish.from)
			if err == nil {
				err = a.o.Notify.SendLink(ctx, l.Email, l.Secret, l.Until)
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				log.Warn("a sign-in link was not sent", "problem", err)
			}
		}
	}
}

// invite makes a link for a person, who is added when u has no id.
func (a *API) invite(w *store.Writer, c Caller, u store.User) (account.Link, error) {
	return a.o.Accounts.Invite(w, c, u, a.MailsLinks())
}

// hand gives a person the link that was made for them: by e-mail, or else by whoever
// made it.
func (a *API) hand(ctx context.Context, l account.Link, err error) (Invitation, error) {
	if err != nil || l.Secret == "" {
		return Invitation{}, err
	}
	if !a.MailsLinks() {
		return Invitation{Secret: l.Secret}, nil
	}
	if err := a.o.Notify.SendLink(ctx, l.Email, l.Secret, l.Until); err != nil {
		return Invitation{Secret: l.Secret, Problem: err.Error()}, nil
	}
	return Invitation{Sent: l.Email}, nil
}
