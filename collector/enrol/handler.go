package enrol

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// HandlerOptions say where enrolled agents go.
type HandlerOptions struct {
	Broker    string // host:port of the MQTT listener
	Fallback  string // "wss://host:port/mqtt", where Broker is not reached; "" is none
	Name      string // name in the certificate of both
	Enrolment string // "https://host:port" of this handler, where agents renew
	// CommandKey is the public key that agents know commands by.
	CommandKey []byte
	Log        *slog.Logger
}

// Bounds of one request and of one address.
const (
	maxRequest    = 16 << 10
	maxText       = 200 // characters of a host name that are kept
	perMinute     = 60  // requests of one address
	maxRemembered = 10_000
)

// Handler serves POST /enrol, to whom has a token, and POST /renew, to whom shows the
// certificate of an agent. It belongs on a TLS listener with CA.EntranceConfig, whose
// chain proves the token's pin.
func (r *Registry) Handler(o HandlerOptions) http.Handler {
	e := &entrance{r, o, &limiter{now: r.now}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enrol", e.guard(func(req *http.Request, in wire.EnrolRequest, host string) (Identity, error) {
		return r.Issue(req.Context(), in.Secret, []byte(in.CSR), host)
	}))
	mux.HandleFunc("POST /renew", e.guard(func(req *http.Request, in wire.EnrolRequest, host string) (Identity, error) {
		if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
			return Identity{}, ErrNotAgent
		}
		return r.Renew(req.Context(), req.TLS.PeerCertificates[0], []byte(in.CSR), host)
	}))
	return mux
}

// entrance is where identities are given.
type entrance struct {
	r     *Registry
	o     HandlerOptions
	limit *limiter
}

// guard bounds and reads requests, and answers with the identity that give gives.
func (e *entrance) guard(give func(req *http.Request, in wire.EnrolRequest, host string) (Identity, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !e.limit.allow(req.RemoteAddr) {
			w.Header().Set("Retry-After", "60")
			answer(w, http.StatusTooManyRequests, wire.EnrolReply{Error: "muitos pedidos deste endereço; aguarde um minuto"})
			return
		}
		var in wire.EnrolRequest
		if err := readJSON(w, req, &in); err != nil {
			answer(w, http.StatusBadRequest, wire.EnrolReply{Error: "pedido de cadastro ilegível"})
			return
		}
		host := clip(in.Host)
		id, err := give(req, in, host)
		if err != nil {
			status, text := refusal(err)
			e.o.Log.Warn("identity refused", "asked", req.URL.Path, "from", req.RemoteAddr, "host", host, "err", err)
			answer(w, status, wire.EnrolReply{Error: text})
			return
		}
		e.o.Log.Info("identity given", "asked", req.URL.Path, "agent", id.Agent, "from", req.RemoteAddr, "host", host)
		answer(w, http.StatusOK, wire.EnrolReply{Agent: id.Agent, Certificate: string(id.Certificate), CA: string(id.CA), Broker: e.o.Broker,
			Fallback: e.o.Fallback, Name: e.o.Name, Enrolment: e.o.Enrolment, Terms: e.r.Terms(e.o), CommandKey: e.o.CommandKey})
	}
}

func readJSON(w http.ResponseWriter, req *http.Request, v any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRequest))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func answer(w http.ResponseWriter, status int, v wire.EnrolReply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// refusal is what the person at the till reads.
func refusal(err error) (status int, text string) {
	switch {
	case errors.Is(err, ErrTokenUnknown):
		return http.StatusForbidden, "código de ligação desconhecido: copie-o de novo da página do coletor"
	case errors.Is(err, store.ErrTokenExpired):
		return http.StatusForbidden, "o código de ligação venceu: gere outro na página do coletor"
	case errors.Is(err, store.ErrTokenSpent):
		return http.StatusForbidden, "o código de ligação já foi usado o número de vezes permitido: gere outro na página do coletor"
	case errors.Is(err, ErrRevoked):
		return http.StatusForbidden, "a identidade deste computador foi revogada: para ligá-lo de novo, gere um código na página do coletor"
	case errors.Is(err, ErrManyClones):
		return http.StatusForbidden, "a identidade deste computador foi copiada para computadores demais: gere um código para ele na página do coletor"
	case errors.Is(err, ErrNotAgent):
		return http.StatusForbidden, "este coletor não reconhece a identidade deste computador: gere um código para ele na página do coletor"
	case errors.Is(err, ErrBadRequest):
		return http.StatusBadRequest, "o pedido de certificado não pôde ser lido"
	}
	return http.StatusInternalServerError, "o coletor não conseguiu concluir o cadastro; tente de novo em alguns minutos"
}

// clip keeps what is shown of a computer's name short and printable.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText])
	}
	return s
}

// limiter counts the requests of each address in the current minute. Whoever has very
// many addresses makes it forget, and keeps no till out.
type limiter struct {
	now    func() time.Time
	mu     sync.Mutex
	minute time.Time
	counts map[string]int
}

func (l *limiter) allow(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.now().Truncate(time.Minute); !m.Equal(l.minute) {
		l.minute, l.counts = m, map[string]int{}
	}
	if len(l.counts) >= maxRemembered && l.counts[host] == 0 {
		l.counts = map[string]int{}
	}
	l.counts[host]++
	return l.counts[host] <= perMinute
}
