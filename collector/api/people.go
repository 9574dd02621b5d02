package api

import (
	"context"
	"errors"
	"slices"

	"zelo/collector/account"
	"zelo/collector/store"
)

// Person is somebody who may sign in, without what they sign in with.
type Person struct {
	ID       int64
	Email    string
	Name     string
	Role     store.Role
	Reseller int64 // that looks after the person; 0 is the platform
	Secured  bool  // has a password with one-time codes
	Mine     bool  // the caller may reset and drop the person
}

// Role is what a person is to the collector.
type Role = store.Role

// RoleWord says a role in pt-BR.
func RoleWord(r store.Role) string {
	switch r {
	case store.RolePlatform:
		return "plataforma"
	case store.RoleReseller:
		return "revenda"
	case store.RoleTechnician:
		return "técnico"
	case store.RoleTaxpayer:
		return "contribuinte"
	}
	return "contador"
}

// manages tells whether a caller looks after a person: the platform after all, a
// reseller after its own. To look after somebody is to be able to sign in as them.
func manages(c Caller, u store.User) bool {
	return c.Is(platform()...) || c.Is(store.RoleReseller) && u.Reseller != 0 && u.Reseller == c.Reseller() && u.Role != store.RolePlatform
}

// People lists the people that the caller sees.
func (a *API) People(ctx context.Context, c Caller) (list []Person, err error) {
	err = a.view(ctx, c, OpPeople, func(r *store.Reader) error {
		users, err := r.Users()
		for _, u := range users {
			list = append(list, Person{u.ID, u.Email, u.Name, u.Role, u.Reseller, u.Password != "", manages(c, u)})
		}
		return err
	})
	return list, err
}

// RootOf is the CNPJ root that a person typed, or that of the CNPJ; "" when it is neither.
func RootOf(text string) string {
	if text = compact(text); len(text) == 8 {
		return text
	}
	return store.RootOf(text)
}

// NewPerson is somebody to be added.
type NewPerson struct {
	Email, Name string
	Role        store.Role
	Reseller    int64  // of a reseller's people; 0 is the caller's own
	Root        string // the taxpayer that a taxpayer's or accountant's first grant is for
}

// AddPerson adds a person, who gets a sign-in link.
func (a *API) AddPerson(ctx context.Context, c Caller, p NewPerson) (Invitation, error) {
	if _, err := a.allow(c, opAddPerson); err != nil {
		return Invitation{}, err
	}
	if err := checkEmail(p.Email); err != nil {
		return Invitation{}, err
	}
	if !slices.Contains(everyone(), p.Role) || p.Role == store.RolePlatform && !c.Is(platform()...) {
		return Invitation{}, problem("Escolha o papel da pessoa.")
	}
	if len(p.Name) > 100 {
		return Invitation{}, problem("O nome tem mais de 100 letras: escreva um mais curto.")
	}
	var l account.Link
	err := a.update(ctx, c, opAddPerson, func(w *store.Writer, seen *store.Reader) error {
		u, err := newUser(c, seen, p)
		if err != nil {
			return err
		}
		if _, err := w.UserByEmail(p.Email); !errors.Is(err, ErrNotFound) {
			return cmpError(err, problem("O e-mail %s não pode ser cadastrado por aqui. A um contador que já usa o Zelo, dê acesso ao contribuinte.", p.Email))
		}
		if l, err = a.invite(w, c, u); err != nil || p.Root == "" {
			return err
		}
		if u, err = w.UserByEmail(p.Email); err != nil {
			return err
		}
		return a.give(w, c, u, p.Root)
	})
	return a.hand(ctx, l, err)
}

// cmpError is err, or other when there is none.
func cmpError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func checkEmail(email string) error {
	if account.CheckAddress(email) != nil {
		return problem("%q não é um endereço de e-mail. Escreva como em ana@exemplo.com.br.", email)
	}
	return nil
}

// newUser is a person as the caller may add them: one who sees a taxpayer is looked
// after by its reseller.
func newUser(c Caller, seen *store.Reader, p NewPerson) (store.User, error) {
	u := store.User{Email: p.Email, Name: p.Name, Role: p.Role, Reseller: p.Reseller}
	staff := p.Role != store.RoleTaxpayer && p.Role != store.RoleAccountant
	switch {
	case staff && p.Root != "":
		return u, problem("Só contribuintes e contadores veem um contribuinte escolhido: deixe o CNPJ em branco, ou escolha outro papel.")
	case p.Role == store.RolePlatform:
		u.Reseller = 0
	case staff:
		if u.Reseller == 0 {
			u.Reseller = c.Reseller()
		}
		_, err := seen.Reseller(u.Reseller)
		return u, err
	case p.Root == "":
		return u, problem("Escreva o CNPJ do contribuinte que a pessoa vai ver.")
	default:
		t, err := seen.Taxpayer(p.Root)
		u.Reseller = t.Reseller
		return u, err
	}
	return u, nil
}

// managed changes something about a person whom the caller looks after.
func (a *API) managed(ctx context.Context, c Caller, op Op, id int64, fn func(*store.Writer, store.User) error) error {
	return a.update(ctx, c, op, func(w *store.Writer, seen *store.Reader) error {
		u, err := seen.User(id)
		if err != nil {
			return err
		}
		if !manages(c, u) {
			return ErrNotFound
		}
		return fn(w, u)
	})
}

// Link gives a person a new sign-in link.
func (a *API) Link(ctx context.Context, c Caller, person int64) (Invitation, error) {
	var l account.Link
	err := a.managed(ctx, c, opLink, person, func(w *store.Writer, u store.User) (err error) {
		l, err = a.invite(w, c, u)
		return err
	})
	return a.hand(ctx, l, err)
}

// NewLink makes the secret of a sign-in link for an e-mail address, for the command
// line: an address that is new becomes a platform administrator.
func (a *API) NewLink(ctx context.Context, c Caller, email string) (secret string, err error) {
	if _, err := a.allow(c, opLink); err != nil {
		return "", err
	}
	if c != CommandLine() {
		return "", ErrNotFound
	}
	if err := checkEmail(email); err != nil {
		return "", err
	}
	return a.o.Accounts.NewLink(ctx, email, c)
}

// Reset ends every way in of a person, who gets a new sign-in link.
func (a *API) Reset(ctx context.Context, c Caller, person int64) (Invitation, error) {
	var l account.Link
	err := a.managed(ctx, c, opReset, person, func(w *store.Writer, u store.User) (err error) {
		if err := w.LockOut(u.ID, a.o.Now()); err != nil {
			return err
		}
		if err := a.note(w, c, "acesso redefinido", u.Email, ""); err != nil {
			return err
		}
		l, err = a.invite(w, c, u)
		return err
	})
	return a.hand(ctx, l, err)
}

// DropPerson takes a person away.
func (a *API) DropPerson(ctx context.Context, c Caller, person int64) error {
	return a.managed(ctx, c, opDropPerson, person, func(w *store.Writer, u store.User) error {
		if u.ID == c.User() {
			return problem("Você não pode remover a si mesmo. Peça a outra pessoa.")
		}
		if err := w.DropUser(u.ID, c.Who(), a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "pessoa removida", u.Email, "")
	})
}

// Grants lists who sees which of the caller's taxpayers beside its reseller.
func (a *API) Grants(ctx context.Context, c Caller) (list []store.Grant, err error) {
	err = a.view(ctx, c, opGrants, func(r *store.Reader) error {
		list, err = r.Grants()
		return err
	})
	return list, err
}

// Give lets an accountant see a taxpayer. An accountant who is new is added and gets a
// sign-in link. One who is looked after by another reseller gets it from the platform
// alone, becomes its own, and has to sign in anew: the other one could sign in as them.
func (a *API) Give(ctx context.Context, c Caller, root, email string) (Invitation, error) {
	if _, err := a.allow(c, OpGive); err != nil {
		return Invitation{}, err
	}
	if err := checkEmail(email); err != nil {
		return Invitation{}, err
	}
	var l account.Link
	err := a.update(ctx, c, OpGive, func(w *store.Writer, seen *store.Reader) error {
		t, err := seen.Taxpayer(root)
		if err != nil {
			return err
		}
		u, err := w.UserByEmail(email)
		switch {
		case errors.Is(err, ErrNotFound):
			u = store.User{Email: email, Role: store.RoleAccountant, Reseller: t.Reseller}
			if l, err = a.invite(w, c, u); err != nil {
				return err
			}
			if u, err = w.UserByEmail(email); err != nil {
				return err
			}
		case err != nil:
			return err
		case u.Role != store.RoleAccountant && u.Role != store.RoleTaxpayer, u.Reseller != 0 && u.Reseller != t.Reseller && !c.Is(platform()...):
			return problem("O acesso de %s não pode ser dado por aqui. Peça à plataforma.", email)
		case u.Reseller != 0 && u.Reseller != t.Reseller:
			if err := w.Rehome(u.ID, 0); err != nil {
				return err
			}
			if l, err = a.invite(w, c, u); err != nil {
				return err
			}
		}
		return a.give(w, c, u, root)
	})
	return a.hand(ctx, l, err)
}

func (a *API) give(w *store.Writer, c Caller, u store.User, root string) error {
	if err := w.Give(u.ID, root, c.Who(), a.o.Now()); err != nil {
		return err
	}
	return a.note(w, c, "acesso dado", root, u.Email)
}

// Take takes a grant back.
func (a *API) Take(ctx context.Context, c Caller, id int64) error {
	return a.update(ctx, c, opTake, func(w *store.Writer, seen *store.Reader) error {
		g, err := seen.Grant(id)
		if err != nil {
			return err
		}
		if err := w.Take(id, c.Who(), a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "acesso retirado", g.Root, g.Email)
	})
}
