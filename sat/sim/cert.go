package sim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zelo/sat/cfe"
)

// Files of a simulator's folder that hold its certificates. The authority's is
// PEM too, so that others can take it as a root.
const (
	signerFile    = "device.pem"
	authorityFile = "ca.pem"
)

// Taxpayer of the certificate of every MFE: Ceará's own tax authority (dossier on
// CF-e documents, 2.5).
const (
	cearaName = "CEARA SECRETARIA DA FAZENDA"
	cearaCNPJ = "07954597000152"
)

// openCertificates takes the certificates from the options, else from the folder,
// else makes them.
func (s *Sim) openCertificates() error {
	var err error
	if s.ca = s.o.CA; s.ca == nil {
		if s.ca, err = fromFile(s.file(authorityFile), cfe.LoadCA); err != nil {
			return err
		}
	}
	if s.signer = s.o.Signer; s.signer == nil {
		if s.signer, err = fromFile(s.file(signerFile), cfe.LoadSigner); err != nil {
			return err
		}
	}
	now := s.now()
	if s.ca == nil {
		if s.ca, err = cfe.NewTestCA(now); err != nil {
			return err
		}
	}
	if s.signer == nil {
		from, to := s.o.CertIssued, s.o.CertExpires
		if from.IsZero() {
			from = now.AddDate(-1, 0, 0)
		}
		if to.IsZero() {
			to = from.AddDate(5, 0, 0)
		}
		return s.certify(from, to)
	}
	if owner := s.signer.Certificate().Subject.SerialNumber; owner != s.o.Serial {
		return fmt.Errorf("cannot simulate device %s with the certificate of device %s", s.o.Serial, owner)
	}
	return s.keepCertificates()
}

func (s *Sim) file(name string) string {
	if s.o.Dir == "" {
		return ""
	}
	return filepath.Join(s.o.Dir, name)
}

// fromFile loads a PEM file; nil when there is none.
func fromFile[T any](path string, load func([]byte) (*T, error)) (*T, error) {
	raw, err := os.ReadFile(path)
	if path == "" || os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the simulated device's certificate: %w", err)
	}
	return load(raw)
}

// certify gives the device a new key and certificate.
func (s *Sim) certify(from, to time.Time) error {
	d := cfe.DeviceCert{Serial: s.o.Serial, CNPJ: s.o.Emitter.CNPJ, Name: s.o.Emitter.Name, NotBefore: from, NotAfter: to}
	if s.o.Kind == MFE {
		d.CNPJ, d.Name = cearaCNPJ, cearaName
	}
	signer, err := s.ca.Issue(d)
	if err != nil {
		return err
	}
	s.signer = signer
	return s.keepCertificates()
}

func (s *Sim) keepCertificates() error {
	if s.o.Dir == "" {
		return nil
	}
	for _, f := range []struct {
		name string
		pem  func() ([]byte, error)
	}{{signerFile, s.signer.PEM}, {authorityFile, s.ca.PEM}} {
		raw, err := f.pem()
		if err != nil {
			return err
		}
		if err := replaceFile(s.file(f.name), raw); err != nil {
			return err
		}
	}
	return nil
}

// certificateRequest makes a key and returns the request for its certificate:
// base64 on one line, as a reply's field needs it. The key waits in the state.
func (s *Sim) certificateRequest() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("cannot make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("cannot keep the key: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{
		Country: []string{"BR"}, SerialNumber: s.o.Serial, CommonName: s.o.Emitter.Name + ":" + s.o.Emitter.CNPJ,
	}}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return "", fmt.Errorf("cannot make the certificate request: %w", err)
	}
	s.st.RequestKey = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return base64.StdEncoding.EncodeToString(csr), nil
}

// install takes the certificate that answers the request: PEM, or its base64
// alone.
func (s *Sim) install(text string) error {
	raw := []byte(text)
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	} else if der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		raw = der
	}
	both := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), s.st.RequestKey)
	signer, err := cfe.LoadSigner(both)
	if err != nil {
		return err
	}
	s.signer, s.st.RequestKey = signer, nil
	return s.keepCertificates()
}
