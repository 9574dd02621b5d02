package cfe

import (
	"strings"
	"testing"
	"time"
)

func TestCheckAcceptsTheTestSale(t *testing.T) {
	for _, layout := range []string{"0.06", "0.07", "0.08"} {
		if alert, refusal := sale(t, layout).Check(rules(layout)); alert != 0 || refusal != nil {
			t.Errorf("layout %s: alert %d, %v", layout, alert, refusal)
		}
	}
}

// edit is one change to the text of the test sale, or to the rules, and what a
// device answers to it (dossier 1.6).
type edit struct {
	from, to string
	code     int
	field    string
}

func checkEdits(t *testing.T, layout string, edits map[string]edit) {
	t.Helper()
	text := string(saleText(t, layout))
	for name, e := range edits {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(text, e.from) {
				t.Fatalf("the sale has no %s", e.from)
			}
			in, err := ParseSale([]byte(strings.Replace(text, e.from, e.to, 1)))
			if err != nil {
				t.Fatal(err)
			}
			alert, refusal := in.Check(rules(layout))
			switch {
			case e.field == "alert":
				if refusal != nil || alert != e.code {
					t.Errorf("alert %d, %v; expected alert %d", alert, refusal, e.code)
				}
			case refusal == nil || refusal.Code != e.code || refusal.Field != e.field:
				t.Errorf("%v, expected %d at %s", refusal, e.code, e.field)
			case alert != 0:
				t.Errorf("alert %d beside a refusal", alert)
			}
		})
	}
}

func TestCheckHead(t *testing.T) {
	checkEdits(t, "0.08", map[string]edit{
		"delivery without city":    {"<xMun>São Paulo</xMun>", "", 1999, "entrega"},
		"delivery to a long state": {"<UF>SP</UF>", "<UF>SPX</UF>", 1999, "entrega"},
		"note of 5,001 characters": {"Obrigado!", strings.Repeat("ã", 5001), 1999, "infAdic/infCpl"},
		"version of the future":    {"0.08", "0.09", 1004, "versaoDadosEnt"},
		"version of the past":      {"0.08", "0.05", 1004, "versaoDadosEnt"},
		"version malformed":        {"0.08", "0.8", 1004, "versaoDadosEnt"},
		"no version":               {` versaoDadosEnt="0.08"`, "", 1004, "versaoDadosEnt"},
		"software house's CNPJ":    {"11444777000161", "11444777000162", 1224, "ide/CNPJ"},
		"software house missing":   {"<CNPJ>11444777000161</CNPJ>", "", 1224, "ide/CNPJ"},
		"signAC missing":           {"<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>", "", 1455, "ide/signAC"},
		"signAC too long":          {"SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT", strings.Repeat("A", 345), 1455, "ide/signAC"},
		"till of two digits":       {"<numeroCaixa>001", "<numeroCaixa>01", 1999, "ide/numeroCaixa"},
		"taxpayer's CNPJ":          {"11222333000181", "11222333000182", 1207, "emit/CNPJ"},
		"another taxpayer":         {"11222333000181", "08723218000186", 1203, "emit/CNPJ"},
		"no IE":                    {"<IE>123456789012</IE>", "", 1229, "emit/IE"},
		"IE with letters":          {"<IE>123456789012", "<IE>12345678901A", 1209, "emit/IE"},
		"IE too long":              {"<IE>123456789012", "<IE>123456789012345", 1209, "emit/IE"},
		"another IE":               {"<IE>123456789012", "<IE>123456789013", 1230, "emit/IE"},
		"regime of services":       {"<cRegTribISSQN>1", "<cRegTribISSQN>6", 1457, "emit/cRegTribISSQN"},
		"sharing of services":      {"<indRatISSQN>N", "<indRatISSQN>X", 1507, "emit/indRatISSQN"},
		"consumer's CPF":           {"52998224725", "52998224726", 1237, "dest/CPF"},
		"consumer's CNPJ":          {"<CPF>52998224725</CPF>", "<CNPJ>16716114000173</CNPJ>", 1235, "dest/CNPJ"},
		"consumer is the taxpayer": {"<CPF>52998224725</CPF>", "<CNPJ>11222333000181</CNPJ>", 1235, "dest/CNPJ"},
		"two consumers":            {"<CPF>", "<CNPJ>16716114000172</CNPJ><CPF>", 1999, "dest"},
		"empty CPF":                {"52998224725", "", 1999, "dest/CPF"},
		"name of one letter":       {"José &amp; Irmãos", "J", 1999, "dest/xNome"},
		"blank name":               {"José &amp; Irmãos", "   ", 1234, "alert"},
		"negative discount":        {"<vDescSubtot>1.01", "<vDescSubtot>-1.01", 1073, "total/DescAcrEntr/vDescSubtot"},
		"discount and addition":    {"<vDescSubtot>1.01</vDescSubtot>", "<vDescSubtot>1.01</vDescSubtot><vAcresSubtot>1.00</vAcresSubtot>", 1999, "total/DescAcrEntr"},
		"negative addition":        {"<vDescSubtot>1.01</vDescSubtot>", "<vAcresSubtot>-1.00</vAcresSubtot>", 1074, "total/DescAcrEntr/vAcresSubtot"},
		"negative tax of the law":  {"<vCFeLei12741>2.10", "<vCFeLei12741>-2.10", 1533, "total/vCFeLei12741"},
		"means of payment":         {"<cMP>17", "<cMP>14", 1527, "pgto/MP[2]/cMP"},
		"value of payment":         {"<vMP>50.00", "<vMP>50", 1528, "pgto/MP[1]/vMP"},
		"acquirer":                 {"<vMP>50.00</vMP>", "<vMP>50.00</vMP><cAdmC>035</cAdmC>", 1535, "pgto/MP[1]/cAdmC"},
		"eleven payments":          {"<pgto>", "<pgto>" + strings.Repeat("<MP><cMP>01</cMP><vMP>1.00</vMP></MP>", 9), 1999, "pgto/MP"},
		"payments short of a cent": {"<vMP>60.00", "<vMP>58.17", 1408, "total/vCFe"},
	})
}

func TestCheckProduct(t *testing.T) {
	checkEdits(t, "0.08", map[string]edit{
		"no code":               {"<cProd>PAO-1</cProd>", "", 1459, "det[1]/prod/cProd"},
		"blank code":            {"<cProd>PAO-1", "<cProd> ", 1459, "det[1]/prod/cProd"},
		"GTIN's digit":          {"7891000100103", "7891000100104", 1460, "det[1]/prod/cEAN"},
		"GTIN of ten digits":    {"7891000100103", "7891000100", 1460, "det[1]/prod/cEAN"},
		"no description":        {"<xProd>Lavagem</xProd>", "", 1461, "det[3]/prod/xProd"},
		"long description":      {"Lavagem", strings.Repeat("ç", 121), 1461, "det[3]/prod/xProd"},
		"NCM of seven digits":   {"19059090", "1905909", 1999, "det[1]/prod/NCM"},
		"CEST of six digits":    {"1704700", "170470", 1999, "det[1]/prod/CEST"},
		"CFOP of a purchase":    {"<CFOP>5102", "<CFOP>1102", 1462, "det[1]/prod/CFOP"},
		"no unit":               {"<uCom>kg</uCom>", "", 1463, "det[1]/prod/uCom"},
		"quantity in three":     {"<qCom>0.5000", "<qCom>0.500", 1464, "det[1]/prod/qCom"},
		"quantity zero":         {"<qCom>0.5000", "<qCom>0.0000", 1464, "det[1]/prod/qCom"},
		"price in one":          {"<vUnCom>39.90", "<vUnCom>39.9", 1465, "det[1]/prod/vUnCom"},
		"price with a comma":    {"<vUnCom>39.90", "<vUnCom>39,90", 1465, "det[1]/prod/vUnCom"},
		"rule of computation":   {"<indRegra>A", "<indRegra>B", 1467, "det[1]/prod/indRegra"},
		"negative discount":     {"<vDesc>1.00", "<vDesc>-1.00", 1468, "det[1]/prod/vDesc"},
		"negative other":        {"<vOutro>0.50", "<vOutro>-0.50", 1469, "det[2]/prod/vOutro"},
		"fuel without ANP code": {"Cod. Produto ANP", "Bomba", 1751, "det[2]/prod/obsFiscoDet"},
		"fuel's code too short": {"320102001", "3201020", 1752, "det[2]/prod/obsFiscoDet"},
		"remark without text":   {"<xTextoDet>2025/07</xTextoDet>", "", 1999, "det[1]/prod/obsFiscoDet"},
		"items out of order":    {`nItem="2"`, `nItem="3"`, 1019, "det[2]/nItem"},
		"item number of four":   {`nItem="2"`, `nItem="0002"`, 1019, "det[2]/nItem"},
		"services without IM":   {"<IM>98765</IM>", "", 1501, "emit/IM"},
		"discount beyond price": {"<vDesc>1.00", "<vDesc>19.96", 1998, "det[1]/prod/vItem"},
	})
	checkEdits(t, "0.07", map[string]edit{
		"CEST before 0.08":  {"<CFOP>5102", "<CEST>1704700</CEST><CFOP>5102", 1999, "det[1]/prod/CEST"},
		"IE of eleven":      {"<IE>123456789012", "<IE>12345678901", 1209, "emit/IE"},
		"empty CPF allowed": {"52998224725", "", 0, "alert"},
	})
}

func TestCheckTaxes(t *testing.T) {
	checkEdits(t, "0.08", map[string]edit{
		"negative tax of the law": {"<vItem12741>2.10", "<vItem12741>-2.10", 1534, "det[1]/imposto/vItem12741"},
		"neither ICMS nor ISSQN":  {"<ICMS40>\n            <Orig>0</Orig>\n            <CST>60</CST>\n          </ICMS40>", "", 1999, "det[2]/imposto"},
		"origin":                  {"<Orig>0", "<Orig>9", 1471, "det[1]/imposto/ICMS/ICMS00/Orig"},
		"CST of ICMS00":           {"<CST>00", "<CST>10", 1472, "det[1]/imposto/ICMS/ICMS00/CST"},
		"rate of ICMS":            {"<pICMS>18.00", "<pICMS>-18.00", 1473, "det[1]/imposto/ICMS/ICMS00/pICMS"},
		"CST 50 after 0.06":       {"<CST>60", "<CST>50", 1475, "det[2]/imposto/ICMS/ICMS40/CST"},
		"two groups of ICMS":      {"<ICMS40>", "<ICMS00/><ICMS40>", 1999, "det[2]/imposto/ICMS"},
		"CST of PIS by rate":      {"<CST>01", "<CST>04", 1478, "det[1]/imposto/PIS/PISAliq/CST"},
		"base of PIS":             {"<vBC>18.95", "<vBC>18.955", 1479, "det[1]/imposto/PIS/PISAliq/vBC"},
		"PIS as a percentage":     {"<pPIS>0.0165", "<pPIS>1.65", 1480, "det[1]/imposto/PIS/PISAliq/pPIS"},
		"CST of PIS by quantity":  {"<CST>03", "<CST>01", 1482, "det[2]/imposto/PIS/PISQtde/CST"},
		"quantity of PIS":         {"<qBCProd>10.3210", "<qBCProd>10.32", 1483, "det[2]/imposto/PIS/PISQtde/qBCProd"},
		"rate in reais of PIS":    {"<vAliqProd>0.1411", "<vAliqProd>0.14", 1484, "det[2]/imposto/PIS/PISQtde/vAliqProd"},
		"rate of PISST":           {"<vBC>10.00</vBC>\n          <pPIS>0.0165", "<vBC>10.00</vBC>\n          <pPIS>x", 1480, "det[2]/imposto/PISST/PISST/pPIS"},
		"CST of PISSN":            {"<CST>49", "<CST>99", 1487, "det[3]/imposto/PIS/PISSN/CST"},
		"CST of COFINSNT":         {"<CST>04", "<CST>01", 1498, "det[2]/imposto/COFINS/COFINSNT/CST"},
		"CST of COFINSOutr":       {"<CST>99", "<CST>98", 1500, "det[3]/imposto/COFINS/COFINSOutr/CST"},
		"rate of COFINS":          {"<pCOFINS>0.0760", "<pCOFINS>7.60", 1492, "det[1]/imposto/COFINS/COFINSAliq/pCOFINS"},
		"base of COFINS":          {"<vBC>30.00", "<vBC>30,00", 1491, "det[3]/imposto/COFINS/COFINSOutr/vBC"},
		"rate in reais of COFINS": {"<vAliqProd>0.0250", "<vAliqProd>0.025", 1496, "det[2]/imposto/COFINSST/COFINSST/vAliqProd"},
		"no PIS":                  {"<PISSN>\n            <CST>49</CST>\n          </PISSN>", "", 1999, "det[3]/imposto/PIS"},
		"deduction of services":   {"<vDeducISSQN>5.00", "<vDeducISSQN>-5.00", 1503, "det[3]/imposto/ISSQN/vDeducISSQN"},
		"rate of services":        {"005.00", "005.01", 1505, "det[3]/imposto/ISSQN/vAliq"},
		"rate not in six places":  {"005.00", "5.00", 1505, "det[3]/imposto/ISSQN/vAliq"},
		"city's digit":            {"3550308", "3550309", 1287, "det[3]/imposto/ISSQN/cMunFG"},
		"list of services":        {"14.01", "1401", 1508, "det[3]/imposto/ISSQN/cListServ"},
		"city's code of service":  {"<cNatOp>", "<cServTribMun>1</cServTribMun><cNatOp>", 1509, "det[3]/imposto/ISSQN/cServTribMun"},
		"nature of the operation": {"<cNatOp>01", "<cNatOp>09", 1510, "det[3]/imposto/ISSQN/cNatOp"},
		"incentive":               {"<indIncFisc>2", "<indIncFisc>3", 1511, "det[3]/imposto/ISSQN/indIncFisc"},
		"deduction beyond price":  {"<vDeducISSQN>5.00", "<vDeducISSQN>30.01", 1998, "det[3]/imposto/ISSQN/vBC"},
		"Simples in a normal one": {"<ICMS40>\n            <Orig>0</Orig>\n            <CST>60</CST>\n          </ICMS40>",
			"<ICMSSN102><Orig>0</Orig><CSOSN>500</CSOSN></ICMSSN102>", 1603, "alert"},
		"CSOSN":        {"<ICMS40>\n            <Orig>0</Orig>\n            <CST>60</CST>\n          </ICMS40>", "<ICMSSN102><Orig>0</Orig><CSOSN>101</CSOSN></ICMSSN102>", 1476, "det[2]/imposto/ICMS/ICMSSN102/CSOSN"},
		"CSOSN of 900": {"<ICMS40>\n            <Orig>0</Orig>\n            <CST>60</CST>\n          </ICMS40>", "<ICMSSN900><Orig>0</Orig><CSOSN>901</CSOSN><pICMS>1.00</pICMS></ICMSSN900>", 1477, "det[2]/imposto/ICMS/ICMSSN900/CSOSN"},
	})
	checkEdits(t, "0.06", map[string]edit{
		"CST 50 up to 0.06": {"<CST>60", "<CST>50", 0, "alert"},
		"CSOSN 400": {"<ICMS40>\n            <Orig>0</Orig>\n            <CST>60</CST>\n          </ICMS40>",
			"<ICMSSN102><Orig>0</Orig><CSOSN>400</CSOSN></ICMSSN102>", 1476, "det[2]/imposto/ICMS/ICMSSN102/CSOSN"},
		"signAC": {"<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>", "", 1222, "ide/signAC"},
	})
}

// What the schema forbids is found after what has its own code.
func TestCheckShape(t *testing.T) {
	checkEdits(t, "0.08", map[string]edit{
		"unknown element":           {"<CFOP>5102", "<cBarra>1</cBarra><CFOP>5102", 1999, "infCFe/det/prod/cBarra"},
		"element of the device":     {"<indRegra>A", "<vProd>1.00</vProd><indRegra>A", 1999, "infCFe/det/prod/vProd"},
		"elements out of order":     {"<CFOP>5102</CFOP>\n        <uCom>kg</uCom>", "<uCom>kg</uCom><CFOP>5102</CFOP>", 1999, "infCFe/det/prod/CFOP"},
		"element twice":             {"<uCom>kg</uCom>", "<uCom>kg</uCom><uCom>kg</uCom>", 1999, "infCFe/det/prod/uCom"},
		"empty element":             {"<vCFeLei12741>2.10", "<vCFeLei12741>", 1999, "infCFe/total/vCFeLei12741"},
		"text among elements":       {"<total>", "<total>oi", 1999, "infCFe/total"},
		"element in a text":         {"PAO-1", "PAO<b>1</b>", 1459, "det[1]/prod/cProd"},
		"element in another case":   {"<infAdProd>bomba 3</infAdProd>", "<InfAdProd>bomba 3</InfAdProd>", 1999, "infCFe/det/InfAdProd"},
		"second infCFe":             {"</infCFe>", `</infCFe><infCFe versaoDadosEnt="0.08"/>`, 1999, "infCFe"},
		"wrong price is told first": {"<vUnCom>39.90", "<oi>1</oi><vUnCom>x", 1465, "det[1]/prod/vUnCom"},
	})
	t.Run("another root", func(t *testing.T) {
		in, err := ParseSale([]byte(strings.NewReplacer("<CFe>", "<Venda>", "</CFe>", "</Venda>").Replace(string(saleText(t, "0.08")))))
		if err != nil {
			t.Fatal(err)
		}
		if _, refusal := in.Check(rules("0.08")); refusal == nil || refusal.Code != 1999 {
			t.Error(refusal)
		}
	})
	t.Run("no payments", func(t *testing.T) {
		text := string(saleText(t, "0.08"))
		in, err := ParseSale([]byte(text[:strings.Index(text, "<pgto>")] + text[strings.Index(text, "</pgto>")+len("</pgto>"):]))
		if err != nil {
			t.Fatal(err)
		}
		if _, refusal := in.Check(rules("0.08")); refusal == nil || refusal.Code != 1999 || refusal.Field != "pgto" {
			t.Error(refusal)
		}
	})
	t.Run("501 items", func(t *testing.T) {
		in := sale(t, "0.08")
		for len(in.Items) < 501 {
			in.Items = append(in.Items, in.Items[0])
		}
		if _, refusal := in.Check(rules("0.08")); refusal == nil || refusal.Code != 1999 || refusal.Field != "det" {
			t.Error(refusal)
		}
	})
	t.Run("no XML", func(t *testing.T) {
		if in, err := ParseSale([]byte("oi")); err == nil {
			t.Errorf("%+v", in)
		}
	})
}

func TestCheckRules(t *testing.T) {
	for name, c := range map[string]struct {
		layout string
		change func(*Rules)
		code   int
		alert  int
	}{
		"older input":             {"0.06", func(r *Rules) { r.Layout = "0.08" }, 0, 1005},
		"newer input":             {"0.08", func(r *Rules) { r.Layout = "0.07" }, 1004, 0},
		"unknown layout":          {"0.08", func(r *Rules) { r.Layout = "1.00" }, 1004, 0},
		"registered signAC":       {"0.08", func(r *Rules) { r.SignAC = "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT" }, 0, 0},
		"another signAC":          {"0.08", func(r *Rules) { r.SignAC = strings.Repeat("A", 344) }, 1085, 0},
		"exactly the limit":       {"0.08", func(r *Rules) { r.MaxTotal = 10818 }, 0, 0},
		"a cent over the limit":   {"0.08", func(r *Rules) { r.MaxTotal = 10817 }, 1409, 0},
		"same second as the last": {"0.08", func(r *Rules) { r.Last = r.Now }, 0, 0},
		"clock turned back":       {"0.08", func(r *Rules) { r.Last = r.Now.Add(time.Second) }, 1258, 0},
		"Simples Nacional":        {"0.08", func(r *Rules) { r.Emitter.Regime = 1 }, 0, 1601},
		"padded IE":               {"0.08", func(r *Rules) { r.Emitter.IE += "  " }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rules := rules(c.layout)
			c.change(&rules)
			alert, refusal := sale(t, c.layout).Check(rules)
			if alert != c.alert || (refusal == nil) != (c.code == 0) || (refusal != nil && refusal.Code != c.code) {
				t.Errorf("alert %d, %v", alert, refusal)
			}
		})
	}
}

func FuzzParseSale(f *testing.F) {
	f.Add(saleText(f, "0.08"))
	f.Add(saleText(f, "0.06"))
	f.Add([]byte("<CFe><infCFe><det nItem='1'><prod><obsFiscoDet xCampoDet='a'><xTextoDet>b</xTextoDet></obsFiscoDet></prod></det><pgto><MP/></pgto></infCFe></CFe>"))
	f.Add(cancelText(f, "35250711222333000181599000001230000411234560"))
	signer, root := device(f), NewVerifier(roots(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if in, err := ParseCancel(raw); err == nil {
			in.Check(rules("0.06"), nil, false)
		}
		in, err := ParseSale(raw)
		if err != nil {
			return
		}
		for _, layout := range []string{"0.06", "0.08"} {
			if _, refusal := in.Check(rules(layout)); refusal != nil {
				continue
			}
			out, err := Issue(in, padaria(), stamp(layout, 1), signer)
			if err != nil {
				t.Fatalf("accepted, then not issued: %v", err)
			}
			if v := root.Verify(out.XML); !v.Trusted || v.Signature != Verified || v.QR != Verified {
				t.Fatalf("issued, then %s (%s), QR %s", v.Signature, v.Reason, v.QR)
			}
		}
	})
}
