package web

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/api"
	"zelo/collector/store"
	"zelo/sat/sim"
)

const shopOfTwo = "11222333000181"

// twoDevices is a till with two devices of one shop: the first does not answer, and
// a sale of it was made again by the second, which the first then turned out to have
// issued too.
func twoDevices(t testing.TB) (c *city, twice sim.Record) {
	t.Helper()
	c = emptyCity(t)
	first := sell(t, device(t, 0, shopOfTwo, "EMPÓRIO DOIS IRMÃOS LTDA"), shopOfTwo, 3)
	c.sales(bakery, "900000001", first)
	c.sales(bakery, "900000002", sell(t, device(t, 1, shopOfTwo, "EMPÓRIO DOIS IRMÃOS LTDA"), shopOfTwo, 14))
	detail := map[string]string{"case": "01020304/001/7", "session": "000007", "key": first[1].Key}
	c.event(bakery, "900000001", wire.EventSecondDevice, detail)
	c.event(bakery, "900000001", wire.EventIssuedTwice, detail)
	b := wire.Beat{Version: wire.Version, Software: "0.1.0", Host: "emporio", System: "windows/386", Started: now().Add(-time.Hour).UnixMilli(),
		Devices: []wire.BeatDevice{{Serial: "900000001", Name: "Elgin Linker II", OpenCases: 1}, {Serial: "900000002", Name: "Bematech GO", Answering: true}}}
	for _, at := range []time.Time{now().Add(-time.Hour), now().Add(-30 * time.Second)} {
		b.Clock = at.UnixMilli()
		c.publish(bakery, wire.StreamBeat, at, b)
	}
	c.judge()
	return c, first[1]
}

func TestTillWithTwoDevices(t *testing.T) {
	c, twice := twoDevices(t)
	page := c.person(t).get("/caixas/" + bakery).body
	for _, want := range []string{"Elgin Linker II 900000001", "Bematech GO 900000002", "<dt>Agora</dt><dd>sem resposta desde 21/11/2026 13:02</dd>",
		"<dt>Agora</dt><dd>respondendo</dd>", "<dt>Vendas em dúvida</dt><dd>1</dd>", "Venda emitida por dois equipamentos",
		"A última: equipamento 900000001, caso 01020304/001/7, cupom " + twice.Key, "SAT 900000001: Equipamento sem resposta desde", "SAT 900000001: 1 venda emitida por dois equipamentos",
		"Venda em dúvida feita de novo em outro equipamento, como a loja escolheu, SAT 900000001", "Venda emitida por dois equipamentos, caso 01020304/001/7, SAT 900000001"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if n := strings.Count(page, "11.222.333/0001-81"); n != 1 {
		t.Errorf("the shop's CNPJ is said %d times", n)
	}
	p, err := c.api.Till(t.Context(), caller(), bakery)
	if err != nil || len(p.Coupons) != 10 {
		t.Fatalf("%d coupons, %v", len(p.Coupons), err)
	}
	for i, one := range p.Coupons[1:] {
		if one.Issued.After(p.Coupons[i].Issued) {
			t.Errorf("coupon %d of two devices is newer than the one before it", i+1)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

// A device may be known from an event alone.
func TestDeviceOfAnEvent(t *testing.T) {
	c := emptyCity(t)
	c.event(bakery, "900000009", wire.EventSecondDevice, map[string]string{"case": "01020304/001/7"})
	if page := c.person(t).get("/caixas/900000009").body; !strings.Contains(page, "Conhecido pelo que um caixa contou dele;") {
		t.Error(page)
	}
}

// The accountant reads of a sale issued twice before and in the export.
func TestReportOfASaleIssuedTwice(t *testing.T) {
	c, twice := twoDevices(t)
	v := c.person(t)
	page := v.get("/exportar?cnpj=" + shopOfTwo + "&serie=&mes=12&ano=2025").body
	if n := strings.Count(page, "Emitida duas vezes"); n != 1 || !strings.Contains(page, "/cupons/"+twice.Key) {
		t.Errorf("said %d times: %s", n, page)
	}
	a := v.get("/exportar/originais.zip?cnpj=" + shopOfTwo + "&mes=202512")
	if a.status != http.StatusOK {
		t.Fatal(a.status, a.body)
	}
	z, err := zip.NewReader(bytes.NewReader([]byte(a.body)), int64(len(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found = found || strings.Contains(string(raw), "emitida duas vezes     "+twice.Key)
	}
	if !found {
		t.Error("the report in the export does not name the sale")
	}
	if _, err := c.api.Preview(t.Context(), caller(), api.Selection{CNPJ: shopOfTwo}); err != nil {
		t.Error(err)
	}
}

// TestTwoDevicesInABrowser looks at the pages that show several devices.
func TestTwoDevicesInABrowser(t *testing.T) {
	b := newBrowser(t)
	c, _ := twoDevices(t)
	b.signIn(c)
	b.visit(c.server.URL+"/caixas/"+bakery, "caixa-dois-sats")
	b.visit(c.server.URL+"/exportar?cnpj="+shopOfTwo+"&serie=&mes=12&ano=2025", "exportar-duas-vezes")
}

// TestTillsAreFound: by the shop, its CNPJ, the till, the device, the alarm and the state,
// the first of very many.
func TestTillsAreFound(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	rows := regexp.MustCompile(`<a href="/caixas/([^"/?]+)">`)
	for _, f := range []struct{ query, want string }{
		{"", market + " 900000004 " + corner + " " + fresh + " " + bakery},
		{"?q=mercado+BOM", market}, {"?q=11.444.777", market}, {"?q=11444777", market}, {"?q=bazar", corner}, {"?q=900000001", bakery},
		{"?q=bloqueio", market}, {"?estado=fine", bakery}, {"?estado=critical&q=sat", market + " 900000004"}, {"?estado=silent", corner + " " + fresh}, {"?q=nada", ""},
	} {
		var got []string
		for _, m := range rows.FindAllStringSubmatch(v.get("/caixas"+f.query).body, -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != f.want {
			t.Errorf("%q finds %q, want %s", f.query, got, f.want)
		}
	}
	if a := v.get("/caixas?q=nada"); !strings.Contains(a.body, "5 caixas ao todo") {
		t.Errorf("nothing found teaches nothing: %s", a.body)
	}
	const cnpj = "12ABC34501DE35"
	c.update(func(w *store.Writer) error {
		err := w.AddTaxpayer(store.Taxpayer{Root: cnpj[:8], Name: "Nova", Reseller: store.DefaultReseller, CreatedAt: now()})
		if err == nil {
			err = w.AddToken("s", store.Token{Reseller: store.DefaultReseller, CNPJ: cnpj, Allowed: 1, ExpiresAt: now().AddDate(0, 0, 1), CreatedAt: now()})
		}
		if err == nil {
			err = w.EnrolAgent("s", "hhhhhhhhiiiiiiii", "nova-pdv1", now())
		}
		return err
	})
	says := func(path, words string) {
		if a := v.get(path); !strings.Contains(a.body, words) {
			t.Errorf("%s does not say %s of a till that sold nothing yet: %s", path, words, a.body)
		}
	}
	says("/caixas?q=12.ABC.345", "CNPJ 12.ABC.345/01DE-35")
	says("/caixas/hhhhhhhhiiiiiiii", "CNPJ 12.ABC.345/01DE-35")
	c.update(func(w *store.Writer) error {
		return w.AddEstablishment(store.Establishment{CNPJ: cnpj, Root: cnpj[:8], Name: "Armazém Novo"})
	})
	says("/caixas?q=armaz%C3%A9m", "Armazém Novo")
	says("/caixas/hhhhhhhhiiiiiiii", "Armazém Novo")
	c.update(func(w *store.Writer) (err error) {
		for i := range shownTills {
			if err == nil {
				err = w.AddAgent(fmt.Sprintf("agente%03dxxxxxxx", i), "pdv", now())
			}
		}
		return err
	})
	if n := len(rows.FindAllString(v.get("/caixas").body, -1)); n != shownTills {
		t.Errorf("the first page lists %d tills", n)
	}
	if a := v.get("/caixas?todos=1&q=PDV"); len(rows.FindAllString(a.body, -1)) < shownTills || strings.Contains(a.body, "todos=1") {
		t.Error("not all tills are listed when asked for")
	}
}
