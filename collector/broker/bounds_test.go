package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"zelo/agent/wire"
)

// memory is what the heap holds.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestHalfOpenConnections: thousands that connect and say nothing cost little, keep
// nobody out, and are shown the door.
func TestHalfOpenConnections(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	const many, most = 3000, 24 << 10
	before := memory()
	var conns []net.Conn
	for range many {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Skipf("SKIP: this system allows no %d connections: %v", many, err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	c := p.connect(b, agent, cert)
	each := (memory() - before) / many
	t.Logf("%d bytes for each of %d connections that say nothing", each, many)
	if each > most {
		t.Errorf("%d bytes each, more than %d", each, most)
	}
	c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("x"))
	if m := p.next(); m.agent != agent {
		t.Errorf("%+v", m)
	}
	for _, i := range []int{0, many - 1} {
		conns[i].SetReadDeadline(time.Now().Add(2 * startTime))
		if _, err := io.Copy(io.Discard, conns[i]); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a connection that says nothing stays")
		}
	}
}

// deaf is a connection of a client that stops reading.
type deaf struct {
	net.Conn
	shut *atomic.Bool
	over <-chan struct{}
}

func (d deaf) Read(b []byte) (int, error) {
	if d.shut.Load() {
		<-d.over
		return 0, net.ErrClosed
	}
	return d.Conn.Read(b)
}

// TestDeafClient: one that takes nothing is dropped within seconds, what waits for it
// with it, and others are served meanwhile.
func TestDeafClient(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	other, otherCert := enrolled(t, p.registry)
	healthy := p.connect(b, other, otherCert)
	_, messages := healthy.subscribe(t, wire.DownTopic(other, "+"))

	shut, over := &atomic.Bool{}, make(chan struct{})
	defer close(over)
	o := mqtt.NewClientOptions().AddBroker("tls://" + b.Addr()).SetClientID(agent).SetProtocolVersion(4).SetAutoReconnect(false)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			return nil, err
		}
		return tls.Client(deaf{conn, shut, over}, &tls.Config{RootCAs: p.ca.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{cert}}), nil
	})
	client := mqtt.NewClient(o)
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	if token := client.Subscribe(wire.DownTopic(agent, "+"), 0, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	shut.Store(true)
	before := memory()
	payload := make([]byte, 200<<10)
	for range 150 { // 30 MiB, more than sockets hold
		if err := b.Send(agent, wire.DownCommand, payload); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if err := b.Send(other, wire.DownCommand, []byte("x")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-messages:
	case <-time.After(2 * time.Second):
		t.Error("another agent waits for the one that does not read")
	}
	until(t, "the deaf one to be dropped", func() bool { return b.life.server.NumClients() <= 2 }) // the healthy one and our own
	t.Logf("dropped after %v", time.Since(began).Round(time.Millisecond))
	until(t, "what waited for it to be forgotten", func() bool { return memory()-before < 8<<20 })
}

// TestFlood: one agent that sends as fast as it can does not keep another's messages
// waiting, and of its own comes what its rate allows.
func TestFlood(t *testing.T) {
	p := newPlace(t)
	var flooded atomic.Int64
	flooder, cert := enrolled(t, p.registry)
	honest, honestCert := enrolled(t, p.registry)
	receive := p.options.Receive
	p.options.Receive = func(agent, stream string, payload []byte) {
		if agent == flooder {
			flooded.Add(1)
			return
		}
		receive(agent, stream, payload)
	}
	b := p.start()
	c, h := p.connect(b, flooder, cert), p.connect(b, honest, honestCert)
	began, stop, stopped := time.Now(), make(chan struct{}), make(chan struct{})
	var sent atomic.Int64
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if token := c.Publish(wire.UpTopic(flooder, wire.StreamBeat), 0, false, []byte("flood")); !token.WaitTimeout(patience) || token.Error() != nil {
				return
			}
			sent.Add(1)
		}
	}()
	const few = 50
	for range few {
		before := time.Now()
		h.publish(t, wire.UpTopic(honest, wire.StreamDocuments), []byte("coupon"))
		if m := p.next(); m.agent != honest {
			t.Fatalf("%+v", m)
		}
		if took := time.Since(before); took > 3*time.Second {
			t.Errorf("an honest agent's message took %v", took)
		}
	}
	close(stop)
	<-stopped
	most := int64((agentBurst + agentRate*time.Since(began).Seconds()) / costOfBeat)
	if n := flooded.Load(); n > most+1 || n == 0 {
		t.Errorf("%d of %d messages of the flood came through, at most %d may", n, sent.Load(), most)
	}
	t.Logf("%d of %d messages of the flood came through in %v", flooded.Load(), sent.Load(), time.Since(began).Round(time.Millisecond))
	late := time.Now().Add(time.Hour)
	for range forgetOver + 10 {
		b.inlet.dam.admits(fmt.Sprint(late), wire.StreamBeat, 0, late)
		late = late.Add(time.Second)
	}
	if n := len(b.inlet.dam.agents); n > forgetOver {
		t.Errorf("%d agents are remembered", n)
	}
}

// TestFullDisk: a disk without room under the broker's folder delays agents, and does
// not keep them out, neither of a running broker nor of one that starts.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("SKIP: no small disk can be mounted here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", disk).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	p := newPlace(t)
	p.options.Folder = filepath.Join(disk, "broker")
	b := p.start()
	works := func(b *Broker) {
		t.Helper()
		agent, cert := enrolled(t, p.registry)
		c := p.connect(b, agent, cert)
		c.publish(t, wire.UpTopic(agent, wire.StreamBeat), []byte("x"))
		if m := p.next(); m.agent != agent {
			t.Errorf("%+v", m)
		}
	}
	works(b)
	f, err := os.Create(filepath.Join(disk, "full"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	f.Close()
	b.check()
	works(b)
	b.Close()
	works(p.start())
}
