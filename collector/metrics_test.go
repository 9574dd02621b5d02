package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// get reads a page of the listener for figures.
func get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(raw)
}

// A collector tells its figures, in Prometheus text that names nobody, and not on
// its pages.
func TestMetrics(t *testing.T) {
	folder, _, at := started(t, func(c *Config) { c.Metrics = "127.0.0.1:0" })
	id, pair := enrols(t, at.enrolment, last(runs(t, "enrol", "-pasta", folder)))
	document := coupon(t)
	sends(t, "tls://"+id.Broker, id, pair, document)
	var body string
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(body, "zelo_records_acknowledged_total 1\n"); { // counted after it was sent
		if time.Now().After(deadline) {
			t.Fatalf("the document is not counted:\n%s", body)
		}
		_, body = get(t, "http://"+at.metrics+"/metrics")
	}
	for _, want := range []string{"zelo_batches_total", "zelo_connections_refused_total 0", "zelo_store_update_seconds_count", "zelo_acknowledge_seconds_bucket",
		"zelo_agents_connected", "zelo_agents 1\n", "zelo_agents_heard 1\n", "zelo_quarantine 0\n", `zelo_alarms_open{severity="critical"}`, "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(body, want) {
			t.Errorf("the figures lack %s", want)
		}
	}
	if found := regexp.MustCompile(`[^0-9.e+-][0-9]{11}[^0-9.e]|[^0-9.e+-][0-9]{14}[^0-9.e]|` + id.Agent).FindString(strings.Split(body, "go_")[0]); found != "" {
		t.Errorf("the figures name somebody: %s", found)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, "http://"+at.metrics+path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s answers %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if status, body := get(t, "http://"+at.pages+path); status != http.StatusNotFound || strings.Contains(body, "zelo_batches") {
			t.Errorf("the pages answer %s with %d", path, status)
		}
	}
}

// A collector whose broker is down, or that cannot write, lives and is not ready.
func TestNotReady(t *testing.T) {
	folder := fresh(t)
	config, err := loadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t.Context(), folder, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	up := true
	s := httptest.NewServer(c.watched(func() bool { return up }))
	defer s.Close()
	want := func(path string, status int, says string) {
		t.Helper()
		if got, body := get(t, s.URL+path); got != status || !strings.Contains(body, says) {
			t.Errorf("%s answers %d %s", path, got, body)
		}
	}
	want("/readyz", http.StatusOK, "ok")
	up = false
	want("/readyz", http.StatusServiceUnavailable, "broker")
	up = true
	c.close()
	want("/readyz", http.StatusServiceUnavailable, "banco de dados")
	want("/healthz", http.StatusOK, "ok")
}

// The log is JSON where programs read it.
func TestLogFormat(t *testing.T) {
	var out bytes.Buffer
	newLog(&out, "info", "json").InfoContext(context.Background(), "collector ready", "pages", "x")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "collector ready" || line["pages"] != "x" {
		t.Errorf("%v %s", err, &out)
	}
}
