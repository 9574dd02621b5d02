package main

import (
	"bytes"
	"net"
	"sync"
)

// proxy stands on a line between two processes and passes everything on, until a
// trap is set: then the first chunk that the trap recognises is not passed on,
// the line is cut, and sprung runs. So the demonstration can kill the agent at an
// exact moment without the agent knowing of it.
type proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error)

	mu   sync.Mutex
	trap *trap
}

// trap recognises a chunk on its way. fromClient says which way.
type trap struct {
	matches func(fromClient bool, chunk []byte) bool
	sprung  func()
}

func newProxy(l net.Listener, dial func() (net.Conn, error)) *proxy {
	p := &proxy{listener: l, dial: dial}
	go p.serve()
	return p
}

func (p *proxy) set(t *trap) {
	p.mu.Lock()
	p.trap = t
	p.mu.Unlock()
}

// caught takes the trap when it recognises the chunk.
func (p *proxy) caught(fromClient bool, chunk []byte) *trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trap == nil || !p.trap.matches(fromClient, chunk) {
		return nil
	}
	t := p.trap
	p.trap = nil
	return t
}

// serve ends when the listener is closed.
func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := p.dial()
		if err != nil {
			client.Close()
			continue
		}
		go p.pass(client, server, true)
		go p.pass(server, client, false)
	}
}

func (p *proxy) pass(from, to net.Conn, fromClient bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if t := p.caught(fromClient, buf[:n]); t != nil {
				t.sprung()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// close ends the line; nil is one that was never laid.
func (p *proxy) close() {
	if p != nil {
		p.listener.Close()
	}
}

// The moments at which the demonstration strikes. The formats are those of the
// packages sat/link and sat/ipc.

// saleOnTheWay is the request for a sale, before the device has any of it.
func saleOnTheWay(fromClient bool, chunk []byte) bool {
	const request, enviarDadosVenda = 3, 3
	i := bytes.Index(chunk, []byte{0xA5, 0x5A, 1, request})
	return fromClient && i >= 0 && len(chunk) > i+18 && chunk[i+18] == enviarDadosVenda
}

// saleIssued is the device's answer to a sale: the document exists.
func saleIssued(fromClient bool, chunk []byte) bool {
	const response = 4
	return !fromClient && bytes.Contains(chunk, []byte{0xA5, 0x5A, 1, response}) && bytes.Contains(chunk, []byte("|06000|"))
}

// answerOnTheWay is the agent's answer to the till: it is in the journal already.
func answerOnTheWay(fromClient bool, chunk []byte) bool {
	return !fromClient && bytes.Contains(chunk, []byte("|06000|"))
}
