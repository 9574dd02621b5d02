package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestAlarmPages does with an alarm what people do, by keyboard and mouse.
func TestAlarmPages(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	open, _, err := c.api.Alarms(t.Context(), caller())
	if err != nil {
		t.Fatal(err)
	}
	page := fmt.Sprintf("%s/alarmes/%d", c.server.URL, open[0].ID)
	b.visit(c.server.URL+"/alarmes?gravidade=critico", "alarmes-criticos")
	b.visit(c.server.URL+"/alarmes?q=nada", "alarmes-nada")
	if text := b.text(".empty"); !strings.Contains(text, "ao todo") {
		t.Errorf("a filter that shows nothing says %q", text)
	}
	b.visit(page, "alarme-livre")
	b.follow(`form[action$="assumir"] button`)
	if text := b.text(".verdict"); !strings.Contains(text, "desde") || strings.Contains(text, "Ninguém") {
		t.Errorf("taken on: %q", text)
	}
	b.run(chromedp.Click(chromedp.CSS("details.when summary")))
	b.check("alarme-assumido")
	b.follow(`form[action$="silenciar"] button`)
	if text := b.text(".verdict"); !strings.Contains(text, "Silenciado até") {
		t.Errorf("silenced: %q", text)
	}
	b.follow(`form[action$="resolver"] button`)
	if text := b.text(".verdict"); !strings.Contains(text, "Dado por resolvido") {
		t.Errorf("settled: %q", text)
	}
	b.check("alarme-resolvido")
	b.visit(c.server.URL+"/alarmes?situacao=silenciados", "alarmes-silenciados")
	b.run(chromedp.Navigate(page), chromedp.Click(chromedp.CSS("details.when summary")))
	b.follow(`input[name="horas"] ~ button`)
	b.follow(`input[name="pessoa"] ~ button`)
	if text := b.text(".verdict"); strings.Contains(text, "Silenciado até") {
		t.Errorf("loud again: %q", text)
	}
	b.visit(c.server.URL+"/equipamentos/900000002", "etapa")
	b.run(fill("[name=motivo]", "troca por NFC-e"))
	b.follow("main form button")
	b.check("etapa-mudada")
	if text := b.text("main"); !strings.Contains(text, "troca por NFC-e") {
		t.Errorf("the step is not listed: %q", text)
	}
	b.visit(c.server.URL+"/limites", "limites")
	b.run(chromedp.SetValue(chromedp.CSS("[name=limite-no-sefaz-contact]"), "12 6 48"))
	b.follow(".acts button")
	if text := b.text(".problem"); !strings.Contains(text, "do menos ao mais grave") {
		t.Errorf("limits out of order: %q", text)
	}
	b.quiet("erro: limites") // the answer of a form that must be mended is told to the console
	b.run(chromedp.SetValue(chromedp.CSS("[name=limite-no-sefaz-contact]"), "12 24 48"))
	b.follow(".acts button")
	b.check("limites-guardados")
	if got := b.text("main"); strings.Contains(got, "precisam ir do menos") {
		t.Error("limits in order were refused")
	}
}
