package store

import (
	"fmt"
	"testing"
	"time"
)

// TestMemoryDays: one value a day, the newest thirty, oldest first.
func TestMemoryDays(t *testing.T) { eachEngine(t, testMemoryDays) }

func testMemoryDays(t *testing.T, s *Store) {
	for n := range 32 {
		told := t0.AddDate(0, 0, n-31)
		update(t, s, func(w *Writer) error {
			return w.SetStatus("900000001", Status{Memory: float64(n) / 100}, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: uint64(n + 1), At: told, SHA256: [32]byte{byte(n)}})
		})
	}
	update(t, s, func(w *Writer) error {
		return w.SetStatus("900000001", Status{Memory: -1}, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: 99, At: t0.AddDate(0, 0, 1)})
	})
	view(t, s, func(r *Reader) error {
		days, err := r.MemoryDays("900000001")
		if err != nil || len(days) != 30 || days[0].Used != .02 || days[29].Used != .31 || !days[29].Day.Equal(dayOf(t0)) {
			t.Errorf("%v, %v", days, err)
		}
		return nil
	})
}

// TestSalesDays: days are those of Brasília; what was cancelled, and tests, were not sold.
func TestSalesDays(t *testing.T) { eachEngine(t, testSalesDays) }

func testSalesDays(t *testing.T, s *Store) {
	midnight := dayOf(t0)
	number := 0
	sell := func(issued time.Time, change func(*Document)) string {
		number++
		d, body := sample("900000001", number, issued)
		d.Total = fmt.Sprintf("%d.50", number)
		if change != nil {
			change(&d)
		}
		add(t, s, d, body)
		return d.Key
	}
	sell(midnight.AddDate(0, 0, -29).Add(-time.Second), nil) // too old
	sell(midnight.AddDate(0, 0, -29), nil)                   // 2.50
	sell(midnight.Add(-time.Second), nil)                    // 3.50
	sell(midnight, nil)                                      // 4.50
	sell(midnight.Add(time.Second), func(d *Document) { d.Total = "4.50" })
	sell(midnight, func(d *Document) { d.Test = true })
	key := sell(midnight, nil)
	sell(midnight.Add(time.Minute), func(d *Document) { d.Kind, d.Cancels = kindCancellation, key })
	now := midnight.Add(20 * time.Hour)
	sell(now.AddDate(0, 0, 1), nil) // a clock ahead
	check := func(days []SalesDay, err error) {
		t.Helper()
		if err != nil || len(days) != 30 {
			t.Fatalf("%d days, %v", len(days), err)
		}
		for i, d := range days {
			want := map[int]SalesDay{0: {Count: 1, Cents: 250}, 28: {Count: 1, Cents: 350}, 29: {Count: 2, Cents: 900, Cancelled: 1}}[i]
			if !d.Day.Equal(midnight.AddDate(0, 0, i-29)) || d.Count != want.Count || d.Cents != want.Cents || d.Cancelled != want.Cancelled {
				t.Errorf("day %d: %+v, want %+v", i, d, want)
			}
		}
	}
	view(t, s, func(r *Reader) error { check(r.SalesOfDevice("900000001", now)); return nil })
	view(t, s, func(r *Reader) error {
		if days, err := r.Sales(now); err != nil || days != nil {
			t.Errorf("nobody is registered, and %d days are told, %v", len(days), err)
		}
		return nil
	})
	twoResellers(t, s)
	view(t, s, func(r *Reader) error { check(r.Sales(now)); return nil })
}
