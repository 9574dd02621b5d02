package monitor

import (
	"crypto/x509"
	"encoding/asn1"
	"regexp"
	"strings"
	"unicode/utf8"

	"zelo/agent/wire"
	"zelo/sat/cfe"
)

// company reads what a certificate says of the company it was issued to (dossier on
// certificates, 1). It is false for a person's, an authority's, and any that is not of
// the ICP-Brasil. Nothing of a person leaves this function: no CPF, no responsible's name.
func company(der []byte) (wire.Certificate, bool) {
	c, err := x509.ParseCertificate(der)
	if err != nil || c.IsCA {
		return wire.Certificate{}, false
	}
	kind, brazilian := kindOf(c)
	cnpj := cnpjOf(c)
	if !brazilian || cnpj == "" {
		return wire.Certificate{}, false
	}
	return wire.Certificate{Holder: holderOf(c), CNPJ: cnpj, Type: kind, Issuer: c.Issuer.CommonName,
		From: c.NotBefore.UnixMilli(), Until: c.NotAfter.UnixMilli()}, true
}

// kindOf tells a certificate's type by its policy, and whether it is of the ICP-Brasil.
func kindOf(c *x509.Certificate) (kind string, brazilian bool) {
	for _, policy := range c.PolicyIdentifiers {
		rest, ok := strings.CutPrefix(policy.String(), "2.16.76.1.2.")
		if !ok {
			continue
		}
		arc, _, _ := strings.Cut(rest, ".")
		switch arc {
		case "1":
			return "A1", true
		case "3":
			return "A3", true
		case "201":
			return "SE-S", true
		case "202":
			return "SE-H", true
		}
		brazilian = true
	}
	for _, o := range c.Issuer.Organization {
		brazilian = brazilian || strings.EqualFold(strings.TrimSpace(o), "ICP-Brasil")
	}
	return "", brazilian
}

// cnpjOf is the holder's CNPJ: of the subject's serial number, else of the other names,
// else behind the common name; "" when it is nobody's, or a person's.
func cnpjOf(c *x509.Certificate) string {
	switch s := strings.ToUpper(strings.TrimSpace(c.Subject.SerialNumber)); {
	case cfe.ValidCNPJ(s):
		return s
	case cfe.ValidCPF(s):
		return ""
	}
	if s := strings.ToUpper(otherName(c, "2.16.76.1.3.3")); cfe.ValidCNPJ(s) {
		return s
	}
	if s := strings.ToUpper(c.Subject.CommonName[strings.LastIndexByte(c.Subject.CommonName, ':')+1:]); cfe.ValidCNPJ(s) {
		return s
	}
	return ""
}

// elevenDigits is a CPF wherever it stands: one-person companies have it in their name.
var elevenDigits = regexp.MustCompile(`\d{11,}`)

func holderOf(c *x509.Certificate) string {
	name, _, _ := strings.Cut(c.Subject.CommonName, ":")
	return strings.TrimSpace(elevenDigits.ReplaceAllString(name, ""))
}

// otherName is the text of an other name of a certificate (2.5.29.17); "" when it has
// none of that kind.
func otherName(c *x509.Certificate, kind string) string {
	for _, e := range c.Extensions {
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		var names asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			return ""
		}
		for rest := names.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				return ""
			}
			if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
				continue
			}
			var id asn1.ObjectIdentifier
			var value, inner asn1.RawValue
			after, err := asn1.Unmarshal(name.Bytes, &id)
			if err != nil || id.String() != kind {
				continue
			}
			if _, err = asn1.Unmarshal(after, &value); err != nil {
				continue
			}
			if _, err = asn1.Unmarshal(value.Bytes, &inner); err == nil && utf8.Valid(inner.Bytes) {
				return strings.Trim(string(inner.Bytes), " \x00")
			}
		}
	}
	return ""
}
