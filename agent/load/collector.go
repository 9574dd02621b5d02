package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// collector is the one under load, a process of its own.
type collector struct {
	ctx             context.Context
	program, folder string
	mqtt, enrolment string // host:port
	pages           string // the same
	secret          string // of the link that its first person signs in with
	log             string // file of its messages
	cmd             *exec.Cmd
	done            chan struct{}
}

// newCollector makes an empty collector on free ports.
func newCollector(ctx context.Context, bin, folder string) (*collector, error) {
	c := &collector{ctx: ctx, program: filepath.Join(bin, "zelo-collector"), folder: filepath.Join(folder, "coletor"),
		log: filepath.Join(folder, "coletor.log")}
	var ports [3]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().String()
	}
	c.mqtt, c.enrolment, c.pages = ports[0], ports[1], ports[2]
	out, err := c.command("init", "-email", "carga@exemplo.com.br", "-nome", "127.0.0.1", "-mqtt", c.mqtt, "-cadastro", c.enrolment, "-paginas", c.pages)
	if err != nil {
		return c, err
	}
	_, c.secret, _ = strings.Cut(strings.TrimSpace(out), "/entrar/")
	return c, c.allowPrivateHooks()
}

// allowPrivateHooks lets webhooks go to this machine.
func (c *collector) allowPrivateHooks() error {
	file := filepath.Join(c.folder, "coletor.toml")
	config, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	const setting = "avisos_rede_interna = "
	changed := strings.Replace(string(config), setting+"false", setting+"true", 1)
	if !strings.Contains(changed, setting+"true") {
		return fmt.Errorf("%s has no setting %s", file, setting)
	}
	return os.WriteFile(file, []byte(changed), 0o600)
}

// command runs one of the collector's commands and returns what it prints.
func (c *collector) command(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(c.ctx, c.program, append([]string{name, "-pasta", c.folder}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("zelo-collector %s: %w: %s", name, err, exit.Stderr)
	}
	return string(out), err
}

// start starts it and returns when it listens.
func (c *collector) start() error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd, c.done = exec.Command(c.program, "serve", "-pasta", c.folder), make(chan struct{})
	c.cmd.Stderr = log
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the collector: %w", err)
	}
	go func() { c.cmd.Wait(); close(c.done) }()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", c.enrolment, time.Second) // the last that it opens but one
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.done:
			return errors.New("the collector did not start")
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("the collector did not listen in time")
}

// stop ends it as a service is stopped.
func (c *collector) stop() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the collector does not stop")
	}
}

// kill ends it as a power cut does.
func (c *collector) kill() {
	if c.cmd != nil {
		c.cmd.Process.Kill()
		<-c.done
	}
}

// access gives tills what they need to enrol.
func (c *collector) access(tills int) (a access, err error) {
	a = access{Enrolment: c.enrolment, Broker: c.mqtt}
	if a.CA, err = os.ReadFile(filepath.Join(c.folder, "ca.crt")); err != nil {
		return a, err
	}
	for from := 0; from < tills; from += tokenTills {
		out, err := c.command("enrol", "-caixas", strconv.Itoa(tokenTills), "-dias", "1")
		if err != nil {
			return a, err
		}
		lines := strings.Fields(out)
		a.Tokens = append(a.Tokens, lines[len(lines)-1])
	}
	return a, nil
}

// memory is what the process holds of the machine's, in bytes (proc(5), statm).
func (c *collector) memory() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	fields := strings.Fields(string(raw))
	if err == nil && len(fields) < 2 {
		err = errors.New("not understood")
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the collector's memory: %w", err)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// cpu is the processor time the process has used (proc(5), stat: in hundredths of
// a second), 0 when it cannot be told.
func (c *collector) cpu() time.Duration {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// compare exports everything and compares it with what was sold: SHA-256 in
// hexadecimal, by key.
func (c *collector) compare(sold map[string]string) (missing, differing, strange int, err error) {
	file := filepath.Join(c.folder, "exportacao.zip")
	if _, err := c.command("export", "-o", file); err != nil {
		return 0, 0, 0, err
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return 0, 0, 0, err
	}
	defer z.Close()
	found := map[string]bool{}
	for _, f := range z.File {
		key, is := strings.CutPrefix(strings.TrimSuffix(path.Base(f.Name), ".xml"), "AD")
		if !is || path.Ext(f.Name) != ".xml" {
			continue
		}
		sum, err := sumOf(f)
		if err != nil {
			return 0, 0, 0, err
		}
		switch want, ok := sold[key]; {
		case !ok:
			strange++
		case found[key] || sum != want:
			differing++
		}
		found[key] = true
	}
	for key := range sold {
		if !found[key] {
			missing++
		}
	}
	return missing, differing, strange, nil
}

func sumOf(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// lastWords is what the collector said last, for a run that failed.
func (c *collector) lastWords() error {
	raw, err := os.ReadFile(c.log)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return fmt.Errorf("the collector's last words:\n%s", strings.Join(lines[max(0, len(lines)-10):], "\n"))
}
