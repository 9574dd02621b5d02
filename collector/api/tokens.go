package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"zelo/collector/account"
	"zelo/collector/fleet"
	"zelo/collector/store"
)

// Right is what a token needs for the operation, "" when no token may: who only reads
// changes nothing, and what a program may change stands here. Of commands it is the
// least that is needed: programMay has the rest.
func (op Operation) Right() account.Right {
	switch op.Op {
	case OpTakeAlarm, opSilence, opResolve:
		return account.RightAlarms
	case OpSendCommand, opSendMany, opCancelCommand, opCancelOrder:
		return account.RightQueries
	}
	if op.Method == "GET" {
		return account.RightRead
	}
	return ""
}

// RightWord says in pt-BR what a program may do with a right.
func RightWord(r account.Right) string {
	switch r {
	case account.RightAlarms:
		return "assumir, atribuir, silenciar e resolver alarmes"
	case account.RightQueries:
		return "dar comandos que só consultam e não atrapalham a venda"
	case account.RightCommands:
		return "dar todos os comandos que a pessoa pode dar"
	}
	return "ler"
}

// lacking is the error of a program whose token lacks a right, or "" when no token has
// what is needed. Who is shown pages finds nothing.
type lacking struct{ right account.Right }

func (l *lacking) Error() string { return "the token lacks the right " + string(l.right) }

func (l *lacking) Is(target error) bool { return target == ErrNotFound }

// Text says the error in pt-BR, with the way out.
func (l *lacking) Text() string {
	if l.right == "" {
		return "Um código de API não faz isto. Faça pelas páginas."
	}
	return "Este código de API não tem o direito " + string(l.right) + ": " + RightWord(l.right) + ". Gere outro com ele na página Conta."
}

// programMay fails when a program may not give, or cancel, a command: with the right to
// queries alone only what asks, and waits for its moment if it disturbs sales.
func programMay(c Caller, spec fleet.Spec, anyway bool) error {
	right := account.RightCommands
	if spec.Query && (spec.SaleSafe || !anyway) {
		right = account.RightQueries
	}
	if !c.Has(right) {
		return &lacking{right}
	}
	return nil
}

// TokenRight is something that a person may let a program do.
type TokenRight struct {
	Right account.Right
	Word  string // pt-BR
}

// TokenRights are what the caller may let a program do beside reading: no more than
// the caller may.
func (a *API) TokenRights(c Caller) (out []TokenRight) {
	for _, right := range account.Rights()[1:] {
		least := right
		if right == account.RightCommands {
			least = account.RightQueries
		}
		if slices.ContainsFunc(Operations(), func(op Operation) bool { return op.Right() == least && a.May(c, op.Op) }) {
			out = append(out, TokenRight{right, RightWord(right)})
		}
	}
	return out
}

// APIToken is a token of a program, without its secret.
type APIToken struct {
	store.APIToken
	Rights []account.Right // reading first
}

// Words says in pt-BR what the program may do.
func (t APIToken) Words() string {
	return strings.Join(each(t.Rights, RightWord), "; ")
}

// APITokens lists the tokens of programs that act for the caller.
func (a *API) APITokens(ctx context.Context, c Caller) (list []APIToken, err error) {
	err = a.view(ctx, c, OpAPITokens, func(r *store.Reader) error {
		found, err := r.APITokens(c.User())
		for _, t := range found {
			one := APIToken{t, []account.Right{account.RightRead}}
			for _, word := range strings.Fields(t.Rights) {
				one.Rights = append(one.Rights, account.Right(word))
			}
			list = append(list, one)
		}
		return err
	})
	return list, err
}

// NewToken is a token to be made.
type NewToken struct {
	Label  string // what program it is for
	Root   string // or CNPJ of the one taxpayer that it sees; "" for all that the person sees
	Rights string // words of account.Right, with blanks or commas between them
	Days   int    // that it is good for
}

func errNoTaxpayer() error {
	return problem("Nenhum contribuinte entre os que você vê tem este CNPJ. Escreva os 14 dígitos, ou os 8 primeiros.")
}

// check puts the wish into the form in which the store keeps it, or says, as a Problem,
// what is wrong with it.
func (a *API) check(c Caller, n *NewToken) (err error) {
	if n.Label, err = named(n.Label); err != nil {
		return err
	}
	if n.Days < 1 || n.Days > maxDays {
		return problem("Escreva por quantos dias o código vale: de 1 a %d.", maxDays)
	}
	if c.User() == 0 {
		return problem("A linha de comando não precisa de código. Entre nas páginas para gerar um.")
	}
	words := strings.Fields(strings.ReplaceAll(n.Rights, ",", " "))
	words = slices.DeleteFunc(words, func(word string) bool { return word == string(account.RightRead) })
	may := a.TokenRights(c)
	for _, word := range words {
		if !slices.ContainsFunc(may, func(r TokenRight) bool { return string(r.Right) == word }) {
			return problem("O direito %q não existe, ou não é seu para dar a um programa.", word)
		}
	}
	slices.Sort(words)
	n.Rights = strings.Join(slices.Compact(words), " ")
	if n.Root == "" {
		n.Root = c.Narrowed()
	} else if n.Root = RootOf(n.Root); n.Root == "" {
		return errNoTaxpayer()
	}
	return nil
}

// NewAPIToken makes a token for a program that acts as the caller. It is told once.
func (a *API) NewAPIToken(ctx context.Context, c Caller, n NewToken) (secret string, err error) {
	if _, err := a.allow(c, opNewAPIToken); err != nil {
		return "", err
	}
	if err := a.check(c, &n); err != nil {
		return "", err
	}
	secret = account.NewToken()
	err = a.update(ctx, c, opNewAPIToken, func(w *store.Writer, seen *store.Reader) error {
		if n.Root != "" {
			if _, err := seen.Taxpayer(n.Root); errors.Is(err, ErrNotFound) {
				return errNoTaxpayer()
			} else if err != nil {
				return err
			}
		}
		now := a.o.Now()
		t := store.APIToken{User: c.User(), Label: n.Label, Root: n.Root, Rights: n.Rights, CreatedAt: now, ExpiresAt: now.AddDate(0, 0, n.Days)}
		if err := w.AddAPIToken(secret, t); err != nil {
			return err
		}
		return a.note(w, c, "novo código de API", n.Label, strings.TrimSpace(n.Rights+" "+n.Root))
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RevokeAPIToken ends a token of the caller's.
func (a *API) RevokeAPIToken(ctx context.Context, c Caller, id int64) error {
	return a.update(ctx, c, opRevokeAPIToken, func(w *store.Writer, seen *store.Reader) error {
		list, err := seen.APITokens(c.User())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(t store.APIToken) bool { return t.ID == id })
		if i < 0 {
			return ErrNotFound
		}
		if err := w.RevokeAPIToken(id, c.User(), a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "código de API revogado", list[i].Label, "")
	})
}
