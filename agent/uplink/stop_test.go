package uplink

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"zelo/agent/wire"
	"zelo/buffer"
)

// deafBroker lets an agent in and then reads nothing any more, as a network does that
// has gone silent. It returns its address and how to trust it.
func deafBroker(t *testing.T) (addr string, trust *tls.Config) {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		raw, err := ln.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		raw.(*net.TCPConn).SetReadBuffer(4 << 10)
		conn := tls.Server(raw, &tls.Config{Certificates: certified.TLS.Certificates})
		if _, err := packets.ReadPacket(conn); err != nil {
			t.Error(err)
			return
		}
		packets.NewControlPacket(packets.Connack).Write(conn)
		p, err := packets.ReadPacket(conn)
		if err != nil {
			t.Error(err)
			return
		}
		ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		ack.MessageID, ack.ReturnCodes = p.Details().MessageID, []byte{0}
		ack.Write(conn)
		<-over
	}()
	t.Cleanup(func() {
		ln.Close()
		close(over)
		<-served
	})
	trust = certified.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName, trust.NextProtos = "example.com", nil
	return ln.Addr().String(), trust
}

// The agent stops within seconds also when the network takes nothing any more, of
// which a write to it would hear only after its own time limit.
func TestStopsWhileTheNetworkTakesNothing(t *testing.T) {
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	streams := []string{wire.StreamDocuments, wire.StreamStatus, wire.StreamCommands}
	o := buffer.Options{MaxBytes: 64 << 20}
	for _, name := range streams {
		o.Streams = append(o.Streams, buffer.Stream{Name: name})
	}
	b, _, err := buffer.Open(filepath.Join(t.TempDir(), "b.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	record := make([]byte, 100<<10) // of what packing makes no smaller
	for _, name := range streams {
		for range 30 {
			rand.Read(record)
			batch := &buffer.Batch{}
			batch.Append(name, record)
			if _, err := b.Commit(batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	addr, trust := deafBroker(t)
	u := New(Options{Buffer: b, Codec: codec, Streams: streams, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Transport: MQTT{Broker: "tls://" + addr, Agent: "agent001", TLS: trust},
		Beat:      func() wire.Beat { return wire.Beat{Version: wire.Version} }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.Run(ctx)
	}()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	limit := time.After(10 * time.Second)
	for sent := int64(0); sent == 0 || sent != u.Stats().Total; {
		sent = u.Stats().Total
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("the network still takes something after %d bytes", sent)
		}
	}
	cancel()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Error("the uplink has not stopped after 3 s")
		<-done
	}
}
