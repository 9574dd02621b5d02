package cfe

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotientRoundsHalfToEven(t *testing.T) {
	for name, c := range map[string]struct {
		a, b, div int64
		truncate  bool
		want      int64
		ok        bool
	}{
		"below half":        {1, 1449, 1000, false, 1, true},
		"half above even":   {1, 2500, 1000, false, 2, true},
		"half above odd":    {1, 3500, 1000, false, 4, true},
		"just over half":    {1, 2501, 1000, false, 3, true},
		"truncated":         {1, 2999, 1000, true, 2, true},
		"exact":             {7, 1000, 1000, false, 7, true},
		"128 bits":          {999999999999999, 999999999999999, 999999999999999, false, 999999999999999, true},
		"too large":         {1e15, 1, 1, false, 0, false},
		"rounded too large": {999999999999999, 10, 9, false, 0, false},
		"over 64 bits":      {1e15, 1e15, 1, false, 0, false},
		"by zero":           {1, 1, 0, false, 0, false},
		"negative":          {-1, 1, 1, false, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := quotient(c.a, c.b, c.div, c.truncate); got != c.want || ok != c.ok {
				t.Errorf("%d, %t", got, ok)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Range(0, 1e12).Draw(t, "a"), rapid.Int64Range(0, 1e8).Draw(t, "b")
		c := rapid.Int64Range(1e6, 1e12).Draw(t, "c")
		got, ok := quotient(a, b, c, false)
		if !ok {
			return
		}
		// |a*b - got*c| * 2 <= c, and even when equal.
		rest := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		rest.Sub(rest, new(big.Int).Mul(big.NewInt(got), big.NewInt(c))).Abs(rest).Lsh(rest, 1)
		if cmp := rest.Cmp(big.NewInt(c)); cmp > 0 || (cmp == 0 && got%2 != 0) {
			t.Fatalf("%d x %d / %d = %d", a, b, c, got)
		}
	})
}

func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		amount  int64
		weights []int64
		want    []int64
	}{
		"in proportion":             {100, []int64{3000, 7000}, []int64{30, 70}},
		"rest to the largest":       {100, []int64{20, 50, 31}, []int64{20, 49, 31}},
		"rest to the first equal":   {100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		"too much from the largest": {2, []int64{1, 1, 1}, []int64{0, 1, 1}},
		"half a cent each":          {3, []int64{5, 5, 5, 5, 5, 5}, []int64{3, 0, 0, 0, 0, 0}},
		"one takes no part":         {3, []int64{0, 5, 5, 5, 5, 5, 5}, []int64{0, 3, 0, 0, 0, 0, 0}},
		"nothing to share":          {0, []int64{0, 0}, []int64{0, 0}},
		"nothing to weigh by":       {1, []int64{0, 0}, nil},
		"a part would be negative":  {51, repeat(1, 100), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := share(c.amount, c.weights)
			if ok != (c.want != nil) || (ok && fmt.Sprint(got) != fmt.Sprint(c.want)) {
				t.Errorf("%v, %t", got, ok)
			}
		})
	}
}

func repeat(weight int64, times int) []int64 {
	all := make([]int64, times)
	for i := range all {
		all[i] = weight
	}
	return all
}

// itemXML is one item; a service when tax is "ISSQN".
func itemXML(n int, quantity, price, rule, discount, tax string) string {
	imposto := `<ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>18.00</pICMS></ICMS00></ICMS>`
	if tax == "ISSQN" {
		imposto = `<ISSQN><vDeducISSQN>0.00</vDeducISSQN><vAliq>003.00</vAliq><cNatOp>01</cNatOp><indIncFisc>2</indIncFisc></ISSQN>`
	}
	return fmt.Sprintf(`<det nItem="%d"><prod><cProd>%d</cProd><xProd>p</xProd><CFOP>5102</CFOP><uCom>un</uCom><qCom>%s</qCom>`+
		`<vUnCom>%s</vUnCom><indRegra>%s</indRegra>%s</prod><imposto>%s<PIS><PISNT><CST>04</CST></PISNT></PIS>`+
		`<COFINS><COFINSNT><CST>04</CST></COFINSNT></COFINS></imposto></det>`, n, n, quantity, price, rule, discount, imposto)
}

// saleWith is a sale of these items; total goes into total.
func saleWith(t testing.TB, share, items, total string) *SaleInput {
	t.Helper()
	in, err := ParseSale([]byte(`<CFe><infCFe versaoDadosEnt="0.08"><ide><CNPJ>11444777000161</CNPJ><signAC>x</signAC>` +
		`<numeroCaixa>001</numeroCaixa></ide><emit><CNPJ>11222333000181</CNPJ><IE>123456789012</IE><IM>1</IM>` +
		`<indRatISSQN>` + share + `</indRatISSQN></emit><dest/>` + items + `<total>` + total + `</total>` +
		`<pgto><MP><cMP>01</cMP><vMP>9999999999999.00</vMP></MP></pgto></infCFe></CFe>`))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func discountOf(s string) string {
	return "<DescAcrEntr><vDescSubtot>" + s + "</vDescSubtot></DescAcrEntr>"
}

func additionOf(s string) string {
	return "<DescAcrEntr><vAcresSubtot>" + s + "</vAcresSubtot></DescAcrEntr>"
}

func TestComputesItems(t *testing.T) {
	for name, c := range map[string]struct{ quantity, price, rule, want string }{
		"rounds half to even, down": {"0.5000", "0.25", "A", "0.12"},
		"rounds half to even, up":   {"0.5000", "0.27", "A", "0.14"},
		"rounds up":                 {"0.9950", "0.99", "A", "0.99"},
		"truncates":                 {"0.9990", "0.99", "T", "0.98"},
		"three decimals":            {"10.0000", "5.799", "A", "57.99"},
		"largest":                   {"1.0000", "9999999999.99", "A", "9999999999.99"},
	} {
		t.Run(name, func(t *testing.T) {
			in := saleWith(t, "N", itemXML(1, c.quantity, c.price, c.rule, "", "ICMS"), "")
			if _, refusal := in.Check(rules("0.08")); refusal != nil {
				t.Fatal(refusal)
			}
			out, err := Issue(in, padaria(), stamp("0.08", 1), device(t))
			if err != nil || out.Total != c.want {
				t.Errorf("%s, expected %s, error %v", out.Total, c.want, err)
			}
		})
	}
}

func TestComputesSharesOfTheSubtotal(t *testing.T) {
	goods, service := itemXML(1, "1.0000", "60.00", "A", "", "ICMS"), itemXML(2, "1.0000", "40.00", "A", "", "ISSQN")
	for name, c := range map[string]struct {
		share, total string
		want         []string
	}{
		"services share the discount":      {"S", discountOf("10.00"), []string{"<vItem>54.00</vItem><vRatDesc>6.00<", "<vItem>36.00</vItem><vRatDesc>4.00<", "<vCFe>90.00<"}},
		"services take no part":            {"N", discountOf("10.00"), []string{"<vItem>50.00</vItem><vRatDesc>10.00<", "<vItem>40.00</vItem></prod>", "<vCFe>90.00<"}},
		"additions are shared by all":      {"N", additionOf("10.00"), []string{"<vItem>66.00</vItem><vRatAcr>6.00<", "<vItem>44.00</vItem><vRatAcr>4.00<", "<vCFe>110.00<"}},
		"taxes are on the amount after it": {"N", discountOf("10.00"), []string{"<vICMS>9.00<", "<vBC>40.00<", "<vISSQN>1.20<"}},
		"item totals leave shares out":     {"N", discountOf("10.00"), []string{"<vProd>60.00</vProd><vDesc>0.00</vDesc>", "<vDescSubtot>10.00<"}},
		"change is what was paid too much": {"N", "", []string{"<vTroco>9999999999899.00<"}},
		"a discount of everything":         {"S", discountOf("100.00"), []string{"<vCFe>0.00<"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Issue(saleWith(t, c.share, goods+service, c.total), padaria(), stamp("0.08", 1), device(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !bytes.Contains(out.XML, []byte(want)) {
					t.Errorf("no %s in\n%s", want, out.XML)
				}
			}
		})
	}
	for name, c := range map[string]struct {
		share, items, total string
		code                int
	}{
		"discount of services alone": {"N", strings.Replace(service, `"2"`, `"1"`, 1), discountOf("1.00"), 1220},
		"discount beyond the goods":  {"N", goods + service, discountOf("60.01"), 1998},
		"addition to nothing":        {"N", itemXML(1, "1.0000", "0.00", "A", "", "ICMS"), additionOf("1.00"), 1228},
		"product beyond 13.2":        {"N", itemXML(1, "99999999999.0000", "999.99", "A", "", "ICMS"), "", 1999},
	} {
		t.Run(name, func(t *testing.T) {
			if _, refusal := saleWith(t, c.share, c.items, c.total).Check(rules("0.08")); refusal == nil || refusal.Code != c.code {
				t.Errorf("%v, expected %d", refusal, c.code)
			}
		})
	}
}

// Whatever is sold, the printed amounts add up.
func TestAmountsAddUp(t *testing.T) {
	signer := device(t)
	rapid.Check(t, func(rt *rapid.T) {
		var items strings.Builder
		n := rapid.IntRange(1, 12).Draw(rt, "items")
		for i := range n {
			items.WriteString(itemXML(i+1,
				fmt.Sprintf("%d.%04d", rapid.IntRange(0, 50).Draw(rt, "whole"), rapid.IntRange(1, 9999).Draw(rt, "part")),
				fmt.Sprintf("%d.%02d", rapid.IntRange(1, 200).Draw(rt, "reais"), rapid.IntRange(0, 99).Draw(rt, "cents")),
				rapid.SampledFrom([]string{"A", "T"}).Draw(rt, "rule"), "",
				rapid.SampledFrom([]string{"ICMS", "ICMS", "ISSQN"}).Draw(rt, "tax")))
		}
		amount := rapid.Int64Range(0, 500).Draw(rt, "subtotal")
		total := rapid.SampledFrom([]string{"", discountOf(formatCents(amount)), additionOf(formatCents(amount))}).Draw(rt, "total")
		layout := rapid.SampledFrom([]string{"0.06", "0.07", "0.08"}).Draw(rt, "layout")
		in := saleWith(t, rapid.SampledFrom([]string{"S", "N"}).Draw(rt, "share"), items.String(), total)
		out, err := Issue(in, padaria(), stamp(layout, 1), signer)
		if err != nil {
			return // refused: a negative item or part, which other tests name
		}
		products, sums := sum(rt, out.XML, "vItem"), sum(rt, out.XML, "vCFe")
		if products != sums {
			rt.Fatalf("items add up to %d, the total is %d", products, sums)
		}
		if d := sum(rt, out.XML, "vRatDesc"); d != sum(rt, out.XML, "vDescSubtot") {
			rt.Fatalf("%d of the discount are shared out in\n%s", d, out.XML)
		}
		if a := sum(rt, out.XML, "vRatAcr"); a != sum(rt, out.XML, "vAcresSubtot") {
			rt.Fatalf("%d of the addition are shared out in\n%s", a, out.XML)
		}
		if sum(rt, out.XML, "vMP")-sum(rt, out.XML, "vTroco") != sums {
			rt.Fatal("payments less change are not the total")
		}
		if v := Verify(out.XML, nil); v.Signature != Verified || v.QR != Verified {
			rt.Fatalf("%+v", v)
		}
	})
}

// sum adds up all elements of that name.
func sum(t *rapid.T, xml []byte, name string) int64 {
	var all int64
	for _, part := range strings.Split(string(xml), "<"+name+">")[1:] {
		v, ok := cents(part[:strings.Index(part, "<")])
		if !ok {
			t.Fatalf("%s is no amount", name)
		}
		all += v
	}
	return all
}
