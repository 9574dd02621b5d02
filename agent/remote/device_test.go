package remote

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/sim"
)

func on(b bool) *bool { return &b }

func state(s sat.State) *sat.State { return &s }

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q lacks %q", text, p)
		}
	}
}

// A technician's morning: a device that has blocked itself, its log, its network put
// right, the pending documents gone, the block lifted.
func TestAutonomousBlockIsResolved(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		if err := w.sim.Set(sim.Settings{State: state(sat.StateBlockedAutonomous), Online: on(false)}); err != nil {
			t.Fatal(err)
		}
		_, id := w.does(wire.CommandDone, wire.CommandStatus, nil)
		wants(t, w.transcript(id), "Estado: bloqueio autônomo", "Pendentes de envio à SEFAZ: ", "desconectado", "Certificado vence em")
		r, _ := w.does(wire.CommandRefused, wire.CommandUnblock, nil)
		if r.Reason != wire.RefusedState || w.calls(sat.DesbloquearSAT) != 0 {
			t.Errorf("%+v, %d calls", r, w.calls(sat.DesbloquearSAT))
		}
		wants(t, r.Text, "autônomo")
		_, id = w.does(wire.CommandDone, wire.CommandLogs, nil)
		wants(t, string(w.file(id)), "|AC-SAT|info|")
		r, _ = w.does(wire.CommandFailed, wire.CommandTest, nil)
		wants(t, r.Text, "09099", "sem rede: veja Rede")
		r, id = w.does(wire.CommandDone, wire.CommandNetwork, map[string]string{"interface": "ETHE", "mode": "IPFIX", "ip": "192.168.0.50",
			"mask": "255.255.255.0", "gateway": "192.168.0.1", "dns1": "8.8.8.8", "dns2": "8.8.4.4", "proxy": "0"})
		wants(t, w.transcript(id)+r.Text, "IPFIX 192.168.000.050", "ainda diz desconectado")
		if err := w.sim.Set(sim.Settings{Online: on(true)}); err != nil { // with the network the SEFAZ is back
			t.Fatal(err)
		}
		r, id = w.does(wire.CommandDone, wire.CommandTest, nil)
		wants(t, w.transcript(id), "Chave: 35", "Estado: desbloqueado", "Pendentes de envio à SEFAZ: nenhum")
		if r.Reply != "09000" {
			t.Errorf("%+v", r)
		}
	})
}

// TestTestSale: the data of the test come from what is known here, and leave the device
// what it remembers of its last sale, once.
func TestTestSale(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		for range 2 {
			w.does(wire.CommandDone, wire.CommandTest, nil)
		}
		r, _ := w.does(wire.CommandDone, wire.CommandLastSession, nil)
		wants(t, r.Reply, "06000")
		w.does(wire.CommandDone, wire.CommandTest, nil)
	})
}

func TestBlockAndUnblock(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		r, _ := w.does(wire.CommandFailed, wire.CommandBlock, nil)
		wants(t, r.Text, "16004")
		if err := w.sim.Set(sim.Settings{Portal: state(sat.StateBlockedContribuinte)}); err != nil {
			t.Fatal(err)
		}
		r, id := w.does(wire.CommandDone, wire.CommandBlock, nil)
		wants(t, w.transcript(id)+r.Reply, "bloqueado pelo contribuinte", "16000")
		r, _ = w.does(wire.CommandFailed, wire.CommandUnblock, nil)
		wants(t, r.Text, "17002")
		if err := w.sim.Set(sim.Settings{Portal: state(sat.StateUnblocked)}); err != nil {
			t.Fatal(err)
		}
		w.does(wire.CommandDone, wire.CommandUnblock, nil)
		r, _ = w.does(wire.CommandRefused, wire.CommandUnblock, nil)
		wants(t, r.Text, "desbloqueado")
	})
}

func TestLifeOfADevice(t *testing.T) {
	factory := func(o *sim.Options) { o.Factory = true }
	inWorld(t, factory, nil, func(w *world) {
		r, _ := w.does(wire.CommandRefused, wire.CommandStatus, nil)
		if r.Reason != wire.RefusedCode {
			t.Errorf("%+v", r)
		}
		cnpj := sim.TestEmitter(sim.SAT).CNPJ
		w.does(wire.CommandFailed, wire.CommandActivate, map[string]string{"kind": "1", "code": "12345678", "cnpj": "16716114000172", "uf": "35"})
		_, id := w.does(wire.CommandDone, wire.CommandActivate, map[string]string{"kind": "1", "code": "12345678", "cnpj": cnpj, "uf": "35"})
		wants(t, w.transcript(id), "Estado: desbloqueado")
		w.does(wire.CommandDone, wire.CommandLink, map[string]string{"cnpjs": "16716114000172" + cnpj, "signature": "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT"})
		if reply := w.sell(1); reply.Code != 6000 {
			t.Fatalf("sale %s", reply.Code)
		}
		w.does(wire.CommandDone, wire.CommandChangeCode, map[string]string{"new": "87654321"})
		if _, code := w.router.Code(serial); code != "87654321" {
			t.Errorf("the agent knows %q", code)
		}
		if err := w.sim.Set(sim.Settings{Update: new("01.02.00")}); err != nil {
			t.Fatal(err)
		}
		w.does(wire.CommandDone, wire.CommandUpdateSoftware, nil)
		_, id = w.does(wire.CommandDone, wire.CommandStatus, nil)
		wants(t, w.transcript(id), "01.02.00")
		for _, secret := range []string{"12345678", "87654321"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log tells %s", secret)
			}
		}
	})
}

func TestSessions(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		sale := w.sell(1)
		doc, err := sale.Document()
		if err != nil {
			t.Fatal(err)
		}
		_, id := w.does(wire.CommandDone, wire.CommandLastSession, nil)
		wants(t, w.transcript(id), doc.Key, "Valor: 10.01")
		r, _ := w.does(wire.CommandFailed, wire.CommandSession, map[string]string{"session": "4"})
		wants(t, r.Text, "11003")
		_, id = w.does(wire.CommandDone, wire.CommandPing, nil)
		if n := len(w.reports(id)); n < 3 {
			t.Errorf("%d reports of a ping", n)
		}
	})
}

// A device that is busy is asked again where that does no harm, and once where it may.
func TestBusyDevice(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		refuses := 2
		w.mu.Lock()
		w.before = func(req sat.Request) error {
			if (req.Function == sat.ExtrairLogs || req.Function == sat.AtualizarSoftwareSAT) && refuses > 0 {
				refuses--
				return errors.New("cable pulled")
			}
			return nil
		}
		w.mu.Unlock()
		w.does(wire.CommandDone, wire.CommandLogs, nil)
		if n := w.calls(sat.ExtrairLogs); n != 3 {
			t.Errorf("asked %d times", n)
		}
		refuses = 1
		r, _ := w.does(wire.CommandUnknown, wire.CommandUpdateSoftware, nil)
		if n := w.calls(sat.AtualizarSoftwareSAT); n != 1 {
			t.Errorf("updated %d times", n)
		}
		wants(t, r.Text, "Não se sabe", "desbloqueado")
	})
}

// What disturbs waits until nobody sells; what does not runs meanwhile.
func TestWaitsForAnIdleTill(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandLogs, nil)
		c.Window = nil // the table's: two minutes
		id := w.send(c)
		synctest.Wait()
		if r := w.latest(id); r.State != wire.CommandWaiting {
			t.Fatalf("%+v", r)
		}
		if all := w.Under(); len(all) != 1 || all[0].By != c.By {
			t.Errorf("%+v", all)
		}
		w.does(wire.CommandDone, wire.CommandStatus, nil)
		time.Sleep(90 * time.Second)
		w.sell(2)
		time.Sleep(90 * time.Second)
		if r := w.latest(id); r.State != wire.CommandWaiting {
			t.Errorf("a minute and a half after a sale it is %s", r.State)
		}
		time.Sleep(time.Minute)
		w.ends(id, wire.CommandDone)
		if last, ok := w.Latest(); !ok || last.Title != "Ler log do equipamento" {
			t.Errorf("%+v", last)
		}
	})
}

// A device that refuses to sell keeps no command waiting for sales to end.
func TestNoWaitingForABlockedDevice(t *testing.T) {
	inWorld(t, nil, nil, func(w *world) {
		w.sell(1)
		c := w.command(wire.CommandLogs, nil)
		c.Window = nil
		waits := w.send(c)
		synctest.Wait()
		if r := w.latest(waits); r.State != wire.CommandWaiting {
			t.Errorf("right after a sale it is %s", r.State)
		}
		w.blocked.Store(true)
		time.Sleep(2 * lookEvery)
		w.ends(waits, wire.CommandDone)
	})
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC) // 11:00 in Brasília
	life := wire.Command{Expires: now.Add(time.Hour).UnixMilli()}
	with := func(change func(*wire.Command)) wire.Command {
		c := life
		change(&c)
		return c
	}
	night, _ := wire.CommandByName(wire.CommandUpdateSoftware)
	aside, _ := wire.CommandByName(wire.CommandLogs)
	safe, _ := wire.CommandByName(wire.CommandStatus)
	for name, try := range map[string]struct {
		command wire.Command
		spec    wire.CommandSpec
		idle    time.Duration
		text    string // "" when it may begin
	}{
		"safe":               {life, safe, 0, ""},
		"selling":            {life, aside, time.Minute, "2 minutos sem vender; se não ficar até 22/11 12:00, não é feito."},
		"idle":               {life, aside, 2 * time.Minute, ""},
		"by day":             {life, night, time.Hour, "23:00 às 05:00"},
		"a person at hand":   {with(func(c *wire.Command) { c.Window = &wire.Window{} }), night, 0, ""},
		"later":              {with(func(c *wire.Command) { c.NotBefore = now.Add(time.Minute).UnixMilli() }), safe, 0, "11:01"},
		"too late":           {with(func(c *wire.Command) { c.Expires = now.Add(-time.Second).UnixMilli() }), safe, 0, tooLate},
		"another window":     {with(func(c *wire.Command) { c.Window = &wire.Window{From: 600, To: 720, Zone: -180} }), night, 0, ""},
		"another, not open":  {with(func(c *wire.Command) { c.Window = &wire.Window{From: 720, To: 780, Zone: -180} }), night, 0, "12:00 às 13:00"},
		"idle is asked more": {with(func(c *wire.Command) { c.Window = &wire.Window{Idle: 3600000} }), aside, time.Minute, "60 minutos"},
	} {
		ok, text := when(try.command, try.spec, now, try.idle)
		if ok != (try.text == "") || !strings.Contains(text, try.text) {
			t.Errorf("%s: %v, %q", name, ok, text)
		}
	}
}
