package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"zelo/agent/wire"
	"zelo/collector/api"
	"zelo/collector/store"
)

func TestMemoryChart(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, 1+n, 0, 0, 0, 0, brasilia()) }
	days := func(used ...float64) (list []api.MemoryDay) {
		for i, u := range used {
			list = append(list, api.MemoryDay{Day: day(i), Used: u})
		}
		return list
	}
	for _, c := range []struct {
		name, line, dashed, answer string
		d                          api.DeviceDays
	}{
		{"fills", "0.0,79.0 82.5,73.3 165.0,67.6", "165.0,67.6 330.0,27.7", "No ritmo destes dias chega a 95 %, e o equipamento se bloqueia, em 05/11/2026.",
			api.DeviceDays{Memory: days(.5, .55, .6), FullAt: day(4)}},
		{"stays", "0.0,79.0 165.0,79.0 330.0,79.0", "", "Não enche em 90 dias, no ritmo destes dias.", api.DeviceDays{Memory: days(.5, .5, .5)}},
		{"full", "0.0,33.4 330.0,23.1", "", "Já passou de 95 %, o nível em que o equipamento se bloqueia.", api.DeviceDays{Memory: days(.9, .99)}},
		{"too early", "0.0,79.0 330.0,67.6", "", "Ainda não se sabe: o ritmo aparece com três dias.", api.DeviceDays{Memory: days(.5, .6)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := memoryChart(c.d)
			if got.Line() != c.line || got.Dashed() != c.dashed || got.Answer != c.answer || got.LimitY() != "27.7" {
				t.Errorf("%s; %s; %s; %s", got.Line(), got.Dashed(), got.Answer, got.LimitY())
			}
		})
	}
	if memoryChart(api.DeviceDays{Memory: days(.5)}) != nil {
		t.Error("one day is no line")
	}
}

func TestSalesChart(t *testing.T) {
	if salesChart(nil) != nil || salesChart([]api.SalesDay{{}, {}}) != nil {
		t.Error("nothing was sold, and that is drawn")
	}
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, brasilia())
	got := salesChart([]api.SalesDay{{Day: from, Count: 3, Cents: 250000}, {Day: from.AddDate(0, 0, 1)}, {Day: from.AddDate(0, 0, 2), Count: 1, Cents: 125000}})
	if got.Line() != "0.0,22.0 165.0,136.0 330.0,79.0" ||
		got.Answer != "Hoje, até agora: 1 venda, R$ 1.250,00. Em 3 dias: 4 vendas, R$ 3.750,00. As canceladas não contam." {
		t.Error(got.Line(), got.Answer)
	}
	var texts []string
	for _, l := range got.Labels() {
		texts = append(texts, l.Text)
	}
	if s := strings.Join(texts, "|"); s != "R$ 1.250,00|01/11/2026|03/11/2026|R$ 2.500,00" {
		t.Error(s)
	}
}

// busyMonth gives the bakery's device a month of memory and sales.
func (c *city) busyMonth() {
	c.t.Helper()
	c.update(func(w *store.Writer) error {
		for n := range 27 {
			at := now().AddDate(0, 0, n-26)
			rec := store.Record{Agent: bakery, Epoch: "f", Stream: wire.StreamStatus, Seq: uint64(n + 1), At: at, SHA256: [32]byte{byte(n)}}
			sold := store.Document{Key: fmt.Sprintf("35%s%s59900000001%06d000000%d", at.Format("0601"), shopOfTwo, n+1, n%10), Kind: "venda", Model: 59, Issuer: shopOfTwo,
				Serial: "900000001", Number: n + 1, Total: fmt.Sprintf("%d.90", 900+n*n%7*130), Verdict: "verified", Issued: at.Add(-time.Hour), ReceivedAt: at}
			_, _, err := w.AddDocument(sold, c.store.Pack([]byte(sold.Key)))
			if err := errors.Join(err, w.SetStatus("900000001", store.Status{Memory: .5 + .014*float64(n)}, rec)); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestCharts: a device's page shows where its memory goes, and its owner reads what was
// sold, in every look.
func TestCharts(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	all := c.shops(t)
	c.busyMonth()
	c.judge()
	b.signIn(c)
	b.visit(c.server.URL+"/equipamentos/900000001", "equipamento-grafico")
	for _, want := range []string{"Quando a memória do equipamento enche?", "bloqueio em 95 %", "86 %", "previsão: 27/11/2026", "Quanto se vendeu por dia?", "26/10/2026", "23/10/2026"} {
		if text := b.text("main"); !strings.Contains(text, want) {
			t.Errorf("%q is not on the page: %s", want, text)
		}
	}
	b.visit(c.server.URL+"/pessoas", "pessoas-remover")
	b.visit(c.server.URL+"/clientes/11222333", "cliente-mudar")
	b.run(chromedp.Navigate(c.server.URL + linkOf(t, all, "contribuinte", "11222333")))
	b.follow("main button")
	if text := b.text(".chart"); !strings.Contains(text, "Hoje, até agora: 1 venda") || !strings.Contains(text, "Em 30 dias: 27 vendas") {
		t.Error(text)
	}
	b.check("dono-grafico")
}

// TestMoveAsksForTheClient: a click alone takes no client from its reseller.
func TestMoveAsksForTheClient(t *testing.T) {
	c := newCity(t)
	v := c.shops(t)
	second, err := c.api.AddReseller(t.Context(), caller(), "Segunda Revenda")
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{"", "11444777"} {
		if a := v.post("/clientes/11222333", url.Values{"acao": {"mudar"}, "numero": {fmt.Sprint(second)}, "confirma": {typed}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "continua com a revenda de antes") {
			t.Errorf("%q is enough: %d", typed, a.status)
		}
	}
	if a := v.post("/clientes/11222333", url.Values{"acao": {"mudar"}, "numero": {fmt.Sprint(second)}, "confirma": {"11.222.333/0001-81"}}); a.status != http.StatusOK || !strings.Contains(a.body, "revenda Segunda Revenda") {
		t.Errorf("the client does not move: %d %s", a.status, a.body)
	}
}
