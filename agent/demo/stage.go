package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// stage holds the processes of the demonstration.
type stage struct {
	ctx      context.Context
	bin, dir string
	link     string // one-time login to the collector's pages
	page     string // address of the till's

	agent, collector *process
	a, b             *device
	devices          []*device // these two
	tills            []*till   // 001 and 002
	tillLine         *proxy    // of both to the agent
	sales            atomic.Int32
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
	for _, t := range s.tills {
		t.end(syscall.SIGTERM)
	}
	s.agent.end(syscall.SIGTERM)
	s.collector.end(syscall.SIGTERM)
	for _, d := range s.devices {
		d.end(syscall.SIGTERM)
		d.line.close()
	}
	s.tillLine.close()
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

// setUp brings up collector, simulated devices, agent and tills, in that order.
func (s *stage) setUp() error {
	for _, step := range []func() error{s.startCollector, s.startDevices, s.configureAgent, s.enrolAgent, s.startAgent, s.startTills} {
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
		if addr[i], err = freeAddress(); err != nil {
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

// configureAgent writes the one file that an agent needs.
func (s *stage) configureAgent() (err error) {
	if s.page, err = freeAddress(); err != nil {
		return err
	}
	config := fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [%q, %q]\ncaixas = [\"001=%s\", \"002=%s\"]\n"+
		"pagina = %q\nintervalo_status = \"2s\"\nintervalo_sinal = \"2s\"\nbuffer_mb = 64\n",
		s.path("caixa"), s.path("sat.sock"), s.a.address, s.b.address, s.a.serial, s.b.serial, s.page)
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
	s.say("Um agente para os dois SAT, ligado ao coletor com um código que só vale para ele")
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
