package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// shops registers two taxpayers and returns a visitor who may do everything.
func (c *city) shops(t *testing.T) *visitor {
	t.Helper()
	v := c.person(t)
	for cnpj, name := range map[string]string{"11222333000181": "Padaria Santa Cecília", "11444777000161": "Mercado Bom Preço"} {
		if a := v.post("/clientes", url.Values{"acao": {"contribuinte"}, "cnpj": {cnpj}, "nome": {name}, "numero": {"1"}}); a.status != http.StatusOK {
			t.Fatalf("a new taxpayer: %d %s", a.status, a.body)
		}
	}
	return v
}

// linkOf registers a person with a role and returns their sign-in link.
func linkOf(t *testing.T, v *visitor, role, root string) string {
	t.Helper()
	a := v.post("/pessoas", url.Values{"acao": {"nova"}, "email": {role + root + "@exemplo.com.br"}, "papel": {role}, "raiz": {root}, "numero": {"1"}})
	link := regexp.MustCompile(`/entrar/(e\.)?[\w-]{43}`).FindString(a.body)
	if a.status != http.StatusOK || link == "" {
		t.Fatalf("a new %s: %d %s", role, a.status, a.body)
	}
	return link
}

// TestNobodyIsSentToAClosedDoor: every link on a page leads its reader to a page.
func TestNobodyIsSentToAClosedDoor(t *testing.T) {
	c := newCity(t)
	all := c.shops(t)
	link := regexp.MustCompile(`<a [^>]*href="(/[^"#]*)"`)
	for _, who := range [][2]string{{"plataforma", ""}, {"revenda", ""}, {"tecnico", ""}, {"contador", "11444777"}, {"contribuinte", "11444777"}} {
		t.Run(who[0], func(t *testing.T) {
			v := c.visitor(t)
			v.post("/entrar", url.Values{"secret": {strings.TrimPrefix(linkOf(t, all, who[0], who[1]), "/entrar/")}})
			seen, next := map[string]bool{"/": true}, []string{"/"}
			for len(next) > 0 {
				path := next[0]
				next = next[1:]
				a := v.get(path)
				if a.status != http.StatusOK {
					t.Errorf("%s answers %d", path, a.status)
				}
				for _, m := range link.FindAllStringSubmatch(a.body, -1) {
					to := strings.ReplaceAll(m[1], "&amp;", "&")
					if !seen[to] && (!strings.HasPrefix(to, "/cupons/") || len(seen) < 20) {
						seen[to] = true
						next = append(next, to)
					}
				}
			}
			if len(seen) < 8 {
				t.Errorf("only %d pages are linked", len(seen))
			}
		})
	}
}

// TestOwner: who owns a shop sees at a glance how it stands, and whom to talk to.
func TestOwner(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	all := c.shops(t)
	for root, want := range map[string][]string{"11444777": {"Precisa de ajuda agora", "Bloqueio autônomo", "vence em 11/12/2026, em 20 dias"},
		"11222333": {"Tudo em ordem", "nada pede atenção"}} {
		b.run(chromedp.Navigate(c.server.URL + linkOf(t, all, "contribuinte", root)))
		b.follow("main button")
		text := b.text("main")
		for _, w := range append(want, "Falar com o suporte") {
			if !strings.Contains(text, w) {
				t.Errorf("the owner of %s does not read %q: %s", root, w, text)
			}
		}
		b.check("dono-" + root)
	}
}

// TestWhoImports: clients are told whom to ask for files that exist, and not to use a
// server that they do not have.
func TestWhoImports(t *testing.T) {
	c := emptyCity(t)
	all := c.shops(t)
	for _, who := range []string{"revenda", "contador", "contribuinte"} {
		v, root := c.visitor(t), map[bool]string{true: "", false: "11444777"}[who == "revenda"]
		v.post("/entrar", url.Values{"secret": {strings.TrimPrefix(linkOf(t, all, who, root), "/entrar/")}})
		want, never := "peça à revenda que os traga", "zelo-collector import"
		if who == "revenda" {
			want, never = never, want
		}
		for _, path := range []string{"/", "/cupons", "/exportar"} {
			if who == "contribuinte" && path == "/" {
				continue // its own page has nothing of it
			}
			if a := v.get(path); !strings.Contains(a.body, want) || strings.Contains(a.body, never) {
				t.Errorf("%s reads on %s: %s", who, path, a.body)
			}
		}
	}
}
