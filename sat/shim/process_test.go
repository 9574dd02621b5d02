//go:build linux

package shim_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

func TestThreads(t *testing.T) {
	for _, conns := range []int{64, 2} { // room for all, and a line before the agent
		t.Run(fmt.Sprint(conns), func(t *testing.T) {
			each(t, []flavour{plain, memory, threads, stdcall, cdecl, x64}, func(t *testing.T, f flavour) {
				a := f.address(t)
				serve(t, a, working, ipc.Options{MaxConns: conns})
				h := newHost(t, f, "", a.env())
				h.wants("0 wrong", "threads 8 200")
			})
		})
	}
}

func TestThreadsWithoutAgent(t *testing.T) {
	h := newHost(t, threads, "", "ZELO_SOCKET=/nonexistent/socket")
	h.wants("1600 wrong", "threads 8 200")
}

// Two programs of the shop on one computer.
func TestTwoPrograms(t *testing.T) {
	each(t, []flavour{memory, stdcall, x64}, func(t *testing.T, f flavour) {
		a := f.address(t)
		serve(t, a, working, ipc.Options{})
		one, two := newHost(t, f, "caixa=1", a.env()), newHost(t, f, "caixa=2", a.env())
		answer := make(chan string)
		go func() { answer <- one.does("threads 4 200") }()
		two.wants("0 wrong", "threads 4 200")
		if got := <-answer; got != "0 wrong" {
			t.Error(got)
		}
	})
}

func TestFork(t *testing.T) {
	each(t, []flavour{plain, memory}, func(t *testing.T, f flavour) {
		a := socket(t)
		serve(t, a, working, ipc.Options{})
		h := newHost(t, f, "", a.env())
		h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
		h.wants("0 wrong", "fork 50")
	})
}

// A child forked during a call holds a copy of the connection; the agent must
// see its end all the same.
func TestForkDuringACall(t *testing.T) {
	heard, forked, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	a := socket(t)
	scripted(t, a, func(c net.Conn) {
		hears(c)
		close(heard)
		<-forked
		c.Write(frame('R', 1, "000001|08000|SAT em operacao||"))
		io.Copy(io.Discard, c)
		close(ended)
	})
	h := newHost(t, plain, "", a.env())
	h.wants("begun", "begin 1")
	<-heard
	h.wants("forked", "child")
	close(forked)
	h.wants("000001|08000|SAT em operacao||", "end")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

// The till's program ends while a call is under way, in another of its threads.
func TestProgramEndsDuringACall(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		heard, ended := make(chan struct{}), make(chan struct{})
		a := f.address(t)
		scripted(t, a, func(c net.Conn) {
			hears(c)
			close(heard)
			io.Copy(io.Discard, c)
			close(ended)
		})
		h := newHost(t, f, "", a.env())
		h.wants("begun", "begin 1")
		<-heard
		fmt.Fprintln(h.in, "leave")
		h.finish() // with status 0
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the connection is still open")
		}
	})
}

// Whatever becomes of calls, the till's program has no more files and connections
// open than after the first.
func TestNothingStaysOpen(t *testing.T) {
	d := newDirect(t, plain)
	for name, answer := range map[string]func(net.Conn){
		"answered":  func(c net.Conn) { hears(c); c.Write(frame('R', 1, saleRefused)); lingers(c) },
		"broken":    func(c net.Conn) { hears(c) },
		"ungreeted": func(net.Conn) {},
	} {
		stop := scripted(t, d.agent, answer)
		h := d.host(t, "")
		open := func() int {
			t.Helper()
			h.does("time 2 20 EnviarDadosVenda 7 12345678 %s", name)
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.pid))
			if err != nil {
				t.Fatal(err)
			}
			return len(files)
		}
		if before, after := open(), open(); after > before {
			t.Errorf("%s: %d files open, then %d", name, before, after)
		}
		h.finish()
		stop()
	}
}

func TestLoadedAndFreedAThousandTimes(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		a := f.address(t)
		serve(t, a, working, ipc.Options{})
		h := newHost(t, f, "", a.env())
		h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
		h.wants("0 wrong", "reload 1000")
		h.wants("1 kept", "kept 1") // what the till was given outlives the library
		h.wants("000002|08000|SAT em operacao||", "call ConsultarSAT 2")
	})
}

func TestExtras(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		h := newHost(t, f, "")
		h.wants("0 wrong", "sessions 5000")
		for _, name := range []string{"VersaoLib", "VersaoDLL"} {
			h.wants("Zelo libsat 1", "text %s", name)
		}
		for _, name := range []string{"Base64ToAscii", "GetMapaPortasSAT"} {
			h.wants("", "text %s", name)
		}
		h.wants("0", "number CloseSerial")
	})
}

// The additions of mfe.dll: two are SAT functions by another name, the others say
// that they are not offered.
func TestAdditionsOfMFE(t *testing.T) {
	each(t, []flavour{mfe}, func(t *testing.T, f flavour) {
		var got sat.Request
		a := f.address(t)
		serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
			got = req
			return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
		}), ipc.Options{})
		h := newHost(t, f, "", a.env())
		h.wants(string(sat.NewReply(sat.ConsultarStatusOperacional, 5, 10098).Raw), "call ConsultarStatusOperacionalMFE 5 12345678")
		if got.Function != sat.ConsultarStatusOperacional || strings.Join(got.Args, ",") != "12345678" {
			t.Errorf("arrived as %+v", got)
		}
		h.wants(string(sat.NewReply(sat.ConfigurarInterfaceDeRede, 6, 12098).Raw), "call ConfigurarInterfaceDeRedeMFE 6 12345678 <config/>")
		if got.Function != sat.ConfigurarInterfaceDeRede || strings.Join(got.Args, ",") != "12345678,<config/>" {
			t.Errorf("arrived as %+v", got)
		}
		const notOffered = "|Funcao nao oferecida por esta biblioteca.||"
		h.wants("000007|19099"+notOffered, "call ReiniciarMFE 7 12345678")
		h.wants("000007|60099"+notOffered, "call AtualizarDriverMFE 7")
		h.wants("000007|00099"+notOffered, "call EnviarStatusAC 7 12345678 Zelo 1")
		h.wants("000007|00099"+notOffered, "call InformarProducaoMFE 7 a b c")
		for _, name := range []string{"openPort", "openPortVel", "closePort"} {
			h.wants("0", "number %s", name)
		}
	})
}

// What a function takes off the stack is the calling convention: all of its
// parameters or none.
func TestStackIsLeftAsTheHostExpects(t *testing.T) {
	each(t, []flavour{stdcall, cdecl, mfe}, func(t *testing.T, f flavour) {
		h := newHost(t, f, "", f.address(t).env())
		for name, parameters := range exported(f) {
			want := parameters
			if f == cdecl {
				want = 0
			}
			h.wants(fmt.Sprint(want), "popped %s", name)
		}
	})
}
