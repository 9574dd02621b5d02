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
		r.Add(store.Document{Kind: string(cfe.Sale), Model: 59, Issuer: "08723218000186", Serial: "900000001", Number: n, Total: "10.00"})
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

func TestReport(t *testing.T) {
	r := &Report{}
	add := func(kind cfe.Kind, number int, total string, change func(*store.Document)) {
		d := store.Document{Kind: string(kind), Model: 59, Issuer: "08723218000186", IssuerName: "PADARIA", Serial: "900000001", Number: number, Total: total}
		if change != nil {
			change(&d)
		}
		r.Add(d)
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
	if len(tallies) != 4 || !tallies[3].Test || r.Documents() != 8 || tallies[0].Gap() != 1 {
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
