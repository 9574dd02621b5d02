package alarm

import (
	"slices"
	"strings"
	"time"
)

// Facts are what is known about one subject at one moment. Zero times and nil
// parts mean "not known", and what is not known raises nothing: that a subject
// was not heard is a rule of its own.
type Facts struct {
	Subject Subject
	Policy  Policy       // of the subject's tenant; zero is the defaults
	Open    map[Code]int // steps of the subject's open alarms: they end later than they begin

	Agent       *Agent       // the subject itself, or the agent a device hangs from; nil without one
	Device      *Device      // nil unless the subject is a device
	Certificate *Certificate // nil unless the subject is a certificate
	Shop        *Shop        // nil unless the subject is an establishment

	Quarantined Happening // records stored raw and not settled by a person yet
	Missing     Happening // documents issued that nobody has
	Unresolved  Happening // sales of which nobody can tell whether they were issued
	IssuedTwice Happening // sales that two devices issued, and of which none is cancelled
}

// Happening is a number of like incidents.
type Happening struct {
	Count       int
	First, Last time.Time
	Example     string // names one of them: a key, a reason, a range
}

// And is both; the example is the first's.
func (h Happening) And(o Happening) Happening {
	switch {
	case h.Count == 0:
		return o
	case o.Count == 0:
		return h
	}
	h.Count += o.Count
	if o.First.Before(h.First) {
		h.First = o.First
	}
	if o.Last.After(h.Last) {
		h.Last = o.Last
	}
	return h
}

// Agent are the facts of one agent.
type Agent struct {
	Heard       time.Time // collector's clock at the last message
	BeatAt      time.Time
	Oldest      time.Time     // of its records not acknowledged at the last beat; zero when none waited
	Evicted     Happening     // records the agent dropped unsent for want of room
	Damaged     Happening     // times its buffer was found damaged
	Collided    Happening     // records that came twice with different content
	SetAside    Happening     // records that no message can carry
	Used, Bound int64         // bytes of its buffer; Bound 0 is not known
	Software    string        // its version
	Newest      string        // the newest version that the tenants' agents run
	NewestSince time.Time     // since when that one is in use
	ClockOff    time.Duration // its clock minus the collector's, at the last beat

	Computer *Computer // nil while nothing is known
	Disks    []Disk
	Sales    []Sales // last days of its tills, newest first within each till
	// Statuses is when the device of it that was silent for longest told its status; zero
	// when one never did, or none refused a sale because it is blocked.
	Statuses time.Time
	Makers   []Library
	Unseen   Unseen
}

// Computer is what is known of an agent's computer.
type Computer struct {
	At          time.Time // when it was told
	MemoryTotal int64     // bytes
	MemoryFree  int64
	Antivirus   string // "on", "off", "outdated"; "" when not known
	AntivirusBy string
	USBErrors   int // in 24 hours
	USBLast     string
	Returned    Happening // devices at its ports that went and came back, in 24 hours, by serial number
	Panics      int       // of the agent, in 24 hours
	Restarts    int
}

// Disk is one volume of the computer.
type Disk struct {
	Name        string
	Total, Free int64 // bytes
	Own         bool  // the agent's buffer lies on it
	At          time.Time
}

// Sales is how one till sold on one day.
type Sales struct {
	Till     string
	Day      time.Time // midnight in Brasília
	Sold     int
	Rejected int
	Code     string // of most refusals
	P95      time.Duration
}

// Blocked tells whether most were refused because the device is blocked (dossier on the SAT
// interface, 2.4, EnviarDadosVenda).
func (s Sales) Blocked() bool {
	code, _, _ := strings.Cut(s.Code, "/")
	return slices.Contains([]string{"06006", "06007", "06008"}, code)
}

// Library is a program of a till that loads a maker's library again.
type Library struct {
	Program string // "pdv.exe"
	Path    string // of the library
	Since   time.Time
}

// Unseen is why libraries of some programs cannot be seen: "wide", "denied", "failed";
// "" when all can.
type Unseen struct {
	Why string
	At  time.Time // when it was told
}

// Block is why a device refuses to sell.
type Block int

// The blocks. Unblocked also stands for a state nobody knows.
const (
	Unblocked Block = iota
	ByTaxOffice
	ByTaxpayer
	Autonomous
	ForDeactivation
)

// Device are the facts of one device.
type Device struct {
	Stage      Stage
	StageSince time.Time
	FirstSeen  time.Time
	Silent     time.Time // since when it does not answer its agent; zero while it does
	OtherSells bool      // another device of the establishment answers and is not blocked
	StatusAt   time.Time // collector's clock when its last status came
	Block      Block
	BlockSince time.Time
	Memory     float64 // used fraction, 0 to 1; negative when not known
	LastIssued time.Time
	// LastSent is its last transmission of a document, LastContact its last word with
	// the tax office.
	LastSent    time.Time
	LastContact time.Time
	CertExpires time.Time // day, midnight in Brasília
	// ClockOff is the device's clock minus the collector's, at the last status.
	ClockOff   time.Duration
	ClockKnown bool
	// PendingSince is the date of the oldest document waiting for the tax
	// office, as far as known; zero when none waits.
	PendingSince time.Time
	Pending      int // how many wait, about; below 2 when not known
	Battery      Battery
	BatterySince time.Time
	NoNetwork    time.Time // since when its network is not connected; zero while it is
	Software     string    // basic software
	Newest       string    // the newest that another device of the same model has
	NewestSince  time.Time
	Memories     []Point // used fraction at the end of days, oldest first
	Daily        int64   // cents it sells on a day of selling

	Forbidden Happening // production documents dated after emission was prohibited
	Invalid   Happening // documents whose signature is wrong or missing
	Gaps      Happening // missing numbers; First is when they were first found missing
	Doubled   Happening // numbers of several documents
	// Ahead are numbers past the last one held, which the device says that it issued;
	// First is the first status since that told of one not held.
	Ahead   Happening
	Direct  Happening // documents of the direct bridge
	Outside Happening // documents issued past the agent otherwise, as the agent tells
}

// Battery is the level of a device's battery.
type Battery int

// The levels; zero is not known.
const (
	BatteryUnknown Battery = iota
	BatteryHigh
	BatteryMedium
	BatteryLow
)

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// Certificate is a company's certificate on computers of its tills.
type Certificate struct {
	Holder  string // name of the company
	Type    string // "A1", "A3"; "" when not known
	Expires time.Time
	Tills   int  // computers it is on
	Renewed bool // a newer one of the same holder is on each of them
}

// Shop are the facts of one establishment.
type Shop struct {
	State     string // abbreviation; "" when not known
	Gaps      []SeriesGap
	Unsettled Happening // notes issued off-line that the tax office has not authorised
	Unknown   Happening // notes issued on-line of which nobody knows whether they were authorised
	Twins     Happening // numbers issued both on-line and off-line, neither note being cancelled
	Again     []Again
}

// Again are two notes of one series, both standing, that sell the same to the same
// consumer, the first of which had no answer of the tax office when the second was issued.
type Again struct {
	Series        string
	First, Second int
	At            time.Time // issue of the second
	After         time.Duration
	Offline       bool // the second was issued in contingency
}

// SeriesGap is a range of missing numbers of one NFC-e series.
type SeriesGap struct {
	Series   string
	From, To int
	Before   time.Time // issue of the first note above it
	// Used is the first of its numbers that an event shows to be issued, 0 for none;
	// Offline tells that it was issued in contingency.
	Used    int
	Offline bool
}
