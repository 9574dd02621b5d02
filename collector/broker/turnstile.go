package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Bounds of connections that are being made.
const (
	maxEntering  = 256
	longestTurn  = 5 * time.Second  // for a place
	longestEntry = 10 * time.Second // with a place, but for the handshake, which the server bounds
	longestPause = 2 * time.Second  // between handshake and certificate check
)

var errBusy = errors.New("too many agents connect at once, it tries again later")

// turnstile lets so many connections be made at a time, from a client's first word to
// its first message, which an agent sends at once. The others wait for their turn with
// little computed yet, and are refused when it does not come soon.
//
// Without it, when thousands come back at once, so many are begun that none ends in
// its agent's time (the server itself gives a session record 5 seconds), all begin
// anew, and the processor is busy with what nobody waits for any more.
type turnstile struct {
	places chan struct{}

	mu      sync.Mutex
	inside  map[string]*time.Timer // by the client's address; ends what takes too long
	address map[string]string      // of an agent that is inside
}

func newTurnstile() *turnstile {
	return &turnstile{places: make(chan struct{}, maxEntering), inside: map[string]*time.Timer{}, address: map[string]string{}}
}

// at lets clients through whom a listener with a configuration answers. It goes by the
// choice of the certificate: what comes before it the server takes over for listeners of
// WebSockets.
func (t *turnstile) at(config *tls.Config) {
	choose := config.GetCertificate
	config.SessionTicketsDisabled = true // a resumed session chooses none
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if err := t.admit(hello); err != nil {
			return nil, err
		}
		return choose(hello)
	}
}

// admit waits for a place for a client that said its first word.
func (t *turnstile) admit(hello *tls.ClientHelloInfo) error {
	late := time.NewTimer(longestTurn)
	defer late.Stop()
	select {
	case t.places <- struct{}{}:
	case <-late.C:
		return errBusy
	}
	at := hello.Conn.RemoteAddr().String()
	t.leave(at) // who was at this address before is gone
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside[at] = time.AfterFunc(2*longestEntry, func() { t.leave(at) })
	// The context ends with the handshake, well or not.
	context.AfterFunc(hello.Context(), func() { t.allow(at, longestPause) })
	return nil
}

// allow gives what is inside so much time from now.
func (t *turnstile) allow(at string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if timer := t.inside[at]; timer != nil {
		timer.Reset(d)
	}
}

// known says which agent is at an address.
func (t *turnstile) known(at net.Addr, agent string) {
	if at == nil {
		return // gone already
	}
	t.allow(at.String(), longestEntry)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[at.String()] != nil {
		t.address[agent] = at.String()
	}
}

// arrived ends the entry of an agent whose first message came.
func (t *turnstile) arrived(agent string) {
	t.mu.Lock()
	at, ok := t.address[agent]
	delete(t.address, agent)
	t.mu.Unlock()
	if ok {
		t.leave(at)
	}
}

// leave gives a place free, once.
func (t *turnstile) leave(at string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if timer := t.inside[at]; timer != nil {
		timer.Stop()
		delete(t.inside, at)
		<-t.places
	}
}
