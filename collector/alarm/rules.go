package alarm

import (
	"slices"
	"time"
)

// Rule is one declared alarm. Its texts are what a person reads, in pt-BR: the
// title names it, the finding's detail says what is and since when, the meaning
// what that does to the shop, and the last what to do.
type Rule struct {
	Code      Code
	Subjects  []Kind   // what it judges
	Severity  Severity // where the scale says nothing else
	Title     string
	Meaning   string
	WhatToDo  string
	DependsOn []Code        // while one of these holds, this rule cannot be judged
	PartOf    []Part        // while one of these stands, it tells of this one too
	Scale     Scale         // of a rule that measures; tenants may set its steps
	Hold      time.Duration // how long the condition holds before it is raised
	Until     until         // at which stages of a device it is judged
	// judge returns what it found, or nil: the alarm does not hold. Rules of causes
	// have none: Group finds them.
	judge func(*look) *finding
}

// Part says that an alarm is part of another, from a step of its own on: both have one
// cause and one remedy, and the other, which is declared before, names it.
type Part struct {
	Of   Code
	From int
}

// Shared tells whether the rule is of a cause that Group finds.
func (r Rule) Shared() bool { return r.judge == nil }

// look is what a rule looks at: the scale is the tenant's, open the step that the
// rule's alarm has already.
type look struct {
	*Facts
	now   time.Time
	scale Scale
	open  int
}

type finding struct {
	severity Severity // 0: the rule's
	step     int
	since    time.Time
	detail   string
}

// Rules lists all rules, those others depend on first.
func Rules() []Rule { return slices.Concat(rules, causes) }

// RuleOf finds a rule by its code.
func RuleOf(c Code) (Rule, bool) {
	for _, list := range [][]Rule{rules, causes} {
		for i := range list {
			if list[i].Code == c {
				return list[i], true
			}
		}
	}
	return Rule{}, false
}

// rules are all that Eval judges.
var rules = slices.Concat(tillRules(), deviceRules(), documentRules(), companyRules())

// The codes.
const (
	AgentSilent         Code = "agent-silent"
	BufferFilling       Code = "buffer-filling"
	RecordsEvicted      Code = "records-evicted"
	RecordSetAside      Code = "record-set-aside"
	BufferDamaged       Code = "buffer-damaged"
	AgentCloned         Code = "agent-cloned"
	AgentBehind         Code = "agent-behind"
	AgentUnwell         Code = "agent-unwell"
	DiskFilling         Code = "disk-filling"
	MemoryLow           Code = "memory-low"
	ComputerClock       Code = "computer-clock"
	AntivirusOff        Code = "antivirus-off"
	USBErrors           Code = "usb-errors"
	MakersLibrary       Code = "makers-library"
	LibraryUnseen       Code = "library-unseen"
	SalesRejected       Code = "sales-rejected"
	SalesSlow           Code = "sales-slow"
	RecordsQuarantined  Code = "records-quarantined"
	DeviceNotAnswering  Code = "device-not-answering"
	StatusOld           Code = "status-old"
	BlockedByTaxOffice  Code = "blocked-by-tax-office"
	BlockedByTaxpayer   Code = "blocked-by-taxpayer"
	BlockedAutonomous   Code = "blocked-autonomous"
	BlockedDeactivation Code = "blocked-for-deactivation"
	CertificateExpiring Code = "certificate-expiring"
	MemoryFilling       Code = "memory-filling"
	NoContact           Code = "no-sefaz-contact"
	PendingOld          Code = "pending-old"
	NotTransmitted      Code = "not-transmitted"
	ClockOff            Code = "clock-off"
	NetworkDown         Code = "device-network-down"
	BatteryWeak         Code = "battery-weak"
	SoftwareBehind      Code = "software-behind"
	LostSeen            Code = "lost-device-seen"
	IssuedOutside       Code = "issued-outside"
	NumbersMissing      Code = "numbers-missing"
	NumbersDoubled      Code = "numbers-doubled"
	EmissionForbidden   Code = "emission-forbidden"
	SignatureInvalid    Code = "signature-invalid"
	DocumentMissing     Code = "document-missing"
	CaseUnresolved      Code = "case-unresolved"
	IssuedTwice         Code = "issued-twice"
	CompanyCertificate  Code = "company-certificate"
	SeriesGapOpen       Code = "series-gap"
	ContingencyOpen     Code = "contingency-open"
	NoteUnknown         Code = "note-unknown"
	NoteTwins           Code = "note-twins"
	NoteAgain           Code = "note-again"
	ShopOffline         Code = "shop-offline"
	CarrierDown         Code = "carrier-down"
	TaxOfficeDown       Code = "tax-office-down"
	SoftwareFaulty      Code = "software-faulty"
)
