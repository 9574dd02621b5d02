package api

import (
	"time"

	"zelo/collector/store"
)

type computerAnswer struct {
	Computer     *systemAnswer              `json:"computer,omitempty" doc:"Falta enquanto o agente não contou do computador."`
	Disks        []diskAnswer               `json:"disks"`
	Certificates []companyCertificateAnswer `json:"certificates" doc:"Certificados da empresa encontrados no computador."`
	Remote       []remoteAccessAnswer       `json:"remoteAccess" doc:"Programas de acesso remoto."`
	Agent        *healthAnswer              `json:"agent,omitempty" doc:"Como vai o agente; falta enquanto ele não contou."`
	Sales        []tillDayAnswer            `json:"sales" doc:"Por dia e caixa, nos últimos 14 dias, o mais novo primeiro."`
}

type systemAnswer struct {
	SeenAt         time.Time `json:"seenAt" doc:"Quando o agente contou."`
	System         string    `json:"system,omitempty"`
	Booted         time.Time `json:"booted,omitzero" doc:"Quando o computador foi ligado, pelo relógio dele."`
	MemoryTotal    int64     `json:"memoryTotal,omitempty" doc:"Bytes."`
	MemoryFree     int64     `json:"memoryFree,omitempty" doc:"Bytes livres para programas."`
	MemoryState    string    `json:"memoryState,omitempty" enum:"fine,notice,warning,critical,silent"`
	Antivirus      string    `json:"antivirus,omitempty" doc:"on, off ou outdated."`
	AntivirusBy    string    `json:"antivirusBy,omitempty" doc:"Nome do antivírus."`
	AntivirusState string    `json:"antivirusState,omitempty" enum:"fine,notice,warning,critical,silent"`
	ClockSynced    *bool     `json:"clockSynced,omitempty" doc:"Se o sistema acerta o relógio pela rede."`
	ClockState     string    `json:"clockState,omitempty" enum:"fine,notice,warning,critical,silent"`
	USBErrors      int       `json:"usbErrors" doc:"Falhas na ligação USB em 24 horas."`
	USBLast        string    `json:"usbLast,omitempty" doc:"A última delas, como o sistema a escreve."`
	USBState       string    `json:"usbState,omitempty" enum:"fine,notice,warning,critical,silent"`
}

type diskAnswer struct {
	Name   string    `json:"name"`
	Total  int64     `json:"total" doc:"Bytes."`
	Free   int64     `json:"free" doc:"Bytes livres para o agente."`
	Own    bool      `json:"own" doc:"Nele fica o que o agente guarda."`
	State  string    `json:"state" enum:"fine,notice,warning,critical,silent"`
	SeenAt time.Time `json:"seenAt"`
}

type companyCertificateAnswer struct {
	Holder string    `json:"holder" doc:"Nome da empresa."`
	CNPJ   string    `json:"cnpj"`
	Type   string    `json:"type,omitempty" doc:"A1 ou A3."`
	From   time.Time `json:"from,omitzero"`
	Until  time.Time `json:"until"`
	Places []string  `json:"places" doc:"Onde foi encontrado."`
	InUse  bool      `json:"inUse" doc:"Um programa de caixa assina com ele."`
	Issuer string    `json:"issuer,omitempty" doc:"Nome da certificadora."`
	HasKey bool      `json:"hasKey" doc:"A chave privada está junto."`
	State  string    `json:"state" enum:"fine,notice,warning,critical,silent"`
	SeenAt time.Time `json:"seenAt"`
}

type remoteAccessAnswer struct {
	Program string    `json:"program"`
	ID      string    `json:"id,omitempty" doc:"Por qual número é chamado."`
	Version string    `json:"version,omitempty"`
	Link    string    `json:"link,omitempty" doc:"Abre o programa, já chamando este computador."`
	SeenAt  time.Time `json:"seenAt"`
}

type healthAnswer struct {
	Memory     int64     `json:"memory,omitempty" doc:"Bytes residentes."`
	Goroutines int       `json:"goroutines,omitempty"`
	Restarts   int       `json:"restarts" doc:"Reinícios inesperados em 24 horas."`
	Panics     int       `json:"panics" doc:"Falhas contidas em 24 horas."`
	State      string    `json:"state" enum:"fine,notice,warning,critical,silent"`
	SeenAt     time.Time `json:"seenAt"`
}

type tillDayAnswer struct {
	Day      string `json:"day" doc:"AAAA-MM-DD, no horário de Brasília."`
	Till     string `json:"till" doc:"Número do caixa no programa da loja."`
	Sold     int    `json:"sold"`
	Rejected int    `json:"rejected" doc:"Recusadas pelo equipamento."`
	Code     string `json:"code,omitempty" doc:"Código da maioria das recusas."`
	Median   int64  `json:"p50,omitempty" doc:"Milissegundos de uma venda, da chamada à resposta; falta quando não se sabe."`
	P95      int64  `json:"p95,omitempty" doc:"Milissegundos."`
	Longest  int64  `json:"longest,omitempty" doc:"Milissegundos."`
}

func sayComputer(c Computer) computerAnswer {
	out := computerAnswer{
		Disks: each(c.Disks, func(d ComputerDisk) diskAnswer {
			return diskAnswer{d.Key, d.Body.Total, d.Body.Free, d.Body.Own, string(d.State), d.At.UTC()}
		}),
		Certificates: each(c.Certificates, func(k ComputerCertificate) companyCertificateAnswer {
			b := k.Body
			return companyCertificateAnswer{b.Holder, b.CNPJ, b.Type, instant(b.From), k.Until(), some(b.Places), b.InUse, b.Issuer, b.HasKey, string(k.State), k.At.UTC()}
		}),
		Remote: each(c.Remote, func(p RemoteAccess) remoteAccessAnswer {
			return remoteAccessAnswer{p.Key, p.Body.ID, p.Body.Version, p.Link, p.At.UTC()}
		}),
		Sales: each(c.Days, func(d store.TillDay) tillDayAnswer {
			return tillDayAnswer{d.Day.In(brasilia()).Format(time.DateOnly), d.Till, d.Sold, d.Rejected, d.Code, d.Median.Milliseconds(), d.P95.Milliseconds(), d.Longest.Milliseconds()}
		})}
	if h := c.Health; !h.At.IsZero() {
		out.Agent = &healthAnswer{h.Body.Memory, h.Body.Goroutines, h.Body.Restarts, h.Body.Panics, string(c.Agent), h.At.UTC()}
	}
	if t := c.Inventory.Computer; !t.At.IsZero() {
		b := t.Body
		out.Computer = &systemAnswer{SeenAt: t.At.UTC(), System: b.System, Booted: c.Booted().UTC(), MemoryTotal: b.MemoryTotal, MemoryFree: b.MemoryFree,
			MemoryState: string(c.Memory), Antivirus: b.Antivirus, AntivirusBy: b.AntivirusBy, AntivirusState: string(c.Antivirus),
			ClockState: string(c.Clock), USBErrors: b.USBErrors, USBLast: b.USBLast, USBState: string(c.USB)}
		if synced := b.ClockSynced > 0; b.ClockSynced != 0 {
			out.Computer.ClockSynced = &synced
		}
	}
	return out
}

// instant is a time in Unix milliseconds, 0 being none.
func instant(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
