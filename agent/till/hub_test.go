package till

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// identity is made once: an RSA key is slow to make.
var identity = sync.OnceValues(func() (*cfe.CA, *cfe.Signer) {
	ca, err := cfe.NewTestCA(noon().AddDate(-1, 0, 0))
	if err != nil {
		panic(err)
	}
	e := sim.TestEmitter(sim.SAT)
	s, err := ca.Issue(cfe.DeviceCert{Serial: "900000001", CNPJ: e.CNPJ, Name: e.Name,
		NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(4, 0, 0)})
	if err != nil {
		panic(err)
	}
	return ca, s
})

// counter is a till computer with the hub on, and behind it a simulated device.
// It is the hub's Device as the router is: replies are written for a till.
type counter struct {
	t   *testing.T
	sim *sim.Sim
	url string
	log strings.Builder

	mu        sync.Mutex
	code      string // the agent knows it
	calls     []sat.Request
	delivered chan sat.Request                                      // the hub has called Delivered
	instead   func(context.Context, sat.Request) (sat.Reply, error) // answers for the device
}

func newCounter(t *testing.T, o sim.Options) *counter {
	t.Helper()
	o.CA, o.Signer = identity()
	o.Clock = noon
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{t: t, sim: s, code: sim.DefaultCode, delivered: make(chan sat.Request, 100)}
	server := httptest.NewServer(c.handler())
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *counter) handler() http.Handler {
	c.t.Helper()
	h, err := New(Options{State: fine, Now: noon, Log: slog.New(slog.NewTextHandler(&c.log, nil)),
		Hub: &Hub{Device: c, Code: c.known, Delivered: func(r sat.Request) { c.delivered <- r }, Lost: func(sat.Request) {}}})
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

func (c *counter) known() (serial, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "900000001", c.code
}

func (c *counter) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	c.mu.Lock()
	c.calls = append(c.calls, req)
	call := c.instead
	c.mu.Unlock()
	if call == nil {
		call = c.sim.Call
	}
	reply, err := call(ctx, req)
	if err != nil {
		return reply, err
	}
	session := req.Session
	if req.Function.AsksSession() && reply.Function != req.Function {
		session = reply.Session
	}
	reply.Raw = reply.Encode(session)
	return reply, nil
}

// post sends fields and returns the status and the members of the answer.
func (c *counter) post(path string, fields url.Values) (int, map[string]string) {
	c.t.Helper()
	resp, err := http.PostForm(c.url+"/hub/v1/"+path, fields)
	if err != nil {
		c.t.Fatal(err)
	}
	return answerOf(c.t, resp)
}

func answerOf(t *testing.T, resp *http.Response) (int, map[string]string) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(string(raw), func(r rune) bool { return r >= 0x80 }) {
		t.Errorf("an answer is not ASCII: %s", raw)
	}
	answer := map[string]string{}
	if err := json.Unmarshal(raw, &answer); err != nil || len(answer) != 2 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d with %q (%s): %v", resp.StatusCode, raw, resp.Header.Get("Content-Type"), err)
	}
	return resp.StatusCode, answer
}

// layouts are the numbers of fields a strict client takes: success, failure
// (dossier on the SAT interface, 2.1).
var layouts = map[sat.Function][2]int{
	sat.AtivarSAT: {5, 5}, sat.EnviarDadosVenda: {12, 6}, sat.CancelarUltimaVenda: {12, 6}, sat.TesteFimAFim: {9, 5},
	sat.ConsultarStatusOperacional: {28, 5}, sat.ExtrairLogs: {6, 5},
}

var strictHead = regexp.MustCompile(`^[0-9]{6}\|[0-9]{5}\|`)

// want calls a function as numero_caixa 7, checks the reply as the strictest
// client would, and returns its fields.
func (c *counter) want(code sat.Code, path string, fields ...string) []string {
	c.t.Helper()
	form := url.Values{"numero_caixa": {"7"}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, answer := c.post(path, form)
	asked, _ := sat.FunctionByName(path)
	if status != http.StatusOK || answer["funcao"] != asked.String() {
		c.t.Fatalf("%s: status %d, %v", path, status, answer)
	}
	raw := answer["retorno"]
	got := strings.Split(raw, "|")
	if !strictHead.MatchString(raw) || got[1] != code.String() {
		c.t.Fatalf("%s: %q, want code %s", path, raw, code)
	}
	if session, _ := strconv.Atoi(got[0]); session < 106300 || session > 107199 {
		c.t.Errorf("%s: session %s is not one of numero_caixa 7", path, got[0])
	}
	f, _ := code.Function()
	layout, ok := layouts[f]
	if !ok {
		layout = [2]int{5, 5}
	}
	n := layout[1]
	if code.Success() {
		n = layout[0]
	}
	if len(got) != n {
		c.t.Errorf("%s: %d fields in %.80q, want %d", path, len(got), raw, n)
	}
	last, delivered := c.calls[len(c.calls)-1], <-c.delivered
	if last.Till != "007" || delivered.Till != "007" || delivered.Session != last.Session || delivered.Function != asked {
		c.t.Errorf("%s: called as %v, delivered %v", path, last.LogValue(), delivered.LogValue())
	}
	return got
}

// Every function of the library, as SATHub's server and client spell it.
func TestHubCarriesOutEveryFunction(t *testing.T) {
	c := newCounter(t, sim.Options{EmergencyCode: "emergencia"})
	c.want(8000, "consultarsat")
	sold := c.want(6000, "enviardadosvenda", "dados_venda", sattest.SaleXML("10.00", ""))
	if again := c.want(6000, "consultarnumerosessao", "numero_sessao", sold[0]); again[8] != sold[8] || again[0] != sold[0] {
		t.Errorf("the stored reply is %v", again[:9])
	}
	if again := c.want(6000, "consultarultimasessaofiscal"); again[8] != sold[8] {
		t.Errorf("the last fiscal session is %v", again[:9])
	}
	c.want(11003, "consultarnumerosessao", "numero_sessao", "999999")
	c.want(7000, "cancelarultimavenda", "chave_cfe", sold[8], "dados_cancelamento", sattest.CancelXML(sold[8][3:]))
	c.want(9000, "testefimafim", "dados_venda", sattest.SaleXML("1.00", ""))
	if s := c.want(10000, "consultarstatusoperacional"); s[5] != "900000001" {
		t.Errorf("the status is of device %s", s[5])
	}
	c.want(15000, "extrairlogs")
	c.want(12000, "configurarinterfacederede", "configuracao", "<config><tipoInter>ETHE</tipoInter><tipoLan>DHCP</tipoLan></config>")
	c.want(13000, "associarassinatura", "sequencia_cnpj", "1671611400017208723218000186", "assinatura_ac", "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT")
	c.want(14000, "atualizarsoftwaresat")
	c.want(16004, "bloquearsat")
	c.want(17005, "desbloquearsat")
	c.want(5003, "comunicarcertificadoicpbrasil", "certificado", "isto nao e um certificado")

	// What SATHub's server lacks: with the server's spelling, with its client's.
	c.want(18000, "trocarcodigodeativacao", "opcao", "1", "novo_codigo", "segundo-codigo", "novo_codigo_confirmacao", "segundo-codigo")
	c.code = "segundo-codigo"
	c.want(18000, "trocarcodigodeativacao", "opcao", "1", "novo_codigo_ativacao", "terceiro-codigo", "codigo_emergencia", "")
	c.code = "terceiro-codigo"
	c.want(18000, "trocarcodigodeativacao", "opcao", "2", "novo_codigo_ativacao", "quarto-codigo", "codigo_emergencia", "emergencia")
	c.code = "quarto-codigo"
	c.want(18002, "trocarcodigodeativacao", "opcao", "2", "novo_codigo", "quinto-codigo", "codigo_emergencia", "errado-errado")
	c.want(18099, "trocarcodigodeativacao", "opcao", "1", "novo_codigo", "quinto-codigo", "novo_codigo_confirmacao", "outro-codigo")
	c.want(10000, "consultarstatusoperacional")
	c.want(4003, "ativarsat", "tipo_certificado", "1", "cnpj", "08723218000186", "codigo_uf", "35")

	for _, f := range sat.Functions() {
		if !slices.ContainsFunc(c.calls, func(r sat.Request) bool { return r.Function == f }) {
			t.Errorf("%s was not called", f)
		}
	}
	if text := c.log.String(); strings.Contains(text, "codigo") || strings.Contains(text, sim.DefaultCode) {
		t.Errorf("a code is in the log: %s", text)
	}
}

func TestHubActivatesANewDevice(t *testing.T) {
	c := newCounter(t, sim.Options{Factory: true})
	c.code = ""
	c.want(4000, "ativarsat", "tipo_certificado", "1", "cnpj", "08723218000186", "codigo_uf", "35", "codigo_ativacao", "primeiro-codigo")
	c.code = "primeiro-codigo"
	c.want(10000, "consultarstatusoperacional")
}

// Without its code the device is left alone: it counts wrong ones.
func TestHubWithoutCode(t *testing.T) {
	c := newCounter(t, sim.Options{})
	c.want(8000, "consultarsat")
	c.code = ""
	before := len(c.calls)
	for path, code := range map[string]string{"enviardadosvenda": "06099", "consultarstatusoperacional": "10099"} {
		_, answer := c.post(path, url.Values{"numero_caixa": {"1"}, "dados_venda": {"<CFe/>"}})
		if f := strings.Split(answer["retorno"], "|"); f[1] != code || !strings.Contains(answer["retorno"], "zelo-agent code") {
			t.Errorf("%s: %v", path, answer)
		}
	}
	if len(c.calls) != before {
		t.Errorf("the device was called: %v", c.calls[before:])
	}
}

// What is wrong with a request is said, and nothing reaches the device.
func TestHubRefuses(t *testing.T) {
	c := newCounter(t, sim.Options{})
	change := url.Values{"numero_caixa": {"1"}, "novo_codigo": {"87654321"}}
	with := func(v url.Values, name, value string) url.Values {
		out := url.Values{name: {value}}
		for k := range v {
			if k != name {
				out[k] = v[k]
			}
		}
		return out
	}
	for _, test := range []struct {
		name, path string
		fields     url.Values
		status     int
		erro       string
	}{
		{"no till", "consultarsat", url.Values{}, 400, "falta o campo numero_caixa"},
		{"empty till", "consultarsat", url.Values{"numero_caixa": {""}}, 400, "falta o campo numero_caixa"},
		{"till too large", "consultarsat", url.Values{"numero_caixa": {"1000"}}, 400, "o campo numero_caixa deve ser um número de 0 a 999"},
		{"till far too large", "consultarsat", url.Values{"numero_caixa": {"18446744073709551617"}}, 400, "o campo numero_caixa deve ser um número de 0 a 999"},
		{"till below zero", "consultarsat", url.Values{"numero_caixa": {"-1"}}, 400, "o campo numero_caixa deve ser um número de 0 a 999"},
		{"till a word", "consultarsat", url.Values{"numero_caixa": {"caixa"}}, 400, "o campo numero_caixa deve ser um número de 0 a 999"},
		{"no sale", "enviardadosvenda", url.Values{"numero_caixa": {"1"}}, 400, "falta o campo dados_venda"},
		{"a sale with a zero", "enviardadosvenda", url.Values{"numero_caixa": {"1"}, "dados_venda": {"<CFe>\x00</CFe>"}}, 400, "o campo dados_venda contém um caractere nulo"},
		{"no key", "cancelarultimavenda", url.Values{"numero_caixa": {"1"}, "dados_cancelamento": {"<CFeCanc/>"}}, 400, "falta o campo chave_cfe"},
		{"no session", "consultarnumerosessao", url.Values{"numero_caixa": {"1"}}, 400, "falta o campo numero_sessao"},
		{"session too large", "consultarnumerosessao", url.Values{"numero_caixa": {"1"}, "numero_sessao": {"1000000"}}, 400, "o campo numero_sessao deve ser um número de 0 a 999999"},
		{"no option", "trocarcodigodeativacao", change, 400, "falta o campo opcao"},
		{"another option", "trocarcodigodeativacao", with(change, "opcao", "3"), 400, "o campo opcao deve ser 1 (código de ativação) ou 2 (código de emergência)"},
		{"no emergency code", "trocarcodigodeativacao", with(change, "opcao", "2"), 400, "falta o campo codigo_emergencia"},
		{"no new code", "trocarcodigodeativacao", url.Values{"numero_caixa": {"1"}, "opcao": {"1"}}, 400, "falta o campo novo_codigo"},
		{"another function", "vender", url.Values{"numero_caixa": {"1"}}, 404, "não existe esta função do SAT"},
		{"another case", "ConsultarSAT", url.Values{"numero_caixa": {"1"}}, 404, "não existe esta função do SAT"},
		{"too large", "enviardadosvenda", url.Values{"numero_caixa": {"1"}, "dados_venda": {strings.Repeat("x", maxForm)}}, 413, "o pedido tem mais de 2 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, answer := c.post(test.path, test.fields); status != test.status || answer["erro"] != test.erro {
				t.Errorf("status %d, %v", status, answer)
			}
		})
	}
	for name, body := range map[string][2]string{
		"not form-encoded": {"application/json", `{"numero_caixa":1}`}, "as plain text": {"text/plain", "numero_caixa=1"}, "without a type": {"", "numero_caixa=1"},
	} {
		resp, err := http.Post(c.url+"/hub/v1/consultarsat", body[0], strings.NewReader(body[1]))
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := answerOf(t, resp); status != 415 || !strings.Contains(answer["erro"], "x-www-form-urlencoded") {
			t.Errorf("%s: status %d, %v", name, status, answer)
		}
	}
	resp, err := http.Post(c.url+"/hub/v1/consultarsat", "application/x-www-form-urlencoded", strings.NewReader("numero_caixa=%zz"))
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := answerOf(t, resp); status != 400 {
		t.Errorf("a broken encoding: status %d, %v", status, answer)
	}
	if resp, err = http.Get(c.url + "/hub/v1/consultarsat?numero_caixa=1"); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp, err)
	}
	if len(c.calls) > 0 || len(c.delivered) > 0 {
		t.Errorf("the device was called: %v", c.calls)
	}
}

// The activation code is the agent's: a field of the request changes nothing.
func TestHubTakesNoCodeFromTheRequest(t *testing.T) {
	c := newCounter(t, sim.Options{})
	c.want(10000, "consultarstatusoperacional", "codigo_ativacao", "00000000", "codigoDeAtivacao", "00000000")
}

// A sale in Windows-1252, as old programs send it, reaches the device in UTF-8.
func TestHubConvertsOldText(t *testing.T) {
	c := newCounter(t, sim.Options{})
	c.want(6000, "enviardadosvenda", "dados_venda", strings.ReplaceAll(sattest.SaleXML("10.00", ""), "é", "\xe9"))
	if xml := c.calls[0].Arg("dadosVenda"); !strings.Contains(xml, "Café") {
		t.Errorf("the device got %q", xml)
	}
}

// Whatever happens behind, the till can read the answer, and "erro desconhecido"
// is said only when the call certainly reached no device.
func TestHubWhenTheDeviceFails(t *testing.T) {
	c := newCounter(t, sim.Options{})
	for name, test := range map[string]struct {
		err  error
		code string
	}{
		"never sent":       {fmt.Errorf("no cable: %w", sat.ErrNotSent), "06099"},
		"nobody knows":     {sat.ErrGone, "06098"},
		"took too long":    {context.DeadlineExceeded, "06098"},
		"something unseen": {errors.New("surprise"), "06098"},
	} {
		c.instead = func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{}, test.err }
		_, answer := c.post("enviardadosvenda", url.Values{"numero_caixa": {"3"}, "dados_venda": {"<CFe/>"}})
		if f := strings.Split(answer["retorno"], "|"); len(f) != 6 || f[1] != test.code || f[2] != "0000" {
			t.Errorf("%s: %v", name, answer)
		}
	}
}

func TestHubCallsHaveTheFunctionsDeadline(t *testing.T) {
	c := newCounter(t, sim.Options{})
	for path, f := range map[string]sat.Function{"consultarsat": sat.ConsultarSAT, "atualizarsoftwaresat": sat.AtualizarSoftwareSAT} {
		c.instead = func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left > f.Deadline() || left < f.Deadline()-5*time.Second {
				t.Errorf("%s: %v left", f, left)
			}
			return c.sim.Call(ctx, req)
		}
		c.post(path, url.Values{"numero_caixa": {"1"}})
	}
}

// A caller that leaves does not cancel its sale, and the journal does not hear
// that the reply arrived.
func TestHubCallerLeaves(t *testing.T) {
	c := newCounter(t, sim.Options{})
	called, left := make(chan struct{}), make(chan struct{})
	c.instead = func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		close(called)
		<-left
		return c.sim.Call(ctx, req)
	}
	h, done := c.handler(), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		defer context.AfterFunc(r.Context(), func() { close(left) })()
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	go func() {
		<-called
		leave()
	}()
	body := url.Values{"numero_caixa": {"1"}, "dados_venda": {sattest.SaleXML("10.00", "")}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/hub/v1/enviardadosvenda", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	<-done
	if n := len(c.sim.Issued()); n != 1 {
		t.Errorf("%d documents issued", n)
	}
	if len(c.delivered) > 0 {
		t.Errorf("delivered: %v", c.delivered)
	}
}

func TestHubIsOffUnlessAskedFor(t *testing.T) {
	h, err := New(Options{State: fine, Now: noon, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "http://localhost:8060/hub/v1/consultarsat", strings.NewReader("numero_caixa=1"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if h.ServeHTTP(w, r); w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

// TestForeignClient speaks with Python's own HTTP client.
func TestForeignClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIP: no python3 here: apt-get install python3")
	}
	c := newCounter(t, sim.Options{})
	cmd := exec.Command(python, "testdata/cliente.py", c.url)
	cmd.Stdin = strings.NewReader(sattest.SaleXML("10.00", ""))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := regexp.MustCompile(`^200 ConsultarSAT 10\d{4} 08000 5
200 EnviarDadosVenda (10\d{4}) 06000 12
200 ConsultarNumeroSessao (10\d{4}) 06000 12
200 ConsultarUltimaSessaoFiscal (10\d{4}) 06000 12
200 CancelarUltimaVenda 10\d{4} 07000 12
200 ConsultarStatusOperacional 10\d{4} 10000 28
400 EnviarDadosVenda falta o campo dados_venda
$`)
	m := want.FindStringSubmatch(strings.ReplaceAll(string(out), "\r\n", "\n"))
	if m == nil || m[1] != m[2] || m[1] != m[3] {
		t.Errorf("the client says\n%s", out)
	}
}

func FuzzHubForm(f *testing.F) {
	f.Add(uint8(sat.EnviarDadosVenda), "numero_caixa=1&dados_venda=%3CCFe%2F%3E")
	f.Add(uint8(sat.TrocarCodigoDeAtivacao), "numero_caixa=0&opcao=2&novo_codigo=12345678&codigo_emergencia=x")
	f.Add(uint8(sat.AtivarSAT), "numero_caixa=999&tipo_certificado=1&cnpj=08723218000186&codigo_uf=35")
	f.Add(uint8(sat.ConsultarNumeroSessao), "numero_caixa=+1&numero_sessao=0x10")
	f.Add(uint8(sat.CancelarUltimaVenda), "numero_caixa=1&chave_cfe=%00&dados_cancelamento=%E9")
	f.Fuzz(func(t *testing.T, function uint8, body string) {
		fn := sat.Function(function)
		fields, err := url.ParseQuery(body)
		if err != nil || !fn.Valid() {
			return
		}
		req, err := newRequest(fn, form(fields), "segredo-do-agente")
		if err != nil {
			if strings.Contains(err.Error(), "segredo-do-agente") {
				t.Fatalf("the code is in %v", err)
			}
			return
		}
		if err := req.Check(); err != nil || len(req.Till) != 3 {
			t.Fatalf("till %q: %v", req.Till, err)
		}
		for i, p := range fn.Params() {
			if _, err := strconv.Atoi(req.Args[i]); p.Int && err != nil || req.Args[i] == "" || strings.ContainsRune(req.Args[i], 0) {
				t.Fatalf("%s is %q", p.Name, req.Args[i])
			}
		}
	})
}
