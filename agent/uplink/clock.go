package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"zelo/buffer"
)

// Bounds of what is learnt of the collector's clock.
const (
	longTrip  = 10 * time.Second // a slower answer says nothing of the time
	keepEvery = time.Hour        // between two writes to the buffer
)

// Clock knows how far the till's clock is off the collector's, and what time it
// surely is at least. Stamps keep the till's own clock; what is learnt here is
// shown, and decides on certificates. It is safe for concurrent use.
type Clock struct {
	buffer *buffer.Buffer
	built  time.Time
	now    func() time.Time

	mu     sync.Mutex
	off    time.Duration // till's clock minus the collector's
	known  bool
	told   time.Time // the collector's time when it answered last
	toldAt time.Time // and when that was, by the monotonic clock
	latest time.Time // collector's time, never going back
	at     time.Time // when latest was learnt, by the monotonic clock; zero when it is of an earlier run
	kept   time.Time // latest as the buffer has it
	until  time.Time // the collector of this session may say; zero when there is no bound
}

// errAhead is a collector's time that its own certificate denies.
var errAhead = errors.New("the collector's clock is ahead of its own certificate")

// NewClock makes a clock that remembers the collector's time in a buffer. built
// is when the program was made, zero when not known; now is the till's clock.
func NewClock(b *buffer.Buffer, built time.Time, now func() time.Time) (*Clock, error) {
	c := &Clock{buffer: b, built: built, now: now}
	raw, err := b.Get(table, []byte("collector-time"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the collector's last time: %w", err)
	}
	if len(raw) == 8 {
		c.latest = time.UnixMilli(int64(binary.BigEndian.Uint64(raw)))
		c.kept = c.latest
	}
	return c, nil
}

// Now is the time by which certificates are judged: the latest of the till's
// clock, the program's making and what the collector last said (DESIGN.md,
// decision 15). A till whose clock lost its battery still trusts its collector,
// and nobody can make it trust an expired certificate by setting its clock back.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return latest(c.now(), c.built, c.atLeast())
}

// atLeast is the collector's time as far as it is known.
func (c *Clock) atLeast() time.Time {
	if c.at.IsZero() {
		return c.latest
	}
	return c.latest.Add(time.Since(c.at))
}

func latest(times ...time.Time) (out time.Time) {
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// Off is how far the till's clock is ahead of the collector's, and whether that
// is known.
func (c *Clock) Off() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off, c.known
}

// Collector is the collector's time, whatever is done to the till's clock since the
// collector answered; false when it has not since the start.
func (c *Clock) Collector() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told.Add(time.Since(c.toldAt)), c.known
}

// Bound is called with the end of the certificate that the collector presented in the
// session that begins. A later time is not believed in it: the collector's clock is
// wrong then, and certificates would count as expired here for good.
func (c *Clock) Bound(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
}

// learn takes the collector's time at the moment it answered, trip after the
// question was sent, of which the answer lay took with the collector.
func (c *Clock) learn(collector time.Time, trip, took time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if trip > longTrip {
		return nil
	}
	collector = collector.Add(max(trip-took, 0) / 2)
	if !c.until.IsZero() && collector.After(c.until) {
		return errAhead
	}
	c.off, c.known = c.now().Sub(collector), true
	c.told, c.toldAt = collector, time.Now()
	if collector.After(c.atLeast()) {
		c.latest, c.at = collector, time.Now()
	}
	if c.buffer == nil || c.latest.Sub(c.kept) < keepEvery {
		return nil
	}
	b := &buffer.Batch{}
	b.Put(table, []byte("collector-time"), binary.BigEndian.AppendUint64(nil, uint64(c.latest.UnixMilli())))
	if _, err := c.buffer.Commit(b); err != nil {
		return fmt.Errorf("cannot keep the collector's time: %w", err)
	}
	c.kept = c.latest
	return nil
}
