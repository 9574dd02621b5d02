package cfe

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// The algorithms of a CF-e's XML signature (dossier 2.4).
const (
	algC14N      = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	algEnveloped = dsig + "enveloped-signature"
	algRSA       = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algSHA       = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// signature is what the Signature element of a CF-e says.
type signature struct {
	signedInfo  span
	infos       int // SignedInfo elements
	references  int
	c14n        string
	method      string
	uri         string
	transforms  []string
	digestAlg   string
	digest      string
	digests     int
	value       string
	values      int
	certificate string // the first one; devices give no chain
}

// enterSignature takes the attributes of the signature's elements.
func (r *reading) enterSignature() {
	g := &r.sig
	switch string(r.path) {
	case "Signature":
		r.signatureAt = r.from
	case "Signature/SignedInfo":
		g.infos++
		g.signedInfo.from = r.from
	case "Signature/SignedInfo/CanonicalizationMethod":
		g.c14n = r.attr("Algorithm")
	case "Signature/SignedInfo/SignatureMethod":
		g.method = r.attr("Algorithm")
	case "Signature/SignedInfo/Reference":
		g.references++
		g.uri = r.attr("URI")
	case "Signature/SignedInfo/Reference/Transforms/Transform":
		g.transforms = append(g.transforms, r.attr("Algorithm"))
	case "Signature/SignedInfo/Reference/DigestMethod":
		g.digestAlg = r.attr("Algorithm")
	}
}

// signatureField takes the texts of the signature's elements.
func (r *reading) signatureField() {
	g := &r.sig
	switch string(r.path) {
	case "Signature/SignedInfo/Reference/DigestValue":
		g.digests++
		g.digest = r.value()
	case "Signature/SignatureValue":
		g.values++
		g.value = r.value()
	case "Signature/KeyInfo/X509Data/X509Certificate":
		if g.certificate == "" {
			g.certificate = r.value()
		}
	}
}

// shape says in pt-BR what is wrong with the signature's form; "" for nothing.
func (r *reading) shape() string {
	g := &r.sig
	switch {
	case r.signatures > 1:
		return "há mais de uma assinatura no documento"
	case r.signatureAt < r.inf.to:
		return "a assinatura não está no lugar: deve vir depois de infCFe"
	case g.infos != 1 || g.references != 1 || g.digests != 1 || g.values != 1:
		return "a assinatura está incompleta ou repete elementos"
	case g.c14n != algC14N || g.method != algRSA || g.digestAlg != algSHA:
		return "a assinatura usa um algoritmo que o SAT não usa"
	case g.uri != "#"+r.id:
		return "a assinatura se refere a outro documento"
	}
	for _, t := range g.transforms {
		if t != algEnveloped && t != algC14N {
			return "a assinatura usa uma transformação que o SAT não usa"
		}
	}
	return ""
}

// digest compares the signed element with DigestValue: as it stands, in its
// canonical form, and last without the white space between tags, in which case
// the document was reformatted after signing.
func (r *reading) digest() Verdict {
	want, err := decodeBase64(r.sig.digest)
	if err != nil {
		return Rejected
	}
	element := r.raw[r.inf.from:r.inf.to]
	same := func(b []byte, ok bool) bool {
		sum := sha256.Sum256(b)
		return ok && bytes.Equal(sum[:], want)
	}
	switch {
	case same(element, true), same(canonical(element, "", false)):
		return Verified
	case same(canonical(element, "", true)):
		return Recovered
	}
	return Rejected
}

// signed checks SignatureValue over SignedInfo, whose only namespace is that of
// XML signatures; like digest, it tries without white space last.
func (r *reading) signed(key *rsa.PublicKey) Verdict {
	value, err := decodeBase64(r.sig.value)
	if err != nil {
		return Rejected
	}
	info := r.raw[r.sig.signedInfo.from:r.sig.signedInfo.to]
	same := func(b []byte, ok bool) bool {
		sum := sha256.Sum256(b)
		return ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], value) == nil
	}
	switch {
	case same(canonical(info, dsig, false)):
		return Verified
	case same(canonical(info, dsig, true)):
		return Recovered
	}
	return Rejected
}

// decodeBase64 takes the white space that reformatting leaves inside.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, " \t") {
		s = strings.Join(strings.Fields(s), "")
	}
	return base64.StdEncoding.DecodeString(s)
}
