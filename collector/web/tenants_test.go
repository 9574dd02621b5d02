package web

import (
	"encoding/base32"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"zelo/collector/account"
)

// TestTenants: a reseller's person signs in, sees what is theirs and nothing else,
// and an accountant whose access is taken back sees nothing any more.
func TestTenants(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	if a := v.post("/clientes", url.Values{"acao": {"contribuinte"}, "cnpj": {"11.222.333/0001-81"}, "nome": {"Padaria Santa Cecília"}, "numero": {"1"}}); a.status != http.StatusOK || !strings.Contains(a.body, "11.222.333/0001-81") {
		t.Fatalf("a new taxpayer: %d %s", a.status, a.body)
	}
	a := v.post("/clientes/11222333", url.Values{"acao": {"acesso"}, "email": {"conta@exemplo.com.br"}})
	link := regexp.MustCompile(`/entrar/(e\.[\w-]{43})`).FindStringSubmatch(a.body)
	if a.status != http.StatusOK || link == nil {
		t.Fatalf("a new accountant: %d %s", a.status, a.body)
	}
	accountant := c.visitor(t)
	accountant.post("/entrar", url.Values{"secret": {link[1]}})
	if a := accountant.get("/cupons"); a.status != http.StatusOK || !strings.Contains(a.body, "PADARIA") || strings.Contains(a.body, "MERCADO") {
		t.Errorf("the accountant finds %d %s", a.status, a.body)
	}
	for _, path := range []string{"/pessoas", "/quarentena", "/ligar", "/identificar", "/titular", "/clientes/11444777", "/cupons/" + c.keys("900000002")[0], "/caixas/" + market} {
		if a := accountant.get(path); a.status != http.StatusNotFound {
			t.Errorf("the accountant gets %d from %s", a.status, path)
		}
	}
	if a := v.post("/clientes/11222333", url.Values{"acao": {"retirar"}, "numero": {"1"}}); a.status != http.StatusOK {
		t.Errorf("taking back: %d", a.status)
	}
	if a := accountant.get("/cupons"); strings.Contains(a.body, "PADARIA") {
		t.Error("the accountant still sees the bakery")
	}
	v.post("/ver", url.Values{"raiz": {"11222333"}})
	if a := v.get("/cupons"); !strings.Contains(a.body, "PADARIA") || strings.Contains(a.body, "MERCADO") || !strings.Contains(a.body, "Só o cliente de CNPJ 11222333 aparece") {
		t.Errorf("one client alone: %s", a.body)
	}
	v.post("/ver", url.Values{"raiz": {""}})
	if a := v.get("/cupons"); !strings.Contains(a.body, "MERCADO") {
		t.Error("not all clients are back")
	}
}

// TestPassword: a person sets a password with codes on their page and signs in with it.
func TestPassword(t *testing.T) {
	c := emptyCity(t)
	v := c.person(t)
	secret := regexp.MustCompile(`name="chave" value="([A-Z2-7]{32})"`).FindStringSubmatch(v.get("/conta").body)
	if secret == nil {
		t.Fatal("no secret is shown")
	}
	if _, err := base32.StdEncoding.DecodeString(secret[1]); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"acao": {"senha"}, "chave": {secret[1]}, "senha": {"uma senha longa"}, "codigo": {"000000"}}
	if a := v.post("/conta", form); a.status != http.StatusBadRequest || !strings.Contains(a.body, secret[1]) {
		t.Errorf("a wrong code: %d, and the same secret again", a.status)
	}
	form.Set("codigo", account.CodeAt(secret[1], now()))
	if a := v.post("/conta", form); a.status != http.StatusSeeOther {
		t.Fatalf("the right code: %d %s", a.status, a.body)
	}
	in := url.Values{"email": {"ana@exemplo.com.br"}, "senha": {"uma senha longa"}, "codigo": {account.CodeAt(secret[1], now())}}
	w := c.visitor(t)
	if a := w.post("/entrar", in); a.status != http.StatusSeeOther {
		t.Errorf("signing in: %d %s", a.status, a.body)
	}
	if a := w.get("/"); a.status != http.StatusOK {
		t.Errorf("signed in: %d", a.status)
	}
	in.Set("senha", "outra")
	if a := c.visitor(t).post("/entrar", in); a.status != http.StatusBadRequest || !strings.Contains(a.body, "não conferem") {
		t.Errorf("a wrong password: %d %s", a.status, a.body)
	}
}

// TestWaitingPages: an emitter that nobody registered waits, is registered with a
// button, and its till is identified by it; tokens are told who used them, and end.
func TestWaitingPages(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	if a := v.get("/identificar"); !strings.Contains(a.body, "11.222.333/0001-81") || !strings.Contains(a.body, "padaria-pdv1") || !strings.Contains(a.body, "Sem cadastro") {
		t.Fatalf("what waits: %s", a.body)
	}
	a := v.post("/identificar", url.Values{"acao": {"cadastrar"}, "cnpj": {"11222333000181"}, "nome": {"Padaria Santa Cecília"}, "numero": {"1"}})
	if a.status != http.StatusOK || strings.Contains(a.body, "cadastrar\"><input type=\"hidden\" name=\"cnpj\" value=\"11222333000181") {
		t.Errorf("registered: %d %s", a.status, a.body)
	}
	if a := v.get("/clientes?q=cecilia"); !strings.Contains(a.body, "/clientes/11222333") {
		t.Errorf("found without accents: %s", a.body)
	}
	if a := v.get("/clientes?q=nada"); !strings.Contains(a.body, "Nenhum cliente tem") {
		t.Errorf("found nothing: %s", a.body)
	}
	v.post("/clientes/11222333", url.Values{"acao": {"nome"}, "cnpj": {"11222333000181"}, "nome": {"Padaria"}, "cidade": {"Itápolis"}})
	if a := v.get("/clientes?q=itapolis"); !strings.Contains(a.body, "Itápolis") {
		t.Errorf("found by its town: %s", a.body)
	}
	if a := v.post("/identificar", url.Values{"acao": {"identificar"}, "caixa": {fresh}, "cnpj": {"11.222.333/0001-81"}}); a.status != http.StatusOK || strings.Contains(a.body, "loja-nova-pdv1") {
		t.Errorf("by a person: %d %s", a.status, a.body)
	}
	v.post("/ligar", url.Values{"nome": {"Padaria"}, "cnpj": {"11222333000181"}, "caixas": {"3"}, "dias": {"7"}})
	if a := v.get("/ligar"); !strings.Contains(a.body, "Encerrar código") {
		t.Errorf("a token that stands: %s", a.body)
	}
	if a := v.post("/ligar", url.Values{"encerrar": {"1"}}); a.status != http.StatusOK || !strings.Contains(a.body, "encerrado") || strings.Contains(a.body, "Encerrar código") {
		t.Errorf("an ended token: %d %s", a.status, a.body)
	}
}

// TestPersonalPages: what is held of a consumer is told to whom it concerns, and a
// person is erased only when their address is typed.
func TestPersonalPages(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	a := v.post("/titular", url.Values{"consumidor": {cpf}})
	if a.status != http.StatusOK || !strings.Contains(a.body, "529.982.247-25") || !strings.Contains(a.body, "LGPD, art. 16") || !strings.Contains(a.body, "/cupons/") {
		t.Errorf("the report: %d %s", a.status, a.body)
	}
	if a := v.post("/titular", url.Values{"consumidor": {"123"}}); a.status != http.StatusBadRequest {
		t.Errorf("no CPF: %d", a.status)
	}
	v.post("/pessoas", url.Values{"acao": {"nova"}, "email": {"tecnico@exemplo.com.br"}, "papel": {"tecnico"}, "numero": {"1"}})
	number := regexp.MustCompile(`<option value="(\d+)">tecnico@`).FindStringSubmatch(v.get("/pessoas").body)
	if number == nil {
		t.Fatal("the technician is not listed")
	}
	for _, step := range []struct {
		email string
		want  int
	}{{"outro@exemplo.com.br", http.StatusBadRequest}, {"tecnico@exemplo.com.br", http.StatusOK}} {
		if a := v.post("/pessoas", url.Values{"acao": {"apagar"}, "numero": {number[1]}, "email": {step.email}}); a.status != step.want {
			t.Errorf("erasing with %s typed: %d", step.email, a.status)
		}
	}
	if a := v.get("/pessoas"); strings.Contains(a.body, "tecnico@") {
		t.Error("the erased person is still listed")
	}
	for _, line := range c.audit() {
		if strings.Contains(line, "tecnico@") || strings.Contains(line, cpf) {
			t.Errorf("the audit says %q", line)
		}
	}
}

// TestNoCPF: no page shows a consumer's CPF to whoever did not ask for it, whatever
// the role, and the log never names one.
func TestNoCPF(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	v.post("/identificar", url.Values{"acao": {"cadastrar"}, "cnpj": {"11222333000181"}, "nome": {"Padaria"}, "numero": {"1"}})
	v.post("/cupons", url.Values{"consumidor": {cpf}})
	v.post("/titular", url.Values{"consumidor": {cpf}})
	paths := []string{"/", "/caixas", "/caixas/" + bakery, "/alarmes", "/cupons", "/cupons?q=900000001", "/exportar", "/exportar?cnpj=11222333000181&mes=12&ano=2025", "/clientes", "/clientes/11222333",
		"/identificar", "/ligar", "/pessoas", "/auditoria", "/conta", "/titular", "/quarentena", "/equipamentos/900000001/numeracao"}
	for _, key := range c.keys("900000001")[:4] {
		paths = append(paths, "/cupons/"+key)
	}
	for _, path := range paths {
		a := v.get(path)
		if strings.Contains(a.body, cpf) || strings.Contains(a.body, "529.982.247-25") {
			t.Errorf("%s shows the CPF", path)
		}
	}
	if log := c.log.String(); strings.Contains(log, cpf) || strings.Contains(log, "529.982") {
		t.Error("the log names the CPF")
	}
}

// TestTokenPage: who makes a code for a program chooses what it may do.
func TestTokenPage(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	v.post("/clientes", url.Values{"acao": {"contribuinte"}, "cnpj": {"11222333000181"}, "nome": {"Padaria"}, "numero": {"1"}})
	for _, right := range []string{"alarms", "queries", "commands"} {
		if body := v.get("/conta").body; !strings.Contains(body, `name="direito" value="`+right+`"`) {
			t.Errorf("%s is not offered", right)
		}
	}
	form := url.Values{"acao": {"codigo"}, "nome": {"Monitor NOC"}, "dias": {"9"}, "direito": {"alarms", "queries"}, "raiz": {"11.222.333/0001-81"}}
	made := v.post("/conta", form).body
	secret := regexp.MustCompile(`zelo_[\w-]{43}`).FindString(made)
	for _, text := range []string{"Monitor NOC", "só 11222333", "nunca usado", "Pode ler; assumir, atribuir, silenciar e resolver alarmes; dar comandos que só consultam"} {
		if !strings.Contains(made, text) {
			t.Errorf("%q is missing: %s", text, made)
		}
	}
	form.Set("raiz", "11.222")
	if a := v.post("/conta", form); a.status != http.StatusBadRequest || !strings.Contains(a.body, "tem este CNPJ") {
		t.Errorf("a taxpayer that is none: %d", a.status)
	}
	form["direito"] = []string{"tudo"}
	if a := v.post("/conta", form); a.status != http.StatusBadRequest || !strings.Contains(a.body, "não existe") {
		t.Errorf("a right that is none: %d", a.status)
	}
	program := func() int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", c.server.URL+"/api/v1/tills", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		r, err := http.DefaultClient.Do(req)
		return v.read(r, err).status
	}
	if status := program(); status != http.StatusOK {
		t.Errorf("the program gets %d", status)
	}
	body := v.get("/conta").body
	if !strings.Contains(body, "usado em 21/11/2026") {
		t.Errorf("%s", body)
	}
	number := regexp.MustCompile(`value="revogar"><input type="hidden" name="numero" value="(\d+)"`).FindStringSubmatch(body)
	if a := v.post("/conta", url.Values{"acao": {"revogar"}, "numero": {number[1]}}); strings.Contains(a.body, "Monitor NOC") || program() != http.StatusUnauthorized {
		t.Errorf("after it was revoked: %d %d", a.status, program())
	}
	audit := v.get("/auditoria").body
	for _, text := range []string{"pelo código de API Monitor NOC", "Código de API revogado"} {
		if !strings.Contains(audit, text) {
			t.Errorf("%q is missing in the audit", text)
		}
	}
}
