package broker

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zelo/collector/enrol"
)

// mosquitto is the broker of that name, in a process of its own, set up as
// docs/coletor-broker.md says.
func mosquitto(s *stand, receive func(string, string, []byte)) {
	t := s.t
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("SKIP: mosquitto is not installed (apt-get install mosquitto)")
		}
	}
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := s.ca.KeepServer(folder, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	write("ca.crt", string(s.ca.PEM()))
	acl := manual(t, "acl")
	write("acl", acl)
	s.mqtt, s.web = freeAddress(t), freeAddress(t)
	listener := strings.ReplaceAll(manual(t, "conf"), "/etc/mosquitto/zelo", folder)
	first, second := at(listener, s.mqtt), at(listener, s.web)+"protocol websockets\n"
	for _, line := range []string{"allow_anonymous false\n", "acl_file " + folder + "/acl\n", "max_packet_size 270000\n"} {
		second = strings.Replace(second, line, "", 1) // they are for all listeners
	}
	config := write("mosquitto.conf", "user root\nlog_dest stderr\nlog_type all\n"+first+second)
	s.diary = &diary{t: t}
	var process *exec.Cmd
	var outside *External
	s.start = func() {
		process = exec.Command(program, "-c", config)
		process.Stderr = s.diary
		s.diary.turn()
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "mosquitto", func() bool { return s.diary.says(" running\n") })
		if outside == nil {
			outside = StartExternal(ExternalOptions{Broker: "tls://" + s.mqtt, Receive: receive, Log: slog.New(slog.DiscardHandler),
				TLS: s.ca.ClientConfig(folder, enrol.CollectorName, time.Now)})
			t.Cleanup(outside.Close)
			s.use(outside)
		}
	}
	s.stop = func() {
		process.Process.Kill()
		process.Wait()
	}
	s.revoke = func(agent string) {
		acl += strings.Replace(manual(t, "revogado"), "a1b2c3d4e5f6g7h8", agent, 1)
		write("acl", acl)
		s.diary.turn()
		process.Process.Signal(syscall.SIGHUP)
		until(t, "the new list", func() bool { return s.diary.says("Reloading config") })
	}
}

// at is the manual's listener at another address.
func at(listener, address string) string {
	host, port, _ := net.SplitHostPort(address)
	return strings.Replace(listener, "listener 8883\n", "listener "+port+" "+host+"\n", 1)
}

// manual is a block of the manual, by its kind.
func manual(t *testing.T, kind string) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/coletor-broker.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok1 := strings.Cut(string(raw), "```"+kind+"\n")
	block, _, ok2 := strings.Cut(rest, "```")
	if !ok1 || !ok2 {
		t.Fatalf("the manual has no block %q", kind)
	}
	var out strings.Builder
	for line := range strings.Lines(block) {
		if text := strings.TrimSpace(line); text != "" || line == "\n" {
			out.WriteString(text + "\n")
		}
	}
	return out.String()
}

// diary is what a process logs.
type diary struct {
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder
}

func (d *diary) Write(p []byte) (int, error) {
	if testing.Verbose() {
		fmt.Fprintf(d.t.Output(), "%s", p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

// turn forgets what was logged so far.
func (d *diary) turn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text.Reset()
}

func (d *diary) says(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Contains(d.text.String(), text)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
