package soak

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sim"
)

// keyBits is a quarter of a device's, which the first line of soak_test.go allows:
// what is signed is not the point here, and signing would take a fifth of the time.
const keyBits = 512

// newSigner makes a device's key and certificate.
func newSigner(t *testing.T, serial string) *cfe.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), KeyUsage: x509.KeyUsageDigitalSignature,
		Subject:   pkix.Name{Country: []string{"BR"}, SerialNumber: serial, CommonName: "LOJA DE TESTE:" + sim.TestEmitter(sim.SAT).CNPJ},
		NotBefore: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cfe.LoadSigner(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// device is a simulated device on a cable that can be pulled.
type device struct {
	w      *world
	serial string
	sim    *sim.Sim

	mu    sync.Mutex
	away  bool
	doubt int   // session of a fiscal call of which the agent has no answer; 0 for none
	used  []int // the sessions of its latest calls
}

func newDevice(w *world, i int) *device {
	d := &device{w: w, serial: serialOf(i)}
	memory := sim.Generous
	if i == 0 {
		memory = sim.LastOnly
	}
	var err error
	d.sim, err = sim.New(sim.Options{Serial: d.serial, CA: w.shop.ca, Signer: w.shop.signers[i], Memory: memory, Clock: w.clock,
		Seed: w.seed, Latency: map[sat.Function]time.Duration{sat.EnviarDadosVenda: 700 * time.Millisecond}})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func serialOf(i int) string { return fmt.Sprintf("90000000%d", i+1) }

// pull takes the cable out and puts it back after a while.
func (d *device) pull(span time.Duration) {
	d.sim.Unplug()
	d.gone(span)
}

// gone keeps a device away that has been unplugged.
func (d *device) gone(span time.Duration) {
	d.mu.Lock()
	d.away = true
	d.mu.Unlock()
	d.w.later(span, func() {
		d.mu.Lock()
		d.away = false
		d.mu.Unlock()
		d.sim.Plug()
	})
}

// script has the device misbehave at its next command. The channel is closed when
// it has.
func (d *device) script(f sim.Fault) <-chan struct{} {
	struck, err := d.sim.Script(f)
	if err != nil {
		d.w.fail("%v", err)
	}
	return struck
}

// scripted is how long a scripted fault may take to strike: a device that is busy
// strikes later.
const scripted = 5 * time.Minute

// pullNext takes the cable out in the middle of the next command.
func (d *device) pullNext(span time.Duration, f sim.Fault) {
	struck := d.script(f)
	d.w.hold(1)
	go func() {
		defer d.w.hold(-1)
		select {
		case <-struck:
			d.gone(span)
		case <-time.After(scripted):
		}
	}()
}

// sessionsKept is within how many calls a session number must not repeat (dossier
// 5.1).
const sessionsKept = 100

// inOrder checks decisions 4 and 5: after a call whose outcome is unknown the next
// command is the query for its session; the agent gives no session number again.
func (d *device) inOrder(req sat.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.used, req.Session) {
		d.w.fail("device %s hears session %06d twice within %d calls", d.serial, req.Session, sessionsKept)
	}
	d.used = append(d.used, req.Session)
	d.used = d.used[max(0, len(d.used)-sessionsKept):]
	if d.doubt == 0 {
		return
	}
	if req.Function != sat.ConsultarNumeroSessao || req.Arg("cNumeroDeSessao") != strconv.Itoa(d.doubt) {
		d.w.fail("device %s hears %s of session %06d while the outcome of session %06d is unknown", d.serial, req.Function, req.Session, d.doubt)
	}
	d.doubt = 0
}

func (d *device) doubts(session int) {
	d.mu.Lock()
	d.doubt = session
	d.mu.Unlock()
}

// cable is the device as one life of an agent has it open.
type cable struct {
	*device
	life *life
}

func (c cable) Gone() <-chan struct{} { return nil }
func (c cable) Close() error          { return nil }

// open opens the device for a life of an agent.
func (d *device) open(l *life) (cable, sat.Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return cable{}, sat.Info{}, sat.ErrGone
	}
	return cable{d, l}, sat.Info{Serial: d.serial, Name: "simulador", Driver: "sim", Where: d.serial}, nil
}

// Call carries a command to the device, with what goes wrong on the way.
func (c cable) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if c.life.doomed() {
		return c.life.end()
	}
	if !req.Function.Fiscal() {
		return c.ask(ctx, req)
	}
	if f, ok := c.life.reach(intent); ok && c.early(f) {
		return c.life.end()
	}
	f, strikes := c.life.reach(midway)
	if strikes && (f.kind == killed || f.kind == powerLoss) {
		c.life.doom(f)
		return c.life.end()
	}
	if strikes {
		c.misbehave(f, req.Function, true)
	} else if f, strikes = c.life.reach(sent); strikes {
		c.misbehave(f, req.Function, false)
	}
	c.inOrder(req)
	reply, err := c.sim.Call(ctx, req)
	if sat.OutcomeOf(req, reply, err) == sat.Unknown || c.life.doomed() {
		c.doubts(req.Session)
		if c.life.doomed() {
			return c.life.end()
		}
		return reply, err
	}
	if f, ok := c.life.reach(answer); ok {
		c.doubts(req.Session)
		c.life.doom(f)
		return c.life.end()
	}
	return reply, err
}

// early is what happens between intent and first byte; true when the agent ends.
func (c cable) early(f fault) bool {
	switch f.kind {
	case killed, powerLoss:
		c.life.doom(f)
		return true
	case unplugged:
		c.pull(f.span)
	case clockJump:
		c.life.agent.jump(f)
	case diskFull:
		c.life.agent.fill(f)
	}
	return false
}

// ask carries a question, which may be about an open case.
func (c cable) ask(ctx context.Context, req sat.Request) (sat.Reply, error) {
	if req.Function.AsksSession() {
		if f, ok := c.life.reach(asking); ok {
			switch f.kind {
			case killed, powerLoss:
				c.sim.Call(ctx, req) // the device has said it, once
				c.life.doom(f)
				return c.life.end()
			case clockJump:
				c.life.agent.jump(f)
			default:
				c.misbehave(f, req.Function, f.rng().IntN(2) == 0)
			}
		}
	}
	c.inOrder(req)
	reply, err := c.sim.Call(ctx, req)
	if c.life.doomed() {
		return c.life.end()
	}
	return reply, err
}

// misbehave makes the device do to this call what the fault says, before or after
// it is carried out.
func (c cable) misbehave(f fault, fn sat.Function, early bool) {
	r := f.rng()
	one := sim.Fault{Function: fn, Before: early}
	switch f.kind {
	case killed, powerLoss:
		c.life.doom(f)
		return
	case unplugged:
		one.Do = sim.Unplug
		c.pullNext(f.span, one)
		return
	case slow:
		one.Do, one.For = sim.Late, f.span
	case lost:
		one.Do = sim.Never
	case foreign:
		one.Do, one.Before = []sim.Act{sim.Other, sim.Half, sim.Garbage, sim.Busy}[r.IntN(4)], false
	case unanswered:
		one.Do, one.For = sim.Late, fn.Deadline()+10*time.Second+f.span
	}
	c.script(one)
}
