package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
)

// tells brings what an agent tells of its computer.
func (c *city) tells(agent string) {
	c.t.Helper()
	for _, in := range []wire.Inventory{
		{What: wire.InventoryComputer, Computer: &wire.Computer{System: "Windows 10 Pro 22H2", Booted: now().AddDate(0, 0, -3).UnixMilli(), MemoryTotal: 4 << 30, MemoryFree: 900 << 20,
			Antivirus: wire.AntivirusOutdated, AntivirusBy: "Windows Defender", ClockSynced: 1, USBErrors: 3, USBLast: "O dispositivo USB 2-1 não respondeu"}},
		{What: wire.InventoryDisk, Key: "C:", Disk: &wire.Disk{Total: 120 << 30, Free: 2 << 30, Own: true}},
		{What: wire.InventoryDisk, Key: "D:", Disk: &wire.Disk{Total: 500 << 30, Free: 300 << 30}},
		{What: wire.InventoryCertificate, Key: strings.Repeat("ab", 32), Certificate: &wire.Certificate{Holder: "PADARIA SANTA CECÍLIA LTDA", CNPJ: "11222333000181", Type: "A1",
			From: now().AddDate(-1, 0, 12).UnixMilli(), Until: now().AddDate(0, 0, 12).UnixMilli(), Places: []string{`LocalMachine\My`, `C:\Certificados\padaria.pfx`}, HasKey: true}},
		{What: wire.InventoryCertificate, Key: strings.Repeat("cd", 32), Certificate: &wire.Certificate{Holder: "PADARIA SANTA CECÍLIA LTDA", CNPJ: "11222333000181", Until: now().AddDate(1, 0, 0).UnixMilli()}},
		{What: wire.InventoryRemote, Key: "anydesk", Remote: &wire.Remote{ID: "123456789", Version: "8.1.0"}},
		{What: wire.InventoryRemote, Key: "rustdesk", Remote: &wire.Remote{ID: "x' onclick='"}},
		{What: wire.InventoryLibrary, Library: &wire.Library{}},
		{What: wire.InventoryLibrary, Key: "pdv.exe", Library: &wire.Library{Makers: true, Path: `C:\SAT\SAT.dll`, Since: now().AddDate(0, 0, -1).UnixMilli()}},
		{What: wire.InventoryHealth, Health: &wire.Health{Memory: 17 << 20, Restarts: 1}},
		{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: "2026-11-21", Sold: 212, Rejected: 3, Codes: map[string]int{"06010": 3}, Median: 1200, P95: 2900, Longest: 14000}},
		{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: "2026-11-20", Sold: 1240}},
	} {
		in.Version = wire.Version
		body, err := c.codec.Encode(in)
		if err != nil {
			c.t.Fatal(err)
		}
		c.items(agent, wire.StreamStatus, wire.Item{Kind: wire.KindInventory, At: now().UnixMilli(), Body: body})
	}
	c.beat(agent, "padaria-pdv1", "900000001", now().Add(-40*time.Second), 0)
	c.judge()
}

// TestComputerPage: how a computer stands is read at a glance, and reached by one click.
func TestComputerPage(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	c.tells(bakery)
	b.signIn(c)
	b.visit(c.server.URL+"/caixas/"+bakery+"/computador", "caixa-computador")
	text := b.text("main")
	for _, want := range []string{"Windows 10 Pro 22H2", "ligado desde 18/11/2026 14:02", "2,0 GB livres de 120,0 GB", "Windows Defender desatualizado", "3 falhas em 24 horas",
		`pdv.exe usa a do fabricante (C:\SAT\SAT.dll) desde 20/11/2026 14:02.`,
		"1 reinício inesperado", "em 12 dias", "sem a chave privada", "Abrir no AnyDesk", "123456789", "06010", "14,0 s", "1.240", "Crítico"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q: %s", want, text)
		}
	}
	b.visit(c.server.URL+"/caixas/"+market+"/computador", "caixa-computador-nada")
	if text := b.text(".empty"); !strings.Contains(text, "ainda não contou") {
		t.Errorf("%q", text)
	}
}

// TestRemoteAccessLinks: a computer cannot make a page link to what is no number.
func TestRemoteAccessLinks(t *testing.T) {
	c := newCity(t)
	c.tells(bakery)
	v := c.person(t)
	a := v.get("/caixas/" + bakery + "/computador")
	if a.status != http.StatusOK || !strings.Contains(a.body, `href="anydesk:123456789"`) || strings.Contains(a.body, "rustdesk:") || strings.Contains(a.body, "onclick='") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := v.get("/caixas/" + bakery); !strings.Contains(a.body, "/caixas/"+bakery+"/computador") {
		t.Error("the till's page does not lead to its computer")
	}
}

// TestOrderForOneClient: a client is searched for, and while it is not clear who is
// meant nobody is picked.
func TestOrderForOneClient(t *testing.T) {
	c := newCity(t)
	c.takesCommands(bakery)
	c.takesCommands(market)
	v := c.shops(t)
	for _, one := range []struct{ name, client, root, want, not string }{
		{"everybody", "", "", ": 2 alvos", "Qual deles"},
		{"by name", "cecília", "", "Só nos caixas de Padaria Santa Cecília", "Qual deles"},
		{"by number", "11444777", "", "Só nos caixas de Mercado Bom Preço", "Qual deles"},
		{"several", "a", "", "Qual deles", "alvo"},
		{"one of several", "a", "11444777", "Só nos caixas de Mercado Bom Preço", "Qual deles"},
		{"the name was changed", "cecília", "11444777", "Só nos caixas de Padaria Santa Cecília", "Mercado"},
		{"nobody", "nada", "", "Nenhum contribuinte tem", "alvo"},
	} {
		t.Run(one.name, func(t *testing.T) {
			a := v.get("/ordens/nova?" + url.Values{"comando": {wire.CommandRestart}, "cliente": {one.client}, "raiz": {one.root}}.Encode())
			if a.status != http.StatusOK || !strings.Contains(a.body, one.want) || strings.Contains(a.body, one.not) {
				t.Errorf("%d, wanted %q and not %q: %s", a.status, one.want, one.not, a.body)
			}
		})
	}
}
