package store

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

func factsOf(t *testing.T, s *Store, kind alarm.Kind, id string, now time.Time) (f alarm.Facts) {
	t.Helper()
	view(t, s, func(r *Reader) (err error) { f, err = r.Facts(alarm.Subject{Kind: kind, ID: id}, now); return err })
	return f
}

func TestChain(t *testing.T) {
	month := func(ranges ...held) monthNumbers { return monthNumbers{held: ranges} }
	r := func(from, to int) held { return held{From: from, To: to, Since: int64(from)} }
	anew := func(h held) held { h.Anew = true; return h }
	void := func(h held) held { h.Void = true; return h }
	for _, c := range []struct {
		name    string
		months  []monthNumbers
		gaps    string
		doubled int
	}{
		{"nothing", nil, "", 0},
		{"one after another", []monthNumbers{month(r(1, 9)), month(r(10, 19))}, "", 0},
		{"a gap within", []monthNumbers{month(r(1, 9), r(12, 19))}, "10-11", 0},
		{"a gap between", []monthNumbers{month(r(1, 9)), month(r(12, 19))}, "10-11", 0},
		{"a month is missing", []monthNumbers{month(r(1, 9)), month(r(100, 109))}, "10-99", 0},
		{"mixed at the turn", []monthNumbers{month(r(1, 9), r(11, 11)), month(r(10, 10), r(12, 19))}, "", 0},
		{"a number twice", []monthNumbers{month(r(1, 9)), month(r(9, 19))}, "", 1},
		{"began anew", []monthNumbers{month(r(1, 50)), month(r(1, 20))}, "", 0},
		{"began anew below", []monthNumbers{month(r(500, 600)), month(r(1, 20))}, "", 0},
		{"began anew within", []monthNumbers{month(r(1, 50), anew(r(1, 9)), r(12, 20))}, "10-11", 0},
		{"declared unused", []monthNumbers{month(r(1, 9)), month(r(12, 19), void(r(10, 11)))}, "", 0},
		{"declared unused and used", []monthNumbers{month(r(1, 9)), month(r(10, 19), void(r(3, 8)))}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			gaps, doubled, _ := chain(c.months)
			var words []string
			for _, g := range gaps {
				words = append(words, fmt.Sprintf("%d-%d", g.From, g.To))
			}
			if strings.Join(words, " ") != c.gaps || doubled != c.doubled {
				t.Errorf("%v, %d doubled", words, doubled)
			}
		})
	}
}

// TestNumbersByMonth: a gap is known from the months that changed alone.
func TestNumbersByMonth(t *testing.T) { eachEngine(t, testNumbersByMonth) }

func testNumbersByMonth(t *testing.T, s *Store) {
	refresh := func(at time.Time) (n int) {
		t.Helper()
		n, err := s.RefreshNumbers(context.Background(), at, 100, Contents{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sell := func(number int, issued time.Time) {
		t.Helper()
		d, body := sample("900000001", number, issued)
		add(t, s, d, body)
	}
	before := t0.AddDate(0, -1, 0)
	for n := 1; n <= 5; n++ {
		sell(n, before.Add(time.Duration(n)*time.Minute))
	}
	for _, n := range []int{8, 9, 12} {
		sell(n, t0.Add(time.Duration(n)*time.Minute))
	}
	if n := refresh(t0); n != 2 {
		t.Errorf("%d months read", n)
	}
	f := factsOf(t, s, alarm.OfDevice, "900000001", t0)
	if g := f.Device.Gaps; g.Count != 4 || g.Example != "000010 a 000011, 000006 a 000007" || !g.First.Equal(t0) {
		t.Errorf("%+v", g)
	}
	if f.Device.Daily == 0 {
		t.Error("nothing sold")
	}
	for _, n := range []int{6, 7, 10} {
		sell(n, t0.Add(time.Duration(n)*time.Minute))
	}
	if n := refresh(t0.Add(numbersRest - time.Second)); n != 0 {
		t.Errorf("%d months read again too soon", n)
	}
	if n := refresh(t0.Add(numbersRest)); n != 1 {
		t.Errorf("%d months read, one changed", n)
	}
	if g := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device.Gaps; g.Count != 1 || g.Example != "000011" || !g.First.Equal(t0) {
		t.Errorf("%+v", g)
	}
	sell(11, t0.Add(11*time.Minute))
	refresh(t0.Add(time.Hour))
	if g := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device.Gaps; g.Count != 0 {
		t.Errorf("%+v", g)
	}
	foreign, body := sample("900000001", 500, t0)
	foreign.Issuer, foreign.Key = "99999999000191", "99"+foreign.Key[2:]
	add(t, s, foreign, body)
	refresh(t0.Add(2 * time.Hour))
	if g := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device.Gaps; g.Count != 0 {
		t.Errorf("another's document with the device's number counts: %+v", g)
	}
}

func TestInventory(t *testing.T) { eachEngine(t, testInventory) }

func testInventory(t *testing.T, s *Store) {
	told := func(agent string, seq uint64, th Thing) {
		t.Helper()
		update(t, s, func(w *Writer) error {
			if err := w.Heard(agent, t0); err != nil {
				return err
			}
			return w.SetThing(th, Record{Agent: agent, Epoch: "e", Stream: "status", Seq: seq, At: t0})
		})
	}
	told("agent001", 1, Thing{What: WhatDisk, Key: "C:", Body: Disk{Total: 100, Free: 50}})
	told("agent001", 3, Thing{What: WhatDisk, Key: "C:", Body: Disk{Total: 100, Free: 7}})
	told("agent001", 2, Thing{What: WhatDisk, Key: "C:", Body: Disk{Total: 100, Free: 60}}) // came late
	told("agent001", 4, Thing{What: WhatDisk, Key: "D:", Body: Disk{Total: 100, Free: 1}})
	told("agent001", 5, Thing{What: WhatDisk, Key: "D:", Gone: true})
	told("agent001", 6, Thing{What: WhatComputer, Body: Computer{MemoryTotal: 10, MemoryFree: 2, Antivirus: "off", USBErrors: 3}})
	told("agent001", 7, Thing{What: WhatHealth, Body: Health{Panics: 2}})
	told("agent001", 8, Thing{What: WhatLibrary, Key: "pdv.exe", Body: Library{Makers: true, Path: `C:\SAT\SAT.dll`, Since: t0.Add(-time.Hour).UnixMilli()}})
	told("agent001", 9, Thing{What: WhatLibrary, Body: Library{Unseen: "wide"}})
	update(t, s, func(w *Writer) error {
		for i, n := range []int{5, 9, 7} { // what is told later of a day is more
			if err := w.SetTillDay(TillDay{Agent: "agent001", Till: "001", Day: t0.AddDate(0, 0, -i/2), Sold: 10 * n, Rejected: n, Code: "06010", P95: time.Second, Longest: 3 * time.Second}); err != nil {
				return err
			}
		}
		return nil
	})
	told("agent001", 20, Thing{What: WhatRemote, Key: "anydesk", Body: Remote{ID: "123456789", Version: "8.1"}})
	var all Inventory
	view(t, s, func(r *Reader) (err error) { all, err = r.Inventory("agent001", t0); return err })
	if len(all.Disks) != 1 || all.Disks[0] != (Told[Disk]{"C:", t0, Disk{Total: 100, Free: 7}}) || all.Computer.Body.MemoryTotal != 10 ||
		all.Health.Body.Panics != 2 || len(all.Remote) != 1 || all.Remote[0].Body.ID != "123456789" || len(all.Days) != 2 || all.Days[0].Longest != 3*time.Second {
		t.Errorf("%+v", all)
	}
	a := factsOf(t, s, alarm.OfAgent, "agent001", t0).Agent
	if len(a.Disks) != 1 || a.Disks[0].Free != 7 || a.Computer == nil || a.Computer.Antivirus != "off" || a.Computer.USBErrors != 3 || a.Computer.Panics != 2 {
		t.Errorf("%+v, %+v", a, a.Computer)
	}
	if len(a.Makers) != 1 || a.Makers[0].Program != "pdv.exe" || a.Makers[0].Path != `C:\SAT\SAT.dll` || !a.Makers[0].Since.Equal(t0.Add(-time.Hour)) || a.Unseen.Why != "wide" || !a.Unseen.At.Equal(t0) {
		t.Errorf("%+v, %+v", a.Makers, a.Unseen)
	}
	if len(a.Sales) != 2 || a.Sales[0].Rejected != 9 || a.Sales[1].Rejected != 7 || a.Sales[0].P95 != time.Second {
		t.Errorf("%+v", a.Sales)
	}
	old := CompanyCertificate{Holder: "LOJA", CNPJ: "11222333000181", Type: "A1", Until: t0.AddDate(0, 0, 5).UnixMilli(), HasKey: true}
	newer := old
	newer.Until = t0.AddDate(1, 0, 0).UnixMilli()
	told("agent001", 10, Thing{What: WhatCertificate, Key: "old", Body: old})
	told("agent002", 1, Thing{What: WhatCertificate, Key: "old", Body: old})
	told("agent001", 11, Thing{What: WhatCertificate, Key: "new", Body: newer})
	if c := factsOf(t, s, alarm.OfCertificate, "old", t0).Certificate; c.Tills != 2 || c.Renewed || c.Holder != "LOJA" || c.Type != "A1" {
		t.Errorf("%+v", c)
	}
	told("agent002", 2, Thing{What: WhatCertificate, Key: "new", Body: newer})
	if c := factsOf(t, s, alarm.OfCertificate, "old", t0).Certificate; !c.Renewed {
		t.Errorf("a newer one is on both computers: %+v", c)
	}
	view(t, s, func(r *Reader) error {
		subjects, err := r.Subjects()
		n := 0
		for _, s := range subjects {
			if s.Kind == alarm.OfCertificate {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d certificates are judged", n)
		}
		return err
	})
}

func TestPartsAndStages(t *testing.T) { eachEngine(t, testPartsAndStages) }

func testPartsAndStages(t *testing.T, s *Store) {
	status := func(seq uint64, at time.Time, change func(*Status)) {
		t.Helper()
		st := Status{Memory: 0.5, Battery: alarm.BatteryHigh}
		change(&st)
		update(t, s, func(w *Writer) error {
			return w.SetStatus("900000001", st, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: seq, At: at, AgentAt: at})
		})
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0) })
	status(1, t0, func(*Status) {})
	status(2, t0.Add(time.Hour), func(st *Status) { st.Battery, st.NoNetwork = alarm.BatteryLow, true })
	status(3, t0.Add(2*time.Hour), func(st *Status) { st.Battery, st.NoNetwork, st.Memory = alarm.BatteryLow, true, 0.6 })
	status(4, t0.AddDate(0, 0, 1), func(st *Status) { st.Battery, st.NoNetwork, st.Memory = alarm.BatteryLow, true, 0.7 })
	update(t, s, func(w *Writer) error {
		if err := w.IssuedOutside("900000001", "key2", t0.Add(time.Minute)); err != nil {
			return err
		}
		return w.IssuedOutside("900000001", "key1", t0)
	})
	d := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device
	if d.Battery != alarm.BatteryLow || !d.BatterySince.Equal(t0.Add(time.Hour)) || !d.NoNetwork.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v", d)
	}
	if len(d.Memories) != 2 || d.Memories[0].Value != 0.6 || d.Memories[1].Value != 0.7 || d.Direct.Count != 2 || d.Direct.Example != "key2" {
		t.Errorf("%+v, %+v", d.Memories, d.Direct)
	}
	status(5, t0.AddDate(0, 0, 2), func(*Status) {})
	if d := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device; !d.NoNetwork.IsZero() || d.Battery != alarm.BatteryHigh || d.Stage != alarm.InUse {
		t.Errorf("%+v", d)
	}
	for _, stage := range []alarm.Stage{alarm.Draining, alarm.Closed} {
		update(t, s, func(w *Writer) error { return w.SetStage("900000001", StageOf{stage, t0, "ana", "por quê"}) })
	}
	view(t, s, func(r *Reader) error {
		marks, err := r.Marks(alarm.Subject{}, 10)
		stages, err2 := r.Stages("900000001")
		if len(stages) != 2 || stages[0].Stage != alarm.Closed || len(marks) != 1 || err2 != nil {
			t.Errorf("%+v, %+v, %v", stages, marks, err2)
		}
		return err
	})
	if d := factsOf(t, s, alarm.OfDevice, "900000001", t0).Device; d.Stage != alarm.Closed || !d.StageSince.Equal(t0) {
		t.Errorf("%+v", d)
	}
}

func TestPolicies(t *testing.T) { eachEngine(t, testPolicies) }

func testPolicies(t *testing.T, s *Store) {
	storm(t, s, 1, 1, t0)
	id := "agent00000n0"
	steps := func(v float64) alarm.Policy {
		return alarm.Policy{Steps: map[alarm.Code][]float64{alarm.AgentSilent: {v, v + 1, v + 2}}, Holidays: []string{"25/01"}}
	}
	for i, o := range []PolicyOwner{{Reseller: 1}, {Root: "00000000"}, {CNPJ: "00000000000191"}} {
		update(t, s, func(w *Writer) error { return w.SetPolicy(o, steps(float64(10*i+10)), "ana", t0) })
		p := factsOf(t, s, alarm.OfAgent, id, t0).Policy
		if want := float64(10*i + 10); p.Steps[alarm.AgentSilent][0] != want || len(p.Holidays) != i+1 {
			t.Errorf("%+v counts %+v", o, p)
		}
		view(t, s, func(r *Reader) error {
			own, err := r.Policy(o)
			if !reflect.DeepEqual(own, steps(float64(10*i+10))) {
				t.Errorf("%+v set %+v", o, own)
			}
			return err
		})
	}
	update(t, s, func(w *Writer) error { return w.SetPolicy(PolicyOwner{Reseller: 2}, steps(99), "ana", t0) })
	if p := factsOf(t, s, alarm.OfAgent, id, t0).Policy; p.Steps[alarm.AgentSilent][0] != 30 {
		t.Errorf("another reseller's count: %+v", p)
	}
}

func TestForecastStored(t *testing.T) { eachEngine(t, testForecastStored) }

func testForecastStored(t *testing.T, s *Store) {
	p := alarm.Prediction{At: t0.Add(50 * time.Hour), Cause: alarm.CauseMemory, Risk: 12345}
	differs := func(p alarm.Prediction) (d bool) {
		view(t, s, func(r *Reader) (err error) { d, err = r.ForecastDiffers(dev.ID, p); return err })
		return d
	}
	if differs(alarm.Prediction{}) || !differs(p) {
		t.Error("nothing is stored yet")
	}
	set(t, s, dev, t0, raised(alarm.MemoryFilling, alarm.Warning, 1, "x"))
	update(t, s, func(w *Writer) error { return w.SetForecast(dev.ID, p) })
	if got := openAlarms(t, s)[0].Forecast; !got.At.Equal(p.At) || got.Cause != p.Cause || got.Risk != p.Risk {
		t.Errorf("%+v", got)
	}
	later := p
	later.At = p.At.Add(59 * time.Minute)
	if differs(later) || !differs(alarm.Prediction{}) {
		t.Error("an hour more or less is the same forecast")
	}
	update(t, s, func(w *Writer) error { return w.SetForecast(dev.ID, alarm.Prediction{}) })
	if differs(alarm.Prediction{}) {
		t.Error("still there")
	}
}

// TestTwinCancelled: a sale issued twice is settled by either cancellation.
func TestTwinCancelled(t *testing.T) { eachEngine(t, testTwinCancelled) }

func testTwinCancelled(t *testing.T, s *Store) {
	first, body := sample("900000001", 1, t0)
	twin, body2 := sample("900000002", 1, t0)
	add(t, s, first, body)
	add(t, s, twin, body2)
	told(t, s, 1, Event{Serial: first.Serial, Code: eventTwice, Ref: first.Key, Detail: map[string]string{"case": "c", "twin": "CFe" + twin.Key}})
	if h := factsOf(t, s, alarm.OfDevice, first.Serial, t0).IssuedTwice; h.Count != 1 {
		t.Errorf("%+v", h)
	}
	cancel, body3 := sample("900000002", 2, t0)
	cancel.Kind, cancel.Cancels = kindCancellation, twin.Key
	add(t, s, cancel, body3)
	if h := factsOf(t, s, alarm.OfDevice, first.Serial, t0).IssuedTwice; h.Count != 0 {
		t.Errorf("the twin is cancelled: %+v", h)
	}
}

// BenchmarkJudgeTill gathers the facts of one till and judges every rule about it.
func BenchmarkJudgeTill(b *testing.B) {
	s := openAt(b, b.TempDir()+"/zelo.db")
	storm(b, s, 100, 2, t0)
	err := s.Update(context.Background(), func(w *Writer) error {
		return w.SetStatus("900000001", Status{Memory: 0.9}, Record{Agent: "agent00050n0", Epoch: "e", Stream: "status", Seq: 1, At: t0})
	})
	if err != nil {
		b.Fatal(err)
	}
	err = s.View(context.Background(), All(), func(r *Reader) error {
		for b.Loop() {
			for _, subject := range []alarm.Subject{{Kind: alarm.OfAgent, ID: "agent00050n0"}, {Kind: alarm.OfDevice, ID: "900000001"}} {
				f, err := r.Facts(subject, t0)
				if err != nil {
					return err
				}
				if _, err := r.AlarmsDiffer(subject, alarm.Eval(f, t0), t0); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
