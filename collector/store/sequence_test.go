package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"zelo/collector/sequence"
)

// inShort writes items as number and first letter of the kind.
func inShort(t *testing.T, items iter.Seq2[sequence.Item, error]) (out string) {
	t.Helper()
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintf("%d%c", item.Number, "sctv"[item.Kind])
		if item.To > 0 {
			out += fmt.Sprintf("-%d", item.To)
		}
		out += " "
	}
	return out
}

func TestNumbersOfDevice(t *testing.T) { eachEngine(t, testNumbersOfDevice) }

func testNumbersOfDevice(t *testing.T, s *Store) {
	put := func(number int, minutes int, change func(*Document)) {
		d, body := sample("900000001", number, t0.Add(time.Duration(minutes)*time.Minute))
		if change != nil {
			change(&d)
		}
		add(t, s, d, append(body, fmt.Sprint(minutes)...))
	}
	put(3, 3, func(d *Document) { d.Kind = "cancelamento" })
	put(2, 2, nil)
	put(1, 1, nil)
	put(2, 2, func(d *Document) { d.Rank = 30 })        // a worse version
	put(0, 4, func(d *Document) { d.Test = true })      // end-to-end test
	put(2, 9, func(d *Document) { d.Key += "another" }) // the number twice
	put(4, 5, func(d *Document) { d.Issuer = "22222222000191" })
	put(5, 5, nil) // in the same second as 4
	put(6, 5, func(d *Document) { d.Serial = "900000002" })
	put(7, 5, func(d *Document) { d.Serial = "" })
	view(t, s, func(r *Reader) error {
		items := r.NumbersOfDevice("900000001")
		for range 2 { // it can be read again
			if got, want := inShort(t, items), "1s 2s 3c 0t 4s 5s 2s "; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		for item := range items { // and left
			if item.Line != "11111111000191" || item.ID == 0 || !item.At.Equal(t0.Add(time.Minute)) {
				t.Errorf("%+v", item)
			}
			break
		}
		lines, err := sequence.Of(items, sequence.HighestCFe, nil)
		if err != nil || len(lines) != 2 || lines[0].Doubled != 1 || lines[1].Line != "22222222000191" {
			t.Errorf("%+v, %v", lines, err)
		}
		if got := inShort(t, r.NumbersOfDevice("")) + inShort(t, r.NumbersOfDevice("none")); got != "" {
			t.Errorf("nothing has the numbers %s", got)
		}
		return nil
	})
}

func TestNumbersOfSeries(t *testing.T) { eachEngine(t, testNumbersOfSeries) }

func testNumbersOfSeries(t *testing.T, s *Store) {
	put := func(number int, change func(*Document)) {
		d, body := sample("900000001", number, t0.Add(time.Duration(number)*time.Minute))
		d.Model, d.Serial, d.Series, d.Kind = 65, "", "1", "nota"
		if change != nil {
			change(&d)
		}
		add(t, s, d, body)
	}
	put(1, nil)
	put(2, func(d *Document) { d.Kind = "nota-pendente" })
	put(3, func(d *Document) { d.Test = true })
	put(4, func(d *Document) { d.Series = "2" })
	put(5, func(d *Document) { d.Issuer = "22222222000191" })
	put(6, func(d *Document) { d.Kind, d.Part = "evento", "a" })
	put(7, func(d *Document) { d.Kind, d.Part, d.Key, d.Number = "inutilizacao", "b", "", 0 })
	put(8, func(d *Document) { d.Model = 55 })
	put(9, nil)
	view(t, s, func(r *Reader) error {
		items := r.NumbersOfSeries(Series{"11111111000191", "1"}, func(raw []byte) (int, int, bool) {
			return 7, 8, bytes.HasPrefix(raw, []byte("<CFe>"))
		})
		if got, want := inShort(t, items), "1s 2s 0t 7v-8 9s "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		return nil
	})
}

// TestNumbersFail: what breaks on the way is told and not taken for the end.
func TestNumbersFail(t *testing.T) { eachEngine(t, testNumbersFail) }

func testNumbersFail(t *testing.T, s *Store) {
	d, body := sample("900000001", 1, t0)
	add(t, s, d, body)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.View(ctx, All(), func(r *Reader) error {
		cancel()
		for _, err := range r.NumbersOfDevice(d.Serial) {
			return err
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("reading on after the end of its context: %v", err)
	}
}

func TestLastNumber(t *testing.T) {
	key := "35251211111111000191599000000010000421234567"
	for _, c := range []struct {
		name, serial, key, issuer string
		number                    int
	}{
		{"its own", "900000001", key, "11111111000191", 42},
		{"another device's", "900000002", key, "", 0},
		{"none yet", "900000001", "", "", 0},
		{"cut", "900000001", key[:40], "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Device{Serial: c.serial, StatusAt: t0, Status: Status{LastKey: c.key}}
			want := sequence.Last{Number: c.number}
			if c.number > 0 {
				want.At = t0
			}
			if issuer, last := d.LastNumber(); issuer != c.issuer || last != want {
				t.Errorf("%q %+v", issuer, last)
			}
		})
	}
}

// BenchmarkNumbers follows the numbers of one device of many documents in an archive
// of several.
func BenchmarkNumbers(b *testing.B) {
	const each, devices = 20_000, 5
	s := open(b)
	raw := bytes.Repeat([]byte("0123456789abcdef"), 220)
	for from := 0; from < each; from += 500 {
		update(b, s, func(w *Writer) error {
			for i := range 500 * devices {
				number := from + i/devices + 1
				d, _ := sample(fmt.Sprintf("%09d", 900000001+i%devices), number, t0.Add(time.Duration(number)*time.Minute))
				if _, _, err := w.AddDocument(d, s.Pack(fmt.Appendf(raw, "%d", i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		view(b, s, func(r *Reader) error {
			lines, err := sequence.Of(r.NumbersOfDevice("900000001"), sequence.HighestCFe, nil)
			if err != nil || len(lines) != 1 || lines[0].Sales != each {
				b.Fatalf("%+v, %v", lines, err)
			}
			return nil
		})
	}
	b.ReportMetric(float64(b.N)*each/b.Elapsed().Seconds(), "documents/s")
}
