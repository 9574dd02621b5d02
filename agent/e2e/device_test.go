//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// device is a simulated device, a process with a folder of its own.
type device struct {
	t       *testing.T
	dir     string
	socket  string // of its control
	control *control
}

// control is a connection by which a device is given commands.
type control struct {
	net.Conn
	lines *bufio.Reader
}

func (d *device) dial() *control {
	d.t.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return &control{conn, bufio.NewReader(conn)}
}

func (c *control) tell(t *testing.T, command string) {
	t.Helper()
	fmt.Fprintln(c, command)
	line, err := c.lines.ReadString('\n')
	if err != nil || !strings.Contains(line, `"ok":true`) {
		t.Fatalf("the simulator refused %s: %s %v", command, line, err)
	}
}

// openDevice starts a simulated device that keeps itself in the folder name and
// answers at the one port that args give.
func (s *shop) openDevice(name string, args ...string) *device {
	s.t.Helper()
	d := &device{t: s.t, dir: s.path(name), socket: s.path(name + ".controle")}
	cmd := exec.Command(filepath.Join(s.bin, "zelo-agent"), append([]string{"sim", "-controle", d.socket, "-pasta", d.dir}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(cmd)
	ready := map[string]bool{}
	for lines := bufio.NewScanner(out); len(ready) < 2 && lines.Scan(); {
		port, _, _ := strings.Cut(lines.Text(), " ")
		ready[port] = true
	}
	go io.Copy(io.Discard, out)
	d.control = d.dial()
	return d
}

// tell gives the device a command.
func (d *device) tell(command string) {
	d.t.Helper()
	d.control.tell(d.t, command)
}

// struck scripts a fault and returns what is closed when it has struck.
func (d *device) struck(script string) <-chan struct{} {
	d.t.Helper()
	c, done := d.dial(), make(chan struct{})
	c.tell(d.t, script)
	go func() { c.lines.ReadString('\n'); close(done) }()
	return done
}

// issued is the device's own list, by access key.
func (d *device) issued() map[string][]byte {
	d.t.Helper()
	return issuedIn(d.t, d.dir)
}

// issuedIn reads the list of the simulated device that keeps itself in a folder.
func issuedIn(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "issued.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for line := range bytes.Lines(raw) {
		var r struct {
			Key string
			XML []byte
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		out[r.Key] = r.XML
	}
	return out
}
