package router

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// Policy orders the devices that may serve a sale, after the till's own.
type Policy uint8

// The policies.
const (
	Fixed           Policy = iota // as configured
	LeastBusy                     // the fewest calls waiting
	MostMemory                    // the largest part of its memory free
	CertificateLast               // the soonest certificate to expire comes last
)

// facts are what is known of a device when a call looks for one. What nobody
// knows excludes nobody, except the CNPJ and the code of a device that is not the
// till's own: the device judges for itself.
type facts struct {
	serial    string
	answering bool
	held      bool       // its latest sale is not settled
	code      bool       // its activation code is known
	cnpj      string     // of its documents; "" before the first
	status    sat.Status // the latest; the zero value when none was read
	refusal   sat.Code   // by which it lately refused a sale for a reason of its own; 0 for none
	waiting   int        // calls under way or in its queue
}

// need is what a sale asks of a device. A field that is empty asks nothing.
type need struct {
	cnpj   string // emit/CNPJ
	layout string // versaoDadosEnt
}

// needOf reads what a sale needs. What cannot be read is left to the device to
// refuse.
func needOf(req sat.Request) need {
	if req.Function != sat.EnviarDadosVenda {
		return need{}
	}
	in, err := cfe.ParseSale([]byte(req.Arg("dadosVenda")))
	if err != nil {
		return need{}
	}
	return need{cnpj: in.CNPJ, layout: in.DataVersion}
}

// fullMemory is the part of a device's memory above which it blocks (dossier on
// documents, 4.5).
const fullMemory = 0.95

// unfit says in pt-BR why a device may not serve a sale; "" when it may.
func unfit(f facts, own bool, n need, now time.Time) string {
	memory, measured := f.status.MemoryFraction()
	expires := f.status.CertExpires
	switch {
	case !f.answering:
		return "não responde"
	case f.held:
		return "verificando uma venda anterior"
	case !own && !f.code:
		return "código de ativação desconhecido"
	case f.cnpj != "" && n.cnpj != "" && f.cnpj != n.cnpj:
		return "emite para outro CNPJ"
	case !own && f.cnpj == "":
		return "não se sabe para que CNPJ emite"
	case newer(n.layout, f.status.Layout):
		return fmt.Sprintf("não aceita o leiaute %s", n.layout)
	case f.status.State.Blocked():
		return f.status.State.String()
	case !expires.IsZero() && now.After(expires.AddDate(0, 0, 1)):
		return "certificado vencido em " + expires.Format("02/01/2006")
	case measured && memory >= fullMemory:
		return "memória cheia"
	case f.refusal != 0:
		return "recusou uma venda: " + f.refusal.Text()
	}
	return ""
}

// newer reports whether layout a is certainly newer than b ("0.08", "00.07"): a
// device refuses those with reason 1004, and takes older ones (dossier 2.5).
func newer(a, b string) bool {
	x, err1 := strconv.ParseFloat(strings.TrimSpace(a), 64)
	y, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
	return err1 == nil && err2 == nil && x > y
}

// order gives the devices, by index, that may serve a sale: the till's own first,
// then by policy. Own is -1 for a till that has none.
func order(devices []facts, own int, n need, p Policy, now time.Time) []int {
	var fit []int
	for i, f := range devices {
		if unfit(f, i == own, n, now) == "" {
			fit = append(fit, i)
		}
	}
	slices.SortStableFunc(fit, func(a, b int) int {
		if a == own || b == own {
			return cmp.Compare(btoi(a != own), btoi(b != own))
		}
		return compareBy(p, devices[a], devices[b])
	})
	return fit
}

func compareBy(p Policy, a, b facts) int {
	switch p {
	case LeastBusy:
		return cmp.Compare(a.waiting, b.waiting)
	case MostMemory:
		used := func(f facts) float64 {
			u, ok := f.status.MemoryFraction()
			if !ok {
				return 1
			}
			return u
		}
		return cmp.Compare(used(a), used(b))
	case CertificateLast:
		return b.status.CertExpires.Compare(a.status.CertExpires)
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The reasons CCCC of a refusal 06010 that speak of the device, not of the sale:
// layout, network, certificate, clock (dossier 2.5).
var deviceReasons = []sat.Alert{"1004", "1083", "1084", "1258"}

// passesOn reports whether a certain refusal speaks of the device, so that the
// sale may go to another one: not activated, not linked, blocked, code refused
// (dossier 2.4).
func passesOn(r sat.Reply) bool {
	if r.Function != sat.EnviarDadosVenda {
		return false
	}
	switch r.Code {
	case 6002, 6003, 6006, 6007, 6008, 6009:
		return true
	case 6010:
		return slices.Contains(deviceReasons, r.Alert)
	}
	return false
}
