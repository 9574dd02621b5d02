package alarm

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 21, 14, 0, 0, 0, brasilia)

// healthy are the facts of a device of which nothing needs to be said.
func healthy() Facts {
	return Facts{
		Subject: Subject{OfDevice, "900000001"},
		Agent:   &Agent{Heard: now.Add(-time.Minute)},
		Device: &Device{
			FirstSeen: now.AddDate(-1, 0, 0), StatusAt: now.Add(-5 * time.Minute), Memory: 0.10,
			LastContact: now.Add(-time.Hour), CertExpires: now.AddDate(2, 0, 0), ClockKnown: true,
		},
	}
}

func agentFacts(change func(*Facts)) Facts {
	f := Facts{Subject: Subject{OfAgent, "abcdefgh"}, Agent: &Agent{Heard: now.Add(-time.Minute)}}
	change(&f)
	return f
}

func device(change func(*Device)) Facts {
	f := healthy()
	change(f.Device)
	return f
}

func some(n int, last time.Time) Happening {
	return Happening{Count: n, First: last.Add(-time.Hour), Last: last, Example: "exemplo"}
}

// find returns what was raised under code, or nil.
func find(f Facts, code Code) *Raised {
	for _, r := range Eval(f, now) {
		if r.Code == code && r.Behind == "" {
			return &r
		}
	}
	return nil
}

// cases give each rule its borders: want 0 means that nothing is raised.
var cases = []struct {
	name string
	code Code
	f    Facts
	want Severity
	step int
	says string // part of the detail
}{
	{"heard 14 min ago", AgentSilent, agentFacts(func(f *Facts) { f.Agent.Heard = now.Add(-14 * time.Minute) }), 0, 0, ""},
	{"silent 15 min", AgentSilent, agentFacts(func(f *Facts) { f.Agent.Heard = now.Add(-15 * time.Minute) }), Notice, 1, "21/11/2026 13:45"},
	{"silent a day", AgentSilent, agentFacts(func(f *Facts) { f.Agent.Heard = now.Add(-24 * time.Hour) }), Warning, 2, "20/11/2026 14:00"},
	{"silent 3 days", AgentSilent, agentFacts(func(f *Facts) { f.Agent.Heard = now.Add(-72 * time.Hour) }), Critical, 3, ""},
	{"never heard", AgentSilent, agentFacts(func(f *Facts) { f.Agent.Heard = time.Time{} }), 0, 0, ""},

	{"answers", DeviceNotAnswering, healthy(), 0, 0, ""},
	{"no answer for 1 min", DeviceNotAnswering, device(func(d *Device) { d.Silent = now.Add(-time.Minute) }), 0, 0, ""},
	{"no answer for 2 min", DeviceNotAnswering, device(func(d *Device) { d.Silent = now.Add(-2 * time.Minute) }), Warning, 1, "sem resposta desde 21/11/2026 13:58"},
	{"no answer for 30 min", DeviceNotAnswering, device(func(d *Device) { d.Silent = now.Add(-30 * time.Minute) }), Critical, 2, ""},

	{"status just under a day", StatusOld, device(func(d *Device) { d.StatusAt = now.Add(-day + time.Second) }), 0, 0, ""},
	{"status a day old", StatusOld, device(func(d *Device) { d.StatusAt = now.Add(-day) }), Warning, 1, "Último status"},
	{"status 3 days old", StatusOld, device(func(d *Device) { d.StatusAt = now.Add(-3 * day) }), Critical, 2, ""},
	{"never a status", StatusOld, device(func(d *Device) { d.StatusAt = time.Time{} }), Critical, 2, "Nenhum status"},
	{"new device without status", StatusOld, device(func(d *Device) { d.StatusAt, d.FirstSeen = time.Time{}, now }), 0, 0, ""},

	{"unblocked", BlockedByTaxOffice, healthy(), 0, 0, ""},
	{"state 1", BlockedByTaxOffice, device(block(ByTaxOffice)), Critical, 1, "Uso vedado desde 01/01/2026: bloqueado pela SEFAZ (estado 1) desde 19/11/2026 08:40"},
	{"state 1 is not state 2", BlockedByTaxpayer, device(block(ByTaxOffice)), 0, 0, ""},
	{"state 2", BlockedByTaxpayer, device(block(ByTaxpayer)), Warning, 1, "(estado 2)"},
	{"unblocked autonomously", BlockedAutonomous, healthy(), 0, 0, ""},
	{"state 3", BlockedAutonomous, device(block(Autonomous)), Critical, 1, "Bloqueio autônomo (estado 3) desde 19/11/2026 08:40"},
	{"not for deactivation", BlockedDeactivation, healthy(), 0, 0, ""},
	{"state 4", BlockedDeactivation, device(block(ForDeactivation)), Warning, 1, "(estado 4)"},
	{"state 4 with pending documents", BlockedDeactivation, device(func(d *Device) {
		block(ForDeactivation)(d)
		d.PendingSince = now.Add(-48 * time.Hour)
	}), Warning, 1, "Há documentos pendentes de envio à SEFAZ, o mais antigo de 19/11/2026"},

	{"certificate 91 days", CertificateExpiring, expires(91), 0, 0, ""},
	{"certificate 90 days", CertificateExpiring, expires(90), Notice, 1, "daqui a 90 dias"},
	{"certificate 60 days", CertificateExpiring, expires(60), Notice, 2, ""},
	{"certificate 31 days", CertificateExpiring, expires(31), Notice, 2, ""},
	{"certificate 30 days", CertificateExpiring, expires(30), Warning, 3, ""},
	{"certificate 16 days", CertificateExpiring, expires(16), Warning, 3, ""},
	{"certificate 15 days", CertificateExpiring, expires(15), Critical, 4, "vence em 06/12/2026, daqui a 15 dias"},
	{"certificate 7 days", CertificateExpiring, expires(7), Critical, 5, ""},
	{"certificate 1 day", CertificateExpiring, expires(1), Critical, 6, "daqui a 1 dia."},
	{"certificate today", CertificateExpiring, expires(0), Critical, 6, "vence hoje"},
	{"certificate expired", CertificateExpiring, expires(-1), Critical, 7, "venceu em 20/11/2026, há 1 dia."},
	{"certificate not known", CertificateExpiring, device(func(d *Device) { d.CertExpires = time.Time{} }), 0, 0, ""},

	{"memory 69.9 %", MemoryFilling, device(func(d *Device) { d.Memory = 0.699 }), 0, 0, ""},
	{"memory 70 %", MemoryFilling, device(func(d *Device) { d.Memory = 0.70 }), Warning, 1, "70 % em uso"},
	{"memory 85 %", MemoryFilling, device(func(d *Device) { d.Memory = 0.85 }), Critical, 2, ""},
	{"memory 95 %", MemoryFilling, device(func(d *Device) { d.Memory = 0.95 }), Critical, 3, ""},
	{"memory not known", MemoryFilling, device(func(d *Device) { d.Memory = -1 }), 0, 0, ""},

	{"contact just under a day", NoContact, device(func(d *Device) { d.LastContact = now.Add(-day + time.Second) }), 0, 0, ""},
	{"contact a day ago", NoContact, device(func(d *Device) { d.LastContact = now.Add(-day) }), Warning, 1, "20/11/2026 14:00"},
	{"contact 3 days ago", NoContact, device(func(d *Device) { d.LastContact = now.Add(-3 * day) }), Critical, 2, ""},
	{"contact 7 days ago", NoContact, device(func(d *Device) { d.LastContact = now.Add(-7 * day) }), Critical, 3, ""},
	{"contact not known", NoContact, device(func(d *Device) { d.LastContact = time.Time{} }), 0, 0, ""},

	{"nothing pending", PendingOld, healthy(), 0, 0, ""},
	{"pending 23 h", PendingOld, device(func(d *Device) { d.PendingSince = now.Add(-23 * time.Hour) }), 0, 0, ""},
	{"pending a day", PendingOld, device(func(d *Device) { d.PendingSince = now.Add(-day) }), Warning, 1, "o mais antigo de 20/11/2026 14:00"},
	{"one pending a day, or many", PendingOld, device(func(d *Device) { d.PendingSince, d.Pending = now.Add(-day), 1 }), Warning, 1, "Há documentos pendentes de envio à SEFAZ, o mais"},
	{"many pending a day", PendingOld, device(func(d *Device) { d.PendingSince, d.Pending = now.Add(-day), 212 }), Warning, 1,
		"Há cerca de 212 documentos pendentes de envio à SEFAZ, o mais antigo de 20/11/2026 14:00"},
	{"many pending behind a block of the tax office", BlockedByTaxOffice, device(func(d *Device) { block(ByTaxOffice)(d); d.PendingSince, d.Pending = now.Add(-day), 212 }), Critical, 1,
		"Há cerca de 212 documentos pendentes de envio à SEFAZ, o mais antigo de 20/11/2026."},
	{"pending 3 days", PendingOld, device(func(d *Device) { d.PendingSince = now.Add(-3 * day) }), Critical, 2, ""},
	{"pending 8 days", PendingOld, device(func(d *Device) { d.PendingSince = now.Add(-8 * day) }), Critical, 3, ""},

	{"clock off 59 s", ClockOff, device(func(d *Device) { d.ClockOff = 59 * time.Second }), 0, 0, ""},
	{"clock 60 s fast", ClockOff, device(func(d *Device) { d.ClockOff = time.Minute }), Warning, 1, "adiantado em 60 segundos"},
	{"clock 240 s slow", ClockOff, device(func(d *Device) { d.ClockOff = -4 * time.Minute }), Critical, 2, "atrasado em 4 minutos"},
	{"clock hours off", ClockOff, device(func(d *Device) { d.ClockOff = 3 * time.Hour }), Critical, 2, "adiantado em 3 horas"},
	{"clock days off", ClockOff, device(func(d *Device) { d.ClockOff = 50 * time.Hour }), Critical, 2, "adiantado em 2 dias"},
	{"clock not known", ClockOff, device(func(d *Device) { d.ClockOff, d.ClockKnown = time.Hour, false }), 0, 0, ""},

	{"no forbidden document", EmissionForbidden, healthy(), 0, 0, ""},
	{"a forbidden document", EmissionForbidden, device(func(d *Device) { d.Forbidden = some(1, now) }), Critical, 1, "1 documento em produção"},
	{"signatures right", SignatureInvalid, healthy(), 0, 0, ""},
	{"two wrong signatures", SignatureInvalid, device(func(d *Device) { d.Invalid = some(2, now) }), Critical, 1, "2 documentos sem assinatura válida"},
	{"nothing missing", DocumentMissing, healthy(), 0, 0, ""},
	{"a document missing", DocumentMissing, with(func(f *Facts) { f.Missing = some(1, now) }), Critical, 1, "1 documento emitido sem o arquivo"},
	{"missing, device not known", DocumentMissing, agentFacts(func(f *Facts) { f.Missing = Happening{Count: 1, First: now, Last: now} }), Critical, 1, "1 documento emitido sem o arquivo, desde 21/11/2026 14:00."},
	{"all resolved", CaseUnresolved, healthy(), 0, 0, ""},
	{"a case unresolved", CaseUnresolved, with(func(f *Facts) { f.Unresolved = some(1, now) }), Critical, 1, "1 venda sem desfecho, desde 21/11/2026 13:00. A última: caso exemplo."},

	{"no sale issued twice", IssuedTwice, healthy(), 0, 0, ""},
	{"a sale issued twice", IssuedTwice, with(func(f *Facts) { f.IssuedTwice = some(1, now) }), Critical, 1,
		"1 venda emitida por dois equipamentos, desde 21/11/2026 13:00. A última: exemplo."},
	{"issued twice, device not known", IssuedTwice, agentFacts(func(f *Facts) { f.IssuedTwice = some(2, now) }), Critical, 1, "2 vendas emitidas por dois"},
	{"issued twice just under 30 days ago", IssuedTwice, with(func(f *Facts) { f.IssuedTwice = some(1, now.Add(-30*day+time.Second)) }), Critical, 1, ""},
	{"issued twice 30 days ago", IssuedTwice, with(func(f *Facts) { f.IssuedTwice = some(1, now.Add(-30*day)) }), 0, 0, ""},

	{"nothing evicted", RecordsEvicted, agentFacts(func(*Facts) {}), 0, 0, ""},
	{"evicted just under 7 days ago", RecordsEvicted, agentFacts(func(f *Facts) { f.Agent.Evicted = some(1, now.Add(-7*day+time.Second)) }), Warning, 1, "1 descarte"},
	{"evicted 7 days ago", RecordsEvicted, agentFacts(func(f *Facts) { f.Agent.Evicted = some(1, now.Add(-7*day)) }), 0, 0, ""},
	{"buffer damaged", BufferDamaged, agentFacts(func(f *Facts) { f.Agent.Damaged = some(1, now) }), Critical, 1, "1 dano"},
	{"buffer damaged long ago", BufferDamaged, agentFacts(func(f *Facts) { f.Agent.Damaged = some(3, now.Add(-8*day)) }), 0, 0, ""},
	{"cloned", AgentCloned, agentFacts(func(f *Facts) { f.Agent.Collided = some(4, now) }), Critical, 1, "4 registros"},
	{"cloned long ago", AgentCloned, agentFacts(func(f *Facts) { f.Agent.Collided = some(4, now.Add(-8*day)) }), 0, 0, ""},
	{"quarantine empty", RecordsQuarantined, agentFacts(func(*Facts) {}), 0, 0, ""},
	{"quarantined from an agent", RecordsQuarantined, agentFacts(func(f *Facts) { f.Quarantined = some(2, now) }), Warning, 1, "2 registros em quarentena"},
	{"quarantined from an import", RecordsQuarantined, Facts{Subject: Subject{Kind: OfImports}, Quarantined: some(1, now)}, Warning, 1, "1 registro"},
	{"no answer, another device sells", DeviceNotAnswering, device(func(d *Device) { d.Silent, d.OtherSells = now.Add(-day), true }), Warning, 2, "Outro equipamento da loja está em uso"},
	{"state 1 while draining", BlockedByTaxOffice, device(func(d *Device) { block(ByTaxOffice)(d); d.Stage = Draining }), Notice, 1, "Uso vedado desde 01/01/2026"},
	{"state 1 put away", BlockedByTaxOffice, device(func(d *Device) { block(ByTaxOffice)(d); d.Stage = Closed }), 0, 0, ""},
	{"pending from before the ban", PendingOld, device(func(d *Device) { d.PendingSince = now.AddDate(-1, 0, 0) }), Critical, 3, ""},

	{"all transmitted", NotTransmitted, device(func(d *Device) { d.LastIssued, d.LastSent = now.Add(-3*day), now.Add(-2*day) }), 0, 0, ""},
	{"never transmitted is not known", NotTransmitted, device(func(d *Device) { d.LastIssued = now.Add(-3 * day) }), 0, 0, ""},
	{"not transmitted for a day", NotTransmitted, device(func(d *Device) { d.LastIssued, d.LastSent = now.Add(-day), now.Add(-2*day) }), Warning, 1, "última transmissão foi em 19/11/2026"},
	{"not transmitted for 3 days", NotTransmitted, device(func(d *Device) { d.LastIssued, d.LastSent = now.Add(-3*day), now.Add(-4*day) }), Critical, 2, ""},
	{"network connected", NetworkDown, healthy(), 0, 0, ""},
	{"network down 59 min", NetworkDown, device(func(d *Device) { d.NoNetwork = now.Add(-59 * time.Minute) }), 0, 0, ""},
	{"network down 1 h", NetworkDown, device(func(d *Device) { d.NoNetwork = now.Add(-time.Hour) }), Warning, 1, "desconectada desde 21/11/2026 13:00"},
	{"network down a day", NetworkDown, device(func(d *Device) { d.NoNetwork = now.Add(-day) }), Critical, 2, ""},
	{"battery high", BatteryWeak, device(func(d *Device) { d.Battery, d.BatterySince = BatteryHigh, now.Add(-day) }), 0, 0, ""},
	{"battery medium", BatteryWeak, device(func(d *Device) { d.Battery, d.BatterySince = BatteryMedium, now.Add(-9*day) }), Notice, 2, "nível médio"},
	{"battery low 59 min", BatteryWeak, device(func(d *Device) { d.Battery, d.BatterySince = BatteryLow, now.Add(-59*time.Minute) }), 0, 0, ""},
	{"battery low 1 h", BatteryWeak, device(func(d *Device) { d.Battery, d.BatterySince = BatteryLow, now.Add(-time.Hour) }), Notice, 1, "nível baixo"},
	{"battery low a day", BatteryWeak, device(func(d *Device) { d.Battery, d.BatterySince = BatteryLow, now.Add(-day) }), Warning, 2, ""},
	{"software as the others", SoftwareBehind, basic("01.02.03", "01.02.03", 90), 0, 0, ""},
	{"software ahead", SoftwareBehind, basic("01.10.00", "01.09.00", 90), 0, 0, ""},
	{"software behind for 29 days", SoftwareBehind, basic("01.02.03", "01.02.10", 29), 0, 0, ""},
	{"software behind for 30 days", SoftwareBehind, basic("01.02.03", "01.02.10", 30), Notice, 1, "usam 01.02.10 desde"},
	{"lost and silent", LostSeen, device(func(d *Device) { d.Stage, d.StageSince = Lost, now }), 0, 0, ""},
	{"lost and seen", LostSeen, device(func(d *Device) { d.Stage, d.StageSince = Lost, now.Add(-day) }), Warning, 1, "extraviado em 20/11/2026 14:00, deu sinal"},
	{"issued through us alone", IssuedOutside, healthy(), 0, 0, ""},
	{"issued outside", IssuedOutside, device(func(d *Device) { d.Outside = some(2, now) }), Warning, 1, "2 documentos por fora do agente"},
	{"issued through the direct bridge", IssuedOutside, device(func(d *Device) { d.Direct = some(2, now) }), Warning, 1, "pela ponte direta: o serviço do agente não respondia. O último: exemplo."},
	{"issued both ways", IssuedOutside, device(func(d *Device) { d.Direct, d.Outside = some(2, now), some(3, now) }), Warning, 1, "5 documentos por fora do agente, desde 21/11/2026 13:00: 2 pela ponte direta, 3 pela ferramenta"},
	{"the device went on by itself", IssuedOutside, wentOn(20*time.Minute, func(*Facts) {}), Warning, 1, "3 documentos por fora do agente"},
	{"it went on a moment ago", IssuedOutside, wentOn(14*time.Minute, func(*Facts) {}), 0, 0, ""},
	{"it went on, and documents wait at the agent", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Agent.Oldest = now.Add(-21 * time.Minute) }), 0, 0, ""},
	{"it went on, and newer records wait", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Agent.Oldest = now }), Warning, 1, ""},
	{"it went on by documents told to be missing", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Missing = some(3, now) }), 0, 0, ""},
	{"it went on while a case is open", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Unresolved = some(1, now) }), 0, 0, ""},
	{"it went on, without an agent", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Agent = nil }), 0, 0, ""},
	{"the agent tells of fewer than it went on by", IssuedOutside, wentOn(20*time.Minute, func(f *Facts) { f.Device.Outside = some(2, now) }), Warning, 1, "3 documentos por fora"},
	{"the end is missing", NumbersMissing, wentOn(time.Hour, func(*Facts) {}), Warning, 1, "Faltam 3 números, a última perto de 21/11/2026: 000010 a 000012. No fim da numeração, segundo o próprio equipamento: 000010 a 000012."},
	{"the end and more", NumbersMissing, wentOn(time.Hour, func(f *Facts) { f.Device.Gaps = some(2, now.Add(-day)) }), Critical, 2, "Faltam 5 números"},
	{"the end may be on its way", NumbersMissing, wentOn(59*time.Minute, func(*Facts) {}), 0, 0, ""},
	{"issued outside 7 days ago", IssuedOutside, device(func(d *Device) { d.Outside = some(2, now.Add(-7*day)) }), 0, 0, ""},
	{"no number missing", NumbersMissing, healthy(), 0, 0, ""},
	{"missing for 59 min", NumbersMissing, gaps(59*time.Minute, now), 0, 0, ""},
	{"missing for 1 h", NumbersMissing, gaps(time.Hour, now), Warning, 1, "Faltam 3 números, a última perto de 21/11/2026: exemplo."},
	{"missing for a day", NumbersMissing, gaps(day, now), Critical, 2, ""},
	{"missing long since", NumbersMissing, gaps(90*day, now.Add(-61*day)), Warning, 2, ""},
	{"no number doubled", NumbersDoubled, healthy(), 0, 0, ""},
	{"a number doubled", NumbersDoubled, device(func(d *Device) { d.Doubled = some(1, now) }), Critical, 1, "Número: exemplo"},

	{"buffer 69 %", BufferFilling, buffer(69), 0, 0, ""},
	{"buffer 70 %", BufferFilling, buffer(70), Warning, 1, "70 %"},
	{"buffer 85 %", BufferFilling, buffer(85), Critical, 2, ""},
	{"buffer not known", BufferFilling, agentFacts(func(f *Facts) { f.Agent.Used = 7 }), 0, 0, ""},
	{"nothing set aside", RecordSetAside, agentFacts(func(*Facts) {}), 0, 0, ""},
	{"a record set aside", RecordSetAside, agentFacts(func(f *Facts) { f.Agent.SetAside = some(1, now) }), Critical, 1, "1 registro separado"},
	{"agent as the others", AgentBehind, version("1.2.0", "1.2.0", 90), 0, 0, ""},
	{"agent behind 6 days", AgentBehind, version("1.9.0", "1.10.0", 6), 0, 0, ""},
	{"agent behind 7 days", AgentBehind, version("1.9.0", "1.10.0", 7), Notice, 1, "outros caixas usam a 1.10.0"},
	{"agent behind 30 days", AgentBehind, version("1.9.0", "1.10.0", 30), Warning, 2, ""},
	{"agent of no numbered version", AgentBehind, version("dev", "1.10.0", 30), 0, 0, ""},
	{"disk 11 % free", DiskFilling, disk(11), 0, 0, ""},
	{"disk 10 % free", DiskFilling, disk(10), Warning, 1, "C: com 10.0 % livre"},
	{"disk 3 % free", DiskFilling, disk(3), Critical, 2, ""},
	{"disk not known", DiskFilling, agentFacts(func(f *Facts) { f.Agent.Disks = []Disk{{}} }), 0, 0, ""},
	{"memory of the computer 6 %", MemoryLow, computer(func(c *Computer) { c.MemoryTotal, c.MemoryFree = 100, 6 }), 0, 0, ""},
	{"memory of the computer 5 %", MemoryLow, computer(func(c *Computer) { c.MemoryTotal, c.MemoryFree = 100, 5 }), Notice, 1, "5 % da memória"},
	{"computer's clock 119 s", ComputerClock, clock(119 * time.Second), 0, 0, ""},
	{"computer's clock 120 s", ComputerClock, clock(-120 * time.Second), Notice, 1, "atrasado em 2 minutos"},
	{"computer's clock 5 min", ComputerClock, clock(5 * time.Minute), Warning, 2, ""},
	{"antivirus not known", AntivirusOff, computer(func(*Computer) {}), 0, 0, ""},
	{"antivirus on", AntivirusOff, computer(func(c *Computer) { c.Antivirus = "on" }), 0, 0, ""},
	{"antivirus off", AntivirusOff, computer(func(c *Computer) { c.Antivirus, c.AntivirusBy = "off", "Defender" }), Notice, 1, "Defender desligado"},
	{"4 USB errors", USBErrors, computer(func(c *Computer) { c.USBErrors = 4 }), 0, 0, ""},
	{"5 USB errors", USBErrors, computer(func(c *Computer) { c.USBErrors, c.USBLast = 5, "erro -71" }), Notice, 1, "A última: erro -71."},
	{"a device came back 4 times", USBErrors, computer(func(c *Computer) { c.Returned = some(4, now) }), 0, 0, ""},
	{"a device came back 5 times", USBErrors, computer(func(c *Computer) { c.Returned = some(5, now) }), Notice, 1, "O equipamento exemplo sumiu e voltou 5 vezes em 24 horas, a última em"},
	{"50 USB errors", USBErrors, computer(func(c *Computer) { c.USBErrors = 50 }), Warning, 2, ""},
	{"agent well", AgentUnwell, computer(func(*Computer) {}), 0, 0, ""},
	{"agent restarted like every evening", AgentUnwell, computer(func(c *Computer) { c.Restarts = 3 }), 0, 0, ""},
	{"agent restarted", AgentUnwell, computer(func(c *Computer) { c.Restarts = 4 }), Notice, 1, "4 reinícios inesperados do agente"},
	{"agent failed often", AgentUnwell, computer(func(c *Computer) { c.Panics, c.Restarts = 8, 2 }), Warning, 2, "8 falhas e 2 reinícios"},
	{"our library", MakersLibrary, agentFacts(func(*Facts) {}), 0, 0, ""},
	{"the maker's library for 59 min", MakersLibrary, library(59 * time.Minute), 0, 0, ""},
	{"the maker's library for an hour", MakersLibrary, library(time.Hour), Warning, 1, `O programa pdv.exe usa a biblioteca do fabricante (C:\SAT\SAT.dll) desde`},
	{"two programs", MakersLibrary, library(time.Hour, 2*time.Hour), Warning, 1, "2 programas usam a biblioteca do fabricante, o primeiro, pdv.exe, desde 21/11/2026 12:"},
	{"all programs seen", LibraryUnseen, agentFacts(func(f *Facts) { f.Agent.Unseen.At = now }), 0, 0, ""},
	{"programs of 64 bits not seen for 89 min", LibraryUnseen, unseen("wide", 89*time.Minute), 0, 0, ""},
	{"programs of 64 bits not seen", LibraryUnseen, unseen("wide", 90*time.Minute), Notice, 1, "não vê os programas de 64 bits"},
	{"programs of others not seen", LibraryUnseen, unseen("denied", 2*time.Hour), Notice, 1, "não tem permissão"},
	{"no programs seen, nobody knows why", LibraryUnseen, unseen("new", 2*time.Hour), Notice, 1, "não conseguiu ver"},
	{"4 refusals", SalesRejected, refused(4, 10, 0), 0, 0, ""},
	{"5 refusals of 200 sales", SalesRejected, refused(5, 195, 0), 0, 0, ""},
	{"5 refusals of 100 sales", SalesRejected, refused(5, 95, 0), Warning, 1, "PDV 001: 5 vendas recusadas em 21/11/2026, 5 % das vendas do dia. Código mais comum: 06010."},
	{"a third refused", SalesRejected, refused(30, 70, 0), Critical, 2, ""},
	{"refused by a blocked device", SalesRejected, refusedAs("06008", now.Add(-time.Hour)), 0, 0, ""},
	{"refused by a device blocked by the taxpayer", SalesRejected, refusedAs("06006/0000", now.Add(-time.Hour)), 0, 0, ""},
	{"refused by a blocked device whose status nobody knows", SalesRejected, refusedAs("06008", time.Time{}), Critical, 2, "Código mais comum: 06008."},
	{"refused for its content by a device whose status is known", SalesRejected, refusedAs("06010/1999", now.Add(-time.Hour)), Critical, 2, ""},
	{"as many as ever", SalesRejected, refused(30, 70, 20), 0, 0, ""},
	{"no slow sales", SalesSlow, slow(9*time.Second, 100), 0, 0, ""},
	{"few sales say nothing", SalesSlow, slow(30*time.Second, 19), 0, 0, ""},
	{"slow sales", SalesSlow, slow(10*time.Second, 100), Notice, 1, "mais de 10 segundos"},

	{"company certificate 91 days", CompanyCertificate, company(91, nil), 0, 0, ""},
	{"company certificate 90 days", CompanyCertificate, company(90, nil), Notice, 1, "O certificado A1 de LOJA LTDA, em 2 caixas, vence em"},
	{"company certificate 7 days", CompanyCertificate, company(7, nil), Critical, 5, "daqui a 7 dias"},
	{"company certificate renewed", CompanyCertificate, company(7, func(c *Certificate) { c.Renewed = true }), 0, 0, ""},
	{"company certificate taken away", CompanyCertificate, company(7, func(c *Certificate) { c.Tills = 0 }), 0, 0, ""},
	{"no gap", SeriesGapOpen, shop(func(*Shop) {}), 0, 0, ""},
	{"a gap of yesterday", SeriesGapOpen, series(now.Add(-day)), 0, 0, ""},
	{"a gap of this month", SeriesGapOpen, series(now.AddDate(0, 0, -5)), Notice, 1, "Faltam 3 números de NFC-e: série 1, nº 7 a 9, até o dia 10/12/2026 para inutilizar."},
	{"a gap of last month, overdue", SeriesGapOpen, series(now.AddDate(0, -1, 0)), Warning, 4, "vencido em 10/11/2026"},
	{"none in contingency", ContingencyOpen, shop(func(*Shop) {}), 0, 0, ""},
	{"in contingency 119 min", ContingencyOpen, contingency(119 * time.Minute), 0, 0, ""},
	{"in contingency 2 h", ContingencyOpen, contingency(2 * time.Hour), Notice, 1, "2 notas em contingência"},
	{"in contingency 12 h", ContingencyOpen, contingency(12 * time.Hour), Warning, 2, ""},
	{"in contingency 20 h", ContingencyOpen, contingency(20 * time.Hour), Critical, 3, ""},
	{"in contingency a day", ContingencyOpen, contingency(24 * time.Hour), Critical, 4, ""},

	{"an event shows that a number was used", SeriesGapOpen, usedSeries(false), Warning, 2, "Faltam 4 números de NFC-e: série 2, nº 5. O nº 5 foi emitido, como mostra"},
	{"and in contingency", SeriesGapOpen, usedSeries(true), Warning, 2, "O nº 5 foi emitido em contingência, como mostra um evento dele: falta o arquivo, e ele não pode ser inutilizado."},
	{"contingency in an unknown state", ContingencyOpen, inState("", 3*time.Hour, Policy{}), Notice, 1, "vence em 22/11/2026 11:00 (contamos 24 horas: o estado da loja não é conhecido)."},
	{"contingency in SP", ContingencyOpen, inState("SP", 3*time.Hour, Policy{}), Notice, 1, "vence em 22/11/2026 11:00 (contamos 24 horas: o prazo de SP não está confirmado)."},
	{"contingency in PE", ContingencyOpen, inState("PE", 25*time.Hour, Policy{}), Critical, 4, "O prazo venceu em 21/11/2026 13:00, prazo de PE."},
	{"contingency in MG over Friday and weekend", ContingencyOpen, inState("MG", 25*time.Hour, Policy{}), Critical, 4, "O prazo vence em 23/11/2026 23:59, prazo de MG."},
	{"contingency in MG before a holiday of the state", ContingencyOpen, inState("MG", 3*time.Hour, Policy{Holidays: []string{"23/11"}}), Notice, 1, "vence em 24/11/2026 23:59"},
	{"contingency in MG too late", ContingencyOpen, inState("MG", 5*day, Policy{}), Critical, 5, "O prazo venceu em 17/11/2026 23:59"},
	{"contingency in SE", ContingencyOpen, inState("SE", 3*time.Hour, Policy{}), Notice, 1, "prazo de SE (não confirmado na SEFAZ)."},
	{"contingency by the shop's own term", ContingencyOpen, inState("MG", 3*time.Hour, Policy{Contingency: 3}), Critical, 4, "O prazo venceu em 21/11/2026 14:00, pelo prazo configurado."},
	{"a note without an answer for 14 min", NoteUnknown, notes(14*time.Minute - time.Hour), 0, 0, ""},
	{"a note without an answer", NoteUnknown, notes(0), Warning, 1, "2 notas sem resposta da SEFAZ, a mais antiga de 21/11/2026 13:00. A última: exemplo."},
	{"a note without an answer for a day", NoteUnknown, notes(day), Critical, 2, ""},
	{"a note without an answer for months", NoteUnknown, notes(61 * day), Notice, 2, ""},
	{"no notes without an answer", NoteUnknown, shop(func(*Shop) {}), 0, 0, ""},
	{"a number on-line and off-line", NoteTwins, shop(func(s *Shop) { s.Twins = some(1, now) }), Critical, 1, "1 número emitido em modo normal e também em contingência"},
	{"no sale on two notes", NoteAgain, shop(func(*Shop) {}), 0, 0, ""},
	{"a sale on two notes", NoteAgain, again(3*time.Minute, time.Hour, Policy{}), Warning, 1,
		"1 nota com valor e itens iguais aos de uma nota que estava sem resposta. A última: série 1, nº 5 em 21/11/2026 13:00, em contingência, 3 minutos depois do nº 4."},
	{"15 minutes apart", NoteAgain, again(15*time.Minute, time.Hour, Policy{}), Warning, 1, "15 minutos depois"},
	{"longer apart", NoteAgain, again(15*time.Minute+time.Second, time.Hour, Policy{}), 0, 0, ""},
	{"longer apart, by the shop's own minutes", NoteAgain, again(40*time.Minute, time.Hour, Policy{Steps: map[Code][]float64{NoteAgain: {45}}}), Warning, 1, ""},
	{"closer, by the shop's own minutes", NoteAgain, again(3*time.Minute, time.Hour, Policy{Steps: map[Code][]float64{NoteAgain: {2}}}), 0, 0, ""},
	{"just under 30 days ago", NoteAgain, again(time.Minute, 30*day-time.Second, Policy{}), Warning, 1, ""},
	{"30 days ago", NoteAgain, again(time.Minute, 30*day, Policy{}), 0, 0, ""},
	{"long ago", NoteTwins, shop(func(s *Shop) { s.Twins = some(1, now.AddDate(0, 0, -30)) }), 0, 0, ""},
}

func basic(has, newest string, days int) Facts {
	return device(func(d *Device) { d.Software, d.Newest, d.NewestSince = has, newest, now.AddDate(0, 0, -days) })
}

func gaps(since time.Duration, near time.Time) Facts {
	return device(func(d *Device) { d.Gaps = Happening{Count: 3, First: now.Add(-since), Last: near, Example: "exemplo"} })
}

func buffer(percent int64) Facts {
	return agentFacts(func(f *Facts) { f.Agent.Used, f.Agent.Bound, f.Agent.BeatAt = percent, 100, now })
}

func version(has, newest string, days int) Facts {
	return agentFacts(func(f *Facts) {
		f.Agent.Software, f.Agent.Newest, f.Agent.NewestSince = has, newest, now.AddDate(0, 0, -days)
	})
}

func disk(free int64) Facts {
	return agentFacts(func(f *Facts) {
		f.Agent.Disks = []Disk{{Name: "D:", Total: 100, Free: 50, At: now}, {Name: "C:", Total: 100, Free: free, At: now}}
	})
}

func computer(change func(*Computer)) Facts {
	return agentFacts(func(f *Facts) { f.Agent.Computer = &Computer{At: now}; change(f.Agent.Computer) })
}

func clock(off time.Duration) Facts {
	return agentFacts(func(f *Facts) { f.Agent.ClockOff, f.Agent.BeatAt = off, now })
}

func library(since ...time.Duration) Facts {
	return agentFacts(func(f *Facts) {
		for _, s := range since {
			f.Agent.Makers = append(f.Agent.Makers, Library{"pdv.exe", `C:\SAT\SAT.dll`, now.Add(-s)})
		}
	})
}

func unseen(why string, since time.Duration) Facts {
	return agentFacts(func(f *Facts) { f.Agent.Unseen = Unseen{why, now.Add(-since)} })
}

// refused is a day of a till after one with some percent of its sales refused.
func refused(n, sold, before int) Facts {
	return agentFacts(func(f *Facts) {
		f.Agent.Sales = []Sales{{Till: "001", Day: midnight(now), Sold: sold, Rejected: n, Code: "06010"},
			{Till: "001", Day: midnight(now).AddDate(0, 0, -1), Sold: 100 - before, Rejected: before}}
	})
}

// refusedAs is a day of a till that refuses with a code, of whose devices a status came.
func refusedAs(code string, status time.Time) Facts {
	f := refused(50, 50, 0)
	f.Agent.Sales[0].Code, f.Agent.Statuses = code, status
	return f
}

func slow(p95 time.Duration, sold int) Facts {
	return agentFacts(func(f *Facts) { f.Agent.Sales = []Sales{{Till: "001", Day: midnight(now), Sold: sold, P95: p95}} })
}

func company(days int, change func(*Certificate)) Facts {
	c := &Certificate{Holder: "LOJA LTDA", Type: "A1", Expires: midnight(now).AddDate(0, 0, days), Tills: 2}
	if change != nil {
		change(c)
	}
	return Facts{Subject: Subject{OfCertificate, "ab"}, Certificate: c}
}

func shop(change func(*Shop)) Facts {
	f := Facts{Subject: Subject{OfShop, "11222333000181"}, Shop: &Shop{}}
	change(f.Shop)
	return f
}

func series(before time.Time) Facts {
	return shop(func(s *Shop) { s.Gaps = []SeriesGap{{Series: "1", From: 7, To: 9, Before: before}} })
}

// wentOn are facts of a device that named three numbers more than are held.
func wentOn(ago time.Duration, change func(*Facts)) Facts {
	f := healthy()
	f.Device.Ahead = Happening{Count: 3, First: now.Add(-ago), Last: now, Example: "000010 a 000012"}
	f.Agent.BeatAt = now
	change(&f)
	return f
}

// usedSeries has two gaps, of one of which an event shows that a number was used.
func usedSeries(offline bool) Facts {
	f := series(now.Add(-3 * day))
	f.Shop.Gaps = append(f.Shop.Gaps, SeriesGap{Series: "2", From: 5, To: 5, Before: now.Add(-4 * day), Used: 5, Offline: offline})
	return f
}

// inState is a note of contingency of an age in a state, by a policy.
func inState(state string, age time.Duration, p Policy) Facts {
	f := contingency(age)
	f.Shop.State, f.Policy = state, p
	return f
}

func notes(age time.Duration) Facts {
	return shop(func(s *Shop) { s.Unknown = some(2, now.Add(-age)) })
}

// again is a sale on two notes, so far apart and so long ago, by a policy.
func again(after, ago time.Duration, p Policy) Facts {
	f := shop(func(s *Shop) { s.Again = []Again{{"1", 4, 5, now.Add(-ago), after, true}} })
	f.Policy = p
	return f
}

func contingency(age time.Duration) Facts {
	return shop(func(s *Shop) { s.Unsettled = some(2, now); s.Unsettled.First = now.Add(-age) })
}

func block(b Block) func(*Device) {
	return func(d *Device) { d.Block, d.BlockSince = b, time.Date(2026, 11, 19, 8, 40, 0, 0, brasilia) }
}

func expires(days int) Facts {
	return device(func(d *Device) { d.CertExpires = midnight(now).AddDate(0, 0, days) })
}

func with(change func(*Facts)) Facts {
	f := healthy()
	change(&f)
	return f
}

func TestRules(t *testing.T) {
	for _, c := range cases {
		t.Run(string(c.code)+"/"+c.name, func(t *testing.T) {
			got := find(c.f, c.code)
			if c.want == 0 {
				if got != nil {
					t.Fatalf("raised: %+v", *got)
				}
				return
			}
			if got == nil {
				t.Fatal("not raised")
			}
			if got.Severity != c.want || got.Step != c.step {
				t.Errorf("severity %v step %d, want %v step %d", got.Severity, got.Step, c.want, c.step)
			}
			if !strings.Contains(got.Detail, c.says) || strings.Contains(got.Detail, "%!") {
				t.Errorf("detail %q does not say %q", got.Detail, c.says)
			}
			if got.Since.IsZero() || got.Since.After(now) {
				t.Errorf("since %v", got.Since)
			}
		})
	}
}

// TestEveryRuleIsTested asks for a raise, a clear and all texts of every rule.
func TestEveryRuleIsTested(t *testing.T) {
	raises, clears := map[Code]bool{}, map[Code]bool{}
	for _, c := range cases {
		raises[c.code] = raises[c.code] || c.want != 0
		clears[c.code] = clears[c.code] || c.want == 0
	}
	seen := map[Code]bool{}
	for _, r := range Rules() {
		if r.judge != nil && (!raises[r.Code] || !clears[r.Code]) {
			t.Errorf("%s has no case that raises it, or none that does not", r.Code)
		}
		if seen[r.Code] {
			t.Errorf("%s is declared twice", r.Code)
		}
		for _, parent := range r.DependsOn {
			if !seen[parent] {
				t.Errorf("%s depends on %s, which is not declared before it", r.Code, parent)
			}
		}
		seen[r.Code] = true
		if len(r.Subjects) == 0 || r.Severity < Notice || r.Severity > Critical {
			t.Errorf("%s is incomplete: %+v", r.Code, r)
		}
		if len(r.Title) < 8 || strings.HasSuffix(r.Title, ".") {
			t.Errorf("%s: title %q", r.Code, r.Title)
		}
		for _, text := range []string{r.Meaning, r.WhatToDo} {
			if len(text) < 40 || !strings.HasSuffix(text, ".") || strings.Contains(text, "!") {
				t.Errorf("%s: text %q", r.Code, text)
			}
		}
	}
	if _, ok := RuleOf("no-such-rule"); ok {
		t.Error("a rule that does not exist was found")
	}
}

func TestHealthyRaisesNothing(t *testing.T) {
	if got := Eval(healthy(), now); len(got) != 0 {
		t.Errorf("raised %+v", got)
	}
	if got := Eval(Facts{Subject: Subject{OfDevice, "1"}}, now); got != nil {
		t.Errorf("an unknown device raised %+v", got)
	}
}

// TestBehind: while the agent is silent nothing is said about how long the
// device has been so, but what is certain stays.
func TestBehind(t *testing.T) {
	f := device(func(d *Device) {
		block(Autonomous)(d)
		d.LastContact, d.Silent = now.Add(-4*day), now.Add(-4*day)
	})
	f.Agent.Heard = now.Add(-2 * day)
	got := map[Code]Code{}
	for _, r := range Eval(f, now) {
		got[r.Code] = r.Behind
	}
	want := map[Code]Code{DeviceNotAnswering: AgentSilent, StatusOld: AgentSilent, NoContact: AgentSilent, PendingOld: AgentSilent,
		NotTransmitted: AgentSilent, NetworkDown: AgentSilent, BatteryWeak: AgentSilent, NumbersMissing: AgentSilent, BlockedAutonomous: ""}
	if len(got) != len(want) {
		t.Errorf("raised %v", got)
	}
	for code, behind := range want {
		if b, ok := got[code]; !ok || b != behind {
			t.Errorf("%s behind %q, want %q", code, b, behind)
		}
	}
	f.Agent.Heard = now
	if got := find(f, DeviceNotAnswering); got == nil || got.Severity != Critical {
		t.Errorf("agent back: %+v", got)
	}
	if find(f, NoContact) != nil {
		t.Error("the device does not answer, so its last contact is not known")
	}
}

// TestDeviceWithoutAgent is known from imports alone: nobody expects it to speak.
func TestDeviceWithoutAgent(t *testing.T) {
	f := Facts{Subject: Subject{OfDevice, "900000001"}, Device: &Device{FirstSeen: now.AddDate(-1, 0, 0), Memory: -1}}
	if got := Eval(f, now); len(got) != 0 {
		t.Errorf("raised %+v", got)
	}
}

func TestSeverityWords(t *testing.T) {
	for s, want := range map[Severity]string{0: "sem alarme", Notice: "aviso", Warning: "atenção", Critical: "crítico"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
}

// TestBan: what emission being prohibited since 2026 changes.
func TestBan(t *testing.T) {
	for _, c := range []struct {
		name string
		code Code
		at   time.Time
		f    Facts
		want Severity
		says string
	}{
		{"state 1 before", BlockedByTaxOffice, banned().Add(-time.Hour), device(func(d *Device) { d.Block, d.BlockSince = ByTaxOffice, banned().Add(-day) }),
			Critical, "Bloqueado pela SEFAZ (estado 1) desde 31/12/2025"},
		{"pending for an hour", PendingOld, banned(), device(func(d *Device) { d.PendingSince = banned().Add(-time.Hour) }), Warning, "31/12/2025 23:00"},
		{"pending for an hour, before", PendingOld, banned().Add(-time.Minute), device(func(d *Device) { d.PendingSince = banned().Add(-time.Hour) }), 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.f.Device.StatusAt, c.f.Agent.Heard = c.at, c.at
			var got Raised
			for _, r := range Eval(c.f, c.at) {
				if r.Code == c.code {
					got = r
				}
			}
			if got.Severity != c.want || !strings.Contains(got.Detail, c.says) {
				t.Errorf("%+v", got)
			}
		})
	}
}
