package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

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

func (s *site) renderCoupon(w http.ResponseWriter, c api.Caller, d api.Coupon) error {
	return s.render(w, c, http.StatusOK, "coupon", "coupons", documentTitle(d.Listed), d)
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

// exportPage is the form of an export with what it would hold.
type exportPage struct {
	Selection   api.Selection
	Month, Year string // of the form
	Years       []int
	Shops       []api.Shop
	Report      *api.Report // nil until a shop was chosen
	Problem     string
}

// Query is the selection as it stands in the addresses of downloads.
func (p exportPage) Query() string {
	v := url.Values{"cnpj": {p.Selection.CNPJ}, "serie": {p.Selection.Serial}, "mes": {p.Month}, "ano": {p.Year}}
	return v.Encode()
}

// firstYear is that of the first CF-e.
const firstYear = 2012

func (s *site) exportForm(r *http.Request, c api.Caller) (p exportPage, err error) {
	v := r.URL.Query()
	p.Month, p.Year = v.Get("mes"), v.Get("ano")
	p.Selection = api.Selection{CNPJ: v.Get("cnpj"), Serial: v.Get("serie")}
	if p.Month == "" && p.Year == "" {
		last := s.o.Now().In(brasilia()).AddDate(0, -1, 0)
		p.Month, p.Year = last.Format("01"), last.Format("2006")
	}
	p.Selection.Month = p.Year + p.Month
	for y := s.o.Now().In(brasilia()).Year(); y >= firstYear; y-- {
		p.Years = append(p.Years, y)
	}
	p.Shops, err = s.o.API.Shops(r.Context(), c)
	return p, err
}

// export counts what an export would hold before anything is downloaded.
func (s *site) export(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	p, err := s.exportForm(r, c)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if p.Selection.CNPJ != "" {
		report, err := s.o.API.Preview(r.Context(), c, p.Selection)
		if text, mend := problem(err); mend {
			p.Problem, status = text, http.StatusBadRequest
		} else if err != nil {
			return err
		} else {
			p.Report = &report
		}
	}
	return s.render(w, c, status, "export", "export", "Exportar", p)
}

func (s *site) exportZIP(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.download(w, r, c, "application/zip", ".zip", func(p exportPage, w http.ResponseWriter) error {
		_, err := s.o.API.ExportZIP(r.Context(), c, p.Selection, w)
		return err
	})
}

func (s *site) exportCSV(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.download(w, r, c, "text/csv; charset=utf-8", ".csv", func(p exportPage, w http.ResponseWriter) error {
		_, err := s.o.API.ExportCSV(r.Context(), c, p.Selection, w)
		return err
	})
}

// download streams an export. One that fails on the way is cut off, so that the
// browser does not take it for whole.
func (s *site) download(w http.ResponseWriter, r *http.Request, c api.Caller, kind, ending string, write func(exportPage, http.ResponseWriter) error) error {
	p, err := s.exportForm(r, c)
	if err != nil {
		return err
	}
	out := &stream{ResponseWriter: w, begin: func() { attach(w, kind, p.Selection.FileName()+ending) }}
	err = write(p, out)
	if err == nil || !out.begun {
		return err
	}
	s.o.Log.Error("download cut off", "selection", p.Selection.String(), "err", err)
	// Nothing more can be written: the connection ends without the end mark.
	return http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
}

// stream sets the headers of a download when its first byte comes, so that an
// error before that still gets a page.
type stream struct {
	http.ResponseWriter
	begin func()
	begun bool
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.begin()
	}
	return s.ResponseWriter.Write(b)
}
