package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"zelo/collector/account"
	"zelo/collector/api"
)

// TestEntrance: a person asks for a link with nothing but an address, and one whose link
// went by e-mail is asked for the code of the app.
func TestEntrance(t *testing.T) {
	b := newBrowser(t)
	c := emptyCity(t)
	b.run(chromedp.Navigate(c.server.URL+"/entrar"), fill("[name=email]", "bia@exemplo.com.br"))
	b.follow("[name=acao]")
	b.check("entrar-pedido")
	if text := b.text("main"); !strings.Contains(text, "Se bia@exemplo.com.br tem acesso") || !strings.Contains(text, "30 minutos") {
		t.Errorf("after asking: %s", text)
	}
	b.signIn(c)
	people, err := c.api.People(t.Context(), api.CommandLine())
	if err != nil || len(people) != 1 {
		t.Fatal(people, err)
	}
	codes := b.secure(c)
	b.follow(".who button")
	link, err := c.api.Link(t.Context(), api.CommandLine(), people[0].ID) // no mail server is there
	if err != nil || link.Problem == "" || link.Link() == "" {
		t.Fatalf("%+v %v", link, err)
	}
	b.run(chromedp.Navigate(c.server.URL + link.Link()))
	b.follow("main button")
	b.check("entrar-codigo")
	b.run(fill("[name=codigo]", "000000"))
	b.follow("main button")
	b.check("erro-entrar-codigo")
	if text := b.text("[role=alert]"); !strings.Contains(text, "o link continua valendo") {
		t.Errorf("a wrong code: %s", text)
	}
	b.run(fill("[name=codigo]", account.CodeAt(codes, now())))
	b.follow("main button")
	if text := b.text(".who"); !strings.Contains(text, "ana@exemplo.com.br") {
		t.Errorf("the right code leads to %s", text)
	}
	if strings.Contains(c.log.String(), link.Secret) {
		t.Error("a link is in the log")
	}
}

// TestSessionEnds: who signs in again is back at the page they were after, and knows that
// the form they had filled came to nothing.
func TestSessionEnds(t *testing.T) {
	b := newBrowser(t)
	c := emptyCity(t)
	at := func(want string) {
		t.Helper()
		if url := ask(b, chromedp.Location()); url != c.server.URL+want {
			t.Errorf("at %s, not at %s", url, want)
		}
	}
	b.run(chromedp.Navigate(c.server.URL + "/alarmes?gravidade=critico"))
	at("/entrar")
	b.signIn(c)
	at("/alarmes?gravidade=critico")
	b.run(chromedp.Navigate(c.server.URL+"/ligar"), fill("[name=nome]", "Padaria"))
	b.run(chromedp.Evaluate[chromedp.Void](`(x => { x.open("POST", "/sair", false); x.send() })(new XMLHttpRequest())`)) // elsewhere
	b.follow("main button")
	if text := b.text("main [role=alert]"); !strings.Contains(text, "nada foi gravado") {
		t.Errorf("after the form: %s", text)
	}
	b.signIn(c)
	at("/ligar")
	b.signIn(c)
	at("/")
	for _, elsewhere := range []string{"//exemplo.com.br/", "https://exemplo.com.br/", "/\\exemplo.com.br", ""} {
		v := c.visitor(t)
		v.Jar.SetCookies(must(url.Parse(c.server.URL)), []*http.Cookie{{Name: "zelo-volta", Value: url.QueryEscape(elsewhere)}})
		if a := v.post("/entrar", url.Values{"secret": {strings.TrimPrefix(c.link(), "/entrar/")}}); a.header.Get("Location") != "/" {
			t.Errorf("%q leads to %s", elsewhere, a.header.Get("Location"))
		}
	}
}

// secure gives the person who is signed in a password and one-time codes.
func (b *browser) secure(c *city) (codes string) {
	b.t.Helper()
	b.run(chromedp.Navigate(c.server.URL + "/conta"))
	codes = b.text("pre.command")
	b.run(fill("[name=senha]", "uma senha longa"), fill("[name=codigo]", account.CodeAt(codes, now())))
	b.follow("main button")
	return codes
}

// TestLinksAreNotLogged: what could not be sent is told without whose it is.
func TestLinksAreNotLogged(t *testing.T) {
	c := emptyCity(t)
	c.link()
	if err := c.api.AskLink("ana@exemplo.com.br", "192.0.2.1:1"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	told := &overheard{seen: make(chan string, 10)}
	var sending sync.WaitGroup
	sending.Go(func() { c.api.SendLinks(ctx, slog.New(slog.NewTextHandler(told, nil))) })
	line := <-told.seen
	stop()
	sending.Wait()
	if !strings.Contains(line, "não foi possível conectar") || strings.Contains(line, "ana@") || strings.Contains(line, "entrar/") {
		t.Errorf("the log says %s", line)
	}
}

// overheard hands on what a log writes.
type overheard struct{ seen chan string }

func (l *overheard) Write(p []byte) (int, error) {
	l.seen <- string(p)
	return len(p), nil
}
