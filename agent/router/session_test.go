package router

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

var (
	coffee = payloadOf(sat.Request{Function: sat.EnviarDadosVenda, Args: []string{"code", "coffee"}})
	tea    = payloadOf(sat.Request{Function: sat.EnviarDadosVenda, Args: []string{"code", "tea"}})
)

func TestPayloadLeavesTheActivationCodeOut(t *testing.T) {
	other := payloadOf(sat.Request{Function: sat.EnviarDadosVenda, Args: []string{"another", "coffee"}})
	if other != coffee || tea == coffee {
		t.Error("the payload's hash covers the wrong things")
	}
	a := payloadOf(sat.Request{Function: sat.CancelarUltimaVenda, Args: []string{"c", "ab", "c"}})
	b := payloadOf(sat.Request{Function: sat.CancelarUltimaVenda, Args: []string{"c", "a", "bc"}})
	if a == b {
		t.Error("moving a byte from one argument to the next must change the hash")
	}
}

// May this call be sent? The whole rule, one line a case. The history is written
// newest first.
func TestPlace(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	sale := func(session int, p [32]byte, s state, mut ...func(*entry)) *entry {
		e := &entry{Session: session, Function: sat.EnviarDadosVenda, Payload: p, State: s, At: ago(time.Minute), Issued: s != open}
		for _, m := range mut {
			m(e)
		}
		return e
	}
	delivered := func(e *entry) { e.Delivered = true }
	refused := func(e *entry) { e.Issued = false }
	void := func(e *entry) { e.Issued, e.Void = false, true }
	old := func(e *entry) { e.At = ago(31 * time.Minute) }
	future := func(e *entry) { e.At = ago(-24 * time.Hour) }
	status := func(session int) *entry {
		return &entry{Session: session, Function: sat.AssociarAssinatura, State: answered, At: ago(time.Minute)}
	}
	var many []*entry
	for i := range 100 {
		many = append(many, status(200+i))
	}
	for _, c := range []struct {
		name    string
		history []*entry
		want    verdict
	}{
		{"first call", nil, isNew},
		{"other session, other content", []*entry{sale(2, tea, answered)}, isNew},
		{"same session, same content", []*entry{sale(1, coffee, answered, delivered)}, isRepeat},
		{"same session, same content, refused", []*entry{sale(1, coffee, answered, refused)}, isRepeat},
		{"same session, same content, in flight", []*entry{sale(1, coffee, open)}, isOpen},
		{"same session, document missing", []*entry{sale(1, coffee, missing)}, isHeld},
		{"same session, certainly not issued", []*entry{sale(1, coffee, answered, void)}, isNew},
		{"same session, other content", []*entry{sale(1, tea, answered, delivered)}, isDuplicate},
		{"same session, other function", []*entry{status(1)}, isDuplicate},
		{"same session after half an hour", []*entry{sale(1, tea, answered, delivered, old)}, isNew},
		{"same session, other content, clock went back a day", []*entry{sale(1, tea, answered, delivered, future)}, isNew},
		{"same session, same content, clock went back a day", []*entry{sale(1, coffee, answered, delivered, future)}, isRepeat},
		{"same content, never delivered, clock went back a day", []*entry{sale(2, coffee, answered, future)}, isRepeat},
		{"same session, a hundred calls later", append(many[:100:100], sale(1, tea, answered, delivered)), isNew},
		{"newest use of the session counts", []*entry{sale(1, coffee, answered), sale(1, tea, answered)}, isRepeat},
		{"same content, new session, delivered", []*entry{sale(2, coffee, answered, delivered)}, isNew},
		{"same content, new session, never delivered", []*entry{sale(2, coffee, answered)}, isRepeat},
		{"same content, new session, in flight", []*entry{sale(2, coffee, open)}, isOpen},
		{"same content, in flight since yesterday", []*entry{sale(2, coffee, open, old)}, isOpen},
		{"same content, never delivered, half an hour ago", []*entry{sale(2, coffee, answered, old)}, isNew},
		{"same content, refused before", []*entry{sale(2, coffee, answered, refused)}, isNew},
		{"same content, certainly not issued before", []*entry{sale(2, coffee, answered, void)}, isNew},
		{"same content, document missing", []*entry{sale(2, coffee, missing)}, isHeld},
		{"a delivered one hides an older undelivered one", []*entry{sale(3, coffee, answered, delivered), sale(2, coffee, answered)}, isNew},
		{"a refusal does not hide the open one before", []*entry{sale(3, coffee, answered, refused), sale(2, coffee, open)}, isOpen},
	} {
		if got, _ := place(c.history, 1, sat.EnviarDadosVenda, coffee, now); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}

// keyAt is the access key of the device's document with the given nCFe.
func keyAt(number int) string {
	k, err := cfe.NewKey(cfe.KeyParts{UF: 35, Issued: time.Date(2026, 11, 21, 12, 0, 0, 0, sat.Brasilia()),
		CNPJ: "08723218000186", Model: 59, Serial: "900000001", Number: number, Random: 123456})
	if err != nil {
		panic(err)
	}
	return string(k)
}

func stored(session int, number int) string {
	xml := base64.StdEncoding.EncodeToString([]byte("<CFe></CFe>"))
	return fmt.Sprintf("%06d|06000|0000|Emitido|||%s|20261121120000|CFe%s|2.00||c2ln", session, xml, keyAt(number))
}

func status(last string) string {
	return fmt.Sprintf("000900|10000|ok|||900000001|DHCP|||||||CONECTADO|ALTO|4 GB|1 GB|20261121120000|01.00.00|0.08|%s|||||20220101|20270101|0", last)
}

// What follows from what the device says about an open case: the question or the
// end. The case is session 500, the last key before it number 7, each question
// under session 900.
func TestNext(t *testing.T) {
	said := func(f sat.Function, raw string) evidence { return evidence{f, 900, []byte(raw)} }
	bySession := func(raw string) evidence { return said(sat.ConsultarNumeroSessao, raw) }
	byLast := func(raw string) evidence { return said(sat.ConsultarUltimaSessaoFiscal, raw) }
	byStatus := func(last string) evidence { return said(sat.ConsultarStatusOperacional, status(last)) }
	none, noFiscal := bySession("000900|11003|Sessao nao existe||"), byLast("000900|19003|nenhuma||")
	for _, c := range []struct {
		name     string
		lastKey  string
		evidence []evidence
		want     string
		others   []int // numbers of documents known to belong to other calls
	}{
		{"nothing asked yet", keyAt(7), nil, "ask ConsultarNumeroSessao", nil},
		{"the reply itself", keyAt(7), []evidence{bySession(stored(500, 8))}, "issued", nil},
		{"the reply under the question's number", keyAt(7), []evidence{bySession(stored(900, 8))}, "issued", nil},
		{"the refusal itself", keyAt(7), []evidence{bySession("000500|06010|1460|GTIN||")}, "refused", nil},
		{"a document older than the case", keyAt(7), []evidence{bySession(stored(500, 7))}, "ask ConsultarUltimaSessaoFiscal", nil},
		{"session unknown", keyAt(7), []evidence{none}, "ask ConsultarUltimaSessaoFiscal", nil},
		{"device busy", keyAt(7), []evidence{bySession("000900|11098|tente||")}, "again ConsultarNumeroSessao", nil},
		{"unreadable answer", keyAt(7), []evidence{bySession("Error [2] openning serial")}, "ask ConsultarUltimaSessaoFiscal", nil},
		{"another session's reply", keyAt(7), []evidence{bySession(stored(499, 7))}, "ask ConsultarUltimaSessaoFiscal", nil},
		{"last fiscal session is ours", keyAt(7), []evidence{none, byLast(stored(500, 8))}, "issued", nil},
		{"last fiscal session under the question's number, next document", keyAt(7), []evidence{none, byLast(stored(900, 8))}, "issued", nil},
		{"last fiscal session under the question's number, old document", keyAt(7), []evidence{none, byLast(stored(900, 7))}, "ask ConsultarStatusOperacional", nil},
		{"last fiscal session is the one before", keyAt(7), []evidence{none, byLast(stored(499, 7))}, "ask ConsultarStatusOperacional", nil},
		{"last key unchanged", keyAt(7), []evidence{none, byLast(stored(499, 7)), byStatus(keyAt(7))}, "not issued", nil},
		{"last key unchanged, function missing in the library", keyAt(7), []evidence{none, byLast(""), byStatus(keyAt(7))}, "not issued", nil},
		{"last key moved on", keyAt(7), []evidence{none, noFiscal, byStatus(keyAt(8))}, "missing " + keyAt(8), nil},
		{"last key moved on by another session's one document", keyAt(7), []evidence{none, byLast(stored(777, 8)), byStatus(keyAt(8))}, "not issued", nil},
		{"last key moved on by two, one explained", keyAt(7), []evidence{none, byLast(stored(777, 9)), byStatus(keyAt(9))}, "missing ", nil},
		{"moved on by two, both known", keyAt(7), []evidence{none, noFiscal, byStatus(keyAt(9))}, "not issued", []int{8, 9}},
		{"moved on by two, the first known", keyAt(7), []evidence{none, noFiscal, byStatus(keyAt(9))}, "missing " + keyAt(9), []int{8}},
		{"moved on by two, the second known", keyAt(7), []evidence{none, noFiscal, byStatus(keyAt(9))}, "missing ", []int{9}},
		{"moved on by more than can be", keyAt(7), []evidence{none, noFiscal, byStatus(keyAt(5000))}, "missing ", nil},
		{"number wrapped", keyAt(999999), []evidence{none, byLast(stored(900, 1))}, "issued", nil},
		{"no key reported any more", keyAt(7), []evidence{none, noFiscal, byStatus("")}, "open", nil},
		{"never a key, no fiscal session", "", []evidence{none, noFiscal, byStatus("")}, "not issued", nil},
		{"never a key, fiscal session unknown", "", []evidence{none, byLast("000900|19099|erro||"), byStatus("")}, "open", nil},
		{"first document ever", "", []evidence{none, noFiscal, byStatus(keyAt(1))}, "missing " + keyAt(1), nil},
		{"status unreadable", keyAt(7), []evidence{none, noFiscal, said(sat.ConsultarStatusOperacional, "000900|10099|erro||")}, "open", nil},
	} {
		var others []cfe.Key
		for _, n := range c.others {
			others = append(others, cfe.Key(keyAt(n)))
		}
		s := next(&entry{Function: sat.EnviarDadosVenda, DeviceSession: 500, LastKey: c.lastKey, State: open, Evidence: c.evidence}, others)
		if got := describe(s); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func describe(s step) string {
	switch {
	case s.again:
		return "again " + s.ask.String()
	case s.ask != 0:
		return "ask " + s.ask.String()
	case s.close == missing:
		return "missing " + s.key
	case s.close == answered && s.reply == nil:
		return "not issued"
	case s.close == answered && strings.Contains(string(s.reply), "|06000|"):
		return "issued"
	case s.close == answered:
		return "refused"
	}
	return "open"
}
