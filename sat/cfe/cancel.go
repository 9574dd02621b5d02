package cfe

import (
	"strings"
	"time"
)

// CancelInput is what a sales application gives to CancelarUltimaVenda (dossier
// 1.7). It is made by ParseCancel and read by Check and IssueCancel.
type CancelInput struct {
	Cancels      string // chCanc as given, "CFe" and the key
	DevHouse     string // ide/CNPJ
	SignAC       string
	Till         string // numeroCaixa
	ConsumerCNPJ string // only layout 0.06 lets an input name the consumer
	ConsumerCPF  string

	seen shape
}

// Key is the key of the sale to cancel; false when chCanc is not "CFe" and a
// right key of model 59.
func (in *CancelInput) Key() (Key, bool) {
	if !strings.HasPrefix(in.Cancels, "CFe") {
		return "", false
	}
	k, err := ParseKey(in.Cancels)
	return k, err == nil && k.Model() == 59
}

var cancelRows = []row[CancelInput]{
	{path: "infCFe", open: func(in *CancelInput, attr func(string) string) { in.Cancels = attr("chCanc") }},
	{path: "infCFe/ide"},
	{path: "infCFe/ide/CNPJ", text: func(in *CancelInput) *string { return &in.DevHouse }},
	{path: "infCFe/ide/signAC", text: func(in *CancelInput) *string { return &in.SignAC }},
	{path: "infCFe/ide/numeroCaixa", text: func(in *CancelInput) *string { return &in.Till }},
	{path: "infCFe/emit"},
	{path: "infCFe/dest"},
	{path: "infCFe/dest/CNPJ", text: func(in *CancelInput) *string { return &in.ConsumerCNPJ }},
	{path: "infCFe/dest/CPF", text: func(in *CancelInput) *string { return &in.ConsumerCPF }},
	{path: "infCFe/total"},
	{path: "infCFe/infAdic"},
}

// ParseCancel reads the input of a cancellation; errors as in ParseSale.
func ParseCancel(raw []byte) (*CancelInput, error) {
	in := &CancelInput{}
	seen, err := readInput(raw, "CFeCanc", cancelRows, in)
	if err != nil {
		return nil, err
	}
	in.seen = seen
	return in, nil
}

// cancelWindow is how long after its issue a sale may be cancelled.
const cancelWindow = 30 * time.Minute

// Check judges a cancellation: first its form, then against sale, the document
// with that key which the device holds (nil when it holds none); cancelled tells
// that it was cancelled already. The input names no layout, the device's counts.
// It returns the first refusal or nil.
func (in *CancelInput) Check(rules Rules, sale *Document, cancelled bool) *Refusal {
	layout, ok := layoutOf(rules.Layout)
	c := &checker{rules: rules, newest: layout, layout: layout}
	c.need(ok, 1999, "versao")
	c.groups(in.seen.groups, "ide", "emit", "dest", "total")
	key, ok := in.Key()
	c.need(ok, 1270, "chCanc")
	c.need(allDigits(in.DevHouse) && ValidCNPJ(in.DevHouse), 1454, "ide/CNPJ")
	c.need(length(in.SignAC, 1, 344), 1455, "ide/signAC")
	c.need(rules.SignAC == "" || in.SignAC == rules.SignAC, 1085, "ide/signAC")
	c.need(len(in.Till) == 3 && allDigits(in.Till), 1999, "ide/numeroCaixa")
	c.need(layout == layout006 || in.ConsumerCNPJ+in.ConsumerCPF == "", 1999, "dest")
	c.need(in.seen.fault == "", 1999, in.seen.fault)
	c.need(!cancelled, 1218, "chCanc")
	c.need(sale != nil && sale.Key == key && rules.Now.Sub(sale.Issued) <= cancelWindow, 1412, "chCanc")
	if c.refusal == nil {
		c.need(in.ConsumerCNPJ == "" || in.ConsumerCNPJ == sale.Consumer, 1232, "dest/CNPJ")
		c.need(in.ConsumerCPF == "" || in.ConsumerCPF == sale.Consumer, 1233, "dest/CPF")
	}
	c.clock()
	return c.refusal
}
