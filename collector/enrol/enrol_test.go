package enrol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// clock is the test's own time.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func setup(t *testing.T) (*Registry, *CA, *store.Store, *clock) {
	t.Helper()
	c := &clock{time.Now().Truncate(time.Second)}
	folder := t.TempDir()
	ca, err := CreateCA(folder, c.t)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(context.Background(), filepath.Join(folder, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return New(ca, s, c.now), ca, s, c
}

func csr(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "caixa-1"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func token(t *testing.T, r *Registry, allowed int, expires time.Time) (secret, pin string) {
	t.Helper()
	text, err := r.NewToken(context.Background(), "loja 1", allowed, expires)
	if err != nil {
		t.Fatal(err)
	}
	secret, pin, ok := strings.Cut(text, ".")
	if !ok {
		t.Fatalf("token %q has no dot", text)
	}
	return secret, pin
}

func leaf(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%q is not PEM", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCA(t *testing.T) {
	folder := t.TempDir()
	now := time.Now()
	ca, err := CreateCA(folder, now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenCA(folder)
	if err != nil || again.Pin() != ca.Pin() || !again.key.Equal(ca.key) {
		t.Fatalf("opened again: %v", err)
	}
	if years := ca.certificate.NotAfter.Sub(now).Hours() / 24 / 365; years < 19.9 || years > 20.1 {
		t.Errorf("valid for %.1f years", years)
	}
	for _, name := range []string{CAFolder + "/" + issuerFile, BundleFile} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := CreateCA(folder, now); err == nil {
		t.Error("an authority was replaced")
	}
	os.RemoveAll(filepath.Join(folder, CAFolder))
	if _, err := CreateCA(folder, now); err == nil {
		t.Error("an authority was replaced that tills trust")
	}
	if _, err := OpenCA(folder); err == nil || !strings.Contains(err.Error(), "init") {
		t.Errorf("half an authority was opened: %v", err)
	}
}

func TestIssue(t *testing.T) {
	r, ca, s, c := setup(t)
	secret, _ := token(t, r, 2, c.t.Add(time.Hour))
	key := newKey(t)
	id, err := r.Issue(context.Background(), secret, csr(t, key), "caixa-1")
	if err != nil {
		t.Fatal(err)
	}
	cert := leaf(t, id.Certificate)
	if !wire.ValidAgent(id.Agent) || len(id.Agent) != 16 || cert.Subject.CommonName != id.Agent {
		t.Errorf("agent %q, certificate of %q", id.Agent, cert.Subject.CommonName)
	}
	if !key.PublicKey.Equal(cert.PublicKey) || !bytes.Equal(id.CA, ca.PEM()) {
		t.Error("other key or other authority")
	}
	_, err = cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: c.t, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Error(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: c.t, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("an agent's certificate can pose as the collector")
	}
	if cert.NotAfter.Before(c.t.AddDate(1, 0, -1)) || cert.NotAfter.After(c.t.AddDate(1, 0, 1)) {
		t.Errorf("valid until %v", cert.NotAfter)
	}
	if agent, err := r.Agent(context.Background(), cert); agent != id.Agent || err != nil {
		t.Errorf("it is known as %q, %v", agent, err)
	}
	err = s.View(context.Background(), store.All(), func(v *store.Reader) error {
		a, err := v.Agent(id.Agent)
		if a.Host != "caixa-1" {
			t.Errorf("%+v", a)
		}
		audit, _ := v.ListAudit(store.AuditSearch{Limit: 5})
		if len(audit) != 1 || audit[0].Object != "agente "+id.Agent {
			t.Errorf("audit %+v", audit)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	second, err := r.Issue(context.Background(), secret, csr(t, key), "caixa-1")
	if err != nil || second.Agent == id.Agent {
		t.Errorf("second computer: %q, %v", second.Agent, err)
	}
	if _, err := r.Issue(context.Background(), secret, csr(t, key), "x"); !errors.Is(err, store.ErrTokenSpent) {
		t.Errorf("third of two: %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	r, _, s, c := setup(t)
	secret, _ := token(t, r, 9, c.t.Add(time.Hour))
	good := csr(t, newKey(t))
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		secret string
		csr    []byte
		want   error
	}{
		"unknown secret":       {"nobody", good, ErrTokenUnknown},
		"no secret":            {"", good, ErrTokenUnknown},
		"not PEM":              {secret, []byte("junk"), ErrBadRequest},
		"PEM of something":     {secret, r.ca.PEM(), ErrBadRequest},
		"PEM of junk":          {secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{1}}), ErrBadRequest},
		"not signed by itself": {secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}), ErrBadRequest},
		"other curve":          {secret, csr(t, other), ErrBadRequest},
		"RSA":                  {secret, csr(t, old), ErrBadRequest},
	} {
		if _, err := r.Issue(context.Background(), c.secret, c.csr, "x"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.t = c.t.Add(time.Hour)
	if _, err := r.Issue(context.Background(), secret, good, "x"); !errors.Is(err, store.ErrTokenExpired) {
		t.Errorf("expired: %v", err)
	}
	err = s.View(context.Background(), store.All(), func(v *store.Reader) error {
		list, err := v.Tokens()
		if list[0].Used != 0 {
			t.Errorf("a refused request used the token: %+v", list)
		}
		agents, _ := v.Agents()
		if len(agents) != 0 {
			t.Errorf("agents %+v", agents)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	r, ca, _, c := setup(t)
	secret, _ := token(t, r, 1, c.t.Add(time.Hour))
	id, err := r.Issue(context.Background(), secret, csr(t, newKey(t)), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(context.Background(), id.Agent, "ana@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Agent(context.Background(), leaf(t, id.Certificate)); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	if err := r.Revoke(context.Background(), id.Agent, "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	server, err := ca.server([]string{"localhost"}, c.t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Agent(context.Background(), server.Leaf); !errors.Is(err, ErrNotAgent) {
		t.Errorf("the collector's own certificate: %v", err)
	}
}

// TestAgentOfRestoredStore: a certificate the store does not know stands.
func TestAgentOfRestoredStore(t *testing.T) {
	r, ca, _, c := setup(t)
	cert, err := ca.sign(&x509.Certificate{SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "abcdefghij234567"}, NotAfter: c.t.Add(time.Hour)}, newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if agent, err := r.Agent(context.Background(), cert); agent != "abcdefghij234567" || err != nil {
		t.Errorf("%q, %v", agent, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Agent(ctx, cert); err == nil {
		t.Error("accepted although the store could not be asked")
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	_, ca, _, c := setup(t)
	config := ca.ServerConfig([]string{"coletor.example", "127.0.0.1"}, c.now)
	get := func() *tls.Certificate {
		got, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := get()
	for _, name := range []string{"coletor.example", "127.0.0.1"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name, CurrentTime: c.t}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sum := sha256.Sum256(first.Certificate[1]); sum != ca.Pin() {
		t.Error("the chain does not hold the authority")
	}
	if get() != first {
		t.Error("a new certificate without need")
	}
	c.t = c.t.Add(serverLife - renewEarly + time.Minute)
	second := get()
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("not renewed")
	}
	c.t = c.t.AddDate(25, 0, 0)
	if get().Leaf.NotAfter.After(ca.certificate.NotAfter) {
		t.Error("a certificate outlives the authority")
	}
}

// serve mounts the handler as main does, on TLS with the authority's chain.
func serve(t *testing.T, r *Registry, ca *CA) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.ServerConfig([]string{"127.0.0.1"}, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r.Handler(HandlerOptions{Broker: "coletor.example:8883", Name: "coletor.example", Log: slog.New(slog.DiscardHandler)})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "https://" + l.Addr().String()
}

// client trusts only the authority with the pin, as an agent does.
func client(pin string) *http.Client {
	want, _ := base64.RawURLEncoding.DecodeString(pin)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			roots := x509.NewCertPool()
			for _, c := range s.PeerCertificates {
				if sum := sha256.Sum256(c.Raw); bytes.Equal(sum[:], want) {
					roots.AddCert(c)
				}
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"})
			return err
		},
	}}}
}

func post(t *testing.T, c *http.Client, url string, body any) (int, wire.EnrolReply) {
	t.Helper()
	b, ok := body.([]byte)
	if !ok {
		b, _ = json.Marshal(body)
	}
	resp, err := c.Post(url+"/enrol", "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out wire.EnrolReply
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

func TestHandler(t *testing.T) {
	r, ca, _, c := setup(t)
	url := serve(t, r, ca)
	secret, pin := token(t, r, 1, c.t.Add(time.Hour))
	key := newKey(t)
	good := wire.EnrolRequest{Secret: secret, CSR: string(csr(t, key)), Host: "caixa\x00-1"}

	if _, err := client(base64.RawURLEncoding.EncodeToString(make([]byte, 32))).Post(url+"/enrol", "application/json", nil); err == nil {
		t.Error("another collector passed the pin")
	}
	for name, body := range map[string]any{"not JSON": []byte("{"), "too large": []byte(`{"host":"` + strings.Repeat("x", maxRequest) + `"}`)} {
		if status, out := post(t, client(pin), url, body); status != http.StatusBadRequest || out.Error == "" {
			t.Errorf("%s: %d %+v", name, status, out)
		}
	}
	if status, out := post(t, client(pin), url, wire.EnrolRequest{Secret: "wrong", CSR: good.CSR}); status != http.StatusForbidden || !strings.Contains(out.Error, "desconhecido") {
		t.Errorf("wrong secret: %d %+v", status, out)
	}
	status, out := post(t, client(pin), url, good)
	if status != http.StatusOK || out.Error != "" || out.Broker != "coletor.example:8883" || out.Name != "coletor.example" {
		t.Fatalf("%d %+v", status, out)
	}
	pair, err := tls.X509KeyPair([]byte(out.Certificate), pkcs8(t, key))
	if err != nil || pair.Leaf.Subject.CommonName != out.Agent {
		t.Errorf("%v", err)
	}
	if status, out := post(t, client(pin), url, good); status != http.StatusForbidden || !strings.Contains(out.Error, "já foi usado") {
		t.Errorf("spent: %d %+v", status, out)
	}
	resp, err := client(pin).Get(url + "/enrol")
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp.StatusCode, err)
	}
}

func pkcs8(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestRateLimit(t *testing.T) {
	c := &clock{time.Now()}
	l := &limiter{now: c.now}
	for i := range perMinute + 1 {
		if got := l.allow("192.0.2.1:4000"); got != (i < perMinute) {
			t.Fatalf("request %d allowed: %v", i+1, got)
		}
	}
	if !l.allow("192.0.2.2:4000") {
		t.Error("another address pays for the first")
	}
	c.t = c.t.Add(time.Minute)
	if !l.allow("192.0.2.1:4001") {
		t.Error("not allowed a minute later")
	}
	for i := range maxRemembered + 5 {
		if !l.allow(net.JoinHostPort(fmt.Sprint("host", i), "1")) {
			t.Fatalf("the addresses before keep the %dth out", i)
		}
	}
	if len(l.counts) > maxRemembered {
		t.Errorf("%d addresses remembered", len(l.counts))
	}
}

func FuzzCertificateRequest(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Fuzz(func(t *testing.T, csr []byte) {
		public, err := requestedKey(csr)
		if (public == nil) != (err != nil) {
			t.Errorf("%v, %v", public, err)
		}
	})
}
