package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

const shopCNPJ = "11111111000191"

// nfce is a note of series 1: how is tpEmis, nonce tells notes of one number apart.
func nfce(number int, how, nonce string, kind string, issued time.Time) (Document, []byte) {
	key := fmt.Sprintf("31%s%s65001%09d%s%08s0", issued.Format("0601"), shopCNPJ, number, how, nonce)
	return Document{
		Key: key, Kind: kind, Layout: "4.00", Model: 65, Environment: 1, Issued: issued.In(time.FixedZone("", -3*3600)),
		Issuer: shopCNPJ, IssuerName: "LOJA", Series: "1", Number: number, Total: "10.00", Verdict: "kept", Rank: 20, ReceivedAt: issued,
	}, []byte("<NFe>" + key + kind + "</NFe>")
}

// event is an event about a note: it cancels it, or not.
func event(of Document, cancels bool, at time.Time) (Document, []byte) {
	e := of
	e.Kind, e.Part, e.Issued = kindEvent, fmt.Sprintf("%x", at.UnixNano()), at
	if cancels {
		e.Cancels = of.Key
	}
	return e, []byte("<procEventoNFe>" + e.Part + "</procEventoNFe>")
}

func TestNotesOfShop(t *testing.T) { eachEngine(t, testNotesOfShop) }

func testNotesOfShop(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		return w.AddTaxpayer(Taxpayer{Root: shopCNPJ[:8], Name: "LOJA", Reseller: DefaultReseller, CreatedAt: t0,
			Establishments: []Establishment{{CNPJ: shopCNPJ, Root: shopCNPJ[:8], Name: "LOJA"}}})
	})
	clock := t0
	facts := func() *alarm.Shop {
		t.Helper()
		clock = clock.Add(numbersRest)
		if _, err := s.RefreshNumbers(context.Background(), clock, 100, Contents{Voided: func([]byte) (int, int, bool) { return 3, 3, true }}); err != nil {
			t.Fatal(err)
		}
		return factsOf(t, s, alarm.OfShop, shopCNPJ, clock).Shop
	}
	put := func(number int, how, nonce, kind string) Document {
		d, body := nfce(number, how, nonce, kind, t0.Add(time.Duration(number)*time.Minute))
		add(t, s, d, body)
		return d
	}
	put(1, "1", "1", "nota")
	put(2, "1", "1", kindUnsettled) // refused: the number was authorised with another key
	put(2, "1", "2", "nota")
	put(3, "1", "1", kindUnsettled)
	put(4, "1", "1", kindUnsettled)
	on := put(5, "1", "1", "nota")
	put(5, "9", "2", "nota")
	put(9, "1", "1", "nota")
	got := facts()
	if got.State != "MG" || got.Unknown.Count != 2 || got.Unknown.Example != "série 1, nº 4" || !got.Unknown.First.Equal(t0.Add(3*time.Minute)) {
		t.Errorf("%+v", got)
	}
	if got.Twins.Count != 1 || got.Twins.Example != "série 1, nº 5" || len(got.Gaps) != 1 || got.Gaps[0].From != 6 || got.Gaps[0].To != 8 || got.Gaps[0].Used != 0 {
		t.Errorf("%+v", got)
	}

	// The answer of one, a void range over another, a cancellation of a twin, and an
	// event of a note that is not here.
	answered, body := nfce(4, "1", "1", "nota", t0.Add(4*time.Minute))
	answered.Rank = 30
	add(t, s, answered, append(body, ' '))
	void := Document{Kind: kindVoid, Part: "ab", Model: 65, Environment: 1, Issuer: shopCNPJ, Series: "1", Issued: t0.AddDate(0, 1, 0), ReceivedAt: t0, Verdict: "kept", Rank: 20}
	add(t, s, void, []byte("<ProcInutNFe/>"))
	cancel, body := event(on, true, t0.AddDate(0, 1, 1))
	add(t, s, cancel, body)
	absent, _ := nfce(7, "9", "1", "nota", t0)
	note, body := event(absent, false, t0.AddDate(0, 0, 1))
	add(t, s, note, body)
	got = facts()
	if got.Unknown.Count != 0 || got.Twins.Count != 0 {
		t.Errorf("%+v", got)
	}
	if len(got.Gaps) != 1 || got.Gaps[0].Used != 7 || !got.Gaps[0].Offline {
		t.Errorf("%+v", got.Gaps)
	}
}

// TestAheadOfWhatIsHeld: a device's own last number closes the end of its numbering.
func TestAheadOfWhatIsHeld(t *testing.T) { eachEngine(t, testAheadOfWhatIsHeld) }

func testAheadOfWhatIsHeld(t *testing.T, s *Store) {
	serial := "900000001"
	seq := uint64(0)
	status := func(number int, at time.Time) {
		t.Helper()
		last, _ := sample(serial, number, t0)
		update(t, s, func(w *Writer) error {
			seq++
			return w.SetStatus(serial, Status{LastKey: last.Key}, Record{Agent: "agent001", Epoch: "e", Stream: "status", Seq: seq, At: at, AgentAt: at})
		})
	}
	sell := func(number int) {
		t.Helper()
		d, body := sample(serial, number, t0)
		d.Issued = d.Issued.Add(time.Duration(number%999990) * time.Second) // in the order of their numbers
		add(t, s, d, body)
	}
	ahead := func() alarm.Happening {
		t.Helper()
		return factsOf(t, s, alarm.OfDevice, serial, t0).Device.Ahead
	}
	update(t, s, func(w *Writer) error { return w.Heard("agent001", t0) })
	status(7, t0)
	status(9, t0.Add(time.Minute))
	if h := ahead(); h.Count != 0 {
		t.Errorf("nothing is held of this line: %+v", h)
	}
	sell(9)
	if h := ahead(); h.Count != 0 {
		t.Errorf("the last is held: %+v", h)
	}
	status(10, t0.Add(time.Hour))
	status(12, t0.Add(2*time.Hour))
	if h := ahead(); h.Count != 3 || h.Example != "000010 a 000012" || !h.First.Equal(t0.Add(time.Hour)) || !h.Last.Equal(t0.Add(2*time.Hour)) {
		t.Errorf("%+v", h)
	}
	sell(12)
	if h := ahead(); h.Count != 0 {
		t.Errorf("the last came: %+v", h)
	}
	status(13, t0.Add(3*time.Hour))
	if h := ahead(); h.Count != 1 || !h.First.Equal(t0.Add(3*time.Hour)) {
		t.Errorf("it counts from the first that is not held: %+v", h)
	}
	status(11, t0.Add(4*time.Hour))
	if h := ahead(); h.Count != 0 {
		t.Errorf("a number before the last is no end: %+v", h)
	}
	serial = "900000002"
	sell(999998)
	status(2, t0.Add(5*time.Hour))
	if h := ahead(); h.Count != 3 || h.Example != "999999 a 000002" {
		t.Errorf("numbers go on with 1: %+v", h)
	}
}

// TestCauseByPlace: a city's shops share a cause where few of the reseller's do, which
// ends later than it began.
func TestCauseByPlace(t *testing.T) { eachEngine(t, testCauseByPlace) }

func testCauseByPlace(t *testing.T, s *Store) {
	storm(t, s, 15, 1, t0) // the first six are silent
	update(t, s, func(w *Writer) error {
		for i := range 15 {
			root, city, told := fmt.Sprintf("%08d", i), "São João", "" // as people write it, as they do not, and as documents tell
			switch {
			case i >= 6:
				city = "Santos"
			case i >= 4:
				city, told = "", "Sao Joao"
			case i >= 2:
				city = "SAO JOAO"
			}
			err := w.exec(`INSERT INTO establishments (cnpj, root, name, city, told_city, look, state) VALUES ($1, $2, $2, $3, $4, '', '35')`, root+"000191", root, city, told)
			if err != nil {
				return err
			}
		}
		return nil
	})
	free := func(at time.Time) (codes string) {
		t.Helper()
		group(t, s, at)
		for _, a := range openAlarms(t, s) {
			if a.Cause == 0 {
				codes += fmt.Sprintf("%s %s; ", a.Code, a.Subject.ID)
			}
		}
		return codes
	}
	const cause = "carrier-down 1/SP/Sao Joao; "
	if got := free(t0); got != cause {
		t.Error(got)
	}
	if got := openAlarms(t, s)[0].Detail; !strings.Contains(got, "6 lojas em São João, SP, com 6 caixas") {
		t.Error(got)
	}
	back := func(from, to int) {
		update(t, s, func(w *Writer) error {
			for i := from; i < to; i++ {
				if err := w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: fmt.Sprintf("agent%05dn0", i)}, nil, t0.Add(time.Minute)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	back(0, 4)
	if got := free(t0.Add(time.Minute)); got != cause {
		t.Error(got)
	}
	back(4, 5)
	if got := free(t0.Add(2 * time.Minute)); got != "agent-silent agent00005n0; " {
		t.Error(got)
	}
}

// standIn are the alarms of a scope that stand for themselves, each of which reads the
// same alone.
func standIn(t *testing.T, s *Store, scope Scope) (words string) {
	t.Helper()
	if err := s.View(context.Background(), scope, func(r *Reader) error {
		list, err := r.OpenAlarms()
		for _, a := range list {
			if !a.explained() {
				words += fmt.Sprintf("%s %s, ", a.Code, a.Subject.ID)
			}
			one, err := r.Alarm(a.ID)
			if err != nil || one.Cause != a.Cause {
				t.Errorf("alone it hangs under %d, not %d: %v", one.Cause, a.Cause, err)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return words
}

// TestCauseOfAllResellers: where the shops of several resellers fall silent at once the
// platform sees one alarm, each reseller one of its own, and an owner that of its till.
func TestCauseOfAllResellers(t *testing.T) { eachEngine(t, testCauseOfAllResellers) }

func testCauseOfAllResellers(t *testing.T, s *Store) {
	storm(t, s, 30, 1, t0) // the first twelve are silent
	var owner int64
	update(t, s, func(w *Writer) error {
		third, err := w.AddReseller("terceira", t0)
		for i := range 30 {
			root, reseller := fmt.Sprintf("%08d", i), int64(1)
			switch {
			case i == 11:
				reseller = third
			case i >= 5:
				reseller = 2
			}
			err = errors.Join(err,
				w.exec(`INSERT INTO establishments (cnpj, root, name, told_city, look, state) VALUES ($1, $2, $2, 'Campinas', '', '35')`, root+"000191", root),
				w.exec(`UPDATE taxpayers SET reseller_id = $2 WHERE root = $1`, root, reseller),
				w.exec(`UPDATE agents SET reseller_id = $2 WHERE cnpj = $1`, root+"000191", reseller))
		}
		person, err2 := w.AddPerson(User{Email: "dona@x", Role: RoleTaxpayer, Reseller: 1, CreatedAt: t0})
		owner = person.ID
		return errors.Join(err, err2, w.Give(owner, "00000000", "x", t0))
	})
	check := func(when string, want map[Scope]string) {
		t.Helper()
		for scope, words := range want {
			if got := standIn(t, s, scope); got != words {
				t.Errorf("%s, %+v sees %s, want %s", when, scope, got, words)
			}
		}
	}
	group(t, s, t0)
	want := map[Scope]string{All(): "carrier-down 0/SP/Campinas, ", OfReseller(1): "carrier-down 1/SP/Campinas, ", OfReseller(2): "carrier-down 2/SP/Campinas, ",
		OfReseller(3): "agent-silent agent00011n0, ", OfPerson(owner): "agent-silent agent00000n0, ", All().Only("00000000"): "carrier-down 1/SP/Campinas, "}
	check("at first", want)
	group(t, s, t0.Add(time.Minute))
	check("again", want)
	view(t, s, func(r *Reader) error {
		children, err := r.Children(openAlarms(t, s)[0].ID)
		if len(children) != 3 || !strings.Contains(openAlarms(t, s)[0].Detail, "12 lojas em Campinas, SP, com 12 caixas, ficaram sem notícia ao mesmo tempo, em 3 revendas") {
			t.Errorf("under it are %d: %s", len(children), openAlarms(t, s)[0].Detail)
		}
		return err
	})
	// What hangs under the platform's cause alone still escalates for its reseller.
	update(t, s, func(w *Writer) error {
		if err := w.exec(`UPDATE alarms SET severity = $1 WHERE subject = 'agent00011n0'`, alarm.Critical); err != nil {
			return err
		}
		return w.Escalate(t0.AddDate(0, 0, 7))
	})
	for _, a := range openAlarms(t, s) {
		if escalated := a.Level > 0; escalated != (a.Subject.ID == "agent00011n0") {
			t.Errorf("%s is on level %d", a.Subject.ID, a.Level)
		}
	}
	update(t, s, func(w *Writer) error {
		for i := 5; i < 12; i++ {
			if err := w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: fmt.Sprintf("agent%05dn0", i)}, nil, t0.Add(time.Minute)); err != nil {
				return err
			}
		}
		return nil
	})
	group(t, s, t0.Add(2*time.Minute))
	check("one reseller is left", map[Scope]string{All(): "carrier-down 1/SP/Campinas, ", OfReseller(1): "carrier-down 1/SP/Campinas, ", OfReseller(2): "", OfReseller(3): ""})
}
