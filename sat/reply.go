package sat

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Separator parts the fields of a reply; there is no escaping (dossier 2.1).
const Separator = '|'

// Reply is one answer of a device. The zero Reply is no answer.
type Reply struct {
	Function     Function // whose layout it has: a stored reply has that of the call it answered
	Session      int      // numeroSessao as the device gave it
	Code         Code
	Alert        Alert // CCCC; "" where the layout has none or the field was empty
	Message      string
	SEFAZCode    string // cod: a notice of the SEFAZ to the user
	SEFAZMessage string
	Data         []string // the fields after the common ones, trimmed
	Raw          []byte   // the bytes as they came
}

// ErrMalformed reports bytes that do not follow the reply grammar.
var ErrMalformed = errors.New("malformed SAT reply")

// ParseReply reads the reply to function f. It takes what real devices send:
// fields padded with blanks or line ends, unpadded session numbers, failures of
// three to six fields, trailing fields left out, text in UTF-8 or Windows-1252
// (dossier 2.1 to 2.3). Replies to the two session queries have the layout of
// the call they repeat. The error wraps ErrMalformed and says what is wrong.
func ParseReply(f Function, raw []byte) (Reply, error) {
	r := Reply{Function: f, Raw: bytes.Clone(raw)}
	if !f.Valid() {
		return r, fmt.Errorf("%w: unknown function %d", ErrMalformed, uint8(f))
	}
	if !bytes.ContainsRune(raw, Separator) {
		return r, fmt.Errorf("%w to %s: no field separator in %s", ErrMalformed, f, excerpt(raw))
	}
	fields := strings.Split(Text(raw), string(Separator))
	for i := range fields {
		fields[i] = strings.TrimSpace(strings.Trim(fields[i], "\x00"))
	}
	session, ok := digits(fields[0], 1, 10)
	if !ok {
		return r, fmt.Errorf("%w to %s: session number %q is not a number", ErrMalformed, f, clip(fields[0]))
	}
	code, ok := digits(fields[1], 4, 5)
	if !ok {
		return r, fmt.Errorf("%w to %s: return code %q is not a number of 4 or 5 digits", ErrMalformed, f, clip(fields[1]))
	}
	r.Session, r.Code = session, Code(code)
	if f.AsksSession() {
		if g, ok := r.Code.Function(); ok {
			r.Function = g
		}
	}
	if r.Code.Success() {
		if g, _ := r.Code.Function(); g != r.Function {
			return r, fmt.Errorf("%w to %s: code %s belongs to %s", ErrMalformed, f, r.Code, g)
		}
		return r, r.readSuccess(fields)
	}
	return r, r.readFailure(fields)
}

func (r *Reply) readSuccess(fields []string) error {
	spec := r.Function.spec()
	n := len(fields)
	most := spec.fields
	alerted := r.Function.Fiscal()
	if r.Function == AssociarAssinatura && n == 6 && isAlert(fields[2]) {
		most, alerted = 6, true
	}
	for n > most && fields[n-1] == "" { // a trailing separator too many
		n--
	}
	if n < spec.least || n > most {
		return fmt.Errorf("%w to %s: code %s with %d fields, expected %d", ErrMalformed, r.Function, r.Code, n, spec.fields)
	}
	if r.Code == 4006 && n < 6 {
		return fmt.Errorf("%w to %s: code 04006 without the certificate request", ErrMalformed, r.Function)
	}
	rest := fields[2:n]
	if alerted {
		r.Alert = Alert(rest[0])
		if !isAlert(rest[0]) && rest[0] != "" {
			return fmt.Errorf("%w to %s: CCCC %q is not four digits", ErrMalformed, r.Function, clip(rest[0]))
		}
		rest = rest[1:]
	}
	r.readTail(rest)
	return nil
}

// readFailure takes the failures seen in the field: with CCCC or without, with
// an empty CCCC, cut short, or with CCCC where the layout has none.
func (r *Reply) readFailure(fields []string) error {
	n := len(fields)
	for n > 6 && fields[n-1] == "" {
		n--
	}
	if n > 6 {
		return fmt.Errorf("%w to %s: code %s with %d fields, expected 5 or 6", ErrMalformed, r.Function, r.Code, n)
	}
	rest := fields[2:n]
	if len(rest) > 0 && (isAlert(rest[0]) || n == 6) {
		if isAlert(rest[0]) {
			r.Alert = Alert(rest[0])
		} else if rest[0] != "" {
			return fmt.Errorf("%w to %s: code %s with 6 fields but CCCC %q", ErrMalformed, r.Function, r.Code, clip(rest[0]))
		}
		rest = rest[1:]
	}
	r.readTail(rest)
	return nil
}

func (r *Reply) readTail(rest []string) {
	for i, to := range []*string{&r.Message, &r.SEFAZCode, &r.SEFAZMessage} {
		if i < len(rest) {
			*to = rest[i]
		}
	}
	if len(rest) > 3 {
		r.Data = rest[3:]
	}
}

// Document is what a successful sale, cancellation or end-to-end test returns.
type Document struct {
	XML         []byte    // the CF-e, byte for byte
	Time        time.Time // of the device, zone Brasilia; zero when absent
	Key         string    // 44 digits, without "CFe"
	Total       string    // decimal with dot, as given
	Consumer    string    // CPF or CNPJ, may be empty
	QRSignature string    // base64
}

// Document reads the CF-e out of a successful reply. It fails when the reply is
// no success of such a function or does not hold a document from end to end; a
// reply cut in the middle of its base64 still decodes.
func (r Reply) Document() (Document, error) {
	if !r.Function.CarriesDocument() || r.Code != r.Function.Success() {
		return Document{}, fmt.Errorf("reply %s %s carries no document", r.Function, r.Code)
	}
	xml, err := decode64(r.data(0))
	if err != nil {
		return Document{}, fmt.Errorf("cannot read the document in the reply of session %06d: %w", r.Session, err)
	}
	if end := bytes.TrimRight(xml, " \r\n\t\x00"); !bytes.HasSuffix(end, []byte("</CFe>")) && !bytes.HasSuffix(end, []byte("</CFeCanc>")) {
		return Document{}, fmt.Errorf("the document in the reply of session %06d is not complete (%d bytes)", r.Session, len(xml))
	}
	d := Document{XML: xml}
	d.Time, _ = parseTime(r.data(1))
	if r.Function == TesteFimAFim {
		d.Key = strings.TrimPrefix(r.data(3), "CFe")
		return d, nil
	}
	d.Key = strings.TrimPrefix(r.data(2), "CFe")
	d.Total, d.Consumer = r.data(3), r.data(4)
	d.QRSignature = stripBlanks(r.data(5))
	return d, nil
}

// Log returns the decoded log of a successful ExtrairLogs reply.
func (r Reply) Log() ([]byte, error) {
	if r.Code != ExtrairLogs.Success() {
		return nil, fmt.Errorf("reply %s %s carries no log", r.Function, r.Code)
	}
	return decode64(r.data(0))
}

func (r Reply) data(i int) string {
	if i < len(r.Data) {
		return r.Data[i]
	}
	return ""
}

// Encode writes the reply as a till may receive it: session in six digits,
// exactly the layout's number of fields, ASCII text, base64 on one line. The
// session is the caller's number, not the device's (DESIGN.md, decision 5).
func (r Reply) Encode(session int) []byte {
	fields := []string{fmt.Sprintf("%06d", session), r.Code.String()}
	want := 5
	if r.Code.Success() {
		want = r.Function.spec().fields
		if r.Code == AtivarSAT.Success() && len(r.Data) == 0 {
			want = 5
		}
	}
	if r.Function.Fiscal() {
		if a := r.Alert; isAlert(string(a)) {
			fields = append(fields, string(a))
		} else {
			fields = append(fields, string(NoAlert))
		}
		want = max(want, 6)
	}
	fields = append(fields, message(r.Message), Plain(r.SEFAZCode), Plain(r.SEFAZMessage))
	data := r.Data
	if s, err := r.Status(); err == nil {
		data = s.fields()
	}
	for i := 0; len(fields) < want; i++ {
		var field string
		if i < len(data) {
			field = Plain(stripBlanksOfBase64(data[i]))
		}
		fields = append(fields, field)
	}
	return []byte(strings.Join(fields, string(Separator)))
}

// message never is four digits: some tills would take it for CCCC.
func message(s string) string {
	s = Plain(s)
	if isAlert(s) {
		return s + "."
	}
	return s
}

// NewReply makes the reply that function f gives with this code: no data, the
// code's own text.
func NewReply(f Function, session int, code Code) Reply {
	r := Reply{Function: f, Session: session, Code: code, Message: code.Text()}
	if f.Fiscal() {
		r.Alert = NoAlert
	}
	r.Raw = r.Encode(session)
	return r
}

func isAlert(s string) bool { _, ok := digits(s, 4, 4); return ok }

// digits reads a decimal number of least to most digits; more digits than a
// session can have are cut by the caller's bounds.
func digits(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func stripBlanks(s string) string {
	if !strings.ContainsAny(s, " \r\n\t") {
		return s // the usual case, and long
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\r' || r == '\n' || r == '\t' {
			return -1
		}
		return r
	}, s)
}

// stripBlanksOfBase64 joins the lines of a long base64 field and leaves texts
// such as "260 MB" alone.
func stripBlanksOfBase64(s string) string {
	if len(s) > 64 && strings.ContainsAny(s, "\r\n") {
		return stripBlanks(s)
	}
	return s
}

// decode64 takes base64 with line breaks (Sweda) and without padding.
func decode64(s string) ([]byte, error) {
	s = strings.TrimRight(stripBlanks(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "..."
	}
	return s
}

// excerpt quotes the beginning of a reply that has no fields: library texts such
// as "Error [2] openning serial COM3". Digits are masked, it may hold anything.
func excerpt(raw []byte) string {
	return strconv.Quote(clip(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '#'
		}
		return r
	}, Text(raw))))
}
