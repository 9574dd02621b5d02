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
	all := []Finding{doubt(s.Device, now), presence(s.Device, now)}
	if !s.Device.StatusAt.IsZero() {
		all = append(all, block(s.Device), contact(s.Device), memory(s.Device))
	}
	for _, c := range certificates(s, now) {
		if c.level != noLevel {
			all = append(all, c.finding)
		}
	}
	all = append(all, cloud(s.Cloud, now), code(s.Device), statusOld(s.Device, now))
	all = slices.DeleteFunc(all, func(f Finding) bool { return f.Code == "" })
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Severity.rank() - b.Severity.rank() })
	return all
}

func doubt(d Device, now time.Time) Finding {
	if d.InDoubt == 0 {
		return Finding{}
	}
	what, again := "Uma venda está em dúvida", " Não repita a venda."
	if d.InDoubt > 1 {
		what, again = number(d.InDoubt)+" vendas estão em dúvida", " Não repita nenhuma delas."
	}
	f := Finding{Code: "venda_em_duvida", Severity: Critical,
		Text: what + since(now, d.DoubtSince) + "; estamos perguntando ao SAT." + again,
		Todo: "Aguarde: assim que o SAT disser se a venda saiu, este aviso some e as vendas seguem."}
	if !d.Answering {
		f.Text = what + since(now, d.DoubtSince) + " e o SAT não responde." + again
		f.Todo = "Verifique o cabo USB e a energia do equipamento. Quando ele voltar, o caixa pergunta a ele e resolve sozinho."
	}
	return f
}

// presence says whether there is a device and whether it answers.
func presence(d Device, now time.Time) Finding {
	switch {
	case d.Answering:
		return Finding{}
	case d.Address == "":
		return Finding{"sat_nao_configurado", Warning, "Nenhum SAT está configurado neste caixa.",
			"No arquivo de configuração do agente, escreva na chave equipamentos onde ele está e reinicie o serviço. O comando zelo-agent devices mostra a linha a escrever."}
	case d.Info.Serial == "":
		return Finding{"sat_nao_encontrado", Critical, "O SAT ainda não foi encontrado em " + d.Address + ".",
			"Verifique o cabo USB e a energia do equipamento. Se ele está em outra porta, corrija a chave equipamentos no arquivo de configuração do agente e reinicie o serviço."}
	}
	return Finding{"sat_nao_responde", Critical, "O SAT não responde" + since(now, d.Since) + ".",
		"Verifique o cabo USB e a energia do equipamento. Se as luzes estiverem acesas, desligue-o, espere 10 segundos e ligue de novo."}
}

// block says what the four blocks mean (dossier on the SAT interface, 5.6).
func block(d Device) Finding {
	f := Finding{Code: "sat_bloqueado", Severity: Critical}
	switch d.Status.State {
	case sat.StateBlockedSEFAZ:
		f.Text = "O SAT está bloqueado pela SEFAZ e não emite cupons."
		f.Todo = "Deixe-o ligado e na internet até não restarem pendentes. Se ele ainda deveria emitir, consulte a situação no portal da SEFAZ antes de desbloquear."
	case sat.StateBlockedContribuinte:
		f.Text = "O SAT está bloqueado a pedido do contribuinte e não emite cupons."
		f.Todo = "Para voltar a usá-lo, desfaça o bloqueio no portal da SEFAZ e depois no equipamento. Se foi intencional, deixe-o na internet até não restarem pendentes."
	case sat.StateBlockedAutonomous:
		f.Text = "O SAT parou de emitir sozinho (bloqueio autônomo): ficou tempo demais sem falar com a SEFAZ, a memória encheu ou o certificado venceu."
		f.Todo = "Ligue o cabo de rede do SAT e aguarde; ele se desbloqueia sozinho depois de enviar os pendentes."
	case sat.StateBlockedDeactivation:
		f.Text = "O SAT está bloqueado para desativação e não emite mais cupons."
		f.Todo = "Antes de desligá-lo, confira se não restam pendentes e se tudo está salvo na nuvem."
	default:
		return Finding{}
	}
	return f
}

const day = 24 * time.Hour

// contact judges the silence between device and SEFAZ at the time of the status.
func contact(d Device) Finding {
	silence := d.StatusAt.Sub(d.Status.LastContact)
	if d.Status.LastContact.IsZero() || silence < day {
		return Finding{}
	}
	f := Finding{"sefaz_sem_contato", Warning, "O SAT está há " + span(silence) + " sem contato com a SEFAZ.",
		"Confira o cabo de rede do SAT e se a rede da loja libera as portas TCP 443 e UDP 123. Sem contato ele se bloqueia sozinho, em geral entre 10 e 15 dias."}
	if silence >= 3*day {
		f.Severity = Critical
	}
	return f
}

func memory(d Device) Finding {
	used, ok := d.Status.MemoryFraction()
	if !ok || used < 0.70 {
		return Finding{}
	}
	f := Finding{"sat_memoria", Warning, "A memória do SAT está com " + percent(used) + " em uso; com 95 % ele se bloqueia.",
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
		if age >= 3*day {
			f.Severity = Critical
		}
		return f
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

func code(d Device) Finding {
	if d.Info.Serial == "" || d.CodeKnown {
		return Finding{}
	}
	return Finding{"codigo_desconhecido", Notice, "O código de ativação do SAT ainda não é conhecido; sem ele, bloqueio, certificado e memória não são conferidos.",
		"Ele será aprendido na próxima venda. Para informá-lo agora, use zelo-agent code neste computador."}
}

// statusOld says that what is known of the device is not checked any more.
func statusOld(d Device, now time.Time) Finding {
	last := d.StatusAt
	if d.Since.After(last) {
		last = d.Since
	}
	if !d.Answering || !d.CodeKnown || now.Sub(last) < day {
		return Finding{}
	}
	return Finding{"status_antigo", Warning, "O estado do SAT não é lido" + since(now, last) + ": bloqueio, certificado e memória não estão sendo conferidos.",
		"Informe o código de ativação com zelo-agent code neste computador; se já foi informado, ele pode ter mudado."}
}
