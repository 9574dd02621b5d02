package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	"zelo/sat/cfe"
)

// press makes the documents of one process's tills. They are whole: computed,
// keyed and signed as a device does it, and the collector verifies both signatures.
// One key signs for all devices here, because thousands take long to make; its
// certificate names no device.
type press struct {
	signer *cfe.Signer
	input  *cfe.SaleInput
	shop   cfe.Emitter
}

func newPress() (*press, error) {
	shop := cfe.Emitter{UF: 35, CNPJ: "08723218000186", Name: "LOJA DE TESTE DO SAT LTDA", TradeName: "LOJA DE TESTE", Street: "RUA DAS PALMEIRAS",
		Number: "73", District: "CENTRO", City: "SAO PAULO", CEP: "01001000", IE: "562377111111", IM: "12345", Regime: 3}
	input, err := cfe.ParseSale([]byte(saleXML()))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ca, err := cfe.NewTestCA(now)
	if err != nil {
		return nil, err
	}
	signer, err := ca.Issue(cfe.DeviceCert{CNPJ: shop.CNPJ, Name: shop.Name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0)})
	return &press{signer, input, shop}, err
}

// issue makes document number n of a device.
func (p *press) issue(serial string, n int) (cfe.Issued, error) {
	return cfe.Issue(p.input, p.shop, cfe.Stamp{Layout: "0.08", Serial: serial, Number: n, Random: n * 7919 % 1_000_000,
		Issued: time.Now(), Environment: 2, Software: "010000"}, p.signer)
}

// sold is a document as a till gave it to its buffer.
type sold struct {
	key    cfe.Key
	sha256 [sha256.Size]byte
}

// saleXML is what a POS sends for a sale of three items.
func saleXML() string {
	items := ""
	for i, name := range []string{"Café em pó 500 g", "Pão francês kg", "Leite integral 1 L"} {
		items += fmt.Sprintf(`<det nItem="%d"><prod><cProd>%d</cProd><xProd>%s</xProd><NCM>09012100</NCM><CFOP>5102</CFOP><uCom>UN</uCom>`+
			`<qCom>1.0000</qCom><vUnCom>10.00</vUnCom><indRegra>A</indRegra></prod><imposto>`+
			`<ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>18.00</pICMS></ICMS00></ICMS>`+
			`<PIS><PISNT><CST>07</CST></PISNT></PIS><COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det>`, i+1, 116+i, name)
	}
	return `<?xml version="1.0" encoding="UTF-8"?><CFe><infCFe versaoDadosEnt="0.08">` +
		`<ide><CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC><numeroCaixa>001</numeroCaixa></ide>` +
		`<emit><CNPJ>08723218000186</CNPJ><IE>562377111111</IE><indRatISSQN>N</indRatISSQN></emit><dest/>` + items +
		`<total/><pgto><MP><cMP>01</cMP><vMP>30.00</vMP></MP></pgto></infCFe></CFe>`
}
