//go:build linux

package shim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zelo/sat"
	"zelo/sat/ipc"
)

// hurry makes the silence after a sale soon over.
const hurry = "prazo.EnviarDadosVenda = 1\n"

const greeting = "\x00\x00\x00\x0bGzelo-sat\x00\x01"

// keyed is the beginning of another, which random bytes follow.
const keyed = "\x00\x00\x00\x1bKzelo-sat\x00\x01"

// frame writes one by hand; all of the library's calls have id 1.
func frame(kind byte, id uint32, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(5+len(rest)))
	b = binary.BigEndian.AppendUint32(append(b, kind), id)
	return append(b, rest...)
}

// hears greets and reads hello and call to the last byte.
func hears(c net.Conn) {
	io.WriteString(c, greeting)
	for range 2 {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err == nil {
			io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])))
		}
	}
}

// lingers keeps a connection open until the library gives it up.
func lingers(c net.Conn) { io.Copy(io.Discard, c) }

const saleRefused = "000007|06010|1999|Erro||"

// how a broken call ends.
type end int

const (
	notReached end = iota // the agent has not even greeted
	refused               // it has, and certainly nothing was carried out
	mayBeThere            // the device may have seen the call
)

// breakage is one way to break a call.
type breakage struct {
	name string
	size int // of the sale
	act  func(net.Conn)
	end  end
}

// breakages lists them: before the call's first byte, midway and after its last.
func breakages() []breakage {
	const small, large = 100, 4_000_000 // more than the system buffers
	says := func(frames ...[]byte) func(net.Conn) {
		return func(c net.Conn) { hears(c); c.Write(bytes.Join(frames, nil)) }
	}
	refusal := frame('R', 1, saleRefused)
	return []breakage{
		{"closed before the greeting", small, func(c net.Conn) {}, notReached},
		{"half a greeting", small, func(c net.Conn) { io.WriteString(c, greeting[:9]) }, notReached},
		{"half a greeting, then silence", small, func(c net.Conn) { io.WriteString(c, greeting[:9]); lingers(c) }, notReached},
		{"silence instead of a greeting", small, lingers, notReached},
		{"greeting of version 2", small, func(c net.Conn) { io.WriteString(c, greeting[:14]+"\x02"); lingers(c) }, notReached},
		{"greeting of an agent with a key", small, func(c net.Conn) { io.WriteString(c, keyed+"0123456789abcdef"); lingers(c) }, notReached},
		{"another service", small, func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP ready\r\n"); lingers(c) }, notReached},

		{"greets and takes no byte", small, func(c net.Conn) {
			c.(*net.UnixConn).CloseRead()
			io.WriteString(c, greeting)
			lingers(c)
		}, refused},
		{"call larger than a frame", 16 << 20, says(refusal), refused},
		{"an error that says not issued", small, says(frame('E', 1, "\x01\x00no")), refused},

		{"greets and reads one byte", small, func(c net.Conn) { io.WriteString(c, greeting); c.Read(make([]byte, 1)) }, mayBeThere},
		{"reads half the call", large, func(c net.Conn) { io.WriteString(c, greeting); io.CopyN(io.Discard, c, 1000) }, mayBeThere},
		{"reads half the call, then silence", large, func(c net.Conn) {
			io.WriteString(c, greeting)
			io.CopyN(io.Discard, c, 1000)
			waitForEnd(c)
		}, mayBeThere},

		{"reads the call and closes", small, hears, mayBeThere},
		{"reads the call, then silence", small, func(c net.Conn) { hears(c); lingers(c) }, mayBeThere},
		{"half a length", small, says([]byte{0, 0}), mayBeThere},
		{"half a reply", small, says(refusal[:20]), mayBeThere},
		{"half a reply, then silence", small, func(c net.Conn) { hears(c); c.Write(refusal[:20]); lingers(c) }, mayBeThere},
		{"reply to another call", small, says(frame('R', 2, saleRefused)), mayBeThere},
		{"not issued, but another call", small, says(frame('E', 2, "\x01\x00no")), mayBeThere},
		{"length over 16 MiB", small, func(c net.Conn) { hears(c); io.WriteString(c, "\x01\x00\x00\x01R"); lingers(c) }, mayBeThere},
		{"length zero", small, says([]byte{0, 0, 0, 0}), mayBeThere},
		{"a second greeting", small, says([]byte(greeting)), mayBeThere},
		{"an error that claims issued", small, says(frame('E', 1, "\x02\x00no")), mayBeThere},
		{"an error without outcome", small, says(frame('E', 1, "")), mayBeThere},
		{"an error that says unknown", small, says(frame('E', 1, "\x00\x00late")), mayBeThere},
		{"a reply that is none", small, says(frame('R', 1, "Error [2]")), mayBeThere},
	}
}

// tcpToo tells whether a breakage can happen on TCP, where nobody can refuse to
// take bytes.
func (b breakage) tcpToo() bool { return b.name != "greets and takes no byte" }

func TestBrokenCalls(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		t.Parallel()
		a := f.address(t)
		h := newHost(t, f, hurry, a.env())
		for i, b := range breakages() {
			if f.onWindows() && !b.tcpToo() {
				continue
			}
			stop := scripted(t, a, b.act)
			want := unsent(sat.EnviarDadosVenda, i)
			if b.end == mayBeThere {
				want = unknown(sat.EnviarDadosVenda, i)
			}
			began := time.Now()
			if got := h.does("call EnviarDadosVenda %d 12345678 fill:%d", i, b.size); got != want {
				t.Errorf("%s: %s", b.name, got)
			}
			if took := time.Since(began); took > time.Second+slack {
				t.Errorf("%s: answered after %s", b.name, took)
			}
			stop()
		}
	})
}

// waitForEnd waits, without reading, until the other side closed.
func waitForEnd(c net.Conn) {
	if raw, err := c.(syscall.Conn).SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 10_000)
		})
	}
}

func TestNobodyThere(t *testing.T) {
	absent := socket(t)
	dead := socket(t)
	ln := dead.listen(t)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	file := socket(t)
	if err := os.WriteFile(file.at, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]string{
		"no socket": absent.env(),
		"refused":   dead.env(),
		"a file":    file.env(),
		"no folder": absent.env() + "/x/y",
		"a port":    port(t).env(),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, newHost(t, memory, "", env)) })
	}
	each(t, windows(), func(t *testing.T, f flavour) { refuses(t, newHost(t, f, "", port(t).env())) })
}

// refuses tells that nobody hears a host, which says so soon.
func refuses(t *testing.T, h *host) {
	t.Helper()
	began := time.Now()
	for _, f := range sat.Functions() {
		line, _ := command(f, 7)
		h.wants(unsent(f, 7), "%s", line)
	}
	if took := time.Since(began); took > slack {
		t.Errorf("answered after %s", took)
	}
}

// More callers in line than the system holds: the agent lives but accepts nobody.
func TestFullBacklog(t *testing.T) {
	a := socket(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: a.at}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", a.at) // fills the line
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	h := newHost(t, memory, hurry, a.env())
	began := time.Now()
	h.wants(unsent(sat.EnviarDadosVenda, 7), "call EnviarDadosVenda 7 a b")
	if took := time.Since(began); took < 900*time.Millisecond || took > time.Second+slack {
		t.Errorf("stood in line for %s, the deadline is 1 s", took)
	}
}

func TestDeviceSlowerThanTheDeadline(t *testing.T) {
	each(t, []flavour{plain, stdcall, x64}, func(t *testing.T, f flavour) {
		release := make(chan struct{})
		a := f.address(t)
		stop := serve(t, a, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			if req.Function == sat.EnviarDadosVenda {
				<-release
			}
			return working(ctx, req)
		}), ipc.Options{})
		h := newHost(t, f, hurry, a.env())
		began := time.Now()
		h.wants(unknown(sat.EnviarDadosVenda, 7), "call EnviarDadosVenda 7 a b")
		if took := time.Since(began); took > time.Second+slack {
			t.Errorf("answered after %s, the deadline is 1 s", took)
		}
		h.wants("000008|08000|SAT em operacao||", "call ConsultarSAT 8")
		close(release)
		stop()
	})
}

const serverVariable = "ZELO_SHIM_TEST_SERVER"

// serverProcess is an agent of its own, to be killed: it answers ConsultarSAT,
// says on its output when a sale came, and never answers that.
func serverProcess(at string) int {
	network, at, _ := strings.Cut(at, " ")
	if network == "unix" {
		os.Remove(at)
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	ipc.Serve(context.Background(), ln, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		if req.Function == sat.EnviarDadosVenda {
			fmt.Println("sale")
			<-ctx.Done()
		}
		return working(ctx, req)
	}), ipc.Options{})
	return 0
}

func TestAgentKilled(t *testing.T) {
	each(t, []flavour{plain, stdcall, cdecl, x64}, func(t *testing.T, f flavour) {
		a := f.address(t)
		h := newHost(t, f, "", a.env())
		for range 3 { // started, used, killed between calls, started again, killed in a call
			agent, _ := startAgent(t, a)
			h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
			kill(agent)
			h.wants(unsent(sat.ConsultarSAT, 2), "call ConsultarSAT 2")

			agent, said := startAgent(t, a)
			h.wants("000003|08000|SAT em operacao||", "call ConsultarSAT 3")
			reply := make(chan string)
			go func() { reply <- h.does("call EnviarDadosVenda 4 a b") }()
			hasSale(t, said)
			kill(agent)
			if got := <-reply; got != unknown(sat.EnviarDadosVenda, 4) {
				t.Errorf("killed in a sale: %s", got)
			}
		}
	})
}

func startAgent(t *testing.T, a address) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+a.network+" "+a.at)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		t.Fatalf("the agent said %q, %v", line, err)
	}
	return cmd, said
}

// hasSale waits until the agent has a sale in its hands.
func hasSale(t *testing.T, said *bufio.Reader) {
	t.Helper()
	if line, err := said.ReadString('\n'); line != "sale\n" {
		t.Fatalf("the agent said %q, %v", line, err)
	}
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}
