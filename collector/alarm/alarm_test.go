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
	{"state 1", BlockedByTaxOffice, device(block(ByTaxOffice)), Critical, 1, "Bloqueado pela SEFAZ (estado 1) desde 19/11/2026 08:40"},
	{"state 1 is not state 2", BlockedByTaxpayer, device(block(ByTaxOffice)), 0, 0, ""},
	{"state 2", BlockedByTaxpayer, device(block(ByTaxpayer)), Warning, 1, "(estado 2)"},
	{"unblocked autonomously", BlockedAutonomous, healthy(), 0, 0, ""},
	{"state 3", BlockedAutonomous, device(block(Autonomous)), Critical, 1, "Bloqueio autônomo (estado 3) desde 19/11/2026 08:40"},
	{"not for deactivation", BlockedDeactivation, healthy(), 0, 0, ""},
	{"state 4", BlockedDeactivation, device(block(ForDeactivation)), Warning, 1, "(estado 4)"},
	{"state 4 with pending documents", BlockedDeactivation, device(func(d *Device) {
		block(ForDeactivation)(d)
		d.PendingSince = now.Add(-48 * time.Hour)
	}), Warning, 1, "pendentes de envio, o mais antigo de 19/11/2026"},

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
		if !raises[r.Code] || !clears[r.Code] {
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
		if len(r.Subjects) == 0 || r.Severity < Notice || r.Severity > Critical || r.judge == nil {
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
	want := map[Code]Code{DeviceNotAnswering: AgentSilent, StatusOld: AgentSilent, NoContact: AgentSilent,
		PendingOld: AgentSilent, BlockedAutonomous: ""}
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
