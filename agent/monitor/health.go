package monitor

import (
	"runtime"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// tableLife of the buffer: "life" -> life.
const tableLife = "life"

// life is what the agent notes of its own runs.
type life struct {
	Alive    int64   `cbor:"1,keyasint"`           // the last note, Unix milliseconds
	Clean    bool    `cbor:"2,keyasint,omitempty"` // it ended as it should
	Restarts []int64 `cbor:"3,keyasint,omitempty"` // starts after runs that ended otherwise, Unix milliseconds
}

func (m *Monitor) life() (l life, err error) {
	v, err := m.o.Buffer.Get(tableLife, []byte("life"))
	if err == nil && v != nil {
		err = m.o.Codec.Decode(v, &l)
	}
	return l, err
}

// begin takes up what the last run left.
func (m *Monitor) begin() {
	now := m.o.Now()
	l, err := m.life()
	if err == nil && restarted(l, bootedAt()) {
		l.Restarts = append(l.Restarts, now.UnixMilli())
		err = m.writeLife(now, l)
	}
	if err != nil {
		m.o.Log.Warn("how the agent fares not known", "err", err)
	}
	if err := m.openSales(); err != nil {
		m.o.Log.Warn("sales of the day not taken up", "err", err)
	}
}

// restarted tells whether the run before ended without being asked to. A computer that
// was switched off is none of the agent's failures.
func restarted(before life, booted time.Time) bool {
	return before.Alive > 0 && !before.Clean && before.Alive > booted.UnixMilli()
}

// end leaves what the next run takes up.
func (m *Monitor) end() {
	if err := m.saveSales(); err != nil {
		m.o.Log.Warn("sales of the day not kept", "err", err)
	}
	if err := m.noteAlive(m.o.Now(), true); err != nil {
		m.o.Log.Warn("the end of the agent not noted", "err", err)
	}
}

// noteAlive notes that the agent runs, or that it ends as it should.
func (m *Monitor) noteAlive(now time.Time, clean bool) error {
	l, err := m.life()
	if err != nil {
		return err
	}
	l.Clean = clean
	return m.writeLife(now, l)
}

func (m *Monitor) writeLife(now time.Time, l life) error {
	l.Alive = now.UnixMilli()
	l.Restarts = within(l.Restarts, now)
	v, err := m.o.Codec.Encode(l)
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Put(tableLife, []byte("life"), v)
	_, err = m.o.Buffer.Commit(b)
	return err
}

// within are the times of the last day.
func within(times []int64, now time.Time) (recent []int64) {
	for _, t := range times {
		if now.UnixMilli()-t < (24 * time.Hour).Milliseconds() {
			recent = append(recent, t)
		}
	}
	return recent
}

// health is how the agent fares.
func (m *Monitor) health() *wire.Health {
	h := &wire.Health{Memory: residentBytes(), Goroutines: runtime.NumGoroutine()}
	if l, err := m.life(); err == nil {
		h.Restarts = len(within(l.Restarts, m.o.Now()))
	}
	return h
}
