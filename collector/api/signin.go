package api

import (
	"context"
	"errors"
	"time"

	"zelo/collector/account"
)

// CodeNeeded: a sign-in link that went by e-mail also wants the one-time code of the
// person's app. Text says what is wrong with the one given, in pt-BR; "" when none was.
type CodeNeeded struct{ Text string }

func (c *CodeNeeded) Error() string { return "a one-time code is needed: " + c.Text }

// signInProblem says an error of account for the person at the entrance.
func signInProblem(err error) error {
	switch {
	case errors.Is(err, account.ErrLink):
		return problem("Este link de acesso não existe, já foi usado ou venceu. Peça outro pela página de entrada, ou a quem cuida do coletor: zelo-collector user E-MAIL.")
	case errors.Is(err, account.ErrTooMany):
		return &Busy{"Muitas tentativas de entrar a partir deste endereço. Aguarde um minuto e tente de novo.", time.Minute}
	case errors.Is(err, account.ErrCredentials):
		return problem("O e-mail, a senha ou o código não conferem. Confira os três e use o código que o aplicativo mostra agora. Depois de cinco erros seguidos a conta espera um minuto ou mais; um link que quem cuida do servidor gera a libera.")
	case errors.Is(err, account.ErrCodeNeeded):
		return &CodeNeeded{}
	case errors.Is(err, account.ErrCode):
		return &CodeNeeded{"O código não confere, e o link continua valendo. Escreva o código que o aplicativo mostra agora. Depois de cinco erros seguidos a conta espera um minuto ou mais."}
	}
	return err
}

// SignIn uses a sign-in link up and opens a session. Code is the one-time code, "" when
// none was asked for. From is the address of the browser. It fails with a CodeNeeded,
// which leaves the link, or a Problem.
func (a *API) SignIn(ctx context.Context, secret, code, from string) (session string, err error) {
	session, err = a.o.Accounts.SignIn(ctx, secret, code, from)
	return session, signInProblem(err)
}

// SignInWith opens a session for an address, its password and a one-time code.
func (a *API) SignInWith(ctx context.Context, email, password, code, from string) (session string, err error) {
	session, err = a.o.Accounts.SignInWith(ctx, email, password, code, from)
	return session, signInProblem(err)
}

// CallerOf is the caller of a session.
func (a *API) CallerOf(ctx context.Context, session string) (Caller, error) {
	return a.o.Accounts.Caller(ctx, session)
}

// CallerOfToken is the caller of an API token.
func (a *API) CallerOfToken(ctx context.Context, secret string) (Caller, error) {
	return a.o.Accounts.CallerOfToken(ctx, secret)
}

// SignOut ends a session.
func (a *API) SignOut(ctx context.Context, session string) error {
	return a.o.Accounts.SignOut(ctx, session)
}

// Password is what a person who sets one gives.
type Password struct {
	Old    string // "" while there is none
	New    string
	Secret string // of the one-time codes, as NewCodes made it
	Code   string // one of them
}

// Codes are a new secret of one-time codes, and as an app on a phone takes it.
type Codes struct{ Secret, Address string }

// NewCodes makes the secret of a caller's one-time codes.
func (a *API) NewCodes(c Caller) Codes {
	return CodesOf(c, account.NewTOTP())
}

// CodesOf are the codes of a secret that was shown already.
func CodesOf(c Caller, secret string) Codes {
	return Codes{secret, account.TOTPAddress(secret, c.Who())}
}

// SetPassword gives the caller a password with one-time codes.
func (a *API) SetPassword(ctx context.Context, c Caller, p Password) error {
	if _, err := a.allow(c, opSetPassword); err != nil {
		return err
	}
	err := a.o.Accounts.SetPassword(ctx, c, p.Old, p.New, p.Secret, p.Code)
	switch {
	case errors.Is(err, account.ErrPassword):
		return problem("A senha tem de ter pelo menos %d letras ou sinais, e no máximo 200.", account.MinPassword)
	case errors.Is(err, account.ErrCode):
		return problem("O código não confere com a chave mostrada. Confira se o relógio do telefone está certo e escreva o código que o aplicativo mostra agora.")
	case errors.Is(err, account.ErrCredentials):
		return problem("A senha de agora não confere. Escreva-a de novo; se não a souber, peça que redefinam o seu acesso.")
	}
	return err
}
