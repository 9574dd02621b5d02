package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// failure is why a message did not arrive. Its text is for people, in pt-BR, and names
// no address.
type failure struct {
	text string
	fate fate
}

// fate is what a failure means for what comes after it.
type fate int

const (
	again fate = iota // the same message may arrive later
	ours              // it may, and the channel has no part in the failure
	gone              // it will not
	dead              // nothing will: the channel is no more
)

func (f *failure) Error() string { return f.text }

// errPrivate: an address is not of the public internet.
var errPrivate = errors.New("not an address of the public internet")

// failureOf says an error of an attempt for people.
func failureOf(err error) *failure {
	var f *failure
	var untrusted *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, errPrivate):
		return &failure{"o endereço é de uma rede interna, e este coletor só envia para a internet", gone}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return &failure{fmt.Sprintf("o servidor não respondeu em %.0f segundos", patience.Seconds()), again}
	case errors.As(err, &untrusted):
		return &failure{"o certificado do servidor não é reconhecido, ou é de outro nome", again}
	case errors.As(err, &record):
		return &failure{"o servidor não fala TLS nesta porta", again}
	case errors.As(err, &name):
		return &failure{"o nome do servidor não existe, ou o DNS não respondeu", again}
	case errors.As(err, &network) && network.Op == "dial":
		return &failure{"não foi possível conectar ao servidor", again}
	}
	return &failure{"a conexão com o servidor falhou no meio do envio", again}
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
		return &failure{"o servidor diz que este endereço não existe mais (410)", dead}
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return &failure{fmt.Sprintf("o servidor recusou o conteúdo da mensagem (%d)", status), gone}
	case status >= 300 && status < 400:
		return &failure{fmt.Sprintf("o servidor respondeu com um desvio (%d), que não é seguido: escreva o endereço final", status), again}
	}
	return &failure{fmt.Sprintf("o servidor respondeu com erro (%d)", status), again}
}
