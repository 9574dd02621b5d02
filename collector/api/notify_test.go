package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"zelo/collector/alarm"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// TestHooksAreOfTheirReseller: heads add and see their own, nobody else sees any, and
// nothing that leads elsewhere is taken.
func TestHooksAreOfTheirReseller(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	head := mine.byRole[store.RoleReseller]
	good := Hook{"plantão", "https://exemplo.com.br/zelo?chave=segredo", "", alarm.Warning}
	for name, c := range map[string]struct {
		change func(*Hook)
		says   string
	}{
		"no name":           {func(h *Hook) { h.Name = " " }, "um nome"},
		"a private address": {func(h *Hook) { h.Address = "https://10.0.0.1/" }, "rede interna"},
		"in the clear":      {func(h *Hook) { h.Address = "http://exemplo.com.br/" }, "https://"},
		"no severity":       {func(h *Hook) { h.Least = 0 }, "gravidade"},
		"a loop":            {func(h *Hook) { h.Template = "{{range 9}}{{end}}{}" }, "modelo"},
	} {
		h := good
		c.change(&h)
		_, err := b.AddHook(t.Context(), head, h)
		var mend *Problem
		if !errors.As(err, &mend) || !strings.Contains(mend.Text, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	secret, err := b.AddHook(t.Context(), head, good)
	if err != nil || !strings.HasPrefix(secret, "zelo_") {
		t.Fatal(secret, err)
	}
	if secret, err := b.AddHook(t.Context(), head, Hook{"chat", good.Address, "discord", alarm.Critical}); err != nil || secret != "" {
		t.Errorf("a chat: %q %v", secret, err)
	}
	for role, c := range mine.byRole {
		n, err := b.Notices(t.Context(), c)
		want := map[bool]int{true: 4}[role == store.RoleReseller] // two of the fixture
		if err != nil || len(n.Hooks) != want || len(n.Channels) != 1 || n.Channels[0].User.Email != c.Who() {
			t.Errorf("%s sees %d hooks and %+v: %v", role, len(n.Hooks), n.Channels, err)
		}
	}
	n, err := b.Notices(t.Context(), other.byRole[store.RoleReseller])
	if err != nil || len(n.Hooks) != 1 {
		t.Errorf("the other reseller sees %+v, %v", n.Hooks, err)
	}
	if text := strings.Join(b.audited(), "\n"); !strings.Contains(text, "avisos: endereço novo") || strings.Contains(text, "segredo") {
		t.Errorf("the audit says\n%s", text)
	}
}

// TestWishes: what makes no sense is not kept.
func TestWishes(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	owner := mine.byRole[store.RoleTaxpayer]
	n, err := b.Notices(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	own := n.Channels[0]
	if own.Wish.Least != alarm.Critical || own.Wish.Digest != -1 || !own.Wish.CriticalPasses {
		t.Errorf("an owner's wish: %+v", own.Wish)
	}
	for name, c := range map[string]struct {
		least, from, to, digest string
		fine                    bool
	}{
		"a night":           {"warning", "22:00", "07:00", "18", true},
		"nothing":           {"notice", "", "", "", true},
		"no severity":       {"", "", "", "", false},
		"a severity of old": {"fatal", "", "", "", false},
		"no time":           {"notice", "25:00", "07:00", "", false},
		"no hour":           {"notice", "", "", "24", false},
	} {
		wish, err := ReadWish(false, c.least, c.from, c.to, true, c.digest)
		if err == nil {
			err = b.SetWish(t.Context(), owner, own.ID, wish)
		}
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.DropChannel(t.Context(), owner, own.ID); err == nil {
		t.Error("an e-mail was taken away")
	}
}

// TestOneBrowser: a browser tells one person, whoever turned it on last; and it may be
// turned on again where there are as many as there may be.
func TestOneBrowser(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	first, second := mine.byRole[store.RoleTaxpayer], other.byRole[store.RoleTaxpayer]
	browsers := func(c Caller) (n int) {
		t.Helper()
		told, err := b.Notices(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range told.Channels {
			if ch.Kind == store.ChannelPush {
				n++
			}
		}
		return n
	}
	on := func(c Caller, at int) error {
		return b.Subscribe(t.Context(), c, "Firefox", notify.Subscription{Endpoint: fmt.Sprint("https://push.example.com/", at),
			Auth: base64.RawURLEncoding.EncodeToString(make([]byte, 16)), P256dh: base64.RawURLEncoding.EncodeToString(make([]byte, 65))})
	}
	before := browsers(first)
	if err := errors.Join(on(first, 0), on(second, 0)); err != nil {
		t.Fatal(err)
	}
	if browsers(first) != before || browsers(second) != before+1 {
		t.Errorf("it tells %d and %d, and told %d before", browsers(first), browsers(second), before)
	}
	last, err := 0, error(nil)
	for ; err == nil; last++ {
		if last > maxChannels {
			t.Fatal("there is no end of browsers")
		}
		err = on(first, last+1)
	}
	if err := on(first, last-1); err != nil {
		t.Errorf("one of them is turned on again: %v", err)
	}
}
