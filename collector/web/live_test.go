package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"zelo/agent/wire"
	"zelo/collector/api"
	"zelo/sat"
)

// until waits for what a page comes to by itself.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for limit := time.After(20 * time.Second); !ask(b, chromedp.Evaluate[bool](condition)); {
		select {
		case <-look.C:
		case <-limit:
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *browser) point(x, y float64) {
	b.t.Helper()
	command(b, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: "mouseMoved", X: x, Y: y})
}

// TestLivePage: an alarm appears by itself, and waits while that would move what is
// under the pointer.
func TestLivePage(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	b.wear(looks()[0])
	raise := func(serial, which string) {
		c.event(map[string]string{"900000001": bakery, "900000002": market, "900000003": corner}[serial], serial, wire.EventUnresolved, map[string]string{"case": which})
		c.judge()
	}
	for n, path := range []string{"/", "/caixas", "/alarmes"} {
		serial := fmt.Sprintf("90000000%d", n+1)
		b.run(chromedp.Navigate(c.server.URL + path))
		b.point(1, 1)
		b.run(chromedp.Evaluate[chromedp.Void](`window.same = true`))
		had := b.text("main")
		raise(serial, path)
		b.until("the alarm on "+path, fmt.Sprintf(`window.same && document.querySelector("main").innerText != %q`, had))
	}
	where := `document.querySelector("main tbody tr a").getBoundingClientRect().top`
	top := ask(b, chromedp.Evaluate[float64](where))
	rows := ask(b, chromedp.Evaluate[int64](`document.querySelectorAll("main tbody tr").length`))
	b.point(ask(b, chromedp.Evaluate[float64](`document.querySelector("main tbody tr a").getBoundingClientRect().left + 4`)), top+4)
	c.event(bakery, "900000001", wire.EventDocumentMissing, map[string]string{"key": strings.Repeat("7", 44)})
	c.judge()
	b.until("the offer", `document.querySelector(".news button") != null`)
	if now := ask(b, chromedp.Evaluate[float64](where)); now != top {
		t.Errorf("what was under the pointer moved from %v to %v", top, now)
	}
	b.quiet("the offer")
	b.point(1, 1)
	b.until("the alarm once the pointer is away", fmt.Sprintf(`document.querySelectorAll("main tbody tr").length > %d && !document.querySelector(".news button")`, rows))
	b.quiet("after it")
	open, _, err := c.api.Alarms(t.Context(), caller())
	block := slices.IndexFunc(open, func(a api.Alarm) bool { return a.Rule.Title == "Bloqueio autônomo" })
	if err != nil || block < 0 {
		t.Fatal(open, err)
	}
	b.run(chromedp.Navigate(fmt.Sprintf("%s/alarmes/%d", c.server.URL, open[block].ID)))
	c.status(market, "900000002", func(*sat.Status) {})
	c.judge()
	b.until("the end of the block", `document.querySelector(".verdict").innerText.includes("Encerrado")`)
}

// TestLiveWithoutJavaScript: the page loads itself anew.
func TestLiveWithoutJavaScript(t *testing.T) {
	b := newBrowser(t)
	c := emptyCity(t)
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn(c)
	v := c.person(t)
	for path, want := range map[string]bool{"/": true, "/caixas": true, "/alarmes": true, "/cupons": false, "/conta": false} {
		if has := strings.Contains(v.get(path).body, `<noscript><meta http-equiv="refresh" content="60"></noscript>`); has != want {
			t.Errorf("%s loads itself anew: %v", path, has)
		}
	}
}

// TestLiveStream: it is for people who are signed in, says so at once, and ends when
// they sign out.
func TestLiveStream(t *testing.T) {
	c := newCity(t)
	if a := c.visitor(t).get("/novidades"); a.status != http.StatusSeeOther {
		t.Errorf("nobody gets %d", a.status)
	}
	v := c.person(t)
	r, err := v.Get(c.server.URL + "/novidades")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if kind := r.Header.Get("Content-Type"); r.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%d %s", r.StatusCode, kind)
	}
	line := make([]byte, 64)
	n, err := r.Body.Read(line)
	if err != nil || string(line[:n]) != "data: mudou\n\n" {
		t.Fatalf("it says %q, %v", line[:n], err)
	}
	v.post("/sair", nil)
	c.event(bakery, "900000001", wire.EventUnresolved, map[string]string{"case": "1"})
	c.judge()
	if n, err := r.Body.Read(line); n != 0 || err == nil {
		t.Errorf("signed out, it says %q, %v", line[:n], err)
	}
}
