package enrol

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zelo/agent/wire"
)

// The collector shows a certificate of its own, and keeps it while it is good.
func TestClientConfig(t *testing.T) {
	_, ca, _, c := setup(t)
	_, other, _, _ := setup(t)
	folder := filepath.Join(t.TempDir(), "externo")
	path := filepath.Join(folder, CollectorName+".pem")
	show := func(ca *CA) *x509.Certificate {
		t.Helper()
		pair, err := ca.ClientConfig(folder, CollectorName, c.now).GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: c.t, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if name := pair.Leaf.Subject.CommonName; err != nil || name != CollectorName {
			t.Errorf("the collector shows %q: %v", name, err)
		}
		return pair.Leaf
	}
	if wire.ValidAgent(CollectorName) {
		t.Error("an agent may have the collector's name")
	}
	last := show(ca)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	third := last.NotAfter.Sub(last.NotBefore) / 3
	for _, step := range []struct {
		name string
		do   func()
		anew bool
	}{
		{"asked again", func() {}, false},
		{"more than a third left", func() { c.t = last.NotAfter.Add(-third - time.Minute) }, false},
		{"less than a third left", func() { c.t = last.NotAfter.Add(-third + time.Minute) }, true},
		{"rubbish", func() { os.WriteFile(path, []byte("x"), 0o600) }, true},
		{"cut in its key", func() { cut(t, path) }, true},
		{"gone", func() { os.Remove(path) }, true},
		{"another authority's", func() { show(other) }, true},
		{"of the future", func() { c.t = c.t.Add(-48 * time.Hour) }, true},
	} {
		step.do()
		now := show(ca)
		if anew := !now.Equal(last); anew != step.anew {
			t.Errorf("%s: made anew: %v", step.name, anew)
		}
		last = now
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func cut(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-40], 0o600); err != nil {
		t.Fatal(err)
	}
}

// A broker elsewhere gets a certificate by which agents know it.
func TestKeepServer(t *testing.T) {
	_, ca, _, c := setup(t)
	folder := t.TempDir()
	path := filepath.Join(folder, ServerFile)
	for _, step := range []struct {
		name  string
		hosts []string
		after time.Duration
		made  bool
	}{
		{"first", []string{"mqtt.example"}, 0, true},
		{"again", []string{"mqtt.example"}, 0, false},
		{"another name", []string{"192.0.2.7"}, 0, true},
		{"a year on", []string{"192.0.2.7"}, 365 * 24 * time.Hour, false},
		{"two years on", []string{"192.0.2.7"}, 366 * 24 * time.Hour, true},
		{"one more name", []string{"192.0.2.7", "nats-1.example"}, 0, true},
		{"both again", []string{"nats-1.example", "192.0.2.7"}, 0, false},
	} {
		c.t = c.t.Add(step.after)
		made, err := ca.KeepServer(folder, step.hosts, c.t)
		if err != nil || made != step.made {
			t.Errorf("%s: made %v, %v", step.name, made, err)
		}
		pair, err := tls.LoadX509KeyPair(path, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range step.hosts {
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host, CurrentTime: c.t, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
					t.Errorf("%s: %s: %v", step.name, host, err)
				}
			}
		}
		if !bytes.Equal(pair.Certificate[1], ca.certificate.Raw) {
			t.Errorf("%s: the authority is not in the chain", step.name)
		}
	}
	if _, err := ca.KeepServer(filepath.Join(path, "x"), []string{"mqtt.example"}, c.t); err == nil {
		t.Error("kept where nothing can be")
	}
}
