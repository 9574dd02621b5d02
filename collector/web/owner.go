package web

import (
	"net/http"

	"zelo/collector/api"
)

// ownerPage is how a shop stands, for its owner at a glance.
type ownerPage struct {
	api.Overview
	State   api.State
	Word    string
	Worst   *api.Alarm // the gravest; nil without one
	Shops   []api.Till
	Support string // link that opens a conversation with the support
	Charts  []*chart
}

// owner is the first page of who owns shops and looks after none of others.
func (s *site) owner(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	o, err := s.o.API.Now(r.Context(), c)
	if err != nil {
		return err
	}
	tills, err := s.o.API.Tills(r.Context(), c)
	if err != nil {
		return err
	}
	sold, err := s.o.API.Sales(r.Context(), c)
	if err != nil {
		return err
	}
	p := ownerPage{Overview: o, State: api.Fine, Shops: tills, Charts: charts(salesChart(sold)), Support: api.Conversation("Olá, preciso de ajuda com os caixas da loja.")}
	switch {
	case len(o.Causes) > 0:
		p.State, p.Worst = o.Causes[0].State, &o.Causes[0].Alarms[0]
		p.Support = api.WhatsApp(*p.Worst)
	case o.Tills == 0:
		p.State = api.Waiting
	}
	p.Word = ownerWord(p.State)
	return s.render(w, c, http.StatusOK, "owner", "now", p.Word, p)
}

// ownerWord says a shop's state to its owner.
func ownerWord(s api.State) string {
	switch s {
	case api.Critical:
		return "Precisa de ajuda agora"
	case api.Warning:
		return "Pede atenção"
	case api.Silent:
		return "Sem notícia"
	case api.Waiting:
		return "Nenhum caixa ligado"
	}
	return "Tudo em ordem"
}
