package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// shop sells what a corner shop sells: 400 products, the common ones often, with
// the certificate of a real device.
type shop struct {
	t           testing.TB
	r           *rand.Rand
	signer      *cfe.Signer
	products    []string // "fields|price"
	signAC      string
	certificate []byte // of a real device, in base64
	n           int
}

var (
	shopOpened = time.Date(2025, 12, 10, 9, 0, 0, 0, sat.Brasilia())
	inTag      = regexp.MustCompile(`<X509Certificate>([^<]+)</X509Certificate>`)
)

func newShop(t testing.TB) *shop {
	t.Helper()
	sample, err := os.ReadFile("../../../shared/samples/xml/satcfe__testefimafim__raw-device.xml")
	if err != nil {
		t.Skip("SKIP: no sample of a real device: its certificate is most of a coupon's bytes")
	}
	ca, err := cfe.NewTestCA(shopOpened)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, r: rand.New(rand.NewPCG(1, 7)), certificate: inTag.FindSubmatch(sample)[1]}
	s.signer, err = ca.Issue(cfe.DeviceCert{Serial: "900000001", CNPJ: "11222333000181", Name: "LOJA MODELO",
		NotBefore: shopOpened.AddDate(-1, 0, 0), NotAfter: shopOpened.AddDate(4, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for range 342 {
		s.signAC += string(letters[s.r.IntN(64)])
	}
	s.signAC += "=="
	words := strings.Fields("CAFE PAO LEITE INTEGRAL ARROZ FEIJAO PRETO OLEO SOJA ACUCAR CRISTAL MACARRAO MOLHO TOMATE BISCOITO CHOCOLATE " +
		"REFRIGERANTE COLA GUARANA CERVEJA LATA GARRAFA SABAO DETERGENTE NEUTRO PAPEL FOLHA DUPLA QUEIJO PRESUNTO MANTEIGA IOGURTE BANANA MACA")
	word := func() string { return words[s.r.IntN(len(words))] }
	for i := range 400 {
		s.products = append(s.products, fmt.Sprintf(`<cProd>%06d</cProd><cEAN>789%010d</cEAN><xProd>%s %s %s %dG</xProd><NCM>%08d</NCM>`+
			`<CFOP>5405</CFOP><uCom>UN</uCom>|%d.%02d`, i*37+s.r.IntN(30), s.r.Int64N(1e10), word(), word(), word(), s.r.IntN(100)*10,
			s.r.IntN(99999999), s.r.IntN(90)+1, s.r.IntN(100)))
	}
	return s
}

// sale is a coupon of some items, as the device gives it.
func (s *shop) sale(items int) []byte {
	s.t.Helper()
	s.n++
	var det strings.Builder
	for i := range items {
		fields, price, _ := strings.Cut(s.products[int(float64(len(s.products))*s.r.Float64()*s.r.Float64())], "|")
		fmt.Fprintf(&det, `<det nItem="%d"><prod>%s<qCom>%d.0000</qCom><vUnCom>%s</vUnCom><indRegra>A</indRegra></prod><imposto>`+
			`<vItem12741>%d.%02d</vItem12741><ICMS><ICMS40><Orig>0</Orig><CST>60</CST></ICMS40></ICMS><PIS><PISAliq><CST>01</CST><vBC>%s</vBC>`+
			`<pPIS>0.0165</pPIS></PISAliq></PIS><COFINS><COFINSAliq><CST>01</CST><vBC>%s</vBC><pCOFINS>0.0760</pCOFINS></COFINSAliq></COFINS>`+
			`</imposto></det>`, i+1, fields, 1+s.r.IntN(3), price, s.r.IntN(9), s.r.IntN(100), price, price)
	}
	in, err := cfe.ParseSale([]byte(`<CFe><infCFe versaoDadosEnt="0.08"><ide><CNPJ>11444777000161</CNPJ><signAC>` + s.signAC + `</signAC>` +
		`<numeroCaixa>001</numeroCaixa></ide><emit><CNPJ>11222333000181</CNPJ><IE>123456789012</IE><indRatISSQN>N</indRatISSQN></emit><dest></dest>` +
		det.String() + `<total/><pgto><MP><cMP>01</cMP><vMP>10000.00</vMP></MP></pgto></infCFe></CFe>`))
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cfe.Issue(in, cfe.Emitter{UF: 35, CNPJ: "11222333000181", Name: "LOJA MODELO LTDA", Street: "Rua Direita", Number: "7",
		District: "Sé", City: "São Paulo", CEP: "01002000", IE: "123456789012", Regime: 3},
		cfe.Stamp{Layout: "0.08", Serial: "900000001", Number: s.n, Random: s.r.IntN(1000000), Environment: 1, Software: "010203",
			Issued: shopOpened.Add(time.Duration(s.n) * 3 * time.Minute)}, s.signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return inTag.ReplaceAllLiteral(out.XML, fmt.Appendf(nil, "<X509Certificate>%s</X509Certificate>", s.certificate))
}

// record is a sale in its place of the stream, as the agent keeps it.
func (s *shop) record(c *Codec, items int) (Record, []byte) {
	s.t.Helper()
	doc := s.sale(items)
	data, err := c.Encode(Item{Version: Version, Kind: KindDocument, Serial: "900000001", Till: "001",
		At: shopOpened.Add(time.Duration(s.n) * 3 * time.Minute).UnixMilli(), Body: doc})
	if err != nil {
		s.t.Fatal(err)
	}
	return Record{uint64(1000 + s.n), data}, doc
}

// batch makes a batch with an epoch like any.
func batch(records ...Record) Batch {
	return Batch{Version, Epoch(random(16)), records}
}

// dictionary is one as the uplink makes it: 56 to 72 KiB of any earlier sales.
func (s *shop) dictionary(c *Codec) *Dictionary {
	s.t.Helper()
	var earlier []Record
	for size, i := 0, 0; size < 56<<10; i++ {
		r, _ := s.record(c, []int{1, 3, 2, 10, 1, 4, 3, 1, 2, 6}[i%10])
		earlier = append(earlier, r)
		size += len(r.Data)
	}
	data, err := c.Encode(batch(earlier...))
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := NewDictionary(data)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func gzipped(t testing.TB, doc []byte) int {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(doc)
	w.Close()
	return b.Len()
}

// TestBytesPerCoupon: a coupon sent alone takes at most 0.23, 0.26 and 0.33 of
// what gzip -6 makes of its document, for 1, 3 and 10 items: all the message, not
// the document alone (performance baseline, section 3). The shops are random and their
// dictionaries are more or less lucky, so one may miss that by a hair: 3 % are let
// pass here, make bench shows how near it is.
func TestBytesPerCoupon(t *testing.T) {
	s, c := newShop(t), codec(t)
	d := s.dictionary(c)
	a := NewAssembler(c, 1<<20)
	a.Dictionary = func(string, Number) []byte { return d.Data }
	for items, most := range map[int]float64{1: 0.23, 3: 0.26, 10: 0.33} {
		zip, wire, plain, raw := 0, 0, 0, 0
		const rounds = 30
		for range rounds {
			r, doc := s.record(c, items)
			packets, err := c.PackWith(d, uint64(s.n), batch(r))
			if err != nil || len(packets) != 1 {
				t.Fatal(len(packets), err)
			}
			alone, err := c.Pack(uint64(s.n), batch(r))
			if err != nil {
				t.Fatal(err)
			}
			var back Batch
			if done, err := a.Add("agent001", packets[0], &back); !done || err != nil || !bytes.Equal(back.Records[0].Data, r.Data) {
				t.Fatalf("came back as something else: %v", err)
			}
			zip, wire, plain, raw = zip+gzipped(t, doc), wire+len(packets[0]), plain+len(alone[0]), raw+len(doc)
		}
		ratio := float64(wire) / float64(zip)
		t.Logf("%2d items: %5d bytes, gzip -6 %d, without dictionary %d, with %d: %.3f of gzip", items, raw/rounds, zip/rounds, plain/rounds, wire/rounds, ratio)
		if ratio > 1.03*most {
			t.Errorf("%d items: %.3f of gzip, at most %.2f wanted", items, ratio, most)
		}
	}
}

// BenchmarkCoupon is a coupon of 3 items, packed and unpacked again, with a
// dictionary and without.
func BenchmarkCoupon(b *testing.B) {
	s, c := newShop(b), codec(b)
	d := s.dictionary(c)
	r, doc := s.record(c, 3)
	for name, dict := range map[string]*Dictionary{"with": d, "without": nil} {
		b.Run(name, func(b *testing.B) {
			a := NewAssembler(c, 1<<20)
			a.Dictionary = func(string, Number) []byte { return d.Data }
			size := 0
			for b.Loop() {
				packets, err := c.PackWith(dict, 1, batch(r))
				if err != nil {
					b.Fatal(err)
				}
				var back Batch
				if done, err := a.Add("agent001", packets[0], &back); !done || err != nil {
					b.Fatal(err)
				}
				size = len(packets[0])
			}
			b.ReportMetric(float64(size), "B/coupon")
			b.ReportMetric(float64(size)/float64(gzipped(b, doc)), "of-gzip")
		})
	}
}
