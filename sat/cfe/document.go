// Package cfe reads, checks and makes fiscal documents: access keys of any
// model, the CF-e (model 59, layouts 0.06 to 0.08) with its two signatures and
// its computation rules, and what an archive must know of NFC-e and NF-e
// (models 65 and 55). It keeps exact bytes: nothing here rewrites a document.
//
// Sources: the dossiers on CF-e documents (sections 1 to 2) and on NFC-e
// documents (sections 1 to 4).
package cfe

import (
	"log/slog"
	"time"
)

// Kind says what a document is, by its root element, never by its file name.
type Kind string

// The kinds an archive holds.
const (
	Sale         Kind = "venda"         // CFe
	Cancellation Kind = "cancelamento"  // CFeCanc
	Invoice      Kind = "nota"          // nfeProc, procNFe: NF-e or NFC-e with its protocol
	Unprotocoled Kind = "nota-pendente" // NFe alone: pending, rejected or off-line contingency
	Event        Kind = "evento"        // procEventoNFe: cancellation and others
	Void         Kind = "inutilizacao"  // ProcInutNFe
)

// Document is what the fields of a fiscal document say, read without judging.
// Amounts are decimals with a dot, exactly as printed; "" where absent.
type Document struct {
	Kind    Kind
	Key     Key    // of this document; for an event the key it acts on; "" for a void range
	Cancels Key    // the sale a cancellation or a cancelling event cancels
	Layout  string // versao as printed
	Model   int    // 59, 65 or 55
	// Environment is tpAmb: 1 production, 2 test, 0 when the document does not
	// say (a CF-e cancellation). Test also counts the development signAC.
	Environment int
	Test        bool
	Issued      time.Time // dEmi+hEmi in zone -03, or dhEmi with its own offset
	Issuer      string    // emit/CNPJ (text: letters are coming), or CPF
	IssuerName  string
	City        string // emit/enderEmit/xMun, as printed; a CF-e gives no code of it
	StateReg    string // IE, trimmed
	Serial      string // nserieSAT; "" for models 65 and 55
	Series      string // série of models 65 and 55
	Number      int    // nCFe or nNF
	Till        string // numeroCaixa
	Consumer    string // CPF or CNPJ of dest, may be ""
	Software    string // versaoSB
	DevHouse    string // ide/CNPJ, the software house
	Total       string // vCFe or vNF
	Totals      Totals
	Payments    []Payment
	SignAC      string
	QRSignature string // assinaturaQRCODE
	Protocol    string // nProt of models 65 and 55
	Status      string // cStat of the protocol or event
	// EventType is tpEvento; VoidFirst and VoidLast the range of a void.
	EventType           string
	VoidFirst, VoidLast int
}

// LogValue keeps the consumer's CPF out of logs: a document is its kind and key.
func (d Document) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kind", string(d.Kind)), slog.String("key", string(d.Key)))
}

// Totals are the amounts an accountant's list shows, as printed.
type Totals struct {
	Products, ItemDiscount, SubtotalDiscount, Other, SubtotalAddition string
	ICMS, PIS, COFINS, PISST, COFINSST, ISSBase, ISS, Change          string
}

// Payment is one MP (or detPag): code and value as printed.
type Payment struct{ Code, Value string }
