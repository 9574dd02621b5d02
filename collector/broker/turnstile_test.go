package broker

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

// silent is a connection from which nothing more comes: a client that says its first
// word and then keeps the server waiting.
type silent struct {
	net.Conn
	said func()
	over <-chan struct{}
}

func (s silent) Write(b []byte) (int, error) {
	defer s.said()
	return s.Conn.Write(b)
}

func (s silent) Read([]byte) (int, error) {
	<-s.over
	return 0, net.ErrClosed
}

// TestTurnstile: clients that never finish their handshake take places, not memory
// without end; who finds none is refused, and gets in once they are gone. All ways in
// have the same places.
func TestTurnstile(t *testing.T) {
	p := newPlace(t)
	p.options.Web = "127.0.0.1:0"
	b := p.start()
	agent, cert := enrolled(t, p.registry)
	for name, address := range map[string]string{"MQTT": b.Addr(), "WebSocket": b.WebAddr()} {
		t.Run(name, func(t *testing.T) {
			var said sync.WaitGroup
			over := make(chan struct{})
			defer close(over)
			conns := make([]net.Conn, maxEntering+64)
			for i := range conns {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conns[i] = conn
				said.Add(1)
				hello := silent{conn, sync.OnceFunc(said.Done), over}
				go tls.Client(hello, &tls.Config{InsecureSkipVerify: true}).Handshake()
			}
			said.Wait()
			if conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}); err == nil {
				conn.Close()
				t.Error("one more handshake found a place")
			}
			for _, conn := range conns {
				conn.Close()
			}
			p.connect(b, agent, cert).Disconnect(0) // fails the test when it is not let in
		})
	}
}

// TestTurnstileOneAddress: one who comes again from the same address before its place was
// given free takes no second one.
func TestTurnstileOneAddress(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	for range 20 {
		conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		from = conn.LocalAddr().(*net.TCPAddr)
		err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
		conn.(*net.TCPConn).SetLinger(0) // the port is free at once
		conn.Close()
		if taken := len(b.turnstile.places); err != nil || taken != 1 {
			t.Fatalf("%d places are taken, %v", taken, err)
		}
	}
}
