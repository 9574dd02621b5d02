package cfe

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// samples is the folder of real documents; it is not part of the repository.
const samples = "../../../shared/samples"

// sample returns a real document; the test is skipped where it is absent.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, "xml", name))
	if err != nil {
		t.Skip("SKIP: no sample documents in " + samples)
	}
	return b
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// device is the simulated device of all tests, its key kept in testdata so that
// its signatures never change.
func device(t testing.TB) *Signer {
	t.Helper()
	s, err := LoadSigner(testdata(t, "device.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// authority issued the device's certificate, valid from 2024 through 2028.
func authority(t testing.TB) *CA {
	t.Helper()
	ca, err := LoadCA(testdata(t, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func roots(t testing.TB) *x509.CertPool { return authority(t).Pool() }

func padaria() Emitter {
	return Emitter{
		UF: 35, CNPJ: "11222333000181", Name: "PADARIA MODELO LTDA", TradeName: "Pão & Cia", Street: "Rua Direita",
		Number: "7", District: "Sé", City: "São Paulo", CEP: "01002000", IE: "123456789012", IM: "98765", Regime: 3,
		Remarks: []Remark{{"Fisco", "mensagem da SEFAZ"}},
	}
}

// noon is when the test device issues.
func noon() time.Time { return time.Date(2025, 7, 18, 12, 0, 0, 0, brasilia()) }

func stamp(layout string, number int) Stamp {
	return Stamp{
		Layout: layout, Serial: "900000123", Number: number, Random: 123456, Issued: noon(),
		Environment: 2, Software: "010203",
	}
}

func rules(layout string) Rules {
	return Rules{Layout: layout, Emitter: padaria(), Now: noon(), Last: noon().Add(-time.Minute)}
}

// saleText is the test sale as an application of that layout sends it.
func saleText(t testing.TB, layout string) []byte {
	text := testdata(t, "venda.xml")
	text = bytes.Replace(text, []byte("00.08"), []byte(layout), 1)
	if layout != "0.08" {
		text = bytes.Replace(text, []byte("<CEST>1704700</CEST>"), nil, 1)
	}
	return text
}

func sale(t testing.TB, layout string) *SaleInput {
	t.Helper()
	in, err := ParseSale(saleText(t, layout))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// issued is the test sale, issued.
func issued(t testing.TB, layout string) Issued {
	t.Helper()
	out, err := Issue(sale(t, layout), padaria(), stamp(layout, 41), device(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cancelText(t testing.TB, key Key) []byte {
	return bytes.Replace(testdata(t, "cancelamento.xml"), []byte("CHAVE"), []byte(key.ID()), 1)
}

// cancelled is the cancellation of the test sale, three minutes later.
func cancelled(t testing.TB, layout string) Issued {
	t.Helper()
	doc, err := Parse(issued(t, layout).XML)
	if err != nil {
		t.Fatal(err)
	}
	in, err := ParseCancel(cancelText(t, doc.Key))
	if err != nil {
		t.Fatal(err)
	}
	st := stamp(layout, 42)
	st.Issued = st.Issued.Add(3 * time.Minute)
	out, err := IssueCancel(in, doc, padaria(), st, device(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
