package maker

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"zelo/sat"
)

const (
	longest = 300      // of a logged line; the rest of a longer one is dropped
	kept    = 64 << 10 // of a line, in which secrets are looked for
)

// numbers are what may be an activation code, a CPF or a key.
var numbers = regexp.MustCompile(`[0-9][0-9./-]{6,}[0-9]`)

// said logs what a library prints, line by line. Libraries print arguments:
// secrets and long numbers are left out.
type said struct {
	log *slog.Logger

	mu      sync.Mutex
	rest    []byte   // of a line without its end, up to kept
	secrets []string // arguments of the last call that had any, each with what replaces it
}

func newSaid(log *slog.Logger) *said { return &said{log: log} }

// hide leaves the secret arguments of a call out of what is printed from now on.
func (s *said) hide(req sat.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var secrets []string
	for i, p := range req.Function.Params() {
		if p.Secret && req.Args[i] != "" {
			secrets = append(secrets, req.Args[i], "***")
		}
	}
	if secrets != nil {
		s.secrets = secrets
	}
}

// Write implements io.Writer.
func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, left := len(b), b; ; {
		line, after, ended := bytes.Cut(left, []byte{'\n'})
		if room := kept - len(s.rest); room > 0 {
			s.rest = append(s.rest, line[:min(room, len(line))]...)
		}
		if !ended {
			return n, nil
		}
		s.line()
		left = after
	}
}

func (s *said) line() {
	text := strings.TrimSpace(sat.Text(s.rest))
	s.rest = s.rest[:0]
	text = strings.NewReplacer(s.secrets...).Replace(text)
	text = numbers.ReplaceAllString(text, "***")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	if text != "" {
		s.log.Info("the maker's library prints", "line", text)
	}
}
