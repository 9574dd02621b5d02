package cfe

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"sync"
	"time"
)

// maxCerts bounds the certificates a Verifier remembers, about 12 KB each.
const maxCerts = 2048

// Verifier checks documents against one set of authorities. It remembers the
// certificates it has met, since a device signs thousands of documents with one:
// reading it and following its chain costs as much as the rest of the check. It
// is safe for concurrent use.
type Verifier struct {
	roots *x509.CertPool

	mu    sync.Mutex
	certs map[string]*knownCert // by the Base64 text in the document
}

// NewVerifier makes one. Roots must hold the authorities that issued devices'
// certificates themselves, since documents carry no chain, and no authority that
// certifies others too, whose holders could then sign as a device. With nil the
// chain is not checked and nothing is trusted.
func NewVerifier(roots *x509.CertPool) *Verifier {
	return &Verifier{roots: roots, certs: map[string]*knownCert{}}
}

// knownCert is a certificate met in documents; nil stands for one that could not
// be read.
type knownCert struct {
	cert     *x509.Certificate
	from, to time.Time // between these its chain is known to hold; guarded by mu
}

func (k *knownCert) x509() *x509.Certificate {
	if k == nil {
		return nil
	}
	return k.cert
}

// key is the RSA key; devices have no other kind.
func (k *knownCert) key() *rsa.PublicKey {
	if k == nil {
		return nil
	}
	key, _ := k.cert.PublicKey.(*rsa.PublicKey)
	return key
}

// certificate reads the certificate of a document; nil when it cannot be read.
func (v *Verifier) certificate(text string) *knownCert {
	v.mu.Lock()
	known := v.certs[text]
	v.mu.Unlock()
	if known != nil {
		return known
	}
	der, err := decodeBase64(text)
	if err != nil {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	found := &knownCert{cert: cert}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.certs) >= maxCerts {
		clear(v.certs)
	}
	v.certs[text] = found
	return found
}

// chainVerdict checks the certificate at the time of issue and that it is this
// device's: its subject's serialNumber, where it has one, is nserieSAT.
func (v *Verifier) chainVerdict(doc Document, k *knownCert) (Verdict, string) {
	if k == nil {
		return NotChecked, "sem um certificado legível não se verifica a cadeia"
	}
	if n := k.cert.Subject.SerialNumber; n != "" && n != doc.Serial {
		return Rejected, "o certificado é de outro equipamento"
	}
	if v.roots == nil {
		return NotChecked, "nenhuma autoridade certificadora está cadastrada"
	}
	err := v.chain(k, doc.Issued)
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return Verified, ""
	case errors.As(err, &unknown):
		return Rejected, "o certificado foi emitido por autoridade desconhecida"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Rejected, "o certificado não valia na data de emissão"
	}
	return Rejected, "a cadeia do certificado não confere"
}

// chain follows the certificate to a root as of at. A chain once found holds for
// as long as all its certificates are valid.
func (v *Verifier) chain(k *knownCert, at time.Time) error {
	v.mu.Lock()
	holds := !k.from.IsZero() && !at.Before(k.from) && !at.After(k.to)
	v.mu.Unlock()
	if holds {
		return nil
	}
	chains, err := k.cert.Verify(x509.VerifyOptions{
		Roots: v.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	from, to := k.cert.NotBefore, k.cert.NotAfter
	for _, c := range chains[0] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k.from, k.to = from, to
	return nil
}
