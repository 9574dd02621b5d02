package till

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf16"

	"zelo/sat"
)

// situation is /situacao.json. Its names stay; new ones may join them, and a new
// Version would mean that one changed its meaning. Times are ISO 8601 with the
// offset of Brasília, days "2026-12-11"; null is "not known" or "none".
type situation struct {
	Version  int        `json:"versao"`      // 1
	At       *string    `json:"em"`          // when this was said
	Till     string     `json:"caixa"`       // the till's name
	Severity Severity   `json:"gravidade"`   // "ok", "aviso", "atencao" or "critico": that of frase
	Sentence string     `json:"frase"`       // ready to show: how the till stands
	Todo     string     `json:"o_que_fazer"` // ready to show, may be ""
	Notices  []finding  `json:"avisos"`      // all that is not in order, worst first; may be empty
	Cloud    cloudJSON  `json:"nuvem"`
	Device   deviceJSON `json:"sat"` // the first
	// Devices are all: the first, the others, and those that are not at this computer
	// any more but have a sale in doubt.
	Devices []equipmentJSON `json:"equipamentos"`
	InDoubt int             `json:"vendas_em_duvida"` // over all devices: do not repeat a sale while there are any
	Sale    *saleJSON       `json:"ultima_venda"`
	// What support has this computer do from afar: under way, and the last done.
	Commands []commandJSON `json:"suporte_remoto"`
	// The device's certificate and the shop's. A POS shows the text once each time
	// nivel has changed.
	Certificates []certificateJSON `json:"certificados"`
}

// finding is one entry of avisos. The codes, for programs: venda_em_duvida,
// sat_nao_configurado, sat_nao_encontrado, sat_nao_responde, sat_bloqueado,
// sat_memoria, sefaz_sem_contato, certificado_sat, certificado_loja,
// nuvem_nao_cadastrado, nuvem_sem_contato, nuvem_atrasada, nuvem_limite, codigo_desconhecido,
// status_antigo. More may come.
type finding struct {
	Code     string   `json:"codigo"`
	Severity Severity `json:"gravidade"`
	Text     string   `json:"texto"`
	Todo     string   `json:"o_que_fazer"`
}

type cloudJSON struct {
	Enrolled  bool    `json:"cadastrado"`
	Connected bool    `json:"conectado"`
	Since     *string `json:"desde"` // of conectado
	Saved     int     `json:"salvos"`
	Waiting   int     `json:"esperando"`
	LastAck   *string `json:"ultimo_envio"`
}

type deviceJSON struct {
	Configured  bool     `json:"configurado"`
	Serial      *string  `json:"serie"`
	Name        string   `json:"modelo"`
	Answering   bool     `json:"respondendo"`
	Since       *string  `json:"desde"`            // of respondendo
	InDoubt     int      `json:"vendas_em_duvida"` // at this device
	CodeKnown   bool     `json:"codigo_conhecido"`
	State       *int     `json:"estado"` // ESTADO_OPERACAO, 0 to 4
	StateText   *string  `json:"estado_texto"`
	StatusAt    *string  `json:"estado_em"`      // when this and the next were read
	Memory      *float64 `json:"memoria_em_uso"` // 0 to 1
	LastContact *string  `json:"contato_sefaz"`
	Pending     *bool    `json:"pendentes_sefaz"`
}

type equipmentJSON struct {
	deviceJSON
	Why *string `json:"motivo"` // why it serves no other's sales now; null when it does
}

type saleJSON struct {
	At           *string `json:"em"`
	Key          string  `json:"chave"`
	Total        string  `json:"valor"` // decimal with dot
	Cancellation bool    `json:"cancelamento"`
}

type commandJSON struct {
	Title  string  `json:"comando"`
	By     string  `json:"pedido_por"`
	Serial *string `json:"serie"` // of the device; null when it is not about one
	Text   string  `json:"situacao"`
	At     *string `json:"em"`
	Ended  bool    `json:"terminado"`
}

type certificateJSON struct {
	Kind     string   `json:"tipo"` // "sat" or "loja"
	Holder   string   `json:"titular"`
	Expires  *string  `json:"vence"` // day
	Days     int      `json:"dias"`  // left; negative after the end
	Level    *int     `json:"nivel"` // 90, 60, 30, 15, 7, 1 or 0 (expired): the warning now due
	Next     *string  `json:"proximo_aviso"`
	Severity Severity `json:"gravidade"`
	Text     string   `json:"texto"`
	Todo     string   `json:"o_que_fazer"` // "" while no warning is due
	// What the reseller offers for renewing it; null when it offers nothing, and for
	// "sat".
	Offer *string `json:"renovar_texto"`
	Link  *string `json:"renovar_link"`
}

// situation answers GET /situacao.json. Pages that this computer serves itself,
// on whatever port, may read it.
func (t *till) situation(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		if !loopbackOrigin(origin) {
			http.Error(w, "Somente páginas deste computador podem ler a situação dele.", http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	writeJSON(w, http.StatusOK, newSituation(t.o.State(), t.o.Offer, t.o.Now()))
}

func newSituation(s State, offer Offer, now time.Time) situation {
	all, f := judge(s, now), newFleet(s)
	out := situation{
		Version: 1, At: instant(now), Till: s.Name,
		Severity: all[0].Severity, Sentence: all[0].Text, Todo: all[0].Todo,
		Notices: []finding{}, Certificates: []certificateJSON{}, Commands: []commandJSON{},
		Cloud: cloudJSON{Enrolled: s.Cloud.Enrolled, Connected: s.Cloud.Connected, Since: instant(s.Cloud.Since),
			Saved: s.Cloud.Saved, Waiting: s.Cloud.Waiting, LastAck: instant(s.Cloud.LastAck)},
		Device: newDeviceJSON(s.Device), Devices: []equipmentJSON{},
	}
	out.InDoubt, _ = inDoubt(f.all)
	for _, d := range f.all {
		out.Devices = append(out.Devices, equipmentJSON{newDeviceJSON(d), orNull(d.why())})
	}
	for _, f := range all {
		if f.Severity != Fine {
			out.Notices = append(out.Notices, finding(f))
		}
	}
	for _, c := range s.Commands {
		out.Commands = append(out.Commands, commandJSON{c.Title, c.By, orNull(c.Serial), c.Text, instant(c.At), c.Ended})
	}
	for _, c := range certificates(s, now) {
		j := certificateJSON{Kind: c.kind, Holder: c.holder, Expires: dayOf(c.expires), Days: c.days,
			Next: dayOf(nextWarning(now, c.expires)), Severity: c.finding.Severity, Text: c.finding.Text}
		if c.level != noLevel {
			j.Level, j.Todo = &c.level, c.finding.Todo
		}
		if c.kind == "loja" {
			j.Offer, j.Link = orNull(offer.Text), orNull(offer.Link)
		}
		out.Certificates = append(out.Certificates, j)
	}
	if s.Sale != nil {
		out.Sale = &saleJSON{At: instant(s.Sale.At), Key: s.Sale.Key, Total: s.Sale.Total, Cancellation: s.Sale.Cancellation}
	}
	return out
}

func newDeviceJSON(d Device) deviceJSON {
	out := deviceJSON{Configured: d.Address != "", Serial: orNull(d.Info.Serial), Name: d.Info.Name, Answering: d.Answering,
		Since: instant(d.Since), InDoubt: d.InDoubt, CodeKnown: d.CodeKnown, StatusAt: instant(d.StatusAt)}
	if d.StatusAt.IsZero() {
		return out
	}
	s := d.Status
	pending := s.Pending()
	out.StateText, out.LastContact, out.Pending = orNull(s.State.String()), instant(s.LastContact), &pending
	if s.State != sat.StateUnknown {
		state := int(s.State)
		out.State = &state
	}
	if used, ok := s.MemoryFraction(); ok {
		out.Memory = &used
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(local(t).Format("2006-01-02T15:04:05-07:00"))
}

func dayOf(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(local(t).Format("2006-01-02"))
}

// writeJSON writes ASCII only: old parsers of POS programs take the system's code
// page for granted.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot write the answer: %w", err)
	}
	var b bytes.Buffer
	for _, r := range string(raw) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("cannot write the answer: %w", err)
	}
	return nil
}
