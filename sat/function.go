package sat

import (
	"strings"
	"time"
)

// Function is one of the sixteen functions of the library, in the order of the
// requirements document (items 6.1.1 to 6.1.16). The number is also what travels
// in frames and journals; it never changes.
type Function uint8

// The functions.
const (
	AtivarSAT Function = 1 + iota
	ComunicarCertificadoICPBRASIL
	EnviarDadosVenda
	CancelarUltimaVenda
	ConsultarSAT
	TesteFimAFim
	ConsultarStatusOperacional
	ConsultarNumeroSessao
	ConfigurarInterfaceDeRede
	AssociarAssinatura
	AtualizarSoftwareSAT
	ExtrairLogs
	BloquearSAT
	DesbloquearSAT
	TrocarCodigoDeAtivacao
	ConsultarUltimaSessaoFiscal
)

// Param is one parameter of a function, after numeroSessao.
type Param struct {
	Name   string
	Int    bool // a C int; otherwise a NUL-terminated string
	Secret bool // never logged, never stored in the clear
}

type functionSpec struct {
	name     string
	prefix   int // the first two digits of its return codes
	params   []Param
	fields   int // fields of a successful reply
	least    int // fewest fields a successful reply may have and still say all that matters
	deadline time.Duration
}

// CodeParam is the name of the activation code's parameter.
const CodeParam = "codigoDeAtivacao"

func text(name string) Param    { return Param{Name: name} }
func integer(name string) Param { return Param{Name: name, Int: true} }
func secret(name string) Param  { return Param{Name: name, Secret: true} }

// functions holds one row per function: parameters from dossier 1.1, field
// counts from 2.1, deadlines from the slowest maker's table of 1.8 (a till's
// library is expected to wait that long).
var functions = [...]functionSpec{
	AtivarSAT: {"AtivarSAT", 4,
		[]Param{integer("subComando"), secret(CodeParam), text("CNPJ"), integer("cUF")}, 6, 5, 1800 * time.Second},
	ComunicarCertificadoICPBRASIL: {"ComunicarCertificadoICPBRASIL", 5,
		[]Param{secret(CodeParam), text("certificado")}, 5, 5, 600 * time.Second},
	EnviarDadosVenda: {"EnviarDadosVenda", 6,
		[]Param{secret(CodeParam), text("dadosVenda")}, 12, 7, 60 * time.Second},
	CancelarUltimaVenda: {"CancelarUltimaVenda", 7,
		[]Param{secret(CodeParam), text("chave"), text("dadosCancelamento")}, 12, 7, 40 * time.Second},
	ConsultarSAT: {"ConsultarSAT", 8,
		nil, 5, 3, 10 * time.Second},
	TesteFimAFim: {"TesteFimAFim", 9,
		[]Param{secret(CodeParam), text("dadosVenda")}, 9, 6, 40 * time.Second},
	ConsultarStatusOperacional: {"ConsultarStatusOperacional", 10,
		[]Param{secret(CodeParam)}, 28, 27, 20 * time.Second},
	ConsultarNumeroSessao: {"ConsultarNumeroSessao", 11,
		[]Param{secret(CodeParam), integer("cNumeroDeSessao")}, 5, 3, 40 * time.Second},
	ConfigurarInterfaceDeRede: {"ConfigurarInterfaceDeRede", 12,
		[]Param{secret(CodeParam), secret("dadosConfiguracao")}, 5, 3, 120 * time.Second},
	AssociarAssinatura: {"AssociarAssinatura", 13,
		[]Param{secret(CodeParam), text("CNPJvalue"), text("assinaturaCNPJs")}, 5, 3, 1800 * time.Second},
	AtualizarSoftwareSAT: {"AtualizarSoftwareSAT", 14,
		[]Param{secret(CodeParam)}, 5, 3, 3600 * time.Second},
	ExtrairLogs: {"ExtrairLogs", 15,
		[]Param{secret(CodeParam)}, 6, 6, 180 * time.Second},
	BloquearSAT: {"BloquearSAT", 16,
		[]Param{secret(CodeParam)}, 5, 3, 1200 * time.Second},
	DesbloquearSAT: {"DesbloquearSAT", 17,
		[]Param{secret(CodeParam)}, 5, 3, 300 * time.Second},
	TrocarCodigoDeAtivacao: {"TrocarCodigoDeAtivacao", 18,
		[]Param{secret(CodeParam), integer("opcao"), secret("novoCodigo"), secret("confNovoCodigo")}, 5, 3, 40 * time.Second},
	ConsultarUltimaSessaoFiscal: {"ConsultarUltimaSessaoFiscal", 19,
		[]Param{secret(CodeParam)}, 5, 3, 40 * time.Second},
}

// Functions returns all sixteen, in order.
func Functions() []Function {
	var fs []Function
	for f := AtivarSAT; f.Valid(); f++ {
		fs = append(fs, f)
	}
	return fs
}

// FunctionByName finds a function by its name, in any case.
func FunctionByName(name string) (Function, bool) {
	for _, f := range Functions() {
		if strings.EqualFold(functions[f].name, name) {
			return f, true
		}
	}
	return 0, false
}

func functionByPrefix(prefix int) (Function, bool) {
	for _, f := range Functions() {
		if functions[f].prefix == prefix {
			return f, true
		}
	}
	return 0, false
}

// Valid reports whether f is one of the sixteen.
func (f Function) Valid() bool { return f >= AtivarSAT && int(f) < len(functions) }

func (f Function) spec() functionSpec {
	if !f.Valid() {
		return functionSpec{name: "?"}
	}
	return functions[f]
}

// String is the function's name as the library exports it.
func (f Function) String() string { return f.spec().name }

// Params are the parameters after numeroSessao. The caller must not change them.
func (f Function) Params() []Param { return f.spec().params }

// Deadline is how long a caller should wait for the reply (dossier 1.8, the
// slowest maker's figure).
func (f Function) Deadline() time.Duration { return f.spec().deadline }

// Success is the code of a successful reply: 6000 for EnviarDadosVenda.
func (f Function) Success() Code { return Code(f.spec().prefix * 1000) }

// Busy is the code "em processamento, tente novamente": the neutral answer when
// the outcome is not known.
func (f Function) Busy() Code { return f.Success() + 98 }

// Failed is the code "erro desconhecido": only for a call that certainly did not
// reach a device.
func (f Function) Failed() Code { return f.Success() + 99 }

// Fiscal reports whether the function issues a document with fiscal value: a
// sale or a cancellation.
func (f Function) Fiscal() bool { return f == EnviarDadosVenda || f == CancelarUltimaVenda }

// CarriesDocument reports whether a successful reply contains a CF-e.
func (f Function) CarriesDocument() bool { return f.Fiscal() || f == TesteFimAFim }

// AsksSession reports whether the function returns a reply stored earlier.
func (f Function) AsksSession() bool {
	return f == ConsultarNumeroSessao || f == ConsultarUltimaSessaoFiscal
}

// OnceOnly reports whether repeating the function after an unknown outcome could
// harm: it changes the device for good (DESIGN.md, invariant 9).
func (f Function) OnceOnly() bool {
	switch f {
	case AtivarSAT, TrocarCodigoDeAtivacao, BloquearSAT, AtualizarSoftwareSAT:
		return true
	}
	return f.CarriesDocument()
}
