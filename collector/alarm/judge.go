package alarm

import (
	"fmt"
	"time"
)

func agentSilent(f Facts, now time.Time, t Thresholds) *finding {
	if f.Agent == nil || f.Agent.Heard.IsZero() {
		return nil
	}
	n, s := reached(t.AgentSilent, now.Sub(f.Agent.Heard))
	if n == 0 {
		return nil
	}
	return &finding{s, n, f.Agent.Heard, "Sem notícia do caixa desde " + moment(f.Agent.Heard) + "."}
}

func deviceNotAnswering(f Facts, now time.Time, t Thresholds) *finding {
	if f.Device.Silent.IsZero() {
		return nil
	}
	n, s := reached(t.NotAnswering, now.Sub(f.Device.Silent))
	if n == 0 {
		return nil
	}
	return &finding{s, n, f.Device.Silent, "Equipamento sem resposta desde " + moment(f.Device.Silent) + "."}
}

// statusOld only judges devices behind an agent: one known from imported
// documents alone is not expected to say anything.
func statusOld(f Facts, now time.Time, t Thresholds) *finding {
	if f.Agent == nil {
		return nil
	}
	since, detail := f.Device.StatusAt, "Último status recebido em %s."
	if since.IsZero() {
		since, detail = f.Device.FirstSeen, "Nenhum status recebido desde que o equipamento apareceu, em %s."
	}
	n, s := reached(t.StatusOld, now.Sub(since))
	if n == 0 {
		return nil
	}
	return &finding{s, n, since, fmt.Sprintf(detail, moment(since))}
}

func blocked(b Block, what string) func(Facts, time.Time, Thresholds) *finding {
	return func(f Facts, _ time.Time, _ Thresholds) *finding {
		if f.Device.Block != b {
			return nil
		}
		detail := what + " desde " + moment(f.Device.BlockSince) + "."
		if !f.Device.PendingSince.IsZero() {
			detail += " Há documentos pendentes de envio, o mais antigo de " + date(f.Device.PendingSince) + "."
		}
		return &finding{since: f.Device.BlockSince, detail: detail}
	}
}

func certificateExpiring(f Facts, now time.Time, t Thresholds) *finding {
	if f.Device.CertExpires.IsZero() {
		return nil
	}
	expires := midnight(f.Device.CertExpires)
	days := int(midnight(now).Sub(expires).Hours() / 24)
	n, s := reached(t.Certificate, days)
	if n == 0 {
		return nil
	}
	detail := ""
	switch {
	case days > 0:
		detail = fmt.Sprintf("O certificado do equipamento venceu em %s, há %s.", date(expires), count(days, "dia", "dias"))
	case days == 0:
		detail = fmt.Sprintf("O certificado do equipamento vence hoje, %s.", date(expires))
	default:
		detail = fmt.Sprintf("O certificado do equipamento vence em %s, daqui a %s.", date(expires), count(-days, "dia", "dias"))
	}
	return &finding{s, n, expires.AddDate(0, 0, t.Certificate[n-1].At), detail}
}

func memoryFilling(f Facts, _ time.Time, t Thresholds) *finding {
	if f.Device.Memory < 0 {
		return nil
	}
	n, s := reached(t.Memory, f.Device.Memory)
	if n == 0 {
		return nil
	}
	return &finding{s, n, f.Device.StatusAt,
		fmt.Sprintf("Memória do equipamento com %.0f %% em uso em %s.", 100*f.Device.Memory, moment(f.Device.StatusAt))}
}

func noContact(f Facts, now time.Time, t Thresholds) *finding {
	if f.Device.LastContact.IsZero() {
		return nil
	}
	n, s := reached(t.NoContact, now.Sub(f.Device.LastContact))
	if n == 0 {
		return nil
	}
	return &finding{s, n, f.Device.LastContact,
		fmt.Sprintf("Último contato do equipamento com a SEFAZ em %s.", moment(f.Device.LastContact))}
}

func pendingOld(f Facts, now time.Time, t Thresholds) *finding {
	if f.Device.PendingSince.IsZero() {
		return nil
	}
	n, s := reached(t.Pending, now.Sub(f.Device.PendingSince))
	if n == 0 {
		return nil
	}
	return &finding{s, n, f.Device.PendingSince,
		fmt.Sprintf("Há documentos pendentes de envio à SEFAZ, o mais antigo de %s.", moment(f.Device.PendingSince))}
}

func clockOff(f Facts, _ time.Time, t Thresholds) *finding {
	if !f.Device.ClockKnown {
		return nil
	}
	n, s := reached(t.ClockOff, f.Device.ClockOff.Abs())
	if n == 0 {
		return nil
	}
	way := "adiantado"
	if f.Device.ClockOff < 0 {
		way = "atrasado"
	}
	return &finding{s, n, f.Device.StatusAt, fmt.Sprintf("Relógio do equipamento %s em %s, medido em %s.",
		way, span(f.Device.ClockOff.Abs()), moment(f.Device.StatusAt))}
}

// happened raises while incidents are open. Their detail is counted words, a
// sentence part that takes the date of the first, and an example where there is
// one.
func happened(of func(Facts) Happening, one, many, since, example string) func(Facts, time.Time, Thresholds) *finding {
	return func(f Facts, _ time.Time, _ Thresholds) *finding {
		if h := of(f); h.Count > 0 {
			return h.found(one, many, since, example)
		}
		return nil
	}
}

// recently raises while the last of some incidents, which nothing undoes, is not
// longer ago than Thresholds.Recent.
func recently(of func(Facts) Happening, one, many, since, example string) func(Facts, time.Time, Thresholds) *finding {
	return func(f Facts, now time.Time, t Thresholds) *finding {
		return of(f).within(t.Recent, now, one, many, since, example)
	}
}

// issuedTwice raises until one of the documents is cancelled, or for
// Thresholds.Twice: later than that it is the accountant's.
func issuedTwice(f Facts, now time.Time, t Thresholds) *finding {
	return f.IssuedTwice.within(t.Twice, now, "venda emitida", "vendas emitidas", " por dois equipamentos, desde %s.", " A última: %s.")
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
