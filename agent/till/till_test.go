package till

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"zelo/sat"
)

// desk is the page of a till whose state the test changes.
type desk struct {
	t     *testing.T
	h     http.Handler
	log   bytes.Buffer
	state State
	test  func(context.Context) error
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, state: fine(), test: func(context.Context) error { return nil }}
	h, err := New(Options{State: func() State { return d.state }, Now: noon, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
		Test: func(ctx context.Context) error { return d.test(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	d.h = h
	return d
}

// send makes a request to localhost; headers come in pairs.
func (d *desk) send(method, path string, headers ...string) *http.Response {
	d.t.Helper()
	r := httptest.NewRequest(method, "http://localhost:8060"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w.Result()
}

func (d *desk) body(resp *http.Response) string {
	d.t.Helper()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(raw)
}

func TestOnlyLoopbackHosts(t *testing.T) {
	d := newDesk(t)
	for host, allowed := range map[string]bool{
		"localhost": true, "localhost:8060": true, "LOCALHOST:8060": true, "127.0.0.1": true, "127.0.0.1:8060": true, "127.1.2.3:80": true,
		"[::1]": true, "[::1]:8060": true, "[::ffff:127.0.0.1]:8060": true,
		"": false, "loja.com.br": false, "localhost.loja.com.br": false, "127.0.0.1.loja.com.br:8060": false, "192.168.0.10:8060": false,
		"0.0.0.0:8060": false, "[::]:8060": false, "2130706433": false, "127.1": false, "caixa-01:8060": false, "localhost@loja.com.br": false,
	} {
		for _, path := range []string{"/", "/situacao.json", "/static/till.css", "/nada"} {
			resp := d.send(http.MethodGet, path, "Host", host)
			if refused := resp.StatusCode == http.StatusMisdirectedRequest; refused == allowed {
				t.Errorf("host %q, %s: status %d", host, path, resp.StatusCode)
			}
			if !allowed && strings.Contains(d.body(resp), "nuvem") {
				t.Errorf("host %q learns from %s", host, path)
			}
		}
	}
}

// An agent that was told an address of its network answers to that name too, and
// to no other.
func TestHostThatWasTold(t *testing.T) {
	h, err := New(Options{State: fine, Now: noon, Log: slog.New(slog.DiscardHandler), Host: "192.168.0.10"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"192.168.0.10:9018": http.StatusOK, "localhost:9018": http.StatusOK,
		"192.168.0.11:9018": http.StatusMisdirectedRequest, "loja.com.br": http.StatusMisdirectedRequest} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/", nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestPostsOfOtherSitesAreRefused(t *testing.T) {
	d := newDesk(t)
	tests := 0
	d.test = func(context.Context) error { tests++; return nil }
	for _, headers := range [][]string{
		{"Origin", "https://loja.com.br"}, {"Origin", "null"}, {"Origin", "http://localhost:3000"}, {"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"},
	} {
		if resp := d.send(http.MethodPost, "/testar", headers...); resp.StatusCode != http.StatusForbidden || tests != 0 {
			t.Errorf("%v: status %d, %d tests made", headers, resp.StatusCode, tests)
		}
	}
	for _, headers := range [][]string{{"Origin", "http://localhost:8060", "Sec-Fetch-Site", "same-origin"}, {"Origin", "http://localhost:8060"}, nil} {
		tests = 0
		if resp := d.send(http.MethodPost, "/testar", headers...); resp.StatusCode != http.StatusOK || tests != 1 {
			t.Errorf("%v: status %d, %d tests made", headers, resp.StatusCode, tests)
		}
	}
	if resp := d.send(http.MethodGet, "/testar"); resp.StatusCode == http.StatusOK {
		t.Error("a link can start a test")
	}
}

// The same holds for the hub, whose calls are worth more.
func TestHubRefusesOtherSites(t *testing.T) {
	c := &counter{t: t}
	for _, headers := range [][2]string{{"Origin", "https://loja.com.br"}, {"Sec-Fetch-Site", "cross-site"}, {"Host", "loja.com.br"}} {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8060/hub/v1/bloquearsat", strings.NewReader("numero_caixa=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(headers[0], headers[1])
		if headers[0] == "Host" {
			r.Host = headers[1]
		}
		w := httptest.NewRecorder()
		if c.handler().ServeHTTP(w, r); w.Code != http.StatusForbidden && w.Code != http.StatusMisdirectedRequest || len(c.calls) > 0 {
			t.Errorf("%v: status %d, %d calls", headers, w.Code, len(c.calls))
		}
	}
}

func TestWhoMayReadTheSituation(t *testing.T) {
	d := newDesk(t)
	for origin, allowed := range map[string]bool{
		"": true, "http://localhost:3000": true, "https://127.0.0.1": true, "http://[::1]:8060": true,
		"null": false, "https://loja.com.br": false, "http://localhost.loja.com.br": false, "http://192.168.0.10": false, "file://localhost": false, "http://": false,
	} {
		var headers []string
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		resp := d.send(http.MethodGet, "/situacao.json", headers...)
		if got := resp.StatusCode == http.StatusOK; got != allowed {
			t.Errorf("origin %q: status %d", origin, resp.StatusCode)
		}
		want := origin
		if !allowed {
			want = ""
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %q is allowed %q", origin, got)
		}
		if resp.Header.Get("Vary") != "Origin" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("origin %q: headers %v", origin, resp.Header)
		}
	}
}

func TestHeaders(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/", "/situacao.json", "/static/till.css", "/nada"} {
		h := d.send(http.MethodGet, path).Header
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	css := d.send(http.MethodGet, "/static/till.css")
	if again := d.send(http.MethodGet, "/static/till.css", "If-None-Match", css.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("an unchanged style sheet is sent again: %d", again.StatusCode)
	}
	if resp := d.send(http.MethodGet, "/static/nada.css"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", resp.StatusCode)
	}
}

func TestPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*State)
		want   []string
		not    []string
	}{
		{"all is well", func(*State) {}, []string{"Tudo salvo na nuvem até 14:01.", "Em ordem", "<dd>1.234</dd>", "<dd>0</dd>", "<dd>14:01</dd>",
			"Elgin Linker II · nº 900000001", "respondendo desde 09:02", "desbloqueado", "vence 01/03/2028, em 466 dias", "25 %", "13:50",
			"R$ 1.234,50", "3526 1108 7232", "Testar agora", `content="30; url=/"`}, []string{"Também", "Crítico"}},
		{"much is wrong", func(s *State) {
			s.Device.Answering, s.Device.Status.State, s.Cloud.Connected = false, sat.StateBlockedContribuinte, false
			s.Device.Status.PendingFirst = lastKey
		}, []string{"O SAT não responde desde 09:02.", "Também", "bloqueado a pedido do contribuinte", "Sem internet há 5 h", "sem resposta desde 09:02",
			"há cupons pendentes de envio à SEFAZ"}, []string{"Em ordem"}},
		{"new till", func(s *State) { *s = fresh() }, []string{"Nenhum SAT está configurado", "nenhum configurado", "ligado à nuvem", "zelo-agent enrol",
			"Nenhuma venda passou por este caixa ainda.", "<dd>–</dd>"}, []string{"Testar agora", "Certificado", "0001"}},
		{"device never found", func(s *State) { *s = fresh(); s.Device.Address = "serial:COM3" },
			[]string{"ainda não foi encontrado em serial:COM3", "procurado em serial:COM3", "Testar agora"}, nil},
		{"code unknown", func(s *State) {
			s.Device.CodeKnown, s.Device.Status, s.Device.StatusAt = false, sat.Status{}, time.Time{}
		}, []string{"Aviso", "código de ativação do SAT ainda não é conhecido"}, nil},
		{"odd status", func(s *State) {
			s.Device.Status = sat.Status{State: sat.StateUnknown, LAN: "NAO_CONECTADO", MemoryUsed: sat.Size{Text: "260"}, MemoryTotal: sat.Size{Text: "4 GB"}}
		}, []string{"estado desconhecido", "nao conectado", "260 de 4 GB"}, nil},
		{"certificate of the device over", func(s *State) { s.Device.Status.CertExpires = noon().AddDate(0, 0, -1) },
			[]string{"<dd>venceu 20/11/2026, há 1 dia</dd>"}, nil},
		{"certificate of the device unknown", func(s *State) { s.Device.Status.CertExpires = time.Time{} }, []string{"<dt>Certificado</dt><dd>–</dd>"}, nil},
		{"a cancellation", func(s *State) { s.Sale.Cancellation = true }, []string{"<dt>Cancelamento</dt>"}, []string{"<dt>Emissão</dt>"}},
		{"names that are markup", func(s *State) { s.Name, s.Device.Info.Name = "<script>x</script>", "<b>" }, []string{"&lt;script&gt;"}, []string{"<script"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			c.change(&d.state)
			resp := d.send(http.MethodGet, "/")
			page := d.body(resp)
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
				t.Fatalf("status %d: %s", resp.StatusCode, page)
			}
			for _, w := range c.want {
				if !strings.Contains(page, w) {
					t.Errorf("%q is not on the page", w)
				}
			}
			for _, w := range c.not {
				if strings.Contains(page, w) {
					t.Errorf("%q is on the page", w)
				}
			}
			if t.Failed() {
				t.Log(page)
			}
		})
	}
}

func TestTestNow(t *testing.T) {
	d := newDesk(t)
	var deadline bool
	d.test = func(ctx context.Context) error { _, deadline = ctx.Deadline(); return nil }
	if page := d.body(d.send(http.MethodPost, "/testar")); !strings.Contains(page, "O SAT respondeu ao teste das 14:02:00.") || !deadline {
		t.Errorf("deadline %v, page %s", deadline, page)
	}
	d.test = func(context.Context) error { return errors.New("porta secreta fechada") }
	page := d.body(d.send(http.MethodPost, "/testar"))
	if !strings.Contains(page, "O SAT não confirmou o teste das 14:02:00.") || strings.Contains(page, "secreta") || !strings.Contains(d.log.String(), "secreta") {
		t.Errorf("the error is told where it should not be, or not told: %s%s", page, d.log.String())
	}
	d.test = func(context.Context) error {
		if page := d.body(d.send(http.MethodPost, "/testar")); !strings.Contains(page, "já está em andamento") {
			t.Errorf("a second test beside the first: %s", page)
		}
		return nil
	}
	d.send(http.MethodPost, "/testar")
}

// situations are the documented answers; a POS program reads them for years.
func TestSituation(t *testing.T) {
	for name, change := range map[string]func(*State){
		"em-ordem": func(*State) {},
		"parado": func(s *State) {
			s.Device.InDoubt, s.Device.DoubtSince = 1, noon().Add(-time.Minute)
			s.Device.Status.State, s.Device.Status.CertExpires = sat.StateBlockedAutonomous, noon().AddDate(0, 0, 20)
			s.Cloud.Connected, s.Cloud.Waiting = false, 212
			s.Certificates = []Certificate{{"PADARIA SÃO JOÃO 🥖 LTDA", noon().AddDate(0, 0, -1)}}
		},
		"novo": func(s *State) { *s = fresh() },
		"dois": func(s *State) {
			*s = pair()
			silence(&s.Device, noon().Add(-22*time.Minute))
			s.Others = append(s.Others, goneDevice("900000009", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			change(&d.state)
			resp := d.send(http.MethodGet, "/situacao.json")
			raw := d.body(resp)
			if strings.ContainsFunc(raw, func(r rune) bool { return r >= 0x80 }) || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("not ASCII JSON: %v %s", resp.Header, raw)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, []byte(raw), "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			want, err := os.ReadFile("testdata/situacao-" + name + ".json")
			if err != nil || !bytes.Equal(got.Bytes(), bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
				t.Errorf("%v; the answer is now\n%s", err, got.Bytes())
			}
		})
	}
}

// People at the till see who has what done from afar.
func TestRemoteCommandsAreShown(t *testing.T) {
	d := newDesk(t)
	d.state.Commands = []Command{
		{Title: "Ler log do equipamento", By: "Ana Souza, Revenda X", Serial: "900000001", Text: "Espera que o caixa fique 2 minutos sem vender.", At: noon()},
		{Title: "Bloquear", By: "Rui <b>", Text: "O equipamento recusou: 16004.", At: noon(), Ended: true, Failed: true},
	}
	page := d.body(d.send("GET", "/"))
	for _, part := range []string{"Suporte à distância", "Ana Souza, Revenda X", "SAT 900000001", "2 minutos sem vender", "Em andamento", "Rui &lt;b&gt;", "Sem sucesso"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	var s situation
	if err := json.Unmarshal([]byte(d.body(d.send("GET", "/situacao.json"))), &s); err != nil || len(s.Commands) != 2 ||
		s.Commands[0].Ended || !s.Commands[1].Ended || *s.Commands[0].Serial != "900000001" || s.Commands[1].Serial != nil {
		t.Errorf("%+v, %v", s.Commands, err)
	}
}
