package notify

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
)

// The kinds of messages.
const (
	kindAlarm   = "alarm"
	kindSummary = "summary"
	kindDigest  = "digest"
	kindEvents  = "events"
	kindTrial   = "test"
	kindLink    = "link" // to sign in; never stored
)

// content is what a message says, as it is stored: the same however often it is sent.
type content struct {
	Kind     string         `json:"kind"`
	Subject  string         `json:"subject"`
	Severity alarm.Severity `json:"severity"`
	Lines    []string       `json:"lines,omitempty"`    // paragraphs
	Items    []string       `json:"items,omitempty"`    // of a list, after the paragraphs
	Link     string         `json:"link"`               // page that shows it
	Label    string         `json:"label"`              // of that link
	WhatsApp string         `json:"whatsapp,omitempty"` // link that sends it on
	Events   []event        `json:"events,omitempty"`   // of a webhook
	At       time.Time      `json:"at"`
}

func readContent(body string) (c content, err error) {
	err = json.Unmarshal([]byte(body), &c)
	return c, err
}

// event is what a program is told of one alarm. Its names and values stay: fields may
// be added.
type event struct {
	Type      string     `json:"type"` // alarm.raised, alarm.changed, alarm.cleared
	Alarm     int64      `json:"alarm"`
	Code      alarm.Code `json:"code"`
	Severity  string     `json:"severity"` // notice, warning, critical
	Title     string     `json:"title"`
	Detail    string     `json:"detail"`
	WhatToDo  string     `json:"whatToDo"`
	Shop      string     `json:"shop,omitempty"`
	CNPJ      string     `json:"cnpj,omitempty"`
	About     string     `json:"about"`   // device, agent, shop, reseller, certificate, imports
	Subject   string     `json:"subject"` // serial number, agent, CNPJ
	Host      string     `json:"host,omitempty"`
	Since     time.Time  `json:"since"`
	OpenedAt  time.Time  `json:"openedAt"`
	ClearedAt *time.Time `json:"clearedAt,omitempty"`
	URL       string     `json:"url"`
}

func moment(t time.Time) string { return t.In(sat.Brasilia()).Format("02/01/2006 15:04") }

// title is the rule's; one of another version of this program has none.
func title(a store.Alarm) string {
	if r, known := alarm.RuleOf(a.Code); known {
		return r.Title
	}
	return "Alarme de outra versão do coletor"
}

// about names the device or till that an alarm is about.
func about(t store.Telling) string {
	a := t.Alarm
	switch a.Subject.Kind {
	case alarm.OfDevice:
		if t.Host != "" {
			return t.Host + ", SAT " + a.Subject.ID
		}
		return "SAT " + a.Subject.ID
	case alarm.OfAgent:
		if t.Host != "" {
			return "caixa " + t.Host
		}
		return "caixa " + a.Subject.ID
	case alarm.OfShop:
		return "todos os caixas"
	case alarm.OfReseller:
		if a.Subject.OfAll() {
			return "várias revendas"
		}
		return "várias lojas"
	case alarm.OfCertificate:
		return "certificado da empresa"
	}
	return "arquivos importados"
}

// where names the shop, then the device or till.
func where(t store.Telling) string {
	switch {
	case t.Shop != "":
		return t.Shop + ", " + about(t)
	case t.Alarm.CNPJ != "":
		return "CNPJ " + t.Alarm.CNPJ + ", " + about(t)
	}
	return about(t)
}

func page(pages string, a store.Alarm) string { return fmt.Sprintf("%s/alarmes/%d", pages, a.ID) }

// single is the message of one alarm: what is, since when, what it means, what to do.
func single(pages string, t store.Telling, now time.Time) content {
	a := t.Alarm
	r, _ := alarm.RuleOf(a.Code)
	c := content{Kind: kindAlarm, Severity: a.Severity, Link: page(pages, a), Label: "Ver o alarme", At: now,
		Subject: fmt.Sprintf("%s: %s (%s)", title(a), where(t), a.Severity), Lines: []string{a.Detail}}
	if !a.ClearedAt.IsZero() {
		c.Subject = fmt.Sprintf("Encerrado: %s: %s", title(a), where(t))
		c.Lines = []string{"O alarme terminou em " + moment(a.ClearedAt) + ". Não é preciso fazer nada.", "Era assim: " + a.Detail}
		return c
	}
	switch {
	case t.Again && t.Open:
		c.Subject = "De novo: " + c.Subject
		c.Lines = append([]string{"Este alarme está aberto de novo: foi dado como resolvido e continua, ou voltou logo depois de terminar."}, c.Lines...)
	case a.Level > t.Level && t.Open:
		c.Subject = "Ninguém assumiu: " + c.Subject
		c.Lines = append([]string{"Este alarme está aberto desde " + moment(a.OpenedAt) + " e ninguém o assumiu."}, c.Lines...)
	}
	if r.Meaning != "" {
		c.Lines = append(c.Lines, r.Meaning)
	}
	if r.WhatToDo != "" {
		c.Lines = append(c.Lines, "O que fazer: "+r.WhatToDo)
	}
	text := "*" + c.Subject + "*\n" + strings.Join(c.Lines, "\n")
	c.WhatsApp = WhatsApp(text)
	return c
}

// WhatsApp is a link that opens the messenger with a text, to whom the person chooses.
func WhatsApp(text string) string {
	return "https://wa.me/?text=" + strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// itemsShown is how many alarms a message with many names.
const itemsShown = 15

// summary is one message for many alarms that changed at once.
func summary(pages string, list []store.Telling, now time.Time) content {
	c := many(pages, list, now)
	c.Kind = kindSummary
	c.Subject = fmt.Sprintf("%s ao mesmo tempo: %s", count(len(list), "alarme mudou", "alarmes mudaram"), counted(list))
	c.Lines = []string{"Muitos alarmes mudaram de uma vez, e vão nesta só mensagem. São " + counted(list) + "."}
	return c
}

// digest is the daily message of what was not told at once.
func digest(pages string, list []store.Telling, now time.Time) content {
	c := many(pages, list, now)
	c.Kind = kindDigest
	c.Subject = fmt.Sprintf("Resumo do dia: %s", counted(list))
	c.Lines = []string{"Desde o resumo anterior: " + counted(list) + "."}
	return c
}

func many(pages string, list []store.Telling, now time.Time) content {
	c := content{Link: pages + "/alarmes", Label: "Ver os alarmes", At: now}
	for i, t := range list {
		if c.Severity < t.Alarm.Severity && t.Alarm.ClearedAt.IsZero() {
			c.Severity = t.Alarm.Severity
		}
		if i < itemsShown {
			c.Items = append(c.Items, item(t))
		}
	}
	if more := len(list) - itemsShown; more > 0 {
		c.Items = append(c.Items, "e mais "+count(more, "alarme", "alarmes"))
	}
	return c
}

func item(t store.Telling) string {
	if !t.Alarm.ClearedAt.IsZero() {
		return fmt.Sprintf("Encerrado: %s: %s", title(t.Alarm), where(t))
	}
	return fmt.Sprintf("%s: %s (%s)", title(t.Alarm), where(t), t.Alarm.Severity)
}

// counted says how many alarms there are of each severity.
func counted(list []store.Telling) string {
	n := map[alarm.Severity]int{}
	for _, t := range list {
		if t.Alarm.ClearedAt.IsZero() {
			n[t.Alarm.Severity]++
		} else {
			n[0]++
		}
	}
	var words []string
	for _, w := range []struct {
		of        alarm.Severity
		one, many string
	}{{alarm.Critical, "crítico", "críticos"}, {alarm.Warning, "de atenção", "de atenção"}, {alarm.Notice, "aviso", "avisos"}, {0, "encerrado", "encerrados"}} {
		if n[w.of] > 0 {
			words = append(words, count(n[w.of], w.one, w.many))
		}
	}
	return strings.Join(words, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// events is a webhook's message.
func events(pages string, list []store.Telling, now time.Time) content {
	c := content{Kind: kindEvents, At: now}
	for _, t := range list {
		a := t.Alarm
		r, _ := alarm.RuleOf(a.Code)
		e := event{"alarm.raised", a.ID, a.Code, severityName(a.Severity), title(a), a.Detail, r.WhatToDo, t.Shop, a.CNPJ, string(a.Subject.Kind), a.Subject.ID,
			t.Host, a.Since, a.OpenedAt, nil, page(pages, a)}
		switch {
		case !a.ClearedAt.IsZero():
			e.Type, e.ClearedAt = "alarm.cleared", &a.ClearedAt
		case t.Open:
			e.Type = "alarm.changed"
		}
		c.Events = append(c.Events, e)
	}
	return c
}

func severityName(s alarm.Severity) string {
	names := []string{"", "notice", "warning", "critical"}
	return names[slices.Max([]int{0, min(int(s), len(names)-1)})]
}

// trial is what the button that tries a channel sends.
func trial(pages string, now time.Time) content {
	return content{Kind: kindTrial, Subject: "Aviso de teste do Zelo", Severity: alarm.Notice, Link: pages + "/avisos", Label: "Ver os meus avisos", At: now,
		Lines: []string{"Este aviso foi pedido em " + moment(now) + " na página Avisos. Se você o lê, este canal funciona."}}
}
