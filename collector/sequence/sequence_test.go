package sequence

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2025, 12, 10, 9, 0, 0, 0, time.UTC)

// issued gives items ids and times in their order, a minute apart.
func issued(items ...Item) []Item {
	for i := range items {
		items[i].ID, items[i].At = int64(i+1), t0.Add(time.Duration(i)*time.Minute)
	}
	return items
}

// numbers are sales with the numbers of ranges, such as "1-3 7 9-11".
func numbers(text string) (items []Item) {
	for _, part := range strings.Fields(text) {
		var from, to int
		if n, _ := fmt.Sscanf(part, "%d-%d", &from, &to); n < 2 {
			to = from
		}
		for n := from; n <= to; n++ {
			items = append(items, Item{Number: n})
		}
	}
	return items
}

// summarise follows one CF-e line.
func summarise(last Last, items []Item) Summary {
	l := New(HighestCFe)
	for _, item := range items {
		l.Add(item)
	}
	return l.Summary(last)
}

// say is a summary in short: runs with their gaps, then what else is there.
func say(s Summary) string {
	var b strings.Builder
	for i, r := range s.Runs {
		if i > 0 {
			b.WriteString(" | ")
		}
		fmt.Fprintf(&b, "%d-%d", r.First, r.Last)
		if r.Wraps > 0 {
			fmt.Fprintf(&b, " wraps %d", r.Wraps)
		}
		for _, g := range r.Gaps {
			fmt.Fprintf(&b, " -%d-%d", g.From, g.To)
		}
	}
	if s.Doubled > 0 {
		fmt.Fprintf(&b, " doubled %d", s.Doubled)
	}
	if s.Tests > 0 {
		fmt.Fprintf(&b, " tests %d", s.Tests)
	}
	if s.Voided > 0 {
		fmt.Fprintf(&b, " voided %d", s.Voided)
	}
	return strings.TrimSpace(b.String())
}

func with(items []Item, more ...Item) []Item { return append(items, more...) }

func TestLine(t *testing.T) {
	for _, c := range []struct {
		name  string
		items []Item
		want  string
	}{
		{"nothing", nil, ""},
		{"complete", numbers("1-5"), "1-5"},
		{"one", numbers("7"), "7-7"},
		{"begins before the first held", numbers("40-45"), "40-45"},
		{"gaps", numbers("1-3 5 9-10"), "1-10 -4-4 -6-8"},
		{"sales and cancellations share numbers", with(numbers("1-2"), Item{Number: 3, Kind: Cancellation}, Item{Number: 4}), "1-4"},
		{"out of order", numbers("1-3 8-9 4-7 10"), "1-10"},
		{"a clock set back mixes an hour with the one before", numbers("1-10 31 11 32 12 33 13-30 34-40"), "1-40"},
		{"a number twice", numbers("1-5 3 6-9"), "1-9 doubled 1"},
		{"a number thrice", numbers("1-5 3 6 3 7-9"), "1-9 doubled 2"},
		{"the last number twice", numbers("1-5 5"), "1-5 doubled 1"},
		{"end-to-end tests have number 0", with(numbers("1-3"), Item{Kind: Test}, Item{Number: 4}), "1-4 tests 1"},
		{"a test explains its number", with(numbers("1-3"), Item{Number: 4, Kind: Test}, Item{Number: 6}), "1-6 -5-5 tests 1"},
		{"a test is no end", with(numbers("1-3"), Item{Number: 9, Kind: Test}), "1-3 tests 1"},
		{"a test before everything is no beginning", with([]Item{{Number: 5000, Kind: Test}}, numbers("1-3")...), "1-3 tests 1"},
		{"tests alone", []Item{{Number: 1, Kind: Test}}, "tests 1"},
		{"a number beyond the highest", with(numbers("1-3"), Item{Number: 1_000_000}), "1-3"},
		{"a void range closes a gap", with(numbers("1-3 7-9"), Item{Number: 4, To: 6, Kind: Void}), "1-9 voided 3"},
		{"a void range closes part of a gap", with(numbers("1-3 9"), Item{Number: 5, To: 6, Kind: Void}), "1-9 -4-4 -7-8 voided 2"},
		{"a document within a void range counts", with(numbers("1-9"), Item{Number: 4, To: 6, Kind: Void}), "1-9"},
		{"a void range is no end", with(numbers("1-3"), Item{Number: 4, To: 6, Kind: Void}), "1-3"},
		{"void ranges overlap", with(numbers("1 9"), Item{Number: 2, To: 5, Kind: Void}, Item{Number: 4, To: 8, Kind: Void}), "1-9 voided 7"},
		{"wraps", numbers("999990-999999 1-5"), "999990-5 wraps 1"},
		{"wraps with a gap over the end", numbers("999990-999997 3-5"), "999990-5 wraps 1 -999998-2"},
		{"one from before the end comes late", numbers("999990-999996 999998-999999 1-5 999997 6"), "999990-6 wraps 1"},
		{"in the order of numbers", numbers("1-5 999990-999999"), "999990-5 wraps 1"},
		{"began anew", numbers("1-2000 1-300"), "1-2000 | 1-300"},
		{"began anew, each with a gap", numbers("1-500 502-2000 1-99 103-300"), "1-2000 -501-501 | 1-300 -100-102"},
		{"began anew below the first held", numbers("40000-40500 1-300"), "40000-40500 | 1-300"},
		{"began anew just now", numbers("1-2000 1-2"), "1-2000 doubled 2"},
		{"years are missing between two imports", numbers("1-50 700000-700050"), "1-700050 -51-699999"},
		{"an old number alone, much later", numbers("1-500 502-3000 501 3001-3100"), "1-3100"},
		{"an old number again, much later", numbers("1-3000 501 3001-3100"), "1-3100 doubled 1"},
		{"a clock that was years back", numbers("5001-5010 1-5000 5011-5020"), "1-5020"},
		{"tests and void ranges of a clock that was years back", append(with(numbers("5001-5010 1-2000"), Item{Number: 2001, Kind: Test},
			Item{Number: 2002, To: 2003, Kind: Void}), numbers("2004-5000 5011-5020")...), "1-5020 tests 1 voided 2"},
		{"the second half came first", numbers("2001-4000 1-2000"), "1-4000"},
		{"began anew, a void range of before comes after", append(with(numbers("1-2000 1-2"), Item{Number: 1990, To: 1995, Kind: Void}),
			numbers("3-300")...), "1-2000 | 1-300"},
		{"a void range comes first", append([]Item{{Number: 99_998, To: 100_002, Kind: Void}}, numbers("100003 99997")...), "99997-100003 voided 5"},
		{"a clock that was ahead", numbers("1-5000 5050-6500 5001-5049"), "1-6500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := summarise(Last{}, issued(c.items...))
			if got := say(s); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if s.End != Open || s.Told != (Last{}) {
				t.Errorf("no device said anything, but the end is %v %v", s.End, s.Told)
			}
		})
	}
}

// TestEnd: the device's own last number closes the end, or leaves it open.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		held string
		last int
		end  End
		want string
	}{
		{"the same", "1-10", 10, Confirmed, "1-10"},
		{"the archive went on since", "1-10", 8, Confirmed, "1-10"},
		{"the device went on", "1-10", 12, Short, "1-10 -11-12"},
		{"behind the highest", "999990-999999", 2, Short, "999990-999999 -1-2"},
		{"the device speaks of another numbering", "1-5000", 3, Open, "1-5000"},
		{"nothing is held", "", 3, Open, ""},
		{"the device says nothing", "1-10", 0, Open, "1-10"},
		{"began anew", "1-2000 1-300", 301, Short, "1-2000 | 1-300 -301-301"},
	} {
		t.Run(c.name, func(t *testing.T) {
			last := Last{c.last, t0.Add(48 * time.Hour)}
			s := summarise(last, issued(numbers(c.held)...))
			if got := say(s); got != c.want || s.End != c.end || (s.End != Open) != (s.Told == last) {
				t.Errorf("%s %v %v, want %s %v", got, s.End, s.Told, c.want, c.end)
			}
		})
	}
}

// TestDetails: where gaps lie, and when the documents around them were issued.
func TestDetails(t *testing.T) {
	items := issued(with(numbers("4-6 8"), Item{Number: 9, Kind: Cancellation})...)
	s := summarise(Last{12, t0}, items)
	if s.Documents() != 5 || s.Sales != 4 || s.Cancellations != 1 || s.Missing != 4 {
		t.Errorf("%+v", s)
	}
	r := s.Runs[0]
	if r.Since != items[0].At || r.Until != items[4].At || r.Length != 9 {
		t.Errorf("%+v", r)
	}
	if want := []Span{{0, 3}, {4, 2}}; !slices.Equal(r.Held, want) {
		t.Errorf("held %v, want %v", r.Held, want)
	}
	want := []Gap{{7, 7, Span{3, 1}, items[2].At, items[3].At}, {10, 12, Span{6, 3}, items[4].At, time.Time{}}}
	if !slices.Equal(s.Gaps(), want) {
		t.Errorf("gaps %v, want %v", s.Gaps(), want)
	}
}

// TestSpans: what is held without a gap is one span, in whatever order it came.
func TestSpans(t *testing.T) {
	for _, order := range []string{"1-6", "1 3 2 4-6", "1 2 5 6 3 4", "4-6 3 2 1", "2 5 1 6 4 3"} {
		if held := summarise(Last{}, issued(numbers(order)...)).Runs[0].Held; !slices.Equal(held, []Span{{0, 6}}) {
			t.Errorf("%s: %v", order, held)
		}
	}
}

func all(items []Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// TestOf: lines are told apart, each closed by its own device, and both documents of
// a doubled number are named.
func TestOf(t *testing.T) {
	items := issued(numbers("1 1 2 2 3 2 4")...)
	for i := range items {
		items[i].Line = string("abababa"[i])
	}
	items = append(items, Item{Line: "a", Number: 3, Kind: Test})
	// a holds 1, 2, 3, 4; b holds 1, 2, 2.
	got, err := Of(all(items), HighestCFe, map[string]Last{"a": {4, t0}})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if a := got[0]; a.Line != "a" || say(a) != "1-4 tests 1" || a.End != Confirmed || len(a.Doubles) != 0 {
		t.Errorf("%+v", a)
	}
	b := got[1]
	if b.Line != "b" || say(b) != "1-2 doubled 1" || b.End != Open || len(b.Doubles) != 1 || b.Doubles[0].Number != 2 ||
		!slices.Equal(b.Doubles[0].Items, []Item{items[3], items[5]}) {
		t.Errorf("%+v", b)
	}
}

func TestOfFails(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, good := range []int{0, 1} { // how often all can be read before
		reads := 0
		_, err := Of(func(yield func(Item, error) bool) {
			reads++
			first := yield(Item{Number: 1}, nil)
			if again := yield(Item{Number: 1}, nil); first && again && reads > good {
				yield(Item{}, broken)
			}
		}, HighestCFe, nil)
		if !errors.Is(err, broken) || reads != good+1 {
			t.Errorf("%v in %d reads", err, reads)
		}
	}
}

// TestManyDoubles: as many documents as numbers come twice; the list stays short.
func TestManyDoubles(t *testing.T) {
	var items []Item
	for n := 1; n <= 5000; n++ {
		items = append(items, Item{Number: n, ID: int64(2 * n)}, Item{Number: n, ID: int64(2*n + 1)})
	}
	for range 100 {
		items = append(items, Item{Number: 1})
	}
	got, err := Of(all(items), HighestCFe, nil)
	if err != nil || got[0].Doubled != 5100 || len(got[0].Doubles[0].Items) != maxHolders || len(got[0].Doubles) != maxDoubles || len(got[0].Doubles[99].Items) != 2 {
		t.Errorf("%d doubled, %d listed, %v", got[0].Doubled, len(got[0].Doubles), err)
	}
}

func BenchmarkLine(b *testing.B) {
	for _, c := range []struct {
		name string
		skip int // one of so many numbers is missing
	}{{"complete", 0}, {"one of 1000 missing", 1000}, {"one of 3 missing", 3}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l := New(HighestCFe)
				for n := 1; n < HighestCFe; n++ {
					if c.skip == 0 || n%c.skip != 0 {
						l.Add(Item{Number: n, At: t0})
					}
				}
				l.Summary(Last{})
			}
			b.ReportMetric(float64(b.N)*HighestCFe/b.Elapsed().Seconds()/1e6, "Mnumbers/s")
		})
	}
}
