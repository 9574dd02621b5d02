package till

import (
	"fmt"
	"strings"
	"time"

	"zelo/sat"
)

// none stands where there is nothing to say.
const none = "–"

func local(t time.Time) time.Time { return t.In(sat.Brasilia()) }

func date(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return local(t).Format("02/01/2006")
}

func clock(t time.Time) string { return local(t).Format("15:04:05") }

// moment says when t was, as briefly as now allows: "14:02", "20/11 14:02",
// "31/12/2025 14:02".
func moment(now, t time.Time) string {
	switch t, now := local(t), local(now); {
	case t.IsZero():
		return none
	case daysBetween(t, now) == 0:
		return t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("02/01 15:04")
	default:
		return t.Format("02/01/2006 15:04")
	}
}

// since is " desde 14:02"; "" when nobody knows.
func since(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " desde " + moment(now, t)
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "menos de 1 min"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d dias", int(d.Hours()/24))
}

// daysBetween counts calendar days from a to b; negative when b comes first.
func daysBetween(a, b time.Time) int {
	day := func(t time.Time) time.Time {
		y, m, d := local(t).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(b).Sub(day(a)).Hours() / 24)
}

// validity says how long a certificate's last day lies ahead or back.
func validity(now, expires time.Time) string {
	switch n := daysBetween(now, expires); {
	case expires.IsZero():
		return none
	case n < 0:
		return "venceu " + date(expires) + ", há " + count(-n, "dia", "dias")
	case n == 0:
		return "vence hoje"
	default:
		return "vence " + date(expires) + ", em " + count(n, "dia", "dias")
	}
}

// count writes 1 cupom, 1.234 cupons.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// list writes "a, b e c".
func list(items []string) string {
	last := len(items) - 1
	if last < 1 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:last], ", ") + " e " + items[last]
}

// number writes 1234 as 1.234.
func number(n int) string { return thousands(fmt.Sprint(n)) }

func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "." + digits[i:]
	}
	return digits
}

// money writes 1234.50 as R$ 1.234,50.
func money(decimal string) string {
	whole, cents, _ := strings.Cut(decimal, ".")
	if whole == "" {
		return none
	}
	return "R$ " + thousands(whole) + "," + (cents + "00")[:max(2, len(cents))]
}

// groups writes an access key in eleven groups of four, as receipts do.
func groups(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func percent(fraction float64) string { return fmt.Sprintf("%.0f %%", 100*fraction) }
