package export

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"zelo/collector/sequence"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

// Report counts documents per issuer and device, or model and series where
// documents have no device. Its zero value is ready. Documents of one device come
// in the order of their numbers.
type Report struct {
	groups map[group]*Tally
	lines  map[group]*sequence.Line // of groups that are no tests
}

// group is what numbers count within.
type group struct {
	issuer, serial string
	model          int
	series         string
	test           bool
}

// Tally is what a report says of one device, or of one series of a model.
type Tally struct {
	Issuer, IssuerName string
	Serial             string // of the device; "" for models 65 and 55
	Model              int
	Series             string
	Test               bool // test environment: these documents have no fiscal value

	Documents, Sales, Cancellations, Events int
	Numbering                               sequence.Summary // of the numbers of these documents; not of tests, nor of NF-e
	Invalid                                 int              // signature wrong or missing
	Forbidden                               int              // production, dated after emission was prohibited
	Twice                                   []string         // keys of sales that another device issued too, none of the two cancelled
	Total, Cancelled                        int64            // cents of the sales, and of the cancellations among the documents
	Unreadable                              int              // documents without an amount that can be read
}

// Add counts one document.
func (r *Report) Add(e store.Exported) {
	if r.groups == nil {
		r.groups, r.lines = map[group]*Tally{}, map[group]*sequence.Line{}
	}
	d := e.Document
	g := group{d.Issuer, d.Serial, d.Model, d.Series, d.Test}
	t := r.groups[g]
	if t == nil {
		t = &Tally{Issuer: d.Issuer, Serial: d.Serial, Model: d.Model, Series: d.Series, Test: d.Test}
		r.groups[g] = t
	}
	t.add(d)
	r.number(g, e)
}

// number follows the numbering of a group. A SAT's tests take numbers of its one
// counter; those of NFC-e have numbers of their own.
func (r *Report) number(g group, e store.Exported) {
	item := sequence.Item{Number: e.Number, ID: e.ID, At: e.Issued}
	switch kind := cfe.Kind(e.Kind); {
	case g.model != 59 && (g.model != 65 || g.test || kind == cfe.Event):
		return
	case g.test:
		item.Kind = sequence.Test
	case kind == cfe.Cancellation:
		item.Kind = sequence.Cancellation
	case kind == cfe.Void:
		item.Kind = sequence.Void
		item.Number, item.To, _ = Voided(e.Body)
	}
	g.test = false
	if r.lines[g] == nil {
		highest := sequence.HighestCFe
		if g.model == 65 {
			highest = sequence.HighestNFCe
		}
		r.lines[g] = sequence.New(highest)
	}
	r.lines[g].Add(item)
}

// Voided reads which numbers the tax office declared unused (inutilização). It is
// false for anything else, and for a request that was not granted (dossier on NFC-e
// documents, 7).
func Voided(raw []byte) (first, last int, ok bool) {
	d, err := cfe.Parse(raw)
	if err != nil || d.Kind != cfe.Void || d.Status != "102" || d.VoidFirst < 1 || d.VoidLast < d.VoidFirst {
		return 0, 0, false
	}
	return d.VoidFirst, d.VoidLast, true
}

func (t *Tally) add(d store.Document) {
	t.IssuerName = cmp.Or(d.IssuerName, t.IssuerName)
	t.Documents++
	if d.Invalid {
		t.Invalid++
	}
	if d.Forbidden {
		t.Forbidden++
	}
	cents, ok := Cents(d.Total)
	switch cfe.Kind(d.Kind) {
	case cfe.Cancellation:
		t.Cancellations++
		t.Cancelled += cents
	case cfe.Event, cfe.Void:
		t.Events++
		return
	default:
		t.Sales++
		t.Total += cents
	}
	if d.Twice {
		t.Twice = append(t.Twice, d.Key)
	}
	if !ok {
		t.Unreadable++
	}
}

// Numbered tells whether the numbers were followed, and First and Last are told.
func (t Tally) Numbered() bool { return len(t.Numbering.Runs) > 0 }

// First is the first number.
func (t Tally) First() int { return t.Numbering.Runs[0].First }

// Last is the last number.
func (t Tally) Last() int { return t.Numbering.Runs[len(t.Numbering.Runs)-1].Last }

// Device names what was counted: "SAT 900000001", "NFC-e série 1".
func (t Tally) Device() string {
	switch t.Model {
	case 65:
		return "NFC-e série " + t.Series
	case 55:
		return "NF-e série " + t.Series
	}
	return "SAT " + t.Serial
}

// Documents is the number of all documents counted.
func (r *Report) Documents() int {
	n := 0
	for _, t := range r.groups {
		n += t.Documents
	}
	return n
}

// Tallies lists what was counted by issuer and device, tests last.
func (r *Report) Tallies() []Tally {
	var out []Tally
	for g, t := range r.groups {
		shown := *t
		if l := r.lines[g]; l != nil {
			shown.Numbering = l.Summary(sequence.Last{})
		}
		out = append(out, shown)
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(boolOrder(a.Test, b.Test), cmp.Compare(a.Issuer, b.Issuer), boolOrder(a.Serial == "", b.Serial == ""), cmp.Compare(b.Model, a.Model),
			cmp.Compare(a.Serial, b.Serial), cmp.Compare(len(a.Series), len(b.Series)), cmp.Compare(a.Series, b.Series))
	})
	return out
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// shownSpans bounds how many ranges of missing numbers a report lists.
const shownSpans = 200

// Write writes the report for a person, in pt-BR (dossier 6.1).
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("RELATÓRIO DE CONFERÊNCIA\r\n\r\n" +
		"Conta os documentos deste arquivo. Um número que falta é um número entre o primeiro e o\r\n" +
		"último para o qual não há documento aqui: confira a pasta do caixa e o portal da SEFAZ.\r\n" +
		"A página Numeração de cada equipamento, no coletor, confere todos os meses juntos.\r\n")
	issuer := ""
	for _, t := range r.Tallies() {
		head := fmt.Sprintf("%s  %s", Register(t.Issuer), t.IssuerName)
		if t.Test {
			head = "AMBIENTE DE TESTE, SEM VALOR FISCAL: " + head
		}
		if head != issuer {
			issuer = head
			fmt.Fprintf(&b, "\r\n%s\r\n", head)
		}
		t.write(&b)
	}
	if len(r.groups) == 0 {
		b.WriteString("\r\nNenhum documento.\r\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Tally) write(b *strings.Builder) {
	line := func(name, value string) { fmt.Fprintf(b, "    %-22s %s\r\n", name, value) }
	fmt.Fprintf(b, "\r\n  %s\r\n", t.Device())
	line("documentos", fmt.Sprintf("%s: %s, %s, %s", Thousands(t.Documents), count(t.Sales, "venda", "vendas"),
		count(t.Cancellations, "cancelamento", "cancelamentos"), count(t.Events, "evento", "eventos")))
	switch {
	case t.Numbered():
		line("numeração", fmt.Sprintf("de %06d a %06d", t.First(), t.Last()))
		line("números que faltam", t.missing())
	case t.Model == 55:
		line("números que faltam", "não conferidos para este modelo")
	}
	if t.Numbering.Voided > 0 {
		line("números inutilizados", Thousands(t.Numbering.Voided))
	}
	if t.Numbering.Doubled > 0 {
		line("números repetidos", Thousands(t.Numbering.Doubled))
	}
	for _, key := range t.Twice {
		line("emitida duas vezes", key+", também por outro equipamento")
	}
	line("total das vendas", "R$ "+Money(t.Total))
	line("total cancelado", "R$ "+Money(t.Cancelled))
	if t.Unreadable > 0 {
		line("sem valor legível", Thousands(t.Unreadable))
	}
	line("assinaturas inválidas", Thousands(t.Invalid))
	if t.Forbidden > 0 {
		line("depois da proibição", count(t.Forbidden, "documento de 2026 ou depois", "documentos de 2026 ou depois"))
	}
}

func (t Tally) missing() string {
	gaps := t.Numbering.Gaps()
	if len(gaps) == 0 {
		return "nenhum"
	}
	var spans []string
	for _, g := range gaps[:min(len(gaps), shownSpans)] {
		if g.From == g.To {
			spans = append(spans, fmt.Sprintf("%06d", g.From))
		} else {
			spans = append(spans, fmt.Sprintf("%06d a %06d", g.From, g.To))
		}
	}
	if more := len(gaps) - shownSpans; more > 0 {
		spans = append(spans, "e mais "+count(more, "intervalo", "intervalos"))
	}
	return fmt.Sprintf("%s: %s", Thousands(t.Numbering.Missing), strings.Join(spans, ", "))
}
