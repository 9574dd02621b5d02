package maker

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"zelo/sat"
)

// Whatever a library prints, in whatever pieces, the lines are short and without
// the code it was called with and long numbers.
func FuzzSaid(f *testing.F) {
	const code = "segredo12"
	f.Add([]byte("codigo="+code+" CPF 111.444.777-35\n"), uint8(3))
	f.Add([]byte("\xe7\xe3o\x00\r\n\n"), uint8(1))
	f.Add(bytes.Repeat([]byte("12345678 "), 40), uint8(200))
	f.Add(bytes.Repeat([]byte("segredo1"), 40), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		var log bytes.Buffer
		s := newSaid(slog.New(slog.NewJSONHandler(&log, nil)))
		s.hide(sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}})
		for left := append(b, '\n'); len(left) > 0; {
			n := min(len(left), int(piece)+1)
			if wrote, err := s.Write(left[:n]); wrote != n || err != nil {
				t.Fatalf("%d of %d, %v", wrote, n, err)
			}
			left = left[n:]
		}
		for line := range strings.Lines(log.String()) {
			var logged struct{ Line string }
			if err := json.Unmarshal([]byte(line), &logged); err != nil {
				t.Fatal(err)
			}
			if text := logged.Line; len(text) > longest+len("…") || strings.Contains(text, code) || numbers.MatchString(text) {
				t.Fatalf("logged %q", text)
			}
		}
	})
}
