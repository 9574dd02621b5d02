package alarm

import (
	"fmt"
	"time"
)

// brasilia is the zone of every date a person in SP or CE reads.
var brasilia = time.FixedZone("-03", -3*60*60)

func moment(t time.Time) string { return t.In(brasilia).Format("02/01/2006 15:04") }
func date(t time.Time) string   { return t.In(brasilia).Format("02/01/2006") }

func midnight(t time.Time) time.Time {
	y, m, d := t.In(brasilia).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, brasilia)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return count(int(d.Seconds()), "segundo", "segundos")
	case d < 2*time.Hour:
		return count(int(d.Minutes()), "minuto", "minutos")
	case d < 2*day:
		return count(int(d.Hours()), "hora", "horas")
	}
	return count(int(d/day), "dia", "dias")
}
