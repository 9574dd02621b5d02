package soak

import (
	"context"
	"errors"
	"sync"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
)

// Messages to the collector arrive by the slot, so that what several agents say
// meets; those of one direction keep their order.
const (
	latency = 20 * time.Millisecond
	slot    = 8 * time.Second
)

// network is the broker and the lines to it. It keeps nothing: what is under way
// when it restarts is gone.
type network struct {
	w        *world
	mu       sync.Mutex
	sessions map[*session]bool
	up       time.Time              // not before, for anybody
	lines    map[string]time.Time   // not before, by agent
	under    map[time.Time][]func() // under way, by the time of arrival
}

func newNetwork(w *world) *network {
	return &network{w: w, sessions: map[*session]bool{}, lines: map[string]time.Time{}, under: map[time.Time][]func(){}}
}

// line is the transport of one life of an agent.
type line struct {
	n *network
	l *life
}

// session is one connection.
type session struct {
	line
	agent   string
	receive func(kind string, payload []byte)
	done    chan struct{}
}

var errNoBroker = errors.New("no broker to be reached")

// Connect implements uplink.Transport.
func (c line) Connect(ctx context.Context, receive func(string, []byte)) (uplink.Session, error) {
	time.Sleep(latency)
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	id := c.l.name()
	if now := time.Now(); c.l.doomed() || now.Before(c.n.up) || now.Before(c.n.lines[id]) {
		return nil, errNoBroker
	}
	s := &session{line: c, agent: id, receive: receive, done: make(chan struct{})}
	c.n.sessions[s] = true
	return s, nil
}

func (s *session) Done() <-chan struct{} { return s.done }

func (s *session) Close() {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.end()
}

// end is Close for who holds n.mu.
func (s *session) end() {
	if s.n.sessions[s] {
		delete(s.n.sessions, s)
		close(s.done)
	}
}

// Publish sends a payload on its way.
func (s *session) Publish(stream string, payload []byte) error {
	if s.l.doomed() {
		<-s.l.dead
		return errNoBroker
	}
	extra, twice := time.Duration(0), false
	if stream == wire.StreamDocuments {
		if f, ok := s.l.reach(draining); ok {
			switch f.kind {
			case killed, powerLoss:
				s.l.doom(f)
				<-s.l.dead
				return errNoBroker
			case brokerRestart:
				s.send(stream, payload, 0)
				s.n.restart(f.span)
				return nil
			case collectorKilled:
				s.n.w.central.kill(f)
			case restoredCollector:
				s.n.w.central.restore(f)
			case clockJump:
				s.l.agent.jump(f)
			case lost:
				return nil
			case duplicated:
				twice = true
			case reordered:
				extra = f.span
			}
		}
	}
	s.send(stream, payload, extra)
	if twice {
		s.send(stream, payload, 3*time.Second)
	}
	return nil
}

// send lets a payload arrive.
func (s *session) send(stream string, payload []byte, extra time.Duration) {
	at := time.Now().Add(latency + extra).Truncate(slot).Add(slot)
	s.deliver(at, func() { s.n.w.central.receive(s.agent, stream, payload) })
}

// deliver does something when a message arrives, unless the session ends before.
func (s *session) deliver(at time.Time, arrive func()) {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.under[at] == nil {
		time.AfterFunc(time.Until(at), func() { n.arrive(at) })
	}
	n.under[at] = append(n.under[at], func() {
		n.mu.Lock()
		alive := n.sessions[s]
		n.mu.Unlock()
		if alive {
			arrive()
		}
	})
}

func (n *network) arrive(at time.Time) {
	n.mu.Lock()
	messages := n.under[at]
	delete(n.under, at)
	n.mu.Unlock()
	for _, m := range messages {
		m()
	}
}

// Send implements ingest.Sender: to all that are connected under this name.
func (n *network) Send(agent, kind string, payload []byte) error {
	n.mu.Lock()
	var to []*session
	for s := range n.sessions {
		if s.agent == agent {
			to = append(to, s)
		}
	}
	n.mu.Unlock()
	if len(to) == 0 {
		return errNoBroker
	}
	for _, s := range to {
		s.down(kind, payload)
	}
	return nil
}

// down sends a payload to the agent.
func (s *session) down(kind string, payload []byte) {
	f, ok := fault{}, false
	if kind == wire.DownAck {
		f, ok = s.l.reach(acking)
	}
	extra := time.Duration(0)
	arrive := func() {
		if !s.l.doomed() {
			s.receive(kind, payload)
		}
	}
	if ok {
		switch f.kind {
		case killed, powerLoss:
			s.l.doom(f)
		case brokerRestart:
			s.n.restart(f.span)
		case collectorKilled:
			s.n.w.central.kill(f)
		case unacknowledged:
			return
		case duplicated:
			s.deliver(time.Now().Add(3*time.Second), arrive)
		case reordered:
			extra = f.span
		}
	}
	s.deliver(time.Now().Add(latency+extra), arrive)
}

// restart ends all sessions; none begins for a while.
func (n *network) restart(span time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = time.Now().Add(span)
	for s := range n.sessions {
		s.end()
	}
}

// cut takes an agent off the network for a while.
func (n *network) cut(agent string, span time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines[agent] = time.Now().Add(span)
	for s := range n.sessions {
		if s.agent == agent {
			s.end()
		}
	}
}
