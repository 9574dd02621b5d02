package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A client that is refused again and again fills no log; everything else is told.
func TestRefusalsAreToldSeldom(t *testing.T) {
	var out bytes.Buffer
	l := &logger{log: slog.New(slog.NewTextHandler(&out, nil)), seldom: &seldom{}}
	for i := range 100 {
		l.Errorf("%s", fmt.Sprintf("192.0.2.7:%d - mid:%d - TLS handshake error: remote error: tls: bad certificate", 40000+i, i))
		l.Errorf("%s", fmt.Sprintf(`192.0.2.7:%d - mid:%d - "x" - authentication error`, 40000+i, i))
	}
	l.Errorf("192.0.2.8:1 - mid:1 - TLS handshake error: EOF")
	l.Errorf("JetStream failed")
	l.Errorf("JetStream failed")
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	s, now := &seldom{}, time.Now()
	for i := range maxTold + 10 {
		s.tell(fmt.Sprint(i), now)
	}
	if len(s.told) > maxTold || s.tell(fmt.Sprint(maxTold+9), now) || !s.tell(fmt.Sprint(maxTold+9), now.Add(tellEvery)) {
		t.Error("told too often, never again, or kept for ever")
	}
}
