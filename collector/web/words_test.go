package web

import (
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/api"
)

func TestWords(t *testing.T) {
	at := now()
	for _, c := range []struct{ name, got, want string }{
		{"a moment", moment(at), "21/11/2026 14:02"},
		{"a moment in another zone", moment(at.UTC()), "21/11/2026 14:02"},
		{"no moment", moment(time.Time{}), "–"},
		{"a day", date(at), "21/11/2026"},
		{"just now", ago(at, at.Add(-59*time.Second)), "agora"},
		{"minutes", ago(at, at.Add(-119*time.Minute)), "há 119 min"},
		{"hours", ago(at, at.Add(-47*time.Hour)), "há 47 h"},
		{"days", ago(at, at.Add(-48*time.Hour)), "há 2 dias"},
		{"never", ago(at, time.Time{}), "nunca"},
		{"a short time", lasted(at, at.Add(59*time.Second)), "menos de 1 min"},
		{"today", days(at, at.Add(9*time.Hour)), "hoje"},
		{"tomorrow", days(at, at.Add(10*time.Hour)), "em 1 dia"},
		{"in days", days(at, at.AddDate(0, 0, 20)), "em 20 dias"},
		{"days ago", days(at, at.AddDate(0, 0, -3)), "há 3 dias"},
		{"money", money("1234.5"), "R$ 1.234,50"},
		{"no money", money(""), "–"},
		{"a quantity", quantity("0.5350"), "0,535"},
		{"a whole quantity", quantity("6.0000"), "6"},
		{"a quantity without places", quantity("6"), "6"},
		{"a price", price("18.900"), "18,90"},
		{"a price of three places", price("5.499"), "5,499"},
		{"no price", price(""), "–"},
		{"bytes", size(999), "999 bytes"},
		{"kilobytes", size(6400), "6,4 KB"},
		{"megabytes", size(2_500_000), "2,5 MB"},
		{"percent", percent(0.754), "75 %"},
		{"a key", groups("35251208"), "3525 1208"},
		{"a capital", capital("é verdade"), "É verdade"},
		{"no capital", capital(""), ""},
		{"a right clock", clockOff(time.Second), "certo"},
		{"a fast clock", clockOff(90 * time.Second), "adiantado 90 s"},
		{"a slow clock", clockOff(-3 * time.Hour), "atrasado 3 h"},
		{"connected", network("CONECTADO"), "conectado"},
		{"not connected", network("NAO_CONECTADO"), "desconectado"},
		{"no network", network(""), "–"},
		{"an odd network", network("WIFI"), "wifi"},
		{"a month", month("12"), "dezembro"},
		{"no month", month("13"), ""},
		{"a change", changeWord("changed"), "Mudou"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

// TestEveryEventHasWords: those of the wire, and one of tomorrow.
func TestEveryEventHasWords(t *testing.T) {
	tomorrow := eventWord(api.Event{Code: "of tomorrow"})
	seen := map[string]bool{tomorrow: true}
	for _, code := range []string{wire.EventDocumentMissing, wire.EventUnresolved, wire.EventResolved, wire.EventSecondDevice, wire.EventIssuedTwice, wire.EventDeviceGone,
		wire.EventDeviceBack, wire.EventBufferDamaged, wire.EventEvicted, "status-refused"} {
		word := eventWord(api.Event{Code: code, Detail: map[string]string{"text": "código errado"}})
		if seen[word] {
			t.Errorf("%s is said %q, as another is", code, word)
		}
		seen[word] = true
	}
}
