package till

import (
	"fmt"
	"slices"
	"time"

	"zelo/sat"
)

// Severity is how bad something is. It is also the word of the JSON.
type Severity string

// The severities.
const (
	Fine     Severity = "ok"
	Notice   Severity = "aviso"   // good to know
	Warning  Severity = "atencao" // somebody has to do something
	Critical Severity = "critico" // sales are at a stop, or will be soon
)

// rank orders by severity, worst first. What is only good to know comes after
// the word that all is in order.
func (s Severity) rank() int { return slices.Index([]Severity{Critical, Warning, Fine, Notice}, s) }

// Finding is one thing there is to say about the till.
type Finding struct {
	Code     string // stable, for programs
	Severity Severity
	Text     string // what is, and since when
	Todo     string // what to do; "" when there is nothing
}

// judge says all there is to say about a till, worst first. The first is the
// sentence on top of the page.
func judge(s State, now time.Time) []Finding {
	f := newFleet(s)
	all := append(f.doubts(now), f.presence(now))
	for _, d := range f.here {
		if !d.StatusAt.IsZero() {
			all = append(all, f.block(d), contact(d, f.name(d)), f.memory(d))
		}
	}
	for _, c := range certificates(s, now) {
		if c.level != noLevel {
			all = append(all, c.finding)
		}
	}
	all = append(all, cloud(s.Cloud, now))
	for _, d := range f.here {
		all = append(all, code(d, f.name(d)), statusOld(d, f.name(d), now))
	}
	all = slices.DeleteFunc(all, func(f Finding) bool { return f.Code == "" })
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Severity.rank() - b.Severity.rank() })
	return all
}

// block says what the four blocks mean (dossier on the SAT interface, 5.6).
func block(d Device, name string) Finding {
	f := Finding{Code: "sat_bloqueado", Severity: Critical}
	switch d.Status.State {
	case sat.StateBlockedSEFAZ:
		f.Text = "O " + name + " está bloqueado pela SEFAZ e não emite cupons."
		f.Todo = "Deixe-o ligado e na internet até não restarem pendentes. Se ele ainda deveria emitir, consulte a situação no portal da SEFAZ antes de desbloquear."
	case sat.StateBlockedContribuinte:
		f.Text = "O " + name + " está bloqueado a pedido do contribuinte e não emite cupons."
		f.Todo = "Para voltar a usá-lo, desfaça o bloqueio no portal da SEFAZ e depois no equipamento. Se foi intencional, deixe-o na internet até não restarem pendentes."
	case sat.StateBlockedAutonomous:
		f.Text = "O " + name + " parou de emitir sozinho (bloqueio autônomo): ficou tempo demais sem falar com a SEFAZ, a memória encheu ou o certificado venceu."
		f.Todo = "Ligue o cabo de rede do SAT e aguarde; ele se desbloqueia sozinho depois de enviar os pendentes."
	case sat.StateBlockedDeactivation:
		f.Text = "O " + name + " está bloqueado para desativação e não emite mais cupons."
		f.Todo = "Antes de desligá-lo, confira se não restam pendentes e se tudo está salvo na nuvem."
	default:
		return Finding{}
	}
	return f
}

const day = 24 * time.Hour

// contact judges the silence between device and SEFAZ at the time of the status.
func contact(d Device, name string) Finding {
	silence := d.StatusAt.Sub(d.Status.LastContact)
	if d.Status.LastContact.IsZero() || silence < day {
		return Finding{}
	}
	f := Finding{"sefaz_sem_contato", Warning, "O " + name + " está há " + span(silence) + " sem contato com a SEFAZ.",
		"Confira o cabo de rede do SAT e se a rede da loja libera as portas TCP 443 e UDP 123. Sem contato ele se bloqueia sozinho, em geral entre 10 e 15 dias."}
	if silence >= 3*day {
		f.Severity = Critical
	}
	return f
}

func memory(d Device, name string) Finding {
	used, ok := d.Status.MemoryFraction()
	if !ok || used < 0.70 {
		return Finding{}
	}
	f := Finding{"sat_memoria", Warning, "A memória do " + name + " está com " + percent(used) + " em uso; com 95 % ele se bloqueia.",
		"Confira se o SAT está na internet e enviando os pendentes. Se já está, chame o suporte."}
	if used >= 0.85 {
		f.Severity = Critical
	}
	return f
}

// settling is how long a connection may take after a start or a loss without
// being called an outage; behind, how long a connected till may hold documents.
const (
	settling = 2 * time.Minute
	behind   = 10 * time.Minute
)

// cloud says where the documents are. There is always something to say.
func cloud(c Cloud, now time.Time) Finding {
	age := now.Sub(c.Since)
	switch {
	case !c.Enrolled && c.Waiting == 0:
		return Finding{"nuvem_nao_cadastrado", Warning, "Este caixa ainda não foi ligado à nuvem.", enrol}
	case !c.Enrolled:
		return Finding{"nuvem_nao_cadastrado", Warning,
			"Este caixa ainda não foi ligado à nuvem; " + count(c.Waiting, "cupom guardado", "cupons guardados") + " só aqui.", enrol}
	case !c.Connected && age < settling:
		return Finding{"nuvem_conectando", Fine, "Conectando à nuvem, " + kept(c.Waiting), ""}
	case !c.Connected:
		f := Finding{"nuvem_sem_contato", Warning, "Sem internet há " + span(age) + ", " + kept(c.Waiting),
			"As vendas continuam. Verifique a internet da loja; se ela funciona, avise o suporte."}
		switch c.Trouble {
		case WrongClock:
			f.Text = "A data deste computador está errada, e por isso a nuvem não é reconhecida há " + span(age) + ", " + kept(c.Waiting)
			f.Todo = "As vendas continuam. Acerte a data e a hora deste computador."
		case BadProxy:
			f.Text = "O proxy da loja recusa a conexão com a nuvem há " + span(age) + ", " + kept(c.Waiting)
			f.Todo = "As vendas continuam. Confira o endereço, o usuário e a senha na chave proxy da configuração do agente."
		}
		if age >= 3*day {
			f.Severity = Critical
		}
		return f
	case c.Waiting > 0 && c.Full:
		return Finding{"nuvem_limite", Notice,
			"Limite de internet desta hora atingido: " + count(c.Waiting, "cupom espera aqui.", "cupons esperam aqui."),
			"O envio volta sozinho. Alarmes continuam saindo."}
	case c.Waiting > 0 && !c.Oldest.IsZero() && now.Sub(c.Oldest) >= behind:
		return Finding{"nuvem_atrasada", Warning,
			fmt.Sprintf("%s a confirmação da nuvem, o mais antigo%s.", count(c.Waiting, "cupom espera", "cupons esperam"), since(now, c.Oldest)),
			"O envio continua sozinho. Se o número não diminuir em uma hora, avise o suporte."}
	case c.Waiting > 0:
		return Finding{"nuvem_enviando", Fine, count(c.Waiting, "cupom", "cupons") + " a caminho da nuvem.", ""}
	case c.LastAck.IsZero():
		return Finding{"nuvem_em_dia", Fine, "Conectado à nuvem; nenhum cupom espera neste caixa.", ""}
	}
	return Finding{"nuvem_em_dia", Fine, "Tudo salvo na nuvem até " + moment(now, c.LastAck) + ".", ""}
}

const enrol = "Peça ao suporte um código de cadastro, informe-o com zelo-agent enrol neste computador e reinicie o serviço. Até lá as vendas continuam e os cupons ficam guardados aqui."

func kept(n int) string {
	if n == 0 {
		return "nenhum cupom à espera aqui."
	}
	return count(n, "cupom guardado", "cupons guardados") + " aqui."
}

func code(d Device, name string) Finding {
	if d.Info.Serial == "" || d.CodeKnown {
		return Finding{}
	}
	return Finding{"codigo_desconhecido", Notice, "O código de ativação do " + name + " ainda não é conhecido; sem ele, bloqueio, certificado e memória não são conferidos.",
		"Ele será aprendido na próxima venda. Para informá-lo agora, use zelo-agent code neste computador."}
}

// statusOld says that what is known of the device is not checked any more.
func statusOld(d Device, name string, now time.Time) Finding {
	last := d.StatusAt
	if d.Since.After(last) {
		last = d.Since
	}
	if !d.Answering || !d.CodeKnown || now.Sub(last) < day {
		return Finding{}
	}
	return Finding{"status_antigo", Warning, "O estado do " + name + " não é lido" + since(now, last) + ": bloqueio, certificado e memória não estão sendo conferidos.",
		"Informe o código de ativação com zelo-agent code neste computador; se já foi informado, ele pode ter mudado."}
}
