// Package till is what people and programs on the till's own computer see of the
// agent, over HTTP on the loopback interface:
//
//   - / is a page for the cashier and the technician: how this till stands, and
//     what to do;
//   - /situacao.json says the same to the POS program, for a pop-up of its own;
//   - /hub/v1/ is the SATHub interface to the device, when [Options] has a Hub.
//
// Everything is refused that does not name a loopback host, so that a web site
// cannot reach it by pointing its own name here, and every POST that another
// site's page sends. There are no cookies, no secrets and nobody's CPF.
package till

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

//go:embed templates/page.html
var templates embed.FS

//go:embed static
var static embed.FS

// Options are what the handler needs.
type Options struct {
	// State tells how the till stands. It is called for every page and every JSON.
	State func() State
	// Test asks the device whether it is there, harmlessly (ConsultarSAT) and
	// behind the sales; nil when it answered. Its error goes to the log.
	Test func(context.Context) error
	Hub  *Hub // nil: the SATHub interface is off
	// Offer is shown beside warnings of the shop's certificate.
	Offer Offer
	// Reminder is the one whose messages the page puts off; nil when there are none.
	Reminder *Reminder
	// Host is an address of this computer by which other computers may reach it;
	// "" or a loopback address when they may not.
	Host string
	Log  *slog.Logger
	Now  func() time.Time
}

type till struct {
	o       Options
	page    *template.Template
	testing sync.Mutex // held while a test is under way
}

// New makes the handler. Its server must listen on a loopback address and may
// not bound the time of an answer: functions of the hub take up to an hour.
func New(o Options) (http.Handler, error) {
	t := &till{o: o}
	var err error
	if t.page, err = template.New("page.html").Funcs(t.words()).ParseFS(templates, "templates/page.html"); err != nil {
		return nil, fmt.Errorf("cannot read the template of the till's page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", t.show)
	mux.HandleFunc("POST /testar", t.test)
	mux.HandleFunc("POST /lembrete", t.dismiss)
	mux.HandleFunc("GET /situacao.json", t.situation)
	mux.HandleFunc("GET /static/{file}", asset)
	if o.Hub != nil {
		mux.Handle("POST /hub/v1/{function}", newHub(*o.Hub, o.Log, o.Now))
	}
	return t.protect(mux), nil
}

// protect refuses what comes from elsewhere and sets the headers of every answer.
func (t *till) protect(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "O pedido veio de outro site e foi recusado.", http.StatusForbidden)
	}))
	next = cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !loopback(r.Host) && (t.o.Host == "" || hostOf(r.Host) != t.o.Host) {
			http.Error(w, "Este endereço atende somente neste computador, por localhost ou 127.0.0.1.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether a Host header, with or without port, names this very
// computer. Other names that lead here are refused: a web site may have chosen
// them (DNS rebinding).
func loopback(hostport string) bool {
	host := hostOf(hostport)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostOf takes the port away.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]")
	}
	return host
}

// loopbackOrigin reports whether an Origin header is that of a page served by
// this very computer.
func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopback(u.Host)
}

// asset sends a file that came with the program. Browsers ask each time whether
// it changed.
func asset(w http.ResponseWriter, r *http.Request) {
	raw, err := static.ReadFile("static/" + r.PathValue("file"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(raw)))
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(raw))
}
