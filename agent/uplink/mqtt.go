package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"zelo/agent/wire"
)

// Limits of the network. paho waits for ever by default.
const (
	dialTime  = 15 * time.Second
	writeTime = 15 * time.Second
	keepAlive = 30 * time.Second
)

// MQTT is the Transport over MQTT 3.1.1 with mutual TLS: clean sessions, QoS 0,
// no retained messages, no will, and none of paho's own store or reconnection.
type MQTT struct {
	Broker   string // "tls://host:8883"
	Fallback string // "wss://host:443/mqtt", tried where Broker is not reached; "" is none
	Agent    string // the id in the agent's certificate, also the client id
	TLS      *tls.Config
	// Proxy says through which HTTP proxy an address is reached, nil for none;
	// http.ProxyFromEnvironment when it is nil itself. TLS goes through it whole:
	// the proxy sees addresses, never contents.
	Proxy func(*http.Request) (*url.URL, error)
}

type mqttSession struct {
	client mqtt.Client
	agent  string
	done   chan struct{}
	end    context.CancelFunc
}

// Connect dials, presents the certificate and subscribes to the agent's own
// topics. When ctx ends so does the session, whatever is being written to it.
func (m MQTT) Connect(ctx context.Context, receive func(kind string, payload []byte)) (Session, error) {
	live, end := context.WithCancel(ctx)
	s := &mqttSession{agent: m.Agent, done: make(chan struct{}), end: end}
	lost := sync.OnceFunc(func() { close(s.done) })
	o := mqtt.NewClientOptions().AddBroker(m.Broker).SetClientID(m.Agent).
		SetProtocolVersion(4).SetCleanSession(true).SetKeepAlive(keepAlive).SetPingTimeout(dialTime).
		SetConnectTimeout(dialTime).SetWriteTimeout(writeTime).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectionLostHandler(func(mqtt.Client, error) { lost() })
	attempts := time.Duration(1)
	if m.Fallback != "" {
		o.AddBroker(m.Fallback)
		attempts++
	}
	dialing, cancel := context.WithTimeout(ctx, attempts*dialTime)
	defer cancel()
	var failed dialErrors
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		conn, err := m.open(dialing, u)
		failed.add(u, err)
		if err == nil {
			context.AfterFunc(live, func() { conn.Close() }) // paho would wait for a silent network
		}
		return conn, err
	})
	s.client = mqtt.NewClient(o)
	if err := await(dialing, s.client.Connect()); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot connect to the collector: %w", failed.explain(err))
	}
	down := wire.DownTopic(m.Agent, "+")
	token := s.client.Subscribe(down, 0, func(_ mqtt.Client, msg mqtt.Message) {
		kind := msg.Topic()[strings.LastIndexByte(msg.Topic(), '/')+1:]
		receive(kind, msg.Payload())
	})
	if err := await(dialing, token); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot listen to the collector on %s: %w", down, err)
	}
	if granted := token.(*mqtt.SubscribeToken).Result()[down]; granted == 128 {
		s.Close()
		return nil, fmt.Errorf("the collector refused the subscription to %s: is this agent still enrolled?", down)
	}
	return s, nil
}

// await waits for a paho token within ctx.
func await(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errors.New("no answer in time")
		}
		return ctx.Err()
	}
}

func (s *mqttSession) Publish(stream string, payload []byte) error {
	t := s.client.Publish(wire.UpTopic(s.agent, stream), 0, false, payload)
	if !t.WaitTimeout(writeTime) {
		return errors.New("the network takes nothing")
	}
	return t.Error()
}

func (s *mqttSession) Done() <-chan struct{} { return s.done }

// Close ends the connection without waiting long: the stream is safe on disk.
func (s *mqttSession) Close() {
	s.client.Disconnect(100)
	s.end()
}
