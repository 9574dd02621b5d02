package link

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.bug.st/serial"

	"zelo/sat"
)

// A port has one owner, also when the programs run as root.
func TestPortHasOneOwner(t *testing.T) {
	slave, dev := newPort(t)
	serving(t, dev, &device{})
	c, info, err := OpenSerial(soon(t), slave.Name(), 0)
	if err != nil || info.Driver != "serial" || info.Where != slave.Name() {
		t.Fatalf("%+v, %v", info, err)
	}
	defer c.Close()
	for range 2 {
		second, _, err := OpenSerial(soon(t), slave.Name(), 0)
		if err == nil {
			second.Close()
		}
		if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), "another program uses it") {
			t.Errorf("the second open: %v", err)
		}
	}
	if r, err := c.Call(soon(t), sale(1)); err != nil || r.Session != 1 {
		t.Errorf("the owner: %+v, %v", r, err)
	}
	c.Close()
	again, _, err := OpenSerial(soon(t), slave.Name(), 0)
	if err != nil {
		t.Fatalf("after the owner closed: %v", err)
	}
	again.Close()
}

// A port that cannot be opened is left free.
func TestPortThatIsNoPort(t *testing.T) {
	path := t.TempDir() + "/ttyACM0"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := OpenSerial(soon(t), path, 0); !errors.Is(err, sat.ErrGone) || errors.Is(err, errBusy) {
			t.Errorf("got %v", err)
		}
	}
}

// What a former till and the device left in the port does not keep it from being
// opened and used.
func TestOpenPortInUse(t *testing.T) {
	for name, left := range stale() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slave, dev := newPort(t)
			if _, err := dev.Write(left[:min(len(left), 4000)]); err != nil { // as much as a terminal holds
				t.Fatal(err)
			}
			serving(t, dev, &device{})
			c, _, err := OpenSerial(soon(t), slave.Name(), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if r, err := c.Call(soon(t), sale(1)); err != nil || r.Session != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A port whose device has stopped reading holds up the write under way; closing
// ends it and leaves the port free.
func TestClosePortThatTakesNoBytes(t *testing.T) {
	t.Parallel()
	slave, dev := newPort(t)
	defer dev.Close()
	go func() { // greets, and reads no more
		b := make([]byte, 4096)
		n, _ := dev.Read(b)
		for _, f := range decodeAll(b[:n], n) {
			dev.Write(frame{kind: welcome, client: f.client, payload: Hello{}.encode()}.encode())
		}
	}()
	c, _, err := OpenSerial(soon(t), slave.Name(), 0)
	if err != nil {
		t.Fatal(err)
	}
	big := sat.Request{Function: sat.EnviarDadosVenda, Args: []string{"", strings.Repeat("x", 1<<20)}}
	if r, err := c.Call(t.Context(), big); sat.OutcomeOf(big, r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("got %v", err)
	}
	c.Close()
	select {
	case <-c.writing:
	case <-soon(t).Done():
		t.Error("the write still waits")
	}
	port, err := openPort(slave.Name(), &serial.Mode{BaudRate: defaultBaud})
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	port.Close()
}

// A program that is started while a port is open does not get it: it would keep a
// port that was unplugged.
func TestPortIsNotInherited(t *testing.T) {
	slave, dev := newPort(t)
	serving(t, dev, &device{})
	c, _, err := OpenSerial(soon(t), slave.Name(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	held, err := exec.Command("sh", "-c", "ls -l /proc/self/fd").CombinedOutput()
	if err != nil || !strings.Contains(string(held), "->") || strings.Contains(string(held), slave.Name()+"\n") {
		t.Errorf("%v; the child has\n%s", err, held)
	}
}
