package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"zelo/sat"
)

// said is what a device answered, code and words.
func said(reply sat.Reply) string {
	text := reply.Code.String() + " " + reply.Code.Text()
	if !reply.Alert.None() {
		text += ", " + string(reply.Alert) + " " + reply.Alert.Text()
	}
	return strings.TrimSuffix(text, ".")
}

// codeOf is a reply's code; "" when there is no reply.
func codeOf(reply sat.Reply) string {
	if reply.Function == 0 {
		return ""
	}
	return reply.Code.String()
}

// plain words why a call failed.
func plain(err error) string {
	var e *sat.Error
	switch {
	case errors.As(err, &e) && e.Code != 0:
		return e.Code.String() + " " + strings.TrimSuffix(e.Code.Text(), ".")
	case errors.Is(err, sat.ErrNotSent):
		return "ele está ocupado, desligado ou tem uma venda em dúvida"
	case errors.Is(err, sat.ErrGone):
		return "ele saiu no meio da chamada"
	}
	return "a resposta não veio a tempo ou não se entende"
}

// describe are the lines of the transcript about a successful reply: nothing of
// documents but what tells which they are.
func describe(reply sat.Reply) (lines []string) {
	if reply.SEFAZMessage != "" {
		lines = append(lines, "Aviso da SEFAZ: "+string(mask([]byte(strings.TrimSpace(reply.SEFAZCode+" "+reply.SEFAZMessage)), nil)))
	}
	if s, err := reply.Status(); err == nil {
		return append(lines, describeStatus(s)...)
	}
	d, err := reply.Document()
	if err != nil {
		return lines
	}
	lines = append(lines, fmt.Sprintf("%s, sessão %06d", reply.Function, reply.Session), "Chave: "+d.Key)
	if d.Total != "" {
		lines = append(lines, "Valor: "+d.Total)
	}
	if !d.Time.IsZero() {
		lines = append(lines, "Emitido em "+d.Time.Format("02/01/2006 15:04:05"))
	}
	return lines
}

// describeStatus are the lines about a status.
func describeStatus(s sat.Status) []string {
	pending := "nenhum"
	if s.Pending() {
		pending = "de " + s.PendingFirst + " a " + s.PendingLast
	}
	return []string{
		"Estado: " + s.State.String(),
		"Rede: " + strings.Join(strings.Fields(s.LANType+" "+s.IP+" "+network(s)), " "),
		"Pendentes de envio à SEFAZ: " + pending,
		"Último contato com a SEFAZ: " + moment(s.LastContact),
		"Relógio do equipamento: " + moment(s.Now),
		"Memória em uso: " + s.MemoryUsed.Text + " de " + s.MemoryTotal.Text,
		"Certificado vence em " + day(s.CertExpires),
		"Software básico: " + s.Software,
	}
}

// network words STATUS_LAN; "" when the status does not tell.
func network(s sat.Status) string {
	switch {
	case s.Connected():
		return "conectado"
	case offline(s):
		return "desconectado"
	}
	return ""
}

// offline reports a status that says that there is no network.
func offline(s sat.Status) bool { return s.LAN != "" && !s.Connected() }

func moment(t time.Time) string {
	if t.IsZero() {
		return "não se sabe"
	}
	return t.Format("02/01/2006 15:04:05")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "não se sabe"
	}
	return t.Format("02/01/2006")
}
