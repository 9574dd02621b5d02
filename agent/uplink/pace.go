package uplink

import (
	"math/rand/v2"
	"sync"
	"time"

	"zelo/agent/wire"
)

// leastRate keeps a collector's request from stopping a till, bytes a second.
const leastRate = 1 << 10

// pace says when streams that are not urgent may be sent: not while the collector
// asked for a pause, not faster than it asked for, and not beyond what a metered
// link allows in an hour. It counts every byte, also of what it cannot hold back.
//
// Its clock counts from the start of the uplink and knows no date, so that a
// wrong or jumping clock of the till changes nothing here.
type pace struct {
	limit int64 // bytes in any 60 minutes; 0 is no limit
	born  time.Time

	mu         sync.Mutex
	minutes    [60]int64 // bytes, by minute
	minute     int64     // that minutes[minute%60] counts
	total      int64
	paused     time.Duration // until then
	slowed     time.Duration // until then, rate holds
	rate       int64         // bytes a second
	nextByRate time.Duration
}

// count notes bytes sent or received.
func (p *pace) count(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.born)
	p.turn(now)
	p.minutes[p.minute%60] += int64(bytes)
	p.total += int64(bytes)
	if now < p.slowed {
		p.nextByRate = max(p.nextByRate, now) + time.Duration(float64(bytes)/float64(p.rate)*float64(time.Second))
	}
}

// turn forgets the minutes that are more than an hour ago.
func (p *pace) turn(now time.Duration) {
	m := int64(now / time.Minute)
	for i := max(p.minute+1, m-59); i <= m; i++ {
		p.minutes[i%60] = 0
	}
	p.minute = max(p.minute, m)
}

func (p *pace) hour() (n int64) {
	for _, bytes := range p.minutes {
		n += bytes
	}
	return n
}

// obey takes a collector's request, within bounds.
func (p *pace) obey(s *wire.Slow) {
	if s == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.born)
	if d := bounded(s.Pause); d > 0 {
		// Not all tills at the same moment again.
		p.paused = max(p.paused, now+min(d+rand.N(d/2+1), wire.MaxSlow))
	}
	if d := bounded(s.For); d > 0 && s.Rate > 0 {
		if now >= p.slowed {
			p.nextByRate = now
		}
		p.slowed, p.rate = now+d, max(s.Rate, leastRate)
	}
}

// bounded is a number of milliseconds within reason.
func bounded(ms int64) time.Duration {
	return time.Duration(max(0, min(ms, wire.MaxSlow.Milliseconds()))) * time.Millisecond
}

// wait is how long what is not urgent has to wait, 0 when it may go now.
func (p *pace) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.born)
	p.turn(now)
	wait := p.paused - now
	if now < p.slowed {
		wait = max(wait, min(p.nextByRate, p.slowed)-now)
	}
	if p.limit > 0 && p.hour() >= p.limit {
		wait = max(wait, time.Duration(p.minute+1)*time.Minute-now)
	}
	return max(wait, 0)
}

// Stats is what the uplink used of the network: payloads and topics, both ways.
// Headers of TLS and below come on top.
type Stats struct {
	Total  int64 // bytes since the agent started
	Hour   int64 // bytes in the last 60 minutes
	Limit  int64 // most of them that documents may bring it to; 0 is no limit
	Full   bool  // the limit is reached: documents wait, alarms do not
	Slowed bool  // the collector asked to slow down
}

func (p *pace) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.born)
	p.turn(now)
	s := Stats{Total: p.total, Hour: p.hour(), Limit: p.limit, Slowed: now < p.slowed || now < p.paused}
	s.Full = s.Limit > 0 && s.Hour >= s.Limit
	return s
}
