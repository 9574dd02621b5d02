package cfe

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseKey(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		uf     string
		month  string
		cnpj   string
		model  int
		serial string
		series string
		number int
		emit   int
		random int
		digit  int
	}{
		"CF-e":                         {"35150908723218000186599000040190000378585470", "35", "2015-09", "08723218000186", 59, "900004019", "", 37, 0, 858547, 0},
		"CF-e with prefix":             {"CFe35150908723218000186599000040190000007972068", "35", "2015-09", "08723218000186", 59, "900004019", "", 0, 0, 797206, 8},
		"CF-e of a device of 2021":     {"35211014200166000166599000207500001006345230", "35", "2021-10", "14200166000166", 59, "900020750", "", 100, 0, 634523, 0},
		"NFC-e":                        {"NFe" + string(mustKey(t, KeyParts{35, noon(), "11222333000181", 65, "", 1, 200, 9, 12345678})), "35", "2025-07", "11222333000181", 65, "", "1", 200, 9, 12345678, 3},
		"NF-e with letters in CNPJ":    {string(mustKey(t, KeyParts{23, noon(), "12ABC34501DE35", 55, "", 0, 999999999, 1, 1})), "23", "2025-07", "12ABC34501DE35", 55, "", "0", 999999999, 1, 1, 3},
		"NFC-e of a producer with CPF": {string(mustKey(t, KeyParts{35, noon(), "52998224725", 65, "", 920, 1, 1, 0})), "35", "2025-07", "00052998224725", 65, "", "920", 1, 1, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseKey(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if k.UF() != c.uf || k.Month() != c.month || k.CNPJ() != c.cnpj || k.Model() != c.model || k.Serial() != c.serial ||
				k.Series() != c.series || k.Number() != c.number || k.Emission() != c.emit || k.Random() != c.random || k.Digit() != c.digit {
				t.Errorf("%s read as UF %s month %s CNPJ %s model %d serial %q series %q number %d emission %d random %d digit %d",
					k, k.UF(), k.Month(), k.CNPJ(), k.Model(), k.Serial(), k.Series(), k.Number(), k.Emission(), k.Random(), k.Digit())
			}
			if !strings.HasSuffix(k.ID(), string(k)) || len(k.ID()) != 47 {
				t.Errorf("ID %s", k.ID())
			}
		})
	}
}

func mustKey(t *testing.T, p KeyParts) Key {
	t.Helper()
	k, err := NewKey(p)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParseKeyRefuses(t *testing.T) {
	good := "35150908723218000186599000040190000378585470"
	for name, text := range map[string]string{
		"empty": "", "prefix alone": "CFe", "short": good[1:], "long": good + "0", "blank inside": good[:20] + " " + good[21:],
		"wrong digit": good[:43] + "1", "two digits swapped": "53" + good[2:], "month 13": "3515130872321800018659900004019000037858547" + "0",
		"month 00": "3515000872321800018659900004019000037858547" + "0", "letter outside the CNPJ": "A" + good[1:],
		"letter in the CNPJ's digits": good[:19] + "A" + good[20:], "small letter": good[:8] + "a" + good[9:],
		"prefix in small letters": "cfe" + good, "two prefixes": "CFeCFe" + good, "other script": strings.Repeat("٣", 22),
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := ParseKey(text); err == nil {
				t.Errorf("read as %s", k)
			}
		})
	}
}

func TestNewKeyRefusesPartsThatDoNotFit(t *testing.T) {
	good := KeyParts{UF: 35, Issued: noon(), CNPJ: "11222333000181", Model: 59, Serial: "900000123", Number: 1, Random: 1}
	if _, err := NewKey(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*KeyParts){
		"UF":               func(p *KeyParts) { p.UF = 3 },
		"date":             func(p *KeyParts) { p.Issued = time.Time{} },
		"CNPJ":             func(p *KeyParts) { p.CNPJ = "1122233300018" },
		"CPF in model 59":  func(p *KeyParts) { p.CNPJ = "52998224725" },
		"CNPJ characters":  func(p *KeyParts) { p.CNPJ = "112223330001_1" },
		"model":            func(p *KeyParts) { p.Model = 5 },
		"serial length":    func(p *KeyParts) { p.Serial = "90000012" },
		"serial letters":   func(p *KeyParts) { p.Serial = "90000012A" },
		"number":           func(p *KeyParts) { p.Number = 1000000 },
		"negative number":  func(p *KeyParts) { p.Number = -1 },
		"random":           func(p *KeyParts) { p.Random = 1000000 },
		"negative random":  func(p *KeyParts) { p.Random = -5 },
		"type of emission": func(p *KeyParts) { p.Model = 65 },
		"series":           func(p *KeyParts) { p.Model, p.Emission, p.Series = 65, 1, 1000 },
		"number of a note": func(p *KeyParts) { p.Model, p.Emission, p.Number = 65, 1, 1e9 },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			spoil(&p)
			if k, err := NewKey(p); err == nil {
				t.Errorf("composed %s", k)
			}
		})
	}
}

func TestKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := KeyParts{
			UF:     rapid.IntRange(11, 53).Draw(t, "UF"),
			Issued: time.Date(rapid.IntRange(2010, 2099).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 15, 0, 0, 0, 0, time.UTC),
			CNPJ:   rapid.StringMatching(`[0-9A-Z]{12}[0-9]{2}`).Draw(t, "CNPJ"),
			Model:  rapid.SampledFrom([]int{55, 59, 65}).Draw(t, "model"),
		}
		if p.Model == 59 {
			p.Serial = rapid.StringMatching(`[0-9]{9}`).Draw(t, "serial")
			p.Number, p.Random = rapid.IntRange(0, 999999).Draw(t, "number"), rapid.IntRange(0, 999999).Draw(t, "random")
		} else {
			p.Series, p.Emission = rapid.IntRange(0, 999).Draw(t, "series"), rapid.IntRange(1, 9).Draw(t, "emission")
			p.Number, p.Random = rapid.IntRange(0, 999999999).Draw(t, "number"), rapid.IntRange(0, 99999999).Draw(t, "random")
		}
		made, err := NewKey(p)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseKey(made.ID())
		if err != nil || k != made {
			t.Fatalf("%s read as %s: %v", made, k, err)
		}
		if k.CNPJ() != p.CNPJ || k.Model() != p.Model || k.Number() != p.Number || k.Random() != p.Random ||
			k.Serial() != p.Serial || k.Emission() != p.Emission || k.Month() != p.Issued.Format("2006-01") {
			t.Fatalf("%+v became %s", p, k)
		}
		at := rapid.IntRange(0, 42).Draw(t, "place")
		other := rapid.StringMatching(`[0-9]`).Draw(t, "other")
		if k.Digit() == 0 || k[at] > '9' || k[at] == other[0] {
			return // remainders 0 and 1 share the digit 0; letters may differ by 11
		}
		if same, err := ParseKey(string(k[:at]) + other + string(k[at+1:])); err == nil {
			t.Fatalf("one digit of %s changed and %s is still a key", k, same)
		}
	})
}

func TestValidCNPJ(t *testing.T) {
	for s, want := range map[string]bool{
		"08723218000186": true, "16716114000172": true, "11222333000181": true, "12ABC34501DE35": true,
		"12ABC34501DE36": false, "12abc34501de35": false, "11222333000182": false, "11222333000191": false, "00000000000000": false,
		"1122233300018": false, "112223330001811": false, "11.222.333/0001": false, "": false, "12ABC34501DEA5": false,
	} {
		if ValidCNPJ(s) != want {
			t.Errorf("ValidCNPJ(%q) is not %t", s, want)
		}
	}
}

func TestValidCPF(t *testing.T) {
	for s, want := range map[string]bool{
		"52998224725": true, "11144477735": true, "52998224726": false, "52998224735": false, "11111111111": false,
		"5299822472": false, "529982247250": false, "5299822472X": false, "": false,
	} {
		if ValidCPF(s) != want {
			t.Errorf("ValidCPF(%q) is not %t", s, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("CFe35150908723218000186599000040190000007972068")
	f.Add("23250712ABC34501DE3555000999999999100000001")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			// Accessors must bear any text.
			k = Key(text)
			_, _, _, _, _ = k.ID(), k.UF(), k.Month(), k.CNPJ(), k.Model()
			_, _, _, _, _, _ = k.Serial(), k.Series(), k.Number(), k.Emission(), k.Random(), k.Digit()
			return
		}
		if again, err := ParseKey(k.ID()); err != nil || again != k {
			t.Fatalf("%q read as %s, then %s: %v", text, k, again, err)
		}
	})
}
