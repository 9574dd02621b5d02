package api

import (
	"archive/zip"
	"bytes"
	"errors"
	"strings"
	"testing"

	"zelo/collector/ingest"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

func TestSearch(t *testing.T) {
	b := filled(t)
	records, _ := issued()
	sale, sold := records[0].Key, records[1].Key
	for _, c := range []struct {
		name string
		q    Query
		want []string // kinds, newest first
	}{
		{"everything", Query{}, []string{"Cancelamento", "Venda", "Venda", "Evento de NFC-e", "NFC-e"}},
		{"a key", Query{Text: sale}, []string{"Venda"}},
		{"a key in groups", Query{Text: " CFe" + sale[:20] + " " + sale[20:] + " "}, []string{"Venda"}},
		{"a shop", Query{Text: "08.723.218/0001-86"}, []string{"Cancelamento", "Venda", "Venda", "Evento de NFC-e", "NFC-e"}},
		{"a device", Query{Text: "900.000.001"}, []string{"Cancelamento", "Venda", "Venda"}},
		{"another device", Query{Text: "900000009"}, nil},
		{"a day", Query{Text: serial, From: "2025-12-21", To: "2025-12-21"}, []string{"Cancelamento", "Venda", "Venda"}},
		{"a day as written", Query{Text: serial, From: "21/12/2025", To: "21/12/2025"}, []string{"Cancelamento", "Venda", "Venda"}},
		{"the day before", Query{To: "2025-12-20"}, nil},
		{"a consumer", Query{Consumer: "529.982.247-25"}, []string{"Cancelamento", "Venda"}},
		{"a consumer in the other field", Query{Text: cpf}, []string{"Cancelamento", "Venda"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := b.Search(t.Context(), b.ana, c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range f.Documents {
				got = append(got, KindWord(d.Document))
				if strings.Contains(d.Consumer, "529") || d.Key == sold && (d.Consumer != "***.***.247-**" || !d.Cancelled) {
					t.Errorf("consumer %q, cancelled %v", d.Consumer, d.Cancelled)
				}
			}
			if strings.Join(got, ",") != strings.Join(c.want, ",") {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if c.q.Personal() {
				b.wants("ana@example.com: busca por consumidor ***.***.247-**")
			}
		})
	}
}

func TestSearchProblems(t *testing.T) {
	b := setup(t)
	for name, q := range map[string]Query{
		"no key": {Text: "123"}, "a key too long": {Text: strings.Repeat("1", 45)}, "no consumer": {Consumer: "1"},
		"no day": {From: "31/02/2025"}, "no last day": {To: "ontem"}, "no mark": {After: "x.1"}, "the wrong way round": {From: "2025-12-02", To: "2025-12-01"},
	} {
		var mend *Problem
		if _, err := b.Search(t.Context(), b.ana, q); !errors.As(err, &mend) || !strings.HasSuffix(mend.Text, ".") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if lines := b.audited(); len(lines) != 0 {
		t.Errorf("nothing was looked at: %q", lines)
	}
}

// FuzzQuery: whatever is typed is a search or a problem a person can mend, and
// what names a consumer is known before it could get into an address.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", cpf, "529.982.247-25", "08723218000186", serial, "CFe" + noteKey, "１２３", "\x00", "12ABC34501DE35"} {
		f.Add(s, "2025-12-21", s)
	}
	f.Fuzz(func(t *testing.T, text, day, consumer string) {
		q := Query{Text: text, From: day, To: day, Consumer: consumer}
		s, err := q.parse()
		var mend *Problem
		if err != nil && !errors.As(err, &mend) {
			t.Errorf("%v is no problem to mend", err)
		}
		if s.Consumer != "" && !q.Personal() {
			t.Errorf("%+v finds a consumer and is not personal", q)
		}
	})
}

func TestMaskConsumer(t *testing.T) {
	for in, want := range map[string]string{"": "", cpf: "***.***.247-**", "08723218000186": "08.723.218/0001-86"} {
		if got := MaskConsumer(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func TestDocument(t *testing.T) {
	b := filled(t)
	records, _ := issued()
	sold := records[1]
	p, err := b.Document(t.Context(), b.ana, sold.Key)
	if err != nil {
		t.Fatal(err)
	}
	if p.Consumer != "***.***.247-**" || p.Revealed || !p.Cancelled || len(p.CancelledBy) != 1 || p.CancelledBy[0].Key != records[2].Key ||
		len(p.Receipt.Items) != 1 || len(p.Arrivals) != 1 || p.Arrivals[0].File != sold.Key+".xml" || p.State != Fine || p.Trusted {
		t.Errorf("%+v", p)
	}
	if lines := b.audited(); len(lines) != 0 {
		t.Errorf("nothing personal was shown: %q", lines)
	}
	p, err = b.RevealDocument(t.Context(), b.ana, sold.Key)
	if err != nil || p.Consumer != "529.982.247-25" || !p.Revealed {
		t.Errorf("%q, %v", p.Consumer, err)
	}
	b.wants("ana@example.com: consumidor mostrado " + sold.Key)
	raw, name, err := b.DocumentBytes(t.Context(), b.ana, p.ID)
	if err != nil || !bytes.Equal(raw, sold.XML) || name != "AD"+sold.Key+".xml" {
		t.Errorf("%d bytes, %s, %v", len(raw), name, err)
	}
	b.wants("ana@example.com: download do original " + sold.Key)
	for _, ref := range []string{strings.Repeat("1", 44), "999", "x", ""} {
		if _, err := b.Document(t.Context(), b.ana, ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if _, _, err := b.DocumentBytes(t.Context(), b.ana, 999); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestNoteWithItsEvent(t *testing.T) {
	b := filled(t)
	p, err := b.Document(t.Context(), b.ana, noteKey)
	if err != nil || p.Model != 65 || len(p.Events) != 1 || !p.Cancelled || p.Word != "Guardado" || p.Events[0].Ref() != noteKey {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = b.Document(t.Context(), b.ana, "5") // the event by its number
	if err != nil || p.Part == "" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestVersions: the original wins over an edited copy, which stays.
func TestVersions(t *testing.T) {
	b := filled(t)
	records, _ := issued()
	b.imports("editado.xml", bytes.Replace(records[0].XML, []byte("Café"), []byte("Chá!"), 1))
	p, err := b.Document(t.Context(), b.ana, records[0].Key)
	if err != nil || p.State != Fine || len(p.Versions) != 1 || p.Versions[0].State != Critical || p.Versions[0].Word != "Não confere" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestStatesOfDocuments: the words a person reads beside a document.
func TestStatesOfDocuments(t *testing.T) {
	b := setup(t)
	chain := func(verdict string) []store.Check { return []store.Check{{Name: checkChain, Verdict: verdict}} }
	for _, c := range []struct {
		name  string
		d     store.Document
		state State
		word  string
	}{
		{"verified", store.Document{Verdict: "verified", Checks: chain("verified")}, Fine, "Confere"},
		{"chain not checked", store.Document{Verdict: "verified", Checks: chain("not checked")}, Fine, "Confere"},
		{"self-made certificate", store.Document{Verdict: "verified", Checks: chain("rejected")}, Warning, "Certificado não reconhecido"},
		{"recovered", store.Document{Verdict: "recovered"}, Warning, "Confere, reformatado"},
		{"rejected", store.Document{Verdict: "rejected", Forbidden: true}, Critical, "Não confere"},
		{"unsigned", store.Document{Verdict: "unsigned"}, Critical, "Sem assinatura"},
		{"forbidden", store.Document{Verdict: "verified", Forbidden: true}, Critical, "Após a proibição"},
		{"kept", store.Document{Verdict: "kept"}, Notice, "Guardado"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := b.view(t.Context(), b.ana, opSearch, func(r *store.Reader) error {
				l, err := listed(r, c.d)
				if l.State != c.state || l.Word != c.word {
					t.Errorf("%s %q", l.State, l.Word)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := ingest.Examine(cfe.NewVerifier(nil), records[0].XML, now())
	if err != nil || len(d.Checks) < 3 || d.Checks[2].Name != checkChain {
		t.Errorf("ingest names the check otherwise: %+v, %v", d.Checks, err)
	}
}

func TestExport(t *testing.T) {
	b := filled(t)
	report, err := b.Preview(t.Context(), b.ana, Selection{CNPJ: "08.723.218/0001-86", Month: "202512"})
	if err != nil || report.Documents() != 5 || len(report.Tallies()) != 2 {
		t.Errorf("%+v, %v", report.Tallies(), err)
	}
	for _, c := range []struct {
		name string
		s    Selection
		want int
		file string
	}{
		{"everything", Selection{}, 5, "zelo"},
		{"a shop's month", Selection{CNPJ: "08.723.218/0001-86", Month: "202512"}, 5, "zelo-08723218000186-202512"},
		{"a device", Selection{CNPJ: "08723218000186", Serial: serial}, 3, "zelo-08723218000186-900000001"},
		{"another month", Selection{Month: "202511"}, 0, "zelo-202511"},
		{"another shop", Selection{CNPJ: "11222333000181"}, 0, "zelo-11222333000181"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			report, err := b.ExportZIP(t.Context(), b.ana, c.s, &out)
			if err != nil || report.Documents() != c.want || c.s.FileName() != c.file {
				t.Fatalf("%v, %s", err, c.s.FileName())
			}
			z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
			if err != nil || len(z.File) != c.want+3 {
				t.Errorf("%d files, %v", len(z.File), err)
			}
			out.Reset()
			if n, err := b.ExportCSV(t.Context(), b.ana, c.s, &out); n != c.want || err != nil || strings.Count(out.String(), "\n") != c.want+1 {
				t.Errorf("%d lines, %v", n, err)
			}
			b.wants("ana@example.com: exportação da tabela " + c.s.String())
		})
	}
	var csv bytes.Buffer
	b.ExportCSV(t.Context(), b.ana, Selection{Serial: serial}, &csv)
	if strings.Count(csv.String(), ";cancelado;") != 1 {
		t.Errorf("one sale was cancelled:\n%s", csv.String())
	}
	for name, s := range map[string]Selection{"a CNPJ too short": {CNPJ: "1"}, "a serial too short": {Serial: "1"}, "no month": {Month: "202513"},
		"no month at all": {Month: "2025-1"}, "half a month": {Month: "2025"}} {
		var mend *Problem
		if _, err := b.Preview(t.Context(), b.ana, s); !errors.As(err, &mend) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.ExportZIP(t.Context(), b.ana, s, &csv); !errors.As(err, &mend) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShops(t *testing.T) {
	b := filled(t)
	shops, err := b.Shops(t.Context(), b.ana)
	if err != nil || len(shops) != 1 || shops[0].CNPJ != "08723218000186" || shops[0].Name != "LOJA DE TESTE DO SAT LTDA" || len(shops[0].Serials) != 1 {
		t.Errorf("%+v, %v", shops, err)
	}
}
