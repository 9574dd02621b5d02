package web

import (
	"errors"
	"net/http"
	"net/url"

	"zelo/collector/api"
)

// problem is the text of an error that the person who asked can mend.
func problem(err error) (text string, mend bool) {
	var p *api.Problem
	if !errors.As(err, &p) {
		return "", false
	}
	return p.Text, true
}

// searchPage is the form of a search with what it found.
type searchPage struct {
	Query   api.Query
	Asked   bool // there was something to search for
	Found   api.Found
	Problem string
}

// More is the address of the next page of a search that may stand in one.
func (p searchPage) More() string { return searchURL(p.Query, p.Found.Next) }

func searchURL(q api.Query, after string) string {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "de": q.From, "ate": q.To, "depois": after} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "/cupons"
	}
	return "/cupons?" + v.Encode()
}

// coupons shows what a search in the address finds, or the newest documents.
func (s *site) coupons(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	v := r.URL.Query()
	q := api.Query{Text: v.Get("q"), From: v.Get("de"), To: v.Get("ate"), After: v.Get("depois")}
	if q.Personal() {
		return &api.Problem{Text: "Um CPF não pode fazer parte do endereço da página. Use o campo Consumidor da busca."}
	}
	return s.find(w, r, c, q)
}

// search takes the form. What names no consumer goes on to an address that can
// be kept; a consumer never stands in an address.
func (s *site) search(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	v := r.PostForm
	q := api.Query{Text: v.Get("q"), From: v.Get("de"), To: v.Get("ate"), Consumer: v.Get("consumidor"), After: v.Get("depois")}
	if q.Personal() {
		return s.find(w, r, c, q)
	}
	http.Redirect(w, r, searchURL(q, ""), http.StatusSeeOther)
	return nil
}

func (s *site) find(w http.ResponseWriter, r *http.Request, c api.Caller, q api.Query) error {
	p := searchPage{Query: q, Asked: q.Personal() || searchURL(q, "") != "/cupons"}
	status := http.StatusOK
	var err error
	p.Found, err = s.o.API.Search(r.Context(), c, q)
	if text, mend := problem(err); mend {
		p.Problem, status = text, http.StatusBadRequest
	} else if err != nil {
		return err
	}
	return s.render(w, c, status, "coupons", "coupons", "Cupons", p)
}

func (s *site) coupon(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	d, err := s.o.API.Document(r.Context(), c, r.PathValue("ref"))
	if err != nil {
		return err
	}
	return s.renderCoupon(w, c, d)
}

// reveal shows a coupon with its consumer.
func (s *site) reveal(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	d, err := s.o.API.RevealDocument(r.Context(), c, r.PathValue("ref"))
	if err != nil {
		return err
	}
	return s.renderCoupon(w, c, d)
}

// couponPage is a coupon, and whether its file may be taken.
type couponPage struct {
	api.Coupon
	Original bool
}

func (s *site) renderCoupon(w http.ResponseWriter, c api.Caller, d api.Coupon) error {
	return s.render(w, c, http.StatusOK, "coupon", "coupons", documentTitle(d.Listed), couponPage{d, s.o.API.May(c, api.OpDocumentBytes)})
}

// original sends a stored version byte for byte.
func (s *site) original(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	raw, name, err := s.o.API.DocumentBytes(r.Context(), c, id)
	if err != nil {
		return err
	}
	attach(w, "application/xml", name)
	w.Write(raw)
	return nil
}
