package sat

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// State is ESTADO_OPERACAO (dossier 3, field 27).
type State int

// The operating states. StateUnknown stands for a text nobody has seen yet.
const (
	StateUnknown             State = -1
	StateUnblocked           State = 0
	StateBlockedSEFAZ        State = 1
	StateBlockedContribuinte State = 2
	StateBlockedAutonomous   State = 3
	StateBlockedDeactivation State = 4
)

var stateTexts = map[State]string{
	StateUnblocked:           "desbloqueado",
	StateBlockedSEFAZ:        "bloqueado pela SEFAZ",
	StateBlockedContribuinte: "bloqueado pelo contribuinte",
	StateBlockedAutonomous:   "bloqueio autônomo",
	StateBlockedDeactivation: "bloqueado para desativação",
}

// String is the state in pt-BR.
func (s State) String() string {
	if t, ok := stateTexts[s]; ok {
		return t
	}
	return "estado desconhecido"
}

// Blocked reports whether the device refuses to sell.
func (s State) Blocked() bool { return s >= StateBlockedSEFAZ && s <= StateBlockedDeactivation }

// Size is an amount of memory as devices write it: "4 GB", "260 MB", a bare
// number of bytes, "1000.00".
type Size struct {
	Text  string
	Bytes int64 // -1 when the text cannot be read
	Unit  bool  // the text named its unit
}

// Status is the reply to ConsultarStatusOperacional. Times are in zone Brasilia
// and zero where the device gave none.
type Status struct {
	Serial        string
	LANType       string // DHCP, PPPoE, IPFIX
	IP, MAC       string
	Mask, Gateway string
	DNS1, DNS2    string
	LAN           string // STATUS_LAN as given
	Battery       string // ALTO, MEDIO, BAIXO
	MemoryTotal   Size
	MemoryUsed    Size
	Now           time.Time // DH_ATUAL, the device's clock
	Software      string    // VER_SB, "01.00.00"
	Layout        string    // VER_LAYOUT, "00.08" or "0.08"
	LastKey       string    // ULTIMO_CF_E_SAT, 44 digits or ""
	PendingFirst  string    // LISTA_INICIAL; "" when nothing waits for the SEFAZ
	PendingLast   string    // LISTA_FINAL
	LastSent      time.Time // DH_CFE, last transmission of a CF-e
	LastContact   time.Time // DH_ULTIMA, last contact with the SEFAZ
	CertIssued    time.Time // day
	CertExpires   time.Time // day
	State         State
	StateText     string // as given
}

// Connected reports STATUS_LAN = CONECTADO; odd texts count as not connected.
func (s Status) Connected() bool { return strings.EqualFold(s.LAN, "CONECTADO") }

// MemoryFraction is used / total, between 0 and 1. It is false when either
// cannot be read or the two are not written the same way (one with unit, one
// without), which no rule can compare.
func (s Status) MemoryFraction() (float64, bool) {
	t, u := s.MemoryTotal, s.MemoryUsed
	if t.Bytes <= 0 || u.Bytes < 0 || t.Unit != u.Unit || u.Bytes > t.Bytes {
		return 0, false
	}
	return float64(u.Bytes) / float64(t.Bytes), true
}

// Pending reports whether documents wait to be sent to the SEFAZ. The list gives
// the lowest and highest key, never how many.
func (s Status) Pending() bool { return s.PendingFirst != "" || s.PendingLast != "" }

// Status reads a successful ConsultarStatusOperacional reply. It takes the
// deviations seen in the field: 27 fields (no LISTA_FINAL), the state as text,
// empty or all-zero dates, embedded line ends (dossier 3). The error names the
// field that cannot be read.
func (r Reply) Status() (Status, error) {
	if r.Function != ConsultarStatusOperacional || r.Code != r.Function.Success() {
		return Status{}, fmt.Errorf("reply %s %s carries no status", r.Function, r.Code)
	}
	d := r.Data
	if len(d) == 22 { // the old emulator leaves LISTA_FINAL out
		d = append(append(append([]string{}, d[:17]...), ""), d[17:]...)
	}
	if len(d) != statusFields {
		return Status{}, fmt.Errorf("%w: status with %d fields, expected %d", ErrMalformed, len(d), statusFields)
	}
	s := Status{
		Serial: d[0], LANType: d[1], IP: d[2], MAC: d[3], Mask: d[4], Gateway: d[5], DNS1: d[6], DNS2: d[7],
		LAN: d[8], Battery: d[9], MemoryTotal: parseSize(d[10]), MemoryUsed: parseSize(d[11]),
		Software: d[13], Layout: d[14], LastKey: key(d[15]), PendingFirst: key(d[16]), PendingLast: key(d[17]),
		State: parseState(d[22]), StateText: d[22],
	}
	for _, t := range []struct {
		name string
		text string
		to   *time.Time
	}{
		{"DH_ATUAL", d[12], &s.Now}, {"DH_CFE", d[18], &s.LastSent}, {"DH_ULTIMA", d[19], &s.LastContact},
		{"CERT_EMISSAO", d[20], &s.CertIssued}, {"CERT_VENCIMENTO", d[21], &s.CertExpires},
	} {
		v, err := parseTime(t.text)
		if err != nil {
			return s, fmt.Errorf("%w: status field %s: %w", ErrMalformed, t.name, err)
		}
		*t.to = v
	}
	return s, nil
}

const statusFields = 23

// NewStatusReply writes a status as strictly as its readers expect: 28 fields,
// valid dates, zeros for an empty pending list (dossier 3).
func NewStatusReply(session int, s Status) Reply {
	r := NewReply(ConsultarStatusOperacional, session, ConsultarStatusOperacional.Success())
	r.Data = s.fields()
	r.Raw = r.Encode(session)
	return r
}

func (s Status) fields() []string {
	zeros := strings.Repeat("0", 44)
	or := func(a, b string) string {
		if a == "" {
			return b
		}
		return a
	}
	state := s.StateText
	if s.State != StateUnknown {
		state = strconv.Itoa(int(s.State))
	}
	return []string{
		s.Serial, s.LANType, s.IP, s.MAC, s.Mask, s.Gateway, s.DNS1, s.DNS2,
		s.LAN, s.Battery, s.MemoryTotal.Text, s.MemoryUsed.Text,
		formatTime(s.Now, stamp), s.Software, s.Layout,
		s.LastKey, or(s.PendingFirst, zeros), or(s.PendingLast, zeros),
		formatTime(s.LastSent, stamp), formatTime(s.LastContact, stamp),
		formatTime(s.CertIssued, day), formatTime(s.CertExpires, day), state,
	}
}

// Layouts of dates in replies.
const (
	stamp = "20060102150405"
	day   = "20060102"
)

// parseTime reads a stamp or a day; "" and all zeros are the zero time.
func parseTime(s string) (time.Time, error) {
	if strings.Trim(s, "0") == "" {
		return time.Time{}, nil
	}
	layout := stamp
	if len(s) == len(day) {
		layout = day
	}
	t, err := time.ParseInLocation(layout, s, Brasilia())
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date", clip(s))
	}
	return t, nil
}

func formatTime(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.In(Brasilia()).Format(layout)
}

// key takes an access key; the 44 zeros of an empty list become "".
func key(s string) string {
	s = strings.TrimPrefix(s, "CFe")
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}

func parseState(s string) State {
	if n, ok := digits(s, 1, 2); ok {
		if st := State(n); st >= StateUnblocked && st <= StateBlockedDeactivation {
			return st
		}
		return StateUnknown
	}
	switch strings.ToUpper(s) {
	case "DESBLOQUEADO":
		return StateUnblocked
	case "BLOQUEIO_SEFAZ":
		return StateBlockedSEFAZ
	case "BLOQUEIO_CONTRIBUINTE":
		return StateBlockedContribuinte
	case "BLOQUEIO_AUTONOMO":
		return StateBlockedAutonomous
	case "BLOQUEIO_DESATIVACAO":
		return StateBlockedDeactivation
	}
	return StateUnknown
}

func parseSize(s string) Size {
	size := Size{Text: s, Bytes: -1}
	number := strings.TrimRight(s, " BKMGTbkmgt")
	unit := strings.ToUpper(strings.TrimSpace(s[len(number):]))
	v, err := strconv.ParseFloat(strings.Replace(number, ",", ".", 1), 64)
	factors := map[string]float64{"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
	factor, ok := factors[unit]
	if err != nil || !ok || v < 0 || v*factor > 1<<60 {
		return size
	}
	size.Bytes, size.Unit = int64(v*factor), unit != ""
	return size
}
