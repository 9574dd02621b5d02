package alarm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func bufferFilling(l *look) *finding {
	a := l.Agent
	if a.Bound <= 0 {
		return nil
	}
	used := 100 * float64(a.Used) / float64(a.Bound)
	n, s := l.at(used)
	if n == 0 {
		return nil
	}
	return &finding{s, n, a.BeatAt, fmt.Sprintf("%.0f %% do espaço reservado neste caixa está ocupado, medido em %s.", used, moment(a.BeatAt))}
}

func agentBehind(l *look) *finding {
	a := l.Agent
	if a.Software == "" || a.Newest == "" || !older(a.Software, a.Newest) {
		return nil
	}
	return l.aged(a.NewestSince, "Usa a versão "+a.Software+"; outros caixas usam a "+a.Newest+" desde %s.")
}

// older tells whether a version comes before another: by their numbers, part by part.
// What is not written in numbers is never older.
func older(a, b string) bool {
	x, y := strings.Split(strings.TrimPrefix(a, "v"), "."), strings.Split(strings.TrimPrefix(b, "v"), ".")
	for i := range min(len(x), len(y)) {
		m, err := strconv.Atoi(x[i])
		n, err2 := strconv.Atoi(y[i])
		switch {
		case err != nil || err2 != nil:
			return false
		case m != n:
			return m < n
		}
	}
	return len(x) < len(y)
}

// Newest is the highest of some versions; "" without one.
func Newest(versions []string) (newest string) {
	for _, v := range versions {
		if newest == "" || older(newest, v) {
			newest = v
		}
	}
	return newest
}

// diskFilling judges the volume with the least room.
func diskFilling(l *look) (worst *finding) {
	for _, d := range l.Agent.Disks {
		if d.Total <= 0 {
			continue
		}
		free := 100 * float64(d.Free) / float64(d.Total)
		n, s := l.at(free)
		if n > 0 && (worst == nil || n > worst.step) {
			worst = &finding{s, n, d.At, fmt.Sprintf("%s com %.1f %% livre (%s), medido em %s.", d.Name, free, room(d.Free), moment(d.At))}
		}
	}
	return worst
}

// room is a size as people read it.
func room(bytes int64) string {
	return strings.Replace(fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30)), ".", ",", 1)
}

func memoryLow(l *look) *finding {
	c := l.Agent.Computer
	if c == nil || c.MemoryTotal <= 0 || c.MemoryFree <= 0 {
		return nil
	}
	free := 100 * float64(c.MemoryFree) / float64(c.MemoryTotal)
	n, s := l.at(free)
	if n == 0 {
		return nil
	}
	return &finding{s, n, c.At, fmt.Sprintf("%.0f %% da memória do computador livre (%s), medido em %s.", free, room(c.MemoryFree), moment(c.At))}
}

func computerClock(l *look) *finding {
	a := l.Agent
	if a.BeatAt.IsZero() {
		return nil
	}
	n, s := l.at(a.ClockOff.Abs().Seconds())
	if n == 0 {
		return nil
	}
	return &finding{s, n, a.BeatAt, fmt.Sprintf("Relógio do computador %s em %s, medido em %s.", way(a.ClockOff), span(a.ClockOff.Abs()), moment(a.BeatAt))}
}

func antivirusOff(l *look) *finding {
	c := l.Agent.Computer
	if c == nil {
		return nil
	}
	what := map[string]string{"off": "desligado", "outdated": "desatualizado"}[c.Antivirus]
	if what == "" {
		return nil
	}
	name := "Antivírus"
	if c.AntivirusBy != "" {
		name = c.AntivirusBy
	}
	return &finding{since: c.At, detail: fmt.Sprintf("%s %s desde %s.", name, what, moment(c.At))}
}

func usbErrors(l *look) *finding {
	c := l.Agent.Computer
	if c == nil {
		return nil
	}
	n, s := l.at(float64(max(c.USBErrors, c.Returned.Count)))
	switch {
	case n == 0:
		return nil
	case c.Returned.Count > c.USBErrors: // not every system tells of errors
		return &finding{s, n, c.Returned.First, fmt.Sprintf("O equipamento %s sumiu e voltou %s em 24 horas, a última em %s.",
			c.Returned.Example, count(c.Returned.Count, "vez", "vezes"), moment(c.Returned.Last))}
	}
	detail := count(c.USBErrors, "falha", "falhas") + " na ligação USB em 24 horas, até " + moment(c.At) + "."
	if c.USBLast != "" {
		detail += " A última: " + c.USBLast + "."
	}
	return &finding{s, n, c.At, detail}
}

func agentUnwell(l *look) *finding {
	c := l.Agent.Computer
	if c == nil {
		return nil
	}
	n, s := l.at(float64(c.Panics + c.Restarts))
	if n == 0 {
		return nil
	}
	what := count(c.Restarts, "reinício inesperado", "reinícios inesperados")
	if c.Panics > 0 {
		what = count(c.Panics, "falha", "falhas") + " e " + what
	}
	return &finding{s, n, c.At, fmt.Sprintf("%s do agente em 24 horas, até %s.", what, moment(c.At))}
}

func makersLibrary(l *look) *finding {
	if len(l.Agent.Makers) == 0 {
		return nil
	}
	m := slices.MinFunc(l.Agent.Makers, func(a, b Library) int { return a.Since.Compare(b.Since) })
	detail := fmt.Sprintf("O programa %s usa a biblioteca do fabricante (%s) desde %s.", m.Program, m.Path, moment(m.Since))
	if n := len(l.Agent.Makers); n > 1 {
		detail = fmt.Sprintf("%d programas usam a biblioteca do fabricante, o primeiro, %s, desde %s (%s).", n, m.Program, moment(m.Since), m.Path)
	}
	return &finding{since: m.Since, detail: detail}
}

func libraryUnseen(l *look) *finding {
	u := l.Agent.Unseen
	if u.Why == "" {
		return nil
	}
	why := map[string]string{
		"wide":   "O agente de 32 bits não vê os programas de 64 bits deste computador",
		"denied": "O agente não tem permissão para ver os programas de outros usuários",
	}[u.Why]
	if why == "" {
		why = "O agente não conseguiu ver os programas que estão abertos"
	}
	return &finding{since: u.At, detail: why + ", conferido em " + moment(u.At) + "."}
}

// What makes refusals many.
const (
	fewRefusals = 5
	timesNormal = 3
)

// salesRejected compares the last day of a till with the days before: so much of its
// sales refused, and three times what was normal. What a blocked device refuses the alarm
// of its block tells, which comes with its status.
func salesRejected(l *look) (worst *finding) {
	for till, days := range by(l.Agent.Sales, func(s Sales) string { return "PDV " + s.Till }) {
		last := days[0]
		if l.now.Sub(last.Day) >= 2*day || last.Rejected < fewRefusals || last.Blocked() && l.Agent.Statuses.After(last.Day) {
			continue
		}
		sold, rejected := 0, 0
		for _, d := range days[1:] {
			sold, rejected = sold+d.Sold, rejected+d.Rejected
		}
		rate := percentOf(last.Rejected, last.Sold)
		n, s := l.at(rate)
		if n == 0 || worst != nil && worst.step >= n || l.open == 0 && rate < timesNormal*percentOf(rejected, sold) {
			continue
		}
		worst = &finding{s, n, last.Day, fmt.Sprintf("%s: %s em %s, %.0f %% das vendas do dia.", till,
			count(last.Rejected, "venda recusada", "vendas recusadas"), date(last.Day), rate)}
		if last.Code != "" {
			worst.detail += " Código mais comum: " + last.Code + "."
		}
	}
	return worst
}

// percentOf is the share of n in n and the others, in percent.
func percentOf(n, others int) float64 {
	if n == 0 {
		return 0
	}
	return 100 * float64(n) / float64(n+others)
}

func salesSlow(l *look) (worst *finding) {
	for till, days := range by(l.Agent.Sales, func(s Sales) string { return "PDV " + s.Till }) {
		last := days[0]
		if l.now.Sub(last.Day) >= 2*day || last.Sold < 20 {
			continue
		}
		n, s := l.at(last.P95.Seconds())
		if n > 0 && (worst == nil || n > worst.step) {
			worst = &finding{s, n, last.Day, fmt.Sprintf("%s: em %s, uma em cada 20 vendas levou mais de %s.", till, date(last.Day), span(last.P95))}
		}
	}
	return worst
}
