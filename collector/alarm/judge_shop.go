package alarm

import (
	"fmt"
	"time"
)

// Days of the month for NFC-e gaps (dossier on NFC-e documents, 7).
const (
	gapSettles = 48 * time.Hour // files of younger notes may still be on their way
	gapUrgent  = 5
	gapDue     = 10
)

// seriesGap judges the gap with the nearest end: until the 10th of the month after it
// its numbers can be declared unused.
func seriesGap(l *look) (worst *finding) {
	if l.Shop == nil {
		return nil
	}
	total := 0
	for _, g := range l.Shop.Gaps {
		if g.Before.IsZero() || l.now.Sub(g.Before) < gapSettles {
			continue
		}
		total += g.To - g.From + 1
		if f := usedGap(g); f != nil {
			if worst == nil || worst.severity < Critical {
				worst = f
			}
			continue
		}
		y, m, _ := g.Before.In(brasilia).Date()
		urgent, due := time.Date(y, m+1, gapUrgent, 0, 0, 0, 0, brasilia), time.Date(y, m+1, gapDue+1, 0, 0, 0, 0, brasilia)
		f := &finding{Notice, 1, g.Before, fmt.Sprintf("série %s, %s, até o dia %s para inutilizar.", g.Series, numbers(g.From, g.To), date(due.Add(-time.Hour)))}
		switch {
		case !l.now.Before(due):
			f.severity, f.step = Warning, 4
			f.detail = fmt.Sprintf("série %s, %s, com o prazo de inutilização vencido em %s.", g.Series, numbers(g.From, g.To), date(due.Add(-time.Hour)))
		case !l.now.Before(due.AddDate(0, 0, -2)):
			f.severity, f.step = Critical, 3
		case !l.now.Before(urgent):
			f.severity, f.step = Warning, 2
		}
		if worst == nil || f.severity > worst.severity || f.severity == worst.severity && g.Before.Before(worst.since) {
			worst = f
		}
	}
	if worst != nil {
		worst.detail = missing(total) + " de NFC-e: " + worst.detail
	}
	return worst
}

// usedGap tells of a gap with a number that was issued: its file is missing, and it must
// not be declared unused, the less one of contingency (dossier on NFC-e documents, 7).
func usedGap(g SeriesGap) *finding {
	if g.Used == 0 {
		return nil
	}
	how := ""
	if g.Offline {
		how = " em contingência"
	}
	return &finding{Warning, 2, g.Before, fmt.Sprintf("série %s, %s. O nº %d foi emitido%s, como mostra um evento dele: falta o arquivo, e ele não pode ser inutilizado.",
		g.Series, numbers(g.From, g.To), g.Used, how)}
}

// numbers names a range of numbers.
func numbers(from, to int) string {
	if from == to {
		return fmt.Sprintf("nº %d", from)
	}
	return fmt.Sprintf("nº %d a %d", from, to)
}

// contingencyOpen counts from the oldest note: by the strictest term anybody sets, and
// gravest from the end of the one that counts in the shop's state.
func contingencyOpen(l *look) *finding {
	if l.Shop == nil || l.Shop.Unsettled.Count == 0 {
		return nil
	}
	h := l.Shop.Unsettled
	end, about := l.Policy.contingencyEnd(l.Shop.State, h.First)
	f := l.aged(h.First, "%s")
	last := len(l.scale.Steps)
	if end.Sub(h.First) > assumed*time.Hour {
		last++
	}
	switch {
	case !l.now.Before(end):
		f = &finding{severity: Critical, step: last, since: h.First}
		about = "O prazo venceu em " + moment(end) + about + "."
	case f == nil:
		return nil
	default:
		about = "O prazo vence em " + moment(end) + about + "."
	}
	f.detail = count(h.Count, "nota", "notas") + fmt.Sprintf(" em contingência sem autorização, a mais antiga de %s. %s", moment(h.First), about)
	return f
}

// noteUnknown tells of notes issued on-line without an answer of the tax office, which
// takes them for some minutes only. What is months old is for the accountant.
func noteUnknown(l *look) *finding {
	if l.Shop == nil || l.Shop.Unknown.Count == 0 {
		return nil
	}
	h := l.Shop.Unknown
	f := l.aged(h.First, "%s")
	if f == nil {
		return nil
	}
	if l.now.Sub(h.Last) > 60*day {
		f.severity = Notice
	}
	f.detail = count(h.Count, "nota", "notas") + fmt.Sprintf(" sem resposta da SEFAZ, a mais antiga de %s. A última: %s.", moment(h.First), h.Example)
	return f
}

func noteTwins(l *look) *finding {
	if l.Shop == nil {
		return nil
	}
	return l.Shop.Twins.within(twice, l.now, "número emitido", "números emitidos", " em modo normal e também em contingência, desde %s.", " O último: %s.")
}
