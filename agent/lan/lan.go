// Package lan lets the agents of one establishment find each other on the local
// network and lend each other their devices: a till whose own devices cannot sell
// borrows a neighbour's (DESIGN.md, decisions 3, 4 and 6).
//
// Each agent listens, and connects to every neighbour it knows of: those listed,
// those whose beacons it hears, and those that connected to it. Who connects
// borrows, who listens lends; so there is one connection for each direction, kept,
// with any number of calls on it (agent/wire, lan.go). Trust comes from TLS alone:
// both sides show the certificate that the collector gave them, and it must name
// the same establishment.
//
// What went wrong says what is certain. An error wraps sat.ErrNotSent only when not
// one byte of the call left this process; every other error leaves its outcome
// unknown, and the case has to be asked about.
package lan

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// Lender serves what neighbours ask for: the router, with the agent's own devices
// and never with a neighbour's. From is the neighbour's agent id, id its case.
type Lender interface {
	// Offers are the devices to lend. It returns at once.
	Offers() []wire.Lendable
	// Lend carries a call out and says how it ended. An error says nothing of that.
	// A reading has no case: its id is "".
	Lend(ctx context.Context, from, id string, req sat.Request) (wire.Ending, sat.Reply, error)
	// AskCase says how a case stands. One never heard of is forbidden for ever and
	// wire.EndingNothing.
	AskCase(ctx context.Context, from, id string) (wire.Ending, sat.Reply, error)
}

// Options of a LAN. All are needed unless they say otherwise.
type Options struct {
	Lender Lender
	Codec  *wire.Codec
	Log    *slog.Logger

	// Certificate is the agent's own, with its id as the common name and perhaps
	// its establishment (wire.Establishment). Roots are the collector's authorities.
	Certificate tls.Certificate
	Roots       *x509.CertPool
	// Allowed are ids of agents that are accepted although their certificate, or
	// ours, names no establishment. None may do.
	Allowed []string
	// Now is the system's clock. Times gives other instants that are certainly past,
	// as the build's or what the collector said last; nil when there are none. A
	// certificate's validity goes by the latest.
	Now   func() time.Time
	Times func() []time.Time

	// Listen is the address to lend at, "host:port".
	Listen string
	// Peers are addresses of neighbours, "host:port"; perhaps none.
	Peers []string
	// Discover broadcasts beacons and listens to others', on UDP, at the port of
	// Listen.
	Discover bool
}

// stopWithin is how long a stop waits for calls that are being carried out.
const stopWithin = time.Second

// LAN is an agent among its neighbours. It is safe for concurrent use.
type LAN struct {
	opt      Options
	log      *slog.Logger
	trust    atomic.Pointer[trust]
	listener net.Listener
	port     uint16
	id       []byte         // of this run
	parts    sync.WaitGroup // every goroutine of Run
	stray    gate           // attempts at addresses that have proved nothing

	mu         sync.Mutex
	links      map[string]*link // by address
	neighbours []*Neighbour
	borrowers  map[string]int // connections that borrow, by agent
	guests     map[string]int // connections that have not shown who they are, by address
}

// New checks the options and listens. Run serves, and closes when it ends.
func New(o Options) (*LAN, error) {
	l := &LAN{opt: o, log: o.Log, links: map[string]*link{}, borrowers: map[string]int{}, guests: map[string]int{}}
	t, err := newTrust(o)
	if err != nil {
		return nil, err
	}
	l.trust.Store(&t)
	for _, address := range append([]string{o.Listen}, o.Peers...) {
		if err := checkAddress(address); err != nil {
			return nil, fmt.Errorf("cannot use %q as an address of the local network: %w", address, err)
		}
	}
	if l.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("cannot listen for neighbours at %s: %w", o.Listen, err)
	}
	l.id = make([]byte, 16)
	rand.Read(l.id)
	l.port = l.listener.Addr().(*net.TCPAddr).AddrPort().Port()
	return l, nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err
}

// Renew goes by another certificate, and trusts other authorities, from the next
// connection on. Connections there are stay.
func (l *LAN) Renew(certificate tls.Certificate, roots *x509.CertPool) error {
	o := l.opt
	o.Certificate, o.Roots = certificate, roots
	t, err := newTrust(o)
	if err == nil {
		l.trust.Store(&t)
	}
	return err
}

// Addr is where it listens.
func (l *LAN) Addr() net.Addr { return l.listener.Addr() }

// Run connects to neighbours and serves them until ctx ends. It returns within
// two seconds then, with an error only if the lender did not end its calls.
func (l *LAN) Run(ctx context.Context) error {
	for _, address := range l.opt.Peers {
		l.know(ctx, address, true)
	}
	if l.opt.Discover {
		l.parts.Go(func() { l.discover(ctx) })
	}
	l.parts.Go(func() { l.accept(ctx) })
	<-ctx.Done()
	l.listener.Close()
	ended := make(chan struct{})
	go func() { l.parts.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(stopWithin):
		return errors.New("cannot stop lending: calls of neighbours are still being carried out")
	}
}

// Neighbours are all agents that were connected to since the start, in the order of
// their coming. They stay, also while they are away.
func (l *LAN) Neighbours() []*Neighbour {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Neighbour(nil), l.neighbours...)
}

// neighbour is the one of that name, new when it was not known.
func (l *LAN) neighbour(name string) *Neighbour {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.neighbours {
		if n.name == name {
			return n
		}
	}
	n := &Neighbour{name: name, codec: l.opt.Codec, log: l.log}
	l.neighbours = append(l.neighbours, n)
	return n
}

// beacon says where this agent is.
func (l *LAN) beacon() wire.Beacon {
	return wire.Beacon{Version: wire.Version, Agent: l.trust.Load().agent, Port: l.port}
}

// pause waits, or ends early with ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
