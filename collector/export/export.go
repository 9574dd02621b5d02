// Package export writes stored documents in the forms accountants take: a ZIP of
// the original files with manifest, control report and checksums, a table, and
// the receipt of one coupon. It takes documents from an iterator, one at a time,
// holds none of them, and never opens a store.
//
// Sources: the dossier on CF-e documents, sections 3, 5 and 6.
package export

import (
	"fmt"
	"strings"

	"zelo/collector/store"
	"zelo/sat/cfe"
)

// File is where a document lies in an export: its CNPJ, its device (or NFCe, NFe)
// and the month of its date of issue make the folders, its key the name (dossier
// 6.1). Documents of the test environment lie below "teste".
func File(d store.Document) string {
	parts := []string{plain(d.Issuer), plain(d.Serial), d.Month(), FileName(d)}
	switch d.Model {
	case 65:
		parts[1] = "NFCe"
	case 55:
		parts[1] = "NFe"
	}
	if d.Test {
		parts = append([]string{"teste"}, parts...)
	}
	return strings.Join(parts, "/")
}

// FileName is the name alone. It has a piece of the hash where a key may have several documents.
func FileName(d store.Document) string {
	key, piece := plain(d.Key), fmt.Sprintf("%x", d.SHA256[:4])
	switch cfe.Kind(d.Kind) {
	case cfe.Sale:
		return "AD" + key + ".xml"
	case cfe.Cancellation:
		return "ADC" + key + ".xml"
	case cfe.Event:
		return key + "-" + piece + "-procEventoNFe.xml"
	case cfe.Void:
		return plain(d.Issuer) + "-" + plain(d.Series) + "-" + piece + "-procInutNFe.xml"
	}
	return key + "-nfe.xml"
}

// plain keeps what is safe in a file name of any system. Keys, CNPJs and serial
// numbers hold nothing else unless somebody forged them.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s)
	if s == "" {
		return "sem"
	}
	return s
}

// VerdictWord says a stored verdict to a person, in pt-BR.
func VerdictWord(verdict string) string {
	switch cfe.Verdict(verdict) {
	case cfe.Verified:
		return "confere"
	case cfe.Recovered:
		return "confere, arquivo reformatado"
	case cfe.Rejected:
		return "não confere"
	case cfe.Unsigned:
		return "sem assinatura"
	}
	return "não verificada"
}

// KindWord says what a stored document is to a person, in pt-BR.
func KindWord(d store.Document) string {
	note := "NF-e"
	if d.Model == 65 {
		note = "NFC-e"
	}
	switch cfe.Kind(d.Kind) {
	case cfe.Sale:
		return "Venda"
	case cfe.Cancellation:
		return "Cancelamento"
	case cfe.Invoice:
		return note
	case cfe.Unprotocoled:
		return note + " sem protocolo"
	case cfe.Event:
		return "Evento de " + note
	case cfe.Void:
		return "Inutilização de " + note
	}
	return "Documento"
}
