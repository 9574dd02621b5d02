package sim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// lastNumber is the last nCFe before the count begins anew at 1.
const lastNumber = 999999

// cancelCodes are the refusals of CancelarUltimaVenda, of which two tables are in
// the field (dossier 2.4).
type cancelCodes struct {
	inactive, notLinked, otherLink              sat.Code
	contribuinte, sefaz, autonomous, wrongCodes sat.Code
	content                                     sat.Code
}

func (s *Sim) cancelCodes() cancelCodes {
	if s.o.NewCodes {
		return cancelCodes{7002, 7003, 7004, 7006, 7007, 7008, 7009, 7010}
	}
	return cancelCodes{7099, 7099, 7007, 7003, 7004, 7005, 7006, 7007}
}

// cannotIssue is the code for which the device issues nothing now, 0 for none.
// Codes are given for a sale; see refusal for a cancellation.
func (s *Sim) cannotIssue(now time.Time) sat.Code {
	switch state := s.operation(now); {
	case s.st.Stage < active:
		return 6002
	case s.st.Stage < linked:
		return 6003
	case state == sat.StateBlockedContribuinte:
		return 6006
	case state == sat.StateBlockedAutonomous:
		return 6008
	case state.Blocked():
		return 6007
	}
	return 0
}

// refusal translates a sale's refusal to the function at hand.
func (s *Sim) refusal(f sat.Function, code sat.Code) sat.Code {
	if f != sat.CancelarUltimaVenda {
		return code
	}
	c := s.cancelCodes()
	return map[sat.Code]sat.Code{
		6002: c.inactive, 6003: c.notLinked, 6004: c.otherLink, 6006: c.contribuinte, 6007: c.sefaz,
		6008: c.autonomous, 6009: c.wrongCodes, 6010: c.content,
	}[code]
}

// sayRefused answers a sale or cancellation with a refusal and its CCCC, 0 for
// none.
func (s *Sim) sayRefused(req sat.Request, code sat.Code, alert int) []byte {
	r := sat.NewReply(req.Function, req.Session, s.refusal(req.Function, code))
	if alert != 0 {
		r.Alert = sat.Alert(fmt.Sprintf("%04d", alert))
		r.Message = r.Alert.Text()
	}
	return r.Encode(req.Session)
}

func (s *Sim) rules(now time.Time) cfe.Rules {
	return cfe.Rules{Layout: s.o.Layout, Emitter: s.o.Emitter, MaxTotal: s.o.MaxTotal, Now: now, Last: s.st.LastIssue}
}

// stamp numbers the next document.
func (s *Sim) stamp(now time.Time) cfe.Stamp {
	n := s.st.Number%lastNumber + 1
	random := rand.New(rand.NewPCG(s.o.Seed, uint64(s.st.Count)))
	return cfe.Stamp{
		Layout: s.o.Layout, Serial: s.o.Serial, Number: n, Random: random.IntN(1000000), Issued: now,
		Environment: int(s.o.Environment), Software: strings.ReplaceAll(s.st.Software, ".", ""),
	}
}

// vender answers EnviarDadosVenda.
func (s *Sim) vender(req sat.Request, now time.Time) []byte {
	if code := s.cannotIssue(now); code != 0 {
		return s.sayRefused(req, code, 0)
	}
	in, alert, refused := s.readSale(req, now)
	if refused != nil {
		return refused
	}
	doc, err := cfe.Issue(in, s.o.Emitter, s.stamp(now), s.signer)
	return s.issue(req, doc, err, "", alert, now)
}

// readSale reads and judges dadosVenda; refused is the reply when it is not
// accepted.
func (s *Sim) readSale(req sat.Request, now time.Time) (in *cfe.SaleInput, alert int, refused []byte) {
	raw := req.Arg("dadosVenda")
	if len(raw) > cfe.MaxIssued {
		return nil, 0, s.sayRefused(req, 6005, 0)
	}
	in, err := cfe.ParseSale([]byte(raw))
	if err != nil {
		return nil, 0, s.sayRefused(req, 6010, 1999)
	}
	if in.SignAC != s.st.SignAC {
		return nil, 0, s.sayRefused(req, 6004, 0)
	}
	alert, refusal := in.Check(s.rules(now))
	if refusal != nil {
		return nil, 0, s.sayRefused(req, 6010, refusal.Code)
	}
	return in, alert, nil
}

// cancelar answers CancelarUltimaVenda. Despite its name it takes any sale of the
// last 30 minutes (dossier 5.4).
func (s *Sim) cancelar(req sat.Request, now time.Time) []byte {
	if code := s.cannotIssue(now); code != 0 {
		return s.sayRefused(req, code, 0)
	}
	in, err := cfe.ParseCancel([]byte(req.Arg("dadosCancelamento")))
	if err != nil {
		return s.sayRefused(req, 6010, 1999)
	}
	key, ok := in.Key()
	if !ok || req.Arg("chave") != key.ID() {
		return s.sayRefused(req, 6010, 1270)
	}
	if in.SignAC != s.st.SignAC {
		return s.sayRefused(req, 6004, 0)
	}
	var sale *cfe.Document
	if r, ok := s.ledger.find(string(key)); ok && r.Cancels == "" {
		d, err := cfe.Parse(r.XML)
		if err != nil {
			return s.sayRefused(req, 6010, 1999)
		}
		sale = &d
	}
	if refusal := in.Check(s.rules(now), sale, s.ledger.cancelled(string(key))); refusal != nil {
		return s.sayRefused(req, 6010, refusal.Code)
	}
	doc, err := cfe.IssueCancel(in, *sale, s.o.Emitter, s.stamp(now), s.signer)
	return s.issue(req, doc, err, string(key), 0, now)
}

// issue books a finished document and answers with it. From the moment it is in
// the ledger it counts as issued, whether or not the reply arrives anywhere.
func (s *Sim) issue(req sat.Request, doc cfe.Issued, err error, cancels string, alert int, now time.Time) []byte {
	if errors.Is(err, cfe.ErrTooLarge) {
		return s.sayRefused(req, 6005, 0)
	}
	if err != nil {
		return s.sayRefused(req, 6010, 1999)
	}
	r := sat.NewReply(req.Function, req.Session, req.Function.Success())
	r.Alert = sat.Alert(fmt.Sprintf("%04d", alert))
	r.Data = []string{base64.StdEncoding.EncodeToString(doc.XML), now.Format("20060102150405"),
		doc.Key.ID(), doc.Total, doc.Consumer, doc.QRSignature}
	record := Record{Key: string(doc.Key), Cancels: cancels, Session: req.Session, Time: now, XML: doc.XML, Reply: r.Encode(req.Session)}
	if err := s.ledger.add(record); err != nil {
		s.o.Log.Error("simulated device cannot book a document", "error", err)
		return s.say(req, req.Function.Failed())
	}
	s.st.book(record)
	return record.Reply
}

// book takes a document of the ledger into the device's state.
func (st *state) book(r Record) {
	st.Count++
	st.Number, st.LastKey, st.LastIssue = cfe.Key(r.Key).Number(), r.Key, r.Time
	st.Pending = append(st.Pending, pending{r.Key, int64(len(r.XML)), r.Time})
}

// testar answers TesteFimAFim: a document numbered 0 that the SEFAZ receives and
// forgets.
func (s *Sim) testar(req sat.Request, now time.Time) []byte {
	switch state := s.operation(now); {
	case s.st.Stage < linked:
		return s.say(req, 9002)
	case state == sat.StateBlockedContribuinte:
		return s.say(req, 9006)
	case state.Blocked() && state != sat.StateBlockedAutonomous:
		return s.say(req, 9007)
	case !s.st.Online:
		return s.say(req, 9099)
	}
	in, err := cfe.ParseSale([]byte(req.Arg("dadosVenda")))
	if err != nil {
		return s.say(req, 9099)
	}
	if _, refusal := in.Check(s.rules(now)); refusal != nil {
		return s.say(req, 9099)
	}
	stamp := s.stamp(now)
	stamp.Number = 0
	doc, err := cfe.Issue(in, s.o.Emitter, stamp, s.signer)
	if err != nil {
		return s.say(req, 9099)
	}
	s.st.LastContact = now
	return s.say(req, 9000, base64.StdEncoding.EncodeToString(doc.XML), now.Format("20060102150405"), "000000", doc.Key.ID())
}
