package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode"

	"zelo/collector/account"
	"zelo/collector/api"
	"zelo/collector/enrol"
	"zelo/sat"
)

// openAccounts opens the people of a collector. A key that is not that of the store
// keeps nobody from selling, archiving or signing in by link, so it is only told.
func (c *collector) openAccounts(ctx context.Context) (*account.Accounts, error) {
	key, err := account.OpenKey(c.folder)
	if err != nil {
		return nil, fmt.Errorf("não foi possível abrir a chave das contas: %w", err)
	}
	accounts := account.New(c.store, key, time.Now)
	err = accounts.SealAll(ctx)
	if errors.Is(err, account.ErrKey) {
		c.log.Error("one-time codes cannot be checked", "err", err)
		err = nil
	}
	return accounts, err
}

// cmdInit makes a collector: certificate authority, database, first person, and
// at last the configuration, which marks the folder as complete.
func cmdInit(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "init")
	c := defaultConfig()
	email := fs.String("email", "", "e-mail da primeira pessoa com acesso às páginas")
	fs.StringVar(&c.Name, "nome", "", "nome ou IP pelo qual os caixas chegam a este computador")
	fs.StringVar(&c.Pages, "paginas", c.Pages, "onde as páginas atendem")
	fs.StringVar(&c.Address, "endereco", "", "como as pessoas chegam às páginas, se houver um servidor HTTPS na frente")
	fs.StringVar(&c.Enrolment, "cadastro", c.Enrolment, "onde os caixas pedem a sua identidade")
	fs.StringVar(&c.MQTT, "mqtt", c.MQTT, "onde os agentes se conectam")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = hostOf(c.MQTT)
	}
	if *email == "" {
		return errors.New("falta -email, o e-mail da primeira pessoa com acesso às páginas")
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := makeFolder(*folder, c); err != nil {
		return err
	}
	fmt.Fprintf(con.out, "Coletor criado em %s. Ponha-o em funcionamento com:\n  zelo-collector serve -pasta %s\n", *folder, *folder)
	return with(ctx, con, *folder, func(c *collector) error { return c.showLink(ctx, con, *email) })
}

func makeFolder(folder string, c Config) error {
	if _, err := os.Stat(filepath.Join(folder, configFile)); err == nil {
		return fmt.Errorf("já existe um coletor em %s; para um novo link de acesso use `zelo-collector user E-MAIL`", folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("não foi possível criar a pasta do coletor: %w", err)
	}
	if _, err := enrol.OpenCA(folder); err != nil { // one that is there was made by an init that did not end
		if _, err := enrol.CreateCA(folder, time.Now()); err != nil {
			return fmt.Errorf("não foi possível criar a autoridade certificadora do coletor: %w", err)
		}
	}
	if err := saveConfig(folder, c); err != nil {
		return fmt.Errorf("não foi possível gravar a configuração: %w", err)
	}
	return nil
}

func cmdUser(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "user")
	emails, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(emails) != 1 {
		return errors.New("escreva o e-mail da pessoa: zelo-collector user E-MAIL")
	}
	return with(ctx, con, *folder, func(c *collector) error { return c.showLink(ctx, con, emails[0]) })
}

// showLink prints a sign-in link, alone on the last line.
func (c *collector) showLink(ctx context.Context, con console, email string) error {
	secret, err := c.api.NewLink(ctx, api.CommandLine(), email)
	if err != nil {
		return fmt.Errorf("não foi possível gerar o link de acesso: %w", err)
	}
	_, err = fmt.Fprintf(con.out, "Link de acesso de %s, que vale uma única vez e por 24 horas:\n%s/entrar/%s\n", email, c.config.pagesURL(), secret)
	return err
}

func cmdEnrol(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "enrol")
	tills := fs.Int("caixas", 1, "quantos caixas podem usar o código")
	days := fs.Int("dias", 7, "por quantos dias o código vale")
	label := fs.String("nome", "", "para quem é o código: loja, técnico")
	cnpj := fs.String("cnpj", "", "estabelecimento dos caixas, se já estiver cadastrado")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return with(ctx, con, *folder, func(c *collector) error {
		e, err := c.api.Enrol(ctx, api.CommandLine(), *label, *cnpj, *tills, *days)
		if err != nil {
			return fmt.Errorf("não foi possível gerar o código de ligação: %w", err)
		}
		_, err = fmt.Fprintf(con.out, "No computador do PDV, com o agente instalado, execute:\n  zelo-agent enrol -coletor %s %s\n"+
			"Vale até %s. O código:\n%s\n", e.URL, e.Token, e.ExpiresAt.In(sat.Brasilia()).Format("02/01/2006 15:04"), e.Token)
		return err
	})
}

// cmdAlarms prints one line per open alarm, the gravest first.
func cmdAlarms(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "alarms")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return with(ctx, con, *folder, func(c *collector) error {
		open, _, err := c.api.Alarms(ctx, api.CommandLine())
		if err != nil {
			return fmt.Errorf("não foi possível ler os alarmes: %w", err)
		}
		for _, a := range open {
			if a.Explained() {
				continue
			}
			if _, err := fmt.Fprintf(con.out, "%s: %s em %s: %s\n", a.Severity, uncapital(a.Rule.Title), uncapital(a.About()), a.Detail); err != nil {
				return err
			}
		}
		return nil
	})
}

// uncapital lets a title stand within a sentence.
func uncapital(s string) string {
	r := []rune(s)
	if len(r) > 1 && unicode.IsLower(r[1]) {
		r[0] = unicode.ToLower(r[0])
	}
	return string(r)
}
