package notify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zelo/collector/account"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// bench is a notifier over a real store, whose clock the test holds.
type bench struct {
	*Notifier
	t     *testing.T
	store *store.Store
	log   bytes.Buffer
	tech  store.User // of reseller 1, which has the shop of the agent

	mu  sync.Mutex
	now time.Time
}

const (
	shop  = "11111111000191"
	agent = "agent001"
	pages = "https://zelo.example"
)

func setup(t *testing.T, o Options) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t: t, store: s, now: noon}
	b.start(o)
	b.update(func(w *store.Writer) error {
		err := errors.Join(w.AddTaxpayer(store.Taxpayer{Root: shop[:8], Name: "PADARIA", Reseller: 1, CreatedAt: noon}),
			w.AddEstablishment(store.Establishment{CNPJ: shop, Root: shop[:8], Name: "Padaria Aurora"}),
			w.AddToken("s", store.Token{Reseller: 1, CNPJ: shop, Allowed: 1, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}),
			w.EnrolAgent("s", agent, "CAIXA-1", noon))
		if err == nil {
			b.tech, err = w.AddPerson(store.User{Email: "tech@example.com", Role: store.RoleTechnician, Reseller: 1, CreatedAt: noon})
		}
		return err
	})
	b.rounds() // begins
	return b
}

// start makes the notifier, and makes it anew as after a restart.
func (b *bench) start(o Options) {
	b.t.Helper()
	o.Store, o.Key, o.Scope, o.Pages, o.Log, o.Now = b.store, [32]byte{9}, account.ScopeOf, pages, slog.New(slog.NewTextHandler(&b.log, nil)), b.clock
	n, err := New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Notifier = n
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) update(fn func(*store.Writer) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) alarms(subject alarm.Subject, list ...alarm.Raised) {
	b.t.Helper()
	b.update(func(w *store.Writer) error { return w.SetAlarms(subject, list, b.clock()) })
}

func raised(code alarm.Code, s alarm.Severity) alarm.Raised {
	return alarm.Raised{Code: code, Severity: s, Step: 1, Since: noon.Add(-time.Hour), Detail: "O que há, desde 21/11/2026 11:00."}
}

// broken raises a critical alarm about a till.
func (b *bench) broken() {
	b.t.Helper()
	b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent}, raised(alarm.BufferDamaged, alarm.Critical))
}

// taken are the messages that one round takes.
func (b *bench) taken() []store.Message {
	b.t.Helper()
	list, err := b.round(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// rounds sends all that is due and says how many attempts that were.
func (b *bench) rounds() (n int) {
	b.t.Helper()
	for range 100 {
		list := b.taken()
		if len(list) == 0 {
			return n
		}
		for _, m := range list {
			n++
			b.settle(b.t.Context(), fared{m, b.deliver(b.t.Context(), m)})
		}
	}
	b.t.Fatal("there is no end of messages")
	return 0
}

// channel is the only one of the technician.
func (b *bench) channel() (c store.Channel) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		if err := w.AddMailChannels(b.clock()); err != nil {
			return err
		}
		list, err := w.Channels(b.tech.ID, false)
		c = list[0]
		return err
	})
	return c
}

// hook adds a hook of reseller 1.
func (b *bench) hook(kind store.ChannelKind, address, form string) (c store.Channel) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		id, err := w.AddChannel(store.Channel{Kind: kind, Reseller: 1, Name: "hook", Target: address, Form: form, Wish: store.Wish{Least: alarm.Warning, Digest: -1}, CreatedAt: b.clock()})
		if err == nil {
			c, err = w.Channel(id, 0, true)
		}
		return err
	})
	return c
}

// certificate is one for localhost, and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}
