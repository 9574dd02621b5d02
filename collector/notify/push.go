package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/SherClockHolmes/webpush-go"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// pushFor is how long a push service keeps a message for a browser that is away.
const pushFor = 24 * 60 * 60 // seconds

// Subscription is where a browser gets its pushes, as its Push API says.
type Subscription struct {
	Endpoint string
	Auth     string // base64url
	P256dh   string
}

// Keys are a subscription's as its channel keeps them. It fails, with what to do in
// pt-BR, when it is none.
func (n *Notifier) Keys(s Subscription) (string, error) {
	auth, err := base64.RawURLEncoding.DecodeString(s.Auth)
	point, err2 := base64.RawURLEncoding.DecodeString(s.P256dh)
	if err != nil || err2 != nil || len(auth) != 16 || len(point) != 65 || n.CheckURL(s.Endpoint) != nil {
		return "", &failure{"este navegador não deu um endereço de avisos que se possa usar", again}
	}
	raw, err := json.Marshal(webpush.Keys{Auth: s.Auth, P256dh: s.P256dh})
	return string(raw), err
}

// push sends a message to a browser (RFC 8030, 8291, 8292). A second one with the same
// id takes the place of the first.
func (n *Notifier) push(ctx context.Context, ch store.Channel, uid string, c content) error {
	to := webpush.Subscription{Endpoint: ch.Target}
	if err := json.Unmarshal([]byte(ch.Form), &to.Keys); err != nil {
		return &failure{"as chaves deste navegador estão danificadas: ative os avisos nele de novo", dead}
	}
	text := ""
	if len(c.Lines) > 0 {
		text = c.Lines[0]
	}
	payload, err := json.Marshal(map[string]string{"id": uid, "title": cut(c.Subject, 200), "body": cut(text, 400), "url": c.Link})
	if err != nil {
		return err
	}
	urgency := webpush.UrgencyNormal
	if c.Severity == alarm.Critical {
		urgency = webpush.UrgencyHigh
	}
	answer, err := webpush.SendNotificationWithContext(ctx, payload, &to, &webpush.Options{HTTPClient: n.client, Subscriber: n.subscriber(), Topic: uid, TTL: pushFor,
		Urgency: urgency, VAPIDPublicKey: n.PushKey(), VAPIDPrivateKey: base64.RawURLEncoding.EncodeToString(n.vapid.Bytes())})
	if err != nil {
		return fmt.Errorf("cannot push a message: %w", err)
	}
	if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusGone {
		answer.Body.Close()
		return &failure{"este navegador não recebe mais avisos: ative-os nele de novo", dead}
	}
	return closed(answer)
}

// subscriber is whom a push service may ask about our pushes.
func (n *Notifier) subscriber() string {
	if n.Mails() {
		return n.o.Mail.From
	}
	return n.o.Pages
}

// cut bounds a text to so many letters.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
