package soak

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zelo/collector/ingest"
	"zelo/collector/store"
	"zelo/sat/cfe"
)

// shop is what all seeds share: keys and an empty store are slow to make.
type shop struct {
	ca      *cfe.CA
	signers []*cfe.Signer
	store   []byte // an empty store's file
}

func newShop(t *testing.T) *shop {
	t.Helper()
	ca, err := cfe.NewTestCA(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{ca: ca}
	for i := range devices {
		s.signers = append(s.signers, newSigner(t, serialOf(i)))
	}
	path := filepath.Join(t.TempDir(), storeFile)
	empty, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newEpoch(path); err != nil {
		t.Fatal(err)
	}
	if s.store, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return s
}

// newEpoch takes a store's epoch away, as a restore does: it has another when it
// is opened. A store that never had one gets its own in the same way.
func newEpoch(path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(`DELETE FROM meta WHERE name = 'epoch'`)
	return err
}

const storeFile = "zelo.db"

// collector is the server: it lives, dies and lives again like an agent.
type collector struct {
	w   *world
	dir string

	mu       sync.Mutex
	server   *server
	lives    int
	backup   string // folder of an older copy; "" for none
	restored bool   // what was acknowledged may be only in the agents
}

// server is one life of it.
type server struct {
	dir    string
	store  *store.Store
	ingest *ingest.Ingest
	ending atomic.Bool
	halt   func()
}

func newCollector(w *world, dir string) *collector {
	c := &collector{w: w, dir: dir}
	first := c.folder()
	if err := os.WriteFile(filepath.Join(first, storeFile), w.shop.store, 0o600); err != nil {
		w.t.Fatal(err)
	}
	c.server = &server{dir: first}
	return c
}

func (c *collector) folder() string {
	c.lives++
	dir := filepath.Join(c.dir, time.Now().Format("150405.000000")+string(rune('a'+c.lives%26)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.w.t.Fatal(err)
	}
	return dir
}

// start opens the store in the server's folder.
func (c *collector) start() {
	c.mu.Lock()
	dir := c.server.dir
	c.mu.Unlock()
	s := &server{dir: dir}
	var err error
	if s.store, err = store.Open(background, filepath.Join(dir, storeFile)); err != nil {
		c.w.t.Fatal(err)
	}
	s.ingest, err = ingest.New(ingest.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), Now: c.w.clock, Every: time.Hour})
	if err != nil {
		c.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(background)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ingest.Run(ctx, sender{c, s})
	}()
	s.halt = func() {
		cancel()
		<-done
		if err := s.store.Close(); err != nil {
			c.w.fail("%v", err)
		}
	}
	c.mu.Lock()
	c.server = s
	c.mu.Unlock()
}

// sender lets a server speak while it lives.
type sender struct {
	c *collector
	s *server
}

func (s sender) Send(agent, kind string, payload []byte) error {
	if s.s.ending.Load() {
		return errNoBroker
	}
	return s.c.w.net.Send(agent, kind, payload)
}

func (c *collector) receive(agent, stream string, payload []byte) {
	c.mu.Lock()
	s := c.server
	c.mu.Unlock()
	if !s.ending.Load() && s.ingest != nil {
		s.ingest.Receive(agent, stream, payload)
	}
}

// copyTo copies the store's files as the operating system has them. The log of
// SQLite only grows while the server lives, and its entries have checksums.
func (c *collector) copyTo(from, to string) {
	for _, name := range []string{storeFile, storeFile + "-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			c.w.fail("%v", err)
		}
	}
}

// backUp keeps a copy to restore.
func (c *collector) backUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.server.ending.Load() {
		c.backup = c.folder()
		c.copyTo(c.server.dir, c.backup)
	}
}

// kill ends the server now, whatever it is at.
func (c *collector) kill(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.server
	if !old.ending.CompareAndSwap(false, true) {
		return
	}
	dir := c.folder()
	c.copyTo(old.dir, dir)
	c.replace(old, dir, f.span)
}

// restore puts the backup in the store's place.
func (c *collector) restore(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.server
	if c.backup == "" || !old.ending.CompareAndSwap(false, true) {
		return
	}
	if err := newEpoch(filepath.Join(c.backup, storeFile)); err != nil {
		c.w.fail("%v", err)
	}
	c.restored = true
	c.replace(old, c.backup, f.span)
}

// replace lets the old server end and another start with a folder; c.mu is held.
func (c *collector) replace(old *server, dir string, span time.Duration) {
	c.w.hold(1)
	c.w.tasks <- func() {
		old.halt()
		time.AfterFunc(span, func() {
			c.mu.Lock()
			c.server = &server{dir: dir}
			c.server.ending.Store(true)
			c.mu.Unlock()
			c.start()
			c.w.hold(-1)
		})
	}
}

func (c *collector) stop() { c.server.halt() }
