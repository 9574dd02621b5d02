package till

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// fleet are the devices of a till's agent.
type fleet struct {
	all     []Device // the first first
	here    []Device // those that are configured on this computer
	gone    []Device // those that are not here any more, but have sales in doubt
	sellers []Device // those that serve any till's sale now
}

func newFleet(s State) (f fleet) {
	for _, d := range append([]Device{s.Device}, s.Others...) {
		switch {
		case d.Address != "":
			f.here = append(f.here, d)
		case d.Info.Serial != "" || d.InDoubt > 0:
			f.gone = append(f.gone, d)
		default:
			continue
		}
		f.all = append(f.all, d)
		if d.sells() {
			f.sellers = append(f.sellers, d)
		}
	}
	return f
}

func (d Device) sells() bool {
	return d.Address != "" && d.Answering && d.Unfit == "" && !d.blocked()
}

func (d Device) blocked() bool { return !d.StatusAt.IsZero() && d.Status.State.Blocked() }

// id tells one device from another: "900000001", "de serial:COM3".
func (d Device) id() string {
	if d.Info.Serial == "" {
		return "de " + d.Address
	}
	return d.Info.Serial
}

// name is what sentences call a device: "SAT" when there is only one.
func (f fleet) name(d Device) string {
	if len(f.all) < 2 {
		return "SAT"
	}
	return "SAT " + d.id()
}

// others reports whether another device than d sells.
func (f fleet) others(d Device) bool {
	return slices.ContainsFunc(f.sellers, func(s Device) bool { return s.Address != d.Address })
}

// inDoubt counts the sales in doubt over some devices, and says since when.
func inDoubt(some []Device) (n int, since time.Time) {
	for _, d := range some {
		n += d.InDoubt
		if d.InDoubt > 0 && (since.IsZero() || d.DoubtSince.Before(since)) {
			since = d.DoubtSince
		}
	}
	return n, since
}

// doubts says that sales are in doubt: at the devices here, and at each that is not
// here any more.
func (f fleet) doubts(now time.Time) (out []Finding) {
	var asked, silent []Device
	for _, d := range f.here {
		switch {
		case d.InDoubt > 0 && d.Answering:
			asked = append(asked, d)
		case d.InDoubt > 0:
			silent = append(silent, d)
		}
	}
	n, at := inDoubt(f.here)
	what, again := "Uma venda está em dúvida", " Não repita a venda."
	if n > 1 {
		what, again = number(n)+" vendas estão em dúvida", " Não repita nenhuma delas."
	}
	rest := ""
	if len(f.sellers) > 0 {
		rest = " As outras vendas seguem " + f.named(f.sellers, "pelo", "", "") + "."
	}
	what += since(now, at)
	switch {
	case len(silent) > 0:
		out = append(out, Finding{"venda_em_duvida", Critical, what + " e " + f.named(silent, "o", "não responde", "não respondem") + "." + again,
			"Verifique o cabo USB e a energia do equipamento. Quando ele voltar, o caixa pergunta a ele e resolve sozinho." + rest})
	case len(asked) > 0:
		out = append(out, Finding{"venda_em_duvida", Critical, what + "; estamos perguntando " + f.named(asked, "ao", "", "") + "." + again,
			"Aguarde: assim que o SAT disser se a venda saiu, este aviso some e as vendas seguem." + rest})
	}
	for _, d := range f.gone {
		if d.InDoubt > 0 {
			out = append(out, doubtElsewhere(d, now))
		}
	}
	return out
}

// doubtElsewhere is about sales whose device is not at this computer.
func doubtElsewhere(d Device, now time.Time) Finding {
	what, again := "uma venda em dúvida", " Não repita a venda."
	if d.InDoubt > 1 {
		what, again = number(d.InDoubt)+" vendas em dúvida", " Não repita nenhuma delas."
	}
	f := Finding{Code: "venda_em_duvida", Severity: Critical}
	if d.Info.Serial == "" {
		f.Text = "Outro computador da loja tem " + what + " deste caixa" + since(now, d.DoubtSince) + "." + again
		f.Todo = "Verifique se ele está ligado e na rede. Quando ele responder, o caixa resolve sozinho."
		return f
	}
	f.Text = "O SAT nº " + d.Info.Serial + " não está mais neste computador e tem " + what + since(now, d.DoubtSince) + "." + again
	f.Todo = "Ligue-o de volta a este computador: o caixa pergunta a ele e resolve sozinho."
	return f
}

// presence says whether there are devices and whether they answer.
func (f fleet) presence(now time.Time) Finding {
	silent := slices.DeleteFunc(slices.Clone(f.here), func(d Device) bool { return d.Answering })
	switch {
	case len(f.here) == 0:
		return Finding{"sat_nao_configurado", Warning, "Nenhum SAT está configurado neste caixa.",
			"No arquivo de configuração do agente, escreva na chave equipamentos onde ele está e reinicie o serviço. O comando zelo-agent devices mostra a linha a escrever."}
	case len(silent) == 0:
		return Finding{}
	case len(f.here) == 1 && silent[0].Info.Serial == "":
		return Finding{"sat_nao_encontrado", Critical, "O SAT ainda não foi encontrado em " + silent[0].Address + ".",
			"Verifique o cabo USB e a energia do equipamento. Se ele está em outra porta, corrija a chave equipamentos no arquivo de configuração do agente e reinicie o serviço."}
	}
	when := ""
	if len(silent) == 1 {
		when = since(now, silent[0].Since)
	}
	out := Finding{"sat_nao_responde", Critical, f.named(silent, "O", "não responde", "não respondem") + when + ".",
		"Verifique o cabo USB e a energia do equipamento. Se as luzes estiverem acesas, desligue-o, espere 10 segundos e ligue de novo."}
	switch {
	case len(f.sellers) > 0:
		out.Severity = Warning
		out.Text = fmt.Sprintf("%d SATs: as vendas seguem %s enquanto %s%s.", len(f.here), f.named(f.sellers, "pelo", "", ""),
			each(silent, "não responde", "não respondem"), when)
	case len(f.here) > 1 && len(silent) == len(f.here):
		out.Text = fmt.Sprintf("Nenhum dos %d SATs responde.", len(f.here))
	case len(f.here) > 1:
		out.Text = strings.TrimSuffix(out.Text, ".") + ", e as vendas não podem ir para outro: " + f.reasons() + "."
	}
	return out
}

// reasons are why those devices that answer serve no other's sales.
func (f fleet) reasons() string {
	var all []string
	for _, d := range f.here {
		if d.Answering {
			all = append(all, "SAT "+d.id()+", "+d.why())
		}
	}
	return strings.Join(all, "; ")
}

// why says why a device serves no other's sales; "" when it does.
func (d Device) why() string {
	if d.Unfit == "" && d.blocked() {
		return d.Status.State.String()
	}
	return d.Unfit
}

// block says that a device is blocked, which stops no sale while another sells.
func (f fleet) block(d Device) Finding {
	out := block(d, f.name(d))
	if out.Code != "" && len(f.sellers) > 0 {
		out.Severity = Warning
		out.Text += " As vendas seguem " + f.named(f.sellers, "pelo", "", "") + "."
	}
	return out
}

// memory says that a device will stop for want of memory.
func (f fleet) memory(d Device) Finding {
	out := memory(d, f.name(d))
	if out.Code != "" && f.others(d) {
		out.Severity = Warning
	}
	return out
}

// named names devices after an article, "o" as in "o SAT", "pelo" or "ao", and
// before a verb: "os SATs 900000001 e 900000002 não respondem".
func (f fleet) named(some []Device, article, one, many string) string {
	if len(some) == 1 {
		return strings.TrimSpace(article + " " + f.name(some[0]) + " " + one)
	}
	var ids []string
	for _, d := range some {
		ids = append(ids, d.id())
	}
	return strings.TrimSpace(article + "s SATs " + list(ids) + " " + many)
}

// each names devices without the word SAT: "o 900000001 não responde".
func each(some []Device, one, many string) string {
	var ids []string
	for _, d := range some {
		ids = append(ids, "o "+d.id())
	}
	if len(ids) == 1 {
		return ids[0] + " " + one
	}
	return list(ids) + " " + many
}

// row is a device in the list of several.
type row struct {
	Severity Severity
	Name     string
	Model    string
	Text     string // how it is, pt-BR
}

// rows lists the devices when there are several, or one that is not here any more.
func (f fleet) rows(now time.Time) (out []row) {
	if len(f.all) < 2 && len(f.gone) == 0 {
		return nil
	}
	for _, d := range f.all {
		out = append(out, f.row(d, now))
	}
	return out
}

func (f fleet) row(d Device, now time.Time) row {
	r := row{Severity: Critical, Name: "SAT " + d.id(), Model: d.Info.Name}
	if len(f.sellers) > 0 {
		r.Severity = Warning
	}
	switch {
	case d.Address == "" && d.Info.Serial == "":
		r.Name, r.Text = "Outro computador da loja", "fez vendas deste caixa"
	case d.Address == "":
		r.Text = "não está mais neste computador"
	case !d.Answering && d.Info.Serial == "":
		r.Text = "não encontrado"
	case !d.Answering:
		r.Text = "sem resposta" + since(now, d.Since)
	case d.blocked():
		r.Text = d.Status.State.String()
	case d.InDoubt > 0:
		r.Text = "respondendo" + since(now, d.Since)
	case d.Unfit != "":
		r.Severity, r.Text = Notice, "respondendo, mas não assume vendas dos outros: "+d.Unfit
	default:
		r.Severity, r.Text = Fine, "respondendo"+since(now, d.Since)
	}
	if d.InDoubt > 0 {
		r.Severity = Critical
		r.Text += "; " + count(d.InDoubt, "venda em dúvida", "vendas em dúvida")
	}
	return r
}
