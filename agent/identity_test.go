package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"zelo/collector/enrol"
	"zelo/collector/store"
)

// registry is the collector's real enrolment on a TLS listener of loopback.
func registry(t *testing.T) (address string, r *enrol.Registry) {
	t.Helper()
	dir := t.TempDir()
	ca, err := enrol.CreateCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r = enrol.New(ca, s, time.Now)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r.Handler(enrol.HandlerOptions{Broker: "127.0.0.1:8883",
		Fallback: "wss://127.0.0.1:443/mqtt", Name: "127.0.0.1", Log: slog.New(slog.DiscardHandler)}),
		TLSConfig: ca.ServerConfig([]string{"127.0.0.1"}, time.Now), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	return "https://" + l.Addr().String(), r
}

func TestEnrol(t *testing.T) {
	address, r := registry(t)
	token, err := r.NewToken(t.Context(), "loja", 1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, err := loadIdentity(folder); err != errNotEnrolled {
		t.Fatalf("before enrolment: %v", err)
	}
	id, err := enrol1(folder, address, token)
	if err != nil {
		t.Fatal(err)
	}
	if id.Broker != "127.0.0.1:8883" || id.Fallback != "wss://127.0.0.1:443/mqtt" || len(id.Agent) != 16 || len(id.tls(time.Now).Certificates) != 1 {
		t.Errorf("identity %+v", id)
	}
	again, err := loadIdentity(folder)
	if err != nil || again.Agent != id.Agent || again.Fallback != id.Fallback {
		t.Errorf("read again: %+v, %v", again, err)
	}
	for _, f := range []string{identityFile} {
		st, err := os.Stat(filepath.Join(folder, f))
		if err != nil || st.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v", f, st, err)
		}
	}
	if _, err := enrol1(t.TempDir(), address, token); err == nil || !strings.Contains(err.Error(), "já foi usado") {
		t.Errorf("a token used twice: %v", err)
	}
}

func enrol1(folder, address, token string) (*identity, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return enrolTo(ctx, folder, address, token, nil)
}

func TestEnrolRefusesWhatIsNotItsCollector(t *testing.T) {
	mine, r := registry(t)
	other, _ := registry(t)
	token, err := r.NewToken(t.Context(), "loja", 5, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	secret, pin, _ := strings.Cut(token, ".")
	for name, c := range map[string]struct{ address, token, says string }{
		"another collector": {other, token, "este não é o coletor"},
		"half a token":      {mine, secret, "incompleto"},
		"cut token":         {mine, token[:len(token)-3], "incompleto"},
		"wrong secret":      {mine, "xxxxxxxxxxxxxxxxxxxxxx." + pin, "desconhecido"},
		"plain http":        {strings.Replace(mine, "https", "http", 1), token, "https://"},
		"nobody there":      {"https://127.0.0.1:1", token, "não foi possível falar"},
	} {
		folder := t.TempDir()
		if _, err := enrol1(folder, c.address, c.token); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		if _, err := loadIdentity(folder); err != errNotEnrolled {
			t.Errorf("%s left an identity behind: %v", name, err)
		}
	}
}
