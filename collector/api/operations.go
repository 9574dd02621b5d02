package api

import (
	"context"
	"io"
	"slices"
	"strconv"

	"zelo/collector/account"
	"zelo/collector/ingest"
	"zelo/collector/store"
)

// Op names an operation.
type Op string

// Kind says what a parameter of an operation names.
type Kind string

// The kinds. What is named by any but the first belongs to somebody.
const (
	Text         Kind = "text"
	TillID       Kind = "till"     // agent, or device without one
	DocumentRef  Kind = "document" // access key, or number of a document without one
	VersionID    Kind = "version"
	AlarmID      Kind = "alarm"
	RecordID     Kind = "record" // in quarantine
	DeviceSerial Kind = "device"
	CNPJ         Kind = "establishment"
	Root         Kind = "taxpayer" // first 8 characters of its CNPJ
	ResellerID   Kind = "reseller"
	PersonID     Kind = "person"
	GrantID      Kind = "grant"
	TokenID      Kind = "token"
	FileBody     Kind = "file" // one file, which is the body of the request
)

// Param is one parameter of an operation.
type Param struct {
	Name string
	Kind Kind
}

// Input is what one call is given.
type Input struct {
	Values map[string]string // of the parameters, by name; what is missing is ""
	Out    io.Writer         // takes the file of an export
	Files  []ingest.File     // of an import
}

func (in Input) number(name string) int64 {
	n, _ := strconv.ParseInt(in.Values[name], 10, 64) // what is none names nothing
	return n
}

// Operation is one thing that people and programs may do. The table of operations
// is the only place where it stands who may, and with Right which program.
type Operation struct {
	Op     Op
	Method string // of HTTP
	Path   string // below the API's root
	Roles  []store.Role
	Needs  account.Feature // of the plan; "" is everybody's
	Params []Param
	// Answer is an example, without values, of what Call answers: a struct whose fields
	// have json and doc tags (see answer.go), File, Stream, or nil when it answers nothing.
	Answer any
	Call   func(context.Context, *API, Caller, Input) (any, error)
}

// Who may what.
func everyone() []store.Role {
	return []store.Role{store.RolePlatform, store.RoleReseller, store.RoleTechnician, store.RoleTaxpayer, store.RoleAccountant}
}
func staff() []store.Role {
	return []store.Role{store.RolePlatform, store.RoleReseller, store.RoleTechnician}
}
func heads() []store.Role { return []store.Role{store.RolePlatform, store.RoleReseller} }
func givers() []store.Role {
	return []store.Role{store.RolePlatform, store.RoleReseller, store.RoleTaxpayer}
}
func platform() []store.Role { return []store.Role{store.RolePlatform} }

// personal are the roles that may see who bought: a technician needs it for nothing.
func personal() []store.Role {
	return []store.Role{store.RolePlatform, store.RoleReseller, store.RoleTaxpayer, store.RoleAccountant}
}

// The operations.
const (
	opNow             Op = "now"
	opTills           Op = "tills"
	opTill            Op = "tills.one"
	opAlarms          Op = "alarms"
	opAlarm           Op = "alarms.one"
	opSearch          Op = "documents"
	opConsumer        Op = "documents.consumer"
	opDocument        Op = "documents.one"
	opReveal          Op = "documents.reveal"
	OpDocumentBytes   Op = "documents.original"
	opNumbersOfDevice Op = "numbers.device"
	opNumbersOfSeries Op = "numbers.series"
	opImport          Op = "documents.import"
	OpQuarantine      Op = "quarantine"
	OpQuarantineBytes Op = "quarantine.original"
	opSettle          Op = "quarantine.settle"
	OpShops           Op = "exports.shops"
	opPreview         Op = "exports.preview"
	opExportZIP       Op = "exports.originals"
	opExportCSV       Op = "exports.table"
	OpEnrolments      Op = "enrolments"
	opEnrol           Op = "enrolments.new"
	opResellers       Op = "resellers"
	OpAddReseller     Op = "resellers.new"
	opTaxpayers       Op = "taxpayers"
	OpAddTaxpayer     Op = "taxpayers.new"
	OpMoveTaxpayer    Op = "taxpayers.move"
	OpSetPlan         Op = "establishments.plan"
	OpPlans           Op = "plans"
	OpIdentify        Op = "tills.identify"
	OpPeople          Op = "people"
	opAddPerson       Op = "people.new"
	opLink            Op = "people.link"
	opReset           Op = "people.reset"
	opDropPerson      Op = "people.drop"
	opGrants          Op = "grants"
	OpGive            Op = "grants.new"
	opTake            Op = "grants.take"
	OpAPITokens       Op = "tokens"
	opNewAPIToken     Op = "tokens.new"
	opRevokeAPIToken  Op = "tokens.revoke"
	opSetPassword     Op = "password"
	OpAudit           Op = "audit"
)

// Operations is the table.
func Operations() []Operation {
	return slices.Concat(watching(), caring(), quarantine(), revocation(), documents(), tenants(), people(), waiting(), clients(), subjects(), commanding(), plans(), notices(), computers(), daily(), histories())
}

// par makes parameters of name and kind pairs.
func par(pairs ...string) (out []Param) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Param{pairs[i], Kind(pairs[i+1])})
	}
	return out
}

func watching() []Operation {
	return []Operation{
		{opNow, "GET", "/now", everyone(), "", nil, overviewAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayOverview)(a.Now(ctx, c))
			}},
		{opTills, "GET", "/tills", everyone(), "", nil, tillsAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayTills)(a.Tills(ctx, c))
			}},
		{opTill, "GET", "/tills/{till}", everyone(), "", par("till", "till"), tillPageAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayTillPage)(a.Till(ctx, c, in.Values["till"]))
			}},
		{OpIdentify, "POST", "/tills/{till}/establishment", staff(), "", par("till", "till", "cnpj", "establishment"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Identify(ctx, c, in.Values["till"], in.Values["cnpj"])
			}},
		{opAlarms, "GET", "/alarms", everyone(), "", nil, alarmsAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				open, closed, err := a.Alarms(ctx, c)
				return alarmsAnswer{each(open, sayAlarm), each(closed, sayAlarm)}, err
			}},
		{opAlarm, "GET", "/alarms/{alarm}", everyone(), "", par("alarm", "alarm"), alarmLifeAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayAlarmPage)(a.Alarm(ctx, c, in.number("alarm")))
			}},
		{OpQuarantine, "GET", "/quarantine", staff(), "", nil, quarantineAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				list, total, err := a.Quarantine(ctx, c)
				return quarantineAnswer{each(list, sayQuarantined), total}, err
			}},
		{OpQuarantineBytes, "GET", "/quarantine/{record}/original", heads(), "", par("record", "record"), File{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				raw, err := a.QuarantinedBytes(ctx, c, in.number("record"))
				return File{in.Values["record"] + ".bin", raw}, err
			}},
		{opSettle, "POST", "/quarantine/{record}/settle", staff(), "", par("record", "record"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Settle(ctx, c, in.number("record"))
			}},
	}
}

func documents() []Operation {
	return []Operation{
		{opSearch, "GET", "/documents", everyone(), "", par("text", "device", "from", "text", "to", "text", "after", "text"), foundAnswer{}, searchOpenly},
		{opConsumer, "POST", "/documents/search", personal(), "", par("text", "document", "consumer", "text", "from", "text", "to", "text", "after", "text"), foundAnswer{}, search},
		{opDocument, "GET", "/documents/{ref}", everyone(), "", par("ref", "document"), documentPageAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayCoupon)(a.Document(ctx, c, in.Values["ref"]))
			}},
		{opReveal, "POST", "/documents/{ref}/consumer", personal(), "", par("ref", "document"), documentPageAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayCoupon)(a.RevealDocument(ctx, c, in.Values["ref"]))
			}},
		{OpDocumentBytes, "GET", "/versions/{id}/original", personal(), "", par("id", "version"), File{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				raw, name, err := a.DocumentBytes(ctx, c, in.number("id"))
				return File{name, raw}, err
			}},
		{opNumbersOfDevice, "GET", "/numbers/{serial}", everyone(), "", par("serial", "device"), numberingAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayNumbering)(a.NumberingOf(ctx, c, in.Values["serial"]))
			}},
		{opNumbersOfSeries, "GET", "/numbers/{cnpj}/{series}", everyone(), "", par("cnpj", "establishment", "series", "text"), numberingAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayNumbering)(a.NumberingOfSeries(ctx, c, in.Values["cnpj"], in.Values["series"]))
			}},
		{opImport, "POST", "/documents", platform(), "", par("file", "file"), importedAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayImported)(a.Import(ctx, c, in.Files...))
			}},
		{OpShops, "GET", "/exports/shops", personal(), "", nil, shopsAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayShops)(a.Shops(ctx, c))
			}},
		{opPreview, "GET", "/exports/preview", personal(), "", selectionParams(), reportAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayReport)(a.Preview(ctx, c, selectionOf(in)))
			}},
		{opExportZIP, "GET", "/exports/originals.zip", personal(), "", selectionParams(), Stream("application/zip"),
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return a.ExportZIP(ctx, c, selectionOf(in), in.Out)
			}},
		{opExportCSV, "GET", "/exports/documents.csv", personal(), "", selectionParams(), Stream("text/csv; charset=utf-8"),
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return a.ExportCSV(ctx, c, selectionOf(in), in.Out)
			}},
	}
}

func search(ctx context.Context, a *API, c Caller, in Input) (any, error) {
	return says(sayFound)(a.Search(ctx, c, Query{Text: in.Values["text"], Consumer: in.Values["consumer"], From: in.Values["from"], To: in.Values["to"], After: in.Values["after"]}))
}

// searchOpenly is a search whose words stand in an address.
func searchOpenly(ctx context.Context, a *API, c Caller, in Input) (any, error) {
	if (Query{Text: in.Values["text"]}).Personal() {
		return nil, problem("Um CPF não pode estar no endereço, que fica em registros e históricos. Use POST em /documents/search.")
	}
	return search(ctx, a, c, in)
}

func selectionParams() []Param {
	return par("cnpj", "establishment", "serial", "device", "month", "text")
}

func selectionOf(in Input) Selection {
	return Selection{CNPJ: in.Values["cnpj"], Serial: in.Values["serial"], Month: in.Values["month"]}
}

func tenants() []Operation {
	return []Operation{
		{OpEnrolments, "GET", "/enrolments", staff(), "", nil, enrolmentsAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayEnrolments)(a.Tokens(ctx, c))
			}},
		{opEnrol, "POST", "/enrolments", staff(), "", par("label", "text", "cnpj", "establishment"), newEnrolmentAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayNewEnrolment)(a.Enrol(ctx, c, in.Values["label"], in.Values["cnpj"], 1, 1))
			}},
		{opResellers, "GET", "/resellers", heads(), "", nil, resellersAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayResellers)(a.Resellers(ctx, c))
			}},
		{OpAddReseller, "POST", "/resellers", platform(), "", par("name", "text"), idAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayID)(a.AddReseller(ctx, c, in.Values["name"]))
			}},
		{opTaxpayers, "GET", "/taxpayers", everyone(), "", par("text", "text", "after", "text"), clientsAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayClients)(a.Taxpayers(ctx, c, in.Values["text"], in.Values["after"]))
			}},
		{OpAddTaxpayer, "POST", "/taxpayers", heads(), "", par("cnpj", "establishment", "name", "text", "reseller", "reseller"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.AddTaxpayer(ctx, c, in.Values["cnpj"], in.Values["name"], in.number("reseller"))
			}},
		{OpMoveTaxpayer, "POST", "/taxpayers/{root}/reseller", platform(), "", par("root", "taxpayer", "reseller", "reseller"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.MoveTaxpayer(ctx, c, in.Values["root"], in.number("reseller"))
			}},
	}
}

func people() []Operation {
	return []Operation{
		{OpPeople, "GET", "/people", heads(), "", nil, peopleAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayPeople)(a.People(ctx, c))
			}},
		{opAddPerson, "POST", "/people", heads(), "", par("email", "text", "name", "text", "role", "text", "reseller", "reseller", "root", "taxpayer"), linkAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayLink)(a.AddPerson(ctx, c, NewPerson{in.Values["email"], in.Values["name"], store.Role(in.Values["role"]), in.number("reseller"), in.Values["root"]}))
			}},
		{opLink, "POST", "/people/{person}/link", heads(), "", par("person", "person"), linkAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayLink)(a.Link(ctx, c, in.number("person")))
			}},
		{opReset, "POST", "/people/{person}/reset", heads(), "", par("person", "person"), linkAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayLink)(a.Reset(ctx, c, in.number("person")))
			}},
		{opDropPerson, "POST", "/people/{person}/drop", heads(), "", par("person", "person"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.DropPerson(ctx, c, in.number("person"))
			}},
		{opGrants, "GET", "/grants", givers(), "", nil, grantsAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayGrants)(a.Grants(ctx, c))
			}},
		{OpGive, "POST", "/grants", givers(), "", par("root", "taxpayer", "email", "text"), linkAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayLink)(a.Give(ctx, c, in.Values["root"], in.Values["email"]))
			}},
		{opTake, "POST", "/grants/{grant}/take", givers(), "", par("grant", "grant"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.Take(ctx, c, in.number("grant"))
			}},
		{OpAPITokens, "GET", "/tokens", everyone(), "", nil, apiTokensAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayAPITokens)(a.APITokens(ctx, c))
			}},
		{opNewAPIToken, "POST", "/tokens", everyone(), "", par("label", "text", "root", "taxpayer", "rights", "text"), newAPITokenAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayNewAPIToken)(a.NewAPIToken(ctx, c, NewToken{in.Values["label"], in.Values["root"], in.Values["rights"], 30}))
			}},
		{opRevokeAPIToken, "POST", "/tokens/{token}/revoke", everyone(), "", par("token", "token"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.RevokeAPIToken(ctx, c, in.number("token"))
			}},
		{opSetPassword, "POST", "/password", everyone(), "", par("password", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.SetPassword(ctx, c, Password{New: in.Values["password"]})
			}},
		{OpAudit, "GET", "/audit", heads(), "", par("who", "text", "act", "text", "from", "text", "to", "text", "after", "text"), auditAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayAudit)(a.Audit(ctx, c, AuditQuery{in.Values["who"], in.Values["act"], in.Values["from"], in.Values["to"], in.Values["after"]}))
			}},
	}
}
