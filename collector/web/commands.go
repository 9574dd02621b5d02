package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"zelo/collector/api"
)

// commandPages are the templates of the pages about commands.
func commandPages() []string {
	return []string{"commands", "command-form", "command", "orders", "order", "order-form", "logs"}
}

// commandRoutes are the pages about commands.
func (s *site) commandRoutes() map[string]handler {
	return map[string]handler{
		"GET /caixas/{id}/comandos":         s.commands,
		"GET /caixas/{id}/comandos/{nome}":  s.commandForm,
		"POST /caixas/{id}/comandos":        s.sendCommand,
		"GET /comandos/{command}":           s.command,
		"GET /comandos/{command}/arquivo":   s.commandResult,
		"POST /comandos/{command}/cancelar": s.cancelCommand,
		"GET /ordens":                       s.orders,
		"GET /ordens/nova":                  s.orderForm,
		"POST /ordens":                      s.sendMany,
		"GET /ordens/{id}":                  s.order,
		"POST /ordens/{id}/cancelar":        s.cancelOrder,
		"GET /equipamentos/{serial}/logs":   s.logs,
	}
}

// commands shows what may be done with a till and its devices, and what was.
func (s *site) commands(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	p, err := s.o.API.Commands(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "commands", "tills", "Comandos de "+p.Name(), p)
}

// offered is a page's part with the commands for one device, or for the agent.
type offered struct {
	Till   string
	Device string
	Offers []api.Offer
}

// offeredFor makes the part for a template.
func offeredFor(till, device string, offers []api.Offer) offered {
	return offered{till, device, offers}
}

// Harmless are the commands that can be given now and destroy nothing, Grave those
// that change a device or an agent for good, Not those that cannot be given now.
func (o offered) Harmless() []api.Offer {
	return o.only(func(c api.Offer) bool { return c.Why == "" && !c.Destructive })
}

// Grave: see Harmless.
func (o offered) Grave() []api.Offer {
	return o.only(func(c api.Offer) bool { return c.Why == "" && c.Destructive })
}

// Not: see Harmless.
func (o offered) Not() []api.Offer { return o.only(func(c api.Offer) bool { return c.Why != "" }) }

func (o offered) only(is func(api.Offer) bool) (out []api.Offer) {
	for _, c := range o.Offers {
		if is(c) {
			out = append(out, c)
		}
	}
	return out
}

// asked is the part of a form with a command's arguments.
type asked struct {
	Spec  api.CommandSpec
	Given url.Values
}

func argsOf(spec api.CommandSpec, given url.Values) asked { return asked{spec, given} }

// argLabel is what people call an argument.
func argLabel(spec api.CommandSpec, name string) string {
	for _, a := range spec.Args {
		if a.Name == name {
			return a.Label
		}
	}
	return name
}

// argValue says what was given for an argument.
func argValue(spec api.CommandSpec, name, value string) string {
	for _, a := range spec.Args {
		for _, c := range a.Choices {
			if a.Name == name && c.Value == value {
				return c.Label
			}
		}
	}
	return value
}

// onlyWith says, of an argument that is not always asked for, with what it is.
func onlyWith(spec api.CommandSpec, when string, is []string) string {
	var words []string
	for _, a := range spec.Args {
		for _, c := range a.Choices {
			if a.Name == when && slices.Contains(is, c.Value) {
				words = append(words, c.Label)
			}
		}
	}
	return "Só com " + argLabel(spec, when) + ": " + strings.Join(words, " ou ") + "."
}

// commandForm asks for what a command needs.
type commandForm struct {
	Problem string
	Till    api.Till
	Device  string
	Spec    api.CommandSpec
	Why     string
	Confirm string     // what is to be typed
	Given   url.Values // what was typed before, without secrets
}

func (s *site) commandForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderCommandForm(w, r, c, r.PathValue("nome"), r.FormValue("equipamento"), "")
}

func (s *site) renderCommandForm(w http.ResponseWriter, r *http.Request, c api.Caller, name, device, problem string) error {
	p, err := s.o.API.Commands(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	f := commandForm{Problem: problem, Till: p.Till, Device: device, Confirm: p.Name(), Given: url.Values{}}
	offers := p.Agent
	if device != "" {
		offers, f.Confirm = p.Devices[device], device
	}
	for _, o := range offers {
		if o.Name == name {
			f.Spec, f.Why = o.CommandSpec, o.Why
		}
	}
	if f.Spec.Name == "" {
		return api.ErrNotFound
	}
	secrets := map[string]bool{}
	for _, a := range f.Spec.Args {
		secrets["dado-"+a.Name] = a.Secret
	}
	for key, v := range r.PostForm {
		if !secrets[key] {
			f.Given[key] = v
		}
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	return s.render(w, c, status, "command-form", "tills", f.Spec.Title, f)
}

// given reads the arguments that a form brought.
func given(f url.Values) map[string]string {
	args := map[string]string{}
	for key := range f {
		if name, is := strings.CutPrefix(key, "dado-"); is && f.Get(key) != "" {
			args[name] = f.Get(key)
		}
	}
	return args
}

// when reads when a command may begin.
func when(f url.Values) (w api.When) {
	w.Anyway = f.Get("agora") != ""
	w.Hours, _ = strconv.Atoi(f.Get("horas"))
	w.NotBefore, _ = time.ParseInLocation("2006-01-02T15:04", f.Get("desde"), brasilia()) // what is none is at once
	return w
}

func (s *site) sendCommand(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f := r.PostForm
	id, err := s.o.API.SendCommand(r.Context(), c, api.NewCommand{Till: r.PathValue("id"), Device: f.Get("equipamento"), Name: f.Get("comando"),
		Args: given(f), Confirm: f.Get("confirma"), When: when(f)})
	if text, mend := problem(err); mend {
		return s.renderCommandForm(w, r, c, f.Get("comando"), f.Get("equipamento"), text)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/comandos/"+id, http.StatusSeeOther)
	return nil
}

// command shows how a command stands. The page comes again by itself until it ended.
func (s *site) command(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	p, err := s.o.API.Command(r.Context(), c, r.PathValue("command"))
	if err != nil {
		return err
	}
	if !p.Ended || p.Coming {
		w.Header().Set("Refresh", "3")
	}
	return s.render(w, c, http.StatusOK, "command", "tills", p.Spec.Title, p)
}

func (s *site) cancelCommand(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	one, err := s.o.API.CancelCommand(r.Context(), c, r.PathValue("command"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/comandos/"+one.ID, http.StatusSeeOther)
	return nil
}

func (s *site) commandResult(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	f, err := s.o.API.CommandResult(r.Context(), c, r.PathValue("command"))
	if err != nil {
		return err
	}
	attach(w, "application/octet-stream", fileName(f.Name))
	w.Write(f.Raw)
	return nil
}

// fileName keeps of a name that an agent gave what is safe in a header.
func fileName(s string) string {
	out := []rune{}
	for _, r := range s {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			out = append(out, r)
		}
	}
	return string(out)
}

// orders shows what was asked for, of one till or many.
func (s *site) orders(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	list, err := s.o.API.Orders(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "orders", settings, "Comandos", list)
}

// orderForm is the page that gives a command to many.
type orderForm struct {
	Problem string
	Specs   []api.CommandSpec
	Many    api.Many
	Picked  api.Picked
	Client  string       // the search for a taxpayer: as typed, or the root of the chosen
	Chosen  string       // its name
	Clients []api.Client // what it found, when that is not one
	More    bool         // and there are more
	Given   url.Values
}

// orderForm asks for a selection, counts what it picks, and asks for the rest.
func (s *site) orderForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderOrderForm(w, r, c, r.URL.Query(), "")
}

func many(f url.Values) (m api.Many) {
	m = api.Many{Name: f.Get("comando"), Args: given(f), Root: f.Get("raiz"), Model: f.Get("modelo"), Software: f.Get("versao"), Only: f.Get("so"),
		Confirm: f.Get("confirma"), When: when(f)}
	m.First, _ = strconv.Atoi(f.Get("primeiros"))
	m.Need, _ = strconv.Atoi(f.Get("acerto"))
	return m
}

func (s *site) renderOrderForm(w http.ResponseWriter, r *http.Request, c api.Caller, f url.Values, problem string) (err error) {
	form := orderForm{Problem: problem, Specs: api.CommandsForMany(), Many: many(f), Client: strings.TrimSpace(f.Get("cliente")), Given: f}
	found, err := s.findClient(r, c, &form)
	if err != nil {
		return err
	}
	if found {
		if form.Picked, err = s.o.API.Pick(r.Context(), c, form.Many); err != nil {
			return err
		}
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	return s.render(w, c, status, "order-form", settings, "Comando para vários caixas", form)
}

// findClient makes of what was typed the one taxpayer whose tills are picked, and tells
// whether the selection is clear: nobody is picked while several are meant, or none.
func (s *site) findClient(r *http.Request, c api.Caller, f *orderForm) (bool, error) {
	if f.Client == "" && f.Many.Root == "" {
		return true, nil
	}
	if f.Client == "" {
		f.Client = f.Many.Root
	}
	list, err := s.o.API.Taxpayers(r.Context(), c, f.Client, "")
	if err != nil {
		return false, err
	}
	for _, t := range list.Taxpayers {
		if t.Root == f.Many.Root || len(list.Taxpayers) == 1 {
			f.Many.Root, f.Client, f.Chosen = t.Root, t.Root, t.Name
			return true, nil
		}
	}
	f.Many.Root, f.Clients, f.More = "", list.Taxpayers, list.Next != ""
	if len(f.Clients) == 0 {
		f.Problem = "Nenhum contribuinte tem \"" + f.Client + "\" no CNPJ, no nome ou na cidade. Procure por uma parte menor."
	}
	return false, nil
}

func (s *site) sendMany(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	id, err := s.o.API.SendMany(r.Context(), c, many(r.PostForm))
	if text, mend := problem(err); mend {
		return s.renderOrderForm(w, r, c, r.PostForm, text)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/ordens/"+strconv.FormatInt(id, 10), http.StatusSeeOther)
	return nil
}

func (s *site) order(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	o, err := s.o.API.Order(r.Context(), c, id)
	if err != nil {
		return err
	}
	if o.Running() {
		w.Header().Set("Refresh", "10")
	}
	return s.render(w, c, http.StatusOK, "order", settings, o.Spec.Title, o)
}

func (s *site) cancelOrder(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err == nil {
		_, err = s.o.API.CancelOrder(r.Context(), c, id)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/ordens/"+strconv.FormatInt(id, 10), http.StatusSeeOther)
	return nil
}

// commandable tells whether a caller may give a till commands: it depends on their role
// and on the shop's plan.
func (s *site) commandable(r *http.Request, c api.Caller, till string) (bool, error) {
	_, err := s.o.API.Commands(r.Context(), c, till)
	if errors.Is(err, api.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// logs searches a device's log.
func (s *site) logs(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	f := r.URL.Query()
	q := api.LogQuery{Serial: r.PathValue("serial"), From: f.Get("de"), To: f.Get("ate"), Text: f.Get("q")}
	p, err := s.o.API.Logs(r.Context(), c, q)
	text, mend := problem(err)
	if err != nil && !mend {
		return err
	}
	commands, err := s.commandable(r, c, p.Device.Agent)
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "logs", "tills", "Log do SAT "+q.Serial, struct {
		Problem  string
		Query    api.LogQuery
		Commands bool // whether the person may have it read
		api.LogPage
	}{text, q, commands, p})
}
