package web

import (
	"errors"
	"net/http"
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
			http.Redirect(w, r, "/entrar", http.StatusSeeOther)
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

// enter shows the entrance. A link is only used up by the button: programs that
// open links to look at them send no form.
func (s *site) enter(w http.ResponseWriter, r *http.Request) {
	if err := s.render(w, api.Caller{}, http.StatusOK, "enter", "", "Entrar", r.PathValue("secret")); err != nil {
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
	if f := r.PostForm; f.Get("email") != "" {
		session, err = s.o.API.SignInWith(r.Context(), f.Get("email"), f.Get("senha"), f.Get("codigo"), s.address(r).String())
	} else {
		session, err = s.o.API.SignIn(r.Context(), f.Get("secret"), s.address(r).String())
	}
	if err != nil {
		s.fail(w, r, api.Caller{}, err)
		return
	}
	s.setCookie(w, session)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request, _ api.Caller) error {
	if err := s.o.API.SignOut(r.Context(), s.session(r)); err != nil {
		return err
	}
	s.setCookie(w, "")
	http.Redirect(w, r, "/entrar", http.StatusSeeOther)
	return nil
}
