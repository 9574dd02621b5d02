package uplink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// addRandom appends records that cannot be packed.
func addRandom(t *testing.T, b *buffer.Buffer, stream string, n, size int) {
	t.Helper()
	r := rand.NewChaCha8([32]byte{7})
	batch := &buffer.Batch{}
	for range n {
		data := make([]byte, size)
		r.Read(data)
		batch.Append(stream, data)
	}
	if _, err := b.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

func count(sent []string, stream string) (n int) {
	for _, s := range sent {
		if s == stream {
			n++
		}
	}
	return n
}

// An alarm goes out although documents fill their window.
func TestAlarmPassesAFullWindow(t *testing.T) {
	inWorld(t, func(c *collector) { c.silent = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 2000, 5000)
		c.pass(time.Second)
		before := len(c.sent)
		add(t, b, wire.StreamEvents, 1, 100)
		c.pass(0)
		if len(c.sent) != before+1 || c.sent[before] != wire.StreamEvents {
			t.Errorf("%d records sent after the alarm", len(c.sent)-before)
		}
	})
}

// Records wait a little for company, alarms never.
func TestBatchesBySizeAndAge(t *testing.T) {
	for stream, c := range map[string]struct {
		within time.Duration // ten records come
		after  time.Duration // the first
		want   int           // batches
	}{
		wire.StreamEvents:    {200 * time.Millisecond, 200 * time.Millisecond, 10},
		wire.StreamDocuments: {200 * time.Millisecond, 300 * time.Millisecond, 1},
		wire.StreamStatus:    {200 * time.Millisecond, 300 * time.Millisecond, 1},
	} {
		t.Run(stream, func(t *testing.T) {
			inWorld(t, nil, func(w *collector, b *buffer.Buffer, u *Uplink) {
				for range 10 {
					add(t, b, stream, 1, 100)
					w.pass(c.within / 10)
				}
				w.pass(c.after - c.within)
				if w.batches != c.want || waiting(b) != 0 {
					t.Errorf("%d batches, want %d; %d records wait", w.batches, c.want, waiting(b))
				}
			})
		})
	}
	t.Run("a full batch goes at once", func(t *testing.T) {
		inWorld(t, nil, func(w *collector, b *buffer.Buffer, u *Uplink) {
			add(t, b, wire.StreamStatus, batchRecords, 100)
			w.pass(0)
			if waiting(b) != 0 {
				t.Errorf("%d records wait", waiting(b))
			}
		})
	})
}

func TestCollectorSlowsDown(t *testing.T) {
	for name, c := range map[string]struct {
		slow  wire.Slow
		after time.Duration
		most  int // records of 1000 bytes sent by then
		least int
	}{
		"pause":               {wire.Slow{Pause: 60_000}, 59 * time.Second, 0, 0},
		"pause is over":       {wire.Slow{Pause: 60_000}, 91 * time.Second, 500, 500},
		"endless pause":       {wire.Slow{Pause: 1 << 60}, wire.MaxSlow + time.Second, 500, 500},
		"rate":                {wire.Slow{Rate: 4 << 10, For: 60_000}, 50 * time.Second, 330, 120},
		"endless rate":        {wire.Slow{Rate: 1, For: 1 << 60}, wire.MaxSlow + 2*time.Second, 500, 500},
		"rate is over":        {wire.Slow{Rate: 4 << 10, For: 60_000}, 70 * time.Second, 500, 500},
		"no rate to speak of": {wire.Slow{Rate: 1, For: 60_000}, 59 * time.Second, 150, 1},
		"negative":            {wire.Slow{Rate: -1, For: -1, Pause: -1}, time.Second, 500, 500},
		"nothing":             {wire.Slow{}, time.Second, 500, 500},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *collector) { w.slow = &c.slow }, func(w *collector, b *buffer.Buffer, u *Uplink) {
				w.slow = nil // said once, in the answer to the first beat
				addRandom(t, b, wire.StreamDocuments, 500, 1000)
				add(t, b, wire.StreamEvents, 1, 10)
				w.pass(0)
				if count(w.sent, wire.StreamEvents) != 1 {
					t.Error("the alarm waits")
				}
				w.pass(c.after)
				if n := count(w.sent, wire.StreamDocuments); n > c.most || n < c.least {
					t.Errorf("%d documents sent after %v, want %d to %d", n, c.after, c.least, c.most)
				}
			})
		})
	}
}

func TestMeteredLink(t *testing.T) {
	const limit, record = 100 << 10, 1000
	inWorldWith(t, func(o *Options) { o.HourBytes = limit }, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		addRandom(t, b, wire.StreamDocuments, 400, record)
		start, last := c.bytes, 0
		for hour := 1; waiting(b) > 0 && hour < 10; hour++ {
			c.pass(30 * time.Minute)
			s := u.Stats()
			if s.Hour > limit+batchRecords*record+8<<10 || s.Limit != limit {
				t.Errorf("hour %d: %+v", hour, s)
			}
			if waiting(b) > 0 && !s.Full && s.Hour+batchRecords*record < limit {
				t.Errorf("hour %d: documents wait although there is room: %+v", hour, s)
			}
			add(t, b, wire.StreamEvents, 1, 100)
			c.pass(0)
			if n := count(c.sent, wire.StreamEvents); n != hour {
				t.Errorf("hour %d: %d alarms sent", hour, n)
			}
			c.pass(30 * time.Minute)
			last = hour
		}
		if waiting(b) != 0 || last < 3 {
			t.Errorf("%d records wait after %d hours", waiting(b), last)
		}
		if s := u.Stats(); s.Total < int64(c.bytes-start) {
			t.Errorf("%+v, the collector got %d bytes", s, c.bytes-start)
		}
		c.pass(61 * time.Minute)
		if s := u.Stats(); s.Full || s.Hour > 30<<10 {
			t.Errorf("an hour of beats alone: %+v", s)
		}
	})
}

// A record that no message can carry is set aside on the till, the collector is
// told, and the others go.
func TestTooLargeRecordIsQuarantined(t *testing.T) {
	for _, stream := range []string{wire.StreamDocuments, wire.StreamEvents, wire.StreamStatus} {
		t.Run(stream, func(t *testing.T) {
			inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
				const size = wire.MaxBatch + 1<<17
				addRandom(t, b, stream, 1, size)
				records, err := b.Peek(stream, 0, 1, size)
				if err != nil || len(records) != 1 {
					t.Fatalf("%d records, %v", len(records), err)
				}
				add(t, b, stream, 10, 100)
				c.pass(time.Minute)
				if n := waiting(b); n != 0 || len(c.dials) != 1 {
					t.Errorf("%d records wait, %d connections", n, len(c.dials))
				}
				for _, s := range b.Stats().Streams {
					if (s.Quarantined == 1) != (s.Name == stream) {
						t.Errorf("%d records of %s in quarantine", s.Quarantined, s.Name)
					}
				}
				c.told(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventQuarantined, Detail: map[string]string{
					"stream": stream, "seq": fmt.Sprint(records[0].Seq), "sha256": fmt.Sprintf("%x", records[0].SHA256), "size": fmt.Sprint(size)}})
			})
		})
	}
}

// told wants the collector to have an event, once.
func (c *collector) told(want wire.Item) {
	c.t.Helper()
	n := 0
	for _, data := range c.kept[wire.StreamEvents] {
		var item wire.Item
		if c.codec.Decode(data, &item) != nil || item.Code != want.Code {
			continue
		}
		item.At = 0
		if n++; !reflect.DeepEqual(item, want) {
			c.t.Errorf("the collector was told %+v, want %+v", item, want)
		}
	}
	if n != 1 {
		c.t.Errorf("the collector was told %d times", n)
	}
}

// Two agents that run with a copy of one buffer hear each other's acknowledgements.
// What the other one sent under the same sequence does not take a record off what is
// under way: it is sent again in the same session.
func TestAcknowledgementOfACloneDoesNotStall(t *testing.T) {
	inWorld(t, func(c *collector) { c.silent = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 4, 100)
		records, err := b.Peek(wire.StreamDocuments, 0, 10, 1<<20)
		if err != nil || len(records) != 4 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		c.pass(time.Second)
		clone := wire.Batch{Epoch: b.Epoch()}
		for _, r := range records {
			clone.Records = append(clone.Records, wire.Record{Seq: r.Seq, Data: []byte("another sale")})
		}
		c.ack(wire.StreamDocuments, clone, nil)
		c.silent = false
		c.pass(longResend)
		if n := waiting(b); n != 0 || len(c.dials) != 1 || len(c.kept[wire.StreamDocuments]) != 4 {
			t.Errorf("%d records wait, %d connections, %d documents arrived", n, len(c.dials), len(c.kept[wire.StreamDocuments]))
		}
	})
}

// A till whose collector was restored hears it with the next beat, also when it
// sells nothing.
func TestRestoredStoreIsHeardInABeat(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		add(t, b, wire.StreamDocuments, 50, 1000)
		c.pass(time.Second)
		c.kept, c.store = map[string]map[uint64][]byte{}, wire.Epoch{2}
		c.pass(2 * time.Minute)
		if n := len(c.kept[wire.StreamDocuments]); n != 50 || waiting(b) != 0 {
			t.Errorf("the restored collector has %d documents, want 50; %d wait", n, waiting(b))
		}
		sent := len(c.sent)
		c.pass(10 * time.Minute)
		if len(c.sent) != sent {
			t.Errorf("%d records sent again and again", len(c.sent)-sent)
		}
	})
}

// A clock that is years off, or jumps, neither stops nor storms anything.
func TestWrongClock(t *testing.T) {
	for name, clock := range map[string]func() time.Time{
		"years back":  func() time.Time { return time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }, // and standing still
		"years ahead": func() time.Time { return time.Now().AddDate(30, 0, 0) },
		"jumping":     func() time.Time { return time.Unix(rand.Int64N(1<<33), 0) },
		"zero":        func() time.Time { return time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, func(o *Options) { o.Now = clock }, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
				for range 20 {
					add(t, b, wire.StreamDocuments, 50, 1000)
					c.pass(30 * time.Second)
				}
				if n := waiting(b); n != 0 || len(c.dials) != 1 || len(c.sent) != 1000 || len(c.beats) != 11 {
					t.Errorf("%d wait, %d connections, %d records, %d beats in ten minutes", n, len(c.dials), len(c.sent), len(c.beats))
				}
				close(c.session.done)
				c.refuse = true
				c.pass(time.Hour)
				if n := len(c.dials); n < 20 || n > 120 {
					t.Errorf("%d attempts in an hour", n)
				}
			})
		})
	}
}

func TestClockOffset(t *testing.T) {
	for _, ahead := range []time.Duration{0, 90 * time.Second, -48 * time.Hour} {
		inWorld(t, func(c *collector) { c.ahead = ahead }, func(c *collector, b *buffer.Buffer, u *Uplink) {
			if s := u.State(); !s.ClockKnown || (s.ClockOff+ahead).Abs() > time.Millisecond {
				t.Errorf("collector %v ahead, learnt %v (%v)", ahead, s.ClockOff, s.ClockKnown)
			}
		})
	}
	inWorld(t, func(c *collector) { c.version = 1 }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		if s := u.State(); s.ClockKnown {
			t.Errorf("a collector of version 1 tells no time, learnt %v", s.ClockOff)
		}
	})
}

// The time of certificates is the latest of three, never goes back, and outlives
// a restart.
func TestClockOfCertificates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	synctest.Test(t, func(t *testing.T) {
		built, real := time.Now().AddDate(-1, 0, 0), time.Now()
		system := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
		open := func() (*buffer.Buffer, *Clock) {
			b, _, err := buffer.Open(path, buffer.Options{MaxBytes: 32 << 20})
			if err != nil {
				t.Fatal(err)
			}
			c, err := NewClock(b, built, func() time.Time { return system })
			if err != nil {
				t.Fatal(err)
			}
			return b, c
		}
		want := func(what string, c *Clock, want time.Time) {
			t.Helper()
			if got := c.Now(); got.Sub(want).Abs() > time.Second {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		b, c := open()
		want("nothing learnt", c, built)
		learn := func(at time.Time, trip time.Duration) {
			t.Helper()
			if err := c.learn(at, trip, 0); err != nil {
				t.Fatal(err)
			}
		}
		said := func(what string, want time.Time, known bool) {
			t.Helper()
			if got, ok := c.Collector(); ok != known || known && got.Sub(want).Abs() > time.Second {
				t.Errorf("%s: the collector says %v, %v, want %v", what, got, ok, want)
			}
		}
		said("nothing learnt", time.Time{}, false)
		learn(real, longTrip+1)
		want("an answer too slow", c, built)
		learn(real, time.Second)
		time.Sleep(10 * time.Minute)
		want("learnt, and ten minutes on", c, real.Add(10*time.Minute))
		said("learnt, and ten minutes on", real.Add(10*time.Minute), true)
		system = real
		said("the till's clock is set", real.Add(10*time.Minute), true)
		learn(real.AddDate(-3, 0, 0), 0)
		said("the collector's clock goes back", real.AddDate(-3, 0, 0), true)
		want("the collector's clock goes back", c, real.Add(10*time.Minute))
		c.Bound(real.AddDate(2, 0, 0))
		if err := c.learn(real.AddDate(2, 0, 1), 0, 0); !errors.Is(err, errAhead) {
			t.Errorf("a time after the end of the collector's certificate: %v", err)
		}
		want("a time after the end of the collector's certificate", c, real.Add(10*time.Minute))
		system = real.AddDate(1, 0, 0)
		want("the till's clock is later", c, system)
		system = time.Time{}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b, c = open()
		want("after a restart", c, real)
		b.Close()
		if _, err := NewClock(b, built, time.Now); !errors.Is(err, buffer.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// A batch that is lost while others are acknowledged comes again.
func TestOneLostAmongMany(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		c.loses = 1
		for range 100 {
			add(t, b, wire.StreamDocuments, 1, 100)
			c.pass(5 * time.Second)
		}
		if n := waiting(b); n != 0 || len(c.sent) > 101 {
			t.Errorf("%d records wait, %d sent", n, len(c.sent))
		}
	})
}

// On a link of 2 KB a second nothing is sent twice for impatience, and an alarm
// waits for one batch at most.
func TestSlowLink(t *testing.T) {
	inWorld(t, func(c *collector) { c.rate = 2 << 10 }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		addRandom(t, b, wire.StreamDocuments, 600, 1000)
		c.pass(time.Minute)
		add(t, b, wire.StreamEvents, 1, 100)
		c.pass(batchRecords*1000/(2<<10)*time.Second + 2*time.Second)
		if n := count(c.sent, wire.StreamEvents); n != 1 {
			t.Error("the alarm waits for more than one batch")
		}
		c.pass(10 * time.Minute)
		if n := count(c.sent, wire.StreamDocuments); n != 600 || waiting(b) != 0 || len(c.dials) != 1 {
			t.Errorf("600 documents sent %d times, %d wait, %d connections", n, waiting(b), len(c.dials))
		}
	})
}
