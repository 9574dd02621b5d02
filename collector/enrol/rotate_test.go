package enrol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zelo/collector/store"
)

// The three steps of a rotation, and who trusts whom at each.
func TestRotation(t *testing.T) {
	folder := t.TempDir()
	now := time.Now()
	first, err := CreateCA(folder, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Switch(folder); !errors.Is(err, ErrStage) {
		t.Errorf("switched to nothing: %v", err)
	}
	announced, err := Rotate(folder, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(folder, now); !errors.Is(err, ErrStage) {
		t.Errorf("rotated twice: %v", err)
	}
	switched, err := Switch(folder)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := Retire(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Retire(folder); !errors.Is(err, ErrStage) {
		t.Errorf("retired twice: %v", err)
	}
	trusts := func(ca *CA, config *tls.Config) bool {
		c, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "c", CurrentTime: now})
		return err == nil
	}
	clock := func() time.Time { return now }
	for _, w := range []struct {
		name                   string
		ca                     *CA
		stage                  Stage
		certificates           int
		byFirst, byLast        bool // whether who knows only the first, the last authority trusts the broker
		entranceFirst, pinKept bool // the same of the entrance; tokens name the first
	}{
		{"before", first, Settled, 1, true, false, true, true},
		{"announced", announced, Announced, 2, true, false, true, true},
		{"switched", switched, Switched, 2, false, true, true, true},
		{"retired", retired, Settled, 1, false, true, false, false},
	} {
		if w.ca.Stage() != w.stage || len(w.ca.trusted()) != w.certificates {
			t.Errorf("%s: stage %v, %d authorities", w.name, w.ca.Stage(), len(w.ca.trusted()))
		}
		broker, entrance := w.ca.ServerConfig([]string{"c"}, clock), w.ca.EntranceConfig([]string{"c"}, clock)
		if got := trusts(first, broker); got != w.byFirst {
			t.Errorf("%s: who knows the first authority trusts the broker: %v", w.name, got)
		}
		if got := trusts(retired, broker); got != w.byLast {
			t.Errorf("%s: who knows the last authority trusts the broker: %v", w.name, got)
		}
		if got := trusts(first, entrance); got != w.entranceFirst {
			t.Errorf("%s: who knows the first authority trusts the entrance: %v", w.name, got)
		}
		if got := w.ca.Pin() == first.Pin(); got != w.pinKept {
			t.Errorf("%s: tokens name the first authority: %v", w.name, got)
		}
		if w.stage != Settled && (!trusts(w.ca, broker) || !trusts(w.ca, entrance)) {
			t.Errorf("%s: an agent with the bundle trusts not both", w.name)
		}
	}
}

// A switch that was cut off between its two files is carried on, and files of the
// time before the folder are taken over.
func TestFilesInBetween(t *testing.T) {
	folder := t.TempDir()
	in := filepath.Join(folder, CAFolder)
	if _, err := CreateCA(folder, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(folder, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(in, issuerFile), filepath.Join(in, formerFile)); err != nil {
		t.Fatal(err)
	}
	if ca, err := OpenCA(folder); err != nil || ca.Stage() != Switched {
		t.Fatalf("after a cut: %v", err)
	}

	old := t.TempDir()
	ca, err := CreateCA(old, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: mustPKCS8(t, ca)})
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"as the first versions left it", func() error { return os.RemoveAll(filepath.Join(old, CAFolder)) }},
		{"cut before the key was removed", func() error { return nil }},
	} {
		if err := errors.Join(step.do(), os.WriteFile(filepath.Join(old, oldKeyFile), key, 0o600)); err != nil {
			t.Fatal(err)
		}
		got, err := OpenCA(old)
		if err != nil || got.Pin() != ca.Pin() {
			t.Fatalf("%s: %v", step.name, err)
		}
		if there(filepath.Join(old, oldKeyFile)) {
			t.Errorf("%s: the key is still in two places", step.name)
		}
	}
}

func mustPKCS8(t *testing.T, ca *CA) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A store knows its authorities: another folder's are refused.
func TestAuthoritiesOfAStore(t *testing.T) {
	r, ca, s, _ := setup(t)
	_, other, _, _ := setup(t)
	ctx := context.Background()
	for _, w := range []struct {
		name string
		do   func() error
		want error
	}{
		{"a store that knows none", func() error { return ca.CheckAuthorities(ctx, s) }, nil},
		{"the same again", func() error { return ca.CheckAuthorities(ctx, s) }, nil},
		{"another folder's", func() error { return other.CheckAuthorities(ctx, s) }, ErrOtherAuthority},
		{"another folder's after all", func() error { return other.Adopt(ctx, s) }, nil},
		{"the first", func() error { return ca.CheckAuthorities(ctx, s) }, ErrOtherAuthority},
	} {
		if err := w.do(); !errors.Is(err, w.want) {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	o := HandlerOptions{Broker: "b", Enrolment: "https://e"}
	err := s.Update(ctx, func(w *store.Writer) error {
		return errors.Join(
			w.SetBeat(store.Beat{Agent: store.Agent{ID: "agent001"}, Terms: r.Terms(o)}),
			w.SetBeat(store.Beat{Agent: store.Agent{ID: "agent002"}, Terms: "other.0000"}),
			w.SetBeat(store.Beat{Agent: store.Agent{ID: "agent003"}}), w.RevokeAgent("agent003", store.ByPerson, time.Now()))
	})
	if err != nil {
		t.Fatal(err)
	}
	n, others, err := ca.Holders(ctx, s)
	if err != nil || n != 1 || len(others) != 1 || others[0].Agent != "agent002" {
		t.Errorf("%d hold the authorities, not %+v: %v", n, others, err)
	}
	if r.RenewAt(o, r.Terms(o)) != "" || r.RenewAt(o, "other.0000") != "https://e" {
		t.Error("who shall renew is wrong")
	}
}
