package web

import (
	"net/http"
	"net/url"

	"zelo/collector/api"
)

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
		today := s.o.Now().In(brasilia())
		last := today.AddDate(0, 0, -today.Day()) // the last day of the month before
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
	return s.render(w, c, status, "export", reports, "Exportar", p)
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
	out := api.NewDownload(w, kind, p.Selection.FileName()+ending)
	err = write(p, out)
	if err == nil || !out.Cut() {
		return err
	}
	s.o.Log.Error("download cut off", "selection", p.Selection.String(), "err", err)
	return nil
}
