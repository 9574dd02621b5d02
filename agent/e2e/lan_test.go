//go:build linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"zelo/collector/enrol"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/sim"
)

// Three agents on a network of their own, made of Linux network namespaces: each a
// computer with a simulated device, joined by a bridge whose cables can be pulled.

// network is the bridge and its cables.
type network struct {
	t      *testing.T
	bridge string // namespace
}

const shopCNPJ = "11222333000181"

func openNetwork(t *testing.T) *network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIP: no ip command (package iproute2)")
	}
	n := &network{t: t, bridge: fmt.Sprintf("zelo%d", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", n.bridge).CombinedOutput(); err != nil {
		t.Skipf("SKIP: no network namespaces here: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.bridge).Run() })
	n.ip("-n", n.bridge, "link", "add", "lan", "type", "bridge")
	n.ip("-n", n.bridge, "link", "set", "lan", "up")
	return n
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// computer adds one with the address 10.77.0.<number> and returns its namespace.
func (n *network) computer(number int) string {
	n.t.Helper()
	ns := fmt.Sprintf("%s-%d", n.bridge, number)
	n.ip("netns", "add", ns)
	n.t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	n.ip("-n", n.bridge, "link", "add", cable(number), "type", "veth", "peer", "name", "eth0", "netns", ns)
	n.ip("-n", n.bridge, "link", "set", cable(number), "master", "lan", "up")
	n.ip("-n", ns, "addr", "add", fmt.Sprintf("10.77.0.%d/24", number), "broadcast", "+", "dev", "eth0")
	n.ip("-n", ns, "link", "set", "eth0", "up")
	n.ip("-n", ns, "link", "set", "lo", "up")
	return ns
}

func cable(number int) string { return fmt.Sprintf("cable%d", number) }

// plug puts a computer's cable in or pulls it.
func (n *network) plug(number int, in bool) {
	n.t.Helper()
	n.ip("-n", n.bridge, "link", "set", cable(number), map[bool]string{true: "up", false: "down"}[in])
}

// lanTill is a computer of the network.
type lanTill struct {
	*shop
	ns      string
	number  int
	session int
}

// openTill starts an agent with its device, enrolled as the collector enrols.
func (n *network) openTill(number int, identity func(folder string)) *lanTill {
	n.t.Helper()
	s := &lanTill{shop: newShop(n.t), ns: n.computer(number), number: number}
	s.sat = s.openDevice("sat", "-pty", "-link", s.path("porta"), "-serie", fmt.Sprintf("90000000%d", number))
	config := fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"serial:%s\"]\nintervalo_status = \"1s\"\nbuffer_mb = 64\npagina = \"\"\nrede_local = \"0.0.0.0:9021\"\n",
		s.path("caixa"), s.path("sat.sock"), s.path("porta"))
	if err := os.WriteFile(s.path("agent.toml"), []byte(config), 0o600); err != nil {
		n.t.Fatal(err)
	}
	identity(s.path("caixa/identidade"))
	s.startIn()
	n.t.Cleanup(func() {
		if n.t.Failed() {
			raw, _ := os.ReadFile(s.path("agent.log"))
			n.t.Logf("agent %d:\n%s", number, raw)
		}
	})
	return s
}

// startIn starts the agent on its computer; what it logs goes to the end of a file.
func (s *lanTill) startIn() {
	s.t.Helper()
	log, err := os.OpenFile(s.path("agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.agent = exec.Command("ip", "netns", "exec", s.ns, filepath.Join(s.bin, "zelo-agent"), "run", "-config", s.path("agent.toml"))
	s.agent.Stderr = log
	s.start(s.agent)
}

// logged counts a message in the agent's log.
func (s *lanTill) logged(message string) int {
	raw, err := os.ReadFile(s.path("agent.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(raw), fmt.Sprintf("msg=%q", message))
}

// identities makes what enrolment leaves in an agent's folder: certificates that
// the collector's authority issued for one establishment. The collector itself is
// out of reach.
func identities(t *testing.T) func(folder string) {
	t.Helper()
	dir := t.TempDir()
	ca, err := enrol.CreateCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(dir, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	registry := enrol.New(ca, db, time.Now)
	token, err := registry.NewShopToken(t.Context(), shopCNPJ, "loja 1", 9, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(token, ".")
	return func(folder string) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		id, err := registry.Issue(t.Context(), secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), "caixa")
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		about, err := json.Marshal(map[string]string{"agente": id.Agent, "broker": "10.77.0.250:8883", "nome": "coletor"})
		if err == nil {
			err = os.MkdirAll(folder, 0o700)
		}
		for name, data := range map[string][]byte{"agente.crt": id.Certificate, "coletor-ca.crt": id.CA, "agente.json": about,
			"agente.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, name), data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// call asks the agent as a POS program's library does.
func (s *lanTill) call(f sat.Function, args ...string) (sat.Reply, error) {
	s.session++
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	d, err := ipc.Dial(ctx, "unix", s.path("sat.sock"), ipc.Options{})
	if err != nil {
		return sat.Reply{}, err
	}
	defer d.Close()
	return d.Call(ctx, sat.Request{Till: "001", Session: s.session, Function: f, Args: args})
}

// sell makes sale n. An agent that is not there says nothing of it, as the library tells
// the POS program.
func (s *lanTill) sell(n int) (key string, err error) {
	return makeSale(n, &s.session, func(f sat.Function, argument string) (sat.Reply, error) {
		reply, err := s.call(f, sim.DefaultCode, argument)
		if err != nil {
			return sat.Reply{Function: f, Code: sat.EnviarDadosVenda.Busy()}, nil
		}
		return reply, nil
	})
}

// store3 is a shop of three computers.
type store3 struct {
	t     *testing.T
	lan   *network
	tills []*lanTill
	sold  map[int]string // key, by sale
}

// The shop sells on with what devices there are, whatever is pulled, and each sale
// is made once.
func TestNeighboursLend(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	one, two, three := s.tills[0], s.tills[1], s.tills[2]

	t.Log("the device of till 1 is unplugged")
	s.unplug(one)
	for n := 4; n < 9; n++ {
		s.sell(one, n)
	}
	if n := s.counts(); n[0] != 1 || n[1]+n[2] != 7 {
		t.Errorf("devices have issued %v", n)
	}

	t.Log("the device of till 3 too; only till 2 can lend")
	s.unplug(three)
	s.cutInMidSale(9, "before the device issues", `{"script":{"function":"EnviarDadosVenda","do":"late","before":true,"wait":true}}`)
	s.cutInMidSale(10, "after the device issued", `{"script":{"function":"EnviarDadosVenda","do":"late","wait":true}}`)
	s.cutBeforeSale(11)
	if n := s.counts(); n[0] != 1 || n[1] != 11-n[0]-n[2] {
		t.Errorf("devices have issued %v", n)
	}

	t.Log("the neighbour's agent is killed in mid-sale")
	struck, done := two.sat.struck(`{"script":{"function":"EnviarDadosVenda","do":"late","wait":true}}`), s.begin(12)
	await(t, struck, done)
	two.agent.Process.Kill()
	two.agent.Wait()
	two.sat.tell(`{"release":true}`)
	two.startIn()
	s.end(done)

	t.Log("all devices are back")
	one.sat.tell(`{"plug":true}`)
	three.sat.tell(`{"plug":true}`)
	one.until("the device", one.answering)
	before := s.counts()
	s.sell(one, 13)
	if after := s.counts(); after[0] != before[0]+1 {
		t.Errorf("the till did not come back to its own device: %v, then %v", before, after)
	}
	s.check()
}

// openStore starts the three agents; each has sold once, by which the others know
// for whom its device issues.
func openStore(t *testing.T) *store3 {
	t.Helper()
	s := &store3{t: t, lan: openNetwork(t), sold: map[int]string{}}
	identity := identities(t)
	for number := range 3 {
		s.tills = append(s.tills, s.lan.openTill(number+1, identity))
	}
	for i, till := range s.tills {
		till.until("the device", till.answering)
		if out, err := till.cli(sim.DefaultCode+"\n", "code"); err != nil {
			t.Fatalf("code: %v, %s", err, out)
		}
		s.sell(till, i+1)
	}
	if n := s.counts(); n != [3]int{1, 1, 1} {
		t.Fatalf("devices have issued %v", n)
	}
	s.tills[0].until("both neighbours", func() bool { return s.tills[0].logged("neighbour connected") >= 2 })
	return s
}

// counts are how many documents each device has issued.
func (s *store3) counts() (n [3]int) {
	for i, till := range s.tills {
		n[i] = len(till.sat.issued())
	}
	return n
}

func (s *store3) sell(till *lanTill, n int) {
	s.t.Helper()
	key, err := till.sell(n)
	if err != nil {
		s.t.Fatal(err)
	}
	s.sold[n] = key
}

// lanSale is what came of one.
type lanSale struct {
	number int
	key    string
	err    error
}

// begin has till 1 make a sale meanwhile.
func (s *store3) begin(n int) <-chan lanSale {
	done := make(chan lanSale, 1)
	go func() {
		key, err := s.tills[0].sell(n)
		done <- lanSale{n, key, err}
	}()
	return done
}

func (s *store3) end(done <-chan lanSale) {
	s.t.Helper()
	made := <-done
	if made.err != nil {
		s.t.Fatal(made.err)
	}
	s.sold[made.number] = made.key
}

// await waits for a fault that a sale meets.
func await(t *testing.T, struck <-chan struct{}, done <-chan lanSale) {
	t.Helper()
	select {
	case <-struck:
	case made := <-done:
		t.Fatalf("the sale ended with %v before the device was reached", made.err)
	}
}

func (s *store3) unplug(till *lanTill) {
	s.t.Helper()
	// The link would point to whatever pseudo terminal gets the number next.
	if err := os.Remove(till.path("porta")); err != nil {
		s.t.Fatal(err)
	}
	till.sat.tell(`{"plug":false}`)
	till.until("the agent to notice", func() bool { return !till.answering() })
}

// cutInMidSale pulls the cable of till 1 while the device of till 2 has its sale.
func (s *store3) cutInMidSale(n int, when, script string) {
	s.t.Helper()
	s.t.Log("the cable of till 1 is cut in mid-sale, " + when)
	two, before := s.tills[1], s.counts()[1]
	struck, done := two.sat.struck(script), s.begin(n)
	await(s.t, struck, done)
	s.lan.plug(1, false)
	two.sat.tell(`{"release":true}`)
	two.until("the document", func() bool { return s.counts()[1] == before+1 })
	s.lan.plug(1, true)
	s.end(done)
}

// cutBeforeSale pulls the cable of till 1 before anybody can know, and leaves it out
// for longer than a connection lives.
func (s *store3) cutBeforeSale(n int) {
	s.t.Helper()
	s.t.Log("the cable is cut just before a sale")
	one := s.tills[0]
	s.lan.plug(1, false)
	done := s.begin(n)
	one.until("the neighbours to be gone", func() bool { return one.logged("neighbour gone") >= one.logged("neighbour connected") })
	s.lan.plug(1, true)
	s.end(done)
}

// check stops the agents and compares what the devices issued with what goes to
// the collector and what the tills were told.
func (s *store3) check() {
	t := s.t
	t.Helper()
	issued := map[string]string{} // price, which says the sale, by key
	for _, till := range s.tills {
		till.until("open cases to be settled", func() bool {
			out, err := till.cli("", "status", "-json")
			var st struct{ OpenCases int }
			return err == nil && json.Unmarshal([]byte(out), &st) == nil && st.OpenCases == 0
		})
		till.agent.Process.Signal(syscall.SIGTERM)
		till.agent.Wait()
		outgoing := (&counter{shop: till.shop}).outgoing()
		issuedHere := till.sat.issued()
		for key, xml := range issuedHere {
			if got := outgoing[string(xml)]; got != 1 {
				t.Errorf("document %s goes to the collector %d times", key, got)
			}
			_, price, _ := strings.Cut(string(xml), "<vUnCom>")
			issued[key], _, _ = strings.Cut(price, "</vUnCom>")
		}
		if len(outgoing) != len(issuedHere) {
			t.Errorf("till %d: %d documents go to the collector, %d were issued", till.number, len(outgoing), len(issuedHere))
		}
	}
	for number, key := range s.sold {
		if want := fmt.Sprintf("%d.00", number); issued[key] != want {
			t.Errorf("sale %d was given document %q, which is of %q", number, key, issued[key])
		}
	}
	if len(issued) != len(s.sold) {
		t.Errorf("%d sales, %d documents", len(s.sold), len(issued))
	}
}
