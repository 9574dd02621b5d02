package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
)

// With a NATS cluster elsewhere, set up as docs/coletor-broker.md says, tills are sent to
// its first name, the collector hears them there, and there ends who is revoked. One
// server is enough here.
func TestNATSCluster(t *testing.T) {
	var free [2]string
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i] = l.Addr().String()
		l.Close()
	}
	folder, _, at := started(t, func(c *Config) {
		c.External, c.MQTT = "nats://127.0.0.1:4,"+free[0], free[1]
	})
	s := runNATS(t, folder, free[0], free[1])
	id, pair := enrols(t, at.enrolment, last(runs(t, "enrol", "-pasta", folder)))
	if id.Broker != free[1] || id.Name != "127.0.0.1" || id.Fallback != "" {
		t.Errorf("the till is sent to %s, named %s, or %q", id.Broker, id.Name, id.Fallback)
	}
	for limit := time.Now().Add(20 * time.Second); s.NumClients() == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the collector does not come")
		}
	}
	if ack := sends(t, "tls://"+id.Broker, id, pair, coupon(t)); len(ack.Records) != 1 {
		t.Errorf("acknowledged: %+v", ack)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(id.CA))
	lost := make(chan struct{}, 1)
	connect := func() error {
		client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tls://" + id.Broker).SetClientID(id.Agent).SetAutoReconnect(false).
			SetTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}).
			SetConnectionLostHandler(func(mqtt.Client, error) { lost <- struct{}{} }))
		t.Cleanup(func() { client.Disconnect(0) })
		token := client.Connect()
		if !token.WaitTimeout(20 * time.Second) {
			t.Fatal("no answer")
		}
		return token.Error()
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	runs(t, "revoke", "-pasta", folder, id.Agent)
	select {
	case <-lost:
	case <-time.After(20 * time.Second):
		t.Error("a revoked till stays connected")
	}
	if connect() == nil {
		t.Error("a revoked till is let in again")
	}
}

// runNATS does what the manual tells the keeper of a cluster to do, for one server.
func runNATS(t *testing.T, folder, client, tills string) *server.Server {
	t.Helper()
	manual, err := os.ReadFile("../docs/coletor-broker.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "```nats\n")
	text, _, _ := strings.Cut(rest, "```")
	before, rest, _ := strings.Cut(text, "cluster {")
	_, include, ok := strings.Cut(rest, "include ")
	home := t.TempDir()
	text = strings.NewReplacer("/etc/nats", home, "/var/lib/nats", filepath.Join(home, "store"), "0.0.0.0:4222", client,
		"0.0.0.0:8883", tills, "stream_replicas: 3", "stream_replicas: 1").Replace(before + "include " + include)
	files := map[string]string{"nats-server.conf": text}
	for _, name := range []string{"ca.crt", "broker-externo/servidor.pem", "broker-externo/direitos.conf"} {
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
	o, err := server.ProcessConfigFile(filepath.Join(home, "nats-server.conf"))
	if err != nil || !ok {
		t.Fatalf("the manual's configuration: %v\n%s", err, text)
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}
