package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"zelo/collector/api"
)

// told is what a form came to: the problem to mend, an invitation, or a secret that is
// shown once.
type told struct {
	Problem string
	Invited api.Invitation
	Token   string
}

// settled makes what a form came to of an invitation or an error; other errors remain.
func settled(i api.Invitation, err error) (told, int, error) {
	if text, mend := problem(err); mend {
		return told{Problem: text}, http.StatusBadRequest, nil
	}
	return told{Invited: i}, http.StatusOK, err
}

// clients finds taxpayers.
func (s *site) clients(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderClients(w, r, c, http.StatusOK, told{})
}

func (s *site) renderClients(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	text := r.URL.Query().Get("q")
	list, err := s.o.API.Taxpayers(r.Context(), c, text, r.URL.Query().Get("depois"))
	if err != nil {
		return err
	}
	next := ""
	if list.Next != "" {
		next = "/clientes?" + url.Values{"q": {text}, "depois": {list.Next}}.Encode()
	}
	data := map[string]any{"Told": t, "Clients": list.Taxpayers, "Next": next, "Text": text, "Add": s.o.API.May(c, api.OpAddTaxpayer),
		"Identify": s.o.API.May(c, api.OpWaiting), "AddReseller": s.o.API.May(c, api.OpAddReseller)}
	if s.o.API.May(c, api.OpAddReseller) {
		if data["Resellers"], err = s.o.API.Resellers(r.Context(), c); err != nil {
			return err
		}
	}
	return s.render(w, c, status, "clients", "clients", "Clientes", data)
}

// clientForm takes the forms of the page of clients.
func (s *site) clientForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	var err error
	switch f := r.PostForm; f.Get("acao") {
	case "contribuinte":
		err = s.o.API.AddTaxpayer(r.Context(), c, f.Get("cnpj"), f.Get("nome"), formNumber(f))
	case "revenda":
		_, err = s.o.API.AddReseller(r.Context(), c, f.Get("nome"))
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(api.Invitation{}, err)
	if err != nil {
		return err
	}
	return s.renderClients(w, r, c, status, t)
}

// formNumber is the number that a form is about; what is none names nothing.
func formNumber(f url.Values) int64 {
	n, _ := strconv.ParseInt(f.Get("numero"), 10, 64)
	return n
}

// client shows one taxpayer, its establishments and who sees it.
func (s *site) client(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderClient(w, r, c, http.StatusOK, told{})
}

func (s *site) renderClient(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	p, err := s.o.API.Taxpayer(r.Context(), c, r.PathValue("root"))
	if err != nil {
		return err
	}
	data := map[string]any{"Told": t, "Client": p, "Give": s.o.API.May(c, api.OpGive), "Describe": s.o.API.May(c, api.OpDescribe)}
	if s.o.API.May(c, api.OpMoveTaxpayer) {
		all, err := s.o.API.Resellers(r.Context(), c)
		if err != nil {
			return err
		}
		data["Resellers"], data["Move"] = all, len(all) > 1
	}
	return s.render(w, c, status, "client", "clients", p.Name, data)
}

// changeClient takes the forms of the page of one client.
func (s *site) changeClient(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f, root, invited, err := r.PostForm, r.PathValue("root"), api.Invitation{}, error(nil)
	switch f.Get("acao") {
	case "nome":
		err = s.o.API.Describe(r.Context(), c, f.Get("cnpj"), f.Get("nome"), f.Get("cidade"))
	case "acesso":
		invited, err = s.o.API.Give(r.Context(), c, root, f.Get("email"))
	case "retirar":
		err = s.o.API.Take(r.Context(), c, formNumber(f))
	case "mudar":
		err = s.move(r, c, f)
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(invited, err)
	if err != nil {
		return err
	}
	return s.renderClient(w, r, c, status, t)
}

// move gives a client to another reseller; its CNPJ is typed to say so.
func (s *site) move(r *http.Request, c api.Caller, f url.Values) error {
	root := r.PathValue("root")
	if api.RootOf(f.Get("confirma")) != root {
		return &api.Problem{Text: "O CNPJ escrito não é o deste cliente, que continua com a revenda de antes. Para confirmar a mudança, escreva " + root + "."}
	}
	return s.o.API.MoveTaxpayer(r.Context(), c, root, formNumber(f))
}

// identify shows what waits for a person to say whose it is.
func (s *site) identify(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderIdentify(w, r, c, http.StatusOK, told{})
}

func (s *site) renderIdentify(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	list, err := s.o.API.ToIdentify(r.Context(), c)
	if err != nil {
		return err
	}
	data := map[string]any{"Told": t, "List": list}
	if s.o.API.May(c, api.OpAddReseller) {
		if data["Resellers"], err = s.o.API.Resellers(r.Context(), c); err != nil {
			return err
		}
	}
	return s.render(w, c, status, "identify", settings, "A identificar", data)
}

// identifyForm takes the forms of that page.
func (s *site) identifyForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	var err error
	switch f := r.PostForm; f.Get("acao") {
	case "identificar":
		err = s.o.API.Identify(r.Context(), c, f.Get("caixa"), f.Get("cnpj"))
	case "cadastrar":
		err = s.o.API.AddTaxpayer(r.Context(), c, f.Get("cnpj"), f.Get("nome"), formNumber(f))
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(api.Invitation{}, err)
	if err != nil {
		return err
	}
	return s.renderIdentify(w, r, c, status, t)
}

// subject shows what is held of one person. The answer of the form is the report: it
// has no address of its own.
func (s *site) subject(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	data := map[string]any{"Told": told{}, "KeptByLaw": api.KeptByLaw, "People": s.o.API.May(c, api.OpPeople)}
	if r.Method != http.MethodPost {
		if !s.o.API.May(c, api.OpSubject) {
			return api.ErrNotFound
		}
		return s.render(w, c, http.StatusOK, "subject", reports, "Relatório do titular", data)
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	report, err := s.o.API.Subject(r.Context(), c, r.PostForm.Get("consumidor"), r.PostForm.Get("email"))
	t, status, err := settled(api.Invitation{}, err)
	if err != nil {
		return err
	}
	if data["Told"] = t; t.Problem == "" {
		data["Report"] = report
	}
	return s.render(w, c, status, "subject", reports, "Relatório do titular", data)
}

// narrow chooses the one taxpayer that the pages show from now on.
func (s *site) narrow(w http.ResponseWriter, r *http.Request, _ api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	s.keep(w, s.cookieName()+"-cliente", r.PostForm.Get("raiz"))
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// people shows who may sign in.
func (s *site) people(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderPeople(w, r, c, http.StatusOK, told{})
}

func (s *site) renderPeople(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	list, err := s.o.API.People(r.Context(), c)
	if err != nil {
		return err
	}
	resellers, err := s.o.API.Resellers(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, status, "people", settings, "Pessoas", map[string]any{"Told": t, "List": list,
		"Resellers": resellers, "Platform": s.o.API.May(c, api.OpAddReseller)})
}

func (s *site) personForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f, invited, err := r.PostForm, api.Invitation{}, error(nil)
	switch f.Get("acao") {
	case "nova":
		invited, err = s.o.API.AddPerson(r.Context(), c, api.NewPerson{Email: f.Get("email"), Name: f.Get("nome"), Role: api.Role(f.Get("papel")),
			Reseller: formNumber(f), Root: api.RootOf(f.Get("raiz"))})
	case "redefinir":
		invited, err = s.o.API.Reset(r.Context(), c, formNumber(f))
	case "apagar":
		err = s.erase(r, c, f)
	case "remover":
		err = s.o.API.DropPerson(r.Context(), c, formNumber(f))
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(invited, err)
	if err != nil {
		return err
	}
	return s.renderPeople(w, r, c, status, t)
}

// account shows how the person signs in, and the programs that act for them.
// erase takes a person away with all that is personal; the address is typed to say so.
func (s *site) erase(r *http.Request, c api.Caller, f url.Values) error {
	list, err := s.o.API.People(r.Context(), c)
	for _, p := range list {
		if p.ID == formNumber(f) && strings.EqualFold(p.Email, strings.TrimSpace(f.Get("email"))) {
			return s.o.API.Erase(r.Context(), c, p.ID)
		}
	}
	if err == nil {
		err = &api.Problem{Text: "O e-mail escrito não é o da pessoa: nada foi apagado. Escreva-o como está na lista."}
	}
	return err
}

func (s *site) account(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderAccount(w, r, c, http.StatusOK, told{}, s.o.API.NewCodes(c))
}

func (s *site) renderAccount(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told, codes api.Codes) error {
	data := map[string]any{"Told": t, "Codes": codes, "Programs": s.o.API.May(c, api.OpAPITokens)}
	if s.o.API.May(c, api.OpAPITokens) {
		tokens, err := s.o.API.APITokens(r.Context(), c)
		if err != nil {
			return err
		}
		data["Tokens"], data["Rights"], data["Only"] = tokens, s.o.API.TokenRights(c), c.Narrowed()
	}
	return s.render(w, c, status, "account", settings, "Conta", data)
}

func (s *site) accountForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f, token, err := r.PostForm, "", error(nil)
	codes := s.o.API.NewCodes(c)
	switch f.Get("acao") {
	case "senha":
		p := api.Password{Old: f.Get("atual"), New: f.Get("senha"), Secret: f.Get("chave"), Code: f.Get("codigo")}
		codes = api.CodesOf(c, p.Secret)
		if err = s.o.API.SetPassword(r.Context(), c, p); err == nil {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}
	case "codigo":
		days, _ := strconv.Atoi(f.Get("dias"))
		token, err = s.o.API.NewAPIToken(r.Context(), c, api.NewToken{Label: f.Get("nome"), Root: f.Get("raiz"), Rights: strings.Join(f["direito"], " "), Days: days})
	case "revogar":
		err = s.o.API.RevokeAPIToken(r.Context(), c, formNumber(f))
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(api.Invitation{}, err)
	if err != nil {
		return err
	}
	t.Token = token
	return s.renderAccount(w, r, c, status, t, codes)
}
