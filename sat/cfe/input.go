package cfe

import (
	"slices"
	"strings"
)

// SaleInput is what a sales application gives to EnviarDadosVenda, as written:
// amounts are text, to be echoed with their own number of decimals (dossier 1.3,
// rows of the AC). It is made by ParseSale and read by Check and Issue.
type SaleInput struct {
	DataVersion      string // versaoDadosEnt as given, "00.07" too
	DevHouse         string // ide/CNPJ, the software house
	SignAC           string
	Till             string // numeroCaixa
	CNPJ, IE, IM     string // emit
	ISSRegime        string // cRegTribISSQN
	ISSShare         string // indRatISSQN: S or N
	ConsumerCNPJ     string
	ConsumerCPF      string
	ConsumerName     string
	Delivery         Delivery
	Items            []Item
	SubtotalDiscount string // vDescSubtot
	SubtotalAddition string // vAcresSubtot
	Law12741         string // vCFeLei12741
	Payments         []InputPayment
	Note             string // infCpl

	named bool // dest/xNome was given, perhaps blank
	seen  shape
}

// Consumer is the CNPJ or CPF of the sale; "" when nobody is named.
func (in *SaleInput) Consumer() string { return in.ConsumerCNPJ + in.ConsumerCPF }

// Delivery is the address of entrega.
type Delivery struct{ Street, Number, Complement, District, City, UF string }

// InputPayment is one MP: cMP, vMP, cAdmC.
type InputPayment struct{ Method, Value, Acquirer string }

// Remark is a field name with its text: obsFisco, obsFiscoDet.
type Remark struct{ Field, Text string }

// Item is one det.
type Item struct {
	Number   string // nItem
	Code     string // cProd
	EAN      string // cEAN
	Name     string // xProd
	NCM      string
	CEST     string
	CFOP     string
	Unit     string // uCom
	Quantity string // qCom
	Price    string // vUnCom
	Rule     string // indRegra: A rounds, T truncates
	Discount string // vDesc
	Other    string // vOutro
	Remarks  []Remark
	Law12741 string // vItem12741
	ICMS     ICMS
	ISSQN    ISSQN
	PIS      Contribution
	PISST    Contribution
	COFINS   Contribution
	COFINSST Contribution
	Extra    string // infAdProd
}

// ICMS is the group of that name. Group is ICMS00, ICMS40, ICMSSN102, ICMSSN900
// or "" for an item of ISSQN.
type ICMS struct {
	Group  string
	Origin string // Orig
	CST    string // CST or CSOSN
	Rate   string // pICMS, a percentage
}

// ISSQN is the tax on services; Given tells whether the group was there.
type ISSQN struct {
	Given       bool
	Deduction   string // vDeducISSQN
	Rate        string // vAliq, "003.21" per cent
	City        string // cMunFG
	Service     string // cListServ
	CityService string // cServTribMun
	Nature      string // cNatOp
	Incentive   string // indIncFisc
}

// Contribution is a PIS or COFINS group. Group is Aliq, Qtde, NT, SN, Outr, ST or
// "" when absent.
type Contribution struct {
	Group    string
	CST      string
	Base     string // vBC
	Rate     string // pPIS, pCOFINS: a fraction, 0.0165 for 1.65 %
	Quantity string // qBCProd
	UnitRate string // vAliqProd
}

// shape is what was noticed about the form of an input beside its fields.
type shape struct {
	groups []string // children of infCFe, as they came
	fault  string   // path of the first thing that the schema does not allow
	blank  bool     // dest/CPF was there and empty
}

func (s *shape) refuse(path string) {
	if s.fault == "" {
		s.fault = path
	}
}

// row is one element an input may have. Rows stand in the order the schema wants.
type row[T any] struct {
	path string
	many bool                                  // may be repeated
	open func(in *T, attr func(string) string) // at its start tag; may be nil
	text func(in *T) *string                   // where its text goes; nil for a group
}

// ParseSale reads the input of a sale. The error is a *Fault for what is no XML;
// everything the schema forbids (unknown elements, wrong order) is kept for Check
// to refuse with its code.
func ParseSale(raw []byte) (*SaleInput, error) {
	in := &SaleInput{}
	seen, err := readInput(raw, "CFe", saleRows, in)
	if err != nil {
		return nil, err
	}
	in.seen = seen
	return in, nil
}

// readInput passes over an input and puts the texts where rows say.
func readInput[T any](raw []byte, root string, rows []row[T], in *T) (shape, error) {
	s, err := newScanner(raw)
	if err != nil {
		return shape{}, err
	}
	r := inputReader[T]{scanner: s, rows: rows, in: in, ranks: []int{0}}
	for {
		tok, err := s.next()
		if err != nil {
			return shape{}, err
		}
		switch tok {
		case tokenOpen:
			r.enter(root)
		case tokenText:
			if s.cdata {
				r.text = appendCDATA(r.text, s.data)
			} else {
				r.text = appendText(r.text, s.data, false)
			}
		case tokenClose:
			r.leave()
		case tokenEnd:
			return r.seen, nil
		}
	}
}

type inputReader[T any] struct {
	*scanner
	rows  []row[T]
	in    *T
	seen  shape
	names []string // open elements below the root
	ranks []int    // per open element, the row of its latest child
	row   *row[T]  // of the innermost element; nil when unknown or after a child
	text  []byte
}

func (r *inputReader[T]) enter(root string) {
	r.group()
	r.row = nil
	if len(r.open) == 1 {
		if string(r.name) != root {
			r.seen.refuse(root)
		}
		return
	}
	r.names = append(r.names, string(r.name))
	path := strings.Join(r.names, "/")
	if len(r.names) == 2 {
		r.seen.groups = append(r.seen.groups, r.names[1])
	}
	rank := slices.IndexFunc(r.rows, func(w row[T]) bool { return w.path == path })
	last := &r.ranks[len(r.ranks)-1]
	switch {
	case rank < 0 || rank+1 < *last || (rank+1 == *last && !r.rows[rank].many):
		r.seen.refuse(path)
	default:
		*last = rank + 1
	}
	r.ranks = append(r.ranks, 0)
	if rank < 0 {
		return
	}
	r.row = &r.rows[rank]
	if r.row.open != nil {
		r.row.open(r.in, r.attr)
	}
}

// group ends the text before a child: a group holds white space only.
func (r *inputReader[T]) group() {
	if !blank(r.text) {
		r.seen.refuse(strings.Join(r.names, "/"))
	}
	r.text = r.text[:0]
}

func (r *inputReader[T]) leave() {
	switch {
	case r.row == nil || r.row.text == nil:
		r.group()
	case len(r.text) == 0:
		if r.row.path == "infCFe/dest/CPF" {
			r.seen.blank = true
		} else {
			r.seen.refuse(r.row.path)
		}
	default:
		*r.row.text(r.in) = string(r.text)
	}
	r.text, r.row = r.text[:0], nil
	if len(r.names) > 0 {
		r.names = r.names[:len(r.names)-1]
		r.ranks = r.ranks[:len(r.ranks)-1]
	}
}
