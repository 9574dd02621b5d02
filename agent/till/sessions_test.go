package till

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSessionsOfEachTill(t *testing.T) {
	s := newSessions(noon)
	for caixa, first := range map[int]int{0: 100000, 1: 100900, 7: 106300, 999: 999100} {
		seen := map[int]bool{}
		for range perTill {
			n := s.next(fmt.Sprintf("%03d", caixa))
			if n < first || n > first+899 {
				t.Fatalf("caixa %d got session %d", caixa, n)
			}
			seen[n] = true
		}
		if len(seen) != perTill {
			t.Errorf("caixa %d: %d different numbers in %d calls", caixa, len(seen), perTill)
		}
	}
}

// Whatever the pace and however the clock is set, the last hundred numbers differ.
func TestSessionsDoNotReturn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := noon()
		s := newSessions(func() time.Time { return now })
		var last []int
		for range 300 {
			n := s.next("001")
			for _, m := range last {
				if m == n {
					t.Fatalf("session %d twice within a hundred calls", n)
				}
			}
			if last = append(last, n); len(last) > neverAgain {
				last = last[1:]
			}
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1800, 3600, -1800, 86400}).Draw(t, "seconds")) * time.Second)
		}
	})
}

// The agent is restarted after each quarter of an hour of a busy till, which makes
// three calls at once every 20 seconds: no number of the last half hour returns.
func TestSessionsAcrossRestarts(t *testing.T) {
	now := noon()
	s := newSessions(func() time.Time { return now })
	used := map[int]time.Time{}
	for i := range 5000 {
		n := s.next("001")
		if before, ok := used[n]; ok && now.Sub(before) < 30*time.Minute {
			t.Fatalf("call %d: session %d after %v", i, n, now.Sub(before))
		}
		used[n] = now
		if i%3 == 2 {
			now = now.Add(20 * time.Second)
		}
		if i%135 == 134 {
			s = newSessions(func() time.Time { return now })
		}
	}
}
