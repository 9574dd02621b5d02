package api

import (
	"fmt"
	"strconv"
	"time"

	"zelo/collector/export"
	"zelo/collector/ingest"
	"zelo/collector/sequence"
)

func hex(sum [32]byte) string { return fmt.Sprintf("%x", sum) }

// decimal writes cents with a dot: 1050 is "10.50".
func decimal(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return sign + strconv.FormatInt(cents/100, 10) + "." + fmt.Sprintf("%02d", cents%100)
}

type documentAnswer struct {
	ID         int64     `json:"id" doc:"Da versão guardada: /versions/{id}/original baixa os seus bytes."`
	Ref        string    `json:"ref" doc:"A chave, ou o número no arquivo de quem não tem chave: /documents/{ref}."`
	Key        string    `json:"key,omitempty" doc:"Chave de acesso, 44 dígitos."`
	Kind       string    `json:"kind" enum:"venda,cancelamento,nota,nota-pendente,evento,inutilizacao"`
	Model      int       `json:"model" doc:"59, 65 ou 55; 0 quando o documento não diz."`
	Test       bool      `json:"test" doc:"Sem valor fiscal."`
	Issued     time.Time `json:"issued"`
	Issuer     string    `json:"issuer" doc:"CNPJ de quem emitiu."`
	IssuerName string    `json:"issuerName,omitempty"`
	Serial     string    `json:"serial,omitempty" doc:"Do equipamento."`
	Series     string    `json:"series,omitempty"`
	Number     int       `json:"number"`
	Till       string    `json:"till,omitempty" doc:"Número do caixa no documento."`
	Consumer   string    `json:"consumer,omitempty" doc:"CPF mascarado, ou CNPJ com pontuação."`
	Total      string    `json:"total,omitempty" doc:"Decimal com ponto, como no documento: 10.50."`
	Cancels    string    `json:"cancels,omitempty" doc:"A chave que este documento cancela."`
	Cancelled  bool      `json:"cancelled"`
	State      string    `json:"state" enum:"fine,notice,warning,critical"`
	Verdict    string    `json:"verdict" enum:"verified,recovered,rejected,unsigned,kept" doc:"O que a conferência da assinatura disse; kept: não é conferida."`
	Reason     string    `json:"reason,omitempty" doc:"Por que não confere."`
	Trusted    bool      `json:"trusted" doc:"O certificado é de uma autoridade conhecida."`
	Forbidden  bool      `json:"forbidden" doc:"De produção, após a proibição de emitir."`
	SHA256     string    `json:"sha256" doc:"Dos bytes originais, em hexadecimal."`
	Size       int       `json:"size" doc:"Bytes."`
	ReceivedAt time.Time `json:"receivedAt"`
}

func sayListed(l Listed) documentAnswer {
	return documentAnswer{ID: l.ID, Ref: l.Ref(), Key: l.Key, Kind: l.Kind, Model: l.Model, Test: l.Test, Issued: l.Issued.UTC(), Issuer: l.Issuer,
		IssuerName: l.IssuerName, Serial: l.Serial, Series: l.Series, Number: l.Number, Till: l.Till, Consumer: l.Consumer, Total: l.Total, Cancels: l.Cancels,
		Cancelled: l.Cancelled, State: string(l.State), Verdict: l.Verdict, Reason: l.Reason, Trusted: l.Trusted, Forbidden: l.Forbidden,
		SHA256: hex(l.SHA256), Size: l.Size, ReceivedAt: l.ReceivedAt.UTC()}
}

type foundAnswer struct {
	Documents []documentAnswer `json:"documents" doc:"Os mais novos primeiro, no máximo 100."`
	Next      string           `json:"next,omitempty" doc:"O valor de after para a página seguinte; falta na última."`
}

func sayFound(f Found) foundAnswer { return foundAnswer{each(f.Documents, sayListed), f.Next} }

type documentPageAnswer struct {
	Document    documentAnswer   `json:"document"`
	Revealed    bool             `json:"revealed" doc:"O consumidor está por inteiro."`
	Checks      []checkAnswer    `json:"checks"`
	Versions    []documentAnswer `json:"versions" doc:"As outras versões, as melhores primeiro."`
	Events      []documentAnswer `json:"events"`
	CancelledBy []documentAnswer `json:"cancelledBy"`
	Arrivals    []arrivalAnswer  `json:"arrivals" doc:"Como chegou até aqui."`
	Receipt     receiptAnswer    `json:"receipt"`
}

type checkAnswer struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict" doc:"verified, rejected ou por que não foi feita."`
	Reason  string `json:"reason,omitempty"`
}

type arrivalAnswer struct {
	Till string    `json:"till,omitempty" doc:"Identificador do caixa; falta em um arquivo importado."`
	Host string    `json:"host,omitempty" doc:"Nome do computador."`
	File string    `json:"file,omitempty" doc:"Nome do arquivo importado."`
	At   time.Time `json:"at"`
}

type receiptAnswer struct {
	Products string          `json:"products,omitempty"`
	Discount string          `json:"discount,omitempty"`
	Addition string          `json:"addition,omitempty"`
	Total    string          `json:"total,omitempty"`
	Change   string          `json:"change,omitempty"`
	Payments []paymentAnswer `json:"payments"`
	Items    []itemAnswer    `json:"items"`
}

type paymentAnswer struct {
	Code  string `json:"code" doc:"Meio de pagamento, pela tabela do documento."`
	Value string `json:"value"`
}

type itemAnswer struct {
	Number      string `json:"number"`
	Code        string `json:"code"`
	Description string `json:"description"`
	Quantity    string `json:"quantity"`
	Unit        string `json:"unit"`
	Price       string `json:"price"`
	Gross       string `json:"gross"`
	Discount    string `json:"discount,omitempty"`
	Addition    string `json:"addition,omitempty"`
}

func sayReceipt(r export.Receipt) receiptAnswer {
	out := receiptAnswer{r.Products, r.Discount, r.Addition, r.Total, r.Change, []paymentAnswer{},
		each(r.Items, func(i export.Item) itemAnswer { return itemAnswer(i) })}
	for _, p := range r.Payments {
		out.Payments = append(out.Payments, paymentAnswer{p.Code, p.Value})
	}
	return out
}

func sayCoupon(p Coupon) documentPageAnswer {
	out := documentPageAnswer{Document: sayListed(p.Listed), Revealed: p.Revealed, Checks: []checkAnswer{}, Versions: each(p.Versions, sayListed),
		Events: each(p.Events, sayListed), CancelledBy: each(p.CancelledBy, sayListed), Receipt: sayReceipt(p.Receipt),
		Arrivals: each(p.Arrivals, func(a Arrival) arrivalAnswer { return arrivalAnswer{a.Agent, a.Host, a.File, a.At.UTC()} })}
	for _, c := range p.Checks {
		out.Checks = append(out.Checks, checkAnswer(c))
	}
	return out
}

type numberingAnswer struct {
	Serial string       `json:"serial,omitempty" doc:"Do equipamento; falta em uma série."`
	Series string       `json:"series,omitempty" doc:"De NFC-e; falta em um equipamento."`
	Lines  []lineAnswer `json:"lines" doc:"Uma por contribuinte, primeiro a que emitiu por último."`
}

type lineAnswer struct {
	CNPJ          string          `json:"cnpj"`
	State         string          `json:"state" enum:"fine,notice,warning,critical"`
	Sales         int             `json:"sales"`
	Cancellations int             `json:"cancellations"`
	Tests         int             `json:"tests"`
	Voided        int             `json:"voided" doc:"Números inutilizados."`
	Missing       int             `json:"missing" doc:"Números que faltam."`
	Doubled       int             `json:"doubled" doc:"Documentos cujo número outro já tem."`
	End           string          `json:"end" enum:"open,confirmed,short" doc:"open: nada diz se há números depois; confirmed: o equipamento diz que não; short: diz que sim, e eles faltam."`
	ToldNumber    int             `json:"toldNumber,omitempty" doc:"O último número, segundo o equipamento."`
	ToldAt        time.Time       `json:"toldAt,omitzero"`
	Runs          []runAnswer     `json:"runs" doc:"Na ordem de emissão; mais de um quando a numeração recomeçou."`
	Doubles       []doubledAnswer `json:"doubles" doc:"No máximo 100."`
}

type runAnswer struct {
	First int         `json:"first"`
	Last  int         `json:"last"`
	Since time.Time   `json:"since"`
	Until time.Time   `json:"until"`
	Wraps int         `json:"wraps" doc:"Quantas vezes passou do maior número e voltou ao 1."`
	Gaps  []gapAnswer `json:"gaps"`
}

type gapAnswer struct {
	From   int       `json:"from"`
	To     int       `json:"to" doc:"Menor que from quando passa do maior número."`
	Length int       `json:"length"`
	After  time.Time `json:"after,omitzero" doc:"Emissão do documento anterior."`
	Before time.Time `json:"before,omitzero" doc:"Emissão do documento seguinte."`
}

type doubledAnswer struct {
	Number    int              `json:"number"`
	Documents []documentAnswer `json:"documents"`
}

func sayNumbering(n Numbering) numberingAnswer {
	return numberingAnswer{n.Device.Serial, n.Series, each(n.Lines, sayLine)}
}

func sayLine(l Line) lineAnswer {
	ends := map[sequence.End]string{EndOpen: "open", EndConfirmed: "confirmed", EndShort: "short"}
	return lineAnswer{CNPJ: l.CNPJ, State: string(l.State()), Sales: l.Sales, Cancellations: l.Cancellations, Tests: l.Tests, Voided: l.Voided,
		Missing: l.Missing, Doubled: l.Doubled, End: ends[l.End], ToldNumber: l.Told.Number, ToldAt: l.Told.At.UTC(), Runs: each(l.Runs, sayRun),
		Doubles: each(l.Doubles, func(d Doubled) doubledAnswer { return doubledAnswer{d.Number, each(d.Documents, sayListed)} })}
}

func sayRun(r Run) runAnswer {
	return runAnswer{r.First, r.Last, r.Since.UTC(), r.Until.UTC(), r.Wraps, each(r.Gaps, func(g Gap) gapAnswer {
		return gapAnswer{g.From, g.To, g.Length, g.After.UTC(), g.Before.UTC()}
	})}
}

type importedAnswer struct {
	Verdicts []verdictAnswer `json:"verdicts" doc:"Um por arquivo."`
}

type verdictAnswer struct {
	Verdict string `json:"verdict" enum:"verified,recovered,rejected,unsigned,kept"`
	Reason  string `json:"reason,omitempty"`
}

func sayImported(list []ingest.Verdict) importedAnswer {
	return importedAnswer{each(list, func(v ingest.Verdict) verdictAnswer { return verdictAnswer{v.Word, v.Reason} })}
}

type shopsAnswer struct {
	Shops []shopAnswer `json:"shops"`
}

type shopAnswer struct {
	CNPJ    string   `json:"cnpj"`
	Name    string   `json:"name"`
	Serials []string `json:"serials" doc:"Números de série dos seus equipamentos."`
}

func sayShops(list []Shop) shopsAnswer {
	return shopsAnswer{each(list, func(s Shop) shopAnswer { return shopAnswer{s.CNPJ, s.Name, some(s.Serials)} })}
}

type reportAnswer struct {
	Documents int           `json:"documents"`
	Groups    []groupAnswer `json:"groups" doc:"Por emitente e equipamento ou série; os de teste por último."`
}

type groupAnswer struct {
	Issuer        string   `json:"issuer"`
	IssuerName    string   `json:"issuerName,omitempty"`
	Serial        string   `json:"serial,omitempty"`
	Model         int      `json:"model"`
	Series        string   `json:"series,omitempty"`
	Test          bool     `json:"test"`
	Documents     int      `json:"documents"`
	Sales         int      `json:"sales"`
	Cancellations int      `json:"cancellations"`
	Events        int      `json:"events"`
	Total         string   `json:"total" doc:"Das vendas."`
	Cancelled     string   `json:"cancelled" doc:"Dos cancelamentos."`
	First         int      `json:"first,omitempty" doc:"Falta onde a numeração não é seguida."`
	Last          int      `json:"last,omitempty"`
	Missing       int      `json:"missing"`
	Invalid       int      `json:"invalid" doc:"Assinatura que não confere, ou que falta."`
	Forbidden     int      `json:"forbidden"`
	IssuedTwice   []string `json:"issuedTwice" doc:"Chaves de vendas que outro equipamento também emitiu."`
}

func sayReport(r export.Report) reportAnswer {
	return reportAnswer{r.Documents(), each(r.Tallies(), sayTally)}
}

func sayTally(t export.Tally) groupAnswer {
	out := groupAnswer{Issuer: t.Issuer, IssuerName: t.IssuerName, Serial: t.Serial, Model: t.Model, Series: t.Series, Test: t.Test, Documents: t.Documents,
		Sales: t.Sales, Cancellations: t.Cancellations, Events: t.Events, Total: decimal(t.Total), Cancelled: decimal(t.Cancelled),
		Missing: t.Numbering.Missing, Invalid: t.Invalid, Forbidden: t.Forbidden, IssuedTwice: some(t.Twice)}
	if t.Numbered() {
		out.First, out.Last = t.First(), t.Last()
	}
	return out
}
