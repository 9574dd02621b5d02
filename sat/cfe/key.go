package cfe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Key is an access key (chave de acesso) of any model: 44 characters, digits
// except for the CNPJ, which may hold capital letters. Its accessors expect the
// shape that ParseKey checks; on other text they give zero values.
//
// Models 55 and 65: cUF 2, AAMM 4, CNPJ 14, mod 2, série 3, nNF 9, tpEmis 1,
// cNF 8, cDV 1. Model 59: cUF 2, AAMM 4, CNPJ 14, mod 2, nserieSAT 9, nCFe 6,
// cNF 6, cDV 1 (dossier on NFC-e documents 2, on CF-e documents 2.1).
type Key string

const keyLen = 44

// KeyParts are the parts a key is composed of.
type KeyParts struct {
	UF       int       // IBGE code of the state, 35 for São Paulo, 23 for Ceará
	Issued   time.Time // its own year and month enter the key, in its own zone
	CNPJ     string    // 14 characters, or a CPF of 11 digits (models 55 and 65)
	Model    int       // 59, 65, 55
	Serial   string    // nserieSAT of model 59, nine digits
	Series   int       // série of other models, 0 to 999
	Number   int       // nCFe, at most 999999, or nNF, at most 999999999
	Emission int       // tpEmis of models other than 59, 1 to 9
	Random   int       // cNF: six digits in model 59, else eight
}

// NewKey composes a key and its check digit. The error names the part that does
// not fit.
func NewKey(p KeyParts) (Key, error) {
	year := p.Issued.Year() - 2000
	if len(p.CNPJ) == 11 && p.Model != 59 {
		p.CNPJ = "000" + p.CNPJ
	}
	var serial, tail string
	if p.Model == 59 {
		serial = p.Serial
		tail = fmt.Sprintf("%06d%06d", p.Number, p.Random)
	} else {
		serial = fmt.Sprintf("%03d", p.Series)
		tail = fmt.Sprintf("%09d%d%08d", p.Number, p.Emission, p.Random)
	}
	for _, part := range []struct {
		name string
		ok   bool
	}{
		{"UF", p.UF >= 10 && p.UF <= 99},
		{"date", year >= 0 && year <= 99},
		{"CNPJ", len(p.CNPJ) == 14},
		{"model", p.Model >= 10 && p.Model <= 99},
		{"serial number or series", (p.Model == 59 && len(serial) == 9) || (p.Model != 59 && p.Series >= 0 && len(serial) == 3)},
		{"number", p.Number >= 0},
		{"type of emission", p.Model == 59 || (p.Emission >= 1 && p.Emission <= 9)},
		{"random code", p.Random >= 0},
	} {
		if !part.ok {
			return "", fmt.Errorf("cannot compose access key: the %s does not fit", part.name)
		}
	}
	head := fmt.Sprintf("%02d%02d%02d%s%02d%s%s", p.UF, year, int(p.Issued.Month()), p.CNPJ, p.Model, serial, tail)
	if !keyShaped(head + "0") {
		return "", errors.New("cannot compose access key: a part has the wrong length or holds other characters than digits")
	}
	return Key(head + string(keyDigit(head))), nil
}

// ParseKey reads a key, with or without "CFe" or "NFe" before it, and checks its
// digit. The error says which rule the text breaks, not the text.
func ParseKey(s string) (Key, error) {
	k := trimPrefix(s)
	if len(k) != keyLen {
		return "", fmt.Errorf("cannot read access key: it has %d characters, expected %d", len(k), keyLen)
	}
	if !keyShaped(k) {
		return "", errors.New("cannot read access key: it is not 44 digits (with capital letters only in the CNPJ)")
	}
	if month := k[4:6]; month < "01" || month > "12" {
		return "", fmt.Errorf("cannot read access key: month %s", month)
	}
	if !Key(k).digitRight() {
		return "", errors.New("cannot read access key: its check digit is wrong")
	}
	return Key(k), nil
}

func trimPrefix(s string) string {
	if k, ok := strings.CutPrefix(s, "CFe"); ok {
		return k
	}
	return strings.TrimPrefix(s, "NFe")
}

// ID is the key as the Id attribute and a SAT's replies carry it: "CFe" and the
// key for model 59, "NFe" and the key for models 55 and 65.
func (k Key) ID() string {
	if k.Model() == 59 {
		return "CFe" + string(k)
	}
	return "NFe" + string(k)
}

// UF is the IBGE code of the state, two digits.
func (k Key) UF() string { return k.part(0, 2) }

// Month is the month of issue as AAAA-MM ("2015-07").
func (k Key) Month() string {
	if len(k) != keyLen {
		return ""
	}
	return "20" + string(k[2:4]) + "-" + string(k[4:6])
}

// CNPJ is the issuer's CNPJ, 14 characters; a CPF stands there after three
// zeros. On notes of series 890 to 899 it is the tax authority's.
func (k Key) CNPJ() string { return k.part(6, 20) }

// Model is 59 for CF-e, 65 for NFC-e, 55 for NF-e.
func (k Key) Model() int { return k.number(20, 22) }

// Serial is nserieSAT, nine digits; "" for models other than 59.
func (k Key) Serial() string {
	if k.Model() != 59 {
		return ""
	}
	return k.part(22, 31)
}

// Series is the série without leading zeros, as ide/serie prints it; "" for
// model 59.
func (k Key) Series() string {
	if len(k) != keyLen || k.Model() == 59 {
		return ""
	}
	return strconv.Itoa(k.number(22, 25))
}

// Number is nCFe or nNF.
func (k Key) Number() int {
	if k.Model() == 59 {
		return k.number(31, 37)
	}
	return k.number(25, 34)
}

// Emission is tpEmis (1 normal, 9 off-line contingency); 0 for model 59, which
// has none.
func (k Key) Emission() int {
	if k.Model() == 59 {
		return 0
	}
	return k.number(34, 35)
}

// Random is cNF, the random code.
func (k Key) Random() int {
	if k.Model() == 59 {
		return k.number(37, 43)
	}
	return k.number(35, 43)
}

// Digit is cDV, the check digit.
func (k Key) Digit() int { return k.number(43, 44) }

func (k Key) part(from, to int) string {
	if len(k) != keyLen {
		return ""
	}
	return string(k[from:to])
}

func (k Key) number(from, to int) int {
	n, _ := strconv.Atoi(k.part(from, to))
	return n
}

func (k Key) digitRight() bool { return len(k) == keyLen && k[43] == keyDigit(string(k[:43])) }

// keyShaped tells whether s has the form ^[0-9]{6}[0-9A-Z]{12}[0-9]{26}$.
func keyShaped(s string) bool {
	return len(s) == keyLen && allDigits(s[:6]) && alphanumeric(s[6:18]) && allDigits(s[18:])
}

// keyDigit is the check digit over the first 43 characters: modulo 11, weights 2
// to 9 repeating from the right, a character counting its code minus 48.
func keyDigit(s string) byte { return modulo11(s, 9) }

// modulo11 weighs the characters from the right with 2, 3, ... last, 2, ... and
// gives the digit that remainders 0 and 1 make 0.
func modulo11(s string, last int) byte {
	sum, weight := 0, 2
	for i := len(s) - 1; i >= 0; i-- {
		sum += int(s[i]-'0') * weight
		if weight++; weight > last {
			weight = 2
		}
	}
	if r := sum % 11; r > 1 {
		return byte('0' + 11 - r)
	}
	return '0'
}

// ValidCNPJ checks shape and digits of a CNPJ, numeric or with letters: 14
// characters, the last two digits (dossier on NFC-e documents 2).
func ValidCNPJ(s string) bool {
	return len(s) == 14 && alphanumeric(s[:12]) && allDigits(s[12:]) && !uniform(s) &&
		s[12] == modulo11(s[:12], 9) && s[13] == modulo11(s[:13], 9)
}

// ValidCPF checks shape and digits of a CPF: eleven digits.
func ValidCPF(s string) bool {
	return len(s) == 11 && allDigits(s) && !uniform(s) &&
		s[9] == modulo11(s[:9], 11) && s[10] == modulo11(s[:10], 11)
}

// uniform tells whether all characters are the same, which no register issues
// although the digits may fit.
func uniform(s string) bool { return strings.Count(s, s[:1]) == len(s) }

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return true
}
