//go:build linux

package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

// A till on another computer: the agent is reached by TCP and both hold a key.
const keyByte = "5a"

func keyIni() string { return "chave = " + strings.Repeat(keyByte, ipc.KeySize) + "\n" }

func withKey() ipc.Options {
	return ipc.Options{Key: bytes.Repeat([]byte{0x5a}, ipc.KeySize)}
}

func TestTerminal(t *testing.T) {
	huge := strings.Repeat("QUJD", 5<<18)
	each(t, append(windows(), plain), func(t *testing.T, f flavour) {
		var got sat.Request
		a := port(t)
		serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
			got = req
			if req.Function == sat.ExtrairLogs {
				return sat.Reply{Raw: []byte("000007|15000|ok|||" + huge)}, nil
			}
			return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
		}), withKey())
		h := newHost(t, f, keyIni(), a.env())
		for i, fn := range sat.Functions() {
			line, req := command(fn, i)
			reply := h.raw("%s", line)
			if fmt.Sprint(got) != fmt.Sprint(req) {
				t.Errorf("%s arrived as %+v, want %+v", fn, got, req)
			}
			if want := string(sat.NewReply(fn, i, fn.Busy()).Raw); fn != sat.ExtrairLogs && reply != want {
				t.Errorf("%s: %.80q, want %q", fn, reply, want)
			}
		}
		h.wants("000007|15000|ok|||"+huge, "call ExtrairLogs 7 12345678")
		h.does("call EnviarDadosVenda 7 12345678 fill:1500000")
		if len(got.Args) != 2 || got.Args[1] != strings.Repeat("x", 1_500_000) {
			t.Error("a sale of 1.5 MB arrived as another")
		}
	})
}

const wrongKey = "O comando nao chegou ao SAT. A chave deste caixa nao confere com a do servico Zelo: corrija o arquivo sat.ini."

// A key that does not fit is told from an agent that is not there. Either way
// nothing was sent.
func TestKeysThatDoNotFit(t *testing.T) {
	other := "chave = " + strings.Repeat("5b", ipc.KeySize) + "\n"
	each(t, []flavour{plain, memory, stdcall, x64}, func(t *testing.T, f flavour) {
		wrong := func(fn sat.Function) string { return unmade(fn, 7, wrongKey) }
		absent := func(fn sat.Function) string { return unsent(fn, 7) }
		for _, test := range []struct {
			name, ini string
			opt       ipc.Options
			want      func(sat.Function) string
		}{
			{"another key", other, withKey(), wrong},
			{"a till without key", "", withKey(), absent},
			{"an agent without key", keyIni(), ipc.Options{}, absent},
		} {
			a := port(t)
			stop := serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
				t.Errorf("%s: the device saw %v", test.name, req.Function)
				return sat.Reply{}, sat.ErrNotSent
			}), test.opt)
			h := newHost(t, f, test.ini+hurry, a.env())
			for _, fn := range []sat.Function{sat.EnviarDadosVenda, sat.ConsultarStatusOperacional} {
				line, _ := command(fn, 7)
				h.wants(test.want(fn), "%s", line)
			}
			h.finish()
			stop()
		}
	})
}

// relay stands between till and agent. bend changes what passes in a direction,
// given how many bytes already have; nil ends the connection.
type relay struct {
	to     address
	bend   func(toAgent bool, at int, b []byte) []byte
	mu     sync.Mutex
	passed [2]bytes.Buffer
}

func (r *relay) carry(t *testing.T, till net.Conn) {
	agent, err := net.Dial(r.to.network, r.to.at)
	if err != nil {
		t.Error(err)
		return
	}
	pass := func(dst, src net.Conn, toAgent bool) {
		b, at := make([]byte, 1), 0 // byte by byte, so that each can be bent
		for {
			if _, err := io.ReadFull(src, b); err != nil {
				break
			}
			r.mu.Lock()
			r.passed[map[bool]int{true: 1}[toAgent]].WriteByte(b[0])
			bent := r.bend(toAgent, at, b)
			r.mu.Unlock()
			at++
			if bent == nil {
				break
			}
			if _, err := dst.Write(bent); err != nil {
				break
			}
		}
		till.Close()
		agent.Close()
	}
	var both sync.WaitGroup
	both.Go(func() { pass(agent, till, true) })
	both.Go(func() { pass(till, agent, false) })
	both.Wait()
}

// Nobody between till and agent reads a thing, and whatever he changes ends the
// call: before the till sent it as not sent, later as unknown.
func TestListeningAndTampering(t *testing.T) {
	a := port(t)
	calls := make(chan sat.Request, 100)
	serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		calls <- req
		return sat.Reply{Raw: []byte(saleRefused)}, nil
	}), withKey())
	const greetingSealed, nonce = 31 + 15 + 32, 21 // bytes of the agent's and of the till's introduction
	type bend func(toAgent bool, at int, b []byte) []byte
	keep := func(_ bool, _ int, b []byte) []byte { return b }
	flip := func(where bool, place int) bend {
		return func(toAgent bool, at int, b []byte) []byte {
			if toAgent == where && at == place {
				return []byte{b[0] ^ 1}
			}
			return b
		}
	}
	cut := func(where bool, place int) bend {
		return func(toAgent bool, at int, b []byte) []byte {
			if toAgent == where && at == place {
				return nil
			}
			return b
		}
	}
	const agentSays, tillSays = false, true
	each(t, []flavour{memory, stdcall, x64}, func(t *testing.T, f flavour) {
		for _, test := range []struct {
			name string
			bend bend
			code string // of the reply
			made bool   // the device had the call
		}{
			{"nothing", keep, "06010", true},
			{"the agent's greeting", flip(agentSays, 5), "06099", false},
			{"the agent's random bytes", flip(agentSays, 20), "06099", false},
			{"the sealed greeting", flip(agentSays, 35), "06099", false},
			{"the sealed greeting's tag", flip(agentSays, greetingSealed-1), "06099", false},
			{"the till's random bytes", flip(tillSays, nonce-1), "06099", false},
			{"the hello", flip(tillSays, nonce+5), "06098", false},
			{"the call", flip(tillSays, nonce+150), "06098", false},
			{"the reply's length", flip(agentSays, greetingSealed+3), "06098", true},
			{"the reply", flip(agentSays, greetingSealed+10), "06098", true},
			{"the reply's tag", flip(agentSays, greetingSealed+4+5+len(saleRefused)+31), "06098", true},
			{"cut in the introduction", cut(agentSays, 40), "06099", false},
			{"cut in the call", cut(tillSays, nonce+10), "06098", false},
			{"cut in the reply", cut(agentSays, greetingSealed+10), "06098", true},
		} {
			way := port(t)
			r := &relay{to: a, bend: test.bend}
			stop := scripted(t, way, func(c net.Conn) { r.carry(t, c) })
			h := newHost(t, f, keyIni()+hurry, way.env())
			got := h.does("call EnviarDadosVenda 7 senha123 <CFe>segredo</CFe>")
			if !strings.HasPrefix(got, "000007|"+test.code+"|") {
				t.Errorf("%s: %s, want %s", test.name, got, test.code)
			}
			h.finish()
			stop()
			if made := len(calls) > 0; made != test.made {
				t.Errorf("%s: the device had the call: %v", test.name, made)
			}
			for len(calls) > 0 {
				<-calls
			}
			for _, side := range r.passed {
				for _, word := range []string{"senha123", "segredo", "06010", "Zelo libsat"} {
					if bytes.Contains(side.Bytes(), []byte(word)) {
						t.Errorf("%s: %q can be read", test.name, word)
					}
				}
			}
		}
	})
}

// Without a key no other computer hears of a call: not even a connection.
func TestNoKeyForAStranger(t *testing.T) {
	own := ""
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			own = n.IP.String()
		}
	}
	if own == "" {
		t.Skip("SKIP: this machine has no address but its own loop's")
	}
	ln, err := net.Listen("tcp", own+":0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan string, 10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				close(came)
				return
			}
			came <- "a connection"
			io.WriteString(c, greeting)
			c.Close()
		}
	}()
	env := "ZELO_AGENTE=" + ln.Addr().String()
	bare := newHost(t, memory, "", env)
	bare.wants(unmade(sat.ConsultarSAT, 7, wrongKey), "call ConsultarSAT 7")
	keyed := newHost(t, memory, keyIni(), env) // this one may call
	keyed.wants(unsent(sat.ConsultarSAT, 7), "call ConsultarSAT 7")
	ln.Close()
	n := 0
	for range came {
		n++
	}
	if n != 1 {
		t.Errorf("%d connections came, want only that with a key", n)
	}
}

// A port where nobody answers, not even with a refusal, costs no more than the
// deadline.
func TestSilentComputer(t *testing.T) {
	h := newHost(t, plain, keyIni()+"prazo.ConsultarSAT = 1\n", "ZELO_AGENTE=192.0.2.1:9019")
	began := time.Now()
	h.wants(unsent(sat.ConsultarSAT, 7), "call ConsultarSAT 7")
	if took := time.Since(began); took > time.Second+slack {
		t.Errorf("answered after %s", took)
	}
}
