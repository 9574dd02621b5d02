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
	a := v.post("/clientes", url.Values{"acao": {"acesso"}, "raiz": {"11222333"}, "email": {"conta@exemplo.com.br"}})
	link := regexp.MustCompile(`/entrar/([\w-]{43})`).FindStringSubmatch(a.body)
	if a.status != http.StatusOK || link == nil {
		t.Fatalf("a new accountant: %d %s", a.status, a.body)
	}
	accountant := c.visitor(t)
	accountant.post("/entrar", url.Values{"secret": {link[1]}})
	if a := accountant.get("/cupons"); a.status != http.StatusOK || !strings.Contains(a.body, "PADARIA") || strings.Contains(a.body, "MERCADO") {
		t.Errorf("the accountant finds %d %s", a.status, a.body)
	}
	for _, path := range []string{"/pessoas", "/quarentena", "/ligar", "/cupons/" + c.keys("900000002")[0], "/caixas/" + market} {
		if a := accountant.get(path); a.status != http.StatusNotFound {
			t.Errorf("the accountant gets %d from %s", a.status, path)
		}
	}
	if a := v.post("/clientes", url.Values{"acao": {"retirar"}, "numero": {"1"}}); a.status != http.StatusOK {
		t.Errorf("taking back: %d", a.status)
	}
	if a := accountant.get("/cupons"); strings.Contains(a.body, "PADARIA") {
		t.Error("the accountant still sees the bakery")
	}
	v.post("/ver", url.Values{"raiz": {"11222333"}})
	if a := v.get("/cupons"); !strings.Contains(a.body, "PADARIA") || strings.Contains(a.body, "MERCADO") || !strings.Contains(a.body, "só 11222333") {
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
