package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"zelo/collector/account"
	"zelo/collector/notify"
)

// checkMail says which setting of e-mails is wrong and what it may be.
func (c Config) checkMail() error {
	host, port, err := net.SplitHostPort(c.MailServer)
	security := notify.Security(c.MailSecurity)
	switch {
	case !slices.Contains([]notify.Security{notify.StartTLS, notify.TLS, notify.Clear}, security):
		return errors.New("email_seguranca: use starttls, tls ou nenhuma")
	case c.MailServer == "":
		return nil
	case err != nil || host == "" || port == "":
		return errors.New("email_servidor: escreva servidor:porta, como em smtp.exemplo.com.br:587")
	case account.CheckAddress(c.MailFrom) != nil:
		return errors.New("email_remetente: escreva o endereço do qual os avisos partem, como em avisos@exemplo.com.br")
	case security == notify.Clear && host != "localhost" && !net.ParseIP(host).IsLoopback():
		return errors.New("email_seguranca: nenhuma só serve para um servidor neste computador; use starttls ou tls")
	case c.MailPassword != "" && c.MailSecret != "":
		return errors.New("email_senha e email_senha_arquivo: escreva só um dos dois")
	}
	return nil
}

// mail is the server that sends e-mails; nil without one.
func (c Config) mail() (*notify.Mail, error) {
	if c.MailServer == "" {
		return nil, nil
	}
	host, port, _ := net.SplitHostPort(c.MailServer)
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("email_servidor: a porta %q não é um número", port)
	}
	password := c.MailPassword
	if c.MailSecret != "" {
		raw, err := os.ReadFile(c.MailSecret)
		if err != nil {
			return nil, fmt.Errorf("não foi possível ler a senha do e-mail: %w", err)
		}
		password = strings.TrimSpace(string(raw))
	}
	return &notify.Mail{Host: host, Port: n, Security: notify.Security(c.MailSecurity), User: c.MailUser, Password: password, From: c.MailFrom}, nil
}

// openNotifier makes what tells people of alarms. Its secrets come from the key of the
// accounts, which is in the backup and the same in all collectors of a database.
func (c *collector) openNotifier() (*notify.Notifier, error) {
	mail, err := c.config.mail()
	if err != nil {
		return nil, err
	}
	accounts, err := account.OpenKey(c.folder)
	if err != nil {
		return nil, fmt.Errorf("não foi possível abrir a chave das contas: %w", err)
	}
	key, err := hkdf.Key(sha256.New, accounts[:], nil, "zelo notify", 32)
	if err != nil {
		return nil, err
	}
	return notify.New(notify.Options{Store: c.store, Key: [32]byte(key), Scope: account.ScopeOf, Mail: mail, Pages: c.config.pagesURL(),
		Private: c.config.PrivateHooks, Log: c.log, Now: time.Now})
}
