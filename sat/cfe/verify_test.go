package cfe

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every real document with its verdict (README of the samples), and of those
// that dossier 2.4 lists, the digest.
func TestVerifyRealDocuments(t *testing.T) {
	digests := map[string]string{
		"satcfe__testefimafim__raw-device.xml":                "8idRQyi+MVQO/UatrdYnuQsaav7X8tuvV0ChmENVDm4=",
		"satcfe__cancelarultimavenda__cfecanc-autorizado.xml": "cKjiw47QNwzsTllPL2AqZa2q53472inwU8Uavl3sBQg=",
	}
	verdicts := map[string]struct{ xml, qr Verdict }{
		"satcfe__cancelarultimavenda__cfecanc-autorizado.xml":  {Recovered, Verified},
		"satcfe__cancelarultimavenda__cfecanc.xml":             {Unsigned, NotChecked},
		"satcfe__configurarinterfacederede__conf-rede-min.xml": {Unsigned, NotChecked},
		"satcfe__configurarinterfacederede__conf-rede.xml":     {Unsigned, NotChecked},
		"satcfe__enviardadosvenda__cfe-autorizado.xml":         {Rejected, Verified},
		"satcfe__enviardadosvenda__cfe.xml":                    {Unsigned, NotChecked},
		"satcfe__testefimafim__cfe-teste-assinado.xml":         {Verified, Verified},
		"satcfe__testefimafim__cfe-teste.xml":                  {Unsigned, NotChecked},
		"satcfe__testefimafim__raw-device.xml":                 {Verified, Verified},
		"satcomum__cfe_cancelamento.xml":                       {Recovered, Verified},
		"satcomum__cfe_venda.xml":                              {Rejected, Verified},
		"satextrato__cfe_cancelamento.xml":                     {Recovered, Verified},
		"satextrato__cfe_venda.xml":                            {Recovered, Verified},
	}
	files, _ := filepath.Glob(filepath.Join(samples, "xml", "*.xml"))
	if len(files) == 0 {
		t.Skip("SKIP: no sample documents in " + samples)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, listed := verdicts[name]
			if !listed {
				t.Fatal("a sample without an expected verdict")
			}
			v := Verify(raw, nil)
			if v.Signature != want.xml || v.QR != want.qr || (v.Reason == "") != (want.xml == Verified) {
				t.Errorf("%s (%s), QR %s (%s)", v.Signature, v.Reason, v.QR, v.QRReason)
			}
			if v.Trusted || v.Chain != NotChecked || v.ChainReason == "" {
				t.Errorf("without roots: chain %s (%s), trusted %t", v.Chain, v.ChainReason, v.Trusted)
			}
			if d := digests[name]; d != "" && !bytes.Contains(raw, []byte(d)) {
				t.Errorf("the digest is not %s", d)
			}
		})
	}
}

// The QR texts of dossier 2.3 and 2.4.
func TestQRText(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("20060102150405", s, brasilia())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for want, got := range map[string]string{
		"35211014200166000166599000207500001006345230|20211011161302|32.00|":                   qrText("35211014200166000166599000207500001006345230", at("20211011161302").UTC(), "32.00", ""),
		"CFe35150908723218000186599000040190000007972068|20150912101513|654.32|16716114000172": qrText("CFe35150908723218000186599000040190000007972068", at("20150912101513"), "654.32", "16716114000172"),
		"35150908723218000186599000040190000378585470|20150911175921|2.00|":                    qrText("35150908723218000186599000040190000378585470", at("20150911175921"), "2.00", ""),
	} {
		if got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
}

func TestVerifyTakesAllFormsOfTheQRSignature(t *testing.T) {
	out := issued(t, "0.08")
	key := device(t).key
	for name, prefix := range map[string]string{"key alone": "", "key with CFe": "CFe"} {
		for padding, hash := range map[string]crypto.Hash{"DigestInfo": crypto.SHA256, "bare hash": crypto.Hash(0)} {
			t.Run(name+", "+padding, func(t *testing.T) {
				sum := sha256.Sum256([]byte(qrText(prefix+string(out.Key), noon(), out.Total, out.Consumer)))
				value, err := rsa.SignPKCS1v15(nil, key, hash, sum[:])
				if err != nil {
					t.Fatal(err)
				}
				text := base64.StdEncoding.EncodeToString(value)
				if v := Verify(bytes.Replace(out.XML, []byte(out.QRSignature), []byte(text), 1), nil); v.QR != Verified {
					t.Errorf("%s (%s)", v.QR, v.QRReason)
				}
			})
		}
	}
	for name, c := range map[string]struct {
		from, to string
		want     Verdict
	}{
		"no signature":     {out.QRSignature, "", Unsigned},
		"other signature":  {out.QRSignature[:8], "AAAAAAAA", Rejected},
		"no Base64":        {out.QRSignature[:8], "????????", Rejected},
		"other consumer":   {"52998224725", "11144477735", Rejected},
		"other total":      {"<vCFe>108.18", "<vCFe>108.19", Rejected},
		"other hour":       {"<hEmi>120000", "<hEmi>120001", Rejected},
		"certificate gone": {"<X509Certificate>", "<X509Certificate>!", NotChecked},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verify(bytes.Replace(out.XML, []byte(c.from), []byte(c.to), 1), nil)
			if v.QR != c.want || v.QRReason == "" || v.Signature != Rejected {
				t.Errorf("%s (%s), signature %s", v.QR, v.QRReason, v.Signature)
			}
		})
	}
}

// Copies that tools make of a document, and what is left of its signature.
func TestVerifyCopies(t *testing.T) {
	out := issued(t, "0.08")
	doc := string(out.XML)
	from, to := strings.Index(doc, "<Signature"), strings.Index(doc, "</CFe>")
	for name, c := range map[string]struct {
		text string
		want Verdict
	}{
		"the device's bytes":        {doc, Verified},
		"declaration added":         {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" + doc, Verified},
		"byte order mark":           {"\xEF\xBB\xBF" + doc, Verified},
		"trailing NUL":              {doc + "\x00", Verified},
		"attributes in other order": {strings.Replace(doc, ` versao="0.08" versaoDadosEnt="0.08"`, ` versaoDadosEnt='0.08'  versao="0.08"`, 1), Verified},
		"comment inside":            {strings.Replace(doc, "<det nItem=\"1\">", "<!-- x --><det nItem=\"1\">", 1), Verified},
		"other entities":            {strings.Replace(doc, "José &amp; Irmãos", "Jos&#233; &#38; <![CDATA[Irmãos]]>", 1), Verified},
		"line ends of Windows":      {strings.Replace(doc, "\n", "\r\n", 1), Verified},
		"pasted into a lot's space": {strings.Replace(doc, "<CFe>", `<CFe xmlns="http://www.fazenda.sp.gov.br/sat">`, 1), Verified},
		"certificate wrapped":       {strings.Replace(doc, "<X509Certificate>MII", "<X509Certificate>\r\n  MII\n\t", 1), Verified},
		"signature indented":        {doc[:from] + strings.ReplaceAll(doc[from:to], "><", ">\n<") + doc[to:], Recovered},
		"indented":                  {strings.ReplaceAll(doc, "><", ">\r\n  <"), Recovered},
		"text changed by a byte":    {strings.Replace(doc, "PAO-1", "PAO-2", 1), Rejected},
		"blanks inside a text":      {strings.Replace(doc, "<xFant>Pão", "<xFant> Pão", 1), Rejected},
		"item taken out":            {doc[:strings.Index(doc, "<det nItem=\"2\">")] + doc[strings.Index(doc, "<det nItem=\"3\">"):], Rejected},
		"in another encoding":       {strings.ReplaceAll(doc, "ã", "\xE3"), Verified},
		"signature taken out":       {doc[:from] + doc[to:], Unsigned},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verify([]byte(c.text), roots(t))
			if v.Signature != c.want || (v.Reason == "") != (c.want == Verified) {
				t.Errorf("%s (%s), expected %s", v.Signature, v.Reason, c.want)
			}
			if v.Trusted != (c.want == Verified || c.want == Recovered) {
				t.Errorf("trusted %t", v.Trusted)
			}
		})
	}
}

// Every way of forging has its name and its reason.
func TestVerifyRejects(t *testing.T) {
	out := issued(t, "0.08")
	doc := string(out.XML)
	other := string(cancelled(t, "0.08").XML)
	swap := func(from, to string) string { return strings.Replace(doc, from, to, 1) }
	part := func(s, from, to string) string {
		return s[strings.Index(s, from) : strings.Index(s, to)+len(to)]
	}
	inf, sig := part(doc, "<infCFe", "</infCFe>"), part(doc, "<Signature", "</Signature>")
	info := part(doc, "<SignedInfo", "</SignedInfo>")
	for name, c := range map[string]struct{ text, reason string }{
		"total changed":               {swap("<vCFe>108.18", "<vCFe>008.18"), "digest"},
		"digest of other content":     {swap(part(doc, "<DigestValue>", "</DigestValue>"), part(other, "<DigestValue>", "</DigestValue>")), "digest"},
		"digest is no Base64":         {swap("<DigestValue>", "<DigestValue>?"), "digest"},
		"content and digest changed":  {redigest(t, swap("<vCFe>108.18", "<vCFe>008.18")), "valor da assinatura"},
		"signature of another":        {swap(part(doc, "<SignatureValue>", "</SignatureValue>"), part(other, "<SignatureValue>", "</SignatureValue>")), "valor da assinatura"},
		"signature is no Base64":      {swap("<SignatureValue>", "<SignatureValue>?"), "valor da assinatura"},
		"whole Signature of another":  {swap(sig, part(other, "<Signature", "</Signature>")), "outro documento"},
		"reference to nothing":        {swap(`URI="#CFe`, `URI="#`), "outro documento"},
		"reference to the whole file": {swap(`URI="#`+out.Key.ID()+`"`, `URI=""`), "outro documento"},
		"weaker digest":               {swap("xmlenc#sha256", "xmldsig#sha1"), "algoritmo"},
		"HMAC":                        {swap("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256"), "algoritmo"},
		"exclusive form":              {strings.ReplaceAll(doc, algC14N, "http://www.w3.org/2001/10/xml-exc-c14n#"), "algoritmo"},
		"XSLT transform":              {swap(algEnveloped, "http://www.w3.org/TR/1999/REC-xslt-19991116"), "transformação"},
		"two references":              {swap("</Reference>", "</Reference><Reference URI=\"\"/>"), "incompleta"},
		"two SignedInfo":              {swap(info, info+info), "incompleta"},
		"two digests":                 {swap("</DigestValue>", "</DigestValue><DigestValue>AA==</DigestValue>"), "incompleta"},
		"no SignatureValue":           {swap(part(doc, "<SignatureValue>", "</SignatureValue>"), ""), "incompleta"},
		"two Signatures":              {swap(sig, sig+sig), "mais de uma"},
		"Signature inside":            {"<CFe>" + strings.Replace(inf, "</infCFe>", sig+"</infCFe>", 1) + "</CFe>", "lugar"},
		"Signature before":            {"<CFe>" + sig + inf + "</CFe>", "lugar"},
		"Signature in a wrapper":      {"<CFe>" + inf + "<x>" + sig + "</x></CFe>", "lugar"},
		"wrapped element":             {"<CFe>" + strings.Replace(inf, out.Key.ID(), "CFe"+string(mustOtherKey(t)), 1) + strings.Replace(sig, "</Signature>", "<Object>"+inf+"</Object></Signature>", 1) + "</CFe>", "mais de um elemento"},
		"signed element in a wrapper": {"<CFe><x>" + inf + "</x>" + sig + "</CFe>", "falta o elemento"},
		"no certificate":              {swap(part(doc, "<X509Certificate>", "</X509Certificate>"), ""), "certificado"},
		"cut certificate":             {swap("<X509Certificate>MII", "<X509Certificate>"), "certificado"},
		"key with a wrong digit":      {strings.ReplaceAll(doc, string(out.Key), string(out.Key[:43])+"1"), "dígito verificador"},
		"key without prefix":          {strings.ReplaceAll(doc, out.Key.ID(), string(out.Key)), "CFe"},
		"key of another number":       {strings.ReplaceAll(doc, string(out.Key), string(mustOtherKey(t))), "nCFe"},
		"other state":                 {swap("<cUF>35", "<cUF>23"), "cUF"},
		"other month":                 {swap("<dEmi>202507", "<dEmi>202508"), "dEmi"},
		"other issuer":                {swap("<emit><CNPJ>11222333000181", "<emit><CNPJ>08723218000186"), "CNPJ"},
		"other model":                 {swap("<mod>59", "<mod>65"), "mod"},
		"other device":                {swap("<nserieSAT>900000123", "<nserieSAT>900000124"), "nserieSAT"},
		"other random code":           {swap("<cNF>123456", "<cNF>123457"), "cNF"},
		"other digit":                 {swap("<cDV>0", "<cDV>1"), "cDV"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.text == doc {
				t.Fatal("nothing was forged")
			}
			v := Verify([]byte(c.text), roots(t))
			if v.Signature != Rejected || !strings.Contains(v.Reason, c.reason) || v.Trusted {
				t.Errorf("%s (%s), trusted %t", v.Signature, v.Reason, v.Trusted)
			}
		})
	}
}

// What is no issued CF-e has no signature that could be right.
func TestVerifyOtherFiles(t *testing.T) {
	input := string(saleText(t, "0.08"))
	for name, c := range map[string]struct {
		text string
		want Verdict
	}{
		"a document of services":        {"<NFSe><x/></NFSe>", Unsigned},
		"a signed document of services": {"<NFSe><Signature/></NFSe>", NotChecked},
		"an application's input":        {input, Unsigned},
		"an application's input signed": {strings.Replace(input, "</CFe>", "<Signature/></CFe>", 1), Rejected},
		"no XML":                        {"oi", Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verify([]byte(c.text), roots(t))
			if v.Signature != c.want || v.Reason == "" || v.QR != NotChecked || v.QRReason == "" || v.Chain != NotChecked || v.Trusted {
				t.Errorf("%+v", v)
			}
		})
	}
}

// A Verifier forgets rather than grow without end.
func TestVerifierIsBounded(t *testing.T) {
	verifier := NewVerifier(roots(t))
	doc := issued(t, "0.08").XML
	for i := range maxCerts {
		verifier.certs[strings.Repeat("A", i+1)] = &knownCert{}
	}
	if v := verifier.Verify(doc); !v.Trusted || len(verifier.certs) != 1 {
		t.Errorf("trusted %t, %d certificates remembered", v.Trusted, len(verifier.certs))
	}
}

func mustOtherKey(t *testing.T) Key {
	return mustKey(t, KeyParts{UF: 35, Issued: noon(), CNPJ: padaria().CNPJ, Model: 59, Serial: "900000123", Number: 77, Random: 123456})
}

// redigest puts the right DigestValue into a changed document.
func redigest(t *testing.T, doc string) string {
	t.Helper()
	from, to := strings.Index(doc, "<infCFe"), strings.Index(doc, "</infCFe>")+len("</infCFe>")
	sum := sha256.Sum256([]byte(doc[from:to]))
	at := strings.Index(doc, "<DigestValue>") + len("<DigestValue>")
	return doc[:at] + base64.StdEncoding.EncodeToString(sum[:]) + doc[strings.Index(doc, "</DigestValue>"):]
}

// A right signature is one thing, a known signer another.
func TestVerifyKeepsTrustApart(t *testing.T) {
	ca := authority(t)
	stranger, err := NewTestCA(noon())
	if err != nil {
		t.Fatal(err)
	}
	valid := func(serial string, from, to time.Time) DeviceCert {
		return DeviceCert{Serial: serial, CNPJ: "11222333000181", Name: "PADARIA MODELO LTDA", NotBefore: from, NotAfter: to}
	}
	year := 365 * 24 * time.Hour
	both := ca.Pool()
	both.AddCert(stranger.Certificate())
	for name, c := range map[string]struct {
		by     *CA
		cert   DeviceCert
		roots  *x509.CertPool
		want   Verdict
		reason string
	}{
		"valid at issue, expired today": {ca, valid("900000123", noon().Add(-year), noon().Add(24*time.Hour)), ca.Pool(), Verified, ""},
		"one of two authorities":        {stranger, valid("900000123", noon().Add(-year), noon().Add(year)), both, Verified, ""},
		"without number of a device":    {ca, valid("", noon().Add(-year), noon().Add(year)), ca.Pool(), Verified, ""},
		"of the tax authority":          {ca, DeviceCert{"900000123", "07954597000152", "CEARA SECRETARIA DA FAZENDA", noon().Add(-year), noon().Add(year)}, ca.Pool(), Verified, ""},
		"expired before the issue":      {ca, valid("900000123", noon().Add(-year), noon().Add(-time.Second)), ca.Pool(), Rejected, "data de emissão"},
		"not yet valid at the issue":    {ca, valid("900000123", noon().Add(time.Second), noon().Add(year)), ca.Pool(), Rejected, "data de emissão"},
		"of another device":             {ca, valid("900000999", noon().Add(-year), noon().Add(year)), ca.Pool(), Rejected, "outro equipamento"},
		"by an unknown authority":       {stranger, valid("900000123", noon().Add(-year), noon().Add(year)), ca.Pool(), Rejected, "desconhecida"},
		"no authorities known":          {ca, valid("900000123", noon().Add(-year), noon().Add(year)), x509.NewCertPool(), Rejected, "desconhecida"},
		"no roots given":                {ca, valid("900000123", noon().Add(-year), noon().Add(year)), nil, NotChecked, "cadastrada"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := c.by.Issue(c.cert)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Issue(sale(t, "0.08"), padaria(), stamp("0.08", 1), s)
			if err != nil {
				t.Fatal(err)
			}
			v := Verify(out.XML, c.roots)
			if v.Signature != Verified || v.QR != Verified {
				t.Errorf("signature %s (%s), QR %s", v.Signature, v.Reason, v.QR)
			}
			if v.Chain != c.want || !strings.Contains(v.ChainReason, c.reason) || v.Trusted != (c.want == Verified) {
				t.Errorf("chain %s (%s), trusted %t", v.Chain, v.ChainReason, v.Trusted)
			}
			if v.Signer == nil || !v.Signer.Equal(s.Certificate()) {
				t.Error("the signer is not the one who signed")
			}
		})
	}
	t.Run("self-signed", func(t *testing.T) {
		out, err := Issue(sale(t, "0.08"), padaria(), stamp("0.08", 1), stranger.signer)
		if err != nil {
			t.Fatal(err)
		}
		if v := Verify(out.XML, ca.Pool()); v.Signature != Verified || v.Chain != Rejected || v.Trusted {
			t.Errorf("%+v", v)
		}
	})
}

// A Verifier that has seen a certificate answers as a new one does.
func TestVerifierRemembersRightly(t *testing.T) {
	verifier := NewVerifier(roots(t))
	at := func(year int) []byte {
		st := stamp("0.08", year)
		st.Issued = time.Date(year, 7, 18, 12, 0, 0, 0, brasilia())
		out, err := Issue(sale(t, "0.08"), padaria(), st, device(t))
		if err != nil {
			t.Fatal(err)
		}
		return out.XML
	}
	for _, year := range []int{2025, 2023, 2025, 2028, 2030, 2024, 2023} {
		got, want := verifier.Verify(at(year)), Verify(at(year), roots(t))
		if got.Chain != want.Chain || got.Trusted != want.Trusted || got.Trusted != (year >= 2024 && year <= 2028) {
			t.Errorf("%d: %s (%s), trusted %t; a new one says %s", year, got.Chain, got.ChainReason, got.Trusted, want.Chain)
		}
	}
}

// One changed byte in a signed document is noticed, or lies outside the signed
// element and changes no field.
func TestChangedBytesNeverVerify(t *testing.T) {
	doc := issued(t, "0.08").XML
	want, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	from, to := bytes.Index(doc, []byte("<infCFe")), bytes.Index(doc, []byte("</infCFe>"))
	verifier := NewVerifier(roots(t))
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(doc)
		at := rapid.IntRange(0, len(doc)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			changed[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			changed = append(changed[:at], changed[at+1:]...)
		case 2:
			changed = append(append(bytes.Clone(doc[:at]), rapid.Byte().Draw(t, "byte")), doc[at:]...)
		}
		if bytes.Equal(changed, doc) {
			return
		}
		v := verifier.Verify(changed)
		if v.Signature != Verified && v.Signature != Recovered {
			return
		}
		got, err := Parse(changed)
		if err != nil || !sameFields(got, want) {
			t.Fatalf("byte %d: %s, but the fields are %+v (%v)", at, v.Signature, got, err)
		}
		inside := at > from && at < to
		space := at < len(changed) && blankByte(changed[at])
		if inside && v.Signature == Verified && !space {
			t.Fatalf("byte %d inside the signed element changed: %q", at, changed[max(0, at-20):min(len(changed), at+20)])
		}
	})
}

func FuzzVerify(f *testing.F) {
	out := issued(f, "0.08")
	f.Add(out.XML)
	f.Add(cancelled(f, "0.06").XML)
	f.Add(bytes.ReplaceAll(out.XML, []byte("><"), []byte(">\n<")))
	f.Add(bytes.Replace(out.XML, []byte("<X509Certificate>MII"), []byte("<X509Certificate>MIIA"), 1))
	f.Add(saleText(f, "0.08"))
	verifier := NewVerifier(roots(f))
	genuine := map[Key]Document{}
	for _, raw := range [][]byte{out.XML, cancelled(f, "0.06").XML} {
		d, err := Parse(raw)
		if err != nil {
			f.Fatal(err)
		}
		genuine[d.Key] = d
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := verifier.Verify(raw)
		if (v.Reason == "") != (v.Signature == Verified) {
			t.Fatalf("%s with reason %q", v.Signature, v.Reason)
		}
		if !v.Trusted {
			return
		}
		d, err := Parse(raw)
		if err != nil || !sameFields(d, genuine[d.Key]) {
			t.Fatalf("trusted, but never issued: %+v (%v)", d, err)
		}
	})
}
