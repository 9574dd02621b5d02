package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"zelo/collector/api"
)

// cookieName is that of the session. With the prefix, browsers take the cookie
// over HTTPS only and from this very host.
func (s *site) cookieName() string {
	if s.o.Secure {
		return "__Host-zelo"
	}
	return "zelo"
}

// setCookie makes the browser remember a session until it is closed, "" makes it
// forget. How long the session itself lives is decided elsewhere.
func (s *site) setCookie(w http.ResponseWriter, session string) {
	s.keep(w, s.cookieName(), session)
}

// keep makes the browser keep a value until it is closed, "" makes it forget.
func (s *site) keep(w http.ResponseWriter, name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (s *site) session(r *http.Request) string {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// signedIn lets a person's session through to h; others go to the entrance.
func (s *site) signedIn(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.caller(r)
		if errors.Is(err, api.ErrSignedOut) {
			s.toEntrance(w, r)
			return
		}
		if err == nil {
			err = h(w, r, c)
		}
		if err != nil {
			s.fail(w, r, c, err)
		}
	})
}

// toEntrance asks who is signed out to sign in. The page that was asked for, or that a
// form is on, is shown afterwards; of the form it is told that it came to nothing.
func (s *site) toEntrance(w http.ResponseWriter, r *http.Request) {
	lost := r.Method == http.MethodPost && r.URL.Path != "/sair"
	page := r.URL
	if from, err := url.Parse(r.Referer()); lost && err == nil {
		page = from
	}
	if lost || strings.Contains(r.Header.Get("Accept"), "text/html") { // not what a page asks for by itself
		s.keep(w, s.backName(), url.QueryEscape(page.RequestURI()))
	}
	if lost {
		s.renderEnter(w, r, http.StatusUnauthorized, entrance{Problem: "A sessão terminou antes de o formulário chegar, e nada foi gravado nem enviado. Entre e faça de novo."})
		return
	}
	http.Redirect(w, r, "/entrar", http.StatusSeeOther)
}

// backName is the cookie with the page to show after signing in.
func (s *site) backName() string { return s.cookieName() + "-volta" }

// back is that page, and forgets it; the first one when none was asked for.
func (s *site) back(w http.ResponseWriter, r *http.Request) string {
	kept, err := r.Cookie(s.backName())
	if err != nil {
		return "/"
	}
	s.keep(w, s.backName(), "")
	to, err := url.QueryUnescape(kept.Value)
	if err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsRune(to, '\\') {
		return "/"
	}
	return to
}

// caller is whose request it is: a person's with a session, who may have chosen to
// see one taxpayer alone, or a program's with a token.
func (s *site) caller(r *http.Request) (api.Caller, error) {
	c, err := s.callerOf(r)
	tracked(r).person = c.User()
	return c, err
}

func (s *site) callerOf(r *http.Request) (api.Caller, error) {
	if secret, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); is {
		return s.o.API.CallerOfToken(r.Context(), secret)
	}
	c, err := s.o.API.CallerOf(r.Context(), s.session(r))
	if only, none := r.Cookie(s.cookieName() + "-cliente"); none == nil {
		c = c.Only(only.Value)
	}
	return c, err
}

// entrance is what the entrance shows: a link to be used, or the ways in.
type entrance struct {
	Secret  string // of the link
	Code    bool   // it also wants the one-time code
	Mails   bool   // links may be had by e-mail
	Asked   string // the address that a link was just asked for
	Problem string
}

// enter shows the entrance. A link is only used up by the button: programs that
// open links to look at them send no form.
func (s *site) enter(w http.ResponseWriter, r *http.Request) {
	s.renderEnter(w, r, http.StatusOK, entrance{Secret: r.PathValue("secret")})
}

func (s *site) renderEnter(w http.ResponseWriter, r *http.Request, status int, e entrance) {
	e.Mails = s.o.API.MailsLinks()
	if err := s.render(w, api.Caller{}, status, "enter", "", "Entrar", e); err != nil {
		s.fail(w, r, api.Caller{}, err)
	}
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, api.Caller{}, err)
		return
	}
	var session string
	var err error
	var code *api.CodeNeeded
	switch f, from := r.PostForm, s.address(r).String(); {
	case f.Get("acao") == "link":
		s.askLink(w, r, f.Get("email"), from)
		return
	case f.Get("email") != "":
		session, err = s.o.API.SignInWith(r.Context(), f.Get("email"), f.Get("senha"), f.Get("codigo"), from)
	default:
		session, err = s.o.API.SignIn(r.Context(), f.Get("secret"), f.Get("codigo"), from)
	}
	switch {
	case errors.As(err, &code):
		status := http.StatusOK
		if code.Text != "" {
			status = http.StatusBadRequest
		}
		s.renderEnter(w, r, status, entrance{Secret: r.PostForm.Get("secret"), Code: true, Problem: code.Text})
	case err != nil:
		s.fail(w, r, api.Caller{}, err)
	default:
		s.setCookie(w, session)
		http.Redirect(w, r, s.back(w, r), http.StatusSeeOther)
	}
}

// askLink answers the same whoever has the address, or nobody.
func (s *site) askLink(w http.ResponseWriter, r *http.Request, email, from string) {
	err := s.o.API.AskLink(email, from)
	if text, mend := problem(err); mend {
		s.renderEnter(w, r, http.StatusBadRequest, entrance{Problem: text})
		return
	}
	if err != nil {
		s.fail(w, r, api.Caller{}, err)
		return
	}
	s.renderEnter(w, r, http.StatusOK, entrance{Asked: email})
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request, _ api.Caller) error {
	if err := s.o.API.SignOut(r.Context(), s.session(r)); err != nil {
		return err
	}
	s.setCookie(w, "")
	http.Redirect(w, r, "/entrar", http.StatusSeeOther)
	return nil
}
