package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"zelo/collector/store"
)

// Subject is what the collector holds of one person: as a consumer, and as somebody
// who signs in.
type Subject struct {
	Consumer  string   // CPF or CNPJ in full, "" when it was not asked for
	Documents []Listed // that name the consumer, newest first, as far as the caller sees them
	More      bool     // there are more than are listed
	Person    *Person  // who signs in; nil when nobody does or it was not asked for
	Acts      []store.Audit
	At        time.Time
}

// What a report lists at most.
const (
	subjectDocuments = 5000
	subjectActs      = 1000
)

// KeptByLaw says why documents are not erased, in the words that a person is told. That
// data is kept for a legal duty is LGPD, article 16, I; the times are those of the
// dossiers on CF-e (what remains of the obligations) and on NFC-e (retention), where
// the collector's own may be longer.
const KeptByLaw = "Os documentos fiscais não podem ser apagados nem alterados a pedido: são guardados por obrigação legal do contribuinte (LGPD, art. 16, I), " +
	"em regra por cinco anos além do ano da emissão (CF-e) e por 132 meses (NFC-e, Ajuste SINIEF 2/2025). Vencido o prazo, são apagados com tudo o que dizem do consumidor."

// Subject tells what is held of a person, by a CPF, an e-mail address or both. It is
// recorded, with the CPF masked.
func (a *API) Subject(ctx context.Context, c Caller, consumer, email string) (s Subject, err error) {
	if _, err := a.allow(c, OpSubject); err != nil {
		return s, err
	}
	s.Consumer, s.At, email = compact(consumer), a.o.Now(), strings.TrimSpace(email)
	if n := len(s.Consumer); s.Consumer+email == "" || n != 0 && n != 11 && n != 14 {
		return s, problem("Escreva o CPF (11 dígitos), o e-mail da pessoa, ou os dois.")
	}
	if email != "" {
		if err := checkEmail(email); err != nil {
			return s, err
		}
	}
	if err := a.record(ctx, c, OpSubject, "relatório do titular", MaskConsumer(s.Consumer), ""); err != nil {
		return s, err
	}
	err = a.view(ctx, c, OpSubject, func(r *store.Reader) error {
		if s.Consumer != "" {
			if err := s.readDocuments(r); err != nil {
				return err
			}
		}
		if email == "" {
			return nil
		}
		return s.readPerson(r, c, email)
	})
	s.Consumer = Register(s.Consumer)
	return s, err
}

func (s *Subject) readDocuments(r *store.Reader) error {
	q := store.Search{Consumer: s.Consumer}
	for {
		found, next, err := r.Search(q)
		if err != nil {
			return err
		}
		listed, err := listAll(r, found)
		if err != nil {
			return err
		}
		s.Documents = append(s.Documents, listed...)
		if s.More = next != "" && len(s.Documents) >= subjectDocuments; s.More || next == "" {
			return nil
		}
		q.After = next
	}
}

func (s *Subject) readPerson(r *store.Reader, c Caller, email string) error {
	u, err := r.UserByEmail(email)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Person = &Person{u.ID, u.Email, u.Name, u.Role, u.Reseller, u.Password != "", manages(c, u)}
	lines, err := r.ListAudit(store.AuditSearch{Who: u.Email, Limit: subjectActs})
	for _, l := range lines {
		if l.User == u.ID {
			s.Acts = append(s.Acts, l)
		}
	}
	return err
}

// Erase takes a person away with their name, address and sign-ins. The audit keeps
// what they did under a number that says nothing of them.
func (a *API) Erase(ctx context.Context, c Caller, person int64) error {
	return a.managed(ctx, c, OpErase, person, func(w *store.Writer, u store.User) error {
		if u.ID == c.User() {
			return problem("Você não pode apagar a si mesmo. Peça a outra pessoa.")
		}
		if err := w.EraseUser(u, a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "dados pessoais apagados", store.Pseudonym(u.ID), "")
	})
}

// The operations about personal data.
const (
	OpSubject Op = "subjects"
	OpErase   Op = "people.erase"
)

func subjects() []Operation {
	answerers := []store.Role{store.RolePlatform, store.RoleTaxpayer}
	return []Operation{
		{OpSubject, "POST", "/subjects", answerers, "", par("consumer", "text", "email", "text"), subjectAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(saySubject)(a.Subject(ctx, c, in.Values["consumer"], in.Values["email"]))
			}},
		{OpErase, "POST", "/people/{person}/erase", heads(), "", par("person", "person"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Erase(ctx, c, in.number("person"))
			}},
	}
}

type subjectAnswer struct {
	Consumer  string                  `json:"consumer,omitempty"`
	Documents []subjectDocumentAnswer `json:"documents" doc:"Em que a pessoa é o consumidor."`
	More      bool                    `json:"more" doc:"Há mais do que está na lista."`
	Person    *personAnswer           `json:"person,omitempty" doc:"A conta com que a pessoa entra."`
	Acts      []subjectActAnswer      `json:"acts" doc:"O que a auditoria diz que a pessoa fez."`
	KeptByLaw string                  `json:"keptByLaw" doc:"Por que documentos fiscais não são apagados a pedido."`
}

type subjectDocumentAnswer struct {
	Key    string    `json:"key"`
	Issued time.Time `json:"issued"`
	Issuer string    `json:"issuer"`
	Name   string    `json:"issuerName"`
	Total  string    `json:"total"`
}

type subjectActAnswer struct {
	At  time.Time `json:"at"`
	Act string    `json:"act"`
}

func saySubject(s Subject) subjectAnswer {
	out := subjectAnswer{Consumer: s.Consumer, More: s.More, KeptByLaw: KeptByLaw,
		Documents: each(s.Documents, func(d Listed) subjectDocumentAnswer {
			return subjectDocumentAnswer{d.Key, d.Issued.UTC(), d.Issuer, d.IssuerName, d.Total}
		}),
		Acts: each(s.Acts, func(l store.Audit) subjectActAnswer { return subjectActAnswer{l.At.UTC(), l.Act} })}
	if s.Person != nil {
		p := sayPerson(*s.Person)
		out.Person = &p
	}
	return out
}
