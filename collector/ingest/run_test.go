package ingest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/broker"
	"zelo/collector/enrol"
	"zelo/collector/store"
)

// sender is the collector's side of the broker: it checks at once that what is
// acknowledged is stored.
type sender struct {
	s    *shop
	acks chan wire.Ack
	fail bool
}

func (d sender) Send(agent, kind string, payload []byte) error {
	var a wire.Ack
	if err := d.s.codec.Decode(payload, &a); err != nil || agent != agentID || kind != wire.DownAck {
		d.s.t.Errorf("sent %s to %s: %v", kind, agent, err)
	}
	for range a.Records {
		if c := d.s.counts(); c.Documents+c.Quarantined == 0 {
			d.s.t.Error("acknowledged before it was stored")
		}
	}
	d.acks <- a
	if d.fail {
		return fmt.Errorf("agent %s is gone", agent)
	}
	return nil
}

// TestRun: many senders at once, every record acknowledged once it is stored,
// and a quick end.
func TestRun(t *testing.T) {
	s := newShop(t)
	ctx, cancel := context.WithCancel(context.Background())
	to := sender{s: s, acks: make(chan wire.Ack, 100)}
	done := make(chan bool)
	go func() { s.g.Run(ctx, to); close(done) }()
	const senders, each = 4, 20
	var payloads [senders][]Incoming
	for n := range senders {
		for i := range each {
			payloads[n] = append(payloads[n], s.records(wire.StreamDocuments, uint64(n*each+i), document(sale(t, n%3, n*each+i, noon())))...)
		}
	}
	var parts sync.WaitGroup
	for n := range senders {
		parts.Go(func() {
			for _, in := range payloads[n] {
				s.g.Receive(in.Agent, in.Stream, in.Payload)
			}
		})
	}
	seen := map[uint64]bool{}
	for len(seen) < senders*each {
		for _, r := range (<-to.acks).Records {
			seen[r.Seq] = true
		}
	}
	parts.Wait()
	if c := s.counts(); c.Documents != senders*each {
		t.Errorf("%+v", c)
	}
	begin := time.Now()
	cancel()
	<-done
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
	for range queueLength + 1 {
		s.g.Receive(agentID, wire.StreamBeat, nil) // does not wait for ever
	}
}

// heard tells when a message is logged.
type heard struct {
	slog.Handler
	words string
	tell  chan bool
}

func (h heard) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if strings.Contains(r.Message, h.words) {
		h.tell <- true
	}
	return err
}

// TestRunSurvives a store that fails for a while and an agent that is gone.
func TestRunSurvives(t *testing.T) {
	s := newShop(t)
	db := s.database()
	if _, err := db.Exec(`CREATE TRIGGER down BEFORE INSERT ON arrivals BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	failed := make(chan bool)
	s.g.o.Log = slog.New(heard{s.g.o.Log.Handler(), "nothing was stored", failed})
	ctx, cancel := context.WithCancel(context.Background())
	to := sender{s: s, acks: make(chan wire.Ack, 100), fail: true}
	done := make(chan bool)
	go func() { s.g.Run(ctx, to); close(done) }()
	in := s.records(wire.StreamDocuments, 1, document(sale(t, 0, 1, noon())))[0]
	s.g.Receive(in.Agent, in.Stream, in.Payload)
	<-failed
	if len(to.acks) != 0 || s.counts().Documents != 0 {
		t.Error("acknowledged although nothing was stored")
	}
	if _, err := db.Exec(`DROP TRIGGER down`); err != nil {
		t.Fatal(err)
	}
	s.g.Receive(in.Agent, in.Stream, in.Payload)
	if a := <-to.acks; len(a.Records) != 1 || a.Records[0].Seq != 1 {
		t.Errorf("%+v", a)
	}
	cancel()
	<-done
}

// TestRunJudges in a bubble of time: changes at once, silence by itself.
func TestRunJudges(t *testing.T) {
	raw := edited(sale(t, 0, 1, noon())) // RSA keys are made outside of the bubble
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(context.Background(), filepath.Join(folder, "zelo.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		g, err := New(Options{Store: st, Log: slog.New(slog.DiscardHandler), Now: time.Now, Every: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer g.codec.Close()
		s := &shop{t: t, store: st, g: g, codec: g.codec, now: time.Now(), log: &bytes.Buffer{}}
		to := sender{s: s, acks: make(chan wire.Ack, 10)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan bool)
		go func() { g.Run(ctx, to); close(done) }()
		open := func() map[alarm.Code]alarm.Severity {
			synctest.Wait()
			out := map[alarm.Code]alarm.Severity{}
			s.view(func(r *store.Reader) error {
				list, err := r.OpenAlarms()
				for _, a := range list {
					out[a.Code] = a.Severity
				}
				return err
			})
			return out
		}
		in := s.records(wire.StreamDocuments, 1, document(raw))[0]
		g.Receive(in.Agent, in.Stream, in.Payload)
		<-to.acks
		if got := open(); len(got) != 1 || got[alarm.SignatureInvalid] != alarm.Critical {
			t.Errorf("after the document: %v", got)
		}
		time.Sleep(14 * time.Minute)
		if got := open(); len(got) != 1 {
			t.Errorf("heard 14 minutes ago: %v", got)
		}
		time.Sleep(10 * time.Minute)
		if got := open(); got[alarm.AgentSilent] != alarm.Notice {
			t.Errorf("silent for 24 minutes: %v", got)
		}
		time.Sleep(24 * time.Hour)
		if got := open(); got[alarm.AgentSilent] != alarm.Warning {
			t.Errorf("silent for a day: %v", got)
		}
		beat := s.beat()
		beat.Clock = time.Now().UnixMilli()
		in = s.pack(wire.StreamBeat, beat)[0]
		g.Receive(in.Agent, in.Stream, in.Payload)
		if got := open(); len(got) != 1 {
			t.Errorf("heard again: %v", got)
		}
		cancel()
		<-done
	})
}

// TestThroughBroker is the path of a coupon with nothing replaced: paho over
// mutual TLS, the broker, the store, and the acknowledgement back.
func TestThroughBroker(t *testing.T) {
	s := newShop(t)
	ca, err := enrol.CreateCA(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	registry := enrol.New(ca, s.store, time.Now)
	b, err := broker.Start(broker.Options{Listen: "127.0.0.1:0", TLS: ca.ServerConfig([]string{"127.0.0.1"}, time.Now), CAs: ca.Pool(),
		Folder: filepath.Join(t.TempDir(), "broker"), Agent: registry.Agent, Receive: s.g.Receive, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() { s.g.Run(ctx, b); close(done) }()
	defer func() { b.Close(); cancel(); <-done }()

	agent, config := enrolled(t, registry, ca)
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tls://" + b.Addr()).SetClientID(agent).SetTLSConfig(config).
		SetProtocolVersion(4).SetAutoReconnect(false).SetWriteTimeout(10 * time.Second))
	wait := func(what string, token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("cannot %s: %v", what, token.Error())
		}
	}
	wait("connect", client.Connect())
	defer client.Disconnect(0)
	acks := make(chan []byte, 10)
	wait("subscribe", client.Subscribe(wire.DownTopic(agent, "+"), 0, func(_ mqtt.Client, m mqtt.Message) { acks <- m.Payload() }))

	raw := sale(t, 0, 1, noon())
	for _, in := range s.records(wire.StreamDocuments, 1, document(raw)) {
		wait("publish", client.Publish(wire.UpTopic(agent, wire.StreamDocuments), 0, false, in.Payload))
	}
	select {
	case payload := <-acks:
		var a wire.Ack
		if err := s.codec.Decode(payload, &a); err != nil || !acked([]wire.Ack{a}, wire.StreamDocuments, 1, s.encode(document(raw))) {
			t.Errorf("%+v, %v", a, err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("no acknowledgement")
	}
	if list := s.stored(raw); len(list) != 1 || list[0].Verdict != "verified" {
		t.Errorf("%+v", list)
	}
}

func enrolled(t *testing.T, registry *enrol.Registry, ca *enrol.CA) (string, *tls.Config) {
	t.Helper()
	token, err := registry.NewToken(context.Background(), "test", 1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(token, ".")
	id, err := registry.Issue(context.Background(), secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), "caixa")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(id.Certificate)
	return id.Agent, &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}}
}
