package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/host"

	"zelo/agent/uplink"
	"zelo/agent/wire"
)

// keeper keeps who this agent is to its collector: it connects by that, renews it in
// time, when the collector asks for it and when the collector refuses it, and goes by
// the new one once a connection was made with it. Until then the old one is kept.
//
// Whatever moment the power fails at, the file of the current identity is whole:
//
//	chave-nova.pem  the new key, before it is asked for
//	nova.json       the new identity, whole, once the collector gave it
//	agente.json     replaced by it, by one rename, when it has connected
type keeper struct {
	folder   string
	fallback string // of the configuration; "" is the identity's
	proxy    proxyFunc
	now      func() time.Time // by which certificates are judged
	log      *slog.Logger
	pace     renewalPace
	retry    func()          // called when there is a renewed identity to connect with
	changed  func(*identity) // called when the agent goes by another identity
	bound    func(time.Time) // called with the end of the certificate that the collector presents
	run      string          // names this run of the agent
	asked    chan string     // where to renew; "" is where the identity says

	mu      sync.Mutex
	current *identity
	fresh   *identity      // renewed and not tried yet; nil when there is none
	session uplink.Session // the last connection
	refused error          // why the last renewal failed; nil when it did not
}

// renewalPace is how a keeper spreads and repeats what it does.
type renewalPace struct {
	look   time.Duration // between two looks at the clock, which may be set
	spread time.Duration // over which all agents renew that are asked to at one time
	hold   time.Duration // between two renewals
	first  time.Duration // before the second attempt; doubles
}

func usualPace() renewalPace {
	return renewalPace{look: time.Hour, spread: 5 * time.Minute, hold: time.Hour, first: time.Minute}
}

// newKeeper makes a keeper of the identity in a folder; nil and errNotEnrolled when
// there is none. Run renews.
func newKeeper(folder string, now func() time.Time, log *slog.Logger) (*keeper, error) {
	current, err := loadIdentity(folder)
	if errors.Is(err, errDamaged) {
		log.Error("the identity of this till is damaged and kept aside", "file", filepath.Join(folder, asideFile), "err", err)
		current, err = recoverIdentity(folder, err)
	}
	if err != nil {
		return nil, err
	}
	var run [16]byte
	rand.Read(run[:])
	k := &keeper{folder: folder, now: now, log: log, pace: usualPace(), retry: func() {}, changed: func(*identity) {}, bound: func(time.Time) {}, run: hex.EncodeToString(run[:]),
		asked: make(chan string, 1), current: current, fresh: loadFresh(folder, current)}
	dropUsedKey(folder, k.current, k.fresh)
	return k, nil
}

// identity is the one that the agent goes by.
func (k *keeper) identity() *identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// tell adds to a beat where it comes from, and what this agent was told.
func (k *keeper) tell(b *wire.Beat) {
	id := k.identity()
	b.Run, b.Terms = k.run, id.Terms
	if machine, err := host.HostID(); err == nil {
		sum := sha256.Sum256([]byte(id.Agent + "\n" + machine))
		b.Machine = hex.EncodeToString(sum[:16])
	}
}

// Connect makes the keeper a Transport. A new identity is tried first.
func (k *keeper) Connect(ctx context.Context, receive func(kind string, payload []byte)) (uplink.Session, error) {
	k.mu.Lock()
	current, fresh := k.current, k.fresh
	k.mu.Unlock()
	if fresh != nil {
		s, err := k.dial(ctx, fresh, receive)
		if err == nil {
			k.promote(fresh)
			return k.hold(s), nil
		}
		k.log.Warn("no connection with the renewed identity, trying the one before", "err", err)
	}
	s, err := k.dial(ctx, current, receive)
	if err == nil {
		return k.hold(s), nil
	}
	if errors.Is(err, uplink.ErrRefused) {
		k.ask("")
		k.mu.Lock()
		defer k.mu.Unlock()
		err = errors.Join(k.refused, err)
	}
	return nil, err
}

func (k *keeper) dial(ctx context.Context, id *identity, receive func(kind string, payload []byte)) (uplink.Session, error) {
	secure := id.tls(k.now)
	secure.VerifyConnection = func(s tls.ConnectionState) error { // after the usual verification
		k.bound(s.PeerCertificates[0].NotAfter)
		return nil
	}
	return uplink.MQTT{Broker: "tls://" + id.Broker, Fallback: cmp.Or(k.fallback, id.Fallback), Agent: id.Agent,
		TLS: secure, Proxy: k.proxy}.Connect(ctx, receive)
}

func (k *keeper) hold(s uplink.Session) uplink.Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.session = s
	return s
}

// promote goes by a new identity that a connection was made with.
func (k *keeper) promote(fresh *identity) {
	k.mu.Lock()
	before := k.current
	k.current, k.fresh = fresh, nil
	k.mu.Unlock()
	select {
	case <-k.asked: // for what is done now
	default:
	}
	if err := k.settle(before); err != nil {
		k.log.Error("the renewed identity is used, but the old one is still on disk", "err", err)
	}
	k.log.Info("identity renewed", "agent", fresh.Agent, "before", before.Agent, "until", fresh.certificate.Leaf.NotAfter)
	k.changed(fresh)
}

// settle puts the file of the new identity in the place of the old one's, unless this
// till was enrolled anew meanwhile.
func (k *keeper) settle(before *identity) error {
	there, err := loadIdentity(k.folder)
	if !errors.Is(err, errDamaged) && (err != nil || there.serial() != before.serial()) {
		return errors.Join(err, os.Remove(filepath.Join(k.folder, freshFile)))
	}
	if err := os.Rename(filepath.Join(k.folder, freshFile), filepath.Join(k.folder, identityFile)); err != nil {
		return err
	}
	if f, err := os.Open(filepath.Join(k.folder, identityFolder)); err == nil {
		f.Sync() // before the others go; not every system can
		f.Close()
	}
	for _, name := range []string{certFile, keyFile, caFile} {
		os.Remove(filepath.Join(k.folder, name)) // of the first versions, if at all
	}
	return nil
}

// ask makes Run renew, at an address or, when that is "", where the identity says. It
// returns at once.
func (k *keeper) ask(address string) {
	select {
	case k.asked <- address:
	default:
	}
}

// Run renews the identity until ctx ends.
func (k *keeper) Run(ctx context.Context) {
	pause := k.pace.first
	for ctx.Err() == nil {
		address := k.due(ctx)
		if ctx.Err() != nil {
			return
		}
		err := k.renew(ctx, address)
		k.mu.Lock()
		k.refused = err
		k.mu.Unlock()
		if err == nil {
			pause = k.pace.first
			rest(ctx, k.pace.hold)
			continue
		}
		k.log.Warn("identity not renewed, trying again", "within", pause, "err", err)
		rest(ctx, mrand.N(pause)+pause/10)
		pause = min(2*pause, k.pace.hold)
	}
}

// due waits until it is time to renew, and returns where.
func (k *keeper) due(ctx context.Context) (address string) {
	look := time.NewTicker(k.pace.look)
	defer look.Stop()
	for {
		k.mu.Lock()
		id, pending, session := k.current, k.fresh != nil, k.session
		k.mu.Unlock()
		if !pending && k.now().After(id.renewAt()) {
			return ""
		}
		select {
		case <-ctx.Done():
			return ""
		case address := <-k.asked:
			if address != "" {
				rest(ctx, mrand.N(k.pace.spread))
			}
			return address
		case <-look.C:
			if pending && session != nil {
				session.Close() // the next connection tries it again
			}
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// renew gets a new identity for the current one, and has it tried.
func (k *keeper) renew(ctx context.Context, address string) error {
	current := k.identity()
	// The first versions were not told where, and did not keep where they enrolled.
	address = cmp.Or(address, current.Enrolment, "https://"+net.JoinHostPort(current.Name, "8443"))
	u, err := collectorURL(address)
	if err != nil {
		return err
	}
	key, text, err := pendingKey(k.folder)
	if err != nil {
		return fmt.Errorf("não foi possível guardar a nova chave do agente: %w", err)
	}
	secure := current.tls(k.now)
	secure.ServerName = u.Hostname()
	fresh, err := askIdentity(ctx, u.JoinPath("renew"), k.proxy, key, text, "", secure)
	if err != nil {
		return err
	}
	fresh.Replaces, fresh.Enrolment = current.serial(), cmp.Or(fresh.Enrolment, address)
	if err := fresh.save(k.folder, freshFile); err != nil {
		return err
	}
	dropUsedKey(k.folder, fresh)
	k.mu.Lock()
	k.fresh = fresh
	session := k.session
	k.mu.Unlock()
	if session != nil {
		session.Close()
	}
	k.retry()
	return nil
}
