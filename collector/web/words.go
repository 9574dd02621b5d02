package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"

	"zelo/collector/api"
)

// words are the functions of templates: how things are written for people.
func words() template.FuncMap {
	return template.FuncMap{
		"moment": moment, "date": date, "clock": clock, "ago": ago, "days": days, "issued": issued, "minute": minute, "lasted": lasted,
		"n": api.Thousands, "count": count, "money": money, "amount": api.Amount, "price": price, "quantity": quantity, "cents": api.Money, "size": size, "percent": percent,
		"register": api.Register, "role": api.RoleWord, "who": who, "key": groups, "state": state, "sentence": sentence, "subject": subject, "whose": whose, "shop": shop, "shopOf": shopOf,
		"kind": api.KindWord, "verdict": api.VerdictWord, "checkState": checkState, "payment": api.PaymentWord, "event": eventWord,
		"lower": strings.ToLower, "capital": capital, "clockOff": clockOff, "month": month, "months": months, "change": changeWord, "lives": lives, "lifeWord": lifeWord, "whatsapp": api.WhatsApp, "forecast": api.ForecastWords, "wallClock": api.Clock,
		"network": network, "number": func(n int) string { return fmt.Sprintf("%06d", n) }, "title": documentTitle, "meaning": meaning,
		"numbered": numberedSentence, "numberedMeaning": numberedMeaning, "between": numbersBetween, "bars": bars, "period": period, "lastKnown": lastKnown, "gapAdvice": gapAdvice, "firstGaps": firstGaps,
		"int":     func(n int64) int { return int(n) },
		"offered": offeredFor, "argLabel": argLabel, "argValue": argValue, "argsOf": argsOf, "onlyWith": onlyWith,
		"took": took, "certificateWord": certificateWord, "opens": opens,
	}
}

// brasilia is the zone of every time on the pages.
func brasilia() *time.Location { return time.FixedZone("-03", -3*60*60) }

// none stands where there is nothing to say.
const none = "–"

func moment(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.In(brasilia()).Format("02/01/2006 15:04")
}

func date(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.In(brasilia()).Format("02/01/2006")
}

func clock(t time.Time) string { return t.In(brasilia()).Format("15:04:05") }

// minute is the time of a document in a list, in the zone it was issued in.
func minute(t time.Time) string { return t.Format("02/01/2006 15:04") }

// issued is the time of a document in the zone it was issued in.
func issued(t time.Time) string { return t.Format("02/01/2006 15:04:05") }

// ago says how long ago t was.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "nunca"
	}
	if d := now.Sub(t); d >= time.Minute {
		return "há " + span(d)
	}
	return "agora"
}

// lasted says how long something took.
func lasted(from, to time.Time) string { return span(to.Sub(from)) }

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "menos de 1 min"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d dias", int(d.Hours()/24))
}

// days says how far a day lies from now: "em 20 dias", "hoje", "há 3 dias".
func days(now, t time.Time) string {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(brasilia()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	switch n := int(day(t).Sub(day(now)).Hours() / 24); {
	case n == 0:
		return "hoje"
	case n > 0:
		return "em " + count(n, "dia", "dias")
	default:
		return "há " + count(-n, "dia", "dias")
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return api.Thousands(n) + " " + many
}

func money(decimal string) string {
	if decimal == "" {
		return none
	}
	return "R$ " + api.Amount(decimal)
}

// quantity writes "1.0000" as "1" and "0.5350" as "0,535".
func quantity(s string) string {
	if whole, part, ok := strings.Cut(s, "."); ok {
		part = strings.TrimRight(part, "0")
		return strings.TrimSuffix(whole+","+part, ",")
	}
	return s
}

// price writes "18.90" as "18,90" and "5.490" as "5,49": never less than two
// places.
func price(s string) string {
	whole, part, _ := strings.Cut(s, ".")
	if whole == "" {
		return none
	}
	part = strings.TrimRight(part, "0")
	return whole + "," + part + strings.Repeat("0", max(0, 2-len(part)))
}

func size(bytes int) string {
	switch {
	case bytes < 1000:
		return count(bytes, "byte", "bytes")
	case bytes < 1000*1000:
		return strings.Replace(fmt.Sprintf("%.1f KB", float64(bytes)/1000), ".", ",", 1)
	}
	return strings.Replace(fmt.Sprintf("%.1f MB", float64(bytes)/1e6), ".", ",", 1)
}

func percent(fraction float64) string { return fmt.Sprintf("%.0f %%", 100*fraction) }

// groups writes an access key in eleven groups of four, as receipts do.
func groups(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// shape is a state as the pages paint it.
type shape struct {
	Class api.State
	Word  string
}

func state(s api.State, word ...string) shape {
	if len(word) > 0 {
		return shape{s, word[0]}
	}
	return shape{s, s.Word()}
}

// checkState is how the verdict of one check is painted.
func checkState(verdict string) api.State {
	switch verdict {
	case "verified":
		return api.Fine
	case "recovered":
		return api.Warning
	case "rejected", "unsigned":
		return api.Critical
	}
	return api.Silent
}

// capital begins a text that stands alone with a capital letter.
func capital(s string) string {
	r := []rune(s)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}

// sentence says how a till stands.
func sentence(now time.Time, t api.Till) string {
	heard := "última notícia " + ago(now, t.Agent.HeardAt)
	switch {
	case t.Worst != nil:
		return whose(t, *t.Worst) + t.Worst.Detail
	case t.State == api.Archive && t.Documents() == 0:
		return "Conhecido pelo que um caixa contou dele; nenhum agente acompanha este equipamento."
	case t.State == api.Archive:
		return "Conhecido por " + count(t.Documents(), "documento importado", "documentos importados") + "; nenhum agente acompanha este equipamento."
	case t.State == api.Waiting:
		return "Cadastrado em " + moment(t.Agent.FirstSeen) + " e ainda sem notícia: confira se o serviço do agente foi reiniciado depois do cadastro."
	case t.Agent.Waiting > 0:
		return count(t.Agent.Waiting, "registro", "registros") + " a caminho da nuvem, o mais antigo de " + moment(t.Agent.OldestAt) + "; " + heard + "."
	}
	return "Tudo salvo na nuvem; " + heard + "."
}

// who names a person, or that it was done at the collector itself.
func who(name string) string {
	if name == api.CommandLine().Who() {
		return "linha de comando"
	}
	return name
}

// whose says which of a till's several devices an alarm is about.
func whose(t api.Till, a api.Alarm) string {
	if len(t.Devices) < 2 || a.Subject.Kind != "device" {
		return ""
	}
	return "SAT " + a.Subject.ID + ": "
}

// subject names what an alarm is about: the till, and its device.
func subject(a api.Alarm) string { return a.About() }

// shop is the shop an alarm is about; "" when it is not known.
func shop(a api.Alarm) string {
	if s := a.Shop(); s != "" || a.Till == nil {
		return s
	}
	return shopOf(*a.Till)
}

// shopOf is a till's shop: its name, or the CNPJ that it was enrolled with; "" when neither is known.
func shopOf(t api.Till) string {
	if s := t.Shop(); s != "" || t.Agent.CNPJ == "" {
		return s
	}
	return "CNPJ " + api.Register(t.Agent.CNPJ)
}

// documentTitle names a document.
func documentTitle(l api.Listed) string {
	if l.Number == 0 {
		return api.KindWord(l.Document)
	}
	return fmt.Sprintf("%s %06d", api.KindWord(l.Document), l.Number)
}

// meaning says what the check of a document's signature came to.
func meaning(l api.Listed) string {
	switch {
	case l.Verdict == "verified" && l.Trusted:
		return "O conteúdo é exatamente o que o equipamento assinou."
	case l.Verdict == "verified":
		return "O conteúdo é exatamente o que foi assinado com o certificado que o documento traz; que ele é do equipamento não está confirmado."
	case l.Reason != "":
		return capital(l.Reason) + "."
	}
	return ""
}

// eventWord says what an agent reported; the codes are those of the wire.
func eventWord(e api.Event) string {
	switch e.Code {
	case "document-missing":
		return "Documento emitido e não recuperado do equipamento"
	case "unresolved":
		return "Venda sem desfecho conhecido"
	case "resolved":
		return "Desfecho da venda conhecido"
	case "second-device":
		return "Venda em dúvida feita de novo em outro equipamento, como a loja escolheu"
	case "issued-twice":
		return "Venda emitida por dois equipamentos, caso " + e.Detail["case"]
	case "device-gone":
		return "Equipamento parou de responder"
	case "device-disputed":
		return "Equipamento que pertence a outra revenda: o que este caixa conta dele não é aceito"
	case "device-back":
		return "Equipamento voltou a responder"
	case "buffer-damaged":
		return "Arquivo do caixa encontrado danificado"
	case "evicted":
		return "Registros descartados no caixa por falta de espaço"
	case "status-refused":
		return strings.TrimSuffix("O equipamento não deu seu status: "+e.Detail["text"], ": ")
	}
	return "Registro de uma versão mais nova do agente"
}

// changeWord says a step of an alarm's life.
func changeWord(what string) string {
	word := map[string]string{"opened": "Começou", "reopened": "Voltou", "worsened": "Piorou", "eased": "Melhorou", "grouped": "Causa de outros",
		"escalated": "Escalou", "taken": "Assumido", "released": "Devolvido", "silenced": "Silenciado", "loud": "Avisa de novo",
		"resolved": "Dado por resolvido", "cleared": "Terminou"}[what]
	if word == "" {
		return "Mudou"
	}
	return word
}

// lives are the filters of alarms by what people did about them.
func lives() []string { return []string{"livres", "meus", "assumidos", "silenciados", "resolvidos"} }

func lifeWord(life string) string {
	return map[string]string{"livres": "sem ninguém", "meus": "comigo", "assumidos": "assumidos", "silenciados": "silenciados",
		"resolvidos": "dados por resolvidos"}[life]
}

func clockOff(d time.Duration) string {
	word := "adiantado"
	if d < 0 {
		word = "atrasado"
	}
	if d.Abs() < 2*time.Second {
		return "certo"
	}
	if d.Abs() < 2*time.Minute {
		return fmt.Sprintf("%s %d s", word, int(d.Abs().Seconds()))
	}
	return word + " " + span(d.Abs())
}

// network says STATUS_LAN, which makers write in their own ways.
func network(s string) string {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "CONECTADO":
		return "conectado"
	case "NAO_CONECTADO", "NÃO CONECTADO", "NAO CONECTADO", "DESCONECTADO":
		return "desconectado"
	case "":
		return none
	}
	return strings.ToLower(s)
}

func monthNames() []string {
	return []string{"janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
		"novembro", "dezembro"}
}

// monthChoice is one of the months of a form.
type monthChoice struct{ Value, Name string }

func months() (out []monthChoice) {
	for i, name := range monthNames() {
		out = append(out, monthChoice{fmt.Sprintf("%02d", i+1), name})
	}
	return out
}

// month is the name of a month "01" to "12".
func month(value string) string {
	for _, m := range months() {
		if m.Value == value {
			return m.Name
		}
	}
	return ""
}
