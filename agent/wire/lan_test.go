package wire

import (
	"bytes"
	"crypto/x509/pkix"
	"reflect"
	"testing"
)

// goldenLan are the messages between neighbours of version 2.
func goldenLan() map[string]any {
	return map[string]any{
		"lan-beacon": &Beacon{Version: 2, Agent: "caixa001", Port: 9021},
		"lan-offers": &Lendables{Version: 2, Run: []byte{1, 2}, Devices: []Lendable{{Serial: "900000001", CNPJ: "11111111111111", Layout: "00.08",
			Unfit: "bloqueado", Memory: 0.5, Expires: 1700000000000, Waiting: 2}}},
		"lan-sale": &Loan{Version: 2, Number: 7, Case: "c1", Left: 12000, Till: "001", Session: 123456, Function: 3, Args: [][]byte{{}, []byte("<CFe/>")}},
		"lan-answer": &Return{Version: 2, Number: 7, Case: "c1", Ending: EndingReplied, Function: 3,
			Reply: []byte("123456|06010|1999|Erro|||")},
		"lan-failed": &Return{Version: 2, Number: 7, Case: "c1", Failed: "no time left"},
	}
}

func TestGoldenLan(t *testing.T) {
	c := codec(t)
	for name, want := range goldenLan() {
		b, err := c.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		raw := stored(t, "v2", name, b)
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := c.Decode(raw, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads as %+v, %v", name, got, err)
		}
		if !bytes.Equal(b, raw) {
			t.Errorf("%s is written differently: raise Version and add its history", name)
		}
	}
}

func TestEstablishment(t *testing.T) {
	for name, c := range map[string]struct {
		organization []string
		want         string
	}{
		"digits":         {[]string{"11222333000181"}, "11222333000181"},
		"letters":        {[]string{"12ABC34501DE35"}, "12ABC34501DE35"},
		"none":           {nil, ""},
		"two":            {[]string{"11222333000181", "11222333000262"}, ""},
		"punctuation":    {[]string{"11.222.333/0001-81"}, ""},
		"too short":      {[]string{"1122233300018"}, ""},
		"letters at end": {[]string{"112223330001AB"}, ""},
		"lower case":     {[]string{"12abc34501de35"}, ""},
	} {
		if got := Establishment(pkix.Name{Organization: c.organization}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
