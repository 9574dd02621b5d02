package broker

import (
	"net"
	"strings"
	"sync"
	"time"
)

// Bounds of what is told again and again: a revoked or expired agent tries for ever.
const (
	tellEvery = time.Hour
	maxTold   = 10_000
)

// seldom lets each thing be told once an hour.
type seldom struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// tell reports whether what goes by key is to be told now.
func (s *seldom) tell(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.told[key]; known && now.Sub(last) < tellEvery {
		return false
	}
	if len(s.told) >= maxTold || s.told == nil {
		s.told = map[string]time.Time{}
	}
	s.told[key] = now
	return true
}

// refusal tells whether a line of the server is about a client that was not let in,
// and from which address.
func refusal(line string) (host string, is bool) {
	if !strings.Contains(line, "authentication error") && !strings.Contains(line, "TLS handshake error") && !strings.Contains(line, "TLS websocket handshake error") {
		return "", false
	}
	address, _, _ := strings.Cut(line, " - ")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return host, true
}
