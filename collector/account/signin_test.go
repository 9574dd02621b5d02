package account

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/store"
)

// TestTOTP: the vectors of RFC 6238, appendix B, for SHA-1, and of RFC 4226,
// appendix D.
func TestTOTP(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
		2000000000: "69279037", 20000000000: "65353130"} {
		if got := code(key, at/totpStep, 8); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		secret := base32.StdEncoding.EncodeToString(key)
		if step, ok := stepOf(secret, want[2:], time.Unix(at+totpStep, 0)); !ok || step != at/totpStep {
			t.Errorf("at %d, half a minute later: %d, %v", at, step, ok)
		}
		if _, ok := stepOf(secret, want[2:], time.Unix(at+3*totpStep, 0)); ok {
			t.Errorf("at %d: an old code is taken", at)
		}
	}
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := code(key, int64(step), 6); got != want {
			t.Errorf("step %d: %s, want %s", step, got, want)
		}
	}
	for _, secret := range []string{"", "MFRGG", "!"} {
		if _, ok := stepOf(secret, code(nil, 0, 6), time.Unix(0, 0)); ok {
			t.Errorf("%q is a secret", secret)
		}
	}
}

func TestPasswordHash(t *testing.T) {
	one, two := hashPassword("uma senha boa"), hashPassword("uma senha boa")
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || !samePassword("uma senha boa", one) || samePassword("uma senha bo", one) {
		t.Errorf("%s %s", one, two)
	}
	for _, damaged := range []string{"x", "$argon2id$v=19$m=19456,t=2,p=1$$", strings.Replace(one, "v=19", "v=18", 1), strings.Replace(one, "t=2", "t=0", 1),
		strings.Replace(one, "p=1", "p=0", 1), one[:len(one)-30], strings.Replace(one, "argon2id", "argon2i", 1)} {
		if samePassword("uma senha boa", damaged) {
			t.Errorf("%q is the password's", damaged)
		}
	}
}

const password = "quatro palavras e um sinal!"

// secured is a person with a password.
func (b *bench) secured(email string) (secret string) {
	b.Helper()
	c, err := b.Caller(b.Context(), b.signIn(b.link(email)))
	if err != nil {
		b.Fatal(err)
	}
	secret = NewTOTP()
	if err := b.SetPassword(b.Context(), c, "", password, secret, b.code(secret)); err != nil {
		b.Fatal(err)
	}
	b.now = b.now.Add(time.Minute)
	return secret
}

func (b *bench) code(secret string) string {
	key, _ := base32.StdEncoding.DecodeString(secret)
	return code(key, b.now.Unix()/totpStep, totpDigits)
}

func TestSignInWithPassword(t *testing.T) {
	b := setup(t)
	secret := b.secured("ana@example.com")
	in := func(email, password, code string) error {
		_, err := b.SignInWith(t.Context(), email, password, code, "192.0.2.1:1")
		return err
	}
	for name, err := range map[string]error{"no such person": in("bia@example.com", password, b.code(secret)), "wrong password": in("ana@example.com", "outra senha", b.code(secret)),
		"wrong code": in("ana@example.com", password, "000000"), "no code": in("ana@example.com", password, ""), "too long": in("ana@example.com", strings.Repeat("x", 300), b.code(secret))} {
		if !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	session, err := b.SignInWith(t.Context(), "Ana@Example.com", password, b.code(secret), "192.0.2.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.Caller(t.Context(), session); err != nil || c.Who() != "ana@example.com" || c.Role() != store.RolePlatform {
		t.Errorf("%+v, %v", c, err)
	}
	if err := in("ana@example.com", password, b.code(secret)); !errors.Is(err, ErrCredentials) {
		t.Errorf("a code used twice: %v", err)
	}
	b.now = b.now.Add(time.Minute)
	if err := in("ana@example.com", password, b.code(secret)); err != nil {
		t.Errorf("the next code: %v", err)
	}
	if audit := strings.Join(b.audit(), "\n"); !strings.Contains(audit, "ana@example.com: entrada recusada ana@example.com 192.0.2.1") || strings.Contains(audit, "bia") {
		t.Errorf("audit:\n%s", audit)
	}
}

// TestAccountWaits: after five failures nothing signs in until the wait is over,
// and nobody can tell a waiting account from a wrong password.
func TestAccountWaits(t *testing.T) {
	b := setup(t)
	secret := b.secured("ana@example.com")
	from := 0
	in := func(password string) error {
		from++
		_, err := b.SignInWith(t.Context(), "ana@example.com", password, b.code(secret), fmt.Sprintf("192.0.2.%d:1", from))
		return err
	}
	for range freeFailures {
		if err := in("errada"); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
	}
	if err := in(password); !errors.Is(err, ErrCredentials) {
		t.Errorf("while it waits: %v", err)
	}
	b.now = b.now.Add(firstWait)
	if err := in("errada"); !errors.Is(err, ErrCredentials) {
		t.Fatal(err)
	}
	b.now = b.now.Add(firstWait)
	if err := in(password); !errors.Is(err, ErrCredentials) {
		t.Errorf("the second wait is longer: %v", err)
	}
	b.now = b.now.Add(firstWait)
	if err := in(password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for range freeFailures {
		in("errada")
	}
	b.signIn(b.link("ana@example.com")) // a link frees the account
	b.now = b.now.Add(totpStep * time.Second)
	if err := in(password); err != nil {
		t.Errorf("after a link: %v", err)
	}
	if w := waitAfter(100); w != longestWait {
		t.Errorf("the longest wait is %s", w)
	}
}

func TestSetPassword(t *testing.T) {
	b := setup(t)
	c, err := b.Caller(t.Context(), b.signIn(b.link("ana@example.com")))
	if err != nil {
		t.Fatal(err)
	}
	secret := NewTOTP()
	for name, try := range map[string]struct {
		old, new, code string
		want           error
	}{"short": {"", "curta", b.code(secret), ErrPassword}, "long": {"", strings.Repeat("x", 201), b.code(secret), ErrPassword}, "wrong code": {"", password, "123", ErrCode}} {
		if err := b.SetPassword(t.Context(), c, try.old, try.new, secret, try.code); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.SetPassword(t.Context(), c, "", password, secret, b.code(secret)); err != nil {
		t.Fatal(err)
	}
	if err := b.SetPassword(t.Context(), c, "errada", "outra senha boa", secret, b.code(secret)); !errors.Is(err, ErrCredentials) {
		t.Errorf("without the old one: %v", err)
	}
	if err := b.SetPassword(t.Context(), c, password, "outra senha boa", secret, b.code(secret)); err != nil {
		t.Errorf("with the old one: %v", err)
	}
}

func TestAPITokens(t *testing.T) {
	b := setup(t)
	secret := NewToken()
	err := b.store.Update(t.Context(), func(w *store.Writer) error {
		u, err := w.AddPerson(store.User{Email: "conta@example.com", Role: store.RoleAccountant})
		if err != nil {
			return err
		}
		return w.AddAPIToken(secret, store.APIToken{User: u.ID, Label: "robô", Rights: "queries", CreatedAt: b.now, ExpiresAt: b.now.AddDate(0, 0, 1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.CallerOfToken(t.Context(), secret)
	if err != nil || !c.Token() || c.Who() != "conta@example.com" || c.Scope() != store.OfPerson(c.User()).Paid() {
		t.Errorf("%+v, %v", c, err)
	}
	for right, has := range map[Right]bool{RightRead: true, RightQueries: true, RightCommands: false, RightAlarms: false, "": false} {
		if c.Has(right) != has {
			t.Errorf("%q: %v", right, !has)
		}
	}
	if line := c.Audit(); line.Token != "robô" || line.Who != "conta@example.com" {
		t.Errorf("%+v", line)
	}
	b.CallerOfToken(t.Context(), secret)
	b.now = b.now.Add(16 * time.Hour) // the next day in Brasília
	b.CallerOfToken(t.Context(), secret)
	err = b.store.View(t.Context(), store.All(), func(r *store.Reader) error {
		lines, err := r.ListAudit(store.AuditSearch{Who: "robô", Limit: 9})
		if len(lines) != 2 || lines[0].Act != "código de API usado" || lines[0].Token != "robô" {
			t.Errorf("%+v", lines)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := b.CallerOfToken(t.Context(), secret+"x"); !errors.Is(err, ErrSignedOut) {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, err := b.Caller(t.Context(), secret); !errors.Is(err, ErrSignedOut) {
		t.Errorf("a token is no session: %v", err)
	}
	b.now = b.now.AddDate(0, 0, 1)
	if _, err := b.CallerOfToken(t.Context(), secret); !errors.Is(err, ErrSignedOut) {
		t.Errorf("expired: %v", err)
	}
}

// TestEntitlements: what a shop lives from needs no plan.
func TestEntitlements(t *testing.T) {
	for feature, plan := range Entitlements() {
		if plan != store.PlanPro {
			t.Errorf("%s needs %s", feature, plan)
		}
	}
	c := callerOf(store.User{ID: 7, Email: "dono@example.com", Role: store.RoleTaxpayer})
	if c.With("baixar os próprios XML") != c || c.With(FeatureAPI) == c {
		t.Error("plans stop what is everybody's, or nothing at all")
	}
	if p := CommandLine(); p.With(FeatureAPI) != p {
		t.Error("the platform pays itself")
	}
}

// TestResetMeanwhile: a password that is reset while it is checked opens nothing.
func TestResetMeanwhile(t *testing.T) {
	b := setup(t)
	secret := b.secured("ana@example.com")
	c, err := b.Caller(t.Context(), b.signIn(b.link("ana@example.com")))
	if err != nil {
		t.Fatal(err)
	}
	asked, reset := 0, 0
	b.Accounts.now = func() time.Time { // it is asked for after the password was read
		if asked++; asked == reset {
			if err := b.store.Update(t.Context(), func(w *store.Writer) error { return w.LockOut(c.User(), b.now) }); err != nil {
				t.Error(err)
			}
		}
		return b.now
	}
	reset = 2
	if _, err := b.SignInWith(t.Context(), "ana@example.com", password, b.code(secret), "192.0.2.1:1"); !errors.Is(err, ErrCredentials) {
		t.Errorf("signing in: %v", err)
	}
}

// TestOneNetwork: one network of IPv6 counts as one address.
func TestOneNetwork(t *testing.T) {
	b := setup(t)
	for n := range perMinute + 1 {
		_, err := b.SignIn(t.Context(), "x", "", fmt.Sprintf("[2001:db8::%x]:1", n))
		if want := map[bool]error{false: ErrLink, true: ErrTooMany}[n == perMinute]; !errors.Is(err, want) {
			t.Errorf("try %d of one network: %v", n+1, err)
		}
	}
}

// TestHashingWaits: whoever goes away while passwords of others are checked waits no longer.
func TestHashingWaits(t *testing.T) {
	b := setup(t)
	secret := b.secured("ana@example.com")
	c, err := b.Caller(b.Context(), b.signIn(b.link("ana@example.com")))
	if err != nil {
		t.Fatal(err)
	}
	for range cap(b.hashing) {
		b.hashing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.SignInWith(ctx, "ana@example.com", password, b.code(secret), "192.0.2.1:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("signing in: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.SetPassword(ctx, c, password, password, secret, b.code(secret)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("setting a password: %v", err)
	}
	<-b.hashing
	if _, err := b.SignInWith(t.Context(), "ana@example.com", password, b.code(secret), "192.0.2.1:1"); err != nil {
		t.Errorf("when its turn comes: %v", err)
	}
}
