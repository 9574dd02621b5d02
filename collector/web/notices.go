package web

import (
	"net/http"
	"strconv"

	"zelo/collector/api"
)

// noticesPage is how a person is told of alarms, and what a form came to.
type noticesPage struct {
	api.Notices
	Problem string
	Fine    string // what was done
	Secret  string // of a webhook, shown once
	Presets []api.Preset
	Mine    []channel
	Shared  []channel // hooks
}

// channel is a way to reach somebody, with the hours at which a digest may come.
type channel struct {
	C     api.Channel
	Hours []int
}

func (s *site) notices(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderNotices(w, r, c, http.StatusOK, noticesPage{})
}

func (s *site) renderNotices(w http.ResponseWriter, r *http.Request, c api.Caller, status int, p noticesPage) (err error) {
	if p.Notices, err = s.o.API.Notices(r.Context(), c); err != nil {
		return err
	}
	p.Presets = api.Presets()
	var hours []int
	for hour := range 24 {
		hours = append(hours, hour)
	}
	for _, ch := range p.Channels {
		p.Mine = append(p.Mine, channel{ch, hours})
	}
	for _, ch := range p.Hooks {
		p.Shared = append(p.Shared, channel{ch, hours})
	}
	return s.render(w, c, status, "notices", "settings", "Avisos", p)
}

// noticesForm does what a button of the page says.
func (s *site) noticesForm(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	p, err := s.changeNotices(r, c)
	status := http.StatusOK
	if text, mend := problem(err); mend {
		p, status = noticesPage{Problem: text}, http.StatusBadRequest
	} else if err != nil {
		return err
	}
	return s.renderNotices(w, r, c, status, p)
}

func (s *site) changeNotices(r *http.Request, c api.Caller) (p noticesPage, err error) {
	f, ctx := r.PostForm, r.Context()
	id, err := strconv.ParseInt(f.Get("canal"), 10, 64)
	if act := f.Get("acao"); err != nil && act != "navegador" && act != "endereco" {
		return p, api.ErrNotFound
	}
	switch f.Get("acao") {
	case "guardar":
		wish, err := api.ReadWish(f.Get("desligado") != "", f.Get("gravidade"), f.Get("de"), f.Get("ate"), f.Get("critico") != "", f.Get("resumo"))
		if err == nil {
			err = s.o.API.SetWish(ctx, c, id, wish)
		}
		return noticesPage{Fine: "As preferências foram guardadas."}, err
	case "testar":
		return noticesPage{Fine: "O aviso de teste foi entregue."}, s.o.API.TryChannel(ctx, c, id)
	case "remover":
		return noticesPage{Fine: "O endereço foi removido."}, s.o.API.DropChannel(ctx, c, id)
	case "navegador":
		return noticesPage{Fine: "Este navegador passa a receber os avisos."}, s.o.API.Subscribe(ctx, c, f.Get("nome"),
			api.Subscription{Endpoint: f.Get("endpoint"), Auth: f.Get("auth"), P256dh: f.Get("p256dh")})
	case "endereco":
		template := f.Get("tipo")
		switch template {
		case "webhook":
			template = ""
		case "outro":
			if template = f.Get("modelo"); template == "" {
				return p, &api.Problem{Text: "Escreva o modelo da mensagem, ou escolha um dos prontos."}
			}
		}
		secret, err := s.o.API.AddHook(ctx, c, api.Hook{Name: f.Get("nome"), Address: f.Get("endereco"), Template: template, Least: api.SeverityOf(f.Get("gravidade"))})
		return noticesPage{Fine: "O endereço foi acrescentado. Envie um aviso de teste para ver se ele chega.", Secret: secret}, err
	}
	return p, api.ErrNotFound
}
