package cfe

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/xml"
	"testing"
)

// BenchmarkParse is the field scan beside the standard library's tokens of the
// same document, which would still have to be made into fields.
func BenchmarkParse(b *testing.B) {
	doc := issued(b, "0.08").XML
	b.Run("fields", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if _, err := Parse(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-xml", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			d := xml.NewDecoder(bytes.NewReader(doc))
			for {
				if _, err := d.RawToken(); err != nil {
					break
				}
			}
		}
	})
}

// BenchmarkVerify is a whole verification of a device's further documents beside
// its floor, the two RSA operations.
func BenchmarkVerify(b *testing.B) {
	doc := issued(b, "0.08").XML
	indented := bytes.ReplaceAll(doc, []byte("><"), []byte(">\n<"))
	verifier := NewVerifier(roots(b))
	for name, raw := range map[string][]byte{"original": doc, "indented": indented} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if v := verifier.Verify(raw); !v.Trusted {
					b.Fatal(v.Reason)
				}
			}
		})
	}
	b.Run("alone", func(b *testing.B) {
		pool := roots(b)
		for b.Loop() {
			Verify(doc, pool)
		}
	})
	b.Run("floor", func(b *testing.B) {
		sum := sha256.Sum256(doc)
		key := device(b).key
		value, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			for range 2 {
				if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], value); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkIssue is what a simulated sale costs, two RSA signatures included.
func BenchmarkIssue(b *testing.B) {
	in, signer := sale(b, "0.08"), device(b)
	for b.Loop() {
		if _, err := Issue(in, padaria(), stamp("0.08", 1), signer); err != nil {
			b.Fatal(err)
		}
	}
}
