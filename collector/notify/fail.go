package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/wneessen/go-mail"
)

// failure is why a message did not arrive. Its text is for people, in pt-BR, and names
// no address.
type failure struct {
	text string
	gone bool // the same message will not arrive later, either
	dead bool // nothing will: the channel is no more
}

func (f *failure) Error() string { return f.text }

// errPrivate: an address is not of the public internet.
var errPrivate = errors.New("not an address of the public internet")

// failureOf says an error of an attempt for people.
func failureOf(err error) *failure {
	var f *failure
	var refused *mail.SendError
	var untrusted *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, errPrivate):
		return &failure{"o endereço é de uma rede interna, e este coletor só envia para a internet", true, false}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return &failure{fmt.Sprintf("o servidor não respondeu em %.0f segundos", patience.Seconds()), false, false}
	case errors.As(err, &untrusted):
		return &failure{"o certificado do servidor não é reconhecido, ou é de outro nome", false, false}
	case errors.As(err, &record):
		return &failure{"o servidor não fala TLS nesta porta", false, false}
	case errors.As(err, &name):
		return &failure{"o nome do servidor não existe, ou o DNS não respondeu", false, false}
	case errors.As(err, &refused) && refused.ErrorCode() > 0:
		return &failure{fmt.Sprintf("o servidor de e-mail recusou a mensagem (código %d)", refused.ErrorCode()), !refused.IsTemp() && refused.ErrorCode() >= 500, false}
	case errors.As(err, &network) && network.Op == "dial":
		return &failure{"não foi possível conectar ao servidor", false, false}
	}
	return &failure{"a conexão com o servidor falhou no meio do envio", false, false}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// answered is what an HTTP status means for a message.
func answered(status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGone:
		return &failure{"o servidor diz que este endereço não existe mais (410)", true, true}
	case status >= 300 && status < 400:
		return &failure{fmt.Sprintf("o servidor respondeu com um desvio (%d), que não é seguido: escreva o endereço final", status), false, false}
	}
	return &failure{fmt.Sprintf("o servidor respondeu com erro (%d)", status), false, false}
}
