package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed testdata/till.c
var tillSource []byte

// stage holds the processes of the demonstration.
type stage struct {
	ctx      context.Context
	bin, dir string
	link     string // one-time login to the collector's pages
	page     string // address of the till's

	sim, agent, collector, till *process
	control                     net.Conn // of the simulator
	controlLines                *bufio.Reader
	deviceLine, tillLine        *proxy
	keys                        []string // of the till's documents, in order
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser // its standard input and output, when it was started with them
	out  *bufio.Reader
	done chan struct{}
}

func (s *stage) say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

func (s *stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// start runs a program with its messages in a log file of that name. With talk its
// standard input and output are ours.
func (s *stage) start(name string, talk bool, env []string, program string, args ...string) (*process, error) {
	logFile, err := os.OpenFile(s.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	if talk {
		p.cmd.Stdout = nil
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		p.out = bufio.NewReader(out)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	return p, nil
}

// end stops a process: kill -9 or a polite request.
func (p *process) end(sig os.Signal) {
	if p == nil {
		return
	}
	p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (s *stage) stopAll() {
	for _, p := range []*process{s.till, s.agent, s.collector, s.sim} {
		p.end(syscall.SIGTERM)
	}
	for _, p := range []*proxy{s.deviceLine, s.tillLine} {
		if p != nil {
			p.close()
		}
	}
}

// run carries a program out to its end and returns what it printed.
func (s *stage) run(program string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.ctx, filepath.Join(s.bin, program), args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}

// until asks again and again, for as long as a person would wait.
func (s *stage) until(what string, ok func() bool) error {
	deadline := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-deadline:
			return fmt.Errorf("gave up waiting for %s; the logs say more:\n%s", what, s.tails())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// tails are the last lines of every log.
func (s *stage) tails() string {
	var b strings.Builder
	files, _ := filepath.Glob(s.path("*.log"))
	for _, f := range files {
		raw, _ := os.ReadFile(f)
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(&b, "-- %s\n%s\n", filepath.Base(f), strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return b.String()
}

// freePort is an address nobody listens on just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// setUp brings up collector, simulated SAT, agent and till, in that order.
func (s *stage) setUp() error {
	for _, step := range []func() error{s.startCollector, s.startSAT, s.startLines, s.enrolAgent, s.startAgent, s.startTill} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startCollector() error {
	var addr [3]string
	for i := range addr {
		var err error
		if addr[i], err = freePort(); err != nil {
			return err
		}
	}
	out, err := s.run("zelo-collector", "init", "-pasta", s.path("coletor"),
		"-paginas", addr[0], "-cadastro", addr[1], "-mqtt", addr[2], "-email", "demo@exemplo.com.br")
	if err != nil {
		return err
	}
	s.link = lastLine(out)
	return s.serveCollector()
}

func (s *stage) serveCollector() (err error) {
	s.collector, err = s.start("coletor", false, nil, filepath.Join(s.bin, "zelo-collector"), "serve", "-pasta", s.path("coletor"))
	return err
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// startSAT runs the simulated device as a process of its own and connects to its
// control port.
func (s *stage) startSAT() error {
	p, err := s.start("sat", true, nil, filepath.Join(s.bin, "zelo-agent"), "sim",
		"-tcp", "127.0.0.1:0", "-controle", "127.0.0.1:0", "-pasta", s.path("sat"))
	if err != nil {
		return err
	}
	s.sim = p
	ports := map[string]string{}
	for len(ports) < 2 {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the simulated SAT did not start: %w\n%s", err, s.tails())
		}
		name, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		ports[name] = where
	}
	if s.control, err = net.Dial("tcp", ports["control"]); err != nil {
		return fmt.Errorf("cannot reach the simulated SAT: %w", err)
	}
	s.controlLines = bufio.NewReader(s.control)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.deviceLine = newProxy(l, func() (net.Conn, error) { return net.Dial("tcp", ports["tcp"]) })
	s.say("SAT simulado nº 900000001 ligado (um processo à parte)")
	return nil
}

// tell gives the simulated device a command.
func (s *stage) tell(command string) error {
	if _, err := fmt.Fprintln(s.control, command); err != nil {
		return err
	}
	line, err := s.controlLines.ReadString('\n')
	if err != nil || !strings.Contains(line, `"ok":true`) {
		return fmt.Errorf("the simulated SAT refused %s: %s %w", command, line, err)
	}
	return nil
}

// startLines puts the till's line to the agent through a proxy too.
func (s *stage) startLines() error {
	l, err := net.Listen("unix", s.path("pdv.sock"))
	if err != nil {
		return err
	}
	s.tillLine = newProxy(l, func() (net.Conn, error) { return net.Dial("unix", s.path("sat.sock")) })
	if s.page, err = freeAddress(); err != nil {
		return err
	}
	config := fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [%q]\npagina = %q\nintervalo_status = \"2s\"\nintervalo_sinal = \"2s\"\nbuffer_mb = 64\n",
		s.path("caixa"), s.path("sat.sock"), "tcp:"+s.deviceLine.listener.Addr().String(), s.page)
	return os.WriteFile(s.path("agent.toml"), []byte(config), 0o600)
}

// freeAddress is one that nobody listens at now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *stage) enrolAgent() error {
	var token, address string
	err := s.until("the collector", func() bool {
		out, err := s.run("zelo-collector", "enrol", "-pasta", s.path("coletor"))
		if err != nil {
			return false
		}
		lines := strings.Fields(out)
		token = lines[len(lines)-1]
		for _, f := range lines {
			if strings.HasPrefix(f, "https://") {
				address = f
			}
		}
		_, err = s.run("zelo-agent", "enrol", "-config", s.path("agent.toml"), "-coletor", address, token)
		return err == nil
	})
	if err != nil {
		return err
	}
	s.say("Caixa ligado ao coletor com um código que só vale para ele")
	return nil
}

func (s *stage) startAgent() (err error) {
	s.agent, err = s.start("agente", false, nil, filepath.Join(s.bin, "zelo-agent"), "run", "-config", s.path("agent.toml"))
	if err != nil {
		return err
	}
	return s.until("the agent", func() bool { return s.status().Answering })
}

// status is what `zelo-agent status` says of the agent.
type status struct {
	Answering, Connected bool
	OpenCases            int
	Buffer               []struct {
		Name    string
		Waiting int
	}
}

// waiting counts the documents that only the till holds.
func (st status) waiting() int {
	for _, b := range st.Buffer {
		if b.Name == "documents" {
			return b.Waiting
		}
	}
	return 0
}

// status asks the agent; the zero value while it cannot answer.
func (s *stage) status() (st status) {
	out, err := s.run("zelo-agent", "status", "-json", "-config", s.path("agent.toml"))
	if err == nil {
		json.Unmarshal([]byte(out), &st)
	}
	return st
}

// startTill builds the C program and lets it load the library.
func (s *stage) startTill() error {
	if err := os.WriteFile(s.path("till.c"), tillSource, 0o600); err != nil {
		return err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if out, err := exec.Command(cc, "-o", s.path("till"), s.path("till.c"), "-ldl").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the till: %w: %s", err, out)
	}
	p, err := s.start("pdv", true, []string{"ZELO_SOCKET=" + s.path("pdv.sock"), "ZELO_CAIXA=001"},
		s.path("till"), filepath.Join(s.bin, "libsat.so"), code)
	if err != nil {
		return err
	}
	s.till = p
	s.say("PDV em C carregou libsat.so, como carregaria a biblioteca do fabricante")
	return nil
}

// ask gives the till a command and returns the words of its answer.
func (s *stage) ask(command string) ([]string, error) {
	if _, err := fmt.Fprintln(s.till.in, command); err != nil {
		return nil, err
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := s.till.out.ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "error" {
			return nil, fmt.Errorf("the till gave up: %s\n%s", strings.TrimSpace(line), s.tails())
		}
		return words, nil
	case <-time.After(3 * time.Minute):
		return nil, errors.New("the till hangs:\n" + s.tails())
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// archive opens an export and returns the documents in it by file name without
// folder.
func archive(path string) (map[string][]byte, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	out := map[string][]byte{}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".xml") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
		name := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("the export has %s twice", name)
		}
		out[name] = raw
	}
	return out, nil
}
