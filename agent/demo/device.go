package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// device is a simulated SAT, a process of its own.
type device struct {
	name, serial, code string
	*process
	address string   // as the agent's configuration names it
	line    *proxy   // to the agent; nil on a serial port
	control net.Conn // of the simulator
	answers *bufio.Reader
}

// startDevices starts SAT A on a simulated serial port and SAT B on TCP.
func (s *stage) startDevices() error {
	var err error
	s.a, err = s.startDevice("A", "900000001", "12345678", "-pty", "-link", s.path("porta"))
	if err != nil {
		return err
	}
	s.a.address = "serial:" + s.path("porta")
	at, err := freeAddress()
	if err != nil {
		return err
	}
	if s.b, err = s.startDevice("B", "900000002", "87654321", "-tcp", at); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.b.line = newProxy(l, func() (net.Conn, error) { return net.Dial("tcp", at) })
	s.b.address = "tcp:" + l.Addr().String()
	s.say("SAT A, nº %s, numa porta serial; SAT B, nº %s, por TCP: simulados, cada um um processo", s.a.serial, s.b.serial)
	return nil
}

// startDevice runs a simulated device that answers at the port given by its last
// arguments, and connects to its control port.
func (s *stage) startDevice(name, serial, code string, port ...string) (*device, error) {
	args := append([]string{"sim", "-controle", "127.0.0.1:0", "-pasta", s.path("sat-" + name), "-serie", serial, "-codigo", code}, port...)
	p, err := s.start("sat-"+name, true, nil, filepath.Join(s.bin, "zelo-agent"), args...)
	if err != nil {
		return nil, err
	}
	d := &device{name: name, serial: serial, code: code, process: p}
	s.devices = append(s.devices, d)
	ports := map[string]string{}
	for len(ports) < 2 {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("the simulated SAT %s did not start: %w\n%s", name, err, s.tails())
		}
		port, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		ports[port] = where
	}
	go io.Copy(io.Discard, p.out) // ends with the process
	if d.control, err = net.Dial("tcp", ports["control"]); err != nil {
		return nil, fmt.Errorf("cannot reach the simulated SAT %s: %w", name, err)
	}
	d.answers = bufio.NewReader(d.control)
	return d, nil
}

// tell gives the simulated device a command.
func (d *device) tell(command string) error {
	if _, err := fmt.Fprintln(d.control, command); err != nil {
		return err
	}
	line, err := d.answers.ReadString('\n')
	if err != nil || !strings.Contains(line, `"ok":true`) {
		return fmt.Errorf("the simulated SAT %s refused %s: %s %w", d.name, command, line, err)
	}
	return nil
}

// record is a line of a simulated device's own list of what it issued.
type record struct {
	Key     string `json:"key"`
	Cancels string `json:"cancels"`
	XML     []byte `json:"xml"`
}

// issued is what the devices issued, by their own lists.
func (s *stage) issued() (all []record, err error) {
	for _, d := range s.devices {
		f, err := os.Open(s.path("sat-"+d.name, "issued.jsonl"))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for lines := json.NewDecoder(f); lines.More(); {
			var r record
			if err := lines.Decode(&r); err != nil {
				return nil, err
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// of names the device that made a document: its serial number is in the key.
func (s *stage) of(key string) string {
	for _, d := range s.devices {
		if len(key) == 44 && key[22:31] == d.serial {
			return d.name
		}
	}
	return "?"
}
