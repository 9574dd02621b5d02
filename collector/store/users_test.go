package store

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) { eachEngine(t, testTokens) }

func testTokens(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		return w.AddToken("secret", Token{Label: "loja 1", Allowed: 2, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)})
	})
	spend := func(secret string, now time.Time) error {
		return s.Update(context.Background(), func(w *Writer) error { return w.SpendToken(secret, now) })
	}
	if err := spend("other", t0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a wrong secret: %v", err)
	}
	if err := spend("secret", t0.Add(time.Hour)); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("expired: %v", err)
	}
	for range 2 {
		if err := spend("secret", t0.Add(time.Minute)); err != nil {
			t.Error(err)
		}
	}
	if err := spend("secret", t0.Add(time.Minute)); !errors.Is(err, ErrTokenSpent) {
		t.Errorf("spent: %v", err)
	}
	view(t, s, func(r *Reader) error {
		list, err := r.Tokens()
		if len(list) != 1 || list[0] != (Token{ID: 1, Label: "loja 1", Allowed: 2, Used: 2, ExpiresAt: t0.Add(time.Hour), CreatedAt: t0}) {
			t.Errorf("%+v", list)
		}
		return err
	})
}

func TestCertificates(t *testing.T) { eachEngine(t, testCertificates) }

func testCertificates(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		for _, serial := range []string{"aa", "bb"} {
			if err := w.AddCertificate(Certificate{Serial: serial, Agent: "agent001", IssuedAt: t0, ExpiresAt: t0.AddDate(1, 0, 0)}); err != nil {
				return err
			}
		}
		return w.AddAgent("agent001", "caixa-1", t0)
	})
	update(t, s, func(w *Writer) error {
		if err := w.RevokeAgent("agent002", ByPerson, t0); !errors.Is(err, ErrNotFound) {
			t.Errorf("an agent nobody knows was revoked: %v", err)
		}
		return w.RevokeAgent("agent001", ByPerson, t0.Add(time.Hour))
	})
	view(t, s, func(r *Reader) error {
		c, err := r.Certificate("aa")
		if err != nil || !c.RevokedAt.Equal(t0.Add(time.Hour)) || !c.ExpiresAt.Equal(t0.AddDate(1, 0, 0)) {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := r.Certificate("cc"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		list, err := r.Certificates("agent001")
		if err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		a, err := r.Agent("agent001")
		if a.Host != "caixa-1" || !a.HeardAt.IsZero() {
			t.Errorf("enrolled and not heard yet: %+v", a)
		}
		return err
	})
}

func TestSignIn(t *testing.T) { eachEngine(t, testSignIn) }

func testSignIn(t *testing.T, s *Store) {
	var ana User
	update(t, s, func(w *Writer) (err error) { ana, err = w.AddUser(" Ana@Example.com", "Ana", t0); return err })
	err := s.Update(context.Background(), func(w *Writer) error { _, err := w.AddUser("ANA@example.com", "Outra", t0); return err })
	if err == nil {
		t.Error("one address, two people")
	}
	view(t, s, func(r *Reader) error {
		u, err := r.UserByEmail("ana@EXAMPLE.com ")
		if u != ana || u.Email != "ana@example.com" {
			t.Errorf("%+v", u)
		}
		if _, err := r.UserByEmail("bia@example.com"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		list, err2 := r.Users()
		if len(list) != 1 {
			t.Errorf("%+v, %v", list, err2)
		}
		return err
	})
	update(t, s, func(w *Writer) error { return w.PutLink("link", ana.ID, t0, t0.Add(15*time.Minute)) })
	take := func(secret string, now time.Time) (u User, err error) {
		err = s.Update(context.Background(), func(w *Writer) (err error) { u, err = w.TakeLink(secret, now); return err })
		return u, err
	}
	if _, err := take("link", t0.Add(15*time.Minute)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an expired link: %v", err)
	}
	if u, err := take("link", t0.Add(time.Minute)); u != ana || err != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := take("link", t0.Add(time.Minute)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a link used twice: %v", err)
	}
	update(t, s, func(w *Writer) error { return w.PutSession("session", ana.ID, t0, t0.Add(time.Hour)) })
	session := func(secret string, now time.Time) (u User, err error) {
		err = s.View(context.Background(), All(), func(r *Reader) (err error) { u, err = r.Session(secret, now); return err })
		return u, err
	}
	if u, err := session("session", t0.Add(time.Minute)); u != ana || err != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := session("session", t0.Add(time.Hour)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an expired session: %v", err)
	}
	update(t, s, func(w *Writer) error { return w.DropSession("session") })
	if _, err := session("session", t0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a dropped session: %v", err)
	}
}

func TestExpiredSecretsAreDropped(t *testing.T) { eachEngine(t, testExpiredSecretsAreDropped) }

func testExpiredSecretsAreDropped(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		for i, secret := range []string{"a", "b"} {
			now := t0.Add(time.Duration(i) * time.Hour)
			if err := w.PutLink(secret, 1, now, now.Add(time.Minute)); err != nil {
				return err
			}
			if err := w.PutSession(secret, 1, now, now.Add(time.Minute)); err != nil {
				return err
			}
		}
		left, err := one(&w.Reader, value[int], `SELECT (SELECT count(*) FROM links) + (SELECT count(*) FROM sessions)`)
		if left != 2 {
			t.Errorf("%d left", left)
		}
		return err
	})
}

// TestSecretsAreNotStored looks for them in all that is stored.
func TestSecretsAreNotStored(t *testing.T) { eachAddress(t, testSecretsAreNotStored) }

func testSecretsAreNotStored(t *testing.T, address string) {
	s := openAt(t, address)
	secrets := []string{"token-8e1f", "link-8e1f", "session-8e1f"}
	update(t, s, func(w *Writer) error {
		if err := w.AddToken(secrets[0], Token{Label: "findme", Allowed: 1, ExpiresAt: t0}); err != nil {
			return err
		}
		if err := w.PutLink(secrets[1], 1, t0, t0.Add(1)); err != nil {
			return err
		}
		return w.PutSession(secrets[2], 1, t0, t0.Add(time.Hour))
	})
	s.Close()
	all := dump(t, address)
	if !strings.Contains(all, "findme") {
		t.Fatal("what was stored is not there")
	}
	for _, secret := range secrets {
		if strings.Contains(all, secret) || strings.Contains(all, hex.EncodeToString([]byte(secret))) {
			t.Errorf("%s is in the clear", secret)
		}
	}
}

// dump is all that a database holds: its files, or what pg_dump writes.
func dump(t *testing.T, address string) (all string) {
	t.Helper()
	if isPostgres(address) {
		cmd, err := asServer("pg_dump", address)
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	files, _ := filepath.Glob(address + "*")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
}

func TestAudit(t *testing.T) { eachEngine(t, testAudit) }

func testAudit(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		for _, act := range []string{"one", "two", "three"} {
			if err := w.AddAudit(Audit{At: t0, Who: "ana@example.com", Act: act, Object: "token", Detail: "loja 1"}); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(r *Reader) error {
		list, err := r.ListAudit(AuditSearch{Limit: 2})
		if len(list) != 2 || list[0].Act != "three" || list[1].Act != "two" || list[0].Who != "ana@example.com" || !list[0].At.Equal(t0) {
			t.Errorf("%+v", list)
		}
		for _, one := range []struct {
			q    AuditSearch
			want int
		}{{AuditSearch{Who: "ana@", Act: "t"}, 2}, {AuditSearch{Act: "o_e"}, 0}, {AuditSearch{Who: "%"}, 0}, {AuditSearch{Who: `\`}, 0},
			{AuditSearch{From: t0, To: t0.Add(time.Second)}, 3}, {AuditSearch{To: t0}, 0}, {AuditSearch{Before: list[0].ID}, 2}} {
			one.q.Limit = 9
			found, err := r.ListAudit(one.q)
			if err != nil || len(found) != one.want {
				t.Errorf("%+v finds %d lines, %v", one.q, len(found), err)
			}
		}
		return err
	})
}
