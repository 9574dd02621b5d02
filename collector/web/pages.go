package web

import (
	"net/http"
	"strconv"
	"strings"

	"zelo/collector/api"
)

func (s *site) now(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if c.Is(api.RoleTaxpayer) {
		return s.owner(w, r, c)
	}
	o, err := s.o.API.Now(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "now", "now", "Agora", o)
}

// shownTills is how many tills one page lists: a screen to look at, and no wait for
// the browser to draw it.
const shownTills = 300

// tillsPage is the list of tills, narrowed as somebody asked.
type tillsPage struct {
	Text   string
	State  api.State // "" for all
	List   []api.Till
	Found  int    // of which List shows the worst
	All    int    // whatever was asked
	Rest   string // address of all that were found; "" when List has them
	Orders bool   // whether the person gives commands
}

// States are the choices of a form.
func (tillsPage) States() []api.State {
	return []api.State{api.Critical, api.Warning, api.Notice, api.Silent, api.Fine, api.Archive}
}

// fits tells whether a till is among those asked for: of those without news also the ones
// that are graver by now, and those never heard.
func (p tillsPage) fits(t api.Till) bool {
	return (p.State == "" || t.State == p.State || p.State == api.Silent && t.Unheard()) &&
		strings.Contains(strings.ToLower(tillText(t)), strings.ToLower(p.Text))
}

func (s *site) tills(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	all, err := s.o.API.Tills(r.Context(), c)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	p := tillsPage{Text: strings.TrimSpace(q.Get("q")), State: api.State(q.Get("estado")), All: len(all), Orders: s.o.API.May(c, api.OpOrders)}
	for _, t := range all {
		if p.fits(t) {
			p.List = append(p.List, t)
		}
	}
	p.Found = len(p.List)
	if p.Found > shownTills && q.Get("todos") == "" {
		p.List = p.List[:shownTills]
		q.Set("todos", "1")
		p.Rest = "/caixas?" + q.Encode()
	}
	return s.render(w, c, http.StatusOK, "tills", "tills", "Caixas", p)
}

// tillText is what a till is found by: its shop, its names and its devices.
func tillText(t api.Till) string {
	words := []string{t.Name(), t.Shop()}
	for _, cnpj := range append(t.Issuers(), t.Agent.CNPJ) {
		words = append(words, cnpj, api.Register(cnpj))
	}
	for _, d := range t.Devices {
		words = append(words, "SAT "+d.Serial, d.Name)
	}
	if t.Worst != nil {
		words = append(words, t.Worst.Rule.Title)
	}
	return strings.Join(words, "\n")
}

func (s *site) till(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	t, err := s.o.API.Till(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	p, err := s.withNumbering(r, c, t)
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "till", "tills", t.Name(), p)
}

// number reads a number of the path; what is none names nothing.
func number(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0, api.ErrNotFound
	}
	return n, nil
}

func (s *site) quarantine(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	list, total, err := s.o.API.Quarantine(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "quarantine", settings, "Quarentena", struct {
		List  []api.Quarantined
		Total int
		Bytes bool // the person may have them as they came
	}{list, total, s.o.API.May(c, api.OpQuarantineBytes)})
}

func (s *site) settle(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err == nil {
		err = s.o.API.Settle(r.Context(), c, id)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/quarentena", http.StatusSeeOther)
	return nil
}

func (s *site) quarantined(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	raw, err := s.o.API.QuarantinedBytes(r.Context(), c, id)
	if err != nil {
		return err
	}
	attach(w, "application/octet-stream", "quarentena-"+strconv.FormatInt(id, 10)+".bin")
	w.Write(raw)
	return nil
}

// attach makes the answer a file to keep.
func attach(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// enrolForm is the page that connects tills.
type enrolForm struct {
	Problem string
	Label   string
	CNPJ    string
	Tills   int
	Days    int
	New     *api.Enrolment // just made
	Tokens  any
}

func (s *site) enrol(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderEnrol(w, r, c, http.StatusOK, enrolForm{Tills: 1, Days: 7})
}

func (s *site) renderEnrol(w http.ResponseWriter, r *http.Request, c api.Caller, status int, f enrolForm) error {
	tokens, err := s.o.API.Tokens(r.Context(), c)
	if err != nil {
		return err
	}
	f.Tokens = tokens
	return s.render(w, c, status, "enrol", settings, "Ligar caixas", f)
}

// newToken shows a new token, which is never shown again, or ends one.
func (s *site) newToken(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	if id, err := strconv.ParseInt(r.PostForm.Get("encerrar"), 10, 64); err == nil {
		if err := s.o.API.EndEnrolment(r.Context(), c, id); err != nil {
			return err
		}
		return s.enrol(w, r, c)
	}
	f := enrolForm{Label: r.PostForm.Get("nome"), CNPJ: r.PostForm.Get("cnpj")}
	f.Tills, _ = strconv.Atoi(r.PostForm.Get("caixas"))
	f.Days, _ = strconv.Atoi(r.PostForm.Get("dias"))
	e, err := s.o.API.Enrol(r.Context(), c, f.Label, f.CNPJ, f.Tills, f.Days)
	if text, mend := problem(err); mend {
		f.Problem = text
		return s.renderEnrol(w, r, c, http.StatusBadRequest, f)
	}
	if err != nil {
		return err
	}
	f.New = &e
	return s.renderEnrol(w, r, c, http.StatusOK, f)
}
