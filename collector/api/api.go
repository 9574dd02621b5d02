// Package api is every operation of the collector as a plain function, for the
// pages and the command line alike. Each takes the Caller it works for; whether
// that caller may is decided in one place. Looking at personal data is recorded
// before it is shown.
package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zelo/collector/account"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// Options are the parts that operations work with.
type Options struct {
	Store     *store.Store
	Accounts  *account.Accounts
	Registry  *enrol.Registry
	Ingest    *ingest.Ingest
	Enrolment string // https://host:port where tills ask for their identity
	Now       func() time.Time
}

// API is the collector's operations. It is safe for concurrent use.
type API struct{ o Options }

// New makes the operations.
func New(o Options) *API { return &API{o} }

// Errors of operations. Others are failures of the collector itself.
var (
	// ErrNotFound: what was asked for is not there.
	ErrNotFound = store.ErrNotFound
	// ErrNotAllowed: the caller is nobody. ErrSignedOut: the session is nobody's.
	ErrNotAllowed = errors.New("not allowed")
	ErrSignedOut  = account.ErrSignedOut
)

// Problem is an error that the person who asked can mend. Its text is for them,
// in pt-BR.
type Problem struct{ Text string }

func (p *Problem) Error() string { return p.Text }

func problem(format string, args ...any) error { return &Problem{fmt.Sprintf(format, args...)} }

// Caller is whom an operation works for. The zero Caller may do nothing.
type Caller struct{ who string }

// Who is the caller's e-mail address, or "coletor" for the command line.
func (c Caller) Who() string { return c.who }

// CommandLine is the caller at the collector's own machine.
func CommandLine() Caller { return Caller{"coletor"} }

// allow is where it is decided what a caller may do.
func (a *API) allow(c Caller) error {
	if c.who == "" {
		return ErrNotAllowed
	}
	return nil
}

// view reads the store for a caller.
func (a *API) view(ctx context.Context, c Caller, fn func(*store.Reader) error) error {
	if err := a.allow(c); err != nil {
		return err
	}
	return a.o.Store.View(ctx, fn)
}

// record notes in the audit what a caller does, before it is done. Detail holds
// no personal data.
func (a *API) record(ctx context.Context, c Caller, act, object, detail string) error {
	if err := a.allow(c); err != nil {
		return err
	}
	return a.o.Store.Update(ctx, func(w *store.Writer) error {
		return w.AddAudit(store.Audit{At: a.o.Now(), Who: c.who, Act: act, Object: object, Detail: detail})
	})
}

// SignIn uses a sign-in link up and opens a session. From is the address of the
// browser.
func (a *API) SignIn(ctx context.Context, secret, from string) (session string, err error) {
	session, err = a.o.Accounts.SignIn(ctx, secret, from)
	switch {
	case errors.Is(err, account.ErrLink):
		return "", problem("Este link de acesso não existe, já foi usado ou venceu. Peça outro a quem cuida do coletor: zelo-collector user E-MAIL.")
	case errors.Is(err, account.ErrTooMany):
		return "", problem("Muitas tentativas de entrar a partir deste endereço. Aguarde um minuto e abra o link de novo.")
	}
	return session, err
}

// CallerOf is the caller of a session.
func (a *API) CallerOf(ctx context.Context, session string) (Caller, error) {
	u, err := a.o.Accounts.Person(ctx, session)
	return Caller{u.Email}, err
}

// SignOut ends a session.
func (a *API) SignOut(ctx context.Context, session string) error {
	return a.o.Accounts.SignOut(ctx, session)
}

// NewLink makes the secret of a sign-in link for an e-mail address, whose person
// is added when new.
func (a *API) NewLink(ctx context.Context, c Caller, email string) (secret string, err error) {
	if err := a.allow(c); err != nil {
		return "", err
	}
	secret, err = a.o.Accounts.NewLink(ctx, email, c.who)
	if errors.Is(err, account.ErrAddress) {
		return "", problem("%q não é um endereço de e-mail. Escreva como em ana@exemplo.com.br.", email)
	}
	return secret, err
}

// Import stores files of documents and returns the verdict on each.
func (a *API) Import(ctx context.Context, c Caller, files ...ingest.File) ([]ingest.Verdict, error) {
	if err := a.allow(c); err != nil {
		return nil, err
	}
	return a.o.Ingest.Import(ctx, files...)
}

// Tokens lists the enrolment tokens, newest first.
func (a *API) Tokens(ctx context.Context, c Caller) (list []store.Token, err error) {
	err = a.view(ctx, c, func(r *store.Reader) error {
		list, err = r.Tokens()
		return err
	})
	return list, err
}

// Enrolment is what a till needs to connect. The token is told once.
type Enrolment struct {
	Label     string
	Token     string
	URL       string
	Allowed   int // how many tills may use it
	ExpiresAt time.Time
}

// Bounds of an enrolment token.
const (
	maxTills = 1000
	maxDays  = 365
)

// Enrol makes a token that so many tills may use within so many days.
func (a *API) Enrol(ctx context.Context, c Caller, label string, tills, days int) (Enrolment, error) {
	if err := a.allow(c); err != nil {
		return Enrolment{}, err
	}
	switch {
	case tills < 1 || tills > maxTills:
		return Enrolment{}, problem("Escreva quantos caixas podem usar o código: de 1 a %d.", maxTills)
	case days < 1 || days > maxDays:
		return Enrolment{}, problem("Escreva por quantos dias o código vale: de 1 a %d.", maxDays)
	case len(label) > 100:
		return Enrolment{}, problem("O nome tem mais de 100 letras: escreva um mais curto.")
	}
	e := Enrolment{Label: label, URL: a.o.Enrolment, Allowed: tills, ExpiresAt: a.o.Now().AddDate(0, 0, days)}
	err := a.record(ctx, c, "código de ligação", label, fmt.Sprintf("%d caixas, %d dias", tills, days))
	if err == nil {
		e.Token, err = a.o.Registry.NewToken(ctx, label, tills, e.ExpiresAt)
	}
	return e, err
}
