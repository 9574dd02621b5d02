//go:build linux

package shim_test

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

func TestExports(t *testing.T) {
	file, err := elf.Open(compiled(t, plain).library)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := []string{"GeraNumeroSessao", "VersaoLib"}
	for _, f := range sat.Functions() {
		want = append(want, f.String())
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			got = append(got, s.Name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("exported: %v\nwanted: %v", got, want)
	}
	if libs, err := file.ImportedLibraries(); err != nil || !slices.Equal(libs, []string{"libc.so.6"}) {
		t.Errorf("needs %v, %v", libs, err)
	}
	flags, err := file.DynValue(elf.DT_FLAGS_1)
	if need := uint64(elf.DF_1_NOW | elf.DF_1_NODELETE); err != nil || len(flags) != 1 || flags[0]&need != need {
		t.Errorf("flags %x, %v", flags, err)
	}
}

func TestThreads(t *testing.T) {
	for _, f := range []flavour{plain, memory, threads} {
		for _, conns := range []int{64, 2} { // room for all, and a line before the agent
			t.Run(fmt.Sprintf("%s/%d", f, conns), func(t *testing.T) {
				path := socketPath(t)
				serve(t, path, working, ipc.Options{MaxConns: conns})
				h := newHost(t, f, "", "ZELO_SOCKET="+path)
				h.wants("0 wrong", "threads 8 200")
			})
		}
	}
}

func TestThreadsWithoutAgent(t *testing.T) {
	h := newHost(t, threads, "", "ZELO_SOCKET=/nonexistent/socket")
	h.wants("1600 wrong", "threads 8 200")
}

func TestFork(t *testing.T) {
	for _, f := range []flavour{plain, memory} {
		t.Run(f.String(), func(t *testing.T) {
			path := socketPath(t)
			serve(t, path, working, ipc.Options{})
			h := newHost(t, f, "", "ZELO_SOCKET="+path)
			h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
			h.wants("0 wrong", "fork 50")
		})
	}
}

// A child forked during a call holds a copy of the connection; the agent must
// see its end all the same.
func TestForkDuringACall(t *testing.T) {
	heard, forked, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	path := scripted(t, func(c *net.UnixConn) {
		hears(c)
		close(heard)
		<-forked
		c.Write(frame('R', 1, "000001|08000|SAT em operacao||"))
		io.Copy(io.Discard, c)
		close(ended)
	})
	h := newHost(t, plain, "", "ZELO_SOCKET="+path)
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

func TestLoadedAndFreedAThousandTimes(t *testing.T) {
	path := socketPath(t)
	serve(t, path, working, ipc.Options{})
	h := newHost(t, memory, "", "ZELO_SOCKET="+path)
	h.wants("000001|08000|SAT em operacao||", "call ConsultarSAT 1")
	h.wants("0 wrong", "reload 1000")
	h.wants("1 kept", "kept 1") // what the till was given outlives the library
	h.wants("000002|08000|SAT em operacao||", "call ConsultarSAT 2")
}

func TestExtras(t *testing.T) {
	h := newHost(t, memory, "")
	h.wants("0 wrong", "sessions 5000")
	h.wants("Zelo libsat 1", "version")
}

func TestPythonHost(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIP: no python3 on this machine")
	}
	path := socketPath(t)
	requests := make(chan sat.Request, 3)
	serve(t, path, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		requests <- req
		if req.Function == sat.ConsultarSAT {
			return working(ctx, req)
		}
		return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
	}), ipc.Options{})
	cmd := exec.Command(python, "testdata/hosts/ctypes_host.py", compiled(t, plain).library)
	cmd.Env = append(cmd.Environ(), "ZELO_SOCKET="+path, "ZELO_INI=/nonexistent")
	out, err := cmd.CombinedOutput()
	want := "101341|08000|SAT em operacao||\n" +
		"123456|06098|0000|SAT em processamento. Tente novamente.||\n" +
		"000007|18098|SAT em processamento. Tente novamente.||\n" +
		"Zelo libsat 1\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	<-requests
	if sale := <-requests; sale.Arg("dadosVenda") != "<CFe>pão</CFe>" {
		t.Errorf("sale %q", sale.Arg("dadosVenda"))
	}
	if r := <-requests; strings.Join(r.Args, ",") != "12345678,1,87654321," {
		t.Errorf("arguments %q", r.Args)
	}
}
