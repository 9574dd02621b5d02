package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// Reply is a message to an agent beside its acknowledgements.
type Reply struct {
	Kind    string // wire.DownHello or wire.DownDictionary
	Message any    // wire.Hello or wire.Answer
}

// When the queue fills up, agents are asked to spare the collector: what they
// would send now is dropped or waits here instead of with them.
const (
	slowFrom  = queueLength / 2
	pauseFrom = queueLength * 7 / 8
	slowRate  = 8 << 10 // bytes a second and agent
	slowFor   = 30 * time.Second
	pauseFor  = 15 * time.Second
)

// slow is what to ask of agents with so many payloads waiting; nil is nothing.
func slow(waiting int) *wire.Slow {
	switch {
	case waiting >= pauseFrom:
		return &wire.Slow{Rate: slowRate, For: slowFor.Milliseconds(), Pause: pauseFor.Milliseconds()}
	case waiting >= slowFrom:
		return &wire.Slow{Rate: slowRate, For: slowFor.Milliseconds()}
	}
	return nil
}

// replies are what a message is answered with once it is stored.
func (m message) replies(storeEpoch wire.Epoch, now time.Time, renew func(terms string) string) (out []Reply) {
	if m.beat != nil && m.beat.Version >= 2 {
		hello := wire.Hello{Version: wire.Version, Beat: m.beat.Number, StoreEpoch: storeEpoch,
			Time: now.UnixMilli(), Took: max(now.Sub(m.At), 0).Milliseconds()}
		if m.beat.Version >= 3 && renew != nil {
			hello.Renew = renew(m.beat.Terms)
		}
		out = append(out, Reply{wire.DownHello, hello})
	}
	if m.answer != nil {
		out = append(out, Reply{wire.DownDictionary, *m.answer})
	}
	return out
}

// openOffer takes an agent's word of a dictionary apart.
func (g *Ingest) openOffer(m *message, o wire.Offer) {
	m.answer = &wire.Answer{Version: wire.Version, Number: o.Name.Number()}
	switch {
	case len(o.Data) == 0:
		held := g.dictionary(m.Agent, o.Name.Number())
		m.answer.Held = held != nil && wire.NameOf(held) == o.Name
	case len(o.Data) > wire.MaxDictionary || wire.NameOf(o.Data) != o.Name:
		g.o.Log.Warn("dictionary refused: too large, or not what its name says", "agent", m.Agent, "bytes", len(o.Data))
	default:
		m.dictionary = g.o.Store.Pack(o.Data)
	}
}

// dictionary returns an agent's dictionary; nil when it is not held, or cannot be
// read just now.
func (g *Ingest) dictionary(agent string, number wire.Number) []byte {
	if data := g.dictionaries.get(agent, number); data != nil {
		return data
	}
	var data []byte
	err := g.o.Store.View(context.Background(), store.All(), func(r *store.Reader) (err error) {
		data, err = r.Dictionary(agent, uint32(number))
		return err
	})
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			g.o.Log.Error("dictionary not readable, its agent sends without", "agent", agent, "dictionary", number, "err", err)
		}
		return nil
	}
	g.dictionaries.put(agent, number, data)
	return data
}

// maxShelf bounds the bytes of dictionaries kept at hand.
const maxShelf = 16 << 20

// shelf keeps dictionaries at hand, any of them until room is needed.
type shelf struct {
	mu    sync.Mutex
	bytes int
	held  map[shelfKey][]byte
}

type shelfKey struct {
	agent  string
	number wire.Number
}

func (s *shelf) get(agent string, number wire.Number) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[shelfKey{agent, number}]
}

func (s *shelf) put(agent string, number wire.Number, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[shelfKey][]byte{}
	}
	key := shelfKey{agent, number}
	s.bytes += len(data) - len(s.held[key])
	s.held[key] = data
	for other, d := range s.held {
		if s.bytes <= maxShelf {
			break
		}
		if other != key {
			s.bytes -= len(d)
			delete(s.held, other)
		}
	}
}
