package router

import (
	"encoding/binary"
	"sync"
	"time"

	"zelo/buffer"
)

// steady is a time that does not jump when the computer's clock is set, so that
// "half an hour ago" is that also on a till whose clock was wrong until the network
// came. It goes on with the process, and over a restart with the clock less what the
// clock was set by before.
type steady struct {
	began time.Time // of the process, with its monotonic reading
	base  time.Time // steady time then

	mu     sync.Mutex
	offset time.Duration // of the clock, as on disk
}

// clockSet is how much a clock must be off before it counts as set.
const clockSet = time.Minute

func openSteady(buf *buffer.Buffer, now func() time.Time) *steady {
	s := &steady{began: time.Now()}
	if v, err := buf.Get(tableClock, []byte("offset")); err == nil && len(v) == 8 {
		s.offset = time.Duration(binary.BigEndian.Uint64(v))
	}
	s.base = now().Round(0).Add(-s.offset)
	return s
}

// steadyNow is the time now.
func (s *steady) steadyNow() time.Time { return s.base.Add(time.Since(s.began)) }

// keepOffset adds to a batch by how much the clock was set, when it was.
func (s *steady) keepOffset(b *buffer.Batch, clock time.Time) {
	offset := clock.Round(0).Sub(s.steadyNow())
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := offset - s.offset; d > -clockSet && d < clockSet {
		return
	}
	s.offset = offset
	b.Put(tableClock, []byte("offset"), binary.BigEndian.AppendUint64(nil, uint64(offset)))
}
