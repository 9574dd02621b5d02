package api

import (
	"time"

	"zelo/collector/account"
	"zelo/collector/store"
)

type enrolmentsAnswer struct {
	Tokens []enrolmentAnswer `json:"tokens" doc:"Os mais novos primeiro."`
}

type enrolmentAnswer struct {
	ID        int64     `json:"id"`
	Standing  bool      `json:"standing" doc:"Computadores ainda podem usá-lo."`
	Agents    []string  `json:"agents" doc:"Agentes que se ligaram com ele."`
	Label     string    `json:"label"`
	CNPJ      string    `json:"cnpj,omitempty" doc:"Do estabelecimento dos caixas."`
	Allowed   int       `json:"allowed" doc:"Quantos computadores podem usá-lo."`
	Used      int       `json:"used"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func sayEnrolments(list []Enrolled) enrolmentsAnswer {
	return enrolmentsAnswer{each(list, func(t Enrolled) enrolmentAnswer {
		return enrolmentAnswer{t.ID, t.Standing, each(t.Agents, func(g store.Agent) string { return g.ID }), t.Label, t.CNPJ, t.Allowed, t.Used, t.CreatedAt.UTC(), t.ExpiresAt.UTC()}
	})}
}

type newEnrolmentAnswer struct {
	Label     string    `json:"label"`
	Token     string    `json:"token" doc:"Mostrado só agora."`
	URL       string    `json:"url" doc:"Onde o caixa pede a sua identidade."`
	Allowed   int       `json:"allowed"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func sayNewEnrolment(e Enrolment) newEnrolmentAnswer {
	return newEnrolmentAnswer{e.Label, e.Token, e.URL, e.Allowed, e.ExpiresAt.UTC()}
}

type resellersAnswer struct {
	Resellers []resellerAnswer `json:"resellers"`
}

type resellerAnswer struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

func sayResellers(list []store.Reseller) resellersAnswer {
	return resellersAnswer{each(list, func(r store.Reseller) resellerAnswer { return resellerAnswer{r.ID, r.Name, r.CreatedAt.UTC()} })}
}

// idAnswer names what was made.
type idAnswer struct {
	ID int64 `json:"id"`
}

func sayID(id int64) idAnswer { return idAnswer{id} }

type clientsAnswer struct {
	Taxpayers []taxpayerAnswer `json:"taxpayers"`
	Next      string           `json:"next,omitempty" doc:"O que dar em after para a página seguinte; falta na última."`
}

type taxpayerAnswer struct {
	Root           string                `json:"root" doc:"Raiz do CNPJ: os 8 primeiros."`
	Name           string                `json:"name"`
	Reseller       int64                 `json:"reseller"`
	Tills          int                   `json:"tills"`
	Establishments []establishmentAnswer `json:"establishments"`
}

type establishmentAnswer struct {
	CNPJ string `json:"cnpj"`
	Name string `json:"name"`
	City string `json:"city,omitempty"`
	Plan string `json:"plan" enum:"LITE,PRO"`
}

func sayClients(c Clients) clientsAnswer {
	return clientsAnswer{each(c.Taxpayers, sayClient), c.Next}
}

func sayClient(t Client) taxpayerAnswer {
	return taxpayerAnswer{t.Root, t.Name, t.Reseller, t.Tills, each(t.Establishments, func(e store.Establishment) establishmentAnswer {
		return establishmentAnswer{e.CNPJ, e.Name, e.City, string(e.Plan)}
	})}
}

type peopleAnswer struct {
	People []personAnswer `json:"people"`
}

type personAnswer struct {
	ID       int64  `json:"id"`
	Email    string `json:"email"`
	Name     string `json:"name,omitempty"`
	Role     string `json:"role" enum:"plataforma,revenda,tecnico,contribuinte,contador"`
	Reseller int64  `json:"reseller,omitempty" doc:"Revenda que cuida da pessoa; falta na plataforma."`
	Secured  bool   `json:"secured" doc:"Entra com senha e código."`
	Mine     bool   `json:"mine" doc:"Quem pergunta cuida dela."`
}

func sayPeople(list []Person) peopleAnswer {
	return peopleAnswer{each(list, sayPerson)}
}

func sayPerson(p Person) personAnswer {
	return personAnswer{p.ID, p.Email, p.Name, string(p.Role), p.Reseller, p.Secured, p.Mine}
}

// linkAnswer is what became of a sign-in link; nobody may have needed one.
type linkAnswer struct {
	Link    string `json:"link,omitempty" doc:"Caminho do link de acesso, mostrado só agora; falta quando foi por e-mail."`
	Sent    string `json:"sent,omitempty" doc:"O e-mail para o qual o link foi."`
	Problem string `json:"problem,omitempty" doc:"Por que o e-mail não saiu."`
}

func sayLink(i Invitation) linkAnswer { return linkAnswer{i.Link(), i.Sent, i.Problem} }

type grantsAnswer struct {
	Grants []grantAnswer `json:"grants"`
}

type grantAnswer struct {
	ID      int64     `json:"id"`
	Person  int64     `json:"person"`
	Email   string    `json:"email"`
	Root    string    `json:"root" doc:"Raiz do CNPJ do contribuinte."`
	Name    string    `json:"name" doc:"Do contribuinte."`
	GivenAt time.Time `json:"givenAt"`
	GivenBy string    `json:"givenBy"`
}

func sayGrants(list []store.Grant) grantsAnswer {
	return grantsAnswer{each(list, func(g store.Grant) grantAnswer {
		return grantAnswer{g.ID, g.User, g.Email, g.Root, g.Name, g.GivenAt.UTC(), g.GivenBy}
	})}
}

type apiTokensAnswer struct {
	Tokens []apiTokenAnswer `json:"tokens"`
}

type apiTokenAnswer struct {
	ID        int64     `json:"id"`
	Label     string    `json:"label"`
	Root      string    `json:"root,omitempty" doc:"O único contribuinte que vê; falta quando vê tudo o que a pessoa vê."`
	Rights    []string  `json:"rights" doc:"O que pode fazer: read, alarms, queries, commands."`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	UsedAt    time.Time `json:"usedAt,omitzero" doc:"O último dia em que foi usado."`
}

func sayAPITokens(list []APIToken) apiTokensAnswer {
	return apiTokensAnswer{each(list, func(t APIToken) apiTokenAnswer {
		rights := each(t.Rights, func(r account.Right) string { return string(r) })
		return apiTokenAnswer{t.ID, t.Label, t.Root, rights, t.CreatedAt.UTC(), t.ExpiresAt.UTC(), t.UsedAt.UTC()}
	})}
}

type newAPITokenAnswer struct {
	Token string `json:"token" doc:"Mostrado só agora."`
}

func sayNewAPIToken(secret string) newAPITokenAnswer { return newAPITokenAnswer{secret} }

type auditAnswer struct {
	Lines []auditLineAnswer `json:"lines" doc:"As mais novas primeiro, no máximo 100."`
	Next  string            `json:"next,omitempty" doc:"O valor de after para a página seguinte; falta na última."`
}

type auditLineAnswer struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Who    string    `json:"who" doc:"E-mail da pessoa, ou coletor para a linha de comando."`
	Person int64     `json:"person,omitempty"`
	Token  string    `json:"token,omitempty" doc:"O código de API com que um programa o fez; falta quando foi a própria pessoa."`
	Act    string    `json:"act"`
	Object string    `json:"object,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

func sayAudit(p AuditPage) auditAnswer {
	return auditAnswer{each(p.Lines, func(l store.Audit) auditLineAnswer {
		return auditLineAnswer{l.ID, l.At.UTC(), l.Who, l.User, l.Token, l.Act, l.Object, l.Detail}
	}), p.Next}
}
