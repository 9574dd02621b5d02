package till

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"zelo/sat"
)

// Hub are the means of the SATHub interface (dossier on the SAT interface, 6.4):
// POST /hub/v1/<function in lower case>, fields form-encoded, numero_caixa 0 to
// 999 always. The answer is {"funcao": name, "retorno": the device's reply}; a
// request that cannot be carried out as it stands gets {"funcao", "erro"} with
// status 400, 404, 413 or 415 and has reached no device.
//
// Each numero_caixa is a till of its own, "000" to "999", with session numbers
// of its own. A caller that goes away does not cancel its call; it finds the
// reply with consultarultimasessaofiscal.
type Hub struct {
	Device sat.Device // the router: its replies are ready for a till
	// Code gives the device's serial number and activation code; an empty code
	// means that nobody knows it yet.
	Code func() (serial, code string)
	// Delivered is called when a reply was written and its caller was still there.
	Delivered func(sat.Request)
	// Lost is called when it was not, or when nobody knows.
	Lost func(sat.Request)
}

// maxForm bounds a request: a sale of 1.500 KB and what its encoding adds to it.
const maxForm = 2 << 20

type hub struct {
	Hub
	sessions *sessions
	log      *slog.Logger
}

func newHub(h Hub, log *slog.Logger, now func() time.Time) http.Handler {
	return &hub{Hub: h, sessions: newSessions(now), log: log}
}

// ServeHTTP carries out one function.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := sat.FunctionByName(r.PathValue("function"))
	if !ok || r.PathValue("function") != strings.ToLower(f.String()) {
		refuse(w, http.StatusNotFound, r.PathValue("function"), "não existe esta função do SAT")
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		refuse(w, http.StatusUnsupportedMediaType, f.String(), "envie os campos como application/x-www-form-urlencoded")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status, text := http.StatusBadRequest, "os campos não estão codificados como application/x-www-form-urlencoded"
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			status, text = http.StatusRequestEntityTooLarge, "o pedido tem mais de 2 MiB"
		}
		refuse(w, status, f.String(), text)
		return
	}
	_, code := h.Code()
	req, err := newRequest(f, form(r.PostForm), code)
	if err != nil {
		refuse(w, http.StatusBadRequest, f.String(), err.Error())
		return
	}
	h.answer(w, r, req)
}

// answer allots the session, makes the call and says that its reply arrived.
func (h *hub) answer(w http.ResponseWriter, r *http.Request, req sat.Request) {
	req.Session = h.sessions.next(req.Till)
	reply := h.call(r.Context(), req)
	if err := writeJSON(w, http.StatusOK, map[string]string{"funcao": req.Function.String(), "retorno": sat.Text(reply.Raw)}); err != nil {
		h.log.Warn("reply of the hub not delivered", "call", req, "err", err)
		h.Lost(req)
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil || r.Context().Err() != nil {
		h.log.Warn("reply of the hub not delivered: the caller had gone", "call", req, "err", err)
		h.Lost(req)
		return
	}
	h.Delivered(req)
}

// call always comes back with a reply that a till can read: "erro desconhecido"
// when the request certainly reached no device, otherwise "em processamento".
func (h *hub) call(ctx context.Context, req sat.Request) sat.Reply {
	if lacksCode(req) {
		reply := sat.NewReply(req.Function, req.Session, req.Function.Failed())
		reply.Message = "Codigo de ativacao ainda desconhecido neste caixa: informe-o com zelo-agent code"
		reply.Raw = reply.Encode(req.Session)
		return reply
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), req.Function.Deadline())
	defer cancel()
	reply, err := h.Device.Call(ctx, req)
	if err == nil {
		return reply
	}
	h.log.Warn("call of the hub failed", "call", req, "err", err)
	if sat.OutcomeOf(req, reply, err) == sat.NotIssued {
		return sat.NewReply(req.Function, req.Session, req.Function.Failed())
	}
	return sat.NewReply(req.Function, req.Session, req.Function.Busy())
}

// lacksCode reports a request that no device would take, and that might count
// there as an attempt with a wrong code.
func lacksCode(req sat.Request) bool {
	for _, p := range req.Function.Params() {
		if p.Name == sat.CodeParam {
			return req.Arg(sat.CodeParam) == ""
		}
	}
	return false
}

func refuse(w http.ResponseWriter, status int, function, why string) {
	writeJSON(w, status, map[string]string{"funcao": function, "erro": why})
}

// form are the fields of a request; of a repeated one the first counts.
type form map[string][]string

// spellings are the fields that carry each parameter of the library. Where more
// than one is named, SATHub's server and its client differ; a confirmation that
// the client does not send is the new code itself.
var spellings = map[string][]string{
	"subComando":        {"tipo_certificado", "subcomando"},
	"CNPJ":              {"cnpj"},
	"cUF":               {"codigo_uf", "cuf"},
	"certificado":       {"certificado"},
	"dadosVenda":        {"dados_venda"},
	"chave":             {"chave_cfe"},
	"dadosCancelamento": {"dados_cancelamento"},
	"cNumeroDeSessao":   {"numero_sessao"},
	"dadosConfiguracao": {"configuracao"},
	"CNPJvalue":         {"sequencia_cnpj"},
	"assinaturaCNPJs":   {"assinatura_ac"},
	"opcao":             {"opcao"},
	"novoCodigo":        {"novo_codigo", "novo_codigo_ativacao"},
	"confNovoCodigo":    {"novo_codigo_confirmacao", "novo_codigo", "novo_codigo_ativacao"},
}

// newRequest reads the fields of a function. The activation code is the agent's
// own affair, except where the caller defines one or gives the emergency code.
// Errors are for the caller, in Portuguese, and quote no value.
func newRequest(f sat.Function, fields form, code string) (sat.Request, error) {
	req := sat.Request{Function: f}
	till, err := fields.integer(999, "numero_caixa")
	if err != nil {
		return req, err
	}
	req.Till = fmt.Sprintf("%03d", till)
	for _, p := range f.Params() {
		var value string
		var err error
		switch {
		case p.Name == sat.CodeParam:
			value, err = fields.code(f, code)
		case p.Int:
			var n int
			n, err = fields.integer(sat.MaxSession, spellings[p.Name]...)
			value = strconv.Itoa(n)
		default:
			value, err = fields.text(spellings[p.Name]...)
		}
		if err != nil {
			return req, err
		}
		req.Args = append(req.Args, value)
	}
	return req, nil
}

// code is the activation code the call goes with: the known one, except that
// AtivarSAT may bring the one it defines, and TrocarCodigoDeAtivacao with option
// 2 goes with the emergency code (dossier 4.3, 4.4).
func (f form) code(function sat.Function, known string) (string, error) {
	switch function {
	case sat.AtivarSAT:
		if known == "" || f.has("codigo_ativacao") {
			return f.text("codigo_ativacao")
		}
	case sat.TrocarCodigoDeAtivacao:
		option, err := f.text("opcao")
		if err != nil {
			return "", err
		}
		if option == "2" {
			return f.text("codigo_emergencia")
		}
		if option != "1" {
			return "", errors.New("o campo opcao deve ser 1 (código de ativação) ou 2 (código de emergência)")
		}
	}
	return known, nil
}

func (f form) has(name string) bool { return len(f[name]) > 0 && f[name][0] != "" }

// text is the first of these fields that is there, in UTF-8.
func (f form) text(names ...string) (string, error) {
	for _, name := range names {
		if !f.has(name) {
			continue
		}
		value := sat.Text([]byte(f[name][0]))
		if strings.ContainsRune(value, 0) {
			return "", fmt.Errorf("o campo %s contém um caractere nulo", name)
		}
		return value, nil
	}
	return "", fmt.Errorf("falta o campo %s", names[0])
}

// integer is a field of decimal digits, 0 to most.
func (f form) integer(most int, names ...string) (int, error) {
	value, err := f.text(names...)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || int(n) > most {
		return 0, fmt.Errorf("o campo %s deve ser um número de 0 a %d", names[0], most)
	}
	return int(n), nil
}
