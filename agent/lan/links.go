package lan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"zelo/agent/wire"
)

// How neighbours are looked for. What anyone can put on the network, a beacon, costs
// a bounded number of attempts: links of stray addresses share the gate, back off
// far, and are forgotten.
const (
	connectWithin = 3 * time.Second
	firstWait     = 250 * time.Millisecond // before the second attempt
	longWait      = 15 * time.Second       // at most, where a neighbour was before or should be
	strayWait     = 5 * time.Minute        // at most, elsewhere
	twiceWait     = time.Minute            // while the neighbour is there by another address
	steady        = 10 * time.Second       // a connection this old starts the waits anew
	strayEvery    = 50 * time.Millisecond  // between attempts at stray addresses, all together
	maxFound      = 64                     // addresses that are not listed
	strayLife     = 2 * time.Minute        // after the last beacon
	foundLife     = 24 * time.Hour         // the same, where a neighbour was before
)

// link is an address at which a neighbour is, or may be.
type link struct {
	address string
	fixed   bool // listed: kept for ever
	end     context.CancelFunc

	// Guarded by LAN.mu.
	heard  time.Time // the last beacon
	proven bool      // a neighbour was there
	failed int       // attempts in a row
}

// know takes note of an address, and starts to connect to it if it is new.
func (l *LAN) know(ctx context.Context, address string, fixed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.links[address]; k != nil {
		k.heard = time.Now()
		return
	}
	if !fixed && !l.room() {
		return
	}
	ctx, end := context.WithCancel(ctx)
	k := &link{address: address, fixed: fixed, end: end, heard: time.Now()}
	l.links[address] = k
	l.parts.Go(func() { defer end(); l.keep(ctx, k) })
}

// room makes room for one more address that is not listed, if need be at the cost
// of the stray one that failed most.
func (l *LAN) room() bool {
	n, worst := 0, (*link)(nil)
	for _, k := range l.links {
		if k.fixed {
			continue
		}
		n++
		if !k.proven && k.failed > 0 && (worst == nil || k.failed > worst.failed) {
			worst = k
		}
	}
	if n < maxFound {
		return true
	}
	if worst == nil {
		return false
	}
	worst.end()
	delete(l.links, worst.address)
	return true
}

// keep connects to an address, and again when the connection is lost, until ctx
// ends or the address is forgotten.
func (l *LAN) keep(ctx context.Context, k *link) {
	wait, said := firstWait, ""
	for ctx.Err() == nil {
		if l.isStray(k) {
			l.stray.pass(ctx)
		}
		began := time.Now()
		err := l.connect(ctx, k)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); k.fixed && text != said && !errors.Is(err, errTwice) {
			l.log.Warn("no neighbour at a listed address", "address", k.address, "err", err)
			said = text
		} else {
			l.log.Debug("no neighbour", "address", k.address, "err", err)
		}
		most, forget := l.missed(k)
		if forget {
			return
		}
		wait = min(wait, most)
		switch {
		case errors.Is(err, errSelf):
			wait = strayWait
		case errors.Is(err, errTwice):
			wait = twiceWait
		case time.Since(began) > steady:
			wait = firstWait
		}
		pause(ctx, wait/2+rand.N(wait/2))
		wait *= 2
	}
}

func (l *LAN) isStray(k *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !k.fixed && !k.proven
}

// missed notes a failed attempt and says how long the next may wait at most, and
// whether the address is forgotten.
func (l *LAN) missed(k *link) (most time.Duration, forget bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.failed++
	most, life := strayWait, strayLife
	if k.fixed || k.proven {
		most, life = longWait, foundLife
	}
	if forget = !k.fixed && time.Since(k.heard) > life; forget && l.links[k.address] == k {
		delete(l.links, k.address)
	}
	return most, forget
}

// met notes that a neighbour is at an address.
func (l *LAN) met(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.proven, k.failed = true, 0
}

// connect connects to a neighbour and borrows from it until the connection ends;
// why is the error.
func (l *LAN) connect(ctx context.Context, k *link) error {
	raw, err := (&net.Dialer{Timeout: connectWithin}).DialContext(ctx, "tcp", k.address)
	if err != nil {
		return err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	stream := tls.Client(raw, l.trust.Load().client())
	within, cancel := context.WithTimeout(ctx, meetWithin)
	defer cancel()
	if err := stream.HandshakeContext(within); err != nil {
		return err
	}
	name := stream.ConnectionState().PeerCertificates[0].Subject.CommonName
	s := &session{conn: newConn(name, raw, stream, l.opt.Codec), pending: map[uint64]loan{}}
	// Only its offers prove that it has accepted us: until then nothing is sent.
	kind, body, err := s.next()
	if err == nil && kind != wire.LanOffers {
		err = fmt.Errorf("%w: kind %q where offers belong", errFrame, kind)
	}
	if err == nil {
		err = s.take(kind, body)
	}
	if err != nil {
		return err
	}
	n := l.neighbour(name)
	if !n.come(s) {
		return errTwice
	}
	defer n.leave(s)
	l.met(k)
	l.log.Info("neighbour connected", "neighbour", name, "address", k.address)
	ended := make(chan struct{})
	l.parts.Go(func() {
		defer close(ended)
		s.write(every, func() ([]byte, error) { return frame(l.opt.Codec, wire.LanBeacon, l.beacon()) })
	})
	err = s.read()
	s.close()
	<-ended
	l.log.Info("neighbour gone", "neighbour", name, "address", k.address, "err", err)
	return fmt.Errorf("connection lost: %w", err)
}

// addressOf writes an address as net.Dial takes it.
func addressOf(ip netip.Addr, port uint16) string {
	return net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(int(port)))
}

// gate lets one through at a time, strayEvery apart.
type gate struct {
	mu   sync.Mutex
	next time.Time
}

func (g *gate) pass(ctx context.Context) {
	g.mu.Lock()
	now := time.Now()
	if g.next.Before(now) {
		g.next = now
	}
	wait := g.next.Sub(now)
	g.next = g.next.Add(strayEvery)
	g.mu.Unlock()
	pause(ctx, wait)
}
