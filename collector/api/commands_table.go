package api

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"zelo/collector/account"
	"zelo/collector/store"
)

// The operations of commands.
const (
	opCommands      Op = "commands"
	OpSendCommand   Op = "commands.send"
	opCommand       Op = "commands.one"
	opCommandResult Op = "commands.result"
	opCancelCommand Op = "commands.cancel"
	OpOrders        Op = "orders"
	opPick          Op = "orders.preview"
	opSendMany      Op = "orders.send"
	opOrder         Op = "orders.one"
	opCancelOrder   Op = "orders.cancel"
	OpLogs          Op = "logs"
)

// Kinds that commands bring along.
const (
	CommandID Kind = "command"
	OrderID   Kind = "order"
)

// commanding are the operations of commands. Who looks after tills gives them; which
// of them a technician may not give stands in the table of commands.
func commanding() []Operation {
	const pro = account.FeatureCommands
	picked := par("function", "text", "reseller", "reseller", "root", "taxpayer", "model", "text", "software", "text", "only", "text")
	return []Operation{
		{opCommands, "GET", "/tills/{till}/commands", staff(), pro, par("till", "till"), tillCommandsAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayTillCommands)(a.Commands(ctx, c, in.Values["till"]))
			}},
		{OpSendCommand, "POST", "/tills/{till}/commands", staff(), pro,
			append(par("till", "till", "device", "device", "function", "text", "args", "text", "confirm", "text"), whenParams()...), sentAnswer{}, sendCommand},
		{opCommand, "GET", "/commands/{command}", staff(), pro, par("command", "command"), commandPageAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayCommandPage)(a.Command(ctx, c, in.Values["command"]))
			}},
		{opCommandResult, "GET", "/commands/{command}/result", staff(), pro, par("command", "command"), File{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return a.CommandResult(ctx, c, in.Values["command"])
			}},
		{opCancelCommand, "POST", "/commands/{command}/cancel", staff(), pro, par("command", "command"), commandAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayCommand)(a.CancelCommand(ctx, c, in.Values["command"]))
			}},
		{OpOrders, "GET", "/orders", staff(), pro, nil, []orderAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(func(list []Ordered) []orderAnswer { return each(list, sayOrder) })(a.Orders(ctx, c))
			}},
		{opPick, "GET", "/orders/preview", staff(), pro, picked, pickedAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayPicked)(a.Pick(ctx, c, manyOf(in)))
			}},
		{opSendMany, "POST", "/orders", staff(), pro,
			slices.Concat(picked, par("args", "text", "first", "text", "need", "text", "confirm", "text"), whenParams()), sentAnswer{}, sendMany},
		{opOrder, "GET", "/orders/{order}", staff(), pro, par("order", "order"), orderedAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayOrdered)(a.Order(ctx, c, in.number("order")))
			}},
		{opCancelOrder, "POST", "/orders/{order}/cancel", staff(), pro, par("order", "order"), cancelledAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(func(n int) cancelledAnswer { return cancelledAnswer{n} })(a.CancelOrder(ctx, c, in.number("order")))
			}},
		{OpLogs, "GET", "/devices/{device}/logs", staff(), "", par("device", "device", "from", "text", "to", "text", "text", "text"), logAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayLogs)(a.Logs(ctx, c, LogQuery{in.Values["device"], in.Values["from"], in.Values["to"], in.Values["text"]}))
			}},
	}
}

// whenParams are those of a When.
func whenParams() []Param { return par("notBefore", "text", "hours", "text", "anyway", "text") }

func whenOf(in Input) (w When, err error) {
	if text := in.Values["notBefore"]; text != "" {
		if w.NotBefore, err = time.Parse(time.RFC3339, text); err != nil {
			return w, problem("notBefore: escreva um horário como 2026-11-21T23:00:00-03:00.")
		}
	}
	w.Hours, w.Anyway = int(in.number("hours")), in.Values["anyway"] == "true"
	return w, nil
}

// argsOf reads the arguments of a command: a JSON object of texts.
func argsOf(in Input) (args map[string]string, err error) {
	if text := in.Values["args"]; text != "" && json.Unmarshal([]byte(text), &args) != nil {
		return nil, problem(`args: escreva um objeto JSON de textos, como {"session": "123456"}.`)
	}
	return args, nil
}

func sendCommand(ctx context.Context, a *API, c Caller, in Input) (any, error) {
	n := NewCommand{Till: in.Values["till"], Device: in.Values["device"], Name: in.Values["function"], Confirm: in.Values["confirm"]}
	var err, err2 error
	n.Args, err = argsOf(in)
	if n.When, err2 = whenOf(in); err == nil {
		err = err2
	}
	if err != nil {
		return nil, err
	}
	return says(func(id string) sentAnswer { return sentAnswer{id} })(a.SendCommand(ctx, c, n))
}

func manyOf(in Input) Many {
	v := in.Values
	return Many{Name: v["function"], Reseller: in.number("reseller"), Root: v["root"], Model: v["model"], Software: v["software"], Only: v["only"],
		First: int(in.number("first")), Need: int(in.number("need")), Confirm: v["confirm"]}
}

func sendMany(ctx context.Context, a *API, c Caller, in Input) (any, error) {
	m := manyOf(in)
	var err, err2 error
	m.Args, err = argsOf(in)
	if m.When, err2 = whenOf(in); err == nil {
		err = err2
	}
	if err != nil {
		return nil, err
	}
	return says(func(id int64) sentAnswer { return sentAnswer{strconv.FormatInt(id, 10)} })(a.SendMany(ctx, c, m))
}

type sentAnswer struct {
	ID string `json:"id" doc:"Do comando, ou da ordem quando vai a vários."`
}

type cancelledAnswer struct {
	Cancelled int `json:"cancelled" doc:"Comandos que não tinham começado, pelo que se sabe, e não começam mais."`
}

type offerAnswer struct {
	Function    string   `json:"function"`
	Title       string   `json:"title"`
	About       string   `json:"about"`
	Args        []string `json:"args" doc:"Nomes dos dados que pede."`
	Destructive bool     `json:"destructive" doc:"Pede confirmação: o número do equipamento, o nome do caixa ou, quando vai a vários, quantos são."`
	Why         string   `json:"why,omitempty" doc:"Por que não pode ser enviado agora."`
}

func sayOffer(o Offer) offerAnswer {
	out := offerAnswer{o.Name, o.Title, o.About, []string{}, o.Destructive, o.Why}
	for _, a := range o.Args {
		out.Args = append(out.Args, a.Name)
	}
	return out
}

type tillCommandsAnswer struct {
	Agent   []offerAnswer            `json:"agent" doc:"Comandos para o agente."`
	Devices map[string][]offerAnswer `json:"devices" doc:"Comandos para cada equipamento, pelo número de série."`
	Given   []commandAnswer          `json:"given" doc:"Comandos dados, os mais novos primeiro."`
}

func sayTillCommands(p TillCommands) tillCommandsAnswer {
	out := tillCommandsAnswer{each(p.Agent, sayOffer), map[string][]offerAnswer{}, each(p.Given, sayCommand)}
	for serial, offers := range p.Devices {
		out.Devices[serial] = each(offers, sayOffer)
	}
	return out
}

type commandAnswer struct {
	ID        string    `json:"id"`
	Order     int64     `json:"order" doc:"A ordem de que faz parte."`
	Function  string    `json:"function"`
	Title     string    `json:"title"`
	Till      string    `json:"till"`
	Device    string    `json:"device,omitempty"`
	By        string    `json:"by" doc:"Quem o deu."`
	At        time.Time `json:"at"`
	State     string    `json:"state" enum:"queued,sent,cancelled,accepted,waiting,running,done,failed,refused,unknown,expired"`
	Text      string    `json:"text,omitempty" doc:"Como está."`
	Code      string    `json:"code,omitempty" doc:"Código de retorno do equipamento."`
	ExpiresAt time.Time `json:"expiresAt" doc:"Depois disso não começa mais."`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	CancelAt  time.Time `json:"cancelAt,omitzero" doc:"Quando alguém o cancelou depois de enviado; state diz no que deu: cancelled quando o caixa confirma."`
}

func sayCommand(c Command) commandAnswer {
	return commandAnswer{c.ID, c.Order.ID, c.Order.Name, c.Spec.Title, c.Agent, c.Serial, c.Order.Who, c.Order.CreatedAt.UTC(), string(c.Command.State), c.Says,
		c.Reply, c.Order.ExpiresAt.UTC(), c.EndedAt.UTC(), c.CancelAt.UTC()}
}

type commandPageAnswer struct {
	Command commandAnswer `json:"command"`
	Lines   []toldAnswer  `json:"lines" doc:"O que o caixa contou, na ordem."`
	Result  string        `json:"result,omitempty" doc:"Nome do arquivo que o comando trouxe."`
	Size    int64         `json:"size,omitempty" doc:"Bytes do arquivo."`
}

type toldAnswer struct {
	At   time.Time `json:"at" doc:"Pelo relógio do caixa."`
	Text string    `json:"text"`
}

func sayCommandPage(p CommandPage) commandPageAnswer {
	return commandPageAnswer{sayCommand(p.Command), each(p.Lines, func(l store.CommandLine) toldAnswer { return toldAnswer{l.At.UTC(), l.Text} }),
		p.Result.Name, p.Result.Size}
}

type orderAnswer struct {
	ID        int64     `json:"id"`
	Function  string    `json:"function"`
	Title     string    `json:"title"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
	First     int       `json:"first,omitempty" doc:"Quantos vão primeiro."`
	Need      int       `json:"need,omitempty" doc:"Porcentagem de cada leva que precisa dar certo."`
	StoppedBy string    `json:"stoppedBy,omitempty" doc:"Por que o que faltava não foi enviado."`
}

func sayOrder(o Ordered) orderAnswer {
	return orderAnswer{o.ID, o.Name, o.Spec.Title, o.Who, o.CreatedAt.UTC(), o.ExpiresAt.UTC(), o.First, o.Need, o.StoppedBy}
}

type orderedAnswer struct {
	Order    orderAnswer     `json:"order"`
	Commands []commandAnswer `json:"commands"`
}

func sayOrdered(o Ordered) orderedAnswer {
	return orderedAnswer{sayOrder(o), each(o.Commands, sayCommand)}
}

type pickedAnswer struct {
	Targets []targetAnswer `json:"targets" doc:"A quem o comando vai."`
	Left    []targetAnswer `json:"left" doc:"Quem a seleção pega e não pode recebê-lo."`
}

type targetAnswer struct {
	Till   string `json:"till"`
	Device string `json:"device,omitempty"`
	Name   string `json:"name"`
	Why    string `json:"why,omitempty"`
}

func sayPicked(p Picked) pickedAnswer {
	say := func(t PickedTarget) targetAnswer { return targetAnswer{t.Agent, t.Serial, t.Where, t.Why} }
	return pickedAnswer{each(p.Targets, say), each(p.Left, say)}
}

type logAnswer struct {
	Lines []logLineAnswer `json:"lines" doc:"As mais novas primeiro."`
	More  bool            `json:"more" doc:"Há mais antigas: busque até o dia da última."`
}

type logLineAnswer struct {
	At      time.Time `json:"at,omitzero" doc:"Pelo relógio do equipamento."`
	Process string    `json:"process,omitempty"`
	Level   string    `json:"level,omitempty"`
	Text    string    `json:"text"`
}

func sayLogs(p LogPage) logAnswer {
	return logAnswer{each(p.Lines, func(l store.LogLine) logLineAnswer { return logLineAnswer{l.At.UTC(), l.Process, l.Level, l.Text} }), p.More}
}
