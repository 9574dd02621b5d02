package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
)

// message is one payload taken apart: a batch of records, a beat, a part of
// something unfinished, or bytes nobody understands.
type message struct {
	Incoming
	epoch      wire.Epoch
	records    []*record
	beat       *wire.Beat
	unfinished bool
	refused    string // why the payload is not understood, pt-BR
	body       store.Packed
	dictionary store.Packed // to be archived; of Size 0 when there is none
	answer     *wire.Answer // about a dictionary
}

// record is one record on its way into the store: exactly one of document,
// status, told, log, event, news and refused is set once it is prepared.
type record struct {
	store.Record
	data     []byte // as it came
	document *store.Document
	verdict  Verdict // of a document
	status   *store.Status
	serial   string // of status
	told     *inventory
	log      *deviceLog
	outside  bool // the document was issued past the agent
	event    *store.Event
	news     *commandNews
	refused  string       // why it goes into quarantine, pt-BR
	body     store.Packed // of the document, or of data in quarantine
}

// Reasons of quarantine for what is no record at all.
const (
	reasonUnreadable = "a mensagem não pôde ser lida: o formato não é o do agente Zelo"
	reasonStream     = "a mensagem veio por um canal que o coletor não conhece"
	reasonRecord     = "o registro não pôde ser lido: o formato não é o do agente Zelo"
	reasonKind       = "o tipo do registro não é conhecido por esta versão do coletor"
	reasonInternal   = "erro interno do coletor ao ler o registro"
	reasonStore      = "o banco de dados recusou o registro"
)

// open takes a payload apart.
func (g *Ingest) open(in Incoming) message {
	m := message{Incoming: in}
	var err error
	switch in.Stream {
	case wire.StreamBeat:
		beat := &wire.Beat{}
		if m.unfinished, err = g.assemble(in, beat); err == nil && !m.unfinished {
			m.beat = beat
		}
	case wire.StreamEvents, wire.StreamDocuments, wire.StreamStatus, wire.StreamCommands:
		var b wire.Batch
		if m.unfinished, err = g.assemble(in, &b); err == nil && !m.unfinished {
			m.epoch, m.records = b.Epoch, in.records(b)
		}
	case wire.StreamDictionary:
		var o wire.Offer
		if m.unfinished, err = g.assemble(in, &o); err == nil && !m.unfinished {
			g.openOffer(&m, o)
		}
	default:
		g.refuseMessage(&m, reasonStream)
	}
	var lack *wire.LackError
	switch {
	case errors.As(err, &lack):
		// Nothing is lost: the agent holds the records and sends them without.
		g.o.Log.Warn("message not understood, asking for it without dictionary", "agent", in.Agent, "err", err)
		m.answer = &wire.Answer{Version: wire.Version, Number: lack.Number}
	case err != nil:
		g.refuseMessage(&m, reasonUnreadable)
	}
	return m
}

// refuseMessage sends a whole payload into quarantine.
func (g *Ingest) refuseMessage(m *message, reason string) {
	m.beat, m.records, m.answer, m.dictionary = nil, nil, nil, store.Packed{}
	m.refused, m.body = reason, g.o.Store.Pack(m.Payload)
	g.o.Log.Warn("message quarantined", "agent", m.Agent, "stream", m.Stream, "bytes", len(m.Payload), "reason", reason)
}

func (g *Ingest) assemble(in Incoming, v any) (unfinished bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	done, err := g.assembler.Add(in.Agent, in.Payload, v)
	return err == nil && !done, err
}

func (in Incoming) records(b wire.Batch) []*record {
	out := make([]*record, len(b.Records))
	for i, r := range b.Records {
		out[i] = &record{data: r.Data, Record: store.Record{Agent: in.Agent, Epoch: b.Epoch.String(), Stream: in.Stream,
			Seq: r.Seq, SHA256: sha256.Sum256(r.Data), At: in.At}}
	}
	return out
}

// bytes is what the message holds in memory.
func (m message) bytes() int {
	n := len(m.Payload)
	for _, r := range m.records {
		n += len(r.data)
	}
	return n
}

// prepare decodes, reads and verifies one record. Whatever goes wrong, the
// record is fit to be committed afterwards.
func (g *Ingest) prepare(r *record) {
	defer func() {
		if p := recover(); p != nil {
			g.o.Log.Error("a record made the collector stumble, quarantined", "agent", r.Agent, "stream", r.Stream, "seq", r.Seq, "panic", p)
			g.refuse(r, reasonInternal)
		}
	}()
	if r.Stream == streamImport {
		g.prepareDocument(r, r.data)
		return
	}
	var item wire.Item
	if err := g.codec.Decode(r.data, &item); err != nil {
		g.refuse(r, reasonRecord)
		return
	}
	r.Till, r.AgentAt = short(item.Till), item.Time()
	switch item.Kind {
	case wire.KindDocument:
		g.prepareDocument(r, item.Body)
		r.outside = item.Detail["direct"] != ""
	case wire.KindInventory:
		g.prepareInventory(r, item)
	case wire.KindLog:
		g.prepareLog(r, item)
	case wire.KindStatus:
		g.prepareStatus(r, item)
	case wire.KindEvent:
		g.prepareEvent(r, item)
	case wire.KindCommand:
		g.prepareCommand(r, item)
	default:
		g.refuse(r, reasonKind)
	}
}

// refuse sends a record into quarantine, whatever it was taken for.
func (g *Ingest) refuse(r *record, reason string) {
	*r = record{Record: r.Record, data: r.data, refused: reason, verdict: Verdict{string(cfe.Rejected), reason}, body: g.o.Store.Pack(r.data)}
	g.o.Log.Warn("record quarantined", "agent", r.Agent, "stream", r.Stream, "seq", r.Seq, "file", r.File, "reason", reason)
}

func (g *Ingest) prepareDocument(r *record, raw []byte) {
	doc, verdict, err := Examine(g.verifier, raw, r.At)
	if err != nil {
		g.refuse(r, verdict.Reason)
	} else {
		r.document, r.body = &doc, g.o.Store.Pack(raw)
	}
	r.verdict = verdict
}

// short keeps what names something short: it stands in lists and indexes.
func short(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

func (g *Ingest) prepareEvent(r *record, item wire.Item) {
	if item.Code == "" {
		g.refuse(r, reasonKind)
		return
	}
	ref := ""
	switch item.Code {
	case wire.EventDocumentMissing:
		ref = missingRef(item.Detail)
	case wire.EventIssuedTwice:
		ref = strings.TrimPrefix(item.Detail["key"], "CFe")
	case wire.EventUnresolved, wire.EventResolved, wire.EventSecondDevice:
		ref = item.Detail["case"]
	case wire.EventBufferDamaged:
		ref = item.Detail["lost"]
	case wire.EventQuarantined:
		ref = item.Detail["seq"] + " de " + item.Detail["stream"]
	case wire.EventEvicted:
		ref = item.Detail["count"] + " registros de " + item.Detail["stream"]
	}
	r.event = &store.Event{Agent: r.Agent, Serial: short(item.Serial), Till: short(item.Till), Code: short(item.Code), Ref: short(ref),
		Detail: item.Detail, At: item.Time(), ReceivedAt: r.At}
}

// missingRef names a missing document: by its key, or by the number after the
// device's last one before it, or not at all.
func missingRef(detail map[string]string) string {
	if key := strings.TrimPrefix(detail["key"], "CFe"); key != "" {
		return key
	}
	last, err := cfe.ParseKey(strings.TrimPrefix(detail["last-key"], "CFe"))
	if err != nil || last.Serial() == "" {
		return ""
	}
	return store.FromNumber(last.Serial(), last.Number()+1)
}

// eventStatusRefused is a status reply in which the device says why it gives
// none: no fault of the message, so it goes to the till's events.
const eventStatusRefused = "status-refused"

func (g *Ingest) prepareStatus(r *record, item wire.Item) {
	reply, err := sat.ParseReply(sat.ConsultarStatusOperacional, item.Body)
	if err != nil {
		g.refuse(r, "a resposta de status do equipamento não pôde ser lida")
		return
	}
	if !reply.Code.Success() {
		r.event = &store.Event{Agent: r.Agent, Serial: short(item.Serial), Till: r.Till, Code: eventStatusRefused, At: item.Time(),
			ReceivedAt: r.At, Detail: map[string]string{"code": reply.Code.String(), "text": reply.Code.Text()}}
		return
	}
	st, err := reply.Status()
	if err != nil {
		g.refuse(r, "a resposta de status do equipamento tem campos que não puderam ser lidos")
		return
	}
	if r.serial = short(st.Serial); r.serial == "" {
		r.serial = short(item.Serial)
	}
	if r.serial == "" {
		g.refuse(r, "a resposta de status não diz de que equipamento é")
		return
	}
	r.status = statusOf(st, item)
}

func statusOf(st sat.Status, item wire.Item) *store.Status {
	out := &store.Status{
		Reply: item.Body, State: st.State.String(), Memory: -1, Software: st.Software, Layout: st.Layout, Network: st.LAN,
		LastKey: st.LastKey, PendingFirst: st.PendingFirst, PendingLast: st.PendingLast, LastSent: st.LastSent,
		LastContact: st.LastContact, CertIssued: st.CertIssued, CertExpires: st.CertExpires, Battery: batteryOf(strings.ToUpper(strings.TrimSpace(st.Battery))),
		NoNetwork: st.LAN != "" && !st.Connected(),
	}
	switch st.State {
	case sat.StateBlockedSEFAZ:
		out.Block = alarm.ByTaxOffice
	case sat.StateBlockedContribuinte:
		out.Block = alarm.ByTaxpayer
	case sat.StateBlockedAutonomous:
		out.Block = alarm.Autonomous
	case sat.StateBlockedDeactivation:
		out.Block = alarm.ForDeactivation
	case sat.StateUnknown:
		out.State = fmt.Sprintf("%s (%s)", out.State, st.StateText)
	}
	if used, ok := st.MemoryFraction(); ok {
		out.Memory = used
	}
	if !st.Now.IsZero() {
		// Against the agent's clock; commit adds how far that is off.
		out.ClockOff, out.ClockKnown = st.Now.Sub(item.Time()), true
	}
	return out
}
