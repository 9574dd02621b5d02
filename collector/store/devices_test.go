package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// rec is a record of an agent's stream.
func rec(epoch, stream string, seq uint64, now time.Time) Record {
	r := Record{Agent: "agent001", Epoch: epoch, Stream: stream, Seq: seq, Till: "001", AgentAt: now.Add(-time.Minute), At: now}
	r.SHA256[0] = byte(seq)
	return r
}

func device(t *testing.T, s *Store, serial string) (d Device) {
	t.Helper()
	view(t, s, func(r *Reader) (err error) { d, err = r.Device(serial); return err })
	return d
}

func TestArrivals(t *testing.T) { eachEngine(t, testArrivals) }

func testArrivals(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	id, _ := add(t, s, d, body)
	known := func(r Record) (yes bool) {
		update(t, s, func(w *Writer) (err error) {
			fresh, err := w.AddArrival(r, id)
			yes = !fresh
			return err
		})
		return yes
	}
	collisions := func() (h alarm.Happening) {
		view(t, s, func(r *Reader) (err error) { h, err = r.collisions("agent001"); return err })
		return h
	}
	first := rec("e1", "documents", 5, t0)
	if known(first) || !known(first) {
		t.Error("a record is known from its second arrival on")
	}
	for name, other := range map[string]Record{
		"another stream": rec("e1", "events", 5, t0), "another epoch": rec("e2", "documents", 5, t0), "another place": rec("e1", "documents", 6, t0),
	} {
		if known(other) {
			t.Errorf("%s is known", name)
		}
	}
	if collisions().Count != 0 {
		t.Error("a collision without reason")
	}
	clone := first
	clone.SHA256[31], clone.At = 1, t0.Add(time.Hour)
	if known(clone) {
		t.Error("a record with another hash is known")
	}
	if !known(clone) || !known(first) {
		t.Error("both are known afterwards")
	}
	if h := collisions(); h.Count != 1 || !h.Last.Equal(clone.At) || !h.First.Equal(clone.At) {
		t.Errorf("collisions %+v", h)
	}
	imported := Record{Stream: "import", File: "a.xml", SHA256: first.SHA256, At: t0}
	if known(imported) || !known(imported) {
		t.Error("a file is known when imported again")
	}
	other := imported
	other.SHA256[31] = 9
	if known(other) || collisions().Count != 1 {
		t.Error("two files are two records")
	}
	view(t, s, func(r *Reader) error {
		from, err := r.Arrivals(id)
		if len(from) != 7 || from[0].Agent != "agent001" || from[0].Seq != 5 || from[5].File != "a.xml" || !from[0].AgentAt.Equal(first.AgentAt) {
			t.Errorf("arrivals %+v", from)
		}
		return err
	})
}

func TestBeat(t *testing.T) { eachEngine(t, testBeat) }

func testBeat(t *testing.T, s *Store) {
	beat := func(agent string, now time.Time, devices ...BeatDevice) {
		update(t, s, func(w *Writer) error {
			return w.SetBeat(Beat{Agent: Agent{ID: agent, Host: "caixa-1", System: "linux/amd64", Software: "1.0", BeatAt: now,
				StartedAt: t0, ClockOff: -1500 * time.Millisecond, Waiting: 3, OldestAt: t0, Used: 5, Bound: 9}, Devices: devices})
		})
	}
	beat("agent001", t0, BeatDevice{Serial: "1", Name: "simulador", Answering: true}, BeatDevice{Serial: "2", Answering: true}, BeatDevice{Name: "not told yet"})
	if d := device(t, s, "1"); d.Agent != "agent001" || d.Name != "simulador" || !d.SilentSince.IsZero() || !d.FirstSeen.Equal(t0) {
		t.Errorf("%+v", d)
	}
	beat("agent001", t0.Add(1*time.Minute), BeatDevice{Serial: "1", OpenCases: 2})
	beat("agent001", t0.Add(2*time.Minute), BeatDevice{Serial: "1", OpenCases: 2})
	if d := device(t, s, "1"); !d.SilentSince.Equal(t0.Add(time.Minute)) || d.OpenCases != 2 || d.Name != "simulador" {
		t.Errorf("silent since %v, %+v", d.SilentSince, d)
	}
	if d := device(t, s, "2"); !d.SilentSince.Equal(t0.Add(time.Minute)) {
		t.Errorf("a device the beat does not name answers: %+v", d)
	}
	beat("agent001", t0.Add(3*time.Minute), BeatDevice{Serial: "1", Answering: true})
	if d := device(t, s, "1"); !d.SilentSince.IsZero() || d.OpenCases != 0 {
		t.Errorf("it answers again: %+v", d)
	}
	beat("agent002", t0.Add(4*time.Minute), BeatDevice{Serial: "2", Answering: true})
	beat("agent001", t0.Add(5*time.Minute), BeatDevice{Serial: "1", Answering: true})
	if d := device(t, s, "2"); d.Agent != "agent002" || !d.SilentSince.IsZero() {
		t.Errorf("a device moved to another agent: %+v", d)
	}
	view(t, s, func(r *Reader) error {
		a, err := r.Agent("agent001")
		want := Agent{"agent001", "caixa-1", "linux/amd64", "1.0", t0, t0.Add(5 * time.Minute), t0.Add(5 * time.Minute), t0,
			-1500 * time.Millisecond, 3, t0, 5, 9, 0, "", ""}
		if a != want {
			t.Errorf("got  %+v\nwant %+v", a, want)
		}
		if _, err := r.Agent("nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an agent that is not there: %v", err)
		}
		return err
	})
}

func TestStatus(t *testing.T) { eachEngine(t, testStatus) }

func testStatus(t *testing.T, s *Store) {
	set := func(st Status, r Record) {
		update(t, s, func(w *Writer) error { return w.SetStatus("1", st, r) })
	}
	status := func(state string) Status { return Status{State: state, Reply: []byte("raw " + state), Memory: -1} }
	set(status("second"), rec("e1", "status", 2, t0))
	set(status("first"), rec("e1", "status", 1, t0.Add(time.Hour)))
	d := device(t, s, "1")
	if d.Status.State != "second" || !bytes.Equal(d.Status.Reply, []byte("raw second")) || d.Agent != "agent001" || !d.StatusAt.Equal(t0) {
		t.Errorf("an earlier record that came later won: %+v", d)
	}
	set(status("third"), rec("e1", "status", 3, t0.Add(time.Minute)))
	set(status("third"), rec("e1", "status", 3, t0.Add(time.Hour)))
	if d := device(t, s, "1"); !d.StatusAt.Equal(t0.Add(time.Minute)) {
		t.Errorf("a record that came twice counted twice: %+v", d)
	}
	clone := rec("e1", "status", 3, t0.Add(time.Hour))
	clone.SHA256[9] = 9
	set(status("clone"), clone)
	view(t, s, func(r *Reader) error {
		h, err := r.collisions("agent001")
		if h.Count != 1 {
			t.Errorf("collisions %+v", h)
		}
		return err
	})
	set(status("new buffer"), rec("e2", "status", 1, t0.Add(2*time.Minute)))
	set(status("old buffer"), rec("e1", "status", 99, t0.Add(3*time.Minute)))
	if d := device(t, s, "1"); d.Status.State != "new buffer" {
		t.Errorf("a record of the old buffer won: %+v", d)
	}
}

func TestStatusFields(t *testing.T) { eachEngine(t, testStatusFields) }

func testStatusFields(t *testing.T, s *Store) {
	st := Status{Reply: []byte{1, 0, 255}, Block: alarm.Autonomous, State: "bloqueio autônomo", Memory: 0.25, Software: "01.00.00", Layout: "00.08",
		Network: "CONECTADO", LastKey: "3", PendingFirst: "1", PendingLast: "2", LastSent: t0, LastContact: t0.Add(1), CertIssued: t0.AddDate(-1, 0, 0),
		CertExpires: t0.AddDate(4, 0, 0), ClockOff: -90 * time.Second, ClockKnown: true}
	st.LastContact = t0.Add(time.Second)
	put := func(seq uint64, now time.Time) Device {
		update(t, s, func(w *Writer) error { return w.SetStatus("1", st, rec("e1", "status", seq, now)) })
		return device(t, s, "1")
	}
	d := put(1, t0)
	if fmt.Sprint(d.Status) != fmt.Sprint(st) {
		t.Errorf("got  %+v\nwant %+v", d.Status, st)
	}
	told := t0.Add(-time.Minute) // the agent's clock
	if !d.BlockSince.Equal(told) || !d.PendingSince.Equal(told) {
		t.Errorf("since %v and %v", d.BlockSince, d.PendingSince)
	}
	d = put(2, t0.Add(time.Hour))
	if !d.BlockSince.Equal(told) || !d.PendingSince.Equal(told) {
		t.Errorf("the same state again moved its beginning: %v, %v", d.BlockSince, d.PendingSince)
	}
	st.Block, st.PendingFirst, st.PendingLast = alarm.Unblocked, "", ""
	d = put(3, t0.Add(2*time.Hour))
	if !d.BlockSince.Equal(t0.Add(2*time.Hour-time.Minute)) || !d.PendingSince.IsZero() {
		t.Errorf("unblocked and drained: %v, %v", d.BlockSince, d.PendingSince)
	}
}

func facts(t *testing.T, s *Store, kind alarm.Kind, id string) (f alarm.Facts) {
	t.Helper()
	view(t, s, func(r *Reader) (err error) { f, err = r.Facts(alarm.Subject{Kind: kind, ID: id}, t0); return err })
	return f
}

func TestFactsOfEvents(t *testing.T) { eachEngine(t, testFactsOfEvents) }

func testFactsOfEvents(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	event := func(stream string, seq uint64, serial, code, ref string) {
		r := rec(stream, "events", seq, t0.Add(time.Duration(seq)*time.Minute))
		update(t, s, func(w *Writer) error {
			if err := w.SetBeat(Beat{Agent: Agent{ID: "agent001", BeatAt: t0}, Devices: []BeatDevice{{Serial: d.Serial, Answering: true}}}); err != nil {
				return err
			}
			return w.AddEvent(Event{Agent: "agent001", Serial: serial, Till: "001", Code: code, Ref: ref,
				Detail: map[string]string{"case": ref}, At: r.At, ReceivedAt: r.At}, r)
		})
	}
	event("e1", 1, d.Serial, eventMissing, d.Key)
	event("e1", 2, d.Serial, eventMissing, "")
	event("e1", 3, "", eventMissing, "")
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Missing.Count != 2 || f.Agent == nil || !f.Agent.Heard.Equal(t0) {
		t.Errorf("%+v", f)
	}
	if f := facts(t, s, alarm.OfAgent, "agent001"); f.Missing.Count != 1 {
		t.Errorf("an event without device is the agent's: %+v", f.Missing)
	}
	add(t, s, d, body)
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Missing.Count != 1 || f.Missing.Example != "" {
		t.Errorf("the document came: %+v", f.Missing)
	}

	event("e1", 5, d.Serial, eventResolved, "case1") // came before what it resolves was stored
	event("e1", 4, d.Serial, eventUnresolved, "case1")
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Unresolved.Count != 0 {
		t.Errorf("out of order: %+v", f.Unresolved)
	}
	event("e1", 6, d.Serial, eventUnresolved, "case1")
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Unresolved.Count != 1 || f.Unresolved.Example != "case1" {
		t.Errorf("open again: %+v", f.Unresolved)
	}
	event("e2", 1, d.Serial, eventResolved, "case1")
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Unresolved.Count != 0 {
		t.Errorf("resolved from a new buffer: %+v", f.Unresolved)
	}

	event("e1", 7, "", eventEvicted, "")
	event("e1", 8, "", eventDamaged, "")
	event("e1", 9, "", "from-the-future", "x")
	f := facts(t, s, alarm.OfAgent, "agent001")
	if f.Agent.Evicted.Count != 1 || f.Agent.Damaged.Count != 1 || !f.Agent.Evicted.Last.Equal(t0.Add(7*time.Minute)) {
		t.Errorf("%+v", f.Agent)
	}
	view(t, s, func(r *Reader) error {
		events, err := r.EventsOf("agent001", 2)
		if len(events) != 2 || events[0].Code != "from-the-future" || events[0].Detail["case"] != "x" || events[1].Code != eventDamaged {
			t.Errorf("events %+v", events)
		}
		return err
	})
}

func TestFactsOfDocuments(t *testing.T) { eachEngine(t, testFactsOfDocuments) }

func testFactsOfDocuments(t *testing.T, s *Store) {
	for i := range 3 {
		d, body := sample("900000001", i+1, t0.Add(time.Duration(i)*time.Hour))
		d.Forbidden, d.Invalid = i > 0, i == 2
		add(t, s, d, body)
	}
	f := facts(t, s, alarm.OfDevice, "900000001")
	last, _ := sample("900000001", 3, t0.Add(2*time.Hour))
	if h := f.Device.Forbidden; h.Count != 2 || !h.First.Equal(t0.Add(time.Hour)) || !h.Last.Equal(t0.Add(2*time.Hour)) || h.Example != last.Key {
		t.Errorf("forbidden %+v", h)
	}
	if f.Device.Invalid.Count != 1 || f.Agent != nil || f.Device.Memory >= 0 || !f.Device.StatusAt.IsZero() {
		t.Errorf("%+v %+v", f, f.Device)
	}
	for _, kind := range []alarm.Kind{alarm.OfDevice, alarm.OfAgent, "other"} {
		err := s.View(context.Background(), All(), func(r *Reader) error { _, err := r.Facts(alarm.Subject{Kind: kind, ID: "x"}, t0); return err })
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s that is not there: %v", kind, err)
		}
	}
}

// TestEnrolledAndNeverHeard counts from the enrolment.
func TestEnrolledAndNeverHeard(t *testing.T) { eachEngine(t, testEnrolledAndNeverHeard) }

func testEnrolledAndNeverHeard(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error { return w.AddAgent("agent001", "caixa-1", t0) })
	if f := facts(t, s, alarm.OfAgent, "agent001"); !f.Agent.Heard.Equal(t0) {
		t.Errorf("%+v", f.Agent)
	}
}

// TestPendingOldest: the date of the first pending key is known from the archive.
func TestPendingOldest(t *testing.T) { eachEngine(t, testPendingOldest) }

func testPendingOldest(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0.AddDate(0, 0, -9))
	update(t, s, func(w *Writer) error {
		return w.SetStatus(d.Serial, Status{PendingFirst: d.Key, PendingLast: d.Key}, rec("e1", "status", 1, t0))
	})
	if f := facts(t, s, alarm.OfDevice, d.Serial); !f.Device.PendingSince.Equal(t0.Add(-time.Minute)) {
		t.Errorf("not in the archive: %v", f.Device.PendingSince)
	}
	add(t, s, d, body)
	if f := facts(t, s, alarm.OfDevice, d.Serial); !f.Device.PendingSince.Equal(d.Issued) {
		t.Errorf("in the archive: %v", f.Device.PendingSince)
	}
	// A device that came to us with documents of months ago says so by its keys.
	old, _ := sample("900000001", 2, t0.AddDate(0, -2, 0))
	month := time.Date(t0.Year(), t0.Month()-1, 1, 0, 0, 0, 0, time.FixedZone("", -3*3600)).Add(-time.Minute)
	for i, c := range []struct {
		first string
		want  time.Time
	}{{old.Key, month}, {"35", t0.Add(-time.Minute)}, {strings.Repeat("9", 44), t0.Add(-time.Minute)}} {
		update(t, s, func(w *Writer) error {
			return w.SetStatus(d.Serial, Status{PendingFirst: c.first, PendingLast: c.first}, rec("e1", "status", uint64(2+i), t0))
		})
		if f := facts(t, s, alarm.OfDevice, d.Serial); !f.Device.PendingSince.Equal(c.want) {
			t.Errorf("first pending %s: %v, want %v", c.first, f.Device.PendingSince, c.want)
		}
	}
	last, _ := sample("900000001", 213, t0)
	update(t, s, func(w *Writer) error {
		return w.SetStatus(d.Serial, Status{PendingFirst: old.Key, PendingLast: last.Key}, rec("e1", "status", 8, t0))
	})
	if f := facts(t, s, alarm.OfDevice, d.Serial); f.Device.Pending != 212 {
		t.Errorf("from number 2 to 213 wait %d", f.Device.Pending)
	}
	update(t, s, func(w *Writer) error { return w.SetStatus(d.Serial, Status{}, rec("e1", "status", 9, t0)) })
	if f := facts(t, s, alarm.OfDevice, d.Serial); !f.Device.PendingSince.IsZero() {
		t.Errorf("drained: %v", f.Device.PendingSince)
	}
}

func TestQuarantine(t *testing.T) { eachEngine(t, testQuarantine) }

func testQuarantine(t *testing.T, s *Store) {
	put := func(agent, file, body, reason string, now time.Time) {
		update(t, s, func(w *Writer) error {
			return w.Quarantine(Quarantined{Agent: agent, Stream: "documents", File: file, Reason: reason, ReceivedAt: now}, s.Pack([]byte(body)))
		})
	}
	put("agent001", "", "junk", "não é CBOR", t0)
	put("agent001", "", "junk", "não é CBOR", t0.Add(time.Hour))
	put("agent001", "", "more", "vazio", t0.Add(time.Minute))
	put("", "a.xml", "junk", "não é XML", t0)
	var list []Quarantined
	view(t, s, func(r *Reader) (err error) { list, err = r.Quarantined(10); return err })
	if len(list) != 3 || list[0].Times != 2 || !list[0].LastAt.Equal(t0.Add(time.Hour)) || list[2].File != "a.xml" {
		t.Fatalf("%+v", list)
	}
	view(t, s, func(r *Reader) error {
		raw, err := r.QuarantinedBody(list[1].ID)
		if string(raw) != "more" {
			t.Errorf("body %q", raw)
		}
		if _, err := r.QuarantinedBody(99); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		return err
	})
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0) })
	if f := facts(t, s, alarm.OfAgent, "agent001"); f.Quarantined.Count != 2 || f.Quarantined.Example != "não é CBOR" {
		t.Errorf("%+v", f.Quarantined)
	}
	update(t, s, func(w *Writer) error { return w.Settle(list[0].ID, "ana@example.com", t0) })
	update(t, s, func(w *Writer) error { return w.Settle(list[2].ID, "ana@example.com", t0) })
	if f := facts(t, s, alarm.OfAgent, "agent001"); f.Quarantined.Count != 1 {
		t.Errorf("%+v", f.Quarantined)
	}
	if f := facts(t, s, alarm.OfImports, ""); f.Quarantined.Count != 0 {
		t.Errorf("%+v", f.Quarantined)
	}
	view(t, s, func(r *Reader) error {
		marks, err := r.Marks(alarm.Subject{}, 10)
		if len(marks) != 2 {
			t.Errorf("settling marks for evaluation: %+v", marks)
		}
		return err
	})
	err := s.Update(context.Background(), func(w *Writer) error { return w.Settle(list[0].ID, "ana@example.com", t0) })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("settled twice: %v", err)
	}
}
