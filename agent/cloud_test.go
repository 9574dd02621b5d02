package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/collector/broker"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// cloud is a collector's broker, entrance, ingest and store, on loopback. The test
// sets its clock, which tills of the cloud share.
type cloud struct {
	t        *testing.T
	folder   string
	store    *store.Store
	ahead    atomic.Int64 // of the system's clock, nanoseconds
	registry *enrol.Registry
	told     enrol.HandlerOptions
	ingest   *ingest.Ingest
	web      bool
	mqtt     string // host:port
	https    string
	wss      string
	stop     func()
}

func (c *cloud) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newCloud(t *testing.T, web bool) *cloud {
	t.Helper()
	c := &cloud{t: t, folder: t.TempDir(), web: web, mqtt: "127.0.0.1:0", https: "127.0.0.1:0"}
	if web {
		c.wss = "127.0.0.1:0"
	}
	if _, err := enrol.CreateCA(c.folder, time.Now()); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.store, err = store.Open(t.Context(), filepath.Join(c.folder, "zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

// start starts it, again at the same addresses.
func (c *cloud) start() {
	c.t.Helper()
	ca, err := enrol.OpenCA(c.folder)
	if err != nil {
		c.t.Fatal(err)
	}
	c.registry = enrol.New(ca, c.store, c.now)
	c.ingest, err = ingest.New(ingest.Options{Store: c.store, Log: quiet(), Now: time.Now,
		Renew: func(terms string) string { return c.registry.RenewAt(c.told, terms) }})
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := net.Listen("tcp", c.https)
	if err != nil {
		c.t.Fatal(err)
	}
	c.https = l.Addr().String()
	b, err := broker.Start(broker.Options{Listen: c.mqtt, Web: c.wss, TLS: ca.ServerConfig([]string{"127.0.0.1"}, c.now), CAs: ca.Pool(),
		Folder: filepath.Join(c.folder, "broker"), Agent: c.registry.Agent, Receive: c.ingest.Receive, Log: quiet()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mqtt, c.wss = b.Addr(), b.WebAddr()
	c.told = enrol.HandlerOptions{Broker: c.mqtt, Name: "127.0.0.1", Enrolment: "https://" + c.https, Log: quiet()}
	if c.web { // nobody listens there: only the way over WebSocket is open
		c.told.Broker, c.told.Fallback = "127.0.0.1:1", "wss://"+c.wss+"/mqtt"
	}
	server := &http.Server{Handler: c.registry.Handler(c.told), TLSConfig: ca.EntranceConfig([]string{"127.0.0.1"}, c.now),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { server.ServeTLS(l, "", "") })
	parts.Go(func() { c.ingest.Run(ctx, b) })
	parts.Go(func() { c.registry.Watch(ctx, b.Disconnect, quiet()) })
	c.stop = func() { server.Close(); cancel(); b.Close(); parts.Wait(); c.stop = func() {} }
}

// shopTill is a till's agent as far as the collector sees it: identity, buffer, uplink.
type shopTill struct {
	t      *testing.T
	c      *cloud
	folder string
	buffer *buffer.Buffer
	keeper *keeper
	uplink *uplink.Uplink
	stop   func()
	n      int
}

// enrolledFolder is that of a till that was enrolled.
func (c *cloud) enrolledFolder() string {
	c.t.Helper()
	token, err := c.registry.NewToken(c.t.Context(), "loja", 1, c.now().Add(time.Hour))
	if err != nil {
		c.t.Fatal(err)
	}
	folder := c.t.TempDir()
	if _, err := enrol1(folder, "https://"+c.https, token); err != nil {
		c.t.Fatal(err)
	}
	return folder
}

// till runs the agent of a folder.
func (c *cloud) till(folder string) *shopTill {
	c.t.Helper()
	s := &shopTill{t: c.t, c: c, folder: folder}
	codec, err := wire.NewCodec()
	if err != nil {
		c.t.Fatal(err)
	}
	s.buffer, _, err = buffer.Open(filepath.Join(folder, "b.db"), buffer.Options{MaxBytes: 32 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}}})
	if err != nil {
		c.t.Fatal(err)
	}
	if s.keeper, err = newKeeper(folder, c.now, quiet()); err != nil {
		c.t.Fatal(err)
	}
	s.keeper.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	s.keeper.pace = renewalPace{look: 100 * time.Millisecond, spread: time.Millisecond, hold: 100 * time.Millisecond, first: 50 * time.Millisecond}
	s.uplink = uplink.New(uplink.Options{Buffer: s.buffer, Codec: codec, Transport: s.keeper, Renew: s.keeper.ask, Log: quiet(), Now: time.Now,
		Streams: []string{wire.StreamEvents, wire.StreamDocuments}, BeatEvery: 200 * time.Millisecond,
		Beat: func() wire.Beat {
			b := wire.Beat{Clock: time.Now().UnixMilli()}
			s.keeper.tell(&b)
			return b
		}})
	s.keeper.retry = s.uplink.Retry
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { s.uplink.Run(ctx) })
	parts.Go(func() { s.keeper.Run(ctx) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
		s.buffer.Close()
		codec.Close()
	})
	c.t.Cleanup(s.stop)
	return s
}

// keep queues documents that nobody else has.
func (s *shopTill) keep(n int, mark string) {
	s.t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		s.t.Fatal(err)
	}
	defer codec.Close()
	for range n {
		s.n++
		item, err := codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventDeviceGone, At: 1,
			Detail: map[string]string{"mark": fmt.Sprint(mark, s.n)}})
		b := &buffer.Batch{}
		b.Append(wire.StreamEvents, item)
		if _, cerr := s.buffer.Commit(b); err != nil || cerr != nil {
			s.t.Fatal(errors.Join(err, cerr))
		}
	}
}

func (s *shopTill) waiting() (n int) {
	for _, st := range s.buffer.Stats().Streams {
		n += st.Waiting
	}
	return n
}

// soon waits for something that the test cannot be told of.
func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	const patience = time.Minute
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !done(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// delivers proves that what the till keeps arrives.
func (s *shopTill) delivers(mark string) {
	s.t.Helper()
	s.keep(1, mark)
	soon(s.t, mark+": acknowledged", func() bool { return s.waiting() == 0 })
}

// copyFolder makes a copy of a disk.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
