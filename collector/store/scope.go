package store

import (
	"strconv"
	"strings"
)

// Scope is what a reader sees: the rows of some establishments, and the tills that
// wait to be identified. The zero Scope sees nothing. Scopes of people are made by
// package account alone; All is for what the collector does by itself.
type Scope struct {
	kind scopeKind
	id   int64  // of the reseller or the person
	root string // only this taxpayer; "" does not narrow
	paid bool   // only establishments with plan PRO
}

type scopeKind int

const (
	scopeNothing scopeKind = iota
	scopeAll
	scopeReseller
	scopePerson
)

// All sees everything, also what belongs to nobody yet.
func All() Scope { return Scope{kind: scopeAll} }

// OfReseller sees the taxpayers of a reseller, and its tills without an establishment.
func OfReseller(id int64) Scope { return Scope{kind: scopeReseller, id: id} }

// OfPerson sees the taxpayers that a person was granted.
func OfPerson(id int64) Scope { return Scope{kind: scopePerson, id: id} }

// Only narrows a scope to one taxpayer, named by its CNPJ root. What the scope does
// not see it does not see narrowed either.
func (s Scope) Only(root string) Scope {
	if s.root != "" && s.root != root {
		return Scope{}
	}
	s.root = root
	return s
}

// Root is the one taxpayer that the scope is narrowed to; "" when it is not.
func (s Scope) Root() string { return s.root }

// Paid narrows a scope to establishments with plan PRO.
func (s Scope) Paid() Scope {
	s.paid = true
	return s
}

// Everything tells whether the scope is All, not narrowed.
func (s Scope) Everything() bool { return s == All() }

// arguments are those of a statement, in the order of their numbers.
type arguments []any

// add appends a value and returns its placeholder.
func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// taxpayers are the conditions under which a scope sees taxpayer t.
func (s Scope) taxpayers(args *arguments) string {
	var where []string
	switch s.kind {
	case scopeAll:
		where = append(where, "1 = 1")
	case scopeReseller:
		where = append(where, "t.reseller_id = "+args.add(s.id))
	case scopePerson:
		where = append(where, "t.root IN (SELECT g.root FROM grants g WHERE g.user_id = "+args.add(s.id)+" AND g.taken_at = 0)")
	default:
		where = append(where, "1 = 0")
	}
	if s.root != "" {
		where = append(where, "t.root = "+args.add(s.root))
	}
	return strings.Join(where, " AND ")
}

// owns is the one condition that lets rows of establishments through: column is
// that of the CNPJ. What belongs to an emitter that nobody registered is seen by
// All only.
func (r *Reader) owns(column string, args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return column + " IN (SELECT e.cnpj" + r.places(args) + ")"
}

// ownsThis is owns for few rows, or rows in an order of their own: each is looked up,
// where owns begins by listing what a scope sees, which may be tens of thousands. It
// counts because that is never turned into a join.
func (r *Reader) ownsThis(column string, args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return "(SELECT count(*)" + r.places(args) + " AND e.cnpj = " + column + ") > 0"
}

// places are the establishments that a scope sees, as e, from FROM on.
func (r *Reader) places(args *arguments) string {
	paid := ""
	if r.scope.paid {
		paid = "e.plan = '" + string(PlanPro) + "' AND "
	}
	return " FROM establishments e JOIN taxpayers t ON t.root = e.root WHERE " + paid + r.scope.taxpayers(args)
}

// ofAgents is the condition for rows that an agent brought: column is that of its
// id. An agent without an establishment waits with the reseller that enrolled it.
func (r *Reader) ofAgents(column string, args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	where := r.owns("v.cnpj", args)
	if r.scope.kind == scopeReseller && r.scope.root == "" && !r.scope.paid {
		where += " OR v.cnpj = '' AND v.reseller_id = " + args.add(r.scope.id)
	}
	return column + " IN (SELECT v.id FROM agents v WHERE " + where + ")"
}

// sharesAgents is ofAgents, and also lets through the agents that serve somebody in
// sight beside their own establishment: that bring their coupons, or drive their
// devices. What else such an agent does is not theirs to see.
func (r *Reader) sharesAgents(column string, args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return "(" + r.ofAgents(column, args) + " OR " + column + " IN (SELECT m.agent FROM emitters m WHERE m.agent <> '' AND " + r.owns("m.cnpj", args) +
		" UNION SELECT y.agent FROM devices y WHERE y.agent <> '' AND y.cnpj <> '' AND " + r.owns("y.cnpj", args) + "))"
}

// ofDevices is the condition for rows about a device: column is that of its number.
// A device without an establishment goes with its agent.
func (r *Reader) ofDevices(column string, args *arguments) string {
	if r.scope.Everything() {
		return "1 = 1"
	}
	return column + " IN (SELECT x.serial FROM devices x WHERE " + r.owns("x.cnpj", args) +
		" OR x.cnpj = '' AND " + r.ofAgents("x.agent", args) + ")"
}

// ofReseller is the condition for rows of a reseller's own: column is that of its id.
// Of these taxpayers and accountants see none. Who is narrowed to a taxpayer sees those
// of its reseller alone, which may still tell of its other taxpayers.
func (r *Reader) ofReseller(column string, args *arguments) string {
	switch {
	case r.scope.kind != scopeAll && r.scope.kind != scopeReseller:
		return "1 = 0"
	case r.scope.root != "":
		return column + " IN (SELECT t.reseller_id FROM taxpayers t WHERE " + r.scope.taxpayers(args) + ")"
	case r.scope.kind == scopeReseller:
		return column + " = " + args.add(r.scope.id)
	}
	return "1 = 1"
}

// system fails for a reader of a person: what it guards is the collector's own.
func (r *Reader) system() error {
	if !r.scope.Everything() {
		return ErrNotFound
	}
	return nil
}
