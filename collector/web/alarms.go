package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"zelo/collector/api"
)

// alarmsPage is the list of alarms.
type alarmsPage struct {
	Filter               api.AlarmFilter
	Open, Behind, Closed []api.Alarm
	All                  int // open ones that stand for themselves, whatever the filter
	Limits               bool
}

func (s *site) alarms(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	open, closed, err := s.o.API.Alarms(r.Context(), c)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	p := alarmsPage{Filter: api.AlarmFilter{Severity: q.Get("gravidade"), Life: q.Get("situacao"), Text: q.Get("q")}, Closed: closed,
		Limits: s.o.API.May(c, api.OpPolicy)}
	for _, a := range open {
		if !a.Explained() {
			p.All++
		}
	}
	for _, a := range p.Filter.Filter(open, c.Who(), s.o.Now()) {
		if a.Explained() {
			p.Behind = append(p.Behind, a)
		} else {
			p.Open = append(p.Open, a)
		}
	}
	return s.render(w, c, http.StatusOK, "alarms", "alarms", "Alarmes", p)
}

// alarmPage is one alarm with what the person may do about it.
type alarmPage struct {
	api.AlarmPage
	May      bool
	Mine     bool
	Commands string // the till whose commands the person may give about it; "" for none
}

func (s *site) alarm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	a, err := s.o.API.Alarm(r.Context(), c, id)
	if err != nil {
		return err
	}
	p := alarmPage{AlarmPage: a, May: s.o.API.May(c, api.OpTakeAlarm) && a.Open(), Mine: a.TakenBy == c.Who()}
	if a.Till != nil {
		may, err := s.commandable(r, c, a.Till.ID)
		if err != nil {
			return err
		}
		if may {
			p.Commands = a.Till.ID
		}
	}
	return s.render(w, c, http.StatusOK, "alarm", "alarms", a.Rule.Title, p)
}

// actOnAlarm does what a button of an alarm's page says.
func (s *site) actOnAlarm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err == nil {
		err = r.ParseForm()
	}
	if err != nil {
		return err
	}
	switch r.PathValue("ato") {
	case "assumir":
		err = s.o.API.TakeAlarm(r.Context(), c, id, r.PostForm.Get("pessoa"))
	case "silenciar":
		hours, _ := strconv.Atoi(r.PostForm.Get("horas")) // what is none ends the silence
		err = s.o.API.Silence(r.Context(), c, id, hours)
	case "resolver":
		err = s.o.API.Resolve(r.Context(), c, id)
	default:
		err = api.ErrNotFound
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/alarmes/"+r.PathValue("id"), http.StatusSeeOther)
	return nil
}

// devicePage is one device's place in life.
type devicePage struct {
	api.DevicePage
	May    bool
	Chosen string
	Stages []api.StageChoice
	Charts []*chart
}

func (s *site) device(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	d, err := s.o.API.Device(r.Context(), c, r.PathValue("serial"))
	if err != nil {
		return err
	}
	days, err := s.o.API.DeviceDays(r.Context(), c, d.Serial)
	if err != nil {
		return err
	}
	said, err := s.o.API.DeviceHistory(r.Context(), c, d.Serial)
	if err != nil {
		return err
	}
	p := devicePage{d, s.o.API.May(c, api.OpSetStage), string(d.Stage.Stage), api.StageChoices(),
		charts(pendingChart(said, s.o.Now()), contactChart(said, s.o.Now()), memoryChart(days), salesChart(days.Sales))}
	if d.Proposed != "" {
		p.Chosen = string(d.Proposed)
	}
	return s.render(w, c, http.StatusOK, "device", "tills", "Etapa do SAT "+d.Serial, p)
}

func (s *site) setStage(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	serial := r.PathValue("serial")
	if err := s.o.API.SetStage(r.Context(), c, serial, api.Stage(r.PostForm.Get("etapa")), r.PostForm.Get("motivo")); err != nil {
		return err
	}
	http.Redirect(w, r, "/equipamentos/"+serial, http.StatusSeeOther)
	return nil
}

// limitsPage is what a reseller, a taxpayer or an establishment sets of alarms.
type limitsPage struct {
	Problem string
	Whose   string // CNPJ or its root; "" for the reseller
	Found   bool   // there is such a one
	Owners  []ownerChoice
	Rules   []limit
	Policy  api.Policy
	Opens   string
	Closes  string
}

// limit is a rule with its thresholds as a form shows them.
type limit struct {
	api.Limit
	Value, Default string
}

// ownerChoice is one of several resellers whose limits the platform may set.
type ownerChoice struct {
	ID     int64
	Name   string
	Chosen bool
}

// owners are the resellers to choose from; nil when there is no choice.
func (s *site) owners(r *http.Request, c api.Caller, chosen int64) (list []ownerChoice, err error) {
	all, err := s.o.API.Resellers(r.Context(), c)
	if err != nil || len(all) < 2 {
		return nil, err
	}
	for _, one := range all {
		list = append(list, ownerChoice{one.ID, one.Name, one.ID == chosen})
	}
	return list, nil
}

// ownerOf names whose limits a page is about, as its address says.
func ownerOf(r *http.Request, c api.Caller) (o api.PolicyOwner, whose string) {
	whose = strings.NewReplacer(".", "", "/", "", "-", "", " ", "").Replace(strings.ToUpper(r.FormValue("de")))
	switch len(whose) {
	case 0:
		o.Reseller = c.Reseller()
		if n, err := strconv.ParseInt(r.FormValue("revenda"), 10, 64); err == nil { // the platform says whose
			o.Reseller = n
		}
	case 8:
		o.Root = whose
	default:
		o.CNPJ = whose
	}
	return o, whose
}

func (s *site) limits(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	o, whose := ownerOf(r, c)
	p, err := s.o.API.Policy(r.Context(), c, o)
	if errors.Is(err, api.ErrNotFound) && whose != "" {
		return s.renderLimits(w, r, c, http.StatusNotFound, o, limitsPage{Whose: whose, Problem: "Nenhuma loja nem empresa que você vê tem este CNPJ. Confira os números, ou procure por Clientes."})
	}
	if err != nil {
		return err
	}
	return s.renderLimits(w, r, c, http.StatusOK, o, limitsPage{Whose: whose, Found: true, Policy: p})
}

func (s *site) renderLimits(w http.ResponseWriter, r *http.Request, c api.Caller, status int, o api.PolicyOwner, p limitsPage) (err error) {
	if p.Owners, err = s.owners(r, c, o.Reseller); err != nil {
		return err
	}
	for _, l := range api.Limits() {
		p.Rules = append(p.Rules, limit{l, numbersList(p.Policy.Steps[l.Code]), numbersList(l.Default)})
	}
	p.Opens, p.Closes = hourOf(p.Policy.Opens), hourOf(p.Policy.Closes)
	return s.render(w, c, status, "limits", settings, "Limites dos alarmes", p)
}

func (s *site) setLimits(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	o, whose := ownerOf(r, c)
	p, err := limitsOf(r)
	if err == nil {
		err = s.o.API.SetPolicy(r.Context(), c, o, p)
	}
	if text, mend := problem(err); mend {
		return s.renderLimits(w, r, c, http.StatusBadRequest, o, limitsPage{Problem: text, Whose: whose, Found: true, Policy: p})
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/limites?"+url.Values{"de": {whose}, "revenda": {r.PostForm.Get("revenda")}}.Encode(), http.StatusSeeOther)
	return nil
}

// limitsOf reads the form of limits; what is empty is left to who is above.
func limitsOf(r *http.Request) (p api.Policy, err error) {
	for _, l := range api.Limits() {
		values, bad := parseNumbers(r.PostForm.Get("limite-" + string(l.Code)))
		if bad != "" {
			return p, &api.Problem{Text: fmt.Sprintf("%s: %q não é um número. Separe os limites por espaço.", l.Title, bad)}
		}
		if len(values) > 0 {
			if p.Steps == nil {
				p.Steps = map[api.Code][]float64{}
			}
			p.Steps[l.Code] = values
		}
	}
	p.ContactLimit, _ = strconv.Atoi(r.PostForm.Get("contato"))
	p.PendingLimit, _ = strconv.Atoi(r.PostForm.Get("pendentes"))
	p.Contingency, _ = strconv.Atoi(r.PostForm.Get("contingencia"))
	levels, bad := parseNumbers(r.PostForm.Get("escalonamento"))
	if bad != "" {
		return p, &api.Problem{Text: fmt.Sprintf("Escalonamento: %q não é um número. Separe os minutos por espaço.", bad)}
	}
	for _, m := range levels {
		p.Escalate = append(p.Escalate, int(m))
	}
	p.Opens, p.Closes = minuteOf(r.PostForm.Get("abre")), minuteOf(r.PostForm.Get("fecha"))
	p.Saturdays, p.Sundays = r.PostForm.Get("sabado") != "", r.PostForm.Get("domingo") != ""
	p.Holidays = strings.Fields(r.PostForm.Get("feriados"))
	return p, nil
}

// parseNumbers reads numbers between spaces, with the comma of Brazil; bad is what is
// none.
func parseNumbers(text string) (values []float64, bad string) {
	for _, word := range strings.Fields(text) {
		v, err := strconv.ParseFloat(strings.Replace(word, ",", ".", 1), 64)
		if err != nil {
			return nil, word
		}
		values = append(values, v)
	}
	return values, ""
}

func numbersList(values []float64) string {
	var words []string
	for _, v := range values {
		words = append(words, strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), ".", ",", 1))
	}
	return strings.Join(words, " ")
}

// minuteOf is a time of day as minutes; 0 for what is none.
func minuteOf(clock string) int {
	h, m, _ := strings.Cut(clock, ":")
	hours, _ := strconv.Atoi(h)
	minutes, _ := strconv.Atoi(m)
	return 60*hours + minutes
}

func hourOf(minute int) string {
	if minute == 0 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", minute/60, minute%60)
}
