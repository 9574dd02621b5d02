package router

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/ipc"
)

// A till sells the same thing again and again, as a bakery does, with a connection
// for each sale. That it holds a reply and its next call come over two connections
// and may be read in any order: each sale is a document of its own all the same.
func TestEqualSalesInARow(t *testing.T) {
	dir := t.TempDir()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	buf, _, err := buffer.Open(filepath.Join(dir, "cupons.db"), buffer.Options{MaxBytes: 64 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Close()
	dev := &instant{issued: 1}
	r, err := New(Options{Buffer: buf, Codec: codec, Codes: filepath.Join(dir, "codigos"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Devices: []DeviceOptions{{Address: "pronto", Open: func(context.Context) (Conn, sat.Info, error) {
			return dev, sat.Info{Serial: "900000001"}, nil
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ipc.Listen(filepath.Join(dir, "sat.sock"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- r.Run(ctx) }()
	go func() { done <- ipc.Serve(ctx, l, r, ipc.Options{Delivered: r.Delivered, Lost: r.Lost}) }()
	defer func() {
		cancel()
		<-done
		<-done
	}()
	const sales = 100
	before := dev.issued
	for s := range sales {
		c, err := ipc.Dial(ctx, "unix", l.Addr().String(), ipc.Options{})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := c.Call(ctx, sat.Request{Till: "001", Session: s + 1, Function: sat.EnviarDadosVenda, Args: []string{"12345678", saleXML("PAO")}})
		if err != nil || reply.Code != 6000 {
			t.Fatalf("%s, %v", reply.Code, err)
		}
		c.Close()
	}
	if n := dev.issued - before; n != sales {
		t.Errorf("%d sales, %d documents", sales, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.awaiting); n > 1 {
		t.Errorf("%d replies are still on their way", n)
	}
}
