package alarm

import (
	"strings"
	"time"
)

// states are the codes of the states (cUF, of IBGE), each with its abbreviation.
const states = "11RO12AC13AM14RR15PA16AP17TO21MA22PI23CE24RN25PB26PE27AL28SE29BA31MG32ES33RJ35SP41PR42SC43RS50MS51MT52GO53DF"

// StateOf is the abbreviation of the state whose code an access key begins with; ""
// when it is none.
func StateOf(code string) string {
	for i := 0; i < len(states); i += 4 {
		if strings.HasPrefix(states[i:], code) && len(code) == 2 {
			return states[i+2 : i+4]
		}
	}
	return ""
}

// term is within which time a state wants notes issued off-line.
type term struct {
	hours int  // 0: to the end of the first business day after
	sure  bool // read in an act or a page of the state itself
}

// assumed is the term of states of which nothing was read: the strictest known.
const assumed = 24

// terms are those that the dossier on NFC-e documents, 6.1, names.
func terms(state string) (t term, known bool) {
	switch state {
	case "MG":
		return term{0, true}, true
	case "PE":
		return term{24, true}, true
	case "PB":
		return term{0, false}, true
	case "SE":
		return term{24, false}, true
	}
	return term{hours: assumed}, false
}

// contingencyEnd is by when a note issued off-line must be transmitted, and how sure that
// is in words: by what the tenant set, else by what is known of the state.
func (p Policy) contingencyEnd(state string, issued time.Time) (end time.Time, how string) {
	t, known := terms(state)
	switch {
	case p.Contingency > 0:
		t, how = term{hours: p.Contingency}, ", pelo prazo configurado"
	case state == "":
		how = " (contamos 24 horas: o estado da loja não é conhecido)"
	case !known:
		how = " (contamos 24 horas: o prazo de " + state + " não está confirmado)"
	case !t.sure:
		how = ", prazo de " + state + " (não confirmado na SEFAZ)"
	default:
		how = ", prazo de " + state
	}
	if t.hours > 0 {
		return issued.Add(time.Duration(t.hours) * time.Hour), how
	}
	days := Policy{Holidays: p.Holidays} // whether the shop opens on Saturdays is no matter
	next := midnight(issued).AddDate(0, 0, 1)
	for !days.open(next) {
		next = next.AddDate(0, 0, 1)
	}
	return next.AddDate(0, 0, 1).Add(-time.Minute), how
}
