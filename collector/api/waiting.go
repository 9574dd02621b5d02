package api

import (
	"context"
	"fmt"

	"zelo/collector/store"
)

// WaitingTill is a till that nobody's establishment has yet.
type WaitingTill struct {
	store.Unidentified
	Reason string // why it does not identify itself, pt-BR
}

// Name is what people call the till.
func (t WaitingTill) Name() string { return Till{Till: store.Till{Agent: t.Agent}}.Name() }

// WaitingEmitter is a CNPJ whose coupons come and that nobody registered.
type WaitingEmitter struct {
	store.Emitter
	May    bool   // the caller may register it
	Reason string // what it waits for, pt-BR
}

// ToIdentify is what waits for a person to say whose it is.
type ToIdentify struct {
	Tills    []WaitingTill    // newest first
	Emitters []WaitingEmitter // newest first
}

// ToIdentify lists the caller's tills without establishment and the emitters that these
// bring coupons of and nobody registered. What is another reseller's is not in it.
func (a *API) ToIdentify(ctx context.Context, c Caller) (out ToIdentify, err error) {
	err = a.view(ctx, c, OpWaiting, func(r *store.Reader) error {
		tills, err := r.Unidentified()
		if err != nil {
			return err
		}
		for _, t := range tills {
			out.Tills = append(out.Tills, WaitingTill{t, reasonOf(t)})
		}
		emitters, err := r.Emitters()
		for _, e := range emitters {
			w := WaitingEmitter{Emitter: e, May: c.Is(platform()...), Reason: "Os cupons ficam guardados e só a plataforma os vê até alguém cadastrar este CNPJ."}
			if !w.May && c.Is(heads()...) {
				if w.May, err = r.OnlyBroughtBy(store.RootOf(e.CNPJ), c.Reseller()); err != nil {
					return err
				}
			}
			if !w.May {
				w.Reason = "Há documentos deste CNPJ que não vieram dos seus caixas: peça à plataforma que o cadastre."
			}
			out.Emitters = append(out.Emitters, w)
		}
		return err
	})
	return out, err
}

// reasonOf says why a till does not identify itself.
func reasonOf(t store.Unidentified) string {
	switch {
	case len(t.May)+t.Hidden == 0:
		return "Ainda não trouxe nenhum cupom. Ele se identifica sozinho na primeira venda; se preferir, escolha a loja agora."
	case t.Hidden > 0 && len(t.May) == 0:
		return "Os cupons que traz não são de clientes seus. Se o computador está na loja de um cliente, escolha qual; senão peça à plataforma."
	case t.Hidden > 0:
		return fmt.Sprintf("Traz cupons de %d CNPJ, e nem todos são de clientes seus. Escolha o da loja onde o computador está: cada documento continua com o dono dele.", len(t.May)+t.Hidden)
	case len(t.May) == 1:
		return "Todos os cupons são do mesmo CNPJ, que ainda não está cadastrado para esta revenda. Cadastre-o e o caixa passa a ser dele."
	}
	return fmt.Sprintf("Traz cupons de %d CNPJ. Escolha o da loja onde o computador está: cada documento continua com o dono dele.", len(t.May))
}

// Enrolled is an enrolment token with the computers that used it.
type Enrolled struct {
	store.Token
	Standing bool // computers may still use it
	Agents   []store.Agent
}

// Tokens lists the newest enrolment tokens of the caller's reseller, newest first.
func (a *API) Tokens(ctx context.Context, c Caller) (list []Enrolled, err error) {
	err = a.view(ctx, c, OpEnrolments, func(r *store.Reader) error {
		tokens, err := r.Tokens()
		if err != nil {
			return err
		}
		for _, t := range tokens {
			agents, err := r.Enrolled(t.ID)
			if err != nil {
				return err
			}
			list = append(list, Enrolled{t, t.Standing(a.o.Now()), agents})
		}
		return nil
	})
	return list, err
}

// EndEnrolment lets no more computers connect with a token. Those that did stay.
func (a *API) EndEnrolment(ctx context.Context, c Caller, id int64) error {
	return a.update(ctx, c, opEndEnrolment, func(w *store.Writer, seen *store.Reader) error {
		t, err := seen.Token(id)
		if err != nil {
			return err
		}
		if err := w.EndToken(id, a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "código de ligação encerrado", t.Label, fmt.Sprintf("%d de %d caixas", t.Used, t.Allowed))
	})
}

// The operations about what waits.
const (
	OpWaiting      Op = "waiting"
	opEndEnrolment Op = "enrolments.end"
)

// EnrolmentID names an enrolment token by its number.
const EnrolmentID Kind = "enrolment"

func waiting() []Operation {
	return []Operation{
		{OpWaiting, "GET", "/waiting", staff(), "", nil, waitingAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayWaiting)(a.ToIdentify(ctx, c))
			}},
		{opEndEnrolment, "POST", "/enrolments/{enrolment}/end", staff(), "", par("enrolment", "enrolment"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.EndEnrolment(ctx, c, in.number("enrolment"))
			}},
	}
}

type waitingAnswer struct {
	Tills    []waitingTillAnswer    `json:"tills" doc:"Caixas sem estabelecimento, os mais novos primeiro."`
	Emitters []waitingEmitterAnswer `json:"emitters" doc:"Emissores que ninguém cadastrou."`
}

type waitingTillAnswer struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Reason string   `json:"reason" doc:"Por que não se identifica sozinho."`
	May    []string `json:"may" doc:"CNPJ que pode ser o do caixa."`
}

type waitingEmitterAnswer struct {
	CNPJ   string   `json:"cnpj"`
	Name   string   `json:"name"`
	Tills  []string `json:"tills" doc:"Computadores que trazem os cupons dele."`
	May    bool     `json:"may" doc:"Quem pergunta pode cadastrá-lo."`
	Reason string   `json:"reason"`
}

func sayWaiting(w ToIdentify) waitingAnswer {
	return waitingAnswer{each(w.Tills, func(t WaitingTill) waitingTillAnswer {
		return waitingTillAnswer{t.ID, t.Name(), t.Reason, each(t.May, func(e store.Emitter) string { return e.CNPJ })}
	}), each(w.Emitters, func(e WaitingEmitter) waitingEmitterAnswer {
		return waitingEmitterAnswer{e.CNPJ, e.Name, some(e.Tills), e.May, e.Reason}
	})}
}
