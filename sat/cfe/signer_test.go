package cfe

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func TestSignerSurvivesPEM(t *testing.T) {
	ca, err := NewTestCA(noon())
	if err != nil {
		t.Fatal(err)
	}
	text, err := ca.PEM()
	if err != nil {
		t.Fatal(err)
	}
	same, err := LoadCA(text)
	if err != nil || !same.Certificate().Equal(ca.Certificate()) {
		t.Fatalf("another authority came back (%v)", err)
	}
	s, err := same.Issue(DeviceCert{Serial: "900000777", CNPJ: "11222333000181", Name: "X", NotBefore: noon(), NotAfter: noon().AddDate(5, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	cert := s.Certificate()
	if cert.Subject.SerialNumber != "900000777" || cert.Subject.CommonName != "X:11222333000181" ||
		!cert.NotAfter.Equal(noon().AddDate(5, 0, 0)) || cert.CheckSignatureFrom(ca.Certificate()) != nil {
		t.Errorf("certificate of %v", cert.Subject)
	}
	text, err = s.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := Issue(sale(t, "0.08"), padaria(), stamp("0.08", 1), s)
	second, err2 := Issue(sale(t, "0.08"), padaria(), stamp("0.08", 1), again)
	if err1 != nil || err2 != nil || !bytes.Equal(first.XML, second.XML) {
		t.Errorf("the loaded signer signs otherwise (%v, %v)", err1, err2)
	}
}

func TestLoadSignerRefuses(t *testing.T) {
	text, other := testdata(t, "device.pem"), testdata(t, "ca.pem")
	at := bytes.Index(text, []byte("-----BEGIN PRIVATE"))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"no PEM":              []byte("oi"),
		"certificate alone":   text[:at],
		"key alone":           text[at:],
		"key of another":      append(bytes.Clone(text[:at]), other[bytes.Index(other, []byte("-----BEGIN PRIVATE")):]...),
		"key that is not RSA": append(bytes.Clone(text[:at]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...),
		"damaged certificate": bytes.Replace(text, []byte("MII"), []byte("MIA"), 1),
		"damaged key":         append(bytes.Clone(text[:at]), bytes.Replace(text[at:], []byte("MII"), []byte("MIA"), 1)...),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadSigner(b); err == nil {
				t.Error("accepted")
			}
		})
	}
	if _, err := LoadCA(text); err == nil {
		t.Error("a device was taken for an authority")
	}
}

// A person may name any file as the key of a device.
func FuzzLoadSigner(f *testing.F) {
	text, ca := testdata(f, "device.pem"), testdata(f, "ca.pem")
	f.Add(text)
	f.Add(ca)
	f.Add(text[:len(text)/2])
	f.Add(append(bytes.Clone(ca), text...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := LoadSigner(b)
		if err != nil {
			return
		}
		again, err := s.PEM()
		if err != nil {
			t.Fatal(err)
		}
		same, err := LoadSigner(again)
		if err != nil || !same.Certificate().Equal(s.Certificate()) || !same.key.Equal(s.key) {
			t.Fatalf("another signer came back, %v", err)
		}
	})
}
