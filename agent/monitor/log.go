package monitor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// Bounds of what is sent of a log.
const (
	logPiece = 64 << 10 // bytes of one item, or of one second's lines when they are more
	logMost  = 1 << 20  // bytes of one reading: the newest
)

// tableLogs of the buffer: serial number -> logMark.
const tableLogs = "logs"

// logMark is how far a log is known.
type logMark struct {
	At   int64    `cbor:"1,keyasint"` // of the reading, Unix milliseconds
	Tail [32]byte `cbor:"2,keyasint"` // hash of the last lines
}

// tailLines are those by which the end of the last reading is found again.
const tailLines = 3

func (m *Monitor) logMark(serial string) (mark logMark, err error) {
	v, err := m.o.Buffer.Get(tableLogs, []byte(serial))
	if err == nil && v != nil {
		err = m.o.Codec.Decode(v, &mark)
	}
	return mark, err
}

// loggedAt is when a device's log was read last; zero when it never was.
func (m *Monitor) loggedAt(serial string) time.Time {
	if mark, err := m.logMark(serial); err == nil && mark.At > 0 {
		return time.UnixMilli(mark.At)
	}
	return time.Time{}
}

// readLog reads a device's log and queues what it has gained. The mark moves in the
// commit of the lines.
func (m *Monitor) readLog(ctx context.Context, d Device) (err error) {
	defer func() { m.paceOf(d.Serial).logTold(m.o.Now(), err) }()
	mark, err := m.logMark(d.Serial)
	if err != nil {
		return err
	}
	reply, err := ask(ctx, d, sat.ExtrairLogs)
	if err != nil {
		return err
	}
	raw, err := reply.Log()
	if err != nil {
		return fmt.Errorf("cannot read the log of device %s: %w", d.Serial, err)
	}
	lines := splitLog(raw)
	mark.At = m.o.Now().UnixMilli()
	var items []wire.Item
	for _, piece := range pieces(gained(lines, mark.Tail)) {
		items = append(items, wire.Item{Kind: wire.KindLog, Serial: d.Serial, Body: piece})
	}
	mark.Tail = tail(lines)
	v, err := m.o.Codec.Encode(mark)
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Put(tableLogs, []byte(d.Serial), v)
	return m.queue(b, items...)
}

// splitLog parts a log into lines, each with its end, without empty ones.
func splitLog(raw []byte) (lines [][]byte) {
	for line := range bytes.Lines(raw) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// tail names the end of a log; zero for an empty one.
func tail(lines [][]byte) (sum [32]byte) {
	if len(lines) == 0 {
		return sum
	}
	return sha256.Sum256(bytes.TrimSpace(bytes.Join(lines[max(0, len(lines)-tailLines):], nil)))
}

// gained are the lines of a log behind those known, from the first of the second of the
// last known one; all when that is not found.
func gained(lines [][]byte, known [32]byte) [][]byte {
	for n := len(lines); n > 0 && known != [32]byte{}; n-- {
		if tail(lines[:n]) != known {
			continue
		}
		if n == len(lines) {
			return nil
		}
		n--
		for n > 0 && sameSecond(lines[n-1], lines[n]) {
			n--
		}
		return lines[n:]
	}
	return lines
}

// sameSecond tells whether two neighbouring lines are of one second. One without a time
// is of that of the line before it.
func sameSecond(a, b []byte) bool {
	t := stamp(b)
	return t == "" || t == stamp(a)
}

// stamp is the time of a line; "" when it has none.
func stamp(line []byte) string {
	t, _, ok := bytes.Cut(line, []byte("|"))
	if t = bytes.TrimSpace(t); !ok || len(t) != 14 {
		return ""
	}
	return string(t)
}

// pieces are the newest lines, in items of which none ends within a second.
func pieces(lines [][]byte) (all [][]byte) {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i]); size > logMost {
			lines = lines[i+1:]
			break
		}
	}
	var piece []byte
	for i, line := range lines {
		if len(piece) >= logPiece && !sameSecond(lines[i-1], line) {
			all, piece = append(all, piece), nil
		}
		piece = append(piece, line...)
	}
	if len(piece) > 0 {
		all = append(all, piece)
	}
	return all
}
