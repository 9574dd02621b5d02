package ingest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
)

// feeding is how a rule is fed from what agents send, and from time alone, until its alarm
// is open, and how that ends. Nil is an end that only a person or another rule's test makes.
type feeding struct {
	code       alarm.Code
	raise, end func(*fedShop)
}

// fedShop sends what agents would.
type fedShop struct {
	*shop
	seq uint64
}

// send sends items of an agent on a stream.
func (s *fedShop) send(agent, stream string, items ...wire.Item) {
	s.t.Helper()
	in := s.records(stream, s.seq+1, items...)
	s.seq += uint64(len(items))
	s.from(agent, in)
}

func (s *fedShop) from(agent string, in []Incoming) {
	s.t.Helper()
	for i := range in {
		in[i].Agent = agent
	}
	s.ingest(in...)
}

// beats sends a beat of the agent with its device, changed.
func (s *fedShop) beats(change func(*wire.Beat)) {
	s.t.Helper()
	s.beatsFrom(agentID, serial, change)
}

func (s *fedShop) beatsFrom(agent, device string, change func(*wire.Beat)) {
	s.t.Helper()
	b := s.beat(wire.BeatDevice{Serial: device, Name: "SAT X", Answering: true})
	if change != nil {
		change(&b)
	}
	s.from(agent, s.pack(wire.StreamBeat, b))
}

// says sends a status of the device, changed.
func (s *fedShop) says(change func(*sat.Status)) {
	s.t.Helper()
	s.saysOf(agentID, serial, change)
}

func (s *fedShop) saysOf(agent, device string, change func(*sat.Status)) {
	s.t.Helper()
	item := status(s.clock(), func(st *sat.Status) { st.Serial = device; change(st) })
	item.Serial = device
	s.send(agent, wire.StreamStatus, item)
}

// tells sends what an agent knows of its computer.
func (s *fedShop) tells(agent string, in wire.Inventory) {
	s.t.Helper()
	in.Version = 3
	s.send(agent, wire.StreamStatus, wire.Item{Version: 3, Kind: wire.KindInventory, At: s.clock().UnixMilli(), Body: s.encode(in)})
}

func (s *fedShop) documents(raw ...[]byte) {
	s.t.Helper()
	for _, doc := range raw {
		s.send(agentID, wire.StreamDocuments, document(doc))
	}
}

// later lets time pass in which the agent goes on being heard.
func (s *fedShop) later(d time.Duration) {
	s.t.Helper()
	s.pass(d)
	s.beats(nil)
}

func (s *fedShop) open(code alarm.Code) bool {
	s.t.Helper()
	if err := s.g.Tick(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	_, open := s.alarms()[code]
	return open
}

// nfce is a note of series 1 of the shop; how is tpEmis.
func nfce(t testing.TB, number, how int, authorised bool, issued time.Time) []byte {
	t.Helper()
	key, err := cfe.NewKey(cfe.KeyParts{UF: 35, Issued: issued, CNPJ: "11222333000181", Model: 65, Series: 1, Number: number, Emission: how, Random: 5})
	if err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf(`<NFe xmlns="http://www.portalfiscal.inf.br/nfe"><infNFe versao="4.00" Id="%s"><ide><cUF>35</cUF><mod>65</mod><serie>1</serie><nNF>%d</nNF><dhEmi>%s</dhEmi><tpAmb>1</tpAmb></ide>`+
		`<emit><CNPJ>11222333000181</CNPJ><xNome>LOJA</xNome></emit><total><ICMSTot><vNF>9.60</vNF></ICMSTot></total></infNFe></NFe>`, key.ID(), number, issued.Format(time.RFC3339))
	if !authorised {
		return []byte(note)
	}
	return []byte(`<nfeProc versao="4.00">` + note + `<protNFe><infProt><chNFe>` + string(key) + `</chNFe><nProt>1</nProt><cStat>100</cStat></infProt></protNFe></nfeProc>`)
}

// cancels is the event that cancels a note.
func cancels(t testing.TB, note []byte) []byte {
	t.Helper()
	doc, err := cfe.Parse(note)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`<procEventoNFe versao="1.00"><evento><infEvento Id="ID110111` + string(doc.Key) + `01"><tpAmb>1</tpAmb><CNPJ>11222333000181</CNPJ><chNFe>` + string(doc.Key) +
		`</chNFe><dhEvento>2025-12-10T12:30:00-03:00</dhEvento><tpEvento>110111</tpEvento></infEvento></evento><retEvento><infEvento><cStat>135</cStat><chNFe>` + string(doc.Key) + `</chNFe></infEvento></retEvento></procEventoNFe>`)
}

// shops registers establishments, each with an agent and a device, and returns these.
func (s *fedShop) shops(establishments, tills int) (agents, devices []string) {
	s.t.Helper()
	err := s.store.Update(context.Background(), func(w *store.Writer) (err error) {
		for i := range establishments {
			root := fmt.Sprintf("%08d", i+1)
			cnpj := root + "000191"
			err = errors.Join(err, w.AddTaxpayer(store.Taxpayer{Root: root, Name: "Loja", Reseller: store.DefaultReseller, CreatedAt: s.clock()}),
				w.AddEstablishment(store.Establishment{CNPJ: cnpj, Root: root, Name: "Loja"}),
				w.AddToken(root, store.Token{Reseller: store.DefaultReseller, CNPJ: cnpj, Allowed: tills, ExpiresAt: s.clock().AddDate(1, 0, 0), CreatedAt: s.clock()}))
			for k := range tills {
				id := fmt.Sprintf("caixa%04dn%d", i, k)
				err = errors.Join(err, w.EnrolAgent(root, id, "pdv", s.clock()))
				agents, devices = append(agents, id), append(devices, fmt.Sprintf("9001%04d%d", i, k))
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for i, id := range agents {
		s.beatsFrom(id, devices[i], nil)
	}
	return agents, devices
}

// TestEveryRuleIsFed: no rule waits for facts that nobody sends.
func TestEveryRuleIsFed(t *testing.T) {
	seen := map[alarm.Code]bool{}
	for _, list := range [][]feeding{tillFeedings(), deviceFeedings(t), documentFeedings(t), noteFeedings(t), causeFeedings()} {
		for _, f := range list {
			seen[f.code] = true
			t.Run(string(f.code), func(t *testing.T) {
				s := &fedShop{shop: newShop(t)}
				s.g.o.Read = store.Contents{Sold: func([]byte) string { return "pão" }}
				s.beats(nil)
				if s.open(f.code) {
					t.Fatal("raised before anything is sent")
				}
				f.raise(s)
				if !s.open(f.code) {
					t.Fatalf("not raised, but %v", s.alarms())
				}
				if f.end == nil {
					return
				}
				f.end(s)
				if s.open(f.code) {
					t.Errorf("not over: %+v", s.alarms()[f.code])
				}
			})
		}
	}
	for _, r := range alarm.Rules() {
		if !seen[r.Code] {
			t.Errorf("nothing here feeds %s", r.Code)
		}
	}
}

// TestRefusedByABlock: the sales that a blocked device refuses are no alarm beside its block,
// but where nobody knows its status they are.
func TestRefusedByABlock(t *testing.T) {
	s := &fedShop{shop: newShop(t)}
	s.beats(nil)
	s.tells(agentID, wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: noon().Format("2006-01-02"), Rejected: 20, Codes: map[string]int{"06008": 20}}})
	if !s.open(alarm.SalesRejected) {
		t.Error("refusals that nothing explains are not told")
	}
	s.says(func(st *sat.Status) { st.State, st.LastContact = sat.StateBlockedAutonomous, noon().AddDate(0, 0, -12) })
	if s.open(alarm.SalesRejected) || !s.open(alarm.BlockedAutonomous) || len(s.alarms()) != 1 {
		t.Errorf("not the block alone: %v", s.alarms())
	}
	s.says(func(*sat.Status) {})
	if open := s.alarms(); len(open) != 0 {
		t.Errorf("after the block: %v", open)
	}
}

// week lets an incident be forgotten.
func week(s *fedShop) { s.later(7 * 24 * time.Hour) }

func tillFeedings() []feeding {
	happens := func(code alarm.Code, event string) feeding {
		return feeding{code, func(s *fedShop) {
			s.send(agentID, wire.StreamEvents, wire.Item{Version: 1, Kind: wire.KindEvent, At: s.clock().UnixMilli(), Code: event, Detail: map[string]string{"streams": "status"}})
		}, week}
	}
	told := func(code alarm.Code, bad, good wire.Inventory) feeding {
		return feeding{code, func(s *fedShop) { s.tells(agentID, bad) }, func(s *fedShop) { s.tells(agentID, good) }}
	}
	computer := func(code alarm.Code, c wire.Computer) feeding {
		return told(code, wire.Inventory{What: wire.InventoryComputer, Computer: &c}, wire.Inventory{What: wire.InventoryComputer, Computer: &wire.Computer{MemoryTotal: 100, MemoryFree: 50, Antivirus: wire.AntivirusOn}})
	}
	sales := func(code alarm.Code, bad wire.Sales) feeding {
		bad.Day = noon().Format("2006-01-02")
		good := wire.Sales{Day: bad.Day, Sold: 10000, P95: 100}
		return told(code, wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &bad}, wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &good})
	}
	library := func(l wire.Library, key string) wire.Inventory {
		return wire.Inventory{What: wire.InventoryLibrary, Key: key, Library: &l}
	}
	return []feeding{
		{alarm.AgentSilent, func(s *fedShop) { s.pass(15 * time.Minute) }, func(s *fedShop) { s.beats(nil) }},
		{alarm.BufferFilling, func(s *fedShop) { s.beats(func(b *wire.Beat) { b.Used, b.Bound = 9, 10 }) }, func(s *fedShop) { s.beats(nil) }},
		happens(alarm.RecordsEvicted, wire.EventEvicted), happens(alarm.RecordSetAside, wire.EventQuarantined), happens(alarm.BufferDamaged, wire.EventBufferDamaged),
		{alarm.AgentCloned, func(s *fedShop) {
			for i := range 2 {
				s.seq = 50
				s.send(agentID, wire.StreamEvents, event(wire.EventDeviceBack, map[string]string{"run": fmt.Sprint(i)}))
			}
		}, week},
		{alarm.AgentBehind, func(s *fedShop) {
			for _, other := range []string{"outrocaixa1", "outrocaixa2"} {
				s.from(other, s.pack(wire.StreamBeat, wire.Beat{Version: 1, Software: "1.1.0", Clock: s.clock().UnixMilli()}))
			}
			s.later(7 * 24 * time.Hour)
		}, func(s *fedShop) { s.beats(func(b *wire.Beat) { b.Software = "1.1.0" }) }},
		{alarm.ComputerClock, func(s *fedShop) { s.beats(func(b *wire.Beat) { b.Clock += 200_000 }) }, func(s *fedShop) { s.beats(nil) }},
		told(alarm.DiskFilling, wire.Inventory{What: wire.InventoryDisk, Key: "C:", Disk: &wire.Disk{Total: 100, Free: 2}}, wire.Inventory{What: wire.InventoryDisk, Key: "C:", Gone: true}),
		computer(alarm.MemoryLow, wire.Computer{MemoryTotal: 100, MemoryFree: 1}), computer(alarm.AntivirusOff, wire.Computer{Antivirus: wire.AntivirusOutdated}), computer(alarm.USBErrors, wire.Computer{USBErrors: 60}),
		told(alarm.AgentUnwell, wire.Inventory{What: wire.InventoryHealth, Health: &wire.Health{Panics: 9, Restarts: 3}}, wire.Inventory{What: wire.InventoryHealth, Health: &wire.Health{}}),
		told(alarm.MakersLibrary, library(wire.Library{Makers: true, Since: noon().Add(-2 * time.Hour).UnixMilli()}, "pdv.exe"), wire.Inventory{What: wire.InventoryLibrary, Key: "pdv.exe", Gone: true}),
		{alarm.LibraryUnseen, func(s *fedShop) {
			s.tells(agentID, library(wire.Library{Unseen: wire.UnseenDenied}, ""))
			s.later(90 * time.Minute)
		}, func(s *fedShop) { s.tells(agentID, library(wire.Library{}, "")) }},
		sales(alarm.SalesRejected, wire.Sales{Sold: 10, Rejected: 10, Codes: map[string]int{"06010/1234": 10}}), sales(alarm.SalesSlow, wire.Sales{Sold: 50, P95: 12_000}),
		{alarm.RecordsQuarantined, func(s *fedShop) { s.documents([]byte("<x/>")) }, nil},
		told(alarm.CompanyCertificate, wire.Inventory{What: wire.InventoryCertificate, Key: "ab", Certificate: &wire.Certificate{Holder: "LOJA", CNPJ: "11222333000181", Until: noon().AddDate(0, 0, 6).UnixMilli()}},
			wire.Inventory{What: wire.InventoryCertificate, Key: "ab", Gone: true}),
	}
}

func deviceFeedings(t *testing.T) []feeding {
	well := func(s *fedShop) { s.says(func(*sat.Status) {}) }
	says := func(code alarm.Code, change func(*sat.Status)) feeding {
		return feeding{code, func(s *fedShop) { s.says(change) }, well}
	}
	lasts := func(code alarm.Code, long time.Duration, change func(*sat.Status)) feeding {
		return feeding{code, func(s *fedShop) {
			s.says(change)
			s.later(long)
			s.says(change)
		}, well}
	}
	stage := func(s *fedShop, to alarm.Stage) {
		s.t.Helper()
		if err := s.store.Update(context.Background(), func(w *store.Writer) error {
			return w.SetStage(serial, store.StageOf{Stage: to, At: s.clock(), Who: "ana"})
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	yesterday := sale(t, 0, 1, noon().Add(-25*time.Hour))
	return []feeding{
		{alarm.DeviceNotAnswering, func(s *fedShop) {
			s.beats(func(b *wire.Beat) { b.Devices[0].Answering = false })
			s.pass(2 * time.Minute)
		}, func(s *fedShop) { s.beats(nil) }},
		{alarm.StatusOld, func(s *fedShop) { well(s); s.later(24 * time.Hour) }, well},
		says(alarm.BlockedByTaxOffice, func(st *sat.Status) { st.State = sat.StateBlockedSEFAZ }), says(alarm.BlockedByTaxpayer, func(st *sat.Status) { st.State = sat.StateBlockedContribuinte }),
		says(alarm.BlockedAutonomous, func(st *sat.Status) { st.State = sat.StateBlockedAutonomous }), says(alarm.BlockedDeactivation, func(st *sat.Status) { st.State = sat.StateBlockedDeactivation }),
		says(alarm.CertificateExpiring, func(st *sat.Status) { st.CertExpires = noon().AddDate(0, 0, 20) }), says(alarm.MemoryFilling, func(st *sat.Status) { st.MemoryUsed = sat.Size{Text: "3 GB"} }),
		says(alarm.NoContact, func(st *sat.Status) { st.LastContact = noon().Add(-25 * time.Hour) }), says(alarm.ClockOff, func(st *sat.Status) { st.Now = st.Now.Add(3 * time.Minute) }),
		{alarm.PendingOld, func(s *fedShop) {
			s.documents(yesterday)
			s.says(func(st *sat.Status) { st.PendingFirst, st.PendingLast = s.keyOf(yesterday), s.keyOf(yesterday) })
		}, well},
		{alarm.NotTransmitted, func(s *fedShop) {
			s.documents(yesterday)
			s.says(func(st *sat.Status) { st.LastSent = noon().Add(-30 * time.Hour) })
		}, func(s *fedShop) { s.says(func(st *sat.Status) { st.LastSent = noon() }) }},
		lasts(alarm.NetworkDown, time.Hour, func(st *sat.Status) { st.LAN = "NAO_CONECTADO" }), lasts(alarm.BatteryWeak, time.Hour, func(st *sat.Status) { st.Battery = "BAIXO" }),
		{alarm.SoftwareBehind, func(s *fedShop) {
			well(s)
			for i, other := range []string{"outrocaixa1", "outrocaixa2"} {
				device := fmt.Sprintf("90000010%d", i)
				s.beatsFrom(other, device, nil)
				s.saysOf(other, device, func(st *sat.Status) { st.Software = "01.02.00" })
			}
			s.later(30 * 24 * time.Hour)
		}, func(s *fedShop) { s.says(func(st *sat.Status) { st.Software = "01.02.00" }) }},
		{alarm.LostSeen, func(s *fedShop) { stage(s, alarm.Lost); s.later(time.Hour); well(s) }, func(s *fedShop) { stage(s, alarm.InUse) }},
		{alarm.IssuedOutside, func(s *fedShop) {
			direct := document(sale(t, 0, 1, noon()))
			direct.Detail = map[string]string{"direct": "1"}
			s.send(agentID, wire.StreamDocuments, direct)
		}, week},
	}
}

func documentFeedings(t *testing.T) []feeding {
	about := func(code string, detail map[string]string) func(*fedShop) {
		return func(s *fedShop) { s.send(agentID, wire.StreamEvents, event(code, detail)) }
	}
	missing := sale(t, 0, 7, noon())
	known := map[string]string{"case": "01/001/7", "key": newShop(t).keyOf(missing)}
	settles := func(s *fedShop) { s.later(16 * time.Minute) }
	return []feeding{
		{alarm.NumbersMissing, func(s *fedShop) {
			s.documents(sale(t, 0, 1, noon()), sale(t, 0, 3, noon().Add(time.Minute)))
			s.open("")
			s.later(time.Hour)
		}, func(s *fedShop) { s.documents(sale(t, 0, 2, noon())); settles(s) }},
		{alarm.NumbersDoubled, func(s *fedShop) { s.documents(sale(t, 0, 1, noon().AddDate(0, -1, 0)), sale(t, 0, 1, noon())) }, nil},
		{alarm.EmissionForbidden, func(s *fedShop) { s.pass(30 * 24 * time.Hour); s.documents(sale(t, 0, 1, s.clock())) }, nil},
		{alarm.SignatureInvalid, func(s *fedShop) { s.documents(edited(missing)) }, func(s *fedShop) { s.documents(missing) }},
		{alarm.DocumentMissing, about(wire.EventDocumentMissing, known), func(s *fedShop) { s.documents(missing) }},
		{alarm.CaseUnresolved, about(wire.EventUnresolved, known), about(wire.EventResolved, known)},
		{alarm.IssuedTwice, about(wire.EventIssuedTwice, known), func(s *fedShop) { s.documents(cancellation(t, 0, 8, missing)) }},
	}
}

func noteFeedings(t *testing.T) []feeding {
	at := func(minute int) time.Time { return noon().Add(time.Duration(minute) * time.Minute) }
	settles := func(s *fedShop) { s.later(16 * time.Minute) }
	on, off := nfce(t, 1, 1, true, at(0)), nfce(t, 1, 9, true, at(1))
	open, second := nfce(t, 1, 1, false, at(0)), nfce(t, 2, 1, true, at(3))
	return []feeding{
		{alarm.SeriesGapOpen, func(s *fedShop) { s.documents(on, nfce(t, 4, 1, true, at(2))); s.later(49 * time.Hour) },
			func(s *fedShop) { s.documents(second, nfce(t, 3, 1, true, at(2))); settles(s) }},
		{alarm.ContingencyOpen, func(s *fedShop) { s.documents(nfce(t, 1, 9, false, at(1))); s.later(3 * time.Hour) }, func(s *fedShop) { s.documents(off) }},
		{alarm.NoteUnknown, func(s *fedShop) { s.documents(open); settles(s) }, func(s *fedShop) { s.documents(on); settles(s) }},
		{alarm.NoteTwins, func(s *fedShop) { s.documents(on, off) }, func(s *fedShop) { s.documents(cancels(t, on)); settles(s) }},
		{alarm.NoteAgain, func(s *fedShop) { s.documents(open, second) }, func(s *fedShop) { s.documents(on, cancels(t, second)); settles(s) }},
	}
}

// causeFeedings are of what the tills of several shops, or of one, have in common.
func causeFeedings() []feeding {
	var agents, devices []string
	beat := func(s *fedShop) {
		for i, id := range agents {
			s.beatsFrom(id, devices[i], nil)
		}
	}
	silent := func(shops, tills int) func(*fedShop) {
		return func(s *fedShop) {
			agents, devices = s.shops(shops, tills)
			s.pass(15 * time.Minute)
		}
	}
	lost := func(contact time.Time) func(*fedShop) {
		return func(s *fedShop) {
			for i, id := range agents {
				s.saysOf(id, devices[i], func(st *sat.Status) { st.LastContact = contact })
			}
		}
	}
	refused := func(n int) func(*fedShop) {
		return func(s *fedShop) {
			for i, id := range agents {
				s.saysOf(id, devices[i], func(*sat.Status) {})
				s.tells(id, wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: noon().Format("2006-01-02"), Sold: 100 - n, Rejected: n}})
			}
		}
	}
	with := func(then func(*fedShop)) func(*fedShop) {
		return func(s *fedShop) { agents, devices = s.shops(5, 1); then(s) }
	}
	return []feeding{
		{alarm.ShopOffline, silent(1, 2), beat}, {alarm.CarrierDown, silent(5, 1), beat},
		{alarm.TaxOfficeDown, with(lost(noon().Add(-25 * time.Hour))), lost(noon())},
		{alarm.SoftwareFaulty, with(refused(50)), func(s *fedShop) {
			for _, id := range agents {
				s.tells(id, wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: noon().Format("2006-01-02"), Sold: 10000}})
			}
		}},
	}
}
