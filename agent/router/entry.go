package router

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// state is what is known of a journaled call.
type state uint8

const (
	open     state = iota + 1 // a fiscal call was or may have been sent; nothing is known of its outcome
	answered                  // Reply holds the device's answer
	missing                   // the device issued a document that nobody can get any more
)

// entry is one call of a till as the journal keeps it, keyed by till and number.
// It is the intent while open and the answer afterwards.
type entry struct {
	Till          string       `cbor:"1,keyasint"`
	N             uint64       `cbor:"2,keyasint"` // counts the till's calls
	Session       int          `cbor:"3,keyasint"` // the till's
	Function      sat.Function `cbor:"4,keyasint"`
	Payload       [32]byte     `cbor:"5,keyasint"`            // hash of function and arguments, without secrets
	At            int64        `cbor:"6,keyasint"`            // Unix milliseconds, by the computer's clock
	Steady        int64        `cbor:"21,keyasint,omitempty"` // the same by the journal's steady time
	State         state        `cbor:"7,keyasint"`
	Serial        string       `cbor:"8,keyasint,omitempty"`  // device
	DeviceSession int          `cbor:"9,keyasint,omitempty"`  // allotted by the agent
	LastKey       string       `cbor:"10,keyasint,omitempty"` // the device's last key before the call; "" when it had none
	Reply         []byte       `cbor:"11,keyasint,omitempty"` // the device's bytes
	Issued        bool         `cbor:"12,keyasint,omitempty"` // certain: a document was made
	Key           string       `cbor:"16,keyasint,omitempty"` // of that document, as far as known
	Delivered     bool         `cbor:"13,keyasint,omitempty"` // the reply reached the till's library
	Twin          uint64       `cbor:"14,keyasint,omitempty"` // the call whose document this one repeats
	Void          bool         `cbor:"17,keyasint,omitempty"` // certain: nothing was issued, and the device gave no answer
	Disputed      bool         `cbor:"18,keyasint,omitempty"` // the collector was told that the outcome is not known
	Direct        bool         `cbor:"19,keyasint,omitempty"` // made by the till's library without the agent
	Aside         bool         `cbor:"20,keyasint,omitempty"` // its call was made again by a second device, as the store chose
	Second        uint64       `cbor:"24,keyasint,omitempty"` // the first call set aside that this one makes again
	Peer          string       `cbor:"22,keyasint,omitempty"` // the neighbour whose device it went to; Serial comes with the reply
	Case          string       `cbor:"23,keyasint,omitempty"` // names it between neighbours; without Peer it is a neighbour's call
	Others        []cfe.Key    `cbor:"25,keyasint,omitempty"` // documents that came up in earlier rounds of questions and are not this call's
	Evidence      []evidence   `cbor:"15,keyasint,omitempty"` // what the device answered when asked about the case
}

// evidence is one answer of the device about an open case.
type evidence struct {
	Function sat.Function `cbor:"1,keyasint"`
	Asked    int          `cbor:"2,keyasint"` // session of the question itself
	Raw      []byte       `cbor:"3,keyasint"`
}

func (e *entry) time() time.Time { return time.UnixMilli(e.At) }

func (e *entry) steady() time.Time {
	if e.Steady == 0 {
		return e.time()
	}
	return time.UnixMilli(e.Steady)
}

// lent reports whether it is a neighbour's call on a device of this computer.
func (e *entry) lent() bool { return e.Case != "" && e.Peer == "" }

// first is the number of the call whose sale this is: its own, or that of the one set
// aside for it.
func (e *entry) first() uint64 {
	if e.Second != 0 {
		return e.Second
	}
	return e.N
}

// standsAside reports whether another device may make the call again. Once it is known
// what became of it, it counts as any other.
func (e *entry) standsAside() bool { return e.Aside && e.State == open }

// is reports whether both are the same call, whatever is known of it by now.
func (e *entry) is(other *entry) bool { return e.Till == other.Till && e.N == other.N }

// request is the fiscal call as it went to the device, for the classifier.
func (e *entry) request() sat.Request {
	return sat.Request{Till: e.Till, Session: e.DeviceSession, Function: e.Function}
}

// reply parses the stored answer.
func (e *entry) reply() (sat.Reply, error) { return sat.ParseReply(e.Function, e.Reply) }

// journalKey orders a till's entries by number.
func journalKey(till string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(till), 0), n)
}

// payloadOf hashes what makes two calls the same: the function and every
// argument that is not secret.
func payloadOf(req sat.Request) [32]byte {
	h := sha256.New()
	h.Write([]byte{byte(req.Function)})
	for i, p := range req.Function.Params() {
		if p.Secret || i >= len(req.Args) {
			continue
		}
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(req.Args[i]))))
		h.Write([]byte(req.Args[i]))
	}
	return [32]byte(h.Sum(nil))
}
