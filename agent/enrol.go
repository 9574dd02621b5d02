package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
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
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zelo/agent/remote"
	"zelo/agent/wire"
)

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
	u, err := collectorURL(address)
	if err != nil {
		return nil, err
	}
	key, text, err := newKey()
	if err != nil {
		return nil, err
	}
	id, err := askIdentity(ctx, u.JoinPath("enrol"), proxy, key, text, secret, &tls.Config{MinVersion: tls.VersionTLS13,
		// The chain is checked against the pinned CA, not the system's.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return checkPin(s, pin, u.Hostname()) },
	})
	if err != nil {
		return nil, err
	}
	if id.Enrolment == "" {
		id.Enrolment = address // a collector of the first versions does not say
	}
	// What was renewed for an identity of before does not count any more.
	if err := os.Remove(filepath.Join(folder, freshFile)); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("não foi possível gravar a identidade do agente: %w", err)
	}
	// Whatever moment the power fails at, no other collector's key is pinned: without
	// one the agent takes the first it hears.
	keys := filepath.Join(folder, identityFolder)
	if err := remote.PinNew(keys, nil); err != nil {
		return nil, err
	}
	if err := id.save(folder, identityFile); err != nil {
		return nil, err
	}
	if err := remote.PinNew(keys, id.commandKey); err != nil {
		return nil, err
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

func collectorURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endereço do coletor %q: escreva https://endereço:porta", address)
	}
	return u, nil
}

// askIdentity asks the collector at u for a certificate of a key, of which text is
// the PEM, and returns the identity that comes with it. secret is that of a token, or
// "" when secure shows the certificate of before.
func askIdentity(ctx context.Context, u *url.URL, proxy proxyFunc, key *ecdsa.PrivateKey, text, secret string, secure *tls.Config) (*identity, error) {
	host, _ := os.Hostname()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: host}}, key)
	if err != nil {
		return nil, err
	}
	reply, err := postEnrol(ctx, u, proxy, secure, wire.EnrolRequest{Secret: secret, Host: host,
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	if err != nil {
		return nil, err
	}
	id := &identity{Agent: reply.Agent, Broker: reply.Broker, Fallback: reply.Fallback, Name: reply.Name, Enrolment: reply.Enrolment,
		Terms: reply.Terms, Certificate: reply.Certificate, Key: text, CA: reply.CA, commandKey: reply.CommandKey}
	return id, id.parse()
}

// postEnrol speaks to the collector.
func postEnrol(ctx context.Context, u *url.URL, proxy proxyFunc, secure *tls.Config, req wire.EnrolRequest) (*wire.EnrolReply, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: proxy, TLSClientConfig: secure}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("não foi possível falar com o coletor em %s: %w", u.Host, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var reply wire.EnrolReply
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, fmt.Errorf("o endereço %s não respondeu como um coletor (%s)", u.Host, resp.Status)
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
