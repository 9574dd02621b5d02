//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// companyPEM is a file with a company's certificate that ends in so many days, and the
// key to it.
func companyPEM(t *testing.T, days int) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "AC TESTE", Organization: []string{"ICP-Brasil"}}}
	subject := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "PADARIA SOL LTDA:11222333000181"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(0, 0, days)}
	der, err := x509.CreateCertificate(rand.Reader, subject, issuer, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// TestMonitoring: a certificate on the till's computer that is about to end becomes an
// alarm at the collector, which ends when a newer one is there.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	if err := os.Mkdir(s.path("certificados"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("certificados/velho.pem", companyPEM(t, 6))
	config, err := os.ReadFile(s.path("agent.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("agent.toml", fmt.Sprintf("pastas_certificados = [%q]\n%s", s.path("certificados"), config))
	s.openCollector()
	s.enrol(func(args ...string) (string, error) { return s.cli("", args...) })
	s.kill()
	s.startAgent()
	const title = "PADARIA SOL LTDA"
	s.until("the alarm of the certificate", func() bool { return strings.Contains(s.collector("alarms"), title) })

	s.write("certificados/novo.pem", companyPEM(t, 365))
	s.kill()
	s.startAgent() // looks for certificates anew
	s.until("the alarm of the certificate to be over", func() bool { return !strings.Contains(s.collector("alarms"), title) })
}
