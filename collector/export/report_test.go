package export

import (
	"fmt"
	"strings"
	"testing"

	"zelo/collector/store"
	"zelo/sat/cfe"
)

func numbered(numbers ...int) *Report {
	r := &Report{}
	for _, n := range numbers {
		r.Add(store.Exported{Document: store.Document{Kind: string(cfe.Sale), Model: 59, Issuer: "08723218000186", Serial: "900000001", Number: n, Total: "10.00"}})
	}
	return r
}

func TestMissingNumbers(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []int
		want    string
	}{
		{"none", []int{4, 5, 6}, "nenhum"},
		{"one", []int{4, 6}, "1: 000005"},
		{"ranges", []int{1, 3, 7}, "4: 000002, 000004 a 000006"},
		{"a number twice", []int{1, 1, 2}, "nenhum"},
		{"alone", []int{999999}, "nenhum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := numbered(c.numbers...).Tallies()[0].missing(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	var odd []int
	for n := 1; n < 1000; n += 2 {
		odd = append(odd, n)
	}
	if got := numbered(odd...).Tallies()[0].missing(); !strings.HasPrefix(got, "499: 000002, 000004") || !strings.HasSuffix(got, "e mais 299 intervalos") {
		t.Error(got)
	}
}

// voidFile is a granted request to leave numbers unused, or what its status says.
func voidFile(first, last int, status string) []byte {
	return fmt.Appendf(nil, `<ProcInutNFe xmlns="http://www.portalfiscal.inf.br/nfe" versao="4.00"><inutNFe versao="4.00"><infInut Id="ID1"><tpAmb>1</tpAmb>`+
		`<CNPJ>08723218000186</CNPJ><mod>65</mod><serie>1</serie><nNFIni>%d</nNFIni><nNFFin>%d</nNFFin></infInut></inutNFe>`+
		`<retInutNFe versao="4.00"><infInut><cStat>%s</cStat></infInut></retInutNFe></ProcInutNFe>`, first, last, status)
}

func TestVoided(t *testing.T) {
	for _, c := range []struct {
		name        string
		raw         []byte
		first, last int
	}{
		{"granted", voidFile(5, 9, "102"), 5, 9},
		{"refused", voidFile(5, 9, "241"), 0, 0},
		{"upside down", voidFile(9, 5, "102"), 0, 0},
		{"not from 1 on", voidFile(0, 5, "102"), 0, 0},
		{"no void range", []byte("<CFe/>"), 0, 0},
		{"nothing", nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, last, ok := Voided(c.raw)
			if first != c.first || last != c.last || ok != (c.first > 0) {
				t.Errorf("%d to %d, %v", first, last, ok)
			}
		})
	}
}

// TestNumbering: what explains a number that no document has, and what does not.
func TestNumbering(t *testing.T) {
	note := func(number int, change func(*store.Exported)) store.Exported {
		e := store.Exported{Document: store.Document{Kind: string(cfe.Invoice), Model: 65, Issuer: "08723218000186", Series: "1", Number: number, Total: "1.00"}}
		if change != nil {
			change(&e)
		}
		return e
	}
	sat := func(e *store.Exported) { e.Kind, e.Model, e.Series, e.Serial = string(cfe.Sale), 59, "", "900000001" }
	for _, c := range []struct {
		name      string
		documents []store.Exported
		want      []string // of the report
	}{
		{"notes", []store.Exported{note(1, nil), note(4, nil)}, []string{"de 000001 a 000004", "2: 000002 a 000003"}},
		{"a void range", []store.Exported{note(0, func(e *store.Exported) { e.Kind, e.Body = string(cfe.Void), voidFile(2, 3, "102") }), note(1, nil), note(5, nil)},
			[]string{"de 000001 a 000005", "1: 000004", "números inutilizados   2"}},
		{"a test note has another numbering", []store.Exported{note(1, nil), note(2, func(e *store.Exported) { e.Test = true }), note(3, nil)}, []string{"1: 000002"}},
		{"a test of a SAT takes a number", []store.Exported{note(1, sat), note(2, func(e *store.Exported) { sat(e); e.Test = true }), note(3, sat)},
			[]string{"números que faltam     nenhum"}},
		{"a note twice", []store.Exported{note(1, nil), note(1, nil)}, []string{"números repetidos      1"}},
		{"an event has no number", []store.Exported{note(1, nil), note(1, func(e *store.Exported) { e.Kind = string(cfe.Event) })}, []string{"números que faltam     nenhum"}},
		{"a SAT's numbers pass the highest", []store.Exported{note(1, sat), note(3, sat), note(999999, sat)}, []string{"de 999999 a 000003", "1: 000002"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Report{}
			for _, e := range c.documents {
				r.Add(e)
			}
			var b strings.Builder
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("the report lacks %q:\n%s", want, b.String())
				}
			}
		})
	}
}

func TestReport(t *testing.T) {
	r := &Report{}
	add := func(kind cfe.Kind, number int, total string, change func(*store.Document)) {
		d := store.Document{Kind: string(kind), Model: 59, Issuer: "08723218000186", IssuerName: "PADARIA", Serial: "900000001", Number: number, Total: total}
		if change != nil {
			change(&d)
		}
		r.Add(store.Exported{Document: d})
	}
	add(cfe.Sale, 1, "1000.00", nil)
	add(cfe.Sale, 2, "234.56", func(d *store.Document) { d.Invalid, d.Key, d.Twice = true, "3525", true })
	add(cfe.Cancellation, 4, "234.56", nil)
	add(cfe.Sale, 4, "?", func(d *store.Document) { d.Forbidden = true })
	add(cfe.Sale, 9, "5.00", func(d *store.Document) { d.Test = true })
	add(cfe.Invoice, 7, "10.00", func(d *store.Document) { d.Model, d.Serial, d.Series = 65, "", "1" })
	add(cfe.Void, 8, "", func(d *store.Document) { d.Model, d.Serial, d.Series = 65, "", "1" })
	add(cfe.Invoice, 20, "10.00", func(d *store.Document) { d.Model, d.Serial, d.Series = 55, "", "2" })
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"08.723.218/0001-86  PADARIA", "SAT 900000001", "4: 3 vendas, 1 cancelamento, 0 eventos", "de 000001 a 000004",
		"1: 000003", "números repetidos      1", "R$ 1.234,56", "total cancelado        R$ 234,56", "sem valor legível      1",
		"emitida duas vezes     3525, também por outro equipamento", "assinaturas inválidas  1", "1 documento de 2026 ou depois", "NFC-e série 1", "não conferidos para este modelo",
		"NF-e série 2", "AMBIENTE DE TESTE, SEM VALOR FISCAL: 08.723.218/0001-86", "R$ 5,00",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
	tallies := r.Tallies()
	if len(tallies) != 4 || !tallies[3].Test || r.Documents() != 8 || tallies[0].Numbering.Missing != 1 {
		t.Errorf("%+v", tallies)
	}
}

func TestReportOfNothing(t *testing.T) {
	var b strings.Builder
	if err := (&Report{}).Write(&b); err != nil || !strings.Contains(b.String(), "Nenhum documento.") {
		t.Error(b.String(), err)
	}
	if got := fmt.Sprint((&Report{}).Tallies()); got != "[]" {
		t.Error(got)
	}
}
