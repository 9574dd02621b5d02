package cfe

import "slices"

// saleRows is what the input of a sale may hold, in order (dossier 1.3).
var saleRows = slices.Concat(headRows, productRows, taxRows,
	contributionRows("PIS", func(i *Item) *Contribution { return &i.PIS }, func(i *Item) *Contribution { return &i.PISST }),
	contributionRows("COFINS", func(i *Item) *Contribution { return &i.COFINS }, func(i *Item) *Contribution { return &i.COFINSST }),
	tailRows)

type saleRow = row[SaleInput]

func group(path string) saleRow { return saleRow{path: path} }

func leaf(path string, to func(*SaleInput) *string) saleRow { return saleRow{path: path, text: to} }

// item is the det being read.
func (in *SaleInput) item() *Item { return &in.Items[len(in.Items)-1] }

func (in *SaleInput) payment() *InputPayment { return &in.Payments[len(in.Payments)-1] }

func (i *Item) remark() *Remark { return &i.Remarks[len(i.Remarks)-1] }

var headRows = []saleRow{
	{path: "infCFe", open: func(in *SaleInput, attr func(string) string) { in.DataVersion = attr("versaoDadosEnt") }},
	group("infCFe/ide"),
	leaf("infCFe/ide/CNPJ", func(in *SaleInput) *string { return &in.DevHouse }),
	leaf("infCFe/ide/signAC", func(in *SaleInput) *string { return &in.SignAC }),
	leaf("infCFe/ide/numeroCaixa", func(in *SaleInput) *string { return &in.Till }),
	group("infCFe/emit"),
	leaf("infCFe/emit/CNPJ", func(in *SaleInput) *string { return &in.CNPJ }),
	leaf("infCFe/emit/IE", func(in *SaleInput) *string { return &in.IE }),
	leaf("infCFe/emit/IM", func(in *SaleInput) *string { return &in.IM }),
	leaf("infCFe/emit/cRegTribISSQN", func(in *SaleInput) *string { return &in.ISSRegime }),
	leaf("infCFe/emit/indRatISSQN", func(in *SaleInput) *string { return &in.ISSShare }),
	group("infCFe/dest"),
	leaf("infCFe/dest/CNPJ", func(in *SaleInput) *string { return &in.ConsumerCNPJ }),
	leaf("infCFe/dest/CPF", func(in *SaleInput) *string { return &in.ConsumerCPF }),
	{path: "infCFe/dest/xNome", open: func(in *SaleInput, _ func(string) string) { in.named = true },
		text: func(in *SaleInput) *string { return &in.ConsumerName }},
	group("infCFe/entrega"),
	leaf("infCFe/entrega/xLgr", func(in *SaleInput) *string { return &in.Delivery.Street }),
	leaf("infCFe/entrega/nro", func(in *SaleInput) *string { return &in.Delivery.Number }),
	leaf("infCFe/entrega/xCpl", func(in *SaleInput) *string { return &in.Delivery.Complement }),
	leaf("infCFe/entrega/xBairro", func(in *SaleInput) *string { return &in.Delivery.District }),
	leaf("infCFe/entrega/xMun", func(in *SaleInput) *string { return &in.Delivery.City }),
	leaf("infCFe/entrega/UF", func(in *SaleInput) *string { return &in.Delivery.UF }),
}

var productRows = []saleRow{
	{path: "infCFe/det", many: true, open: func(in *SaleInput, attr func(string) string) {
		in.Items = append(in.Items, Item{Number: attr("nItem")})
	}},
	group("infCFe/det/prod"),
	leaf("infCFe/det/prod/cProd", func(in *SaleInput) *string { return &in.item().Code }),
	leaf("infCFe/det/prod/cEAN", func(in *SaleInput) *string { return &in.item().EAN }),
	leaf("infCFe/det/prod/xProd", func(in *SaleInput) *string { return &in.item().Name }),
	leaf("infCFe/det/prod/NCM", func(in *SaleInput) *string { return &in.item().NCM }),
	leaf("infCFe/det/prod/CEST", func(in *SaleInput) *string { return &in.item().CEST }),
	leaf("infCFe/det/prod/CFOP", func(in *SaleInput) *string { return &in.item().CFOP }),
	leaf("infCFe/det/prod/uCom", func(in *SaleInput) *string { return &in.item().Unit }),
	leaf("infCFe/det/prod/qCom", func(in *SaleInput) *string { return &in.item().Quantity }),
	leaf("infCFe/det/prod/vUnCom", func(in *SaleInput) *string { return &in.item().Price }),
	leaf("infCFe/det/prod/indRegra", func(in *SaleInput) *string { return &in.item().Rule }),
	leaf("infCFe/det/prod/vDesc", func(in *SaleInput) *string { return &in.item().Discount }),
	leaf("infCFe/det/prod/vOutro", func(in *SaleInput) *string { return &in.item().Other }),
	{path: "infCFe/det/prod/obsFiscoDet", many: true, open: func(in *SaleInput, attr func(string) string) {
		i := in.item()
		i.Remarks = append(i.Remarks, Remark{Field: attr("xCampoDet")})
	}},
	leaf("infCFe/det/prod/obsFiscoDet/xTextoDet", func(in *SaleInput) *string { return &in.item().remark().Text }),
}

var taxRows = []saleRow{
	group("infCFe/det/imposto"),
	leaf("infCFe/det/imposto/vItem12741", func(in *SaleInput) *string { return &in.item().Law12741 }),
	group("infCFe/det/imposto/ICMS"),
	icmsGroup("ICMS00"), icmsOrigin("ICMS00"), icmsCode("ICMS00/CST"), icmsRate("ICMS00"),
	icmsGroup("ICMS40"), icmsOrigin("ICMS40"), icmsCode("ICMS40/CST"),
	icmsGroup("ICMSSN102"), icmsOrigin("ICMSSN102"), icmsCode("ICMSSN102/CSOSN"),
	icmsGroup("ICMSSN900"), icmsOrigin("ICMSSN900"), icmsCode("ICMSSN900/CSOSN"), icmsRate("ICMSSN900"),
	{path: "infCFe/det/imposto/ISSQN", open: func(in *SaleInput, _ func(string) string) { in.item().ISSQN.Given = true }},
	leaf("infCFe/det/imposto/ISSQN/vDeducISSQN", func(in *SaleInput) *string { return &in.item().ISSQN.Deduction }),
	leaf("infCFe/det/imposto/ISSQN/vAliq", func(in *SaleInput) *string { return &in.item().ISSQN.Rate }),
	leaf("infCFe/det/imposto/ISSQN/cMunFG", func(in *SaleInput) *string { return &in.item().ISSQN.City }),
	leaf("infCFe/det/imposto/ISSQN/cListServ", func(in *SaleInput) *string { return &in.item().ISSQN.Service }),
	leaf("infCFe/det/imposto/ISSQN/cServTribMun", func(in *SaleInput) *string { return &in.item().ISSQN.CityService }),
	leaf("infCFe/det/imposto/ISSQN/cNatOp", func(in *SaleInput) *string { return &in.item().ISSQN.Nature }),
	leaf("infCFe/det/imposto/ISSQN/indIncFisc", func(in *SaleInput) *string { return &in.item().ISSQN.Incentive }),
}

// both stands for a group when the input gives two of which one is allowed.
const both = "two groups"

// icmsGroup is one of the four groups of which an item has one.
func icmsGroup(name string) saleRow {
	return saleRow{path: "infCFe/det/imposto/ICMS/" + name, open: func(in *SaleInput, _ func(string) string) {
		choose(&in.item().ICMS.Group, name)
	}}
}

func choose(group *string, name string) {
	if *group != "" {
		name = both
	}
	*group = name
}

func icmsOrigin(name string) saleRow {
	return leaf("infCFe/det/imposto/ICMS/"+name+"/Orig", func(in *SaleInput) *string { return &in.item().ICMS.Origin })
}

func icmsCode(name string) saleRow {
	return leaf("infCFe/det/imposto/ICMS/"+name, func(in *SaleInput) *string { return &in.item().ICMS.CST })
}

func icmsRate(name string) saleRow {
	return leaf("infCFe/det/imposto/ICMS/"+name+"/pICMS", func(in *SaleInput) *string { return &in.item().ICMS.Rate })
}

// contributionRows are the rows of PIS or COFINS and of its ST.
func contributionRows(tax string, own, st func(*Item) *Contribution) []saleRow {
	path := "infCFe/det/imposto/" + tax
	rows := []saleRow{group(path)}
	add := func(path, group string, of func(*Item) *Contribution, fields ...string) {
		rows = append(rows, saleRow{path: path, open: func(in *SaleInput, _ func(string) string) {
			choose(&of(in.item()).Group, group)
		}})
		for _, f := range fields {
			rows = append(rows, leaf(path+"/"+f, func(in *SaleInput) *string {
				c := of(in.item())
				switch f {
				case "CST":
					return &c.CST
				case "vBC":
					return &c.Base
				case "qBCProd":
					return &c.Quantity
				case "vAliqProd":
					return &c.UnitRate
				}
				return &c.Rate
			}))
		}
	}
	prefix := path + "/" + tax
	add(prefix+"Aliq", "Aliq", own, "CST", "vBC", "p"+tax)
	add(prefix+"Qtde", "Qtde", own, "CST", "qBCProd", "vAliqProd")
	add(prefix+"NT", "NT", own, "CST")
	add(prefix+"SN", "SN", own, "CST")
	add(prefix+"Outr", "Outr", own, "CST", "vBC", "p"+tax, "qBCProd", "vAliqProd")
	add(path+"ST", "ST", st, "vBC", "p"+tax, "qBCProd", "vAliqProd")
	return rows
}

var tailRows = []saleRow{
	leaf("infCFe/det/infAdProd", func(in *SaleInput) *string { return &in.item().Extra }),
	group("infCFe/total"),
	group("infCFe/total/DescAcrEntr"),
	leaf("infCFe/total/DescAcrEntr/vDescSubtot", func(in *SaleInput) *string { return &in.SubtotalDiscount }),
	leaf("infCFe/total/DescAcrEntr/vAcresSubtot", func(in *SaleInput) *string { return &in.SubtotalAddition }),
	leaf("infCFe/total/vCFeLei12741", func(in *SaleInput) *string { return &in.Law12741 }),
	group("infCFe/pgto"),
	{path: "infCFe/pgto/MP", many: true, open: func(in *SaleInput, _ func(string) string) {
		in.Payments = append(in.Payments, InputPayment{})
	}},
	leaf("infCFe/pgto/MP/cMP", func(in *SaleInput) *string { return &in.payment().Method }),
	leaf("infCFe/pgto/MP/vMP", func(in *SaleInput) *string { return &in.payment().Value }),
	leaf("infCFe/pgto/MP/cAdmC", func(in *SaleInput) *string { return &in.payment().Acquirer }),
	group("infCFe/infAdic"),
	leaf("infCFe/infAdic/infCpl", func(in *SaleInput) *string { return &in.Note }),
}
