// Package api is every operation of the collector as a plain function, for the
// pages and the command line alike. Each takes the Caller it works for; whether
// that caller may is decided in one place, by the table of Operations, and what it
// sees by its scope. Looking at personal data is recorded
// before it is shown.
package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zelo/collector/account"
	"zelo/collector/enrol"
	"zelo/collector/fleet"
	"zelo/collector/ingest"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// Options are the parts that operations work with.
type Options struct {
	Store     *store.Store
	Accounts  *account.Accounts
	Registry  *enrol.Registry
	Ingest    *ingest.Ingest
	Fleet     *fleet.Fleet
	Notify    *notify.Notifier
	Enrolment string // https://host:port where tills ask for their identity
	Now       func() time.Time
}

// API is the collector's operations. It is safe for concurrent use.
type API struct {
	o          Options
	operations map[Op]Operation
	exports    slots // under way, by person
	watches    slots // pages that are watched, by person
	newest     newest
	links      limiter    // sent to one address that asks
	asked      chan asked // to be sent
}

// New makes the operations.
func New(o Options) *API {
	a := &API{o: o, operations: map[Op]Operation{}, links: newLinkLimiter(), asked: make(chan asked, maxAsked)}
	for _, op := range Operations() {
		a.operations[op.Op] = op
	}
	return a
}

// Errors of operations. Others are failures of the collector itself.
var (
	// ErrNotFound: what was asked for is not there, or not for the caller: nobody
	// learns the difference.
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
type Caller = account.Caller

// CommandLine is the caller at the collector's own machine.
func CommandLine() Caller { return account.CommandLine() }

// allow is where it is decided what a caller may do: by the table of operations.
// It returns the caller as the operation sees it.
func (a *API) allow(c Caller, op Op) (Caller, error) {
	if c.Who() == "" {
		return c, ErrNotAllowed
	}
	o, known := a.operations[op]
	if !known || !c.Is(o.Roles...) {
		return c, ErrNotFound
	}
	if right := o.Right(); c.Token() && (right == "" || !c.Has(right)) {
		return c, &lacking{right}
	}
	if o.Needs != "" {
		c = c.With(o.Needs)
	}
	return c, nil
}

// May tells whether the caller may do an operation at all, for pages that offer it.
func (a *API) May(c Caller, op Op) bool {
	_, err := a.allow(c, op)
	return err == nil
}

// view reads, for an operation, what the caller sees.
func (a *API) view(ctx context.Context, c Caller, op Op, fn func(*store.Reader) error) error {
	c, err := a.allow(c, op)
	if err != nil {
		return err
	}
	return a.o.Store.View(ctx, c.Scope(), fn)
}

// update changes the store for an operation. What the caller names is looked up in
// seen, which is what the caller sees, before it is changed.
func (a *API) update(ctx context.Context, c Caller, op Op, fn func(w *store.Writer, seen *store.Reader) error) error {
	c, err := a.allow(c, op)
	if err != nil {
		return err
	}
	return a.o.Store.Update(ctx, func(w *store.Writer) error { return fn(w, w.As(c.Scope())) })
}

// note writes a line of the audit. Detail holds no personal data.
func (a *API) note(w *store.Writer, c Caller, act, object, detail string) error {
	line := c.Audit()
	line.At, line.Act, line.Object, line.Detail = a.o.Now(), act, object, detail
	return w.AddAudit(line)
}

// record notes in the audit what a caller does, before it is done.
func (a *API) record(ctx context.Context, c Caller, op Op, act, object, detail string) error {
	return a.update(ctx, c, op, func(w *store.Writer, _ *store.Reader) error { return a.note(w, c, act, object, detail) })
}

// Import stores files of documents and returns the verdict on each.
func (a *API) Import(ctx context.Context, c Caller, files ...ingest.File) ([]ingest.Verdict, error) {
	if _, err := a.allow(c, opImport); err != nil {
		return nil, err
	}
	return a.o.Ingest.Import(ctx, files...)
}

// Enrolment is what a till needs to connect. The token is told once.
type Enrolment struct {
	Label     string
	CNPJ      string // of the establishment of those tills; "" when none was named
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

// Enrol makes a token that so many tills may use within so many days. They belong to
// the caller's reseller, and to the establishment of cnpj unless that is "".
func (a *API) Enrol(ctx context.Context, c Caller, label, cnpj string, tills, days int) (Enrolment, error) {
	cnpj = compact(cnpj)
	if _, err := a.allow(c, opEnrol); err != nil {
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
	e := Enrolment{Label: label, CNPJ: cnpj, URL: a.o.Enrolment, Allowed: tills, ExpiresAt: a.o.Now().AddDate(0, 0, days)}
	reseller := c.Reseller()
	err := a.update(ctx, c, opEnrol, func(w *store.Writer, seen *store.Reader) error {
		if cnpj != "" {
			place, err := seen.Establishment(cnpj)
			if err != nil {
				return err
			}
			owner, err := seen.Taxpayer(place.Root)
			if err != nil {
				return err
			}
			reseller = owner.Reseller
		}
		return a.note(w, c, "código de ligação", label, fmt.Sprintf("%d caixas, %d dias %s", tills, days, cnpj))
	})
	if err == nil {
		e.Token, err = a.o.Registry.IssueToken(ctx, store.Token{Label: label, Reseller: reseller, CNPJ: cnpj, Allowed: tills, ExpiresAt: e.ExpiresAt})
	}
	return e, err
}
