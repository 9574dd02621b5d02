package main

import (
	"bufio"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
)

// A till that enrols is told the way around a blocked port, and that way works.
func TestWebSocket(t *testing.T) {
	folder, _, at := started(t, func(c *Config) { c.Web = "127.0.0.1:0" })
	id, pair := enrols(t, at.enrolment, last(runs(t, "enrol", "-pasta", folder)))
	if !strings.HasPrefix(id.Fallback, "wss://127.0.0.1:") || !strings.HasSuffix(id.Fallback, "/mqtt") || strings.Contains(id.Fallback, id.Broker) {
		t.Errorf("the way around is %q", id.Fallback)
	}
	if ack := sends(t, id.Fallback, id, pair, coupon(t)); len(ack.Records) != 1 {
		t.Errorf("acknowledged: %+v", ack)
	}
}

// coupon is a document as an agent sends it.
func coupon(t *testing.T) wire.Item {
	return wire.Item{Version: wire.Version, Kind: wire.KindDocument, Serial: "900000001", Till: "001", At: time.Now().UnixMilli(), Body: sells(t).XML}
}

// A collector that is started twice says so, and the one that runs does not notice.
func TestServedTwice(t *testing.T) {
	folder, _, at := started(t, nil)
	lives := func() []string {
		list, err := filepath.Glob(filepath.Join(folder, brokerFolder, "life-*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := lives()
	config, err := loadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	config.Enrolment, config.MQTT = at.enrolment, at.mqtt
	c, err := open(t.Context(), folder, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = c.serve(t.Context(), func(listening) { t.Error("it serves") })
	if err == nil || !strings.Contains(err.Error(), "outro programa usa esta porta?") {
		t.Error(err)
	}
	if after := lives(); len(before) != 1 || !slices.Equal(before, after) {
		t.Errorf("the broker's folders were %v, and are %v", before, after)
	}
}

// With a broker elsewhere, set up as docs/coletor-broker.md says, tills are sent
// there and the collector hears them there.
func TestExternalBroker(t *testing.T) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("SKIP: mosquitto is not installed (apt-get install mosquitto)")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	folder, _, at := started(t, func(c *Config) { c.External = "tls://" + free.Addr().String() })
	runMosquitto(t, program, folder, free.Addr().String())
	id, pair := enrols(t, at.enrolment, last(runs(t, "enrol", "-pasta", folder)))
	if id.Broker != free.Addr().String() || id.Name != "127.0.0.1" || id.Fallback != "" {
		t.Errorf("the till is sent to %s, named %s, or %q", id.Broker, id.Name, id.Fallback)
	}
	if ack := sends(t, "tls://"+id.Broker, id, pair, coupon(t)); len(ack.Records) != 1 {
		t.Errorf("acknowledged: %+v", ack)
	}
}

// runMosquitto does what the manual tells the keeper of a broker to do.
func runMosquitto(t *testing.T, program, folder, address string) {
	t.Helper()
	manual, err := os.ReadFile("../docs/coletor-broker.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		_, rest, _ := strings.Cut(string(manual), "```"+kind+"\n")
		text, _, _ := strings.Cut(rest, "```")
		return strings.ReplaceAll(text, "   ", "")
	}
	home := t.TempDir()
	_, port, _ := net.SplitHostPort(address)
	config := strings.NewReplacer("/etc/mosquitto/zelo", home, "listener 8883", "listener "+port+" 127.0.0.1").Replace(block("conf"))
	files := map[string]string{"zelo.conf": "user root\nlog_dest stderr\n" + config, "acl": block("acl")}
	for _, name := range []string{"ca.crt", "broker-externo/servidor.pem"} {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(raw)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(home, "zelo.conf"))
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	running := false
	for !running && lines.Scan() {
		t.Log(lines.Text())
		running = strings.HasSuffix(lines.Text(), " running")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-drained
		cmd.Wait()
	})
	if !running {
		t.Fatal("mosquitto does not start")
	}
}
