package monitor

import (
	"strconv"

	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// tableNumbers of the buffer: serial number -> number of the device's last document at
// the last reading of its status, decimal.
const tableNumbers = "numbers"

// compare looks for documents that a device made since its last reading without a call
// of this agent: its numbers moved on further than the calls known here explain.
func (m *Monitor) compare(serial string, s sat.Status) {
	key, err := cfe.ParseKey(s.LastKey)
	if err != nil || key.Serial() != serial {
		return
	}
	v, err := m.o.Buffer.Get(tableNumbers, []byte(serial))
	if err != nil {
		m.o.Log.Warn("documents of the device not compared", "device", serial, "err", err)
		return
	}
	before, err := strconv.Atoi(string(v))
	upto := key.Number()
	if err == nil && before == upto {
		return
	}
	if err == nil && before < upto {
		known, direct := m.o.Known(serial, before, upto)
		m.noteOutside(serial, s.LastKey, upto-before-known, direct)
	}
	b := &buffer.Batch{}
	b.Put(tableNumbers, []byte(serial), strconv.AppendInt(nil, int64(upto), 10))
	if _, err := m.o.Buffer.Commit(b); err != nil {
		m.o.Log.Warn("last document of the device not noted", "device", serial, "err", err)
	}
}

// noteOutside adds what a device made past the agent.
func (m *Monitor) noteOutside(serial, lastKey string, foreign, direct int) {
	if foreign <= 0 && direct == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.outside[serial]
	o.Direct += direct
	o.Last = m.o.Now().UnixMilli()
	if o.First == 0 {
		o.First = o.Last
	}
	if foreign > 0 {
		o.Foreign += foreign
		o.LastKey = lastKey
		m.o.Log.Warn("the device made documents that no call here explains", "device", serial, "count", foreign)
	}
	m.outside[serial] = o
}
