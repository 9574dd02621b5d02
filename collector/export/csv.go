package export

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
)

// CSV writes one line per document (dossier 6.2; what the tax authority says of a
// document is not known here). Cancelled tells whether a document was cancelled,
// also by one outside of docs. It returns the number of lines. The lines hold
// consumers' CPF: personal data.
func CSV(w io.Writer, docs iter.Seq[store.Exported], cancelled func(key string) (bool, error)) (n int, err error) {
	t, err := newTable(w, "chave", "tipo", "chave cancelada", "situação", "ambiente", "UF", "CNPJ emitente", "emitente", "IE",
		"SAT", "série", "número", "caixa", "emissão", "consumidor", "produtos", "desconto itens", "desconto subtotal", "outros",
		"acréscimo subtotal", "total", "ICMS", "PIS", "COFINS", "PIS ST", "COFINS ST", "base ISSQN", "ISSQN", "troco", "pagamento",
		"leiaute", "software básico", "certificado até", "assinatura", "motivo", "arquivo", "sha256")
	if err != nil {
		return 0, fmt.Errorf("cannot write the table: %w", err)
	}
	expiry := certificates{}
	for e := range docs {
		err := e.Err
		state := ""
		if err == nil {
			state, err = situation(e.Document, cancelled)
		}
		if err == nil {
			err = t.row(cells(e, state, expiry.until(e.Body))...)
		}
		if err != nil {
			return n, fmt.Errorf("cannot write the table: %w", err)
		}
		n++
	}
	if err := t.end(); err != nil {
		return n, fmt.Errorf("cannot write the table: %w", err)
	}
	return n, nil
}

func situation(d store.Document, cancelled func(string) (bool, error)) (string, error) {
	switch cfe.Kind(d.Kind) {
	case cfe.Event, cfe.Void:
		return "", nil
	case cfe.Unprotocoled:
		return "sem protocolo", nil
	}
	if is, err := cancelled(d.Key); err != nil || is {
		return "cancelado", err
	}
	return "autorizado", nil
}

func cells(e store.Exported, state, until string) []string {
	// What cannot be read leaves its cells empty; the stored fields are there.
	doc, _ := cfe.Parse(e.Body)
	t := doc.Totals
	environment := "produção"
	if e.Test {
		environment = "teste"
	}
	return []string{digits(e.Key), KindWord(e.Document), digits(e.Cancels), state, environment, doc.Key.UF(), digits(e.Issuer),
		text(e.IssuerName), digits(doc.StateReg), digits(e.Serial), text(e.Series), strconv.Itoa(e.Number), digits(e.Till),
		Moment(e.Issued), digits(e.Consumer), amount(t.Products), amount(t.ItemDiscount), amount(t.SubtotalDiscount),
		amount(t.Other), amount(t.SubtotalAddition), amount(e.Total), amount(t.ICMS), amount(t.PIS), amount(t.COFINS),
		amount(t.PISST), amount(t.COFINSST), amount(t.ISSBase), amount(t.ISS), amount(t.Change), text(payments(doc.Payments)),
		text(e.Layout), digits(doc.Software), until, VerdictWord(e.Verdict), text(e.Reason), File(e.Document), fmt.Sprintf("%x", e.SHA256)}
}

func payments(list []cfe.Payment) string {
	var out []string
	for _, p := range list {
		out = append(out, PaymentWord(p.Code)+" "+strings.Replace(p.Value, ".", ",", 1))
	}
	return strings.Join(out, " + ")
}

// paymentNames are the means of payment (cMP, tPag) in pt-BR (dossier 1.3, and
// on NFC-e documents 3).
var paymentNames = map[string]string{"01": "Dinheiro", "02": "Cheque", "03": "Cartão de crédito", "04": "Cartão de débito",
	"05": "Crédito loja", "10": "Vale alimentação", "11": "Vale refeição", "12": "Vale presente", "13": "Vale combustível",
	"14": "Duplicata", "15": "Boleto", "16": "Depósito", "17": "Pix", "18": "Transferência", "19": "Fidelidade",
	"20": "Pix estático", "21": "Crédito em loja", "22": "Pagamento eletrônico", "90": "Sem pagamento",
	"91": "Pagamento posterior", "99": "Outros"}

// PaymentWord names a means of payment to a person, in pt-BR.
func PaymentWord(code string) string {
	if name := paymentNames[code]; name != "" {
		return name
	}
	return "Forma " + code
}

// certificates remembers the last day of each certificate met, by its text: a
// device signs all its documents with one.
type certificates map[string]string

const maxCertificates = 1000

func (c certificates) until(body []byte) string {
	_, after, _ := bytes.Cut(body, []byte("X509Certificate>"))
	encoded, _, _ := bytes.Cut(after, []byte("<"))
	if day, known := c[string(encoded)]; known {
		return day
	}
	if len(c) >= maxCertificates {
		clear(c)
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(encoded), nil)))
	if err != nil {
		return ""
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	day := cert.NotAfter.In(sat.Brasilia()).Format("02/01/2006")
	c[string(encoded)] = day
	return day
}
