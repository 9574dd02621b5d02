package cfe

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"time"
)

// qrText is the text that assinaturaQRCODE signs: key, date and time, total as
// printed, consumer; the last bar stays when there is no consumer (dossier 2.3).
func qrText(key string, issued time.Time, total, consumer string) string {
	return key + "|" + issued.In(brasilia()).Format("20060102150405") + "|" + total + "|" + consumer
}

// qrSigned checks the QR signature in all the forms devices write: the key
// mostly without "CFe", in TesteFimAFim with it; the hash mostly inside the
// DigestInfo of PKCS #1, by one maker bare.
func qrSigned(d Document, key *rsa.PublicKey) bool {
	value, err := decodeBase64(d.QRSignature)
	if err != nil {
		return false
	}
	for _, k := range []string{string(d.Key), d.Key.ID()} {
		sum := sha256.Sum256([]byte(qrText(k, d.Issued, d.Total, d.Consumer)))
		for _, padding := range []crypto.Hash{crypto.SHA256, crypto.Hash(0)} {
			if rsa.VerifyPKCS1v15(key, padding, sum[:], value) == nil {
				return true
			}
		}
	}
	return false
}
