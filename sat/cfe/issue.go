package cfe

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxIssued is the size in bytes over which a device answers 06005: 1,500 KB.
const MaxIssued = 1500 << 10

// ErrTooLarge reports a document over MaxIssued.
var ErrTooLarge = errors.New("the document exceeds 1,500 KB")

// Emitter is the taxpayer as the tax authority's parametrisation describes it to
// the device.
type Emitter struct {
	UF         int    // IBGE code: 35 São Paulo, 23 Ceará
	CNPJ       string // 14 digits
	Name       string // xNome
	TradeName  string // xFant, may be ""
	Street     string
	Number     string // may be ""
	Complement string // may be ""
	District   string
	City       string
	CEP        string // eight digits
	IE         string
	IM         string   // on cancellations; a sale echoes the application's. May be ""
	Regime     int      // cRegTrib: 1 Simples Nacional, 3 normal
	Remarks    []Remark // obsFisco, at most ten
}

// Stamp is what the device adds of itself and of the moment.
type Stamp struct {
	Layout      string    // versao: 0.06, 0.07 or 0.08
	Serial      string    // nserieSAT, nine digits
	Number      int       // nCFe, 0 to 999999
	Random      int       // cNF, 0 to 999999
	Issued      time.Time // printed in zone -03, to the second
	Environment int       // tpAmb: 1 production, 2 test
	Software    string    // versaoSB, six digits
}

// Issued is a finished document and what the device's reply repeats of it.
type Issued struct {
	XML         []byte // exact bytes, compact, without declaration
	Key         Key
	Total       string // vCFe as printed
	Consumer    string // CNPJ or CPF, may be ""
	QRSignature string // assinaturaQRCODE
}

// Issue writes and signs the CF-e of a sale: amounts by the rules of compute,
// elements in the schema's order, attributes and empty elements in canonical
// form. The input should have passed Check; one that cannot be computed gives the
// *Refusal as the error.
func Issue(in *SaleInput, e Emitter, st Stamp, signer *Signer) (Issued, error) {
	layout, ok := layoutOf(st.Layout)
	if !ok {
		return Issued{}, fmt.Errorf("cannot issue CF-e: unknown layout %q", st.Layout)
	}
	values, refusal := compute(in, layout)
	if refusal != nil {
		return Issued{}, fmt.Errorf("cannot issue CF-e: %w", refusal)
	}
	out := Issued{Total: formatCents(values.total), Consumer: in.Consumer()}
	if err := out.stamp(e, st, signer); err != nil {
		return Issued{}, err
	}
	w := &writer{}
	w.openWith("infCFe", "Id", out.Key.ID(), "versao", st.Layout, "versaoDadosEnt", in.DataVersion, "versaoSB", st.Software)
	w.ide(ideFields{out, st, true, in.DevHouse, in.SignAC, in.Till})
	w.saleEmitter(in, e)
	w.consumer(in.ConsumerCNPJ, in.ConsumerCPF, in.ConsumerName)
	w.delivery(in.Delivery)
	for n := range in.Items {
		w.item(&in.Items[n], values.items[n], layout)
	}
	w.total(in, values)
	w.payments(in.Payments, values.paid-values.total)
	w.remarks(in.Note, e.Remarks, layout)
	w.close("infCFe")
	return out, out.sign("CFe", w.b, signer)
}

// IssueCancel writes and signs the CFeCanc that cancels sale, with its own key
// and number (dossier 1.7).
func IssueCancel(in *CancelInput, sale Document, e Emitter, st Stamp, signer *Signer) (Issued, error) {
	layout, ok := layoutOf(st.Layout)
	if !ok {
		return Issued{}, fmt.Errorf("cannot issue CF-e: unknown layout %q", st.Layout)
	}
	out := Issued{Total: sale.Total, Consumer: sale.Consumer}
	if err := out.stamp(e, st, signer); err != nil {
		return Issued{}, err
	}
	w := &writer{}
	w.openWith("infCFe", "Id", out.Key.ID(), "chCanc", sale.Key.ID(), "versao", st.Layout)
	at := sale.Issued.In(brasilia())
	w.el("dEmi", at.Format("20060102"))
	w.el("hEmi", at.Format("150405"))
	w.ide(ideFields{out, st, false, in.DevHouse, in.SignAC, in.Till})
	w.open("emit")
	w.registered(e)
	w.el("IE", e.IE)
	w.opt("IM", e.IM)
	w.close("emit")
	if len(sale.Consumer) == 14 {
		w.consumer(sale.Consumer, "", "")
	} else {
		w.consumer("", sale.Consumer, "")
	}
	w.open("total")
	w.el("vCFe", sale.Total)
	w.close("total")
	w.remarks("", e.Remarks, layout)
	w.close("infCFe")
	return out, out.sign("CFeCanc", w.b, signer)
}

// stamp composes the key and signs the QR text.
func (out *Issued) stamp(e Emitter, st Stamp, signer *Signer) error {
	key, err := NewKey(KeyParts{
		UF: e.UF, Issued: st.Issued.In(brasilia()), CNPJ: e.CNPJ, Model: 59,
		Serial: st.Serial, Number: st.Number, Random: st.Random,
	})
	if err != nil {
		return fmt.Errorf("cannot issue CF-e: %w", err)
	}
	out.Key = key
	out.QRSignature, err = signer.sign([]byte(qrText(string(key), st.Issued, out.Total, out.Consumer)))
	return err
}

// sign wraps the signed element in its root and signature.
func (out *Issued) sign(root string, inf []byte, signer *Signer) error {
	signature, err := signer.envelope(out.Key.ID(), inf)
	if err != nil {
		return err
	}
	w := &writer{}
	w.open(root)
	w.b = append(append(w.b, inf...), signature...)
	w.close(root)
	out.XML = w.b
	if len(out.XML) > MaxIssued {
		return fmt.Errorf("cannot issue CF-e of %d bytes: %w", len(out.XML), ErrTooLarge)
	}
	return nil
}

// writer writes elements in canonical form.
type writer struct{ b []byte }

func (w *writer) open(name string) { w.openWith(name) }

// openWith writes a start tag with attributes, which must come in order of name.
func (w *writer) openWith(name string, attrs ...string) {
	w.b = append(w.b, "<"+name...)
	for i := 0; i < len(attrs); i += 2 {
		w.b = append(w.b, " "+attrs[i]+`="`...)
		w.b = escape(w.b, []byte(attrs[i+1]), "&<\"\t\n\r")
		w.b = append(w.b, '"')
	}
	w.b = append(w.b, '>')
}

func (w *writer) close(name string) { w.b = append(w.b, "</"+name+">"...) }

func (w *writer) el(name, text string) {
	w.open(name)
	w.b = escape(w.b, []byte(text), "&<>\r")
	w.close(name)
}

// opt writes an element that is left out when it has no text.
func (w *writer) opt(name, text string) {
	if text != "" {
		w.el(name, text)
	}
}

func (w *writer) amount(name string, cents int64) { w.el(name, formatCents(cents)) }

// ideFields is what ide holds; sales alone print tpAmb.
type ideFields struct {
	out                    Issued
	st                     Stamp
	sale                   bool
	devHouse, signAC, till string
}

func (w *writer) ide(f ideFields) {
	at := f.st.Issued.In(brasilia())
	w.open("ide")
	w.el("cUF", f.out.Key.UF())
	w.el("cNF", fmt.Sprintf("%06d", f.st.Random))
	w.el("mod", "59")
	w.el("nserieSAT", f.st.Serial)
	w.el("nCFe", fmt.Sprintf("%06d", f.st.Number))
	w.el("dEmi", at.Format("20060102"))
	w.el("hEmi", at.Format("150405"))
	w.el("cDV", fmt.Sprint(f.out.Key.Digit()))
	if f.sale {
		w.el("tpAmb", fmt.Sprint(f.st.Environment))
	}
	w.el("CNPJ", f.devHouse)
	w.el("signAC", f.signAC)
	w.el("assinaturaQRCODE", f.out.QRSignature)
	w.el("numeroCaixa", f.till)
	w.close("ide")
}

// registered writes the part of emit that comes from the parametrisation.
func (w *writer) registered(e Emitter) {
	w.el("CNPJ", e.CNPJ)
	w.el("xNome", e.Name)
	w.opt("xFant", e.TradeName)
	w.open("enderEmit")
	w.el("xLgr", e.Street)
	w.opt("nro", e.Number)
	w.opt("xCpl", e.Complement)
	w.el("xBairro", e.District)
	w.el("xMun", e.City)
	w.el("CEP", e.CEP)
	w.close("enderEmit")
}

func (w *writer) saleEmitter(in *SaleInput, e Emitter) {
	w.open("emit")
	w.registered(e)
	w.el("IE", in.IE)
	w.opt("IM", in.IM)
	w.el("cRegTrib", fmt.Sprint(e.Regime))
	w.opt("cRegTribISSQN", in.ISSRegime)
	w.el("indRatISSQN", in.ISSShare)
	w.close("emit")
}

func (w *writer) consumer(cnpj, cpf, name string) {
	w.open("dest")
	w.opt("CNPJ", cnpj)
	w.opt("CPF", cpf)
	w.opt("xNome", strings.TrimSpace(name))
	w.close("dest")
}

func (w *writer) delivery(d Delivery) {
	if d.Street == "" {
		return
	}
	w.open("entrega")
	w.el("xLgr", d.Street)
	w.el("nro", d.Number)
	w.opt("xCpl", d.Complement)
	w.el("xBairro", d.District)
	w.el("xMun", d.City)
	w.el("UF", d.UF)
	w.close("entrega")
}

func (w *writer) payments(payments []InputPayment, change int64) {
	w.open("pgto")
	for _, p := range payments {
		w.open("MP")
		w.el("cMP", p.Method)
		w.el("vMP", p.Value)
		w.opt("cAdmC", p.Acquirer)
		w.close("MP")
	}
	w.amount("vTroco", change)
	w.close("pgto")
}

// remarks writes infAdic and obsFisco, which moved out of it in 0.08.
func (w *writer) remarks(note string, remarks []Remark, layout int) {
	inside := layout <= layout007
	if note != "" || (inside && len(remarks) > 0) {
		w.open("infAdic")
		w.opt("infCpl", note)
		if inside {
			w.obsFisco(remarks)
		}
		w.close("infAdic")
	}
	if !inside {
		w.obsFisco(remarks)
	}
}

func (w *writer) obsFisco(remarks []Remark) {
	for _, r := range remarks {
		w.openWith("obsFisco", "xCampo", r.Field)
		w.el("xTexto", r.Text)
		w.close("obsFisco")
	}
}
