package sat

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// samples is the folder of real replies; it is not part of the repository.
const samples = "../../shared/samples/responses"

// corpus returns the lines of one sample file per function whose name ends in
// kind, keyed by function.
func corpus(t *testing.T, kind string) map[Function][][]byte {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(samples, "*__respostas-"+kind+".txt"))
	if len(files) == 0 {
		t.Skipf("SKIP: no reply samples in %s", samples)
	}
	lines := map[Function][][]byte{}
	for _, file := range files {
		parts := strings.Split(filepath.Base(file), "__")
		f, ok := FunctionByName(parts[1])
		if !ok {
			t.Fatalf("%s: no function is called %q", file, parts[1])
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(raw) {
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				lines[f] = append(lines[f], bytes.ReplaceAll(line, []byte(`\n`), []byte("\n")))
			}
		}
	}
	return lines
}

func TestRealRepliesOfSuccess(t *testing.T) {
	for f, lines := range corpus(t, "de-sucesso") {
		for _, line := range lines {
			r, err := ParseReply(f, line)
			if err != nil {
				t.Errorf("%s: %v", f, err)
				continue
			}
			if !r.Code.Success() {
				t.Errorf("%s: code %s is not a success", f, r.Code)
			}
			if r.Function.CarriesDocument() {
				d, err := r.Document()
				if err != nil || len(d.Key) != 44 || !bytes.Contains(d.XML, []byte(d.Key)) {
					t.Errorf("%s: document not read: key %q, %v", r.Function, d.Key, err)
				}
			}
			if r.Function == ConsultarStatusOperacional {
				s, err := r.Status()
				if err != nil || len(s.Serial) != 9 || s.State != StateUnblocked || s.Now.IsZero() {
					t.Errorf("status not read: %+v, %v", s, err)
				}
				if _, ok := s.MemoryFraction(); !ok {
					t.Errorf("memory of %s not read: %+v %+v", s.Serial, s.MemoryTotal, s.MemoryUsed)
				}
			}
		}
	}
}

func TestRealRepliesOfFailure(t *testing.T) {
	for f, lines := range corpus(t, "de-falha") {
		for _, line := range lines {
			r, err := ParseReply(f, line)
			if err != nil {
				t.Errorf("%s: %v", f, err)
				continue
			}
			if r.Code.Success() || r.Message == "" {
				t.Errorf("%s: %q read as code %s, message %q", f, line, r.Code, r.Message)
			}
			if g, ok := r.Code.Function(); !ok || g != f {
				t.Errorf("%s: code %s belongs to %s", f, r.Code, g)
			}
			if r.Code.Text() == (Code(1)).Text() {
				t.Errorf("code %s has no text", r.Code)
			}
		}
	}
}

func TestMalformedSamplesAreRefused(t *testing.T) {
	for f, lines := range corpus(t, "invalidas") {
		for _, line := range lines {
			if r, err := ParseReply(f, line); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %q was read as code %s, %v", f, line, r.Code, err)
			}
		}
	}
}

// What a strict client reads out of our rewriting of every real reply must be
// what the device said.
func TestRealRepliesRewrittenForTheTill(t *testing.T) {
	for _, kind := range []string{"de-sucesso", "de-falha"} {
		for f, lines := range corpus(t, kind) {
			for _, line := range lines {
				r, err := ParseReply(f, line)
				if err != nil {
					t.Fatal(err)
				}
				out := r.Encode(123)
				again, err := ParseReply(f, out)
				if err != nil {
					t.Errorf("%s: rewritten reply %q does not parse: %v", f, out, err)
					continue
				}
				if again.Code != r.Code || again.Session != 123 || Plain(r.Message) != again.Message {
					t.Errorf("%s: %q became %q", f, line, out)
				}
				checkStrict(t, r.Function, out)
			}
		}
	}
}

// checkStrict applies the rules of the strictest clients known (dossier 2.1).
func checkStrict(t *testing.T, f Function, out []byte) {
	t.Helper()
	fields := strings.Split(string(out), "|")
	if len(fields[0]) != 6 || len(fields[1]) != 5 {
		t.Errorf("%s: session %q or code %q has the wrong width", f, fields[0], fields[1])
	}
	for _, b := range out {
		if b < 0x20 || b > 0x7E {
			t.Errorf("%s: byte 0x%02x in %q", f, b, out)
			break
		}
	}
	want := map[Function]int{EnviarDadosVenda: 12, CancelarUltimaVenda: 12, TesteFimAFim: 9,
		ConsultarStatusOperacional: 28, ExtrairLogs: 6}
	n, code := len(fields), fields[1]
	switch {
	case strings.HasSuffix(code, "000") && want[f] != 0:
		if n != want[f] {
			t.Errorf("%s: success with %d fields, want %d", f, n, want[f])
		}
	case f == AtivarSAT && (code == "04000" || code == "04006"):
		if n != 5 && n != 6 {
			t.Errorf("%s: %s with %d fields", f, code, n)
		}
	case f.Fiscal():
		if n != 6 {
			t.Errorf("%s: failure with %d fields, want 6: %s", f, n, out)
		}
	default:
		if n != 5 {
			t.Errorf("%s: %d fields, want 5: %s", f, n, out)
		}
	}
	if f.Fiscal() {
		if !isAlert(fields[2]) {
			t.Errorf("%s: CCCC %q", f, fields[2])
		}
	} else if isAlert(fields[2]) {
		t.Errorf("%s: message %q looks like CCCC", f, fields[2])
	}
}
