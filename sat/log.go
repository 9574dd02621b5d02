package sat

import (
	"strings"
	"time"
)

// LogLine is one line of a device's log: AAAAMMDDhhmmss|process|level|detail
// (dossier on the interface, 4.1).
type LogLine struct {
	Time    time.Time // the device's clock; of a line without time that of the line before it, zero when there is none
	Process string    // "AC-SAT", "SAT-AC", "SAT", "SAT-SEFAZ" or "SEFAZ-SAT"; "" when the line is of another form
	Level   string    // "info" or "erro", as the device wrote it; "" when the line is of another form
	Text    string    // detail; the whole line when it is of another form
}

// ParseLog takes the log of Reply.Log apart. No line is dropped but empty ones;
// bytes that are not UTF-8 are left out.
func ParseLog(raw []byte) (lines []LogLine) {
	var last time.Time
	for line := range strings.Lines(strings.ToValidUTF8(string(raw), "")) {
		line = strings.TrimSpace(strings.ReplaceAll(line, "\x00", ""))
		if line == "" {
			continue
		}
		l := LogLine{Time: last, Text: line}
		if fields := strings.SplitN(line, "|", 4); len(fields) == 4 {
			if t, err := parseTime(strings.TrimSpace(fields[0])); err == nil && !t.IsZero() {
				last = t
				l = LogLine{t, strings.TrimSpace(fields[1]), strings.TrimSpace(fields[2]), strings.TrimSpace(fields[3])}
			}
		}
		lines = append(lines, l)
	}
	return lines
}
