package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// Security is how the connection to a mail server is protected.
type Security string

// The ways to protect a connection.
const (
	StartTLS Security = "starttls" // required: without it nothing is sent
	TLS      Security = "tls"      // from the first byte
	Clear    Security = "nenhuma"  // for a server on this computer
)

// Mail is the server that sends e-mails (SMTP, RFC 5321).
type Mail struct {
	Host           string
	Port           int
	Security       Security
	User, Password string      // "" when the server asks for none
	From           string      // address of the sender
	Config         *tls.Config // nil: the authorities of the system are trusted
}

// mail sends a message to an address. The same message has the same Message-ID.
func (n *Notifier) mail(ctx context.Context, to, uid string, c content) error {
	o := n.o.Mail
	if o == nil {
		return &failure{"este coletor não tem um servidor de e-mail configurado", false, false}
	}
	if to == "" {
		return &failure{"a pessoa não está mais cadastrada", true, true}
	}
	m, err := letter(o.From, to, uid, c)
	if err != nil {
		return &failure{"o endereço da pessoa, ou o do remetente, não serve para e-mail", true, false}
	}
	wait := patience
	if end, bounded := ctx.Deadline(); bounded {
		wait = time.Until(end)
	}
	options := []mail.Option{mail.WithPort(o.Port), mail.WithTimeout(wait), mail.WithTLSPolicy(mail.TLSMandatory), mail.WithoutNoop()}
	switch o.Security {
	case TLS:
		options = append(options, mail.WithSSL())
	case Clear:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if o.Config != nil {
		options = append(options, mail.WithTLSConfig(o.Config))
	}
	if o.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(o.User), mail.WithPassword(o.Password))
	}
	client, err := mail.NewClient(o.Host, options...)
	if err != nil {
		return fmt.Errorf("cannot prepare sending an e-mail: %w", err)
	}
	if err = client.DialAndSendWithContext(ctx, m); m.IsDelivered() {
		return nil // also when the server hung up after it
	}
	return err
}

// letter is a message as an e-mail: plain text, and the same as HTML.
func letter(from, to, uid string, c content) (*mail.Msg, error) {
	_, host, _ := strings.Cut(from, "@")
	m := mail.NewMsg()
	if err := m.FromFormat("Zelo", from); err != nil {
		return nil, err
	}
	if err := m.To(to); err != nil {
		return nil, err
	}
	m.Subject(oneLine(c.Subject))
	m.SetMessageIDWithValue(uid + "@" + host)
	m.SetDateWithValue(c.At)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(mail.TypeTextPlain, c.plain())
	var b bytes.Buffer
	if err := letterHTML.Execute(&b, c); err != nil {
		return nil, err
	}
	m.AddAlternativeString(mail.TypeTextHTML, b.String())
	return m, nil
}

// oneLine keeps a text from beginning another header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// plain is a message as text.
func (c content) plain() string {
	var b strings.Builder
	for _, line := range c.Lines {
		b.WriteString(line + "\n\n")
	}
	for _, item := range c.Items {
		b.WriteString("- " + item + "\n")
	}
	if c.Link != "" {
		b.WriteString("\n" + c.Label + ": " + c.Link + "\n")
	}
	if c.WhatsApp != "" {
		b.WriteString("Enviar por WhatsApp: " + c.WhatsApp + "\n")
	}
	return strings.TrimLeft(b.String(), "\n")
}

var letterHTML = template.Must(template.New("letter").Parse(`<!DOCTYPE html><html lang="pt-BR"><body style="font:15px/1.5 system-ui,sans-serif;color:#1d2021;max-width:40em">
<p style="font-weight:600">{{.Subject}}</p>
{{range .Lines}}<p>{{.}}</p>
{{end}}{{with .Items}}<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{if .Link}}<p><a href="{{.Link}}">{{.Label}}</a>{{if .WhatsApp}} · <a href="{{.WhatsApp}}">Enviar por WhatsApp</a>{{end}}</p>
{{end}}<p style="color:#666">Você recebe este e-mail porque tem acesso ao Zelo.{{if ne .Kind "link"}} O que e quando receber, escolha na página Avisos.{{end}}</p>
</body></html>
`))
