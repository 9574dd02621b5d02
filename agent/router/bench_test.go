package router

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/ipc"
)

// instant is a device that answers at once, each sale with another document of
// about 4 KB.
type instant struct{ issued int }

func (*instant) Close() error          { return nil }
func (*instant) Gone() <-chan struct{} { return nil }

func (d *instant) Call(_ context.Context, req sat.Request) (sat.Reply, error) {
	raw := status(keyAt(d.issued))
	if req.Function == sat.EnviarDadosVenda {
		d.issued++
		key, qr := keyAt(d.issued), strings.Repeat("ABCDEFGH", 43)
		xml := `<CFe><infCFe Id="CFe` + key + `" versao="0.08">` + strings.Repeat("<x>produto vendido</x>", 165) + `<assinaturaQRCODE>` + qr + `</assinaturaQRCODE></infCFe></CFe>`
		raw = fmt.Sprintf("|06000|0000|Emitido|||%s|20261121120000|CFe%s|2.00||%s", base64.StdEncoding.EncodeToString([]byte(xml)), key, qr)
	}
	_, rest, _ := strings.Cut(raw, "|")
	return sat.ParseReply(req.Function, fmt.Appendf(nil, "%06d|%s", req.Session, rest))
}

// echo answers each line-less message of in bytes with out bytes, as the floor of
// a conversation over a socket.
func echo(b *testing.B, in, out int) func() {
	b.Helper()
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(c, make([]byte, in)); err == nil {
				c.Write(make([]byte, out))
			}
			c.Close()
		}
	}()
	return func() {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		c.Write(make([]byte, in))
		if _, err := io.ReadFull(c, make([]byte, out)); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkSale compares a sale from the library's side of the socket to its
// answer, with an instant device, with what it cannot do without: two commits of
// bbolt and one round trip. In turns, on the same disk.
func BenchmarkSale(b *testing.B) {
	dir := b.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, "plain"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	n := uint64(0)
	commit := func(size int) {
		n++
		err := db.Update(func(tx *bbolt.Tx) error {
			t, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return t.Put(binary.BigEndian.AppendUint64(nil, n), make([]byte, size))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	trip := echo(b, 2000, 6000)
	sell := shop(b, dir)
	var ratios, floors, millis []float64
	for range max(300, b.N) {
		start := time.Now()
		commit(300)
		commit(10000) // the reply and its document
		trip()
		floor := time.Since(start)
		start = time.Now()
		sell()
		took := time.Since(start)
		ratios = append(ratios, float64(took)/float64(floor))
		floors, millis = append(floors, floor.Seconds()*1000), append(millis, took.Seconds()*1000)
	}
	for unit, values := range map[string][]float64{"of-floor": ratios, "floor-ms": floors, "ms/sale": millis} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}

// shop is an agent's till side; each call of the result sells once.
func shop(b *testing.B, dir string) (sell func()) {
	codec, err := wire.NewCodec()
	if err != nil {
		b.Fatal(err)
	}
	buf, _, err := buffer.Open(filepath.Join(dir, "cupons.db"), buffer.Options{MaxBytes: 512 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Options{Buffer: buf, Codec: codec, Codes: filepath.Join(dir, "codigos"), Now: time.Now, Bridge: dir,
		Log: slog.New(slog.DiscardHandler),
		Devices: []DeviceOptions{{Address: "pronto", Open: func(context.Context) (Conn, sat.Info, error) {
			return &instant{issued: 1}, sat.Info{Serial: "900000001"}, nil
		}}}})
	if err != nil {
		b.Fatal(err)
	}
	l, err := ipc.Listen(filepath.Join(dir, "sat.sock"), 0o600)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- r.Run(ctx) }()
	go func() { done <- ipc.Serve(ctx, l, r, ipc.Options{Delivered: r.Delivered}) }()
	b.Cleanup(func() {
		cancel()
		<-done
		<-done
		buf.Close()
		codec.Close()
	})
	session := 0
	return func() {
		session++
		c, err := ipc.Dial(ctx, "unix", l.Addr().String(), ipc.Options{}) // the library connects for each call
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		call, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		// Another sale each time: the same one, before its reply was taken, would be a repeat.
		sale := saleXML(strings.Repeat(fmt.Sprintf("item %06d ", session), 70))
		reply, err := c.Call(call, sat.Request{Till: "001", Session: session, Function: sat.EnviarDadosVenda, Args: []string{"12345678", sale}})
		if err != nil || reply.Code != 6000 {
			b.Fatalf("%s %q, %v", reply.Code, reply.Message, err)
		}
	}
}
