//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/sat/ipc"
	"zelo/sat/sim"
)

// A shop on Windows: agent, simulated device, POS programs and a maker's library
// are Windows programs under Wine, and the collector is a process of this system.

// wine runs Windows programs; see there.
const wine = root + "/sat/shim/testdata/wine.sh"

// build is one way to make the library, with a POS program and a maker's library
// of the same kind.
type build struct {
	name, compiler, dll string
	host, maker         []string // definitions
}

var windowsBuilds = []build{
	{"stdcall-x86", "i686-w64-mingw32-gcc", "stdcall/SAT.dll", []string{"-DHOST_STDCALL"}, []string{"-DMAKER_STDCALL", "-Wl,--kill-at"}},
	{"cdecl-x86", "i686-w64-mingw32-gcc", "cdecl/SAT.dll", nil, nil},
	{"x64", "x86_64-w64-mingw32-gcc", "x64/SAT.dll", nil, nil},
	{"mfe", "i686-w64-mingw32-gcc", "mfe/mfe.dll", []string{"-DHOST_STDCALL"}, []string{"-DMAKER_STDCALL", "-Wl,--kill-at"}},
}

// windowsShop is a Windows whose Z:\zelo is our folder dir.
type windowsShop struct {
	*shop
	device string   // address of the simulated device
	agent  *running // nil while there is none
	sold   []sale
}

// running is a program that somebody waits for.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// z is a path below dir as Windows programs see it.
func z(parts ...string) string { return `Z:\zelo\` + strings.Join(parts, `\`) }

// openWindows makes a Windows, with our libraries, makers' and POS programs in it.
func openWindows(t *testing.T) *shop {
	t.Helper()
	if os.Getenv("ZELO_E2E_WINDOWS") != "1" {
		t.Skip("SKIP: programs for Windows are tested when ZELO_E2E_WINDOWS=1, by make e2e-windows")
	}
	dir, err := os.MkdirTemp("", "zelo-windows-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &shop{t: t, dir: dir}
	s.must(exec.Command(wine, "prefix", dir))
	t.Cleanup(func() { exec.Command(wine, "stop", dir).Run() })
	shim := filepath.Join(root, "sat/shim")
	s.must(exec.Command(filepath.Join(shim, "build-windows.sh"), s.dir))
	for _, b := range windowsBuilds {
		host := append(b.host, "-std=gnu11", "-o", s.path(b.name+".exe"), shim+"/testdata/hosts/host.c", shim+"/testdata/hosts/host_windows.c", "-lpsapi")
		s.must(exec.Command(b.compiler, host...))
		maker := append(b.maker, "-std=gnu11", "-shared", "-o", s.path(b.name+"-fabricante.dll"), shim+"/testdata/maker.c")
		s.must(exec.Command(b.compiler, maker...))
	}
	return s
}

// builds has Go make a Windows program: arguments are those of go, without its result.
func (s *shop) builds(name, arch string, args ...string) {
	s.t.Helper()
	cmd := exec.Command("go", slices.Insert(args, 1, "-o", s.path(name))...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH="+arch)
	s.must(cmd)
}

func openWindowsShop(t *testing.T) *windowsShop {
	t.Helper()
	s := &windowsShop{shop: openWindows(t)}
	s.bin = binaries(t)
	t.Cleanup(func() {
		exec.Command(wine, "stop", s.dir).Run()
		if s.agent != nil {
			<-s.agent.ended
		}
	})
	s.must(exec.Command("cp", s.path("prefix/drive_c/windows/system32/taskkill.exe"), s.path(taskkill)))
	s.builds("agent-386.exe", "386", "build", "./agent")
	s.builds("agent-amd64.exe", "amd64", "build", "./agent")
	s.builds("driver.exe", "386", "build", "./agent/e2e/testdata/driver")
	s.must(exec.Command("cp", s.path("agent-386.exe"), s.path("sim.exe"))) // which taskkill tells apart
	s.openCollector()
	s.openDevice()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	till := l.Addr().String()
	s.write("agent.toml", fmt.Sprintf("pasta = '%s'\nsoquete = 'tcp:%s'\nequipamentos = ['tcp:%s']\nintervalo_status = '1h'\nintervalo_sinal = '2s'\nbuffer_mb = 64\npagina = ''\n",
		z("caixa"), till, s.device))
	s.write("segundo.toml", fmt.Sprintf("pasta = '%s'\nsoquete = 'tcp:%s'\nbuffer_mb = 32\npagina = ''\n", z("outra"), till))
	waits := "prazo.EnviarDadosVenda = 15\nprazo.ConsultarNumeroSessao = 15\n"
	s.write("sat.ini", fmt.Sprintf("agente = %s\n%s", till, waits))
	for _, b := range windowsBuilds {
		s.write("ponte-"+b.name+".ini", fmt.Sprintf("agente = %s\nbiblioteca = %s\nponte = %s\n%s",
			till, z(b.name+"-fabricante.dll"), z("caixa", "ponte"), waits))
	}
	s.enrol(func(args ...string) (string, error) {
		return s.asks("agent-386.exe", append([]string{args[0], "-config", z("agent.toml")}, args[1:]...)...)
	})
	return s
}

// windows prepares a Windows program.
func (s *shop) windows(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, wine, append([]string{"run", s.dir, program}, args...)...)
}

// asks runs a Windows program to its end, a minute at most.
func (s *shop) asks(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := s.windows(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// tells is asks of what must not fail.
func (s *windowsShop) tells(program string, args ...string) string {
	s.t.Helper()
	out, err := s.asks(program, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// openDevice starts the simulated device.
func (s *windowsShop) openDevice() {
	s.t.Helper()
	sim := s.windows(context.Background(), "sim.exe", "sim", "-tcp", "127.0.0.1:0", "-pasta", z("sat"))
	out, err := sim.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(sim)
	lines := bufio.NewScanner(out)
	lines.Scan()
	at, ok := strings.CutPrefix(lines.Text(), "tcp ")
	if !ok {
		s.t.Fatalf("the simulator says %q", lines.Text())
	}
	s.device = at
	go io.Copy(io.Discard, out)
}

// startAgent runs the agent as a program.
func (s *windowsShop) startAgent(program string) error {
	log, err := os.OpenFile(s.path("agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r := &running{cmd: s.windows(context.Background(), program, "run", "-config", z("agent.toml")), ended: make(chan struct{})}
	r.cmd.Stderr = log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() { r.cmd.Wait(); close(r.ended) }()
	s.agent = r
	return nil
}

// taskkill is Windows' own program of 64 bits; the one of 32 bits, which Wine would
// take, does not see programs of 64.
const taskkill = "taskkill64.exe"

// terminate ends the agent as the task manager does: TerminateProcess.
func (s *windowsShop) terminate(program string) error {
	out, err := s.asks(taskkill, "/f", "/im", program)
	if err != nil {
		return fmt.Errorf("taskkill: %w: %s", err, out)
	}
	select {
	case <-s.agent.ended:
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("the agent outlives taskkill")
	}
}

func (s *windowsShop) status() (st agentStatus, ok bool) {
	out, err := s.asks("agent-386.exe", "status", "-json", "-config", z("agent.toml"))
	return st, err == nil && json.Unmarshal([]byte(out), &st) == nil
}

// settled reports that nothing waits on the till.
func (s *windowsShop) settled() bool {
	st, ok := s.status()
	return ok && st.settled() && len(s.spooled()) == 0
}

// spooled are the calls that wait for the agent.
func (s *windowsShop) spooled() []string {
	files, _ := filepath.Glob(s.path("caixa/ponte/*" + ipc.SpoolSuffix))
	return files
}

// windowsPOS is a POS program that makes the shop's sales.
type windowsPOS struct {
	*pos
	s *windowsShop
}

// openPOS starts the POS program of a build with the settings in a file.
func (s *windowsShop) openPOS(b build, settings string) *windowsPOS {
	s.t.Helper()
	cmd := s.windows(context.Background(), b.name+".exe", z(strings.Split(b.dll, "/")...))
	cmd.Env = append(os.Environ(), "ZELO_INI="+z(settings), "ZELO_MAKER_EXEC="+z("driver.exe"), "ZELO_DRIVER_DEVICE="+s.device)
	return &windowsPOS{s.startPOS(cmd, sim.DefaultCode, 100_000+1000*len(s.sold)), s}
}

// sells sells a number of times.
func (p *windowsPOS) sells(times int) {
	p.s.t.Helper()
	for range times {
		n := len(p.s.sold) + 1
		key, err := p.sell(n)
		p.s.check(err)
		p.s.sold = append(p.s.sold, sale{number: n, key: key})
	}
}

// archived compares what the device issued with what POS programs were given and
// with what the collector exports, byte for byte.
func (s *windowsShop) archived() {
	s.t.Helper()
	oneEach(s.t, s.sold, issuedIn(s.t, s.path("sat")), s.export())
}

// sellsWhile sells until what happens meanwhile is over, and once more.
func (p *windowsPOS) sellsWhile(meanwhile func() error) {
	p.s.t.Helper()
	over := make(chan error, 1)
	go func() { over <- meanwhile() }()
	for {
		p.sells(1)
		select {
		case err := <-over:
			p.s.check(err)
			p.sells(1)
			return
		default:
		}
	}
}

// check ends a test that cannot go on.
func (s *windowsShop) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// part is one of the tests that a shop goes through, each where the last one ended.
func (s *windowsShop) part(name string, test func()) {
	whole := s.t
	defer func() { s.t = whole }()
	whole.Run(name, func(t *testing.T) {
		if whole.Failed() {
			t.Skip("SKIP: an earlier part failed")
		}
		s.t = t
		test()
	})
}

func TestWindows(t *testing.T) {
	s := openWindowsShop(t)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(s.path("agent.log"))
			t.Logf("agent:\n%s", log)
		}
	})
	// Agents of 32 and 64 bits take turns on one folder. Each is ended by the task
	// manager while a POS program sells, started again, and ended for good.
	var agent string
	for i, b := range windowsBuilds {
		s.part(b.name, func() {
			if agent != "" {
				s.check(s.terminate(agent))
			}
			agent = []string{"agent-386.exe", "agent-amd64.exe"}[i%2]
			s.check(s.startAgent(agent))
			p := s.openPOS(b, "sat.ini")
			p.sells(2)
			p.sellsWhile(func() error { return errors.Join(s.terminate(agent), s.startAgent(agent)) })
			p.leave()
		})
	}
	s.part("agent", func() {
		s.until("everything to be at the collector", s.settled)
		s.archived()
		out, err := s.asks("agent-amd64.exe", "run", "-config", z("segundo.toml"))
		if err == nil || !strings.Contains(out, "another process already answers there") {
			s.t.Errorf("a second agent on the same port: %v, %s", err, out)
		}
		s.check(s.terminate(agent))
	})
	s.part("ponte direta", func() {
		for i, b := range windowsBuilds {
			p := s.openPOS(b, "ponte-"+b.name+".ini")
			p.sells(2)
			p.leave()
			if n := len(s.spooled()); n != 2*(i+1) {
				s.t.Errorf("%d calls wait for the agent after those of %s", n, b.name)
			}
		}
	})
	s.part("service", s.asService)
	s.part("archive", s.archived) // among it what was sold without the agent
}

// asService runs the agent as a service, from its installation to its end.
func (s *windowsShop) asService() {
	service := func(words ...string) {
		s.tells("agent-386.exe", append([]string{"service", "-config", z("agent.toml")}, words...)...)
	}
	service("install")
	service("start")
	p := s.openPOS(windowsBuilds[0], "sat.ini")
	p.sells(2)
	p.leave()
	if out := s.tells("agent-386.exe", "status", "-config", z("agent.toml")); !strings.Contains(out, "respondendo desde") {
		s.t.Errorf("status of the service: %s", out)
	}
	s.until("everything to be at the collector", s.settled)
	start := time.Now()
	service("stop")
	if took := time.Since(start); took > 5*time.Second {
		s.t.Errorf("the service stopped after %s", took)
	}
	if _, ok := s.status(); ok {
		s.t.Error("a stopped service answers")
	}
	service("uninstall")
	log, err := os.ReadFile(s.path("prefix/drive_c/ProgramData/Zelo/agente.log"))
	if err != nil || !bytes.Contains(log, []byte("agent stopped")) {
		s.t.Errorf("log of the service: %s, %v", log, err)
	}
}

// TestPackagesOnWindows runs the tests of what packages do on Windows alone, for both
// processors. Those that must have passed are named.
func TestPackagesOnWindows(t *testing.T) {
	dir := openWindows(t).dir
	for name, p := range map[string]struct {
		run    string
		passed []string
	}{
		"devices": {"ListNodes|OnWine|OnWindows|CheckAddress|KeepAlive|Examine|Models", []string{"TestLookUSBOnWine"}},
		"monitor": {"ThisWindows|Company|StoreOfWindows", []string{"TestStoresOfThisWindows", "TestProgramsOfThisWindows"}},
	} {
		for _, arch := range []string{"386", "amd64"} {
			t.Run(name+"/"+arch, func(t *testing.T) {
				s := &shop{t: t, dir: dir}
				program := name + "-" + arch + ".exe"
				s.builds(program, arch, "test", "-c", "./agent/"+name)
				out, err := s.asks(program, "-test.v", "-test.run="+p.run)
				for _, test := range p.passed {
					if err != nil || !strings.Contains(out, "--- PASS: "+test) {
						t.Fatalf("%s: %v\n%s", test, err, out)
					}
				}
			})
		}
	}
}
