package enrol

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// CollectorName is the collector's own name at a broker elsewhere. Of several, each
// has one that begins like it. No agent can have such a name: an id has 16 letters and
// digits.
const CollectorName = "coletor"

// ServerFile is the file of the certificate that is kept for a broker elsewhere, with
// its key behind it.
const ServerFile = "servidor.pem"

// keptLife is that of a certificate which people carry to another computer.
const keptLife = 3 // years

// ClientConfig is TLS for the collector as a client of a broker elsewhere, whose
// certificate this authority issued (KeepServer). The collector's own certificate, in
// its name, is kept in folder, and made anew when it is not usable there or a third
// of its life is left.
func (ca *CA) ClientConfig(folder, name string, now func() time.Time) *tls.Config {
	var mu sync.Mutex
	return &tls.Config{MinVersion: tls.VersionTLS12, Time: now, RootCAs: ca.Pool(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			c, _, err := ca.keep(filepath.Join(folder, name+".pem"), nil, &x509.Certificate{
				Subject: pkix.Name{CommonName: name}, NotAfter: now().AddDate(agentLife, 0, 0),
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}, now())
			return c, err
		}}
}

// KeepServer keeps in folder the certificate and key of a broker elsewhere that
// agents reach by one of names, for people to carry there. The servers of a cluster
// know each other by it too. It is made anew when it is not usable or a third of its
// life is left; made says so.
func (ca *CA) KeepServer(folder string, names []string, now time.Time) (made bool, err error) {
	t := serverTemplate(names)
	t.NotAfter = now.AddDate(keptLife, 0, 0)
	t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	_, made, err = ca.keep(filepath.Join(folder, ServerFile), names, t, now)
	return made, err
}

// keep returns the certificate in a file, or makes the one of template. hosts are the
// names that clients know it by.
func (ca *CA) keep(path string, hosts []string, template *x509.Certificate, now time.Time) (c *tls.Certificate, made bool, err error) {
	if pair, err := tls.LoadX509KeyPair(path, path); err == nil && ca.usable(pair.Leaf, hosts, template.ExtKeyUsage, now) {
		return &pair, false, nil
	}
	template.NotBefore = now.Add(-backdate)
	c, err = ca.issue(template)
	if err == nil {
		err = save(path, c)
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot keep a certificate in %s: %w", path, err)
	}
	return c, true, nil
}

// usable reports whether a kept certificate is still good for all of hosts and uses.
func (ca *CA) usable(c *x509.Certificate, hosts []string, uses []x509.ExtKeyUsage, now time.Time) bool {
	for _, host := range hosts {
		if c.VerifyHostname(host) != nil {
			return false
		}
	}
	life := c.NotAfter.Sub(c.NotBefore)
	return c.CheckSignatureFrom(ca.certificate) == nil && slices.Equal(c.ExtKeyUsage, uses) && now.After(c.NotBefore) && now.Before(c.NotAfter.Add(-life/3))
}

// save replaces a file by a certificate with its key.
func save(path string, c *tls.Certificate) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, der := range c.Certificate {
		text.Write(certificatePEM(der))
	}
	text.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return replace(path, text.Bytes())
}

// replace writes a file whole, readable by its owner alone, in the place of what is
// there.
func replace(path string, text []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	return move(f.Name(), path)
}

// move renames a file, to stay so.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
