package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
)

// forbiddenFrom is when the emission of CF-e became prohibited in SP and CE
// (dossier on CF-e documents, 7).
func forbiddenFrom() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, sat.Brasilia()) }

// Verdict is what one document came out as, for a list of files.
type Verdict struct {
	Word   string // "verified", "recovered", "rejected", "unsigned" or "kept"
	Reason string // pt-BR; "" when verified
}

// String is the word, with the reason of a rejected or unsigned one.
func (v Verdict) String() string {
	if v.Word == string(cfe.Rejected) || v.Word == string(cfe.Unsigned) {
		return v.Word + ": " + v.Reason
	}
	return v.Word
}

// kept is the verdict on documents whose signature is not checked.
const kept = "kept"

// Examine reads and verifies one document that came at a time. The verdict holds
// even when the error says that the bytes are no document that can be stored.
func Examine(v *cfe.Verifier, raw []byte, at time.Time) (store.Document, Verdict, error) {
	doc, checked, err := v.Read(raw)
	verdict := Verdict{string(checked.Signature), checked.Reason}
	if err == nil && doc.Key == "" && doc.Kind != cfe.Void {
		err = errors.New("the document has no access key")
		verdict.Reason = "o documento não traz chave de acesso"
	}
	if err != nil {
		var fault *cfe.Fault
		if errors.As(err, &fault) {
			verdict.Reason = fault.Text()
		}
		if checked.Signature != cfe.Unsigned {
			verdict.Word = string(cfe.Rejected)
		}
		return store.Document{}, verdict, err
	}
	if checked.Signature == cfe.NotChecked {
		verdict.Word = kept
	}
	return documentOf(doc, checked, verdict, raw, at), verdict, nil
}

func documentOf(doc cfe.Document, v cfe.Verification, verdict Verdict, raw []byte, at time.Time) store.Document {
	out := store.Document{
		Key: string(doc.Key), Kind: string(doc.Kind), Cancels: string(doc.Cancels), Layout: doc.Layout, Model: doc.Model,
		Environment: doc.Environment, Test: doc.Test, Issued: doc.Issued, Issuer: doc.Issuer, IssuerName: doc.IssuerName,
		Serial: doc.Serial, Series: doc.Series, Number: doc.Number, Till: doc.Till, Consumer: doc.Consumer, Total: doc.Total,
		Verdict: verdict.Word, Reason: verdict.Reason, Rank: rank(doc, v), ReceivedAt: at,
		Checks: []store.Check{{Name: "Assinatura do documento", Verdict: string(v.Signature), Reason: v.Reason}},
	}
	if doc.Model == 59 {
		out.Checks = append(out.Checks, store.Check{Name: "Assinatura do QR Code", Verdict: string(v.QR), Reason: v.QRReason},
			store.Check{Name: "Certificado do equipamento", Verdict: string(v.Chain), Reason: v.ChainReason})
		out.Forbidden = doc.Environment != 2 && !doc.Test && !doc.Issued.Before(forbiddenFrom())
		out.Invalid = v.Signature == cfe.Rejected || v.Signature == cfe.Unsigned
	}
	if !out.Invalid && !doc.Test {
		out.City = doc.City
	}
	if len(doc.Serial) != len(doc.Key.Serial()) {
		out.Serial = "" // of an edited document: no device has such a number
	}
	if doc.Kind == cfe.Event || doc.Kind == cfe.Void {
		// They share a key, or have none: each file stands for itself.
		out.Part = fmt.Sprintf("%x", sha256.Sum256(raw))
	}
	if out.Issued.IsZero() {
		out.Issued = at.In(sat.Brasilia())
	}
	return out
}

// rank orders the versions of one document: what a known authority's device
// signed before what merely verifies, and a note with its protocol before one
// without.
func rank(doc cfe.Document, v cfe.Verification) int {
	n := 0
	switch v.Signature {
	case cfe.Verified:
		n = 40
	case cfe.Recovered:
		n = 30
	case cfe.NotChecked:
		n = 20
	case cfe.Unsigned:
		n = 5
	}
	if doc.Kind == cfe.Unprotocoled {
		n -= 10
	}
	if v.Trusted {
		n += 15
	}
	return n
}
