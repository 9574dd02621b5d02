package notify

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// kindLink is the kind of the message with a sign-in link.
const kindLink = "link"

// WhatsApp is a link that opens the messenger with a text, to whom the person chooses.
func WhatsApp(text string) string {
	return "https://wa.me/?text=" + strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

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
