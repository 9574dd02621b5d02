//go:build linux

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"zelo/sat/sattest"
)

// command gives a till a command and waits for the word that says how it ended.
func (s *shop) command(till, want, name string, args ...string) (page string) {
	s.t.Helper()
	words := strings.Fields(s.collector("command", append([]string{"-caixa", till, "-agora", name}, args...)...))
	id := words[len(words)-1]
	s.until(name+" to be "+want, func() bool {
		page = s.collector("commands", id)
		state, _, _ := strings.Cut(page, ".")
		return strings.HasSuffix(state, ": "+want)
	})
	return page
}

// commanded is a shop whose till has sold and takes commands, and its agent's id.
func commanded(t *testing.T) (s *shop, agent string) {
	t.Helper()
	s = openShop(t)
	s.openCollector()
	s.enrol(func(args ...string) (string, error) { return s.cli("", args...) })
	s.kill()
	s.startAgent()
	s.until("the device", s.answering)
	if out, err := s.cli("12345678\n", "code"); err != nil {
		t.Fatalf("the code: %v, %s", err, out)
	}
	s.write("venda.xml", sattest.SaleXML("10.00", ""))
	if out, err := s.cli("", "call", "EnviarDadosVenda", "@"+s.path("venda.xml")); err != nil || !strings.Contains(out, "|06000|") {
		t.Fatalf("the sale: %v, %s", err, out)
	}
	s.until("the agent to know who it is", func() bool {
		var st struct{ Agent string }
		out, err := s.cli("", "status", "-json")
		if err == nil && json.Unmarshal([]byte(out), &st) == nil {
			agent = st.Agent
		}
		return agent != ""
	})
	return s, agent
}

// TestCancelledCommand: one that waits at the till, and one that was sent to a till that
// is off, do not begin.
func TestCancelledCommand(t *testing.T) {
	t.Parallel()
	s, agent := commanded(t)
	state := func(id, want string) func() bool {
		return func() bool { return strings.Contains(s.collector("commands", id), ": "+want+".") }
	}
	restart := func(want string) (id string) {
		t.Helper()
		words := strings.Fields(s.collector("command", "-caixa", agent, "restart"))
		id = words[len(words)-1]
		s.until("the restart to be "+want, state(id, want))
		if out := s.collector("command", "cancel", id); !strings.Contains(out, "Pedido guardado") {
			t.Errorf("%s", out)
		}
		return id
	}
	s.until("the first cancelling to be confirmed", state(restart("aguardando"), "cancelado"))
	s.kill()
	id := restart("enviado")
	s.startAgent()
	s.until("the second cancelling to be confirmed", state(id, "cancelado"))
	if page := s.collector("commands", id); !strings.Contains(page, "Cancelado antes de começar.") || !strings.Contains(page, "Cancelado por coletor.") {
		t.Errorf("%s", page)
	}
	s.command(agent, "feito", "poll") // it is the agent that was started, and it runs
}

// TestRemoteSession is a technician's: a device that blocked itself is found, looked
// into and given its network again, and unblocks itself.
func TestRemoteSession(t *testing.T) {
	t.Parallel()
	s, agent := commanded(t)
	const device, sat = "-equipamento", "900000001"

	s.sat.tell(`{"set":{"state":3}}`)
	s.until("the alarm", func() bool { return strings.Contains(s.collector("alarms"), "autônomo") })
	if page := s.command(agent, "feito", "status", device, sat); !strings.Contains(page, "autônomo") || !strings.Contains(page, "Pendentes de envio à SEFAZ: de 35") {
		t.Errorf("the status: %s", page)
	}
	s.command(agent, "feito", "device-logs", device, sat)
	if page := s.command(agent, "falhou", "end-to-end-test", device, sat); !strings.Contains(page, "TesteFimAFim") {
		t.Errorf("the test while blocked: %s", page)
	}
	s.command(agent, "feito", "network", device, sat, "interface=ETHE", "mode=IPFIX", "ip=10.0.0.7", "mask=255.255.255.0", "gateway=10.0.0.1", "dns1=10.0.0.1", "dns2=10.0.0.1", "proxy=0")
	s.sat.tell(`{"set":{"online":true}}`)
	if page := s.command(agent, "feito", "status", device, sat); !strings.Contains(page, "010.000.000.007") && !strings.Contains(page, "10.0.0.7") {
		t.Errorf("the network after it was configured: %s", page)
	}
	looks := 0
	s.until("the documents to be sent and the block to be lifted", func() bool {
		looks++
		page := s.command(agent, "feito", "status", device, sat)
		return strings.Contains(page, "Pendentes de envio à SEFAZ: nenhum") && strings.Contains(page, "Estado: desbloqueado")
	})
	s.until("the alarm to be over", func() bool { return !strings.Contains(s.collector("alarms"), "autônomo") })
	s.command(agent, "feito", "end-to-end-test", device, sat)

	s.command(agent, "feito", "poll")
	if out := s.collector("commands", "-caixa", agent); strings.Count(out, "\n") != 7+looks {
		t.Errorf("the commands of the till:\n%s", out)
	}
}
