package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

const nfe = `xmlns="http://www.portalfiscal.inf.br/nfe"`

// note is an NFC-e without its protocol.
func note(t *testing.T) (text string, key cfe.Key) {
	t.Helper()
	key, err := cfe.NewKey(cfe.KeyParts{UF: 35, Issued: noon(), CNPJ: "11222333000181", Model: 65, Series: 1, Number: 200, Emission: 1, Random: 5})
	if err != nil {
		t.Fatal(err)
	}
	return `<NFe ` + nfe + `><infNFe versao="4.00" Id="` + key.ID() + `"><ide><cUF>35</cUF><mod>65</mod><serie>1</serie><nNF>200</nNF>` +
		`<dhEmi>2026-02-10T12:00:00-03:00</dhEmi><tpAmb>1</tpAmb></ide><emit><CNPJ>11222333000181</CNPJ><xNome>LOJA</xNome></emit>` +
		`<dest><CPF>` + cpf + `</CPF></dest><total><ICMSTot><vNF>9.60</vNF></ICMSTot></total></infNFe></NFe>`, key
}

// TestOtherModels are kept byte for byte and found, without any judgement of
// their signatures or dates.
func TestOtherModels(t *testing.T) {
	s := newShop(t)
	text, key := note(t)
	authorised := `<nfeProc ` + nfe + `>` + text + `<protNFe><infProt><chNFe>` + string(key) + `</chNFe><nProt>1</nProt><cStat>100</cStat></infProt></protNFe></nfeProc>`
	cancelled := `<procEventoNFe ` + nfe + ` versao="1.00"><evento><infEvento Id="ID110111` + string(key) + `01"><tpAmb>1</tpAmb><CNPJ>11222333000181</CNPJ>` +
		`<chNFe>` + string(key) + `</chNFe><dhEvento>2026-02-10T12:10:00-03:00</dhEvento><tpEvento>110111</tpEvento></infEvento></evento>` +
		`<retEvento><infEvento><cStat>135</cStat><nProt>2</nProt></infEvento></retEvento></procEventoNFe>`
	void := `<ProcInutNFe ` + nfe + `><inutNFe><infInut Id="ID35251122233300018165001000000201000000205"><tpAmb>1</tpAmb><cUF>35</cUF><ano>26</ano>` +
		`<CNPJ>11222333000181</CNPJ><mod>65</mod><serie>1</serie><nNFIni>201</nNFIni><nNFFin>205</nNFFin></infInut></inutNFe>` +
		`<retInutNFe><infInut><cStat>102</cStat><nProt>3</nProt></infInut></retInutNFe></ProcInutNFe>`
	verdicts, err := s.g.Import(context.Background(), File{"a-nfe.xml", []byte(text)}, File{"a-procNFe.xml", []byte(authorised)},
		File{"e.xml", []byte(cancelled)}, File{"i.xml", []byte(void)})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range verdicts {
		if v.String() != "kept" || v.Reason == "" {
			t.Errorf("file %d: %+v", i, v)
		}
	}
	s.view(func(r *store.Reader) error {
		list, err := r.Versions(string(key))
		if len(list) != 3 || list[0].Kind != string(cfe.Invoice) || !list[0].Best || list[1].Best || list[2].Kind != string(cfe.Event) || !list[2].Best {
			t.Errorf("%+v", list)
		}
		if list[0].Forbidden || list[0].Invalid || list[0].Serial != "" || list[0].Month() != "202602" {
			t.Errorf("%+v", list[0])
		}
		body, _ := r.Body(list[0].ID)
		if string(body) != authorised {
			t.Error("other bytes are kept")
		}
		found, _, err2 := r.Search(store.Search{Consumer: cpf})
		if len(found) != 1 || found[0].Key != string(key) {
			t.Errorf("%+v, %v", found, err2)
		}
		if c, _ := r.Counts(); c.Documents != 3 {
			t.Errorf("%+v", c)
		}
		return err
	})
	if open := s.alarms(); len(open) != 0 {
		t.Errorf("%v", open)
	}
}

func TestImport(t *testing.T) {
	s := newShop(t)
	good := sale(t, 0, 1, noon())
	verdicts, err := s.g.Import(context.Background(), File{"pasta/AD1.xml", good}, File{"vazio.xml", nil},
		File{"editado.xml", edited(sale(t, 0, 2, noon()))}, File{"foto.jpg", []byte{0xFF, 0xD8, 0xFF}})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(verdicts)
	for i, want := range []string{"verified", "rejected: ", "rejected: ", "rejected: "} {
		if v := verdicts[i].String(); !strings.HasPrefix(v, want) {
			t.Errorf("file %d: %s", i, v)
		}
	}
	list := s.stored(good)
	s.view(func(r *store.Reader) error {
		from, err := r.Arrivals(list[0].ID)
		if len(from) != 1 || from[0].File != "pasta/AD1.xml" || from[0].Agent != "" {
			t.Errorf("%+v", from)
		}
		quarantined, _ := r.Quarantined(10)
		if len(quarantined) != 2 || quarantined[0].Agent != "" {
			t.Errorf("%+v", quarantined)
		}
		agents, _ := r.Agents()
		if len(agents) != 0 {
			t.Errorf("an import made an agent: %+v", agents)
		}
		return err
	})
	open := s.alarms()
	if open[alarm.RecordsQuarantined].Subject.Kind != alarm.OfImports || open[alarm.SignatureInvalid].Subject.ID != serial || len(open) != 2 {
		t.Errorf("%s: %v", got, open)
	}
	s.view(func(r *store.Reader) error {
		d, err := r.Device(serial)
		if d.Documents != 2 || d.Agent != "" || d.Issuer != "11222333000181" {
			t.Errorf("%+v", d)
		}
		return err
	})
	s.store.Close()
	if _, err := s.g.Import(context.Background(), File{"x", good}); err == nil {
		t.Error("a closed store took a file")
	}
}
