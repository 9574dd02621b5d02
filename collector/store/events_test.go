package store

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// told stores an event of one agent about a device.
func told(t *testing.T, s *Store, seq uint64, e Event) {
	t.Helper()
	r := rec("e1", "events", seq, t0.Add(time.Duration(seq)*time.Minute))
	e.Agent, e.ReceivedAt = r.Agent, r.At
	if e.At.IsZero() {
		e.At = r.At
	}
	update(t, s, func(w *Writer) error {
		if err := w.Heard(r.Agent, t0); err != nil {
			return err
		}
		return w.AddEvent(e, r)
	})
}

// A device is known from the first event about it: otherwise its alarm would wait
// for a beat that may never come.
func TestEventAboutAnUnknownDevice(t *testing.T) { eachEngine(t, testEventAboutAnUnknownDevice) }

func testEventAboutAnUnknownDevice(t *testing.T, s *Store) {
	told(t, s, 1, Event{Serial: "900000001", Code: eventUnresolved, Ref: "c1"})
	if f := facts(t, s, alarm.OfDevice, "900000001"); f.Unresolved.Count != 1 {
		t.Errorf("%+v", f)
	}
}

func TestIssuedTwice(t *testing.T) { eachEngine(t, testIssuedTwice) }

func testIssuedTwice(t *testing.T, s *Store) {
	first, body := sample("900000001", 1, t0)
	add(t, s, first, body)
	other, body := sample("900000001", 2, t0)
	add(t, s, other, body)
	told(t, s, 1, Event{Serial: "900000001", Code: eventTwice, Ref: first.Key, Detail: map[string]string{"case": "c1"}, At: t0.AddDate(-9, 0, 0)})
	told(t, s, 2, Event{Serial: "900000001", Code: eventTwice, Ref: other.Key, Detail: map[string]string{"case": "c2"}})
	told(t, s, 3, Event{Code: eventTwice, Detail: map[string]string{"case": "c3"}})
	twice := func() (keys []string) {
		view(t, s, func(r *Reader) error {
			for e := range r.Export(Period{From: "000101", To: "999912"}) {
				if e.Err != nil {
					return e.Err
				}
				if e.Twice {
					keys = append(keys, e.Key)
				}
			}
			return nil
		})
		return keys
	}
	h := facts(t, s, alarm.OfDevice, "900000001").IssuedTwice
	if h.Count != 2 || h.Example != "equipamento 900000001, caso c2, cupom "+other.Key || !h.First.Equal(t0.AddDate(-9, 0, 0)) || !h.Last.Equal(t0.Add(2*time.Minute)) {
		t.Errorf("%+v", h)
	}
	if h := facts(t, s, alarm.OfAgent, "agent001").IssuedTwice; h.Count != 1 || h.Example != "caso c3" {
		t.Errorf("without device: %+v", h)
	}
	if got := twice(); strings.Join(got, " ") != first.Key+" "+other.Key {
		t.Errorf("exported as issued twice: %v", got)
	}

	cancel, body := sample("900000001", 3, t0)
	cancel.Kind, cancel.Cancels = "cancelamento", other.Key
	add(t, s, cancel, body)
	if h := facts(t, s, alarm.OfDevice, "900000001").IssuedTwice; h.Count != 1 || !h.Last.Equal(t0.Add(time.Minute)) || !strings.Contains(h.Example, first.Key) {
		t.Errorf("one is cancelled; a wrong clock of the till hides nothing: %+v", h)
	}
	if got := twice(); strings.Join(got, " ") != first.Key {
		t.Errorf("exported as issued twice: %v", got)
	}
}

// TestMissingCame: wherever a document comes from, and whether or not its key is
// known, it is missing no longer; and never by guess.
func TestMissingCame(t *testing.T) {
	key := func(n int) string { d, _ := sample("900000001", n, t0); return d.Key }
	for _, c := range []struct {
		name    string
		ref     string
		numbers []int  // archived
		days    int    // after t0 on which they were issued
		status  string // the device's last key
		missing int
	}{
		{"its key came", key(5), []int{5}, 0, "", 0},
		{"another key came", key(5), []int{6}, 0, "", 1},
		{"nothing came", FromNumber("900000001", 5), nil, 0, "", 1},
		{"its number came", FromNumber("900000001", 5), []int{4, 5}, 0, "", 0},
		{"its number and later ones came", FromNumber("900000001", 5), []int{5, 6, 7}, 0, key(7), 0},
		{"only those before it", FromNumber("900000001", 5), []int{3, 4}, 0, "", 1},
		{"a gap is left", FromNumber("900000001", 5), []int{5, 7}, 0, "", 1},
		{"the device knows of more", FromNumber("900000001", 5), []int{5}, 0, key(6), 1},
		{"the device's last key is of before", FromNumber("900000001", 5), []int{5}, 0, key(4), 0},
		{"the device's last key is none", FromNumber("900000001", 5), []int{5}, 0, "35?", 0},
		{"the same number of a year ago", FromNumber("900000001", 5), []int{5}, -365, "", 1},
		{"the number of another device", FromNumber("900000002", 5), []int{5}, 0, "", 1},
		{"a text that is no number", "900000001" + fromNumber + "x", []int{5}, 0, "", 1},
	} {
		test := func(t *testing.T, s *Store) {
			told(t, s, 1, Event{Serial: "900000001", Code: eventMissing, Ref: c.ref})
			update(t, s, func(w *Writer) error {
				return w.SetStatus("900000001", Status{LastKey: c.status}, rec("e1", "status", 1, t0))
			})
			for _, n := range c.numbers {
				d, body := sample("900000001", n, t0.AddDate(0, 0, c.days))
				add(t, s, d, body)
			}
			if h := facts(t, s, alarm.OfDevice, "900000001").Missing; h.Count != c.missing || h.Count > 0 && h.Example != c.ref {
				t.Errorf("%+v, want %d missing", h, c.missing)
			}
		}
		t.Run(c.name, func(t *testing.T) { eachEngine(t, test) })
	}
}

// TestReturned: devices that go and come back at a port of the computer speak of its USB;
// of a network, or of longer ago, they do not.
func TestReturned(t *testing.T) { eachEngine(t, testReturned) }

func testReturned(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		return w.SetThing(Thing{What: WhatComputer, Body: Computer{}}, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: 1, At: t0})
	})
	for i, c := range []struct {
		code, driver string
		ago          time.Duration
	}{
		{eventBack, "usb", time.Hour}, {eventBack, "serial", 23 * time.Hour}, {eventBack, "maker", time.Minute},
		{eventBack, "usb", 25 * time.Hour}, {eventBack, "tcp", time.Hour}, {eventBack, "", time.Hour}, {"device-gone", "usb", time.Hour},
	} {
		told(t, s, uint64(2+i), Event{Serial: "90000000" + strconv.Itoa(i), Code: c.code, At: t0.Add(-c.ago), Detail: map[string]string{"driver": c.driver, "name": "SAT"}})
	}
	got := factsOf(t, s, alarm.OfAgent, "agent001", t0).Agent.Computer.Returned
	if want := (alarm.Happening{Count: 3, First: t0.Add(-23 * time.Hour), Last: t0.Add(-time.Minute), Example: "900000002"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
