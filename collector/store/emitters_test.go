package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// brings makes an agent bring a coupon of each emitter, in one transaction, each by
// a device of its own.
func brings(t *testing.T, s *Store, agent string, emitters ...string) {
	t.Helper()
	update(t, s, func(w *Writer) error {
		for i, cnpj := range emitters {
			d, body := issuedBy(cnpj, "9"+cnpj[:5]+cnpj[11:14], 1, t0)
			d.Key = strings.Replace(d.Key, "11111111000191", cnpj, 1)
			packed := s.Pack(body)
			id, _, err := w.AddDocument(d, packed)
			if err != nil {
				return err
			}
			if _, err := w.AddArrival(Record{Agent: agent, Epoch: cnpj, Stream: "d", Seq: uint64(i), SHA256: packed.SHA256, At: t0}, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestIdentify: a till is identified by itself only by what leaves no doubt.
func TestIdentify(t *testing.T) { eachEngine(t, testIdentify) }

func testIdentify(t *testing.T, s *Store) {
	twoResellers(t, s)
	for i, c := range []struct {
		name        string
		emitters    []string
		want        string
		may, hidden int
	}{
		{"one of its own reseller's", []string{"11111111000191"}, "11111111000191", 0, 0},
		{"two branches", []string{"11111111000191", "11111111000272"}, "", 2, 0},
		{"one of nobody's", []string{"77777777000191"}, "", 1, 0},
		{"one of another reseller's", []string{"22222222000191"}, "", 0, 1},
		{"of many", []string{"11111111000191", "22222222000191", "77777777000191"}, "", 2, 1},
		{"none yet", nil, "", 0, 0},
	} {
		agent := fmt.Sprintf("agent%03d", i)
		enrolled(t, s, agent, 1, "")
		brings(t, s, agent, c.emitters...)
		err := s.View(context.Background(), OfReseller(1), func(r *Reader) error {
			a, err := r.Agent(agent)
			if a.CNPJ != c.want {
				t.Errorf("%s: identified as %q", c.name, a.CNPJ)
			}
			list, err2 := r.Unidentified()
			found := false
			for _, u := range list {
				found = found || u.ID == agent
				if u.ID == agent && (len(u.May) != c.may || u.Hidden != c.hidden) {
					t.Errorf("%s: proposed %+v", c.name, u)
				}
			}
			if found != (c.want == "") {
				t.Errorf("%s: waits: %v", c.name, found)
			}
			return errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for scope, want := range map[Scope]string{All(): "77777777000191", OfReseller(1): "77777777000191", OfReseller(2): ""} {
		err := s.View(context.Background(), scope, func(r *Reader) error {
			list, err := r.Emitters()
			got := ""
			for _, e := range list {
				got += e.CNPJ
			}
			if got != want || want != "" && strings.Join(list[0].Tills, " ") != "agent002 agent004" {
				t.Errorf("%+v: emitters of nobody's %+v", scope, list)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	update(t, s, func(w *Writer) error { // what waited for it is identified now
		return w.AddTaxpayer(Taxpayer{Root: "77777777", Name: "SETE", Reseller: 1, CreatedAt: t0})
	})
	view(t, s, func(r *Reader) error {
		a, err := r.Agent("agent002")
		if a.CNPJ != "77777777000191" {
			t.Errorf("after its emitter was registered: %q", a.CNPJ)
		}
		list, err2 := r.Emitters()
		if len(list) != 0 {
			t.Errorf("still of nobody's: %+v", list)
		}
		return errors.Join(err, err2)
	})
}

// TestIdentifyByDevice: a new computer in a known device's shop.
func TestIdentifyByDevice(t *testing.T) { eachEngine(t, testIdentifyByDevice) }

func testIdentifyByDevice(t *testing.T, s *Store) {
	twoResellers(t, s)
	d, body := issuedBy("11111111000191", "900000001", 1, t0)
	add(t, s, d, body)
	for agent, reseller := range map[string]int64{"agent001": 1, "agent002": 2} {
		enrolled(t, s, agent, reseller, "")
		update(t, s, func(w *Writer) error {
			return w.SetBeat(Beat{Agent: Agent{ID: agent, BeatAt: t0}, Devices: []BeatDevice{{Serial: "900000001", Answering: true}}})
		})
	}
	view(t, s, func(r *Reader) error {
		ours, err := r.Agent("agent001")
		theirs, err2 := r.Agent("agent002")
		if ours.CNPJ != "11111111000191" || theirs.CNPJ != "" {
			t.Errorf("identified as %q and %q", ours.CNPJ, theirs.CNPJ)
		}
		return errors.Join(err, err2)
	})
}

// TestSharedTill: who is served by a till of another sees that it lives, and their own
// devices at it, and nothing else of it.
func TestSharedTill(t *testing.T) { eachEngine(t, testSharedTill) }

func testSharedTill(t *testing.T, s *Store) {
	twoResellers(t, s)
	enrolled(t, s, "agent001", 1, "11111111000191")
	brings(t, s, "agent001", "11111111000191", "22222222000191")
	mine, theirs := "922222191", "911111191"
	rec := Record{Agent: "agent001", Epoch: "x", Stream: "events", SHA256: [32]byte{1}, At: t0}
	update(t, s, func(w *Writer) error {
		beat := Beat{Agent: Agent{ID: "agent001", Host: "balcão", BeatAt: t0}, Devices: []BeatDevice{{Serial: theirs, Answering: true}, {Serial: "955555555"}}}
		raised := func(code alarm.Code) []alarm.Raised {
			return []alarm.Raised{{Code: code, Severity: alarm.Warning, Step: 1, Detail: "x", Since: t0}}
		}
		return errors.Join(w.SetBeat(beat),
			w.AddEvent(Event{Agent: "agent001", Serial: theirs, Code: "device-gone", At: t0, ReceivedAt: t0}, rec),
			w.AddEvent(Event{Agent: "agent001", Serial: mine, Code: "device-gone", At: t0, ReceivedAt: t0}, rec),
			w.AddEvent(Event{Agent: "agent001", Code: "evicted", At: t0, ReceivedAt: t0}, rec),
			w.Quarantine(Quarantined{Agent: "agent001", Reason: "?", ReceivedAt: t0}, s.Pack([]byte("?"))),
			w.AddCertificate(Certificate{Serial: "c1", Agent: "agent001", IssuedAt: t0, ExpiresAt: t0}),
			w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, append(raised(alarm.AgentSilent), raised(alarm.RecordsQuarantined)...), t0),
			w.SetAlarms(alarm.Subject{Kind: alarm.OfDevice, ID: theirs}, raised(alarm.MemoryFilling), t0))
	})
	update(t, s, func(w *Writer) error {
		return w.NameEstablishment(Establishment{CNPJ: "11111111000191", Name: "Armazém"})
	})
	err := s.View(context.Background(), OfReseller(1), func(r *Reader) error {
		own, err := r.Till("agent001")
		if own.Agent.Shop != "Armazém" {
			t.Errorf("its own reseller sees the shop %q", own.Agent.Shop)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(context.Background(), OfReseller(2), func(r *Reader) error {
		tills, err := r.Tills()
		if len(tills) != 2 || tills[0].Agent.Shop != "" || tills[0].Agent.Host != "balcão" || tills[0].Agent.CNPJ != "" || tills[0].Agent.Reseller != 0 || len(tills[0].Devices) != 0 {
			t.Errorf("tills: %+v", tills) // the till, and the device whose agent never reported it
		}
		one, err2 := r.Till("agent001")
		if len(one.Devices) != 0 || len(one.Alarms) != 1 || one.Alarms[0].Code != alarm.AgentSilent || one.Agent.CNPJ != "" {
			t.Errorf("the till: %+v", one)
		}
		events, err3 := r.EventsOf("agent001", 9)
		if len(events) != 1 || events[0].Serial != mine {
			t.Errorf("events: %+v", events)
		}
		records, err4 := r.Quarantined(9)
		certificates, err5 := r.Certificates("agent001")
		agents, err6 := r.Agents()
		if len(records)+len(certificates)+len(agents) != 0 {
			t.Errorf("of another's till: %+v %+v %+v", records, certificates, agents)
		}
		return errors.Join(err, err2, err3, err4, err5, err6)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEndedTokens: a token enrols within count and date, until somebody ends it.
func TestEndedTokens(t *testing.T) { eachEngine(t, testEndedTokens) }

func testEndedTokens(t *testing.T, s *Store) {
	twoResellers(t, s)
	update(t, s, func(w *Writer) error {
		return errors.Join(w.AddEstablishment(Establishment{CNPJ: "11111111000191", Root: "11111111", Name: "UM"}), w.AddToken("shop", Token{Reseller: 1, CNPJ: "11111111000191", Label: "loja", Allowed: 3, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}),
			w.EnrolAgent("shop", "agent001", "pdv1", t0), w.EnrolAgent("shop", "agent002", "pdv2", t0.Add(time.Minute)))
	})
	err := s.View(context.Background(), OfReseller(1), func(r *Reader) error {
		list, err := r.Tokens()
		agents, err2 := r.Enrolled(list[0].ID)
		if len(list) != 1 || list[0].Used != 2 || len(agents) != 2 || agents[0].Host != "pdv1" || !list[0].Standing(t0) || list[0].Standing(t0.Add(time.Hour)) {
			t.Errorf("%+v %+v", list, agents)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(context.Background(), OfReseller(2), func(r *Reader) error {
		if _, err := r.Token(1); !errors.Is(err, ErrNotFound) {
			t.Errorf("another reseller's token: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(w *Writer) error { return w.EndToken(1, t0) })
	err = s.Update(context.Background(), func(w *Writer) error { return w.EnrolAgent("shop", "agent003", "pdv3", t0) })
	if !errors.Is(err, ErrTokenExpired) {
		t.Errorf("an ended token enrols: %v", err)
	}
}
