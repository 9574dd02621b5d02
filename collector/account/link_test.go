package account

import (
	"errors"
	"strings"
	"testing"
	"time"

	"zelo/collector/store"
)

func (b *bench) asked(email string) Link {
	b.Helper()
	l, err := b.AskedLink(b.Context(), email, "192.0.2.7:1")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// TestAskedLink: it is for who the store knows, at the address that it knows, works once
// and for half an hour.
func TestAskedLink(t *testing.T) {
	b := setup(t)
	if _, err := b.AskedLink(t.Context(), "ana@example.com", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody's address: %v", err)
	}
	b.link("kilo@example.com")
	l := b.asked("\u212Ailo@EXAMPLE.com") // the sign of the kelvin is a k in lower case
	if l.Email != "kilo@example.com" || !l.Until.Equal(b.now.Add(AskedLife)) {
		t.Errorf("%+v", l)
	}
	if _, err := b.SignIn(t.Context(), strings.TrimPrefix(l.Secret, byMail), "", "192.0.2.1:1"); !errors.Is(err, ErrLink) {
		t.Errorf("without its mark: %v", err)
	}
	b.signIn(l.Secret)
	if _, err := b.SignIn(t.Context(), l.Secret, "", "192.0.2.1:1"); !errors.Is(err, ErrLink) {
		t.Errorf("used twice: %v", err)
	}
	late := b.asked("kilo@example.com")
	b.now = b.now.Add(AskedLife)
	if _, err := b.SignIn(t.Context(), late.Secret, "", "192.0.2.1:1"); !errors.Is(err, ErrLink) {
		t.Errorf("after half an hour: %v", err)
	}
	if audit := strings.Join(b.audit(), "\n"); !strings.Contains(audit, "kilo@example.com: link de acesso pedido kilo@example.com 192.0.2.7") || strings.Contains(audit, l.Secret) {
		t.Errorf("audit:\n%s", audit)
	}
}

// TestMailedLinkWantsTheCode: who has one-time codes proves one; wrong ones leave the
// link and count as failed sign-ins. A link that somebody hands over wants none.
func TestMailedLinkWantsTheCode(t *testing.T) {
	b := setup(t)
	secret := b.secured("ana@example.com")
	l := b.asked("ana@example.com")
	in := func(code string) error {
		_, err := b.SignIn(t.Context(), l.Secret, code, "192.0.2.1:1")
		return err
	}
	if err := in(""); !errors.Is(err, ErrCodeNeeded) {
		t.Errorf("without a code: %v", err)
	}
	for range freeFailures {
		if err := in("000000"); !errors.Is(err, ErrCode) {
			t.Errorf("a wrong code: %v", err)
		}
	}
	if err := in(b.code(secret)); !errors.Is(err, ErrCode) {
		t.Errorf("while the account waits: %v", err)
	}
	b.now = b.now.Add(firstWait)
	used := b.code(secret)
	if err := in(used); err != nil {
		t.Errorf("the right code: %v", err)
	}
	if err := in(used); !errors.Is(err, ErrLink) {
		t.Errorf("the link again: %v", err)
	}
	l = b.asked("ana@example.com")
	if err := in(used); !errors.Is(err, ErrCode) {
		t.Errorf("the code again: %v", err)
	}
	b.now = b.now.Add(time.Minute)
	b.signIn(b.link("ana@example.com"))
}
