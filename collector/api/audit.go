package api

import (
	"context"
	"strconv"
	"strings"

	"zelo/collector/store"
)

// auditShown is how many lines of the audit a page has.
const auditShown = 100

// AuditQuery is a search in the audit as a person typed it.
type AuditQuery struct {
	Who, Act string // parts of them
	From, To string // days, 2026-11-21; both included
	After    string // the mark of the next page
}

// AuditPage is one page of the record of who did what.
type AuditPage struct {
	Lines []store.Audit // newest first
	Next  string        // mark of the next page, "" on the last
}

// Audit lists who did what.
func (a *API) Audit(ctx context.Context, c Caller, q AuditQuery) (p AuditPage, err error) {
	s, err := q.parse()
	if _, denied := a.allow(c, OpAudit); denied != nil || err != nil {
		return p, cmpError(denied, err)
	}
	if c.Narrowed() != "" {
		return p, problem("A auditoria não é separada por contribuinte. Volte a ver todos os clientes para consultá-la.")
	}
	err = a.view(ctx, c, OpAudit, func(r *store.Reader) error {
		p.Lines, err = r.ListAudit(s)
		return err
	})
	if len(p.Lines) == s.Limit {
		p.Lines = p.Lines[:auditShown]
		p.Next = strconv.FormatInt(p.Lines[auditShown-1].ID, 10)
	}
	return p, err
}

// parse makes a search of a query, for one line more than a page has. Its error is
// a Problem.
func (q AuditQuery) parse() (s store.AuditSearch, err error) {
	s = store.AuditSearch{Who: strings.ToLower(strings.TrimSpace(q.Who)), Act: strings.ToLower(strings.TrimSpace(q.Act)), Limit: auditShown + 1}
	if q.After != "" {
		if s.Before, err = strconv.ParseInt(q.After, 10, 64); err != nil || s.Before < 1 {
			return s, problem("A continuação da lista não existe. Faça a busca de novo.")
		}
	}
	s.From, s.To, err = days(q.From, q.To)
	return s, err
}
