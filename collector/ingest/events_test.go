package ingest

import (
	"context"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/sat/cfe"
)

// cancellation is the CF-e that cancels a sale of a device.
func cancellation(t *testing.T, device, number int, sold []byte) []byte {
	t.Helper()
	sale, err := cfe.Parse(sold)
	if err != nil {
		t.Fatal(err)
	}
	in, err := cfe.ParseCancel([]byte(`<CFeCanc><infCFe chCanc="CFe` + string(sale.Key) + `"><ide><CNPJ>11444777000161</CNPJ><signAC>` +
		strings.Repeat("Ab", 172) + `</signAC><numeroCaixa>001</numeroCaixa></ide></infCFe></CFeCanc>`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := cfe.IssueCancel(in, sale, cfe.Emitter{UF: 35, CNPJ: "11222333000181", Name: "LOJA MODELO LTDA", Street: "Rua Direita", Number: "7",
		District: "Sé", City: "São Paulo", CEP: "01002000", IE: "123456789012", Regime: 3}, cfe.Stamp{Layout: "0.08", Serial: sale.Key.Serial(),
		Number: number, Random: number, Issued: sale.Issued.Add(time.Minute), Environment: 1, Software: "010203"}, factory().devices[device])
	if err != nil {
		t.Fatal(err)
	}
	return out.XML
}

// A sale that a second device made, and the first one too, is the shop's to cancel:
// until then, or for 30 days.
func TestIssuedTwice(t *testing.T) {
	first := sale(t, 0, 1, noon())
	detail := map[string]string{"case": "01020304/001/7", "session": "000123", "function": "EnviarDadosVenda"}
	known := map[string]string{"key": newShop(t).keyOf(first)}
	for k, v := range detail {
		known[k] = v
	}
	report := func(s *shop) {
		s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
		s.ingest(s.records(wire.StreamEvents, 1, event(wire.EventSecondDevice, detail))...)
		if _, ok := s.alarms()[alarm.IssuedTwice]; ok {
			t.Error("a sale made again is no sale issued twice yet")
		}
		s.ingest(s.records(wire.StreamDocuments, 2, document(first))...)
		s.ingest(s.records(wire.StreamEvents, 3, event(wire.EventIssuedTwice, known), event(wire.EventResolved, detail))...)
	}
	t.Run("cancelled", func(t *testing.T) {
		s := newShop(t)
		report(s)
		a := s.alarms()[alarm.IssuedTwice]
		if a.Severity != alarm.Critical || a.Subject != (alarm.Subject{Kind: alarm.OfDevice, ID: serial}) ||
			!strings.Contains(a.Detail, "equipamento 900000001, caso 01020304/001/7, cupom "+known["key"]) {
			t.Errorf("%+v", a)
		}
		s.ingest(s.records(wire.StreamDocuments, 5, document(cancellation(t, 0, 2, first)))...)
		if a, ok := s.alarms()[alarm.IssuedTwice]; ok {
			t.Errorf("still raised after the cancellation: %+v", a)
		}
	})
	t.Run("for 30 days", func(t *testing.T) {
		s := newShop(t)
		report(s)
		for _, c := range []struct {
			after time.Duration
			open  bool
		}{{29 * 24 * time.Hour, true}, {24 * time.Hour, false}} {
			s.pass(c.after)
			if err := s.g.Tick(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, ok := s.alarms()[alarm.IssuedTwice]; ok != c.open {
				t.Errorf("raised is %v at %v", ok, s.clock())
			}
		}
	})
}

// A sale borrowed from a neighbour has no device while nobody knows its outcome, and
// may have one when it is known.
func TestUnresolvedWithoutDevice(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	open := event(wire.EventUnresolved, map[string]string{"case": "01020304/001/8"})
	open.Serial = ""
	s.ingest(s.records(wire.StreamEvents, 1, open)...)
	if a := s.alarms()[alarm.CaseUnresolved]; a.Subject != (alarm.Subject{Kind: alarm.OfAgent, ID: agentID}) || !strings.Contains(a.Detail, "caso 01020304/001/8") {
		t.Errorf("%+v", a)
	}
	end := event(wire.EventResolved, map[string]string{"case": "01020304/001/8"})
	end.Serial = "900000003" // the neighbour's
	s.ingest(s.records(wire.StreamEvents, 2, end)...)
	if a, ok := s.alarms()[alarm.CaseUnresolved]; ok {
		t.Errorf("still raised: %+v", a)
	}
}

// A document that its agent has lost may come from anywhere.
func TestMissingComesFromElsewhere(t *testing.T) {
	raw := sale(t, 0, 2, noon())
	before := newShop(t).keyOf(sale(t, 0, 1, noon()))
	for _, reported := range []struct {
		name   string
		detail map[string]string
		serial string
	}{
		{"with key", map[string]string{"key": newShop(t).keyOf(raw)}, serial},
		{"with key, without device", map[string]string{"key": "CFe" + newShop(t).keyOf(raw)}, ""},
		{"without key", map[string]string{"key": "", "last-key": before}, serial},
		{"without key and device", map[string]string{"last-key": "CFe" + before}, ""},
	} {
		for from, bring := range map[string]func(*shop){
			"another agent": func(s *shop) {
				in := s.records(wire.StreamDocuments, 1, document(raw))
				for i := range in {
					in[i].Agent = "neighbour2345678"
				}
				s.ingest(in...)
			},
			"an import": func(s *shop) {
				if _, err := s.g.Import(context.Background(), File{Name: "AD.xml", Raw: raw}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(reported.name+", from "+from, func(t *testing.T) {
				s := newShop(t)
				missing := event(wire.EventDocumentMissing, reported.detail)
				missing.Serial = reported.serial
				s.ingest(s.records(wire.StreamEvents, 1, missing)...)
				if a, ok := s.alarms()[alarm.DocumentMissing]; !ok || strings.HasSuffix(a.Detail, "desde 10/12/2025 12:00.") {
					t.Fatalf("not raised, or does not say which: %+v", a)
				}
				bring(s)
				if reported.serial == "" { // judged with time alone
					if err := s.g.Tick(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				if a, ok := s.alarms()[alarm.DocumentMissing]; ok {
					t.Errorf("still raised: %+v", a)
				}
			})
		}
	}
	for name, detail := range map[string]map[string]string{"nothing known": {}, "a last key that is none": {"last-key": "35"}} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.ingest(s.records(wire.StreamEvents, 1, event(wire.EventDocumentMissing, detail))...)
			s.ingest(s.records(wire.StreamDocuments, 2, document(raw))...)
			if _, ok := s.alarms()[alarm.DocumentMissing]; !ok {
				t.Error("cleared by a document that may be any other")
			}
		})
	}
}
