//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/sattest"
)

// The other doors of an agent: tills on other computers, the local page, SATHub.

// freePort is an address that nobody listens at now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// configure adds lines to the agent's configuration.
func (c *counter) configure(lines string) {
	c.t.Helper()
	old, err := os.ReadFile(c.path("agent.toml"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("agent.toml", strings.Replace(string(old), "pagina = \"\"\n", "", 1)+lines)
}

func TestTillOnAnotherComputer(t *testing.T) {
	c := openCounter(t)
	at, key := freePort(t), strings.Repeat("0123456789abcdef", 4)
	c.configure(fmt.Sprintf("pagina = \"\"\nterminais = %q\nchave_terminais = %q\n", at, key))
	c.startAgent()
	c.until("the device", c.answering)
	ini := "agente = %s\nchave = %s\ncaixa = 002\nprazo.ConsultarSAT = 5\n"
	c.write("sat.ini", fmt.Sprintf(ini, at, key))
	c.openPOS()
	sold := []string{c.sell(1), c.sell(2)}

	for name, other := range map[string]string{"another key": strings.Repeat("f", 64), "no key": ""} {
		c.write("sat.ini", fmt.Sprintf(ini, at, other))
		cmd := exec.Command("python3", "-c", "import ctypes,sys\nl=ctypes.CDLL(sys.argv[1])\nl.ConsultarSAT.restype=ctypes.c_char_p\nprint(l.ConsultarSAT(7).decode())",
			filepath.Join(c.bin, "libsat.so"))
		cmd.Env = append(os.Environ(), "ZELO_INI="+c.path("sat.ini"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "000007|08099|") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	c.check(sold)
}

func TestPageAndHub(t *testing.T) {
	c := openCounter(t)
	at := freePort(t)
	c.configure(fmt.Sprintf("pagina = %q\nsathub = true\n", at))
	c.startAgent()
	c.until("the device", c.answering)
	if out, err := c.cli("12345678\n", "code"); err != nil {
		t.Fatal(out)
	}
	get := func(path string) string {
		t.Helper()
		r, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, r.Status, err)
		}
		return string(b)
	}
	r, err := http.PostForm("http://"+at+"/hub/v1/enviardadosvenda", url.Values{"numero_caixa": {"3"}, "dados_venda": {sattest.SaleXML("2.00", "")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Funcao, Retorno string }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	reply, err := sat.ParseReply(sat.EnviarDadosVenda, []byte(answer.Retorno))
	if err != nil || reply.Code != 6000 {
		t.Fatalf("the hub answers %+v: %v", answer, err)
	}
	d, err := reply.Document()
	if err != nil {
		t.Fatal(err)
	}
	c.until("the page to show the sale", func() bool { return strings.Contains(get("/situacao.json"), d.Key) })
	if page := get("/"); !strings.Contains(page, "Como está este caixa") || !strings.Contains(page, "900000001") {
		t.Errorf("the page is %s", page)
	}
	c.check([]string{d.Key})
}
