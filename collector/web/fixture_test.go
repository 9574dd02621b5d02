package web

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/account"
	"zelo/collector/api"
	"zelo/collector/enrol"
	"zelo/collector/fleet"
	"zelo/collector/ingest"
	"zelo/collector/notify"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// cpf is the consumer of some sales: it must not be seen unless asked for.
const cpf = "52998224725"

// The times of the fixture: what is sold before emission was prohibited is
// looked at a year later.
func now() time.Time  { return time.Date(2026, 11, 21, 14, 2, 0, 0, sat.Brasilia()) }
func sold() time.Time { return time.Date(2025, 12, 19, 9, 30, 0, 0, sat.Brasilia()) }

// signature stands for that of a real software house: documents with it are no
// tests.
var signature = strings.Repeat("Qk", 172)

const (
	bakery = "aaaaaaaabbbbbbbb" // all is well
	market = "ccccccccdddddddd" // blocked
	corner = "eeeeeeeeffffffff" // silent
	fresh  = "gggggggghhhhhhhh" // enrolled and never heard
)

// maker issued the certificates of all devices: RSA keys take time.
var maker = sync.OnceValues(func() (m struct {
	ca      *cfe.CA
	devices []*cfe.Signer
}, err error) {
	if m.ca, err = cfe.NewTestCA(sold()); err != nil {
		return m, err
	}
	for i := range 4 {
		var d *cfe.Signer
		d, err = m.ca.Issue(cfe.DeviceCert{Serial: fmt.Sprintf("%09d", 900000001+i), CNPJ: "08723218000186", Name: "LOJA",
			NotBefore: sold().AddDate(-1, 0, 0), NotAfter: sold().AddDate(4, 0, 0)})
		if err != nil {
			return m, err
		}
		m.devices = append(m.devices, d)
	}
	return m, nil
})

// device makes a simulated SAT, its clock at the time of the sales.
func device(t testing.TB, i int, cnpj, name string) *sim.Sim {
	t.Helper()
	m, err := maker()
	if err != nil {
		t.Fatal(err)
	}
	e := sim.TestEmitter(sim.SAT)
	e.CNPJ, e.Name, e.TradeName = cnpj, name, name
	clock := sold()
	s, err := sim.New(sim.Options{Serial: fmt.Sprintf("%09d", 900000001+i), Emitter: e, Environment: sim.Production, SignAC: signature,
		CA: m.ca, Signer: m.devices[i], Clock: func() time.Time { clock = clock.Add(7 * time.Minute); return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sell issues n sales, some with a consumer, and cancels the last.
func sell(t testing.TB, s *sim.Sim, cnpj string, n int) []sim.Record {
	t.Helper()
	real := strings.NewReplacer("SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT", signature, sim.TestEmitter(sim.SAT).CNPJ, cnpj).Replace
	ask := func(req sat.Request) {
		t.Helper()
		if r, err := s.Call(context.Background(), req); err != nil || !r.Code.Success() {
			t.Fatalf("%s: %s %s %v", req.Function, r.Code, r.Message, err)
		}
	}
	for i := 1; i <= n; i++ {
		consumer := ""
		if i%3 == 0 {
			consumer = cpf
		}
		ask(sattest.Request(sat.EnviarDadosVenda, i, real(basket(sattest.SaleXML("18.90", consumer)))))
	}
	key := s.Issued()[n-1].Key
	ask(sattest.Request(sat.CancelarUltimaVenda, n+1, "CFe"+key, real(sattest.CancelXML(key))))
	return s.Issued()
}

// basket adds items and a second means of payment to a sale of one.
func basket(xml string) string {
	head, rest, _ := strings.Cut(xml, "<det ")
	item, tail, _ := strings.Cut(rest, "</det>")
	var b strings.Builder
	b.WriteString(head)
	for i, p := range []struct{ code, name, unit, amount, price string }{
		{"116", "Café em pó tradicional 500 g", "UN", "1.0000", "18.90"}, {"2040", "Pão francês", "KG", "0.5350", "19.90"},
		{"7891000100103", "Leite integral 1 L", "UN", "6.0000", "5.49"},
	} {
		line := strings.NewReplacer(`nItem="1"`, fmt.Sprintf(`nItem="%d"`, i+1), "<cProd>116<", "<cProd>"+p.code+"<", "Café em pó 500 g", p.name,
			"<uCom>UN<", "<uCom>"+p.unit+"<", "<qCom>1.0000<", "<qCom>"+p.amount+"<", "<vUnCom>18.90<", "<vUnCom>"+p.price+"<").Replace(item)
		b.WriteString("<det " + line + "</det>")
	}
	return b.String() + strings.Replace(tail, "<MP><cMP>01</cMP><vMP>18.90</vMP></MP>",
		"<MP><cMP>17</cMP><vMP>50.00</vMP></MP><MP><cMP>01</cMP><vMP>20.00</vMP></MP>", 1)
}

// city is a collector with tills in every state, and its pages on a real server.
type city struct {
	t      testing.TB
	store  *store.Store
	ingest *ingest.Ingest
	api    *api.API
	codec  *wire.Codec
	log    *bytes.Buffer
	server *httptest.Server
	ids    uint64
}

// emptyCity is a collector without anything.
func emptyCity(t testing.TB) *city {
	t.Helper()
	m, err := maker()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	c := &city{t: t, log: &bytes.Buffer{}}
	if c.store, err = store.Open(context.Background(), filepath.Join(folder, "zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	if c.codec, err = wire.NewCodec(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.codec.Close)
	log := slog.New(slog.NewTextHandler(c.log, nil))
	if c.ingest, err = ingest.New(ingest.Options{Store: c.store, Roots: m.ca.Pool(), Log: log, Now: now}); err != nil {
		t.Fatal(err)
	}
	ca, err := enrol.CreateCA(folder, now())
	if err != nil {
		t.Fatal(err)
	}
	sender, err := fleet.New(fleet.Options{Store: c.store, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Log: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	notifier, err := notify.New(notify.Options{Store: c.store, Key: [32]byte{7}, Scope: account.ScopeOf, Private: true, Log: log, Now: now,
		Mail: &notify.Mail{Host: "localhost", Port: 1, Security: notify.Clear, From: "avisos@exemplo.com.br"}, Pages: "https://zelo.exemplo.com.br"})
	if err != nil {
		t.Fatal(err)
	}
	c.api = api.New(api.Options{Store: c.store, Fleet: sender, Notify: notifier, Accounts: account.New(c.store, account.Key{}, now), Registry: enrol.New(ca, c.store, now),
		Ingest: c.ingest, Enrolment: "https://zelo.exemplo.com.br:8443", Now: now})
	pages, err := New(Options{API: c.api, Log: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	c.server = httptest.NewServer(pages)
	t.Cleanup(c.server.Close)
	t.Cleanup(c.server.CloseClientConnections) // of pages that are still open
	return c
}

// newCity fills a collector through its one way in.
func newCity(t testing.TB) *city {
	t.Helper()
	c := emptyCity(t)
	c.update(func(w *store.Writer) error { return w.AddAgent(fresh, "loja-nova-pdv1", now().Add(-5*time.Minute)) })
	made := func(i int, cnpj, name string, n int) []sim.Record { return sell(t, device(t, i, cnpj, name), cnpj, n) }
	records := made(0, "11222333000181", "PADARIA SANTA CECÍLIA LTDA", 24)
	c.sales(bakery, "900000001", records)
	last := records[len(records)-1].Key
	records = made(1, "11444777000161", "MERCADO BOM PREÇO LTDA", 6)
	c.sales(market, "900000002", append(records[:2:2], records[3:]...)) // one is missing
	c.sales(corner, "900000003", made(2, "12345678000195", "BAZAR DA ESQUINA ME", 3))

	c.status(bakery, "900000001", func(s *sat.Status) { s.MemoryUsed = sat.Size{Text: "3 GB"} })
	c.judge()
	c.status(bakery, "900000001", func(s *sat.Status) { s.LastKey = last })
	c.beat(bakery, "padaria-pdv1", "900000001", now().Add(-40*time.Second), 0)
	c.status(market, "900000002", func(s *sat.Status) {
		s.State, s.StateText, s.LastContact = sat.StateBlockedAutonomous, "3", now().AddDate(0, 0, -11)
		s.CertExpires, s.MemoryUsed = now().AddDate(0, 0, 20), sat.Size{Text: "3 GB"}
		s.PendingFirst, s.PendingLast = records[0].Key, records[5].Key
	})
	c.event(market, "900000002", wire.EventDocumentMissing, map[string]string{"key": records[2].Key})
	c.event(market, "900000002", wire.EventDeviceGone, nil)
	c.event(market, "900000002", wire.EventDeviceBack, nil)
	c.beat(market, "mercado-caixa-2", "900000002", now().Add(-30*time.Second), 14)
	c.beat(corner, "bazar", "900000003", now().Add(-50*time.Hour), 3)

	found := made(3, "08723218000186", "PAPELARIA CENTRAL LTDA", 4)
	c.imports("papelaria/AD1.xml", found[0].XML)
	c.imports("papelaria/AD2.xml", bytes.Replace(found[1].XML, []byte("Leite"), []byte("Livro"), 1))
	c.imports("papelaria/AD3.xml", bytes.ReplaceAll(found[2].XML, []byte("><"), []byte(">\n  <")))
	c.imports("papelaria/AD1-editado.xml", bytes.Replace(found[0].XML, []byte("Leite"), []byte("Livro"), 1))
	c.imports("papelaria/foto.xml", []byte("JFIF not a document"))
	c.imports("nfce/7.xml", []byte(note))
	c.imports("nfce/7-evento.xml", []byte(event))
	if _, err := c.ingest.Ingest(context.Background(), []ingest.Incoming{{Agent: market, Stream: wire.StreamDocuments, Payload: []byte("??"), At: now().Add(-25 * time.Second)}}); err != nil {
		t.Fatal(err)
	}
	c.judge()
	return c
}

const noteKey = "35251208723218000186650010000000071123456780"

const note = `<?xml version="1.0" encoding="UTF-8"?><nfeProc xmlns="http://www.portalfiscal.inf.br/nfe" versao="4.00"><NFe><infNFe Id="NFe` + noteKey +
	`" versao="4.00"><ide><cUF>35</cUF><cNF>12345678</cNF><mod>65</mod><serie>1</serie><nNF>7</nNF><dhEmi>2025-12-21T12:30:00-03:00</dhEmi><tpAmb>1</tpAmb></ide>` +
	`<emit><CNPJ>08723218000186</CNPJ><xNome>PAPELARIA CENTRAL LTDA</xNome></emit><det nItem="1"><prod><cProd>7</cProd><xProd>Caderno</xProd><uCom>UN</uCom><qCom>2.0000</qCom><vUnCom>20.00</vUnCom><vProd>40.00</vProd></prod></det>` +
	`<total><ICMSTot><vProd>40.00</vProd><vNF>40.00</vNF></ICMSTot></total><pag><detPag><tPag>17</tPag><vPag>40.00</vPag></detPag></pag></infNFe></NFe><protNFe><infProt><cStat>100</cStat></infProt></protNFe></nfeProc>`

const event = `<procEventoNFe xmlns="http://www.portalfiscal.inf.br/nfe"><evento><infEvento><CNPJ>08723218000186</CNPJ><tpAmb>1</tpAmb><chNFe>` + noteKey +
	`</chNFe><dhEvento>2025-12-21T12:40:00-03:00</dhEvento><tpEvento>110111</tpEvento></infEvento></evento><retEvento><infEvento><cStat>135</cStat></infEvento></retEvento></procEventoNFe>`

func (c *city) update(fn func(*store.Writer) error) {
	c.t.Helper()
	if err := c.store.Update(context.Background(), fn); err != nil {
		c.t.Fatal(err)
	}
}

func (c *city) judge() {
	c.t.Helper()
	if err := c.ingest.Tick(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *city) imports(name string, raw []byte) {
	c.t.Helper()
	if _, err := c.api.Import(context.Background(), api.CommandLine(), ingest.File{Name: name, Raw: raw}); err != nil {
		c.t.Fatal(err)
	}
}

// publish brings a message as an agent's would come.
func (c *city) publish(agent, stream string, at time.Time, v any) {
	c.t.Helper()
	c.ids++
	packets, err := c.codec.Pack(c.ids, v)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range packets {
		if _, err := c.ingest.Ingest(context.Background(), []ingest.Incoming{{Agent: agent, Stream: stream, Payload: p, At: at}}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *city) items(agent, stream string, items ...wire.Item) {
	c.t.Helper()
	b := wire.Batch{Version: wire.Version, Epoch: wire.Epoch([]byte(agent))}
	for _, item := range items {
		c.ids++
		item.Version = wire.Version
		data, err := c.codec.Encode(item)
		if err != nil {
			c.t.Fatal(err)
		}
		b.Records = append(b.Records, wire.Record{Seq: c.ids, Data: data})
	}
	c.publish(agent, stream, now().Add(-3*time.Hour), b)
}

func (c *city) sales(agent, serial string, records []sim.Record) {
	c.t.Helper()
	var items []wire.Item
	for _, r := range records {
		items = append(items, wire.Item{Kind: wire.KindDocument, Serial: serial, Till: "001", At: r.Time.UnixMilli(), Body: r.XML})
	}
	c.items(agent, wire.StreamDocuments, items...)
}

func (c *city) event(agent, serial, code string, detail map[string]string) {
	c.t.Helper()
	c.items(agent, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Serial: serial, Till: "001", At: now().Add(-5 * time.Hour).UnixMilli(), Code: code, Detail: detail})
}

func (c *city) beat(agent, host, serial string, at time.Time, waiting int) {
	c.t.Helper()
	b := wire.Beat{Version: wire.Version, Software: "0.1.0", Host: host, System: "windows/386", Started: at.Add(-30 * time.Hour).UnixMilli(),
		Clock: at.UnixMilli(), Waiting: waiting, Used: 41 << 20, Bound: 512 << 20,
		Devices: []wire.BeatDevice{{Serial: serial, Name: "SAT", Answering: true}}}
	if waiting > 0 {
		b.Oldest = at.Add(-3 * time.Hour).UnixMilli()
	}
	c.publish(agent, wire.StreamBeat, at, b)
}

func (c *city) status(agent, serial string, change func(*sat.Status)) {
	c.t.Helper()
	at := now().Add(-3 * time.Hour)
	st := sat.Status{Serial: serial, LAN: "CONECTADO", Now: at, Software: "01.00.00", Layout: "00.08", LastContact: at, LastSent: at,
		CertIssued: sold().AddDate(-1, 0, 0), CertExpires: sold().AddDate(4, 0, 0), MemoryTotal: sat.Size{Text: "4 GB"}, MemoryUsed: sat.Size{Text: "1 GB"}}
	change(&st)
	c.items(agent, wire.StreamStatus, wire.Item{Kind: wire.KindStatus, Serial: serial, At: at.UnixMilli(), Body: sat.NewStatusReply(1, st).Raw})
}

// link is the path of a new sign-in link.
func (c *city) link() string {
	c.t.Helper()
	secret, err := c.api.NewLink(context.Background(), api.CommandLine(), "ana@exemplo.com.br")
	if err != nil {
		c.t.Fatal(err)
	}
	return "/entrar/" + secret
}

// audit is the record of who did what, oldest first.
func (c *city) audit() (lines []string) {
	c.t.Helper()
	err := c.store.View(context.Background(), store.All(), func(r *store.Reader) error {
		list, err := r.ListAudit(store.AuditSearch{Limit: 1000})
		for _, a := range list {
			lines = append([]string{a.Who + " " + a.Act + " " + a.Object}, lines...)
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return lines
}

// keys are those of the documents of one device, newest first.
func (c *city) keys(serial string) (keys []string) {
	c.t.Helper()
	f, err := c.api.Search(context.Background(), api.CommandLine(), api.Query{Text: serial})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, d := range f.Documents {
		keys = append(keys, d.Key)
	}
	return keys
}
