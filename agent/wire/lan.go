package wire

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
}

// Ending is how a borrowed call stands with the agent that holds the device.
type Ending uint8

// The endings. Zero says nothing: whoever hears it does not know.
const (
	EndingOpen    Ending = iota + 1 // under way, or its outcome is not known there either
	EndingReplied                   // the device's reply is durable there, and here it is
	EndingNothing                   // certainly not issued, and never will be under this case
)
