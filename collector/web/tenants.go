package web

import (
	"net/http"
	"net/url"
	"strconv"

	"zelo/collector/api"
)

// told is what a form came to: the problem to mend, or a secret that is shown once.
type told struct {
	Problem string
	Link    string // path of a sign-in link
	Token   string
}

// settled makes what a form came to of a secret or an error; other errors remain.
func settled(secret string, err error) (told, int, error) {
	if text, mend := problem(err); mend {
		return told{Problem: text}, http.StatusBadRequest, nil
	}
	t := told{}
	if secret != "" {
		t.Link = "/entrar/" + secret
	}
	return t, http.StatusOK, err
}

// clients shows the taxpayers, who sees them, and the tills to be identified.
func (s *site) clients(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderClients(w, r, c, http.StatusOK, told{})
}

func (s *site) renderClients(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	list, err := s.o.API.Taxpayers(r.Context(), c)
	if err != nil {
		return err
	}
	data := map[string]any{"Told": t, "Clients": list, "Add": s.o.API.May(c, api.OpAddTaxpayer), "Give": s.o.API.May(c, api.OpGive),
		"Identify": s.o.API.May(c, api.OpIdentify), "Move": s.o.API.May(c, api.OpMoveTaxpayer)}
	if s.o.API.May(c, api.OpGive) {
		if data["Grants"], err = s.o.API.Grants(r.Context(), c); err != nil {
			return err
		}
	}
	if s.o.API.May(c, api.OpMoveTaxpayer) {
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
	secret, err := s.changeClient(r, c, r.PostForm)
	t, status, err := settled(secret, err)
	if err != nil {
		return err
	}
	return s.renderClients(w, r, c, status, t)
}

func (s *site) changeClient(r *http.Request, c api.Caller, f url.Values) (secret string, err error) {
	id, _ := strconv.ParseInt(f.Get("numero"), 10, 64)
	switch f.Get("acao") {
	case "contribuinte":
		return "", s.o.API.AddTaxpayer(r.Context(), c, f.Get("cnpj"), f.Get("nome"), id)
	case "identificar":
		return "", s.o.API.Identify(r.Context(), c, f.Get("caixa"), f.Get("cnpj"))
	case "acesso":
		return s.o.API.Give(r.Context(), c, f.Get("raiz"), f.Get("email"))
	case "retirar":
		return "", s.o.API.Take(r.Context(), c, id)
	case "mudar":
		return "", s.o.API.MoveTaxpayer(r.Context(), c, f.Get("raiz"), id)
	case "revenda":
		_, err = s.o.API.AddReseller(r.Context(), c, f.Get("nome"))
		return "", err
	}
	return "", api.ErrNotFound
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
	clients, err := s.o.API.Taxpayers(r.Context(), c)
	if err != nil {
		return err
	}
	resellers, err := s.o.API.Resellers(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, status, "people", "people", "Pessoas", map[string]any{"Told": t, "List": list, "Clients": clients.Taxpayers,
		"Resellers": resellers, "Platform": s.o.API.May(c, api.OpAddReseller)})
}

func (s *site) personForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f, secret, err := r.PostForm, "", error(nil)
	id, _ := strconv.ParseInt(f.Get("numero"), 10, 64)
	switch f.Get("acao") {
	case "nova":
		secret, err = s.o.API.AddPerson(r.Context(), c, api.NewPerson{Email: f.Get("email"), Name: f.Get("nome"), Role: api.Role(f.Get("papel")),
			Reseller: id, Root: f.Get("raiz")})
	case "redefinir":
		secret, err = s.o.API.Reset(r.Context(), c, id)
	case "remover":
		err = s.o.API.DropPerson(r.Context(), c, id)
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled(secret, err)
	if err != nil {
		return err
	}
	return s.renderPeople(w, r, c, status, t)
}

// account shows how the person signs in, and the programs that act for them.
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
		data["Tokens"] = tokens
	}
	return s.render(w, c, status, "account", "account", "Conta", data)
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
		token, err = s.o.API.NewAPIToken(r.Context(), c, f.Get("nome"), "", days)
	case "revogar":
		id, _ := strconv.ParseInt(f.Get("numero"), 10, 64)
		err = s.o.API.RevokeAPIToken(r.Context(), c, id)
	default:
		err = api.ErrNotFound
	}
	t, status, err := settled("", err)
	if err != nil {
		return err
	}
	t.Token = token
	return s.renderAccount(w, r, c, status, t, codes)
}
