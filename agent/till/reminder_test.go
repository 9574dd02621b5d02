package till

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/buffer"
)

// lobby is a computer at which a reminder shows messages.
type lobby struct {
	*Reminder
	said      []string
	err       error // of showing
	sinceSale time.Duration
	now       time.Time
	expires   time.Time
}

func newLobby(t *testing.T) *lobby {
	t.Helper()
	b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), buffer.Options{MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	l := &lobby{sinceSale: time.Hour, now: noon(), expires: noon().AddDate(0, 0, 400)}
	l.Reminder = &Reminder{Buffer: b, Log: slog.New(slog.DiscardHandler), Page: "http://127.0.0.1:9018",
		Offer:        Offer{"A Revenda X cuida da renovação:", "https://parceiro.exemplo.com.br/r1"},
		Now:          func() time.Time { return l.now },
		SinceSale:    func() time.Duration { return l.sinceSale },
		Certificates: func() []Certificate { return []Certificate{{"PADARIA SOL LTDA", l.expires}} },
		Show: func(_ context.Context, title, text string) error {
			if l.err == nil {
				l.said = append(l.said, text)
			}
			return l.err
		}}
	return l
}

// at tries to remind with so many days left, and returns what was said.
func (l *lobby) at(t *testing.T, days int) int {
	t.Helper()
	l.now = l.expires.AddDate(0, 0, -days)
	before := len(l.said)
	if err := l.remind(t.Context()); err != nil && l.err == nil {
		t.Fatal(err)
	}
	return len(l.said) - before
}

// TestDaysOfReminders: 90, 30, 15 and 7 days before the end, then daily, and a week on.
func TestDaysOfReminders(t *testing.T) {
	l := newLobby(t)
	var days []int
	for d := 120; d > -30; d-- {
		switch l.at(t, d) {
		case 0:
		case 1:
			days = append(days, d)
		}
		if l.at(t, d) != 0 {
			t.Errorf("%d days left: twice on one day", d)
		}
	}
	if want := []int{90, 30, 15, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7}; !slices.Equal(days, want) {
		t.Errorf("reminded at %v", days)
	}
	for _, part := range []string{"PADARIA SOL LTDA", "faltam 90 dias", "Revenda X", "https://parceiro.exemplo.com.br/r1", "http://127.0.0.1:9018"} {
		if !strings.Contains(l.said[0], part) {
			t.Errorf("%q lacks %q", l.said[0], part)
		}
	}
	late := newLobby(t)
	if late.at(t, 20) != 1 || late.at(t, 19) != 0 {
		t.Error("one found 20 days before its end is told of once")
	}
}

// TestMannersOfReminders: not while somebody sells, not at night, and again when nobody
// was there.
func TestMannersOfReminders(t *testing.T) {
	l := newLobby(t)
	l.sinceSale = time.Minute
	if l.at(t, 30) != 0 {
		t.Error("it comes between two sales")
	}
	l.sinceSale = time.Hour
	l.expires = l.expires.Add(9 * time.Hour) // the hour of each try
	if l.at(t, 30) != 0 {
		t.Error("it comes at night")
	}
	l.expires = l.expires.Add(-9 * time.Hour)
	l.err = ErrNobody
	if l.at(t, 30) != 0 {
		t.Error("nobody was there")
	}
	l.err = nil
	if l.at(t, 30) != 1 {
		t.Error("it does not come when somebody is there again")
	}
}

// TestPuttingOff: whoever has read it is left alone until the next level.
func TestPuttingOff(t *testing.T) {
	l := newLobby(t)
	l.at(t, 7)
	if !l.Due() {
		t.Error("there is nothing to put off")
	}
	if err := l.Dismiss(); err != nil || l.Due() {
		t.Errorf("%v, still due", err)
	}
	said := 0
	for d := 6; d > 1; d-- {
		said += l.at(t, d)
	}
	if said != 0 {
		t.Errorf("it came %d times before the next level", said)
	}
	if l.at(t, 1) != 1 || !l.Due() {
		t.Error("the last day is another level")
	}
	l.expires = l.expires.AddDate(1, 0, 0)
	if l.now = l.expires.AddDate(0, 0, -30); l.at(t, 30) != 1 {
		t.Error("the new certificate is another one")
	}
}

// TestReminderOnThePage: the page and the JSON carry the reseller's offer, and the page
// puts the messages off.
func TestReminderOnThePage(t *testing.T) {
	l := newLobby(t)
	d := newDesk(t)
	var err error
	l.expires = noon().AddDate(0, 0, 20)
	d.state.Certificates = l.Certificates()
	d.h, err = New(Options{State: func() State { return d.state }, Now: noon, Log: slog.New(slog.DiscardHandler),
		Test: func(context.Context) error { return nil }, Offer: l.Offer, Reminder: l.Reminder})
	if err != nil {
		t.Fatal(err)
	}
	const button = "Não avisar de novo até o próximo prazo"
	page := d.body(d.send(http.MethodGet, "/"))
	for _, part := range []string{"A Revenda X cuida da renovação:", `href="https://parceiro.exemplo.com.br/r1"`, button} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	var s situation
	if err := json.Unmarshal([]byte(d.body(d.send(http.MethodGet, "/situacao.json"))), &s); err != nil {
		t.Fatal(err)
	}
	if c := s.Certificates[len(s.Certificates)-1]; c.Kind != "loja" || *c.Link != l.Offer.Link || *c.Offer != l.Offer.Text || s.Certificates[0].Link != nil {
		t.Errorf("%+v", s.Certificates)
	}
	if resp := d.send(http.MethodPost, "/lembrete", "Origin", "https://loja.com.br"); resp.StatusCode != http.StatusForbidden || !l.Due() {
		t.Errorf("another site puts it off: %d", resp.StatusCode)
	}
	if resp := d.send(http.MethodPost, "/lembrete"); resp.StatusCode != http.StatusSeeOther || l.Due() {
		t.Errorf("not put off: %d", resp.StatusCode)
	}
	if page := d.body(d.send(http.MethodGet, "/")); strings.Contains(page, button) || !strings.Contains(page, "Revenda X") {
		t.Error("the button stays, or the offer goes")
	}
	d.state.Certificates[0].Expires = noon().AddDate(2, 0, 0)
	if page := d.body(d.send(http.MethodGet, "/")); strings.Contains(page, "Revenda X") {
		t.Error("the offer is shown without a reason")
	}
}

// TestReminderGoesOn: it looks each minute and ends with its context, whatever fails.
func TestReminderGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLobby(t)
		l.Now, l.expires = func() time.Time { return time.Now().Add(15 * time.Hour) }, time.Now().AddDate(0, 0, 20)
		l.err = errors.New("no desktop")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		l.mu.Lock()
		l.err = nil
		l.mu.Unlock()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		cancel()
		<-done
		if len(l.said) != 1 {
			t.Errorf("said %d times", len(l.said))
		}
	})
}
