package cfe

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
)

// Verdict is the result of one check.
type Verdict string

// The verdicts. Recovered means that the signature is right once the white space
// put between tags after signing is taken out: the document is genuine, the bytes
// are not the original ones.
const (
	Verified   Verdict = "verified"
	Recovered  Verdict = "recovered"
	Rejected   Verdict = "rejected"
	Unsigned   Verdict = "unsigned"
	NotChecked Verdict = "not checked"
)

// Verification is what can be said about a document's signatures. The three
// questions are answered apart: is it signed by the holder of the certificate
// inside (Signature, QR), does that certificate come from a known authority and
// belong to this device (Chain), and both together (Trusted). Reasons are in
// pt-BR, for people, and "" beside Verified.
type Verification struct {
	Signature   Verdict // of the XML; any verdict
	Reason      string
	QR          Verdict // of assinaturaQRCODE: Verified, Rejected, Unsigned, NotChecked
	QRReason    string
	Signer      *x509.Certificate // nil when there is none that can be read
	Chain       Verdict           // Verified, Rejected, NotChecked
	ChainReason string
	Trusted     bool // Signature is Verified or Recovered, and Chain is Verified
}

// Verify checks one document against roots; see Verifier, which is for many.
func Verify(raw []byte, roots *x509.CertPool) Verification {
	return NewVerifier(roots).Verify(raw)
}

// Verify checks a CF-e: its key against its fields, its XML signature, its QR
// signature, and the device's certificate at the time of issue, so that one which
// has expired since does not count against the document. The signer's CNPJ is not
// compared: in Ceará it is the tax authority's (dossier 2.5). Revocation is not
// checked. Notes of models 65 and 55 are NotChecked.
func (v *Verifier) Verify(raw []byte) Verification {
	_, out, _ := v.Read(raw)
	return out
}

// Read is Parse and Verify in one pass. The verification holds also when the
// error says that the bytes are no document.
func (v *Verifier) Read(raw []byte) (Document, Verification, error) {
	r, err := read(raw)
	var doc Document
	if err == nil {
		doc, err = r.document()
	}
	return doc, v.judge(r, doc, err), err
}

func (v *Verifier) judge(r *reading, doc Document, err error) Verification {
	if err != nil || doc.Model != 59 {
		out := Verification{QR: NotChecked, Chain: NotChecked}
		out.Signature, out.Reason = r.unchecked(err)
		out.QRReason, out.ChainReason = out.Reason, out.Reason
		return out
	}
	known := v.certificate(r.sig.certificate)
	out := Verification{Signer: known.x509()}
	out.Signature, out.Reason = r.verdict(doc, known.key())
	out.QR, out.QRReason = qrVerdict(doc, known.key())
	out.Chain, out.ChainReason = v.chainVerdict(doc, known)
	out.Trusted = out.Chain == Verified && (out.Signature == Verified || out.Signature == Recovered)
	return out
}

// unchecked answers for what cannot be read as a CF-e.
func (r *reading) unchecked(err error) (Verdict, string) {
	var fault *Fault
	if !errors.As(err, &fault) {
		return NotChecked, "a assinatura de notas dos modelos 65 e 55 não é verificada; o arquivo é guardado byte a byte"
	}
	switch {
	case fault.offence != offInput && fault.offence != offNotFiscal:
		return Rejected, fault.Text()
	case r.signatures == 0:
		return Unsigned, fault.Text()
	case fault.offence == offInput:
		return Rejected, fault.Text()
	}
	return NotChecked, fault.Text()
}

// verdict judges key and XML signature, naming the first thing that is wrong.
func (r *reading) verdict(doc Document, key *rsa.PublicKey) (Verdict, string) {
	if r.signatures == 0 {
		return Unsigned, "o documento não traz a assinatura do equipamento"
	}
	if reason := r.keyFault(doc); reason != "" {
		return Rejected, reason
	}
	if reason := r.shape(); reason != "" {
		return Rejected, reason
	}
	digest := r.digest()
	if digest == Rejected {
		return Rejected, "o conteúdo foi alterado depois de assinado: o resumo (digest) não confere"
	}
	if key == nil {
		return Rejected, "o certificado do equipamento não pode ser lido"
	}
	signed := r.signed(key)
	switch {
	case signed == Rejected:
		return Rejected, "o valor da assinatura não confere com o certificado"
	case digest == Recovered || signed == Recovered:
		return Recovered, "o arquivo foi reformatado depois de assinado; sem os espaços acrescentados a assinatura confere"
	}
	return Verified, ""
}

// keyFault compares the key with the fields it is made of, and its digit; "" when
// all agree.
func (r *reading) keyFault(doc Document) string {
	k := string(doc.Key)
	if !strings.HasPrefix(r.id, "CFe") {
		return "o Id do documento não começa com CFe"
	}
	if !doc.Key.digitRight() {
		return "o dígito verificador da chave não confere"
	}
	for _, part := range []struct {
		name, value string
		from, to    int
	}{
		{"cUF", r.ide.uf, 0, 2},
		{"dEmi", doc.Issued.Format("0601"), 2, 6},
		{"CNPJ do emitente", doc.Issuer, 6, 20},
		{"mod", r.ide.model, 20, 22},
		{"nserieSAT", doc.Serial, 22, 31},
		{"nCFe", r.ide.number, 31, 37},
		{"cNF", r.ide.random, 37, 43},
		{"cDV", r.ide.digit, 43, 44},
	} {
		if k[part.from:part.to] != part.value {
			return "a chave não confere com o campo " + part.name
		}
	}
	return ""
}

func qrVerdict(doc Document, key *rsa.PublicKey) (Verdict, string) {
	switch {
	case doc.QRSignature == "":
		return Unsigned, "o documento não traz a assinatura do QR Code"
	case key == nil:
		return NotChecked, "sem um certificado legível não se verifica o QR Code"
	case !qrSigned(doc, key):
		return Rejected, "a assinatura do QR Code não confere com chave, data, valor e consumidor"
	}
	return Verified, ""
}
