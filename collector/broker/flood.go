package broker

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"zelo/agent/wire"
)

// What one agent may bring: each message costs one, and one more for each 32 KiB of
// it; a pulse, which writes much and is sent once a minute, costs fifty. That is 500
// messages or 16 MiB a second, of which a till that has waited long brings thousands
// of coupons.
const (
	agentRate  = 500 // a second
	agentBurst = 4000
	costOfBeat = 50
	costUnit   = 32 << 10 // bytes
	forgetOver = 4096     // agents remembered; of those over it, who is quiet is forgotten
)

// dam keeps one agent's flood from the others: what is over its rate is dropped
// before it waits anywhere, and the agent sends it again if it is in earnest.
type dam struct {
	mu     sync.Mutex
	agents map[string]*rate.Limiter
}

func newDam() *dam { return &dam{agents: map[string]*rate.Limiter{}} }

// admits reports whether a message of an agent is within its rate.
func (d *dam) admits(agent, stream string, bytes int, now time.Time) bool {
	cost := 1 + bytes/costUnit
	if stream == wire.StreamBeat {
		cost += costOfBeat
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.agents[agent]
	if l == nil {
		d.forget(now)
		l = rate.NewLimiter(agentRate, agentBurst)
		d.agents[agent] = l
	}
	return l.AllowN(now, cost)
}

// forget makes room: an agent that was quiet has what a new one has.
func (d *dam) forget(now time.Time) {
	if len(d.agents) < forgetOver {
		return
	}
	for agent, l := range d.agents {
		if l.TokensAt(now) >= agentBurst {
			delete(d.agents, agent)
		}
	}
}
