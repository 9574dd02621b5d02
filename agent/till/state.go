package till

import (
	"time"

	"zelo/sat"
)

// State is everything that the page and the JSON show. A zero time, an empty text
// or a nil pointer means that nobody knows; zones do not matter.
type State struct {
	Name   string   // of this till, as the collector knows it
	Device Device   // the first, or the only one
	Others []Device // that serve this computer's tills too
	Cloud  Cloud
	Sale   *Sale // the last one made here; nil when none is known
	// Commands are those that support sends from afar: under way, and the last done.
	Commands []Command
	// Certificates are the shop's own, found on this computer. The device's comes
	// with its status.
	Certificates []Certificate
}

// Device is what the agent knows of its SAT or MFE.
type Device struct {
	Address    string   // as configured, "serial:/dev/ttyACM0"; "" when none is, or when it is not at this computer any more
	Info       sat.Info // without a serial number until the device was found once
	Answering  bool
	Since      time.Time // of Answering
	InDoubt    int       // sales whose outcome is not known
	DoubtSince time.Time // the oldest of them
	CodeKnown  bool      // the activation code
	Unfit      string    // why it serves no sale in another's place now; "" when it does
	Status     sat.Status
	StatusAt   time.Time // when Status was read; zero when it never was
}

// Cloud is how the till stands with its collector.
type Cloud struct {
	Enrolled  bool
	Connected bool
	Since     time.Time // of Connected
	Trouble   Trouble   // why there is no connection, when that is known
	Full      bool      // the hour's share of a metered link is used up
	Saved     int       // documents on the collector of which this till keeps a copy
	Waiting   int       // documents the collector has not confirmed
	Oldest    time.Time // when the oldest of those was written
	LastAck   time.Time // when the collector last confirmed a document
}

// Trouble is a reason for which the cloud is not reached that somebody here can mend.
type Trouble string

// The troubles.
const (
	WrongClock Trouble = "clock" // this computer's date is wrong
	BadProxy   Trouble = "proxy" // the shop's proxy refuses
)

// Sale is a fiscal document issued here.
type Sale struct {
	At           time.Time
	Key          string // 44 digits
	Total        string // decimal with dot, as in the document
	Cancellation bool
}

// Certificate is one of the shop's digital certificates.
type Certificate struct {
	Holder  string    // the company's name; never a person's CPF
	Expires time.Time // its last valid day
}

// Command is what somebody has this agent do from afar.
type Command struct {
	Title  string // "Ler log do equipamento"
	By     string // who asked
	Serial string // of the device; "" when it is not about one
	Text   string // how it stands, a sentence
	At     time.Time
	Ended  bool
	Failed bool // it ended, and not as it was meant
}
