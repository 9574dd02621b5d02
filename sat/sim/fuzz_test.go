package sim_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// Whatever a till passes, the reply follows the strict grammar, and a document is
// issued only with a success.
func FuzzCommand(f *testing.F) {
	key := strings.Repeat("1", 44)
	f.Add(uint8(sat.AtivarSAT), true, "1", taxpayer, "35")
	f.Add(uint8(sat.EnviarDadosVenda), false, sattest.SaleXML("10.00", "11144477735"), "", "")
	f.Add(uint8(sat.CancelarUltimaVenda), false, "CFe"+key, sattest.CancelXML(key), "")
	f.Add(uint8(sat.TesteFimAFim), false, sattest.SaleXML("0.01", ""), "", "")
	f.Add(uint8(sat.ConsultarNumeroSessao), false, "-1", "", "")
	f.Add(uint8(sat.ConfigurarInterfaceDeRede), false, "<config><tipoInter>ETHE</tipoInter><tipoLan>IPFIX</tipoLan><lanIP>1.2.3.4</lanIP></config>|||", "", "")
	f.Add(uint8(sat.AssociarAssinatura), true, "|", "\xff", "")
	f.Add(uint8(sat.TrocarCodigoDeAtivacao), false, "1", "99999999", "99999999")
	f.Add(uint8(sat.ComunicarCertificadoICPBRASIL), false, "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----", "", "")
	ca, signer := certificates()
	f.Fuzz(func(t *testing.T, number uint8, factory bool, a, b, c string) {
		fn := sat.Function(number%16 + 1)
		if fn == sat.AtivarSAT && (a == "2" || a == "3") {
			return // makes a key, which takes too long here
		}
		s, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: noon, Factory: factory})
		if err != nil {
			t.Fatal(err)
		}
		params := 0
		for _, p := range fn.Params() {
			if p.Name != sat.CodeParam {
				params++
			}
		}
		r, err := s.Call(context.Background(), sattest.Request(fn, 1, []string{a, b, c}[:params]...))
		if err != nil {
			t.Fatalf("%s: %v", fn, err)
		}
		sattest.CheckStrict(t, r.Function, r.Session, r.Raw)
		issued := s.Issued()
		if (len(issued) == 1) != (fn.Fiscal() && r.Code.Success()) {
			t.Fatalf("%s answers %s, %d documents issued", fn, r.Code, len(issued))
		}
		for _, one := range issued {
			if v := cfe.Verify(one.XML, s.Roots()); v.Signature != cfe.Verified {
				t.Fatalf("%+v", v)
			}
		}
	})
}

func FuzzControl(f *testing.F) {
	for _, line := range []string{`{"set":{"online":false,"state":3}}`, `{"script":{"do":"late","for":"1h"}}`, `{"list":true}`,
		`{"release":true}`, `{"plug":true}`, `{"set":{"number":-1}}`, `[]`, `{"set":null}`, "\x00", `{"script":{"do":"busy","nth":-9}}`} {
		f.Add(line)
	}
	ca, signer := certificates()
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "cert") || strings.ContainsAny(line, "\r\n") {
			return // a new certificate takes too long here; a line is one line
		}
		s, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: noon})
		if err != nil {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		ended := make(chan struct{})
		go func() { defer close(ended); sim.Converse(s, t.Context(), there) }()
		c := &controller{conn: here, lines: newLines(here)}
		if a := c.say(t, line); a.OK == (a.Error != "") {
			t.Fatalf("%q: %+v", line, a)
		}
		here.Close()
		<-ended
	})
}

// A folder damaged by whatever is refused or read, the same each time, and what
// is read of the documents issued stays there.
func FuzzFolder(f *testing.F) {
	ca, signer := certificates()
	f.Add([]byte(`{"stage":3,"code":"12345678","number":41,"sessions":[1,2]}`), []byte(`{"key":"1"}`+"\n"))
	f.Add([]byte(`{"replies":[null],"fiscal":{}}`), []byte(`{"key":"1"}`+"\n"+`{"key":`))
	f.Add([]byte(`null`), []byte("\n"))
	f.Add([]byte(``), []byte(`[]`+"\n"))
	f.Fuzz(func(t *testing.T, state, issued []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"device.json": state, "issued.jsonl": issued} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var found []int
		for range 2 {
			n := -1
			if s, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: noon, Dir: dir}); err == nil {
				n = len(s.Issued())
				s.Close()
			}
			found = append(found, n)
		}
		if found[0] != found[1] {
			t.Fatalf("%d documents, then %d", found[0], found[1])
		}
	})
}
