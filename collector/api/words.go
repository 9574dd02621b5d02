package api

import (
	"zelo/collector/export"
	"zelo/collector/store"
)

// How amounts, numbers and documents are written for people; see package export.

// Amount writes a decimal with a dot as "1.234,56".
func Amount(decimal string) string { return export.Amount(decimal) }

// Money writes cents as "1.234,56".
func Money(cents int64) string { return export.Money(cents) }

// Thousands writes 18204 as "18.204".
func Thousands(n int) string { return export.Thousands(n) }

// Register writes a CNPJ or CPF with its punctuation.
func Register(s string) string { return export.Register(s) }

// KindWord says what a document is.
func KindWord(d store.Document) string { return export.KindWord(d) }

// VerdictWord says the verdict of a check.
func VerdictWord(verdict string) string { return export.VerdictWord(verdict) }

// PaymentWord names a means of payment by its code.
func PaymentWord(code string) string { return export.PaymentWord(code) }

// Roles of clients: who owns shops, and who keeps the books of some.
const (
	RoleTaxpayer   = store.RoleTaxpayer
	RoleAccountant = store.RoleAccountant
)

// Names of what operations return, for callers that know this package alone.
type (
	// Device is a SAT or MFE with its last status.
	Device = store.Device
	// Event is something an agent reported.
	Event = store.Event
	// PlanName is LITE or PRO.
	PlanName = store.Plan
	// Report counts what a selection holds.
	Report = export.Report
)
