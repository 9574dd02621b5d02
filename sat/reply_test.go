package sat

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const key1 = "35150708723218000186599000040190000215133408"

func saleReply(session int, key string) string {
	xml := "<CFe><infCFe Id=\"CFe" + key + "\"/></CFe>"
	return fmt.Sprintf("%06d|06000|0000|Emitido com sucesso|||%s|20150718154423|CFe%s|2.00||c2ln",
		session, base64.StdEncoding.EncodeToString([]byte(xml)), key)
}

// Replies seen in the field that the corpora do not hold (dossier 2.2, 2.3).
func TestFieldReplies(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       Function
		raw     string
		code    Code
		alert   Alert
		message string
	}{
		{"Tanca busy with six fields", ConsultarSAT, "005877|08098|0000|SAT em processamento. Tente novamente.||", 8098, "0000", "SAT em processamento. Tente novamente."},
		{"Sweda empty CCCC", EnviarDadosVenda, "123456|06098||SAT em processamento. Tente Novamente.||", 6098, "", "SAT em processamento. Tente Novamente."},
		{"Bematech validation", EnviarDadosVenda, "447626|06010|1999|Erro desconhecido||", 6010, "1999", "Erro desconhecido"},
		{"Elgin unplugged", ConsultarSAT, "123456|9999|SAT Desconectado", 9999, "", "SAT Desconectado"},
		{"Kryptus no USB", ConsultarSAT, "000000|00000|Erro ao abrir USB.", 0, "", "Erro ao abrir USB."},
		{"Bematech duplicate, Latin-1", EnviarDadosVenda, "123456|19999|N\xfamero de sess\xe3o duplicado!||", 19999, "", "Número de sessão duplicado!"},
		{"Gertec unpadded session", ConsultarSAT, "7|08000|SAT em operacao||", 8000, "", "SAT em operacao"},
		{"Kryptus padded fields", ConsultarSAT, "000123 |08000 |SAT em operacao\n| | \n", 8000, "", "SAT em operacao"},
		{"sale failure without CCCC", EnviarDadosVenda, "123456|06001|Código de ativação inválido||", 6001, "", "Código de ativação inválido"},
		{"cancellation too late, no text", CancelarUltimaVenda, "123456|07099|0000|||", 7099, "0000", ""},
	} {
		r, err := ParseReply(c.f, []byte(c.raw))
		if err != nil || r.Code != c.code || r.Alert != c.alert || r.Message != c.message {
			t.Errorf("%s: got code %s alert %q message %q, %v", c.name, r.Code, r.Alert, r.Message, err)
		}
		checkFields(t, c.f, r)
	}
}

func checkFields(t *testing.T, f Function, r Reply) {
	t.Helper()
	want := 5
	if f.Fiscal() {
		want = 6
	}
	if n := strings.Count(string(r.Encode(r.Session)), "|") + 1; n != want {
		t.Errorf("%s: failure rewritten with %d fields, want %d", f, n, want)
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct{ name, raw, wants string }{
		{"library text", "Error [2] openning serial COM3", "no field separator"},
		{"nothing", "", "no field separator"},
		{"session text", "abc|06000|x||", "session number"},
		{"code text", "123456|0600x|x||", "return code"},
		{"success cut before the document", "123456|06000|0000|Emitido com sucesso||", "6 fields"},
		{"too many fields", saleReply(1, key1) + "|x|y", "14 fields"},
		{"code of another function", "123456|07000|0000|ok|||QQ==|20150718154423|k|1|2|3", "belongs to CancelarUltimaVenda"},
		{"alert text", "123456|06000|abcd|ok|||QQ==|20150718154423|k|1.00||s", "CCCC"},
	} {
		_, err := ParseReply(EnviarDadosVenda, []byte(c.raw))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.wants)
		}
	}
}

func TestStoredRepliesHaveTheLayoutOfTheirOwnFunction(t *testing.T) {
	r, err := ParseReply(ConsultarNumeroSessao, []byte(saleReply(77, key1)))
	if err != nil || r.Function != EnviarDadosVenda || r.Session != 77 {
		t.Fatalf("got %s session %d, %v", r.Function, r.Session, err)
	}
	if d, err := r.Document(); err != nil || d.Key != key1 || d.Total != "2.00" {
		t.Fatalf("document %+v, %v", d, err)
	}
	r, err = ParseReply(ConsultarNumeroSessao, []byte("099999|11003|Sessao nao existe||"))
	if err != nil || r.Function != ConsultarNumeroSessao || r.Code != 11003 {
		t.Fatalf("got %s %s, %v", r.Function, r.Code, err)
	}
}

func TestDocumentKeepsBytesThroughLineBreaks(t *testing.T) {
	xml := "<CFe>\r\n é &amp; </CFe>\n"
	b64 := base64.StdEncoding.EncodeToString([]byte(xml))
	raw := "000001|06000|0000|ok|||" + b64[:8] + "\r\n" + b64[8:] + "|20150718154423|CFe" + key1 + "|2.00||s"
	r, err := ParseReply(EnviarDadosVenda, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := r.Document(); err != nil || string(d.XML) != xml {
		t.Fatalf("got %q, %v", d.XML, err)
	}
}

func TestOutcome(t *testing.T) {
	sale := Request{Function: EnviarDadosVenda, Session: 77}
	cancel := Request{Function: CancelarUltimaVenda, Session: 77}
	for _, c := range []struct {
		name string
		req  Request
		raw  string
		err  error
		want Outcome
	}{
		{"success", sale, saleReply(77, key1), nil, Issued},
		{"success of another session", sale, saleReply(78, key1), nil, Unknown},
		{"success without document", sale, "000077|06000|0000|ok||||20150718154423|k|1.00||s", nil, Unknown},
		{"success cut in the document", sale, saleReply(77, key1)[:100], nil, Unknown},
		{"success with broken document", sale, "000077|06000|0000|ok|||!!!|20150718154423|k|1.00||s", nil, Unknown},
		{"refused content", sale, "000077|06010|1460|GTIN||", nil, NotIssued},
		{"refused, another session", sale, "000078|06010|1460|GTIN||", nil, Unknown},
		{"blocked", sale, "000077|06008|0000|bloqueado||", nil, NotIssued},
		{"busy", sale, "000077|06098|0000|tente||", nil, Unknown},
		{"duplicate session", sale, "000077|06097|0000|sessao||", nil, Unknown},
		{"unknown error", sale, "000077|06099|0000|erro||", nil, Unknown},
		{"library code", sale, "000077|9999|SAT Desconectado", nil, Unknown},
		{"cancel refused", cancel, "000077|07007|1412|tarde||", nil, NotIssued},
		{"cancel refused, new table", cancel, "000077|07010|1412|tarde||", nil, NotIssued},
		{"cancel without text", cancel, "000077|07099|0000|||", nil, Unknown},
		{"not sent", sale, "", fmt.Errorf("dial: %w", ErrNotSent), NotIssued},
		{"gone", sale, "", ErrGone, Unknown},
		{"deadline", sale, "", errors.New("deadline exceeded"), Unknown},
		{"nothing at all", sale, "", nil, Unknown},
	} {
		var r Reply
		if c.raw != "" {
			var err error
			if r, err = ParseReply(c.req.Function, []byte(c.raw)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if got := OutcomeOf(c.req, r, c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestEncodeIsSafeForOldTills(t *testing.T) {
	r := NewReply(EnviarDadosVenda, 1, 6010)
	r.Message = "a|b\r\nção ☃"
	if got := string(r.Encode(42)); got != "000042|06010|0000|a/b  cao ?||" {
		t.Errorf("got %q", got)
	}
	r = NewReply(ConsultarSAT, 1, 8000)
	r.Message = "1234"
	if got := string(r.Encode(1)); got != "000001|08000|1234.||" {
		t.Errorf("a message of four digits would be taken for CCCC: %q", got)
	}
	for _, f := range Functions() {
		for _, code := range []Code{f.Busy(), f.Failed()} {
			checkStrict(t, f, NewReply(f, 9, code).Encode(9))
		}
	}
}

func TestStatusWrittenStrictly(t *testing.T) {
	s := Status{Serial: "900000001", LANType: "DHCP", LAN: "CONECTADO", Battery: "ALTO",
		MemoryTotal: Size{Text: "4 GB"}, MemoryUsed: Size{Text: "260 MB"},
		Now: time.Date(2026, 11, 21, 14, 2, 0, 0, Brasilia()), Software: "01.00.00", Layout: "00.08",
		LastKey: key1, CertExpires: time.Date(2027, 1, 2, 0, 0, 0, 0, Brasilia()), State: StateBlockedAutonomous}
	r := NewStatusReply(5, s)
	checkStrict(t, ConsultarStatusOperacional, r.Raw)
	p, err := ParseReply(ConsultarStatusOperacional, r.Raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Status()
	if err != nil || got.State != StateBlockedAutonomous || !got.Now.Equal(s.Now) || got.Pending() || got.LastKey != key1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if f, ok := got.MemoryFraction(); !ok || f < 0.06 || f > 0.07 {
		t.Errorf("memory %v %v", f, ok)
	}
}

func TestStatusDeviations(t *testing.T) {
	base := "000001|10000|ok|||900000001|DHCP|||||||CONECTADO|ALTO|%s|%s|20260101120000|01.00.00|0.08|||%s%s|20260101120000|20220101|20270101|%s"
	for _, c := range []struct {
		name, total, used, last, sent, state string
		want                                 State
		fraction                             float64
	}{
		{"bytes", "1000", "950", "|", "", "0", StateUnblocked, 0.95},
		{"state as text", "4 GB", "1 GB", "|", "", "BLOQUEIO_SEFAZ", StateBlockedSEFAZ, 0.25},
		{"27 fields", "4 GB", "1 GB", "", "", "3", StateBlockedAutonomous, 0.25},
		{"zero date", "4 GB", "1 GB", "|", "00000000000000", "2\n", StateBlockedContribuinte, 0.25},
		{"unit against none", "4 GB", "1000", "|", "", "0", StateUnblocked, -1},
		{"new state", "4 GB", "1 GB", "|", "", "9", StateUnknown, 0.25},
	} {
		r, err := ParseReply(ConsultarStatusOperacional, fmt.Appendf(nil, base, c.total, c.used, c.last, c.sent, c.state))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s, err := r.Status()
		f, ok := s.MemoryFraction()
		if !ok {
			f = -1
		}
		if err != nil || s.State != c.want || f != c.fraction {
			t.Errorf("%s: state %v, memory %v, %v", c.name, s.State, f, err)
		}
	}
	r, _ := ParseReply(ConsultarStatusOperacional, fmt.Appendf(nil, base, "4 GB", "1 GB", "|", "2026-01-01", "0"))
	if _, err := r.Status(); err == nil || !strings.Contains(err.Error(), "DH_CFE") {
		t.Errorf("a wrong date must name its field: %v", err)
	}
}

func TestRequestArguments(t *testing.T) {
	r := Request{Function: TrocarCodigoDeAtivacao, Session: 1, Args: []string{"old", "1", "new", "new"}}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	s := r.WithArg(CodeParam, "other")
	if r.Arg(CodeParam) != "old" || s.Arg(CodeParam) != "other" || s.Arg("opcao") != "1" || s.Arg("chave") != "" {
		t.Errorf("got %v from %v", s.Args, r.Args)
	}
	if v := r.LogValue().String(); strings.Contains(v, "old") || strings.Contains(v, "new") {
		t.Errorf("secrets in the log: %s", v)
	}
	for _, bad := range []Request{{Function: 0}, {Function: 99}, {Function: ConsultarSAT, Args: []string{"x"}},
		{Function: ConsultarSAT, Session: -1}, {Function: ConsultarSAT, Session: 1000000}} {
		if bad.Check() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestErrorsSayActAndObject(t *testing.T) {
	err := &Error{Op: "call", Device: "900000001", Request: EnviarDadosVenda, Session: 7, Err: ErrGone}
	if got := err.Error(); got != "cannot call EnviarDadosVenda (session 000007) on device 900000001: equipment gone" {
		t.Error(got)
	}
	if !errors.Is(err, ErrGone) {
		t.Error("the cause is lost")
	}
}

func FuzzParseReply(f *testing.F) {
	for _, fn := range Functions() {
		f.Add(uint8(fn), []byte(NewReply(fn, 1, fn.Busy()).Raw))
	}
	f.Add(uint8(EnviarDadosVenda), []byte(saleReply(1, key1)))
	f.Add(uint8(ConsultarStatusOperacional), NewStatusReply(1, Status{Serial: "900000001"}).Raw)
	f.Add(uint8(ConsultarSAT), []byte("Error [2] openning serial COM3"))
	f.Fuzz(func(t *testing.T, fn uint8, raw []byte) {
		r, err := ParseReply(Function(fn), raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		r.Document()
		r.Status()
		r.Log()
		OutcomeOf(Request{Function: Function(fn), Session: r.Session}, r, nil)
		out := r.Encode(r.Session % (MaxSession + 1))
		again, err := ParseReply(r.Function, out)
		if err != nil {
			t.Fatalf("%q rewritten as %q does not parse: %v", raw, out, err)
		}
		if again.Code != r.Code {
			t.Fatalf("%q rewritten with code %s", raw, again.Code)
		}
	})
}
