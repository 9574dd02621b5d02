package sattest

import (
	"fmt"

	"zelo/sat"
	"zelo/sat/sim"
)

// Request makes a call with the arguments given, which follow the activation
// code [sim.DefaultCode] where the function has one.
func Request(f sat.Function, session int, args ...string) sat.Request {
	for i, p := range f.Params() {
		if p.Name == sat.CodeParam {
			args = append(args[:i:i], append([]string{sim.DefaultCode}, args[i:]...)...)
		}
	}
	return sat.Request{Till: "caixa 1", Session: session, Function: f, Args: args}
}

// Sale makes a sale of one item, paid in cash, that a simulated SAT with its
// default options issues.
func Sale(session int) sat.Request {
	return Request(sat.EnviarDadosVenda, session, SaleXML("10.00", ""))
}

// Cancel makes the cancellation of the sale with this key (44 digits).
func Cancel(session int, key string) sat.Request {
	return Request(sat.CancelarUltimaVenda, session, "CFe"+key, CancelXML(key))
}

// SaleXML is the input of a sale of one item at this price to a consumer's CPF,
// which may be "".
func SaleXML(price, cpf string) string {
	consumer := ""
	if cpf != "" {
		consumer = "<CPF>" + cpf + "</CPF>"
	}
	e := sim.TestEmitter(sim.SAT)
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><CFe><infCFe versaoDadosEnt="0.08">`+
		`<ide><CNPJ>16716114000172</CNPJ><signAC>%s</signAC><numeroCaixa>001</numeroCaixa></ide>`+
		`<emit><CNPJ>%s</CNPJ><IE>%s</IE><indRatISSQN>N</indRatISSQN></emit><dest>%s</dest>`+
		`<det nItem="1"><prod><cProd>116</cProd><xProd>Café em pó 500 g</xProd><NCM>09012100</NCM><CFOP>5102</CFOP><uCom>UN</uCom>`+
		`<qCom>1.0000</qCom><vUnCom>%s</vUnCom><indRegra>A</indRegra></prod><imposto>`+
		`<ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>18.00</pICMS></ICMS00></ICMS>`+
		`<PIS><PISNT><CST>07</CST></PISNT></PIS><COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det>`+
		`<total/><pgto><MP><cMP>01</cMP><vMP>%s</vMP></MP></pgto></infCFe></CFe>`,
		signAC, e.CNPJ, e.IE, consumer, price, price)
}

// CancelXML is the input of the cancellation of the sale with this key.
func CancelXML(key string) string {
	return fmt.Sprintf(`<CFeCanc><infCFe chCanc="CFe%s"><ide><CNPJ>16716114000172</CNPJ><signAC>%s</signAC>`+
		`<numeroCaixa>001</numeroCaixa></ide><emit/><dest/><total/></infCFe></CFeCanc>`, key, signAC)
}

// signAC is the development kits' text.
const signAC = "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT"
