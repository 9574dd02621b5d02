package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// enter serves a guarded page at the door and asks for it as change makes the request.
func enter(t *testing.T, ln net.Listener, d door, change func(*http.Request)) int {
	t.Helper()
	s := &http.Server{Handler: d.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	go s.Serve(ln)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, d.Network, d.Address)
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "http://"+doorHost+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(doorHeader, d.Secret)
	change(r)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestDoor(t *testing.T) {
	unchanged := func(*http.Request) {}
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"as found":             {unchanged, http.StatusOK},
		"without the secret":   {func(r *http.Request) { r.Header.Del(doorHeader) }, http.StatusForbidden},
		"with another":         {func(r *http.Request) { r.Header.Set(doorHeader, "x"+r.Header.Get(doorHeader)[1:]) }, http.StatusForbidden},
		"with half":            {func(r *http.Request) { r.Header.Set(doorHeader, r.Header.Get(doorHeader)[:9]) }, http.StatusForbidden},
		"from a browser's tab": {func(r *http.Request) { r.Host = r.URL.Host + ".example" }, http.StatusForbidden},
		"by address":           {func(r *http.Request) { r.Host = "127.0.0.1" }, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			ln, _, err := openPort(folder)
			if err != nil {
				t.Fatal(err)
			}
			d, err := findPort(folder)
			if err != nil {
				t.Fatal(err)
			}
			if got := enter(t, ln, d, c.change); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
	t.Run("of this system", func(t *testing.T) {
		folder := t.TempDir()
		ln, _, err := openDoor(folder)
		if err != nil {
			t.Fatal(err)
		}
		d, err := findDoor(folder)
		if err != nil {
			t.Fatal(err)
		}
		if got := enter(t, ln, d, unchanged); got != http.StatusOK {
			t.Errorf("status %d", got)
		}
	})
}

func TestEachDoorHasItsOwnSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		ln, d, err := openPort(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if len(d.Secret) < 26 || seen[d.Secret] {
			t.Errorf("secret %q", d.Secret)
		}
		seen[d.Secret] = true
	}
}

func TestNoDoorIsSaid(t *testing.T) {
	folder := t.TempDir()
	if _, err := findPort(folder); err == nil || !strings.Contains(err.Error(), "não está em execução") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, doorFile), []byte(`{"rede":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findPort(folder); err == nil {
		t.Error("half a file was understood")
	}
	// The process that wrote it is gone.
	ln, _, err := openPort(folder)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c := Config{Folder: folder}
	var out json.RawMessage
	if err := ask(t.Context(), c, http.MethodGet, "/status", nil, &out); err == nil || !strings.Contains(err.Error(), "não está em execução") {
		t.Errorf("nobody behind it: %v", err)
	}
}
