package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"time"
)

// Base is the path below which programs find every operation.
const Base = "/api/v1"

// MaxBody bounds what a request may send, in bytes: a fiscal document and more.
const MaxBody = 4 << 20

// HTTPOptions are what the operations need to be served to programs.
type HTTPOptions struct {
	API     *API
	Caller  func(*http.Request) (Caller, error) // whose request it is; ErrSignedOut when it is nobody's
	Address func(*http.Request) netip.Addr      // where it comes from
	Log     *slog.Logger
	Now     func() time.Time
}

// server serves the table of operations over HTTP.
type server struct {
	o         HTTPOptions
	addresses limiter
	callers   limiter
	described []byte // openapi.json
}

// NewHTTP makes the handler of everything below Base: each operation of the table by
// its method and path, and their description in openapi.json. Parameters stand in
// the path, in the query of a GET and in the JSON object of a POST; answers are JSON
// and errors are problems (RFC 9457). A program comes with an API token as a bearer
// token, and does what the token has the right to; a person's browser comes with its
// session.
func NewHTTP(o HTTPOptions) (http.Handler, error) {
	described, err := json.Marshal(describe(Operations()))
	if err != nil {
		return nil, fmt.Errorf("cannot describe the operations: %w", err)
	}
	s := &server{o: o, described: described,
		addresses: limiter{rate: 50, burst: 200, most: 10_000},
		callers:   limiter{rate: 10, burst: 50, most: 10_000}}
	mux := http.NewServeMux()
	for _, op := range Operations() {
		mux.Handle(op.Method+" "+Base+op.Path, s.operation(op))
	}
	mux.HandleFunc("GET "+Base+"/openapi.json", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, "openapi.json", s.described) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, ErrNotFound) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := s.addresses.wait(prefix(o.Address(r)), o.Now()); wait > 0 {
			s.fail(w, r, &Busy{"Este endereço fez pedidos demais. Espere e tente de novo.", wait})
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// prefix is what counts as one address: of IPv6 the network, which one subscriber
// has whole.
func prefix(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}

// operation serves one operation.
func (s *server) operation(op Operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.o.Caller(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if wait := s.callers.wait(callerKey(c, r), s.o.Now()); wait > 0 {
			s.fail(w, r, &Busy{"Foram feitos pedidos demais com este acesso. Espere e tente de novo.", wait})
			return
		}
		if _, err := s.o.API.allow(c, op.Op); err != nil {
			s.fail(w, r, err)
			return
		}
		in, err := read(op, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.answer(w, r, op, c, in)
	})
}

// callerKey names who counts as one: a token, or a person.
func callerKey(c Caller, r *http.Request) string {
	if c.Token() {
		return r.Header.Get("Authorization")
	}
	return strconv.FormatInt(c.User(), 10)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, op Operation, c Caller, in Input) {
	if kind, streams := op.Answer.(Stream); streams {
		out := NewDownload(w, string(kind), path.Base(op.Path))
		in.Out = out
		_, err := op.Call(r.Context(), s.o.API, c, in)
		switch {
		case err == nil:
		case out.Cut():
			s.o.Log.Error("download cut off", "pattern", r.Pattern, "request", w.Header().Get("X-Request-Id"), "err", err)
		default:
			s.fail(w, r, err)
		}
		return
	}
	result, err := op.Call(r.Context(), s.o.API, c, in)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	switch v := result.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
	case File:
		s.file(w, r, v.Name, v.Raw)
	default:
		s.json(w, r, http.StatusOK, "application/json", v)
	}
}

// file answers with a file as it is, which its SHA-256 names.
func (s *server) file(w http.ResponseWriter, r *http.Request, name string, raw []byte) {
	kind := map[string]string{".xml": "application/xml", ".json": "application/json"}[path.Ext(name)]
	if kind == "" {
		kind = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+hex(sha256.Sum256(raw))+`"`)
	if kind != "application/json" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
}

func (s *server) json(w http.ResponseWriter, r *http.Request, status int, kind string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		s.o.Log.Error("answer failed", "pattern", r.Pattern, "err", err)
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(raw, '\n'))
}

// Busy is an error that goes away by waiting. Its text is for the person who asked,
// in pt-BR.
type Busy struct {
	Text  string
	Retry time.Duration // after which to try again
}

func (b *Busy) Error() string { return b.Text }

// Seconds is what the header Retry-After says.
func (b *Busy) Seconds() string {
	return strconv.Itoa(max(1, int(math.Ceil(b.Retry.Seconds()))))
}

// errMedia is an error of requests themselves.
var errMedia = errors.New("the body is of another kind")

// trouble is an error as programs read it (RFC 9457).
type trouble struct {
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty" doc:"O que fazer."`
	Request string `json:"request,omitempty" doc:"Identifica o pedido no registro do coletor."`
}

// fail answers for an error: what the one who asked can mend is told, the rest goes
// to the log.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	t := s.troubleOf(w, r, err)
	t.Request = w.Header().Get("X-Request-Id")
	s.json(w, r, t.Status, "application/problem+json", t)
}

func (s *server) troubleOf(w http.ResponseWriter, r *http.Request, err error) trouble {
	var mend *Problem
	var busy *Busy
	var large *http.MaxBytesError
	var lacks *lacking
	switch {
	case errors.Is(err, ErrSignedOut), errors.Is(err, ErrNotAllowed):
		w.Header().Set("WWW-Authenticate", "Bearer")
		return trouble{Title: "Acesso não reconhecido", Status: http.StatusUnauthorized,
			Detail: "O código de API falta, venceu ou foi revogado. Gere outro na página Conta e envie-o em Authorization: Bearer."}
	case errors.As(err, &lacks):
		return trouble{Title: "Sem este direito", Status: http.StatusForbidden, Detail: lacks.Text()}
	case errors.Is(err, ErrNotFound):
		return trouble{Title: "Não encontrado", Status: http.StatusNotFound, Detail: "O endereço não existe, ou o que ele mostra não está entre o que este acesso vê."}
	case errors.As(err, &busy):
		w.Header().Set("Retry-After", busy.Seconds())
		return trouble{Title: "Pedidos demais", Status: http.StatusTooManyRequests, Detail: busy.Text}
	case errors.As(err, &mend):
		return trouble{Title: "O pedido não pode ser atendido", Status: http.StatusUnprocessableEntity, Detail: mend.Text}
	case errors.As(err, &large):
		return trouble{Title: "Pedido grande demais", Status: http.StatusRequestEntityTooLarge, Detail: "Envie no máximo 4 MiB."}
	case errors.Is(err, errMedia):
		return trouble{Title: "Conteúdo de outro tipo", Status: http.StatusUnsupportedMediaType,
			Detail: "Envie um objeto JSON com Content-Type: application/json; um documento, com application/xml."}
	}
	s.o.Log.Error("operation failed", "pattern", r.Pattern, "request", w.Header().Get("X-Request-Id"), "err", err)
	return trouble{Title: "Falha do coletor", Status: http.StatusInternalServerError, Detail: "Tente de novo em um minuto. Se continuar, o motivo está no registro do coletor."}
}

// Download writes a file that is made while it is sent. Its headers go out with its
// first byte, so that an error before that can still be told.
type Download struct {
	http.ResponseWriter
	kind, name string
	begun      bool
}

// NewDownload makes the download of a file of a media type.
func NewDownload(w http.ResponseWriter, kind, name string) *Download {
	return &Download{ResponseWriter: w, kind: kind, name: name}
}

func (d *Download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		h := d.Header()
		h.Set("Content-Type", d.kind)
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	}
	// A server without deadlines, as in tests, has none here either.
	http.NewResponseController(d.ResponseWriter).SetWriteDeadline(time.Now().Add(takeWithin))
	return d.ResponseWriter.Write(b)
}

// takeWithin is how long a reader may take for one piece of a download. Who takes
// longer is gone, and would hold a view of the store.
const takeWithin = time.Minute

// Cut ends a download that failed without its end mark, so that nobody takes it for
// whole, and tells whether it had begun.
func (d *Download) Cut() bool {
	if d.begun {
		http.NewResponseController(d.ResponseWriter).SetWriteDeadline(time.Unix(1, 0))
	}
	return d.begun
}
