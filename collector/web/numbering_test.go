package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"zelo/collector/api"
	"zelo/collector/sequence"
	"zelo/collector/store"
	"zelo/sat"
)

// numbered stores documents of one device by their numbers alone, four minutes apart.
func (c *city) numbered(serial string, numbers ...int) {
	c.t.Helper()
	c.update(func(w *store.Writer) error {
		for i, n := range numbers {
			at := sold().Add(time.Duration(i-len(numbers)) * 4 * time.Minute)
			d := store.Document{Key: keyOf(serial, n, i), Kind: "venda", Model: 59, Environment: 1, Issued: at, Issuer: "11222333000181",
				IssuerName: "PADARIA SANTA CECÍLIA LTDA", Serial: serial, Number: n, Total: "18.90", Verdict: "verified", Rank: 40,
				Checks: []store.Check{{Name: "Assinatura do documento", Verdict: "verified"}}, ReceivedAt: now()}
			if i%50 == 49 {
				d.Kind = "cancelamento"
			}
			if _, _, err := w.AddDocument(d, c.store.Pack([]byte(d.Key))); err != nil {
				return err
			}
		}
		return nil
	})
}

func keyOf(serial string, number, i int) string {
	return fmt.Sprintf("35251211222333000181"+"59"+serial+"%06d%07d", number, i)
}

// between is the numbers from one to another without some.
func between(from, to int, without ...int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
		for _, w := range without {
			if w == n {
				out = out[:len(out)-1]
			}
		}
	}
	return out
}

// TestNumberingPage: a person reads what is held, what is missing, and what to do.
func TestNumberingPage(t *testing.T) {
	c := newCity(t)
	c.numbered("900000005", append(between(2, 2400, 701, 702, 703, 1800), 1200)...)
	c.numbered("900000006", between(1, 12)...)
	c.status(bakery, "900000005", func(s *sat.Status) { s.LastKey = keyOf("900000005", 2402, 1) })
	v := c.person(t)
	for _, p := range []struct {
		name, path string
		want       []string
	}{
		{"complete", "/equipamentos/900000001/numeracao", []string{"Em ordem", "1 a 25 completos; fim confirmado pelo equipamento em 21/11/2026 11:02.",
			"Nenhum documento falta", "emitidos em 19/12/2025?", "todos guardados", "<dd>24</dd>", `href="/caixas/` + bakery}},
		{"one missing", "/equipamentos/900000002/numeracao", []string{"Atenção", "1 a 7; falta 1 (3); fim não confirmado.", "O que falta",
			"Peça ao suporte para importar do equipamento ou da pasta do caixa", `class="missing"`}},
		{"gaps, doubled, the device went on", "/equipamentos/900000005/numeracao", []string{"Crítico",
			"2 a 2.400; faltam 6 (701 a 703, 1.800, 2.401 a 2.402); 1 número em dobro; o equipamento já tinha emitido até 2.402 em 21/11/2026 11:02.",
			"Antes do número 2", "de 12/12/2025 a 19/12/2025?", "O equipamento já emitiu estes cupons", "Números em dobro", "/cupons/" + keyOf("900000005", 1200, 1195), "/cupons/" + keyOf("900000005", 1200, 2395)}},
		{"no agent", "/equipamentos/900000006/numeracao", []string{"Aviso", "1 a 12 completos; fim não confirmado.", "ligado a um caixa com o agente", `href="/caixas/900000006"`}},
		{"notes", "/lojas/08723218000186/nfce/1/numeracao", []string{"NFC-e série 1", "7, o único guardado; fim não confirmado.", "programa de vendas", "08.723.218/0001-86"}},
		{"the till's page", "/caixas/" + bakery, []string{"1 a 25 completos; fim confirmado", "/equipamentos/900000001/numeracao"}},
		{"the export's page", "/exportar?cnpj=11444777000161&serie=&mes=12&ano=2025", []string{"1 número", "000001 a 000007", "/equipamentos/900000002/numeracao"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			a := v.get(p.path)
			if a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			for _, want := range p.want {
				if !strings.Contains(a.body, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			if t.Failed() {
				t.Log(a.body)
			}
		})
	}
	for _, path := range []string{"/equipamentos/123456789/numeracao", "/lojas/08723218000186/nfce/9/numeracao", "/lojas/11222333000181/nfce/1/numeracao"} {
		if a := v.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, a.status)
		}
	}
}

// TestNumberingLooks: the page with gaps in every look.
func TestNumberingLooks(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	c.numbered("900000005", append(between(2, 2400, 701, 702, 703, 1800), 1200)...)
	c.status(bakery, "900000005", func(s *sat.Status) { s.LastKey = keyOf("900000005", 2402, 1) })
	b.signIn(c)
	b.visit(c.server.URL+"/equipamentos/900000005/numeracao", "numeracao-quebras")
}

func TestNumberedSentence(t *testing.T) {
	at := time.Date(2026, 1, 2, 14, 2, 0, 0, brasilia())
	line := func(last sequence.Last, numbers ...int) api.Line {
		l := sequence.New(sequence.HighestCFe)
		for i, n := range numbers {
			l.Add(sequence.Item{Number: n, At: at.Add(time.Duration(i) * time.Minute)})
		}
		return api.Line{Summary: l.Summary(last)}
	}
	told := func(n int) sequence.Last { return sequence.Last{Number: n, At: at} }
	for _, c := range []struct {
		name string
		line api.Line
		want string
	}{
		{"complete", line(told(1200), between(1, 1200)...), "1 a 1.200 completos; fim confirmado pelo equipamento em 02/01/2026 14:02."},
		{"the archive went on", line(told(1100), between(1, 1200)...), "1 a 1.200 completos; confirmado pelo equipamento até 1.100 em 02/01/2026 14:02."},
		{"gap", line(told(9), between(1, 9, 4, 5)...), "1 a 9; faltam 2 (4 a 5); fim confirmado pelo equipamento em 02/01/2026 14:02."},
		{"many gaps", line(told(0), 1, 3, 5, 7, 9, 11), "1 a 11; faltam 5 (2, 4, 6, e mais 2 intervalos); fim não confirmado."},
		{"one document", line(told(0), 7), "7, o único guardado; fim não confirmado."},
		{"doubled", line(told(0), 1, 2, 2, 3), "1 a 3 completos; 1 número em dobro; fim não confirmado."},
		{"wraps", line(told(0), 999998, 999999, 1, 2), "999.998 a 2 completos; passou do número mais alto e voltou ao 1; fim não confirmado."},
		{"began anew", line(told(0), append(between(1, 1500), between(1, 60)...)...), "A numeração recomeçou 1 vez; desde 03/01/2026, 1 a 60 completos; fim não confirmado."},
		{"tests alone", api.Line{}, "Só documentos de teste, que não entram na numeração."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := numberedSentence(c.line); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// TestBars: every gap can be seen, and however many there are the plot stays small.
func TestBars(t *testing.T) {
	l := sequence.New(sequence.HighestCFe)
	for n := 1; n < 500_000; n += 2 {
		l.Add(sequence.Item{Number: n})
	}
	if got := bars(l.Summary(sequence.Last{}).Runs[0]); len(got) != 1 || got[0] != (bar{0, plotWidth}) {
		t.Errorf("%v", got)
	}
	l = sequence.New(sequence.HighestCFe)
	for _, n := range append(between(1, 48312, 12001, 12002, 12003, 30000), 48314) {
		l.Add(sequence.Item{Number: n})
	}
	got := bars(l.Summary(sequence.Last{}).Runs[0])
	if fmt.Sprint(got) != "[{298 6} {745 6} {1194 6}]" {
		t.Errorf("%v", got)
	}
}
