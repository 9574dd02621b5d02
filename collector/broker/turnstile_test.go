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
// without end; who finds none is refused, and gets in once they are gone.
func TestTurnstile(t *testing.T) {
	p := newPlace(t)
	b := p.start()
	var said sync.WaitGroup
	over := make(chan struct{})
	defer close(over)
	conns := make([]net.Conn, maxEntering+64)
	for i := range conns {
		conn, err := net.Dial("tcp", b.Addr())
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
	config := &tls.Config{InsecureSkipVerify: true}
	if conn, err := tls.Dial("tcp", b.Addr(), config); err == nil {
		conn.Close()
		t.Error("one more handshake found a place")
	}
	for _, conn := range conns {
		conn.Close()
	}
	agent, cert := enrolled(t, p.registry)
	p.connect(b, agent, cert) // fails the test when it is not let in
}
