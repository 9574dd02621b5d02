package ingest

import (
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// TestLogsOfDevices: what a log has gained is stored once, under its device, and only
// by the agent whose device it is.
func TestLogsOfDevices(t *testing.T) {
	s := newShop(t)
	log := func(of string, lines ...string) wire.Item {
		return wire.Item{Version: 3, Kind: wire.KindLog, Serial: of, At: noon().UnixMilli(), Body: []byte(strings.Join(lines, "\n"))}
	}
	const one, two, three = "20251210115800|SAT|info|ligado", "20251210115801|SAT-SEFAZ|erro|sem rede", "20251210115900|SAT|info|venda"
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	got := s.ingest(s.records(wire.StreamStatus, 1, log(serial, one, two, two), log(serial, two, two, three), log("900000009", one))...)
	if got.Stored != 2 || got.Quarantined != 1 || len(got.Acks) != 1 {
		t.Errorf("%+v", got)
	}
	if again := s.ingest(s.records(wire.StreamStatus, 1, log(serial, one, two, two))...); again.Duplicates != 1 {
		t.Errorf("sent again: %+v", again)
	}
	s.view(func(r *store.Reader) error {
		lines, err := r.Logs(store.LogSearch{Serial: serial, Limit: 10})
		if len(lines) != 4 || lines[0].Text != "venda" || lines[1] != lines[2] || lines[3].Process != "SAT" {
			t.Errorf("%+v", lines)
		}
		return err
	})
}

// TestForeignDocumentsBecomeAnAlarm: a device that its own agent saw issuing for
// somebody else is told of, as one that issued over the direct bridge.
func TestForeignDocumentsBecomeAnAlarm(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	outside := func(o wire.Outside) wire.Item {
		body, err := s.codec.Encode(wire.Inventory{Version: 3, What: wire.InventoryOutside, Key: serial, Outside: &o})
		if err != nil {
			t.Fatal(err)
		}
		return wire.Item{Version: 3, Kind: wire.KindInventory, At: noon().UnixMilli(), Body: body}
	}
	s.ingest(s.records(wire.StreamStatus, 1, outside(wire.Outside{Direct: 4}))...)
	if a, raised := s.alarms()[alarm.IssuedOutside]; raised {
		t.Errorf("calls of the direct bridge are told by their documents: %+v", a)
	}
	s.ingest(s.records(wire.StreamStatus, 2, outside(wire.Outside{Foreign: 3, First: noon().Add(-time.Hour).UnixMilli(), Last: noon().UnixMilli(), LastKey: "35"}))...)
	if a := s.alarms()[alarm.IssuedOutside]; a.Severity != alarm.Warning || !strings.Contains(a.Detail, "3 documentos por fora do agente") {
		t.Errorf("%+v", a)
	}
}

// TestBackToTheMakersLibrary: a program that loads a maker's library again is an alarm
// until it is gone, and so is that nobody can look.
func TestBackToTheMakersLibrary(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	const path = `C:\PDV\SAT.dll`
	seq := uint64(0)
	told := func(key string, l *wire.Library) map[alarm.Code]store.Alarm {
		t.Helper()
		body, err := s.codec.Encode(wire.Inventory{Version: 3, What: wire.InventoryLibrary, Key: key, Gone: l == nil, Library: l})
		if err != nil {
			t.Fatal(err)
		}
		seq++
		if got := s.ingest(s.records(wire.StreamStatus, seq, wire.Item{Version: 3, Kind: wire.KindInventory, At: noon().UnixMilli(), Body: body})...); got.Stored != 1 {
			t.Errorf("%+v", got)
		}
		return s.alarms()
	}
	if open := told("", &wire.Library{}); len(open) != 0 {
		t.Errorf("all was seen, and nothing: %+v", open)
	}
	if open := told("", &wire.Library{Unseen: wire.UnseenWide}); len(open) != 0 {
		t.Errorf("it may fail once: %+v", open)
	}
	s.pass(90 * time.Minute)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	if err := s.g.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := s.alarms(); open[alarm.LibraryUnseen].Severity != alarm.Notice {
		t.Errorf("%+v", open)
	}
	if open := told("", &wire.Library{}); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	recent := &wire.Library{Makers: true, Path: path, Since: noon().Add(31 * time.Minute).UnixMilli()}
	if open := told("pdv.exe", recent); len(open) != 0 {
		t.Errorf("whoever updates may put ours back: %+v", open)
	}
	if a := told("pdv.exe", &wire.Library{Makers: true, Path: path, Since: noon().Add(30 * time.Minute).UnixMilli()})[alarm.MakersLibrary]; a.Severity != alarm.Warning ||
		!strings.Contains(a.Detail, "pdv.exe") || !strings.Contains(a.Detail, path) {
		t.Errorf("%+v", a)
	}
	if open := told("pdv.exe", nil); len(open) != 0 {
		t.Errorf("%+v", open)
	}
}

// TestRenewedCertificate: a newer certificate of the same company ends the alarm of the
// old one, which nobody tells of again.
func TestRenewedCertificate(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	certificate := func(key string, days int) wire.Item {
		body, err := s.codec.Encode(wire.Inventory{Version: 3, What: wire.InventoryCertificate, Key: key, Certificate: &wire.Certificate{
			Holder: "LOJA", CNPJ: "11222333000181", HasKey: true, Until: noon().AddDate(0, 0, days).UnixMilli()}})
		if err != nil {
			t.Fatal(err)
		}
		return wire.Item{Version: 3, Kind: wire.KindInventory, At: noon().UnixMilli(), Body: body}
	}
	s.ingest(s.records(wire.StreamStatus, 1, certificate("old", 6))...)
	if _, raised := s.alarms()[alarm.CompanyCertificate]; !raised {
		t.Error("no alarm")
	}
	s.ingest(s.records(wire.StreamStatus, 2, certificate("new", 365))...)
	if a, still := s.alarms()[alarm.CompanyCertificate]; still {
		t.Errorf("still %+v", a)
	}
}
