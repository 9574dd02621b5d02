package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"zelo/collector/store"
)

// TestAuditPage: who did what is found by person, act and days, page by page, and a
// person who looks after nobody does not see it.
func TestAuditPage(t *testing.T) {
	c := emptyCity(t)
	v := c.person(t)
	c.update(func(w *store.Writer) error {
		for i := range 150 {
			act := "exportação da tabela"
			if i%2 == 1 {
				act = "busca por consumidor"
			}
			if err := w.AddAudit(store.Audit{At: now().AddDate(0, 0, -i), Who: "rui@exemplo.com.br", Act: act, Object: fmt.Sprintf("linha-%d.", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	rows := func(path string) (int, string) {
		a := v.get(path)
		if a.status != http.StatusOK {
			t.Errorf("%s answers %d", path, a.status)
		}
		return strings.Count(a.body, "<tr>") - 1, a.body
	}
	n, body := rows("/auditoria?quem=RUI@&ato=&de=&ate=")
	_, more, found := strings.Cut(body, `class="button second" href="`)
	if more, _, _ = strings.Cut(more, `"`); n != 100 || !found {
		t.Fatalf("%d lines, more at %q", n, more)
	}
	if n, body := rows(strings.ReplaceAll(more, "&amp;", "&")); n != 50 || strings.Contains(body, "Mostrar mais antigas") || !strings.Contains(body, "linha-0.") {
		t.Errorf("the second page has %d lines", n)
	}
	if n, body := rows("/auditoria?ato=Consumidor"); n != 75 || strings.Contains(body, "Exportação") {
		t.Errorf("by act: %d lines", n)
	}
	if n, _ := rows("/auditoria?quem=rui&de=2026-11-20&ate=2026-11-20"); n != 1 {
		t.Errorf("by day: %d lines", n)
	}
	if n, _ := rows("/auditoria?quem=%25"); n != -1 {
		t.Errorf("a sign of patterns finds %d lines", n)
	}
	if a := v.get("/auditoria?depois=x"); a.status != http.StatusBadRequest {
		t.Errorf("a mark that is none answers %d", a.status)
	}
}

// TestPlans: the platform sets the plan of an establishment, which its list shows.
func TestPlans(t *testing.T) {
	c := emptyCity(t)
	v := c.person(t)
	if a := v.post("/clientes", url.Values{"acao": {"contribuinte"}, "cnpj": {"11222333000181"}, "nome": {"Padaria"}, "numero": {"1"}}); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := v.get("/planos"); !strings.Contains(a.body, "comandos remotos") || !strings.Contains(a.body, "LITE") {
		t.Errorf("the plans are not told: %s", a.body)
	}
	if a := v.post("/planos", url.Values{"cnpj": {"11.222.333/0001-81"}, "plano": {"PRO"}}); a.status != http.StatusSeeOther {
		t.Errorf("setting the plan answers %d %s", a.status, a.body)
	}
	if a := v.get("/api/v1/taxpayers"); !strings.Contains(a.body, `"plan":"PRO"`) {
		t.Errorf("the list does not show the plan: %s", a.body)
	}
	if a := v.post("/planos", url.Values{"cnpj": {"11222333000181"}, "plano": {"OURO"}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "LITE ou PRO") {
		t.Errorf("a plan that is none answers %d", a.status)
	}
}

// TestRequestLog: each request leaves one line that names the person by number and
// nothing of what was asked.
func TestRequestLog(t *testing.T) {
	c := emptyCity(t)
	v := c.person(t)
	v.get("/auditoria?quem=segredo")
	a := v.get("/api/v1/tills")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"tills"`) {
		t.Errorf("a person's session reads the API: %d %s", a.status, a.body)
	}
	log := c.log.String()
	if !strings.Contains(log, "operation=\"GET /api/v1/tills\" status=200") || !strings.Contains(log, a.header.Get("X-Request-Id")) || !strings.Contains(log, "person=1 ") {
		t.Errorf("the log lacks the request: %s", log)
	}
	if strings.Contains(log, "segredo") || strings.Contains(log, "ana@") {
		t.Errorf("the log tells what was asked: %s", log)
	}
	if a := v.get("/api/v1/nada"); a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

// TestAddress: who asks is told by the HTTPS server in front, and by nobody else.
func TestAddress(t *testing.T) {
	for _, one := range []struct {
		name, remote, told, want string
		secure                   bool
	}{
		{"no server in front", "127.0.0.1:1", "192.0.2.1", "127.0.0.1", false},
		{"a server in front", "127.0.0.1:1", "192.0.2.1", "192.0.2.1", true},
		{"a chain: the last was seen", "10.0.0.1:1", "1.1.1.1, 192.0.2.1", "192.0.2.1", true},
		{"a stranger is not believed", "198.51.100.7:1", "192.0.2.1", "198.51.100.7", true},
		{"nothing told", "127.0.0.1:1", "", "127.0.0.1", true},
		{"nonsense", "127.0.0.1:1", "x", "127.0.0.1", true},
		{"IPv6", "[::1]:1", "2001:db8::1", "2001:db8::1", true},
	} {
		t.Run(one.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: one.remote, Header: http.Header{}}
			if one.told != "" {
				r.Header.Set("X-Forwarded-For", one.told)
			}
			if got := (&site{o: Options{Secure: one.secure}}).address(r); got.String() != one.want {
				t.Errorf("%s", got)
			}
		})
	}
}
