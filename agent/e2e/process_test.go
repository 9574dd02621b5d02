//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/sattest"
)

// built holds the binaries, made once per test run.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "zelo-bin-")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{"zelo-agent": "./agent", "zelo-collector": "./collector", "demo": "./agent/demo",
		"driver": "./agent/e2e/testdata/driver"} {
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot build %s: %w: %s", pkg, err, out)
		}
	}
	if _, err := exec.LookPath("gcc"); err == nil {
		if out, err := exec.Command(filepath.Join(root, "sat/shim/build.sh"), filepath.Join(dir, "libsat.so")).CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot build libsat.so: %w: %s", err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func binaries(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The demonstration is the test of the whole: its last line must be the one that
// says that nothing was lost.
func TestDemo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc, the till of the demonstration is a C program")
	}
	bin := binaries(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "demo"), "-bin", bin, "-once").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var n, archived, lost, doubled, alarms, export, devices int
	if _, err := fmt.Sscanf(lines[len(lines)-1], "demo: %d documents, %d archived, %d lost, %d doubled, %d alarms, export %d, %d devices",
		&n, &archived, &lost, &doubled, &alarms, &export, &devices); err != nil || n != 30 || archived != n || lost+doubled != 0 || alarms < 2 || export != n || devices != 2 {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
}

// shop is an agent with a simulated device on a pseudo terminal, each a process.
type shop struct {
	t     *testing.T
	bin   string
	dir   string
	agent *exec.Cmd
	cloud *exec.Cmd // the collector's service, of shops that have one
	sat   *device
}

// newShop is one without anything in its folder. The folder's name is short, as those
// of sockets must be, and every user may look into it, as POS programs do.
func newShop(t *testing.T) *shop {
	t.Helper()
	dir, err := os.MkdirTemp("", "zelo-")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &shop{t: t, bin: binaries(t), dir: dir}
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.sat = s.openDevice("sat", "-pty", "-link", s.path("porta"))
	s.write("agent.toml", fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"serial:%s\"]\nintervalo_status = \"1s\"\nbuffer_mb = 64\npagina = \"\"\n",
		s.path("caixa"), s.path("sat.sock"), s.path("porta")))
	s.startAgent()
	return s
}

func (s *shop) path(name string) string { return filepath.Join(s.dir, name) }

func (s *shop) start(cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

func (s *shop) startAgent() {
	s.t.Helper()
	s.agent = exec.Command(filepath.Join(s.bin, "zelo-agent"), "run", "-config", s.path("agent.toml"))
	var log bytes.Buffer
	s.agent.Stderr = &log
	s.start(s.agent)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.agent.Process.Kill()
			s.agent.Wait()
			s.t.Logf("agent:\n%s", log.String())
		}
	})
}

// kill ends the agent as a power cut or a task manager would.
func (s *shop) kill() {
	s.agent.Process.Kill()
	s.agent.Wait()
}

// write makes a file that every user may read.
func (s *shop) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// cli runs a command of the agent and returns all it printed.
func (s *shop) cli(stdin string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, "zelo-agent"), args...)
	cmd.Args = append(cmd.Args, "-config", s.path("agent.toml"))
	if args[0] == "call" || args[0] == "enrol" { // flags come before other arguments
		cmd.Args = append([]string{cmd.Args[0], args[0], "-config", s.path("agent.toml")}, args[1:]...)
	}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// until polls a condition, as a person looking at a screen does.
func (s *shop) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (s *shop) answering() bool {
	out, err := s.cli("", "status", "-json")
	var st struct{ Answering bool }
	return err == nil && json.Unmarshal([]byte(out), &st) == nil && st.Answering
}

func TestTechnicianAtTheCommandLine(t *testing.T) {
	s := openShop(t)
	s.until("the device", s.answering)
	expect := func(name, stdin, want string, ok bool, args ...string) {
		t.Helper()
		out, err := s.cli(stdin, args...)
		if (err == nil) != ok || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %q, want %q", name, err, out, want)
		}
	}
	expect("status", "", "respondendo desde", true, "status")
	expect("status says the code is not known", "", "ainda não conhecido", true, "status")
	expect("call without the code", "", "informe-o com", false, "call", "ConsultarStatusOperacional")
	expect("wrong code", "00000000\n", "recusou", false, "code")
	expect("right code", "12345678\n", "aceitou", true, "code")
	expect("call", "", "|10000|", true, "call", "ConsultarStatusOperacional")
	expect("unknown function", "", "não existe a função", false, "call", "Vender")
	expect("too few arguments", "", "falta o argumento dadosVenda", false, "call", "EnviarDadosVenda")
	expect("buffer", "", "documents", true, "buffer", "ls")
	expect("unknown command", "", "não existe o comando", false, "vender")

	s.sat.tell(`{"plug":false}`)
	s.until("the agent to notice the cable", func() bool { return !s.answering() })
	expect("status without the device", "", "sem resposta desde", true, "status")
	s.sat.tell(`{"plug":true}`)
	s.until("the device to be back", s.answering)
	expect("call after the cable is back", "", "|08000|", true, "call", "ConsultarSAT")

	start := time.Now()
	s.agent.Process.Signal(syscall.SIGTERM)
	if err := s.agent.Wait(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("the agent stopped after %s with %v", time.Since(start), err)
	}
	expect("buffer of a stopped agent", "", "sessions", true, "buffer", "ls")
	expect("status of a stopped agent", "", "não está em execução", false, "status")
}

func TestTwoAgentsDoNotShareATill(t *testing.T) {
	s := openShop(t)
	s.until("the device", s.answering)
	out, err := s.cli("", "run")
	if err == nil || !strings.Contains(out, "não foi possível abrir os cupons") {
		t.Errorf("a second agent on the same folder: %v, %s", err, out)
	}
	if !s.answering() {
		t.Error("the first agent suffered")
	}
}

// A device that never answers keeps the agent no longer than anything else does.
func TestStopInTheMiddleOfASale(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.until("the device", s.answering)
	till, err := ipc.Dial(t.Context(), "unix", s.path("sat.sock"), ipc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer till.Close()
	struck := s.sat.struck(`{"script":{"function":"EnviarDadosVenda","do":"never","wait":true}}`)
	sold := make(chan sat.Outcome, 1)
	go func() {
		req := sattest.Request(sat.EnviarDadosVenda, 1, sattest.SaleXML("10.00", ""))
		reply, err := till.Call(t.Context(), req)
		sold <- sat.OutcomeOf(req, reply, err)
	}()
	<-struck
	start := time.Now()
	s.agent.Process.Signal(syscall.SIGTERM)
	if err := s.agent.Wait(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("the agent stopped after %s with %v", time.Since(start), err)
	}
	if outcome := <-sold; outcome != sat.Unknown {
		t.Errorf("the sale under way ended %v", outcome)
	}
}
