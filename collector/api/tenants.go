package api

import (
	"context"
	"errors"
	"strings"

	"zelo/collector/store"
)

// Resellers lists the resellers: all of them, or the caller's own.
func (a *API) Resellers(ctx context.Context, c Caller) (list []store.Reseller, err error) {
	err = a.view(ctx, c, opResellers, func(r *store.Reader) error {
		list, err = r.Resellers()
		return err
	})
	return list, err
}

// AddReseller registers a reseller and returns its number.
func (a *API) AddReseller(ctx context.Context, c Caller, name string) (id int64, err error) {
	name, err = named(name)
	if _, denied := a.allow(c, OpAddReseller); denied != nil || err != nil {
		return 0, errors.Join(denied, err)
	}
	err = a.update(ctx, c, OpAddReseller, func(w *store.Writer, _ *store.Reader) error {
		if id, err = w.AddReseller(name, a.o.Now()); errors.Is(err, ErrNotFound) {
			return problem("Já existe uma revenda com o nome %q. Escolha outro.", name)
		} else if err != nil {
			return err
		}
		return a.note(w, c, "nova revenda", name, "")
	})
	return id, err
}

// named is a name as it is kept.
func named(s string) (string, error) {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" || len(s) > 100 {
		return "", problem("Escreva um nome de 1 a 100 letras.")
	}
	return s, nil
}

// Client is a taxpayer with the tills that are known of it.
type Client struct {
	store.Taxpayer
	Tills int
}

// Clients is one page of the taxpayers that a caller sees.
type Clients struct {
	Taxpayers []Client // by name
	Next      string   // mark of the next page, "" on the last
}

// clientsShown is how many taxpayers a page has.
const clientsShown = 50

// Taxpayers finds taxpayers that the caller sees by part of a CNPJ, name or town; after
// is the mark of the page, "" for the first.
func (a *API) Taxpayers(ctx context.Context, c Caller, text, after string) (out Clients, err error) {
	err = a.view(ctx, c, opTaxpayers, func(r *store.Reader) error {
		list, more, err := r.SearchTaxpayers(store.Clients{Text: text, After: after, Limit: clientsShown})
		if err != nil {
			return err
		}
		for _, t := range list {
			n, err := r.CountTills(t.Root)
			if err != nil {
				return err
			}
			out.Taxpayers = append(out.Taxpayers, Client{t, n})
			out.Next = t.Root
		}
		if !more {
			out.Next = ""
		}
		return nil
	})
	return out, err
}

// ClientPage is one taxpayer with who sees it.
type ClientPage struct {
	Client
	Reseller string        // its name, "" to those who see none
	Grants   []store.Grant // of people beside the reseller's
}

// Taxpayer returns one taxpayer by its CNPJ root.
func (a *API) Taxpayer(ctx context.Context, c Caller, root string) (p ClientPage, err error) {
	err = a.view(ctx, c, opTaxpayer, func(r *store.Reader) error {
		if p.Taxpayer, err = r.Taxpayer(root); err != nil {
			return err
		}
		if p.Establishments, err = r.Establishments(root); err != nil {
			return err
		}
		if p.Tills, err = r.CountTills(root); err != nil {
			return err
		}
		of, err := r.Reseller(p.Taxpayer.Reseller)
		if p.Reseller = of.Name; err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if !a.May(c, opGrants) {
			return nil
		}
		p.Grants, err = r.GrantsOf(root)
		return err
	})
	return p, err
}

// Describe changes the name and the town of an establishment, by which people find it.
func (a *API) Describe(ctx context.Context, c Caller, cnpj, name, city string) error {
	name, err := named(name)
	city = strings.Join(strings.Fields(city), " ")
	if _, denied := a.allow(c, OpDescribe); denied != nil || err != nil {
		return errors.Join(denied, err)
	}
	if len(city) > 100 {
		return problem("A cidade tem mais de 100 letras: escreva só o nome.")
	}
	return a.update(ctx, c, OpDescribe, func(w *store.Writer, seen *store.Reader) error {
		e, err := seen.Establishment(compact(cnpj))
		if err != nil {
			return err
		}
		e.Name, e.City = name, city
		if err := w.NameEstablishment(e); err != nil {
			return err
		}
		return a.note(w, c, "estabelecimento renomeado", e.CNPJ, "")
	})
}

// The operations about one client.
const (
	opTaxpayer Op = "taxpayers.one"
	OpDescribe Op = "establishments.name"
)

func clients() []Operation {
	return []Operation{
		{opTaxpayer, "GET", "/taxpayers/{root}", everyone(), "", par("root", "taxpayer"), taxpayerAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(func(p ClientPage) taxpayerAnswer { return sayClient(p.Client) })(a.Taxpayer(ctx, c, in.Values["root"]))
			}},
		{OpDescribe, "POST", "/establishments/{cnpj}/name", heads(), "", par("cnpj", "establishment", "name", "text", "city", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Describe(ctx, c, in.Values["cnpj"], in.Values["name"], in.Values["city"])
			}},
	}
}

// AddTaxpayer registers the taxpayer of a CNPJ, with that establishment, for a
// reseller: the caller's own when reseller is 0. A reseller may register one that
// nobody has and whose documents, if any are here, all came by its own tills.
func (a *API) AddTaxpayer(ctx context.Context, c Caller, cnpj, name string, reseller int64) error {
	if _, err := a.allow(c, OpAddTaxpayer); err != nil {
		return err
	}
	cnpj = compact(cnpj)
	if len(cnpj) != 14 {
		return problem("O CNPJ tem 14 dígitos ou letras. Confira se falta ou sobra algum.")
	}
	name, err := named(name)
	if err != nil {
		return err
	}
	if reseller == 0 {
		reseller = c.Reseller()
	}
	taken := problem("O CNPJ %s não pode ser cadastrado por aqui: confira os números ou peça à plataforma.", Register(cnpj))
	return a.update(ctx, c, OpAddTaxpayer, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Reseller(reseller); err != nil {
			return err
		}
		root := store.RootOf(cnpj)
		if _, err := seen.Taxpayer(root); errors.Is(err, ErrNotFound) {
			if !c.Is(platform()...) {
				if only, err := w.OnlyBroughtBy(root, reseller); err != nil || !only {
					return cmpError(err, taken)
				}
			}
			err = w.AddTaxpayer(store.Taxpayer{Root: root, Name: name, Reseller: reseller, CreatedAt: a.o.Now()})
			if errors.Is(err, ErrNotFound) {
				return taken
			}
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if err := w.AddEstablishment(store.Establishment{CNPJ: cnpj, Root: root, Name: name}); err != nil {
			return err
		}
		return a.note(w, c, "novo contribuinte", cnpj, "")
	})
}

// MoveTaxpayer gives a taxpayer with its archive to another reseller; the one
// before does not see it any more.
func (a *API) MoveTaxpayer(ctx context.Context, c Caller, root string, reseller int64) error {
	return a.update(ctx, c, OpMoveTaxpayer, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Taxpayer(root); err != nil {
			return err
		}
		to, err := seen.Reseller(reseller)
		if err != nil {
			return err
		}
		if err := w.MoveTaxpayer(root, reseller, a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "contribuinte mudou de revenda", root, "para "+to.Name)
	})
}

// SetPlan changes what an establishment pays for.
func (a *API) SetPlan(ctx context.Context, c Caller, cnpj string, plan store.Plan) error {
	return a.update(ctx, c, OpSetPlan, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Establishment(compact(cnpj)); err != nil {
			return err
		}
		if plan != store.PlanLite && plan != store.PlanPro {
			return problem("O plano é LITE ou PRO.")
		}
		if err := w.SetPlan(compact(cnpj), plan); err != nil {
			return err
		}
		return a.note(w, c, "plano", compact(cnpj), string(plan))
	})
}

// Identify says whose establishment a till is at.
func (a *API) Identify(ctx context.Context, c Caller, till, cnpj string) error {
	return a.update(ctx, c, OpIdentify, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Agent(till); err != nil {
			return err
		}
		if _, err := seen.Establishment(compact(cnpj)); err != nil {
			return err
		}
		if err := w.SetEstablishment(till, compact(cnpj)); err != nil {
			return err
		}
		return a.note(w, c, "caixa identificado", "agente "+till, compact(cnpj))
	})
}
