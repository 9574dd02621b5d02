package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// LogLine is one line of a device's log.
type LogLine struct {
	At      time.Time // the device's clock; zero when the log does not say
	Process string    // who spoke, as the device writes it: "SAT-SEFAZ"
	Level   string    // "info", "erro"
	Text    string
}

// AddLogs stores lines of a device's log, in their order, and returns how many are
// new: a log is read again and again, and each line is stored once. Equal lines of
// one second are told apart by their number.
func (w *Writer) AddLogs(serial string, now time.Time, lines ...LogLine) (added int, err error) {
	type same struct {
		at   int64
		line LogLine
	}
	times := map[same]int{}
	for _, l := range lines {
		key := same{ms(l.At), LogLine{Process: l.Process, Level: l.Level, Text: l.Text}}
		times[key]++
		n, err := w.count(`INSERT INTO device_logs (serial, at, digest, process, level, line, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (serial, at, digest) DO NOTHING`, serial, ms(l.At), l.digest(times[key]), l.Process, l.Level, l.Text, ms(now))
		if err != nil {
			return added, err
		}
		added += int(n)
	}
	return added, nil
}

// digest tells a line apart from the others of its second; n counts equal ones.
func (l LogLine) digest(n int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", l.Process, l.Level, l.Text, n))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// LogSearch selects lines of one device's log.
type LogSearch struct {
	Serial   string
	From, To time.Time // device's clock, To excluded; zero does not bound
	Text     string    // that the line holds; ASCII letters in any case
	Limit    int
}

// Logs returns the lines that a search finds, the newest first.
func (r *Reader) Logs(s LogSearch) ([]LogLine, error) {
	args := arguments{s.Serial, s.Limit}
	where := "serial = $1 AND " + r.ofDevices("serial", &args)
	if !s.From.IsZero() {
		where += " AND at >= " + args.add(ms(s.From))
	}
	if !s.To.IsZero() {
		where += " AND at < " + args.add(ms(s.To))
	}
	if s.Text != "" {
		pattern := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(lowerASCII(s.Text))
		where += " AND lower(process || '|' || level || '|' || line) LIKE " + args.add("%"+pattern+"%") + ` ESCAPE '\'`
	}
	return all(r, func(s scanner, l *LogLine) error { return s.Scan(at(&l.At), &l.Process, &l.Level, &l.Text) },
		`SELECT at, process, level, line FROM device_logs WHERE `+where+` ORDER BY at DESC, id DESC LIMIT $2`, args...)
}

// lowerASCII folds as both engines do.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
