package api

import (
	"errors"
	"testing"

	"zelo/collector/store"
)

// TestNumberingOf: the numbers of real documents, closed by what the device says.
func TestNumberingOf(t *testing.T) {
	b := filled(t)
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	line := func() Line {
		t.Helper()
		n, err := b.NumberingOf(t.Context(), b.ana, serial)
		if err != nil || len(n.Lines) != 1 || n.Device.Serial != serial || n.Series != "" {
			t.Fatalf("%+v, %v", n, err)
		}
		return n.Lines[0]
	}
	// The simulator's documents are tests: they take no part.
	if l := line(); l.Tests != 3 || len(l.Runs) != 0 || l.State() != Notice {
		t.Errorf("%+v", l)
	}
	real := func(number int, change string) {
		b.update(func(w *store.Writer) error {
			key := records[0].Key[:31] + number6(number) + change + "0000"
			_, _, err := w.AddDocument(store.Document{Key: key, Kind: "venda", Model: 59, Issued: now(), Issuer: records[0].Key[6:20], Serial: serial,
				Number: number, Consumer: cpf, Verdict: "verified"}, b.store.Pack([]byte(key)))
			return err
		})
	}
	told := func(seq uint64, number int) {
		b.update(func(w *store.Writer) error {
			return w.SetStatus(serial, store.Status{LastKey: records[0].Key[:31] + number6(number) + "0000000"},
				store.Record{Agent: agent, Epoch: "e", Stream: "status", Seq: seq, At: now()})
		})
	}
	real(10, "abc")
	real(11, "abc")
	if l := line(); l.State() != Notice || l.End != EndOpen {
		t.Errorf("nothing closes the end: %+v", l)
	}
	told(1, 11)
	if l := line(); l.State() != Fine || l.End != EndConfirmed || !l.Told.At.Equal(now()) || l.Runs[0].First != 10 {
		t.Errorf("all is here: %+v", l)
	}
	told(2, 13)
	if l := line(); l.State() != Warning || l.End != EndShort || l.Missing != 2 {
		t.Errorf("the device went on: %+v", l)
	}
	real(11, "xyz")
	l := line()
	if l.State() != Critical || l.Doubled != 1 || len(l.Doubles) != 1 || len(l.Doubles[0].Documents) != 2 {
		t.Fatalf("a number twice: %+v", l)
	}
	for _, d := range l.Doubles[0].Documents {
		if d.Number != 11 || d.Consumer == cpf {
			t.Errorf("%+v", d)
		}
	}
	if _, err := b.NumberingOf(t.Context(), b.ana, "123456789"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such device: %v", err)
	}
}

func number6(n int) string {
	return string([]byte{'0', '0', '0', '0', byte('0' + n/10), byte('0' + n%10)})
}

func TestNumberingOfSeries(t *testing.T) {
	b := filled(t)
	n, err := b.NumberingOfSeries(t.Context(), b.ana, "08723218000186", "1")
	if err != nil || n.Series != "1" || len(n.Lines) != 1 || n.Lines[0].CNPJ != "08723218000186" || n.Lines[0].Sales != 1 || n.Lines[0].Runs[0].First != 7 {
		t.Errorf("%+v, %v", n, err)
	}
	for _, other := range [][2]string{{"08723218000186", "2"}, {"11222333000181", "1"}, {"", ""}} {
		if _, err := b.NumberingOfSeries(t.Context(), b.ana, other[0], other[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", other, err)
		}
	}
}
