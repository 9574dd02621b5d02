package cfe

// saleField takes a field of a CF-e, sale or cancellation (dossier 1.3, 1.7).
func (r *reading) saleField() {
	d := &r.doc
	switch string(r.path) {
	case "infCFe/ide/cUF":
		r.ide.uf = r.value()
	case "infCFe/ide/cNF":
		r.ide.random = r.value()
	case "infCFe/ide/mod":
		r.ide.model = r.value()
	case "infCFe/ide/nserieSAT":
		d.Serial = r.value()
	case "infCFe/ide/nCFe":
		d.Number = r.number()
		r.ide.number = r.value()
	case "infCFe/ide/dEmi":
		r.dates.day = r.value()
	case "infCFe/ide/hEmi":
		r.dates.hour = r.value()
	case "infCFe/ide/cDV":
		r.ide.digit = r.value()
	case "infCFe/ide/tpAmb":
		d.Environment = r.number()
	case "infCFe/ide/CNPJ":
		d.DevHouse = r.value()
	case "infCFe/ide/signAC":
		d.SignAC = r.value()
	case "infCFe/ide/assinaturaQRCODE":
		d.QRSignature = r.value()
	case "infCFe/ide/numeroCaixa":
		d.Till = r.value()
	case "infCFe/emit/CNPJ":
		d.Issuer = r.value()
	case "infCFe/emit/xNome":
		d.IssuerName = r.value()
	case "infCFe/emit/enderEmit/xMun":
		d.City = r.value()
	case "infCFe/emit/IE":
		d.StateReg = r.value()
	case "infCFe/dest/CNPJ", "infCFe/dest/CPF":
		d.Consumer = r.value()
	default:
		r.saleTotal()
		r.signatureField()
	}
}

func (r *reading) saleTotal() {
	d := &r.doc
	t := &d.Totals
	switch string(r.path) {
	case "infCFe/total/vCFe":
		d.Total = r.value()
	case "infCFe/total/ICMSTot/vICMS":
		t.ICMS = r.value()
	case "infCFe/total/ICMSTot/vProd":
		t.Products = r.value()
	case "infCFe/total/ICMSTot/vDesc":
		t.ItemDiscount = r.value()
	case "infCFe/total/ICMSTot/vPIS":
		t.PIS = r.value()
	case "infCFe/total/ICMSTot/vCOFINS":
		t.COFINS = r.value()
	case "infCFe/total/ICMSTot/vPISST":
		t.PISST = r.value()
	case "infCFe/total/ICMSTot/vCOFINSST":
		t.COFINSST = r.value()
	case "infCFe/total/ICMSTot/vOutro":
		t.Other = r.value()
	case "infCFe/total/ISSQNtot/vBC":
		t.ISSBase = r.value()
	case "infCFe/total/ISSQNtot/vISS":
		t.ISS = r.value()
	case "infCFe/total/DescAcrEntr/vDescSubtot":
		t.SubtotalDiscount = r.value()
	case "infCFe/total/DescAcrEntr/vAcresSubtot":
		t.SubtotalAddition = r.value()
	case "infCFe/pgto/MP/cMP":
		d.Payments = append(d.Payments, Payment{Code: r.value()})
	case "infCFe/pgto/MP/vMP":
		r.pay()
	case "infCFe/pgto/vTroco":
		t.Change = r.value()
	}
}

// pay takes the value of the payment whose code came just before.
func (r *reading) pay() {
	p := r.doc.Payments
	if len(p) == 0 || p[len(p)-1].Value != "" {
		p = append(p, Payment{})
	}
	p[len(p)-1].Value = r.value()
	r.doc.Payments = p
}

// noteField takes a field of an NF-e or NFC-e and of its protocol (dossier on
// NFC-e documents 3). Layouts 4.00 and 3.10 differ in the place of payments.
func (r *reading) noteField() {
	d := &r.doc
	t := &d.Totals
	switch string(r.path) {
	case "NFe/infNFe/ide/serie":
		d.Series = r.value()
	case "NFe/infNFe/ide/nNF":
		d.Number = r.number()
	case "NFe/infNFe/ide/dhEmi":
		r.dates.stamp = r.value()
	case "NFe/infNFe/ide/dEmi":
		r.dates.day = r.value()
	case "NFe/infNFe/ide/tpAmb":
		d.Environment = r.number()
	case "NFe/infNFe/emit/CNPJ", "NFe/infNFe/emit/CPF":
		d.Issuer = r.value()
	case "NFe/infNFe/emit/xNome":
		d.IssuerName = r.value()
	case "NFe/infNFe/emit/enderEmit/xMun":
		d.City = r.value()
	case "NFe/infNFe/emit/IE":
		d.StateReg = r.value()
	case "NFe/infNFe/dest/CNPJ", "NFe/infNFe/dest/CPF":
		d.Consumer = r.value()
	case "NFe/infNFe/total/ICMSTot/vNF":
		d.Total = r.value()
	case "NFe/infNFe/total/ICMSTot/vICMS":
		t.ICMS = r.value()
	case "NFe/infNFe/total/ICMSTot/vProd":
		t.Products = r.value()
	case "NFe/infNFe/total/ICMSTot/vDesc":
		t.ItemDiscount = r.value()
	case "NFe/infNFe/total/ICMSTot/vPIS":
		t.PIS = r.value()
	case "NFe/infNFe/total/ICMSTot/vCOFINS":
		t.COFINS = r.value()
	case "NFe/infNFe/total/ICMSTot/vOutro":
		t.Other = r.value()
	case "NFe/infNFe/total/ISSQNtot/vBC":
		t.ISSBase = r.value()
	case "NFe/infNFe/total/ISSQNtot/vISS":
		t.ISS = r.value()
	case "NFe/infNFe/pag/detPag/tPag", "NFe/infNFe/pag/tPag":
		d.Payments = append(d.Payments, Payment{Code: r.value()})
	case "NFe/infNFe/pag/detPag/vPag", "NFe/infNFe/pag/vPag":
		r.pay()
	case "NFe/infNFe/pag/vTroco":
		t.Change = r.value()
	case "protNFe/infProt/nProt":
		d.Protocol = r.value()
	case "protNFe/infProt/cStat":
		d.Status = r.value()
	}
}

// eventField takes a field of an event of any type; only its two halves together
// (procEventoNFe) say that the tax authority took it.
func (r *reading) eventField() {
	d := &r.doc
	switch string(r.path) {
	case "evento/infEvento/chNFe":
		d.Key = Key(r.value())
	case "evento/infEvento/tpEvento":
		d.EventType = r.value()
	case "evento/infEvento/dhEvento":
		r.dates.stamp = r.value()
	case "evento/infEvento/tpAmb":
		d.Environment = r.number()
	case "evento/infEvento/CNPJ", "evento/infEvento/CPF":
		d.Issuer = r.value()
	case "retEvento/infEvento/nProt":
		d.Protocol = r.value()
	case "retEvento/infEvento/cStat":
		d.Status = r.value()
	}
}

// voidField takes a field of an inutilização; its time is the receipt's, since
// the request has none.
func (r *reading) voidField() {
	d := &r.doc
	switch string(r.path) {
	case "inutNFe/infInut/tpAmb":
		d.Environment = r.number()
	case "inutNFe/infInut/CNPJ", "inutNFe/infInut/CPF":
		d.Issuer = r.value()
	case "inutNFe/infInut/mod":
		d.Model = r.number()
	case "inutNFe/infInut/serie":
		d.Series = r.value()
	case "inutNFe/infInut/nNFIni":
		d.VoidFirst = r.number()
	case "inutNFe/infInut/nNFFin":
		d.VoidLast = r.number()
	case "retInutNFe/infInut/dhRecbto":
		r.dates.stamp = r.value()
	case "retInutNFe/infInut/nProt":
		d.Protocol = r.value()
	case "retInutNFe/infInut/cStat":
		d.Status = r.value()
	}
}
