package sim

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"zelo/sat"
)

// logKept is how many lines of log the device keeps.
const logKept = 2000

// log adds a line in the form of the dossier, section 4.1.
func (s *Sim) log(process, level, detail string) {
	line := strings.Join([]string{s.now().Format("20060102150405"), process, level, sat.Plain(detail)}, "|")
	s.st.Log = latest(append(s.st.Log, line), logKept)
}

// extrairLogs answers ExtrairLogs.
func (s *Sim) extrairLogs(req sat.Request) []byte {
	text := strings.Join(s.st.Log, "\n") + "\n"
	return s.say(req, 15000, base64.StdEncoding.EncodeToString([]byte(text)))
}

// status is what the device says of itself now.
func (s *Sim) status(now time.Time) sat.Status {
	st := s.st
	lan := "NAO_CONECTADO"
	if st.Online {
		lan = "CONECTADO"
	}
	status := sat.Status{
		Serial: s.o.Serial, LANType: st.Network.Type, IP: st.Network.IP, MAC: s.mac(), Mask: st.Network.Mask,
		Gateway: st.Network.Gateway, DNS1: st.Network.DNS1, DNS2: st.Network.DNS2, LAN: lan, Battery: "ALTO",
		MemoryTotal: sat.Size{Text: sizeText(s.o.MemoryTotal)}, MemoryUsed: sat.Size{Text: sizeText(s.memoryUsed())},
		Now: now, Software: st.Software, Layout: "0" + s.o.Layout, LastKey: st.LastKey,
		LastSent: st.LastSent, LastContact: st.LastContact, State: s.operation(now),
	}
	if st.Stage >= active {
		cert := s.signer.Certificate()
		status.CertIssued, status.CertExpires = cert.NotBefore, cert.NotAfter
	}
	for _, p := range st.Pending { // the lowest and the highest key, not the oldest and newest
		if status.PendingFirst == "" || p.Key < status.PendingFirst {
			status.PendingFirst = p.Key
		}
		status.PendingLast = max(status.PendingLast, p.Key)
	}
	return status
}

func (s *Sim) mac() string {
	d := s.o.Serial
	return fmt.Sprintf("30:40:%s:%s:%s:%s", d[1:3], d[3:5], d[5:7], d[7:9])
}

// sizeText writes an amount of memory as devices do.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d KB", n>>10)
}

// network is the device's connection, as its status shows it.
type network struct {
	Type    string `json:"type"` // DHCP, PPPoE, IPFIX
	IP      string `json:"ip"`
	Mask    string `json:"mask"`
	Gateway string `json:"gateway"`
	DNS1    string `json:"dns1"`
	DNS2    string `json:"dns2"`
}

func factoryNetwork() network {
	return network{"DHCP", "192.168.000.108", "255.255.255.000", "192.168.000.001", "192.168.000.001", "192.168.000.001"}
}

// networkXML is the argument of ConfigurarInterfaceDeRede (dossier 4.2).
type networkXML struct {
	XMLName   xml.Name `xml:"config"`
	Interface string   `xml:"tipoInter"`
	SSID      string   `xml:"SSID"`
	Security  string   `xml:"seg"`
	Key       string   `xml:"codigo"`
	Type      string   `xml:"tipoLan"`
	IP        string   `xml:"lanIP"`
	Mask      string   `xml:"lanMask"`
	Gateway   string   `xml:"lanGW"`
	DNS1      string   `xml:"lanDNS1"`
	DNS2      string   `xml:"lanDNS2"`
	User      string   `xml:"usuario"`
	Password  string   `xml:"senha"`
	Proxy     string   `xml:"proxy"`
	ProxyIP   string   `xml:"proxy_ip"`
	ProxyPort string   `xml:"proxy_porta"`
}

// configurarRede answers ConfigurarInterfaceDeRede. Clients of the MFE append
// separators to the document.
func (s *Sim) configurarRede(req sat.Request) []byte {
	var c networkXML
	text := strings.TrimRight(req.Arg("dadosConfiguracao"), "| \r\n")
	if err := xml.Unmarshal([]byte(text), &c); err != nil {
		return s.say(req, 12002)
	}
	n, ok := c.network()
	if !ok {
		return s.say(req, 12002)
	}
	s.st.Network = n
	return s.say(req, 12000)
}

// network checks a configuration and returns what the status will show.
func (c networkXML) network() (network, bool) {
	n := factoryNetwork()
	n.Type = c.Type
	switch {
	case c.Interface != "ETHE" && c.Interface != "WIFI",
		c.Interface == "WIFI" && (c.SSID == "" || len(c.SSID) > 32 || len(c.Key) > 64),
		c.Proxy != "" && c.Proxy != "0" && (c.Proxy != "1" && c.Proxy != "2" || c.ProxyIP == "" || number(c.ProxyPort) < 0 || number(c.ProxyPort) > 65535):
		return n, false
	}
	switch strings.ToUpper(c.Type) {
	case "DHCP":
		return n, true
	case "PPPOE":
		n.Type = "PPPoE"
		return n, c.User != "" && len(c.User) <= 64 && c.Password != "" && len(c.Password) <= 64
	case "IPFIX":
		ok := true
		for _, f := range []struct {
			from string
			to   *string
		}{{c.IP, &n.IP}, {c.Mask, &n.Mask}, {c.Gateway, &n.Gateway}, {c.DNS1, &n.DNS1}, {c.DNS2, &n.DNS2}} {
			*f.to, ok = padded(f.from, ok)
		}
		return n, ok
	}
	return n, false
}

// padded writes an IPv4 address as the status shows it, 010.000.000.108. Leading
// zeros are taken, as the status itself has them.
func padded(s string, ok bool) (string, bool) {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if p = strings.TrimLeft(p, "0"); p == "" && parts[i] != "" {
			p = "0"
		}
		parts[i] = p
	}
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	if err != nil || !a.Is4() {
		return "", false
	}
	b := a.As4()
	return fmt.Sprintf("%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3]), ok
}

// atualizar answers AtualizarSoftwareSAT.
func (s *Sim) atualizar(req sat.Request) []byte {
	if !s.st.Online {
		return s.say(req, 14003)
	}
	if s.st.Update == "" {
		r := sat.NewReply(req.Function, req.Session, 14000)
		r.SEFAZCode, r.SEFAZMessage = "104", "Não há atualização de software"
		return r.Encode(req.Session)
	}
	s.st.Software, s.st.Update = s.st.Update, ""
	return s.say(req, 14000)
}
