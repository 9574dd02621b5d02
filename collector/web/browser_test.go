package web

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a real Chromium that notes what goes wrong in its console.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("SKIP: no Chromium here: apt-get install chromium")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "pt-BR"),
		chromedp.Flag("font-render-hinting", "none")}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.fault("exception: " + ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
				b.fault(fmt.Sprintf("%s: %s %s", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

func (b *browser) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func ask[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// command gives the browser an order of its own protocol.
func command[P, R any](b *browser, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatal(err)
	}
}

// follow clicks what a CSS selector picks and waits for the page it leads to.
func (b *browser) follow(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("%s leads nowhere: %v", selector, err)
	}
}

// fill types into a field.
func fill(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.CSS(selector), text)
}

// quiet fails the test when the console was not.
func (b *browser) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if !strings.HasPrefix(where, "erro") { // a page that is not there is told to the console too
			b.t.Errorf("%s: the console says %s", where, f)
		}
	}
	b.faults = nil
}

// signIn opens a link and presses its button.
func (b *browser) signIn(c *city) {
	b.t.Helper()
	b.run(chromedp.Navigate(c.server.URL + c.link()))
	b.follow("main button")
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return ask(b, chromedp.Text(chromedp.CSS(selector)))
}

// look is one of the ways people look at a page.
type look struct {
	name   string
	width  int64
	scheme string
}

// looks are the two extremes, and all four when pictures are wanted.
func looks() []look {
	wide, narrow := look{"1280-light", 1280, "light"}, look{"360-dark", 360, "dark"}
	if os.Getenv("ZELO_SCREENSHOTS") == "" {
		return []look{wide, narrow}
	}
	return []look{wide, narrow, {"1280-dark", 1280, "dark"}, {"360-light", 360, "light"}}
}

func (b *browser) wear(l look) {
	b.t.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: 800, DeviceScaleFactor: 1, Mobile: l.width < 500})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}})
}

// shoot keeps a picture of the page in the folder ZELO_SCREENSHOTS names.
func (b *browser) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv("ZELO_SCREENSHOTS")
	if folder == "" {
		return
	}
	png := ask(b, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// pages are all pages of a populated collector, by the name of their picture.
func (c *city) pages() [][2]string {
	c.t.Helper()
	open, closed, err := c.api.Alarms(c.t.Context(), caller())
	if err != nil || len(open) == 0 || len(closed) == 0 {
		c.t.Fatalf("%d alarms open, %d closed, %v", len(open), len(closed), err)
	}
	lone := c.keys("900000004")
	return [][2]string{
		{"agora", "/"}, {"caixas", "/caixas"}, {"caixa-bloqueado", "/caixas/" + market}, {"caixa-em-ordem", "/caixas/" + bakery},
		{"caixa-sem-agente", "/caixas/900000004"}, {"caixa-novo", "/caixas/" + fresh}, {"alarmes", "/alarmes"},
		{"alarme", fmt.Sprintf("/alarmes/%d", open[0].ID)}, {"alarme-encerrado", fmt.Sprintf("/alarmes/%d", closed[0].ID)},
		{"cupons", "/cupons"}, {"cupons-busca", "/cupons?q=900000001&de=2025-12-01&ate=2025-12-31"}, {"cupons-nada", "/cupons?q=999999999"},
		{"cupom", "/cupons/" + c.keys("900000001")[3]}, {"cupom-cancelado", "/cupons/" + c.keys("900000001")[1]},
		{"cupom-adulterado", "/cupons/" + lone[1]}, {"cupom-versoes", "/cupons/" + lone[2]}, {"nota", "/cupons/" + noteKey},
		{"numeracao-completa", "/equipamentos/900000001/numeracao"}, {"numeracao-falta", "/equipamentos/900000002/numeracao"},
		{"numeracao-nfce", "/lojas/08723218000186/nfce/1/numeracao"}, {"quarentena", "/quarentena"}, {"exportar", "/exportar"},
		{"exportar-contado", "/exportar?cnpj=11444777000161&serie=&mes=12&ano=2025"}, {"ligar", "/ligar"}, {"clientes", "/clientes"}, {"clientes-nada", "/clientes?q=nada"}, {"identificar", "/identificar"}, {"titular", "/titular"}, {"pessoas", "/pessoas"}, {"auditoria", "/auditoria"}, {"auditoria-nada", "/auditoria?ato=nada"}, {"planos", "/planos"}, {"conta", "/conta"}, {"relatorios", "/relatorios"}, {"ajustes", "/ajustes"}, {"equipamento", "/equipamentos/900000002"}, {"limites", "/limites"}, {"erro", "/caixas/nada"},
	}
}

// TestEveryPage walks all pages in every look.
func TestEveryPage(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	for _, p := range c.pages() {
		b.visit(c.server.URL+p[1], p[0])
	}
	b.run(chromedp.Navigate(c.server.URL+"/ligar"), fill("[name=nome]", "Padaria"))
	b.follow("main button")
	b.check("ligar-codigo")
}

// TestClientPages walks what a client has.
func TestClientPages(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	b.run(chromedp.Navigate(c.server.URL + "/identificar"))
	b.follow("[value=cadastrar] ~ button")
	b.visit(c.server.URL+"/clientes", "clientes-cadastrados")
	b.follow("table.list a")
	b.check("cliente")
	b.visit(c.server.URL+"/identificar", "identificar-resto")
	b.run(chromedp.Navigate(c.server.URL+"/titular"), fill("[name=consumidor]", cpf))
	b.follow("main button")
	b.check("titular-relatorio")
	b.run(chromedp.Navigate(c.server.URL + "/clientes"))
	b.follow("table.list button")
	b.check("agora-um-cliente")
}

// TestEmptyPages: each teaches the next step.
func TestEmptyPages(t *testing.T) {
	b := newBrowser(t)
	c := emptyCity(t)
	b.run(chromedp.Navigate(c.server.URL + "/"))
	b.check("entrar-sem-link")
	b.run(chromedp.Navigate(c.server.URL + c.link()))
	b.check("entrar")
	b.signIn(c)
	for name, path := range map[string]string{"agora": "/", "caixas": "/caixas", "alarmes": "/alarmes", "cupons": "/cupons",
		"quarentena": "/quarentena", "exportar": "/exportar"} {
		b.visit(c.server.URL+path, "vazio-"+name)
		if text := b.text(".empty"); len(text) < 60 {
			t.Errorf("%s teaches nothing: %q", path, text)
		}
	}
}

func (b *browser) visit(url, name string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
	b.check(name)
}

// faulty says what is wrong with the looks of a page: what reaches out of the window
// or of what it stands in, and texts without enough contrast (WCAG 2, level AA). And with
// how it is heard: fields and buttons without a name, headings that skip a level, two of
// an id.
const faulty = `(() => {
	const wide = innerWidth, out = []
	const color = s => (m => m ? {c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1} : {c: [0, 0, 0], a: 0})((s.match(/[\d.]+/g) || []).map(Number))
	const light = c => c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
	const ground = e => { for (; e; e = e.parentElement) { const g = color(getComputedStyle(e).backgroundColor); if (g.a == 1) return g.c } return [255, 255, 255] }
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) if (!e.labels.length && !e.ariaLabel) out.push("no label: " + e.name)
	for (const e of document.querySelectorAll("a, button, summary")) if (!e.textContent.trim() && !e.ariaLabel) out.push("no name: " + e.outerHTML)
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id)
	ids.forEach((id, i) => { if (ids.indexOf(id) < i) out.push("twice on the page: " + id) })
	const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map(e => +e.tagName[1])
	levels.forEach((level, i) => { if (level > (levels[i-1] || 0) + 1 || level == 1 && i) out.push("heading " + level + " after " + levels[i-1]) })
	if (document.documentElement.scrollWidth > wide) out.push("the page is " + document.documentElement.scrollWidth + " wide")
	for (const e of document.querySelectorAll("body *")) {
		const r = e.getBoundingClientRect(), s = getComputedStyle(e), name = e.tagName + "." + (e.getAttribute("class") || "") + " " + e.textContent.trim().slice(0, 40)
		if (r.width == 0 || r.left < 0 || e.closest("svg svg, symbol")) continue
		if (r.right > wide + 1 || !e.closest("svg") && r.right > e.parentElement.getBoundingClientRect().right + 1) out.push("too wide: " + name)
		if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue
		const ink = light(color(e.closest("svg") ? s.fill : s.color).c), paper = light(ground(e))
		const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05)
		if (ratio < (parseFloat(s.fontSize) >= 24 ? 3 : 4.5)) out.push("contrast " + ratio.toFixed(2) + ": " + name)
	}
	return out
})()`

// check looks for what is wrong on any page, in every look.
func (b *browser) check(name string) {
	b.t.Helper()
	for _, l := range looks() {
		b.wear(l)
		for _, wrong := range ask(b, chromedp.Evaluate[[]string](faulty)) {
			b.t.Errorf("%s in %s: %s", name, l.name, wrong)
		}
		b.shoot(name + "-" + l.name)
	}
	if title := ask(b, chromedp.Title()); !strings.HasSuffix(title, "· Zelo") {
		b.t.Errorf("%s: title %q", name, title)
	}
	b.quiet(name)
}

// TestKeyboard: everything is reached with the Tab key, and one sees where one is.
func TestKeyboard(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	b.run(chromedp.Navigate(c.server.URL + "/quarentena"))
	seen := map[string]bool{}
	for range 40 {
		b.run(chromedp.KeyEvent(kb.Tab))
		name := ask(b, chromedp.Evaluate[string](`(e => e.tagName + " " + e.textContent.trim())(document.activeElement)`))
		outlined := ask(b, chromedp.Evaluate[bool](`(s => s.outlineStyle != "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`))
		if strings.HasPrefix(name, "BODY") {
			break
		}
		if !outlined {
			t.Errorf("the focus on %q cannot be seen", name)
		}
		seen[name] = true
	}
	for _, want := range []string{"A Ir para o conteúdo", "A Agora", "A Caixas", "A Ajustes", "BUTTON Sair", "A Baixar", "BUTTON Marcar como visto"} {
		if !seen[want] {
			t.Errorf("%q was not reached", want)
		}
	}
	b.run(chromedp.Navigate(c.server.URL+"/cupons"), chromedp.KeyEvent("/"))
	if focused := ask(b, chromedp.Evaluate[string](`document.activeElement.name`)); focused != "q" {
		t.Errorf("after / the focus is on %q", focused)
	}
	b.quiet("keyboard")
}

// TestWithoutJavaScript: sign in, search by consumer, reveal, settle, sign out.
func TestWithoutJavaScript(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn(c)
	b.run(chromedp.Navigate(c.server.URL+"/cupons"), fill("[name=consumidor]", "529.982.247-25"))
	b.follow("main button")
	if url := ask(b, chromedp.Location()); url != c.server.URL+"/cupons" {
		t.Errorf("a consumer's search is at %s", url)
	}
	if text := b.text("table.list"); !strings.Contains(text, "***.***.247-**") || strings.Contains(text, "529.982") {
		t.Errorf("the consumer is not masked: %s", text)
	}
	b.follow("table.list a")
	b.follow(".receipt button")
	if text := b.text(".receipt"); !strings.Contains(text, "529.982.247-25") {
		t.Errorf("the consumer is not shown: %s", text)
	}
	if url := ask(b, chromedp.Location()); strings.Contains(url, cpf) {
		t.Errorf("a CPF is in the address %s", url)
	}
	b.run(chromedp.Navigate(c.server.URL + "/quarentena"))
	b.follow("main button")
	if text := b.text("main"); !strings.Contains(text, "1 registro") {
		t.Errorf("after one of two was settled: %s", text)
	}
	b.follow(".who button")
	b.run(chromedp.Navigate(c.server.URL + "/caixas"))
	if text := b.text("main"); !strings.Contains(text, "link de uso único") {
		t.Errorf("after signing out: %s", text)
	}
	if strings.Contains(c.log.String(), cpf) {
		t.Error("a CPF is in the log")
	}
}
