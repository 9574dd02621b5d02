package soak

import (
	"math/rand/v2"
	"time"
)

// kind is what goes wrong.
type kind int

const (
	killed            kind = iota // the agent's process, as by kill -9
	powerLoss                     // the till's computer, POS program included
	unplugged                     // the device's cable, for a while
	slow                          // the device takes long
	lost                          // a request, a reply or a message never arrives
	foreign                       // the device's reply is another's, half, or noise
	unanswered                    // the device issues and answers when nobody waits any more
	brokerRestart                 // sessions end, what was under way is gone
	collectorKilled               // the collector's process, as by kill -9
	unacknowledged                // committed, the acknowledgement lost
	duplicated                    // a message arrives twice
	reordered                     // a message arrives after later ones
	clockJump                     // the till's clock, by seconds to years
	diskFull                      // the buffer's bound is reached, offline
	lanCut                        // between two agents, for a while
	restoredAgent                 // the agent's file from an older copy
	clonedAgent                   // another till runs with a copy of this one's file
	restoredCollector             // the store from an older backup
	kinds
)

func (k kind) String() string {
	return [...]string{"killed", "power loss", "unplugged", "slow", "lost", "foreign", "unanswered", "broker restart",
		"collector killed", "unacknowledged", "duplicated", "reordered", "clock jump", "disk full", "LAN cut", "restored agent",
		"cloned agent", "restored collector"}[k]
}

// phase is when it strikes.
type phase int

const (
	idle     phase = iota // between two calls of the agent's tills
	before                // a till's call is about to begin: nothing is written
	intent                // the intent is on the disk, no byte has gone
	midway                // half the request has gone
	sent                  // all of it has gone, no answer has come
	answer                // the answer has come, it is not on the disk
	commit                // it is on the disk, the till has not heard
	asking                // the agent asks the device about an open case
	draining              // documents are about to be published
	acking                // an acknowledgement is on its way
	phases
)

func (p phase) String() string {
	return [...]string{"idle", "before", "intent", "midway", "sent", "answer", "commit", "asking", "draining", "acking"}[p]
}

// fits says in which phases a fault makes sense.
func (k kind) fits(p phase) bool {
	for _, one := range [kinds][]phase{
		killed:            {before, intent, midway, sent, answer, commit, asking, draining, acking},
		powerLoss:         {before, intent, midway, sent, answer, commit, asking, draining, acking},
		unplugged:         {before, intent, midway, sent, asking},
		slow:              {midway, sent, asking},
		lost:              {midway, sent, commit, asking, draining},
		foreign:           {sent, asking},
		unanswered:        {sent},
		brokerRestart:     {idle, draining, acking},
		collectorKilled:   {draining, acking},
		unacknowledged:    {acking},
		duplicated:        {draining, acking},
		reordered:         {draining, acking},
		clockJump:         {before, intent, commit, asking, draining},
		diskFull:          {before, intent},
		lanCut:            {intent, midway, sent, answer, asking},
		restoredAgent:     {idle},
		clonedAgent:       {idle},
		restoredCollector: {draining},
	}[k] {
		if one == p {
			return true
		}
	}
	return false
}

// outage is how long the borrower's only device is away in every seed.
const outage = 90 * time.Second

// fault is one thing that goes wrong: the first time that its agent comes into
// the phase after its tills have begun so many calls.
type fault struct {
	kind  kind
	phase phase
	agent int
	at    int
	span  time.Duration // how long it lasts
	roll  uint64        // what else is left to chance
}

func (f fault) rng() *rand.Rand { return rand.New(rand.NewPCG(f.roll, uint64(f.kind))) }

// Sizes of a seed.
const (
	agents        = 2
	devices       = 3 // two at the first agent
	tillsPerAgent = 2
	salesPerTill  = 25
	faultsPerSeed = 10
	borrower      = 1 // the agent whose only device is away for a while in every seed
)

// plan draws the faults of a seed. Half of them go round all pairs of kind and
// phase, so that a few seeds already meet each; the other half is drawn.
func plan(seed uint64) []fault {
	type pair struct {
		k kind
		p phase
	}
	var pairs []pair
	for k := range kinds {
		for p := range phases {
			if k.fits(p) {
				pairs = append(pairs, pair{k, p})
			}
		}
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var out []fault
	// One tale of copies put back is told in a seed: two may leave no copy of a
	// document, and neither do a store's backup and a full disk, which takes the
	// room of what was acknowledged.
	tale := restoredAgent + kind(seed%uint64(kinds-restoredAgent))
	fits := func(k kind) bool {
		return k < restoredAgent && (k != diskFull || tale != restoredCollector) || k == tale
	}
	for i := range faultsPerSeed {
		one := pairs[(int(seed)*faultsPerSeed/2+i/2)%len(pairs)]
		for i%2 == 1 || !fits(one.k) {
			if one = pairs[r.IntN(len(pairs))]; fits(one.k) {
				break
			}
		}
		least, most := 3, tillsPerAgent*salesPerTill-5
		if one.p == asking {
			most -= 10 // there must be cases to ask about
		}
		agent, at := r.IntN(agents), least+r.IntN(most-least)
		if one.k == lanCut {
			agent, at = borrower, least+r.IntN(5)
		}
		out = append(out, fault{kind: one.k, phase: one.p, agent: agent, at: at,
			span: 2*time.Second + time.Duration(r.IntN(20000))*time.Millisecond, roll: r.Uint64()})
	}
	return out
}
