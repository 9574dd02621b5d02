package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/store"
)

const day = 24 * time.Hour

// firstVersion writes the files of an identity as the first versions had them.
func firstVersion(t *testing.T, folder string) {
	t.Helper()
	id, err := loadIdentity(folder)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{certFile: id.Certificate, keyFile: id.Key, caFile: id.CA,
		identityFile: `{"agente":"` + id.Agent + `","broker":"` + id.Broker + `","nome":"` + id.Name + `"}`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// An agent renews by itself: in time, when it comes too late, and when the collector
// tells that there is something new.
func TestRenewal(t *testing.T) {
	for _, w := range []struct {
		name    string
		prepare func(c *cloud, folder string)
		later   time.Duration
	}{
		{"at two thirds of its life", nil, 300 * day},
		{"after its end", nil, 800 * day},
		{"of the first versions, as the collector tells it more", func(c *cloud, folder string) { firstVersion(c.t, folder) }, 0},
	} {
		t.Run(w.name, func(t *testing.T) {
			c := newCloud(t, false)
			folder := c.enrolledFolder()
			if w.prepare != nil {
				w.prepare(c, folder)
			}
			before, err := loadIdentity(folder)
			if err != nil {
				t.Fatal(err)
			}
			c.ahead.Store(int64(w.later))
			s := c.till(folder)
			soon(t, "renewed", func() bool { return s.keeper.identity().serial() != before.serial() })
			s.delivers("renewed")
			s.stop()
			after, err := loadIdentity(folder)
			if err != nil || after.Agent != before.Agent || after.Key == before.Key || after.Terms != c.registry.Terms(c.told) || after.Enrolment != c.told.Enrolment {
				t.Errorf("%+v, %v", after, err)
			}
			if left, err := os.ReadDir(filepath.Join(folder, identityFolder)); err != nil || len(left) != 1 {
				t.Errorf("left on disk: %v, %v", left, err)
			}
		})
	}
}

// Each connection tells how long the collector may be believed to be in time.
func TestEndOfTheCollectorsCertificate(t *testing.T) {
	c := newCloud(t, false)
	k, err := newKeeper(c.enrolledFolder(), c.now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	k.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	var end time.Time
	k.bound = func(until time.Time) { end = until }
	session, err := k.Connect(t.Context(), func(string, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	if left := end.Sub(c.now()); left < day || left > 500*day {
		t.Errorf("the collector's certificate ends in %v", left)
	}
}

// A certificate that stands and is told nothing new is not renewed.
func TestNoNeedToRenew(t *testing.T) {
	c := newCloud(t, false)
	folder := c.enrolledFolder()
	before, err := loadIdentity(folder)
	if err != nil {
		t.Fatal(err)
	}
	c.ahead.Store(int64(200 * day))
	s := c.till(folder)
	s.delivers("as it is")
	s.stop()
	if after, err := loadIdentity(folder); err != nil || after.serial() != before.serial() {
		t.Errorf("renewed without need: %v", err)
	}
	for range 100 { // all within two months
		id := *before
		if at := id.renewAt(); at.Before(before.certificate.Leaf.NotBefore.Add(240*day)) || at.After(before.certificate.Leaf.NotBefore.Add(280*day)) {
			t.Fatalf("renewed at %v", at)
		}
	}
}

// Wherever the power fails during a renewal, the agent comes back and gets through.
func TestRenewalCutOff(t *testing.T) {
	c := newCloud(t, false)
	folder := c.enrolledFolder()
	firstVersion(t, folder)
	start, err := newKeeper(folder, c.now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	states := []string{}
	snap := func() string { at := copyFolder(t, folder); states = append(states, at); return at }
	snap() // before everything
	if _, _, err := pendingKey(folder); err != nil {
		t.Fatal(err)
	}
	snap() // the key is there
	key, err := os.ReadFile(filepath.Join(folder, pendingFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := start.renew(t.Context(), "https://"+c.https); err != nil {
		t.Fatal(err)
	}
	snap() // and the identity
	cut := snap()
	if err := os.WriteFile(filepath.Join(cut, pendingFile), key, 0o600); err != nil { // the key not yet gone
		t.Fatal(err)
	}
	torn := snap() // a file that was being written
	if err := errors.Join(os.Remove(filepath.Join(torn, freshFile)), os.WriteFile(filepath.Join(torn, identityFolder, ".zelo-1"), []byte(`{"age`), 0o600)); err != nil {
		t.Fatal(err)
	}
	damaged := snap()
	if err := os.WriteFile(filepath.Join(damaged, freshFile), []byte(`{"agente"`), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := snap() // in its place, with the old files beside it
	if err := os.Rename(filepath.Join(moved, freshFile), filepath.Join(moved, identityFile)); err != nil {
		t.Fatal(err)
	}
	first := start.identity()
	for i, at := range states {
		s := c.till(at)
		soon(t, "renewed", func() bool { return s.keeper.identity().serial() != first.serial() })
		s.delivers("after a cut")
		s.stop()
		if id, err := loadIdentity(at); err != nil || id.Agent != first.Agent || id.Key == first.Key {
			t.Errorf("state %d: %v", i, err)
		}
		if _, err := os.Stat(filepath.Join(at, pendingFile)); err == nil {
			t.Errorf("state %d: the used key would be used again", i)
		}
	}
}

// A person's new code counts more than what was renewed for the identity before.
func TestEnrolledWhileRenewing(t *testing.T) {
	c := newCloud(t, false)
	folder := c.enrolledFolder()
	k, err := newKeeper(folder, c.now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.registry.NewToken(t.Context(), "loja", 1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	anew, err := enrol1(folder, "https://"+c.https, token)
	if err == nil {
		err = k.renew(t.Context(), "")
	}
	if err != nil {
		t.Fatal(err)
	}
	s := c.till(folder)
	s.delivers("enrolled anew")
	s.stop()
	if id, err := loadIdentity(folder); err != nil || id.Agent != anew.Agent {
		t.Errorf("goes by %v, %v", id.Agent, err)
	}
}

// Who is revoked is disconnected at once, over each way, stays out, and keeps what it
// has.
func TestRevokedTill(t *testing.T) {
	for name, web := range map[string]bool{"MQTT": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, web)
			s, other := c.till(c.enrolledFolder()), c.till(c.enrolledFolder())
			s.delivers("before")
			other.delivers("another")
			began := time.Now()
			if err := c.registry.Revoke(t.Context(), s.keeper.identity().Agent, "ana"); err != nil {
				t.Fatal(err)
			}
			soon(t, "disconnected", func() bool { return !s.uplink.State().Connected })
			t.Logf("disconnected after %v", time.Since(began).Round(time.Millisecond))
			s.keep(1, "kept")
			soon(t, "told why", func() bool {
				err := s.uplink.State().Err
				return err != nil && strings.Contains(err.Error(), "revogada")
			})
			if s.uplink.State().Connected || s.waiting() != 1 {
				t.Errorf("connected: %v, waiting: %d", s.uplink.State().Connected, s.waiting())
			}
			if !other.uplink.State().Connected {
				t.Error("another till was disconnected")
			}
		})
	}
}

// The authority is replaced under a connected till; tills that are away come back by
// the entrance until the former authority is retired, and need a code after that.
func TestRotationOfTheAuthority(t *testing.T) {
	t.Parallel()
	c := newCloud(t, false)
	near := c.till(c.enrolledFolder())
	away, gone := c.enrolledFolder(), c.enrolledFolder()
	near.delivers("before")
	step := func(name string, do func() (*enrol.CA, error)) {
		t.Helper()
		c.stop()
		ca, err := do()
		if err != nil {
			t.Fatal(err)
		}
		c.start()
		soon(t, name, func() bool { return strings.HasPrefix(near.keeper.identity().Terms, ca.Generation()+".") })
		near.delivers(name)
		soon(t, name+" counted", func() bool {
			n, _, err := ca.Holders(t.Context(), c.store)
			return err == nil && n >= 1
		})
	}
	step("rotate", func() (*enrol.CA, error) { return enrol.Rotate(c.folder, time.Now()) })
	step("switch", func() (*enrol.CA, error) { return enrol.Switch(c.folder) })
	back := c.till(away)
	back.delivers("away until after the switch")
	near.stop() // a short way for its next connections
	near = c.till(near.folder)
	near.delivers("started again")
	step("retire", func() (*enrol.CA, error) { return enrol.Retire(c.folder) })
	back.delivers("with the new one alone")

	late := c.till(gone)
	late.keep(1, "too late")
	soon(t, "refused", func() bool { return late.uplink.State().Err != nil })
	late.stop()
	token, err := c.registry.NewToken(t.Context(), "loja", 1, c.now().Add(time.Hour))
	if err == nil {
		_, err = enrol1(gone, "https://"+c.https, token)
	}
	if err != nil {
		t.Fatal(err)
	}
	late = c.till(gone)
	late.delivers("enrolled anew")
}

// A cloned disk becomes two agents by itself, and nothing that either kept is lost.
func TestClonedDisk(t *testing.T) {
	t.Parallel() // it waits for two agents that take turns
	c := newCloud(t, false)
	folder := c.enrolledFolder()
	s := c.till(folder)
	s.delivers("before")
	agent := s.keeper.identity().Agent
	s.stop()
	one, two := c.till(folder), c.till(copyFolder(t, folder))
	one.keep(3, "one")
	two.keep(3, "two")
	soon(t, "two agents", func() bool {
		a, b := one.keeper.identity().Agent, two.keeper.identity().Agent
		return a != agent && b != agent && a != b
	})
	one.delivers("one after")
	two.delivers("two after")
	err := c.store.View(context.Background(), store.All(), func(r *store.Reader) error {
		v, err := r.Revocation(agent)
		if v.Reason != store.Cloned {
			t.Errorf("the old agent: %+v", v)
		}
		seen := map[string]bool{}
		for _, id := range []string{agent, one.keeper.identity().Agent, two.keeper.identity().Agent} {
			events, eerr := r.EventsOf(id, 100)
			err = errors.Join(err, eerr)
			for _, e := range events {
				if e.Code == wire.EventDeviceGone {
					seen[e.Detail["mark"]] = true
				}
			}
		}
		for _, mark := range []string{"one1", "one2", "one3", "two1", "two2", "two3"} {
			if !seen[mark] {
				t.Errorf("%s is lost", mark)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A till whose identity is damaged starts and sells. What is damaged is kept aside,
// and a renewed identity beside it is used.
func TestDamagedIdentity(t *testing.T) {
	c := newCloud(t, false)
	whole := c.enrolledFolder()
	k, err := newKeeper(whole, c.now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.renew(t.Context(), "https://"+c.https); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(whole, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"empty": {}, "zeros": make([]byte, len(text)), "half": text[:len(text)/2],
		"no key": []byte(`{"agente":"` + k.identity().Agent + `","chave":"x"}`), "another agent": bytes.Replace(text, []byte(k.identity().Agent), []byte("../x"), 1)} {
		for _, renewed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, renewed %v", name, renewed), func(t *testing.T) {
				folder := copyFolder(t, whole)
				if !renewed {
					os.Remove(filepath.Join(folder, freshFile))
				}
				if err := os.WriteFile(filepath.Join(folder, identityFile), damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				var log bytes.Buffer
				after, err := newKeeper(folder, c.now, slog.New(slog.NewTextHandler(&log, nil)))
				switch {
				case !strings.Contains(log.String(), "level=ERROR"):
					t.Errorf("nobody is told: %q", log.String())
				case renewed && (err != nil || after.identity().Agent != k.identity().Agent || after.fresh != nil):
					t.Errorf("the renewed identity is not used: %v", err)
				case !renewed && !errors.Is(err, errDamaged):
					t.Errorf("%v", err)
				}
				if kept, err := os.ReadFile(filepath.Join(folder, asideFile)); err != nil || !bytes.Equal(kept, damaged) {
					t.Errorf("not kept: %v", err)
				}
				if _, err := newKeeper(folder, c.now, quiet()); renewed && err != nil || !renewed && err != errNotEnrolled {
					t.Errorf("at the next start: %v", err)
				}
			})
		}
	}
}
