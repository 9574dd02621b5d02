package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zelo/agent/router"
	"zelo/agent/wire"
	"zelo/sat"
)

// lan joins the shop's computers.
type lan struct {
	w  *world
	mu sync.Mutex
	up time.Time // not before
}

func (n *lan) works() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !time.Now().Before(n.up)
}

func (n *lan) cut(span time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = time.Now().Add(span)
}

var errCut = errors.New("the connection to the neighbour was cut")

// neighbour is another computer's agent, as one life of an agent sees it.
type neighbour struct {
	l  *life
	to *agent
}

// neighbours are all others.
func (l *life) neighbours() (all []router.Neighbour) {
	for _, a := range l.w.agents {
		if a != l.agent {
			all = append(all, neighbour{l, a})
		}
	}
	return all
}

// host is an agent's name among its neighbours.
func (a *agent) host() string { return fmt.Sprintf("caixa%d", a.number) }

// Name implements router.Neighbour.
func (n neighbour) Name() string { return n.to.host() }

// Offers implements router.Neighbour.
func (n neighbour) Offers() []wire.Lendable {
	peer := n.to.current()
	if peer == nil || n.l.doomed() || !n.l.w.lan.works() {
		return nil
	}
	return peer.router.Offers()
}

// said is what the other side says of a case.
type said struct {
	ending wire.Ending
	reply  sat.Reply
	err    error
}

// Sell implements router.Neighbour.
func (n neighbour) Sell(ctx context.Context, id string, req sat.Request) (wire.Ending, sat.Reply, error) {
	peer := n.to.current()
	switch {
	case n.l.doomed():
		return n.end()
	case peer == nil, !n.l.w.lan.works():
		return 0, sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, errCut)
	}
	lend := func(ctx context.Context) said {
		e, r, err := peer.router.Lend(ctx, n.l.host(), id, req)
		return said{e, r, err}
	}
	if id == "" {
		return n.hear(ctx, peer, lend)
	}
	if f, ok := n.l.reachBy(intent, overLAN); ok {
		if n.broken(f) {
			return n.end()
		}
		return 0, sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, errCut)
	}
	f, strikes := n.l.reachBy(midway, overLAN)
	if strikes && f.roll%2 == 0 { // nothing arrives, or all of it when it has been asked about
		go n.late(ctx, peer, f.span+10*time.Second, lend)
	}
	if !strikes {
		if f, strikes = n.l.reachBy(sent, overLAN); strikes {
			go n.late(ctx, peer, 0, lend)
		}
	}
	if strikes {
		if n.broken(f) {
			return n.end()
		}
		return 0, sat.Reply{}, errCut
	}
	ending, reply, err := n.hear(ctx, peer, lend)
	if f, ok := n.l.reachBy(answer, overLAN); ok {
		if n.broken(f) {
			return n.end()
		}
		return 0, sat.Reply{}, errCut
	}
	return ending, reply, err
}

// Ask implements router.Neighbour.
func (n neighbour) Ask(ctx context.Context, id string) (wire.Ending, sat.Reply, error) {
	peer := n.to.current()
	switch {
	case n.l.doomed():
		return n.end()
	case peer == nil, !n.l.w.lan.works():
		return 0, sat.Reply{}, errCut
	}
	ask := func(ctx context.Context) said {
		e, r, err := peer.router.AskCase(ctx, n.l.host(), id)
		return said{e, r, err}
	}
	if f, ok := n.l.reachBy(asking, overLAN); ok {
		if f.roll%2 == 0 { // it is asked, and not heard
			go n.late(ctx, peer, 0, ask)
		}
		if n.broken(f) {
			return n.end()
		}
		return 0, sat.Reply{}, errCut
	}
	return n.hear(ctx, peer, ask)
}

// overLAN are the faults that strike between two agents.
func overLAN(k kind) bool { return k == lanCut || k == killed || k == powerLoss }

// broken lets a fault strike; true when this agent ends with it.
func (n neighbour) broken(f fault) bool {
	if f.kind != lanCut {
		n.l.doom(f)
		return true
	}
	n.l.w.lan.cut(f.span)
	return false
}

// late has the other side act on a request whose sender is gone.
func (n neighbour) late(ctx context.Context, peer *life, by time.Duration, act func(context.Context) said) {
	left := time.Minute
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	time.Sleep(by)
	if peer.doomed() {
		return
	}
	ctx, cancel := context.WithTimeout(background, left)
	defer cancel()
	act(ctx)
}

// hear waits for what the other side says, until one of the two ends.
func (n neighbour) hear(ctx context.Context, peer *life, act func(context.Context) said) (wire.Ending, sat.Reply, error) {
	done := make(chan said, 1)
	go func() { done <- act(ctx) }()
	var s said
	select {
	case s = <-done:
	case <-peer.dead:
		return 0, sat.Reply{}, errCut
	case <-n.l.dead:
		return n.end()
	case <-ctx.Done():
		return 0, sat.Reply{}, errCut
	}
	switch {
	case n.l.doomed():
		return n.end()
	case peer.doomed():
		return 0, sat.Reply{}, errCut
	}
	return s.ending, s.reply, s.err
}

func (n neighbour) end() (wire.Ending, sat.Reply, error) {
	<-n.l.dead
	return 0, sat.Reply{}, errCut
}
