package export

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/collector/ingest"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

var noon = time.Date(2025, 12, 21, 12, 0, 0, 0, sat.Brasilia())

const noteKey = "35251208723218000186650010000000071123456780"

const note = `<?xml version="1.0" encoding="UTF-8"?><nfeProc xmlns="http://www.portalfiscal.inf.br/nfe" versao="4.00"><NFe><infNFe Id="NFe` + noteKey +
	`" versao="4.00"><ide><cUF>35</cUF><cNF>12345678</cNF><mod>65</mod><serie>1</serie><nNF>7</nNF><dhEmi>2025-12-21T12:30:00-03:00</dhEmi><tpAmb>1</tpAmb></ide>` +
	`<emit><CNPJ>08723218000186</CNPJ><xNome>LOJA</xNome></emit><det nItem="1"><prod><cProd>7</cProd><xProd>P&#227;o</xProd><uCom>KG</uCom><qCom>0.5000</qCom><vUnCom>20.00</vUnCom><vProd>10.00</vProd></prod></det>` +
	`<total><ICMSTot><vProd>10.00</vProd><vNF>10.00</vNF></ICMSTot></total><pag><detPag><tPag>17</tPag><vPag>10.00</vPag></detPag></pag></infNFe></NFe><protNFe><infProt><cStat>100</cStat></infProt></protNFe></nfeProc>`

const event = `<procEventoNFe xmlns="http://www.portalfiscal.inf.br/nfe"><evento><infEvento><CNPJ>08723218000186</CNPJ><tpAmb>1</tpAmb><chNFe>` + noteKey +
	`</chNFe><dhEvento>2025-12-21T12:40:00-03:00</dhEvento><tpEvento>110111</tpEvento></infEvento></evento><retEvento><infEvento><cStat>135</cStat></infEvento></retEvento></procEventoNFe>`

const void = `<ProcInutNFe xmlns="http://www.portalfiscal.inf.br/nfe"><inutNFe><infInut><tpAmb>1</tpAmb><CNPJ>08723218000186</CNPJ><mod>65</mod><serie>1</serie><nNFIni>8</nNFIni><nNFFin>9</nNFFin></infInut></inutNFe>` +
	`<retInutNFe><infInut><cStat>102</cStat><dhRecbto>2025-12-21T13:00:00-03:00</dhRecbto></infInut></retInutNFe></ProcInutNFe>`

// device is one simulated device for all tests: its keys take time to make.
var device = sync.OnceValues(func() ([]sim.Record, error) {
	s, err := sim.New(sim.Options{Clock: func() time.Time { return noon }, Environment: sim.Production})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for n := 1; n <= 3; n++ {
		if _, err := s.Call(context.Background(), sattest.Request(sat.EnviarDadosVenda, n, sattest.SaleXML("10.50", "11144477735"))); err != nil {
			return nil, err
		}
	}
	last := s.Issued()[2].Key
	_, err = s.Call(context.Background(), sattest.Cancel(4, last))
	return s.Issued(), err
})

// exported reads a document as ingest would.
func exported(t testing.TB, raw []byte) store.Exported {
	t.Helper()
	d, _, err := ingest.Examine(cfe.NewVerifier(nil), raw, noon)
	if err != nil {
		t.Fatal(err)
	}
	d.SHA256 = sha256.Sum256(raw)
	return store.Exported{Document: d, Body: raw}
}

// samples are three sales and a cancellation of one device in production (its
// software signs as in development kits, which would make them tests), a note
// with its event, a void range, and a sale of the test environment.
func samples(t testing.TB) []store.Exported {
	t.Helper()
	issued, err := device()
	if err != nil {
		t.Fatal(err)
	}
	var out []store.Exported
	for _, raw := range []string{note, event, void} {
		out = append(out, exported(t, []byte(raw)))
	}
	for i, r := range issued {
		e := exported(t, r.XML)
		e.Test = i == 1
		out = append(out, e)
	}
	return out
}

func seq(docs ...store.Exported) iter.Seq[store.Exported] {
	return func(yield func(store.Exported) bool) {
		for _, d := range docs {
			if !yield(d) {
				return
			}
		}
	}
}

// unzip reads an archive back, in its order.
func unzip(t *testing.T, raw []byte) (names []string, files map[string][]byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names, files[f.Name] = append(names, f.Name), b
	}
	return names, files
}

func TestZIPHoldsTheOriginals(t *testing.T) {
	docs := samples(t)
	var b bytes.Buffer
	report, err := ZIP(&b, seq(docs...))
	if err != nil || report.Documents() != len(docs) {
		t.Fatalf("%d documents, %v", report.Documents(), err)
	}
	names, files := unzip(t, b.Bytes())
	shop := "08723218000186/"
	want := []string{
		shop + "NFCe/202512/" + noteKey + "-nfe.xml",
		shop + "NFCe/202512/" + noteKey + fmt.Sprintf("-%x-procEventoNFe.xml", docs[1].SHA256[:4]),
		shop + "NFCe/202512/08723218000186-1-" + fmt.Sprintf("%x-procInutNFe.xml", docs[2].SHA256[:4]),
		shop + "900000001/202512/AD" + docs[3].Key + ".xml",
		"teste/" + shop + "900000001/202512/AD" + docs[4].Key + ".xml",
		shop + "900000001/202512/AD" + docs[5].Key + ".xml",
		shop + "900000001/202512/ADC" + docs[6].Key + ".xml",
	}
	for i, name := range want {
		if i >= len(names) || names[i] != name {
			t.Fatalf("files are\n%s\nwant first\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
		}
		if !bytes.Equal(files[name], docs[i].Body) {
			t.Errorf("%s is not what was received", name)
		}
	}
	sums := string(files["SHA256SUMS"])
	for _, name := range want {
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(files[name]), name); !strings.Contains(sums, line) {
			t.Errorf("SHA256SUMS has no line %q", line)
		}
	}
	rows := readTable(t, files["manifesto.csv"])
	if len(rows) != 1+len(want) {
		t.Fatalf("the manifest has %d lines", len(rows))
	}
	if got := strings.Join(rows[4], "|"); got != `="`+docs[3].Key+`"|`+want[3]+"|"+fmt.Sprintf("%x", docs[3].SHA256)+
		"|21/12/2025 12:00:00|10,50|confere|" {
		t.Error(got)
	}
	if !strings.Contains(string(files["relatorio.txt"]), "SAT 900000001") {
		t.Errorf("%s", files["relatorio.txt"])
	}
}

func TestZIPIsTheSameEveryTime(t *testing.T) {
	docs := samples(t)
	var a, b bytes.Buffer
	if _, err := ZIP(&a, seq(docs...)); err != nil {
		t.Fatal(err)
	}
	if _, err := ZIP(&b, seq(docs...)); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("the same documents made other bytes, %v", err)
	}
}

// TestZIPBroken: what fails on the way is told, and no temporary file stays.
func TestZIPBroken(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	docs := samples(t)
	lost := errors.New("disk gone")
	if _, err := ZIP(io.Discard, seq(docs[0], store.Exported{Err: lost})); !errors.Is(err, lost) {
		t.Errorf("the sequence fails: %v", err)
	}
	if _, err := ZIP(failing{lost}, seq(docs...)); !errors.Is(err, lost) {
		t.Errorf("the writer fails: %v", err)
	}
	if _, err := ZIP(io.Discard, seq(docs...)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Setenv("TMPDIR", filepath.Join(os.TempDir(), "missing"))
	if _, err := ZIP(io.Discard, seq()); err == nil {
		t.Error("no folder for temporary files, and no error")
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestZIPNeedsNoMemory: the ten thousandth document finds the heap as the
// thousandth did.
func TestZIPNeedsNoMemory(t *testing.T) {
	e := samples(t)[3]
	e.Body = e.Body[:500] // what is measured does not hang on it
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	many := func(yield func(store.Exported) bool) {
		for n := 1; n <= 10_000; n++ {
			e.Number, e.Key = n, fmt.Sprintf("%044d", n)
			if !yield(e) {
				return
			}
			switch n {
			case 1_000:
				early = heap()
			case 10_000:
				late = heap()
			}
		}
	}
	if _, err := ZIP(io.Discard, many); err != nil {
		t.Fatal(err)
	}
	// The ZIP's own directory grows by the name and some numbers of each file.
	if grown := int64(late) - int64(early); grown > 9_000*700 {
		t.Errorf("the heap grew by %d bytes over 9000 documents", grown)
	}
}

func TestFileNamesCannotEscape(t *testing.T) {
	d := store.Document{Kind: string(cfe.Sale), Key: "../../etc/passwd", Issuer: `C:\`, Serial: "..", Model: 59, Issued: noon}
	if got := File(d); got != "C__/__/202512/AD______etc_passwd.xml" {
		t.Error(got)
	}
	if got := File(store.Document{Kind: string(cfe.Invoice), Model: 55, Issued: noon}); got != "sem/NFe/202512/sem-nfe.xml" {
		t.Error(got)
	}
}

// readTable reads a CSV as Excel does: byte order mark, semicolons, CRLF.
func readTable(t *testing.T, raw []byte) [][]string {
	t.Helper()
	body, ok := bytes.CutPrefix(raw, []byte("\ufeff"))
	if !ok || bytes.Count(body, []byte("\n")) != bytes.Count(body, []byte("\r\n")) {
		t.Fatal("no byte order mark, or lines that do not end in CRLF")
	}
	r := csv.NewReader(bytes.NewReader(body))
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func BenchmarkZIP(b *testing.B) {
	docs := samples(b)[3:]
	const n = 500
	var size int64
	many := func(yield func(store.Exported) bool) {
		for i := range n {
			if e := docs[i%len(docs)]; !yield(e) {
				return
			}
		}
	}
	for i := range n {
		size += int64(len(docs[i%len(docs)].Body))
	}
	b.Run("export", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := ZIP(io.Discard, many); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			z := zip.NewWriter(io.Discard)
			for e := range many {
				f, err := z.Create(File(e.Document))
				if err == nil {
					_, err = f.Write(e.Body)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := z.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
