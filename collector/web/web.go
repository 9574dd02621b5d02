// Package web is the collector's pages: HTML made on the server that works
// without JavaScript, one style sheet, no asset from elsewhere, and a strict
// content security policy. It calls package api and decides nothing itself.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"zelo/collector/api"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// Options are what the pages need.
type Options struct {
	API    *api.API
	Secure bool // people reach the pages over HTTPS: the cookie travels nowhere else
	Log    *slog.Logger
	Now    func() time.Time
}

type site struct {
	o     Options
	pages map[string]*template.Template
}

// New makes the handler of all pages.
func New(o Options) (http.Handler, error) {
	s := &site{o: o, pages: map[string]*template.Template{}}
	for _, name := range append(commandPages(), "now", "tills", "till", "computer", "numbering", "alarms", "alarm", "device", "limits", "coupons", "coupon", "quarantine", "export", "clients", "client", "identify", "subject", "people", "audit", "plans", "notices", "account", "menu", "owner",
		"enrol", "enter", "trouble") {
		t, err := template.New("layout.html").Funcs(words()).ParseFS(templates, "templates/layout.html", "templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("cannot read the template %q: %w", name, err)
		}
		s.pages[name] = t
	}
	programs, err := api.NewHTTP(api.HTTPOptions{API: o.API, Caller: s.caller, Address: s.address, Log: o.Log, Now: o.Now})
	if err != nil {
		return nil, err
	}
	return s.observe(s.protect(s.routes(programs))), nil
}

func (s *site) routes(programs http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /{$}":                                  s.now,
		"GET /novidades":                            s.live,
		"GET /caixas":                               s.tills,
		"GET /caixas/{id}":                          s.till,
		"POST /caixas/{id}/revogar":                 s.revoke,
		"GET /caixas/{id}/computador":               s.computer,
		"GET /equipamentos/{serial}/numeracao":      s.numbering,
		"GET /lojas/{cnpj}/nfce/{series}/numeracao": s.seriesNumbering,
		"GET /alarmes":                              s.alarms,
		"GET /alarmes/{id}":                         s.alarm,
		"POST /alarmes/{id}/{ato}":                  s.actOnAlarm,
		"GET /equipamentos/{serial}":                s.device,
		"POST /equipamentos/{serial}":               s.setStage,
		"GET /limites":                              s.limits,
		"POST /limites":                             s.setLimits,
		"GET /cupons":                               s.coupons,
		"POST /cupons":                              s.search,
		"GET /cupons/{ref}":                         s.coupon,
		"POST /cupons/{ref}/consumidor":             s.reveal,
		"GET /documentos/{id}/original":             s.original,
		"GET /quarentena":                           s.quarantine,
		"POST /quarentena/{id}/visto":               s.settle,
		"POST /quarentena/{id}/ler":                 s.readAgain,
		"POST /quarentena/ler":                      s.readAllAgain,
		"GET /quarentena/{id}/original":             s.quarantined,
		"GET /exportar":                             s.export,
		"GET /exportar/originais.zip":               s.exportZIP,
		"GET /exportar/documentos.csv":              s.exportCSV,
		"GET /ligar":                                s.enrol,
		"POST /ligar":                               s.newToken,
		"POST /sair":                                s.signOut,
		"GET /clientes":                             s.clients,
		"POST /clientes":                            s.clientForm,
		"GET /clientes/{root}":                      s.client,
		"POST /clientes/{root}":                     s.changeClient,
		"GET /identificar":                          s.identify,
		"POST /identificar":                         s.identifyForm,
		"GET /titular":                              s.subject,
		"POST /titular":                             s.subject,
		"POST /ver":                                 s.narrow,
		"GET /pessoas":                              s.people,
		"GET /auditoria":                            s.audit,
		"GET /planos":                               s.plans,
		"GET /avisos":                               s.notices,
		"POST /avisos":                              s.noticesForm,
		"POST /planos":                              s.setPlan,
		"POST /pessoas":                             s.personForm,
		"GET /conta":                                s.account,
		"GET /relatorios":                           s.reports,
		"GET /ajustes":                              s.settings,
		"POST /conta":                               s.accountForm,
	} {
		mux.Handle(pattern, s.signedIn(h))
	}
	for pattern, h := range s.commandRoutes() {
		mux.Handle(pattern, s.signedIn(h))
	}
	mux.HandleFunc("GET /entrar", s.enter)
	mux.HandleFunc("GET /entrar/{secret}", s.enter)
	mux.HandleFunc("POST /entrar", s.signIn)
	mux.HandleFunc("GET /static/{file}", s.asset)
	mux.Handle(api.Base+"/", programs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, api.Caller{}, api.ErrNotFound) })
	return mux
}

// asset sends a file that came with the program. Browsers ask each time whether
// it changed.
func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	raw, err := static.ReadFile("static/" + r.PathValue("file"))
	if err != nil {
		s.fail(w, r, api.Caller{}, api.ErrNotFound)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(raw)))
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(raw))
}

// protect sets the headers of every answer and refuses what other sites send.
func (s *site) protect(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.trouble(w, r, api.Caller{}, http.StatusForbidden, "O pedido veio de outro site e foi recusado. Abra a página do coletor e repita por ela.")
	}))
	next = cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.o.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		most := int64(maxForm)
		if strings.HasPrefix(r.URL.Path, api.Base+"/") {
			most = api.MaxBody
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		next.ServeHTTP(w, r)
	})
}

// maxForm bounds what a form may send.
const maxForm = 64 << 10

// handler answers one request of a person who is signed in.
type handler func(w http.ResponseWriter, r *http.Request, c api.Caller) error

// page is what every template gets.
type page struct {
	Title   string
	Section string // of the navigation
	Who     string // "" while nobody is signed in
	Client  bool   // somebody whom a reseller serves
	Only    string // CNPJ root of the one taxpayer that is shown; "" for all
	Nav     []entry
	Above   *entry // what the page is below; nil for none
	Now     time.Time
	Live    int // seconds from one time that it makes itself current to the next; 0 for never
	Data    any
}

// render answers with a page.
func (s *site) render(w http.ResponseWriter, c api.Caller, status int, name, section, title string, data any) error {
	var b bytes.Buffer
	err := s.pages[name].Execute(&b, page{Title: title, Section: section, Who: c.Who(), Client: c.Is(api.RoleTaxpayer, api.RoleAccountant), Only: c.Narrowed(), Nav: s.open(c, daily()),
		Above: above(section, name), Now: s.o.Now(), Live: liveEvery(name), Data: data})
	if err != nil {
		return fmt.Errorf("cannot render the page %q: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

// fail answers for an error: what a person can mend is told as it is, the rest
// goes to the log.
func (s *site) fail(w http.ResponseWriter, r *http.Request, c api.Caller, err error) {
	var mend *api.Problem
	var large *http.MaxBytesError
	var busy *api.Busy
	switch {
	case errors.As(err, &busy):
		w.Header().Set("Retry-After", busy.Seconds())
		s.trouble(w, r, c, http.StatusTooManyRequests, busy.Text)
	case errors.As(err, &mend):
		s.trouble(w, r, c, http.StatusBadRequest, mend.Text)
	case errors.As(err, &large):
		s.trouble(w, r, c, http.StatusRequestEntityTooLarge, "O formulário enviado é grande demais. Volte e escreva menos.")
	case errors.Is(err, api.ErrNotFound), errors.Is(err, api.ErrNotAllowed):
		s.trouble(w, r, c, http.StatusNotFound, "O que este endereço mostrava não está no coletor: o endereço está incompleto ou o registro não existe. Volte e procure de novo.")
	default:
		s.o.Log.Error("page failed", "method", r.Method, "pattern", r.Pattern, "err", err)
		s.trouble(w, r, c, http.StatusInternalServerError, "O coletor não conseguiu montar esta página. Nada foi alterado. Tente de novo em um minuto; se continuar, o motivo está no registro do coletor às "+
			clock(s.o.Now())+".")
	}
}

// trouble answers with an error's page.
func (s *site) trouble(w http.ResponseWriter, r *http.Request, c api.Caller, status int, text string) {
	if err := s.render(w, c, status, "trouble", "", "Não foi possível", text); err != nil {
		s.o.Log.Error("page failed", "pattern", r.Pattern, "err", err)
		http.Error(w, text, status)
	}
}
