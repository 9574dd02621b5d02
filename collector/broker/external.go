package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"zelo/agent/wire"
)

// ExternalOptions are what a broker elsewhere needs.
//
// That broker must let each agent touch only its own topics: write
// zelo/v1/<id>/up/+ and read zelo/v1/<id>/down/+, <id> being the common name of
// its certificate, which also must be its client id. Revoked certificates are
// that broker's to refuse.
type ExternalOptions struct {
	Broker string      // "tls://host:8883"
	TLS    *tls.Config // with the collector's own client certificate
	// Group names a shared subscription for several collectors, on brokers that
	// offer `$share`; "" subscribes alone.
	Group   string
	Codec   *wire.Codec                                // knows parts; needed in a group
	Receive func(agent, stream string, payload []byte) // as in Options
	Log     *slog.Logger
}

// External is the collector's connection to any MQTT 3.1.1 broker.
type External struct {
	o      ExternalOptions
	queue  chan mqtt.Message
	cancel context.CancelFunc
	parts  sync.WaitGroup
	inlet  *inlet

	mu     sync.Mutex
	client mqtt.Client // nil while there is no connection
}

// Bounds of an external broker.
const (
	externalQueue = 256 // payloads not yet taken by Receive; more are dropped
	firstPause    = time.Second
	longPause     = time.Minute
	steady        = 5 * time.Minute // a connection that lived so long resets the pause
)

// StartExternal connects, and keeps connecting until Close. It starts two
// goroutines: one keeps the connection, one calls Receive.
func StartExternal(o ExternalOptions) *External {
	ctx, cancel := context.WithCancel(context.Background())
	e := &External{o: o, queue: make(chan mqtt.Message, externalQueue), cancel: cancel}
	e.inlet = &inlet{receive: o.Receive, log: o.Log, dam: newDam()}
	if o.Group != "" {
		e.inlet.part, e.inlet.pass = o.Codec.Part, e.pass
	}
	e.parts.Go(func() { e.keep(ctx) })
	e.parts.Go(func() { e.deliver(ctx) })
	return e
}

// Close ends the connection. It waits for Receive to return.
func (e *External) Close() {
	e.cancel()
	e.parts.Wait()
}

// Up tells whether the broker is connected.
func (e *External) Up() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.client != nil
}

// Send publishes a payload to one agent, if it is connected. A nil error does not
// say that it arrived.
func (e *External) Send(agent, kind string, payload []byte) error {
	e.mu.Lock()
	client := e.client
	e.mu.Unlock()
	err := errors.New("no connection to the broker")
	if client != nil {
		// Not waited for: an agent that hears nothing sends again.
		client.Publish(wire.DownTopic(agent, kind), 0, false, payload)
		return nil
	}
	return fmt.Errorf("cannot send %s to agent %s: %w", kind, agent, err)
}

// keep connects again and again, with full jitter.
func (e *External) keep(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := e.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		e.o.Log.Error("no connection to the broker, agents' messages wait with them", "broker", e.o.Broker, "err", err, "next attempt within", pause)
		t := time.NewTimer(mrand.N(pause) + pause/10)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		pause = min(2*pause, longPause)
	}
}

// session is one connection from beginning to end.
func (e *External) session(ctx context.Context) error {
	lost := make(chan error, 1)
	o := mqtt.NewClientOptions().AddBroker(e.o.Broker).SetClientID("zelo-" + rand.Text()[:16]).SetProtocolVersion(4).
		SetCleanSession(true).SetKeepAlive(30 * time.Second).SetPingTimeout(startTime).SetConnectTimeout(startTime).
		SetWriteTimeout(startTime).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	dialing, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		return (&tls.Dialer{Config: e.o.TLS}).DialContext(dialing, "tcp", u.Host)
	})
	client := mqtt.NewClient(o)
	defer client.Disconnect(0)
	if err := await(dialing, client.Connect()); err != nil {
		return err
	}
	topics := map[string]byte{wire.UpTopic("+", "+"): 0}
	if e.o.Group != "" {
		topics = map[string]byte{"$share/" + e.o.Group + "/" + wire.UpTopic("+", "+"): 0, partsOf(wire.UpTopic("+", "+")): 0}
	}
	subscribed := client.SubscribeMultiple(topics, e.take)
	if err := await(dialing, subscribed); err != nil {
		return err
	}
	for topic, granted := range subscribed.(*mqtt.SubscribeToken).Result() {
		if granted == 128 {
			return fmt.Errorf("the broker refused the subscription to %s", topic)
		}
	}
	e.connected(client)
	defer e.connected(nil)
	e.o.Log.Info("connected to the broker", "broker", e.o.Broker)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-lost:
		return err
	}
}

func (e *External) connected(c mqtt.Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.client = c
}

// await waits for a paho token within ctx.
func await(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take queues a message. It never waits: paho answers pings in the same place.
func (e *External) take(_ mqtt.Client, m mqtt.Message) {
	select {
	case e.queue <- m:
	default:
		e.o.Log.Warn("a message of an agent was dropped, it sends it again", "topic", m.Topic())
	}
}

// deliver hands messages to Receive.
func (e *External) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-e.queue:
			e.inlet.take(m.Topic(), m.Payload())
		}
	}
}

// pass gives a part to all collectors, this one among them. One that is lost the
// agent sends again.
func (e *External) pass(topic string, part []byte) {
	e.mu.Lock()
	client := e.client
	e.mu.Unlock()
	if client != nil {
		client.Publish(topic, 0, false, part)
	}
}
