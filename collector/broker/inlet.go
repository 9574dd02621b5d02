package broker

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
)

// inlet is the way of agents' messages to Receive, the same whatever broker they come
// through.
type inlet struct {
	receive func(agent, stream string, payload []byte)
	log     *slog.Logger
	dam     *dam
	arrived func(agent string) // hears of every message; nil is not
	// Of several collectors the broker gives each message to one, also each part of one
	// that has several: whoever gets a part passes it to all, each of which puts the
	// message together. Both are nil where a till's messages all come to one collector.
	part func(payload []byte) bool
	pass func(topic string, part []byte)
}

// Levels of topics: agents publish below the first, collectors of a group pass parts
// on below the second, which no agent may touch.
const (
	upLevel    = "up"
	partsLevel = "parts"
)

// partsOf is the topic on which parts are passed on that came on an agent's topic.
func partsOf(topic string) string {
	return strings.Replace(topic, "/"+upLevel+"/", "/"+partsLevel+"/", 1)
}

// take hands a message on. One of a stream that the collector does not know is left
// alone: its records wait at the till until the collector does.
func (i *inlet) take(topic string, payload []byte) {
	agent, stream, err := wire.ParseUpTopic(strings.Replace(topic, "/"+partsLevel+"/", "/"+upLevel+"/", 1))
	switch {
	case err != nil:
	case !slices.Contains(wire.Streams(), stream):
		err = fmt.Errorf("agent %s: this collector knows no stream %q", agent, stream)
	case len(payload) > wire.MaxPacket:
		err = fmt.Errorf("agent %s: %d bytes are too many", agent, len(payload))
	}
	if err != nil {
		i.log.Warn("a message was left alone", "err", err)
		return
	}
	if i.arrived != nil {
		i.arrived(agent)
	}
	if i.part != nil && topic == wire.UpTopic(agent, stream) && i.part(payload) {
		i.pass(partsOf(topic), payload)
		return
	}
	if !i.dam.admits(agent, stream, len(payload), time.Now()) {
		i.log.Debug("a message over its agent's rate was dropped", "agent", agent, "stream", stream)
		return
	}
	i.receive(agent, stream, payload)
}

// subject is a topic as NATS writes it. Our topics hold no dots.
func subject(topic string) string {
	return strings.ReplaceAll(topic, "/", ".")
}

// collectors is the queue group in which NATS gives each message to one collector.
const collectors = "collectors"

// subscribe makes a connection bring what agents publish, each message to one of the
// collectors. The client library calls take in a goroutine of its own.
func (i *inlet) subscribe(conn *nats.Conn) error {
	sub, err := conn.QueueSubscribe(subject(wire.UpTopic("*", "*")), collectors, i.fromNATS)
	if err == nil {
		err = sub.SetPendingLimits(maxMessages, maxWaiting)
	}
	return err
}

func (i *inlet) fromNATS(m *nats.Msg) {
	i.take(strings.ReplaceAll(m.Subject, ".", "/"), m.Data)
}

// tellDropped is for what did not fit into memory.
func (i *inlet) tellDropped(_ *nats.Conn, _ *nats.Subscription, err error) {
	i.log.Warn("messages of agents were dropped, they send them again", "err", err)
}
