package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// TestReadings: what changes is kept at once, what does not once an hour; days later the
// last of each hour is left, and after a month nothing.
func TestReadings(t *testing.T) { eachEngine(t, testReadings) }

func testReadings(t *testing.T, s *Store) {
	const serial = "900000001"
	key := func(number int) string {
		return fmt.Sprintf("352511%s59%s%06d0000001", "11111111000191", serial, number)
	}
	seq := uint64(0)
	say := func(at time.Time, block alarm.Block, first, last int) {
		seq++
		st := Status{Memory: -1, Block: block, LastContact: at.Add(-time.Minute), ClockOff: time.Second, ClockKnown: true}
		if last > 0 {
			st.PendingFirst, st.PendingLast = key(first), key(last)
		}
		update(t, s, func(w *Writer) error {
			return w.SetStatus(serial, st, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: seq, At: at, SHA256: [32]byte{byte(seq)}})
		})
	}
	read := func() (out string) {
		view(t, s, func(r *Reader) error {
			list, err := r.Readings(serial, t0.Add(-24*time.Hour))
			for _, n := range list {
				out += fmt.Sprintf("%s b%d p%d|", n.At.Format("02 15:04"), n.Block, n.Pending)
			}
			return err
		})
		return out
	}
	for _, c := range []struct {
		after       time.Duration
		block       alarm.Block
		first, last int
	}{{0, alarm.Unblocked, 0, 0}, {5 * time.Minute, alarm.Unblocked, 0, 0}, {10 * time.Minute, alarm.Unblocked, 7, 7}, {11 * time.Minute, alarm.Autonomous, 7, 9},
		{12 * time.Minute, alarm.Autonomous, 7, 9}, {12*time.Minute + 30*time.Second, alarm.Autonomous, 999998, 2}, {70 * time.Minute, alarm.Autonomous, 999998, 2},
		{73 * time.Minute, alarm.Autonomous, 999998, 2}, {200 * time.Minute, alarm.Unblocked, 0, 0}} {
		say(t0.Add(c.after), c.block, c.first, c.last)
	}
	say(t0.Add(-2*time.Hour), alarm.Unblocked, 0, 0) // its clock was set back
	if got := read(); got != "10 10:00 b0 p0|10 12:00 b0 p0|10 12:10 b0 p1|10 12:11 b3 p3|10 12:12 b3 p4|10 13:13 b3 p4|10 15:20 b0 p0|" {
		t.Error(got)
	}
	view(t, s, func(r *Reader) error {
		list, err := r.Readings(serial, t0.Add(time.Minute))
		if len(list) != 5 || !list[0].LastContact.Equal(t0.Add(9*time.Minute)) || !list[0].PendingSince.Equal(t0.Add(10*time.Minute)) ||
			list[0].ClockOff != time.Second || !list[0].ClockKnown || !list[4].PendingSince.IsZero() {
			t.Errorf("%+v", list)
		}
		return err
	})
	for _, c := range []struct {
		now  time.Time
		want string
	}{{t0.Add(70 * time.Hour), "10 10:00 b0 p0|10 12:00 b0 p0|10 12:10 b0 p1|10 12:11 b3 p3|10 12:12 b3 p4|10 13:13 b3 p4|10 15:20 b0 p0|"},
		{t0.Add(74 * time.Hour), "10 10:00 b0 p0|10 12:12 b3 p4|10 13:13 b3 p4|10 15:20 b0 p0|"},
		{t0.Add(30*24*time.Hour + 3*time.Hour), "10 15:20 b0 p0|"}, {t0.Add(31 * 24 * time.Hour), ""}} {
		if _, err := s.Retain(context.Background(), Least(), c.now, false); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != c.want {
			t.Errorf("at %s: %s", c.now, got)
		}
	}
	view(t, s, func(r *Reader) error {
		if list, err := (&Reader{Scope{}, r.ctx, r.tx, r.s}).Readings(serial, time.Time{}); len(list) > 0 || err != nil {
			t.Errorf("who sees nothing reads %v, %v", list, err)
		}
		return nil
	})
}
