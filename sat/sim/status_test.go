package sim_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

func TestStatus(t *testing.T) {
	b := device(t, sim.Options{Software: "02.01.00", MemoryTotal: 1 << 30})
	last := b.sell()
	r := b.want(10000, sat.ConsultarStatusOperacional)
	zeros := strings.Repeat("0", 44)
	want := []string{"900000001", "DHCP", "192.168.000.108", "30:40:00:00:00:01", "255.255.255.000", "192.168.000.001",
		"192.168.000.001", "192.168.000.001", "CONECTADO", "ALTO", "1 GB", "8 MB", "20261121120000", "02.01.00", "00.08",
		last.Key, last.Key, last.Key, "", "20261121120000", "20251121", "20301121", "0"}
	if got := strings.Split(string(r.Raw), "|")[5:]; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	b.now = b.now.Add(10 * time.Minute)
	r = b.want(10000, sat.ConsultarStatusOperacional)
	want[12], want[16], want[17], want[18], want[19] = "20261121121000", zeros, zeros, "20261121121000", "20261121121000"
	if got := strings.Split(string(r.Raw), "|")[5:]; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("after the contact\ngot  %v\nwant %v", got, want)
	}
}

func TestNetworkConfiguration(t *testing.T) {
	const head, eth, proxyless = `<?xml version="1.0" encoding="UTF-8"?><config>`, "<tipoInter>ETHE</tipoInter>", "<proxy>0</proxy></config>"
	fixed := "<tipoLan>IPFIX</tipoLan><lanIP>10.0.0.9</lanIP><lanMask>255.255.255.0</lanMask><lanGW>010.000.000.001</lanGW>" +
		"<lanDNS1>8.8.8.8</lanDNS1><lanDNS2>8.8.4.4</lanDNS2>"
	for _, c := range []struct {
		name, xml string
		want      sat.Code
		lan, ip   string // in the status afterwards
	}{
		{"DHCP", head + eth + "<tipoLan>DHCP</tipoLan>" + proxyless, 12000, "DHCP", "192.168.000.108"},
		{"with the separators of MFE clients", head + eth + "<tipoLan>DHCP</tipoLan>" + proxyless + "|||", 12000, "DHCP", "192.168.000.108"},
		{"fixed", head + eth + fixed + proxyless, 12000, "IPFIX", "010.000.000.009"},
		{"PPPoE in capitals", head + eth + "<tipoLan>PPPOE</tipoLan><usuario>u</usuario><senha>s</senha>" + proxyless, 12000, "PPPoE", "192.168.000.108"},
		{"wireless", head + "<tipoInter>WIFI</tipoInter><SSID>loja</SSID><seg>WPA2</seg><codigo>x</codigo><tipoLan>DHCP</tipoLan>" + proxyless, 12000, "DHCP", "192.168.000.108"},
		{"proxy", head + eth + "<tipoLan>DHCP</tipoLan><proxy>1</proxy><proxy_ip>10.0.0.1</proxy_ip><proxy_porta>3128</proxy_porta></config>", 12000, "DHCP", "192.168.000.108"},
		{"no XML", "DHCP", 12002, "DHCP", "192.168.000.108"},
		{"other root", "<rede>" + eth + "</rede>", 12002, "DHCP", "192.168.000.108"},
		{"unknown interface", head + "<tipoInter>ISDN</tipoInter><tipoLan>DHCP</tipoLan>" + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"wireless without name", head + "<tipoInter>WIFI</tipoInter><tipoLan>DHCP</tipoLan>" + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"unknown kind", head + eth + "<tipoLan>X25</tipoLan>" + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"bad address", head + eth + strings.Replace(fixed, "8.8.4.4", "8.8.4.444", 1) + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"address missing", head + eth + strings.Replace(fixed, "10.0.0.9", "", 1) + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"PPPoE without password", head + eth + "<tipoLan>PPPoE</tipoLan><usuario>u</usuario>" + proxyless, 12002, "DHCP", "192.168.000.108"},
		{"proxy port", head + eth + "<tipoLan>DHCP</tipoLan><proxy>1</proxy><proxy_ip>10.0.0.1</proxy_ip><proxy_porta>70000</proxy_porta></config>", 12002, "DHCP", "192.168.000.108"},
	} {
		b := device(t, sim.Options{})
		if r := b.ask(sat.ConfigurarInterfaceDeRede, c.xml); r.Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, r.Code, c.want)
		}
		if s := b.status(); s.LANType != c.lan || s.IP != c.ip {
			t.Errorf("%s: status %s %s", c.name, s.LANType, s.IP)
		}
	}
	fresh := device(t, sim.Options{Factory: true})
	if r := fresh.send(factory(sat.ConfigurarInterfaceDeRede, 1, head+eth+fixed+proxyless)); r.Code != 12000 {
		t.Errorf("before activation: %s", r.Code)
	}
}

func TestLog(t *testing.T) {
	b := device(t, sim.Options{})
	b.want(6000, sat.EnviarDadosVenda, sattest.SaleXML("10.00", "11144477735"))
	b.wrong(sat.ConsultarStatusOperacional)
	text, err := b.want(15000, sat.ExtrairLogs).Log()
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^20261121\d{6}\|(AC-SAT|SAT-AC|SAT|SAT-SEFAZ|SEFAZ-SAT)\|(erro|info)\|[^|]*$`)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, line := range lines {
		if !form.MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
	if len(lines) < 5 || !strings.Contains(lines[0], "EnviarDadosVenda sessao 000001") {
		t.Errorf("log %q", lines)
	}
	for _, secret := range []string{sim.DefaultCode, "87654321", "11144477735"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	for range 1500 {
		b.ask(sat.ConsultarSAT)
	}
	text, _ = b.want(15000, sat.ExtrairLogs).Log()
	if n := strings.Count(string(text), "\n"); n != 2000 {
		t.Errorf("%d lines kept, want the last 2000", n)
	}
}

func TestUpdate(t *testing.T) {
	b := device(t, sim.Options{})
	if r := b.want(14000, sat.AtualizarSoftwareSAT); r.SEFAZCode != "104" {
		t.Errorf("no update offered: %+v", r)
	}
	b.set(sim.Settings{Update: new("01.02.00"), Online: new(false)})
	b.want(14003, sat.AtualizarSoftwareSAT)
	b.set(sim.Settings{Online: new(true)})
	if s := b.status(); s.Software != "01.00.00" {
		t.Errorf("updated without being asked: %s", s.Software)
	}
	b.want(14000, sat.AtualizarSoftwareSAT)
	if s := b.status(); s.Software != "01.02.00" {
		t.Errorf("version %s", s.Software)
	}
	if !strings.Contains(string(b.sell().XML), `versaoSB="010200"`) {
		t.Error("documents name the old version")
	}
}

func TestSessionsMustNotRepeat(t *testing.T) {
	for old, code := range map[bool]sat.Code{false: 97, true: 99} {
		t.Run(fmt.Sprintf("xx0%d", code), func(t *testing.T) {
			b := device(t, sim.Options{OldDuplicates: old})
			sale := sattest.Sale(5)
			b.send(sale)
			if r := b.send(sale); r.Code != 6000+code || r.Alert != "0000" {
				t.Errorf("the sale again: %s", r.Code)
			}
			if r := b.send(sattest.Request(sat.ConsultarSAT, 5)); r.Code != 8000+code {
				t.Errorf("the number in another function: %s", r.Code)
			}
			// The refusals left no trace: the sale is still the last command.
			if r := b.send(sattest.Request(sat.ConsultarNumeroSessao, 6, "5")); r.Code != 6000 || r.Session != 5 {
				t.Errorf("recovered %s of %d", r.Code, r.Session)
			}
			for session := 100; session < 198; session++ {
				b.send(sattest.Request(sat.ConsultarSAT, session))
			}
			if r := b.send(sale); r.Code != 6000+code {
				t.Errorf("99 commands later: %s", r.Code)
			}
			b.send(sattest.Request(sat.ConsultarSAT, 198))
			if r := b.send(sale); r.Code != 6000 {
				t.Errorf("100 commands later: %s", r.Code)
			}
		})
	}
}

func TestLastFiscalSession(t *testing.T) {
	b := device(t, sim.Options{})
	b.want(19003, sat.ConsultarUltimaSessaoFiscal)
	first := b.sell()
	b.status()
	for range 2 {
		r := b.ask(sat.ConsultarUltimaSessaoFiscal)
		if d, err := r.Document(); err != nil || d.Key != first.Key {
			t.Errorf("got %s: %s, %v", r.Code, d.Key, err)
		}
	}
	b.want(6010, sat.EnviarDadosVenda, "")
	refused := b.session
	if r := b.ask(sat.ConsultarUltimaSessaoFiscal); r.Code != 6010 || r.Session != refused {
		t.Errorf("after a refused sale: %s of session %d", r.Code, r.Session)
	}
}
