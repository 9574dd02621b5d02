package sat

import (
	"fmt"
	"strconv"
)

// Code is a return code EEEEE: two digits of the function, three of the result.
// Libraries also invent codes outside the table (9999, 19999, 00000).
type Code int

// String is the code in five digits, as replies carry it.
func (c Code) String() string { return fmt.Sprintf("%05d", int(c)) }

// Function is the one whose table the code belongs to; false for invented codes.
func (c Code) Function() (Function, bool) { return functionByPrefix(int(c) / 1000) }

// Success reports whether the code says the command was carried out. 04006 (a
// certificate request was made) is one too.
func (c Code) Success() bool {
	f, ok := c.Function()
	return ok && (c == f.Success() || c == 4006)
}

// Busy reports "em processamento": nothing is known about the outcome.
func (c Code) Busy() bool { _, ok := c.Function(); return ok && c%1000 == 98 }

// DuplicateSession reports a session number the device refuses.
func (c Code) DuplicateSession() bool { _, ok := c.Function(); return ok && c%1000 == 97 }

// WrongActivationCode reports that the device refused the activation code. Codes
// 13001 to 17001 are left out: older tables are shifted by one there and use
// them for other results (dossier 2.4).
func (c Code) WrongActivationCode() bool {
	switch c {
	case 5001, 6001, 7001, 9001, 10001, 11001, 12001, 18001, 19001:
		return true
	}
	return false
}

// Text says in Portuguese what the code means; a code outside the table says so.
func (c Code) Text() string {
	if t, ok := codeTexts[c]; ok {
		return t
	}
	if c.Busy() {
		return "SAT em processamento. Tente novamente."
	}
	if c.DuplicateSession() {
		return "Número de sessão inválido ou repetido"
	}
	if _, ok := c.Function(); ok && c%1000 == 99 {
		return "Erro desconhecido"
	}
	return "Código fora da tabela do SAT"
}

// codeTexts follows NT 2013/001 as public libraries list it (dossier 2.4). Codes
// 07002 to 07007 carry the old table, which real devices' replies use.
var codeTexts = map[Code]string{
	4000: "Ativado corretamente", 4001: "Erro na criação do certificado",
	4002: "A SEFAZ não reconhece este SAT (CNPJ inválido)", 4003: "SAT já ativado",
	4004: "SAT com uso cessado", 4005: "Erro de comunicação com a SEFAZ",
	4006: "CSR ICP-BRASIL criado com sucesso", 4007: "Erro na criação do CSR ICP-BRASIL",
	5000: "Certificado transmitido com sucesso", 5001: "Código de ativação inválido",
	5002: "Erro de comunicação com a SEFAZ", 5003: "Certificado inválido",
	6000: "Emitido com sucesso", 6001: "Código de ativação inválido",
	6002: "SAT ainda não ativado", 6003: "SAT não vinculado ao AC",
	6004: "Vinculação do AC não confere", 6005: "Tamanho do CF-e superior a 1.500 KB",
	6006: "SAT bloqueado pelo contribuinte", 6007: "SAT bloqueado pela SEFAZ",
	6008: "SAT bloqueado por falta de comunicação", 6009: "SAT bloqueado, código de ativação incorreto",
	6010: "Erro de validação do conteúdo",
	7000: "Cupom cancelado com sucesso", 7001: "Código de ativação inválido",
	7002: "Cupom inválido", 7003: "SAT bloqueado pelo contribuinte",
	7004: "SAT bloqueado pela SEFAZ", 7005: "SAT bloqueado por falta de comunicação",
	7006: "SAT bloqueado, código de ativação incorreto", 7007: "Erro de validação do conteúdo",
	8000: "SAT em operação",
	9000: "Emitido com sucesso", 9001: "Código de ativação inválido", 9002: "SAT ainda não ativado",
	10000: "Resposta com sucesso", 10001: "Código de ativação inválido",
	11000: "Emitido com sucesso", 11001: "Código de ativação inválido",
	11002: "SAT ainda não ativado", 11003: "Sessão não existe",
	12000: "Rede configurada com sucesso", 12001: "Código de ativação inválido",
	12002: "Dados fora do padrão a ser informado",
	13000: "Assinatura do AC registrada", 13001: "Código de ativação inválido",
	13002: "Erro de comunicação com a SEFAZ", 13003: "Assinatura fora do padrão especificado",
	13004: "CNPJ da software house + CNPJ do emitente assinado difere do informado",
	13005: "Assinatura não reconhecida pela SEFAZ",
	13007: "CNPJ do contribuinte difere do que consta na parametrização",
	14000: "Software básico atualizado com sucesso", 14001: "Código de ativação inválido",
	14002: "Atualização em andamento", 14003: "Erro na atualização", 14004: "Arquivo de atualização inválido",
	15000: "Transferência completa", 15001: "Código de ativação inválido", 15002: "Transferência em andamento",
	16000: "Equipamento SAT bloqueado com sucesso", 16001: "Código de ativação inválido",
	16002: "Equipamento SAT já está bloqueado", 16003: "Erro de comunicação com a SEFAZ",
	16004: "Não existe parametrização de bloqueio disponível",
	17000: "Equipamento SAT desbloqueado com sucesso", 17001: "Código de ativação inválido",
	17002: "SAT bloqueado pelo contribuinte: desbloqueie antes no portal da SEFAZ",
	17003: "SAT bloqueado pela SEFAZ", 17004: "Erro de comunicação com a SEFAZ",
	17005: "SAT já está desbloqueado", 17006: "Bloqueio autônomo: conecte o SAT à internet e aguarde",
	17007: "SAT bloqueado para desativação",
	18000: "Código de ativação alterado com sucesso", 18001: "Código de ativação inválido",
	18002: "Código de emergência incorreto",
	19000: "Emitido com sucesso", 19001: "Código de ativação inválido",
	19002: "SAT ainda não ativado", 19003: "Sessão fiscal não existe",
}

// Alert is the field CCCC of sale and cancellation replies: "0000" for none,
// otherwise an alert beside a success or the reason of a refusal. Most equal
// 1000 plus the SEFAZ cStat (dossier 2.5).
type Alert string

// NoAlert is the CCCC of an undisturbed reply.
const NoAlert Alert = "0000"

// None reports that the field says nothing.
func (a Alert) None() bool { return a == "" || a == NoAlert }

// Text says in Portuguese what CCCC means; "" for none.
func (a Alert) Text() string {
	if a.None() {
		return ""
	}
	n, err := strconv.Atoi(string(a))
	if err != nil {
		return "Motivo fora da tabela do SAT"
	}
	if t, ok := alertTexts[n]; ok {
		return t
	}
	return "Motivo fora da tabela do SAT"
}
