// Package enrol makes machines known: the collector's own certificate authority,
// tokens that let a till ask for a certificate, the issue of agents'
// certificates, and their revocation.
//
// An enrolment token is "secret.pin": the pin is the SHA-256 of the authority's
// certificate, so that a till trusts exactly the collector that made the token.
package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names of the authority's files, below the collector's folder.
const (
	caFile  = "ca.crt"
	keyFile = "ca.key"
)

// Lifetimes.
const (
	caLife     = 20 // years
	agentLife  = 1  // years
	serverLife = 90 * 24 * time.Hour
	renewEarly = 30 * 24 * time.Hour
	// backdate lets tills with a slow clock accept a fresh certificate.
	backdate = 24 * time.Hour
)

// CA is the collector's certificate authority. It is safe for concurrent use.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// CreateCA makes an authority, valid for 20 years from now, and stores it in
// folder, readable by its owner alone. It refuses to replace one.
func CreateCA(folder string, now time.Time) (*CA, error) {
	for _, name := range []string{caFile, keyFile} {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot make a certificate authority in %s: %s is already there, and tills trust it", folder, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("Zelo CA %x", serial.Bytes()[:4])},
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(caLife, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeSecret(filepath.Join(folder, keyFile), "PRIVATE KEY", pkcs8); err != nil {
		return nil, err
	}
	if err := writeSecret(filepath.Join(folder, caFile), "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return OpenCA(folder)
}

// writeSecret writes a new PEM file that only its owner may read, and syncs it.
func writeSecret(path, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
}

// OpenCA reads the authority CreateCA stored in folder.
func OpenCA(folder string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, caFile), filepath.Join(folder, keyFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority in %s (zelo-collector init makes it): %w", folder, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("cannot use the certificate in %s: it is not the authority init made", folder)
	}
	return &CA{pair.Leaf, key}, nil
}

// PEM is the authority's certificate.
func (ca *CA) PEM() []byte { return certificatePEM(ca.certificate.Raw) }

// Pin is the SHA-256 of the authority's certificate.
func (ca *CA) Pin() [sha256.Size]byte { return sha256.Sum256(ca.certificate.Raw) }

// Pool holds the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.certificate)
	return p
}

// ServerConfig is TLS for a listener that clients of this collector reach by one
// of names (host names or addresses). Its certificate is made at the first
// connection and renews itself; its chain holds the authority, for the pin of
// tokens. Add ClientAuth and ClientCAs to ask for clients' certificates.
func (ca *CA) ServerConfig(names []string, now func() time.Time) *tls.Config {
	var mu sync.Mutex
	var current *tls.Certificate
	return &tls.Config{MinVersion: tls.VersionTLS12, Time: now, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if current == nil || now().After(current.Leaf.NotAfter.Add(-renewEarly)) {
			c, err := ca.server(names, now())
			if err != nil {
				return nil, err
			}
			current = c
		}
		return current, nil
	}}
}

func (ca *CA) server(names []string, now time.Time) (*tls.Certificate, error) {
	t := serverTemplate(names)
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(serverLife)
	c, err := ca.issue(t)
	if err != nil {
		return nil, fmt.Errorf("cannot make the server's certificate: %w", err)
	}
	return c, nil
}

// serverTemplate is for a server that clients reach by one of names.
func serverTemplate(names []string) *x509.Certificate {
	t := &x509.Certificate{Subject: pkix.Name{CommonName: "Zelo coletor"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return t
}

// issue makes a key and its certificate, with the authority behind it.
func (ca *CA) issue(t *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t.SerialNumber, t.KeyUsage = newSerial(), x509.KeyUsageDigitalSignature
	leaf, err := ca.sign(t, key.Public())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign issues a certificate, never one that outlives the authority.
func (ca *CA) sign(t *x509.Certificate, public any) (*x509.Certificate, error) {
	if t.NotAfter.After(ca.certificate.NotAfter) {
		t.NotAfter = ca.certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.certificate, public, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial is a random positive number of 16 bytes.
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b[:])
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
