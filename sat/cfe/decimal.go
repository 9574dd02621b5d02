package cfe

import (
	"fmt"
	"math/bits"
	"strconv"
)

// Amounts are whole numbers of the last decimal place: cents for 13.2, ten
// thousandths for 11.4. All fit 16 digits, products are taken in 128 bits, so
// nothing is ever rounded unless a rule says so.

// maxAmount is the first number of cents that does not fit 13.2.
const maxAmount = 1e15

// decimal reads a number written with 1 to whole digits, a dot and exactly
// places digits, as the schemas demand, without sign.
func decimal(s string, whole, places int) (int64, bool) {
	dot := len(s) - places - 1
	if dot < 1 || dot > whole || s[dot] != '.' || !allDigits(s[:dot]) || !allDigits(s[dot+1:]) {
		return 0, false
	}
	n, err := strconv.ParseInt(s[:dot]+s[dot+1:], 10, 64)
	return n, err == nil
}

// cents reads an amount 13.2; "" is zero.
func cents(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	return decimal(s, 13, 2)
}

// formatCents writes an amount with two places.
func formatCents(n int64) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }

// quotient is a x b / c of numbers that are not negative, rounded half to even
// (ABNT NBR 5891, dossier 1.5) or truncated. It is false when the result exceeds
// 13.2 or c is zero.
func quotient(a, b, c int64, truncate bool) (int64, bool) {
	if a < 0 || b < 0 || c <= 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return 0, false
	}
	q, rest := bits.Div64(hi, lo, uint64(c))
	if twice := rest * 2; !truncate && (twice > uint64(c) || (twice == uint64(c) && q%2 == 1)) {
		q++
	}
	if q >= maxAmount {
		return 0, false
	}
	return int64(q), true
}
