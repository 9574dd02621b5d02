package web

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestNotices: a person says how to be told, adds a webhook, tries it, and takes a
// browser in, with what came of each in words.
func TestNotices(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	heard := 0
	ear := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if heard++; heard > 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer ear.Close()
	b.run(chromedp.Navigate(c.server.URL + "/avisos"))
	b.says(t, "Por e-mail, para ana@exemplo.com.br", "Sem avisos ainda", "Receber avisos neste navegador")
	b.follow("main section:first-of-type .acts button.second")
	b.says(t, "O aviso de teste não chegou: não foi possível conectar ao servidor.", "Não chegou")

	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=de]").value = "22:00"; document.querySelector("[name=ate]").value = "07:00"; document.querySelector("[name=resumo]").value = "18"; undefined`))
	b.follow("main section:first-of-type form.search button")
	b.says(t, "As preferências foram guardadas.")
	if got := ask(b, chromedp.Evaluate[string](`["de", "ate", "resumo", "gravidade"].map(n => document.querySelector("[name=" + n + "]").value).join(" ")`)); got != "22:00 07:00 18 critical" {
		t.Errorf("kept: %s", got)
	}

	const add = "form:has([name=endereco]) "
	b.run(fill(add+"[name=nome]", "Plantão"), fill(add+"[name=endereco]", ear.URL))
	b.follow(add + "> button")
	b.says(t, "O endereço foi acrescentado.", "só aparece agora", "zelo_", "Plantão")
	const try = "section section .acts button.second"
	b.follow(try)
	b.says(t, "O aviso de teste foi entregue.", "Em ordem")
	b.follow(try)
	b.says(t, "O aviso de teste não chegou: o servidor respondeu com erro (500).")
	if text := b.text("main"); strings.Contains(text, "zelo_") {
		t.Error("the secret is shown again")
	}

	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// A push service is far away; all but its answer is the browser's own.
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`Notification.requestPermission = () => Promise.resolve("granted"); PushManager.prototype.subscribe = o => Promise.resolve({toJSON: () =>
		({endpoint: %q, keys: {auth: "MDEyMzQ1Njc4OWFiY2RlZg", p256dh: %q}})}); undefined`, ear.URL+"/push", base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()))))
	b.follow("#avisos-navegador button")
	b.says(t, "Este navegador passa a receber os avisos.", "No navegador: Chrome no Linux")
	b.quiet("erro: the trials that failed")
	for _, l := range looks()[:2] {
		b.wear(l)
		b.run(chromedp.Navigate(c.server.URL + "/avisos"))
		b.check("avisos-" + l.name)
	}
	b.follow("section section .acts button.plain")
	b.says(t, "O endereço foi removido.")
	b.follow("main section:nth-of-type(2) .acts button.plain")
	if text := b.text("main"); strings.Contains(text, "No navegador:") || strings.Contains(text, "Plantão") {
		t.Errorf("they are still there: %s", text)
	}
	for _, want := range []string{"avisos: endereço novo Plantão", "avisos: teste", "avisos: preferências", "avisos: navegador"} {
		if !strings.Contains(strings.Join(c.audit(), "\n"), want) {
			t.Errorf("the audit lacks %q", want)
		}
	}
	if strings.Contains(c.log.String(), ear.URL) {
		t.Error("an address is in the log")
	}
}

// says fails when the page lacks a text.
func (b *browser) says(t *testing.T, texts ...string) {
	t.Helper()
	page := b.text("main")
	for _, want := range texts {
		if !strings.Contains(page, want) {
			t.Fatalf("the page lacks %q:\n%s", want, page)
		}
	}
}
