package cfe

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// samples is the folder of real documents; it is not part of the repository.
const samples = "../../../shared/samples/xml"

// sample returns a real document; the test is skipped where it is absent.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Skip("SKIP: no sample documents in " + samples)
	}
	return b
}

// tanca is the parametrisation of the device that made the real documents.
func tanca() Emitter {
	return Emitter{
		UF: 35, CNPJ: "08723218000186", Name: "TANCA INFORMATICA EIRELI", TradeName: "TANCA",
		Street: "RUA ENGENHEIRO JORGE OLIVA", Number: "73", District: "VILA MASCOTE", City: "SAO PAULO", CEP: "04362060",
		IE: "149626224113", IM: "123123", Regime: 3, Remarks: []Remark{{"xCampo1", "xTexto1"}},
	}
}

// input takes everything a device adds out of its document, which leaves what
// the application gave.
func input(doc []byte) []byte {
	cut := func(pattern string) { doc = regexp.MustCompile(pattern).ReplaceAll(doc, nil) }
	cut(`(?s)<Signature.*</Signature>`)
	cut(`(?s)<ICMSTot>.*</ICMSTot>`)
	cut(`(?s)<ISSQNtot>.*</ISSQNtot>`)
	cut(`(?s)<enderEmit>.*</enderEmit>`)
	cut(`(?s)<obsFisco .*</obsFisco>`)
	cut(` (Id|versao|versaoSB)="[^"]*"`)
	for _, name := range strings.Fields("cUF cNF mod nserieSAT nCFe dEmi hEmi cDV tpAmb assinaturaQRCODE xNome xFant " +
		"cRegTrib vProd vItem vRatDesc vRatAcr vICMS vPIS vCOFINS vISSQN vCFe vTroco") {
		cut(`<` + name + `>[^<]*</` + name + `>`)
	}
	return regexp.MustCompile(`(?s)(</vDeducISSQN>\s*)<vBC>[^<]*</vBC>`).ReplaceAll(doc, []byte("$1"))
}

// signed gives the signed element in canonical form without white space between
// tags and without the QR signature, which only the device's key can make.
func signed(t *testing.T, doc []byte) string {
	t.Helper()
	from, to := bytes.Index(doc, []byte("<infCFe")), bytes.Index(doc, []byte("</infCFe>"))
	b, ok := canonical(doc[from:to+len("</infCFe>")], "", true)
	if !ok {
		t.Fatal("no canonical form")
	}
	return regexp.MustCompile(`<assinaturaQRCODE>[^<]*`).ReplaceAllString(string(b), "<assinaturaQRCODE>")
}

func TestIssuesWhatARealDeviceIssued(t *testing.T) {
	for _, name := range []string{
		"satcfe__testefimafim__raw-device.xml", "satextrato__cfe_venda.xml", "satcfe__enviardadosvenda__cfe-autorizado.xml",
	} {
		t.Run(name, func(t *testing.T) {
			real := sample(t, name)
			doc, err := Parse(real)
			if err != nil {
				t.Fatal(err)
			}
			in, err := ParseSale(input(real))
			if err != nil {
				t.Fatal(err)
			}
			if _, refusal := in.Check(Rules{Layout: "0.06", Emitter: tanca(), Now: doc.Issued}); refusal != nil {
				t.Fatal(refusal)
			}
			out, err := Issue(in, tanca(), Stamp{
				Layout: "0.06", Serial: doc.Serial, Number: doc.Number, Random: doc.Key.Random(), Issued: doc.Issued,
				Environment: 2, Software: "010000",
			}, testSigner(t))
			if err != nil {
				t.Fatal(err)
			}
			if out.Key != doc.Key {
				t.Errorf("key %s, the device gave %s", out.Key, doc.Key)
			}
			if got, want := signed(t, out.XML), signed(t, real); got != want {
				t.Errorf("issued\n%s\nthe device issued\n%s", got, want)
			}
		})
	}
}

func testSigner(t testing.TB) *Signer {
	ca, err := NewTestCA(time.Now())
	if err != nil { t.Fatal(err) }
	s, err := ca.Issue(DeviceCert{Serial: "900004019", CNPJ: "08723218000186", Name: "TANCA", NotBefore: time.Now().AddDate(-1,0,0), NotAfter: time.Now().AddDate(4,0,0)})
	if err != nil { t.Fatal(err) }
	return s
}
