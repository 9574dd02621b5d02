package wire

import (
	"crypto/x509/pkix"
	"regexp"
	"unicode/utf8"
)

// Between the agents of one establishment (agent/lan). A till whose own devices
// cannot sell borrows a neighbour's (DESIGN.md, decisions 3 and 6).

// Lendable is what an agent tells its neighbours of one of its devices.
type Lendable struct {
	Serial  string  `cbor:"1,keyasint"`
	CNPJ    string  `cbor:"2,keyasint"`           // of its documents, 14 digits; "" before the first
	Layout  string  `cbor:"3,keyasint,omitempty"` // newest it takes, "00.08"; "" when not known
	Unfit   string  `cbor:"4,keyasint,omitempty"` // pt-BR, why it sells for nobody else now; "" when it does
	Memory  float64 `cbor:"5,keyasint,omitempty"` // part of its memory in use, 0 to 1; negative when not known
	Expires int64   `cbor:"6,keyasint,omitempty"` // last day of its certificate, Unix milliseconds; 0 when not known
	Waiting int     `cbor:"7,keyasint,omitempty"` // calls in its queue
	Journal string  `cbor:"8,keyasint,omitempty"` // names the lender's journal: another one cannot tell of the cases of this
}

// Ending is how a borrowed call stands with the agent that holds the device.
type Ending uint8

// The endings. Zero says nothing: whoever hears it does not know.
const (
	EndingOpen    Ending = iota + 1 // under way, or its outcome is not known there either
	EndingReplied                   // the device's reply is durable there, and here it is
	EndingNothing                   // certainly not issued, and never will be under this case
	EndingMissing                   // issued, and the document cannot be had: never sell it again unasked
)

// Known reports whether e says something that this version understands.
func (e Ending) Known() bool { return e >= EndingOpen && e <= EndingMissing }

// The conversation is one stream of frames over mutual TLS 1.3, each a u32 length
// of what follows, a byte that says what it is, and the message in CBOR. The one
// who connected borrows, the other lends. Both say every two seconds that they are
// there: the borrower by a Beacon, the lender by its Offers, first of all when it
// has accepted the borrower, and as soon as they change.

// Kinds of frames. One that is not known is passed over.
const (
	LanBeacon   byte = 'B' // borrower: a Beacon
	LanOffers   byte = 'O' // lender: Lendables
	LanSale     byte = 'S' // borrower: a Loan, to be carried out
	LanQuestion byte = 'Q' // borrower: a Loan with its case alone: how does it stand?
	LanAnswer   byte = 'A' // lender: a Return, one for each Loan
)

// Limits of the conversation. The largest frame holds the reply to the largest
// sale (a CF-e of 1,500 KB) with room to spare.
const (
	MaxLanFrame = MaxBatch
	MaxLoans    = 16  // that a borrower may have under way at a lender
	MaxCase     = 128 // bytes of a case's id
)

// Beacon says where an agent is. It is also the datagram that is broadcast on the
// LAN, where it is a hint and proves nothing.
type Beacon struct {
	Version int    `cbor:"0,keyasint"`
	Agent   string `cbor:"1,keyasint"`
	Port    uint16 `cbor:"2,keyasint"` // TCP, where it lends
}

// Lendables are all devices that an agent lends: its own, never a neighbour's.
type Lendables struct {
	Version int        `cbor:"0,keyasint"`
	Devices []Lendable `cbor:"1,keyasint"`
	// Run is random for each start of the agent: two at once under one name are two
	// computers, of which one is a copy.
	Run []byte `cbor:"2,keyasint,omitempty"`
}

// Loan is a call for a neighbour's device, or a question about one.
type Loan struct {
	Version  int      `cbor:"0,keyasint"`
	Number   uint64   `cbor:"1,keyasint"` // on this connection; the Return repeats it
	Case     string   `cbor:"2,keyasint"` // "" for a reading
	Left     int64    `cbor:"3,keyasint"` // time that is left, milliseconds
	Till     string   `cbor:"4,keyasint,omitempty"`
	Session  int      `cbor:"5,keyasint,omitempty"`
	Function uint8    `cbor:"6,keyasint,omitempty"` // as in the maker's library, 1 to 16
	Args     [][]byte `cbor:"7,keyasint,omitempty"` // after the session, in any encoding
}

// Return answers a Loan.
type Return struct {
	Version  int    `cbor:"0,keyasint"`
	Number   uint64 `cbor:"1,keyasint"`
	Case     string `cbor:"2,keyasint"`
	Ending   Ending `cbor:"3,keyasint"`
	Function uint8  `cbor:"4,keyasint,omitempty"` // of the reply
	Reply    []byte `cbor:"5,keyasint,omitempty"` // of the device, byte for byte
	Failed   string `cbor:"6,keyasint,omitempty"` // why nothing can be said
}

// ValidCase reports whether id can name a case: 1 to MaxCase bytes of UTF-8.
func ValidCase(id string) bool { return id != "" && len(id) <= MaxCase && utf8.ValidString(id) }

var establishmentPattern = regexp.MustCompile(`^[0-9A-Z]{12}[0-9]{2}$`)

// ValidEstablishment reports whether s can name an establishment: a CNPJ of 14
// characters (digits; from 2026 on the first twelve may be letters too).
func ValidEstablishment(s string) bool { return establishmentPattern.MatchString(s) }

// Establishment is the CNPJ of the establishment that an agent's certificate
// names as its organization; "" when it names none.
func Establishment(subject pkix.Name) string {
	if len(subject.Organization) != 1 || !ValidEstablishment(subject.Organization[0]) {
		return ""
	}
	return subject.Organization[0]
}
