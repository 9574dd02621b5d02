package sequence

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// life is what a device really did: every place from 1 on, and what became of it.
type life struct {
	items   []Item
	missing int // between the first and the last held
	held    int
	doubled int
	tests   int
	voided  int
}

// live lets a device issue n documents from a number on. Some are lost, one by one
// or many at once, some issued twice, some are tests, some voided.
func live(r *rand.Rand, from, n, highest int) (out life) {
	lost, since := 0, life{}
	for i := range n {
		number := (from+i-1)%highest + 1
		sure := i < 5 || i == n-1 // what everything else is measured by
		switch {
		case !sure && lost > 0:
			lost--
			since.missing++
			continue
		case !sure && r.IntN(60) == 0:
			lost = r.IntN(40)
			since.missing++
			continue
		case !sure && r.IntN(60) == 0:
			out.items = append(out.items, Item{Number: number, Kind: Test})
			since.tests++
			continue
		case !sure && r.IntN(60) == 0:
			out.items = append(out.items, Item{Number: number, To: number, Kind: Void})
			since.voided++
			continue
		}
		lost = 0
		out.items = append(out.items, Item{Number: number, Kind: Kind(r.IntN(2))})
		out.held++
		if !sure && r.IntN(100) == 0 {
			out.items = append(out.items, Item{Number: number})
			out.doubled++
		}
		out.missing, out.tests, out.voided, since = out.missing+since.missing, out.tests+since.tests, out.voided+since.voided, life{}
	}
	return out
}

// mix brings items out of order, none farther than a few places.
func mix(r *rand.Rand, items []Item, far int) {
	for from := 0; from < len(items); from += far {
		part := items[from:min(from+far, len(items))]
		r.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
}

// TestAgainstLives: whatever a device lived through is found again.
func TestAgainstLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		from := rapid.SampledFrom([]int{1, 2, 700, 500_000, HighestCFe - 50}).Draw(t, "from")
		lives := []life{live(r, from, rapid.IntRange(1, 400).Draw(t, "documents"), HighestCFe)}
		for range rapid.IntRange(0, 2).Draw(t, "new beginnings") {
			// A life before a new beginning is long enough for the two to differ.
			lives[len(lives)-1] = live(r, 1, 1500+r.IntN(1000), HighestCFe)
			lives = append(lives, live(r, 1, 200+r.IntN(1000), HighestCFe))
		}
		far := rapid.IntRange(1, 8).Draw(t, "disorder")
		if len(lives) > 1 {
			far = 1 // a beginning in disorder may put one document into the wrong life
		}
		l := New(HighestCFe)
		for i, v := range lives {
			mix(r, v.items, far)
			lives[i] = v
			for _, item := range v.items {
				l.Add(item)
			}
		}
		s := l.Summary(Last{})
		if len(s.Runs) != len(lives) {
			t.Fatalf("%d runs of %d lives: %s", len(s.Runs), len(lives), say(s))
		}
		var sum life
		for i, v := range lives {
			held, missing := 0, 0
			for _, h := range s.Runs[i].Held {
				held += h.Length
			}
			for _, g := range s.Runs[i].Gaps {
				missing += g.Length
			}
			if held != v.held || missing != v.missing {
				t.Errorf("life %d: %d held and %d missing, want %d and %d", i, held, missing, v.held, v.missing)
			}
			sum.doubled, sum.tests, sum.voided, sum.missing = sum.doubled+v.doubled, sum.tests+v.tests, sum.voided+v.voided, sum.missing+v.missing
		}
		if s.Doubled != sum.doubled || s.Tests != sum.tests || s.Voided != sum.voided || s.Missing != sum.missing {
			t.Errorf("%+v, want %+v", s, sum)
		}
	})
}

// naive is the plain way where numbers neither wrap nor begin anew: a set.
func naive(items []Item) (held, doubled int, missing []int) {
	have, explained := map[int]bool{}, map[int]bool{}
	for _, item := range items {
		switch item.Kind {
		case Void:
			for n := item.Number; n <= max(item.Number, item.To); n++ {
				explained[n] = true
			}
		case Test:
			explained[item.Number] = true
		default:
			if have[item.Number] {
				doubled++
			}
			have[item.Number] = true
		}
	}
	low, high := 1<<30, 0
	for n := range have {
		low, high = min(low, n), max(high, n)
	}
	for n := low; n <= high; n++ {
		if !have[n] && !explained[n] {
			missing = append(missing, n)
		}
	}
	return len(have), doubled, missing
}

// few draws numbers too near to each other to have begun anew, in any order.
func few(t *rapid.T) []Item {
	return issued(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Item {
		item := Item{Number: rapid.IntRange(1, 60).Draw(t, "number"), Kind: Kind(rapid.IntRange(0, 3).Draw(t, "kind"))}
		if item.Kind == Void {
			item.To = item.Number + rapid.IntRange(0, 9).Draw(t, "more")
		}
		return item
	}), 0, 60).Draw(t, "items")...)
}

// TestAgainstSet: any documents in the order of numbers come out as in a plain set.
func TestAgainstSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := few(t)
		slices.SortStableFunc(items, func(a, b Item) int { return a.Number - b.Number })
		s := summarise(Last{}, items)
		held, doubled, missing := naive(items)
		got, here := []int(nil), 0
		for _, r := range s.Runs {
			for _, h := range r.Held {
				here += h.Length
			}
		}
		for _, g := range s.Gaps() {
			for n := g.From; n <= g.To; n++ {
				got = append(got, n)
			}
		}
		if here != held || s.Doubled != doubled || !slices.Equal(got, missing) || len(s.Runs) > 1 {
			t.Errorf("%s, want %d held, %d doubled, missing %v", say(s), held, doubled, missing)
		}
	})
}

// sound fails when a summary contradicts itself or its items.
func sound(t *testing.T, s Summary, items []Item) {
	t.Helper()
	placed, inside, missing := 0, 0, 0
	for _, item := range items {
		if item.Kind.document() {
			inside++
		}
		if item.Kind.document() && item.Number >= 1 && item.Number <= HighestCFe && item.To <= HighestCFe {
			placed++
		}
	}
	for _, r := range s.Runs {
		end := 0
		for _, h := range r.Held {
			if h.Length < 1 || h.At < end || end > 0 && h.At == end {
				t.Fatalf("held %v", r.Held)
			}
			end = h.At + h.Length
			placed -= h.Length
		}
		gapEnd := 0
		for _, g := range r.Gaps {
			if g.Length < 1 || g.At < gapEnd || g.At+g.Length > r.Length || g.From < 1 || g.To < 1 || g.From > HighestCFe || g.To > HighestCFe {
				t.Fatalf("gap %+v of a run of %d", g, r.Length)
			}
			gapEnd = g.At + g.Length
			missing += g.Length
		}
		if len(r.Held) == 0 || r.Held[0].At != 0 || end > r.Length {
			t.Fatalf("run %+v", r)
		}
	}
	if placed != s.Doubled || inside != s.Documents() || missing != s.Missing {
		t.Fatalf("%d documents are neither held nor doubled: %+v", placed-s.Doubled, s)
	}
}

// FuzzLine: nothing brings a line out of step.
func FuzzLine(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4}, uint32(5))
	f.Add([]byte{0, 15, 66, 63, 0, 0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3, 0, 0, 9}, uint32(999_999))
	f.Fuzz(func(t *testing.T, raw []byte, last uint32) {
		var items []Item
		for ; len(raw) >= 4; raw = raw[4:] {
			item := Item{Kind: Kind(raw[0] % 4), Number: int(raw[1])<<16 | int(raw[2])<<8 | int(raw[3]), ID: int64(len(items)), At: t0.Add(time.Duration(len(items)))}
			if item.Kind == Void {
				item.To = item.Number + int(raw[0])
			}
			items = append(items, item)
		}
		sound(t, summarise(Last{Number: int(last)}, items), items)
	})
}
