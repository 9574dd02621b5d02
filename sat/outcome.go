package sat

import "errors"

// Outcome says whether a fiscal call issued a document.
type Outcome uint8

// The three outcomes. The zero value is Unknown, so that what nobody classified
// is never taken for a failure.
const (
	Unknown   Outcome = iota // the device must be asked before anything else happens
	NotIssued                // certain: only this outcome lets a sale go to another device
	Issued                   // certain: the reply holds the document
)

func (o Outcome) String() string {
	switch o {
	case NotIssued:
		return "not issued"
	case Issued:
		return "issued"
	}
	return "unknown"
}

// OutcomeOf is the only classifier of fiscal calls (DESIGN.md, decision 4). It is
// given the request as sent to the device, the reply and the call's error.
//
// Issued: a success for this session with a readable document. NotIssued: the
// error proves that nothing was sent, or the device refused this very session
// with a code that says why. All else is Unknown: another session's reply, busy,
// duplicate session, "unknown error", codes that libraries invent, a success
// without its document, an error nobody classified.
func OutcomeOf(req Request, reply Reply, err error) Outcome {
	if err != nil {
		if errors.Is(err, ErrNotSent) {
			return NotIssued
		}
		return Unknown
	}
	if reply.Function != req.Function || reply.Session != req.Session {
		return Unknown
	}
	if reply.Code == req.Function.Success() {
		if _, err := reply.Document(); err != nil {
			return Unknown
		}
		return Issued
	}
	if refused(req.Function, reply.Code) {
		return NotIssued
	}
	return Unknown
}

// refused lists the codes by which a device says that it did not issue, and why
// (dossier 2.4: 06001 to 06010; 07001 to 07007 in the old table, to 07010 in the
// new one).
func refused(f Function, c Code) bool {
	switch f {
	case EnviarDadosVenda, CancelarUltimaVenda:
		return c > f.Success() && c <= f.Success()+10
	case TesteFimAFim:
		return c > f.Success() && c < f.Failed()-2
	}
	return false
}
