package web

import (
	"net/http"
	"net/url"

	"zelo/collector/api"
)

// auditPage is a search in the record of who did what.
type auditPage struct {
	Query   api.AuditQuery
	Asked   bool // there was something to search for
	Page    api.AuditPage
	Problem string
}

// More is the address of the next page.
func (p auditPage) More() string {
	return "/auditoria?" + url.Values{"quem": {p.Query.Who}, "ato": {p.Query.Act}, "de": {p.Query.From}, "ate": {p.Query.To}, "depois": {p.Page.Next}}.Encode()
}

// audit shows who did what, newest first.
func (s *site) audit(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	v := r.URL.Query()
	p := auditPage{Query: api.AuditQuery{Who: v.Get("quem"), Act: v.Get("ato"), From: v.Get("de"), To: v.Get("ate"), After: v.Get("depois")}}
	p.Asked = p.Query != api.AuditQuery{}
	status := http.StatusOK
	var err error
	p.Page, err = s.o.API.Audit(r.Context(), c, p.Query)
	if text, mend := problem(err); mend {
		p.Problem, status = text, http.StatusBadRequest
	} else if err != nil {
		return err
	}
	return s.render(w, c, status, "audit", reports, "Auditoria", p)
}
