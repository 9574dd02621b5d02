package sattest

import (
	"strings"
	"testing"

	"zelo/sat"
)

// What the dossier shows of good replies and of bad ones (2.2, 2.3).
func TestTheRulesThemselves(t *testing.T) {
	sale := "123456|06000|0000|Emitido|||PENGZT4=|20150718154423|CFe35150708723218000186599000040190000215133408|2.00||QUJD"
	status := "285022|10000|Resposta com sucesso|||900012555|DHCP|010.042.000.133|40:44:84:33:55:25|255.255.255.000|010.042.000.001|" +
		"010.042.000.001|010.042.000.001|CONECTADO|ALTO|1 GB|5 MB|20171113170816|01.00.00|00.07|||0|||20170622|20220622|0"
	for _, test := range []struct {
		name, raw string
		f         sat.Function
		session   int
		breaks    string // the client that stumbles, "" for none
	}{
		{"sale", sale, sat.EnviarDadosVenda, 123456, ""},
		{"sale, other session", sale, sat.EnviarDadosVenda, 123457, "ACBr"},
		{"sale, no CCCC", strings.Replace(sale, "|0000|", "||", 1), sat.EnviarDadosVenda, 123456, "ACBr"},
		{"sale, a field too many", sale + "|", sat.EnviarDadosVenda, 123456, "satcfe"},
		{"sale, bad date", strings.Replace(sale, "|20150718", "|20151318", 1), sat.EnviarDadosVenda, 123456, "satcfe"},
		{"sale, bad base64", strings.Replace(sale, "PENGZT4=", "PENGZT4", 1), sat.EnviarDadosVenda, 123456, "ACBrNet"},
		{"sale, line end in base64", strings.Replace(sale, "PENG", "PE\r\nNG", 1), sat.EnviarDadosVenda, 123456, "ACBr"},
		{"sale asked for again", sale, sat.ConsultarNumeroSessao, 5, ""},
		{"sale, text of cod", strings.Replace(sale, "|Emitido||", "|Emitido|x|", 1), sat.EnviarDadosVenda, 123456, "ACBrNet"},
		{"status", status, sat.ConsultarStatusOperacional, 285022, ""},
		{"status, short", status[:len(status)-2], sat.ConsultarStatusOperacional, 285022, "satcfe"},
		{"status, no time", strings.Replace(status, "20171113170816", "", 1), sat.ConsultarStatusOperacional, 285022, "satcfe"},
		{"in operation", "849051|08000|SAT em operacao||", sat.ConsultarSAT, 849051, ""},
		{"in operation, accents", "849051|08000|SAT em opera\xe7\xe3o||", sat.ConsultarSAT, 849051, "satcfe"},
		{"Tanca's busy", "005877|08098|0000|SAT em processamento. Tente novamente.||", sat.ConsultarSAT, 5877, "ACBr"},
		{"Sweda's busy", "005877|06098||SAT em processamento. Tente Novamente.||", sat.EnviarDadosVenda, 5877, "ACBr"},
		{"Kryptus's", "000000|00000|Erro ao abrir USB.", sat.ConsultarSAT, 0, "ACBr"},
		{"Elgin's", "000007|9999|SAT Desconectado||", sat.ConsultarSAT, 7, "ACBr"},
		{"Gertec's", "Error [2] openning serial COM3", sat.ConsultarSAT, 7, "satcfe"},
		{"no such session", "099999|11003|Sessao nao existe||", sat.ConsultarNumeroSessao, 99999, ""},
	} {
		complaints := Strict(test.f, test.session, test.raw)
		found := strings.Contains(strings.Join(complaints, "\n"), test.breaks+" wants")
		if test.breaks == "" && len(complaints) > 0 || test.breaks != "" && !found {
			t.Errorf("%s: %q, want a complaint of %q", test.name, complaints, test.breaks)
		}
	}
}
