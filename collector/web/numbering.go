package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"zelo/collector/api"
)

// numbering shows which numbers of a device are held and which are missing.
func (s *site) numbering(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	n, err := s.o.API.NumberingOf(r.Context(), c, r.PathValue("serial"))
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "numbering", "tills", "Numeração do SAT "+n.Device.Serial, n)
}

// seriesNumbering shows the same of one series of NFC-e.
func (s *site) seriesNumbering(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	n, err := s.o.API.NumberingOfSeries(r.Context(), c, r.PathValue("cnpj"), r.PathValue("series"))
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "numbering", reports, "Numeração da NFC-e série "+n.Series, n)
}

// tillPage is a till with the numbering of its devices.
type tillPage struct {
	api.TillPage
	Numbering map[string]api.Line // by serial number; of the taxpayer who issued last
	Commands  bool                // whether the caller may give it commands
	Logs      bool                // whether the caller may read its devices' logs
	Revoke    bool                // whether the caller may end the identity of its computer
	Computer  bool                // whether the caller may see what its computer told
}

// followedAtOnce bounds the documents whose numbers are followed for a till's page:
// a second's work. A device with more says where to look.
const followedAtOnce = 50_000

func (s *site) withNumbering(r *http.Request, c api.Caller, t api.TillPage) (tillPage, error) {
	commands, err := s.commandable(r, c, t.ID)
	if err != nil {
		return tillPage{}, err
	}
	computer, err := s.hasComputer(r, c, t.ID)
	if err != nil {
		return tillPage{}, err
	}
	p := tillPage{t, map[string]api.Line{}, commands, s.o.API.May(c, api.OpLogs), s.o.API.May(c, api.OpRevokeTill), computer}
	for _, d := range t.Devices {
		if d.Documents == 0 || d.Documents > followedAtOnce {
			continue
		}
		n, err := s.o.API.NumberingOf(r.Context(), c, d.Serial)
		if err != nil && !errors.Is(err, api.ErrNotFound) {
			return p, err
		}
		if len(n.Lines) > 0 {
			p.Numbering[d.Serial] = n.Lines[0]
		}
	}
	return p, nil
}

// shownGaps bounds how many gaps a page lists, and a sentence names.
const (
	shownGaps = 200
	namedGaps = 3
)

// numbersBetween writes "12.001 a 12.003", or one number alone.
func numbersBetween(from, to int) string {
	if from == to {
		return api.Thousands(from)
	}
	return api.Thousands(from) + " a " + api.Thousands(to)
}

// numberedSentence says in one line what is held, what is missing and how sure the
// end is.
func numberedSentence(l api.Line) string {
	if len(l.Runs) == 0 {
		return "Só documentos de teste, que não entram na numeração."
	}
	var b strings.Builder
	last := l.Runs[len(l.Runs)-1]
	if len(l.Runs) > 1 {
		fmt.Fprintf(&b, "A numeração recomeçou %s; desde %s, ", count(len(l.Runs)-1, "vez", "vezes"), date(last.Since))
	}
	b.WriteString(numbersBetween(last.First, last.Last))
	switch {
	case l.Missing > 0:
		fmt.Fprintf(&b, "; %s (%s)", countVerb(l.Missing, "falta", "faltam"), namedOf(l.Gaps()))
	case last.Length > 1:
		b.WriteString(" completos")
	default:
		b.WriteString(", o único guardado")
	}
	if last.Wraps > 0 {
		b.WriteString("; passou do número mais alto e voltou ao 1")
	}
	if l.Doubled > 0 {
		b.WriteString("; " + count(l.Doubled, "número em dobro", "números em dobro"))
	}
	return b.String() + "; " + endOf(l) + "."
}

func countVerb(n int, one, many string) string {
	if n == 1 {
		return one + " 1"
	}
	return many + " " + api.Thousands(n)
}

func namedOf(gaps []api.Gap) string {
	var names []string
	for _, g := range gaps[:min(len(gaps), namedGaps)] {
		names = append(names, numbersBetween(g.From, g.To))
	}
	if more := len(gaps) - namedGaps; more > 0 {
		names = append(names, "e mais "+count(more, "intervalo", "intervalos"))
	}
	return strings.Join(names, ", ")
}

func endOf(l api.Line) string {
	switch told := api.Thousands(l.Told.Number); {
	case l.End == api.EndShort:
		return "o equipamento já tinha emitido até " + told + " em " + moment(l.Told.At)
	case l.End == api.EndConfirmed && l.Told.Number == l.Runs[len(l.Runs)-1].Last:
		return "fim confirmado pelo equipamento em " + moment(l.Told.At)
	case l.End == api.EndConfirmed:
		return "confirmado pelo equipamento até " + told + " em " + moment(l.Told.At)
	}
	return "fim não confirmado"
}

// numberedMeaning says what that means, and what to do.
func numberedMeaning(n api.Numbering, l api.Line) (text []string) {
	if len(l.Runs) == 0 {
		return []string{"O primeiro documento com valor fiscal começa a numeração aqui."}
	}
	if l.Doubled > 0 {
		text = append(text, "Documentos diferentes têm o mesmo número: abra-os abaixo e mostre ao contador qual deles vale.")
	}
	switch {
	case l.Missing > 0:
		text = append(text, "Um documento que não está guardado pode custar multa numa fiscalização: veja abaixo o que fazer com cada intervalo.")
	case l.Doubled == 0:
		text = append(text, "Nenhum documento falta entre o primeiro e o último guardado.")
	}
	if first := l.Runs[0].First; first > 1 {
		text = append(text, "Antes do número "+api.Thousands(first)+", o primeiro guardado, não sabemos o que existe: se a loja tem arquivos mais antigos, peça ao suporte para importá-los.")
	}
	switch {
	case l.End != api.EndOpen:
	case n.Series != "":
		text = append(text, "Nada informa qual foi a última nota desta série: confira o fim no programa de vendas.")
	default:
		text = append(text, "Ainda não sabemos se o último guardado é o último emitido: o fim é confirmado quando o equipamento, ligado a um caixa com o agente, informar seu status.")
	}
	return text
}

// manyMissing is from how many numbers in a row on files are missing rather than
// documents (dossier on NFC-e documents, 7).
const manyMissing = 1000

// gapAdvice says what to do about one gap.
func gapAdvice(n api.Numbering, g api.Gap) string {
	switch {
	case n.Series != "" && g.Length > manyMissing:
		return "São muitos em seguida: ou a série pulou de número, ou faltam arquivos de outro computador. Confira no programa de vendas."
	case n.Series != "":
		return "Procure os XML no programa de vendas e peça ao suporte para importá-los. Só o que nunca foi usado se inutiliza, até o dia 10 do mês seguinte."
	case g.Before.IsZero():
		return "O equipamento já emitiu estes cupons. Confira se o caixa está enviando; se estiver, peça ao suporte para importar do equipamento ou da pasta do caixa."
	case g.Length > manyMissing:
		return "São muitos em seguida: devem faltar arquivos de um período ou de outro computador. Peça ao suporte para importar a pasta ou a cópia de segurança daquele período."
	}
	return "Peça ao suporte para importar do equipamento ou da pasta do caixa; se não estiverem lá, baixe do portal da SEFAZ."
}

// bar is a stretch of missing numbers in a plot that is plotWidth wide.
type bar struct{ X, Width int }

// Sizes in the plot of a run: gaps are never narrower than one can see, and those
// nearer than one can tell apart are one.
const (
	plotWidth = 1200
	minBar    = 6
	minSpace  = 3
)

// bars are the gaps of a run over its number line.
func bars(r api.Run) (out []bar) {
	for _, g := range r.Gaps {
		x := g.At * plotWidth / r.Length
		b := bar{x, max(minBar, g.Length*plotWidth/r.Length)}
		b.X = min(b.X, plotWidth-b.Width)
		if last := len(out) - 1; last >= 0 && b.X < out[last].X+out[last].Width+minSpace {
			out[last].Width = max(out[last].Width, b.X+b.Width-out[last].X)
			continue
		}
		out = append(out, b)
	}
	return out
}

// period is the days of a run's documents.
func period(r api.Run) string {
	if from, to := date(r.Since), date(r.Until); from != to {
		return "de " + from + " a " + to
	}
	return "em " + date(r.Since)
}

// lastKnown is the last number of a run's plot: the last held, or the last that the
// device named.
func lastKnown(r api.Run) int {
	if len(r.Gaps) > 0 && r.Gaps[len(r.Gaps)-1].Before.IsZero() {
		return r.Gaps[len(r.Gaps)-1].To
	}
	return r.Last
}

// firstGaps are those that a page lists.
func firstGaps(gaps []api.Gap) []api.Gap { return gaps[:min(len(gaps), shownGaps)] }
