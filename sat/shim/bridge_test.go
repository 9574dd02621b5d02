//go:build linux

package shim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

// direct is a place where a till can go on without its agent: a maker's library
// with a device (testdata/maker.c), a folder for what it does there, and a lock.
type direct struct {
	f                     flavour
	fake, spool, lock, at string
	agent                 address
}

func newDirect(t *testing.T, f flavour) *direct {
	t.Helper()
	dir := workplace(t)
	d := &direct{f: f, fake: filepath.Join(dir, "fake"), spool: filepath.Join(dir, "ponte"), agent: f.address(t)}
	d.at = compiled(t, f).maker
	d.lock = filepath.Join(dir, "lock")
	if f.onWindows() {
		d.lock = "ZeloTeste" + filepath.Base(dir)
	}
	for _, folder := range []string{d.fake, d.spool} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// host is a till there; more settings win.
func (d *direct) host(t *testing.T, more string, env ...string) *host {
	t.Helper()
	lock := d.lock
	if !d.f.onWindows() {
		lock = d.f.path(lock)
	}
	ini := fmt.Sprintf("biblioteca = %s\nponte = %s\ntrava = %s\ncaixa = 012\n%s", d.f.path(d.at), d.f.path(d.spool), lock, more)
	return newHost(t, d.f, ini, append(env, d.agent.env(), "FAKE_SAT="+d.f.path(d.fake))...)
}

// goesWrong sets the device's mode, "" for none.
func (d *direct) goesWrong(t *testing.T, mode string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.fake, "mode"), []byte(mode), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ledger is what the device noted: "calls" or "sales".
func (d *direct) ledger(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.fake, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")[:bytes.Count(raw, []byte("\n"))]
}

// kept reads what was left for the agent, oldest first.
func (d *direct) kept(t *testing.T) (all []ipc.Spooled) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.spool, "[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ipc.ReadSpool(bytes.NewReader(raw))
		if err != nil || filepath.Ext(name) != ipc.SpoolSuffix {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		all = append(all, s)
	}
	return all
}

// unmade is the reply to a call that could not be made directly.
func unmade(f sat.Function, session int, why string) string { return own(f, session, f.Failed(), why) }

const saleMade = "|06000|0000|Emitido com "

// Without agent every function reaches the maker's library with its arguments, and
// what changes the device, or takes a reply from it, is there for the agent.
func TestBridgeCarriesEveryFunction(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "")
		var spooled []sat.Request
		var replies []string
		for i, fn := range sat.Functions() {
			line, req := command(fn, 1000*i)
			reply := h.does("%s", line)
			if want := fmt.Sprintf("%06d|%05d|", 1000*i, fn.Success()); !strings.HasPrefix(reply, want[:10]) {
				t.Errorf("%s answered %.60q", fn, reply)
			}
			if got, want := d.ledger(t, "calls")[i], fmt.Sprintf("%s %d %s", fn, 1000*i, strings.Join(req.Args, "|")); got != want {
				t.Errorf("the device saw %q, want %q", got, want)
			}
			if fn == sat.ConsultarSAT || fn == sat.ConsultarStatusOperacional || fn == sat.ExtrairLogs {
				continue
			}
			req.Till = "012"
			for j, p := range fn.Params() {
				if p.Secret {
					req.Args[j] = ""
				}
			}
			spooled, replies = append(spooled, req), append(replies, reply)
		}
		got := d.kept(t)
		if len(got) != len(spooled) {
			t.Fatalf("%d calls kept, want %d", len(got), len(spooled))
		}
		slices.SortFunc(got, func(a, b ipc.Spooled) int { return a.Request.Session - b.Request.Session })
		for i, s := range got {
			if fmt.Sprint(s.Request) != fmt.Sprint(spooled[i]) || !s.Answered || string(s.Reply) != replies[i] {
				t.Errorf("kept %+v %.60q, want %+v %.60q", s.Request, s.Reply, spooled[i], replies[i])
			}
		}
	})
}

func TestBridgeOddCalls(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "")
		for _, test := range []struct{ name, line, seen string }{
			{"a session of seven digits", "ConsultarSAT 1234567", "ConsultarSAT 234567 "},
			{"a session below zero", "EnviarDadosVenda -1 a b", "EnviarDadosVenda 999999 a|b"},
			{"an odd session asked for", "ConsultarNumeroSessao 1 a -1", "ConsultarNumeroSessao 1 a|999999"},
			{"NULLs", "TesteFimAFim 1 NULL NULL", "TesteFimAFim 1 |"},
			{"integers of either sign", "AtivarSAT 1 -2147483648 a b 2147483647", "AtivarSAT 1 -2147483648|a|b|2147483647"},
			{"Windows-1252", "EnviarDadosVenda 1 a hex:3c783e70e36f3c2f783e", "EnviarDadosVenda 1 a|<x>pão</x>"},
			{"a sale of 1.5 MB", "EnviarDadosVenda 1 a fill:1500000", "EnviarDadosVenda 1 a|" + strings.Repeat("x", 1_500_000)},
		} {
			h.does("call %s", test.line)
			calls := d.ledger(t, "calls")
			if got := calls[len(calls)-1]; got != test.seen {
				t.Errorf("%s: the device saw %.80q, want %.80q", test.name, got, test.seen)
			}
		}
	})
}

// Who may make a call when the agent breaks it: the bridge only as long as the
// agent has not greeted.
func TestBridgeAfterBrokenCalls(t *testing.T) {
	each(t, []flavour{plain, stdcall}, func(t *testing.T, f flavour) {
		t.Parallel()
		d := newDirect(t, f)
		h := d.host(t, hurry+"prazo.ConsultarNumeroSessao = 1\n")
		made := 0
		for i, b := range breakages() {
			if f.onWindows() && !b.tcpToo() || b.size > 16<<20 {
				continue
			}
			args := fmt.Sprintf("a fill:%d", b.size+i) // each sale another
			stop := scripted(t, d.agent, b.act)
			got := h.does("call EnviarDadosVenda %d %s", i, args)
			stop()
			switch b.end {
			case notReached:
				made++
				if !strings.HasPrefix(got, fmt.Sprintf("%06d%s", i, saleMade)) {
					t.Errorf("%s: %.80s", b.name, got)
				}
			case refused:
				if got != unsent(sat.EnviarDadosVenda, i) {
					t.Errorf("%s: %.80s", b.name, got)
				}
			case mayBeThere:
				if got != unknown(sat.EnviarDadosVenda, i) {
					t.Errorf("%s: %.80s", b.name, got)
				}
				// The agent is gone, only it knows: the sale is not made again, by
				// whatever number, nor is the device asked.
				h.wants(unknown(sat.EnviarDadosVenda, 500+i), "call EnviarDadosVenda %d %s", 500+i, args)
				h.wants(unknown(sat.ConsultarNumeroSessao, 1), "call ConsultarNumeroSessao 1 a %d", i)
			}
			if sales := len(d.ledger(t, "sales")); sales != made {
				t.Errorf("%s: %d sales, want %d", b.name, sales, made)
			}
		}
		for _, call := range d.ledger(t, "calls") {
			if strings.HasPrefix(call, "ConsultarNumeroSessao") {
				t.Error("the device was asked for a session that only the agent knows")
			}
		}
	})
}

// The agent dies in a sale. Others are made directly; that one is not, until the
// agent is back and says what became of it.
func TestBridgeWaitsForTheAgentsWord(t *testing.T) {
	each(t, []flavour{plain, memory, stdcall, x64}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "")
		stop := scripted(t, d.agent, hears)
		h.wants(unknown(sat.EnviarDadosVenda, 1), "call EnviarDadosVenda 1 12345678 coffee")
		stop()
		h.wants(unknown(sat.EnviarDadosVenda, 2), "call EnviarDadosVenda 2 12345678 coffee")
		h.wants(unknown(sat.ConsultarNumeroSessao, 3), "call ConsultarNumeroSessao 3 12345678 1")
		for _, line := range []string{"EnviarDadosVenda 4 12345678 bread", "CancelarUltimaVenda 5 12345678 CFe35 coffee", "ConsultarNumeroSessao 6 12345678 4"} {
			if got := h.does("call %s", line); strings.Contains(got, "098|") {
				t.Errorf("%s: %s", line, got)
			}
		}
		if got := len(d.ledger(t, "calls")); got != 5 { // each sale after a question for the open one
			t.Errorf("%d calls were made, want 5", got)
		}
		// It is back and busy with that sale, then it answers.
		busy := unknown(sat.EnviarDadosVenda, 7)
		stop = scripted(t, d.agent, func(c net.Conn) { hears(c); c.Write(frame('R', 1, busy)); lingers(c) })
		h.wants(busy, "call EnviarDadosVenda 7 12345678 coffee")
		stop()
		h.wants(unknown(sat.EnviarDadosVenda, 8), "call EnviarDadosVenda 8 12345678 coffee")
		stop = scripted(t, d.agent, func(c net.Conn) { hears(c); c.Write(frame('R', 1, saleRefused)); lingers(c) })
		h.wants(saleRefused, "call EnviarDadosVenda 7 12345678 coffee")
		stop()
		if got := h.does("call EnviarDadosVenda 9 12345678 coffee"); !strings.HasPrefix(got, "000009"+saleMade) {
			t.Error(got)
		}
		if got := len(d.ledger(t, "sales")); got != 3 {
			t.Errorf("%d sales and cancellations, want 3", got)
		}
	})
}

// A till that was started anew after the agent died in a sale knows it by the
// agent's mark only: that sale is not made again, and before another one takes its
// place in the device's memory, what the device has of it is saved for the agent.
func TestBridgeHeedsTheAgentsMarks(t *testing.T) {
	each(t, []flavour{plain, memory, stdcall, x64}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		marks := make([]byte, 1024)
		copy(marks[32:], contentOf(sat.EnviarDadosVenda, "coffee"))
		if err := os.WriteFile(filepath.Join(d.spool, "em-aberto"), marks, 0o644); err != nil {
			t.Fatal(err)
		}
		h := d.host(t, "")
		h.wants(unknown(sat.EnviarDadosVenda, 1), "call EnviarDadosVenda 1 12345678 coffee")
		if got := d.ledger(t, "calls"); len(got) != 0 {
			t.Errorf("the device saw %q", got)
		}
		if got := h.does("call EnviarDadosVenda 2 12345678 bread"); !strings.HasPrefix(got, "000002"+saleMade) {
			t.Error(got)
		}
		calls := d.ledger(t, "calls")
		if len(calls) != 2 || !strings.HasPrefix(calls[0], "ConsultarUltimaSessaoFiscal ") || !strings.HasSuffix(calls[0], " 12345678") {
			t.Errorf("the device saw %q", calls)
		}
		kept := d.kept(t)
		if len(kept) != 2 || kept[0].Request.Function != sat.ConsultarUltimaSessaoFiscal || !kept[0].Answered ||
			kept[0].Request.Args[0] != "" || kept[1].Request.Session != 2 {
			t.Errorf("the agent gets %+v", kept)
		}
		clear(marks)
		if err := os.WriteFile(filepath.Join(d.spool, "em-aberto"), marks, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := h.does("call EnviarDadosVenda 3 12345678 coffee"); !strings.HasPrefix(got, "000003"+saleMade) {
			t.Error(got)
		}
		if got := len(d.ledger(t, "calls")); got != 3 {
			t.Errorf("%d calls were made, want 3", got)
		}
	})
}

// contentOf is the mark of a fiscal call with these arguments after the code
// (sat/ipc, "calls made without the agent").
func contentOf(f sat.Function, args ...string) []byte {
	sum := sha256.New()
	sum.Write([]byte{byte(f)})
	for _, a := range args {
		sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(a))))
		sum.Write([]byte(a))
	}
	return sum.Sum(nil)
}

// A maker's library calls its own functions, although the till has made ours of
// the same names known to all of its process.
func TestMakerKeepsItsOwnNames(t *testing.T) {
	each(t, []flavour{plain, stdcall, cdecl, x64, mfe}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		if got := d.host(t, "").does("call EnviarDadosVenda 1 12345678 a"); !strings.HasPrefix(got, "000001|06000|0000|Emitido com fake 1|") {
			t.Error(got)
		}
	})
}

// While the agent is there nothing goes past it, whatever was loaded before.
func TestAgentIsBack(t *testing.T) {
	each(t, []flavour{plain, stdcall}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "")
		for range 3 {
			h.wants("000001|08001|ok||", "call ConsultarSAT 1")
			stop := serve(t, d.agent, working, ipc.Options{})
			h.wants("000002|08000|SAT em operacao||", "call ConsultarSAT 2")
			stop()
		}
		if got := len(d.ledger(t, "calls")); got != 3 {
			t.Errorf("the device was called %d times, want 3", got)
		}
	})
}

func TestBridgeWithAMakerInTrouble(t *testing.T) {
	each(t, []flavour{plain, memory, stdcall, cdecl, x64, mfe}, func(t *testing.T, f flavour) {
		for _, test := range []struct {
			mode, reply, raw string
			answered         bool
		}{
			{"null", unknown(sat.EnviarDadosVenda, 7), "", false},
			{"text", unknown(sat.EnviarDadosVenda, 7), "Error [2] openning serial COM3", true},
			{"short", "000000|00000|Erro ao abrir USB.||", "000000|00000|Erro ao abrir USB.", true},
			{"busy", "000007|06098|0000|SAT em processamento||", "000007|06098|0000|SAT em processamento||", true},
			{"latin", "000007|06098|0000|SAT em opera??o ||", "000007|06098|0000|SAT em opera\xe7\xe3o\n||", true},
		} {
			d := newDirect(t, f)
			h := d.host(t, "")
			d.goesWrong(t, test.mode)
			if got := h.raw("call EnviarDadosVenda 7 12345678 a"); got != test.reply {
				t.Errorf("%s: the till gets %s", test.mode, got)
			}
			kept := d.kept(t)
			if len(kept) != 1 || string(kept[0].Reply) != test.raw || kept[0].Answered != test.answered {
				t.Errorf("%s: the agent gets %+v", test.mode, kept)
			}
			h.finish()
		}
	})
}

// A maker's library that crashes takes the till with it, as it always did. The
// agent finds a call without a reply, and the next till a device that is free.
func TestMakerCrashes(t *testing.T) {
	each(t, []flavour{plain, stdcall, x64}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "")
		h.doomed = true
		d.goesWrong(t, "crash")
		fmt.Fprintln(h.in, "call EnviarDadosVenda 7 12345678 a")
		if line, err := h.out.ReadString('\n'); err == nil {
			t.Fatalf("the till lives on and got %s", line)
		}
		h.finish()
		if kept := d.kept(t); len(kept) != 1 || kept[0].Answered || kept[0].Request.Session != 7 {
			t.Errorf("the agent gets %+v", kept)
		}
		d.goesWrong(t, "")
		if got := d.host(t, "").does("call EnviarDadosVenda 8 12345678 a"); !strings.HasPrefix(got, "000008"+saleMade) {
			t.Error(got)
		}
	})
}

// One till's call takes long; another's waits no longer than it may, and nothing
// was sent for it.
func TestDeviceInUseByAnotherTill(t *testing.T) {
	each(t, []flavour{plain, stdcall, x64}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		one, two := d.host(t, ""), d.host(t, hurry)
		d.goesWrong(t, "hang")
		one.wants("begun", "begin 1")
		until(t, func() bool { return len(d.ledger(t, "calls")) == 1 })
		began := time.Now()
		inUse := unmade(sat.EnviarDadosVenda, 2, "O comando nao foi enviado: o SAT esta em uso por outro programa. Tente novamente.")
		two.wants(inUse, "call EnviarDadosVenda 2 12345678 a")
		if took := time.Since(began); took < 900*time.Millisecond || took > time.Second+slack {
			t.Errorf("waited %s, the deadline is 1 s", took)
		}
		d.goesWrong(t, "")
		one.wants("000001|08001|ok||", "end")
		if got := two.does("call EnviarDadosVenda 3 12345678 a"); !strings.HasPrefix(got, "000003"+saleMade) {
			t.Error(got)
		}
		if len(d.kept(t)) != 1 {
			t.Error("a call that was not made is kept")
		}
	})
}

// until looks again and again, as nothing tells when another process got so far.
func until(t *testing.T, done func() bool) {
	t.Helper()
	tick, late := time.NewTicker(10*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it never happens")
		}
	}
}

// The lock's file was removed, with the agent, while a till waited for it; it
// then takes the new one's turn.
func TestLockFileRemovedMeanwhile(t *testing.T) {
	d := newDirect(t, plain)
	h := d.host(t, hurry)
	hold := func() *os.File {
		t.Helper()
		file, err := os.OpenFile(d.lock, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		return file
	}
	old := hold()
	h.wants("begun", "begin 1")
	until(t, func() bool { return opens(h, d.lock) })
	if err := os.Remove(d.lock); err != nil {
		t.Fatal(err)
	}
	fresh := hold()
	old.Close()
	until(t, func() bool { return !opens(h, d.lock+" (deleted)") })
	if calls := d.ledger(t, "calls"); len(calls) != 0 {
		t.Errorf("called while the device was reserved: %q", calls)
	}
	fresh.Close()
	h.wants("000001|08001|ok||", "end")
}

// opens tells whether a host on this system has a file open.
func opens(h *host, file string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.pid))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == file {
			return true
		}
	}
	return false
}

func TestBridgeCannotBeUsed(t *testing.T) {
	const begins = "O comando nao foi enviado. O servico Zelo nao responde e "
	each(t, everywhere(), func(t *testing.T, f flavour) {
		noFolder := f.path(filepath.Join(workplace(t), "none"))
		for _, test := range []struct{ name, ini, why, function string }{
			{"no library", "biblioteca = " + noFolder, "nao foi possivel carregar a biblioteca " + noFolder, "ConsultarSAT"},
			{"no absolute path", "biblioteca = SAT.dll", "nao foi possivel carregar a biblioteca SAT.dll", "ConsultarSAT"},
			{"our own library", "biblioteca = " + f.path(compiled(t, f).library), "nao foi possivel carregar a biblioteca ", "ConsultarSAT"},
			{"an old library", "biblioteca = " + f.path(oldMaker(t, f)), "falta a funcao na biblioteca ", "ConsultarUltimaSessaoFiscal"},
			{"no folder to keep it", "ponte = " + noFolder, "nao foi possivel gravar na pasta " + noFolder, "EnviarDadosVenda"},
			{"no lock", "trava = " + noFolder + "/x", "nao foi possivel reservar o SAT em " + noFolder + "/x", "ConsultarSAT"},
		} {
			if test.name == "no lock" && f.onWindows() {
				test.ini, test.why = "trava = a\\b", "nao foi possivel reservar o SAT em a\\b"
			}
			d := newDirect(t, f)
			h := d.host(t, test.ini)
			fn, _ := sat.FunctionByName(test.function)
			line, _ := command(fn, 5)
			got, want := h.does("%s", line), unmade(fn, 5, begins+test.why)
			if want = strings.TrimSuffix(want, "||"); !strings.HasPrefix(got, want) && !strings.HasPrefix(got, want[:min(len(want), 250)]) {
				t.Errorf("%s: %s\nwant %s", test.name, got, want)
			}
			if calls := d.ledger(t, "calls"); len(calls) != 0 {
				t.Errorf("%s: the device saw %q", test.name, calls)
			}
			h.finish()
		}
	})
}

// What does not change the device is done even when nothing can be kept.
func TestReadingsNeedNoFolder(t *testing.T) {
	each(t, []flavour{plain, stdcall}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		h := d.host(t, "ponte = "+f.path(filepath.Join(d.spool, "none")))
		h.wants("000001|08001|ok||", "call ConsultarSAT 1")
		h.wants("000002|10001|ok||", "call ConsultarStatusOperacional 2 12345678")
		h.wants("000003|11001|ok||", "call ConsultarNumeroSessao 3 12345678 1")
	})
}

// A disk without room for a sale: it is not made, nothing half is left, and a
// smaller one is.
func TestDiskFull(t *testing.T) {
	d := newDirect(t, plain)
	if err := syscall.Mount("zelo", d.spool, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("SKIP: no disk to fill on this machine: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(d.spool, syscall.MNT_DETACH) }) // after the host ended
	h := d.host(t, "")
	want := unmade(sat.EnviarDadosVenda, 1, "O comando nao foi enviado. O servico Zelo nao responde e nao foi possivel gravar na pasta "+d.spool)
	h.wants(want, "call EnviarDadosVenda 1 12345678 fill:100000")
	if kept := d.kept(t); len(kept) != 0 || len(d.ledger(t, "calls")) != 0 {
		t.Errorf("kept %v, made %q", kept, d.ledger(t, "calls"))
	}
	if got := h.does("call EnviarDadosVenda 2 12345678 fill:1000"); !strings.HasPrefix(got, "000002"+saleMade) {
		t.Error(got)
	}
}

// Two programs with four threads each: one call at a time on the device, each kept.
func TestBridgeOneAtATime(t *testing.T) {
	each(t, []flavour{plain, memory, stdcall, x64}, func(t *testing.T, f flavour) {
		d := newDirect(t, f)
		one, two := d.host(t, ""), d.host(t, "")
		answer := make(chan string)
		go func() { answer <- one.does("time 4 20 EnviarDadosVenda 7 12345678 a") }()
		two.does("time 4 20 EnviarDadosVenda 8 12345678 a")
		<-answer
		keys := map[string]bool{} // counted without a lock by the device
		for _, sale := range d.ledger(t, "sales") {
			keys[strings.Fields(sale)[0]] = true
		}
		if len(keys) != 160 {
			t.Errorf("%d sales of 160 have a key of their own", len(keys))
		}
		kept := d.kept(t)
		if len(kept) != 160 || slices.ContainsFunc(kept, func(s ipc.Spooled) bool { return !s.Answered }) {
			t.Errorf("%d of 160 are kept", len(kept))
		}
	})
}

// The agent reads the files in the order of their names.
func TestKeptCallsSortByTime(t *testing.T) {
	d := newDirect(t, plain)
	d.host(t, "").does("time 1 30 EnviarDadosVenda 7 12345678 a")
	var order []string
	for _, s := range d.kept(t) {
		order = append(order, strings.Split(string(s.Reply), "|")[8][3:])
	}
	for i, sale := range d.ledger(t, "sales") {
		if key := strings.Fields(sale)[0]; i >= len(order) || order[i] != key {
			t.Fatalf("sale %d is %s, kept are %q", i, key, order)
		}
	}
	if len(order) != 30 {
		t.Errorf("%d of 30 are kept", len(order))
	}
}

// Another program is the device, as in tests of the whole.
func TestMakerForwards(t *testing.T) {
	d := newDirect(t, plain)
	program := filepath.Join(d.fake, "device")
	script := "#!/bin/sh\nprintf '%06d|06010|1999|' \"$2\"\necho \"$1 $(tr '\\0' ' ')||\" | tr -d '\\n'\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	h := d.host(t, "", "ZELO_MAKER_EXEC="+program)
	h.wants("000007|06010|1999|EnviarDadosVenda 12345678 <CFe/> ||", "call EnviarDadosVenda 7 12345678 <CFe/>")
}

// The names and conventions of a 32-bit library are found whatever it was built
// with.
func TestMakersOfOtherConventions(t *testing.T) {
	each(t, []flavour{stdcall, cdecl}, func(t *testing.T, f flavour) {
		for _, test := range []struct{ name, convention, definitions string }{
			{"cdecl", "cdecl", "-DMAKER_CDECL"},
			{"stdcall, plain names", "stdcall", "-DMAKER_STDCALL -Wl,--kill-at"},
			{"stdcall, Name@N", "stdcall", "-DMAKER_STDCALL"},
			{"stdcall, _Name@N", "stdcall", "-DMAKER_STDCALL -Wl,--leading-underscore"},
		} {
			d := newDirect(t, f)
			d.at = filepath.Join(workplace(t), "maker.dll")
			if err := compile("i686-w64-mingw32-gcc", d.at, append(strings.Fields(test.definitions), "testdata/maker.c", "-shared")...); err != nil {
				t.Fatal(err)
			}
			h := d.host(t, "convencao = "+test.convention)
			for range 100 { // a word too many or too few each would be seen
				if got := h.does("call EnviarDadosVenda 7 12345678 a"); !strings.HasPrefix(got, "000007"+saleMade) {
					t.Fatalf("%s: %s", test.name, got)
				}
			}
			h.finish()
		}
	})
}

// oldMaker is a library without the newest function.
func oldMaker(t *testing.T, f flavour) string {
	t.Helper()
	out := filepath.Join(workplace(t), "old")
	compiler, args := "gcc", []string{"-fPIC"}
	if f.onWindows() {
		out += ".dll"
		compiler, args = mingw(f), nil
	}
	if err := compile(compiler, out, append(args, "-DMAKER_OLD", "testdata/maker.c", "-shared")...); err != nil {
		t.Fatal(err)
	}
	return out
}
