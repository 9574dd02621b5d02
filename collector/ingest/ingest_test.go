package ingest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

func TestDocumentIsStoredAndAcknowledged(t *testing.T) {
	s := newShop(t)
	raw := sale(t, 0, 1, noon())
	item := document(raw)
	got := s.ingest(s.records(wire.StreamDocuments, 7, item)...)
	if got.Stored != 1 || got.Quarantined != 0 || !acked(got.Acks, wire.StreamDocuments, 7, s.encode(item)) {
		t.Fatalf("%+v", got)
	}
	if a := got.Acks[0]; a.StoreEpoch != wire.Epoch(s.store.Epoch()) || a.Time != noon().UnixMilli() || a.Version != wire.Version {
		t.Errorf("%+v", a)
	}
	list := s.stored(raw)
	if len(list) != 1 {
		t.Fatalf("%d versions", len(list))
	}
	d := list[0]
	if d.Verdict != "verified" || d.Reason != "" || d.Rank != 55 || len(d.Checks) != 3 || d.Forbidden || d.Invalid || d.Consumer != cpf ||
		d.Serial != serial || d.Month() != "202512" || !d.Issued.Equal(noon()) || d.Model != 59 {
		t.Errorf("%+v", d)
	}
	for _, c := range d.Checks {
		if c.Verdict != "verified" || c.Reason != "" {
			t.Errorf("check %+v", c)
		}
	}
	s.view(func(r *store.Reader) error {
		body, err := r.Body(d.ID)
		if !bytes.Equal(body, raw) {
			t.Error("other bytes are stored")
		}
		from, _ := r.Arrivals(d.ID)
		if len(from) != 1 || from[0].Agent != agentID || from[0].Till != "001" || from[0].Seq != 7 || !from[0].AgentAt.Equal(noon()) || from[0].Epoch != epoch.String() {
			t.Errorf("came as %+v", from)
		}
		return err
	})
	if len(s.alarms()) != 0 {
		t.Errorf("alarms %v", s.alarms())
	}
}

// TestDuplicatesAndOrder: whatever comes twice or late changes nothing, and is
// acknowledged again.
func TestDuplicatesAndOrder(t *testing.T) {
	s := newShop(t)
	var payloads [][]Incoming
	for i := range 6 {
		payloads = append(payloads, s.records(wire.StreamDocuments, uint64(i+1), document(sale(t, 0, i+1, noon()))))
	}
	slices.Reverse(payloads)
	for _, p := range payloads {
		s.ingest(p...)
	}
	for _, p := range payloads {
		if got := s.ingest(p...); got.Stored != 0 || got.Duplicates != 1 || len(got.Acks) != 1 {
			t.Errorf("again: %+v", got)
		}
	}
	if got := s.ingest(append(slices.Clone(payloads[0]), payloads[0]...)...); got.Duplicates != 2 {
		t.Errorf("twice in one group: %+v", got)
	}
	fresh := s.records(wire.StreamDocuments, 9, document(sale(t, 1, 1, noon())))
	if got := s.ingest(append(slices.Clone(fresh), fresh...)...); got.Stored != 1 || got.Duplicates != 1 || len(got.Acks) != 2 {
		t.Errorf("new and twice in one group: %+v", got)
	}
	if c := s.counts(); c.Documents != 7 || c.Versions != 7 || c.Quarantined != 0 {
		t.Errorf("%+v", c)
	}
	// The same document from another place in the stream is no new version.
	if got := s.ingest(s.records(wire.StreamDocuments, 50, document(sale(t, 0, 1, noon())))...); got.Stored != 1 || s.counts().Versions != 7 {
		t.Errorf("%+v, %+v", got, s.counts())
	}
}

// TestLargeMessage comes in parts, which may come in any order.
func TestLargeMessage(t *testing.T) {
	s := newShop(t)
	noise := rand.NewChaCha8([32]byte{1})
	items := []wire.Item{document(sale(t, 0, 1, noon()))}
	for range 4 {
		body := make([]byte, 200<<10)
		noise.Read(body)
		items = append(items, document(body))
	}
	parts := s.records(wire.StreamDocuments, 1, items...)
	if len(parts) < 3 {
		t.Fatalf("%d parts", len(parts))
	}
	slices.Reverse(parts)
	results, err := s.g.Ingest(context.Background(), parts)
	if err != nil {
		t.Fatal(err)
	}
	last := results[len(results)-1]
	if !results[0].Unfinished || last.Stored != 1 || last.Quarantined != len(items)-1 || len(last.Acks[0].Records) != len(items) {
		t.Errorf("%+v", results)
	}
}

func TestClonedAgent(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	s.ingest(s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())))...)
	item := document(sale(t, 0, 2, noon()))
	got := s.ingest(s.records(wire.StreamDocuments, 1, item)...)
	if got.Stored != 1 || !acked(got.Acks, wire.StreamDocuments, 1, s.encode(item)) {
		t.Errorf("%+v", got)
	}
	if s.counts().Documents != 2 {
		t.Errorf("%+v", s.counts())
	}
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	if a := s.alarms()[alarm.AgentCloned]; a.Severity != alarm.Critical || a.Subject.ID != agentID {
		t.Errorf("%+v", a)
	}
	s.pass(8 * 24 * time.Hour)
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	if a, ok := s.alarms()[alarm.AgentCloned]; ok {
		t.Errorf("still raised: %+v", a)
	}
}

// TestQuarantine: every way of damage is kept as it came, told, and when it is a
// record, acknowledged.
func TestQuarantine(t *testing.T) {
	good := newShop(t)
	whole := sale(t, 0, 1, noon())
	batch := func(s *shop, data []byte) Incoming {
		return s.pack(wire.StreamDocuments, wire.Batch{Version: 1, Epoch: epoch, Records: []wire.Record{{Seq: 1, Data: data}}})[0]
	}
	item := func(i wire.Item) func(*shop) (Incoming, []byte) {
		return func(s *shop) (Incoming, []byte) { return batch(s, s.encode(i)), s.encode(i) }
	}
	payload := func(stream string, raw []byte) func(*shop) (Incoming, []byte) {
		return func(s *shop) (Incoming, []byte) { return Incoming{agentID, stream, raw, s.now}, raw }
	}
	packed := good.records(wire.StreamDocuments, 1, document(whole))[0].Payload
	for name, c := range map[string]struct {
		make    func(*shop) (Incoming, []byte)
		payload bool // the whole payload is not understood
		says    string
	}{
		"payload empty":         {payload(wire.StreamDocuments, nil), true, "não pôde ser lida"},
		"payload junk":          {payload(wire.StreamDocuments, []byte("GET / HTTP/1.1")), true, "não pôde ser lida"},
		"payload cut":           {payload(wire.StreamDocuments, packed[:len(packed)-9]), true, "não pôde ser lida"},
		"payload flipped":       {payload(wire.StreamDocuments, flip(packed, len(packed)/2)), true, "não pôde ser lida"},
		"beat junk":             {payload(wire.StreamBeat, []byte{0xFF}), true, "não pôde ser lida"},
		"batch as beat":         {payload(wire.StreamBeat, packed), true, "não pôde ser lida"},
		"unknown stream":        {payload("filmes", []byte("x")), true, "canal"},
		"record empty":          {func(s *shop) (Incoming, []byte) { return batch(s, nil), nil }, false, "o registro não pôde ser lido"},
		"record junk":           {func(s *shop) (Incoming, []byte) { return batch(s, []byte("junk")), []byte("junk") }, false, "o registro não pôde ser lido"},
		"record of other type":  {func(s *shop) (Incoming, []byte) { b := s.encode([]int{1}); return batch(s, b), b }, false, "o registro não pôde ser lido"},
		"kind of the future":    {item(wire.Item{Kind: "hologram", Body: []byte("x")}), false, "não é conhecido"},
		"kind missing":          {item(wire.Item{}), false, "não é conhecido"},
		"document empty":        {item(document(nil)), false, ""},
		"document not XML":      {item(document([]byte("CF-e?"))), false, ""},
		"document cut":          {item(document(whole[:len(whole)/2])), false, ""},
		"document with entity":  {item(document([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa">]><CFe>&a;</CFe>`))), false, ""},
		"document deep":         {item(document([]byte(strings.Repeat("<CFe>", 5000)))), false, ""},
		"document two roots":    {item(document(append(bytes.Clone(whole), whole...))), false, ""},
		"document UTF-16":       {item(document([]byte("\xff\xfe<\x00C\x00"))), false, ""},
		"sale before the SAT":   {item(document([]byte(`<CFe><infCFe versaoDadosEnt="0.08"><ide/></infCFe></CFe>`))), false, "entrada do aplicativo"},
		"another XML":           {item(document([]byte(`<html/>`))), false, "não é um documento fiscal"},
		"status junk":           {item(wire.Item{Kind: wire.KindStatus, Body: []byte("no separators")}), false, "status"},
		"status short":          {item(wire.Item{Kind: wire.KindStatus, Body: []byte("1|10000|ok|||1|2")}), false, "status"},
		"status without serial": {item(func() wire.Item { i := status(noon(), func(s *sat.Status) { s.Serial = "" }); i.Serial = ""; return i }()), false, "não diz de que"},
		"event without code":    {item(wire.Item{Kind: wire.KindEvent}), false, "não é conhecido"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			in, raw := c.make(s)
			got := s.ingest(in)
			if got.Quarantined != 1 || got.Stored != 0 {
				t.Fatalf("%+v", got)
			}
			if !c.payload && !acked(got.Acks, wire.StreamDocuments, 1, raw) {
				t.Errorf("not acknowledged: %+v", got.Acks)
			}
			s.view(func(r *store.Reader) error {
				list, err := r.Quarantined(10)
				if len(list) != 1 || list[0].Agent != agentID || list[0].Reason == "" || !strings.Contains(list[0].Reason, c.says) {
					t.Fatalf("%+v", list)
				}
				body, berr := r.QuarantinedBody(list[0].ID)
				if !bytes.Equal(body, raw) || berr != nil {
					t.Errorf("other bytes are kept: %d of %d, %v", len(body), len(raw), berr)
				}
				return err
			})
			if _, ok := s.alarms()[alarm.RecordsQuarantined]; !ok {
				t.Error("no alarm")
			}
			if again := s.ingest(in); c.payload != (again.Quarantined == 1) || !c.payload && again.Duplicates != 1 || s.counts().Quarantined != 1 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x55
	return b
}

// TestOneBadRecord does not keep its neighbours from being stored.
func TestOneBadRecord(t *testing.T) {
	s := newShop(t)
	got := s.ingest(s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())), document([]byte("junk")), document(sale(t, 0, 2, noon())))...)
	if got.Stored != 2 || got.Quarantined != 1 || len(got.Acks[0].Records) != 3 {
		t.Errorf("%+v", got)
	}
}

// TestInvalidSignature: stored and told, until the original comes.
func TestInvalidSignature(t *testing.T) {
	s := newShop(t)
	original := sale(t, 0, 1, noon())
	got := s.ingest(s.records(wire.StreamDocuments, 1, document(edited(original)))...)
	if got.Stored != 1 || got.Quarantined != 0 {
		t.Fatalf("%+v", got)
	}
	if d := s.stored(original)[0]; d.Verdict != "rejected" || d.Reason == "" || !d.Invalid || d.Rank != 0 {
		t.Errorf("%+v", d)
	}
	if a := s.alarms()[alarm.SignatureInvalid]; a.Severity != alarm.Critical || a.Subject.ID != serial {
		t.Errorf("%+v", a)
	}
	s.ingest(s.records(wire.StreamDocuments, 2, document(original))...)
	list := s.stored(original)
	if len(list) != 2 || !list[0].Best || list[0].Verdict != "verified" || list[1].Best {
		t.Errorf("%+v", list)
	}
	if _, ok := s.alarms()[alarm.SignatureInvalid]; ok {
		t.Error("still raised although the original came")
	}
}

// TestOddNames: what a document or an agent calls things does not get far.
func TestOddNames(t *testing.T) {
	s := newShop(t)
	odd := bytes.Replace(sale(t, 0, 1, noon()), []byte("<nserieSAT>900000001"), []byte("<nserieSAT>not a device"), 1)
	long := strings.Repeat("x", 5000)
	beat := s.beat(wire.BeatDevice{Serial: "1", Name: long})
	beat.Host = long
	s.ingest(append(s.pack(wire.StreamBeat, beat), s.records(wire.StreamDocuments, 1, document(odd))...)...)
	if d := s.stored(odd)[0]; d.Verdict != "rejected" || d.Serial != "" {
		t.Errorf("%+v", d)
	}
	s.view(func(r *store.Reader) error {
		tills, err := r.Tills()
		if len(tills) != 1 || len(tills[0].Agent.Host) != 200 || len(tills[0].Devices[0].Name) != 200 {
			t.Errorf("%d tills", len(tills))
		}
		return err
	})
}

// TestForgedByOtherCertificate: a right signature of an unknown authority is
// never preferred to the genuine document.
func TestForgedByOtherCertificate(t *testing.T) {
	s := newShop(t)
	other, err := New(Options{Store: s.store, Log: s.g.o.Log, Now: s.clock}) // trusts nobody
	if err != nil {
		t.Fatal(err)
	}
	raw := sale(t, 0, 1, noon())
	if _, err := other.Ingest(context.Background(), s.records(wire.StreamDocuments, 1, document(raw))); err != nil {
		t.Fatal(err)
	}
	if d := s.stored(raw)[0]; d.Verdict != "verified" || d.Rank != 40 || d.Checks[2].Verdict == "verified" {
		t.Errorf("%+v", d)
	}
	indented := bytes.Replace(raw, []byte("<ide>"), []byte("\n  <ide>"), 1)
	s.ingest(s.records(wire.StreamDocuments, 2, document(indented))...)
	if d := s.stored(raw)[0]; d.Verdict != "recovered" || d.Rank != 45 || !d.Best {
		t.Errorf("the version of a known device must be shown: %+v", d)
	}
}

func TestForbiddenEmission(t *testing.T) {
	newYear := time.Date(2026, 1, 1, 0, 0, 0, 0, sat.Brasilia())
	for name, c := range map[string]struct {
		raw  []byte
		want bool
	}{
		"last second of 2025": {sale(t, 0, 1, newYear.Add(-time.Second)), false},
		"production in 2026":  {sale(t, 0, 2, newYear), true},
		"test in 2026":        {issue(t, 0, 3, newYear, 2, strings.Repeat("Ab", 172)), false},
		"development signAC":  {issue(t, 0, 4, newYear, 1, "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT"), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.ingest(s.records(wire.StreamDocuments, 1, document(c.raw))...)
			if s.stored(c.raw)[0].Forbidden != c.want {
				t.Errorf("forbidden is %v", !c.want)
			}
			if _, ok := s.alarms()[alarm.EmissionForbidden]; ok != c.want {
				t.Errorf("alarm: %v", ok)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	s := newShop(t)
	here := wire.BeatDevice{Serial: serial, Name: "simulador", Answering: true}
	beat := s.beat(here)
	beat.Clock = s.clock().Add(-10 * time.Minute).UnixMilli() // the till's clock is 10 minutes slow
	s.ingest(s.pack(wire.StreamBeat, beat)...)
	tillTime := noon().Add(-10 * time.Minute)
	item := status(noon().Add(2*time.Second), func(st *sat.Status) {
		st.State, st.CertExpires, st.PendingFirst, st.PendingLast = sat.StateBlockedAutonomous, noon().AddDate(0, 0, 20), "35"+strings.Repeat("1", 42), "35"+strings.Repeat("2", 42)
		st.MemoryUsed = sat.Size{Text: "3500 MB"}
	})
	item.At = tillTime.UnixMilli()
	if got := s.ingest(s.records(wire.StreamStatus, 1, item)...); got.Stored != 1 || len(got.Acks) != 1 || got.Acks[0].Stream != wire.StreamStatus {
		t.Fatalf("%+v", got)
	}
	s.view(func(r *store.Reader) error {
		d, err := r.Device(serial)
		st := d.Status
		if !bytes.Equal(st.Reply, item.Body) || st.Block != alarm.Autonomous || st.State != "bloqueio autônomo" || st.Memory < 0.85 || st.Memory > 0.86 ||
			st.ClockOff != 2*time.Second || !st.ClockKnown || d.PendingSince.IsZero() || !st.CertExpires.Equal(midnight(noon().AddDate(0, 0, 20))) {
			t.Errorf("%+v", d)
		}
		return err
	})
	open := s.alarms()
	for _, code := range []alarm.Code{alarm.BlockedAutonomous, alarm.CertificateExpiring, alarm.MemoryFilling} {
		if _, ok := open[code]; !ok {
			t.Errorf("%s is not raised: %v", code, open)
		}
	}
	if a := open[alarm.CertificateExpiring]; a.Severity != alarm.Warning || !strings.Contains(a.Detail, "daqui a 20 dias") {
		t.Errorf("%+v", a)
	}
	s.ingest(s.records(wire.StreamStatus, 2, status(noon(), func(*sat.Status) {}))...)
	if open := s.alarms(); len(open) != 2 || open[alarm.ClockOff].Code == "" || open[alarm.ComputerClock].Code == "" { // its item says that the till's clock is right now
		t.Errorf("open %v", open)
	}
}

func midnight(t time.Time) time.Time {
	y, m, d := t.In(sat.Brasilia()).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, sat.Brasilia())
}

func TestStatusOddities(t *testing.T) {
	s := newShop(t)
	refused := wire.Item{Kind: wire.KindStatus, Serial: serial, At: noon().UnixMilli(), Body: []byte("000001|10001|código de ativação inválido||")}
	unknown := status(noon(), func(st *sat.Status) { st.State, st.StateText = sat.StateUnknown, "HIBERNANDO" })
	if got := s.ingest(s.records(wire.StreamStatus, 1, refused, unknown)...); got.Stored != 2 || got.Quarantined != 0 {
		t.Errorf("%+v", got)
	}
	s.view(func(r *store.Reader) error {
		events, err := r.EventsOf(agentID, 5)
		if len(events) != 1 || events[0].Code != eventStatusRefused || events[0].Detail["code"] != "10001" {
			t.Errorf("%+v", events)
		}
		d, err2 := r.Device(serial)
		if d.Status.State != "estado desconhecido (HIBERNANDO)" || d.Status.Block != alarm.Unblocked || d.Status.ClockKnown {
			t.Errorf("%+v, %v", d.Status, err2)
		}
		return err
	})
	for state, want := range map[sat.State]alarm.Block{sat.StateUnblocked: alarm.Unblocked, sat.StateBlockedSEFAZ: alarm.ByTaxOffice,
		sat.StateBlockedContribuinte: alarm.ByTaxpayer, sat.StateBlockedAutonomous: alarm.Autonomous, sat.StateBlockedDeactivation: alarm.ForDeactivation} {
		if got := statusOf(sat.Status{State: state}, wire.Item{}); got.Block != want {
			t.Errorf("%v became %v", state, got.Block)
		}
	}
}

// TestSilence: time alone raises alarms, and hearing of the till ends them.
func TestSilence(t *testing.T) {
	s := newShop(t)
	tick := func() map[alarm.Code]store.Alarm {
		t.Helper()
		if err := s.g.Tick(context.Background()); err != nil {
			t.Fatal(err)
		}
		return s.alarms()
	}
	beat := func(answering bool) {
		s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: answering}))...)
	}
	beat(true)
	s.ingest(s.records(wire.StreamStatus, 1, status(noon(), func(*sat.Status) {}))...)
	if open := tick(); len(open) != 0 {
		t.Errorf("%v", open)
	}
	beat(false)
	s.pass(3 * time.Minute)
	beat(false)
	if open := tick(); open[alarm.DeviceNotAnswering].Severity != alarm.Warning {
		t.Errorf("%v", open)
	}
	s.pass(25 * time.Hour)
	open := tick()
	if a := open[alarm.AgentSilent]; a.Severity != alarm.Warning || a.Subject.ID != agentID {
		t.Errorf("%v", open)
	}
	if a := open[alarm.DeviceNotAnswering]; a.Behind != alarm.AgentSilent || a.Severity != alarm.Warning || len(open) != 2 {
		t.Errorf("%v", open)
	}
	beat(true)
	open = s.alarms()
	if _, ok := open[alarm.AgentSilent]; ok || open[alarm.StatusOld].Severity != alarm.Warning {
		t.Errorf("%v", open)
	}
}

func TestEvents(t *testing.T) {
	s := newShop(t)
	raw := sale(t, 0, 1, noon())
	key := s.keyOf(raw)
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	s.ingest(s.records(wire.StreamEvents, 1,
		event(wire.EventDocumentMissing, map[string]string{"key": "CFe" + key}),
		event(wire.EventUnresolved, map[string]string{"case": "001/5"}),
		event(wire.EventBufferDamaged, map[string]string{"lost": "3 registros"}),
		event(wire.EventEvicted, map[string]string{"stream": "status", "count": "9"}),
		event("of-the-future", map[string]string{"x": "y"}))...)
	open := s.alarms()
	for _, code := range []alarm.Code{alarm.DocumentMissing, alarm.CaseUnresolved, alarm.BufferDamaged, alarm.RecordsEvicted} {
		if _, ok := open[code]; !ok {
			t.Errorf("%s is not raised", code)
		}
	}
	for code, says := range map[alarm.Code]string{alarm.DocumentMissing: "O último: " + key + ".", alarm.CaseUnresolved: "caso 001/5.",
		alarm.BufferDamaged: "O que se perdeu: 3 registros.", alarm.RecordsEvicted: "O último: 9 registros de status."} {
		if !strings.HasSuffix(open[code].Detail, says) {
			t.Errorf("%s: %q", code, open[code].Detail)
		}
	}
	if got := s.ingest(s.records(wire.StreamDocuments, 1, document(raw))...); got.Stored != 1 {
		t.Errorf("%+v", got)
	}
	s.ingest(s.records(wire.StreamEvents, 6, event(wire.EventResolved, map[string]string{"case": "001/5"}))...)
	open = s.alarms()
	for _, code := range []alarm.Code{alarm.DocumentMissing, alarm.CaseUnresolved} {
		if _, ok := open[code]; ok {
			t.Errorf("%s is still raised", code)
		}
	}
	s.view(func(r *store.Reader) error {
		events, err := r.EventsOf(agentID, 10)
		if len(events) != 6 {
			t.Errorf("%d events", len(events))
		}
		return err
	})
}

func (s *shop) keyOf(raw []byte) string {
	i := bytes.Index(raw, []byte(`Id="CFe`)) + len(`Id="CFe`)
	return string(raw[i : i+44])
}

// database opens the store's file beside it.
func (s *shop) database() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { db.Close() })
	return db
}

// TestRefusedByTheStore: a record the database will not take goes into
// quarantine alone.
func TestRefusedByTheStore(t *testing.T) {
	s := newShop(t)
	poison := sale(t, 0, 13, noon())
	db := s.database()
	for _, q := range []string{
		fmt.Sprintf(`CREATE TRIGGER poison BEFORE INSERT ON documents WHEN NEW.key = '%s' BEGIN SELECT RAISE(ABORT, 'poison'); END`, s.keyOf(poison)),
		`CREATE TRIGGER venom BEFORE UPDATE ON agents WHEN NEW.host = 'venom' BEGIN SELECT RAISE(ABORT, 'venom'); END`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	venom := s.beat()
	venom.Host = "venom"
	var in []Incoming
	in = append(in, s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())))...)
	in = append(in, s.records(wire.StreamDocuments, 2, document(sale(t, 0, 2, noon())), document(poison), document(sale(t, 0, 3, noon())))...)
	in = append(in, s.pack(wire.StreamBeat, venom)...)
	in = append(in, s.records(wire.StreamDocuments, 5, document(sale(t, 0, 4, noon())))...)
	got := s.ingest(in...)
	if got.Stored != 4 || got.Quarantined != 2 {
		t.Errorf("%+v", got)
	}
	for seq, raw := range map[uint64][]byte{1: sale(t, 0, 1, noon()), 2: sale(t, 0, 2, noon()), 3: poison, 4: sale(t, 0, 3, noon()), 5: sale(t, 0, 4, noon())} {
		if !acked(got.Acks, wire.StreamDocuments, seq, s.encode(document(raw))) {
			t.Errorf("record %d is not acknowledged", seq)
		}
	}
	if c := s.counts(); c.Documents != 4 || c.Quarantined != 2 {
		t.Errorf("%+v", c)
	}
}

// TestRefusedWhateverItIs: what the database will not take goes into quarantine and is
// acknowledged, also when it is no document.
func TestRefusedWhateverItIs(t *testing.T) {
	s := newShop(t)
	s.ingest(s.pack(wire.StreamBeat, s.beat(wire.BeatDevice{Serial: serial, Answering: true}))...)
	disk := s.encode(wire.Inventory{Version: wire.Version, What: wire.InventoryDisk, Key: "poison", Disk: &wire.Disk{Total: 9}})
	for i, c := range []struct {
		table string
		item  wire.Item
	}{
		{`inventory WHEN NEW.key = 'poison'`, wire.Item{Kind: wire.KindInventory, Body: disk}},
		{`device_logs WHEN NEW.line = 'poison'`, wire.Item{Kind: wire.KindLog, Serial: serial, Body: []byte("20251210115800|SAT|info|poison")}},
	} {
		if _, err := s.database().Exec(fmt.Sprintf(`CREATE TRIGGER poison%d BEFORE INSERT ON %s BEGIN SELECT RAISE(ABORT, 'poison'); END`, i, c.table)); err != nil {
			t.Fatal(err)
		}
		c.item.Version, c.item.At = wire.Version, noon().UnixMilli()
		for range 2 { // it comes again when the acknowledgement was lost
			got := s.ingest(s.records(wire.StreamStatus, uint64(1+i), c.item)...)
			if got.Stored != 0 || !acked(got.Acks, wire.StreamStatus, uint64(1+i), s.encode(c.item)) {
				t.Errorf("%s: %+v", c.table, got)
			}
		}
		if n := len(s.quarantined()); n != 1+i {
			t.Errorf("%s: %d in quarantine", c.table, n)
		}
	}
}

// dropping takes a trigger away when the log says something.
type dropping struct {
	db   *sql.DB
	when string
}

func (d dropping) Write(line []byte) (int, error) {
	if strings.Contains(string(line), d.when) {
		if _, err := d.db.Exec(`DROP TRIGGER down`); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

// TestStoreDownForMoments: a store that takes nothing, and takes everything again just
// when a record is alone, was no fault of the record: it is not quarantined.
func TestStoreDownForMoments(t *testing.T) {
	s := newShop(t)
	db := s.database()
	if _, err := db.Exec(`CREATE TRIGGER down BEFORE INSERT ON agents BEGIN SELECT RAISE(ABORT, 'connection lost'); END;
		CREATE TRIGGER probe BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'connection lost'); END`); err != nil {
		t.Fatal(err)
	}
	s.g.o.Log = slog.New(slog.NewTextHandler(dropping{db, "quarantined"}, nil))
	in := s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())))
	if results, err := s.g.Ingest(context.Background(), in); err == nil {
		t.Errorf("a good document was not stored as one: %+v", results)
	}
	if n := len(s.quarantined()); n != 0 {
		t.Errorf("%d in quarantine", n)
	}
}

// TestStoreDown: a store that takes nothing acknowledges nothing and loses
// nothing.
func TestStoreDown(t *testing.T) {
	s := newShop(t)
	db := s.database()
	if _, err := db.Exec(`CREATE TRIGGER down BEFORE INSERT ON agents BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	in := s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())))
	results, err := s.g.Ingest(context.Background(), in)
	if err == nil || results != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	if _, err := db.Exec(`DROP TRIGGER down`); err != nil {
		t.Fatal(err)
	}
	if got := s.ingest(in...); got.Stored != 1 || len(got.Acks) != 1 {
		t.Errorf("sent again: %+v", got)
	}
	s.store.Close()
	if _, err := s.g.Ingest(context.Background(), in); err == nil {
		t.Error("a closed store took a record")
	}
	if err := s.g.Tick(context.Background()); err == nil {
		t.Error("a closed store was judged")
	}
}

func TestSamplesAreImported(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "samples", "xml")
	want := map[string]string{
		"satcfe__testefimafim__raw-device.xml": "verified", "satcfe__testefimafim__cfe-teste-assinado.xml": "verified",
		"satcfe__cancelarultimavenda__cfecanc-autorizado.xml": "recovered", "satextrato__cfe_cancelamento.xml": "recovered",
		"satextrato__cfe_venda.xml": "recovered", "satcomum__cfe_cancelamento.xml": "recovered",
		"satcfe__enviardadosvenda__cfe-autorizado.xml": "rejected: ", "satcomum__cfe_venda.xml": "rejected: ",
		"satcfe__cancelarultimavenda__cfecanc.xml": "unsigned: ", "satcfe__enviardadosvenda__cfe.xml": "unsigned: ",
		"satcfe__testefimafim__cfe-teste.xml": "unsigned: ", "satcfe__configurarinterfacederede__conf-rede.xml": "unsigned: ",
		"satcfe__configurarinterfacederede__conf-rede-min.xml": "unsigned: ",
	}
	var files []File
	for name := range want {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Skip("SKIP: no sample documents in ../shared/samples")
		}
		files = append(files, File{name, raw})
	}
	s := newShop(t)
	verdicts, err := s.g.Import(context.Background(), files...)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		got := verdicts[i].String()
		if w := want[f.Name]; got != w && !(strings.HasSuffix(w, " ") && strings.HasPrefix(got, w) && len(got) > len(w)) {
			t.Errorf("%s: %s, expected %s", f.Name, got, w)
		}
	}
	if c := s.counts(); c.Versions != 7 || c.Quarantined != 5 { // two of the files are the same bytes
		t.Errorf("%+v", c)
	}
	again, err := s.g.Import(context.Background(), files...)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(verdicts) {
		t.Errorf("again: %v, %v", again, err)
	}
	if c := s.counts(); c.Versions != 7 || c.Quarantined != 5 {
		t.Errorf("again: %+v", c)
	}
}
