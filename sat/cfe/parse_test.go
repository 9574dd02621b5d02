package cfe

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sameFields(a, b Document) bool {
	same := a.Issued.Equal(b.Issued)
	a.Issued, b.Issued = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

func TestParseSaleDocument(t *testing.T) {
	out := issued(t, "0.08")
	got, err := Parse(out.XML)
	if err != nil {
		t.Fatal(err)
	}
	want := Document{
		Kind: Sale, Key: "35250711222333000181599000001230000411234560", Layout: "0.08", Model: 59, Environment: 2, Test: true,
		Issued: noon(), Issuer: "11222333000181", IssuerName: "PADARIA MODELO LTDA", City: "São Paulo", StateReg: "123456789012",
		Serial: "900000123", Number: 41, Till: "001", Consumer: "52998224725", Software: "010203", DevHouse: "11444777000161",
		Total: "108.18", Payments: []Payment{{"01", "50.00"}, {"17", "60.00"}},
		Totals: Totals{
			Products: "79.69", ItemDiscount: "1.00", SubtotalDiscount: "1.01", Other: "0.50", ICMS: "3.37", PIS: "1.77",
			COFINS: "1.44", PISST: "0.16", COFINSST: "0.02", ISSBase: "25.00", ISS: "1.25", Change: "1.82",
		},
		SignAC: "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT", QRSignature: out.QRSignature,
	}
	if !sameFields(got, want) {
		t.Errorf("read\n%+v\nexpected\n%+v", got, want)
	}
}

func TestParseCancellationDocument(t *testing.T) {
	out := cancelled(t, "0.07")
	got, err := Parse(out.XML)
	if err != nil {
		t.Fatal(err)
	}
	want := Document{
		Kind: Cancellation, Key: out.Key, Cancels: "35250711222333000181599000001230000411234560", Layout: "0.07", Model: 59,
		Test: true, Issued: noon().Add(3 * time.Minute), Issuer: "11222333000181", IssuerName: "PADARIA MODELO LTDA",
		City: "São Paulo", StateReg: "123456789012", Serial: "900000123", Number: 42, Till: "001", Consumer: "52998224725",
		DevHouse: "11444777000161", Total: "108.18",
		SignAC: "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT", QRSignature: out.QRSignature,
	}
	if !sameFields(got, want) {
		t.Errorf("read\n%+v\nexpected\n%+v", got, want)
	}
}

func TestDocumentsKeepConsumersOutOfLogs(t *testing.T) {
	d, err := Parse(issued(t, "0.08").XML)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("stored", "document", d)
	if !strings.Contains(b.String(), string(d.Key)) || strings.Contains(b.String(), d.Consumer) {
		t.Error(b.String())
	}
}

func TestDevelopmentDocumentsAreTests(t *testing.T) {
	doc := strings.Replace(string(issued(t, "0.08").XML), "<tpAmb>2<", "<tpAmb>1<", 1)
	for signAC, test := range map[string]bool{
		"SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT": true,
		"CODIGO DE VINCULACAO AC DO MFE-CFE":            true,
		strings.Repeat("A", 344):                        false,
	} {
		d, err := Parse([]byte(strings.Replace(doc, "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT", signAC, 1)))
		if err != nil || d.Environment != 1 || d.Test != test {
			t.Errorf("signAC %.40s: environment %d, test %t, error %v", signAC, d.Environment, d.Test, err)
		}
	}
}

// noteXML is an NFe of model 65 in layout 4.00; p is a namespace prefix with its
// colon, or nothing.
func noteXML(t *testing.T, p string) (string, Key) {
	key := mustKey(t, KeyParts{UF: 35, Issued: noon(), CNPJ: "11222333000181", Model: 65, Series: 1, Number: 200, Emission: 1, Random: 5})
	ns := `xmlns="http://www.portalfiscal.inf.br/nfe"`
	if p != "" {
		ns = `xmlns:` + strings.TrimSuffix(p, ":") + `="http://www.portalfiscal.inf.br/nfe"`
	}
	text := fmt.Sprintf(`<NFe %s><infNFe versao="4.00" Id="%s"><ide><cUF>35</cUF><mod>65</mod><serie>1</serie><nNF>200</nNF>`+
		`<dhEmi>2025-07-18T12:00:00-04:00</dhEmi><tpEmis>1</tpEmis><tpAmb>1</tpAmb></ide>`+
		`<emit><CNPJ>11222333000181</CNPJ><xNome>PADARIA MODELO LTDA</xNome><enderEmit><xLgr>R A</xLgr><cMun>3509502</cMun><xMun>Campinas</xMun><UF>SP</UF></enderEmit><IE>123456789012</IE></emit>`+
		`<dest><CPF>52998224725</CPF></dest><det nItem="1"><prod><vProd>10.00</vProd></prod></det>`+
		`<total><ICMSTot><vICMS>1.80</vICMS><vProd>10.00</vProd><vDesc>0.50</vDesc><vPIS>0.16</vPIS><vCOFINS>0.76</vCOFINS>`+
		`<vOutro>0.10</vOutro><vNF>9.60</vNF></ICMSTot><ISSQNtot><vBC>2.00</vBC><vISS>0.10</vISS></ISSQNtot></total>`+
		`<pag><detPag><tPag>17</tPag><vPag>10.00</vPag></detPag><vTroco>0.40</vTroco></pag></infNFe>`+
		`<infNFeSupl><qrCode><![CDATA[https://x?p=1&b]]></qrCode></infNFeSupl><Signature xmlns="x"><a/></Signature></NFe>`, ns, key.ID())
	if p != "" {
		text = strings.NewReplacer("</", "</"+p, "<![", "<![", "<", "<"+p).Replace(text)
	}
	return text, key
}

func TestParseNotes(t *testing.T) {
	note, key := noteXML(t, "")
	prefixed, _ := noteXML(t, "n:")
	protocol := `<protNFe versao="4.00"><infProt><tpAmb>1</tpAmb><chNFe>` + string(key) + `</chNFe><nProt>135250000000001</nProt><cStat>100</cStat></infProt></protNFe>`
	pending := Document{
		Kind: Unprotocoled, Key: key, Layout: "4.00", Model: 65, Environment: 1, Issued: noon().Add(time.Hour),
		Issuer: "11222333000181", IssuerName: "PADARIA MODELO LTDA", City: "Campinas", StateReg: "123456789012", Series: "1", Number: 200,
		Consumer: "52998224725", Total: "9.60", Payments: []Payment{{"17", "10.00"}},
		Totals: Totals{Products: "10.00", ItemDiscount: "0.50", Other: "0.10", ICMS: "1.80", PIS: "0.16", COFINS: "0.76", ISSBase: "2.00", ISS: "0.10", Change: "0.40"},
	}
	authorised := pending
	authorised.Kind, authorised.Protocol, authorised.Status = Invoice, "135250000000001", "100"
	old := pending
	old.Layout, old.Issued = "2.00", time.Date(2025, 7, 18, 0, 0, 0, 0, brasilia())
	for name, c := range map[string]struct {
		text string
		want Document
	}{
		"NFe alone":          {note, pending},
		"with prefixes":      {prefixed, pending},
		"nfeProc":            {"<?xml version='1.0'?><nfeProc versao=\"4.00\" xmlns=\"http://www.portalfiscal.inf.br/nfe\">" + note + protocol + "</nfeProc>", authorised},
		"procNFe":            {"<procNFe>" + note + protocol + "</procNFe>", authorised},
		"with a third child": {"<nfeProc>" + note + protocol + "<retEvento><infEvento><cStat>135</cStat><nProt>9</nProt></infEvento></retEvento></nfeProc>", authorised},
		"layout 3.10": {strings.NewReplacer("<detPag>", "", "</detPag>", "", `versao="4.00"`, `versao="3.10"`).Replace(note),
			func() Document { d := pending; d.Layout = "3.10"; return d }()},
		"time without zone":      {strings.Replace(note, "12:00:00-04:00", "13:00:00", 1), pending},
		"layout 2.00, date only": {strings.NewReplacer("<dhEmi>2025-07-18T12:00:00-04:00</dhEmi>", "<dEmi>2025-07-18</dEmi>", `versao="4.00"`, `versao="2.00"`).Replace(note), old},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if !sameFields(got, c.want) {
				t.Errorf("read\n%+v\nexpected\n%+v", got, c.want)
			}
			if _, offset := got.Issued.Zone(); name == "NFe alone" && offset != -4*60*60 {
				t.Errorf("the note's own offset became %d", offset)
			}
			if v := Verify([]byte(c.text), nil); v.Signature != NotChecked || v.Reason == "" || v.Trusted {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestParseEvents(t *testing.T) {
	_, key := noteXML(t, "")
	event := func(kind string) string {
		return `<procEventoNFe versao="1.00"><evento versao="1.00"><infEvento Id="ID` + kind + string(key) + `01"><tpAmb>1</tpAmb>` +
			`<CNPJ>11222333000181</CNPJ><chNFe>` + string(key) + `</chNFe><dhEvento>2025-07-18T12:00:00-03:00</dhEvento>` +
			`<tpEvento>` + kind + `</tpEvento><detEvento><nProt>135250000000001</nProt></detEvento></infEvento></evento>` +
			`<retEvento><infEvento><cStat>135</cStat><chNFe>` + string(key) + `</chNFe><nProt>135250000000002</nProt></infEvento></retEvento></procEventoNFe>`
	}
	for kind, cancels := range map[string]Key{"110111": key, "110112": key, "110110": "", "999999": ""} {
		t.Run(kind, func(t *testing.T) {
			got, err := Parse([]byte(event(kind)))
			want := Document{
				Kind: Event, Key: key, Cancels: cancels, Layout: "1.00", Model: 65, Environment: 1, Issued: noon(),
				Issuer: "11222333000181", Series: "1", Number: 200, Protocol: "135250000000002", Status: "135", EventType: kind,
			}
			if err != nil || !sameFields(got, want) {
				t.Errorf("error %v, read\n%+v\nexpected\n%+v", err, got, want)
			}
		})
	}
	t.Run("two events in one", func(t *testing.T) {
		text := event("110111")
		twice := strings.Replace(text, "<evento", text[strings.Index(text, "<evento"):strings.Index(text, "<retEvento")]+"<evento", 1)
		if d, err := Parse([]byte(twice)); err == nil {
			t.Errorf("read %+v", d)
		}
	})
	t.Run("no key", func(t *testing.T) {
		if d, err := Parse([]byte(strings.ReplaceAll(event("110111"), "<chNFe>3", "<chNFe>x"))); err == nil {
			t.Errorf("read %+v", d)
		}
	})
}

func TestParseVoids(t *testing.T) {
	for _, root := range []string{"ProcInutNFe", "procInutNFe"} {
		got, err := Parse([]byte(`<` + root + ` versao="4.00"><inutNFe><infInut Id="ID35251122233300018165001000000210000000219"><tpAmb>1</tpAmb>` +
			`<CNPJ>11222333000181</CNPJ><mod>65</mod><serie>1</serie><nNFIni>210</nNFIni><nNFFin>219</nNFFin></infInut></inutNFe>` +
			`<retInutNFe><infInut><cStat>102</cStat><nNFIni>1</nNFIni><dhRecbto>2025-07-18T12:00:00-03:00</dhRecbto><nProt>135250000000003</nProt></infInut></retInutNFe></` + root + `>`))
		want := Document{
			Kind: Void, Layout: "4.00", Model: 65, Environment: 1, Issued: noon(), Issuer: "11222333000181", Series: "1",
			Protocol: "135250000000003", Status: "102", VoidFirst: 210, VoidLast: 219,
		}
		if err != nil || !sameFields(got, want) {
			t.Errorf("%s: error %v, read\n%+v\nexpected\n%+v", root, err, got, want)
		}
	}
}

func TestParseVoidWithoutReceipt(t *testing.T) {
	got, err := Parse([]byte(`<ProcInutNFe><inutNFe><infInut><serie>1</serie><nNFIni>5</nNFIni><nNFFin>6</nNFFin></infInut></inutNFe></ProcInutNFe>`))
	if err != nil || !got.Issued.IsZero() || got.VoidFirst != 5 || got.VoidLast != 6 {
		t.Errorf("error %v, read %+v", err, got)
	}
}

// Fields come from the signed element and from nowhere else.
func TestParseIgnoresFieldsOutsideTheSignedElement(t *testing.T) {
	doc := string(issued(t, "0.08").XML)
	want, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	for name, planted := range map[string]string{
		"beside it":     strings.Replace(doc, "<infCFe", "<ide><nCFe>000001</nCFe></ide><total><vCFe>1.00</vCFe></total><infCFe", 1),
		"after it":      strings.Replace(doc, "</CFe>", "<total><vCFe>1.00</vCFe></total></CFe>", 1),
		"in an item":    strings.Replace(doc, "<det nItem=\"1\">", "<det nItem=\"1\"><total><vCFe>1.00</vCFe></total>", 1),
		"in a comment":  strings.Replace(doc, "<total>", "<!--<total><vCFe>1.00</vCFe></total>--><total>", 1),
		"in CDATA":      strings.Replace(doc, "bomba 3", "<![CDATA[</infAdProd><vCFe>1.00</vCFe>]]>", 1),
		"in attributes": strings.Replace(doc, "<total>", "<total vCFe=\"1.00\">", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(planted))
			if err != nil || !sameFields(got, want) {
				t.Errorf("error %v, read\n%+v\nexpected\n%+v", err, got, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(issued(f, "0.06").XML)
	f.Add(cancelled(f, "0.08").XML)
	f.Add(saleText(f, "0.08"))
	f.Add([]byte(`<nfeProc><NFe><infNFe Id="NFe35250711222333000181650010000002001000000050"/></NFe></nfeProc>`))
	f.Add([]byte(`<procEventoNFe><evento><infEvento><chNFe>x</chNFe></infEvento></evento></procEventoNFe>`))
	f.Add([]byte("\xEF\xBB\xBF<?xml?><CFe><!-- --><infCFe Id='CFe'><![CDATA[a]]>&#65;</infCFe></CFe>\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw)
		if err != nil {
			if f, ok := err.(*Fault); !ok || f.Text() == "" || f.Error() == "" {
				t.Fatalf("fault %v without texts", err)
			}
			return
		}
		if d.Kind == "" || (d.Kind != Void && !keyShaped(string(d.Key))) {
			t.Fatalf("%+v", d)
		}
		again, err := Parse(raw)
		if err != nil || !sameFields(again, d) {
			t.Fatalf("read twice: %+v, then %+v (%v)", d, again, err)
		}
	})
}
