package web

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"zelo/collector/api"
	"zelo/collector/store"
)

func caller() api.Caller { return api.CommandLine() }

// visitor is a browser without a window.
type visitor struct {
	t *testing.T
	c *city
	*http.Client
}

// visitor comes without a session and follows no redirect.
func (c *city) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, c, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// person is a visitor who has signed in.
func (c *city) person(t *testing.T) *visitor {
	t.Helper()
	v := c.visitor(t)
	_, secret, _ := strings.Cut(c.link(), "/entrar/")
	if r := v.post("/entrar", url.Values{"secret": {secret}}); r.status != http.StatusSeeOther || r.header.Get("Location") != "/" {
		t.Fatalf("sign-in answers %d %s", r.status, r.body)
	}
	return v
}

// answer is a response read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	r, err := v.Get(v.c.server.URL + path)
	return v.read(r, err)
}

func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	r, err := v.PostForm(v.c.server.URL+path, form)
	return v.read(r, err)
}

func (v *visitor) read(r *http.Response, err error) answer {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{r.StatusCode, r.Header, string(b)}
}

// TestNobodySeesAnything: without a session every page leads to the entrance.
func TestNobodySeesAnything(t *testing.T) {
	c := newCity(t)
	v := c.visitor(t)
	paths := []string{"/exportar/originais.zip?cnpj=11444777000161&mes=12&ano=2025", "/exportar/documentos.csv", "/documentos/1/original", "/quarentena/1/original"}
	for _, p := range c.pages() {
		paths = append(paths, p[1])
	}
	for _, path := range paths {
		if a := v.get(path); a.status != http.StatusSeeOther || a.header.Get("Location") != "/entrar" || a.body != "" && strings.Contains(a.body, "PADARIA") {
			t.Errorf("%s answers %d %s", path, a.status, a.body)
		}
	}
	for path, status := range map[string]int{"/ligar": 401, "/quarentena/1/visto": 401, "/cupons": 401, "/cupons/" + noteKey + "/consumidor": 401, "/sair": 303} {
		if a := v.post(path, url.Values{"caixas": {"1"}, "dias": {"1"}}); a.status != status || strings.Contains(a.body, "PADARIA") {
			t.Errorf("POST %s answers %d", path, a.status)
		}
	}
	v.Jar.SetCookies(must(url.Parse(c.server.URL)), []*http.Cookie{{Name: "zelo", Value: "guessed"}})
	if a := v.get("/caixas"); a.status != http.StatusSeeOther {
		t.Errorf("a guessed session: %d", a.status)
	}
}

func must(u *url.URL, _ error) *url.URL { return u }

func TestSession(t *testing.T) {
	c := newCity(t)
	link := c.link()
	v := c.visitor(t)
	for range 3 { // looking at a link does not use it up
		if a := v.get(link); a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" {
			t.Errorf("looking at the link: %d %q", a.status, a.header.Get("Set-Cookie"))
		}
	}
	secret := strings.TrimPrefix(link, "/entrar/")
	a := v.post("/entrar", url.Values{"secret": {secret}})
	cookie := a.header.Get("Set-Cookie")
	for _, want := range []string{"zelo=", "; Path=/", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q lacks %q", cookie, want)
		}
	}
	if strings.Contains(cookie, "Secure") || strings.Contains(cookie, secret) {
		t.Errorf("cookie %q", cookie)
	}
	if a := v.get("/"); a.status != http.StatusOK || !strings.Contains(a.body, "ana@exemplo.com.br") {
		t.Errorf("signed in: %d", a.status)
	}
	if a := c.visitor(t).post("/entrar", url.Values{"secret": {secret}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "já foi usado") {
		t.Errorf("the link again: %d", a.status)
	}
	session := v.Jar.Cookies(must(url.Parse(c.server.URL)))
	if a := v.post("/sair", nil); a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: %d %q", a.status, a.header.Get("Set-Cookie"))
	}
	v.Jar.SetCookies(must(url.Parse(c.server.URL)), session)
	if a := v.get("/"); a.status != http.StatusSeeOther {
		t.Errorf("the session after signing out: %d", a.status)
	}
}

func TestSecureCookie(t *testing.T) {
	c := emptyCity(t)
	pages, err := New(Options{API: c.api, Secure: true, Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimPrefix(c.link(), "/entrar/")
	r := httptest.NewRequest("POST", "https://zelo.example/entrar", strings.NewReader(url.Values{"secret": {secret}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, r)
	if cookie := w.Header().Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-zelo=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("cookie %q", cookie)
	}
	if w.Header().Get("Strict-Transport-Security") == "" {
		t.Error("nothing tells the browser to stay with HTTPS")
	}
}

// TestOtherSites: a form of another site does nothing.
func TestOtherSites(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	for name, header := range map[string][2]string{"fetch metadata": {"Sec-Fetch-Site", "cross-site"}, "origin": {"Origin", "https://evil.example"}} {
		r, err := http.NewRequest("POST", c.server.URL+"/ligar", strings.NewReader("caixas=1&dias=1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header[0], header[1])
		response, err := v.Do(r)
		if a := v.read(response, err); a.status != http.StatusForbidden || !strings.Contains(a.body, "outro site") {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if list, err := c.api.Tokens(t.Context(), caller()); err != nil || len(list) != 0 {
		t.Errorf("a token was made: %+v, %v", list, err)
	}
}

func TestHeaders(t *testing.T) {
	c := emptyCity(t)
	v := c.visitor(t)
	for _, path := range []string{"/entrar", "/nada", "/static/zelo.css"} {
		h := v.get(path).header
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if h := v.get("/entrar").header; h.Get("Cache-Control") != "no-store" {
		t.Errorf("pages are kept: %v", h)
	}
	css := v.get("/static/zelo.css")
	if css.status != http.StatusOK || css.header.Get("Content-Type") != "text/css; charset=utf-8" || css.header.Get("ETag") == "" {
		t.Errorf("%d %v", css.status, css.header)
	}
	if n := strings.Count(css.body, "\n"); n > 600 {
		t.Errorf("the style sheet has %d lines", n)
	}
	for _, path := range []string{"/static/", "/static/nada", "/static/../web.go"} {
		if a := v.get(path); a.status == http.StatusOK {
			t.Errorf("%s is there", path)
		}
	}
}

// TestDownloads: the exact bytes, under the right name, and recorded.
func TestDownloads(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	key := c.keys("900000001")[3]
	d, err := c.api.Document(t.Context(), caller(), key)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := c.api.DocumentBytes(t.Context(), caller(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	a := v.get(fmt.Sprintf("/documentos/%d/original", d.ID))
	if a.body != string(want) || a.header.Get("Content-Disposition") != `attachment; filename="AD`+key+`.xml"` {
		t.Errorf("%d bytes, %v", len(a.body), a.header)
	}
	selection := "?cnpj=11.444.777%2F0001-61&serie=&mes=12&ano=2025"
	a = v.get("/exportar/originais.zip" + selection)
	z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
	if err != nil || len(z.File) != 6+3 || !strings.Contains(a.header.Get("Content-Disposition"), "zelo-11444777000161-202512.zip") {
		t.Errorf("%v, %v", err, a.header)
	}
	a = v.get("/exportar/documentos.csv" + selection)
	if strings.Count(a.body, "\n") != 7 || !strings.HasPrefix(a.body, "\ufeffchave;") || !strings.Contains(a.header.Get("Content-Disposition"), ".csv") {
		t.Errorf("%s, %v", a.body, a.header)
	}
	if a := v.get("/exportar/originais.zip?cnpj=1&mes=12&ano=2025"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "CNPJ tem 14") {
		t.Errorf("an unfit selection: %d", a.status)
	}
	a = v.get("/quarentena/1/original")
	if a.body != "JFIF not a document" && a.body != "??" || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %v", a.body, a.header)
	}
	audit := strings.Join(c.audit(), "\n")
	for _, want := range []string{"ana@exemplo.com.br download do original " + key, "ana@exemplo.com.br exportação dos originais 11.444.777/0001-61, todos os equipamentos, 202512",
		"ana@exemplo.com.br exportação da tabela", "ana@exemplo.com.br download da quarentena registro 1"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit lacks %q", want)
		}
	}
}

// TestABrokenDownloadIsSeen: an export that fails on the way does not end as if
// it were whole.
func TestABrokenDownloadIsSeen(t *testing.T) {
	c := emptyCity(t)
	s := &site{o: Options{API: c.api, Log: slog.New(slog.DiscardHandler), Now: now}}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.download(w, r, caller(), "application/zip", ".zip", func(_ exportPage, w http.ResponseWriter) error {
			w.Write(bytes.Repeat([]byte("x"), 100_000))
			return errors.New("disk gone")
		})
	}))
	defer broken.Close()
	r, err := http.Get(broken.URL)
	if err == nil {
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if err == nil {
		t.Error("half an export looks whole")
	}
}

// TestConsumersStayOutOfAddresses: a CPF that somebody puts there is refused, a
// search for one shows no more than its middle.
func TestConsumersStayOutOfAddresses(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	if a := v.get("/cupons?q=" + cpf); a.status != http.StatusBadRequest {
		t.Errorf("a CPF in the address: %d", a.status)
	}
	a := v.post("/cupons", url.Values{"q": {"900000001"}, "de": {"2025-12-01"}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/cupons?de=2025-12-01&q=900000001" {
		t.Errorf("a search that may stand in an address: %d %s", a.status, a.header.Get("Location"))
	}
	for _, form := range []url.Values{{"consumidor": {cpf}}, {"q": {"529.982.247-25"}}} {
		a := v.post("/cupons", form)
		if a.status != http.StatusOK || !strings.Contains(a.body, "***.***.247-**") || strings.Count(a.body, "/cupons/") < 5 {
			t.Errorf("%v: %d", form, a.status)
		}
	}
	if a := v.post("/cupons", url.Values{"consumidor": {"1"}}); a.status != http.StatusSeeOther && a.status != http.StatusBadRequest {
		t.Errorf("no consumer: %d", a.status)
	}
	if strings.Contains(c.log.String(), cpf) {
		t.Error("a CPF is in the log")
	}
}

// TestMorePages: the hundredth and first document is on the second page.
func TestMorePages(t *testing.T) {
	c := emptyCity(t)
	c.update(func(w *store.Writer) error {
		for n := range 101 {
			d := store.Document{Key: fmt.Sprintf("%044d", n), Kind: "venda", Model: 59, Serial: "900000001", Number: n + 1, Consumer: cpf,
				Issued: sold().Add(time.Duration(n) * time.Minute), ReceivedAt: now()}
			if _, _, err := w.AddDocument(d, c.store.Pack([]byte(d.Key))); err != nil {
				return err
			}
		}
		return nil
	})
	v := c.person(t)
	first := v.get("/cupons?q=900000001")
	if _, href, ok := strings.Cut(first.body, `class="button second" href="`); !ok {
		t.Error("there is no second page")
	} else {
		href, _, _ = strings.Cut(href, `"`)
		if a := v.get(strings.ReplaceAll(href, "&amp;", "&")); !strings.Contains(a.body, "Venda 000001") || strings.Contains(a.body, "Venda 000002") {
			t.Errorf("%s: %d", href, a.status)
		}
	}
	personal := v.post("/cupons", url.Values{"consumidor": {cpf}})
	_, mark, ok := strings.Cut(personal.body, `name="depois" value="`)
	mark, _, _ = strings.Cut(mark, `"`)
	if a := v.post("/cupons", url.Values{"consumidor": {cpf}, "depois": {mark}}); !ok || !strings.Contains(a.body, "Venda 000001") || strings.Contains(a.body, "Venda 000002") {
		t.Errorf("%q: %d", mark, a.status)
	}
}

func TestForms(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	a := v.post("/ligar", url.Values{"nome": {"<b>Padaria"}, "caixas": {"3"}, "dias": {"7"}})
	if a.status != http.StatusOK || !strings.Contains(a.body, "zelo-agent enrol -coletor https://zelo.exemplo.com.br:8443 ") || strings.Contains(a.body, "<b>Padaria") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := v.post("/ligar", url.Values{"caixas": {"x"}, "dias": {"7"}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "de 1 a 1000") {
		t.Errorf("no number: %d", a.status)
	}
	if a := v.post("/quarentena/1/visto", nil); a.status != http.StatusSeeOther {
		t.Errorf("%d", a.status)
	}
	if a := v.post("/quarentena/1/visto", nil); a.status != http.StatusNotFound {
		t.Errorf("settled twice: %d", a.status)
	}
	if a := v.post("/ligar", url.Values{"nome": {strings.Repeat("x", 100_000)}}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %d", a.status)
	}
	for _, path := range []string{"/alarmes/x", "/alarmes/999", "/quarentena/x/original", "/documentos/x/original", "/cupons/x", "/nada"} {
		if a := v.get(path); a.status != http.StatusNotFound || !strings.Contains(a.body, "Não foi possível") {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// TestStoreGone: a page that cannot be made says so and tells the log why.
func TestStoreGone(t *testing.T) {
	c := emptyCity(t)
	v := c.person(t)
	c.store.Close()
	a := v.get("/caixas")
	if a.status != http.StatusInternalServerError || !strings.Contains(a.body, "Tente de novo em um minuto") || strings.Contains(a.body, "sql") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !strings.Contains(c.log.String(), "page failed") {
		t.Errorf("the log: %s", c.log)
	}
}

func TestPagesAnswer(t *testing.T) {
	c := newCity(t)
	if a := c.visitor(t).get(c.link()); a.status != http.StatusOK {
		t.Errorf("the entrance answers %d: %s", a.status, c.log)
	}
	v := c.person(t)
	for _, p := range c.pages() {
		want := http.StatusOK
		if p[0] == "erro" {
			want = http.StatusNotFound
		}
		if a := v.get(p[1]); a.status != want {
			t.Errorf("%s answers %d: %s\n%s", p[1], a.status, a.body, c.log)
		}
	}
}
