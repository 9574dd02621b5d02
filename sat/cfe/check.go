package cfe

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Layouts of a CF-e in hundredths.
const (
	layout006 = 6
	layout007 = 7
	layout008 = 8
)

// layoutOf reads a version as decimal: "0.07" and "00.07" are the same.
func layoutOf(version string) (int, bool) {
	n, ok := decimal(version, 2, 2)
	return int(n), ok && n >= layout006 && n <= layout008
}

// Rules are what a device knows when it judges an input: its parametrisation and
// the moment.
type Rules struct {
	Layout   string  // newest the device knows: 0.06, 0.07 or 0.08
	Emitter  Emitter // the registered taxpayer: CNPJ, IE, Regime
	SignAC   string  // registered by AssociarAssinatura; "" accepts any
	MaxTotal int64   // largest vCFe in cents; 0 for no limit
	Now      time.Time
	Last     time.Time // issue of the device's last document; zero for none
}

// Refusal is the CCCC with which a device refuses an input, and the field that
// made it (a path under infCFe; items counted from 1).
type Refusal struct {
	Code  int // dossier on the SAT software interface, annex A
	Field string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused with %04d at %s", r.Code, r.Field) }

// in puts the refusal inside the item with index n.
func (r *Refusal) in(n int) *Refusal {
	return &Refusal{r.Code, fmt.Sprintf("det[%d]/%s", n+1, r.Field)}
}

// Check judges a sale as a device does before it issues: field by field in the
// order of the dossier, section 1.6, then the computed totals, then the clock.
// It returns the first refusal, or nil and an alert that accompanies the success
// (0 for none). Code 1536 (no cAdmC with a card) is never given: makers call the
// element optional and a device was seen to accept its absence. The sizes of the
// finished document are for Issue.
func (in *SaleInput) Check(rules Rules) (alert int, refusal *Refusal) {
	newest, ok := layoutOf(rules.Layout)
	if !ok {
		return 0, &Refusal{1004, "versaoDadosEnt"}
	}
	c := &checker{newest: newest, rules: rules}
	c.groups(in.seen.groups, "ide", "emit", "dest", "det", "total", "pgto")
	c.delivery(in.Delivery, in.seen.groups)
	c.need(len(in.Note) == 0 || length(in.Note, 1, 5000), 1999, "infAdic/infCpl")
	c.version(in.DataVersion)
	c.application(in)
	c.emitter(in)
	c.consumer(in)
	c.totals(in)
	c.payments(in.Payments)
	for n := range in.Items {
		c.prefix = fmt.Sprintf("det[%d]/", n+1)
		c.product(&in.Items[n])
		c.taxes(&in.Items[n])
	}
	c.prefix = ""
	c.sequence(in)
	c.need(in.seen.fault == "", 1999, in.seen.fault)
	c.need(!in.seen.blank || c.layout <= layout007, 1999, "dest/CPF")
	if c.refusal != nil {
		return 0, c.refusal
	}
	values, refusal := compute(in, newest)
	if refusal != nil {
		return 0, refusal
	}
	c.need(values.total <= values.paid, 1408, "total/vCFe")
	c.need(rules.MaxTotal == 0 || values.total <= rules.MaxTotal, 1409, "total/vCFe")
	c.clock()
	if c.refusal != nil {
		return 0, c.refusal
	}
	return c.alert, nil
}

// checker gathers the first refusal and the first alert.
type checker struct {
	rules   Rules
	newest  int // layout of the device
	layout  int // of the input
	prefix  string
	alert   int
	refusal *Refusal
}

// need refuses with code unless ok.
func (c *checker) need(ok bool, code int, field string) {
	if !ok && c.refusal == nil {
		c.refusal = &Refusal{code, c.prefix + field}
	}
}

func (c *checker) warn(when bool, code int) {
	if when && c.alert == 0 {
		c.alert = code
	}
}

// amount wants a 13.2, or nothing where it is optional.
func (c *checker) amount(s string, optional bool, code int, field string) {
	_, ok := decimal(s, 13, 2)
	c.need(ok || (optional && s == ""), code, field)
}

func (c *checker) groups(seen []string, wanted ...string) {
	for _, name := range wanted {
		c.need(slices.Contains(seen, name), 1999, name)
	}
}

func (c *checker) delivery(d Delivery, seen []string) {
	c.need(!slices.Contains(seen, "entrega") || (length(d.Street, 2, 60) && length(d.Number, 1, 60) &&
		(d.Complement == "" || length(d.Complement, 1, 60)) && length(d.District, 1, 60) &&
		length(d.City, 2, 60) && length(d.UF, 2, 2)), 1999, "entrega")
}

func (c *checker) version(data string) {
	var ok bool
	c.layout, ok = layoutOf(data)
	c.need(ok && c.layout <= c.newest, 1004, "versaoDadosEnt")
	c.warn(ok && c.layout < c.newest, 1005)
}

func (c *checker) application(in *SaleInput) {
	c.need(allDigits(in.DevHouse) && ValidCNPJ(in.DevHouse), 1224, "ide/CNPJ")
	c.signAC(in.SignAC)
	c.need(len(in.Till) == 3 && allDigits(in.Till), 1999, "ide/numeroCaixa")
}

// signAC has its own code in layout 0.06 (dossier 1.4).
func (c *checker) signAC(signAC string) {
	code := 1455
	if c.layout == layout006 {
		code = 1222
	}
	c.need(length(signAC, 1, 344), code, "ide/signAC")
	c.need(c.rules.SignAC == "" || signAC == c.rules.SignAC, 1085, "ide/signAC")
}

func (c *checker) emitter(in *SaleInput) {
	c.need(allDigits(in.CNPJ) && ValidCNPJ(in.CNPJ), 1207, "emit/CNPJ")
	c.need(in.CNPJ == c.rules.Emitter.CNPJ, 1203, "emit/CNPJ")
	ie := strings.TrimRight(in.IE, " ")
	c.need(ie != "", 1229, "emit/IE")
	if c.layout >= layout008 {
		c.need(len(in.IE) >= 2 && len(in.IE) <= 14, 1209, "emit/IE")
	} else {
		c.need(len(in.IE) == 12, 1209, "emit/IE")
	}
	c.need(allDigits(ie), 1209, "emit/IE")
	c.need(ie == strings.TrimRight(c.rules.Emitter.IE, " "), 1230, "emit/IE")
	c.need(in.IM == "" || length(in.IM, 1, 15), 1999, "emit/IM")
	c.need(in.ISSRegime == "" || oneOf(in.ISSRegime, "1", "2", "3", "4", "5"), 1457, "emit/cRegTribISSQN")
	c.need(oneOf(in.ISSShare, "S", "N"), 1507, "emit/indRatISSQN")
}

func (c *checker) consumer(in *SaleInput) {
	cnpj, cpf := in.ConsumerCNPJ, in.ConsumerCPF
	c.need(cnpj == "" || (allDigits(cnpj) && ValidCNPJ(cnpj)), 1235, "dest/CNPJ")
	c.need(cnpj == "" || cnpj != in.CNPJ || c.layout == layout006, 1235, "dest/CNPJ")
	c.need(cpf == "" || ValidCPF(cpf), 1237, "dest/CPF")
	c.need(cnpj == "" || cpf == "", 1999, "dest")
	blankName := in.named && strings.TrimSpace(in.ConsumerName) == ""
	c.warn(blankName, 1234)
	c.need(!in.named || blankName || length(in.ConsumerName, 2, 60), 1999, "dest/xNome")
}

func (c *checker) totals(in *SaleInput) {
	c.amount(in.SubtotalDiscount, true, 1073, "total/DescAcrEntr/vDescSubtot")
	c.amount(in.SubtotalAddition, true, 1074, "total/DescAcrEntr/vAcresSubtot")
	c.need(in.SubtotalDiscount == "" || in.SubtotalAddition == "", 1999, "total/DescAcrEntr")
	c.amount(in.Law12741, true, 1533, "total/vCFeLei12741")
}

func (c *checker) payments(payments []InputPayment) {
	c.need(len(payments) >= 1 && len(payments) <= 10, 1999, "pgto/MP")
	for n, p := range payments {
		at := fmt.Sprintf("pgto/MP[%d]/", n+1)
		c.need(oneOf(p.Method, "01", "02", "03", "04", "05", "10", "11", "12", "13",
			"15", "16", "17", "18", "19", "90", "99"), 1527, at+"cMP")
		c.amount(p.Value, false, 1528, at+"vMP")
		acquirer := p.Acquirer
		c.need(acquirer == "" || acquirer == "999" ||
			(len(acquirer) == 3 && allDigits(acquirer) && acquirer >= "001" && acquirer <= "034"), 1535, at+"cAdmC")
	}
}

func (c *checker) sequence(in *SaleInput) {
	c.need(len(in.Items) <= 500, 1999, "det")
	for n, item := range in.Items {
		number := strings.TrimLeft(item.Number, "0")
		c.need(len(item.Number) <= 3 && number == fmt.Sprint(n+1), 1019, fmt.Sprintf("det[%d]/nItem", n+1))
		c.need(!item.ISSQN.Given || in.IM != "", 1501, "emit/IM")
	}
}

// clock refuses a time before the device's last document.
func (c *checker) clock() { c.need(!c.rules.Now.Before(c.rules.Last), 1258, "ide/hEmi") }

// length counts characters, as schemas do.
func length(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

func oneOf(s string, allowed ...string) bool { return slices.Contains(allowed, s) }
