package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

func readLedger(t *testing.T, dir string) []sim.Record {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "issued.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var records []sim.Record
	for line := range bytes.Lines(raw) {
		var r sim.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// The folder makes the next process the same device: number, session memory, key,
// link, block, log. The former one is not closed, as if it had been killed.
func TestFolderOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	first := device(t, sim.Options{Dir: dir})
	first.set(sim.Settings{Online: new(false), Number: new(41)})
	sale := first.sell()
	first.want(18000, sat.TrocarCodigoDeAtivacao, "1", "outro-codigo", "outro-codigo")
	change := first.session
	second := device(t, sim.Options{Dir: dir, Code: "ignorado-1"})
	second.session = first.session
	if r := second.send(sattest.Request(sat.ConsultarNumeroSessao, 900, "2").WithArg(sat.CodeParam, "outro-codigo")); r.Code != 18000 || r.Session != change {
		t.Errorf("the last command is recovered as %s of %d", r.Code, r.Session)
	}
	if r := second.send(sattest.Sale(change).WithArg(sat.CodeParam, "outro-codigo")); r.Code != 6097 {
		t.Errorf("a session of the former process: %s", r.Code)
	}
	r := second.send(sattest.Cancel(901, sale.Key).WithArg(sat.CodeParam, "outro-codigo"))
	d, err := r.Document()
	if err != nil || cfe.Key(d.Key).Number() != 43 {
		t.Fatalf("%s: key %s, %v", r.Code, d.Key, err)
	}
	if string(signerOf(t, d)) != string(signerOf(t, sale)) {
		t.Error("another certificate")
	}
	if s, err := second.send(sattest.Request(sat.ConsultarStatusOperacional, 902).WithArg(sat.CodeParam, "outro-codigo")).Status(); err != nil || s.Connected() || s.PendingFirst != sale.Key {
		t.Errorf("status %+v, %v", s, err)
	}
	records := readLedger(t, dir)
	if len(records) != 2 || records[0].Key != sale.Key || !bytes.Equal(records[0].XML, sale.XML) || records[1].Cancels != sale.Key {
		t.Errorf("the list holds %d documents", len(records))
	}
}

// A made key and authority are kept too.
func TestFolderKeepsCertificates(t *testing.T) {
	dir := t.TempDir()
	var certs [2][]byte
	for i := range certs {
		s, err := sim.New(sim.Options{Dir: dir, Kind: sim.MFE, Serial: "230000123"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Call(context.Background(), sattest.Request(sat.EnviarDadosVenda, i+1,
			strings.NewReplacer("08723218000186", "14200166000166", "562377111111", "1234567890").Replace(sattest.SaleXML("1.00", ""))))
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.Document()
		if err != nil {
			t.Fatal(err)
		}
		v := cfe.Verify(d.XML, s.Roots())
		if !v.Trusted || v.Signer.Subject.SerialNumber != "230000123" || !strings.HasPrefix(v.Signer.Subject.CommonName, "CEARA SECRETARIA DA FAZENDA:") {
			t.Errorf("%+v", v)
		}
		certs[i] = v.Signer.Raw
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(certs[0], certs[1]) {
		t.Error("the second process has another certificate")
	}
}

// Every way the folder can be found after a kill.
func TestFolderAfterAKill(t *testing.T) {
	dir := t.TempDir()
	b := device(t, sim.Options{Dir: dir})
	first := b.sell()
	state, err := os.ReadFile(filepath.Join(dir, "device.json"))
	if err != nil {
		t.Fatal(err)
	}
	second := b.sell()
	list, err := os.ReadFile(filepath.Join(dir, "issued.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	half := len(list) - 100
	for _, c := range []struct {
		name        string
		state, list []byte
		last        string
		session     int // answered by ConsultarNumeroSessao
		failed      bool
	}{
		{"between document and state", state, list, second.Key, 2, false},
		{"amid a line of the list", state, list[:half], first.Key, 1, false},
		{"before the list's line end", state, list[:len(list)-1], first.Key, 1, false},
		{"state cut", state[:len(state)/2], list, "", 0, true},
		{"list damaged", state, append([]byte("x"), list...), "", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, raw := range map[string][]byte{"device.json": c.state, "issued.jsonl": c.list} {
				if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ca, signer := certificates()
			o := sim.Options{Dir: dir, CA: ca, Signer: signer, Clock: noon}
			if s, err := sim.New(o); c.failed {
				if err == nil || !strings.Contains(err.Error(), dir) {
					t.Errorf("opened: %v, %v", s, err)
				}
				return
			}
			b := device(t, o)
			if r := b.send(sattest.Request(sat.ConsultarNumeroSessao, 900, string(rune('0'+c.session)))); r.Code != 6000 || r.Session != c.session {
				t.Errorf("recovered %s of %d", r.Code, r.Session)
			}
			b.session = 900
			if s := b.status(); s.LastKey != c.last {
				t.Errorf("last key %s, want %s", s.LastKey, c.last)
			}
			d := b.sell()
			if want := cfe.Key(c.last).Number() + 1; cfe.Key(d.Key).Number() != want {
				t.Errorf("next nCFe %d, want %d", cfe.Key(d.Key).Number(), want)
			}
			if records := readLedger(t, dir); records[len(records)-1].Key != d.Key || records[len(records)-2].Key != c.last {
				t.Errorf("the list ends with %s", records[len(records)-1].Key)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	ca, signer := certificates()
	for name, o := range map[string]sim.Options{
		"kind":              {Kind: "ECF"},
		"serial":            {Serial: "12"},
		"layout":            {Layout: "0.09"},
		"software":          {Software: "1"},
		"environment":       {Environment: 3},
		"activation code":   {Code: "curto"},
		"memory":            {Memory: "elefante"},
		"without authority": {Signer: signer},
		"another's key":     {CA: ca, Signer: signer, Serial: "900000002"},
		"folder is a file":  {CA: ca, Signer: signer, Dir: os.Args[0]},
	} {
		if _, err := sim.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
