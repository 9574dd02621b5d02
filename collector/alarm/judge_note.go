package alarm

import (
	"fmt"
	"time"
)

// noteAgain looks at pairs of which the second came within the minutes of its scale
// (dossier on NFC-e documents, 6.3). Equal sales one after another are ordinary: what makes
// a pair of them is that the first had no answer.
func noteAgain(l *look) *finding {
	if l.Shop == nil {
		return nil
	}
	within := time.Duration(l.scale.Steps[0].At * float64(time.Minute))
	n, first, last := 0, time.Time{}, Again{}
	for _, p := range l.Shop.Again {
		if p.After > within || l.now.Sub(p.At) >= twice {
			continue
		}
		n++
		if first.IsZero() || p.At.Before(first) {
			first = p.At
		}
		if !p.At.Before(last.At) {
			last = p
		}
	}
	if n == 0 {
		return nil
	}
	how := ""
	if last.Offline {
		how = ", em contingência"
	}
	return &finding{since: first, detail: fmt.Sprintf("%s com valor e itens iguais aos de uma nota que estava sem resposta. A última: série %s, nº %d em %s%s, %s depois do nº %d.",
		count(n, "nota", "notas"), last.Series, last.Second, moment(last.At), how, span(last.After), last.First)}
}
