//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
)

// Hundreds of sales while agent and collector are killed and cables are pulled, all
// of them real processes: afterwards every document is archived once, byte for byte.

const (
	roughSales = 300
	answerTime = 10 * time.Second // within which a till is answered, as its sat.ini says
	scheduling = 3 * time.Second  // for a busy machine to hand the answer over
)

// rough is a shop on a bad day: two devices, one agent, four tills, a collector.
type rough struct {
	*shop
	random  *rand.Rand
	devices []*device
	tills   []*pos
	judges  []*judge
	struck  map[string]int
}

// faults are what happens to it. Each leaves everything as it should be, at work.
var faults = []struct {
	name   string
	strike func(*rough)
}{
	{"agent killed", func(r *rough) {
		r.kill()
		r.rest(200)
		r.startAgent()
	}},
	{"collector killed", func(r *rough) {
		r.killCollector()
		r.rest(500)
		r.startCollector()
	}},
	{"agent and collector killed", func(r *rough) {
		r.kill()
		r.killCollector()
		r.rest(200)
		r.startCollector()
		r.startAgent()
	}},
	{"device unplugged", func(r *rough) {
		d := r.device()
		d.tell(`{"plug":false}`)
		r.rest(1000)
		d.tell(`{"plug":true}`)
	}},
	{"device unplugged, agent killed", func(r *rough) {
		d := r.device()
		d.tell(`{"plug":false}`)
		r.rest(50)
		r.kill()
		r.startAgent()
		r.rest(500)
		d.tell(`{"plug":true}`)
	}},
	{"device unplugged in a sale, agent killed", func(r *rough) {
		d := r.device()
		d.tell(`{"script":{"function":"EnviarDadosVenda","do":"unplug"}}`)
		r.rest(200)
		r.kill()
		r.startAgent()
		r.rest(500)
		d.tell(`{"plug":true}`)
	}},
}

// rest waits for a random time.
func (r *rough) rest(most int) {
	<-time.After(time.Duration(r.random.IntN(most)) * time.Millisecond)
}

func (r *rough) device() *device { return r.devices[r.random.IntN(len(r.devices))] }

func (r *rough) killCollector() {
	r.cloud.Process.Kill()
	r.cloud.Wait()
}

// judge is who looks at a till's answers as they come.
type judge struct {
	calls, unknown int
	slowest        time.Duration
}

func (j *judge) check(f sat.Function, session int, line string, took time.Duration) error {
	j.calls++
	j.slowest = max(j.slowest, took)
	if strings.HasPrefix(line, fmt.Sprintf("%06d|%s|", session, sat.EnviarDadosVenda.Busy())) {
		j.unknown++
	}
	if took > answerTime+scheduling {
		return fmt.Errorf("%s was answered after %s: %s", f, took, line)
	}
	if complaints := sattest.Strict(f, session, line); complaints != nil {
		return fmt.Errorf("answer to %s: %s: %q", f, strings.Join(complaints, "; "), line)
	}
	return nil
}

func openRough(t *testing.T, seed uint64) *rough {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc, the tills are C programs")
	}
	r := &rough{shop: newShop(t), random: rand.New(rand.NewPCG(seed, 0)), struck: map[string]int{}}
	r.openCollector()
	// Not on pseudo terminals: while unplugged, their names may be another program's.
	a, b := freePort(t), freePort(t)
	r.devices = []*device{
		r.openDevice("sat-a", "-tcp", a, "-serie", "900000001", "-codigo", "11111111"),
		r.openDevice("sat-b", "-tcp", b, "-serie", "900000002", "-codigo", "22222222"),
	}
	r.write("agent.toml", fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"tcp:%s\", \"tcp:%s\"]\n"+
		"caixas = [\"001=900000001\", \"002=900000002\", \"003=900000001\", \"004=900000002\"]\n"+
		"intervalo_status = \"2s\"\nintervalo_sinal = \"2s\"\nbuffer_mb = 64\npagina = \"\"\n",
		r.path("caixa"), r.path("sat.sock"), a, b))
	r.enrol(func(args ...string) (string, error) { return r.cli("", args...) })
	r.startAgent()
	r.until("the devices", r.answering)
	hosts := filepath.Join(root, "sat/shim/testdata/hosts")
	r.must(exec.Command("gcc", "-o", r.path("pos"), filepath.Join(hosts, "host.c"), filepath.Join(hosts, "host_posix.c"), "-pthread", "-ldl"))
	for i, code := range []string{"11111111", "22222222", "11111111", "22222222"} {
		r.openTill(fmt.Sprintf("%03d", i+1), code, 100_000*(i+1))
	}
	return r
}

// openTill starts a POS program with the activation code of its own device.
func (r *rough) openTill(till, code string, session int) {
	r.t.Helper()
	ini := fmt.Sprintf("socket = %s\ncaixa = %s\n", r.path("sat.sock"), till)
	for _, f := range []sat.Function{sat.EnviarDadosVenda, sat.ConsultarNumeroSessao} {
		ini += fmt.Sprintf("prazo.%s = %d\n", f, answerTime/time.Second)
	}
	r.write(till+".ini", ini)
	cmd := exec.Command(r.path("pos"), filepath.Join(r.bin, "libsat.so"))
	cmd.Env = append(os.Environ(), "ZELO_INI="+r.path(till+".ini"))
	p, j := r.startPOS(cmd, code, session), &judge{}
	p.check = j.check
	r.tills, r.judges = append(r.tills, p), append(r.judges, j)
}

// open begins the sales; each comes through the channel when it is made.
func (r *rough) open() <-chan sale {
	made := make(chan sale, roughSales+len(r.tills)) // nobody waits for who listens
	var next atomic.Int32
	for _, p := range r.tills {
		go func() { // ends with its sales, or with its program
			for n := int(next.Add(1)); n <= roughSales; n = int(next.Add(1)) {
				key, err := p.sell(n)
				made <- sale{n, key, err}
				if err != nil {
					return
				}
			}
		}()
	}
	return made
}

// suffer makes the sales, and after every few of them, at some moment of the next
// ones, something happens. The faults come in random order, each as often.
func (r *rough) suffer() (sold []sale) {
	made := r.open()
	var order []int
	for due := 1; len(sold) < roughSales; {
		one := r.next(made)
		if one.err != nil {
			r.t.Fatal(one.err)
		}
		if sold = append(sold, one); len(sold) < due {
			continue
		}
		due = len(sold) + 1 + r.random.IntN(14)
		if len(order) == 0 {
			order = r.random.Perm(len(faults))
		}
		r.rest(20)
		f := faults[order[0]]
		order = order[1:]
		f.strike(r)
		r.struck[f.name]++
	}
	return sold
}

// next is the next sale made. A cable whose fault struck only after it was put back,
// for no sale came in between, is put back again.
func (r *rough) next(made <-chan sale) sale {
	for {
		select {
		case one := <-made:
			return one
		case <-time.After(5 * time.Second):
			for _, d := range r.devices {
				d.tell(`{"plug":true}`)
			}
		}
	}
}

// settled reports that nothing is left to do.
func (r *rough) settled() bool {
	out, err := r.cli("", "status", "-json")
	var st agentStatus
	return err == nil && json.Unmarshal([]byte(out), &st) == nil && st.settled()
}

// seedOf is the one that a variable of the environment names, or a new one.
func seedOf(t *testing.T, variable string) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(variable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the same faults in the same order: %s=%d", variable, seed)
	return seed
}

func TestNothingIsLostThoughEverythingIsKilled(t *testing.T) {
	r := openRough(t, seedOf(t, "ZELO_KILL_SEED"))
	start := time.Now()
	sold := r.suffer()
	took := time.Since(start)
	r.kill() // an agent just started does not wait before it connects
	r.startAgent()
	r.until("everything to be at the collector", r.settled)

	issued := map[string][]byte{}
	for _, d := range r.devices {
		maps.Copy(issued, d.issued())
	}
	oneEach(t, sold, issued, r.export())
	for _, f := range faults {
		if r.struck[f.name] == 0 {
			t.Errorf("it never came to this: %s", f.name)
		}
	}
	total := judge{}
	for _, j := range r.judges {
		total.calls, total.unknown, total.slowest = total.calls+j.calls, total.unknown+j.unknown, max(total.slowest, j.slowest)
	}
	t.Logf("%d sales in %s, %d calls, %d answers of unknown outcome, slowest answer %s, %v",
		len(sold), took.Round(time.Millisecond), total.calls, total.unknown, total.slowest.Round(time.Millisecond), r.struck)
	alarms := r.collector("alarms")
	for _, loss := range []string{"não guardado", "dois equipamentos", "descartados", "danificado", "clonado", "quarentena"} {
		if strings.Contains(alarms, loss) {
			t.Errorf("the collector says that something was lost or doubled: %s", alarms)
		}
	}
}
