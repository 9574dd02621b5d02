package uplink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// collector is the other side, in the test's hands: it keeps what it receives
// and acknowledges when told to.
type collector struct {
	t         *testing.T
	codec     *wire.Codec
	assembler *wire.Assembler
	store     wire.Epoch
	mu        sync.Mutex // guards what follows
	receive   func(kind string, payload []byte)
	session   *session
	dials     []time.Time
	refuse    bool
	silent    bool // takes everything, acknowledges nothing
	kept      map[string]map[uint64][]byte
	beats     []wire.Beat
	sent      []string // stream of every record received, in order
	batches   int
	bytes     int           // of all payloads
	version   int           // of the collector; 1 knows neither Hello nor dictionaries
	ahead     time.Duration // its clock, of the real time
	slow      *wire.Slow    // what it asks for in every answer
	held      map[wire.Number][]byte
	offers    int  // dictionaries brought
	packed    int  // batches packed with one
	refuses   bool // to hold any
	lacked    int
	rate      int // bytes a second that the network takes; 0 takes all at once
	loses     int // of the coming batches
}

type session struct {
	c    *collector
	done chan struct{}
}

func (c *collector) Connect(ctx context.Context, receive func(string, []byte)) (Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials = append(c.dials, time.Now())
	if c.refuse {
		return nil, errors.New("refused")
	}
	c.receive = receive
	c.session = &session{c: c, done: make(chan struct{})}
	return c.session, nil
}

func (s *session) Done() <-chan struct{} { return s.done }
func (s *session) Close()                {}

func (s *session) Publish(stream string, payload []byte) error {
	c := s.c
	if c.rate > 0 {
		time.Sleep(time.Duration(len(payload)) * time.Second / time.Duration(c.rate))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += len(payload)
	switch stream {
	case wire.StreamBeat:
		c.heard(payload)
		return nil
	case wire.StreamDictionary:
		c.offered(payload)
		return nil
	}
	if c.loses > 0 {
		c.loses--
		return nil
	}
	var b wire.Batch
	done, err := c.assembler.Add("agent001", payload, &b)
	var lack *wire.LackError
	if errors.As(err, &lack) {
		c.lacked++
		c.tell(wire.DownDictionary, wire.Answer{Version: 2, Number: lack.Number})
		return nil
	}
	if err != nil {
		c.t.Errorf("batch not understood: %v", err)
	}
	if !done {
		return nil
	}
	c.batches++
	for range b.Records {
		c.sent = append(c.sent, stream)
	}
	if c.silent {
		return nil
	}
	for _, r := range b.Records {
		c.keep(stream, r)
	}
	c.ack(stream, b, nil)
	return nil
}

// heard answers a beat.
func (c *collector) heard(payload []byte) {
	var b wire.Beat
	if ok, err := c.assembler.Add("agent001", payload, &b); !ok || err != nil {
		c.t.Errorf("beat not understood: %v", err)
	}
	c.beats = append(c.beats, b)
	if c.version >= 2 {
		c.tell(wire.DownHello, wire.Hello{Version: c.version, Beat: b.Number, StoreEpoch: c.store, Time: time.Now().Add(c.ahead).UnixMilli(), Slow: c.slow})
	}
}

// offered keeps a dictionary and says so.
func (c *collector) offered(payload []byte) {
	var o wire.Offer
	if ok, err := c.assembler.Add("agent001", payload, &o); !ok || err != nil || c.version < 2 {
		c.t.Errorf("offer not understood: %v", err)
	}
	if len(o.Data) > 0 {
		c.offers++
		if !c.refuses {
			c.held[o.Name.Number()] = o.Data
		}
	}
	c.tell(wire.DownDictionary, wire.Answer{Version: 2, Number: o.Name.Number(), Held: c.held[o.Name.Number()] != nil})
}

func (c *collector) tell(kind string, v any) {
	p, err := c.codec.Encode(v)
	if err != nil {
		c.t.Error(err)
	}
	c.receive(kind, p)
}

// pass lets time go by. The test has the collector to itself before and after.
func (c *collector) pass(d time.Duration) {
	c.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	c.mu.Lock()
}

func (c *collector) keep(stream string, r wire.Record) {
	if c.kept[stream] == nil {
		c.kept[stream] = map[uint64][]byte{}
	}
	c.kept[stream][r.Seq] = r.Data
}

// ack confirms a batch; change may falsify it first.
func (c *collector) ack(stream string, b wire.Batch, change func(*wire.Ack)) {
	a := wire.Ack{Version: 1, Epoch: b.Epoch, StoreEpoch: c.store, Time: time.Now().UnixMilli(), Stream: stream, Slow: c.slow}
	for _, r := range b.Records {
		a.Records = append(a.Records, wire.AckRecord{Seq: r.Seq, SHA256: sha256.Sum256(r.Data)})
	}
	if change != nil {
		change(&a)
	}
	c.tell(wire.DownAck, a)
}

// inWorld runs an uplink against a collector in a bubble.
func inWorld(t *testing.T, setup func(*collector), test func(c *collector, b *buffer.Buffer, u *Uplink)) {
	t.Helper()
	inWorldWith(t, nil, setup, test)
}

// inWorldWith is inWorld with other options.
func inWorldWith(t *testing.T, options func(*Options), setup func(*collector), test func(c *collector, b *buffer.Buffer, u *Uplink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		codec, err := wire.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close()
		b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 64 << 20,
			Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		c := &collector{t: t, codec: codec, assembler: wire.NewAssembler(codec, 16<<20), store: wire.Epoch{1}, kept: map[string]map[uint64][]byte{},
			version: 2, held: map[wire.Number][]byte{}}
		c.assembler.Dictionary = func(_ string, number wire.Number) []byte {
			c.packed++
			return c.held[number]
		}
		if setup != nil {
			setup(c)
		}
		o := Options{Buffer: b, Codec: codec, Transport: c, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Streams: []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus},
			Beat:    func() wire.Beat { return wire.Beat{Version: 1, Software: "test"} }}
		if options != nil {
			options(&o)
		}
		u := New(o)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); u.Run(ctx) }()
		synctest.Wait()
		c.mu.Lock()
		test(c, b, u)
		c.mu.Unlock()
		cancel()
		<-done
	})
}

func add(t *testing.T, b *buffer.Buffer, stream string, n, size int) {
	t.Helper()
	batch := &buffer.Batch{}
	for i := range n {
		batch.Append(stream, fmt.Appendf(make([]byte, 0, size), "%s %d %*s", stream, i, size, ""))
	}
	if _, err := b.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

func waiting(b *buffer.Buffer) (n int) {
	for _, s := range b.Stats().Streams {
		n += s.Waiting
	}
	return n
}

func TestDrainsAndFrees(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 1000, 5000)
		add(t, b, wire.StreamEvents, 3, 100)
		c.pass(time.Second)
		if n := waiting(b); n != 0 {
			t.Errorf("%d records still wait", n)
		}
		if len(c.kept[wire.StreamDocuments]) != 1000 || len(c.kept[wire.StreamEvents]) != 3 {
			t.Errorf("the collector has %d documents and %d events", len(c.kept[wire.StreamDocuments]), len(c.kept[wire.StreamEvents]))
		}
		if s := u.State(); !s.Connected || s.LastAck.IsZero() {
			t.Errorf("state %+v", s)
		}
		if len(c.beats) != 1 {
			t.Errorf("%d beats at once after connecting", len(c.beats))
		}
		c.pass(3*time.Minute + time.Second)
		if len(c.beats) != 4 {
			t.Errorf("%d beats after three minutes", len(c.beats))
		}
	})
}

func TestMostImportantStreamFirst(t *testing.T) {
	inWorld(t, func(c *collector) { c.refuse = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 100, 5000)
		add(t, b, wire.StreamEvents, 1, 100)
		c.refuse, c.silent = false, true
		c.pass(10 * time.Second)
		if len(c.sent) != 101 || c.sent[0] != wire.StreamEvents {
			t.Errorf("%d records sent, beginning with %.1q", len(c.sent), c.sent)
		}
		if n := waiting(b); n != 101 {
			t.Errorf("%d records wait without any acknowledgement, want 101", n)
		}
	})
}

func TestSilentCollectorHearsAgainAndIsNotFlooded(t *testing.T) {
	inWorld(t, func(c *collector) { c.silent = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 2000, 5000)
		c.pass(time.Second)
		once := len(c.sent)
		if once == 0 || once > windowRecords+batchRecords {
			t.Errorf("%d records under way without acknowledgement", once)
		}
		c.pass(time.Minute)
		if n := len(c.sent); n < 2*once || n > 5*once {
			t.Errorf("%d records sent in a minute of silence, %d fit under way", n, once)
		}
		c.silent = false
		c.pass(5 * time.Minute)
		if n := waiting(b); n != 0 {
			t.Errorf("%d records still wait after the collector woke up", n)
		}
	})
}

func TestFalseAcknowledgementsFreeNothing(t *testing.T) {
	for name, change := range map[string]func(*wire.Ack){
		"another hash":   func(a *wire.Ack) { a.Records[0].SHA256[0] ^= 1 },
		"another buffer": func(a *wire.Ack) { a.Epoch[0] ^= 1 },
		"another stream": func(a *wire.Ack) { a.Stream = wire.StreamEvents },
		"no such stream": func(a *wire.Ack) { a.Stream = "x" },
		"beyond the end": func(a *wire.Ack) { a.Records[0].Seq += 100 },
		"no records":     func(a *wire.Ack) { a.Records = nil },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *collector) { c.silent = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
				add(t, b, wire.StreamDocuments, 1, 100)
				c.pass(time.Second)
				records, err := b.Peek(wire.StreamDocuments, 0, 10, 1<<20)
				if err != nil || len(records) != 1 {
					t.Fatalf("%d records, %v", len(records), err)
				}
				batch := wire.Batch{Epoch: b.Epoch(), Records: []wire.Record{{Seq: records[0].Seq, Data: records[0].Data}}}
				c.ack(wire.StreamDocuments, batch, change)
				c.pass(time.Second)
				if n := waiting(b); n != 1 {
					t.Fatalf("%d records wait", n)
				}
				c.receive(wire.DownAck, []byte("\xff\x00rubbish"))
				c.receive("unheard-of", nil)
				c.ack(wire.StreamDocuments, batch, nil)
				c.ack(wire.StreamDocuments, batch, nil) // twice does no harm
				c.pass(time.Second)
				if n := waiting(b); n != 0 {
					t.Errorf("%d records wait after the true acknowledgement", n)
				}
			})
		})
	}
}

func TestRestoredStoreGetsEverythingAgain(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 50, 1000)
		c.pass(time.Second)
		c.kept = map[string]map[uint64][]byte{}
		c.store = wire.Epoch{2}
		add(t, b, wire.StreamDocuments, 1, 1000) // its acknowledgement carries the new epoch
		c.pass(time.Minute)
		if n := len(c.kept[wire.StreamDocuments]); n != 51 {
			t.Errorf("the restored collector has %d documents, want 51", n)
		}
		if n := waiting(b); n != 0 {
			t.Errorf("%d records wait", n)
		}
	})
}

func TestLostConnection(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		c.pass(10 * time.Minute) // a steady session
		dials := len(c.dials)
		close(c.session.done)
		c.pass(5 * time.Second)
		if len(c.dials) != dials+1 || !u.State().Connected {
			t.Errorf("%d new attempts, connected %v", len(c.dials)-dials, u.State().Connected)
		}
		add(t, b, wire.StreamDocuments, 5, 100)
		c.pass(time.Second)
		if n := waiting(b); n != 0 {
			t.Errorf("%d records wait after reconnecting", n)
		}
	})
}

// A broker that accepts everybody and drops them at once must not be stormed: the
// pause grows although every attempt succeeds.
func TestPauseGrowsUntilASessionLived(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		end := time.Now().Add(time.Hour)
		for time.Now().Before(end) {
			select {
			case <-c.session.done:
			default:
				close(c.session.done)
			}
			c.pass(time.Second)
		}
		if n := len(c.dials); n < 20 || n > 120 {
			t.Errorf("%d attempts in an hour", n)
		}
	})
}

func TestLargeRecordGoesInParts(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		data := make([]byte, 2<<20)
		for i := range data {
			data[i] = byte(i*i*31 + i>>8*17 + i>>16)
		}
		batch := &buffer.Batch{}
		batch.Append(wire.StreamDocuments, data)
		if _, err := b.Commit(batch); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Second)
		if n := waiting(b); n != 0 || len(c.kept[wire.StreamDocuments]) != 1 {
			t.Errorf("%d records wait, %d arrived", n, len(c.kept[wire.StreamDocuments]))
		}
	})
}
