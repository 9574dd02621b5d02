package cfe

// item writes det with what the device computed.
func (w *writer) item(it *Item, v itemAmounts, layout int) {
	w.openWith("det", "nItem", it.Number)
	w.open("prod")
	w.el("cProd", it.Code)
	w.opt("cEAN", it.EAN)
	w.el("xProd", it.Name)
	w.opt("NCM", it.NCM)
	w.opt("CEST", it.CEST)
	w.el("CFOP", it.CFOP)
	w.el("uCom", it.Unit)
	w.el("qCom", it.Quantity)
	w.el("vUnCom", it.Price)
	w.amount("vProd", v.product)
	w.el("indRegra", it.Rule)
	w.opt("vDesc", it.Discount)
	w.opt("vOutro", it.Other)
	w.amount("vItem", v.item)
	w.share("vRatDesc", v.shareDiscount, layout)
	w.share("vRatAcr", v.shareAddition, layout)
	for _, r := range it.Remarks {
		w.openWith("obsFiscoDet", "xCampoDet", r.Field)
		w.el("xTextoDet", r.Text)
		w.close("obsFiscoDet")
	}
	w.close("prod")
	w.open("imposto")
	w.opt("vItem12741", it.Law12741)
	w.icms(it.ICMS, v)
	w.services(it.ISSQN, v)
	w.contribution("PIS", it.PIS, v.pis)
	w.contribution("PIS", it.PISST, v.pisST)
	w.contribution("COFINS", it.COFINS, v.cofins)
	w.contribution("COFINS", it.COFINSST, v.cofinsST)
	w.close("imposto")
	w.opt("infAdProd", it.Extra)
	w.close("det")
}

// share writes a part of the subtotal's discount or addition: in layout 0.06
// always, later when it is not zero, as devices were seen to do (dossier 1.1).
func (w *writer) share(name string, cents int64, layout int) {
	if cents != 0 || layout == layout006 {
		w.amount(name, cents)
	}
}

func (w *writer) icms(t ICMS, v itemAmounts) {
	if t.Group == "" {
		return
	}
	code := "CST"
	if t.Group == "ICMSSN102" || t.Group == "ICMSSN900" {
		code = "CSOSN"
	}
	w.open("ICMS")
	w.open(t.Group)
	w.el("Orig", t.Origin)
	w.el(code, t.CST)
	if t.Group == "ICMS00" || t.Group == "ICMSSN900" {
		w.el("pICMS", t.Rate)
		w.amount("vICMS", v.icms)
	}
	w.close(t.Group)
	w.close("ICMS")
}

func (w *writer) services(t ISSQN, v itemAmounts) {
	if !t.Given {
		return
	}
	w.open("ISSQN")
	w.el("vDeducISSQN", t.Deduction)
	w.amount("vBC", v.issBase)
	w.el("vAliq", t.Rate)
	w.amount("vISSQN", v.iss)
	w.opt("cMunFG", t.City)
	w.opt("cListServ", t.Service)
	w.opt("cServTribMun", t.CityService)
	w.el("cNatOp", t.Nature)
	w.el("indIncFisc", t.Incentive)
	w.close("ISSQN")
}

// contribution writes PIS/PISAliq and its like, or PISST.
func (w *writer) contribution(tax string, t Contribution, cents int64) {
	if t.Group == "" {
		return
	}
	name := tax + t.Group
	if t.Group != "ST" {
		w.open(tax)
		defer w.close(tax)
	}
	w.open(name)
	w.opt("CST", t.CST)
	w.opt("vBC", t.Base)
	w.opt("p"+tax, t.Rate)
	w.opt("qBCProd", t.Quantity)
	w.opt("vAliqProd", t.UnitRate)
	if t.Group != "NT" && t.Group != "SN" {
		w.amount("v"+tax, cents)
	}
	w.close(name)
}

func (w *writer) total(in *SaleInput, v *computed) {
	w.open("total")
	if v.hasICMS {
		w.open("ICMSTot")
		w.amount("vICMS", v.icms.icms)
		w.amount("vProd", v.icms.product)
		w.amount("vDesc", v.icms.discount)
		w.contributions(v.icms)
		w.amount("vOutro", v.icms.other)
		w.close("ICMSTot")
	}
	w.amount("vCFe", v.total)
	if v.hasISSQN {
		w.open("ISSQNtot")
		w.amount("vBC", v.iss.issBase)
		w.amount("vISS", v.iss.iss)
		w.contributions(v.iss)
		w.close("ISSQNtot")
	}
	if in.SubtotalDiscount+in.SubtotalAddition != "" {
		w.open("DescAcrEntr")
		w.opt("vDescSubtot", in.SubtotalDiscount)
		w.opt("vAcresSubtot", in.SubtotalAddition)
		w.close("DescAcrEntr")
	}
	w.opt("vCFeLei12741", in.Law12741)
	w.close("total")
}

func (w *writer) contributions(t totals) {
	w.amount("vPIS", t.pis)
	w.amount("vCOFINS", t.cofins)
	w.amount("vPISST", t.pisST)
	w.amount("vCOFINSST", t.cofinsST)
}
