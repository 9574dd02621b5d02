package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zelo/collector/ingest"
)

// TestVerdictsOnTheSamples: those of the samples' own description.
func TestVerdictsOnTheSamples(t *testing.T) {
	const folder = "../../shared/samples/xml"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("SKIP: the samples are not here: " + folder)
	}
	want := map[string]string{
		"satcfe__cancelarultimavenda__cfecanc-autorizado.xml": "recovered",
		"satcfe__enviardadosvenda__cfe-autorizado.xml":        "rejected: ",
		"satcfe__testefimafim__cfe-teste-assinado.xml":        "verified",
		"satcfe__testefimafim__raw-device.xml":                "verified",
		"satcomum__cfe_cancelamento.xml":                      "recovered",
		"satcomum__cfe_venda.xml":                             "rejected: ",
		"satextrato__cfe_cancelamento.xml":                    "recovered",
		"satextrato__cfe_venda.xml":                           "recovered",
	}
	lines := strings.Split(strings.TrimSpace(runs(t, "import", "--verify-only", folder)), "\n")
	entries, err := os.ReadDir(folder)
	if err != nil || len(lines) != len(entries) {
		t.Errorf("%d lines on %d files, %v", len(lines), len(entries), err)
	}
	for _, line := range lines {
		name, verdict, _ := strings.Cut(line, " ")
		expected := want[name]
		if expected == "" {
			expected = "unsigned: "
		}
		if verdict != expected && (!strings.HasSuffix(expected, ": ") || !strings.HasPrefix(verdict, expected) || len(verdict) < len(expected)+10) {
			t.Errorf("%s is %q, want %q", name, verdict, expected)
		}
	}
}

const note = `<?xml version="1.0" encoding="UTF-8"?><nfeProc xmlns="http://www.portalfiscal.inf.br/nfe" versao="4.00"><NFe><infNFe Id="NFe35251208723218000186650010000000071123456780" versao="4.00"><ide><cUF>35</cUF><cNF>12345678</cNF><mod>65</mod><serie>1</serie><nNF>7</nNF><dhEmi>2025-12-21T12:30:00-03:00</dhEmi><tpAmb>1</tpAmb></ide><emit><CNPJ>08723218000186</CNPJ></emit><total><ICMSTot><vNF>40.00</vNF></ICMSTot></total></infNFe></NFe><protNFe><infProt><cStat>100</cStat></infProt></protNFe></nfeProc>`

// archiveFolder is a folder as shops have them.
func archiveFolder(t *testing.T) (folder string, sale []byte) {
	t.Helper()
	folder = t.TempDir()
	sale = sells(t).XML
	for name, raw := range map[string][]byte{
		"2025/12/venda.xml": sale, "2025/12/COPIA.XML": sale, "2025/editada.xml": bytes.Replace(sale, []byte("Café"), []byte("Chá!"), 1),
		"nfce.xml": []byte(note), "vazio.xml": nil, "foto com espaço.xml": []byte("JFIF"), "leia.txt": []byte("x"),
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large, err := os.Create(filepath.Join(folder, "grande.xml"))
	if err == nil {
		err = errors.Join(large.Truncate(maxFile+1), large.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder, sale
}

func TestImport(t *testing.T) {
	collector := fresh(t)
	folder, sale := archiveFolder(t)
	want := map[string]string{
		"2025/12/venda.xml": "verified", "2025/12/COPIA.XML": "verified", "2025/editada.xml": "rejected: o conteúdo foi alterado",
		"nfce.xml": "kept", "vazio.xml": "rejected: ", "foto com espaço.xml": "rejected: ", "grande.xml": "rejected: o arquivo tem mais de 16 MB",
	}
	link := filepath.Join(t.TempDir(), "notas")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", link, "--verify-only"}, {"import", "-pasta", collector, folder}, {"import", "-pasta", collector, folder}} {
		var out, problem bytes.Buffer
		if err := dispatch(t.Context(), console{&out, &problem}, args); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != len(want) {
			t.Errorf("%d lines:\n%s", len(lines), &out)
		}
		for name, verdict := range want {
			if !strings.Contains("\n"+out.String(), "\n"+name+" "+verdict) {
				t.Errorf("%v: no line %q in\n%s", args, name+" "+verdict, &out)
			}
		}
		if !strings.HasPrefix(problem.String(), "7 arquivos: 2 conferem, 0 recuperados, 1 guardados sem verificar,") || !strings.Contains(problem.String(), " 1 sem a extensão .xml") {
			t.Error(problem.String())
		}
	}
	alarms := runs(t, "alarms", "-pasta", collector)
	if !strings.Contains(alarms, "atenção: registros em quarentena em arquivos importados: ") || strings.Contains(alarms, "assinatura inválida") {
		t.Errorf("the edited copy is no alarm while the original is there:\n%s", alarms)
	}
	path := filepath.Join(t.TempDir(), "x.csv")
	if out := runs(t, "export", "-pasta", collector, "-mes", "209901", "-o", path); out != "0 documentos em "+path+"\n" {
		t.Error(out)
	}
	if out := runs(t, "export", "-pasta", collector, "-o", path); out != "2 documentos em "+path+"\n" {
		t.Error(out)
	}
	if raw, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(raw, []byte("\ufeffchave;")) || len(sale) == 0 {
		t.Error(err)
	}
}

// TestImportInGroups: more files than one transaction takes, with a bar.
func TestImportInGroups(t *testing.T) {
	var out, bar bytes.Buffer
	im := newImporter(console{&out, &bar})
	im.bar = true
	folder := t.TempDir()
	for range longImport + 1 {
		f, err := os.CreateTemp(folder, "*.xml")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := im.find([]string{folder}); err != nil {
		t.Fatal(err)
	}
	var groups []int
	im.take = func(_ context.Context, files []ingest.File) ([]ingest.Verdict, error) {
		groups = append(groups, len(files))
		return make([]ingest.Verdict, len(files)), nil
	}
	if err := im.run(t.Context()); err != nil || len(groups) != 3 || groups[0] != groupFiles || groups[2] != 101 {
		t.Errorf("%v, %v", groups, err)
	}
	if n := strings.Count(out.String(), "\n"); n != longImport+1 || !strings.Contains(bar.String(), "[###########                   ] 200 de 501") {
		t.Errorf("%d lines, bar %q", n, bar.String())
	}
}

func TestImportCutOff(t *testing.T) {
	folder, _ := archiveFolder(t)
	gone := errors.New("disk gone")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		take func(context.Context, []ingest.File) ([]ingest.Verdict, error)
		want string
	}{
		"by the person": {ctx, nil, "interrompido depois de 0 de 7"},
		"by the store":  {t.Context(), func(context.Context, []ingest.File) ([]ingest.Verdict, error) { return nil, gone }, "disk gone"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			im := newImporter(console{&out, io.Discard})
			im.take = c.take
			if err := im.find([]string{folder}); err != nil {
				t.Fatal(err)
			}
			if err := im.run(c.ctx); err == nil || !strings.Contains(err.Error(), c.want) || out.Len() != 0 {
				t.Errorf("%v, printed %q", err, &out)
			}
		})
	}
}

// TestWholeFile: a file that could not be written whole does not appear.
func TestWholeFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.zip")
	gone := errors.New("disk gone")
	err := wholeFile(path, func(w io.Writer) error {
		io.WriteString(w, "half")
		return gone
	})
	if left, _ := os.ReadDir(folder); !errors.Is(err, gone) || len(left) != 0 {
		t.Errorf("%v, left %v", err, left)
	}
	if err := wholeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err }); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(path); string(raw) != "whole" || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
	if err := wholeFile(filepath.Join(folder, "no", "x"), nil); err == nil {
		t.Error("a folder that is not there")
	}
}
