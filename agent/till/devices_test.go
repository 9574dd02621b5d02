package till

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"zelo/sat"
)

// second is another device of the same till, of which nothing needs to be said.
func second(serial string) Device {
	d := fine().Device
	d.Address, d.Info = "tcp:10.0.0."+serial[8:]+":9100", sat.Info{Serial: serial, Name: "Bematech GO"}
	d.Status.Serial = serial
	return d
}

// pair is a till with two devices.
func pair() State {
	s := fine()
	s.Others = []Device{second("900000002")}
	return s
}

// goneDevice is one that was unplugged with sales in doubt.
func goneDevice(serial string, n int) Device {
	return Device{Info: sat.Info{Serial: serial}, InDoubt: n, DoubtSince: ago(2 * time.Hour), Unfit: "não está neste computador"}
}

func silence(d *Device, since time.Time) {
	d.Answering, d.Since, d.Unfit = false, since, "não responde"
}

func TestSentenceOfSeveralDevices(t *testing.T) {
	for _, c := range []sentence{
		{"both well", func(s *State) {}, Fine, "Tudo salvo na nuvem até 14:01.", ""},
		{"the first away", func(s *State) { silence(&s.Device, ago(22*time.Minute)) }, Warning,
			"2 SATs: as vendas seguem pelo SAT 900000002 enquanto o 900000001 não responde desde 13:40.", "Verifique o cabo USB"},
		{"the second away", func(s *State) { silence(&s.Others[0], time.Time{}) }, Warning,
			"2 SATs: as vendas seguem pelo SAT 900000001 enquanto o 900000002 não responde.", "Verifique o cabo USB"},
		{"the second never found", func(s *State) { s.Others[0] = Device{Address: "serial:COM3", Unfit: "não responde"} }, Warning,
			"2 SATs: as vendas seguem pelo SAT 900000001 enquanto o de serial:COM3 não responde.", "Verifique o cabo USB"},
		{"both away", func(s *State) {
			silence(&s.Device, ago(time.Hour))
			silence(&s.Others[0], ago(time.Hour))
		}, Critical, "Nenhum dos 2 SATs responde.", "Verifique o cabo USB"},
		{"two of three away", func(s *State) {
			silence(&s.Device, ago(time.Hour))
			silence(&s.Others[0], ago(time.Hour))
			s.Others = append(s.Others, second("900000003"))
		}, Warning, "3 SATs: as vendas seguem pelo SAT 900000003 enquanto o 900000001 e o 900000002 não respondem.", "Verifique o cabo USB"},
		{"one of three away", func(s *State) {
			silence(&s.Others[0], ago(time.Hour))
			s.Others = append(s.Others, second("900000003"))
		}, Warning, "3 SATs: as vendas seguem pelos SATs 900000001 e 900000003 enquanto o 900000002 não responde desde 13:02.", "Verifique o cabo USB"},
		{"one away, the other serves nobody else", func(s *State) {
			silence(&s.Device, ago(22*time.Minute))
			s.Others[0].Unfit = "código de ativação desconhecido"
		}, Critical, "O SAT 900000001 não responde desde 13:40, e as vendas não podem ir para outro: SAT 900000002, código de ativação desconhecido.", "Verifique o cabo USB"},
		{"one blocked", func(s *State) {
			s.Device.Status.State, s.Device.Unfit = sat.StateBlockedSEFAZ, "bloqueado pela SEFAZ"
		}, Warning, "O SAT 900000001 está bloqueado pela SEFAZ e não emite cupons. As vendas seguem pelo SAT 900000002.", "Deixe-o ligado"},
		{"both blocked", func(s *State) {
			s.Device.Status.State, s.Others[0].Status.State = sat.StateBlockedSEFAZ, sat.StateBlockedSEFAZ
		}, Critical, "O SAT 900000001 está bloqueado pela SEFAZ e não emite cupons.", "Deixe-o ligado"},
		{"one away, one blocked", func(s *State) {
			silence(&s.Device, ago(22*time.Minute))
			s.Others[0].Status.State = sat.StateBlockedAutonomous
		}, Critical, "O SAT 900000001 não responde desde 13:40, e as vendas não podem ir para outro: SAT 900000002, bloqueio autônomo.", "Verifique o cabo USB"},
		{"memory of one nearly full", func(s *State) { s.Others[0].Status.MemoryUsed.Bytes = 3400 }, Warning,
			"A memória do SAT 900000002 está com 85 % em uso; com 95 % ele se bloqueia.", "Confira se o SAT"},
		{"certificate of the second", func(s *State) { s.Others[0].Status.CertExpires = noon().AddDate(0, 0, 20) }, Warning,
			"O certificado do SAT 900000002 vence em 11/12/2026, faltam 20 dias.", "Deixe o equipamento ligado"},
	} {
		change := c.change
		c.change = func(s *State) { *s = pair(); change(s) }
		t.Run(c.name, c.check)
	}
}

func TestSentenceOfDoubtsOverAllDevices(t *testing.T) {
	doubt := func(d *Device, n int, since time.Time) {
		d.InDoubt, d.DoubtSince, d.Unfit = n, since, "verificando uma venda anterior"
	}
	for _, c := range []sentence{
		{"at the second", func(s *State) { doubt(&s.Others[0], 1, ago(time.Minute)) }, Critical,
			"Uma venda está em dúvida desde 14:01; estamos perguntando ao SAT 900000002. Não repita a venda.",
			"Aguarde: assim que o SAT disser se a venda saiu, este aviso some e as vendas seguem. As outras vendas seguem pelo SAT 900000001."},
		{"at both", func(s *State) { doubt(&s.Device, 1, ago(time.Minute)); doubt(&s.Others[0], 2, ago(time.Hour)) }, Critical,
			"3 vendas estão em dúvida desde 13:02; estamos perguntando aos SATs 900000001 e 900000002. Não repita nenhuma delas.", "Aguarde"},
		{"at one that is away", func(s *State) {
			doubt(&s.Device, 1, ago(time.Minute))
			silence(&s.Device, ago(time.Minute))
		}, Critical, "Uma venda está em dúvida desde 14:01 e o SAT 900000001 não responde. Não repita a venda.", "Verifique o cabo USB"},
		{"at both, both away", func(s *State) {
			for _, d := range []*Device{&s.Device, &s.Others[0]} {
				doubt(d, 1, ago(time.Minute))
				silence(d, ago(time.Minute))
			}
		}, Critical, "2 vendas estão em dúvida desde 14:01 e os SATs 900000001 e 900000002 não respondem. Não repita nenhuma delas.", "Verifique o cabo USB"},
		{"at one that is no longer here", func(s *State) { s.Others = append(s.Others, goneDevice("900000009", 1)) }, Critical,
			"O SAT nº 900000009 não está mais neste computador e tem uma venda em dúvida desde 12:02. Não repita a venda.", "Ligue-o de volta"},
		{"several at one that is no longer here", func(s *State) { s.Others = []Device{goneDevice("900000009", 2)} }, Critical,
			"O SAT nº 900000009 não está mais neste computador e tem 2 vendas em dúvida desde 12:02. Não repita nenhuma delas.", "Ligue-o de volta"},
		{"at another computer", func(s *State) { s.Others = append(s.Others, goneDevice("", 1)) }, Critical,
			"Outro computador da loja tem uma venda em dúvida deste caixa desde 12:02. Não repita a venda.", "Verifique se ele está ligado"},
		{"no device configured any more", func(s *State) { s.Device, s.Others = goneDevice("900000009", 1), nil }, Critical,
			"O SAT nº 900000009 não está mais neste computador e tem uma venda em dúvida desde 12:02. Não repita a venda.", "Ligue-o de volta"},
	} {
		change := c.change
		c.change = func(s *State) { *s = pair(); change(s) }
		t.Run(c.name, c.check)
	}
}

// A device that has gone is no reason to say that the only one left has a name,
// but it is one to tell them apart.
func TestGoneDeviceBesideOne(t *testing.T) {
	s := fine()
	s.Others = []Device{goneDevice("900000009", 1)}
	silence(&s.Device, ago(22*time.Minute))
	var texts []string
	for _, f := range judge(s, noon()) {
		texts = append(texts, f.Text)
	}
	if all := strings.Join(texts, "\n"); !strings.Contains(all, "O SAT nº 900000009 não está mais") || !strings.Contains(all, "O SAT 900000001 não responde desde 13:40.") {
		t.Error(all)
	}
}

func TestListOfDevices(t *testing.T) {
	d := newDesk(t)
	d.state = pair()
	silence(&d.state.Device, ago(22*time.Minute))
	blocked, unfit := second("900000003"), second("900000004")
	blocked.Status.State = sat.StateBlockedAutonomous
	unfit.Unfit = "não se sabe para que CNPJ emite"
	d.state.Others = append(d.state.Others, blocked, unfit, Device{Address: "serial:COM7", Unfit: "não responde"}, goneDevice("900000009", 2), goneDevice("", 1))
	page := d.body(d.send(http.MethodGet, "/"))
	for _, want := range []string{"<h2>Equipamentos</h2>",
		"<b>SAT 900000001</b> · Elgin Linker II: sem resposta desde 13:40", "<b>SAT 900000002</b> · Bematech GO: respondendo desde 09:02",
		"<b>SAT 900000003</b> · Bematech GO: bloqueio autônomo", "<b>SAT 900000004</b> · Bematech GO: respondendo, mas não assume vendas dos outros: não se sabe para que CNPJ emite",
		"<b>SAT de serial:COM7</b>: não encontrado", "<b>SAT 900000009</b>: não está mais neste computador; 2 vendas em dúvida",
		"<b>Outro computador da loja</b>: fez vendas deste caixa; 1 venda em dúvida", "<h2>SAT 900000002</h2>", "<h2>SAT serial:COM7</h2>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if n := strings.Count(page, "Testar agora"); n != 1 || strings.Contains(page, "<h2>SAT 900000009</h2>") {
		t.Errorf("%d buttons; %s", n, page)
	}
	if page := d.body(d.send(http.MethodPost, "/testar")); !strings.Contains(page, "O SAT 900000001 respondeu ao teste das 14:02:00.") {
		t.Error(page)
	}
	d.state = fine()
	if page := d.body(d.send(http.MethodGet, "/")); strings.Contains(page, "Equipamentos") || !strings.Contains(page, "<h2>Equipamento</h2>") {
		t.Error("one device is listed twice")
	}
}
