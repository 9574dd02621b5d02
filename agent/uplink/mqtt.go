package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	Broker string // "tls://host:8883"
	Agent  string // the id in the agent's certificate, also the client id
	TLS    *tls.Config
}

type mqttSession struct {
	client mqtt.Client
	agent  string
	done   chan struct{}
}

// Connect dials, presents the certificate and subscribes to the agent's own
// topics.
func (m MQTT) Connect(ctx context.Context, receive func(kind string, payload []byte)) (Session, error) {
	s := &mqttSession{agent: m.Agent, done: make(chan struct{})}
	lost := sync.OnceFunc(func() { close(s.done) })
	o := mqtt.NewClientOptions().AddBroker(m.Broker).SetClientID(m.Agent).SetTLSConfig(m.TLS).
		SetProtocolVersion(4).SetCleanSession(true).SetKeepAlive(keepAlive).SetPingTimeout(dialTime).
		SetConnectTimeout(dialTime).SetWriteTimeout(writeTime).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectionLostHandler(func(mqtt.Client, error) { lost() })
	s.client = mqtt.NewClient(o)
	if err := await(ctx, s.client.Connect()); err != nil {
		return nil, fmt.Errorf("cannot connect to the collector at %s: %w", m.Broker, err)
	}
	down := wire.DownTopic(m.Agent, "+")
	token := s.client.Subscribe(down, 0, func(_ mqtt.Client, msg mqtt.Message) {
		kind := msg.Topic()[strings.LastIndexByte(msg.Topic(), '/')+1:]
		receive(kind, msg.Payload())
	})
	if err := await(ctx, token); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot listen to the collector on %s: %w", down, err)
	}
	if granted := token.(*mqtt.SubscribeToken).Result()[down]; granted == 128 {
		s.Close()
		return nil, fmt.Errorf("the collector refused the subscription to %s: is this agent still enrolled?", down)
	}
	return s, nil
}

// await bounds a paho token by ctx and by the dial time.
func await(ctx context.Context, t mqtt.Token) error {
	timer := time.NewTimer(dialTime)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("no answer in time")
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
func (s *mqttSession) Close() { s.client.Disconnect(100) }
