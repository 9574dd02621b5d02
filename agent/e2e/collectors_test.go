//go:build linux

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
)

// cloud is two collectors, each a process, on one PostgreSQL database, behind one
// Mosquitto.
type cloud struct {
	*shop
	broker string // host:port
	diary  *diary
	first  *exec.Cmd
	token  string
	enrols string // host:port
	pool   *x509.CertPool
}

// diary is what a process writes, for tests that look into it.
type diary struct{ path string }

func (d *diary) file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (d *diary) count(t *testing.T, text string) int {
	t.Helper()
	raw, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(raw, []byte(text))
}

// postgres starts a server for one test and returns the address of its database.
func (s *shop) postgres() string {
	t := s.t
	t.Helper()
	tools, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(tools) == 0 {
		t.Skip("SKIP: PostgreSQL is not installed (apt-get install postgresql)")
	}
	folder, err := os.MkdirTemp("", "zelo-pg-") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	run := []string{"setpriv", "--pdeathsig", "KILL"}
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		run = append(run, "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups")
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(folder, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	program := func(name string, args ...string) *exec.Cmd {
		all := append(append(run[:len(run):len(run)], "--", filepath.Join(tools[len(tools)-1], name)), args...)
		cmd := exec.Command(all[0], all[1:]...)
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "LC_ALL=C")
		return cmd
	}
	data := filepath.Join(folder, "data")
	s.must(program("initdb", "-D", data, "-U", "zelo", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"))
	server := program("postgres", "-D", data, "-c", "unix_socket_directories="+folder, "-c", "listen_addresses=", "-c", "shared_buffers=32MB")
	s.start(server)
	t.Cleanup(func() { // killed, it would leave what it shares with its processes behind
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	s.until("PostgreSQL", func() bool {
		conn, err := net.Dial("unix", filepath.Join(folder, ".s.PGSQL.5432"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return "postgres://zelo@/postgres?" + url.Values{"host": {folder}}.Encode()
}

// openCloud starts everything as docs/coletor-broker.md says.
func openCloud(t *testing.T) *cloud {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("SKIP: mosquitto is not installed (apt-get install mosquitto)")
		}
	}
	c := newCloud(t)
	c.diary = &diary{c.path("mosquitto.log")}
	database := c.postgres()
	c.collector("init", "-paginas", freePort(t), "-cadastro", c.enrols, "-mqtt", freePort(t), "-nome", "127.0.0.1", "-email", "loja@exemplo.com.br")
	c.change("coletor/coletor.toml", "banco = ''", fmt.Sprintf("banco = %q", database))
	c.change("coletor/coletor.toml", "broker_externo = ''", fmt.Sprintf("broker_externo = %q", "tls://"+c.broker))
	c.change("coletor/coletor.toml", "broker_usuario = 'coletor'", "broker_usuario = 'coletor-1'")
	c.first = c.serve("coletor")
	c.until("the broker's certificate", func() bool { _, err := os.Stat(c.path("coletor/broker-externo/servidor.pem")); return err == nil })
	c.until("the first collector", func() bool { return listens(c.enrols) })
	if err := os.CopyFS(c.path("coletor-2"), os.DirFS(c.path("coletor"))); err != nil {
		t.Fatal(err)
	}
	c.change("coletor-2/coletor.toml", "'coletor-1'", "'coletor-2'")
	c.change("coletor-2/coletor.toml", fmt.Sprintf("cadastro = '%s'", c.enrols), fmt.Sprintf("cadastro = '%s'", freePort(t)))
	pages := valueOf(t, c.path("coletor/coletor.toml"), "paginas")
	c.change("coletor-2/coletor.toml", pages, freePort(t))

	manual, err := os.ReadFile(filepath.Join(root, "docs/coletor-broker.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		_, rest, _ := strings.Cut(string(manual), "```"+kind+"\n")
		text, _, _ := strings.Cut(rest, "```")
		return strings.ReplaceAll(text, "\n   ", "\n")
	}
	_, port, _ := net.SplitHostPort(c.broker)
	c.write("mosquitto.conf", "user root\nlog_dest stderr\nlog_type all\n"+strings.NewReplacer("/etc/mosquitto/zelo/acl", c.path("acl"),
		"/etc/mosquitto/zelo/ca.crt", c.path("coletor/ca.crt"), "/etc/mosquitto/zelo/servidor.pem", c.path("coletor/broker-externo/servidor.pem"),
		"listener 8883", "listener "+port+" 127.0.0.1").Replace(strings.TrimLeft(block("conf"), " ")))
	_, patterns, _ := strings.Cut(block("acl"), "\n\n")
	group := strings.TrimLeft(block("grupo"), " ")
	c.write("acl", group+"\n"+strings.ReplaceAll(group, "coletor-1", "coletor-2")+"\n"+patterns)
	broker := exec.Command(program, "-c", c.path("mosquitto.conf"))
	broker.Stderr = c.diary.file(t)
	c.start(broker)
	c.serve("coletor-2")
	for _, name := range []string{"coletor-1", "coletor-2"} {
		c.until(name+" to be at the broker", func() bool { return c.diary.count(t, "Sending SUBACK to "+name) > 0 })
	}
	c.admit()
	return c
}

func newCloud(t *testing.T) *cloud {
	return &cloud{shop: newShop(t), broker: freePort(t), enrols: freePort(t), pool: x509.NewCertPool()}
}

// admit readies the cloud for tills to enrol.
func (c *cloud) admit() {
	c.t.Helper()
	ca, err := os.ReadFile(c.path("coletor/ca.crt"))
	if err != nil || !c.pool.AppendCertsFromPEM(ca) {
		c.t.Fatal(err)
	}
	words := strings.Fields(c.collector("enrol", "-caixas", "20"))
	c.token, _, _ = strings.Cut(words[len(words)-1], ".")
}

func (c *cloud) serve(folder string) *exec.Cmd {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, "zelo-collector"), "serve", "-pasta", c.path(folder))
	log := &diary{c.path(folder + ".log")}
	cmd.Stderr = log.file(c.t)
	c.start(cmd)
	c.t.Cleanup(func() {
		if raw, err := os.ReadFile(log.path); err == nil && c.t.Failed() {
			c.t.Logf("%s:\n%s", folder, raw)
		}
	})
	return cmd
}

func listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// valueOf reads a text of a configuration file.
func valueOf(t *testing.T, path, key string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	_, rest, ok := strings.Cut(string(raw), "\n"+key+" = '")
	if err != nil || !ok {
		t.Fatalf("no %s in %s: %v", key, path, err)
	}
	text, _, _ := strings.Cut(rest, "'")
	return text
}

// cloudTill is a till with the agent's buffer and uplink, without the rest.
type cloudTill struct {
	t      *testing.T
	serial string
	codec  *wire.Codec
	buffer *buffer.Buffer
	signer *cfe.Signer
	sold   map[string][]byte
}

// till enrols a till and lets it connect.
func (c *cloud) till(n int, signer *cfe.Signer) *cloudTill {
	t := c.t
	t.Helper()
	agent, pair := c.enrolled(n)
	out := &cloudTill{t: t, serial: fmt.Sprintf("%09d", 900_000_001+n), signer: signer, sold: map[string][]byte{}}
	var err error
	if out.codec, err = wire.NewCodec(); err != nil {
		t.Fatal(err)
	}
	streams := []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus}
	out.buffer, _, err = buffer.Open(c.path(fmt.Sprintf("caixa-%d", n)), buffer.Options{MaxBytes: 64 << 20, Log: slog.New(slog.DiscardHandler),
		Streams: []buffer.Stream{{Name: streams[0]}, {Name: streams[1]}, {Name: streams[2], Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	u := uplink.New(uplink.Options{Buffer: out.buffer, Codec: out.codec, Log: slog.New(slog.DiscardHandler), Now: time.Now, Streams: streams,
		Transport: uplink.MQTT{Broker: "tls://" + c.broker, Agent: agent, TLS: &tls.Config{RootCAs: c.pool, Certificates: []tls.Certificate{pair}}},
		Beat:      func() wire.Beat { return wire.Beat{Software: "test", Clock: time.Now().UnixMilli()} }})
	done := make(chan struct{})
	go func() { u.Run(t.Context()); close(done) }()
	t.Cleanup(func() { <-done; out.buffer.Close(); out.codec.Close() })
	return out
}

func (c *cloud) enrolled(n int) (agent string, pair tls.Certificate) {
	t := c.t
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]string{"secret": c.token, "host": fmt.Sprintf("caixa-%d", n),
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.pool}}}
	defer client.CloseIdleConnections()
	resp, err := client.Post("https://"+c.enrols+"/enrol", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply struct{ Agent, Certificate, Error string }
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(reply.Certificate))
	if block == nil {
		t.Fatalf("not enrolled: %s %s", resp.Status, reply.Error)
	}
	return reply.Agent, tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
}

// issue makes a document of the till.
func (c *cloudTill) issue(number int) (cfe.Issued, error) {
	in, err := cfe.ParseSale([]byte(sattest.SaleXML("10.00", "")))
	if err != nil {
		return cfe.Issued{}, err
	}
	return cfe.Issue(in, cfe.Emitter{UF: 35, CNPJ: "08723218000186", Name: "LOJA DE TESTE", Street: "RUA DAS PALMEIRAS", Number: "73",
		District: "CENTRO", City: "SAO PAULO", CEP: "01001000", IE: "562377111111", Regime: 3}, cfe.Stamp{Layout: "0.08", Serial: c.serial,
		Number: number, Random: number, Issued: time.Now(), Environment: 2, Software: "010000"}, c.signer)
}

// queue puts documents in their place in the outgoing stream, with one commit.
func (c *cloudTill) queue(docs ...cfe.Issued) error {
	b := &buffer.Batch{}
	for _, doc := range docs {
		item, err := c.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindDocument, Serial: c.serial, Till: "001", At: time.Now().UnixMilli(), Body: doc.XML})
		if err != nil {
			return err
		}
		b.Append(wire.StreamDocuments, item)
		c.sold[string(doc.Key)] = doc.XML
	}
	_, err := c.buffer.Commit(b)
	return err
}

// sell issues n documents, many with one commit.
func (c *cloudTill) sell(n int) error {
	for n > 0 {
		docs := make([]cfe.Issued, min(n, 50))
		for i := range docs {
			var err error
			if docs[i], err = c.issue(len(c.sold) + i + 1); err != nil {
				return err
			}
		}
		if err := c.queue(docs...); err != nil {
			return err
		}
		n -= len(docs)
	}
	return nil
}

// sellChanged issues one document and sends it as something else made of it.
func (c *cloudTill) sellChanged(change func(xml []byte) []byte) {
	c.t.Helper()
	doc, err := c.issue(len(c.sold) + 1)
	if err == nil {
		doc.XML = change(doc.XML)
		err = c.queue(doc)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cloudTill) waiting() (n int) {
	for _, s := range c.buffer.Stats().Streams {
		if s.Name == wire.StreamDocuments {
			n += s.Waiting
		}
	}
	return n
}

// noise is a text that does not pack.
func noise(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[mrand.IntN(64)]
	}
	return string(out)
}

// TestTwoCollectors: they share the work of one broker; one is killed in the middle,
// as by a power cut, and every document is in the database once, byte for byte, also
// the one that comes in parts; alarms are judged by the one that is left.
func TestTwoCollectors(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	const tills, sales = 8, 60
	all := c.tills(0, tills)
	drained := func() bool { return all.waiting() == 0 }
	for range sales / 6 {
		all.sell(t, 2)
		<-time.After(50 * time.Millisecond)
	}
	all[0].sellChanged(func(xml []byte) []byte { return append(xml, "<!--"+noise(900<<10)+"-->"...) })
	c.until("half of the sales to be taken", drained)
	for i := range sales / 3 {
		all.sell(t, 2)
		if i == sales/6 {
			c.stop(os.Kill)
		}
		<-time.After(20 * time.Millisecond)
	}
	killed := time.Now()
	c.until("the other half to be taken", drained)
	t.Logf("everything taken %v after one of the collectors was killed", time.Since(killed).Round(time.Millisecond))
	all[1].sellChanged(func(xml []byte) []byte { return bytes.Replace(xml, []byte("LOJA"), []byte("L0JA"), 1) })
	since := time.Now()
	c.until("the survivor to judge", func() bool { return strings.Contains(c.collector("alarms"), all[1].serial) })
	t.Logf("alarm %v after its document", time.Since(since).Round(time.Millisecond))

	for _, name := range []string{"coletor-1", "coletor-2"} {
		if n := c.diary.count(t, "Sending PUBLISH to "+name); n < tills {
			t.Errorf("%s had %d messages: the work was not shared", name, n)
		}
	}
	c.same(all)
}
