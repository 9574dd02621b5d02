package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
)

// soldIn is what a note of these tests sells.
func soldIn(raw []byte) string {
	_, sold, _ := strings.Cut(string(raw), "sold ")
	return strings.TrimSpace(sold)
}

// againIn are the pairs of notes of a series that sold the same, each with how far apart
// they are, and "off" for contingency.
func againIn(t *testing.T, s *Store, series string, now time.Time) string {
	t.Helper()
	if _, err := s.RefreshNumbers(context.Background(), now, 100, Contents{Sold: soldIn}); err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range factsOf(t, s, alarm.OfShop, shopCNPJ, now).Shop.Again {
		if a.Series != series {
			continue
		}
		one := fmt.Sprintf("%d-%d %v", a.First, a.Second, a.After)
		if a.Offline {
			one += " off"
		}
		words = append(words, one)
	}
	return strings.Join(words, ", ")
}

// TestSaleOnTwoNotes: equal sales in a row are ordinary; a note that had no answer when its
// like was issued is not.
func TestSaleOnTwoNotes(t *testing.T) { eachEngine(t, testSaleOnTwoNotes) }

func testSaleOnTwoNotes(t *testing.T, s *Store) {
	const on, off = "1", "9"
	type issued struct {
		number  int
		how     string
		kind    string
		minute  int
		total   string
		content string
	}
	const note, open = "nota", kindUnsettled
	clock := t0
	for i, c := range []struct {
		name  string
		notes []issued
		want  string // of againIn
	}{
		{"equal sales of a bakery", []issued{{1, on, note, 0, "5.00", "pao"}, {2, on, note, 1, "5.00", "pao"}, {3, on, note, 2, "5.00", "pao"}}, ""},
		{"equal sales off-line", []issued{{1, off, open, 0, "5.00", "pao"}, {2, off, open, 1, "5.00", "pao"}}, ""},
		{"equal sales of which nothing is known", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, open, 1, "5.00", "pao"}}, ""},
		{"made again after a time-out", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 3, "5.00", "pao"}}, "1-2 3m0s"},
		{"with others between", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 1, "7.00", "leite"}, {3, on, note, 3, "5.00", "pao"}}, "1-3 3m0s"},
		{"made again off-line", []issued{{1, on, open, 0, "5.00", "pao"}, {2, off, open, 2, "5.00", "pao"}}, "1-2 2m0s off"},
		{"authorised, and made again off-line", []issued{{1, on, note, 0, "5.00", "pao"}, {2, off, note, 2, "5.00", "pao"}}, "1-2 2m0s off"},
		{"authorised, another after it, then off-line", []issued{{1, on, note, 0, "5.00", "pao"}, {2, on, note, 1, "7.00", "leite"}, {3, off, note, 2, "5.00", "pao"}}, ""},
		{"other items for the same money", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 3, "5.00", "leite"}}, ""},
		{"other money", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 3, "5.01", "pao"}}, ""},
		{"what nobody can read", []issued{{1, on, open, 0, "5.00", ""}, {2, on, note, 3, "5.00", ""}}, ""},
		{"an hour later", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 60, "5.00", "pao"}}, "1-2 1h0m0s"},
		{"longer", []issued{{1, on, open, 0, "5.00", "pao"}, {2, on, note, 61, "5.00", "pao"}}, ""},
		{"refused, and issued again under its number", []issued{{1, on, open, 0, "5.00", "pao"}, {1, on, note, 1, "5.00", "pao"}, {2, on, note, 2, "5.00", "pao"}}, ""},
	} {
		series := fmt.Sprint(100 + i)
		put := func(nonce int, n issued) Document {
			d, _ := nfce(n.number, n.how, fmt.Sprint(100*i+nonce), n.kind, t0.Add(time.Duration(n.minute)*time.Minute))
			d.Series, d.Total = series, n.total
			if n.kind == note {
				d.Rank = 30
			}
			add(t, s, d, []byte("<NFe>"+d.Key+n.kind+"</NFe> sold "+n.content))
			return d
		}
		pairs := func() string {
			t.Helper()
			clock = clock.Add(numbersRest)
			return againIn(t, s, series, clock)
		}
		var made []Document
		for nonce, n := range c.notes {
			made = append(made, put(nonce, n))
		}
		if got := pairs(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.want == "" {
			continue
		}
		// The answer that comes late settles nothing, a cancellation does.
		first := c.notes[0]
		first.kind = note
		put(0, first)
		if got := pairs(); got != c.want {
			t.Errorf("%s, authorised: %q", c.name, got)
		}
		gone, body := event(made[i%2*(len(made)-1)], true, t0.Add(time.Duration(i+100)*time.Minute))
		add(t, s, gone, body)
		if got := pairs(); got != "" {
			t.Errorf("%s, cancelled: %q", c.name, got)
		}
	}
}

// TestRepeatedUntilVoid: a number declared unused sold nothing.
func TestRepeatedUntilVoid(t *testing.T) { eachEngine(t, testRepeatedUntilVoid) }

func testRepeatedUntilVoid(t *testing.T, s *Store) {
	for number, kind := range []string{kindUnsettled, "nota"} {
		d, _ := nfce(number+1, "1", "1", kind, t0.Add(time.Duration(number)*time.Minute))
		add(t, s, d, []byte(d.Key+" sold pao"))
	}
	clock := t0
	count := func() int {
		t.Helper()
		clock = clock.Add(numbersRest)
		if _, err := s.RefreshNumbers(context.Background(), clock, 100, Contents{func([]byte) (int, int, bool) { return 1, 1, true }, soldIn}); err != nil {
			t.Fatal(err)
		}
		return len(factsOf(t, s, alarm.OfShop, shopCNPJ, clock).Shop.Again)
	}
	if n := count(); n != 1 {
		t.Errorf("%d pairs", n)
	}
	void := Document{Kind: kindVoid, Part: "ab", Model: 65, Environment: 1, Issuer: shopCNPJ, Series: "1", Issued: t0.AddDate(0, 1, 0), ReceivedAt: t0, Verdict: "kept", Rank: 20}
	add(t, s, void, []byte("<ProcInutNFe/>"))
	if n := count(); n != 0 {
		t.Errorf("%d pairs after its number was declared unused", n)
	}
}
