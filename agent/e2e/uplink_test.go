//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"zelo/sat/sattest"
)

// A shop whose network lets nothing out but its proxy, and the proxy nothing but one
// port: the coupon goes to the collector by WebSocket.
func TestOnlyTheProxyLeadsOut(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	web := freePort(t)
	s.collector("init", "-paginas", freePort(t), "-cadastro", freePort(t), "-mqtt", freePort(t), "-email", "loja@exemplo.com.br")
	s.change("coletor/coletor.toml", "mqtt_web = ''", fmt.Sprintf("mqtt_web = %q", web))
	s.startCollector()
	p := openProxy(t, "loja", "senha-do-proxy", web)
	s.sat = s.openDevice("simulador", "-pty", "-link", s.path("porta"))
	config := fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"serial:%s\"]\nbuffer_mb = 64\npagina = \"\"\n",
		s.path("caixa"), s.path("sat.sock"), s.path("porta"))
	s.write("agent.toml", config)
	s.enrol(func(args ...string) (string, error) { return s.cli("", args...) }) // elsewhere: this proxy leads to one port
	s.write("agent.toml", config+fmt.Sprintf("proxy = \"http://loja:senha-do-proxy@%s\"\n", p.addr))
	s.startAgent()
	s.until("the device", s.answering)
	if out, err := s.cli("12345678\n", "code"); err != nil {
		t.Fatalf("the code: %v, %s", err, out)
	}
	s.write("venda.xml", sattest.SaleXML("10.00", ""))
	if out, err := s.cli("", "call", "EnviarDadosVenda", "@"+s.path("venda.xml")); err != nil || !strings.Contains(out, "|06000|") {
		t.Fatalf("the sale: %v, %s", err, out)
	}
	s.until("the coupon to be at the collector", func() bool {
		out, err := s.cli("", "status", "-json")
		var st agentStatus
		return err == nil && json.Unmarshal([]byte(out), &st) == nil && st.settled()
	})

	files, issued := s.export(), s.sat.issued()
	if len(files) != 1 || len(issued) != 1 {
		t.Errorf("%d documents issued, %d at the collector", len(issued), len(files))
	}
	for key, xml := range issued {
		if !bytes.Equal(files["AD"+key+".xml"], xml) {
			t.Errorf("document %s is missing at the collector, or differs", key)
		}
	}
	carried, refused := p.seen()
	if carried != 1 || refused == 0 {
		t.Errorf("the proxy carried %d connections and refused %d", carried, refused)
	}
	s.kill()
	if log := s.agent.Stderr.(*bytes.Buffer).String(); strings.Contains(log, "senha-do-proxy") {
		t.Error("the agent's log shows the proxy's password")
	}
}

// change puts one text in the place of another in a file.
func (s *shop) change(name, old, text string) {
	s.t.Helper()
	raw, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		s.t.Fatalf("%s has no %q:\n%s", name, old, raw)
	}
	if err := os.WriteFile(s.path(name), []byte(strings.Replace(string(raw), old, text, 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// proxy is a shop's HTTP proxy: it makes tunnels to one address for one user.
type proxy struct {
	addr string

	mu               sync.Mutex
	carried, refused int
}

func openProxy(t *testing.T, user, password, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		u, pass, _ := login.BasicAuth()
		allowed := r.Method == http.MethodConnect && u == user && pass == password && r.Host == to
		p.mu.Lock()
		if allowed {
			p.carried++
		} else {
			p.refused++
		}
		p.mu.Unlock()
		if !allowed {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		tunnel(w, to)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return p
}

func (p *proxy) seen() (carried, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carried, p.refused
}

// tunnel joins a client with an address until either ends.
func tunnel(w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	fmt.Fprint(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	var up sync.WaitGroup
	up.Go(func() {
		bufio.NewReader(in).WriteTo(out)
		out.Close()
	})
	bufio.NewReader(out).WriteTo(in)
	in.Close()
	up.Wait()
}
