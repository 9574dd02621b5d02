package web

import (
	"net/http"
	"slices"

	"zelo/collector/api"
)

// entry is one place that people go to.
type entry struct {
	Section string // of the pages below it
	Path    string
	Title   string
	About   string // a sentence, where entries are listed
	needs   []api.Op
}

// The two pages that list what is not needed every day.
const (
	reports  = "reports"
	settings = "settings"
)

// daily is the navigation: what is needed every day, and where the rest is.
func daily() []entry {
	return []entry{
		{Section: "now", Path: "/", Title: "Agora"},
		{Section: "tills", Path: "/caixas", Title: "Caixas"},
		{Section: "alarms", Path: "/alarmes", Title: "Alarmes"},
		{Section: "coupons", Path: "/cupons", Title: "Cupons"},
		{Section: "clients", Path: "/clientes", Title: "Clientes"},
		{Section: reports, Path: "/relatorios", Title: "Relatórios", needs: []api.Op{api.OpShops, api.OpAudit}},
		{Section: settings, Path: "/ajustes", Title: "Ajustes"},
	}
}

// listed are the entries of a page that lists some.
func listed(section string) []entry {
	if section == reports {
		return []entry{
			{Path: "/exportar", Title: "Exportar documentos", About: "Os XML originais de uma loja em um mês, com a conferência da numeração.", needs: []api.Op{api.OpShops}},
			{Path: "/auditoria", Title: "Auditoria", About: "Quem fez o quê, e quem viu dados pessoais.", needs: []api.Op{api.OpAudit}},
			{Path: "/titular", Title: "Relatório do titular", About: "O que está guardado de uma pessoa, para responder a um pedido dela (LGPD).", needs: []api.Op{api.OpSubject}},
		}
	}
	return []entry{
		{Path: "/ligar", Title: "Ligar caixas", About: "Gerar o código que liga o computador de um caixa a este coletor.", needs: []api.Op{api.OpEnrolments}},
		{Path: "/identificar", Title: "A identificar", About: "Caixas e emissores que ainda não se sabe de que loja são.", needs: []api.Op{api.OpWaiting}},
		{Path: "/quarentena", Title: "Quarentena", About: "O que chegou e não pôde ser lido, guardado como veio.", needs: []api.Op{api.OpQuarantine}},
		{Path: "/ordens", Title: "Comandos dados", About: "O que foi pedido a um caixa ou a vários, e enviar a vários de uma vez.", needs: []api.Op{api.OpOrders}},
		{Path: "/limites", Title: "Limites dos alarmes", About: "A partir de quando cada alarme começa, o expediente e o escalonamento.", needs: []api.Op{api.OpPolicy}},
		{Path: "/avisos", Title: "Avisos", About: "Como você fica sabendo dos alarmes: e-mail, navegador, webhooks e chats."},
		{Path: "/pessoas", Title: "Pessoas", About: "Quem entra aqui, com que papel.", needs: []api.Op{api.OpPeople}},
		{Path: "/planos", Title: "Planos", About: "O que cada plano inclui.", needs: []api.Op{api.OpPlans}},
		{Path: "/conta", Title: "Conta", About: "A sua senha e, para programas, códigos de API."},
	}
}

// open are the entries that a caller may go to: those that need nothing, or one of
// the operations that the caller may do.
func (s *site) open(c api.Caller, list []entry) []entry {
	return slices.DeleteFunc(list, func(e entry) bool {
		return len(e.needs) > 0 && !slices.ContainsFunc(e.needs, func(op api.Op) bool { return s.o.API.May(c, op) })
	})
}

// above is the entry that a page is below; nil for the page of the entry itself, and
// for pages below none. The template of an entry's page is named like its section.
func above(section, template string) *entry {
	for _, e := range daily() {
		if e.Section == section && e.Path != "/" && section != template && template != "menu" {
			return &e
		}
	}
	return nil
}

func (s *site) reports(w http.ResponseWriter, _ *http.Request, c api.Caller) error {
	return s.render(w, c, http.StatusOK, "menu", reports, "Relatórios", s.open(c, listed(reports)))
}

func (s *site) settings(w http.ResponseWriter, _ *http.Request, c api.Caller) error {
	return s.render(w, c, http.StatusOK, "menu", settings, "Ajustes", s.open(c, listed(settings)))
}
