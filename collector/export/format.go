package export

import (
	"strconv"
	"strings"
	"time"
)

// Cents reads a decimal with a dot and at most two places ("1234.5" is 123450).
// It is false for anything else.
func Cents(decimal string) (int64, bool) {
	whole, part, _ := strings.Cut(decimal, ".")
	if len(part) > 2 || len(whole) > 15 || strings.HasPrefix(part, "-") || strings.HasPrefix(part, "+") {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	return n, err == nil && whole != "" && whole != "-"
}

// Money writes cents as "1.234,56".
func Money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return sign + Thousands(int(cents/100)) + "," + strconv.Itoa(int(cents%100 + 100))[1:]
}

// Amount writes a decimal with a dot as "1.234,56"; what is no such decimal stays
// as it is.
func Amount(decimal string) string {
	cents, ok := Cents(decimal)
	if !ok {
		return decimal
	}
	return Money(cents)
}

// Thousands writes 18204 as "18.204".
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "." + s[i:]
	}
	return s
}

// Register writes a CNPJ as 08.723.218/0001-86 and a CPF as 123.456.789-09; other
// text stays as it is.
func Register(s string) string {
	switch len(s) {
	case 14:
		return s[:2] + "." + s[2:5] + "." + s[5:8] + "/" + s[8:12] + "-" + s[12:]
	case 11:
		return s[:3] + "." + s[3:6] + "." + s[6:9] + "-" + s[9:]
	}
	return s
}

// Moment writes a time as 21/11/2026 14:02:05, in its own zone; the zero time is
// "".
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("02/01/2006 15:04:05")
}

// count joins a number with the noun that fits it.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Thousands(n) + " " + many
}
