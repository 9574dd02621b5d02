package cfe

import (
	"crypto/x509"
	"errors"
)

// Key is an access key: 44 characters, digits except for the CNPJ, upper case.
type Key string

// ParseKey is a stub.
func ParseKey(s string) (Key, error) { return "", errors.New("todo") }

// Parse is a stub.
func Parse(raw []byte) (Document, error) { return Document{}, errors.New("todo") }

// Verdict is the result of one check.
type Verdict string

const (
	Verified   Verdict = "verified"
	Recovered  Verdict = "recovered"
	Rejected   Verdict = "rejected"
	Unsigned   Verdict = "unsigned"
	NotChecked Verdict = "not checked"
)

// Verification is a stub.
type Verification struct {
	Signature Verdict
	Reason    string
	QR        Verdict
	QRReason  string
	Signer    *x509.Certificate
	Chain     Verdict
	Trusted   bool
}

// Verify is a stub.
func Verify(raw []byte, roots *x509.CertPool) Verification { return Verification{} }
