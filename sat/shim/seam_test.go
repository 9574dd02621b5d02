//go:build linux

package shim_test

import (
	"bufio"
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

// frame writes one by hand; all of the library's calls have id 1.
func frame(kind byte, id uint32, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(5+len(rest)))
	b = binary.BigEndian.AppendUint32(append(b, kind), id)
	return append(b, rest...)
}

// hears greets and reads hello and call to the last byte.
func hears(c *net.UnixConn) {
	io.WriteString(c, greeting)
	for range 2 {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err == nil {
			io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])))
		}
	}
}

// lingers keeps a connection open until the library gives it up.
func lingers(c *net.UnixConn) { io.Copy(io.Discard, c) }

const saleRefused = "000007|06010|1999|Erro||"

// The seam: the call broken before its first byte, midway and after its last.
func TestBrokenCalls(t *testing.T) {
	const small, large = "12345678 fill:100", "12345678 fill:4000000" // more than the system buffers
	for _, test := range []struct {
		name, args string
		act        func(*net.UnixConn)
		sent       bool
	}{
		{"closed before the greeting", small, func(c *net.UnixConn) {}, false},
		{"half a greeting", small, func(c *net.UnixConn) { io.WriteString(c, greeting[:9]) }, false},
		{"half a greeting, then silence", small, func(c *net.UnixConn) { io.WriteString(c, greeting[:9]); lingers(c) }, false},
		{"silence instead of a greeting", small, lingers, false},
		{"greeting of version 2", small, func(c *net.UnixConn) { io.WriteString(c, greeting[:14]+"\x02"); lingers(c) }, false},
		{"another service", small, func(c *net.UnixConn) { io.WriteString(c, "220 mail.example ESMTP ready\r\n"); lingers(c) }, false},
		{"greets and takes no byte", small, func(c *net.UnixConn) { c.CloseRead(); io.WriteString(c, greeting); lingers(c) }, false},
		{"call larger than a frame", "a fill:16777216", func(c *net.UnixConn) { hears(c); c.Write(frame('R', 1, saleRefused)) }, false},

		{"greets and reads one byte", small, func(c *net.UnixConn) { io.WriteString(c, greeting); c.Read(make([]byte, 1)) }, true},
		{"reads half the call", large, func(c *net.UnixConn) { io.WriteString(c, greeting); io.CopyN(io.Discard, c, 1000) }, true},
		{"reads half the call, then silence", large, func(c *net.UnixConn) {
			io.WriteString(c, greeting)
			io.CopyN(io.Discard, c, 1000)
			waitForEnd(c)
		}, true},

		{"reads the call and closes", small, hears, true},
		{"reads the call, then silence", small, func(c *net.UnixConn) { hears(c); lingers(c) }, true},
		{"half a length", small, func(c *net.UnixConn) { hears(c); c.Write([]byte{0, 0}) }, true},
		{"half a reply", small, func(c *net.UnixConn) { hears(c); c.Write(frame('R', 1, saleRefused)[:20]) }, true},
		{"half a reply, then silence", small, func(c *net.UnixConn) { hears(c); c.Write(frame('R', 1, saleRefused)[:20]); lingers(c) }, true},
		{"reply to another call", small, func(c *net.UnixConn) { hears(c); c.Write(frame('R', 2, saleRefused)) }, true},
		{"not issued, but another call", small, func(c *net.UnixConn) { hears(c); c.Write(frame('E', 2, "\x01\x00no")) }, true},
		{"length over 16 MiB", small, func(c *net.UnixConn) { hears(c); io.WriteString(c, "\x01\x00\x00\x01R"); lingers(c) }, true},
		{"length zero", small, func(c *net.UnixConn) { hears(c); io.WriteString(c, "\x00\x00\x00\x00") }, true},
		{"a second greeting", small, func(c *net.UnixConn) { hears(c); io.WriteString(c, greeting) }, true},
		{"an error that claims issued", small, func(c *net.UnixConn) { hears(c); c.Write(frame('E', 1, "\x02\x00no")) }, true},
		{"an error without outcome", small, func(c *net.UnixConn) { hears(c); c.Write(frame('E', 1, "")) }, true},
		{"an error that says unknown", small, func(c *net.UnixConn) { hears(c); c.Write(frame('E', 1, "\x00\x00late")) }, true},
		{"a reply that is none", small, func(c *net.UnixConn) { hears(c); c.Write(frame('R', 1, "Error [2]")) }, true},

		{"an error that says not issued", small, func(c *net.UnixConn) { hears(c); c.Write(frame('E', 1, "\x01\x00no")) }, false},
	} {
		for _, f := range []flavour{plain, memory} {
			t.Run(test.name+"/"+f.String(), func(t *testing.T) {
				t.Parallel()
				ini := ""
				if strings.Contains(test.name, "silence") {
					ini = hurry
				}
				h := newHost(t, f, ini, "ZELO_SOCKET="+scripted(t, test.act))
				want := unsent(sat.EnviarDadosVenda, 7)
				if test.sent {
					want = unknown(sat.EnviarDadosVenda, 7)
				}
				began := time.Now()
				h.wants(want, "call EnviarDadosVenda 7 %s", test.args)
				if took := time.Since(began); took > time.Second+slack {
					t.Errorf("answered after %s", took)
				}
			})
		}
	}
}

// waitForEnd waits, without reading, until the other side closed.
func waitForEnd(c *net.UnixConn) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { // hanging up is reported unasked
			unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, 10_000)
		})
	}
}

func TestNobodyAtTheSocket(t *testing.T) {
	absent := socketPath(t)
	dead := socketPath(t)
	ln, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	file := socketPath(t)
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"no socket": absent, "refused": dead, "a file": file, "no folder": absent + "/x/y"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, memory, "", "ZELO_SOCKET="+path)
			for _, f := range sat.Functions() {
				line, _ := command(f, 7)
				h.wants(unsent(f, 7), "%s", line)
			}
		})
	}
}

// More callers in line than the system holds: the agent lives but accepts nobody.
func TestFullBacklog(t *testing.T) {
	path := socketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path) // fills the line
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	h := newHost(t, memory, hurry, "ZELO_SOCKET="+path)
	began := time.Now()
	h.wants(unsent(sat.EnviarDadosVenda, 7), "call EnviarDadosVenda 7 a b")
	if took := time.Since(began); took < 900*time.Millisecond || took > time.Second+slack {
		t.Errorf("stood in line for %s, the deadline is 1 s", took)
	}
}

func TestDeviceSlowerThanTheDeadline(t *testing.T) {
	release := make(chan struct{})
	path := socketPath(t)
	stop := serve(t, path, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		if req.Function == sat.EnviarDadosVenda {
			<-release
		}
		return working(ctx, req)
	}), ipc.Options{})
	h := newHost(t, plain, hurry, "ZELO_SOCKET="+path)
	began := time.Now()
	h.wants(unknown(sat.EnviarDadosVenda, 7), "call EnviarDadosVenda 7 a b")
	if took := time.Since(began); took > time.Second+slack {
		t.Errorf("answered after %s, the deadline is 1 s", took)
	}
	h.wants("000008|08000|SAT em operacao||", "call ConsultarSAT 8")
	close(release)
	stop()
}

const serverVariable = "ZELO_SHIM_TEST_SERVER"

// serverProcess is an agent of its own, to be killed: it answers ConsultarSAT,
// says on its output when a sale came, and never answers that.
func serverProcess(path string) int {
	ln, err := ipc.Listen(path, ipc.DefaultMode)
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
	path := socketPath(t)
	h := newHost(t, plain, "", "ZELO_SOCKET="+path)
	for range 3 { // started, used, killed between calls, started again, killed in a call
		agent, said := startAgent(t, path)
		h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
		kill(agent)
		h.wants(unsent(sat.ConsultarSAT, 2), "call ConsultarSAT 2")

		agent, said = startAgent(t, path)
		h.wants("000003|08000|SAT em operacao||", "call ConsultarSAT 3")
		reply := make(chan string)
		go func() { reply <- h.does("call EnviarDadosVenda 4 a b") }()
		if line, err := said.ReadString('\n'); line != "sale\n" {
			t.Fatalf("the agent said %q, %v", line, err)
		}
		kill(agent)
		if got := <-reply; got != unknown(sat.EnviarDadosVenda, 4) {
			t.Errorf("killed in a sale: %s", got)
		}
	}
}

func startAgent(t *testing.T, path string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+path)
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

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}
