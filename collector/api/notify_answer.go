package api

import (
	"context"
	"fmt"
	"time"

	"zelo/collector/store"
)

// notices are the operations of what people and programs are told by themselves.
func notices() []Operation {
	return []Operation{
		{opNotices, "GET", "/notices", everyone(), "", nil, noticesAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayNotices)(a.Notices(ctx, c))
			}},
		{opWish, "POST", "/notices/channels/{channel}", everyone(), "", par("channel", "channel", "muted", "text", "least", "text", "quietFrom", "text",
			"quietTo", "text", "criticalPasses", "text", "digest", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				v := in.Values
				wish, err := ReadWish(v["muted"] == "true", v["least"], v["quietFrom"], v["quietTo"], v["criticalPasses"] == "true", v["digest"])
				if err != nil {
					return nil, err
				}
				return nil, a.SetWish(ctx, c, in.number("channel"), wish)
			}},
		{opSubscribe, "POST", "/notices/push", everyone(), "", par("name", "text", "endpoint", "text", "auth", "text", "p256dh", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				v := in.Values
				return nil, a.Subscribe(ctx, c, v["name"], Subscription{Endpoint: v["endpoint"], Auth: v["auth"], P256dh: v["p256dh"]})
			}},
		{OpHook, "POST", "/notices/hooks", heads(), "", par("name", "text", "address", "text", "template", "text", "least", "text"), hookAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				v := in.Values
				return says(func(secret string) hookAnswer { return hookAnswer{secret} })(a.AddHook(ctx, c, Hook{v["name"], v["address"], v["template"], SeverityOf(v["least"])}))
			}},
		{opTryChannel, "POST", "/notices/channels/{channel}/test", everyone(), "", par("channel", "channel"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.TryChannel(ctx, c, in.number("channel"))
			}},
		{opDropChannel, "POST", "/notices/channels/{channel}/drop", everyone(), "", par("channel", "channel"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.DropChannel(ctx, c, in.number("channel"))
			}},
	}
}

type noticesAnswer struct {
	Channels []channelAnswer `json:"channels" doc:"Os da própria pessoa: e-mail e navegadores."`
	Hooks    []channelAnswer `json:"hooks" doc:"Webhooks e chats da revenda; vazio para quem não cuida dela."`
	PushKey  string          `json:"pushKey,omitempty" doc:"Chave pública com que um navegador se inscreve (VAPID)."`
	Mails    bool            `json:"mails" doc:"Este coletor envia e-mails."`
}

type channelAnswer struct {
	ID             int64           `json:"id"`
	Kind           string          `json:"kind" enum:"email,push,webhook,chat"`
	Name           string          `json:"name,omitempty"`
	Server         string          `json:"server,omitempty" doc:"Para onde vai, sem o resto do endereço."`
	Muted          bool            `json:"muted"`
	Least          string          `json:"least" enum:"notice,warning,critical" doc:"A partir de que gravidade é avisado na hora."`
	QuietFrom      string          `json:"quietFrom,omitempty" doc:"Início do silêncio, no horário de Brasília."`
	QuietTo        string          `json:"quietTo,omitempty"`
	CriticalPasses bool            `json:"criticalPasses" doc:"Alarmes críticos chegam também no silêncio."`
	Digest         *int            `json:"digest,omitempty" doc:"Hora do resumo diário do que é menos grave; falta quando não há."`
	LastSentAt     time.Time       `json:"lastSentAt,omitzero"`
	FailingSince   time.Time       `json:"failingSince,omitzero"`
	LastError      string          `json:"lastError,omitempty"`
	DeadAt         time.Time       `json:"deadAt,omitzero" doc:"Desde quando nada mais é enviado, porque nada chegava."`
	Failed         []failureAnswer `json:"failed" doc:"Avisos que não chegaram, os mais novos primeiro."`
}

type failureAnswer struct {
	CreatedAt time.Time `json:"createdAt"`
	Attempts  int       `json:"attempts"`
	Error     string    `json:"error"`
	Waiting   bool      `json:"waiting" doc:"Ainda será tentado."`
}

// hookAnswer is a hook that was added.
type hookAnswer struct {
	Secret string `json:"secret,omitempty" doc:"Com que as mensagens são assinadas, mostrado só agora."`
}

func sayNotices(n Notices) noticesAnswer {
	return noticesAnswer{each(n.Channels, sayChannel), each(n.Hooks, sayChannel), n.PushKey, n.Mails}
}

func sayChannel(c Channel) channelAnswer {
	a := channelAnswer{ID: c.ID, Kind: string(c.Kind), Name: c.Name, Server: c.Server, Muted: c.Wish.Muted, Least: severityCode(c.Wish.Least),
		CriticalPasses: c.Wish.CriticalPasses, LastSentAt: c.LastSent.UTC(), FailingSince: c.FailingSince.UTC(), LastError: c.LastError, DeadAt: c.DeadAt.UTC(),
		Failed: each(c.Failed, func(m store.Message) failureAnswer {
			return failureAnswer{m.CreatedAt.UTC(), m.Attempts, m.Error, !m.DueAt.IsZero()}
		})}
	if c.Wish.QuietFrom != c.Wish.QuietTo {
		a.QuietFrom, a.QuietTo = Clock(c.Wish.QuietFrom), Clock(c.Wish.QuietTo)
	}
	if c.Wish.Digest >= 0 {
		a.Digest = &c.Wish.Digest
	}
	return a
}

// Clock is a minute of the day as people write it.
func Clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
