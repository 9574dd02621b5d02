//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"zelo/agent/devices"
	"zelo/agent/wire"
	"zelo/buffer"
)

// The "ponte direta" end to end: a POS program in C with the real library, the
// agent as a process that is killed, removed or hung under it, and a maker's
// library that reaches the same simulated device without the agent.

// counter is a shop whose device is reached by TCP, so that the maker's library
// can take it over, and whose POS is a process too.
type counter struct {
	*shop
	device string
	pos    *exec.Cmd
	say    io.Writer
	hear   *bufio.Scanner
}

func openCounter(t *testing.T) *counter {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc, the till and the maker's library are C programs")
	}
	c := &counter{shop: newShop(t), device: freePort(t)}
	c.sat = c.openDevice("sat", "-tcp", c.device)
	c.write("agent.toml", fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"tcp:%s\"]\nintervalo_status = \"1h\"\nbuffer_mb = 64\npagina = \"\"\n",
		c.path("caixa"), c.path("sat.sock"), c.device))
	c.write("sat.ini", fmt.Sprintf("socket = %s\nbiblioteca = %s\nponte = %s\ntrava = %s\nprazo.EnviarDadosVenda = 10\nprazo.ConsultarNumeroSessao = 10\n",
		c.path("sat.sock"), c.path("libfabricante.so"), c.path("caixa/ponte"), c.path("caixa/ponte/equipamento.lock")))
	c.compile("-shared", "-fPIC", "-o", c.path("libfabricante.so"), filepath.Join(root, "sat/shim/testdata/maker.c"))
	c.compile("-o", c.path("till"), filepath.Join(root, "agent/demo/testdata/till.c"), "-ldl")
	c.copy(filepath.Join(c.bin, "driver"), "driver")
	c.copy(filepath.Join(c.bin, "libsat.so"), "libsat.so")
	return c
}

// openForSale is a counter whose agent and POS are at work.
func openForSale(t *testing.T) *counter {
	t.Helper()
	c := openCounter(t)
	c.startAgent()
	c.until("the device", c.answering)
	c.openPOS()
	return c
}

// copy puts a program where every user may run it.
func (c *counter) copy(from, to string) {
	c.t.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(c.path(to), raw, 0o755)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) compile(args ...string) {
	c.t.Helper()
	c.must(exec.Command("gcc", args...))
}

// nobody is the user that POS programs run as where the tests may choose: they
// must not need to be root, as the agent is.
const nobody = 65534

// openPOS starts the POS program.
func (c *counter) openPOS() {
	c.t.Helper()
	c.pos = exec.Command(c.path("till"), c.path("libsat.so"), "12345678")
	c.pos.Env = append(os.Environ(), "ZELO_INI="+c.path("sat.ini"), "ZELO_MAKER_EXEC="+c.path("driver"), "ZELO_DRIVER_DEVICE="+c.device)
	if os.Getuid() == 0 {
		c.pos.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	in, err := c.pos.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := c.pos.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.pos.Stderr = c.t.Output()
	c.start(c.pos)
	c.say, c.hear = in, bufio.NewScanner(out)
}

// sell makes the POS sell; it returns the document's key.
func (c *counter) sell(n int) string {
	c.t.Helper()
	fmt.Fprintf(c.say, "sale %d\n", n)
	return c.heard(n)
}

// heard is the key of sale n as the POS tells it.
func (c *counter) heard(n int) string {
	c.t.Helper()
	var key string
	var sold, tries int
	// A till that is never told anything certain asks for hours.
	late := time.AfterFunc(2*time.Minute, func() { c.pos.Process.Kill() })
	defer late.Stop()
	if !c.hear.Scan() {
		c.t.Fatalf("the till ended at sale %d", n)
	}
	if _, err := fmt.Sscanf(c.hear.Text(), "sale %d %s %d", &sold, &key, &tries); err != nil || sold != n {
		c.t.Fatalf("sale %d: the till says %q", n, c.hear.Text())
	}
	return key
}

// hang makes the agent stand still while it does not use the device. One that
// hangs in a call keeps the device: nobody can know what it is about to do.
func (c *counter) hang() {
	c.t.Helper()
	c.until("a moment between two calls", func() bool {
		c.agent.Process.Signal(syscall.SIGSTOP)
		c.until("the agent to stand still", c.stopped)
		at, cancel := context.WithTimeout(c.t.Context(), 20*time.Millisecond)
		defer cancel()
		release, err := devices.Reserve(at, devices.LockIn(c.path("caixa/ponte")))
		if err != nil {
			c.agent.Process.Signal(syscall.SIGCONT)
			return false
		}
		release()
		return true
	})
}

// stopped reports whether every thread of the agent has stopped: the signal takes
// its time.
func (c *counter) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.agent.Process.Pid))
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		_, state, _ := bytes.Cut(stat, []byte(") "))
		if err != nil || !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// check stops the agent and compares what the device issued with what goes to the
// collector and what the POS was told.
func (c *counter) check(sold []string) {
	c.t.Helper()
	c.until("the calls made without the agent", func() bool {
		files, _ := filepath.Glob(c.path("caixa/ponte/*.ponte"))
		out, err := c.cli("", "status", "-json")
		var st struct{ OpenCases int }
		return len(files) == 0 && err == nil && json.Unmarshal([]byte(out), &st) == nil && st.OpenCases == 0
	})
	c.agent.Process.Signal(syscall.SIGTERM)
	c.agent.Wait()
	issued := c.sat.issued()
	if len(issued) != len(sold) {
		c.t.Errorf("%d sales, %d documents", len(sold), len(issued))
	}
	for _, key := range sold {
		if issued[key] == nil {
			c.t.Errorf("the till holds document %s, which the device did not issue", key)
		}
	}
	outgoing := c.outgoing()
	for key, xml := range issued {
		if n := outgoing[string(xml)]; n != 1 {
			c.t.Errorf("document %s goes to the collector %d times", key, n)
		}
	}
	if len(outgoing) != len(issued) {
		c.t.Errorf("%d documents go to the collector, %d were issued", len(outgoing), len(issued))
	}
}

// outgoing counts the documents that wait for the collector.
func (c *counter) outgoing() map[string]int {
	c.t.Helper()
	b, _, err := buffer.Open(c.path("caixa/cupons.db"), buffer.Options{MaxBytes: 64 << 20, Streams: []buffer.Stream{
		{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer b.Close()
	codec, err := wire.NewCodec()
	if err != nil {
		c.t.Fatal(err)
	}
	defer codec.Close()
	records, err := b.Peek(wire.StreamDocuments, 0, 10000, 1<<30)
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[string]int{}
	for _, r := range records {
		var i wire.Item
		if err := codec.Decode(r.Data, &i); err != nil {
			c.t.Fatal(err)
		}
		out[string(i.Body)]++
	}
	return out
}

func TestSellingOnThoughTheAgentIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("again and again", func(t *testing.T) {
		c := openForSale(t)
		const sales, deaths = 25, 15 // at the least
		var killed atomic.Int32
		stop, ended := make(chan struct{}), make(chan struct{})
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		go func() { // the only one to touch the agent until ended
			defer close(ended)
			r := rand.New(rand.NewPCG(seed, 1))
			wait := func(ms int) { <-time.After(time.Duration(ms) * time.Millisecond) }
			for {
				select {
				case <-stop:
					return
				default:
				}
				wait(50 + r.IntN(600)) // some lives end before anything is settled, some do not
				c.kill()
				killed.Add(1)
				wait(r.IntN(400))
				c.startAgent()
			}
		}()
		var sold []string
		for n := 1; n <= sales || killed.Load() < deaths; n++ {
			sold = append(sold, c.sell(n))
		}
		close(stop)
		<-ended
		t.Logf("%d sales, the agent killed %d times", len(sold), killed.Load())
		c.check(sold)
	})
	t.Run("in a sale, and the till with it", func(t *testing.T) {
		c := openForSale(t)
		sold := []string{c.sell(1)}
		c.sat.tell(`{"script":{"function":"EnviarDadosVenda","do":"never"}}`)
		fmt.Fprintln(c.say, "sale 2")
		c.until("the device to issue", func() bool { return len(c.sat.issued()) == 2 })
		c.kill()
		c.pos.Process.Kill()
		c.pos.Wait()
		// The power is back, but not the agent. The customer's sale waits, the next
		// one does not.
		c.openPOS()
		fmt.Fprintln(c.say, "sale 2")
		waiting := *c
		c.openPOS()
		sold = append(sold, c.sell(3))
		c.startAgent()
		sold = append(sold, waiting.heard(2))
		c.check(sold)
	})
}

func TestSellingOnWithoutTheAgent(t *testing.T) {
	t.Parallel()
	t.Run("uninstalled", func(t *testing.T) {
		c := openForSale(t)
		sold := []string{c.sell(1), c.sell(2)}
		c.agent.Process.Signal(syscall.SIGTERM)
		c.agent.Wait()
		for n := range 8 {
			sold = append(sold, c.sell(n+3))
		}
		c.startAgent()
		sold = append(sold, c.sell(11))
		c.check(sold)
	})
	t.Run("hung", func(t *testing.T) {
		c := openForSale(t)
		sold := []string{c.sell(1), c.sell(2)}
		c.hang()
		sold = append(sold, c.sell(3), c.sell(4))
		c.agent.Process.Signal(syscall.SIGCONT)
		sold = append(sold, c.sell(5))
		c.check(sold)
	})
}
