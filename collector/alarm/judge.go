package alarm

import (
	"fmt"
	"time"
)

// at places a measured value on the rule's scale.
func (l *look) at(v float64) (step int, s Severity) { return l.scale.reached(v, l.open) }

// aged finds how long something has been so. The detail takes its moment.
func (l *look) aged(since time.Time, detail string) *finding {
	if since.IsZero() {
		return nil
	}
	n, s := l.at(l.scale.Unit.in(l.now.Sub(since)))
	if n == 0 {
		return nil
	}
	return &finding{s, n, since, fmt.Sprintf(detail, moment(since))}
}

func agentSilent(l *look) *finding {
	if l.Agent == nil {
		return nil
	}
	return l.aged(l.Agent.Heard, "Sem notícia do caixa desde %s.")
}

// deviceNotAnswering is grave only where nothing else sells.
func deviceNotAnswering(l *look) *finding {
	f := l.aged(l.Device.Silent, "Equipamento sem resposta desde %s.")
	if f != nil && l.Device.OtherSells {
		f.severity = min(f.severity, Warning)
		f.detail += " Outro equipamento da loja está em uso."
	}
	return f
}

// statusOld only judges devices behind an agent: one known from imported
// documents alone is not expected to say anything.
func statusOld(l *look) *finding {
	switch {
	case l.Agent == nil:
		return nil
	case l.Device.StatusAt.IsZero():
		return l.aged(l.Device.FirstSeen, "Nenhum status recebido desde que o equipamento apareceu, em %s.")
	}
	return l.aged(l.Device.StatusAt, "Último status recebido em %s.")
}

func blocked(b Block, what string) func(*look) *finding {
	return func(l *look) *finding {
		if l.Device.Block != b {
			return nil
		}
		detail := what + " desde " + moment(l.Device.BlockSince) + "."
		if !l.Device.PendingSince.IsZero() {
			detail += fmt.Sprintf(" "+l.Device.waiting(), date(l.Device.PendingSince))
		}
		return &finding{since: l.Device.BlockSince, detail: detail}
	}
}

// bannedBlock is the tax office's block. Since emission is prohibited it is what was
// to be expected, and for a device that is being emptied no more than that.
func bannedBlock(l *look) *finding {
	if l.now.Before(banned()) {
		return blocked(ByTaxOffice, "Bloqueado pela SEFAZ (estado 1)")(l)
	}
	f := blocked(ByTaxOffice, "Uso vedado desde 01/01/2026: bloqueado pela SEFAZ (estado 1)")(l)
	if f != nil && l.Device.Stage == Draining {
		f.severity = Notice
	}
	return f
}

// expiring finds a certificate that ends soon, or has. What it is of begins the detail.
func (l *look) expiring(what string, expires time.Time) *finding {
	if expires.IsZero() {
		return nil
	}
	expires = midnight(expires)
	left := int(expires.Sub(midnight(l.now)).Hours() / 24)
	n, s := l.at(float64(left))
	if n == 0 {
		return nil
	}
	detail := ""
	switch {
	case left < 0:
		detail = fmt.Sprintf("%s venceu em %s, há %s.", what, date(expires), count(-left, "dia", "dias"))
	case left == 0:
		detail = fmt.Sprintf("%s vence hoje, %s.", what, date(expires))
	default:
		detail = fmt.Sprintf("%s vence em %s, daqui a %s.", what, date(expires), count(left, "dia", "dias"))
	}
	return &finding{s, n, expires.AddDate(0, 0, -int(l.scale.Steps[n-1].At)), detail}
}

func certificateExpiring(l *look) *finding {
	return l.expiring("O certificado do equipamento", l.Device.CertExpires)
}

// companyCertificate ends when every computer has a newer one (dossier on
// certificates, 7, invariant 3).
func companyCertificate(l *look) *finding {
	c := l.Certificate
	if c == nil || c.Renewed || c.Tills == 0 {
		return nil
	}
	what := "O certificado"
	if c.Type != "" {
		what += " " + c.Type
	}
	return l.expiring(fmt.Sprintf("%s de %s, em %s,", what, c.Holder, count(c.Tills, "caixa", "caixas")), c.Expires)
}

func memoryFilling(l *look) *finding {
	if l.Device.Memory < 0 {
		return nil
	}
	n, s := l.at(100 * l.Device.Memory)
	if n == 0 {
		return nil
	}
	return &finding{s, n, l.Device.StatusAt,
		fmt.Sprintf("Memória do equipamento com %.0f %% em uso em %s.", 100*l.Device.Memory, moment(l.Device.StatusAt))}
}

func noContact(l *look) *finding {
	return l.aged(l.Device.LastContact, "Último contato do equipamento com a SEFAZ em %s.")
}

// pendingOld holds for every document that was issued before emission was prohibited
// and still waits: it must leave the device.
func pendingOld(l *look) *finding {
	since := l.Device.PendingSince
	f := l.aged(since, l.Device.waiting())
	if f == nil && !since.IsZero() && since.Before(banned()) && !l.now.Before(banned()) {
		f = &finding{Warning, 1, since, fmt.Sprintf(l.Device.waiting(), moment(since))}
	}
	return f
}

// waiting says what waits for the tax office, with a place for since when.
func (d *Device) waiting() string {
	if d.Pending < 2 {
		return "Há documentos pendentes de envio à SEFAZ, o mais antigo de %s."
	}
	return fmt.Sprintf("Há cerca de %d documentos pendentes de envio à SEFAZ, o mais antigo de %%s.", d.Pending)
}

// notTransmitted counts from the last document that the device issued and did not send.
func notTransmitted(l *look) *finding {
	d := l.Device
	if d.LastSent.IsZero() || !d.LastSent.Before(d.LastIssued) {
		return nil
	}
	return l.aged(d.LastIssued, "Vendeu em %s e desde então não transmitiu: a última transmissão foi em "+moment(d.LastSent)+".")
}

func clockOff(l *look) *finding {
	d := l.Device
	if !d.ClockKnown {
		return nil
	}
	n, s := l.at(d.ClockOff.Abs().Seconds())
	if n == 0 {
		return nil
	}
	return &finding{s, n, d.StatusAt, fmt.Sprintf("Relógio do equipamento %s em %s, medido em %s.", way(d.ClockOff), span(d.ClockOff.Abs()), moment(d.StatusAt))}
}

func way(off time.Duration) string {
	if off < 0 {
		return "atrasado"
	}
	return "adiantado"
}

func networkDown(l *look) *finding {
	return l.aged(l.Device.NoNetwork, "Rede do equipamento desconectada desde %s.")
}

// batteryWeak is grave only at the lowest level; below the highest it asks for service
// (anchors, A.3).
func batteryWeak(l *look) *finding {
	switch l.Device.Battery {
	case BatteryLow:
		return l.aged(l.Device.BatterySince, "Bateria em nível baixo desde %s.")
	case BatteryMedium:
		f := l.aged(l.Device.BatterySince, "Bateria em nível médio desde %s: já pede revisão.")
		if f != nil {
			f.severity = Notice
		}
		return f
	}
	return nil
}

func softwareBehind(l *look) *finding {
	d := l.Device
	if d.Newest == "" || d.Software == "" || !older(d.Software, d.Newest) {
		return nil
	}
	return l.aged(d.NewestSince, "Usa o software básico "+d.Software+"; outros do mesmo modelo usam "+d.Newest+" desde %s.")
}

func lostSeen(l *look) *finding {
	d := l.Device
	seen := d.StatusAt
	if d.LastIssued.After(seen) {
		seen = d.LastIssued
	}
	if d.Stage != Lost || !seen.After(d.StageSince) {
		return nil
	}
	return &finding{since: seen, detail: fmt.Sprintf("Marcado como extraviado em %s, deu sinal em %s.", moment(d.StageSince), moment(seen))}
}

// numbersMissing is grave while something can be done: numbers missing for months are
// for the accountant.
func numbersMissing(l *look) *finding {
	ahead := l.Device.Ahead
	g := l.Device.Gaps.And(ahead)
	if g.Count == 0 {
		return nil
	}
	f := l.aged(g.First, "%s")
	if f == nil {
		return nil
	}
	if l.now.Sub(g.Last) > 60*day {
		f.severity = Warning
	}
	f.detail = fmt.Sprintf("%s, a última perto de %s: %s.", missing(g.Count), date(g.Last), g.Example)
	if ahead.Count > 0 {
		f.detail += fmt.Sprintf(" No fim da numeração, segundo o próprio equipamento: %s.", ahead.Example)
	}
	return f
}

// issuedOutside tells of documents of the direct bridge, and of those that the agent's
// calls do not explain: as the agent tells, or because the device went on while nothing
// waited at the agent.
func issuedOutside(l *look) *finding {
	foreign := l.Device.Outside
	if a := l.passed(); a.Count > foreign.Count {
		foreign = a
	}
	all := foreign.And(l.Device.Direct)
	last := all.Example
	all.Example = ""
	f := all.within(recent, l.now, "documento", "documentos", " por fora do agente, desde %s", "")
	switch {
	case f == nil:
		return nil
	case foreign.Count == 0:
		f.detail += ", pela ponte direta: o serviço do agente não respondia."
	case l.Device.Direct.Count == 0:
		f.detail += ", pela ferramenta do fabricante ou por outro computador."
	default:
		f.detail += fmt.Sprintf(": %d pela ponte direta, %d pela ferramenta do fabricante ou por outro computador.", l.Device.Direct.Count, foreign.Count)
	}
	f.detail += fmt.Sprintf(" O último: %s.", last)
	return f
}

// settled is how long an agent that serves a device has to bring what it issued.
const settled = 15 * time.Minute

// passed are numbers that the device went on by while its agent served it: what waited
// there has come, and no call of the agent is open or lost.
func (l *look) passed() Happening {
	a, ahead := l.Agent, l.Device.Ahead
	if a == nil || ahead.Count <= l.Missing.Count || l.Unresolved.Count > 0 || a.BeatAt.Sub(ahead.First) < settled ||
		!a.Oldest.IsZero() && a.Oldest.Before(ahead.First.Add(settled)) {
		return Happening{}
	}
	ahead.Count -= l.Missing.Count
	return ahead
}

func missing(n int) string {
	if n == 1 {
		return "Falta 1 número"
	}
	return fmt.Sprintf("Faltam %d números", n)
}

// happened raises while incidents are open. Their detail is counted words, a
// sentence part that takes the date of the first, and an example where there is
// one.
func happened(of func(*Facts) Happening, one, many, since, example string) func(*look) *finding {
	return func(l *look) *finding {
		if h := of(l.Facts); h.Count > 0 {
			return h.found(one, many, since, example)
		}
		return nil
	}
}

// recently raises while the last of some incidents, which nothing undoes, is not
// longer ago than recent.
func recently(of func(*Facts) Happening, one, many, since, example string) func(*look) *finding {
	return func(l *look) *finding { return of(l.Facts).within(recent, l.now, one, many, since, example) }
}

// issuedTwice raises until one of the documents is cancelled, or for so long as it is
// the shop's.
func issuedTwice(l *look) *finding {
	return l.IssuedTwice.within(twice, l.now, "venda emitida", "vendas emitidas", " por dois equipamentos, desde %s.", " A última: %s.")
}

// within is what happened found not longer ago than a time.
func (h Happening) within(d time.Duration, now time.Time, one, many, since, example string) *finding {
	if h.Count == 0 || now.Sub(h.Last) >= d {
		return nil
	}
	return h.found(one, many, since, example)
}

func (h Happening) found(one, many, since, example string) *finding {
	detail := count(h.Count, one, many) + fmt.Sprintf(since, moment(h.First))
	if h.Example != "" {
		detail += fmt.Sprintf(example, h.Example)
	}
	return &finding{since: h.First, detail: detail}
}
