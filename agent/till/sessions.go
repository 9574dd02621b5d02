package till

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// Each numero_caixa has 900 session numbers: 000 has 100000 to 100899, 999 has
// 999100 to 999999 (dossier on the SAT interface, 6.4).
const (
	firstNumber = 100000
	perTill     = 900
	neverAgain  = 100 // calls within which a session number does not return
)

// step is the pace at which the clock alone goes through a till's numbers: once
// round in the half hour in which the same number and content are taken for a
// repeated call (DESIGN.md, decision 5). So after a restart no till gets a number
// of its last half hour, unless it called faster than that up to the restart.
const step = 30 * time.Minute / perTill

// sessions allots session numbers. They follow the clock and run ahead of it
// when a till is faster.
type sessions struct {
	now  func() time.Time
	mu   sync.Mutex
	used map[string][]int64 // till -> its latest counts, oldest first
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, used: map[string][]int64{}}
}

// next allots a number to a till, "000" to "999".
func (s *sessions) next(till string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.used[till]
	n := s.now().UnixMilli() / step.Milliseconds()
	if len(used) > 0 {
		n = max(n, used[len(used)-1]+1)
	}
	for slices.ContainsFunc(used, func(u int64) bool { return (n-u)%perTill == 0 }) {
		n++
	}
	if len(used) == neverAgain {
		used = used[1:]
	}
	s.used[till] = append(used, n)
	caixa, _ := strconv.Atoi(till)
	return firstNumber + caixa*perTill + int(n%perTill)
}
