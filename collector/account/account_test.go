package account

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/collector/store"
)

type bench struct {
	*testing.T
	*Accounts
	now time.Time
}

func setup(t *testing.T) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{T: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	b.Accounts = New(s, Key{1}, func() time.Time { return b.now })
	return b
}

func (b *bench) link(email string) string {
	b.Helper()
	secret, err := b.NewLink(b.Context(), email, CommandLine())
	if err != nil {
		b.Fatal(err)
	}
	return secret
}

func (b *bench) signIn(secret string) string {
	b.Helper()
	session, err := b.SignIn(b.Context(), secret, "", "192.0.2.1:1234")
	if err != nil {
		b.Fatal(err)
	}
	return session
}

func (b *bench) audit() (lines []string) {
	b.Helper()
	err := b.store.View(b.Context(), store.All(), func(r *store.Reader) error {
		list, err := r.ListAudit(store.AuditSearch{Limit: 100})
		for _, a := range list {
			lines = append([]string{a.Who + ": " + a.Act + " " + a.Object + " " + a.Detail}, lines...)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return lines
}

func TestALinkWorksOnce(t *testing.T) {
	b := setup(t)
	secret := b.link("ana@example.com")
	if len(secret) != 43 {
		t.Errorf("the secret has %d characters: not 256 bits", len(secret))
	}
	session := b.signIn(secret)
	if session == secret {
		t.Error("link and session share a secret")
	}
	u, err := b.Caller(t.Context(), session)
	if err != nil || u.Who() != "ana@example.com" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := b.SignIn(t.Context(), secret, "", "192.0.2.1:1"); !errors.Is(err, ErrLink) {
		t.Errorf("a link used twice: %v", err)
	}
	if err := b.SignOut(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Caller(t.Context(), session); !errors.Is(err, ErrSignedOut) {
		t.Errorf("after signing out: %v", err)
	}
	if err := b.SignOut(t.Context(), session); err != nil {
		t.Errorf("signing out twice: %v", err)
	}
	want := "coletor: nova pessoa ana@example.com plataforma\nana@example.com: entrada ana@example.com 192.0.2.1\nana@example.com: saída ana@example.com "
	if got := strings.Join(b.audit(), "\n"); got != want {
		t.Errorf("audit:\n%s\nwant:\n%s", got, want)
	}
}

func TestLinksAndSessionsExpire(t *testing.T) {
	b := setup(t)
	old := b.link("ana@example.com")
	b.now = b.now.Add(LinkLife)
	if _, err := b.SignIn(t.Context(), old, "", ""); !errors.Is(err, ErrLink) {
		t.Errorf("an old link: %v", err)
	}
	session := b.signIn(b.link("ana@example.com"))
	b.now = b.now.Add(SessionLife - time.Second)
	if _, err := b.Caller(t.Context(), session); err != nil {
		t.Error(err)
	}
	b.now = b.now.Add(time.Second)
	if _, err := b.Caller(t.Context(), session); !errors.Is(err, ErrSignedOut) {
		t.Errorf("an old session: %v", err)
	}
}

func TestAnotherLinkIsTheSamePerson(t *testing.T) {
	b := setup(t)
	first, second := b.signIn(b.link("ana@example.com")), b.signIn(b.link("Ana@Example.com"))
	u, err := b.Caller(t.Context(), first)
	v, err2 := b.Caller(t.Context(), second)
	if err != nil || err2 != nil || u != v {
		t.Errorf("%v, %v: %+v %+v", err, err2, u, v)
	}
}

func TestAddresses(t *testing.T) {
	b := setup(t)
	for _, email := range []string{"", "ana", "Ana <ana@example.com>", "ana@example.com\n", "a b@example.com"} {
		if _, err := b.NewLink(t.Context(), email, CommandLine()); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", email, err)
		}
	}
}

func TestTooManyAttempts(t *testing.T) {
	b := setup(t)
	try := func(from string) error {
		_, err := b.SignIn(t.Context(), "wrong", "", from)
		return err
	}
	for n := range perMinute {
		if err := try(fmt.Sprintf("192.0.2.1:%d", n)); !errors.Is(err, ErrLink) {
			t.Fatalf("attempt %d: %v", n, err)
		}
	}
	secret := b.link("ana@example.com")
	if _, err := b.SignIn(t.Context(), secret, "", "192.0.2.1:99"); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	if err := try("192.0.2.2:1"); !errors.Is(err, ErrLink) {
		t.Errorf("another address: %v", err)
	}
	b.now = b.now.Add(time.Minute)
	if _, err := b.SignIn(t.Context(), secret, "", "192.0.2.1:99"); err != nil {
		t.Errorf("a minute later, the link untouched: %v", err)
	}
}

// TestManyAddressesTakeNoMemory: nor do they keep others out.
func TestManyAddressesTakeNoMemory(t *testing.T) {
	b := setup(t)
	refused := 0
	for n := range 10_100 {
		if !b.MayTry(fmt.Sprint(n)) {
			refused++
		}
	}
	if refused != 0 || len(b.tries) > 10_000 {
		t.Errorf("%d refused, %d remembered", refused, len(b.tries))
	}
}

func TestStoreGone(t *testing.T) {
	b := setup(t)
	secret := b.link("ana@example.com")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.SignIn(ctx, secret, "", ""); err == nil || errors.Is(err, ErrLink) {
		t.Errorf("a store that cannot be asked is not a wrong link: %v", err)
	}
	if _, err := b.Caller(ctx, "x"); err == nil || errors.Is(err, ErrSignedOut) {
		t.Errorf("nor nobody: %v", err)
	}
	b.signIn(secret)
}
