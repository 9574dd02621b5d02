package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"zelo/agent/wire"
	"zelo/collector/api"
)

// takesCommands makes an agent's beat say what it needs to get commands.
func (c *city) takesCommands(agent string) {
	c.t.Helper()
	serial := map[string]string{bakery: "900000001", market: "900000002"}[agent]
	host := map[string]string{bakery: "padaria-pdv1", market: "mercado-caixa-2"}[agent]
	at := now().Add(-20 * time.Second)
	c.publish(agent, wire.StreamBeat, at, wire.Beat{Version: wire.Version, Software: "0.1.0", Host: host, System: "windows/386", Clock: at.UnixMilli(),
		Epoch: wire.Epoch([]byte(agent)), SealKey: append([]byte{9}, make([]byte, 31)...), Devices: []wire.BeatDevice{{Serial: serial, Name: "SAT", Answering: true}}})
}

// give gives a command as the command line does.
func (c *city) give(n api.NewCommand) (id string) {
	c.t.Helper()
	id, err := c.api.SendCommand(c.t.Context(), api.CommandLine(), n)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// answer brings an agent's reports of a command.
func (c *city) answer(agent, id string, reports ...wire.Report) {
	c.t.Helper()
	var items []wire.Item
	for i, r := range reports {
		raw, err := hex.DecodeString(id)
		if err != nil {
			c.t.Fatal(err)
		}
		r.Version, r.Command, r.Number, r.At = wire.Version, wire.CommandID(raw), uint32(i+1), now().UnixMilli()
		for j := range r.Lines {
			r.Lines[j].At = now().Add(time.Duration(j) * time.Second).UnixMilli()
		}
		body, err := c.codec.Encode(r)
		if err != nil {
			c.t.Fatal(err)
		}
		items = append(items, wire.Item{Kind: wire.KindCommand, At: now().UnixMilli(), Code: r.State, Body: body})
	}
	c.items(agent, wire.StreamCommands, items...)
}

func lines(texts ...string) (out []wire.Line) {
	for _, t := range texts {
		out = append(out, wire.Line{Text: t})
	}
	return out
}

const deviceLog = "20261121090000|SAT|info|SAT ligado\n20261121090312|SAT-SEFAZ|erro|Falha ao resolver o nome do servidor da SEFAZ\n20261121091500|SEFAZ-SAT|info|Lote recebido\n"

// commanded gives commands that stand in every way and returns their pages.
func (c *city) commanded() [][2]string {
	c.t.Helper()
	c.takesCommands(bakery)
	c.takesCommands(market)
	status := c.give(api.NewCommand{Till: market, Device: "900000002", Name: wire.CommandStatus})
	c.answer(market, status, wire.Report{State: wire.CommandAccepted, Lines: lines("O agente recebeu o comando.")},
		wire.Report{State: wire.CommandDone, Reply: "10000", Text: "O equipamento respondeu 10000, Resposta com sucesso.",
			Lines: lines("Chama ConsultarStatusOperacional.", "Estado: bloqueio autônomo.", "Rede: conectado, 192.168.0.12 por DHCP.", "Pendentes de envio à SEFAZ: sim.")})
	log := c.give(api.NewCommand{Till: market, Device: "900000002", Name: wire.CommandLogs})
	body := sha256.Sum256([]byte(deviceLog))
	c.answer(market, log, wire.Report{Part: &wire.Part{Body: body, Data: []byte(deviceLog)}}, wire.Report{State: wire.CommandDone, Reply: "15000", Text: "O log veio inteiro.",
		Result: &wire.Result{Name: "log-900000002.txt", Type: "text/plain; charset=utf-8", Size: int64(len(deviceLog)), Parts: 1, Body: body}})
	config := "[agente]\ncoletor = \"mqtt.exemplo.com.br:8883\"\nsenha = \"********\"\n"
	read := c.give(api.NewCommand{Till: market, Name: wire.CommandReadConfig})
	body = sha256.Sum256([]byte(config))
	c.answer(market, read, wire.Report{Part: &wire.Part{Body: body, Data: []byte(config)}}, wire.Report{State: wire.CommandDone, Text: "A configuração em uso.",
		Result: &wire.Result{Name: "agente.toml", Type: "text/plain; charset=utf-8", Size: int64(len(config)), Parts: 1, Body: body}})
	block := c.give(api.NewCommand{Till: market, Device: "900000002", Name: wire.CommandBlock, Confirm: "900000002"})
	c.answer(market, block, wire.Report{State: wire.CommandRunning}, wire.Report{State: wire.CommandUnknown, Text: "A energia caiu durante a chamada.",
		Lines: lines("Chama BloquearSAT.", "O agente foi interrompido enquanto fazia isto.", "O status diz agora: em operação.")})
	open := c.give(api.NewCommand{Till: bakery, Name: wire.CommandRestart})
	many, err := c.api.SendMany(c.t.Context(), api.CommandLine(), api.Many{Name: wire.CommandUpdateSoftware, First: 1, Confirm: "2"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.give(api.NewCommand{Till: market, Device: "900000002", Name: wire.CommandTest, When: api.When{NotBefore: now().Add(9 * time.Hour)}})
	return [][2]string{{"comandos", "/caixas/" + market + "/comandos"}, {"comando-feito", "/comandos/" + status}, {"comando-log", "/comandos/" + log},
		{"comando-texto", "/comandos/" + read}, {"comando-incerto", "/comandos/" + block}, {"comando-aberto", "/comandos/" + open}, {"ordens", "/ordens"},
		{"ordem", "/ordens/" + api.Thousands(int(many))}, {"ordem-nova", "/ordens/nova"}, {"ordem-contada", "/ordens/nova?comando=update-software"},
		{"logs", "/equipamentos/900000002/logs"}, {"logs-nada", "/equipamentos/900000002/logs?q=xyz"},
		{"comando-rede", "/caixas/" + market + "/comandos/network?equipamento=900000002"},
		{"comando-codigo", "/caixas/" + market + "/comandos/change-code?equipamento=900000002"}}
}

func TestCommandPages(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	b.signIn(c)
	pages := c.commanded()
	for _, p := range pages {
		b.visit(c.server.URL+p[1], p[0]+"")
	}
	b.run(chromedp.Navigate(c.server.URL + "/caixas/" + market + "/comandos/network?equipamento=900000002"))
	asked := `[...document.querySelectorAll("form.fields [name^=dado-]")].filter(e => e.checkVisibility()).map(e => e.name).join(" ")`
	for _, one := range []struct{ choose, want string }{{"", "dado-interface dado-mode dado-proxy"}, {"IPFIX", "dado-interface dado-mode dado-ip dado-mask dado-gateway dado-dns1 dado-dns2 dado-proxy"}} {
		if one.choose != "" {
			b.run(chromedp.Evaluate[chromedp.Void](`(e => { e.value = "` + one.choose + `"; e.dispatchEvent(new Event("change")) })(document.querySelector("[name=dado-mode]"))`))
		}
		if got := ask(b, chromedp.Evaluate[string](asked)); got != one.want {
			t.Errorf("with %q it asks for %s", one.choose, got)
		}
	}
}

// TestCommandWithoutJavaScript: read a log, search it, block with confirmation.
func TestCommandWithoutJavaScript(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	c.takesCommands(bakery)
	b.signIn(c)
	b.run(chromedp.Navigate(c.server.URL + "/caixas/" + bakery + "/comandos"))
	if text := b.text("main"); !strings.Contains(text, "1 outro não se aplica agora") {
		t.Errorf("the device is not blocked, and: %s", text)
	}
	b.follow("form:has([value=device-logs]) button")
	id := strings.TrimPrefix(ask(b, chromedp.Location()), c.server.URL+"/comandos/")
	if text := b.text("main"); !strings.Contains(text, "Na fila") || len(id) != 32 {
		t.Fatalf("%q: %s", id, text)
	}
	body := sha256.Sum256([]byte(deviceLog))
	c.answer(bakery, id, wire.Report{Part: &wire.Part{Body: body, Data: []byte(deviceLog)}}, wire.Report{State: wire.CommandDone, Text: "O log veio inteiro.",
		Result: &wire.Result{Name: "log.txt", Type: "text/plain", Size: int64(len(deviceLog)), Parts: 1, Body: body}})
	b.run(chromedp.Navigate(c.server.URL+"/equipamentos/900000001/logs"), fill("[name=q]", "sefaz"))
	b.follow("main button")
	if text := b.text("ul.rows"); !strings.Contains(text, "Falha ao resolver") || strings.Contains(text, "ligado") {
		t.Errorf("found %s", text)
	}
	b.run(chromedp.Navigate(c.server.URL+"/caixas/"+bakery+"/comandos/change-code?equipamento=900000001"),
		fill("[name=dado-new]", "novo-código-1"), fill("[name=confirma]", "sim"))
	b.follow("main button")
	if text := b.text("main"); !strings.Contains(text, "não está na forma esperada") || strings.Contains(text, "novo-código") {
		t.Errorf("a code that no device takes: %s", text)
	}
	b.run(fill("[name=dado-new]", "novo-codigo-1"), fill("[name=confirma]", "900000001"))
	b.follow("main button")
	if text := b.text("main"); !strings.Contains(text, "Trocar código de ativação") || strings.Contains(text, "novo-codigo") {
		t.Errorf("after sending a code: %s", text)
	}
	if strings.Contains(c.log.String(), "novo-codigo") || strings.Contains(strings.Join(c.audit(), "\n"), "novo-codigo") {
		t.Error("a code is in the log or in the audit")
	}
}

// TestCancelPages: what has not begun is cancelled by a button, and the page says what
// became of that.
func TestCancelPages(t *testing.T) {
	c := newCity(t)
	c.takesCommands(market)
	v := c.person(t)
	has := func(path string, want map[string]bool) {
		t.Helper()
		body := v.get(path).body
		for text, there := range want {
			if strings.Contains(body, text) != there {
				t.Errorf("%s shows %q: %v\n%s", path, text, !there, body)
			}
		}
	}
	const button, late = "Cancelar o comando", "já começou, não pode ser cancelado"
	queued := c.give(api.NewCommand{Till: market, Name: wire.CommandRestart})
	waits := c.give(api.NewCommand{Till: market, Name: wire.CommandRestart})
	begun := c.give(api.NewCommand{Till: market, Name: wire.CommandRestart})
	c.answer(market, waits, wire.Report{State: wire.CommandWaiting, Text: "Espera."})
	c.answer(market, begun, wire.Report{State: wire.CommandWaiting})
	for _, id := range []string{queued, waits, begun} {
		has("/comandos/"+id, map[string]bool{button: true})
		if a := v.post("/comandos/"+id+"/cancelar", nil); a.status != http.StatusSeeOther || a.header.Get("Location") != "/comandos/"+id {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	has("/comandos/"+queued, map[string]bool{button: false, "Cancelado por ana@exemplo.com.br.": true, "não confirmou": false})
	has("/comandos/"+waits, map[string]bool{button: false, "Cancelado por ana@exemplo.com.br. O caixa ainda não confirmou.": true})
	has("/caixas/"+market+"/comandos", map[string]bool{"Cancelado por ana@exemplo.com.br. O caixa ainda não confirmou.": true})
	c.answer(market, waits, wire.Report{State: wire.CommandWaiting, Text: "Espera."},
		wire.Report{State: wire.CommandRefused, Reason: wire.RefusedCancelled, Text: "Cancelado antes de começar."})
	c.answer(market, begun, wire.Report{State: wire.CommandWaiting}, wire.Report{State: wire.CommandRunning, Text: "O agente reinicia."})
	has("/comandos/"+waits, map[string]bool{"Cancelado antes de começar.": true, "Cancelado por ana@exemplo.com.br.": true, "não confirmou": false})
	has("/comandos/"+begun, map[string]bool{button: false, "ana@exemplo.com.br. O comando " + late: true})
	if a := v.post("/comandos/"+begun+"/cancelar", nil); a.status == http.StatusSeeOther || !strings.Contains(a.body, late) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
