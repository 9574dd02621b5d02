package till

import (
	"fmt"
	"time"
)

// levels are the days before a certificate's end at which people are warned,
// the dossier on certificates, section 6. The level of a certificate is the
// smallest that its days do not exceed; 0 is an expired one.
var levels = [...]int{1, 7, 15, 30, 60, 90}

// noLevel is that of a certificate that needs no warning yet.
const noLevel = -1

// level is the warning that is due with so many days left.
func level(days int) int {
	if days < 0 {
		return 0
	}
	for _, l := range levels {
		if days <= l {
			return l
		}
	}
	return noLevel
}

// nextWarning is the day on which the level changes next; zero after the end.
func nextWarning(now, expires time.Time) time.Time {
	days := daysBetween(now, expires)
	if days < 0 {
		return time.Time{}
	}
	next := -1 // the day after the last one
	for _, l := range levels {
		if l < days {
			next = l
		}
	}
	return local(expires).AddDate(0, 0, -next)
}

// levelSeverity is the same for every certificate, and the collector's.
func levelSeverity(level int) Severity {
	switch {
	case level == noLevel:
		return Fine
	case level <= 15:
		return Critical
	case level <= 30:
		return Warning
	}
	return Notice
}

// expiry says when a certificate ends or ended.
func expiry(now, expires time.Time) string {
	switch days := daysBetween(now, expires); {
	case days < 0:
		return "venceu em " + date(expires) + "."
	case days == 0:
		return "vence hoje."
	case days == 1:
		return "vence amanhã."
	default:
		return fmt.Sprintf("vence em %s, faltam %d dias.", date(expires), days)
	}
}

// shopTodo is what a shop does about its certificate, by level.
var shopTodo = map[int]string{
	0:  "A emissão de notas está parada até instalar o novo. Instale-o e emita uma nota de teste neste caixa.",
	1:  "Sem o novo, não será possível emitir notas. Instale-o e emita uma nota de teste neste caixa.",
	7:  "Urgente: depois disso este caixa pode parar de emitir notas. Conclua a renovação e instale o novo.",
	15: "A renovação não terminou: agende a validação e reserve horário para instalar o novo.",
	30: "Hora de renovar: peça o novo e combine a data de instalação neste caixa.",
	60: "Quem vai fazer a videoconferência tem CNH válida? Sem ela pode ser preciso ir pessoalmente.",
	90: "Ainda há tempo: confira se os dados da empresa estão corretos.",
}

// dated is a certificate as it stands today.
type dated struct {
	kind    string // "sat" or "loja"
	holder  string
	expires time.Time
	days    int // left; negative after the end
	level   int
	finding Finding // what to say of it, also while no warning is due
}

func newDated(now time.Time, kind, holder string, expires time.Time) dated {
	c := dated{kind: kind, holder: holder, expires: expires, days: daysBetween(now, expires)}
	c.level = level(c.days)
	c.finding = Finding{Code: "certificado_" + kind, Severity: levelSeverity(c.level)}
	return c
}

// certificates are the devices', when their status told them, and the shop's.
func certificates(s State, now time.Time) (all []dated) {
	f := newFleet(s)
	for _, d := range f.here {
		expires := d.Status.CertExpires
		if d.StatusAt.IsZero() || expires.IsZero() {
			continue
		}
		c := newDated(now, "sat", "SAT "+d.Info.Serial, expires)
		c.finding.Text = "O certificado do " + f.name(d) + " " + expiry(now, expires)
		c.finding.Todo = "Deixe o equipamento ligado e na internet, para que a renovação possa acontecer, e confira que nada esteja pendente de envio à SEFAZ."
		if c.level == 0 {
			c.finding.Todo = "Com ele vencido o equipamento se bloqueia. Mantenha-o ligado e na internet e chame o suporte."
		}
		all = append(all, c)
	}
	return append(all, shopCertificates(s.Certificates, now)...)
}

// shopCertificates are the shop's own, as they stand today.
func shopCertificates(own []Certificate, now time.Time) (all []dated) {
	for _, one := range own {
		c := newDated(now, "loja", one.Holder, one.Expires)
		c.finding.Text = "O certificado digital de " + one.Holder + " " + expiry(now, one.Expires)
		c.finding.Todo = shopTodo[c.level]
		all = append(all, c)
	}
	return all
}
