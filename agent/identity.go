package main

import (
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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zelo/agent/wire"
)

// identity is who this agent is to its collector.
type identity struct {
	Agent    string `json:"agente"`
	Broker   string `json:"broker"`                // host:port of the MQTT listener
	Fallback string `json:"alternativo,omitempty"` // wss:// where Broker is not reached; "" is none
	Name     string `json:"nome"`                  // server name in the certificate of both

	certificate tls.Certificate
	roots       *x509.CertPool
}

// Files of an identity, below the agent's folder.
const (
	identityFile = "identidade/agente.json"
	certFile     = "identidade/agente.crt"
	keyFile      = "identidade/agente.key"
	caFile       = "identidade/coletor-ca.crt"
)

// errNotEnrolled says that this till has no collector yet. It sells all the same.
var errNotEnrolled = errors.New("este caixa ainda não foi ligado a um coletor: use `zelo-agent enrol`")

// loadIdentity reads what enrol wrote.
func loadIdentity(folder string) (*identity, error) {
	raw, err := os.ReadFile(filepath.Join(folder, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotEnrolled
	}
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(raw, &id); err != nil {
		return nil, fmt.Errorf("identidade ilegível em %s: %w", filepath.Join(folder, identityFile), err)
	}
	id.certificate, err = tls.LoadX509KeyPair(filepath.Join(folder, certFile), filepath.Join(folder, keyFile))
	if err != nil {
		return nil, fmt.Errorf("certificado do agente ilegível: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(folder, caFile))
	if err != nil {
		return nil, err
	}
	id.roots = x509.NewCertPool()
	if !id.roots.AppendCertsFromPEM(ca) || !wire.ValidAgent(id.Agent) {
		return nil, fmt.Errorf("identidade incompleta em %s: ligue o caixa de novo com `zelo-agent enrol`", folder)
	}
	return &id, nil
}

// tls is the mutual TLS towards the broker.
func (id *identity) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: id.roots, ServerName: id.Name,
		Certificates: []tls.Certificate{id.certificate}}
}

// enrolRequest and enrolReply are the collector's POST /enrol.
type enrolRequest struct {
	Secret   string `json:"secret"`
	CSR      string `json:"csr"` // PEM
	Host     string `json:"host"`
	Software string `json:"software"`
}

type enrolReply struct {
	Agent       string `json:"agent"`
	Certificate string `json:"certificate"` // PEM
	CA          string `json:"ca"`          // PEM
	Broker      string `json:"broker"`
	Fallback    string `json:"fallback"`
	Name        string `json:"name"`
	Error       string `json:"error"`
}

// proxyFunc says through which proxy an address is reached; nil leaves it to the
// system.
type proxyFunc = func(*http.Request) (*url.URL, error)

// enrolTo makes a key that never leaves this machine, asks the collector for a
// certificate with the token, and stores the identity. The token's second half is
// the hash of the collector's CA certificate: nobody between can pose as it.
func enrolTo(ctx context.Context, folder, address, token string, proxy proxyFunc) (*identity, error) {
	secret, pin, err := splitToken(token)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: host}}, key)
	if err != nil {
		return nil, err
	}
	reply, err := postEnrol(ctx, address, pin, proxy, enrolRequest{Secret: secret, Host: host, Software: version,
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	id := identity{Agent: reply.Agent, Broker: reply.Broker, Fallback: reply.Fallback, Name: reply.Name}
	about, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(makeFolder(folder), makePrivateFolder(filepath.Join(folder, "identidade"))); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
		{certFile, []byte(reply.Certificate)},
		{caFile, []byte(reply.CA)},
		{identityFile, about}, // last: it makes the others count
	} {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.data, 0o600); err != nil {
			return nil, err
		}
	}
	return loadIdentity(folder)
}

// splitToken takes secret and CA pin out of "secret.pin".
func splitToken(token string) (secret string, pin []byte, err error) {
	secret, text, ok := strings.Cut(strings.TrimSpace(token), ".")
	if ok {
		pin, err = base64.RawURLEncoding.DecodeString(text)
	}
	if !ok || err != nil || len(pin) != sha256.Size || secret == "" {
		return "", nil, errors.New("o código de ligação está incompleto: copie-o inteiro da página do coletor")
	}
	return secret, pin, nil
}

// postEnrol speaks to the collector, whose certificate must come from the CA
// with the pinned hash.
func postEnrol(ctx context.Context, address string, pin []byte, proxy proxyFunc, req enrolRequest) (*enrolReply, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endereço do coletor %q: escreva https://endereço:porta", address)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: proxy,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13,
			// The chain is checked below against the pinned CA, not the system's.
			InsecureSkipVerify: true,
			VerifyConnection:   func(s tls.ConnectionState) error { return checkPin(s, pin, u.Hostname()) },
		}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath("enrol").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("não foi possível falar com o coletor em %s: %w", address, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var reply enrolReply
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, fmt.Errorf("o endereço %s não respondeu como um coletor (%s)", address, resp.Status)
	}
	if resp.StatusCode != http.StatusOK || reply.Error != "" {
		return nil, fmt.Errorf("o coletor recusou a ligação: %s", reply.Error)
	}
	return &reply, nil
}

// checkPin accepts a server certificate that chains to the CA with the pinned
// hash and names the host.
func checkPin(s tls.ConnectionState, pin []byte, host string) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range s.PeerCertificates {
		if sum := sha256.Sum256(c.Raw); bytes.Equal(sum[:], pin) {
			roots.AddCert(c)
		} else {
			others.AddCert(c)
		}
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, DNSName: host})
	if err != nil {
		return fmt.Errorf("este não é o coletor do código de ligação: %w", err)
	}
	return nil
}
