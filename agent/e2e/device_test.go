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
	t     *testing.T
	dir   string
	wire  net.Conn // control
	lines *bufio.Reader
}

// openDevice starts a simulated device that keeps itself in the folder name and
// answers at the one port that args give.
func (s *shop) openDevice(name string, args ...string) *device {
	s.t.Helper()
	d := &device{t: s.t, dir: s.path(name)}
	control := s.path(name + ".controle")
	cmd := exec.Command(filepath.Join(s.bin, "zelo-agent"), append([]string{"sim", "-controle", control, "-pasta", d.dir}, args...)...)
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
	if d.wire, err = net.Dial("unix", control); err != nil {
		s.t.Fatal(err)
	}
	d.lines = bufio.NewReader(d.wire)
	return d
}

// tell gives the device a command.
func (d *device) tell(command string) {
	d.t.Helper()
	fmt.Fprintln(d.wire, command)
	line, err := d.lines.ReadString('\n')
	if err != nil || !strings.Contains(line, `"ok":true`) {
		d.t.Fatalf("the simulator refused %s: %s %v", command, line, err)
	}
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
