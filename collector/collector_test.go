package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// runs carries a command out and returns what it printed.
func runs(t *testing.T, args ...string) (out string) {
	t.Helper()
	var o, e bytes.Buffer
	if err := dispatch(t.Context(), console{&o, &e}, args); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &e)
	}
	return o.String()
}

// fails wants a command to fail with a text that holds all words.
func fails(t *testing.T, words []string, args ...string) {
	t.Helper()
	var o, e bytes.Buffer
	err := dispatch(t.Context(), console{&o, &e}, args)
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error()+e.String(), w) {
			t.Errorf("%s: %v; %q is missing", strings.Join(args, " "), err, w)
		}
	}
}

func last(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// fresh makes a collector with nothing in it.
func fresh(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "coletor")
	runs(t, "init", "-pasta", folder, "-email", "ana@exemplo.com.br")
	return folder
}

// started makes a collector on free ports and serves it until the test ends; change
// may alter its configuration.
func started(t *testing.T, change func(*Config)) (folder, link string, at listening) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "coletor")
	out := runs(t, "init", "-pasta", folder, "-email", "ana@exemplo.com.br", "-paginas", "127.0.0.1:0", "-cadastro", "127.0.0.1:0", "-mqtt", "127.0.0.1:0")
	return folder, last(out), serves(t, folder, change)
}

// serves serves the collector of a folder until the test ends, and looks how it stops.
func serves(t *testing.T, folder string, change func(*Config)) (at listening) {
	t.Helper()
	config, err := loadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&config)
	}
	var log bytes.Buffer
	c, err := open(t.Context(), folder, config, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan listening, 1), make(chan error, 1)
	go func() { ended <- c.serve(ctx, func(l listening) { ready <- l }) }()
	select {
	case at = <-ready:
	case err := <-ended:
		t.Fatalf("%v\n%s", err, &log)
	}
	t.Cleanup(func() {
		began := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("stopping took %v", took)
		}
		order := []string{"part=pages", "part=enrolment", "part=ingest", "part=broker", "part=database"}
		text := log.String()
		for _, part := range order {
			_, rest, ok := strings.Cut(text, part)
			if !ok {
				t.Errorf("not stopped in order: %s\n%s", part, &log)
			}
			text = rest
		}
	})
	return at
}

// enrolled is what a till gets.
type enrolled struct{ Agent, Certificate, CA, Broker, Fallback, Name, Error string }

// enrols asks for an identity as an agent does, trusting the token's pin alone.
func enrols(t *testing.T, address, token string) (enrolled, tls.Certificate) {
	t.Helper()
	secret, pin, _ := strings.Cut(token, ".")
	want, err := base64.RawURLEncoding.DecodeString(pin)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "caixa"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]string{"secret": secret, "host": "caixa-1",
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	pinned := false
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		for _, c := range s.PeerCertificates {
			sum := sha256.Sum256(c.Raw)
			pinned = pinned || bytes.Equal(sum[:], want)
		}
		return s.PeerCertificates[0].VerifyHostname("127.0.0.1")
	}}}}
	defer client.CloseIdleConnections()
	r, err := client.Post("https://"+address+"/enrol", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var reply enrolled
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil || reply.Error != "" || !pinned {
		t.Fatalf("%v, %q, pinned %v", err, reply.Error, pinned)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(reply.Certificate), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return reply, pair
}

// sells issues a sale on a simulated device and returns its document.
func sells(t *testing.T) sim.Record {
	t.Helper()
	s, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Call(t.Context(), sattest.Request(sat.EnviarDadosVenda, 1, sattest.SaleXML("10.50", ""))); err != nil {
		t.Fatal(err)
	}
	return s.Issued()[0]
}

// TestFromTillToAccountant: a till enrols and sends a document, which is
// acknowledged, seen on the pages and exported byte for byte.
func TestFromTillToAccountant(t *testing.T) {
	folder, link, at := started(t, nil)
	token := last(runs(t, "enrol", "-pasta", folder, "-nome", "Padaria"))
	id, pair := enrols(t, at.enrolment, token)
	if id.Broker != at.mqtt || id.Name != "127.0.0.1" || id.Fallback != "" {
		t.Errorf("the till is sent to %s, named %s; the broker is at %s", id.Broker, id.Name, at.mqtt)
	}
	sale := sells(t)
	ack := sends(t, "tls://"+id.Broker, id, pair, wire.Item{Version: wire.Version, Kind: wire.KindDocument, Serial: "900000001", Till: "001",
		At: time.Now().UnixMilli(), Body: sale.XML})
	if len(ack.Records) != 1 || ack.Records[0].Seq != 7 || ack.Stream != wire.StreamDocuments {
		t.Errorf("acknowledged: %+v", ack)
	}

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	person := &http.Client{Jar: jar}
	_, secret, _ := strings.Cut(link, "/entrar/")
	r, err := person.PostForm("http://"+at.pages+"/entrar", url.Values{"secret": {secret}})
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("sign-in: %v %v", r, err)
	}
	r.Body.Close()
	r, err = person.Get("http://" + at.pages + "/cupons/" + sale.Key)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != http.StatusOK || !strings.Contains(string(body), "Café em pó") || !strings.Contains(string(body), "caixa-1") {
		t.Errorf("the coupon's page: %d", r.StatusCode)
	}

	path := filepath.Join(t.TempDir(), "tudo.zip")
	if out := runs(t, "export", "-pasta", folder, "-o", path); out != "1 documento em "+path+"\n" {
		t.Error(out)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, sale.XML) || !strings.HasSuffix(z.File[0].Name, "/AD"+sale.Key+".xml") {
		t.Errorf("%s is not what the device gave: %v", z.File[0].Name, err)
	}
}

// sends publishes one document to a broker and waits for its acknowledgement. Like an
// agent it sends again what is not acknowledged.
func sends(t *testing.T, broker string, id enrolled, pair tls.Certificate, item wire.Item) wire.Ack {
	t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	data, err := codec.Encode(item)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := codec.Pack(1, wire.Batch{Version: wire.Version, Epoch: wire.Epoch{1}, Records: []wire.Record{{Seq: 7, Data: data}}})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(id.CA))
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID(id.Agent).
		SetTLSConfig(&tls.Config{RootCAs: roots, ServerName: id.Name, Certificates: []tls.Certificate{pair}}))
	done := func(token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
			t.Fatalf("MQTT: %v", token.Error())
		}
	}
	done(client.Connect())
	defer client.Disconnect(0)
	acks := make(chan wire.Ack, 1)
	done(client.Subscribe(wire.DownTopic(id.Agent, "+"), 0, func(_ mqtt.Client, m mqtt.Message) {
		var ack wire.Ack
		if codec.Decode(m.Payload(), &ack) == nil {
			select {
			case acks <- ack:
			default: // of the same document, sent again
			}
		}
	}))
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for late := time.After(20 * time.Second); ; {
		done(client.Publish(wire.UpTopic(id.Agent, wire.StreamDocuments), 0, false, packets[0]))
		select {
		case ack := <-acks:
			return ack
		case <-again.C:
		case <-late:
			t.Fatal("no acknowledgement")
		}
	}
}

func TestInit(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "coletor")
	out := runs(t, "init", "-pasta", folder, "-email", "ana@exemplo.com.br", "-mqtt", "192.0.2.7:8883")
	if link := last(out); !strings.HasPrefix(link, "http://127.0.0.1:8080/entrar/") || len(link) < 70 {
		t.Error(link)
	}
	config, err := loadConfig(folder)
	if err != nil || config.Name != "192.0.2.7" || config.MQTT != "192.0.2.7:8883" || config.Pages != "127.0.0.1:8080" {
		t.Errorf("%+v, %v", config, err)
	}
	for _, name := range []string{configFile, enrol.CAFolder + "/emite.pem"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails(t, []string{"já existe um coletor", "zelo-collector user"}, "init", "-pasta", folder, "-email", "ana@exemplo.com.br")
	if link := last(runs(t, "user", "bia@exemplo.com.br", "-pasta", folder)); !strings.Contains(link, "/entrar/") {
		t.Error(link)
	}
	out = runs(t, "enrol", "-pasta", folder, "-caixas", "3")
	token := last(out)
	if !strings.Contains(out, "zelo-agent enrol -coletor https://192.0.2.7:8443 "+token+"\n") || strings.Count(token, ".") != 1 {
		t.Error(out)
	}
	if out := runs(t, "alarms", "-pasta", folder); out != "" {
		t.Errorf("alarms of nothing: %s", out)
	}
}

// TestInitGoesOn: an init that was cut off before its end can be repeated.
func TestInitGoesOn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "coletor")
	fails(t, []string{"não é um endereço de e-mail"}, "init", "-pasta", folder, "-email", "ana")
	if err := os.Remove(filepath.Join(folder, configFile)); err != nil {
		t.Fatal(err)
	}
	runs(t, "init", "-pasta", folder, "-email", "ana@exemplo.com.br")
}

func TestCommandsThatFail(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, words string
		args        []string
	}{
		{"no such command", `não existe o comando "x"|Uso:`, []string{"x"}},
		{"nothing to serve", "não há um coletor|zelo-collector init", []string{"serve", "-pasta", empty}},
		{"init without a person", "falta -email", []string{"init", "-pasta", empty}},
		{"init with an odd port", "paginas: escreva endereço:porta", []string{"init", "-pasta", empty, "-email", "a@b.c", "-paginas", "x"}},
		{"init with an odd address", "endereco: escreva", []string{"init", "-pasta", empty, "-email", "a@b.c", "-endereco", "x"}},
		{"init with an odd name", "nome: escreva", []string{"init", "-pasta", empty, "-email", "a@b.c", "-nome", "x:1"}},
		{"init in a file", "não foi possível criar a pasta", []string{"init", "-pasta", filepath.Join(file, "x"), "-email", "a@b.c"}},
		{"user without address", "escreva o e-mail", []string{"user", "-pasta", empty}},
		{"import of nothing", "escreva as pastas", []string{"import", "--verify-only"}},
		{"import of what is not there", "não foi possível procurar", []string{"import", "--verify-only", filepath.Join(empty, "x")}},
		{"export to nowhere", "falta -o", []string{"export", "-pasta", empty}},
	} {
		t.Run(c.name, func(t *testing.T) { fails(t, strings.Split(c.words, "|"), c.args...) })
	}
}

// TestPortTaken: what was started before is stopped again.
func TestPortTaken(t *testing.T) {
	_, _, at := started(t, nil)
	folder := filepath.Join(t.TempDir(), "outro")
	runs(t, "init", "-pasta", folder, "-email", "ana@exemplo.com.br", "-paginas", at.pages, "-cadastro", "127.0.0.1:0", "-mqtt", "127.0.0.1:0")
	fails(t, []string{"não foi possível ouvir em " + at.pages, "part=database"}, "serve", "-pasta", folder)
}

func TestVersionAndUsage(t *testing.T) {
	if out := runs(t, "version"); out != version+"\n" {
		t.Error(out)
	}
	var usage bytes.Buffer
	if err := dispatch(t.Context(), console{io.Discard, &usage}, nil); err == nil || strings.Count(usage.String(), "\n") != len(commands())+1 {
		t.Errorf("%v\n%s", err, &usage)
	}
}
