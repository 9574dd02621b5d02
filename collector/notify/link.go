package notify

import (
	"context"
	"time"
)

// SendLink sends a person the sign-in link of a secret by e-mail, and waits for how it
// ends. The secret is kept nowhere. Its error says why not, in pt-BR, and names no
// address.
func (n *Notifier) SendLink(ctx context.Context, to, secret string, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := n.mail(ctx, to, newID(), content{Kind: kindLink, Subject: "Seu link para entrar no Zelo", At: n.o.Now(),
		Link: n.o.Pages + "/entrar/" + secret, Label: "Entrar no Zelo", Lines: []string{
			"Com este link você entra no Zelo. Ele vale uma única vez, até " + moment(until) + ".",
			"Não o encaminhe: quem o abre entra no seu lugar. Se você não o pediu nem o esperava, não faça nada."}})
	if err != nil {
		return failureOf(err)
	}
	return nil
}
