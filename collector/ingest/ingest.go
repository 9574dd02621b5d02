// Package ingest is the one way into the collector, for what agents publish and
// for imported files: decode, read, verify, store, and only then acknowledge.
//
// What is understood becomes documents, statuses and events; what is not is kept
// as it came, in quarantine, with the reason. Nothing else can happen to a
// record: one that cannot be read never holds up its till. A transaction that
// fails acknowledges nothing, and agents send again.
package ingest

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

// Sender carries a message to one agent, if it is connected.
type Sender interface {
	Send(agent, kind string, payload []byte) error
}

// Options are what ingest needs.
type Options struct {
	Store *store.Store
	Roots *x509.CertPool // authorities of devices' certificates; nil trusts none
	Log   *slog.Logger
	Now   func() time.Time
	Every time.Duration  // between two judgements of rules that depend on time; default one minute
	Read  store.Contents // of documents, for their numbers
	Batch func(Batch)    // told of each transaction that was acknowledged; nil tells nobody
	// CommandKey is the public key that commands are signed with, which each Hello tells; nil tells none.
	CommandKey []byte
	// Renew is where an agent that holds such terms renews its identity, "" when it need
	// not; nil when none does.
	Renew func(terms string) string
}

// Batch is what one transaction came to, for figures.
type Batch struct {
	Acknowledged int // records
	Quarantined  int
	Stored       time.Duration // how long the store took
	Waited       time.Duration // from the arrival of its first message to the last acknowledgement
}

// Bounds. A queue of payloads of at most wire.MaxPacket bytes takes 32 MiB.
const (
	queueLength     = 128
	maxUnfinished   = 16 << 20 // bytes of messages whose parts have not all come
	maxGroupRecords = 1000     // in one transaction, but for the last message
	maxGroupBytes   = 8 << 20
	maxAckRecords   = 4096
	finishTime      = 4 * time.Second // for the transaction under way when Run ends
)

// Ingest is the way in. Receive, Ingest, Import and Tick are safe for concurrent
// use.
type Ingest struct {
	o        Options
	codec    *wire.Codec
	verifier *cfe.Verifier
	queue    chan Incoming
	changed  chan struct{} // there are marks to evaluate
	ended    chan struct{} // Run has returned

	mu        sync.Mutex
	assembler *wire.Assembler

	judging sync.Mutex
	// Alarms that may share a cause were opened since causes were looked for last.
	ungrouped bool
	grouped   time.Time

	dictionaries shelf
}

// New makes an ingest; Run makes it take what Receive brings.
func New(o Options) (*Ingest, error) {
	codec, err := wire.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("cannot start ingest: %w", err)
	}
	if o.Every == 0 {
		o.Every = time.Minute
	}
	g := &Ingest{o: o, codec: codec, verifier: cfe.NewVerifier(o.Roots), queue: make(chan Incoming, queueLength),
		changed: make(chan struct{}, 1), ended: make(chan struct{}), assembler: wire.NewAssembler(codec, maxUnfinished)}
	g.assembler.Dictionary = g.dictionary
	return g, nil
}

// Incoming is one payload of an agent's stream, as the broker gives it. Which
// agent is certain: its certificate says so.
type Incoming struct {
	Agent, Stream string
	Payload       []byte
	At            time.Time // when it came
}

// Result is what became of one payload.
type Result struct {
	Stored      int // documents, statuses, events and beats that are new
	Duplicates  int // records that were stored before
	Quarantined int
	Unfinished  bool       // a part of a message whose other parts have not come
	Acks        []wire.Ack // what to tell the agent
	Replies     []Reply    // and what else
}

// Receive queues one payload for Run, and waits while the queue is full. It does
// nothing once Run has ended.
func (g *Ingest) Receive(agent, stream string, payload []byte) {
	select {
	case g.queue <- Incoming{agent, stream, payload, g.o.Now()}:
	case <-g.ended:
	}
}

// Run stores what Receive brings, acknowledges it through sender, and judges the
// rules, until ctx ends and what is under way is stored. It is called once and
// owns three goroutines: while one transaction commits, the next is prepared.
func (g *Ingest) Run(ctx context.Context, sender Sender) {
	defer close(g.ended)
	prepared := make(chan []message)
	var parts sync.WaitGroup
	parts.Go(func() { g.takeQueue(ctx, prepared) })
	parts.Go(func() { g.storeGroups(ctx, prepared, sender) })
	parts.Go(func() { g.judgeChanges(ctx) })
	parts.Wait()
}

// takeQueue prepares whatever has queued up as one group.
func (g *Ingest) takeQueue(ctx context.Context, prepared chan<- []message) {
	defer close(prepared)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-g.queue:
			group := g.gather(first)
			g.prepareAll(group)
			prepared <- group
		}
	}
}

// storeGroups commits groups and acknowledges them.
func (g *Ingest) storeGroups(ctx context.Context, prepared <-chan []message, sender Sender) {
	finish, cancel := outlive(ctx, finishTime)
	defer cancel()
	for group := range prepared {
		began := g.o.Now()
		results, err := g.store(finish, group)
		if err != nil {
			g.o.Log.Error("nothing was stored, nothing is acknowledged: agents send again", "messages", len(group), "err", err)
			continue
		}
		b := Batch{Stored: g.o.Now().Sub(began)}
		for i, r := range results {
			g.acknowledge(sender, group[i].Agent, r)
			b.Quarantined += r.Quarantined
			for _, a := range r.Acks {
				b.Acknowledged += len(a.Records)
			}
		}
		if g.o.Batch != nil {
			b.Waited = g.o.Now().Sub(group[0].At)
			g.o.Batch(b)
		}
	}
}

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// gather opens the first payload and those that wait behind it, up to the bounds
// of a group.
func (g *Ingest) gather(first Incoming) []message {
	group := []message{g.open(first)}
	records, bytes := len(group[0].records), group[0].bytes()
	for records < maxGroupRecords && bytes < maxGroupBytes {
		select {
		case in := <-g.queue:
			m := g.open(in)
			group = append(group, m)
			records, bytes = records+len(m.records), bytes+m.bytes()
		default:
			return group
		}
	}
	return group
}

// acknowledge tells an agent what became of its message, and to slow down when
// much is waiting.
func (g *Ingest) acknowledge(sender Sender, agent string, r Result) {
	ask := slow(len(g.queue))
	for _, a := range r.Acks {
		a.Slow = ask
		g.send(sender, agent, wire.DownAck, a)
	}
	for _, reply := range r.Replies {
		if hello, ok := reply.Message.(wire.Hello); ok {
			hello.Slow, hello.CommandKey = ask, g.o.CommandKey
			reply.Message = hello
		}
		g.send(sender, agent, reply.Kind, reply.Message)
	}
}

func (g *Ingest) send(sender Sender, agent, kind string, v any) {
	b, err := g.codec.Encode(v)
	if err == nil {
		err = sender.Send(agent, kind, b)
	}
	if err != nil {
		g.o.Log.Warn("message to an agent not sent, it asks again", "agent", agent, "kind", kind, "err", err)
	}
}

// Ingest stores payloads in one transaction and returns what became of each. An
// error means that the store failed and nothing was stored.
func (g *Ingest) Ingest(ctx context.Context, in []Incoming) ([]Result, error) {
	group := make([]message, len(in))
	for i := range in {
		group[i] = g.open(in[i])
	}
	g.prepareAll(group)
	return g.store(ctx, group)
}

// prepareAll prepares the records of a group on all cores.
func (g *Ingest) prepareAll(group []message) {
	var all []*record
	for _, m := range group {
		all = append(all, m.records...)
	}
	each(all, g.prepare)
}

// store commits a prepared group.
func (g *Ingest) store(ctx context.Context, group []message) ([]Result, error) {
	results, err := g.commit(ctx, group)
	if err != nil && ctx.Err() == nil {
		g.o.Log.Warn("a transaction failed, trying its messages one by one", "messages", len(group), "err", err)
		results, err = g.commitApart(ctx, group)
	}
	if err == nil {
		g.signal()
	}
	return results, err
}

// signal tells the judge that there are marks.
func (g *Ingest) signal() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// each runs work on all items, on all cores, and returns when all are done.
func each[T any](items []T, work func(T)) {
	var next atomic.Int64
	var parts sync.WaitGroup
	for range min(len(items), runtime.GOMAXPROCS(0)) {
		parts.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(items); i = next.Add(1) - 1 {
				work(items[i])
			}
		})
	}
	parts.Wait()
}
