package api

import (
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// The answers of operations as programs read them. Their names and units stay: a
// field may be added, none changes its meaning. Times are UTC, amounts decimals with
// a dot, a list is never null, and what is not known is left out. The texts of the
// doc tags are the description that programs get, in pt-BR.

// File is the answer of an operation that gives one stored file, byte for byte.
type File struct {
	Name string
	Raw  []byte
}

// Stream is the answer of an operation that writes a file to Input.Out: its media
// type.
type Stream string

// says makes the answer of what an operation returned, with the function that knows
// its form.
func says[T, A any](form func(T) A) func(T, error) (any, error) {
	return func(v T, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return form(v), nil
	}
}

// each makes a list of answers.
func each[T, A any](list []T, form func(T) A) []A {
	out := make([]A, 0, len(list))
	for _, v := range list {
		out = append(out, form(v))
	}
	return out
}

// some is a list that is never null.
func some[T any](list []T) []T { return append([]T{}, list...) }

type overviewAnswer struct {
	Causes      []causeAnswer `json:"causes" doc:"O que pede uma providência, o mais grave primeiro."`
	Tills       int           `json:"tills" doc:"Caixas com agente."`
	Silent      int           `json:"silent" doc:"Caixas sem notícia."`
	LastHeard   time.Time     `json:"lastHeard,omitzero" doc:"Quando algum caixa deu notícia pela última vez."`
	Documents   int           `json:"documents" doc:"Documentos no arquivo."`
	Versions    int           `json:"versions" doc:"Arquivos guardados, contadas todas as versões."`
	Quarantined int           `json:"quarantined" doc:"Registros em quarentena que ninguém deu por vistos."`
}

type causeAnswer struct {
	Code   string        `json:"code" doc:"Código da regra."`
	Title  string        `json:"title"`
	State  string        `json:"state" enum:"fine,notice,warning,critical,silent,waiting,archive"`
	Since  time.Time     `json:"since"`
	Alarms []alarmAnswer `json:"alarms"`
}

func sayOverview(o Overview) overviewAnswer {
	return overviewAnswer{Causes: each(o.Causes, func(c Cause) causeAnswer {
		return causeAnswer{string(c.Rule.Code), c.Rule.Title, string(c.State), c.Since.UTC(), each(c.Alarms, sayAlarm)}
	}), Tills: o.Tills, Silent: o.Silent, LastHeard: o.LastHeard.UTC(), Documents: o.Documents, Versions: o.Versions, Quarantined: o.Quarantined}
}

type alarmAnswer struct {
	ID        int64     `json:"id"`
	Code      string    `json:"code" doc:"Código da regra."`
	Severity  string    `json:"severity" enum:"notice,warning,critical"`
	State     string    `json:"state" enum:"fine,notice,warning,critical,silent,waiting,archive" doc:"Como as páginas o mostram."`
	Title     string    `json:"title"`
	Detail    string    `json:"detail" doc:"O que há, e desde quando."`
	WhatToDo  string    `json:"whatToDo,omitempty"`
	About     string    `json:"about" doc:"O tipo do que está em alarme: device, agent, imports e outros que vierem."`
	Subject   string    `json:"subject,omitempty" doc:"O que está em alarme: número de série do equipamento, ou agente."`
	Till      string    `json:"till,omitempty" doc:"Identificador do caixa."`
	TillName  string    `json:"tillName,omitempty"`
	Behind    string    `json:"behind,omitempty" doc:"Código do alarme que explica este."`
	Since     time.Time `json:"since" doc:"Desde quando a condição existe."`
	OpenedAt  time.Time `json:"openedAt"`
	SeenAt    time.Time `json:"seenAt" doc:"Quando foi confirmada pela última vez."`
	ClearedAt time.Time `json:"clearedAt,omitzero" doc:"Falta enquanto o alarme está aberto."`
	Cause     int64     `json:"cause,omitempty" doc:"Número do alarme que explica este e outros."`
	Level     int       `json:"level,omitempty" doc:"Nível do escalonamento."`
	TakenBy   string    `json:"takenBy,omitempty" doc:"Quem assumiu o alarme."`
	Silenced  time.Time `json:"silencedUntil,omitzero"`
	Resolved  time.Time `json:"resolvedAt,omitzero" doc:"Quando uma pessoa o deu por resolvido."`
	BlocksAt  time.Time `json:"blocksAt,omitzero" doc:"Quando o equipamento vai se bloquear sozinho."`
	Risk      int64     `json:"risk,omitempty" doc:"Valor em risco em 30 dias, em centavos."`
}

func sayAlarm(a Alarm) alarmAnswer {
	out := alarmAnswer{ID: a.ID, Code: string(a.Code), Severity: severityCode(a.Severity), State: string(a.State), Title: a.Rule.Title, Detail: a.Detail,
		WhatToDo: a.Rule.WhatToDo, About: string(a.Subject.Kind), Subject: a.Subject.ID, Behind: string(a.Behind),
		Since: a.Since.UTC(), OpenedAt: a.OpenedAt.UTC(), SeenAt: a.SeenAt.UTC(), ClearedAt: a.ClearedAt.UTC(),
		Cause: a.Cause, Level: a.Level, TakenBy: a.TakenBy, Silenced: a.SilencedUntil.UTC(), Resolved: a.ResolvedAt.UTC(), BlocksAt: a.Forecast.At.UTC(), Risk: a.Forecast.Risk}
	if a.Till != nil {
		out.Till, out.TillName = a.Till.ID, a.Till.Name()
	}
	return out
}

func severityCode(s alarm.Severity) string {
	switch s {
	case alarm.Critical:
		return "critical"
	case alarm.Warning:
		return "warning"
	}
	return "notice"
}

type alarmsAnswer struct {
	Open   []alarmAnswer `json:"open" doc:"Os mais graves primeiro; os que outro explica por último."`
	Closed []alarmAnswer `json:"closed" doc:"Os que terminaram por último."`
}

type alarmLifeAnswer struct {
	Alarm alarmAnswer    `json:"alarm"`
	Life  []changeAnswer `json:"life" doc:"O que mudou, do mais antigo ao mais novo."`
}

type changeAnswer struct {
	At       time.Time `json:"at"`
	What     string    `json:"what" doc:"opened, changed, cleared e outros que vierem."`
	Severity string    `json:"severity" enum:"notice,warning,critical"`
	Detail   string    `json:"detail"`
}

func sayAlarmPage(p AlarmPage) alarmLifeAnswer {
	return alarmLifeAnswer{sayAlarm(p.Alarm), each(p.Life, func(c store.Change) changeAnswer {
		return changeAnswer{c.At.UTC(), c.What, severityCode(c.Severity), c.Detail}
	})}
}

type tillAnswer struct {
	ID       string         `json:"id" doc:"O agente; de um equipamento sem agente, o número de série."`
	Name     string         `json:"name"`
	State    string         `json:"state" enum:"fine,notice,warning,critical,silent,waiting,archive"`
	Shop     string         `json:"shop,omitempty" doc:"Nome da loja, pelos documentos."`
	CNPJ     string         `json:"cnpj,omitempty" doc:"Do estabelecimento; falta enquanto o caixa espera ser identificado."`
	System   string         `json:"system,omitempty"`
	Software string         `json:"software,omitempty" doc:"Versão do agente."`
	HeardAt  time.Time      `json:"heardAt,omitzero" doc:"Última notícia."`
	LastSale time.Time      `json:"lastSale,omitzero"`
	Waiting  int            `json:"waiting" doc:"Registros do caixa que ainda não chegaram, na última notícia."`
	OldestAt time.Time      `json:"oldestAt,omitzero" doc:"De quando é o mais antigo deles."`
	Devices  []deviceAnswer `json:"devices"`
	Worst    *alarmAnswer   `json:"worst,omitempty" doc:"O alarme mais grave."`
}

type deviceAnswer struct {
	Serial       string    `json:"serial"`
	Name         string    `json:"name,omitempty"`
	CNPJ         string    `json:"cnpj,omitempty" doc:"Do estabelecimento a que pertence."`
	Issuer       string    `json:"issuer,omitempty" doc:"CNPJ do último documento."`
	Documents    int       `json:"documents" doc:"Documentos dele no arquivo."`
	LastIssued   time.Time `json:"lastIssued,omitzero"`
	OpenCases    int       `json:"openCases" doc:"Vendas cujo fim ainda não se sabe."`
	SilentSince  time.Time `json:"silentSince,omitzero" doc:"Desde quando não responde ao agente."`
	StatusAt     time.Time `json:"statusAt,omitzero" doc:"Quando veio o último status; sem ele os campos seguintes não valem."`
	Block        string    `json:"block,omitempty" doc:"Estado de operação que o equipamento informa."`
	Memory       *float64  `json:"memory,omitempty" doc:"Fração usada da memória, de 0 a 1."`
	Software     string    `json:"software,omitempty" doc:"Versão do software básico."`
	LastKey      string    `json:"lastKey,omitempty" doc:"Última chave que o equipamento informa."`
	LastSent     time.Time `json:"lastSent,omitzero" doc:"Última transmissão à Sefaz."`
	LastContact  time.Time `json:"lastContact,omitzero" doc:"Última comunicação com a Sefaz."`
	CertExpires  time.Time `json:"certExpires,omitzero" doc:"Fim do certificado do equipamento."`
	PendingSince time.Time `json:"pendingSince,omitzero" doc:"De quando é o documento mais antigo que espera a Sefaz."`
}

func sayDevice(d Device) deviceAnswer {
	out := deviceAnswer{Serial: d.Serial, Name: d.Name, CNPJ: d.CNPJ, Issuer: d.Issuer, Documents: d.Documents, LastIssued: d.LastIssued.UTC(),
		OpenCases: d.OpenCases, SilentSince: d.SilentSince.UTC(), StatusAt: d.StatusAt.UTC(), Block: d.Status.State, Software: d.Status.Software,
		LastKey: d.Status.LastKey, LastSent: d.Status.LastSent.UTC(), LastContact: d.Status.LastContact.UTC(), CertExpires: d.Status.CertExpires.UTC(),
		PendingSince: d.PendingSince.UTC()}
	if memory := d.Status.Memory; !d.StatusAt.IsZero() && memory >= 0 {
		out.Memory = &memory
	}
	return out
}

func sayTill(t Till) tillAnswer {
	a := t.Agent
	out := tillAnswer{ID: t.ID, Name: t.Name(), State: string(t.State), Shop: t.Shop(), CNPJ: a.CNPJ, System: a.System, Software: a.Software,
		HeardAt: a.HeardAt.UTC(), LastSale: t.LastSale().UTC(), Waiting: a.Waiting, OldestAt: a.OldestAt.UTC(), Devices: each(t.Devices, sayDevice)}
	if t.Worst != nil {
		worst := sayAlarm(*t.Worst)
		worst.Till, worst.TillName = t.ID, t.Name()
		out.Worst = &worst
	}
	return out
}

type tillsAnswer struct {
	Tills []tillAnswer `json:"tills" doc:"Os que mais precisam de atenção primeiro."`
}

func sayTills(list []Till) tillsAnswer { return tillsAnswer{each(list, sayTill)} }

type tillPageAnswer struct {
	Till      tillAnswer          `json:"till"`
	Others    []alarmAnswer       `json:"others" doc:"Os outros alarmes abertos."`
	Events    []eventAnswer       `json:"events" doc:"Os mais novos primeiro."`
	Documents []documentAnswer    `json:"documents" doc:"Os mais novos primeiro."`
	Identity  []certificateAnswer `json:"identity" doc:"Certificados do agente, os mais novos primeiro."`
}

type eventAnswer struct {
	Code       string    `json:"code"`
	Serial     string    `json:"serial,omitempty" doc:"Equipamento."`
	Till       string    `json:"till,omitempty" doc:"Número do caixa no programa da loja."`
	Ref        string    `json:"ref,omitempty" doc:"Do que se trata: a chave de um documento, um caso."`
	At         time.Time `json:"at" doc:"Pelo relógio do caixa."`
	ReceivedAt time.Time `json:"receivedAt"`
}

type certificateAnswer struct {
	Serial    string    `json:"serial"`
	IssuedAt  time.Time `json:"issuedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	RevokedAt time.Time `json:"revokedAt,omitzero"`
}

func sayTillPage(p TillPage) tillPageAnswer {
	return tillPageAnswer{sayTill(p.Till), each(p.Others, sayAlarm), each(p.Events, func(e Event) eventAnswer {
		return eventAnswer{e.Code, e.Serial, e.Till, e.Ref, e.At.UTC(), e.ReceivedAt.UTC()}
	}), each(p.Coupons, sayListed), each(p.Identity, func(c store.Certificate) certificateAnswer {
		return certificateAnswer{c.Serial, c.IssuedAt.UTC(), c.ExpiresAt.UTC(), c.RevokedAt.UTC()}
	})}
}

type quarantineAnswer struct {
	Records []quarantinedAnswer `json:"records" doc:"Os mais novos primeiro."`
	Total   int                 `json:"total" doc:"Quantos há ao todo."`
}

type quarantinedAnswer struct {
	ID         int64     `json:"id"`
	Till       string    `json:"till,omitempty" doc:"De que caixa veio."`
	File       string    `json:"file,omitempty" doc:"Nome do arquivo importado."`
	Reason     string    `json:"reason"`
	SHA256     string    `json:"sha256" doc:"Em hexadecimal."`
	Size       int       `json:"size" doc:"Bytes."`
	Times      int       `json:"times" doc:"Quantas vezes vieram os mesmos bytes."`
	ReceivedAt time.Time `json:"receivedAt"`
	LastAt     time.Time `json:"lastAt"`
}

func sayQuarantined(q Quarantined) quarantinedAnswer {
	return quarantinedAnswer{q.ID, q.Agent, q.File, q.Reason, hex(q.SHA256), q.Size, q.Times, q.ReceivedAt.UTC(), q.LastAt.UTC()}
}
