package cfe

import (
	"slices"
	"strings"
)

// fuelField is the obsFiscoDet that names a fuel's ANP product code; sales with
// CFOP 5656 (fuel to its consumer) need it.
const fuelField = "Cod. Produto ANP"

// product judges det/prod.
func (c *checker) product(it *Item) {
	c.need(length(it.Code, 1, 60) && strings.TrimSpace(it.Code) != "", 1459, "prod/cProd")
	c.need(it.EAN == "" || validGTIN(it.EAN), 1460, "prod/cEAN")
	c.need(length(it.Name, 1, 120) && strings.TrimSpace(it.Name) != "", 1461, "prod/xProd")
	c.need(it.NCM == "" || length(it.NCM, 2, 2) || length(it.NCM, 8, 8), 1999, "prod/NCM")
	c.need(it.CEST == "" || (c.layout >= layout008 && len(it.CEST) == 7 && allDigits(it.CEST)), 1999, "prod/CEST")
	c.need(len(it.CFOP) == 4 && allDigits(it.CFOP) && it.CFOP[0] == '5', 1462, "prod/CFOP")
	c.need(length(it.Unit, 1, 6) && strings.TrimSpace(it.Unit) != "", 1463, "prod/uCom")
	quantity, ok := decimal(it.Quantity, 11, 4)
	c.need(ok && quantity > 0, 1464, "prod/qCom")
	_, ok = unitPrice(it.Price)
	c.need(ok, 1465, "prod/vUnCom")
	c.need(oneOf(it.Rule, "A", "T"), 1467, "prod/indRegra")
	c.amount(it.Discount, true, 1468, "prod/vDesc")
	c.amount(it.Other, true, 1469, "prod/vOutro")
	c.need(len(it.Remarks) <= 10, 1999, "prod/obsFiscoDet")
	for _, r := range it.Remarks {
		c.need(length(r.Field, 1, 20) && length(r.Text, 1, 60), 1999, "prod/obsFiscoDet")
	}
	c.fuel(it)
	c.need(it.Extra == "" || length(it.Extra, 1, 500), 1999, "infAdProd")
}

// fuel wants the ANP code, nine digits; whether it is in the agency's table is
// not known here.
func (c *checker) fuel(it *Item) {
	if it.CFOP != "5656" {
		return
	}
	at := slices.IndexFunc(it.Remarks, func(r Remark) bool { return r.Field == fuelField })
	c.need(at >= 0, 1751, "prod/obsFiscoDet")
	if at >= 0 {
		code := it.Remarks[at].Text
		c.need(len(code) == 9 && allDigits(code), 1752, "prod/obsFiscoDet")
	}
}

// validGTIN checks length and digit of a GTIN of 8, 12, 13 or 14 digits: weights
// 3 and 1 from the right, modulo 10.
func validGTIN(s string) bool {
	if !allDigits(s) || !slices.Contains([]int{8, 12, 13, 14}, len(s)) {
		return false
	}
	sum := 0
	for i := range len(s) {
		weight := 1
		if (len(s)-i)%2 == 0 {
			weight = 3
		}
		sum += int(s[i]-'0') * weight
	}
	return sum%10 == 0
}

// taxes judges det/imposto.
func (c *checker) taxes(it *Item) {
	c.amount(it.Law12741, true, 1534, "imposto/vItem12741")
	c.need(it.ISSQN.Given != (it.ICMS.Group != ""), 1999, "imposto")
	if it.ISSQN.Given {
		c.services(it.ISSQN)
	} else {
		c.icms(it.ICMS)
	}
	c.contribution(it.PIS, pisCodes, "imposto/PIS")
	c.contribution(it.COFINS, cofinsCodes, "imposto/COFINS")
	if it.PISST.Group != "" {
		c.base(it.PISST, pisCodes, "imposto/PISST")
	}
	if it.COFINSST.Group != "" {
		c.base(it.COFINSST, cofinsCodes, "imposto/COFINSST")
	}
}

// icms judges the group and warns when it is not for the taxpayer's regime:
// 1 is Simples Nacional, 3 the normal one.
func (c *checker) icms(t ICMS) {
	at := "imposto/ICMS/" + t.Group
	c.need(len(t.Origin) == 1 && t.Origin >= "0" && t.Origin <= "8", 1471, at+"/Orig")
	simples := c.rules.Emitter.Regime == 1
	_, rated := decimal(t.Rate, 3, 2)
	switch t.Group {
	case "ICMS00":
		c.need(oneOf(t.CST, "00", "20", "90"), 1472, at+"/CST")
		c.need(rated, 1473, at+"/pICMS")
		c.warn(simples, 1601)
	case "ICMS40":
		c.need(oneOf(t.CST, "40", "41", "60") || (t.CST == "50" && c.layout == layout006), 1475, at+"/CST")
		c.warn(simples, 1602)
	case "ICMSSN102":
		c.need(oneOf(t.CST, "102", "300", "500") || (t.CST == "400" && c.layout >= layout007), 1476, at+"/CSOSN")
		c.warn(!simples, 1603)
	case "ICMSSN900":
		c.need(t.CST == "900", 1477, at+"/CSOSN")
		c.need(rated, 1473, at+"/pICMS")
		c.warn(!simples, 1604)
	default:
		c.need(false, 1999, "imposto/ICMS")
	}
}

// contributionCodes are the refusals of PIS or of COFINS.
type contributionCodes struct {
	tax                                                                        string
	aliqCST, base, rate, qtdeCST, quantity, unitRate, withoutCST, snCST, other int
}

var (
	pisCodes    = contributionCodes{"PIS", 1478, 1479, 1480, 1482, 1483, 1484, 1486, 1487, 1488}
	cofinsCodes = contributionCodes{"COFINS", 1490, 1491, 1492, 1494, 1999, 1496, 1498, 1499, 1500}
)

func (c *checker) contribution(t Contribution, codes contributionCodes, at string) {
	cst := at + "/" + codes.tax + t.Group + "/CST"
	switch t.Group {
	case "Aliq":
		c.need(oneOf(t.CST, "01", "02", "05"), codes.aliqCST, cst)
		c.base(t, codes, at)
	case "Qtde":
		c.need(t.CST == "03", codes.qtdeCST, cst)
		c.base(t, codes, at)
	case "NT":
		c.need(oneOf(t.CST, "04", "06", "07", "08", "09"), codes.withoutCST, cst)
	case "SN":
		c.need(t.CST == "49", codes.snCST, cst)
	case "Outr":
		c.need(t.CST == "99", codes.other, cst)
		c.base(t, codes, at)
	default:
		c.need(false, 1999, at)
	}
}

// base judges either pair: value and rate, or quantity and rate in reais.
func (c *checker) base(t Contribution, codes contributionCodes, at string) {
	at += "/" + codes.tax + t.Group
	if t.Group == "Qtde" || t.Quantity+t.UnitRate != "" {
		_, ok := decimal(t.Quantity, 12, 4)
		c.need(ok, codes.quantity, at+"/qBCProd")
		_, ok = decimal(t.UnitRate, 11, 4)
		c.need(ok, codes.unitRate, at+"/vAliqProd")
		c.need(t.Base+t.Rate == "", 1999, at)
		return
	}
	c.amount(t.Base, false, codes.base, at+"/vBC")
	_, ok := decimal(t.Rate, 1, 4)
	c.need(ok, codes.rate, at+"/p"+codes.tax)
}

// services judges ISSQN: a rate from 2 to 5 per cent, written "003.21".
func (c *checker) services(t ISSQN) {
	const at = "imposto/ISSQN/"
	c.amount(t.Deduction, false, 1503, at+"vDeducISSQN")
	rate, ok := decimal(t.Rate, 3, 2)
	c.need(ok && len(t.Rate) == 6 && rate >= 200 && rate <= 500, 1505, at+"vAliq")
	c.need(t.City == "" || validCity(t.City), 1287, at+"cMunFG")
	c.need(t.Service == "" || length(t.Service, 5, 5), 1508, at+"cListServ")
	c.need(t.CityService == "" || length(t.CityService, 20, 20), 1509, at+"cServTribMun")
	c.need(len(t.Nature) == 2 && t.Nature >= "01" && t.Nature <= "08", 1510, at+"cNatOp")
	c.need(oneOf(t.Incentive, "1", "2"), 1511, at+"indIncFisc")
}

// validCity checks the digit of a municipality's IBGE code: weights 1 and 2 from
// the left, the digits of each product added, modulo 10.
func validCity(s string) bool {
	if len(s) != 7 || !allDigits(s) {
		return false
	}
	sum := 0
	for i := range 6 {
		p := int(s[i]-'0') * (1 + i%2)
		sum += p/10 + p%10
	}
	return int(s[6]-'0') == (10-sum%10)%10
}
