package monitor

import (
	"sync"
	"time"

	"zelo/sat"
)

// Bounds of how often a device is asked. Real ones answer slower and slower when asked
// for their status again and again, and tell no log while they sell (dossier on the SAT
// interface, 1.8 and 5.5).
const (
	soon       = 15 * time.Second // after a first failure; doubles up to the usual time
	selling    = 2 * time.Minute  // since the last sale: a till with customers
	restless   = 3                // readings that come sooner after a change
	extraOfDay = 48               // readings besides the usual ones, in a day

	logEvery   = 24 * time.Hour
	logAgain   = 2 * time.Hour // between two logs, whatever happens
	logIdle    = 10 * time.Minute
	logOverdue = 36 * time.Hour
)

// pace decides when one device is asked, from what is known of it.
type pace struct {
	offset float64 // of this agent among all, -1 to 1

	mu     sync.Mutex // guards what follows
	fresh  bool       // it did not answer since the last attempt
	tried  time.Time  // the last attempt at a status
	failed int        // in a row
	eager  int        // readings that come sooner
	began  time.Time  // of the day that attempts are counted in
	count  int        // attempts since then

	blocked   bool
	logged    time.Time // the last attempt at a log; zero before the first
	logFailed int       // in a row
	wanted    bool      // the log, after a change
}

// due says whether the status is to be read now.
func (p *pace) due(now time.Time, every, sinceSale time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := every + time.Duration(p.offset*float64(every)/10)
	switch {
	case p.fresh:
		wait = min(soon, wait)
	case p.failed > 0:
		wait = min(min(soon, every)<<min(p.failed-1, 10), wait)
	case p.eager > 0:
		wait /= 3
	}
	since := now.Sub(p.tried)
	selling := sinceSale < selling && since < 4*every
	spent := now.Sub(p.began) < 24*time.Hour && p.count >= int(24*time.Hour/every)+extraOfDay
	return since >= wait && !selling && !spent
}

// tell notes an attempt: what was read before and now, as far as it could be.
func (p *pace) tell(now time.Time, before, after reading, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried, p.fresh = now, false
	if now.Sub(p.began) >= 24*time.Hour {
		p.began, p.count = now, 0
	}
	p.count++
	if err != nil {
		p.failed++
		return
	}
	p.failed, p.eager = 0, max(p.eager-1, 0)
	if after.at.IsZero() {
		return
	}
	p.blocked = after.status.State.Blocked()
	if before.at.IsZero() && p.blocked || !before.at.IsZero() && changed(before.status, after.status) {
		p.eager, p.wanted = restless, true
	}
}

// changed tells whether something happened to a device that people hear of.
func changed(a, b sat.Status) bool {
	return a.State != b.State || a.Connected() != b.Connected()
}

// away notes that the device does not answer: when it does again, its status is read
// soon.
func (p *pace) away() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = true
}

// logDue says whether the device's log is to be read now: once a day, and sooner after
// a change. It sells nothing meanwhile, so only an idle till's is read, or that of a
// device that sells nothing anyway.
func (p *pace) logDue(now time.Time, sinceSale time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, idle := now.Sub(p.logged), logIdle
	switch {
	case p.blocked:
		idle = 0
	case p.wanted || since >= logOverdue && !p.logged.IsZero():
		idle = selling
	}
	wanted := p.wanted || since >= logEvery+time.Duration(p.offset*float64(time.Hour))
	return wanted && since >= min(logAgain<<min(p.logFailed, 10), logEvery) && sinceSale >= idle
}

// logTold notes an attempt at a log.
func (p *pace) logTold(now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logged, p.wanted, p.logFailed = now, err != nil, p.logFailed+1
	if err == nil {
		p.logFailed = 0
	}
}
