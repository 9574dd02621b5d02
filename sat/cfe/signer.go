package cfe

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// keyBits is the size of a device's RSA key (dossier 2.4).
const keyBits = 2048

// Signer is a simulated device's key with its certificate. Its signatures are
// deterministic. It is safe for concurrent use.
type Signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// Certificate is the device's certificate.
func (s *Signer) Certificate() *x509.Certificate { return s.cert }

// PEM is certificate and private key, for LoadSigner. It is a secret.
func (s *Signer) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("cannot write signer: %w", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})
	return append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

// LoadSigner reads what PEM wrote.
func LoadSigner(b []byte) (*Signer, error) {
	s := &Signer{}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case "CERTIFICATE":
			s.cert, err = x509.ParseCertificate(block.Bytes)
		case "PRIVATE KEY":
			var key any
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
			s.key, _ = key.(*rsa.PrivateKey)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read signer: %w", err)
		}
	}
	if s.key == nil || s.cert == nil || !s.key.PublicKey.Equal(s.cert.PublicKey) {
		return nil, errors.New("cannot read signer: expected a certificate and its RSA private key in PEM")
	}
	return s, nil
}

// sign is RSA PKCS #1 v1.5 over the SHA-256 of text, in Base64.
func (s *Signer) sign(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	value, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("cannot sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(value), nil
}

// envelope makes the Signature element over an element in canonical form whose
// Id is id (dossier 2.4).
func (s *Signer) envelope(id string, element []byte) ([]byte, error) {
	sum := sha256.Sum256(element)
	w := &writer{}
	w.openWith("CanonicalizationMethod", "Algorithm", algC14N)
	w.close("CanonicalizationMethod")
	w.openWith("SignatureMethod", "Algorithm", algRSA)
	w.close("SignatureMethod")
	w.openWith("Reference", "URI", "#"+id)
	w.open("Transforms")
	for _, t := range []string{algEnveloped, algC14N} {
		w.openWith("Transform", "Algorithm", t)
		w.close("Transform")
	}
	w.close("Transforms")
	w.openWith("DigestMethod", "Algorithm", algSHA)
	w.close("DigestMethod")
	w.el("DigestValue", base64.StdEncoding.EncodeToString(sum[:]))
	w.close("Reference")
	w.close("SignedInfo")
	info := w.b
	value, err := s.sign(append([]byte(`<SignedInfo xmlns="`+dsig+`">`), info...))
	if err != nil {
		return nil, err
	}
	w = &writer{}
	w.openWith("Signature", "xmlns", dsig)
	w.open("SignedInfo")
	w.b = append(w.b, info...)
	w.el("SignatureValue", value)
	w.open("KeyInfo")
	w.open("X509Data")
	w.el("X509Certificate", base64.StdEncoding.EncodeToString(s.cert.Raw))
	w.close("X509Data")
	w.close("KeyInfo")
	w.close("Signature")
	return w.b, nil
}

// CA is a made-up authority for simulated devices: its documents verify, and are
// trusted only by whoever puts its certificate among the roots.
type CA struct{ signer *Signer }

// NewTestCA makes an authority valid for twenty years around now. Go draws RSA
// keys from the system's random source only; keep PEM to have the same one again.
func NewTestCA(now time.Time) (*CA, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("cannot make test authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{Country: []string{"BR"}, Organization: []string{"Zelo"}, CommonName: "AC SAT de Teste Zelo"},
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	signer, err := certify(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make test authority: %w", err)
	}
	return &CA{signer}, nil
}

// LoadCA reads what PEM wrote.
func LoadCA(b []byte) (*CA, error) {
	signer, err := LoadSigner(b)
	if err != nil {
		return nil, err
	}
	if !signer.cert.IsCA {
		return nil, errors.New("cannot read test authority: the certificate is not an authority's")
	}
	return &CA{signer}, nil
}

// PEM is certificate and private key, for LoadCA. It is a secret.
func (ca *CA) PEM() ([]byte, error) { return ca.signer.PEM() }

// Certificate is the authority's certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.signer.cert }

// Pool holds the authority alone, as roots for Verify.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.signer.cert)
	return pool
}

// DeviceCert says whose certificate to issue. In Ceará CNPJ and Name are the tax
// authority's (dossier 2.5).
type DeviceCert struct {
	Serial              string // nserieSAT
	CNPJ, Name          string
	NotBefore, NotAfter time.Time
}

// Issue makes a device's key and certificate.
func (ca *CA) Issue(d DeviceCert) (*Signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("cannot make certificate of device %s: %w", d.Serial, err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{
			Country: []string{"BR"}, Organization: []string{"Zelo"}, SerialNumber: d.Serial, CommonName: d.Name + ":" + d.CNPJ,
		},
		NotBefore: d.NotBefore, NotAfter: d.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	s, err := certify(template, ca.signer.cert, key, ca.signer.key)
	if err != nil {
		return nil, fmt.Errorf("cannot make certificate of device %s: %w", d.Serial, err)
	}
	return s, nil
}

func certify(template, parent *x509.Certificate, key, by *rsa.PrivateKey) (*Signer, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Signer{key, cert}, nil
}
