package account

import (
	"slices"
	"strings"

	"zelo/collector/store"
)

// Caller is whom an operation works for. The zero Caller is nobody. Only this
// package makes one, and with it the Scope of what it sees.
type Caller struct {
	who      string
	user     int64
	role     store.Role
	reseller int64
	scope    store.Scope
	token    bool
	program  string // name of the token
	rights   string // of the token, as the store keeps them
}

// CommandLine is the caller at the collector's own machine: a platform
// administrator.
func CommandLine() Caller {
	return Caller{who: "coletor", role: store.RolePlatform, scope: store.All()}
}

// callerOf is a person as a caller.
func callerOf(u store.User) Caller {
	return Caller{who: u.Email, user: u.ID, role: u.Role, reseller: u.Reseller, scope: ScopeOf(u)}
}

// ScopeOf is what a person sees, for what is sent to them without being asked.
func ScopeOf(u store.User) store.Scope {
	switch u.Role {
	case store.RolePlatform:
		return store.All()
	case store.RoleReseller, store.RoleTechnician:
		return store.OfReseller(u.Reseller)
	case store.RoleTaxpayer, store.RoleAccountant:
		return store.OfPerson(u.ID)
	}
	return store.Scope{}
}

// Who is the caller's e-mail address, or "coletor" for the command line.
func (c Caller) Who() string { return c.who }

// User is the caller's number in the store, 0 for the command line.
func (c Caller) User() int64 { return c.user }

// Role is what the caller is to the collector.
func (c Caller) Role() store.Role { return c.role }

// Reseller is the one the caller works for; of the platform's own it is the
// collector's first.
func (c Caller) Reseller() int64 {
	if c.role == store.RolePlatform {
		return store.DefaultReseller
	}
	return c.reseller
}

// Scope is what the caller sees.
func (c Caller) Scope() store.Scope { return c.scope }

// Token tells whether a program acts with an API token of the person.
func (c Caller) Token() bool { return c.token }

// Right is what a program may do with a token, as far as the person may.
type Right string

// The rights. Each token has the first, and one to commands that to queries, too.
const (
	RightRead     Right = "read"
	RightAlarms   Right = "alarms"   // take, assign, silence and resolve them
	RightQueries  Right = "queries"  // give commands that only ask, when that disturbs no sale
	RightCommands Right = "commands" // give all commands
)

// Rights are all of them, the least first.
func Rights() []Right { return []Right{RightRead, RightAlarms, RightQueries, RightCommands} }

// Has tells whether the caller acts with a right: a person with each.
func (c Caller) Has(r Right) bool {
	words := strings.Fields(c.rights)
	return !c.token || r == RightRead || slices.Contains(words, string(r)) || r == RightQueries && slices.Contains(words, string(RightCommands))
}

// Only narrows what the caller sees to one taxpayer, named by its CNPJ root; ""
// does not narrow.
func (c Caller) Only(root string) Caller {
	if root != "" {
		c.scope = c.scope.Only(root)
	}
	return c
}

// Narrowed is the CNPJ root that Only was given; "" when it was not.
func (c Caller) Narrowed() string { return c.scope.Root() }

// Is tells whether the caller has one of the roles.
func (c Caller) Is(roles ...store.Role) bool { return c.who != "" && slices.Contains(roles, c.role) }

// Audit begins a line of the audit with who the caller is.
func (c Caller) Audit() store.Audit {
	return store.Audit{Who: c.who, User: c.user, Reseller: c.reseller, Token: c.program}
}

// Feature is something that a plan includes.
type Feature string

// The features that are not in every plan.
const (
	FeatureCommands   Feature = "comandos remotos"
	FeatureForecasts  Feature = "previsões"
	FeatureReports    Feature = "relatórios"
	FeatureConference Feature = "termo de conferência"
	FeatureMirror     Feature = "espelho em pasta"
	FeatureAPI        Feature = "API"
)

// Entitlements is the one table of which plan a feature needs. What is not in it is
// everybody's: selling, fail-over, the archive, alarms, the owner's page and the
// download of one's own documents are stopped by no plan and no unpaid bill.
func Entitlements() map[Feature]store.Plan {
	return map[Feature]store.Plan{
		FeatureCommands: store.PlanPro, FeatureForecasts: store.PlanPro, FeatureReports: store.PlanPro,
		FeatureConference: store.PlanPro, FeatureMirror: store.PlanPro, FeatureAPI: store.PlanPro,
	}
}

// With is the caller for something that needs a feature: it sees only the
// establishments whose plan includes it. The platform sees all of its own.
func (c Caller) With(f Feature) Caller {
	if Entitlements()[f] == store.PlanPro && c.role != store.RolePlatform {
		c.scope = c.scope.Paid()
	}
	return c
}
