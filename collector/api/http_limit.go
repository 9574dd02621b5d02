package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter lets each of many ask at a rate, with bursts. It remembers those who asked
// lately, at most twice as many as most.
type limiter struct {
	rate  rate.Limit // per second
	burst int
	most  int

	mu         sync.Mutex
	young, old map[string]*rate.Limiter // who is in neither has not asked for long
}

// wait tells how long one has to wait, 0 when it may go on.
func (l *limiter) wait(who string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.young[who]
	if one == nil {
		if one = l.old[who]; one == nil {
			one = rate.NewLimiter(l.rate, l.burst)
		}
		if l.young == nil || len(l.young) >= l.most {
			l.young, l.old = map[string]*rate.Limiter{}, l.young
		}
		l.young[who] = one
	}
	r := one.ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

// slots are how many of something a person may have under way.
type slots struct {
	mu    sync.Mutex
	taken map[string]int
}

// take takes one of at most so many, and tells whether there was one.
func (s *slots) take(who string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who] >= most {
		return false
	}
	if s.taken == nil {
		s.taken = map[string]int{}
	}
	s.taken[who]++
	return true
}

func (s *slots) give(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who]--; s.taken[who] == 0 {
		delete(s.taken, who)
	}
}
