package till

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"zelo/sat"
)

// browser is a real Chromium, without JavaScript, that notes what its console says.
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
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("font-render-hinting", "none"))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 25*time.Second)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*log.EventEntryAdded); ok && (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) {
			b.mu.Lock()
			b.faults = append(b.faults, e.Entry.Text+" "+e.Entry.URL)
			b.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	return b
}

func ask[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *browser) open(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatal(err)
	}
}

// wear sets the window's width and the colours its user likes.
func (b *browser) wear(width int64, scheme string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 500}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		b.t.Fatal(err)
	}
}

// check finds what is wrong on any page, and keeps a picture of it in the folder
// that ZELO_SCREENSHOTS names.
func (b *browser) check(name string, width int64) {
	b.t.Helper()
	loose := ask(b, chromedp.Evaluate[[]string](fmt.Sprintf(`[...document.querySelectorAll("body *")].filter(e => {
		const r = e.getBoundingClientRect(), p = e.parentElement.getBoundingClientRect()
		return r.width > 0 && (r.right > %d + 1 || r.right > p.right + 1)
	}).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40))`, width)))
	if wide := ask(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width || len(loose) > 0 {
		b.t.Errorf("%s: the page is %d wide in a window of %d: %q", name, wide, width, loose)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.t.Errorf("%s: the console says %q", name, b.faults)
	}
	b.faults = nil
	folder := os.Getenv("ZELO_SCREENSHOTS")
	if folder == "" {
		return
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "caixa-"+name+".png"), ask(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestInABrowser looks at the page of tills that are well, in trouble and new, in
// the windows and colours people use, and presses its button.
func TestInABrowser(t *testing.T) {
	b := newBrowser(t)
	d := newDesk(t)
	server := httptest.NewServer(d.h)
	defer server.Close()
	trouble := fine()
	trouble.Name = "caixa-07-mercado-do-seu-joaquim-filial-centro"
	trouble.Device.InDoubt, trouble.Device.DoubtSince, trouble.Device.Answering = 1, noon().Add(-time.Minute), false
	trouble.Device.Status.State, trouble.Device.Status.CertExpires = sat.StateBlockedAutonomous, noon().AddDate(0, 0, 20)
	trouble.Cloud = Cloud{Enrolled: true, Since: noon().Add(-3 * time.Hour), Saved: 48211, Waiting: 212, LastAck: noon().AddDate(-1, 0, 0)}
	trouble.Certificates = []Certificate{{"SUPERMERCADO E PANIFICADORA DO JOAQUIM LTDA", noon().AddDate(0, 0, 60)}}
	two := pair()
	silence(&two.Device, noon().Add(-22*time.Minute))
	several := pair()
	several.Device.InDoubt, several.Device.DoubtSince, several.Device.Unfit = 1, noon().Add(-time.Minute), "verificando uma venda anterior"
	several.Others[0].Unfit = "não se sabe para que CNPJ emite"
	several.Others = append(several.Others, second("900000003"), goneDevice("900000009", 1))
	for name, s := range map[string]State{"em-ordem": fine(), "parado": trouble, "novo": fresh(), "dois": two, "varios": several} {
		d.state = s
		for _, look := range []struct {
			width  int64
			scheme string
		}{{1280, "light"}, {360, "dark"}, {1280, "dark"}, {360, "light"}} {
			b.wear(look.width, look.scheme)
			b.open(server.URL)
			b.check(fmt.Sprintf("%s-%d-%s", name, look.width, look.scheme), look.width)
		}
	}

	d.state = fine()
	b.open(server.URL)
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS("button"))); err != nil {
		t.Fatal(err)
	}
	if text := ask(b, chromedp.Text(chromedp.CSS("main"))); !strings.Contains(text, "O SAT respondeu ao teste das 14:02:00.") {
		t.Errorf("after the button: %s", text)
	}
	b.check("testado-360-light", 360)
}
