package alarm

import (
	"fmt"
	"slices"
	"time"
)

// holiday is a day without business: of one year, or of each when year is 0.
type holiday struct {
	year  int
	month time.Month
	day   int
}

func parseHoliday(text string) (h holiday, err error) {
	t, err := time.Parse("02/01/2006", text)
	if err == nil {
		return holiday{t.Year(), t.Month(), t.Day()}, nil
	}
	if t, err = time.Parse("02/01/2006", text+"/2024"); err == nil { // a leap year
		return holiday{0, t.Month(), t.Day()}, nil
	}
	return h, fmt.Errorf("o feriado %q não é uma data: escreva 25/01 para todos os anos ou 12/06/2027 para um só", text)
}

// NationalHolidays are the dates of a year on which business rests all over Brazil, as
// midnights in Brasília: those of Leis 662/1949, 6.802/1980 and 14.759/2023, Good
// Friday, and the customary days of Carnival and Corpus Christi.
func NationalHolidays(year int) []time.Time {
	e := easter(year)
	days := []time.Time{e.AddDate(0, 0, -48), e.AddDate(0, 0, -47), e.AddDate(0, 0, -2), e.AddDate(0, 0, 60)}
	for _, d := range []holiday{{0, 1, 1}, {0, 4, 21}, {0, 5, 1}, {0, 9, 7}, {0, 10, 12}, {0, 11, 2}, {0, 11, 15}, {0, 12, 25}} {
		days = append(days, time.Date(year, d.month, d.day, 0, 0, 0, 0, brasilia))
	}
	if year >= 2024 {
		days = append(days, time.Date(year, 11, 20, 0, 0, 0, 0, brasilia))
	}
	slices.SortFunc(days, time.Time.Compare)
	return days
}

// easter is Easter Sunday of the Gregorian calendar, by the rule of Meeus, Jones and
// Butcher.
func easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e, f := b/4, b%4, (b+8)/25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, brasilia)
}

// open tells whether there is business on the day of a midnight.
func (p Policy) open(midnight time.Time) bool {
	switch midnight.Weekday() {
	case time.Saturday:
		if !p.Saturdays {
			return false
		}
	case time.Sunday:
		if !p.Sundays {
			return false
		}
	}
	for _, text := range p.Holidays {
		h, err := parseHoliday(text)
		if err == nil && (h.year == 0 || h.year == midnight.Year()) && h.month == midnight.Month() && h.day == midnight.Day() {
			return false
		}
	}
	return !slices.ContainsFunc(NationalHolidays(midnight.Year()), midnight.Equal)
}

// Business is how much business time lies between two instants, of a filled policy.
func (p Policy) Business(from, to time.Time) (d time.Duration) {
	for day := midnight(from); day.Before(to); day = day.AddDate(0, 0, 1) {
		if !p.open(day) {
			continue
		}
		begin := day.Add(time.Duration(p.Opens) * time.Minute)
		end := day.Add(time.Duration(p.Closes) * time.Minute)
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		d += max(0, end.Sub(begin))
	}
	return d
}

// longEscalation is after how long an alarm is on its highest level, whatever the
// calendar says.
const longEscalation = 60 * day

// Level is how far an alarm has escalated: 0 until the first of the policy's times
// passed. Only a critical alarm that nobody took on, and that is not silenced, rises.
// Waiting is since when it waits to be taken on.
func (p Policy) Level(s Severity, waiting time.Time, taken, silenced bool, now time.Time) (level int) {
	if s < Critical || taken || silenced || waiting.IsZero() {
		return 0
	}
	p = p.Filled()
	if now.Sub(waiting) > longEscalation {
		return len(p.Escalate)
	}
	passed := p.Business(waiting, now)
	for _, m := range p.Escalate {
		if passed >= time.Duration(m)*time.Minute {
			level++
		}
	}
	return level
}
