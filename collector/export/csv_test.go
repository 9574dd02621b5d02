package export

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"zelo/collector/store"
	"zelo/sat/cfe"
)

func TestCSV(t *testing.T) {
	docs := samples(t)
	sale, cancelledSale, cancellation := docs[3], docs[5], docs[6]
	var b bytes.Buffer
	n, err := CSV(&b, seq(docs...), func(key string) (bool, error) { return key == cancelledSale.Key, nil })
	if err != nil || n != len(docs) {
		t.Fatalf("%d lines, %v", n, err)
	}
	rows := readTable(t, b.Bytes())
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, c := range []struct {
		name string
		row  int
		want map[string]string
	}{
		{"a sale", 4, map[string]string{"chave": `="` + sale.Key + `"`, "tipo": "Venda", "situação": "autorizado", "ambiente": "produção",
			"CNPJ emitente": `="08723218000186"`, "SAT": `="900000001"`, "número": "1", "emissão": "21/12/2025 12:00:00",
			"consumidor": `="11144477735"`, "total": "10,50", "produtos": "10,50", "ICMS": "1,89", "UF": "35",
			"pagamento": "Dinheiro 10,50", "leiaute": "0.08", "assinatura": "confere", "certificado até": "21/12/2029", "IE": `="562377111111"`}},
		{"a test", 5, map[string]string{"ambiente": "teste"}},
		{"a cancelled sale", 6, map[string]string{"situação": "cancelado"}},
		{"a cancellation", 7, map[string]string{"tipo": "Cancelamento", "chave cancelada": `="` + cancellation.Cancels + `"`, "situação": "autorizado"}},
		{"a note", 1, map[string]string{"tipo": "NFC-e", "série": "1", "pagamento": "Pix 10,00", "assinatura": "não verificada", "SAT": ""}},
		{"an event", 2, map[string]string{"tipo": "Evento de NFC-e", "situação": ""}},
		{"a void range", 3, map[string]string{"tipo": "Inutilização de NFC-e", "chave": "", "situação": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, want := range c.want {
				i, ok := column[name]
				if got := rows[c.row][i]; !ok || got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestCSVFails(t *testing.T) {
	lost := errors.New("disk gone")
	docs := samples(t)
	never := func(string) (bool, error) { return false, nil }
	if _, err := CSV(failing{lost}, seq(docs...), never); !errors.Is(err, lost) {
		t.Errorf("the writer fails: %v", err)
	}
	if _, err := CSV(&bytes.Buffer{}, seq(store.Exported{Err: lost}), never); !errors.Is(err, lost) {
		t.Errorf("the sequence fails: %v", err)
	}
	if _, err := CSV(&bytes.Buffer{}, seq(docs...), func(string) (bool, error) { return false, lost }); !errors.Is(err, lost) {
		t.Errorf("the question fails: %v", err)
	}
}

func TestFormulasAreDefused(t *testing.T) {
	for in, want := range map[string]string{
		"=HYPERLINK(\"http://x\")": "'=HYPERLINK(\"http://x\")",
		"+1+1":                     "'+1+1",
		"-1":                       "'-1",
		"@SUM(A1)":                 "'@SUM(A1)",
		"\t=1":                     "'=1",
		"\r\n=1":                   "'=1",
		"＝1":                       "'＝1",
		" =1":                      "'=1",
		"Loja \x00= 1":             "Loja  = 1",
		"Padaria São João":         "Padaria São João",
		"":                         "",
	} {
		if got := text(in); got != want {
			t.Errorf("text(%q) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"08723218000186": `="08723218000186"`, "12ABC34501DE35": `="12ABC34501DE35"`,
		`1"&A1&"`: `1"&A1&"`, "=1": "'=1", "1_2": "1_2", "": "",
	} {
		if got := digits(in); got != want {
			t.Errorf("digits(%q) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"10.5": "10,5", "-3.00": "-3,00", "-1+cmd": "'-1+cmd", "": "", "1e9": "1e9"} {
		if got := amount(in); got != want {
			t.Errorf("amount(%q) is %q, want %q", in, got, want)
		}
	}
}

// FuzzCells: no cell made of anything can begin a formula of its own.
func FuzzCells(f *testing.F) {
	for _, s := range []string{"=1", "\x00=1", "-1", "10.50", "CFe", "\xff=", "　=1", `"=1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, cell := range map[string]string{"text": text(s), "amount": amount(s), "digits": digits(s)} {
			if name == "digits" && strings.HasPrefix(cell, `="`) {
				if inner := cell[2 : len(cell)-1]; inner != plain(inner) {
					t.Errorf("%q became a formula with more than a constant: %s", s, cell)
				}
				continue
			}
			if _, isNumber := Cents(s); name == "amount" && isNumber {
				continue
			}
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("%s(%q) is %q", name, s, cell)
			}
		}
	})
}

func TestAmounts(t *testing.T) {
	for in, want := range map[string]string{"1234.56": "1.234,56", "0.5": "0,50", "7": "7,00", "1000000.00": "1.000.000,00",
		"-12.30": "-12,30", "-0.05": "-0,05", "1.234": "1.234", "": "", "x": "x", "1.-2": "1.-2", "-": "-", "99999999999999999": "99999999999999999"} {
		if got := Amount(in); got != want {
			t.Errorf("Amount(%q) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int]string{0: "0", 999: "999", 1000: "1.000", 18204: "18.204", -1234567: "-1.234.567"} {
		if got := Thousands(in); got != want {
			t.Errorf("Thousands(%d) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"08723218000186": "08.723.218/0001-86", "11144477735": "111.444.777-35", "1": "1"} {
		if got := Register(in); got != want {
			t.Errorf("Register(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestReceipt(t *testing.T) {
	docs := samples(t)
	r, err := ReadReceipt(docs[3].Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) != 1 || r.Items[0] != (Item{Number: "1", Code: "116", Description: "Café em pó 500 g", Quantity: "1.0000",
		Unit: "UN", Price: "10.50", Gross: "10.50"}) || r.Total != "10.50" || PaymentWord(r.Payments[0].Code) != "Dinheiro" {
		t.Errorf("%+v", r)
	}
	if r, err := ReadReceipt([]byte(note)); err != nil || len(r.Items) != 1 || r.Items[0].Description != "Pão" {
		t.Errorf("a note: %+v, %v", r, err)
	}
	latin := strings.Replace(strings.Replace(note, "UTF-8", "ISO-8859-1", 1), "P&#227;o", "P\xe3o", 1)
	if r, err := ReadReceipt([]byte(latin)); err != nil || len(r.Items) != 1 || r.Items[0].Description != "Pão" {
		t.Errorf("in Windows-1252: %+v, %v", r, err)
	}
	if _, err := ReadReceipt([]byte("<x/>")); err == nil {
		t.Error("no document, no error")
	}
	if PaymentWord("77") != "Forma 77" {
		t.Error(PaymentWord("77"))
	}
}

func FuzzReceipt(f *testing.F) {
	f.Add([]byte(note))
	f.Add([]byte(event))
	f.Add([]byte(`<CFe><infCFe Id="x"><det nItem="1"><prod><cProd>1`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := ReadReceipt(raw); err == nil && len(r.Items) > maxItems {
			t.Errorf("%d items", len(r.Items))
		}
	})
}

func TestWords(t *testing.T) {
	for verdict, want := range map[string]string{"verified": "confere", "recovered": "confere, arquivo reformatado",
		"rejected": "não confere", "unsigned": "sem assinatura", "kept": "não verificada", "not checked": "não verificada"} {
		if got := VerdictWord(verdict); got != want {
			t.Errorf("%s is said %q", verdict, got)
		}
	}
	for kind, want := range map[cfe.Kind]string{cfe.Unprotocoled: "NF-e sem protocolo", "other": "Documento"} {
		if got := KindWord(store.Document{Kind: string(kind), Model: 55}); got != want {
			t.Errorf("%s is said %q", kind, got)
		}
	}
}
