package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/api"
	"zelo/collector/store"
)

// said is a reading so many hours from now.
func said(hours float64, pending int, blocked bool, contact float64) (n api.Reading) {
	at := func(hours float64) time.Time { return now().Add(time.Duration(hours * float64(time.Hour))) }
	n.At, n.Pending, n.LastContact = at(hours), pending, at(contact)
	if blocked {
		n.Block = 3
	}
	return n
}

func TestPendingChart(t *testing.T) {
	for _, c := range []struct {
		name, line, until, answer, bands string
		h                                api.DeviceHistory
	}{
		{"nothing waits", "0.0,136.0 165.0,136.0", "", "Nada, e nada esperou desde 21/11/2026 06:02.", "desbloqueado -8:-5|sem notícia -5:-4|desbloqueado -4:-1|sem notícia -1:0|",
			api.DeviceHistory{Readings: []api.Reading{said(-400, 900, true, -500), said(-8, 0, false, -8), said(-4, 0, false, -4)}}},
		{"waits", "0.0,136.0 82.5,136.0 82.5,22.0 123.8,22.0", "330.0", "Cerca de 212 cupons, pela lista do equipamento; o mais antigo é de 18/11/2026. Se não saírem, o equipamento se bloqueia em 21/11/2026.",
			"desbloqueado -3:0|", api.DeviceHistory{Readings: []api.Reading{said(-3, 0, false, -3), said(-1, 212, false, -3), said(-.5, 212, false, -3)},
				PendingSince: now().AddDate(0, 0, -3), PendingDays: 10, PendingBlock: now().Add(5 * time.Hour)}},
		{"overdue", "0.0,22.0 330.0,22.0", "", "Cerca de 3 cupons, pela lista do equipamento; o mais antigo é de 10/11/2026. Passou dos 10 dias: o equipamento pode se bloquear a qualquer momento.",
			"desbloqueado -2:0|", api.DeviceHistory{Readings: []api.Reading{said(-2, 3, false, -2), said(-1, 3, false, -2)},
				PendingSince: now().AddDate(0, 0, -11), PendingDays: 10, PendingBlock: now().AddDate(0, 0, -1)}},
		{"empties, and the block lifts", "0.0,22.0 198.0,22.0 198.0,79.0 264.0,79.0 264.0,136.0 330.0,136.0", "", "Nada agora. O mais que esperou foi 200 cupons, em 21/11/2026 13:37.",
			"bloqueio autônomo -0.4:-0.08|desbloqueado -0.08:0|", api.DeviceHistory{Readings: []api.Reading{said(-25./60, 200, true, -1), said(-10./60, 100, true, -1), said(-5./60, 0, false, -1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := pendingChart(c.h, now())
			bands, until := "", ""
			for _, b := range got.Bands {
				bands += fmt.Sprintf("%s %.1g:%.1g|", b.Word, b.From.Sub(now()).Hours(), b.To.Sub(now()).Hours())
			}
			if !got.Until.IsZero() {
				until = got.UntilX()
			}
			if got.Line() != c.line || until != c.until || got.Answer != c.answer || bands != c.bands {
				t.Errorf("%s; %s; %s; %s", got.Line(), until, got.Answer, bands)
			}
		})
	}
	if pendingChart(api.DeviceHistory{Readings: []api.Reading{said(-1, 1, false, -1)}}, now()) != nil {
		t.Error("one reading is no line")
	}
}

func TestContactChart(t *testing.T) {
	h := api.DeviceHistory{ContactDays: 10, LastContact: now().AddDate(0, 0, -4), ContactBlock: now().AddDate(0, 0, 6),
		Readings: []api.Reading{said(-144, 0, false, -168), said(-96, 0, false, -168), said(-95.9, 0, false, -96), said(-48, 0, false, -96), said(-24, 0, false, -96), said(-12, 0, false, 0)}}
	h.Readings[5].LastContact = time.Time{}
	got := contactChart(h, now())
	if line := got.Line(); line != "0.0,126.1 55.0,106.3 55.1,136.0 137.5,106.3 165.0,96.3" {
		t.Error(line)
	}
	if got.Dashed() != "165.0,96.3 330.0,36.9" || got.LimitY() != "36.9" || got.Answer != "O último contato foi há 4 dias. Sem outro, o equipamento se bloqueia em 27/11/2026." {
		t.Error(got.Dashed(), got.LimitY(), got.Answer)
	}
	if contactChart(api.DeviceHistory{Readings: h.Readings[5:]}, now()) != nil {
		t.Error("no contact is known, and that is drawn")
	}
}

// TestHistory: a technician sees on the device's page how the list empties and the block
// lifts, in every look.
func TestHistory(t *testing.T) {
	b := newBrowser(t)
	c := newCity(t)
	c.shops(t)
	key := func(n int) string { return fmt.Sprintf("352512%s59900000002%06d0000001", "11444777000161", n) }
	say := func(n int, block int, first int, hours float64) {
		at := now().Add(time.Duration(hours * float64(time.Hour)))
		st := store.Status{Memory: -1, State: "desbloqueado", LastContact: at}
		for range block {
			st.Block, st.State, st.LastContact = st.Block+1, "bloqueio autônomo", now().AddDate(0, 0, -11)
		}
		if first > 0 {
			st.PendingFirst, st.PendingLast = key(first), key(300)
		}
		c.update(func(w *store.Writer) error {
			return w.SetStatus("900000002", st, store.Record{Agent: market, Epoch: "g", Stream: wire.StreamStatus, Seq: uint64(n), At: at, SHA256: [32]byte{byte(n)}})
		})
	}
	for n := range 48 {
		say(n+1, 3, 200-4*n, float64(n-50)/2)
	}
	say(60, 3, 150, -.7)
	say(61, 3, 280, -.4)
	say(62, 0, 0, -.1)
	c.judge()
	b.signIn(c)
	b.visit(c.server.URL+"/equipamentos/900000002", "equipamento-historico")
	for _, want := range []string{"Quanto espera envio à SEFAZ?", "Nada agora. O mais que esperou foi 289 cupons", "289", "Bloqueio autônomo", "Desbloqueado",
		"Há quanto tempo o equipamento não fala com a SEFAZ?", "bloqueio em 10 dias", "O último contato foi há 6 min."} {
		if text := b.text("main"); !strings.Contains(text, want) {
			t.Errorf("%q is not on the page: %s", want, text)
		}
	}
}
