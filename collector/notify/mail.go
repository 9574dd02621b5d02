package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/textproto"
	"strings"

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
		return &failure{"este coletor não tem um servidor de e-mail configurado", again}
	}
	if to == "" {
		return &failure{"a pessoa não está mais cadastrada", dead}
	}
	m, err := letter(o.From, to, uid, c)
	if err != nil {
		return &failure{"o endereço da pessoa, ou o do remetente, não serve para e-mail", gone}
	}
	options := []mail.Option{mail.WithPort(o.Port), mail.WithTimeout(patience), mail.WithoutNoop(), mail.WithDialContextFunc(o.dial(ctx)),
		mail.WithTLSPolicy(map[Security]mail.TLSPolicy{StartTLS: mail.TLSMandatory, TLS: mail.TLSOpportunistic, Clear: mail.NoTLS}[o.Security])}
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
	err = client.DialAndSendWithContext(ctx, m)
	switch {
	case m.IsDelivered():
		return nil // also when the server hung up after it
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return undelivered(err)
}

// dial connects to the server. The connection ends with ctx, for which the library looks
// only until there is one, and so whatever the server does then.
func (o *Mail) dial(ctx context.Context) mail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if o.Security != TLS {
			return conn, nil
		}
		secured := tls.Client(conn, cmp.Or(o.Config, &tls.Config{ServerName: o.Host}))
		return secured, secured.HandshakeContext(dialing)
	}
}

// undelivered says why a letter was not taken. What the server answers about the letter
// or the person is their channel's; the rest is between the collector and its server.
func undelivered(err error) *failure {
	var refused *mail.SendError
	var said *textproto.Error
	switch {
	case errors.As(err, &refused) && refused.Reason == mail.ErrSMTPMailFrom && refused.ErrorCode() > 0:
		return &failure{fmt.Sprintf("o servidor de e-mail não aceita o remetente deste coletor (código %d); quem cuida dele confere email_remetente", refused.ErrorCode()), ours}
	case errors.As(err, &refused) && refused.ErrorCode() > 0:
		fate := gone
		if refused.IsTemp() {
			fate = again
		}
		return &failure{fmt.Sprintf("o servidor de e-mail recusou a mensagem (código %d)", refused.ErrorCode()), fate}
	case errors.As(err, &said):
		return &failure{fmt.Sprintf("o servidor de e-mail não deixa este coletor entrar (código %d); quem cuida dele confere email_usuario e a senha", said.Code), ours}
	}
	return &failure{failureOf(err).text, ours}
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
