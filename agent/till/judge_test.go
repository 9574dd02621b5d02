package till

import (
	"strings"
	"testing"
	"time"

	"zelo/sat"
)

// noon is the present of all tests here: 21/11/2026 14:02 in Brasília.
func noon() time.Time { return time.Date(2026, 11, 21, 14, 2, 0, 0, sat.Brasilia()) }

// lastKey is a CF-e's.
const lastKey = "35261108723218000186599000000010000129876540"

// fine is a till of which there is nothing to say but that all is well.
func fine() State {
	return State{Name: "caixa-01",
		Device: Device{Address: "serial:/dev/ttyACM0", Info: sat.Info{Serial: "900000001", Name: "Elgin Linker II"}, Answering: true,
			Since: noon().Add(-5 * time.Hour), CodeKnown: true, StatusAt: noon().Add(-10 * time.Minute),
			Status: sat.Status{Serial: "900000001", State: sat.StateUnblocked, LAN: "CONECTADO", Software: "01.00.00",
				MemoryTotal: sat.Size{Text: "4 GB", Bytes: 4000, Unit: true}, MemoryUsed: sat.Size{Text: "1 GB", Bytes: 1000, Unit: true},
				LastContact: noon().Add(-12 * time.Minute), CertExpires: time.Date(2028, 3, 1, 0, 0, 0, 0, sat.Brasilia())}},
		Cloud: Cloud{Enrolled: true, Connected: true, Since: noon().Add(-5 * time.Hour), Saved: 1234, LastAck: noon().Add(-time.Minute)},
		Sale:  &Sale{At: noon().Add(-time.Minute), Key: lastKey, Total: "1234.50"},
	}
}

// fresh is the till of a new installation.
func fresh() State { return State{Name: "caixa-01"} }

// sentence is what the page says on top of a till that differs from fine.
type sentence struct {
	name     string
	change   func(*State)
	severity Severity
	text     string
	todo     string // how what to do begins
}

func (c sentence) check(t *testing.T) {
	s := fine()
	c.change(&s)
	top := judge(s, noon())[0]
	if top.Severity != c.severity || top.Text != c.text {
		t.Errorf("%s %q, want %s %q", top.Severity, top.Text, c.severity, c.text)
	}
	if !strings.HasPrefix(top.Todo, c.todo) || (top.Todo == "") != (c.todo == "") {
		t.Errorf("what to do is %q, want %q", top.Todo, c.todo)
	}
}

func ago(d time.Duration) time.Time { return noon().Add(-d) }

func TestSentenceOfTheCloud(t *testing.T) {
	for _, c := range []sentence{
		{"all is well", func(s *State) {}, Fine, "Tudo salvo na nuvem até 14:01.", ""},
		{"saved yesterday", func(s *State) { s.Cloud.LastAck = ago(20 * time.Hour) }, Fine, "Tudo salvo na nuvem até 20/11 18:02.", ""},
		{"saved last year", func(s *State) { s.Cloud.LastAck = ago(365 * 24 * time.Hour) }, Fine, "Tudo salvo na nuvem até 21/11/2025 14:02.", ""},
		{"nothing sold yet", func(s *State) { s.Cloud.LastAck = time.Time{} }, Fine, "Conectado à nuvem; nenhum cupom espera neste caixa.", ""},
		{"one on its way", func(s *State) { s.Cloud.Waiting, s.Cloud.Oldest = 1, ago(time.Second) }, Fine, "1 cupom a caminho da nuvem.", ""},
		{"some on their way", func(s *State) { s.Cloud.Waiting, s.Cloud.Oldest = 3, ago(9*time.Minute+59*time.Second) }, Fine, "3 cupons a caminho da nuvem.", ""},
		{"on their way for long", func(s *State) { s.Cloud.Waiting, s.Cloud.Oldest = 1234, ago(10*time.Minute) }, Warning,
			"1.234 cupons esperam a confirmação da nuvem, o mais antigo desde 13:52.", "O envio continua sozinho."},
		{"just disconnected", func(s *State) { s.Cloud.Connected, s.Cloud.Since = false, ago(119*time.Second) }, Fine,
			"Conectando à nuvem, nenhum cupom à espera aqui.", ""},
		{"off line", func(s *State) { s.Cloud = Cloud{Enrolled: true, Since: ago(3 * time.Hour), Waiting: 212} }, Warning,
			"Sem internet há 3 h, 212 cupons guardados aqui.", "As vendas continuam."},
		{"off line, one waits", func(s *State) { s.Cloud = Cloud{Enrolled: true, Since: ago(2 * time.Minute), Waiting: 1} }, Warning,
			"Sem internet há 2 min, 1 cupom guardado aqui.", "As vendas continuam."},
		{"off line for days", func(s *State) { s.Cloud = Cloud{Enrolled: true, Since: ago(72 * time.Hour), Waiting: 2} }, Critical,
			"Sem internet há 3 dias, 2 cupons guardados aqui.", "As vendas continuam."},
		{"off line for its own clock", func(s *State) {
			s.Cloud = Cloud{Enrolled: true, Since: ago(3 * time.Hour), Waiting: 212, Trouble: WrongClock}
		}, Warning, "A data deste computador está errada, e por isso a nuvem não é reconhecida há 3 h, 212 cupons guardados aqui.", "As vendas continuam. Acerte a data"},
		{"off line for the proxy", func(s *State) {
			s.Cloud = Cloud{Enrolled: true, Since: ago(3 * time.Hour), Waiting: 212, Trouble: BadProxy}
		}, Warning, "O proxy da loja recusa a conexão com a nuvem há 3 h, 212 cupons guardados aqui.", "As vendas continuam. Confira"},
		{"metered link used up", func(s *State) {
			s.Cloud.Waiting, s.Cloud.Oldest, s.Cloud.Full = 2, ago(30*time.Minute), true
		}, Notice, "Limite de internet desta hora atingido: 2 cupons esperam aqui.", "O envio volta"},
		{"not enrolled", func(s *State) { s.Cloud = Cloud{} }, Warning, "Este caixa ainda não foi ligado à nuvem.", "Peça ao suporte um código"},
		{"not enrolled, sells", func(s *State) { s.Cloud = Cloud{Waiting: 212} }, Warning,
			"Este caixa ainda não foi ligado à nuvem; 212 cupons guardados só aqui.", "Peça ao suporte um código"},
	} {
		t.Run(c.name, c.check)
	}
}

func TestSentenceOfTheDevice(t *testing.T) {
	for _, c := range []sentence{
		{"new till", func(s *State) { *s = fresh() }, Warning, "Nenhum SAT está configurado neste caixa.", "No arquivo de configuração"},
		{"device never found", func(s *State) { s.Device = Device{Address: "serial:COM3", Since: ago(time.Hour)} }, Critical,
			"O SAT ainda não foi encontrado em serial:COM3.", "Verifique o cabo USB"},
		{"device away", func(s *State) { s.Device.Answering, s.Device.Since = false, ago(22*time.Minute) }, Critical,
			"O SAT não responde desde 13:40.", "Verifique o cabo USB e a energia do equipamento."},
		{"one sale in doubt", func(s *State) { s.Device.InDoubt, s.Device.DoubtSince = 1, ago(time.Minute) }, Critical,
			"Uma venda está em dúvida desde 14:01; estamos perguntando ao SAT. Não repita a venda.", "Aguarde"},
		{"sales in doubt", func(s *State) { s.Device.InDoubt = 2 }, Critical,
			"2 vendas estão em dúvida; estamos perguntando ao SAT. Não repita nenhuma delas.", "Aguarde"},
		{"in doubt and device away", func(s *State) { s.Device.InDoubt, s.Device.DoubtSince, s.Device.Answering = 1, ago(time.Minute), false }, Critical,
			"Uma venda está em dúvida desde 14:01 e o SAT não responde. Não repita a venda.", "Verifique o cabo USB"},
	} {
		t.Run(c.name, c.check)
	}
}

func TestSentenceOfTheStatus(t *testing.T) {
	for _, c := range []sentence{
		{"blocked by the SEFAZ", func(s *State) { s.Device.Status.State = sat.StateBlockedSEFAZ }, Critical,
			"O SAT está bloqueado pela SEFAZ e não emite cupons.", "Deixe-o ligado"},
		{"blocked by the taxpayer", func(s *State) { s.Device.Status.State = sat.StateBlockedContribuinte }, Critical,
			"O SAT está bloqueado a pedido do contribuinte e não emite cupons.", "Para voltar a usá-lo"},
		{"autonomous block", func(s *State) { s.Device.Status.State = sat.StateBlockedAutonomous }, Critical,
			"O SAT parou de emitir sozinho (bloqueio autônomo): ficou tempo demais sem falar com a SEFAZ, a memória encheu ou o certificado venceu.", "Ligue o cabo de rede"},
		{"blocked for deactivation", func(s *State) { s.Device.Status.State = sat.StateBlockedDeactivation }, Critical,
			"O SAT está bloqueado para desativação e não emite mais cupons.", "Antes de desligá-lo"},
		{"state nobody knows", func(s *State) { s.Device.Status.State = sat.StateUnknown }, Fine, "Tudo salvo na nuvem até 14:01.", ""},
		{"a day without the SEFAZ", func(s *State) { s.Device.Status.LastContact = s.Device.StatusAt.Add(-day) }, Warning,
			"O SAT está há 24 h sem contato com a SEFAZ.", "Confira o cabo de rede"},
		{"three days without the SEFAZ", func(s *State) { s.Device.Status.LastContact = s.Device.StatusAt.Add(-3 * day) }, Critical,
			"O SAT está há 3 dias sem contato com a SEFAZ.", "Confira o cabo de rede"},
		{"memory filling", func(s *State) { s.Device.Status.MemoryUsed.Bytes = 2800 }, Warning,
			"A memória do SAT está com 70 % em uso; com 95 % ele se bloqueia.", "Confira se o SAT"},
		{"memory nearly full", func(s *State) { s.Device.Status.MemoryUsed.Bytes = 3400 }, Critical,
			"A memória do SAT está com 85 % em uso; com 95 % ele se bloqueia.", "Confira se o SAT"},
		{"memory unreadable", func(s *State) { s.Device.Status.MemoryUsed.Unit = false }, Fine, "Tudo salvo na nuvem até 14:01.", ""},
		{"status old", func(s *State) { s.Device.StatusAt, s.Device.Since = ago(day), ago(2*day) }, Warning,
			"O estado do SAT não é lido desde 20/11 14:02: bloqueio, certificado e memória não estão sendo conferidos.", "Informe o código"},
		{"status never read", func(s *State) { s.Device.StatusAt, s.Device.Since = time.Time{}, ago(day) }, Warning,
			"O estado do SAT não é lido desde 20/11 14:02: bloqueio, certificado e memória não estão sendo conferidos.", "Informe o código"},
	} {
		t.Run(c.name, c.check)
	}
}

func TestSentenceOfCertificates(t *testing.T) {
	for _, c := range []sentence{
		{"device's certificate expired", func(s *State) { s.Device.Status.CertExpires = noon().AddDate(0, 0, -1) }, Critical,
			"O certificado do SAT venceu em 20/11/2026.", "Com ele vencido"},
		{"device's certificate soon", func(s *State) { s.Device.Status.CertExpires = noon().AddDate(0, 0, 20) }, Warning,
			"O certificado do SAT vence em 11/12/2026, faltam 20 dias.", "Deixe o equipamento ligado"},
		{"device's certificate unknown", func(s *State) { s.Device.Status.CertExpires = time.Time{} }, Fine, "Tudo salvo na nuvem até 14:01.", ""},
		{"shop's certificate expired", func(s *State) { s.Certificates = []Certificate{{"PADARIA SOL LTDA", noon().AddDate(0, 0, -3)}} }, Critical,
			"O certificado digital de PADARIA SOL LTDA venceu em 18/11/2026.", "A emissão de notas está parada"},
		{"shop's certificate tomorrow", func(s *State) { s.Certificates = []Certificate{{"PADARIA SOL LTDA", noon().AddDate(0, 0, 1)}} }, Critical,
			"O certificado digital de PADARIA SOL LTDA vence amanhã.", "Sem o novo"},
		{"shop's certificate in 60 days", func(s *State) { s.Certificates = []Certificate{{"PADARIA SOL LTDA", noon().AddDate(0, 0, 60)}} }, Fine,
			"Tudo salvo na nuvem até 14:01.", ""},
	} {
		t.Run(c.name, c.check)
	}
}

func TestWorstComesFirst(t *testing.T) {
	for _, c := range []sentence{
		{"doubt before everything", func(s *State) {
			s.Device.InDoubt, s.Device.Status.State, s.Cloud.Connected = 1, sat.StateBlockedSEFAZ, false
		}, Critical, "Uma venda está em dúvida; estamos perguntando ao SAT. Não repita a venda.", "Aguarde"},
		{"device before cloud", func(s *State) {
			s.Device.Answering, s.Cloud = false, Cloud{Enrolled: true, Since: ago(96 * time.Hour), Waiting: 9}
		}, Critical, "O SAT não responde desde 09:02.", "Verifique o cabo USB"},
		{"stopped before slow", func(s *State) {
			s.Device.Status.MemoryUsed.Bytes, s.Cloud = 2900, Cloud{Enrolled: true, Since: ago(96 * time.Hour), Waiting: 9}
		}, Critical, "Sem internet há 4 dias, 9 cupons guardados aqui.", "As vendas continuam."},
	} {
		t.Run(c.name, c.check)
	}
}

// What else there is to say follows, worst first, each thing once.
func TestEverythingElse(t *testing.T) {
	s := fine()
	s.Device.InDoubt, s.Device.CodeKnown = 1, false
	s.Device.Status.State, s.Device.Status.CertExpires = sat.StateBlockedAutonomous, noon().AddDate(0, 0, 45)
	s.Device.Status.MemoryUsed.Bytes = 2900
	s.Cloud.Connected, s.Cloud.Since = false, noon().Add(-time.Hour)
	s.Certificates = []Certificate{{"PADARIA SOL LTDA", noon().AddDate(0, 0, 12)}, {"MATRIZ LTDA", noon().AddDate(2, 0, 0)}}
	want := []string{"venda_em_duvida", "sat_bloqueado", "certificado_loja", "sat_memoria", "nuvem_sem_contato", "certificado_sat", "codigo_desconhecido"}
	var got []string
	for _, f := range judge(s, noon()) {
		got = append(got, f.Code)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A new till says one step after the other.
func TestFirstSteps(t *testing.T) {
	s := fresh()
	codes := func() (all []string) {
		for _, f := range judge(s, noon()) {
			all = append(all, f.Code)
		}
		return all
	}
	expect := func(want ...string) {
		t.Helper()
		if got := codes(); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	expect("sat_nao_configurado", "nuvem_nao_cadastrado")
	s.Device.Address = "serial:COM3"
	expect("sat_nao_encontrado", "nuvem_nao_cadastrado")
	s.Device.Info.Serial, s.Device.Answering, s.Device.Since = "900000001", true, noon()
	expect("nuvem_nao_cadastrado", "codigo_desconhecido")
	s.Cloud = Cloud{Enrolled: true, Connected: true, Since: noon()}
	expect("nuvem_em_dia", "codigo_desconhecido")
	s.Device.CodeKnown = true
	expect("nuvem_em_dia")
}

func TestWarningLevels(t *testing.T) {
	for _, c := range []struct {
		days, level int
		next        int // days until the level changes
		severity    Severity
	}{
		{400, noLevel, 310, Fine}, {91, noLevel, 1, Fine}, {90, 90, 30, Notice}, {61, 90, 1, Notice}, {60, 60, 30, Notice},
		{31, 60, 1, Notice}, {30, 30, 15, Warning}, {16, 30, 1, Warning}, {15, 15, 8, Critical}, {8, 15, 1, Critical},
		{7, 7, 6, Critical}, {2, 7, 1, Critical}, {1, 1, 2, Critical}, {0, 1, 1, Critical}, {-1, 0, 0, Critical}, {-300, 0, 0, Critical},
	} {
		expires := noon().AddDate(0, 0, c.days)
		if days := daysBetween(noon(), expires); days != c.days {
			t.Errorf("%d days counted as %d", c.days, days)
		}
		if l := level(c.days); l != c.level || levelSeverity(l) != c.severity {
			t.Errorf("%d days left: level %d, %s; want %d, %s", c.days, l, levelSeverity(l), c.level, c.severity)
		}
		next := nextWarning(noon(), expires)
		if next.IsZero() != (c.next == 0) || !next.IsZero() && daysBetween(noon(), next) != c.next {
			t.Errorf("%d days left: the next warning is on %v, want in %d days", c.days, next, c.next)
		}
		if !next.IsZero() && level(daysBetween(next, expires)) == c.level {
			t.Errorf("%d days left: nothing changes on %v", c.days, next)
		}
	}
}

// Days are those of the calendar in Brasília, whatever the zone and the hour.
func TestDaysOfTheCalendar(t *testing.T) {
	late := time.Date(2026, 11, 21, 23, 59, 0, 0, sat.Brasilia())
	if n := daysBetween(late.UTC(), late.Add(2*time.Minute).UTC()); n != 1 {
		t.Errorf("from one minute before midnight to one after it are %d days", n)
	}
}

func TestAmounts(t *testing.T) {
	for in, want := range map[string]string{"2.00": "R$ 2,00", "1234.50": "R$ 1.234,50", "1234567.8": "R$ 1.234.567,80", "7": "R$ 7,00", "": none} {
		if got := money(in); got != want {
			t.Errorf("%q written as %q, want %q", in, got, want)
		}
	}
}
