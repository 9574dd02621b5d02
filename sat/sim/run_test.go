package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/link"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// TestMain lets the test binary be a simulator's process: with ZELO_SIM set to a
// folder it runs one there and prints its ports.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ZELO_SIM"); dir != "" {
		s, err := sim.New(sim.Options{Dir: dir})
		if err == nil {
			err = s.Run(context.Background(), sim.Ports{TCP: "127.0.0.1:0", Control: filepath.Join(dir, "control"),
				Ready: func(port, where string) { fmt.Println(port, where) }})
		}
		fmt.Println("ended", err)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// process is a simulator in a process of its own.
type process struct {
	cmd     *exec.Cmd
	out     *bufio.Reader
	tcp     string
	control *controller
}

func startProcess(t *testing.T, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ZELO_SIM="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, out: bufio.NewReader(out)}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p.tcp = p.line(t, "tcp ")
	p.control = dialControl(t, "unix", p.line(t, "control "))
	return p
}

// line returns the process's next line, which begins so.
func (p *process) line(t *testing.T, prefix string) string {
	t.Helper()
	text, err := p.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(text, prefix) {
		t.Fatalf("the process says %q, %v", text, err)
	}
	return strings.TrimSpace(strings.TrimPrefix(text, prefix))
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// controller speaks the control protocol.
type controller struct {
	conn  net.Conn
	lines *bufio.Scanner
}

type controlAnswer struct {
	OK     bool         `json:"ok"`
	Error  string       `json:"error"`
	Issued []sim.Record `json:"issued"`
	Struck int          `json:"struck"`
}

func dialControl(t *testing.T, network, addr string) *controller {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &controller{conn, newLines(conn)}
}

func newLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	return lines
}

// say sends one line and returns the answer.
func (c *controller) say(t *testing.T, line string) controlAnswer {
	t.Helper()
	if _, err := io.WriteString(c.conn, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return c.answer(t)
}

func (c *controller) answer(t *testing.T) controlAnswer {
	t.Helper()
	var a controlAnswer
	if !c.lines.Scan() {
		t.Fatalf("no answer, %v", c.lines.Err())
	}
	if err := json.Unmarshal(c.lines.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *controller) ok(t *testing.T, line string) controlAnswer {
	t.Helper()
	a := c.say(t, line)
	if !a.OK || a.Error != "" {
		t.Fatalf("%s: %s", line, a.Error)
	}
	return a
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, addr string) *link.Conn {
	t.Helper()
	c, _, err := link.OpenTCP(soon(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func answered(t *testing.T, d sat.Device, req sat.Request) sat.Reply {
	t.Helper()
	r, err := d.Call(soon(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The process crashes by script after issuing, and is killed with a command
// under way; each time the next process is the same device, and its list says
// what was issued.
func TestProcessThatDies(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir)
	if r := answered(t, dial(t, p.tcp), sattest.Sale(1)); r.Code != 6000 {
		t.Fatal(r.Code)
	}
	p.control.ok(t, `{"script":{"function":"EnviarDadosVenda","do":"crash"}}`)
	req := sattest.Sale(2)
	if r, err := dial(t, p.tcp).Call(soon(t), req); sat.OutcomeOf(req, r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("crash: %v", err)
	}
	p.line(t, "ended the simulated device crashed")
	if err := p.cmd.Wait(); err == nil {
		t.Error("the process ended well")
	}

	p = startProcess(t, dir)
	if r := answered(t, dial(t, p.tcp), sattest.Request(sat.ConsultarNumeroSessao, 3, "2")); r.Code != 6000 || r.Session != 2 {
		t.Errorf("after the crash: %s of %d", r.Code, r.Session)
	}
	p.control.ok(t, `{"script":{"do":"late","before":true,"wait":true}}`)
	ctx, cancel := context.WithCancel(soon(t))
	ended := make(chan error, 1)
	conn := dial(t, p.tcp)
	go func() { _, err := conn.Call(ctx, sattest.Sale(4)); ended <- err }()
	if a := p.control.answer(t); a.Struck != 1 {
		t.Errorf("when it struck: %+v", a)
	}
	p.kill()
	if err := <-ended; !errors.Is(err, sat.ErrGone) || errors.Is(err, sat.ErrNotSent) {
		t.Errorf("kill: %v", err)
	}
	cancel()

	p = startProcess(t, dir)
	if r := answered(t, dial(t, p.tcp), sattest.Request(sat.ConsultarNumeroSessao, 5, "4")); r.Code != 11003 {
		t.Errorf("the killed sale: %s", r.Code)
	}
	issued := p.control.ok(t, `{"list":true}`).Issued
	if len(issued) != 2 || issued[0].Session != 1 || issued[1].Session != 2 || len(readLedger(t, dir)) != 2 {
		t.Errorf("issued %d documents", len(issued))
	}
}

// running runs a simulator in this process and returns its ports by name.
func running(t *testing.T, s *sim.Sim, p sim.Ports) (where func(port string) string, stop func() error) {
	t.Helper()
	type opened struct{ port, where string }
	ready := make(chan opened, 8)
	p.Ready = func(port, where string) { ready <- opened{port, where} }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, p) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { stop() })
	return func(port string) string {
		t.Helper()
		select {
		case o := <-ready:
			if o.port != port {
				t.Fatalf("port %s opened, want %s", o.port, port)
			}
			return o.where
		case err := <-ended:
			ended <- err
			t.Fatalf("the simulator ended: %v", err)
		}
		return ""
	}, stop
}

func TestControl(t *testing.T) {
	b := device(t, sim.Options{})
	where, _ := running(t, b.Sim, sim.Ports{TCP: "127.0.0.1:0", Control: "127.0.0.1:0"})
	conn := dial(t, where("tcp"))
	c := dialControl(t, "tcp", where("control"))
	c.ok(t, `{"set":{"state":2,"cert_expires":"2026-12-11","online":false,"memory_used":1048576,"clock_offset":"1h","update":"01.01.00","number":7}}`)
	s := b.status()
	if s.State != sat.StateBlockedContribuinte || s.Connected() || s.CertExpires.Day() != 11 || s.MemoryUsed.Text != "1 MB" || !s.Now.Equal(noon().Add(time.Hour)) {
		t.Errorf("status %+v", s)
	}
	c.ok(t, `{"set":{"state":0}}`)
	c.ok(t, `{"script":{"function":"ConsultarSAT","nth":2,"do":"late","before":true,"for":"1ms"}}`)
	for session := range 2 {
		if r := answered(t, conn, sattest.Request(sat.ConsultarSAT, 900+session)); r.Code != 8000 {
			t.Error(r.Code)
		}
	}
	c.ok(t, `{"script":{"function":"enviardadosvenda","do":"late","wait":true}}`)
	replied := make(chan sat.Reply, 1)
	go func() { r, _ := conn.Call(soon(t), sattest.Sale(903)); replied <- r }()
	if a := c.answer(t); a.Struck != 2 {
		t.Errorf("when it struck: %+v", a)
	}
	c.ok(t, `{"release":true}`)
	d, err := (<-replied).Document()
	list := c.ok(t, `{"list":true}`)
	if err != nil || list.Struck != 2 || len(list.Issued) != 1 || string(list.Issued[0].XML) != string(d.XML) || !strings.HasSuffix(d.Key[:37], "000008") {
		t.Errorf("document %s, %v; list %+v", d.Key, err, list)
	}
	c.ok(t, `{"plug":false}`)
	<-conn.Gone()
	c.ok(t, `{"plug":true}`)
	for _, bad := range []string{`{}`, `x`, `{"set":{"state":9}}`, `{"set":{"colour":"blue"}}`, `{"script":{"do":"dance"}}`,
		`{"script":{"do":"late","for":"soon"}}`, `{"script":{"do":"late","function":"Vender"}}`} {
		if a := c.say(t, bad); a.OK || a.Error == "" {
			t.Errorf("%s: %+v", bad, a)
		}
	}
}

// A new client takes the place of the former one; an unplugged device answers
// none.
func TestOneClientAtATime(t *testing.T) {
	b := device(t, sim.Options{})
	where, stop := running(t, b.Sim, sim.Ports{TCP: "127.0.0.1:0"})
	addr := where("tcp")
	first := dial(t, addr)
	answered(t, first, sattest.Sale(1))
	second := dial(t, addr)
	<-first.Gone()
	answered(t, second, sattest.Sale(2))
	b.Unplug()
	<-second.Gone()
	if _, _, err := link.OpenTCP(soon(t), addr); !errors.Is(err, sat.ErrGone) {
		t.Errorf("unplugged: %v", err)
	}
	b.Plug()
	third := dial(t, addr)
	answered(t, third, sattest.Sale(3))
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	<-third.Gone()
}

func TestPseudoTerminal(t *testing.T) {
	b := device(t, sim.Options{})
	path := filepath.Join(t.TempDir(), "ttySAT")
	where, stop := running(t, b.Sim, sim.Ports{PTY: true, Link: path})
	open := func() *link.Conn {
		t.Helper()
		c, info, err := link.OpenSerial(soon(t), path, 0)
		if err != nil || info.Serial != "900000001" {
			t.Fatalf("%+v, %v", info, err)
		}
		return c
	}
	where("pty")
	first := open()
	answered(t, first, sattest.Sale(1))
	first.Close() // the till's program ends; the next finds the same terminal
	second := open()
	answered(t, second, sattest.Sale(2))
	b.Unplug()
	<-second.Gone()
	second.Close()
	b.Plug()
	where("pty")
	third := open()
	answered(t, third, sattest.Sale(3))
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	<-third.Gone()
	third.Close()
}

func TestPortsThatCannotOpen(t *testing.T) {
	b := device(t, sim.Options{})
	file := filepath.Join(t.TempDir(), "arquivo")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]sim.Ports{
		"TCP":     {TCP: "127.0.0.1:x"},
		"control": {TCP: "127.0.0.1:0", Control: file},
		"link":    {PTY: true, Link: file},
	} {
		if err := b.Sim.Run(soon(t), p); err == nil {
			t.Errorf("%s: ran", name)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("a file that is no socket and no link was removed")
	}
}
