package cfe

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

func TestIssuedDocumentsAreGolden(t *testing.T) {
	for _, layout := range []string{"0.06", "0.07", "0.08"} {
		for name, out := range map[string]Issued{
			"venda-" + layout: issued(t, layout), "cancelamento-" + layout: cancelled(t, layout),
		} {
			t.Run(name, func(t *testing.T) {
				file := filepath.Join("testdata", "golden", name+".xml")
				if *update {
					if err := os.WriteFile(file, out.XML, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.XML, want) {
					t.Errorf("issued\n%s\nexpected\n%s", out.XML, want)
				}
			})
		}
	}
}

func TestIssuedDocumentsVerifyAndRepeatTheReply(t *testing.T) {
	for _, layout := range []string{"0.06", "0.07", "0.08"} {
		for name, out := range map[string]Issued{"sale " + layout: issued(t, layout), "cancellation " + layout: cancelled(t, layout)} {
			t.Run(name, func(t *testing.T) {
				v := Verify(out.XML, roots(t))
				if v.Signature != Verified || v.QR != Verified || v.Chain != Verified || !v.Trusted {
					t.Errorf("%+v", v)
				}
				doc, err := Parse(out.XML)
				if err != nil {
					t.Fatal(err)
				}
				if doc.Key != out.Key || doc.Total != out.Total || doc.Consumer != out.Consumer || doc.QRSignature != out.QRSignature {
					t.Errorf("the document says %+v, the reply would say %+v", doc, out)
				}
				raw := out.XML[bytes.Index(out.XML, []byte("<infCFe")):]
				raw = raw[:bytes.Index(raw, []byte("</infCFe>"))+len("</infCFe>")]
				if c, ok := canonical(raw, "", false); !ok || !bytes.Equal(c, raw) {
					t.Error("it is not written in canonical form, so checking it takes the slow way")
				}
			})
		}
	}
}

// The places where layouts differ (dossier 1.1, 1.4).
func TestLayoutsDiffer(t *testing.T) {
	for layout, want := range map[string]map[string]bool{
		"0.06": {"<vRatAcr>0.00</vRatAcr>": true, "<CEST>": false, "</obsFisco></infAdic>": true, "<vProd>109.69</vProd>": true},
		"0.07": {"<vRatAcr>0.00</vRatAcr>": false, "<CEST>": false, "</obsFisco></infAdic>": true, "<vProd>109.69</vProd>": true},
		"0.08": {"<vRatAcr>0.00</vRatAcr>": false, "<CEST>": true, "</infAdic><obsFisco ": true, "<vProd>79.69</vProd>": true},
	} {
		xml := string(issued(t, layout).XML)
		for part, there := range want {
			if strings.Contains(xml, part) != there {
				t.Errorf("layout %s: %s expected %t in\n%s", layout, part, there, xml)
			}
		}
	}
	onlyServices := strings.NewReplacer("<det nItem=\"1\">", "<!--", "<det nItem=\"3\">", "--><det nItem=\"1\">").Replace(string(saleText(t, "0.08")))
	in, err := ParseSale([]byte(onlyServices))
	if err != nil {
		t.Fatal(err)
	}
	in.SubtotalDiscount = ""
	out, err := Issue(in, padaria(), stamp("0.08", 1), device(t))
	if err != nil || bytes.Contains(out.XML, []byte("<ICMSTot>")) || !bytes.Contains(out.XML, []byte("<ISSQNtot>")) {
		t.Errorf("services alone in 0.08: %v\n%s", err, out.XML)
	}
}

func TestIssuedDocumentsFitTheSchema(t *testing.T) {
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("SKIP: no xmllint")
	}
	for layout, schema := range map[string]string{"0.07": "CfeDadosVendaSAT_0007.xsd", "0.08": "CfeDadosVendaSAT_0008.xsd"} {
		schema = filepath.Join(samples, "xsd", schema)
		if _, err := os.Stat(schema); err != nil {
			t.Skip("SKIP: no schemas in " + samples)
		}
		file := filepath.Join(t.TempDir(), "venda.xml")
		if err := os.WriteFile(file, issued(t, layout).XML, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(xmllint, "--noout", "--schema", schema, file).CombinedOutput(); err != nil {
			t.Errorf("layout %s: %v\n%s", layout, err, out)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	in := sale(t, "0.08")
	t.Run("unknown layout", func(t *testing.T) {
		if _, err := Issue(in, padaria(), stamp("0.09", 1), device(t)); err == nil {
			t.Error("issued")
		}
		if _, err := IssueCancel(&CancelInput{}, Document{}, padaria(), stamp("", 1), device(t)); err == nil {
			t.Error("issued")
		}
	})
	t.Run("serial number of another length", func(t *testing.T) {
		st := stamp("0.08", 1)
		st.Serial = "12345"
		if _, err := Issue(in, padaria(), st, device(t)); err == nil {
			t.Error("issued")
		}
	})
	t.Run("input that cannot be computed", func(t *testing.T) {
		broken := *in
		broken.SubtotalDiscount = "9999.00"
		_, err := Issue(&broken, padaria(), stamp("0.08", 1), device(t))
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != 1998 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("document over 1,500 KB", func(t *testing.T) {
		large := *in
		large.Note = strings.Repeat("x", MaxIssued)
		if _, err := Issue(&large, padaria(), stamp("0.08", 1), device(t)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v", err)
		}
	})
}

// tanca is the parametrisation of the device that made the real documents.
func tanca() Emitter {
	return Emitter{
		UF: 35, CNPJ: "08723218000186", Name: "TANCA INFORMATICA EIRELI", TradeName: "TANCA",
		Street: "RUA ENGENHEIRO JORGE OLIVA", Number: "73", District: "VILA MASCOTE", City: "SAO PAULO", CEP: "04362060",
		IE: "149626224113", IM: "123123", Regime: 3, Remarks: []Remark{{"xCampo1", "xTexto1"}},
	}
}

// inputOf takes everything a device adds out of its document, which leaves what
// the application gave.
func inputOf(doc []byte) []byte {
	cut := func(pattern string) { doc = regexp.MustCompile(pattern).ReplaceAll(doc, nil) }
	for _, group := range []string{"Signature", "ICMSTot", "ISSQNtot", "enderEmit", "obsFisco"} {
		cut(`(?s)<` + group + `[ >].*</` + group + `>`)
	}
	for _, name := range strings.Fields("cUF cNF mod nserieSAT nCFe dEmi hEmi cDV tpAmb assinaturaQRCODE xNome xFant " +
		"cRegTrib vProd vItem vRatDesc vRatAcr vICMS vPIS vCOFINS vISSQN vCFe vTroco") {
		cut(`<` + name + `>[^<]*</` + name + `>`)
	}
	cut(` (Id|versao|versaoSB)="[^"]*"`)
	return regexp.MustCompile(`(</vDeducISSQN>\s*)<vBC>[^<]*</vBC>`).ReplaceAll(doc, []byte("$1"))
}

// withoutQR gives the signed element in canonical form without white space
// between tags and without the QR signature, which takes the device's key.
func withoutQR(t *testing.T, doc []byte) string {
	t.Helper()
	from, to := bytes.Index(doc, []byte("<infCFe")), bytes.Index(doc, []byte("</infCFe>"))
	b, ok := canonical(doc[from:to+len("</infCFe>")], "", true)
	if !ok {
		t.Fatal("no canonical form")
	}
	return regexp.MustCompile(`<assinaturaQRCODE>[^<]*`).ReplaceAllString(string(b), "<assinaturaQRCODE>")
}

// Three documents of a real device come out the same, byte for byte: one item, a
// sale of 31 items with every tax group and services, and what the application
// sent for the first as the library's own sample.
func TestIssuesWhatARealDeviceIssued(t *testing.T) {
	whole := func(name string) []byte { return inputOf(sample(t, name)) }
	for name, text := range map[string][]byte{
		"satcfe__testefimafim__raw-device.xml":         sample(t, "satcfe__testefimafim__cfe-teste.xml"),
		"satextrato__cfe_venda.xml":                    whole("satextrato__cfe_venda.xml"),
		"satcfe__enviardadosvenda__cfe-autorizado.xml": sample(t, "satcfe__enviardadosvenda__cfe.xml"),
		"satcfe__testefimafim__cfe-teste-assinado.xml": whole("satcfe__testefimafim__cfe-teste-assinado.xml"),
	} {
		t.Run(name, func(t *testing.T) {
			real := sample(t, name)
			doc, err := Parse(real)
			if err != nil {
				t.Fatal(err)
			}
			in, err := ParseSale(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, refusal := in.Check(Rules{Layout: "0.06", Emitter: tanca(), Now: doc.Issued}); refusal != nil {
				t.Fatal(refusal)
			}
			out, err := Issue(in, tanca(), Stamp{
				Layout: "0.06", Serial: doc.Serial, Number: doc.Number, Random: doc.Key.Random(), Issued: doc.Issued,
				Environment: 2, Software: "010000",
			}, device(t))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := withoutQR(t, out.XML), withoutQR(t, real); got != want {
				t.Errorf("issued\n%s\nthe device issued\n%s", got, want)
			}
		})
	}
}

func TestCancelsAsARealDeviceCancelled(t *testing.T) {
	real := sample(t, "satcfe__cancelarultimavenda__cfecanc-autorizado.xml")
	doc, err := Parse(real)
	if err != nil {
		t.Fatal(err)
	}
	in, err := ParseCancel(sample(t, "satcfe__cancelarultimavenda__cfecanc.xml"))
	if err != nil {
		t.Fatal(err)
	}
	sold := Document{Key: doc.Cancels, Total: "2.00", Issued: doc.Issued.Add(-41 * 1e9)}
	if refusal := in.Check(Rules{Layout: "0.06", Now: doc.Issued}, &sold, false); refusal != nil {
		t.Fatal(refusal)
	}
	emitter := tanca()
	emitter.TradeName, emitter.Number = "", ""
	out, err := IssueCancel(in, sold, emitter, Stamp{
		Layout: "0.06", Serial: doc.Serial, Number: doc.Number, Random: doc.Key.Random(), Issued: doc.Issued,
	}, device(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := withoutQR(t, out.XML), withoutQR(t, real); got != want {
		t.Errorf("issued\n%s\nthe device issued\n%s", got, want)
	}
}
