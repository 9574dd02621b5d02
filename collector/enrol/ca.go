// Package enrol makes machines known: the collector's own certificate authority,
// tokens that let a till ask for a certificate, the issue of agents'
// certificates, their renewal, and their revocation.
//
// An enrolment token is "secret.pin": the pin is the SHA-256 of the authority's
// certificate, so that a till trusts exactly the collector that made the token.
//
// Files: ca.go is the authority, rotate.go how one follows another, kept.go the
// certificates that people carry to a broker, enrol.go how tills get their identity,
// renew.go how they keep it and revoke.go how they lose it, handler.go the same over
// HTTPS.
package enrol

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// CAFolder is where a collector's authorities are, below its folder: all that a copy
// of it needs to be trusted by the same tills. BundleFile, beside it, has their
// certificates alone, for people to carry to a broker.
const (
	CAFolder   = "ca"
	BundleFile = "ca.crt"
)

// Files in CAFolder, each a certificate with its key behind it. At most one of the
// last two is there.
const (
	issuerFile = "emite.pem"
	nextFile   = "proxima.pem"  // trusted, but issues nothing yet
	formerFile = "anterior.pem" // trusted, but issues nothing but the entrance's own
	oldKeyFile = "ca.key"       // of the time before CAFolder, beside BundleFile
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

// authority is a certificate that issues others, with its key.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// CA is the collector's certificate authority, and perhaps the one that follows it or
// came before it. It is safe for concurrent use.
type CA struct {
	*authority            // that issues
	other      *authority // nil most of the time
	former     bool       // the other came before
}

// CreateCA makes an authority, valid for 20 years from now, and stores it in
// folder, readable by its owner alone. It refuses to replace one.
func CreateCA(folder string, now time.Time) (*CA, error) {
	for _, name := range []string{CAFolder, BundleFile, oldKeyFile} {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot make a certificate authority in %s: %s is already there, and tills trust it", folder, name)
		}
	}
	if err := newAuthority(filepath.Join(folder, CAFolder, issuerFile), now); err != nil {
		return nil, fmt.Errorf("cannot make a certificate authority in %s: %w", folder, err)
	}
	return OpenCA(folder)
}

// newAuthority makes a file with a new authority.
func newAuthority(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
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
		return err
	}
	return save(path, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
}

// OpenCA reads what CreateCA and the rotation stored in folder, and brings the files
// into order: one file of each authority, and the bundle.
func OpenCA(folder string) (*CA, error) {
	ca, err := openCA(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority in %s (zelo-collector init makes it): %w", folder, err)
	}
	return ca, nil
}

func openCA(folder string) (*CA, error) {
	if err := arrange(folder); err != nil {
		return nil, err
	}
	ca := &CA{}
	var err error
	if ca.authority, err = readAuthority(filepath.Join(folder, CAFolder, issuerFile)); err != nil {
		return nil, err
	}
	for _, name := range []string{nextFile, formerFile} {
		other, err := readAuthority(filepath.Join(folder, CAFolder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ca.other, ca.former = other, name == formerFile
	}
	bundle := filepath.Join(folder, BundleFile)
	if old, _ := os.ReadFile(bundle); !bytes.Equal(old, ca.PEM()) {
		err = replace(bundle, ca.PEM())
	}
	return ca, err
}

func readAuthority(path string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("the certificate in %s is not an authority's", path)
	}
	return &authority{pair.Leaf, key}, nil
}

// trusted are the authorities, that which issues first.
func (ca *CA) trusted() []*authority {
	if ca.other == nil {
		return []*authority{ca.authority}
	}
	return []*authority{ca.authority, ca.other}
}

// entrance is the authority that is known longest: who comes with a token or after
// a long time may know no other.
func (ca *CA) entrance() *authority {
	if ca.former {
		return ca.other
	}
	return ca.authority
}

// PEM are the certificates of all authorities that are trusted.
func (ca *CA) PEM() (text []byte) {
	for _, a := range ca.trusted() {
		text = append(text, certificatePEM(a.certificate.Raw)...)
	}
	return text
}

// Pin is the SHA-256 of the certificate that tokens name.
func (ca *CA) Pin() [sha256.Size]byte { return sha256.Sum256(ca.entrance().certificate.Raw) }

// Generation names what is trusted, that which issues first: 16 characters of each
// certificate's SHA-256. It changes with each step of a rotation.
func (ca *CA) Generation() string {
	var names []string
	for _, a := range ca.trusted() {
		sum := sha256.Sum256(a.certificate.Raw)
		names = append(names, hex.EncodeToString(sum[:8]))
	}
	return strings.Join(names, "+")
}

// Pool holds all authorities that are trusted.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range ca.trusted() {
		p.AddCert(a.certificate)
	}
	return p
}

// ServerConfig is TLS for a listener that clients of this collector reach by one
// of names (host names or addresses). Its certificate is made at the first
// connection and renews itself; its chain holds the authority. Add ClientAuth and
// ClientCAs to ask for clients' certificates.
func (ca *CA) ServerConfig(names []string, now func() time.Time) *tls.Config {
	return ca.authority.serverConfig(names, now)
}

// EntranceConfig is ServerConfig for the listener of Registry.Handler. While one
// authority follows another its certificate is of the one that tokens pin, and it
// takes clients' certificates without judging them: the handler does.
func (ca *CA) EntranceConfig(names []string, now func() time.Time) *tls.Config {
	c := ca.entrance().serverConfig(names, now)
	c.ClientAuth = tls.RequestClientCert
	return c
}

func (a *authority) serverConfig(names []string, now func() time.Time) *tls.Config {
	var mu sync.Mutex
	var current *tls.Certificate
	return &tls.Config{MinVersion: tls.VersionTLS12, Time: now, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if current == nil || now().After(current.Leaf.NotAfter.Add(-renewEarly)) {
			c, err := a.server(names, now())
			if err != nil {
				return nil, err
			}
			current = c
		}
		return current, nil
	}}
}

func (a *authority) server(names []string, now time.Time) (*tls.Certificate, error) {
	t := serverTemplate(names)
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(serverLife)
	c, err := a.issue(t)
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
func (a *authority) issue(t *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t.SerialNumber, t.KeyUsage = newSerial(), x509.KeyUsageDigitalSignature
	leaf, err := a.sign(t, key.Public())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign issues a certificate, never one that outlives the authority.
func (a *authority) sign(t *x509.Certificate, public any) (*x509.Certificate, error) {
	if t.NotAfter.After(a.certificate.NotAfter) {
		t.NotAfter = a.certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.certificate, public, a.key)
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
